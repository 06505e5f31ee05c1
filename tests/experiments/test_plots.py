"""What plots hold of a curve: its middle, band, fit, prediction, and the ratio of both."""

import math

import numpy as np
import pytest

from percolaw.experiments import claims, plots
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.intervals import seed_interval

SIZE = np.array([10.0, 100.0, 1000.0])
LOSS = np.array([[1.0, 0.1, 0.01], [2.0, 0.2, 0.02], [4.0, 0.4, 0.04]])
CURVE = LearningCurve(SIZE, LOSS)


def test_a_predicted_slope_meets_the_fit_in_the_middle_of_its_window():
    """The fit is 20/n: 0.2 at n = 100, from where n^(-1/2) leads to 0.2 sqrt(10) and 0.2/sqrt(10)."""
    drawn = plots.slope("slope 1/2", CURVE.fit(), 0.5)
    assert drawn.kind == "theory"
    np.testing.assert_allclose(drawn.x, [10.0, 1000.0])
    np.testing.assert_allclose(drawn.y, [0.2 * math.sqrt(10.0), 0.2 / math.sqrt(10.0)])


def test_a_curve_is_its_middle_with_the_band_of_seeds():
    series = plots.curve("loss", CURVE, fitted=CURVE.fit(), predicted=0.5)
    band = CURVE.band()
    for drawn, right in ((series.x, SIZE), (series.y, LOSS[1]), (series.low, band.low)):
        np.testing.assert_allclose(drawn, right)
    np.testing.assert_allclose(series.high, band.high)
    assert (series.n_seeds, series.kind) == (3, "measured")
    np.testing.assert_array_equal(series.seeds, LOSS)
    assert plots.curve("loss", LearningCurve(SIZE, LOSS[:1])).seeds is None, "the curve itself"
    (stored,) = series.stored
    assert (stored.measured, stored.predicted) == (pytest.approx(1.0), 0.5)
    assert stored.window == (10.0, 1000.0)


def test_a_claim_stands_beside_its_curve_with_the_window_of_the_fit():
    claim = claims.exponent("c", "", 1.0, CURVE.fit(), 0.01)
    (stored,) = plots.curve("loss", CURVE, claims=[claim], fitted=CURVE.fit()).stored
    assert (stored.name, stored.verdict, stored.predicted) == ("c", "agrees", 1.0)
    assert stored.interval == claim.interval
    assert stored.window == (10.0, 1000.0)


def test_a_residual_is_measured_over_the_prediction_at_the_same_sizes():
    law = plots.line("law", "theory", SIZE[1:], [0.1, 0.02])
    series = plots.curve("loss", CURVE, prediction="law")
    alone = plots.curve("no prediction", CURVE)
    panel = plots.residual(plots.log_log("id", "t", "a", ("x", "y"), [series, law, alone]))
    assert [one.name for one in panel.series] == ["loss", "1"]
    assert panel.series[0].y[0] is None
    np.testing.assert_allclose(panel.series[0].y[1:], [2.0, 1.0])
    np.testing.assert_allclose(panel.series[0].seeds[2][1:], [4.0, 2.0])
    assert set(panel.series[1].y) == {1.0}
    assert not panel.y_log


def test_local_exponents_have_the_percentiles_of_those_of_each_seed():
    """Seeds n^-1, n^-2 and n^-3: their geometric mean is n^-2, the 16 percentile 1.32, the 84 2.68."""
    seeds = LearningCurve(SIZE, SIZE[None] ** -np.array([[1.0], [2.0], [3.0]]))
    drawn = plots.local("measured", seeds, group="g")
    for values, right in ((drawn.y, 2.0), (drawn.low, 1.32), (drawn.high, 2.68)):
        np.testing.assert_allclose(values, right)
    assert (drawn.kind, drawn.interval, drawn.n_seeds) == ("measured", plots.PERCENTILES, 3)
    assert plots.local("one", LearningCurve(SIZE, LOSS[:1])).low is None


def test_means_over_seeds_have_their_own_intervals():
    values = [[1.0, 2.0, 6.0], [0.0, 0.0, 3.0]]
    one = plots.seed_means("a", [1.0, 2.0], values)
    assert one.y == (3.0, 1.0)
    assert (one.n_seeds, one.joined, one.interval) == (3, True, plots.CONFIDENCE)
    assert list(zip(one.low, one.high, strict=True)) == [seed_interval(v) for v in values]
    assert not plots.seed_means("a", [1.0, 2.0], values, joined=False).joined
