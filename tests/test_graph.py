"""Graphs: every search against networkx and SciPy on random connected graphs, and against `Tree`."""

from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse import csgraph
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p

from percolaw.graph import Graph
from percolaw.kernels.random import bits
from percolaw.rng import Streams
from percolaw.tree import Tree

properties = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@st.composite
def bond_lists(draw):
    """Sites, bonds and bounds of one to three connected clusters, numbered in no order."""
    sizes = draw(st.lists(st.integers(1, 10), min_size=1, max_size=3))
    bonds, start = [], [0]
    for size in sizes:
        first = start[-1]
        name = [first + i for i in draw(st.permutations(range(size)))]
        pairs = {(name[draw(st.integers(0, i - 1))], name[i]) for i in range(1, size)}
        if size > 2:
            pair = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
            for i, j in draw(st.lists(pair, max_size=12)):
                if i != j and (name[j], name[i]) not in pairs:
                    pairs.add((name[i], name[j]))
        bonds += sorted(pairs)
        start.append(first + size)
    low, high = np.array(bonds, dtype=np.int64).reshape(-1, 2).T
    return start[-1], low, high, start


@st.composite
def graphs(draw):
    return Graph.from_bonds(*draw(bond_lists()))


@st.composite
def graphs_and_sites(draw):
    graph = draw(graphs())
    sites = draw(st.lists(st.integers(0, graph.n_sites - 1), min_size=1, max_size=8))
    return graph, np.array(sites)


def as_networkx(graph):
    """The same graph from its rows alone."""
    out = nx.Graph()
    out.add_nodes_from(range(graph.n_sites))
    for i in range(graph.n_sites):
        out.add_edges_from(
            (i, j) for j in graph.neighbor[graph.indptr[i] : graph.indptr[i + 1]].tolist()
        )
    return out


def all_distances(graph):
    """Dijkstra by SciPy; infinite between clusters."""
    return csgraph.dijkstra(nx.to_scipy_sparse_array(as_networkx(graph)), directed=False)


def random_tree(sizes, seed):
    """Clusters in which every site hangs at a random earlier one."""
    random = np.random.default_rng(seed)
    start = np.cumsum([0, *sizes])
    parents = [np.r_[-1, a + random.integers(0, np.arange(1, b - a))] for a, b in pairwise(start)]
    return Tree.from_parent(np.concatenate(parents), start=start)


def pairs_of(low, high):
    return {(min(i, j), max(i, j)) for i, j in zip(low.tolist(), high.tolist(), strict=True)}


# ---- sizes and parts


@properties
@given(bond_lists())
def test_rows_sizes_and_loops(given_bonds):
    n, low, high, start = given_bonds
    graph = Graph.from_bonds(n, low, high, start)
    other = as_networkx(graph)
    assert pairs_of(low, high) == {(min(e), max(e)) for e in other.edges}
    assert (graph.n_sites, graph.n_bonds, graph.n_clusters) == (n, low.size, len(start) - 1)
    assert graph.n_loops == len(nx.cycle_basis(other))
    np.testing.assert_array_equal(graph.sizes, np.diff(start))
    np.testing.assert_array_equal(graph.degree(), [other.degree[i] for i in range(n)])
    a, b = graph.bonds()
    assert np.all(a < b)
    assert len(a) == len(pairs_of(a, b))
    assert pairs_of(a, b) == pairs_of(low, high)
    np.testing.assert_array_equal(
        graph.cluster_of(np.arange(n)), np.repeat(np.arange(len(start) - 1), np.diff(start))
    )
    # Neither the order of the bonds nor their direction changes what the graph says.
    turned = Graph.from_bonds(n, high[::-1], low[::-1], start)
    np.testing.assert_array_equal(turned.to_sparse().toarray(), graph.to_sparse().toarray())
    for x, y in zip(turned.nearest([0, n - 1]), graph.nearest([0, n - 1]), strict=True):
        np.testing.assert_array_equal(x, y)


@properties
@given(graphs())
def test_one_cluster_is_the_subgraph(graph):
    other = as_networkx(graph)
    for k in range(graph.n_clusters):
        part = graph.cluster(k)
        low, high = int(graph.start[k]), int(graph.start[k + 1])
        expected = nx.relabel_nodes(other.subgraph(range(low, high)), lambda i, low=low: i - low)
        assert pairs_of(*part.bonds()) == {(min(e), max(e)) for e in expected.edges}
        assert (part.n_sites, part.n_clusters) == (high - low, 1)
        assert not np.shares_memory(part.neighbor, graph.neighbor)
        assert not np.shares_memory(part.indptr, graph.indptr)
    assert sum(graph.cluster(k).n_loops for k in range(graph.n_clusters)) == graph.n_loops


# ---- nearest


@properties
@given(graphs_and_sites(), st.integers(0, 1000))
def test_nearest_is_the_nearest_with_the_smallest_hash(graph_and_sites, seed):
    graph, observed = graph_and_sites
    expected = all_distances(graph)[:, observed]
    distance, nearest = graph.nearest(observed, rng=seed)
    key = Streams(seed).key("ties")
    for i in range(graph.n_sites):
        least = expected[i].min()
        if np.isinf(least):
            assert (distance[i], nearest[i]) == (0, -1)
            continue
        assert distance[i] == least
        tied = observed[expected[i] == least]
        assert nearest[i] == min(tied.tolist(), key=lambda j: int(bits(key, np.uint64(j))))
    again = graph.nearest(np.append(observed[::-1], observed[0]), rng=seed)
    np.testing.assert_array_equal(again[0], distance)
    np.testing.assert_array_equal(again[1], nearest)


def test_nearest_on_a_large_graph_with_ties():
    tree = random_tree([3000], 4)
    random = np.random.default_rng(0)
    low, high = Graph.from_tree(tree).bonds()
    more = random.integers(0, 3000, (2, 400))
    more = more[:, more[0] != more[1]]
    pairs = pairs_of(low, high) | pairs_of(*more)
    graph = Graph.from_bonds(3000, *np.array(sorted(pairs)).T)
    assert graph.n_loops > 380
    observed = random.choice(3000, 300, replace=False)
    distance, nearest = graph.nearest(observed)
    shortest = csgraph.dijkstra(graph.to_sparse(), indices=observed, directed=False)
    np.testing.assert_array_equal(distance, shortest.min(axis=0))
    position = np.full(3000, -1)
    position[observed] = np.arange(300)
    assert np.all(position[nearest] >= 0)
    np.testing.assert_array_equal(shortest[position[nearest], np.arange(3000)], distance)
    tied = (shortest == distance).sum(axis=0)
    assert (tied > 1).sum() > 100
    other = graph.nearest(observed, rng=1)[1]
    changed = other != nearest
    assert changed.sum() > 0
    assert np.all(tied[changed] > 1)
    # Control: the tree without the loops has longer ways.
    assert np.any(tree.nearest(observed)[0] > distance)


def test_ties_are_won_uniformly():
    # A ring 0..7, a chain 4 - 8 - 9 and three leaves at its end: sites 4, 8 and 9 see the leaves, as far
    # from each, nearer than 0.
    low = [0, 1, 2, 3, 4, 5, 6, 7, 4, 8, 9, 9, 9]
    high = [1, 2, 3, 4, 5, 6, 7, 0, 8, 9, 10, 11, 12]
    graph = Graph.from_bonds(13, low, high)
    observed = np.array([0, 10, 11, 12])
    seeds = 4000
    winners = np.array([graph.nearest(observed, rng=seed)[1][[4, 8, 9]] for seed in range(seeds)])
    distance = graph.nearest(observed)[0]
    assert distance[[4, 8, 9]].tolist() == [3, 2, 1]
    leaves = np.bincount(winners[:, 0], minlength=13)[10:]
    assert leaves.sum() == seeds
    assert chi_squared_p(leaves, np.full(3, 1 / 3)) > P_FLOOR
    np.testing.assert_array_equal(winners[:, 0], winners[:, 2])  # one decision, passed on
    # Sites between two observed ones of a ring.
    ring = Graph.from_bonds(6, np.arange(6), (np.arange(6) + 1) % 6)
    winners = np.array([ring.nearest([0, 2, 4], rng=seed)[1][[1, 3, 5]] for seed in range(seeds)])
    for site, (a, b) in zip(winners.T, ((0, 2), (2, 4), (0, 4)), strict=True):
        share = np.mean(site == a)
        assert np.all((site == a) | (site == b))
        error = 0.5 / np.sqrt(seeds)
        assert_close(share, 0.5, error)
        assert_far(share, 0.55, error)
    # A site reached over two shortest ways has no better chance than one reached over one.
    # Site 5 sees 0 over 1 and over 2, and 4 over 3.
    kite = Graph.from_bonds(6, [0, 0, 1, 2, 3, 3], [1, 2, 5, 5, 5, 4])
    share = np.mean([kite.nearest([0, 4], rng=seed)[1][5] == 0 for seed in range(seeds)])
    assert_close(share, 0.5, error)
    assert_far(share, 2 / 3, error)


def test_int64_neighbours_give_the_same():
    graph = Graph.from_bonds(7, [0, 1, 2, 3, 4, 5], [1, 2, 0, 4, 5, 6], start=[0, 3, 7])
    wide = Graph(graph.indptr, graph.neighbor.astype(np.int64), graph.start)
    assert graph.neighbor.dtype == np.int32
    for a, b in zip(graph.nearest([1, 5]), wide.nearest([1, 5]), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(graph.core(), wide.core())
    assert graph.core().tolist() == [True] * 3 + [False] * 4


# ---- searches


@properties
@given(graphs())
def test_spanning_tree_holds_shortest_paths(graph):
    tree, site = graph.spanning_tree()
    Tree.from_parent(tree.parent, tree.start)
    np.testing.assert_array_equal(np.sort(site), np.arange(graph.n_sites))
    np.testing.assert_array_equal(tree.start, graph.start)
    np.testing.assert_array_equal(site[tree.start[:-1]], graph.start[:-1])
    expected = all_distances(graph)[graph.start[graph.cluster_of(site)], site]
    np.testing.assert_array_equal(tree.depth(), expected)
    assert all(np.all(np.diff(tree.depth()[a:b]) >= 0) for a, b in pairwise(tree.start))
    child = np.flatnonzero(tree.parent >= 0)
    bonds = pairs_of(*graph.bonds())
    assert pairs_of(site[child], site[tree.parent[child]]) <= bonds
    assert graph.n_bonds - child.size == graph.n_loops
    assert graph.spanning_tree()[0] is tree  # made once


@properties
@given(graphs())
def test_distances_from_one_site(graph):
    expected = all_distances(graph)
    for i in range(graph.n_sites):
        np.testing.assert_array_equal(graph.distances_from(i), expected[i])


@properties
@given(graphs_and_sites(), st.booleans())
def test_span_holds_shortest_paths_from_the_first_site(graph_and_sites, collapse):
    graph, sites = graph_and_sites
    span = graph.span(sites, collapse=collapse)
    part = Tree.from_parent(span.tree.parent, span.tree.start, span.tree.length)
    np.testing.assert_array_equal(span.site[span.index], sites)
    assert np.unique(span.site).size == part.n_sites
    np.testing.assert_array_equal(span.cluster, np.unique(graph.cluster_of(sites)))
    np.testing.assert_array_equal(
        span.cluster[part.cluster_of(np.arange(part.n_sites))], graph.cluster_of(span.site)
    )
    expected = all_distances(graph)
    tree, site = graph.spanning_tree()
    place = np.argsort(site)
    u, v = (x.ravel() for x in np.indices((sites.size, sites.size)))
    got = csgraph.dijkstra(part.to_sparse(), directed=False)[span.index[u], span.index[v]]
    whole = csgraph.dijkstra(tree.to_sparse(), directed=False)
    np.testing.assert_array_equal(got, whole[place[sites[u]], place[sites[v]]])
    assert np.all(got >= expected[sites[u], sites[v]])
    if graph.n_loops == 0:
        np.testing.assert_array_equal(got, expected[sites[u], sites[v]])
    if not collapse:
        first = graph.start[span.cluster]
        np.testing.assert_array_equal(span.site[part.start[:-1]], first)
        depth = expected[graph.start[graph.cluster_of(span.site)], span.site]
        np.testing.assert_array_equal(part.depth(), depth)


def test_span_can_be_longer_than_the_graph_where_there_are_loops():
    ring = Graph.from_bonds(6, np.arange(6), (np.arange(6) + 1) % 6)
    span = ring.span([2, 4])
    # 2 and 4 are two steps apart over 3, but the paths from site 0 do not pass there.
    assert ring.distances_from(2)[4] == 2
    between = csgraph.dijkstra(span.tree.to_sparse(), directed=False)
    assert between[span.index[0], span.index[1]] == 4
    assert set(span.site.tolist()) == {0, 1, 2, 4, 5}


@properties
@given(st.data())
def test_trees_go_there_and_back(data):
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    tree = random_tree(sizes, data.draw(st.integers(0, 1000)))
    graph = Graph.from_tree(tree)
    assert graph.n_loops == 0
    np.testing.assert_array_equal(graph.start, tree.start)
    np.testing.assert_array_equal(graph.to_sparse().toarray(), tree.to_sparse().toarray())
    back, site = graph.to_tree()
    assert back.length is None
    np.testing.assert_array_equal(back.start, tree.start)
    child = np.flatnonzero(back.parent >= 0)
    # Parents stay parents: both are rooted at the first site of each cluster.
    np.testing.assert_array_equal(site[back.parent[child]], tree.parent[site[child]])
    np.testing.assert_array_equal(site[back.start[:-1]], tree.start[:-1])


def test_loops_and_lengths_are_no_trees_and_graphs():
    with pytest.raises(ValueError, match=r"have 1 loops, so they are no trees\. Use spanning_tree"):
        Graph.from_bonds(3, [0, 1, 2], [1, 2, 0]).to_tree()
    with pytest.raises(ValueError, match="bonds of length one; this tree has lengths"):
        Graph.from_tree(Tree.from_parent([-1, 0], length=[1.0, 2.0]))


# ---- core


@properties
@given(graphs())
def test_core_is_the_two_core(graph):
    other = as_networkx(graph)
    core = np.flatnonzero(graph.core()).tolist()
    assert set(core) == set(nx.k_core(other, 2).nodes)
    # Sites are cut off as ends: one neighbour is left when they go, the one given; the last of a tree
    # has none.
    removed, above = graph.pruned()
    assert sorted(removed.tolist() + core) == list(range(graph.n_sites))
    assert np.all(above[core] == -1)
    for i in removed.tolist():
        left = list(other.neighbors(i))
        assert left == ([] if above[i] == -2 else [above[i]])
        other.remove_node(i)
    trees = sum(graph.cluster(k).n_loops == 0 for k in range(graph.n_clusters))
    assert np.count_nonzero(above == -2) == trees


def test_core_holds_bridges_between_loops():
    # Triangle 0 1 2, bridge 2 - 3 - 4, triangle 4 5 6, and a tail 7 - 8 at site 3.
    graph = Graph.from_bonds(9, [0, 1, 2, 2, 3, 4, 5, 6, 3, 7], [1, 2, 0, 3, 4, 5, 6, 4, 7, 8])
    assert graph.core().tolist() == [True] * 7 + [False] * 2
    removed, above = graph.pruned()
    assert removed.tolist() == [8, 7]
    assert above.tolist() == [-1] * 7 + [3, 7]


# ---- other libraries


@properties
@given(graphs())
def test_laplacian_and_sparse(graph):
    other = as_networkx(graph)
    nodes = range(graph.n_sites)
    adjacency = nx.to_numpy_array(other, nodelist=nodes)
    np.testing.assert_array_equal(graph.to_sparse().toarray(), adjacency)
    laplacian = graph.laplacian()
    assert laplacian.format == "csr"
    expected = np.diag(adjacency.sum(axis=0)) - adjacency
    np.testing.assert_array_equal(laplacian.toarray(), expected)
    # As many zero modes as clusters.
    modes = np.linalg.eigvalsh(laplacian.toarray())
    assert np.count_nonzero(np.abs(modes) < 1e-9) == graph.n_clusters


@properties
@given(graphs(), st.randoms(use_true_random=False))
def test_sparse_round_trip_with_sites_in_any_order(graph, random):
    shuffled = list(range(graph.n_sites))
    random.shuffle(shuffled)
    matrix = graph.to_sparse().toarray()[np.ix_(shuffled, shuffled)]
    back, old = Graph.from_sparse(sparse.csr_array(matrix))
    np.testing.assert_array_equal(np.sort(old), np.arange(graph.n_sites))
    np.testing.assert_array_equal(back.to_sparse().toarray(), matrix[np.ix_(old, old)])
    assert sorted(back.sizes.tolist()) == sorted(graph.sizes.tolist())
    back.spanning_tree()  # every cluster is connected
    # Clusters in order of their first sites, sites of each in rising order.
    assert np.all(np.diff(old[back.start[:-1]]) > 0)
    for a, b in pairwise(back.start.tolist()):
        assert np.all(np.diff(old[a:b]) > 0)
    # One triangle is enough, and values do not matter.
    half, _ = Graph.from_sparse(sparse.triu(7.0 * matrix))
    np.testing.assert_array_equal(half.to_sparse().toarray(), back.to_sparse().toarray())


# ---- wrong input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3, [0, 1, 1], [1, 2, 1]), "site 1 has a bond with itself; leave it out"),
        ((3, [0, 1, 0], [1, 2, 1]), "a bond is given twice; give each once, in either direction"),
        ((3, [0, 1, 1], [1, 2, 0]), "a bond is given twice"),
        ((3, [0], [1]), "cluster 0 is not connected, or has a bond to another one. Renumber"),
        ((4, [0, 1, 2], [1, 2, 0]), "cluster 0 is not connected"),
        ((5, [0, 2], [1, 3], [0, 2, 5]), "cluster 1 is not connected"),
        ((3, [0, 1], [1, 2], [0, 2, 3]), "a bond joins two clusters; join them in start"),
        ((3, [0, 1], [1, 2], [1, 3]), "start must rise strictly from 0 to 3; got"),
        ((3, [0, 1], [1, 2], [0, 2]), "start must rise strictly from 0 to 3"),
        ((3, [0, 1], [1, 2], [0, 3, 3]), "start must rise strictly from 0 to 3"),
        ((3, [0, 1], [1, 2], [0, 4, 3]), "start must rise strictly from 0 to 3"),
        ((3, [0, 1], [1]), r"low and high must have one shape; got \(2,\) and \(1,\)"),
        ((3, [0, 1], [1, 3]), r"high must lie in \[0, 2\]; got ids from 1 to 3"),
        ((3, [-1, 1], [1, 2]), r"low must lie in \[0, 2\]; got ids from -1 to 1"),
        ((0, [], []), r"n_sites must be in \[1, inf\]; got 0"),
    ],
)
def test_malformed_bonds_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Graph.from_bonds(*arguments)


@pytest.mark.parametrize("start", [[], [[0, 3]], [0, 2.7, 3]])
def test_malformed_starts_are_refused(start):
    with pytest.raises((TypeError, ValueError), match="start must"):
        Graph.from_bonds(3, [0], [1], start=start)


@pytest.mark.parametrize(("there", "back"), [(0.0, 0.0), (1.0, -1.0)])
def test_clusters_of_any_matrix_are_connected(there, back):
    values = (np.array([there, back]), (np.array([0, 1]), np.array([1, 0])))
    graph, _ = Graph.from_sparse(sparse.coo_array(values, shape=(2, 2)).tocsr())
    assert graph.n_clusters + graph.n_bonds == 2
    graph.spanning_tree()


def test_messages_about_sites():
    graph = Graph.from_bonds(3, [0, 1], [1, 2])
    with pytest.raises(TypeError, match="low must be integer site ids; got dtype float64"):
        Graph.from_bonds(2, [0.0], [1])
    with pytest.raises(ValueError, match=r"observed must lie in \[0, 2\]; got ids from 0 to 3"):
        graph.nearest([0, 3])
    with pytest.raises(ValueError, match=r"sites must lie in \[0, 2\]; got ids from -1 to 1"):
        graph.span([-1, 1])
    with pytest.raises(ValueError, match="sites is empty; give at least one site to span"):
        graph.span([])
    with pytest.raises(ValueError, match=r"index must be in \[0, 0\]; got 1"):
        graph.cluster(1)
    with pytest.raises(ValueError, match=r"source must be in \[0, 2\]; got 3"):
        graph.distances_from(3)


def test_small_matters():
    one = Graph.from_bonds(1, [], [])
    assert (one.n_sites, one.n_bonds, one.n_loops, one.n_clusters) == (1, 0, 0, 1)
    assert one.nearest([])[1].tolist() == [-1]
    assert one.nearest([0])[0].tolist() == [0]
    assert one.core().tolist() == [False]
    assert one.pruned()[1].tolist() == [-2]
    assert one.span([0, 0]).index.tolist() == [0, 0]
    assert one.to_tree()[0].parent.tolist() == [-1]
    pair = Graph.from_bonds(2, [1], [0])
    assert [x.tolist() for x in pair.pruned()] == [[0, 1], [1, -2]]
