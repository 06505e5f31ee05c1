"""Where a measured curve is least."""

import math

import numpy as np
import pytest

from percolaw.scaling.minimum import least_at


def test_the_least_point_of_a_curve_lies_between_its_samples():
    x = np.array([-1.0, 0.5, 1.0, 3.0])
    size = np.exp(x)
    for vertex in (0.2, 0.45, 0.6):
        loss = np.exp(2.0 + 3.0 * (x - vertex) ** 2)
        assert least_at(size, loss) == pytest.approx(math.exp(vertex))
    # No parabola: an end, equal losses; what is not finite is left out.
    assert least_at(size, size) == pytest.approx(size[0])
    assert least_at(size, 1.0 / size) == pytest.approx(size[-1])
    assert least_at(size, np.ones(4)) == pytest.approx(size[0])
    assert least_at(size, np.array([np.nan, 1.0, 2.0, np.inf])) == pytest.approx(size[1])
    assert math.isnan(least_at(size, np.full(4, np.nan)))
