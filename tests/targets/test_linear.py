"""Linear teachers: linear, with covariance x.y / d."""

import numpy as np
from statistical import assert_close, assert_far, mean_and_error
from teacher_cases import normal

from percolaw.targets.linear import LinearTeacher


def test_linear_teacher_is_linear_with_covariance_dot_over_d():
    x = normal(0, 3, 8)
    f = LinearTeacher(n_outputs=20_000).sample(8, rng=0)
    value = f(x)
    for i, j in ((0, 0), (0, 1), (2, 2), (1, 2)):
        mean, error = mean_and_error(value[i] * value[j])
        assert_close(mean, x[i] @ x[j] / 8, error)
        if i == j:
            assert_far(mean, x[i] @ x[j], error)
    np.testing.assert_allclose(f(2.0 * x[:1] - 3.0 * x[1:2])[0], 2 * value[0] - 3 * value[1])
    across, error = mean_and_error(value[0, 1:] * value[0, :-1])
    assert_close(across, 0.0, error)  # outputs are independent
    many = [LinearTeacher().sample(8, rng=s)(x[:1])[0] for s in range(2000)]
    mean, error = mean_and_error(np.square(many))
    assert_close(mean, x[0] @ x[0] / 8, error)
