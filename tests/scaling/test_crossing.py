"""Where curves cross: analytic curves, and means over several."""

import math

import numpy as np
import pytest
from statistical import assert_close

from percolaw.scaling.crossing import crossing, mean_crossing


def test_crossing_of_analytic_curves():
    p = np.linspace(0.4, 0.6, 101)

    def curve(p_c, length, level=0.5):
        return 1.0 / (1.0 + np.exp(math.log(1 / level - 1) - (p - p_c) * length))

    for p_c in (0.43, 0.5, 0.5123, 0.58):
        for level in (0.2, 0.5, 0.7):
            found = crossing(p, curve(p_c, 30, level), curve(p_c, 90, level))
            assert found == pytest.approx(p_c, abs=2e-4)
    # Curves that agree far from p_c, and noise there, do not matter.
    small, large = np.clip(curve(0.51, 60), 0.01, 0.99), np.clip(curve(0.51, 300), 0.01, 0.99)
    assert crossing(p, small, large) == pytest.approx(0.51, abs=3e-4)
    rng = np.random.default_rng(0)
    found = [
        crossing(p, curve(0.51, 60), curve(0.51, 300) + 0.01 * rng.standard_normal(101))
        for _ in range(200)
    ]
    assert_close(np.mean(found), 0.51, np.std(found) / math.sqrt(200), bias=2e-4)
    small, large = (
        np.stack([curve(0.51 + shift, n) for shift in (-2e-3, 0, 2e-3)]) for n in (60, 300)
    )
    measured, (low, high) = mean_crossing(p, small, large)
    assert measured == pytest.approx(0.51, abs=1e-3)
    # The mean of three seeds, 2 / sqrt(3) thousandths a standard error, times t of 2 degrees of freedom.
    assert (high - low) / 2 == pytest.approx(4.303 * 2e-3 / math.sqrt(3), rel=0.1)
    assert mean_crossing(p, small[:2], large[:2])[1] == (-math.inf, math.inf)
    small, large = np.clip(curve(0.51, 60), 0.01, 0.99), np.clip(curve(0.51, 300), 0.01, 0.99)
    # The other way round it lies at an end, and never outside.
    assert crossing(p, large, small) in (
        pytest.approx(0.4, abs=0.003),
        pytest.approx(0.6, abs=0.003),
    )
    assert 0.4 <= crossing(p, small, small) <= 0.6
    assert crossing(p, small, small + 0.1) == pytest.approx(0.4, abs=2.1e-3)
    assert crossing(p, small, small - 0.1) == pytest.approx(0.6, abs=2.1e-3)
