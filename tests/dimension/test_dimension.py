"""Intrinsic dimension: formulas by plain loops, exact laws, known manifolds, clusters, bad input."""

import functools
import json
import math

import networkx as nx
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from statistical import assert_close, assert_far, mean_and_error

import percolaw
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.dimension.correlation import CorrelationDimension
from percolaw.dimension.estimate import ESTIMATORS, estimate_dimension
from percolaw.dimension.mass_radius import fixed_mass_dimension, mass_radius
from percolaw.dimension.mle import MLE, local_dimension
from percolaw.dimension.sample import Sample, decimate, estimate, make_sample, summarize
from percolaw.dimension.two_nn import TwoNN
from percolaw.tree import Tree

RATIO = [name for name in ESTIMATORS if name != "correlation dimension"]
FRACTAL = [name for name in ESTIMATORS if "mean of dimensions" not in name]


# ---- oracles: plain loops from the papers, sharing nothing with the package ----


def slope_of(x, y):
    """Least squares slope with intercept."""
    mx, my = math.fsum(x) / len(x), math.fsum(y) / len(y)
    top = math.fsum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return top / math.fsum((a - mx) ** 2 for a in x)


def ratio_regression(distance, k=2, fraction=0.9):
    """Facco et al. 2017 for k = 2; Sharma and Kaplan 2022 for larger k."""
    mu = sorted(row[k - 1] / row[0] for row in distance)
    top = bottom = 0.0
    for i in range(int(fraction * len(mu))):
        empirical = (i + 1) / len(mu)
        height = -math.log(1 - empirical ** (1 / (k - 1)))
        top += math.log(mu[i]) * height
        bottom += math.log(mu[i]) ** 2
    return top / bottom


def likelihood(distance, k, average, numerator=None):
    """Levina and Bickel 2004, and the average of MacKay and Ghahramani 2005."""
    logs = [math.fsum(math.log(row[k - 1] / row[j]) for j in range(k - 1)) for row in distance]
    if average == "inverse":
        inverses = [total / (numerator or k - 1) for total in logs]
        return len(inverses) / math.fsum(inverses)
    return math.fsum((numerator or k - 2) / total for total in logs) / len(logs)


def all_distances(points):
    x = np.asarray(points, dtype=float).tolist()
    return [[math.dist(a, b) for b in x] for a in x]


def neighbour_distances(points, k):
    """By scikit-learn's tree."""
    search = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(np.asarray(points, float))
    return search.kneighbors()[0]


@functools.cache
def small_cloud(n=80, d=3):
    return np.random.default_rng(11).random((n, d)) @ np.diag([1.0, 2.0, 0.5])


def small_sample(k=12):
    x = small_cloud()
    distance = np.array([sorted(row)[1 : k + 1] for row in all_distances(x)])
    return Sample(x, np.arange(len(x)), distance)


def test_neighbours_of_a_sample_by_brute_force():
    found, expected = make_sample(small_cloud(), 12), small_sample()
    np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-12)
    some = make_sample(small_cloud(), 5, np.array([7, 3]))
    np.testing.assert_allclose(some.distance, expected.distance[[7, 3], :5], rtol=1e-12)


@pytest.mark.parametrize("fraction", [0.9, 0.5, 0.999])
@pytest.mark.parametrize("k", [2, 3, 5, 12])
def test_ratio_regression_formula(k, fraction):
    sample = small_sample()
    value = TwoNN(k, fraction).value(sample)
    assert value == pytest.approx(ratio_regression(sample.distance, k, fraction), rel=1e-12)
    # Controls: the exponent of another k, and an ordinary fit of all ratios.
    assert abs(value / ratio_regression(sample.distance, k + (k < 12) - (k == 12)) - 1) > 1e-3
    assert abs(value / ratio_regression(sample.distance, k, 0.7) - 1) > 1e-3


@pytest.mark.parametrize("average", ["inverse", "dimension"])
@pytest.mark.parametrize("k", [3, 5, 12])
def test_likelihood_formula(k, average):
    sample = small_sample()
    value = MLE(k, average).value(sample)
    assert value == pytest.approx(likelihood(sample.distance, k, average), rel=1e-12)
    other = "dimension" if average == "inverse" else "inverse"
    assert abs(value / likelihood(sample.distance, k, other) - 1) > 1e-3
    wrong = k - 2 if average == "inverse" else k - 1
    assert abs(value / likelihood(sample.distance, k, average, wrong) - 1) > 0.05


def test_likelihood_with_two_neighbours():
    sample = small_sample()
    expected = likelihood(sample.distance, 2, "inverse")
    assert MLE(2).value(sample) == pytest.approx(expected, rel=1e-12)


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


def brute_mass_radius(distances, radius):
    log_r = [math.log(r) for r in radius]
    mass = [[sum(1 for x in row if x <= r) for r in radius] for row in distances]
    n = len(mass)

    def slope(rows):
        return slope_of(
            log_r, [math.log(math.fsum(c) / len(rows)) for c in zip(*rows, strict=True)]
        )

    left_out = [slope(mass[:i] + mass[i + 1 :]) for i in range(n)]
    centre = math.fsum(left_out) / n
    return slope(mass), math.sqrt((n - 1) / n * math.fsum((s - centre) ** 2 for s in left_out))


def test_mass_radius_by_brute_force():
    distances = all_distances(small_cloud())[:9]
    found = mass_radius(iter(distances), 0.2, 1.1, n_radii=7)
    radius = [0.2 * 5.5 ** (i / 6) for i in range(7)]
    np.testing.assert_allclose(found.radius, radius, rtol=1e-12)
    # Radii of the package, so that a site on the edge cannot matter.
    dimension, error = brute_mass_radius(distances, found.radius.tolist())
    assert found.dimension == pytest.approx(dimension, rel=1e-9)
    assert found.standard_error == pytest.approx(error, rel=1e-9)
    assert found.mass[0] == pytest.approx(np.mean(np.array(distances) <= 0.2) * 80)
    one_by_one = [brute_mass_radius([row] * 2, found.radius.tolist())[0] for row in distances]
    assert abs(np.mean(one_by_one) - dimension) > 1e-3  # control: mean of slopes


def test_summary_formulas():
    rng = np.random.default_rng(0)
    values = [3.0 + rng.normal(0, 0.1, m) for m in (1, 2, 4, 8)]
    n_points = [800, 400, 200, 100]
    found = summarize(values, n_points)
    mean = [float(np.mean(v)) for v in values]
    assert found.dimension == mean[0]
    error = float(np.std(values[-1], ddof=1)) / math.sqrt(8)
    assert found.standard_error == pytest.approx(error)
    x = [(n / 800) ** (-1 / mean[0]) for n in n_points]
    fitted = np.polyfit(x, mean, 1)[1]
    assert found.extrapolated == pytest.approx(fitted)
    t = 2.364624251  # Student, 7 degrees of freedom, 97.5% (tables)
    centre = sum(x) / 4
    wide = error * math.sqrt(1 / 4 + centre**2 / sum((v - centre) ** 2 for v in x))
    drift = abs(mean[0] - mean[1])
    rows = np.stack([np.ones(4), x, np.square(x)], axis=1)
    row = np.linalg.solve(rows.T @ rows, rows.T)[0]
    bent = float(row @ mean)
    assert abs(bent - fitted) > error * float(np.sqrt(row @ row))  # more than its error
    slope = np.diff(mean) / np.diff(x)
    turned = min(1.0, max(0.0, 1.0 - slope[0] / slope[np.argmax(np.abs(slope))]))
    reach = turned * max(max(mean) - min(mean), abs(fitted - mean[0])) + t * error
    low = min(min(mean[0] - t * error, fitted - t * wide, bent) - drift, mean[0] - reach)
    high = max(max(mean[0] + t * error, fitted + t * wide, bent) + drift, mean[0] + reach)
    assert found.interval == pytest.approx((max(0.0, low), high), rel=1e-6)
    np.testing.assert_allclose(found.level, mean)


def test_extrapolation_recovers_an_edge_bias():
    n_points = [1600, 800, 400, 200, 100]
    level = [4.0 - 0.5 * (n / 1600) ** (-1 / 3.5) for n in n_points]  # 3.5 on all points
    found = summarize([np.full(2**i, v) for i, v in enumerate(level)], n_points)
    assert found.extrapolated == pytest.approx(4.0)
    assert found.dimension == pytest.approx(3.5)
    assert found.interval[1] >= 4.0


def test_levels_are_disjoint_and_cover_all_points():
    x = np.random.default_rng(0).random((1703, 2))
    levels = decimate(x, 3, 0)
    assert [len(level) for level in levels] == [1, 2, 4, 8, 16]
    for level in levels:
        assert {s.points.shape[0] for s in level} <= {1703 // len(level), 1703 // len(level) + 1}
        together = np.concatenate([s.points for s in level])
        np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(x, axis=0))
        for s in level:
            expected = neighbour_distances(s.points, 3)[s.query]
            np.testing.assert_allclose(s.distance, expected, rtol=1e-12)


# ---- exact law: r_j^D are the points of a Poisson process ----


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


# ---- reference manifolds ----

PRODUCTS = [
    (("swiss-roll", 2), ("sphere", 2)),
    (("torus", 2), ("cube", 3)),
    (("ball", 2), ("sphere", 2), ("cube", 1)),
    (("sphere", 3), ("torus", 2), ("cube", 2)),
]
SIMPLE = [
    ((kind, d),) for kind in ("cube", "ball", "sphere", "torus") for d in (1, 2, 3, 4, 5, 6, 8)
]


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


def test_truth_within_the_interval_on_reference_manifolds():
    found = manifold_estimates()
    known = {((("torus", 8),), 8, name) for name in ESTIMATORS if "k = 20" in name}
    missed = [key for key, e in found.items() if not holds(e.interval, key[1]) and key not in known]
    # Nominal 95% of 196 intervals would be 10 misses; six seeds of this configuration gave 0 to 6,
    # in groups, for the estimators of one cloud share its neighbours. The k = 20 readings of the
    # 8-torus are known to miss: its neighbours are a good part of each circle away.
    assert len(missed) <= 7, missed
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
    assert len(sampling_only) > 60  # control: without drift and extrapolation edges are missed
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


@pytest.mark.parametrize("steps", ["sphere", "gaussian"])
def test_all_sites_read_the_steps_not_the_cluster(steps):
    """Known bias: the nearest neighbours of every site are one step away, whatever the cluster."""
    x = percolaw.embed_tree(conditioned_clusters(5000, 200, rng=0), 100, steps=steps)
    levels = decimate(x, 2)
    two = estimate(TwoNN(), levels)
    assert 4.8 < two.dimension < 5.7  # 4.9-5.3 in 100 dimensions
    assert two.dimension > 4 + 5 * two.standard_error
    assert two.level[-1] < 4.3  # a sixteenth of the sites already reads the cluster
    other = TwoNN().value(make_sample(x, 2, np.arange(0, 5000, 3)))
    plain = ratio_regression(neighbour_distances(x, 2)[::3])
    assert other == pytest.approx(plain, rel=1e-6)  # it is in the data, not in the code


@pytest.mark.parametrize("steps", ["sphere", "gaussian"])
def test_report_does_not_trust_a_cluster_of_all_sites(steps):
    x = percolaw.embed_tree(conditioned_clusters(1500, 3, rng=0), 50, steps=steps)
    report = estimate_dimension(x)
    assert report.trust == "none"
    assert report.estimates["TwoNN"].dimension > 5
    assert "No single dimension" in report.sentence
    assert "steps of an embedding" in report.sentence
    # z = 200 is nearer to the truth, but still not one dimension.
    wide = percolaw.embed_tree(conditioned_clusters(1500, 200, rng=0), 50, steps=steps)
    assert estimate_dimension(wide).trust != "steady"


# ---- mass and radius ----


def cayley_mass(n, radius):
    """Exact mean number of sites within r of a site of a uniform Cayley tree of n sites.

    (h + 1) (n - 1)(n - 2)...(n - h) / n^h of them are at distance h (Meir and Moon 1970).
    """
    h = np.arange(int(max(radius)) + 1)
    at = (h + 1) * np.concatenate([[1.0], np.cumprod(1 - h[1:] / n)])
    return np.cumsum(at)[np.floor(radius).astype(int)]


@functools.cache
def cayley_distances(n=40_000, n_trees=40):
    tree = conditioned_clusters(np.full(n_trees, n), rng=5)
    rng = np.random.default_rng(6)
    rows = []
    for k in range(n_trees):
        centre = int(rng.integers(n))
        distance, nearest = tree.cluster(k).nearest([centre])
        assert (nearest == centre).all()
        rows.append(distance)
    return rows


def test_mass_radius_of_a_critical_tree():
    rows = cayley_distances()
    found = mass_radius(rows, 10, 40)
    exact = cayley_mass(40_000, found.radius)
    each = np.array([[np.sum(row <= r) for r in found.radius] for row in rows])
    for j in range(0, found.radius.size, 3):
        mean, error = mean_and_error(each[:, j])
        assert found.mass[j] == pytest.approx(mean)
        assert_close(mean, exact[j], error)
    truth = slope_of(np.log(found.radius).tolist(), np.log(exact).tolist())
    assert abs(truth - 2) < 0.15  # what window and size take from 2
    assert_close(found.dimension, truth, found.standard_error)
    assert_close(found.dimension, 2.0, found.standard_error, bias=abs(truth - 2))
    assert_far(found.dimension, 1.0, found.standard_error)
    assert_far(found.dimension, 3.0, found.standard_error)
    assert 0.01 < found.standard_error < 0.15
    # In the embedding distances are square roots: exactly twice the dimension.
    root = mass_radius((np.sqrt(row) for row in rows), math.sqrt(10), math.sqrt(40))
    assert root.dimension == pytest.approx(2 * found.dimension, rel=0.02)


def test_jackknife_error_matches_the_scatter():
    rows = cayley_distances()
    groups = [mass_radius(rows[i::10], 10, 40) for i in range(10)]
    scatter = np.std([g.dimension for g in groups], ddof=1)
    assert 0.5 < np.mean([g.standard_error for g in groups]) / scatter < 2


@pytest.mark.parametrize(
    ("graph", "centres", "volume", "dimension"),
    [
        (nx.path_graph(400), [150, 200, 250], lambda r: 2 * r + 1, 1),
        (
            nx.grid_2d_graph(90, 90),
            [(45, 45), (44, 47), (46, 43)],
            lambda r: 2 * r**2 + 2 * r + 1,
            2,
        ),
    ],
    ids=["path", "grid"],
)
def test_mass_radius_of_graphs(graph, centres, volume, dimension):
    rows = [
        list(nx.single_source_shortest_path_length(graph, centre).values()) for centre in centres
    ]
    found = mass_radius(rows, 5, 40)
    expected = [volume(math.floor(r)) for r in found.radius]
    np.testing.assert_array_equal(found.mass, expected)
    logs = [math.log(v) for v in expected]
    assert found.dimension == pytest.approx(slope_of(np.log(found.radius).tolist(), logs))
    assert abs(found.dimension - dimension) < 0.1
    assert found.standard_error < 1e-9  # all centres are alike


def test_dimension_at_fixed_mass():
    # On a sphere the chord r holds the share r^2/4 of the points; on a circle r = 2 sin(pi share/2).
    points = np.random.default_rng(0).standard_normal((6000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert fixed_mass_dimension(points, points[:300]) == pytest.approx(2.0, rel=0.02)
    moved = fixed_mass_dimension(1e3 + 7.0 * points, 1e3 + 7.0 * points[:300])
    assert moved == pytest.approx(fixed_mass_dimension(points, points[:300]), rel=1e-6)
    angle = 2.0 * np.pi * np.random.default_rng(1).random(6000)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    share = np.geomspace(0.01, 0.2, 8)
    exact = np.polyfit(np.log(2.0 * np.sin(0.5 * np.pi * share)), np.log(share), 1)[0]
    assert fixed_mass_dimension(points, points[:300]) == pytest.approx(exact, rel=0.02)


def test_mass_radius_of_a_path_as_a_tree():
    tree = Tree.from_parent(np.arange(-1, 999))
    found = mass_radius((tree.nearest([c])[0] for c in range(300, 700, 50)), 5, 100)
    assert abs(found.dimension - 1) < 0.1
    assert found.standard_error < 1e-9


# ---- invariance ----


@functools.cache
def plain_points():
    x = np.random.default_rng(3).random((600, 3))
    return np.concatenate([x, 0.2 * x[:, :1] ** 2, 0.1 * np.sin(3 * x[:, 1:2])], axis=1)


def numbers(points, rng=0):
    levels = decimate(points, 20, rng)
    return {name: estimate(e, levels) for name, e in ESTIMATORS.items()}


@functools.cache
def plain_numbers():
    return numbers(plain_points())


def turned(x):
    return x @ np.linalg.qr(np.random.default_rng(8).standard_normal((5, 5)))[0]


def padded(x):
    return np.concatenate([x[:, :2], np.full((len(x), 4), 7.25), x[:, 2:]], axis=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: 1e-6 * x,
        lambda x: 1e6 * x,
        turned,
        lambda x: x + 1e3,
        padded,
        lambda x: x[:, ::-1],
        np.asfortranarray,
    ],
    ids=["small", "large", "rotation", "translation", "padding", "columns", "fortran"],
)
def test_invariance(change):
    after = numbers(change(plain_points()))
    for name, before in plain_numbers().items():
        e = after[name]
        for field in ("dimension", "standard_error", "extrapolated", "interval", "level"):
            # The ends of the correlation window are pairs: see the known faults.
            exact = name in RATIO or field == "dimension"
            tolerance = 1e-6 if exact else 0.1
            np.testing.assert_allclose(getattr(e, field), getattr(before, field), rtol=tolerance)
        np.testing.assert_array_equal(e.n_points, before.n_points)


def test_invariance_has_something_to_find():
    x = plain_points() * [1, 1, 0.01, 1, 1]  # control: one axis squeezed
    for name, before in plain_numbers().items():
        assert before.dimension - numbers(x)[name].dimension > 0.2
    noisy = np.concatenate([plain_points(), np.random.default_rng(0).random((600, 3))], axis=1)
    assert numbers(noisy)["TwoNN"].dimension > plain_numbers()["TwoNN"].dimension + 1


def test_order_of_rows_changes_only_within_errors():
    order = np.random.default_rng(1).permutation(600)
    after = numbers(plain_points()[order])
    for name, before in plain_numbers().items():
        if name in RATIO:
            assert after[name].dimension == pytest.approx(before.dimension, rel=1e-12)
        assert_close(after[name].dimension, before.dimension, before.standard_error)
        assert after[name].standard_error < 5 * before.standard_error


def test_seeds():
    x = plain_points()
    first, again, other = (estimate_dimension(x, s) for s in (0, 0, 1))
    assert first.as_dict() == again.as_dict()
    assert first.as_dict() != other.as_dict()
    for name, e in first.estimates.items():
        o = other.estimates[name]
        if name in RATIO:  # all points have their neighbours searched: nothing is random
            assert o.dimension == pytest.approx(e.dimension, rel=1e-12)
        assert_close(o.dimension, e.dimension, math.hypot(e.standard_error, o.standard_error))
    few, more = (estimate_dimension(x, s, max_queries=200) for s in (0, 1))
    for name, e in few.estimates.items():
        o = more.estimates[name]
        assert o.dimension != e.dimension
        assert_close(o.dimension, e.dimension, math.hypot(e.standard_error, o.standard_error))


def test_global_random_state_is_neither_used_nor_changed():
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = estimate_dimension(plain_points()).as_dict()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    np.random.seed(6)  # noqa: NPY002
    assert estimate_dimension(plain_points()).as_dict() == first


def test_points_are_not_written_to():
    x = plain_points().copy()
    x.flags.writeable = False
    estimate_dimension(x)
    np.testing.assert_array_equal(x, plain_points())


def test_dtypes_agree():
    x = np.round(plain_points() * 2**12)
    found = [TwoNN().fit(x.astype(t)).dimension for t in (np.float64, np.float32, np.int64)]
    assert found[1:] == pytest.approx([found[0]] * 2, rel=1e-12)


# ---- intervals ----


@functools.cache
def repeated_tori():
    """Estimates on 36 independent flat 2-tori of 600 points."""
    return [
        numbers(percolaw.make_manifold("torus", 600, 2, rng=100 + s).X.astype(float), s)
        for s in range(36)
    ]


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
            e = estimator.fit(x[:n])
            assert e.standard_error == math.inf
            assert math.isfinite(e.dimension)
            assert math.isfinite(e.extrapolated)
            assert e.interval == (0.0, math.inf)
    assert math.isfinite(TwoNN().fit(np.random.default_rng(0).random((400, 2))).standard_error)
    assert str(TwoNN().fit(x)).startswith("dimension ")


# ---- local dimension ----


def test_local_dimension_of_a_line_and_a_ball():
    rng = np.random.default_rng(2)
    line = np.zeros((700, 3))
    line[:, 0] = rng.random(700)
    ball = percolaw.make_manifold("ball", 1500, 3, rng=3).X + np.array([100.0, 0, 0])
    local = local_dimension(np.concatenate([line, ball]))
    assert abs(np.median(local[:700]) - 1) < 0.06
    assert 2.6 < np.median(local[700:]) < 3.15  # the surface lowers it
    inner = np.linalg.norm(ball - [100.0, 0, 0], axis=1) < 0.6
    assert abs(np.median(local[700:][inner]) - 3) < 0.15
    part = local_dimension(np.concatenate([line, ball]), query=np.array([900, 3, 650]))
    np.testing.assert_allclose(part, local[[900, 3, 650]], rtol=1e-12)
    assert abs(np.median(local) - 1) > 0.5  # control: the whole is neither


@pytest.mark.parametrize("d", [1, 3])
def test_local_dimension_law_at_the_centre_of_a_ball(d):
    """Inside a ball around the query the law of ratios is exact: mean D, deviation D/sqrt(k - 3)."""
    rng = np.random.default_rng(d)
    k, values = 20, []
    for _ in range(300):
        x = rng.standard_normal((60, d))
        x *= rng.random((60, 1)) ** (1 / d) / np.linalg.norm(x, axis=1, keepdims=True)
        x[0] = 0
        values.append(local_dimension(x, k, np.array([0]))[0])
    mean, error = mean_and_error(values)
    assert_close(mean, d, error)
    assert_far(mean, d * (k - 1) / (k - 2), error / 2)  # halved: 5% is 4 errors of 300 values
    assert np.std(values, ddof=1) == pytest.approx(d / math.sqrt(k - 3), rel=0.2)


# ---- report ----


def test_report_tables_are_the_estimators():
    x = plain_points()
    report = estimate_dimension(x)
    distance = neighbour_distances(x, 50).tolist()
    ks = [2, 3, 5, 10, 20, 50]  # up to n/8
    assert report.by_neighbors["k"] == ks
    for i, k in enumerate(ks):
        ratio, one = report.by_neighbors["ratio"][i], report.by_neighbors["likelihood"][i]
        assert ratio == pytest.approx(ratio_regression(distance, k), rel=1e-9)
        assert one == pytest.approx(likelihood(distance, k, "inverse"), rel=1e-9)
        assert ratio == pytest.approx(TwoNN(k).fit(x).dimension, rel=1e-12)
        assert one == pytest.approx(MLE(k).fit(x).dimension, rel=1e-12)
    local = local_dimension(x, 50)
    assert report.local == pytest.approx(tuple(np.quantile(local, [0.05, 0.25, 0.5, 0.75, 0.95])))
    assert (report.n_points, report.embedding_dimension, report.n_constant) == (600, 5, 0)
    assert estimate_dimension(padded(x)).n_constant == 4


def test_report_summarises_its_estimates():
    report = estimate_dimension(plain_points())
    each = list(report.estimates.values())
    assert list(report.estimates) == list(ESTIMATORS)
    assert report.dimension == np.median([e.dimension for e in each])
    assert report.interval[0] == np.median([e.interval[0] for e in each])
    assert report.interval[1] == np.median([e.interval[1] for e in each])
    drift = np.median([abs(e.level[-1] / e.dimension - 1) for e in each])
    assert report.drift == pytest.approx(drift)
    finest = [e.dimension for e in each]
    assert report.spread == pytest.approx((max(finest) - min(finest)) / report.dimension)


def test_report_as_plain_values():
    report = estimate_dimension(plain_points())
    plain = report.as_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["dimension"] == report.dimension
    assert plain["sentence"] == report.sentence
    for name, e in report.estimates.items():
        assert plain["estimates"][name]["level"] == list(e.level)
        assert plain["estimates"][name]["interval"] == list(e.interval)


def noisy_square(seed):
    x = percolaw.make_manifold("cube", 1200, 2, dim=10, rng=seed).X
    return x + 0.02 * np.random.default_rng(seed).standard_normal(x.shape)


@pytest.mark.parametrize("seed", [0, 1])
def test_trust(seed):
    steady = estimate_dimension(percolaw.make_manifold("torus", 1600, 2, dim=8, rng=seed).X)
    assert steady.trust == "steady"
    assert max(steady.drift, steady.spread / 2) <= 0.06
    assert steady.sentence.startswith("One dimension fits all scales tested (100 to 1600 points)")
    assert "lower bound" not in steady.sentence
    cloud = np.random.default_rng(seed).standard_normal((1000, 20))
    rough = estimate_dimension(cloud)
    assert rough.trust == "rough"
    assert 0.06 < max(rough.drift, rough.spread / 2) <= 0.25
    assert "not settled" in rough.sentence
    assert "lower bound" in rough.sentence  # 15 read of 20, beyond 2 log10(1000) = 6
    assert "= 6.0" in rough.sentence
    assert rough.dimension < 18
    none = estimate_dimension(noisy_square(seed))
    assert none.trust == "none"
    assert max(none.drift, none.spread / 2) > 0.25
    assert "No single dimension" in none.sentence
    assert "quoting a number" in none.sentence


def test_sentences_hold_the_numbers():
    r = estimate_dimension(percolaw.make_manifold("torus", 1600, 2, dim=8, rng=0).X)
    for number in (r.dimension, *r.interval):
        assert f"{number:.2f}" in r.sentence
    r = estimate_dimension(np.random.default_rng(0).standard_normal((1000, 20)))
    coarse = np.median([e.level[-1] for e in r.estimates.values()])
    for text in (
        f"{r.dimension:.2f}",
        f"{coarse:.2f}",
        "1000",
        "125",
        *map("{:.1f}".format, r.interval),
    ):
        assert text in r.sentence
    r = estimate_dimension(noisy_square(0))
    finest = [e.dimension for e in r.estimates.values()]
    coarsest = [e.level[-1] for e in r.estimates.values()]
    for number in (min(finest), max(finest), min(coarsest), max(coarsest)):
        assert f"{number:.1f}" in r.sentence
    assert "1200" in r.sentence
    assert "150" in r.sentence


def test_report_on_the_fewest_points_uses_what_it_can():
    report = estimate_dimension(np.random.default_rng(0).random((100, 2)))
    assert report.by_neighbors["k"] == [2, 3, 5, 10]
    assert "MLE, k = 20" not in report.estimates
    assert math.isfinite(report.dimension)
    assert report.interval == (0.0, math.inf)


# ---- bad input ----

FITS = {
    "TwoNN": TwoNN().fit,
    "MLE": MLE(5).fit,
    "correlation": CorrelationDimension().fit,
    "local": local_dimension,
    "report": estimate_dimension,
}


def repeated(x):
    return np.concatenate([x, x[:7]])


def holed(x):
    x = x.copy()
    x[[4, 9, 11], 1] = [np.nan, np.inf, -np.inf]
    return x


BAD = {
    "duplicates": (repeated, ValueError, r"14 of 607 points coincide.*np\.unique"),
    "all equal": (lambda x: 0 * x + 3, ValueError, "all 600 points coincide"),
    "not finite": (holed, ValueError, r"3 of 600 points hold NaN or infinity.*Remove them"),
    "1-D": (lambda x: x[:, 0], ValueError, r"shape \(n, d\).*got \(600,\).*X\.reshape"),
    "3-D": (lambda x: x.reshape(600, 5, 1), ValueError, r"got \(600, 5, 1\).*X\.reshape"),
    "no columns": (lambda x: x[:, :0], ValueError, r"shape \(n, d\).*got \(600, 0\)"),
    "strings": (lambda x: x.astype(str), TypeError, "must be numeric; got dtype <U"),
    "complex": (lambda x: x + 1j, TypeError, "must be numeric; got dtype complex128"),
    "objects": (lambda x: x.astype(object), TypeError, "must be numeric; got dtype object"),
}


@pytest.mark.parametrize("fit", sorted(FITS))
@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_points(case, fit):
    change, error, message = BAD[case]
    with pytest.raises(error, match=message):
        FITS[fit](change(plain_points()))


@pytest.mark.parametrize("fit", sorted(FITS))
def test_good_points_pass_the_same_calls(fit):
    FITS[fit](plain_points())


def test_duplicate_messages_count_every_copy():
    x = plain_points()
    with pytest.raises(ValueError, match="90 of 90 points coincide"):
        TwoNN().fit(np.repeat(x[:30], 3, axis=0))
    with pytest.raises(ValueError, match="600 of 600 points coincide"):
        MLE(5).fit(np.repeat(x[:20], 30, axis=0))  # more copies than neighbours
    remedied = np.unique(repeated(x), axis=0)
    assert TwoNN().fit(remedied).dimension == pytest.approx(TwoNN().fit(x).dimension, rel=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: TwoNN().fit(x[:3]), "2 neighbours need at least 4 points; got 3. Use fewer"),
        (lambda x: TwoNN(20).fit(x[:21]), "20 neighbours need at least 22 points; got 21"),
        (lambda x: MLE(20).fit(x[:21]), "20 neighbours need at least 22 points; got 21"),
        (lambda x: local_dimension(x[:51]), "50 neighbours need at least 52 points; got 51"),
        (lambda x: TwoNN().fit(x[:0]), "at least 4 points; got 0"),
        (lambda x: estimate_dimension(x[:99]), r"points must be in \[100, inf\]; got 99"),
        (lambda x: estimate_dimension(x[:5]), r"points must be in \[100, inf\]; got 5"),
        (lambda x: estimate_dimension(x, max_queries=99), r"max_queries must be in \[100"),
        (lambda x: CorrelationDimension().fit(x[:40]), "too many for 40 points; lower `highest`"),
    ],
)
def test_too_few_points(call, message):
    with pytest.raises(ValueError, match=message):
        call(plain_points())


def test_fewest_points_are_accepted():
    x = plain_points()
    for estimator, n in ((TwoNN(), 4), (TwoNN(20), 22), (MLE(20), 22), (MLE(2), 4)):
        assert math.isfinite(estimator.fit(x[:n]).dimension)
    assert math.isfinite(CorrelationDimension().fit(x[:41]).dimension)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: TwoNN(1), ValueError, r"k must be in \[2, inf\]; got 1"),
        (lambda: TwoNN(2.5), ValueError, "k must be an integer; got 2.5"),
        (lambda: TwoNN("2"), TypeError, "k must be an integer"),
        (lambda: TwoNN(True), TypeError, "k must be an integer"),
        (lambda: TwoNN(2, 0.0), ValueError, r"fraction .*\[0.05, 0.999\]; got 0.0"),
        (lambda: TwoNN(2, 1.0), ValueError, r"fraction .*\[0.05, 0.999\]; got 1.0"),
        (lambda: TwoNN(2, -0.5), ValueError, "fraction"),
        (lambda: TwoNN(2, math.nan), ValueError, "fraction must be finite"),
        (lambda: TwoNN(2, "most"), TypeError, "fraction must be a number; got 'most'"),
        (lambda: MLE(1), ValueError, r"k must be in \[2, inf\]; got 1"),
        (lambda: MLE(2, "dimension"), ValueError, r"k must be in \[3, inf\]; got 2"),
        (lambda: MLE(5, "inverses"), ValueError, "unknown average.*Did you mean 'inverse'"),
        (lambda: local_dimension(plain_points(), 3), ValueError, r"k must be in \[4, inf\]; got 3"),
        (lambda: CorrelationDimension(5.0, 2.0), ValueError, r"highest .*\[20, inf\]; got 2.0"),
        (lambda: CorrelationDimension(0.0), ValueError, "lowest must be"),
        (lambda: CorrelationDimension(n_radii=2), ValueError, r"n_radii must be in \[3"),
        (lambda: CorrelationDimension(max_centres=5), ValueError, r"max_centres must be in \[10"),
    ],
)
def test_bad_parameters(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("highest", [300.0, 590.0])
def test_correlation_window_beyond_half_of_the_points(highest):
    with pytest.raises(
        ValueError, match=f"{highest:g} neighbours are too many for 600 points; lower"
    ):
        CorrelationDimension(0.5, highest).fit(plain_points())


@pytest.mark.parametrize(
    ("distances", "low", "high", "message"),
    [
        ([[0, 1, 2]], 1, 4, "at least 2 centres; got 1"),
        ([], 1, 4, "at least 2 centres; got 0"),
        ([[0, 1, 2], [0, -1, 2]], 1, 4, "not negative"),
        ([[0, 1, 2], [0, math.nan, 2]], 1, 4, "not negative"),
        ([np.zeros((2, 3))] * 2, 1, 4, r"1-D array.*got \(2, 3\)"),
        ([3.0, 4.0], 1, 4, r"1-D array.*got \(\)"),
        ([[5, 6], [7, 8]], 1, 4, "no site lies within 1 of a centre; raise `low`"),
        ([[0, 1], [0, 1]], 4, 1, r"high must be .*\[8, inf\]; got 1"),
        ([[0, 1], [0, 1]], 0, 4, "low must be"),
        ([[0, 1], [0, 1]], math.nan, 4, "low must be finite"),
    ],
)
def test_bad_distances(distances, low, high, message):
    with pytest.raises(ValueError, match=message):
        mass_radius(distances, low, high)


def test_sites_of_other_clusters_do_not_count():
    rows = [[0, 1, 1, 2, math.inf, math.inf]] * 2
    assert mass_radius(rows, 1, 4).mass[-1] == 4


# ---- known faults ----


@pytest.mark.parametrize("far", [1e10, 1e12])
def test_correlation_with_a_far_point(far):
    x = np.concatenate([plain_points(), [[far, 0, 0, 0, 0]]])
    assert TwoNN().fit(x).dimension == pytest.approx(plain_numbers()["TwoNN"].dimension, rel=0.02)
    found = CorrelationDimension().fit(x).dimension
    assert found == pytest.approx(plain_numbers()["correlation dimension"].dimension, rel=0.02)


@pytest.mark.parametrize("scale", [1e-162, 1e160])
@pytest.mark.filterwarnings("ignore")
def test_correlation_at_extreme_scales(scale):
    x = plain_points() * scale
    assert TwoNN().fit(x).dimension == pytest.approx(plain_numbers()["TwoNN"].dimension, rel=1e-6)
    found = CorrelationDimension().fit(x).dimension
    assert found == pytest.approx(plain_numbers()["correlation dimension"].dimension, rel=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_correlation_window_that_starts_at_the_nearest_pair():
    for seed in range(60):
        sample = make_sample(np.random.default_rng(seed).random((60, 2)), 1)
        assert math.isfinite(CorrelationDimension(0.005, 1.0).value(sample)), seed


def test_correlation_with_a_wide_window():
    x = np.random.default_rng(0).random((1600, 3))
    assert 2 < CorrelationDimension(0.5, 60.0).fit(x).dimension < 3.2


@pytest.mark.parametrize(
    "estimator", [TwoNN(5.0), MLE(5.0), CorrelationDimension(n_radii=12.0, max_centres=600.0)]
)
def test_integral_floats_count_as_integers(estimator):
    assert math.isfinite(estimator.fit(plain_points()).dimension)


def test_summary_of_huge_estimates():
    found = summarize([np.full(m, 1e17) for m in (1, 2, 4)], [800, 400, 200])
    assert found.dimension == 1e17


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_correlation_levels_do_not_depend_on_the_unit(scale):
    levels = decimate(scale * plain_points(), 20, 0)
    found = estimate(CorrelationDimension(), levels)
    before = plain_numbers()["correlation dimension"]
    np.testing.assert_allclose(found.level, before.level, rtol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_equal_distances_make_no_nan():
    with pytest.raises(ValueError, match="equally far"):  # a simplex: every pair at sqrt(2)
        estimate_dimension(np.eye(300))


def test_one_scale_is_not_called_steady():
    report = estimate_dimension(np.random.default_rng(0).random((150, 2)))
    assert report.estimates["TwoNN"].level.size == 1
    assert report.trust != "steady"


@pytest.mark.parametrize(
    "query", [np.array([-1, 0]), np.arange(600) < 3, [0, 1]], ids=["negative", "mask", "list"]
)
def test_queries_of_local_dimension(query):
    """Either the rows that NumPy would take, or a message that names `query`."""
    x = plain_points()
    try:
        found = local_dimension(x, 10, query)
    except (ValueError, TypeError, IndexError) as error:
        if "query" not in str(error):
            raise
    else:
        np.testing.assert_allclose(found, local_dimension(x, 10)[np.asarray(query)])


def test_estimates_equal_those_of_scikit_dimension():
    skdim = pytest.importorskip("skdim")
    x = percolaw.make_manifold("sphere", 1500, 4, rng=1).X.astype(float)
    sample = make_sample(x, 20)
    np.testing.assert_allclose(TwoNN().value(sample), skdim.id.TwoNN().fit(x).dimension_, rtol=1e-6)
    np.testing.assert_allclose(
        MLE(20).value(sample), skdim.id.MLE(K=20).fit(x).dimension_, rtol=1e-3
    )
