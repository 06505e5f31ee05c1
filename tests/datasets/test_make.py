"""Clusters and distributions: what they promise about law, order and labels."""

import math

import numpy as np
import pytest
from scipy.stats import chi2, kstest
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw import checks
from percolaw.clusters.brownian import sample_large_cluster
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.ensembles import size_law, yule_process
from percolaw.datasets.centres import SAFE_SPACING, ClusterCentres, cluster_extent
from percolaw.datasets.make import make_cluster, make_distribution
from percolaw.embedding.skeleton import embed_sampled
from percolaw.errors import ResourceError
from percolaw.learners.neighbors import nearest_neighbors
from percolaw.rng import Streams

# ---- one cluster


@pytest.mark.parametrize("size", [math.inf, 90, 10**6, 10**15])
def test_cluster_is_nested_and_its_points_those_of_the_sampled_cluster(size):
    data = make_cluster(400, 6, 3, size=size)
    assert (len(data), data.dim, data.X.dtype) == (400, 6, np.float32)
    assert data.cluster.tolist() == [0] * 400
    assert data.cluster_size.tolist() == [0 if math.isinf(size) else size]
    np.testing.assert_array_equal(data.X, embed_sampled(sample_large_cluster(400, size, 3), 6, 3))
    for m in (1, 2, 57):
        part = make_cluster(m, 6, 3, size=size)
        np.testing.assert_array_equal(part.X, data.X[:m])
    # Labels agree up to standardisation.
    slope, shift = np.polyfit(part.y, data.y[:57], 1)
    np.testing.assert_allclose(slope * part.y + shift, data.y[:57], atol=1e-10)
    assert not np.array_equal(make_cluster(57, 6, 4, size=size).X, part.X)


@pytest.mark.parametrize("size", [math.inf, 500])
def test_labels_are_linear_and_standardised(size):
    data = make_cluster(3000, 5, 1, size=size)
    assert abs(data.y.mean()) < 1e-12
    assert data.y.std() == pytest.approx(1, rel=1e-12)
    design = np.column_stack([data.X.astype(float), np.ones(3000)])
    weights, residual, *_ = np.linalg.lstsq(design, data.y, rcond=None)
    assert float(residual[0]) < 1e-15 * 3000
    assert np.abs(weights[:5]).min() > 0
    plain = make_cluster(3000, 5, 1, size=size, labels="none")
    assert not plain.y.any()
    np.testing.assert_array_equal(plain.X, data.X)
    # Control: labels that are not linear in X leave a residual.
    assert np.linalg.lstsq(design, data.y**2, rcond=None)[1][0] > 1
    assert (data.truth["target"], plain.truth["target"]) == ("linear", "none")


@pytest.mark.parametrize("steps", ["gaussian", "sphere", "lattice"])
@pytest.mark.parametrize("z", [3, 6, 200, math.inf])
def test_cluster_of_finite_coordination_number(z, steps):
    size = 300
    gaps, hops = [], []
    for seed in range(40):
        data = make_cluster(20, 7, seed, size=size, coordination_number=z, steps=steps)
        assert data.X.shape == (20, 7)
        if steps == "lattice":
            np.testing.assert_array_equal(data.X, np.rint(data.X))
        x = data.X.astype(float)
        gaps.append(((x[::2] - x[1::2]) ** 2).sum(axis=1).mean())
        tree = conditioned_clusters(size, z, 1000 + seed)
        sites = np.random.default_rng(seed).integers(0, size, (2, 10))
        hops.append(tree.distance_between(*sites).mean())
    (gap, error), (hop, other) = mean_and_error(gaps), mean_and_error(hops)
    # Without reversal a lattice path is longer: by (1 + r)/(1 - r), r = 1/13, when it is long.
    factor = 7 / 6 if steps == "lattice" else 1.0
    assert_close(gap, factor * hop, math.hypot(error, factor * other), bias=0.2 * (factor > 1))
    assert_far(gap, 2 * factor * hop, math.hypot(error, factor * other))


def test_every_site_of_a_finite_cluster_is_as_likely():
    data = make_cluster(4000, 7, 3, size=40, coordination_number=6, labels="none")
    counts = np.unique(data.X, axis=0, return_counts=True)[1]
    assert counts.size == 40
    assert chi_squared_p(counts, np.full(40, 1 / 40)) > P_FLOOR


def test_what_make_cluster_refuses(monkeypatch):
    with pytest.raises(ValueError, match="need a finite size"):
        make_cluster(10, 3, coordination_number=6)
    with pytest.raises(ValueError, match="need a finite size"):
        make_cluster(10, 3, steps="sphere")
    with pytest.raises(ValueError, match="coordination_number must be an integer >= 3"):
        make_cluster(10, 3, size=100, coordination_number=2)
    with pytest.raises(ValueError, match="size must be in"):
        make_cluster(10, 3, size=0)
    with pytest.raises(ValueError, match="n_samples must be in"):
        make_cluster(0)
    with pytest.raises(ValueError, match="dim must be in"):
        make_cluster(10, 0)
    with pytest.raises(ValueError, match="unknown steps"):
        make_cluster(10, 3, size=100, steps="levy")
    monkeypatch.setattr(checks, "available_memory", lambda: 10 * 2**30)
    with pytest.raises(
        ResourceError, match=r"needs 41 GiB of memory and 10 GiB are available"
    ) as e:
        make_cluster(10**8, 100)
    assert "percolaw generate" in str(e.value)
    with pytest.raises(ResourceError, match=r"GiB of memory"):
        make_cluster(10, 3, size=10**11, coordination_number=3)
    with pytest.raises(ResourceError, match=r"GiB of memory"):
        make_distribution(10**8, 100)


def test_unknown_labels_are_refused():
    with pytest.raises(ValueError, match="labels"):
        make_cluster(10, 3, labels="walk")


WINDOW = {"min_size": 300, "max_size": 100_000}
GRID = {"centres": "grid", "spacing": SAFE_SPACING}


def grid_centres(n_clusters, dim, distance):
    grid = ClusterCentres("grid", n_clusters, dim, distance, Streams(0))
    return grid.of(np.arange(n_clusters)).astype(np.float32)


# ---- many clusters


@pytest.mark.parametrize("ensemble", ["site", "cluster"])
def test_distribution_sizes_and_frequencies(ensemble):
    data = make_distribution(20_000, 2, 1, ensemble=ensemble, n_clusters=100, **WINDOW)
    sizes = data.cluster_size
    assert sizes.shape == (100,)
    assert sizes.min() >= 300
    assert sizes.max() <= 100_000
    counts = np.bincount(data.cluster, minlength=100)
    assert chi_squared_p(counts, sizes / sizes.sum()) > P_FLOOR
    # Control: each cluster equally often, and with probability of another power.
    assert chi_squared_p(counts, np.full(100, 0.01)) < P_FLOOR
    assert chi_squared_p(counts, sizes**0.8 / (sizes**0.8).sum()) < P_FLOOR
    np.testing.assert_array_equal(data.size, sizes[data.cluster])
    order = np.argsort(-sizes, kind="stable")
    np.testing.assert_array_equal(order[data.rank - 1], data.cluster)


def test_distribution_size_law():
    for ensemble, other in (("site", "cluster"), ("cluster", "site")):
        sizes = make_distribution(
            1, 2, 1, ensemble=ensemble, n_clusters=5000, **WINDOW
        ).cluster_size
        edges = np.unique(np.geomspace(300, 100_001, 12).astype(int))
        counts = np.histogram(sizes, edges)[0]

        def share(name, edges=edges):
            mass = size_law(name).probability(np.arange(300, 100_001))
            binned = np.add.reduceat(mass, edges[:-1] - 300)
            return binned / binned.sum()

        assert chi_squared_p(counts, share(ensemble)) > P_FLOOR
        assert chi_squared_p(counts, share(other)) < P_FLOOR


@pytest.mark.parametrize("ensemble", ["site", "cluster"])
@pytest.mark.parametrize("labels", ["walk", "linear", "none"])
def test_distribution_is_nested(ensemble, labels):
    options = {"ensemble": ensemble, "n_clusters": 20, "labels": labels, **WINDOW}
    whole = make_distribution(700, 4, 5, **options)
    part = make_distribution(90, 4, 5, **options)
    np.testing.assert_array_equal(part.X, whole.X[:90])
    np.testing.assert_array_equal(part.cluster, whole.cluster[:90])
    np.testing.assert_array_equal(part.cluster_size, whole.cluster_size)
    np.testing.assert_allclose(part.y, whole.y[:90], rtol=0, atol=1e-6)
    if labels != "none":
        part, whole = (make_distribution(n, 4, 5, **options, standardize="all") for n in (90, 700))
        slope, shift = np.polyfit(part.y, whole.y[:90], 1)
        np.testing.assert_allclose(slope * part.y + shift, whole.y[:90], atol=1e-6)
        assert whole.y.std() == pytest.approx(1, rel=1e-9)
    assert not np.array_equal(make_distribution(90, 4, 6, **options).X, part.X)


def touching(points, cluster):
    """Least distance between clusters over the largest diameter of one."""
    x = points.astype(np.float64)
    square = (x**2).sum(1)[:, None] + (x**2).sum(1)[None] - 2 * x @ x.T
    same = cluster[:, None] == cluster[None]
    return math.sqrt(square[~same].min() / square[same].max())


@pytest.mark.parametrize(("ensemble", "dim"), [("site", 2), ("cluster", 8), ("yule", 3)])
def test_clusters_do_not_touch(ensemble, dim):
    options = {} if ensemble == "yule" else {"n_clusters": 40, **WINDOW}
    data = make_distribution(1500, dim, 2, ensemble=ensemble, **options, **GRID)
    assert touching(data.X, data.cluster) > 1
    counts = np.bincount(data.cluster, minlength=data.cluster_size.size)
    _, index = nearest_neighbors(data.X, data.X, 2)
    lone = counts[data.cluster] == 1
    same = data.cluster[index[:, 1]] == data.cluster
    assert same[~lone].all()
    assert not same[lone].any()
    # Control: the same clusters with centres 16 times closer.
    distance = SAFE_SPACING * cluster_extent(data.cluster_size.max())
    centres = grid_centres(data.cluster_size.size, dim, distance)
    closer = data.X - centres[data.cluster] * np.float32(15 / 16)
    assert touching(closer, data.cluster) < 1


def walks(ensemble, **options):
    """Differences of label and of position between points that follow in a cluster."""
    options = {"ensemble": ensemble, "standardize": "all", **options}
    data = make_distribution(6000, 48, 7, labels="walk", **options)
    order = np.argsort(data.cluster, kind="stable")
    first, second = order[:-1:2], order[1::2]
    same = data.cluster[first] == data.cluster[second]
    first, second = first[same], second[same]
    gap = data.X[first].astype(float) - data.X[second]
    return data, first, data.y[first] - data.y[second], gap


@pytest.mark.parametrize(
    ("ensemble", "options"),
    [("cluster", {"n_clusters": 1500, "min_size": 300, "max_size": 10**6}), ("yule", {})],
)
def test_walk_labels_follow_the_tree(ensemble, options):
    data, _, change, gap = walks(ensemble, **options)
    assert data.y.mean() == pytest.approx(0, abs=1e-9)
    assert data.y.std() == pytest.approx(1)
    square = (gap**2).sum(axis=1)
    moving = square > 0
    assert moving.sum() > 1500
    ratio = change[moving] ** 2 / square[moving]
    near = square[moving] < np.median(square[moving])
    (low, low_error), (high, high_error) = mean_and_error(ratio[near]), mean_and_error(ratio[~near])
    assert_close(low, high, math.hypot(low_error, high_error))
    # Controls: proportional to the distance, or to its fourth power.
    for power in (0.5, 2):
        if ensemble == "yule" and power == 0.5:
            continue  # too few scales there
        wrong = change[moving] ** 2 / square[moving] ** power
        (a, ea), (b, eb) = mean_and_error(wrong[near]), mean_and_error(wrong[~near])
        assert_far(a, b, math.hypot(ea, eb))
    # The walk is a column of its own: it is not linear in X, as "linear" labels are.
    unit = change[moving] / np.sqrt(square[moving] * ratio.mean())
    direction = gap[moving] / np.sqrt(square[moving])[:, None]
    z = (unit[:, None] * direction).mean(axis=0) * math.sqrt(48 * moving.sum())
    assert np.abs(z).max() < 5.5
    options = {"ensemble": ensemble, "standardize": "all", **options}
    linear = make_distribution(6000, 48, 7, labels="linear", **options)
    # One column fewer is another rounding of the scale: equal but for the last digit.
    np.testing.assert_allclose(linear.X, data.X, rtol=0, atol=1e-6 * np.abs(data.X).max())
    design = np.column_stack([linear.X, np.ones(6000)]).astype(float)
    assert np.linalg.lstsq(design, linear.y, rcond=None)[1][0] < 1e-6


def test_walk_labels_start_anew_in_every_cluster():
    # Walks of different clusters are independent and of mean 0 at their roots: labels of the
    # clusters' points do not share a shift.
    means = []
    for seed in range(40):
        data = make_distribution(
            200, 3, seed, n_clusters=2, min_size=500, max_size=600, standardize="all"
        )
        first, second = data.y[data.cluster == 0].mean(), data.y[data.cluster == 1].mean()
        means.append((first - second) / data.y.std())
    mean, error = mean_and_error(means)
    assert_close(mean, 0.0, error)


def test_yule_distribution():
    n = 4000
    data = make_distribution(n, 5, 3, ensemble="yule", **GRID)
    np.testing.assert_array_equal(data.cluster, yule_process(n, rng=3))
    counts = np.bincount(data.cluster)
    np.testing.assert_array_equal(counts, data.cluster_size)
    assert_close(counts.size / n, 1 / 3, math.sqrt(2 / 9 / n), bias=1 / n)
    assert_far(counts.size / n, 1 / 2, math.sqrt(2 / 9 / n))
    centres = grid_centres(counts.size, 5, SAFE_SPACING * cluster_extent(counts.max()))
    from_centre = data.X.astype(float) - centres[data.cluster]
    square = (from_centre**2).sum(axis=1)
    assert not square[data.size == 1].any()
    # Clusters of two: the root, and one step of squared length chi^2_5 / 5.
    pair = data.size == 2
    root = pair & (square == 0)
    assert root.sum() * 2 == pair.sum()
    step = square[pair & ~root] * 5
    assert step.size > 100
    assert kstest(step, chi2(5).cdf, method="asymp").pvalue > P_FLOOR
    assert kstest(step * 2, chi2(5).cdf).pvalue < P_FLOOR
    # Sites are dealt to rows at random: the root is the older of the two as often as not.
    older = [np.flatnonzero(data.cluster == k)[0] for k in np.flatnonzero(counts == 2)]
    assert_close(float(root[older].mean()), 0.5, 0.5 / math.sqrt(len(older)))


def test_distributions_are_reproducible():
    for ensemble in ("site", "yule"):
        a, b = (make_distribution(300, 3, 4, ensemble=ensemble, n_clusters=9) for _ in range(2))
        np.testing.assert_array_equal(a.X, b.X)
        np.testing.assert_array_equal(a.y, b.y)
        assert a.provenance == b.provenance


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": "sites"}, "unknown ensemble 'sites'.*Did you mean 'site'"),
        ({"labels": "cubic"}, "unknown labels 'cubic'"),
        ({"n_clusters": 0}, "n_clusters|size"),
        ({"min_size": 0}, "min_size"),
        ({"min_size": 500, "max_size": 400}, "size"),
        ({"n_samples": 0}, "n_samples must be in"),
    ],
)
def test_what_make_distribution_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        make_distribution(**{"n_samples": 10, "dim": 3, **options})
