"""Trees: every pass against shortest paths computed elsewhere, on random forests."""

from concurrent.futures import ThreadPoolExecutor

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse import csgraph
from scipy.stats import binom
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.errors import ResourceError
from percolaw.kernels.random import bits
from percolaw.kernels.tree import bernoulli_sites
from percolaw.rng import Streams
from percolaw.structure import INT32_SITES, index_dtype
from percolaw.tree import Tree

properties = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@st.composite
def forests(draw):
    """A valid forest of one to four clusters; lengths are multiples of 1/4, so sums are exact."""
    sizes = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4))
    parent, start = [], [0]
    for size in sizes:
        low = start[-1]
        parent.append(-1)
        parent += [draw(st.integers(low, low + i - 1)) for i in range(1, size)]
        start.append(low + size)
    length = None
    if draw(st.booleans()):
        quarters = st.lists(st.integers(1, 20), min_size=len(parent), max_size=len(parent))
        length = np.array(draw(quarters)) / 4.0
    return Tree.from_parent(parent, start=start, length=length)


@st.composite
def forests_and_sites(draw):
    tree = draw(forests())
    sites = draw(st.lists(st.integers(0, tree.n_sites - 1), min_size=1, max_size=8))
    return tree, np.array(sites)


def all_distances(tree):
    """Shortest paths by scipy from the parents alone; infinite between clusters."""
    n = tree.n_sites
    graph = np.zeros((n, n))
    for i, p in enumerate(tree.parent.tolist()):
        if p >= 0:
            graph[i, p] = graph[p, i] = 1.0 if tree.length is None else tree.length[i]
    return csgraph.shortest_path(sparse.csr_array(graph), directed=False)


def clusters_of(tree):
    return np.repeat(np.arange(tree.n_clusters), tree.sizes)


# ---- passes


@properties
@given(forests())
def test_depth_sizes_and_degrees(tree):
    distance = all_distances(tree)
    root = tree.start[clusters_of(tree)]
    depth = tree.depth()
    assert depth.dtype == (np.int32 if tree.length is None else np.float64)
    np.testing.assert_array_equal(depth, distance[root, np.arange(tree.n_sites)])
    # i is above j (or is j) exactly if the path from the root to j passes i.
    with np.errstate(invalid="ignore"):
        above = depth[:, None] + distance == depth[None, :]
    np.testing.assert_array_equal(tree.subtree_size(), above.sum(axis=1))
    np.testing.assert_array_equal(tree.degree(), adjacent(tree).sum(axis=1))
    children = [np.count_nonzero(tree.parent == i) for i in range(tree.n_sites)]
    np.testing.assert_array_equal(tree.child_count(), children)


def adjacent(tree):
    graph = np.zeros((tree.n_sites, tree.n_sites), dtype=bool)
    child = np.flatnonzero(tree.parent >= 0)
    graph[child, tree.parent[child]] = graph[tree.parent[child], child] = True
    return graph


@properties
@given(forests())
def test_distance_between_all_pairs(tree):
    expected = all_distances(tree)
    u, v = (x.ravel() for x in np.indices(expected.shape))
    got = tree.distance_between(u, v)
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, expected.ravel())
    graph = tree.to_networkx()
    lengths = dict(nx.all_pairs_dijkstra_path_length(graph, weight="length"))
    for i in range(tree.n_sites):
        reached = lengths[i]
        assert set(reached) == set(np.flatnonzero(np.isfinite(expected[i])).tolist())
        assert all(expected[i, j] == reached[j] for j in reached)


@properties
@given(forests(), st.integers(0, 2**32 - 1))
def test_accumulate_sums_along_the_path_from_the_root(tree, seed):
    steps = np.random.default_rng(seed).integers(-8, 8, tree.n_sites) / 4.0
    before = steps.copy()
    walk = tree.accumulate(steps)
    for i in range(tree.n_sites):
        total, j = 0.0, i
        while j >= 0:
            total += steps[j]
            j = tree.parent[j]
        assert walk[i] == total
    np.testing.assert_array_equal(steps, before)


@properties
@given(forests_and_sites(), st.integers(0, 1000))
def test_nearest_is_the_nearest_with_the_smallest_hash(tree_and_sites, seed):
    tree, observed = tree_and_sites
    expected = all_distances(tree)[:, observed]
    distance, nearest = tree.nearest(observed, rng=seed)
    key = Streams(seed).key("ties")
    for i in range(tree.n_sites):
        least = expected[i].min()
        if np.isinf(least):
            assert (distance[i], nearest[i]) == (0, -1)
            continue
        assert distance[i] == least
        tied = observed[expected[i] == least]
        assert nearest[i] in tied
        assert nearest[i] == min(tied.tolist(), key=lambda j: int(bits(key, np.uint64(j))))
    # Neither order nor repeats of the observed sites matter.
    other = tree.nearest(np.append(observed[::-1], observed[0]), rng=seed)
    np.testing.assert_array_equal(other[0], distance)
    np.testing.assert_array_equal(other[1], nearest)


@properties
@given(forests())
def test_clusters(tree):
    assert tree.n_sites == tree.sizes.sum()
    cluster = tree.cluster_of(np.arange(tree.n_sites))
    np.testing.assert_array_equal(cluster, clusters_of(tree))
    distance = all_distances(tree)
    for k in range(tree.n_clusters):
        part = tree.cluster(k)
        part = Tree.from_parent(part.parent, part.start, part.length)
        low, high = tree.start[k], tree.start[k + 1]
        np.testing.assert_array_equal(all_distances(part), distance[low:high, low:high])
        # A copy: changing it does not reach the whole.
        assert not np.shares_memory(part.parent, tree.parent)


@pytest.mark.slow  # compiles all kernels of trees a second time; graphs have the same test
@properties
@given(forests_and_sites(), st.integers(0, 100))
def test_int64_parents_give_the_same(tree_and_sites, seed):
    tree, sites = tree_and_sites
    wide = Tree(tree.parent.astype(np.int64), tree.start, tree.length)
    assert tree.parent.dtype == np.int32
    for name in ("depth", "subtree_size", "degree"):
        np.testing.assert_array_equal(getattr(tree, name)(), getattr(wide, name)())
    np.testing.assert_array_equal(
        tree.distance_between(sites, sites[::-1]), wide.distance_between(sites, sites[::-1])
    )
    for a, b in zip(tree.nearest(sites, seed), wide.nearest(sites, seed), strict=True):
        np.testing.assert_array_equal(a, b)
    for collapse in (False, True):
        a, b = tree.span(sites, collapse=collapse), wide.span(sites, collapse=collapse)
        for x, y in ((a.site, b.site), (a.index, b.index), (a.tree.parent, b.tree.parent)):
            np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(tree.cluster(0).parent, wide.cluster(0).parent)


# ---- span


@properties
@given(forests_and_sites(), st.booleans())
def test_span_keeps_the_distances_between_asked_sites(tree_and_sites, collapse):
    tree, sites = tree_and_sites
    span = tree.span(sites, collapse=collapse)
    part = Tree.from_parent(span.tree.parent, span.tree.start, span.tree.length)
    np.testing.assert_array_equal(span.site[span.index], sites)
    assert np.unique(span.site).size == part.n_sites
    u, v = (x.ravel() for x in np.indices((sites.size, sites.size)))
    np.testing.assert_array_equal(
        part.distance_between(span.index[u], span.index[v]),
        tree.distance_between(sites[u], sites[v]),
    )
    np.testing.assert_array_equal(span.cluster, np.unique(tree.cluster_of(sites)))
    np.testing.assert_array_equal(
        span.cluster[part.cluster_of(np.arange(part.n_sites))], tree.cluster_of(span.site)
    )
    # Every kept site, asked or not, is where it was.
    i, j = (x.ravel() for x in np.indices((part.n_sites, part.n_sites)))
    np.testing.assert_array_equal(
        part.distance_between(i, j), tree.distance_between(span.site[i], span.site[j])
    )


@properties
@given(forests_and_sites())
def test_span_holds_exactly_the_paths_and_collapse_the_branch_points(tree_and_sites):
    tree, sites = tree_and_sites
    wanted = set()
    for i in sites.tolist():
        while i >= 0 and i not in wanted:
            wanted.add(i)
            i = int(tree.parent[i])
    plain = tree.span(sites)
    assert set(plain.site.tolist()) == wanted
    children = {i: sum(int(tree.parent[j]) == i for j in wanted) for i in wanted}
    asked = set(sites.tolist())
    kept = tree.span(sites, collapse=True)
    assert set(kept.site.tolist()) == {i for i in wanted if i in asked or children[i] > 1}
    assert kept.tree.n_sites <= 2 * len(asked) - 1


def test_span_asks_for_the_memory_that_it_takes(monkeypatch):
    """Trees of z = 3 span most: 26,000 sites of 200,000 for 1000 random ones."""
    tree = conditioned_clusters(200_000, 3, rng=0)
    sites = np.random.default_rng(0).integers(0, tree.n_sites, 1000)
    taken = 40.0 * sites.size + 4.0 * tree.n_sites + 32.0 * tree.span(sites).tree.n_sites
    monkeypatch.setattr("percolaw.checks.available_memory", lambda: int(0.95 * taken))
    with pytest.raises(ResourceError, match="Ask for fewer sites"):
        tree.span(sites)


@properties
@given(forests_and_sites(), st.integers(0, 2**32 - 1))
def test_span_twice_from_one_tree_equals_fresh_trees(tree_and_sites, seed):
    # The scratch array kept on the tree must be clean after every call.
    tree, sites = tree_and_sites
    other = np.random.default_rng(seed).integers(0, tree.n_sites, 5)
    for asked in (sites, other, sites[:1], other):
        again = tree.span(asked)
        fresh = Tree(tree.parent.copy(), tree.start, tree.length).span(asked)
        for name in ("site", "index", "cluster"):
            np.testing.assert_array_equal(getattr(again, name), getattr(fresh, name))
        np.testing.assert_array_equal(again.tree.parent, fresh.tree.parent)


def test_threads_calling_span_at_once_agree():
    tree = conditioned_clusters([30_000, 10_000], rng=3)
    requests = [np.random.default_rng(i).integers(0, tree.n_sites, 50) for i in range(64)]

    def spanned(sites):
        span = tree.span(sites, collapse=True)
        return span.site.tobytes() + span.tree.parent.tobytes() + span.tree.length.tobytes()

    alone = [spanned(sites) for sites in requests]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(spanned, requests)) == alone
    assert len(set(alone)) == len(alone)


# ---- ties


def test_ties_are_won_uniformly_and_in_no_direction():
    # A root with a leaf above the chain 0-1-2: site 1 sees 0 (towards the root), 3 and 4 (below).
    # Sites 5..9: a star whose centre 5 sees four leaves.
    tree = Tree.from_parent([-1, 0, 1, 1, 1, -1, 5, 5, 5, 5])
    observed = np.array([0, 2, 3, 4, 6, 7, 8, 9])
    winners = np.array([tree.nearest(observed, rng=seed)[1][[1, 5]] for seed in range(6000)])
    chain = np.bincount(winners[:, 0], minlength=5)[[0, 2, 3, 4]]
    star = np.bincount(winners[:, 1], minlength=10)[6:]
    flat = np.full(4, 0.25)
    assert chain.sum() == star.sum() == 6000
    assert chi_squared_p(chain, flat) > P_FLOOR
    assert chi_squared_p(star, flat) > P_FLOOR
    # The site towards the root is no different from those below.
    error = np.sqrt(0.25 * 0.75 / 6000)
    assert_close(chain[0] / 6000, 0.25, error)
    # Two ties are decided independently.
    joint = np.bincount(
        4 * np.searchsorted([0, 2, 3, 4], winners[:, 0]) + winners[:, 1] - 6, minlength=16
    )
    assert chi_squared_p(joint, np.full(16, 1 / 16)) > P_FLOOR
    # Controls: a winner that is 1.15 times as likely towards the root, and a shared decision.
    assert chi_squared_p(chain, np.array([1.15, 0.95, 0.95, 0.95]) / 4) < P_FLOOR
    assert_far(chain[0] / 6000, 1.15 / 4, error)
    shared = np.bincount(4 * (winners[:, 1] - 6) + (winners[:, 1] - 6), minlength=16)
    assert chi_squared_p(shared, np.full(16, 1 / 16)) < P_FLOOR


def test_nearest_on_a_large_tree_with_ties():
    tree = conditioned_clusters(3000, 3, rng=4)
    observed = np.random.default_rng(0).choice(3000, 300, replace=False)
    distance, nearest = tree.nearest(observed)
    shortest = csgraph.dijkstra(tree.to_sparse(), indices=observed, directed=False)
    np.testing.assert_array_equal(distance, shortest.min(axis=0))
    assert np.isin(nearest, observed).all()
    np.testing.assert_array_equal(tree.distance_between(np.arange(3000), nearest), distance)
    tied = (shortest == distance).sum(axis=0)
    assert (tied > 1).sum() > 100
    # Another key changes winners, but only where there is a choice.
    other = tree.nearest(observed, rng=1)[1]
    assert 0 < (other != nearest).sum() <= (tied > 1).sum()


# ---- other libraries


@properties
@given(forests())
def test_sparse_round_trip(tree):
    matrix = tree.to_sparse()
    expected = all_distances(tree)
    np.testing.assert_array_equal(matrix.toarray(), matrix.toarray().T)
    back, old = Tree.from_sparse(matrix)
    assert (back.n_sites, back.n_clusters) == (tree.n_sites, tree.n_clusters)
    np.testing.assert_array_equal(np.sort(old), np.arange(tree.n_sites))
    np.testing.assert_array_equal(all_distances(back), expected[np.ix_(old, old)])
    # Each part is rooted at its smallest site.
    np.testing.assert_array_equal(old[back.start[:-1]], tree.start[:-1])
    # One triangle is enough.
    half, _ = Tree.from_sparse(sparse.triu(matrix))
    np.testing.assert_array_equal(half.parent, back.parent)


@properties
@given(forests(), st.randoms(use_true_random=False))
def test_networkx_round_trip_with_named_nodes(tree, random):
    names = [f"site {i}" for i in range(tree.n_sites)]
    graph = nx.Graph()
    shuffled = names.copy()
    random.shuffle(shuffled)
    graph.add_nodes_from(shuffled)
    for u, v, data in tree.to_networkx().edges(data=True):
        graph.add_edge(names[u], names[v], length=data["length"])
    back, nodes = Tree.from_networkx(graph)
    assert sorted(nodes) == sorted(names)
    old = np.array([int(name.split()[1]) for name in nodes])
    np.testing.assert_array_equal(all_distances(back), all_distances(tree)[np.ix_(old, old)])


def test_networkx_edges_without_a_length_count_one():
    tree, nodes = Tree.from_networkx(nx.path_graph(5))
    assert tree.length is None
    assert nodes == list(range(5))
    assert tree.depth().tolist() == [0, 1, 2, 3, 4]


def test_graphs_that_are_no_forests_are_refused():
    with pytest.raises(ValueError, match=r"not a forest: 4 edges, 4 sites, 1 parts\. Take"):
        Tree.from_networkx(nx.cycle_graph(4))
    with pytest.raises(ValueError, match="length must be positive"):
        Tree.from_sparse(np.array([[0.0, -1.0], [-1.0, 0.0]]))


def test_a_site_joined_to_itself_is_a_cycle():
    graph = nx.path_graph(3)
    graph.add_edge(1, 1)
    with pytest.raises(ValueError, match="self-loops"):
        Tree.from_networkx(graph)


def test_a_matrix_with_two_lengths_for_one_edge_is_refused():
    with pytest.raises(ValueError, match="symmetric"):
        Tree.from_sparse(np.array([[0.0, 1.0], [2.0, 0.0]]))


# ---- wrong input


@pytest.mark.parametrize(
    ("parent", "start", "message"),
    [
        ([-1, 2, 0], None, "site 1 has parent 2; a root .* Renumber the sites"),
        ([-1, 1], None, "site 1 has parent 1"),
        ([-1, 0, -1, 1], None, "site 3 has parent 1; .* earlier site of the same cluster"),
        ([-1, 0, -1], [0, 3], "site 2 has parent -1"),
        ([-1, 0, 0], [0, 2, 3], "site 2 has parent 0; a root"),
        ([-1, -2], None, r"parent must lie in -1\.\.1; got values from -2 to"),
        ([-2, 0], None, r"parent must lie in -1\.\.1; got values from -2 to"),
        ([0, 0], None, r"start must rise strictly from 0 to the number of sites \(2\)"),
        ([-1, 0], [0, 0, 2], "start must rise strictly"),
        ([-1, 0], [0, 1], "start must rise strictly"),
        ([-1, 0], [1, 2], "start must rise strictly"),
        ([-1, 0], [[0, 2]], "start must rise strictly"),
        ([-1, 0], [0], "start must rise strictly"),
    ],
)
def test_malformed_parents_are_refused(parent, start, message):
    with pytest.raises(ValueError, match=message):
        Tree.from_parent(parent, start=start)


@pytest.mark.parametrize("parent", [[], [-1.0, 0.0], [[-1, 0]], ["a"], [True], -1])
def test_parents_of_another_type_are_refused(parent):
    with pytest.raises(
        TypeError, match=r"parent must be (a non-empty one-dim.* integer array|numeric)"
    ):
        Tree.from_parent(parent)


@pytest.mark.parametrize(
    ("length", "error", "message"),
    [
        ([1.0, 0.0, 1.0], ValueError, "length must be positive at every site that has a parent"),
        ([1.0, -2.0, 1.0], ValueError, "length must be positive"),
        ([1.0, np.nan, 1.0], ValueError, r"length has 1 non-finite value\(s\) of 3"),
        ([1.0, np.inf, 1.0], ValueError, "non-finite"),
        ([1.0, 1.0], ValueError, "length must have 3 rows; got 2"),
        ([[1.0, 1.0, 1.0]], ValueError, r"length must have 1 dimension\(s\)"),
        (["a", "b", "c"], TypeError, "length must be numeric"),
    ],
)
def test_bad_lengths_are_refused(length, error, message):
    with pytest.raises(error, match=message):
        Tree.from_parent([-1, 0, 0], length=length)


def test_lengths_at_roots_are_ignored():
    tree = Tree.from_parent([-1, 0, -1], length=[-5.0, 2.0, 0.0])
    assert tree.depth().tolist() == [0.0, 2.0, 0.0]


@pytest.mark.parametrize(
    "parent", [np.array([-1, 2**32]), np.array([2**32 - 1, 0], dtype=np.uint32)]
)
def test_ids_beyond_int32_are_refused_not_wrapped(parent):
    with pytest.raises(ValueError, match="parent must lie in"):
        Tree.from_parent(parent)


def test_fractional_starts_are_refused():
    with pytest.raises((TypeError, ValueError), match="start"):
        Tree.from_parent([-1, 0, -1], start=[0, 2.7, 3])


def test_messages_about_sites():
    tree = Tree.from_parent([-1, 0, 0])
    with pytest.raises(ValueError, match=r"observed must lie in \[0, 2\]; got ids from 0 to 3"):
        tree.nearest([0, 3])
    with pytest.raises(ValueError, match=r"sites must lie in \[0, 2\]; got ids from -1 to 1"):
        tree.span([-1, 1])
    with pytest.raises(TypeError, match="observed must be integer site ids; got dtype float64"):
        tree.nearest([0.0])
    with pytest.raises(TypeError, match="observed must be integer site ids; got dtype bool"):
        tree.nearest([True, False, False])
    with pytest.raises(ValueError, match="sites is empty; give at least one site to span"):
        tree.span([])
    with pytest.raises(ValueError, match="first and second must have one shape"):
        tree.distance_between([0, 1], [2])
    with pytest.raises(ValueError, match=r"index must be in \[0, 0\]; got 1"):
        tree.cluster(1)
    with pytest.raises(ValueError, match="steps must have 3 rows; got 2"):
        tree.accumulate([0.0, 1.0])
    with pytest.raises(ValueError, match="steps has 1 non-finite"):
        tree.accumulate([0.0, np.nan, 1.0])


def test_small_matters():
    one = Tree.from_parent([-1])
    assert (one.depth().tolist(), one.degree().tolist()) == ([0], [0])
    assert one.nearest([])[1].tolist() == [-1]
    assert one.span([0, 0], collapse=True).index.tolist() == [0, 0]
    assert repr(Tree.from_parent([-1, 0, -1])) == "Tree(3 sites, 2 clusters, unit edges)"
    assert index_dtype(INT32_SITES) is np.int32
    assert index_dtype(INT32_SITES + 1) is np.int64


# ---- Bernoulli sites


def test_bernoulli_sites_have_their_rates():
    size, rates = 12, np.array([0.0, 0.3, 1.0, 0.05, 0.9])
    start = np.arange(0, 6 * size, size)
    picks = np.zeros((4000, 5, size), dtype=np.int64)
    for k in range(len(picks)):
        sites = bernoulli_sites(start, rates, np.uint64(k))
        assert np.all(np.diff(sites) > 0)
        picks[k].ravel()[sites] = 1
    assert picks[:, 0].sum() == 0
    assert picks[:, 2].all()
    for cluster in (1, 3, 4):
        rate, got = rates[cluster], picks[:, cluster]
        error = np.sqrt(rate * (1 - rate) / len(picks))
        # Every position alone, first and last included; pairs of neighbours; the number picked.
        for position in range(size):
            assert_close(got[:, position].mean(), rate, error)
        pairs = (got[:, 1:] * got[:, :-1]).mean(axis=0)
        for pair in pairs:
            assert_close(pair, rate**2, np.sqrt(rate**2 * (1 - rate**2) / len(picks)))
        counts = np.bincount(got.sum(axis=1), minlength=size + 1)
        assert chi_squared_p(counts, binom.pmf(np.arange(size + 1), size, rate)) > P_FLOOR
        # Control: a rate off by a tenth.
        wrong = binom.pmf(np.arange(size + 1), size, 0.9 * rate)
        total_error = error / np.sqrt(size)
        assert_far(got.mean(), 0.9 * rate, total_error)
        if cluster != 3:
            assert chi_squared_p(counts, wrong) < P_FLOOR
    # Clusters are independent of each other (and are not copies of one another).
    joint = np.bincount(2 * picks[:, 1].ravel() + picks[:, 4].ravel(), minlength=4)
    law = np.outer([0.7, 0.3], [0.1, 0.9]).ravel()
    assert chi_squared_p(joint, law) > P_FLOOR
    assert chi_squared_p(joint, [0.1, 0.6, 0.0 + 1e-12, 0.3 - 1e-12]) < P_FLOOR


def test_bernoulli_sites_of_a_cluster_do_not_depend_on_the_other_rates():
    start = np.array([0, 500, 1300, 1301, 4000])
    key = Streams(0).key("split")

    def picked(rates, cluster):
        sites = bernoulli_sites(start, np.array(rates), key)
        return sites[(sites >= start[cluster]) & (sites < start[cluster + 1])]

    base = picked([0.1, 0.2, 0.5, 0.01], 1)
    assert base.size > 100
    for rates in ([0.0, 0.2, 0.5, 0.01], [1.0, 0.2, 0.0, 1.0], [0.9, 0.2, 1.0, 0.3]):
        np.testing.assert_array_equal(picked(rates, 1), base)
    assert not np.array_equal(picked([0.1, 0.21, 0.5, 0.01], 1), base)
    assert bernoulli_sites(start, np.zeros(4), key).size == 0
    np.testing.assert_array_equal(bernoulli_sites(start, np.ones(4), key), np.arange(4000))


def test_bernoulli_sites_at_a_small_rate_on_many_sites():
    start = np.array([0, 10**12])
    n = [bernoulli_sites(start, np.array([1e-9]), np.uint64(k)).size for k in range(200)]
    assert_close(np.mean(n), 1000.0, np.sqrt(1000 / 200))
    assert_far(np.mean(n), 1020.0, np.sqrt(1000 / 200))
