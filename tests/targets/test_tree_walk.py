"""The tree random walk: differences vary like path length, standardising, streams."""

import math

import networkx as nx
import numpy as np
import pytest
from scipy.sparse import csgraph
from small_graphs import distances
from statistical import assert_close, assert_far, mean_and_error

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.graph import Graph
from percolaw.rng import Streams
from percolaw.targets.tree_walk import TreeWalk, expected_variance
from percolaw.tree import Tree

PARENTS = {
    "path": [-1, 0, 1, 2, 3, 4, 5],
    "star": [-1, 0, 0, 0, 0, 0],
    "binary": [-1, 0, 0, 1, 1, 2, 2],
    "caterpillar": [-1, 0, 1, 2, 0, 1, 2, 2],
}
LENGTHS = np.array([1.0, 0.25, 4.0, 2.0, 0.5, 9.0, 1.5, 3.0])


def copies(parent, n_copies, length=None):
    """A forest of equal clusters: one call draws `n_copies` independent walks."""
    base = np.asarray(parent)
    block = np.tile(base, (n_copies, 1)) + base.size * np.arange(n_copies)[:, None]
    block[:, base < 0] = -1
    lengths = None if length is None else np.tile(length[: base.size], n_copies)
    return Tree.from_parent(block.ravel(), length=lengths)


def path_lengths(parent, length=None):
    """All path lengths by networkx, apart from the code under test."""
    graph = nx.Graph()
    for child, above in enumerate(parent):
        if above >= 0:
            graph.add_edge(above, child, w=1.0 if length is None else float(length[child]))
    found = dict(nx.all_pairs_dijkstra_path_length(graph, weight="w"))
    n = len(parent)
    return np.array([[found[u][v] for v in range(n)] for u in range(n)])


def squared_differences(parent, steps, length=None, n_copies=20_000):
    tree = copies(parent, n_copies, length)
    value = TreeWalk(steps, standardized=False).sample(tree, rng=7).value
    f = value.reshape(n_copies, len(parent))
    return (f[:, :, None] - f[:, None, :]) ** 2


@pytest.mark.parametrize("with_lengths", [False, True], ids=["unit", "lengths"])
@pytest.mark.parametrize("steps", ["gaussian", "sign"])
@pytest.mark.parametrize("name", sorted(PARENTS))
def test_variance_of_differences_is_path_length(name, steps, with_lengths):
    parent = PARENTS[name]
    length = LENGTHS if with_lengths else None
    truth = path_lengths(parent, length)
    square = squared_differences(parent, steps, length)
    for u in range(len(parent)):
        for v in range(u):
            if steps == "sign" and (parent[u] == v or parent[v] == u):
                np.testing.assert_allclose(square[:, u, v], truth[u, v], rtol=1e-9)
                continue
            assert_close(*_swap(mean_and_error(square[:, u, v]), truth[u, v]))


def _swap(mean_error, truth):
    return mean_error[0], truth, mean_error[1]


def test_negative_controls_of_the_variance_law():
    parent = PARENTS["caterpillar"]
    depth = path_lengths(parent)[0]
    far = squared_differences(parent, "gaussian")[:, 3, 6]
    mean, error = mean_and_error(far)
    distance = path_lengths(parent)[3, 6]
    assert distance == 2  # siblings: equal depth, so a walk by depth alone would give 0
    assert_far(mean, abs(depth[3] - depth[6]), error)
    assert_far(mean, depth[3] + depth[6], error)  # independent walks for each site
    assert_far(mean, distance**2, error)  # straight line instead of diffusion
    with_lengths = squared_differences(parent, "gaussian", LENGTHS)[:, 2, 5]
    mean, error = mean_and_error(with_lengths)
    pair = path_lengths(parent, LENGTHS)[2, 5]
    assert_close(mean, pair, error)
    assert_far(mean, LENGTHS[2] ** 2 + LENGTHS[5] ** 2, error)  # step times length, no root
    assert_far(mean, path_lengths(parent)[2, 5], error)  # lengths ignored


def test_clusters_are_independent():
    tree = copies(PARENTS["path"], 20_000)
    value = TreeWalk(standardized=False).sample(tree, rng=1).value.reshape(20_000, -1)
    mean, error = mean_and_error(value[1:, -1] * value[:-1, -1])
    assert_close(mean, 0.0, error)
    mean, error = mean_and_error(value[:, -1] * value[:, -2])
    assert_far(mean, 0.0, error)  # control: the same statistic inside one cluster


def test_sign_walk_takes_unit_steps_and_gaussian_does_not():
    tree = conditioned_clusters([3000, 1, 50], 3, rng=4)
    sign = TreeWalk("sign", standardized=False).sample(tree, rng=0).value
    child = np.flatnonzero(tree.parent >= 0)
    assert set(np.unique(sign[child] - sign[tree.parent[child]])) == {-1.0, 1.0}
    np.testing.assert_array_equal(np.abs(sign) % 2, tree.depth() % 2)
    gaussian = TreeWalk(standardized=False).sample(tree, rng=0).value
    step = gaussian[child] - gaussian[tree.parent[child]]
    mean, error = mean_and_error(step**4)
    assert_close(mean, 3.0, error)
    assert_far(mean, 1.0, error)  # what sign steps would give
    up, error = mean_and_error(np.sign(sign[child] - sign[tree.parent[child]]))
    assert_close(up, 0.0, error)


def test_raw_walk_starts_at_zero_at_every_root():
    tree = conditioned_clusters([10, 1, 7], 6, rng=0)
    value = TreeWalk(standardized=False).sample(tree, rng=2).value
    np.testing.assert_array_equal(value[tree.start[:-1]], 0.0)
    assert np.count_nonzero(value) == tree.n_sites - tree.n_clusters


@pytest.mark.parametrize("steps", ["gaussian", "sign"])
def test_standardised_per_cluster(steps):
    tree = conditioned_clusters([1000, 1, 2, 17, 1, 300], 6, rng=3)
    raw = TreeWalk(steps, standardized=False).sample(tree, rng=5)
    target = TreeWalk(steps).sample(tree, rng=5)
    np.testing.assert_array_equal(target.variance, raw.variance)
    for k, (low, high) in enumerate(zip(tree.start[:-1], tree.start[1:], strict=True)):
        part, before = target.value[low:high], raw.value[low:high]
        np.testing.assert_allclose(target.variance[k], before.var(), rtol=1e-12)
        if high - low == 1:
            assert part.tolist() == [0.0]
            assert target.variance[k] == 0.0
            continue
        assert abs(part.mean()) < 1e-12  # rounding only
        assert abs(part.var() - 1) < 1e-12
        np.testing.assert_allclose(part, (before - before.mean()) / before.std(), atol=1e-12)
    # Control: standardising the forest as a whole is something else.
    whole = (raw.value - raw.value.mean()) / raw.value.std()
    assert np.abs(whole - target.value).max() > 0.1


def test_standardising_survives_large_values():
    tree = Tree.from_parent([-1, 0, 1, 2], length=[1.0, 1e18, 1e-18, 1e18])
    value = TreeWalk().sample(tree, rng=0).value
    assert abs(value.mean()) < 1e-12
    assert abs(value.var() - 1) < 1e-12


def mean_pair_distance(n):
    """Q(n) - 1: mean distance of two sites (with replacement) of a uniform Cayley tree."""
    return math.fsum(np.cumprod(1 - np.arange(1, n) / n))


def test_variance_before_standardising_exactly():
    # Var over sites is half the mean squared difference: E = (Q(n) - 1)/2, no bias at all.
    for size, n_clusters in ((6, 50_000), (500, 4000)):
        tree = conditioned_clusters(np.full(n_clusters, size), rng=size)
        variance = TreeWalk().sample(tree, rng=0).variance
        mean, error = mean_and_error(variance)
        truth = mean_pair_distance(size) / 2
        assert_close(mean, truth, error)
        assert_far(mean, truth * size / (size - 1) if size < 100 else truth * 1.15, error)
    assert mean_pair_distance(6) == pytest.approx(575 / 324, rel=1e-12)


@pytest.mark.parametrize("z", [3, 6, math.inf])
def test_variance_before_standardising_of_large_clusters(z):
    size, n_clusters = 20_000, 200
    s2 = 1.0 if math.isinf(z) else (z - 2) / (z - 1)
    tree = conditioned_clusters(np.full(n_clusters, size), z, rng=11)
    variance = TreeWalk("sign").sample(tree, rng=1).variance
    mean, error = mean_and_error(variance)
    truth = math.sqrt(math.pi / 8) * math.sqrt(size / s2)
    # The next order is O(1/sqrt(size)): 1.06/sqrt(size) = 0.75% for Cayley trees.
    assert_close(mean, truth, error, bias=0.01 * truth)
    assert_far(mean, math.sqrt(math.pi / 8) * (size / s2) ** (1 / 3), error)
    assert_far(mean, math.sqrt(math.pi / 2) * math.sqrt(size / s2), error)  # not halved
    if z == 3:
        assert_far(mean, math.sqrt(math.pi / 8) * math.sqrt(size), error)  # s2 = 1


def test_reproducible_and_seeded():
    tree = conditioned_clusters([70_000, 3], 6, rng=0)
    first = TreeWalk().sample(tree, rng=3).value
    np.testing.assert_array_equal(first, TreeWalk().sample(tree, rng=3).value)
    np.testing.assert_array_equal(first, TreeWalk().sample(tree, rng=Streams(3)).value)
    other = TreeWalk().sample(tree, rng=4).value
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.99
    generator = np.random.default_rng(0)
    assert not np.array_equal(
        TreeWalk().sample(tree, generator).value, TreeWalk().sample(tree, generator).value
    )


@pytest.mark.parametrize("steps", ["gaussian", "sign"])
def test_earlier_clusters_do_not_depend_on_later_ones(steps):
    # 70 000 sites cross a block of the generator (65 536 rows).
    sizes = [100, 70_000, 5]
    tree = conditioned_clusters(sizes, 6, rng=8)
    longer = conditioned_clusters([*sizes, 9, 80_000], 6, rng=8)
    n = tree.n_sites
    np.testing.assert_array_equal(longer.parent[:n], tree.parent)
    for standardized in (True, False):
        walk = TreeWalk(steps, standardized)
        short, long = walk.sample(tree, rng=2), walk.sample(longer, rng=2)
        np.testing.assert_array_equal(long.value[:n], short.value)
        np.testing.assert_array_equal(long.variance[:3], short.variance)
    # The shape of cluster k does not depend on the sizes before it either (documented there).
    moved = conditioned_clusters([41, 70_000, 2], 6, rng=8)
    np.testing.assert_array_equal(moved.cluster(1).parent, tree.cluster(1).parent)
    # Control: its position does matter.
    swapped = conditioned_clusters([70_000, 100, 5], 6, rng=8)
    assert not np.array_equal(swapped.cluster(0).parent, tree.cluster(1).parent)


def test_sampling_leaves_tree_and_global_state_alone():
    tree = Tree.from_parent([-1, 0, 1, 1], length=[1.0, 2.0, 3.0, 4.0])
    parent, length = tree.parent.copy(), tree.length.copy()
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    TreeWalk().sample(tree, rng=1)
    np.testing.assert_array_equal(tree.parent, parent)
    np.testing.assert_array_equal(tree.length, length)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_wrong_input_messages():
    with pytest.raises(ValueError, match=r"unknown steps 'gausian'.*Did you mean 'gaussian'"):
        TreeWalk("gausian")
    tree = Tree.from_parent([-1, 0])
    with pytest.raises(TypeError, match=r"rng must be an integer seed.*'seed'"):
        TreeWalk().sample(tree, rng="seed")
    with pytest.raises(ValueError, match=r"seed must .* got -1"):
        TreeWalk().sample(tree, rng=-1)


@pytest.mark.parametrize("z", [3, 20])
def test_expected_variance_is_half_the_mean_distance(z):
    tree = conditioned_clusters([1, 2, 30, 150], z, rng=3)
    between = distances(Graph.from_tree(tree))
    found = expected_variance(tree)
    for k in range(4):
        own = slice(tree.start[k], tree.start[k + 1])
        assert found[k] == pytest.approx(0.5 * between[own, own].mean())
    tree = Tree(tree.parent, tree.start, np.arange(1.0, tree.n_sites + 1.0))
    between = csgraph.shortest_path(tree.to_sparse(), directed=False)
    for k, value in enumerate(expected_variance(tree)):
        own = slice(tree.start[k], tree.start[k + 1])
        assert value == pytest.approx(0.5 * between[own, own].mean())
    # What it is for: the variance of a walk's values.
    large = conditioned_clusters(np.full(300, 60), z, rng=4)
    variance = TreeWalk().sample(large, 1).variance
    ratio, error = mean_and_error(variance / expected_variance(large))
    assert_close(ratio, 1.0, error)
    assert_far(ratio, 1.5, error)
