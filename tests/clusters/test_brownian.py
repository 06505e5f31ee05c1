"""Points of huge clusters: line breaking and the birthday process against exact laws, nested."""

import hashlib
import itertools
import json
import math
import os
from collections import Counter

import numpy as np
import pytest
from line_cases import distances, many, three_distances
from scipy.special import gammaln
from scipy.stats import gamma, kstest, rayleigh
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error
from threadpoolctl import threadpool_limits

from percolaw import checks
from percolaw.clusters.brownian import SampledCluster, sample_large_cluster
from percolaw.embedding.skeleton import embed_sampled
from percolaw.errors import ResourceError
from percolaw.laws.single_cluster import mean_nearest_distance
from percolaw.learners.neighbors import nearest_neighbors
from percolaw.rng import Streams
from percolaw.tree import Tree

# ---- the line description, read slowly and without the package


def test_the_slow_description_by_hand():
    # Segments 0-1 of length 2, 2 glued at 1.5 with length 1, 3 glued at 2.5 (half-way up to 2).
    ends, glue = [0.0, 2.0, 3.0, 5.0], [0.0, 0.0, 1.5, 2.5]
    assert distances(ends, glue).tolist() == [
        [0, 2, 2.5, 4],
        [2, 0, 1.5, 3],
        [2.5, 1.5, 0, 2.5],
        [4, 3, 2.5, 0],
    ]


# ---- nested


def digest(*arrays):
    text = hashlib.sha256()
    for array in arrays:
        text.update(np.ascontiguousarray(array).tobytes())
    return text.hexdigest()


@pytest.mark.parametrize("size", [math.inf, 50, 10**7, 10**15])
def test_first_points_do_not_depend_on_the_final_number(size):
    def parts(n, m=37, seed=5):
        cluster = sample_large_cluster(n, size, seed)
        assert cluster.n_points == n
        points = embed_sampled(cluster, 5, seed)
        owner = cluster.owner[:m].astype(np.int64)
        return digest(cluster.ends[:m], cluster.glue[:m], owner, points[:m])

    wanted = parts(37)
    for n in (38, 100, 1000, 20_000):
        assert parts(n) == wanted
    assert parts(100, seed=6) != wanted
    # Embedding keyed by the final number, or by the order of visits, would differ.
    assert parts(100, m=38) != wanted


SCRIPT = """
import hashlib, json, math
from percolaw.clusters.brownian import sample_large_cluster
from percolaw.datasets.make import make_distribution
from percolaw.embedding.skeleton import embed_sampled
out = []
for size in (math.inf, 10**9):
    cluster = sample_large_cluster(3000, size, 5)
    points = embed_sampled(cluster, 7, 5)
    text = b"".join(a.tobytes() for a in (cluster.ends, cluster.glue, cluster.owner, points))
    out.append(hashlib.sha256(text).hexdigest())
cloud = make_distribution(500, 6, 5, ensemble="yule")
out.append(hashlib.sha256(cloud.X.tobytes() + cloud.y.tobytes()).hexdigest())
print(json.dumps(out))
"""


def test_threads_do_not_matter(capsys):
    found = []
    for threads in (1, os.cpu_count()):
        with threadpool_limits(threads):
            exec(SCRIPT, {})
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    assert len(set(found[0])) == 3


def test_global_states_are_untouched_and_generators_advance():
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    sample_large_cluster(100, rng=0)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    generator = np.random.default_rng(0)
    first, second = sample_large_cluster(10, rng=generator), sample_large_cluster(10, rng=generator)
    assert not np.array_equal(first.ends, second.ends)


# ---- the infinite cluster


@pytest.fixture(scope="module")
def infinite():
    return many(20_000, 52)


def test_branch_lengths(infinite):
    ends, _ = infinite
    lengths = np.diff(ends, axis=1)
    for n in range(51):
        mean, error = mean_and_error(lengths[:, n])
        truth = math.exp(gammaln(n + 0.5) - gammaln(n + 1)) / math.sqrt(2)
        assert_close(mean, truth, error)
        if n < 8:  # Control: the law of the segment before.
            wrong = math.exp(gammaln(n + 1.5) - gammaln(n + 2)) / math.sqrt(2)
            assert_far(mean, wrong, error)


def test_squared_ends_are_gamma(infinite):
    ends, _ = infinite
    for k in (1, 2, 5, 20, 51):
        assert kstest(ends[:, k] ** 2 / 2, gamma(k).cdf).pvalue > P_FLOOR
        assert kstest(ends[:, k] ** 2 / 2.2, gamma(k).cdf).pvalue < P_FLOOR
        assert kstest(ends[:, k], gamma(k).cdf).pvalue < P_FLOOR
    jumps = np.diff(ends**2 / 2, axis=1)[:, :20]
    correlation = np.corrcoef(jumps.T) - np.eye(20)
    assert np.abs(correlation).max() * math.sqrt(len(ends)) < 5


def test_glue_points_are_uniform_on_what_is_built(infinite):
    ends, glue = infinite
    share = glue[:, 2:] / ends[:, 1:-1]
    for column in range(0, 50, 7):
        assert kstest(share[:, column], "uniform").pvalue > P_FLOOR
    assert kstest(np.sqrt(share[:, 0]), "uniform").pvalue < P_FLOOR  # a biased glue point
    correlation = np.corrcoef(share[:, :10].T, ends[:, 1:11].T) - np.eye(20)
    assert np.abs(correlation[:10]).max() * math.sqrt(len(ends)) < 5


def test_two_random_points_are_rayleigh_apart(infinite):
    for distance in three_distances(*infinite):
        mean, error = mean_and_error(distance)
        assert_close(mean, math.sqrt(math.pi / 2), error)
        assert kstest(distance, rayleigh.cdf).pvalue > P_FLOOR
    # Control: points glued nearer to the root than uniformly.
    ends, glue = infinite
    biased = glue * glue / np.maximum(np.roll(ends, 1, axis=1), 1e-300)
    mean, error = mean_and_error(three_distances(ends, biased)[2])
    assert_far(mean, math.sqrt(math.pi / 2), error)
    assert kstest(three_distances(ends, biased)[2], rayleigh.cdf).pvalue < P_FLOOR


@pytest.fixture(scope="module")
def five_points():
    """All pair distances of five points (root included) of 5000 clusters."""
    return np.array([distances(e, g) for e, g in zip(*many(5000, 5, item=1), strict=True)])


def paired_sums(table):
    """Sums over pairs that share a point, from each point, and products of disjoint pairs."""
    at_point = [table[:, i].sum(axis=1) for i in range(5)]
    squares = [(table[:, i] ** 2).sum(axis=1) for i in range(5)]
    products = [
        table[:, i, j] * table[:, k, m] for i, j, k, m in itertools.permutations(range(5), 4)
    ]
    return at_point, squares, products


def test_points_are_exchangeable(five_points):
    for group in paired_sums(five_points):
        for value in group[1:]:
            change = value - group[0]
            if np.any(change):
                mean, error = mean_and_error(change)
                assert_close(mean, 0.0, error)
    for i, j in itertools.combinations(range(5), 2):
        assert kstest(five_points[:, i, j], rayleigh.cdf).pvalue > P_FLOOR
    # Control: a new point that is glued to the root only.
    ends, glue = many(5000, 5, item=1)
    star = np.array([distances(e, g) for e, g in zip(ends, 0 * glue, strict=True)])
    sums = paired_sums(star)[0]
    assert_far(*_against_zero(sums[4] - sums[0]))


def _against_zero(change):
    mean, error = mean_and_error(change)
    return mean, 0.0, error


def test_mean_distance_to_the_nearest_of_the_others():
    streams = Streams(4)
    for m in (1, 2, 20):
        n_clusters = 400
        new, root = np.empty(n_clusters), np.empty(n_clusters)
        for i in range(n_clusters):
            spanned = sample_large_cluster(m + 1, rng=streams.child(m, i)).spanned_tree()
            for who, out in ((m, new), (0, root)):
                others = np.delete(spanned.point, who).astype(np.int64)
                out[i] = spanned.tree.nearest(others)[0][spanned.point[who]]
        truth = float(mean_nearest_distance(m))
        assert truth == pytest.approx(math.sqrt(2 * math.pi) * math.comb(2 * m, m) / 4**m)
        for sample in (new, root):
            mean, error = mean_and_error(sample)
            assert_close(mean, truth, error)
            if m < 5:
                assert_far(mean, float(mean_nearest_distance(m + 1)), error)
            assert_far(mean, truth * math.sqrt(2), error)


def slope(numbers, values, errors):
    """Weighted slope of log value against log number and its standard error."""
    x, y, w = np.log(numbers), np.log(values), np.array(values) ** 2 / np.array(errors) ** 2
    centred = x - np.average(x, weights=w)
    return float((w * centred * y).sum() / (w * centred**2).sum()), float(
        1 / math.sqrt((w * centred**2).sum())
    )


def nearest_squares(make, seeds=((100, 200), (1000, 40), (10_000, 6))):
    numbers, values, errors = [], [], []
    for m, repeats in seeds:
        means = []
        for seed in range(repeats):
            points = make(m, seed)
            few = points[:: max(1, m // 400)]
            means.append(float((nearest_neighbors(points, few, 2)[0][:, 1] ** 2).mean()))
        numbers.append(m)
        values.append(np.mean(means))
        errors.append(np.std(means, ddof=1) / math.sqrt(repeats))
    return np.array(numbers), np.array(values), np.array(errors)


def test_nearest_squared_distance_falls_as_the_inverse_root():
    d = 16

    def continuum(m, seed):
        streams = Streams(8, (m, seed))
        return embed_sampled(sample_large_cluster(m, rng=streams), d, streams)

    numbers, values, errors = nearest_squares(continuum)
    fitted, error = slope(numbers, values, errors)
    # The limit is reached at m of order 1 in the tree; the embedding corrects it by 1% a decade at
    # most (THEORY 6: slopes of -0.49 to -0.51 between every pair of m).
    assert_close(fitted, -0.5, error, bias=0.01)
    assert error < 0.01
    constant = values * np.sqrt(numbers)
    assert constant.max() / constant.min() < 1.06
    # Less than the tree distance, which bounds it in mean, and not by much.
    assert np.all(constant < math.sqrt(2) * 1.03)
    assert np.all(constant > 0.75 * math.sqrt(2))

    # Control: the same number of points in a cube of dimension 8 has slope -1/4.
    def cube(m, seed):
        return np.random.default_rng([m, seed]).random((m, 8))

    fitted, error = slope(*nearest_squares(cube, ((100, 30), (1000, 10), (10_000, 2))))
    assert abs(fitted + 0.5) > 0.15


# ---- small clusters and few points


def test_cluster_of_one_site():
    cluster = sample_large_cluster(5, size=1)
    assert cluster.ends.tolist() == cluster.glue.tolist() == [0.0] * 5
    spanned = cluster.spanned_tree()
    assert (spanned.tree.n_sites, spanned.point.tolist()) == (1, [0] * 5)
    assert not embed_sampled(cluster, 3).any()


def test_cluster_of_two_sites():
    # Points are iid: each pair coincides with probability 1/2, and no three all differ.
    repeats = 400
    table = np.array([distances(e, g) for e, g in zip(*many(repeats, 4, 2), strict=True)])
    assert set(np.unique(table)) == {0.0, 1.0}
    for i, j in itertools.combinations(range(4), 2):
        assert_close(float(table[:, i, j].mean()), 0.5, 0.5 / math.sqrt(repeats))
    assert not np.any(table[:, 0, 1] + table[:, 0, 2] + table[:, 1, 2] == 3)
    patterns = Counter(map(tuple, table[:, 0, 1:].astype(int).tolist()))
    assert chi_squared_p(list(patterns.values()), [1 / 8] * 8) > P_FLOOR


@pytest.mark.parametrize("size", [math.inf, 1, 2, 7, 10**15])
def test_one_and_two_points(size):
    one = sample_large_cluster(1, size, 3)
    assert (one.n_points, one.ends.tolist(), one.glue.tolist()) == (1, [0.0], [0.0])
    assert one.spanned_tree().tree.n_sites == 1
    assert embed_sampled(one, 4, 3).tolist() == [[0.0] * 4]
    two = sample_large_cluster(2, size, 3)
    spanned = two.spanned_tree()
    assert spanned.tree.n_sites == (1 if two.ends[1] == 0 else 2)
    assert spanned.tree.distance_between([spanned.point[0]], [spanned.point[1]])[0] == two.ends[1]
    assert two.glue.tolist() == [0.0, 0.0]
    assert two.owner.tolist() == [0, 0]


# ---- the spanned tree


@pytest.mark.parametrize("size", [math.inf, 3, 30, 10**6, 10**15])
@pytest.mark.parametrize("seed", range(4))
def test_spanned_tree_is_the_line_description(size, seed):
    n = 25
    cluster = sample_large_cluster(n, size, seed)
    spanned = cluster.spanned_tree()
    tree = Tree.from_parent(spanned.tree.parent, spanned.tree.start, spanned.tree.length)
    assert tree.n_sites <= 2 * n - 1
    exact = 0.0 if not math.isinf(size) else 1e-12
    assert math.fsum(tree.length[1:]) == pytest.approx(cluster.ends[-1], rel=exact, abs=exact)
    i, j = (a.ravel() for a in np.indices((n, n)))
    got = tree.distance_between(spanned.point[i], spanned.point[j]).reshape(n, n)
    np.testing.assert_allclose(got, distances(cluster.ends, cluster.glue), rtol=exact, atol=exact)
    # Segment k joins branch[k] to point[k] by its own length, and hangs on its owner.
    joined = tree.distance_between(spanned.branch[1:], spanned.point[1:])
    np.testing.assert_allclose(joined, np.diff(cluster.ends), rtol=exact, atol=exact)
    for k in range(2, n):
        owner = int(cluster.owner[k])
        assert 1 <= owner < k
        assert cluster.ends[owner - 1] <= cluster.glue[k] <= cluster.ends[owner]
        along = tree.distance_between([spanned.branch[owner]], [spanned.branch[k]])[0]
        assert along == pytest.approx(cluster.glue[k] - cluster.ends[owner - 1], abs=1e-12)
    # Every leaf is a point, and every inner node a point or a branch point.
    leaves = np.flatnonzero(tree.child_count() == 0)
    assert set(leaves) <= set(spanned.point.tolist())
    assert set(range(tree.n_sites)) == {*spanned.point.tolist(), *spanned.branch.tolist()}


def test_children_are_in_order_of_insertion():
    cluster = sample_large_cluster(300, rng=1)
    first, child = cluster.children
    assert first[-1] == child.size == 298
    for j in range(300):
        members = child[first[j] : first[j + 1]].tolist()
        assert members == [k for k in range(2, 300) if cluster.owner[k] == j]


def test_spanned_tree_of_many_points():
    cluster = sample_large_cluster(20_000, rng=2)
    spanned = cluster.spanned_tree()
    tree = Tree.from_parent(spanned.tree.parent, spanned.tree.start, spanned.tree.length)
    assert tree.n_sites == 2 * 20_000 - 2  # binary: the root is a point of degree one
    assert tree.length[1:].sum() == pytest.approx(cluster.ends[-1], rel=1e-9)
    # Depths of points are Rayleigh in law, but not independent: the mean of one cluster is rough.
    assert 0.4 < tree.depth()[spanned.point[1:]].mean() < 2.6


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_points": 0}, ValueError, r"n_points must be in \[1, inf\]; got 0"),
        ({"n_points": 2.5}, ValueError, "n_points must be an integer; got 2.5"),
        ({"n_points": "9"}, TypeError, "n_points must be an integer; got '9'"),
        ({"n_points": 9, "size": 0}, ValueError, "size must be in"),
        (
            {"n_points": 9, "size": 10**15 + 1},
            ValueError,
            r"size must be in \[1, 1000000000000000\]",
        ),
        ({"n_points": 9, "size": 1.5}, ValueError, "size must be an integer; got 1.5"),
        ({"n_points": 9, "rng": "seed"}, TypeError, "rng must be an integer seed"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        sample_large_cluster(**arguments)


@pytest.mark.parametrize("size", [-math.inf, math.nan])
def test_sizes_that_are_no_sizes(size):
    with pytest.raises((ValueError, OverflowError)):
        sample_large_cluster(9, size)


def test_memory_is_refused_before_work(monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 1000)
    with pytest.raises(ResourceError, match=r"2.34 KiB of memory and 1e\+03 B are available"):
        sample_large_cluster(100)
    assert isinstance(SampledCluster(*np.zeros((3, 2)), math.inf).n_points, int)
