"""Designs of labels on trees, graphs and in space; learners on graphs against brute force."""

import math

import numpy as np
import pytest
from small_graphs import box_graph, distances
from statistical import P_FLOOR, chi_squared_p

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.graph import Graph
from percolaw.learners import designs
from percolaw.learners.tree_nearest import TreeNearest
from percolaw.learners.tree_posterior import TreePosterior, posterior_variance
from percolaw.numerics.covariance import Matern
from percolaw.tree import Tree

# --- learners on graphs --------------------------------------------------------------------------


@pytest.mark.parametrize("adjusted", [False, True])
def test_nearest_on_a_graph_is_brute_force(adjusted):
    lattice = HypercubicLattice(2, 14)
    found = percolate(lattice, 0.45, 3)
    graph = found.graph(np.argsort(-found.size, kind="stable")[:6]).graph
    assert graph.n_loops > 0
    rng = np.random.default_rng(0)
    sites = rng.choice(graph.n_sites, 12, replace=False)
    sites = sites[graph.cluster_of(sites) != 2]  # one cluster without an observation
    values = rng.standard_normal(sites.size)
    fitted = TreeNearest(adjusted=adjusted).fit(graph, sites, values)
    distance = distances(graph)[:, sites]
    least = distance.min(axis=1)
    size = graph.sizes[graph.cluster_of(np.arange(graph.n_sites))]
    got = fitted.predict()
    decided = 0
    for i in range(graph.n_sites):
        if not np.isfinite(least[i]):
            assert got[i] == 0.0
            continue
        shrunk = values / (1.0 + least[i] / math.sqrt(size[i])) if adjusted else values
        nearest = shrunk[distance[i] == least[i]]
        decided += nearest.size == 1
        assert np.min(np.abs(got[i] - nearest)) < 1e-14
    assert decided > 0.3 * graph.n_sites
    query = rng.integers(0, graph.n_sites, 7)
    np.testing.assert_array_equal(fitted.predict(query), got[query])
    # Control: the spanning tree alone has longer ways.
    tree, order = graph.spanning_tree()
    longer = np.empty(graph.n_sites)
    longer[order] = tree.nearest(np.argsort(order)[sites])[0]
    assert np.any(longer[np.isfinite(least)] > least[np.isfinite(least)])


def test_the_posterior_refuses_graphs():
    graph = box_graph()
    with pytest.raises(TypeError, match=r"needs a Tree; this Graph may have loops.*Graph\.to_tree"):
        TreePosterior().fit(graph, [0, 1], [0.0, 1.0]).predict()
    with pytest.raises(TypeError, match="needs a Tree"):
        posterior_variance(graph, [0])


# --- designs -------------------------------------------------------------------------------------

CLUSTERS = {
    "tree": lambda: conditioned_clusters(300, 3, rng=2),
    "graph of a tree": lambda: Graph.from_tree(conditioned_clusters(300, 3, rng=2)),
    "loops": lambda: box_graph(18, 0.65, 4),
}


@pytest.mark.parametrize("name", CLUSTERS)
def test_farthest_first_is_farthest_at_every_step(name):
    cluster = CLUSTERS[name]()
    order = designs.farthest_first(cluster, 60, 7)
    assert order.dtype == np.int64
    between = distances(cluster if isinstance(cluster, Graph) else Graph.from_tree(cluster))
    for k in range(1, order.size):
        nearest = between[order[:k]].min(axis=0)
        assert nearest[order[k]] == nearest.max()
    assert np.unique(order).size == order.size
    np.testing.assert_array_equal(designs.farthest_first(cluster, 25, 7), order[:25])
    assert len({int(designs.farthest_first(cluster, 1, seed)[0]) for seed in range(20)}) > 10
    # Control: sites at random are not.
    drawn = designs.random_order(cluster, 60, 7)
    nearest = between[drawn[:30]].min(axis=0)
    assert nearest[drawn[30:]].max() < nearest.max() or nearest[drawn[30]] < nearest.max()


def test_farthest_points_are_farthest_at_every_step():
    points = np.random.default_rng(3).standard_normal((80, 3)).astype(np.float32)
    order = designs.farthest_points(points, 30)
    assert order[0] == 0
    between = np.linalg.norm(points[:, None] - points[None], axis=2)
    for k in range(1, order.size):
        nearest = between[order[:k]].min(axis=0)
        assert nearest[order[k]] == pytest.approx(nearest.max())
    assert np.unique(order).size == order.size
    with pytest.raises(ValueError, match="n must be in"):
        designs.farthest_points(points, 81)


def test_tree_and_its_graph_have_one_design():
    tree = CLUSTERS["tree"]()
    first, second = (
        designs.farthest_first(c, tree.n_sites, 3) for c in (tree, Graph.from_tree(tree))
    )
    np.testing.assert_array_equal(first, second)
    assert np.sort(first).tolist() == list(range(tree.n_sites)), "all sites, each once"


@pytest.mark.parametrize("lengths", [False, True])
def test_greedy_variance_takes_the_largest_posterior_variance(lengths):
    tree = conditioned_clusters(400, 4, rng=5)
    if lengths:
        length = np.random.default_rng(0).uniform(0.1, 3.0, tree.n_sites)
        tree = Tree(tree.parent, tree.start, length)
    order = designs.greedy_variance(tree, 50, 1)
    assert np.unique(order).size == 50
    differ = 0
    for k in range(1, order.size):
        variance = posterior_variance(tree, order[:k])
        assert variance[order[k]] == pytest.approx(variance.max(), rel=1e-9)
        if not lengths:
            nearest = tree.nearest(order[:k])[0]
            differ += nearest[order[k]] < nearest.max()
    assert lengths or differ > 0, "it is not the farthest point"
    np.testing.assert_array_equal(designs.greedy_variance(tree, 20, 1), order[:20])
    everything = designs.greedy_variance(tree, tree.n_sites, 1)
    assert np.unique(everything).size == tree.n_sites


def test_greedy_kernel_variance_is_dense_conditioning():
    kernel = Matern(1.5)
    x = np.random.default_rng(1).standard_normal((80, 2))
    order = designs.greedy_kernel_variance(kernel, x, 30)
    full = kernel(x, x)
    for k in range(1, order.size):
        seen = order[:k]
        inner = np.linalg.solve(full[np.ix_(seen, seen)], full[seen])
        variance = np.diag(full) - np.einsum("ij,ij->j", full[seen], inner)
        assert variance[order[k]] == pytest.approx(variance.max(), rel=1e-6)
        assert np.sort(variance)[-2] < variance.max(), "no tie: the choice says something"
    assert np.unique(order).size == order.size
    np.testing.assert_array_equal(designs.greedy_kernel_variance(kernel, x, 10), order[:10])


def test_greedy_kernel_variance_takes_no_row_twice():
    """Copies of a point have no variance left; they come last."""
    x = np.repeat(np.random.default_rng(2).standard_normal((5, 3)), 2, axis=0)
    order = designs.greedy_kernel_variance(Matern(0.5), x, 10)
    assert np.sort(order).tolist() == list(range(10))
    assert np.sort(order[:5] // 2).tolist() == list(range(5))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("nu", "n"), [(0.5, 30), (5.5, 50)])
def test_greedy_kernel_variance_beyond_rounding(nu, n):
    """Where no variance is left, by copies of points or a smooth kernel, no row is taken twice."""
    x = np.repeat(np.random.default_rng(2).standard_normal((5, 3)), 6, axis=0)
    if nu > 5:
        x = np.linspace(0.0, 1.0, 300)[:, None]
    order = designs.greedy_kernel_variance(Matern(nu), x, n)
    assert np.unique(order).size == n


def test_random_orders_are_uniform():
    tree = Tree.from_parent([-1, 0, 0, 1])
    drawn = np.array([designs.random_order(tree, 2, seed) for seed in range(2000)])
    assert np.all(drawn[:, 0] != drawn[:, 1])
    pair = np.bincount(4 * drawn[:, 0] + drawn[:, 1], minlength=16)
    pair = np.delete(pair, [0, 5, 10, 15])
    assert chi_squared_p(pair, np.full(12, 1 / 12)) > P_FLOOR
    assert np.sort(designs.random_order(tree, 4, 0)).tolist() == [0, 1, 2, 3]


def test_wrong_designs_are_refused():
    tree = conditioned_clusters([20, 10], 3, rng=0)
    one = conditioned_clusters(20, 3, rng=0)
    message = r"a design is for one cluster; got 2.*\.cluster\(k\).*percolaw\.laws\.allocation"
    for make in (designs.farthest_first, designs.greedy_variance):
        with pytest.raises(ValueError, match=message):
            make(tree, 3)
    with pytest.raises(ValueError, match="for one cluster"):
        designs.farthest_first(Graph.from_tree(tree), 3)
    with pytest.raises(TypeError, match="exact on a Tree only; got Graph"):
        designs.greedy_variance(Graph.from_tree(one), 3)
    for make in (designs.farthest_first, designs.greedy_variance, designs.random_order):
        for n in (0, 21):
            with pytest.raises(ValueError, match=rf"n must be in \[1, 20\]; got {n}"):
                make(one, n)
    x = np.zeros((4, 2))
    for n in (0, 5):
        with pytest.raises(ValueError, match=rf"n must be in \[1, 4\]; got {n}"):
            designs.greedy_kernel_variance(Matern(0.5), x, n)
    with pytest.raises(ValueError, match="points must have 2 dimension"):
        designs.greedy_kernel_variance(Matern(0.5), np.zeros(4), 2)
