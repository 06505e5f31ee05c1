"""Principal components, with more points than columns and with fewer."""

import numpy as np
import pytest

from percolaw.numerics.components import principal_components


@pytest.mark.parametrize(("n", "d"), [(40, 5), (40, 40), (12, 30), (12, 500)])
def test_components_are_those_of_the_singular_values(n, d):
    x = np.random.default_rng(d).standard_normal((n, d)) * np.arange(1.0, d + 1.0) + 3.0
    mean, axes, scores = principal_components(x)
    np.testing.assert_allclose(mean + scores @ axes, x, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(axes @ axes.T, np.eye(len(axes)), atol=1e-8)
    assert len(axes) == (d if d <= n else n - 1)
    singular = np.linalg.svd(x - mean, compute_uv=False)
    length = np.linalg.norm(scores, axis=0)[::-1]
    np.testing.assert_allclose(length[: n - 1], singular[: n - 1][: len(length)], rtol=1e-7)


def test_columns_that_do_not_vary_have_no_component_of_their_own():
    x = np.zeros((10, 50))
    x[:, :3] = np.random.default_rng(0).standard_normal((10, 3))
    _, axes, scores = principal_components(x)
    assert axes.shape == (3, 50)
    np.testing.assert_allclose(scores @ axes, x - x.mean(axis=0), atol=1e-12)
    assert principal_components(np.ones((4, 9)))[1].shape == (0, 9)
