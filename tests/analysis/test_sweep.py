"""Sweeps of any graph: against all orders of small graphs, SciPy, boxes, and binomial laws."""

import itertools

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph
from scipy.stats import binom
from statistical import assert_close, assert_far, mean_and_error

from percolaw.analysis.adjacency import SiteGraph, given_graph
from percolaw.analysis.sweep import graph_sweep
from percolaw.clusters.hypercubic.box import HypercubicLattice
from percolaw.clusters.hypercubic.newman_ziff import sweep
from percolaw.errors import ResourceError
from percolaw.rng import Streams

#: Bonds; the mean over all orders of the largest cluster and of the sum of squares, by hand for K4, C5.
SMALL = {
    "K4": (4, list(itertools.combinations(range(4), 2))),
    "C5": (5, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)]),
    "star and a path": (7, [(0, 1), (0, 2), (0, 3), (4, 5), (5, 6)]),
    "two triangles, one bond": (6, [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (4, 5)]),
}
BY_HAND = {
    "K4": ([1, 2, 2.8, 3.8, 4, 4, 4], [4, 6, 9.6, 14.8, 16, 16, 16]),
    "C5": ([1, 2, 2.5, 3.5, 5, 5], [5, 7, 10, 15, 25, 25]),
}


def graph_of(n, bonds):
    low, high = np.array(sorted(bonds), dtype=np.int32).T
    return SiteGraph(n, low, high)


def random_graph(n, n_bonds, seed):
    rng = np.random.default_rng(seed)
    pairs = np.unique(np.sort(rng.integers(0, n, (n_bonds, 2))), axis=0)
    return graph_of(n, pairs[pairs[:, 0] != pairs[:, 1]].tolist())


def cluster_sizes(n, bonds):
    """Sizes of the clusters by plain merging of sets."""
    of = [{i} for i in range(n)]
    for a, b in bonds:
        if of[a] is not of[b]:
            of[a] |= of[b]
            for site in of[b]:
                of[site] = of[a]
    return [len(s) for s in {id(s): s for s in of}.values()]


def enumerated(n, bonds):
    """(largest, sum of squares) with m open bonds, the mean over all sets of m bonds."""
    rows = []
    for m in range(len(bonds) + 1):
        sizes = [cluster_sizes(n, some) for some in itertools.combinations(bonds, m)]
        rows.append((np.mean([max(s) for s in sizes]), np.mean([np.dot(s, s) for s in sizes])))
    return np.array(rows).T


class Orders:
    """Stands for the streams: generators that put bonds into each order in turn."""

    def __init__(self, n_bonds):
        self.orders = list(itertools.permutations(range(n_bonds)))

    def generator(self, stream, index):
        assert stream == "analysis"
        return _Order(np.array(self.orders[index]))


class _Order:
    def __init__(self, order):
        self.order = order

    def shuffle(self, packed):
        packed[:] = packed[self.order] if packed.size else packed


@pytest.mark.parametrize("name", ["K4", "C5"])
def test_all_orders_of_small_graphs(name, monkeypatch):
    n, bonds = SMALL[name]
    orders = Orders(len(bonds))
    monkeypatch.setattr("percolaw.analysis.sweep.as_streams", lambda rng: rng)
    swept = graph_sweep(graph_of(n, bonds), orders, n_orders=len(orders.orders))
    largest, square = BY_HAND[name]
    np.testing.assert_allclose(swept.largest[:, 0].mean(axis=0), largest, rtol=1e-14)
    np.testing.assert_allclose(swept.square[:, 0].mean(axis=0), square, rtol=1e-14)
    np.testing.assert_allclose(swept.whole()[0], np.array(square) / n**2, rtol=1e-14)
    rest = np.mean(swept.square[:, 0] - swept.largest[:, 0] ** 2, axis=0) / n
    np.testing.assert_allclose(swept.susceptibility()[0], rest, rtol=1e-14)
    np.testing.assert_allclose(enumerated(n, bonds), [largest, square], rtol=1e-14)


@pytest.mark.parametrize("name", SMALL)
def test_random_orders_have_the_enumerated_means(name):
    n, bonds = SMALL[name]
    swept = graph_sweep(graph_of(n, bonds), 1, n_orders=4000)
    for measured, exact in zip((swept.largest, swept.square), enumerated(n, bonds), strict=True):
        for m in range(len(bonds) + 1):
            values = measured[:, 0, m].astype(float)
            if values.std() == 0:
                assert values[0] == exact[m]
                continue
            mean, error = mean_and_error(values)
            assert_close(mean, exact[m], error)
    middle = len(bonds) // 2
    mean, error = mean_and_error(swept.square[:, 0, middle].astype(float))
    assert_far(mean, enumerated(n, bonds)[1][middle + 1], error)  # bonds counted one too many


@pytest.mark.parametrize("seed", range(4))
def test_clusters_are_those_of_scipy(seed):
    graph = random_graph(60, 100, seed)
    random = np.random.default_rng(seed + 50)
    swept = graph_sweep(graph, seed)
    at = int(random.integers(0, graph.n_bonds))
    drawn = np.stack([graph.low, graph.high])
    order = _order_drawn(graph, seed)
    for m in (0, at, at + 1, graph.n_bonds):
        low, high = drawn[:, order[:m]]
        matrix = sparse.csr_array((np.ones(m), (low, high)), shape=(60, 60))
        size = np.bincount(csgraph.connected_components(matrix, directed=False)[1])
        assert swept.largest[0, 0, m] == size.max()
        assert swept.square[0, 0, m] == np.sum(size**2)


def _order_drawn(graph, seed):
    """The order in which a sweep of one class opens its bonds."""
    packed = graph.low.astype(np.int64) << 32 | graph.high
    place = {int(v): i for i, v in enumerate(packed)}
    Streams(seed).generator("analysis", 0).shuffle(packed)
    return np.array([place[int(v)] for v in packed])


def test_clusters_are_numbered_by_first_sites():
    graph = random_graph(80, 60, 3)
    is_open = np.random.default_rng(0).random(graph.n_bonds) < 0.7
    for joins, kept in ((None, slice(None)), (is_open, is_open)):
        matrix = sparse.csr_array(
            (np.ones(graph.low[kept].size), (graph.low[kept], graph.high[kept])), shape=(80, 80)
        )
        expected = csgraph.connected_components(matrix, directed=False)[1]
        cluster = graph.clusters(joins)
        first = [int(np.argmax(cluster == c)) for c in range(cluster.max() + 1)]
        assert first == sorted(first)
        assert len(set(zip(cluster.tolist(), expected.tolist(), strict=True))) == len(first)
        assert len(first) == expected.max() + 1


def periodic_box(length):
    site = np.arange(length**2).reshape(length, length)
    ends = [(site, np.roll(site, -1, axis)) for axis in (0, 1)]
    low, high = (np.concatenate([e[i].ravel() for e in ends]) for i in (0, 1))
    return given_graph(sparse.csr_array((np.ones(low.size), (low, high)), shape=(length**2,) * 2))


def test_boxes_are_swept_as_the_sweep_of_boxes_does():
    graph = periodic_box(12)
    box, at = HypercubicLattice(2, 12, periodic=True), [48, 60, 98, 110, 132, 144, 158, 170]
    theirs = np.array([sweep(box, seed, n_open=at, wrapping=False).largest for seed in range(200)])
    ours = graph_sweep(graph, 7, n_open=at, n_orders=400).largest[:, 0]
    for m in range(1, len(at), 2):
        mean, error = mean_and_error(ours[:, m])
        other, other_error = mean_and_error(theirs[:, m])
        assert_close(mean, other, float(np.hypot(error, other_error)))
        early, early_error = mean_and_error(theirs[:, m - 1])
        assert_far(mean, early, float(np.hypot(error, early_error)))


def test_each_class_is_swept_alone():
    graph = random_graph(90, 500, 1)
    key = np.random.default_rng(1).integers(-1, 3, 90)
    swept = graph_sweep(graph, 2, key=key, n_orders=3)
    for label in range(3):
        part = graph.part(np.flatnonzero(key == label))
        assert swept.n_sites[label] == part.n_sites
        assert swept.n_bonds[label] == part.n_bonds
        size = np.bincount(part.clusters())
        assert np.all(swept.largest[:, label, -1] == size.max())
        assert np.all(swept.square[:, label, -1] == np.sum(size**2))
        assert np.all(swept.square[:, label, 0] == part.n_sites)
        assert np.all(np.diff(swept.n_open[:, label], axis=1) >= 0)
        m = part.n_bonds // 2
        small = graph_sweep(part, 3, n_open=[m], n_orders=400)
        mean, error = mean_and_error(small.square[:, 0, 0].astype(float))
        many = graph_sweep(graph, 4, key=key, n_open=[m], n_orders=400).square[:, label, 0]
        other, other_error = mean_and_error(many.astype(float))
        assert_close(mean, other, float(np.hypot(error, other_error)))
    assert np.all(swept.largest.max(axis=(0, 2)) <= swept.n_sites)


def test_bonds_that_come_first_come_first():
    graph = random_graph(50, 300, 2)
    first = np.random.default_rng(0).random(graph.n_bonds) < 0.3
    m = int(first.sum())
    size = np.bincount(graph.only(first).clusters())
    swept = graph_sweep(graph, 0, n_open=[m - 5, m, m + 5], is_open=first, n_orders=30)
    assert np.all(swept.square[:, 0, 1] == np.sum(size**2))
    assert np.ptp(graph_sweep(graph, 0, n_open=[m], n_orders=30).square) > 0


def test_shares_are_binomial_and_never_close():
    graph = random_graph(40, 120, 4)
    q = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
    swept = graph_sweep(graph, 0, shares=q, n_orders=3000)
    opened = swept.n_open[:, 0].astype(float)
    assert np.all(np.diff(opened, axis=1) >= 0)
    n = graph.n_bonds
    for r in (1, 2, 3):
        mean, error = mean_and_error(opened[:, r])
        assert_close(mean, n * q[r], error)
        variance = n * q[r] * (1 - q[r])
        assert_close(opened[:, r].var(), variance, variance * np.sqrt(2.0 / 3000))
        assert_far(mean, n * q[r] + 0.5, error)
    assert np.all(opened[:, 0] == 0)
    assert np.all(opened[:, -1] == n)


def test_whole_at_a_share_is_the_sum_over_all_states_of_the_bonds():
    n, bonds = SMALL["two triangles, one bond"]
    squares = enumerated(n, bonds)[1]
    q = np.array([0.3, 0.7])
    exact = [binom.pmf(range(8), 7, value) @ squares / n**2 for value in q]
    swept = graph_sweep(graph_of(n, bonds), 0, shares=q, n_orders=4000)
    for r in range(2):
        mean, error = mean_and_error(swept.square[:, 0, r] / n**2)
        assert_close(mean, exact[r], error)
        assert_far(mean, binom.pmf(range(8), 7, q[r] + 0.05) @ squares / n**2, error)


def test_an_order_depends_on_its_number_alone():
    graph = random_graph(70, 200, 5)
    many = graph_sweep(graph, 11, n_orders=5)
    few = graph_sweep(graph, 11, n_orders=2)
    np.testing.assert_array_equal(many.square[:2], few.square)
    some = graph_sweep(graph, 11, n_open=[3, 90], n_orders=2)
    np.testing.assert_array_equal(some.square, few.square[:, :, [3, 90]])
    assert np.any(many.square[0] != many.square[1])
    assert np.any(graph_sweep(graph, 12).square != few.square[:1])


def test_graphs_without_bonds_or_sites_of_a_class():
    empty = SiteGraph(5, np.zeros(0, np.int32), np.zeros(0, np.int32))
    swept = graph_sweep(empty, n_orders=2)
    assert swept.largest.tolist() == [[[1]], [[1]]]
    assert swept.square.tolist() == [[[5]], [[5]]]
    nobody = graph_sweep(random_graph(6, 12, 0), key=np.full(6, -1), n_open=[0, 3])
    assert nobody.largest.tolist() == [[[0, 0]]]
    assert nobody.whole().tolist() == [[0.0, 0.0]]
    gap = graph_sweep(random_graph(6, 12, 0), key=np.array([0, 0, 0, 2, 2, 2]), n_open=[0])
    assert gap.square[0, :, 0].tolist() == [3, 0, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_open": [3, 3]}, "rise"),
        ({"n_open": [-1, 3]}, "rise"),
        ({"n_open": []}, "rise"),
        ({"shares": [0.5, 0.2]}, "rise"),
        ({"shares": [0.5, 1.2]}, "from 0 to 1"),
        ({"shares": [np.nan]}, "NaN"),
        ({"shares": [0.5], "n_open": [1]}, "shares go alone"),
        ({"key": [0, 1]}, "one class a site"),
        ({"is_open": np.ones(3, bool)}, "one value a bond"),
        ({"n_orders": 0}, "n_orders"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        graph_sweep(random_graph(20, 40, 0), **options)


def test_records_beyond_memory_are_refused():
    with pytest.raises(ResourceError, match="record less often"):
        graph_sweep(random_graph(20, 40, 0), n_orders=10**12)
