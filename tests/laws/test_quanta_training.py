"""Time and compute: the flow integrated, limits against sums, the best size against a search."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from percolaw.laws.quanta import sample_loss, skill_loss
from percolaw.laws.quanta_training import compute_loss, training_loss, training_loss_limit
from percolaw.laws.scaling_laws import zipf_weights


def test_skills_that_learn_by_themselves():
    """The logistic closed form against an integration of its equation."""
    p, s, r0 = zipf_weights(0.5, 6), 1.5, 0.01
    t = np.array([0.0, 2.0, 10.0, 40.0])
    flow = solve_ivp(
        lambda _, r: p * r * (s - r), (0, 40), np.full(6, r0), t_eval=t, rtol=1e-10, atol=1e-12
    )
    expected = 0.5 * np.sum(p[:, None] * (s - flow.y) ** 2, axis=0)
    found = training_loss(t, 0.5, 6, strength=s, start=r0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    late = training_loss([1e2, 1e4], 1.0, 20_000)
    assert math.log(late[0] / late[1]) / math.log(100) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_the_constant_of_the_time_law(alpha):
    """At a time when half a million skills are as good as infinitely many."""
    t = np.array([1e3, 1e4])
    limit = training_loss_limit(t, alpha, strength=2.0, start=0.05)
    exact = training_loss(t, alpha, 500_000, strength=2.0, start=0.05)
    rest = 2.0 * skill_loss(500_000, alpha)  # of the skills that the sum leaves out
    np.testing.assert_allclose(exact + rest, limit, rtol=0.01)


def test_the_best_size_for_a_budget():
    """No size does better, and both ends of the trade are right: all skills, or all samples."""
    alpha, k, budget = 0.5, 300, 1e5
    loss, n = compute_loss(budget, alpha, k, 2)
    p = zipf_weights(alpha, k)
    for size in (1, 5, 20, 60, 150, 300):
        x = budget / size * p[:size]
        assert loss <= np.sum(p[:size] * np.exp(-x) * (1 + x)) + p[size:].sum() + 1e-12
    assert compute_loss(1e12, alpha, k)[1] == k
    assert loss > sample_loss(budget / n, alpha, 2, k)
    losses, sizes = compute_loss([1e6, 1e8], 1.0, 20_000)
    assert math.log(losses[0] / losses[1]) / math.log(100) == pytest.approx(1 / 3, abs=0.02)
    assert math.log(sizes[1] / sizes[0]) / math.log(100) == pytest.approx(1 / 3, abs=0.03)


def test_numbers_out_of_range_are_refused():
    for call in (
        lambda: training_loss(1.0, 1.0, 5, start=2.0),
        lambda: training_loss(-1.0, 1.0, 5),
        lambda: training_loss_limit(1.0, 0.0),
        lambda: training_loss_limit(0.0, 1.0),
        lambda: compute_loss(0.0, 1.0, 5),
    ):
        with pytest.raises(ValueError, match="must"):
            call()
