"""Ratios of two distances: the formula by plain loops."""

import pytest
from dimension_cases import ratio_regression, small_sample

from percolaw.dimension.two_nn import TwoNN


@pytest.mark.parametrize("fraction", [0.9, 0.5, 0.999])
@pytest.mark.parametrize("k", [2, 3, 5, 12])
def test_ratio_regression_formula(k, fraction):
    sample = small_sample()
    value = TwoNN(k, fraction).value(sample)
    assert value == pytest.approx(ratio_regression(sample.distance, k, fraction), rel=1e-12)
    # Controls: the exponent of another k, and an ordinary fit of all ratios.
    assert abs(value / ratio_regression(sample.distance, k + (k < 12) - (k == 12)) - 1) > 1e-3
    assert abs(value / ratio_regression(sample.distance, k, 0.7) - 1) > 1e-3
