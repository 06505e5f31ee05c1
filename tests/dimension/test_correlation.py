"""Correlation dimension: counts by brute force, windows, far points, units."""

import math

import numpy as np
import pytest
from dimension_cases import (
    all_distances,
    plain_numbers,
    plain_points,
    slope_of,
    small_cloud,
    small_sample,
)

from percolaw.dimension.correlation import CorrelationDimension
from percolaw.dimension.sample import Sample, decimate, estimate, make_sample
from percolaw.dimension.two_nn import TwoNN

# ---- oracles: plain loops from the papers, sharing nothing with the package ----


@pytest.mark.parametrize(("lowest", "highest"), [(0.5, 20.0), (0.1, 4.0), (2.0, 30.0)])
def test_correlation_counts_by_brute_force(lowest, highest):
    sample, distances = small_sample(), all_distances(small_cloud())
    n = len(distances)
    estimator = CorrelationDimension(lowest, highest)
    radius, count = estimator.curve(sample)
    np.testing.assert_allclose(radius, np.geomspace(radius[0], radius[-1], 12), rtol=1e-12)
    for r, found in zip(radius, count, strict=True):
        # The ends are distances of pairs: rounding decides on which side those fall.
        low, high = (
            sum(distances[i][j] <= r * (1 + slip) for i in range(n) for j in range(n) if i != j)
            for slip in (-1e-9, 1e-9)
        )
        assert low <= round(found * n) <= high
        assert high - low <= 2
    assert abs(count[0] - lowest) <= 3 / n  # pairs come in twos
    assert abs(count[-1] - highest) <= 3 / n
    expected = slope_of([math.log(r) for r in radius], [math.log(c) for c in count])
    assert estimator.value(sample) == pytest.approx(expected, rel=1e-9)
    own = [math.log(c + 1) for c in count]  # control: counting the centre itself
    assert abs(slope_of([math.log(r) for r in radius], own) / expected - 1) > 0.02


def test_correlation_counts_of_some_centres():
    x = small_cloud()
    centres = np.array([5, 70, 12, 33, 8, 61, 2, 3, 44, 50, 29])
    part = Sample(x, centres, make_sample(x, 1, centres).distance)
    radius, count = CorrelationDimension(1.0, 10.0, max_centres=10).curve(part)
    distances = all_distances(x)
    for r, found in zip(radius[1:-1], count[1:-1], strict=True):
        brute = sum(distances[i][j] <= r for i in centres[:10] for j in range(len(x)) if i != j)
        assert found * 10 == pytest.approx(brute)


# ---- bad input ----


@pytest.mark.parametrize("highest", [300.0, 590.0])
def test_correlation_window_beyond_half_of_the_points(highest):
    with pytest.raises(
        ValueError, match=f"{highest:g} neighbours are too many for 600 points; lower"
    ):
        CorrelationDimension(0.5, highest).fit(plain_points())


# ---- known faults ----


@pytest.mark.parametrize("far", [1e10, 1e12])
def test_correlation_with_a_far_point(far):
    x = np.concatenate([plain_points(), [[far, 0, 0, 0, 0]]])
    assert TwoNN().fit(x).dimension_ == pytest.approx(plain_numbers()["TwoNN"].dimension, rel=0.02)
    found = CorrelationDimension().fit(x).dimension_
    assert found == pytest.approx(plain_numbers()["correlation dimension"].dimension, rel=0.02)


@pytest.mark.parametrize("scale", [1e-162, 1e160])
@pytest.mark.filterwarnings("ignore")
def test_correlation_at_extreme_scales(scale):
    x = plain_points() * scale
    assert TwoNN().fit(x).dimension_ == pytest.approx(plain_numbers()["TwoNN"].dimension, rel=1e-6)
    found = CorrelationDimension().fit(x).dimension_
    assert found == pytest.approx(plain_numbers()["correlation dimension"].dimension, rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_correlation_window_that_starts_at_the_nearest_pair():
    for seed in range(60):
        sample = make_sample(np.random.default_rng(seed).random((60, 2)), 1)
        assert math.isfinite(CorrelationDimension(0.005, 1.0).value(sample)), seed


def test_correlation_with_a_wide_window():
    x = np.random.default_rng(0).random((1600, 3))
    assert 2 < CorrelationDimension(0.5, 60.0).fit(x).dimension_ < 3.2


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_correlation_levels_do_not_depend_on_the_unit(scale):
    levels = decimate(scale * plain_points(), 20, 0)
    found = estimate(CorrelationDimension(), levels)
    before = plain_numbers()["correlation dimension"]
    np.testing.assert_allclose(found.level, before.level, rtol=1e-6)
