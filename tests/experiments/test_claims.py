"""The builders of claims, each against its definition."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from percolaw.experiments import claims
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.intervals import seed_interval

VALUES = np.array([0.5, 1.0, 4.0, 2.5])


def test_agreement_asks_for_an_interval_within_three_tolerances():
    inside = claims.judge("", "", 1.0, 1.0, (0.71, 1.29), 0.1)
    assert inside.verdict == "agrees"
    for interval in ((0.69, 1.29), (0.71, 1.31)):
        assert claims.judge("", "", 1.0, 1.0, interval, 0.1).verdict == "inconclusive"


@pytest.mark.parametrize("interval", [(1.11, 1.4), (0.6, 0.89)])
def test_an_interval_on_either_side_disagrees(interval):
    assert claims.judge("", "", 1.0, sum(interval) / 2, interval, 0.1).verdict == "disagrees"


def test_mean_and_difference():
    claim = claims.mean("m", "s", 2.0, VALUES, 0.1, "n", {"learner": "1-NN"})
    assert claim.measured == pytest.approx(2.0)
    assert claim.interval == seed_interval(VALUES)
    assert (claim.name, claim.source, claim.note) == ("m", "s", "n")
    assert claim.about == {"learner": "1-NN"}
    assert claims.difference("", "", VALUES, 0.1).predicted == 0.0


def test_ratio_is_a_geometric_mean():
    """(1/2)(1)(4)(5/2) = 5, whose fourth root is not the mean 2."""
    claim = claims.ratio("", "", VALUES, 0.1)
    assert claim.measured == pytest.approx(5.0**0.25)
    assert (claim.predicted, claim.interval) == (1.0, seed_interval(VALUES))
    logs = claims.ratio("", "", VALUES, 0.1, by_logs=True, predicted=3.0)
    np.testing.assert_allclose(logs.interval, np.exp(seed_interval(np.log(VALUES))))
    assert logs.predicted == 3.0


def test_exponent_of_a_fit_and_without_one():
    size = np.geomspace(10, 1000, 9)
    curve = LearningCurve(size, size**-0.5 * np.array([[1.0], [1.1], [0.9]]))
    claim = claims.exponent("", "", 0.5, curve.fit(), 0.01, about={"target": "linear"})
    assert (claim.verdict, claim.measured) == ("agrees", pytest.approx(0.5))
    assert claim.about == {"quantity": "exponent", "target": "linear"}
    rough = claims.exponent("", "", 0.5, None, 0.01, rough=0.5)
    assert (rough.verdict, rough.measured) == ("inconclusive", 0.5)
    assert rough.interval == (-math.inf, math.inf)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (3, 7), (95, 100), (60, 100)])
def test_coverage_is_clopper_and_pearson(hits, n):
    claim = claims.coverage("", "", hits, n, 0.05)
    exact = binomtest(hits, n).proportion_ci(0.95, method="exact")
    np.testing.assert_allclose(claim.interval, (exact.low, exact.high), rtol=1e-9, atol=1e-12)
    assert (claim.measured, claim.predicted) == (hits / n, 0.95)
    assert (claim.verdict == "disagrees") == (hits in (0, 3, 60))
