"""When a task is learned, and in which order: by hand."""

import math

import numpy as np
import pytest

from percolaw.experiments.quanta.parity_students import (
    crossing_steps,
    first_missing,
    inversions,
    slope,
)
from percolaw.experiments.seeds import seed_mean


def test_crossings_lie_between_tests():
    """On a line in log steps; a loss that rises again counts from when it first fell."""
    steps = np.array([10.0, 100.0, 1000.0])
    loss = np.array([[1.0, 1.0, 0.2, 1.0], [0.8, 1.0, 1.0, 0.4], [0.0, 1.0, 1.0, 0.9]])
    found = crossing_steps(steps, loss, 0.5)
    assert found[0] == pytest.approx(10 ** (2 + 3 / 8))
    assert found[1] == math.inf
    assert found[2] == pytest.approx(10.0)
    assert found[3] == pytest.approx(10 ** (1 + 5 / 6))


def test_inversions():
    assert inversions(np.array([1.0, 2.0, 5.0, math.inf, math.inf])) == 0.0
    assert inversions(np.array([3.0, 2.0, 1.0])) == 1.0
    assert inversions(np.array([1.0, math.inf, 2.0])) == pytest.approx(1 / 3)
    # Of tasks that nobody learned the order is not known, and is none that agrees.
    assert inversions(np.array([3.0, 2.0, *[math.inf] * 8])) == pytest.approx(1 / (1 + 2 * 8))
    assert math.isnan(inversions(np.full(8, math.inf)))


def test_first_missing_and_slope():
    assert first_missing(np.array([True, True, False, True])) == 2
    assert first_missing(np.array([True, True])) == 2
    x = np.array([1.0, 2.0, 8.0])
    assert slope(x, 3 * x**-0.7) == pytest.approx(-0.7)
    assert math.isnan(slope(x[:2], x[:2]))


def test_seeds_without_a_number_are_inconclusive():
    claim = seed_mean("n", "s", 1.0, [1.0, math.nan, 1.0], 0.1, "note")
    assert (claim.verdict, claim.measured) == ("inconclusive", 1.0)
    assert claim.note == "note; 1 of 3 seeds have too few to measure on"
    assert seed_mean("n", "s", 1.0, [1.0, 1.01, 0.99], 0.1).verdict == "agrees"
