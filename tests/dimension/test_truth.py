"""Every estimator against exact laws, known manifolds, clusters and scikit-dimension; its intervals."""

import functools
import math

import numpy as np
import pytest
from dimension_cases import likelihood, neighbour_distances, numbers, ratio_regression
from statistical import assert_close, assert_far, mean_and_error

import percolaw
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.dimension.correlation import CorrelationDimension
from percolaw.dimension.estimate import ESTIMATORS, estimate_dimension
from percolaw.dimension.mle import MLE
from percolaw.dimension.sample import Sample, decimate, estimate, make_sample
from percolaw.dimension.two_nn import TwoNN

FRACTAL = [name for name in ESTIMATORS if "mean of dimensions" not in name]


def poisson_sample(dimension, m, k, rng):
    volume = np.cumsum(rng.exponential(size=(m, k)), axis=1)
    return Sample(np.zeros((m, 1)), np.arange(m), volume ** (1 / dimension))


IDEAL = {
    "TwoNN": TwoNN(),
    "ratio 3": TwoNN(3),
    "ratio 5": TwoNN(5),
    "ratio 20": TwoNN(20),
    "MLE 2": MLE(2),
    "MLE 5": MLE(5),
    "MLE 20": MLE(20),
    "mean of dimensions 5": MLE(5, "dimension"),
    "mean of dimensions 20": MLE(20, "dimension"),
}


@functools.cache
def ideal_samples(dimension):
    rng = np.random.default_rng(int(10 * dimension))
    return [poisson_sample(dimension, 1000, 20, rng) for _ in range(40)]


# ---- exact law: r_j^D are the points of a Poisson process ----


@pytest.mark.parametrize("dimension", [1.5, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("name", sorted(IDEAL))
def test_ideal_distances_are_unbiased(name, dimension):
    values = [IDEAL[name].value(s) for s in ideal_samples(dimension)]
    mean, error = mean_and_error(values)
    # A ratio of means and F = i/n: biases of order 1/n.
    assert_close(mean, dimension, error, bias=2e-3 * dimension)
    for wrong in (0.9 * dimension, 1.1 * dimension, dimension + 1, dimension - 1):
        assert_far(mean, wrong, error)


@pytest.mark.parametrize("dimension", [2.0, 8.0])
def test_other_normalisations_are_biased(dimension):
    samples = [s.distance[:200].tolist() for s in ideal_samples(dimension)]
    for average, right in (("dimension", 3), ("inverse", 4)):
        mean, error = mean_and_error([likelihood(s, 5, average, right) for s in samples])
        assert_close(mean, dimension, error, bias=2e-3 * dimension)
        mean, error = mean_and_error([likelihood(s, 5, average, 7 - right) for s in samples])
        assert_far(mean, dimension, error)
        assert_close(mean, dimension * (7 - right) / right, error, bias=4e-3 * dimension)
    k_of_another = [ratio_regression([[r[0], r[4]] for r in s]) for s in samples]
    mean, error = mean_and_error(k_of_another)
    assert_far(mean, dimension, error)  # TwoNN's law used on the fifth neighbour


def test_spread_of_ideal_estimates():
    values = [MLE(20).value(s) for s in ideal_samples(4.0)]
    expected = 4.0 / math.sqrt(1000 * 19)  # Cramer and Rao
    assert np.std(values, ddof=1) == pytest.approx(expected, rel=0.5)  # 11% expected of 40 values
    two = np.std([TwoNN().value(s) for s in ideal_samples(4.0)], ddof=1)
    assert two > 2 * expected  # one ratio a point instead of 19


PRODUCTS = [
    (("swiss-roll", 2), ("sphere", 2)),
    (("torus", 2), ("cube", 3)),
    (("ball", 2), ("sphere", 2), ("cube", 1)),
    (("sphere", 3), ("torus", 2), ("cube", 2)),
]
SIMPLE = [((kind, d),) for kind in ("cube", "ball", "sphere", "torus") for d in (1, 3, 8)]


@functools.cache
def manifold_estimates():
    """(factors, dimension, estimator) -> Estimate, on 3000 points of each manifold in R^20."""
    found = {}
    for factors in [*SIMPLE, (("swiss-roll", 2),), *PRODUCTS]:
        data = percolaw.make_manifold(factors, 3000, dim=20, rng=1)
        truth = sum(d for _, d in factors)
        assert data.truth["dimension"] == truth
        levels = decimate(data.X, 20, 1, max_queries=1000)
        for name, estimator in ESTIMATORS.items():
            found[factors, truth, name] = estimate(estimator, levels)
    return found


def holds(interval, value):
    return interval[0] <= value <= interval[1]


# ---- reference manifolds ----


def test_truth_within_the_interval_on_reference_manifolds():
    found = manifold_estimates()
    known = {((("torus", 8),), 8, name) for name in ESTIMATORS if "k = 20" in name}
    missed = [key for key, e in found.items() if not holds(e.interval, key[1]) and key not in known]
    # Nominal 95% of 132 intervals would be 7 misses; six seeds of half as many again gave 0 to 6,
    # in groups, for the estimators of one cloud share its neighbours. The k = 20 readings of the
    # 8-torus are known to miss: its neighbours are a good part of each circle away.
    assert len(missed) <= 5, missed
    for name in ESTIMATORS:
        assert sum(key[2] == name for key in missed) <= 3, name


def test_intervals_on_manifolds_are_not_empty_talk():
    found = manifold_estimates()
    wrong = [key for key, e in found.items() if holds(e.interval, key[1] + 1) and key[1] <= 3]
    assert len(wrong) <= 2, wrong  # low dimensions exclude the next one
    sampling_only = [
        key for key, e in found.items() if abs(e.dimension - key[1]) > 2.2 * e.standard_error
    ]
    missed = [key for key, e in found.items() if not holds(e.interval, key[1])]
    assert len(sampling_only) > 40  # control: without drift and extrapolation edges are missed
    assert len(missed) < len(sampling_only) / 3
    for key, e in found.items():
        assert math.isfinite(e.standard_error)
        assert e.interval[0] <= min(e.dimension, e.extrapolated)
        assert e.interval[1] >= max(e.dimension, e.extrapolated)
        assert abs(e.dimension / key[1] - 1) < 0.35, key


def test_known_reading_of_edges_and_curvature():
    """Edges lower the estimate in many dimensions; a torus of few points a circle raises it."""
    found = manifold_estimates()
    for name in ESTIMATORS:
        assert found[(("cube", 8),), 8, name].dimension < 7.7
        assert found[(("torus", 8),), 8, name].dimension > 8.2
        assert found[(("cube", 8),), 8, name].extrapolated > 7.2


@pytest.mark.parametrize(("name", "d", "width"), [("torus", 1, 2), ("swiss-roll", 2, 3)])
def test_manifolds_in_their_own_coordinates(name, d, width):
    x = percolaw.make_manifold(name, 1500, d, rng=4).X
    assert x.shape[1] == width
    report = estimate_dimension(x)
    assert abs(report.dimension - d) < 0.1
    assert holds(report.interval, d)
    assert not holds(report.interval, width)


# ---- critical clusters ----


def test_the_infinite_cluster_has_dimension_four():
    hits, held, threes = dict.fromkeys(ESTIMATORS, 0), 0, 0
    for seed in range(4):
        x = percolaw.make_cluster(2500, 32, labels="none", rng=seed).X
        report = estimate_dimension(x, seed)
        assert abs(report.dimension / 4 - 1) < 0.05
        held += holds(report.interval, 4.0)
        threes += holds(report.interval, 3.0)
        assert not holds(report.interval, 5.0)
        assert report.trust in ("steady", "rough")
        for name, e in report.estimates.items():
            hits[name] += holds(e.interval, 4.0)
        # Density varies at all scales, and the mean of 1/x is above 1/mean: known to read high.
        high = report.estimates["MLE, k = 20, mean of dimensions"]
        assert 1.04 < high.dimension / report.estimates["MLE, k = 20"].dimension < 1.13
    # One unlucky cloud in four is allowed the report, and 4 of 20 intervals of the other five:
    # the estimators of one cloud share its neighbours, so they miss together.
    assert held >= 3
    assert threes <= 1  # in one of these clouds the levels bend, and the interval says so
    assert sum(hits[name] for name in FRACTAL) >= 4 * len(FRACTAL) - 4, hits


def test_one_percent_of_a_finite_cluster():
    data = percolaw.make_cluster(2000, 32, size=200_000, labels="none", rng=2)
    x = np.unique(data.X, axis=0)
    report = estimate_dimension(x)
    assert 3.5 < report.dimension < 4.1
    assert all(3.4 < e.dimension < 4.5 for e in report.estimates.values())


def test_all_sites_read_the_steps_not_the_cluster():
    """Known bias: the nearest neighbours of every site are one step away, whatever the cluster."""
    x = percolaw.embed_tree(conditioned_clusters(5000, 200, rng=0), 100, steps="sphere")
    levels = decimate(x, 2)
    two = estimate(TwoNN(), levels)
    assert 4.8 < two.dimension < 5.7  # 4.9-5.3 in 100 dimensions
    assert two.dimension > 4 + 5 * two.standard_error
    assert two.level[-1] < 4.3  # a sixteenth of the sites already reads the cluster
    other = TwoNN().value(make_sample(x, 2, np.arange(0, 5000, 3)))
    plain = ratio_regression(neighbour_distances(x, 2)[::3])
    assert other == pytest.approx(plain, rel=1e-6)  # it is in the data, not in the code


def test_report_does_not_trust_a_cluster_of_all_sites():
    x = percolaw.embed_tree(conditioned_clusters(1500, 3, rng=0), 50, steps="gaussian")
    report = estimate_dimension(x)
    assert report.trust == "none"
    assert report.estimates["TwoNN"].dimension > 5
    assert "No single dimension" in report.sentence
    assert "steps of an embedding" in report.sentence
    # z = 200 is nearer to the truth, but still not one dimension.
    wide = percolaw.embed_tree(conditioned_clusters(1500, 200, rng=0), 50, steps="gaussian")
    assert estimate_dimension(wide).trust != "steady"


@functools.cache
def repeated_tori():
    """Estimates on 36 independent flat 2-tori of 600 points."""
    return [
        numbers(percolaw.make_manifold("torus", 600, 2, rng=100 + s).X.astype(float), s)
        for s in range(36)
    ]


# ---- intervals ----


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_standard_error_matches_the_scatter_over_datasets(name):
    all_of_it = [e[name] for e in repeated_tori()]
    scatter = np.std([e.dimension for e in all_of_it], ddof=1)  # known to 12%
    stated = math.sqrt(np.mean([e.standard_error**2 for e in all_of_it]))
    assert 1 / 1.5 < stated / scatter < 1.5
    # Controls: the scatter of the subsets themselves, and four times too many points claimed.
    assert not 1 / 1.5 < 2 * stated / scatter < 1.5
    assert not 1 / 1.5 < 0.5 * stated / scatter < 1.5


def test_intervals_cover_the_truth():
    for name in ESTIMATORS:
        inside = sum(holds(e[name].interval, 2.0) for e in repeated_tori())
        assert inside >= 30, (name, inside)  # 36 at 95%: below 30 with probability 2%, drift added
        # Control: 3 is out of reach but for TwoNN with errors from four subsets of 150 points.
        assert sum(holds(e[name].interval, 3.0) for e in repeated_tori()) <= 15 * (name == "TwoNN")
        assert not any(holds(e[name].interval, 4.0) for e in repeated_tori())


def test_too_few_points_give_infinite_errors_not_nan():
    x = np.random.default_rng(0).random((399, 2))
    for n in (30, 100, 250, 399):
        for estimator in (TwoNN(), MLE(5), CorrelationDimension(0.5, 8.0)):
            e = estimator.fit(x[:n]).estimate_
            assert e.standard_error == math.inf
            assert math.isfinite(e.dimension)
            assert math.isfinite(e.extrapolated)
            assert e.interval == (0.0, math.inf)
    assert math.isfinite(
        TwoNN().fit(np.random.default_rng(0).random((400, 2))).estimate_.standard_error
    )
    assert str(TwoNN().fit(x).estimate_).startswith("dimension ")


# ---- known faults ----


def test_estimates_equal_those_of_scikit_dimension():
    skdim = pytest.importorskip("skdim")
    x = percolaw.make_manifold("sphere", 1500, 4, rng=1).X.astype(float)
    sample = make_sample(x, 20)
    np.testing.assert_allclose(TwoNN().value(sample), skdim.id.TwoNN().fit(x).dimension_, rtol=1e-6)
    np.testing.assert_allclose(
        MLE(20).value(sample), skdim.id.MLE(K=20).fit(x).dimension_, rtol=1e-3
    )
