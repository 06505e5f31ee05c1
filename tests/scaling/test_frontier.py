"""The compute-optimal frontier of exact surfaces, beside what their exponents imply."""

import numpy as np
import pytest

from percolaw.scaling.budget import fit_additive
from percolaw.scaling.frontier import compute_frontier

SIZE = np.geomspace(50, 5000, 13)
STEPS = 2000.0 * (SIZE[:, None] / SIZE[0]) ** 0.5 * 2.0 ** np.arange(-6, 2)


def surface(a, b):
    """A size^-a + B steps^-b whose best size lies inside of those tried."""
    middle = STEPS[SIZE.size // 2, 3]
    return (SIZE[:, None] / 500) ** -a + (a / b) * (STEPS / middle) ** -b


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.6), (0.25, 0.4), (0.9, 0.5)])
@pytest.mark.parametrize("cost", [1.0, 0.8])
def test_exponents_are_those_of_the_derivation(a, b, cost):
    compute = 6.0 * SIZE[:, None] ** cost * STEPS
    loss = np.stack([surface(a, b)] * 3)
    found = compute_frontier(SIZE, STEPS, loss, compute)
    # Widths stand in steps: the envelope ripples.
    assert found.exponent == pytest.approx(a * b / (a + cost * b), rel=0.02)
    assert found.size_exponent == pytest.approx(b / (a + cost * b), rel=0.05)
    predicted, each = fit_additive(SIZE, STEPS, loss).frontier_exponent(cost)
    assert predicted == pytest.approx(a * b / (a + cost * b), rel=1e-3)
    assert each.shape == found.resampled.shape, "of the same samples of seeds"
    assert found.compute[-1] >= 10 * found.compute[0]


def test_the_frontier_is_below_every_width():
    compute = 6.0 * SIZE[:, None] * STEPS
    loss = surface(0.5, 0.6)
    found = compute_frontier(SIZE, STEPS, loss[None], compute)
    assert found.interval == (-np.inf, np.inf), "one seed has no interval"
    for own, c in zip(loss, compute, strict=True):
        at = (found.compute >= c[0]) & (found.compute <= c[-1])
        between = np.exp(np.interp(np.log(found.compute[at]), np.log(c), np.log(own)))
        assert np.all(found.loss[at] <= between * (1 + 1e-9))
    assert np.all((found.size > SIZE[0]) & (found.size < SIZE[-1]))


def test_a_best_size_at_the_end_of_the_range_says_nothing():
    """Losses that do not fall with size: the smallest is best; and that only size moves: the largest."""
    compute = 6.0 * SIZE[:, None] * STEPS
    flat = np.broadcast_to(STEPS**-0.5, STEPS.shape)
    assert compute_frontier(SIZE, STEPS, flat[None], compute) is None
    only = np.broadcast_to(SIZE[:, None] ** -0.5, STEPS.shape)
    found = compute_frontier(SIZE, STEPS, only[None], compute)
    assert found is None or found.size_exponent > 0.5


def test_seeds_make_the_interval():
    rng = np.random.default_rng(0)
    compute = 6.0 * SIZE[:, None] * STEPS
    noise = np.exp(0.02 * rng.standard_normal((5, *STEPS.shape)))
    found = compute_frontier(SIZE, STEPS, surface(0.5, 0.6) * noise, compute)
    low, high = found.interval
    assert low < 0.5 * 0.6 / 1.1 < high
    assert high - low < 0.1
    with pytest.raises(ValueError, match="compute must have shape"):
        compute_frontier(SIZE, STEPS, surface(0.5, 0.6)[None], compute[:, :3])
