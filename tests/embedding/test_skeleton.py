"""Chosen sites as points: common paths, skeletons and bridges against whole trees, columns, refusals."""

import math

import numpy as np
import pytest
from embedding_cases import paths, squares
from scipy.stats import chi2, kstest
from statistical import P_FLOOR, assert_close, mean_and_error

from percolaw import checks
from percolaw.clusters.brownian import SampledCluster, sample_large_cluster
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.embedding.skeleton import column_blocks, embed_sampled, embed_sites
from percolaw.embedding.walk import embed_tree
from percolaw.errors import ResourceError


def common_path(tree):
    """Length of the path that each two sites share from their root, by climbing."""
    n = tree.n_sites
    edge = np.asarray(tree.edge, dtype=float)
    above = np.zeros((n, n), dtype=bool)  # above[i, e]: the way of i to its root uses edge e
    for i in range(n):
        p = int(tree.parent[i])
        if p >= 0:
            above[i] = above[p]
            above[i, i] = True
    return (above * edge) @ above.T.astype(float)


def assert_covariance(points, truth, *, fails=None):
    """Sums over the d columns of products of coordinates: common path lengths, within errors.

    Columns are independent and of variance C/d, so the sums have mean C_ij and variance
    (C_ii C_jj + C_ij^2)/d. `fails` is a wrong truth, which some pair must rule out.
    """
    d = points.shape[1]
    x = points.astype(np.float64)
    got = x @ x.T
    diagonal = np.diag(truth)
    error = np.sqrt((np.outer(diagonal, diagonal) + truth**2) / d)
    fixed = error == 0
    assert not got[fixed].any()
    for i, j in zip(*np.nonzero(~fixed & np.triu(np.ones_like(fixed))), strict=True):
        assert_close(float(got[i, j]), float(truth[i, j]), float(error[i, j]))
    if fails is not None:
        z = (got - fails)[~fixed] / error[~fixed]
        assert np.abs(z).max() > 10


@pytest.fixture(scope="module")
def chosen():
    """A tree of two clusters and some of its sites, with repeats."""
    tree = conditioned_clusters([60, 30], rng=5)
    sites = np.array([17, 42, 42, 8, 59, 33, 25, 88, 61, 75])
    return tree, sites, common_path(tree)[np.ix_(sites, sites)]


def centred(truth, groups):
    """Covariance after taking the first point of each group as origin."""
    origin = np.array([np.flatnonzero(groups == g)[0] for g in groups])
    n = np.arange(len(groups))
    return (
        truth - truth[np.ix_(origin, n)] - truth[np.ix_(n, origin)] + truth[np.ix_(origin, origin)]
    )


# ---- skeletons


def test_whole_embedding_has_common_path_covariance(chosen):
    tree, sites, truth = chosen
    points = embed_tree(tree, 40_000, 1)[sites]
    assert_covariance(points, truth, fails=np.diag(np.diag(truth)))


@pytest.mark.parametrize("steps", ["sphere", "lattice"])
def test_full_skeleton_keeps_every_step(chosen, steps):
    tree, sites, truth = chosen
    points, span = embed_sites(tree, sites, 5, 1, steps)
    assert points.shape == (sites.size, 5)
    asked = span.index[: sites.size]
    np.testing.assert_array_equal(span.site[asked], sites)
    whole = embed_tree(span.tree, 5, 1, steps).astype(np.float64)
    np.testing.assert_array_equal(whole[asked], points)
    child = np.flatnonzero(span.tree.parent >= 0)
    gap = whole[child] - whole[span.tree.parent[child]]
    np.testing.assert_allclose((gap**2).sum(axis=1), 1.0, atol=1e-5)
    if steps == "sphere":
        many = np.array([embed_sites(tree, sites, 5, s, steps)[0] for s in range(600)])
        for i in range(sites.size):
            mean, error = mean_and_error((many[:, i].astype(float) ** 2).sum(axis=1))
            assert_close(mean, truth[i, i], error)


def test_skeleton_equals_whole_up_to_a_shift(chosen):
    tree, sites, truth = chosen
    groups = tree.cluster_of(sites)
    points, span = embed_sites(tree, sites, 40_000, 1)
    assert span.tree.n_sites <= 2 * sites.size - 1
    first = [np.flatnonzero(groups == g)[0] for g in groups]
    assert_covariance(
        points.astype(np.float64) - points[first],
        centred(truth, groups),
        fails=1.1 * centred(truth, groups),
    )
    np.testing.assert_array_equal(points[1], points[2])


def test_skeleton_equals_whole(chosen):
    tree, sites, truth = chosen
    assert_covariance(embed_sites(tree, sites, 40_000, 1)[0], truth)


def test_skeleton_of_one_site_is_as_far_from_the_root():
    tree = paths(9, 1)
    point, _ = embed_sites(tree, [9], 2000, 0)
    assert_close(float((point.astype(float) ** 2).sum()), 9.0, 9 * math.sqrt(2 / 2000))


def test_seeds_are_independent(chosen):
    # As over columns, so over seeds: one column of 3000 embeddings.
    tree, sites, truth = chosen
    x = np.array([embed_tree(tree, 1, seed)[sites, 0] for seed in range(3000)]).T
    assert_covariance(x / math.sqrt(3000), truth)


def test_skeleton_and_whole_with_one_noise_are_equal():
    # Integer steps, so that sums are exact: a collapsed edge carries the sum of its edges' steps.
    for seed in range(20):
        tree = conditioned_clusters([80, 30], rng=seed)
        generator = np.random.default_rng(seed)
        sites = generator.integers(0, 110, 12)
        steps = generator.integers(-1000, 1000, tree.n_sites).astype(float)
        steps[tree.start[:-1]] = 0
        whole = tree.accumulate(steps)
        span = tree.span(sites, collapse=True)
        sums = np.zeros(span.tree.n_sites)
        lengths = np.zeros(span.tree.n_sites)
        for node, above in enumerate(span.tree.parent.tolist()):
            if above < 0:
                sums[node] = whole[span.site[node]]  # where the topmost kept site is
                continue
            at = int(span.site[node])
            while at != span.site[above]:
                sums[node] += steps[at]
                lengths[node] += 1
                at = int(tree.parent[at])
        np.testing.assert_array_equal(span.tree.accumulate(sums)[span.index], whole[sites])
        joined = span.tree.parent >= 0
        np.testing.assert_array_equal(lengths[joined], span.tree.edge[joined])
        # Control: one step left out.
        if joined.any():
            sums[np.flatnonzero(joined)[0]] += 1
            assert not np.array_equal(span.tree.accumulate(sums)[span.index], whole[sites])


def slow_common_paths(cluster, rows=None):
    """Common path lengths of points and of branch points, by walking down the line description."""
    ends, glue, owner = cluster.ends, cluster.glue, cluster.owner

    def ways(segment, at):
        """For every segment on the way to the root, how much of it is used."""
        used = {}
        while segment > 0:
            used[segment] = at - ends[segment - 1]
            if segment == 1:
                break
            segment, at = int(owner[segment]), glue[segment]
        return used

    n = cluster.n_points
    rows = range(n) if rows is None else rows
    points = [ways(k, ends[k]) if k else ways(1, 0.0) for k in rows]
    starts = [ways(int(owner[k]), glue[k]) if k > 1 else ways(1, 0.0) for k in rows]
    everything = points + starts
    n = len(points)
    table = np.array(
        [
            [sum(min(a[s], b[s]) for s in a.keys() & b.keys()) for b in everything]
            for a in everything
        ]
    )
    return table[:n, :n], table


def no_bridges(cluster, d, seed):
    """Control: glue points placed on the straight line between the ends of their segment."""
    rng = np.random.default_rng(seed)
    n = cluster.n_points
    start, end = np.zeros((n, d), np.float32), np.zeros((n, d), np.float32)
    for k in range(1, n):
        if k > 1:
            owner = int(cluster.owner[k])
            low, high = cluster.ends[owner - 1], cluster.ends[owner]
            share = (cluster.glue[k] - low) / (high - low)
            start[k] = (1 - share) * start[owner] + share * end[owner]
        length = cluster.ends[k] - cluster.ends[k - 1]
        end[k] = start[k] + math.sqrt(length / d) * rng.standard_normal(d)
    return end


# ---- sampled clusters


@pytest.mark.parametrize(("size", "n"), [(math.inf, 14), (math.inf, 3), (30, 14), (10**9, 14)])
def test_sampled_points_and_branches_have_common_path_covariance(size, n):
    d = 40_000
    cluster = sample_large_cluster(n, size, 6)
    truth, everything = slow_common_paths(cluster)
    starts = np.full((n, d), np.nan, np.float32)
    points = embed_sampled(cluster, d, 6, branch_points=starts)
    assert not starts[:2].any()
    assert_covariance(points, truth, fails=1.1 * truth)
    assert_covariance(np.concatenate([points, starts]), everything)
    np.testing.assert_array_equal(points, embed_sampled(cluster, d, 6))
    # The spanned tree, embedded as any tree, is an oracle of the same law.
    spanned = cluster.spanned_tree()
    both = common_path(spanned.tree)
    nodes = np.concatenate([spanned.point, spanned.branch])
    np.testing.assert_allclose(both[np.ix_(nodes, nodes)], everything, rtol=1e-9, atol=1e-12)


def test_missing_bridges_would_be_seen():
    d = 40_000
    cluster = sample_large_cluster(14, rng=6)
    truth, _ = slow_common_paths(cluster)
    with pytest.raises(AssertionError, match="SE from"):
        assert_covariance(no_bridges(cluster, d, 0), truth)


def test_equal_sites_are_equal_points():
    cluster = sample_large_cluster(200, 12, 3)
    points = embed_sampled(cluster, 4, 3)
    spanned = cluster.spanned_tree()
    for node in range(spanned.tree.n_sites):
        same = np.flatnonzero(spanned.point == node)
        assert (points[same] == points[same[:1]]).all()
    assert np.unique(points, axis=0).shape[0] == 12 == np.unique(spanned.point).size


def test_every_segment_and_first_bridge_of_a_large_cluster():
    n, d = 20_000, 4
    cluster = sample_large_cluster(n, rng=9)
    starts = np.empty((n, d), np.float32)
    points = embed_sampled(cluster, d, 9, branch_points=starts).astype(np.float64)
    starts = starts.astype(np.float64)
    ends, glue = cluster.ends, cluster.glue
    length = np.diff(ends, prepend=0.0)
    ratio = squares(points[1:], starts[1:]) / length[1:] * d
    # float32 coordinates of order 1: shortest segments lose digits.
    ok = length[1:] > 1e-4
    assert ok.mean() > 0.95
    assert kstest(ratio[ok], chi2(d).cdf).pvalue > P_FLOOR
    assert kstest(1.05 * ratio[ok], chi2(d).cdf).pvalue < P_FLOOR
    first, child = cluster.children
    owner = np.flatnonzero(np.diff(first) > 0)
    k = child[first[owner]]
    share = (glue[k] - ends[owner - 1]) / length[owner]
    line = (1 - share)[:, None] * starts[owner] + share[:, None] * points[owner]
    spread = share * (1 - share) * length[owner]
    ok = spread > 1e-4
    assert ok.sum() > 3000
    ratio = squares(starts[k], line)[ok] / spread[ok] * d
    assert kstest(ratio, chi2(d).cdf).pvalue > P_FLOOR
    # Control: the variance of a free walk from the start, share x length.
    free = squares(starts[k], line)[ok] / (share * length[owner])[ok] * d
    assert kstest(free, chi2(d).cdf).pvalue < P_FLOOR


def test_deep_and_wide_trees():
    # A chain of 300 segments, each glued on the one before, and 700 segments glued on the first:
    # every stack of the walk has to grow.
    n = 300
    ends = np.arange(n, dtype=float)
    glue = np.maximum(ends - 1.5, 0.0)
    owner = np.maximum(np.arange(n) - 1, 0).astype(np.int32)
    owner[:2] = 0
    chain = SampledCluster(ends, glue, owner, math.inf)
    few = [0, 1, 2, 63, 64, 65, 66, 130, 255, 256, 299]
    points = embed_sampled(chain, 3000, 1)
    assert_covariance(points[few], slow_common_paths(chain, few)[0])
    n = 700
    glue = np.concatenate([[0, 0], np.random.default_rng(0).random(n - 2)])
    star = SampledCluster(
        np.arange(n, dtype=float), glue, np.array([0, 0] + [1] * (n - 2), np.int32), math.inf
    )
    few = [0, 1, 2, 3, 252, 253, 254, 255, 256, 257, 600, 699]
    points = embed_sampled(star, 3000, 1)
    assert_covariance(points[few], slow_common_paths(star, few)[0])
    np.testing.assert_array_equal(
        points[:100],
        embed_sampled(SampledCluster(star.ends[:100], glue[:100], star.owner[:100], 1), 3000, 1),
    )


@pytest.mark.parametrize("size", [math.inf, 200, 10**12])
def test_columns_can_be_made_apart(size):
    cluster = sample_large_cluster(500, size, 2)
    starts = np.empty((500, 10), np.float32)
    whole = embed_sampled(cluster, 10, 2, branch_points=starts)
    for low, high in ((0, 1), (3, 7), (9, 10), (0, 10)):
        part = np.empty((500, high - low), np.float32)
        ends = np.empty((500, high - low), np.float32)
        out = embed_sampled(cluster, 10, 2, out=part, first_column=low, branch_points=ends)
        assert out is part
        np.testing.assert_array_equal(part, whole[:, low:high])
        np.testing.assert_array_equal(ends, starts[:, low:high])
    # Control: another embedding dimension is another scale, another seed another cloud.
    assert not np.array_equal(embed_sampled(cluster, 11, 2)[:, :10], whole)
    np.testing.assert_allclose(
        embed_sampled(cluster, 11, 2)[:, :10] * math.sqrt(1.1),
        whole,
        rtol=0,
        atol=1e-5 * np.abs(whole).max(),
    )
    assert not np.array_equal(embed_sampled(cluster, 10, 3), whole)


def test_column_blocks_cover_all_columns_once():
    for n, dim, n_bytes in ((10, 7, 1), (10, 7, 80), (10, 7, 119), (10, 7, 1e9), (1, 1, 0)):
        blocks = list(column_blocks(n, dim, n_bytes))
        columns = [c for low, high in blocks for c in range(low, high)]
        assert columns == list(range(dim))
        for low, high in blocks:
            assert high - low == 1 or 4 * n * (high - low) <= n_bytes


def test_what_embeddings_refuse(monkeypatch):
    tree = conditioned_clusters(20, rng=0)
    with pytest.raises(ValueError, match=r"dim must be in \[1, inf\]; got 0"):
        embed_tree(tree, 0)
    with pytest.raises(ValueError, match=r"unknown steps 'gausian'.*Did you mean 'gaussian'"):
        embed_tree(tree, 3, 0, "gausian")
    with pytest.raises(ValueError, match="sites is empty"):
        embed_sites(tree, [], 3)
    with pytest.raises(ValueError, match=r"sites must lie in \[0, 19\]"):
        embed_sites(tree, [20], 3)
    cluster = sample_large_cluster(10)
    for bad in (np.empty((9, 3), np.float32), np.empty((10, 3)), np.empty(10, np.float32)):
        with pytest.raises(ValueError, match="out must be float32 with 10 rows"):
            embed_sampled(cluster, 3, out=bad)
    with pytest.raises(ValueError, match=r"first_column must be in \[0, 1\]; got 2"):
        embed_sampled(cluster, 3, out=np.empty((10, 2), np.float32), first_column=2)
    monkeypatch.setattr(checks, "available_memory", lambda: 1 << 20)
    with pytest.raises(ResourceError, match=r"20 sites in 1000000 dimensions needs 76.3 MiB"):
        embed_tree(tree, 10**6)
    with pytest.raises(ResourceError, match=r"10 points in 1000000 dimensions needs 38.1 MiB"):
        embed_sampled(cluster, 10**6)


def test_branch_points_of_another_shape_are_refused():
    cluster = sample_large_cluster(20, rng=1)
    for wrong in (np.empty((3, 4), np.float32), np.empty((20, 4)), np.empty((20, 3), np.float32)):
        with pytest.raises(ValueError, match=r"branch_points must be float32 of shape \(20, 4\)"):
            embed_sampled(cluster, 4, 0, branch_points=wrong)
