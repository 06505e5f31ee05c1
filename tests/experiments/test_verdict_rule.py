"""The rule by which a measured value and its interval agree, disagree or decide nothing."""

import dataclasses

import numpy as np
import pytest

import percolaw
from percolaw.experiments.claims import Claim, judge

# --- the verdict rule ----------------------------------------------------------------------------

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("value", "interval", "verdict"),
    [
        (1.0, (0.9, 1.1), "agrees"),
        (1.0, (1.0, 1.0), "agrees"),
        (1.25, (1.25, 1.75), "agrees"),  # at the tolerance, and three tolerances away
        (0.75, (0.25, 0.75), "agrees"),
        (1.26, (1.24, 1.27), "inconclusive"),  # the value outside, the interval touches
        (1.5, (1.25, 1.75), "inconclusive"),
        (0.99, (1.0, 1.1), "inconclusive"),  # outside its own interval
        (5.0, (0.9, 1.1), "inconclusive"),
        (1.4, (1.26, 1.5), "disagrees"),
        (0.6, (0.5, 0.74), "disagrees"),
        (1.0, (0.25, 1.76), "inconclusive"),  # too wide to exclude anything
        (1.0, (0.24, 1.75), "inconclusive"),
        (2.0, (1.26, 9.0), "disagrees"),  # wide, and does not meet it
        (1.0, (-INF, INF), "inconclusive"),
        (1.0, (0.9, INF), "inconclusive"),
        (1.0, (NAN, NAN), "inconclusive"),
        (9.0, (5.0, INF), "inconclusive"),
    ],
)
def test_verdict(value, interval, verdict):
    claim = judge("name", "source", 1.0, value, interval, 0.25, "note")
    assert claim == Claim("name", "source", 1.0, value, claim.interval, 0.25, verdict, "note")


@pytest.mark.parametrize("tolerance", [NAN, INF, -INF, -0.02])
def test_tolerance_must_be_finite_and_not_negative(tolerance):
    with pytest.raises(ValueError, match="tolerance must be finite and in"):
        judge("", "", 1.0, 1.0, (1.0, 1.0), tolerance)


def test_negative_predictions_are_judged_as_positive_ones():
    assert judge("", "", -0.2, -0.2, (-0.2, -0.2), 0.02).verdict == "agrees"
    assert judge("", "", -0.2, -0.3, (-0.3, -0.3), 0.02).verdict == "disagrees"


def test_reversed_interval():
    with pytest.raises(ValueError, match="must rise"):
        judge("", "", 1.0, 1.0, (1.1, 0.9), 0.1)


def test_rule_at_its_own_rate():
    """Of claims that are exactly true 95% intervals disagree in less than 5%, and none agrees by luck."""
    rng = np.random.default_rng(0)
    for error, most in ((0.1, 1.0), (0.3, 0.75), (1.0, 0.35), (3.0, 0.0)):
        value = rng.normal(0.0, error, 4000)
        near = [judge("", "", 0.0, x, (x - 1.96 * error, x + 1.96 * error), 1.0) for x in value]
        off = [judge("", "", 5.0, x, (x - 1.96 * error, x + 1.96 * error), 1.0) for x in value]
        verdicts = [c.verdict for c in near]
        assert verdicts.count("disagrees") / 4000 < 0.05 + 4 * (0.05 * 0.95 / 4000) ** 0.5
        assert verdicts.count("agrees") / 4000 >= most
        assert [c.verdict for c in off].count("agrees") / 4000 < 0.01


@pytest.mark.parametrize("bad", [-0.01, NAN, INF])
def test_bad_tolerances_are_refused_before_anything_is_measured(tmp_path, bad):
    from percolaw.experiments.registry import experiment_class

    for name, field in (("embedded-1nn", "curve_tolerance"), ("kernel-scaling", "tolerance")):
        cls = experiment_class(name)
        with pytest.raises(ValueError, match=f"{field} must be finite and in"):
            cls(**{**cls.presets["smoke"].config, field: bad})
    nested = experiment_class("data-scaling")()
    nested = dataclasses.replace(nested, tolerance=dataclasses.replace(nested.tolerance, curve=bad))
    with pytest.raises(ValueError, match=r"tolerance\.curve "):
        percolaw.run(nested, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("predicted", "value"), [(NAN, 1.0), (1.0, NAN), (INF, 1.0)])
def test_verdict_without_numbers(predicted, value):
    assert judge("", "", predicted, value, (0.9, 1.1), 0.25).verdict == "inconclusive"


def test_verdict_without_tolerance():
    assert judge("", "", 1.0, 1.0, (1.0, 1.0), 0.0).verdict == "agrees"
    assert judge("", "", 1.0, 1.1, (1.1, 1.1), 0.0).verdict == "disagrees"
    assert judge("", "", 1.0, 1.0, (0.9, 1.1), 0.0).verdict == "inconclusive"
