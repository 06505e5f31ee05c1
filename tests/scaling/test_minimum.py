"""Where a measured curve is least, and smoothing."""

import math

import numpy as np
import pytest

from percolaw.scaling import minimum
from percolaw.scaling.minimum import smoothed

# --- regimes -------------------------------------------------------------------------------------


def test_smoothing_keeps_power_laws():
    x = np.geomspace(1, 1e4, 9)
    np.testing.assert_allclose(smoothed(x**-0.7), x**-0.7)
    bumped = x**-0.7
    bumped[4] *= 16.0
    np.testing.assert_allclose(smoothed(bumped)[3:6] / x[3:6] ** -0.7, [2.0, 4.0, 2.0])
    assert smoothed(np.array([2.0])).tolist() == [2.0]


# --- where data are learned best -------------------------------------------------------------------


def test_best_ratio_is_the_vertex_of_a_parabola():
    ratios = np.array([0.9, 1.0, 1.1, 1.3, 1.6])
    for best in (0.99, 1.07, 1.2):
        loss = np.exp(3.0 * np.log(ratios / best) ** 2 - 1.0)
        assert minimum.least_at(ratios, loss) == pytest.approx(best, rel=1e-9)
    assert minimum.least_at(ratios, ratios**2.0) == pytest.approx(0.9)
    assert minimum.least_at(ratios, ratios**-2.0) == pytest.approx(1.6)
    assert math.isnan(minimum.least_at(ratios, np.full(5, np.nan)))
    # What could not be learned does not count: not as least, not as a neighbour.
    loss = np.array([np.nan, np.nan, 0.5, 0.4, 0.6])
    assert 1.1 < minimum.least_at(ratios, loss) < 1.6
    assert minimum.least_at(ratios, np.array([np.nan, 0.3, 0.4, 0.5, 0.6])) == pytest.approx(1.0)
    assert minimum.least_at(
        ratios, np.array([np.nan, np.nan, 0.4, np.nan, np.nan])
    ) == pytest.approx(1.1)
    assert 1.0 <= minimum.least_at(ratios, np.array([1.0, 0.5, 0.5, 0.5, 1.0])) <= 1.1
