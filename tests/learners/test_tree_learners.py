"""Learners on trees against brute force, and the laws of the nearest observed site."""

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statistical import P_FLOOR, chi_squared_p

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.learners.observations import observe
from percolaw.learners.tree_nearest import TreeNearest
from percolaw.learners.tree_posterior import TreePosterior, posterior_variance
from percolaw.targets.tree_walk import TreeWalk
from percolaw.tree import Tree

# ---- brute force: path lengths by networkx, everything else from them


def distance_matrix(tree):
    graph = nx.Graph()
    graph.add_nodes_from(range(tree.n_sites))
    for child, parent in enumerate(tree.parent.tolist()):
        if parent >= 0:
            length = 1.0 if tree.length is None else float(tree.length[child])
            graph.add_edge(parent, child, w=length)
    out = np.full((tree.n_sites, tree.n_sites), np.inf)
    for u, row in nx.all_pairs_dijkstra_path_length(graph, weight="w"):
        for v, d in row.items():
            out[u, v] = d
    return out


def brute_candidates(distance, sites):
    """Distance to, and the set of, nearest observed sites of each site."""
    sites = sorted(set(sites))
    if not sites:
        return np.full(distance.shape[0], np.inf), [set()] * distance.shape[0]
    near = distance[:, sites]
    least = near.min(axis=1)
    found = [
        {s for s, d in zip(sites, row, strict=True) if d == low and np.isfinite(low)}
        for row, low in zip(near, least, strict=True)
    ]
    return least, found


def dense_posterior(distance, sites, values):
    """Kriging from path lengths alone: condition f - f(o) on the values at the other sites.

    Cov(f_u - f_o, f_v - f_o) = (d(u, o) + d(v, o) - d(u, v))/2 for an observed site o.
    """
    n = distance.shape[0]
    mean, variance = np.zeros(n), np.full(n, np.inf)
    sites, values = np.asarray(sites, dtype=int), np.asarray(values, dtype=float)
    sites, first = np.unique(sites, return_index=True)
    values = values[first]
    for u in range(n):
        mine = np.isfinite(distance[u, sites])
        if not mine.any():
            continue
        seen, y = sites[mine], values[mine]
        o, rest, shift = seen[0], seen[1:], y[1:] - y[0]
        gram = (distance[rest, o][:, None] + distance[rest, o] - distance[np.ix_(rest, rest)]) / 2
        cross = (distance[u, o] + distance[rest, o] - distance[u, rest]) / 2
        weight = np.linalg.solve(gram, cross) if rest.size else np.zeros(0)
        mean[u] = y[0] + weight @ shift
        variance[u] = distance[u, o] - weight @ cross
    return mean, variance


@st.composite
def forests(draw, max_sites=14, lengths=None):
    """A random forest with observations (values differ, so the site used can be told)."""
    n_clusters = draw(st.integers(1, 3))
    parent, offset = [], 0
    for _ in range(n_clusters):
        size = draw(st.integers(1, max_sites))
        parent.append(-1)
        parent += [offset + draw(st.integers(0, i - 1)) for i in range(1, size)]
        offset += size
    with_lengths = draw(st.booleans()) if lengths is None else lengths
    # Eighths: sums are exact, so that equal distances are equal in floating point too.
    length = [draw(st.integers(1, 40)) / 8 for _ in range(offset)] if with_lengths else None
    tree = Tree.from_parent(parent, length=length)
    sites = draw(st.lists(st.integers(0, offset - 1), max_size=8))
    values = [float(3 * i + 1) * (-1) ** i for i in range(len(sites))]
    return tree, sites, values


@settings(max_examples=60, deadline=None)
@given(forests(), st.integers(0, 5))
def test_nearest_against_brute_force(problem, seed):
    tree, sites, values = problem
    distance, candidates = brute_candidates(distance_matrix(tree), sites)
    kept = {}
    for s, v in zip(sites, values, strict=True):
        kept.setdefault(s, v)  # a repeated site keeps its first value
    plain = TreeNearest(rng=seed).fit(tree, sites, values).predict()
    adjusted = TreeNearest(adjusted=True, rng=seed).fit(tree, sites, values).predict()
    found_distance, found = tree.nearest(sites, rng=seed)
    sizes = tree.sizes[tree.cluster_of(np.arange(tree.n_sites))]
    beaten = set()
    for i in range(tree.n_sites):
        if not candidates[i]:
            assert (plain[i], adjusted[i], found[i]) == (0.0, 0.0, -1)
            continue
        assert found_distance[i] == distance[i]
        assert int(found[i]) in candidates[i]
        assert plain[i] == kept[int(found[i])]
        assert adjusted[i] == plain[i] / (1 + distance[i] / math.sqrt(sizes[i]))
        beaten |= {(int(found[i]), other) for other in candidates[i] - {int(found[i])}}
    # One ranking decides every tie: nobody beats here what it loses to there.
    assert not any((b, a) in beaten for a, b in beaten)


@settings(max_examples=60, deadline=None)
@given(forests())
def test_posterior_against_dense_gaussian(problem):
    tree, sites, values = problem
    mean, variance = dense_posterior(distance_matrix(tree), sites, values)
    fitted = TreePosterior().fit(tree, sites, values)
    np.testing.assert_allclose(fitted.predict(), mean, rtol=1e-9, atol=1e-9)
    got = posterior_variance(tree, sites)
    np.testing.assert_array_equal(np.isinf(got), np.isinf(variance))
    some = np.isfinite(variance)
    np.testing.assert_allclose(got[some], variance[some], rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(got[sorted(set(sites))], 0.0)


@settings(max_examples=60, deadline=None)
@given(forests(), st.data())
def test_any_query_gives_the_same_as_everywhere(problem, data):
    tree, sites, values = problem
    query = data.draw(st.lists(st.integers(0, tree.n_sites - 1), max_size=6))
    for learner in (TreeNearest(), TreeNearest(adjusted=True), TreePosterior()):
        fitted = learner.fit(tree, sites, values)
        everywhere = fitted.predict()
        np.testing.assert_allclose(fitted.predict(query), everywhere[query], rtol=1e-10)


def test_posterior_by_hand():
    # Star with legs 1, 2, 4 observed at the ends: conductances 1, 1/2, 1/4 at the centre.
    tree = Tree.from_parent([-1, 0, 0, 0, -1, 4], length=[9, 1, 2, 4, 9, 1])
    y = [7.0, 0.0, -7.0]
    mean = TreePosterior().fit(tree, [1, 2, 3], y).predict()
    np.testing.assert_allclose(mean, [(7 + 0 - 7 / 4) / 1.75, 7, 0, -7, 0, 0], rtol=1e-14)
    np.testing.assert_allclose(
        posterior_variance(tree, [1, 2, 3]), [1 / 1.75, 0, 0, 0, np.inf, np.inf], rtol=1e-14
    )
    # Bridge: between two observed sites at distance L the variance is x (L - x)/L.
    path = Tree.from_parent(np.arange(-1, 10))
    x = np.arange(11)
    np.testing.assert_allclose(posterior_variance(path, [0, 10]), x * (10 - x) / 10, atol=1e-13)
    np.testing.assert_allclose(posterior_variance(path, [4]), np.abs(x - 4), atol=1e-13)
    # One end far away: its small share must not be dropped.
    far = 100_000
    long = Tree.from_parent(np.arange(-1, far))
    got = posterior_variance(long, [0, far], [1, far - 1, far // 2])
    np.testing.assert_allclose(got, [1 - 1 / far, 1 - 1 / far, far / 4], rtol=1e-9)
    # Control: an unbridged learner would report the distance to the nearest end.
    assert np.abs(posterior_variance(path, [0, 10]) - np.minimum(x, 10 - x)).max() > 2


def test_posterior_with_lengths_over_many_scales():
    length = [1.0, 1e-9, 1e6, 3.0, 1e-6, 2e3, 5e-8, 1.0, 1e5]
    tree = Tree.from_parent([-1, 0, 1, 1, 3, 0, 5, 5, 7], length=length)
    sites, y = [2, 4, 6], [1e3, -2.0, 5.0]
    # Oracle in fractions of one another: solve L_UU x = -L_UO y with exact rationals.
    from fractions import Fraction

    n = tree.n_sites
    free = [i for i in range(n) if i not in sites]
    weight = {(c, int(p)): 1 / Fraction(length[c]) for c, p in enumerate(tree.parent) if p >= 0}
    mat = [[Fraction(0)] * (len(free) + 1) for _ in free]
    for (c, p), g in weight.items():
        for a, b in ((c, p), (p, c)):
            if a in free:
                row = mat[free.index(a)]
                row[free.index(a)] += g
                if b in free:
                    row[free.index(b)] -= g
                else:
                    row[-1] += g * Fraction(y[sites.index(b)])
    for i in range(len(free)):
        pivot = next(r for r in range(i, len(free)) if mat[r][i] != 0)
        mat[i], mat[pivot] = mat[pivot], mat[i]
        mat[i] = [v / mat[i][i] for v in mat[i]]
        for r in range(len(free)):
            if r != i:
                mat[r] = [v - mat[r][i] * w for v, w in zip(mat[r], mat[i], strict=True)]
    exact = np.array([float(row[-1]) for row in mat])
    got = TreePosterior().fit(tree, sites, y).predict(free)
    np.testing.assert_allclose(got, exact, rtol=1e-9)


def test_nothing_observed_gives_zero_and_infinity():
    tree = conditioned_clusters([5, 1, 6], 3, rng=0)
    for learner in (TreeNearest(), TreeNearest(adjusted=True), TreePosterior()):
        np.testing.assert_array_equal(learner.fit(tree, [], []).predict(), np.zeros(12))
        partial = learner.fit(tree, [5], [4.0]).predict()
        np.testing.assert_array_equal(partial, [0] * 5 + [4.0] + [0] * 6)
    np.testing.assert_array_equal(posterior_variance(tree, []), np.full(12, np.inf))
    np.testing.assert_array_equal(posterior_variance(tree, [5], [5, 0]), [0, np.inf])


def test_everything_observed_is_reproduced():
    tree = conditioned_clusters([50, 1, 20], 6, rng=1)
    value = TreeWalk().sample(tree, rng=1).value
    order = np.random.default_rng(0).permutation(tree.n_sites)
    for learner in (TreeNearest(), TreeNearest(adjusted=True), TreePosterior()):
        np.testing.assert_array_equal(learner.fit(tree, order, value[order]).predict(), value)


@pytest.mark.parametrize("z", [3, math.inf])
@pytest.mark.parametrize("with_lengths", [False, True], ids=["unit", "lengths"])
def test_spanned_part_gives_the_same_predictions(z, with_lengths):
    rng = np.random.default_rng(5)
    tree = conditioned_clusters([30_000, 8000, 1, 500, 3], z, rng=2)
    if with_lengths:
        length = rng.integers(1, 5, tree.n_sites) / 4
        tree = Tree.from_parent(tree.parent, tree.start, length)
    sites = np.concatenate([rng.integers(0, 38_000, 400), [38_001]])
    value = rng.normal(size=sites.size)
    query = np.concatenate([rng.integers(0, tree.n_sites, 500), sites[:5], [38_000, 38_503]])
    cut = observe(tree, sites, value, query)
    assert cut.tree.n_sites < tree.n_sites / 2  # the short cut is really taken
    for seed in range(3):
        for learner in (TreeNearest(rng=seed), TreeNearest(adjusted=True, rng=seed)):
            fitted = learner.fit(tree, sites, value)
            np.testing.assert_array_equal(fitted.predict(query), fitted.predict()[query])
    fitted = TreePosterior().fit(tree, sites, value)
    np.testing.assert_allclose(fitted.predict(query), fitted.predict()[query], rtol=1e-10)
    whole, part = posterior_variance(tree, sites), posterior_variance(tree, sites, query)
    np.testing.assert_allclose(part, whole[query], rtol=1e-10)
    # Control: ties are common enough here that another tie seed is seen.
    if not with_lengths:
        a = TreeNearest(rng=0).fit(tree, sites, value).predict(query)
        assert np.any(a != TreeNearest(rng=1).fit(tree, sites, value).predict(query))


def test_repeated_sites_keep_the_first_value_and_order_does_not_matter():
    tree = conditioned_clusters(200, 6, rng=3)
    sites, values = [9, 4, 9, 77, 4], [1.0, 2.0, 50.0, 3.0, 60.0]
    for learner in (TreeNearest(), TreeNearest(adjusted=True), TreePosterior()):
        expected = learner.fit(tree, [9, 4, 77], [1.0, 2.0, 3.0]).predict()
        np.testing.assert_array_equal(learner.fit(tree, sites, values).predict(), expected)
        shuffled = learner.fit(tree, [77, 9, 4], [3.0, 1.0, 2.0]).predict()
        np.testing.assert_array_equal(shuffled, expected)
    given, y = np.array([9, 4]), np.array([1.0, 2.0])
    for learner in (TreeNearest(), TreePosterior()):
        fitted = learner.fit(tree, given, y)
        before = fitted.predict()
        given[:], y[:] = 0, -5.0  # what was passed in is not kept by reference
        np.testing.assert_array_equal(fitted.predict(), before)
        given[:], y[:] = [9, 4], [1.0, 2.0]


def test_ties_are_broken_uniformly():
    # A star whose five leaves are observed: the centre sees a five-fold tie.
    tree = Tree.from_parent([-1, 0, 0, 0, 0, 0])
    leaves = np.arange(1, 6)
    n_seeds = 1500
    wins = np.zeros(5)
    lowest = np.zeros(5)
    for seed in range(n_seeds):
        value = TreeNearest(rng=seed).fit(tree, leaves, leaves).predict([0])[0]
        wins[int(value) - 1] += 1
        lowest[0] += 1
    assert chi_squared_p(wins, np.full(5, 0.2)) > P_FLOOR
    assert chi_squared_p(lowest, np.full(5, 0.2)) < P_FLOOR  # control: first index wins
    # Uniform inside one large forest too: many stars under one seed.
    forest = Tree.from_parent(
        (np.array([-1, 0, 0, 0]) + 4 * np.arange(5000)[:, None] * [0, 1, 1, 1]).ravel()
    )
    observed = np.flatnonzero(forest.parent >= 0)
    _, nearest = forest.nearest(observed, rng=0)
    counts = np.bincount(nearest[forest.start[:-1]] % 4, minlength=4)[1:]
    assert chi_squared_p(counts, np.full(3, 1 / 3)) > P_FLOOR
    biased = np.array([0.5, 0.25, 0.25]) * 5000  # control: first come against the rest
    assert chi_squared_p(biased, np.full(3, 1 / 3)) < P_FLOOR


def test_wrong_input_messages():
    tree = Tree.from_parent([-1, 0, 1])
    for learner in (TreeNearest(), TreePosterior()):
        with pytest.raises(ValueError, match=r"sites must lie in \[0, 2\]; got ids from 0 to 3"):
            learner.fit(tree, [0, 3], [1.0, 2.0])
        with pytest.raises(ValueError, match=r"got ids from -1 to 1"):
            learner.fit(tree, [-1, 1], [1.0, 2.0])
        with pytest.raises(TypeError, match="sites must be integer site ids; got dtype float64"):
            learner.fit(tree, [0.0, 1.0], [1.0, 2.0])
        with pytest.raises(ValueError, match="values must have 2 rows; got 3"):
            learner.fit(tree, [0, 1], [1.0, 2.0, 3.0])
        with pytest.raises(ValueError, match=r"values has 1 non-finite value\(s\) of 2"):
            learner.fit(tree, [0, 1], [1.0, np.nan])
        with pytest.raises(ValueError, match="sites must be one-dimensional"):
            learner.fit(tree, [[0, 1]], [1.0, 2.0])
        with pytest.raises(ValueError, match=r"query must lie in \[0, 2\]"):
            learner.fit(tree, [0], [1.0]).predict([5])
    with pytest.raises(TypeError, match="rng must be an integer seed"):
        TreeNearest(rng="x").fit(tree, [0], [1.0]).predict()


def test_arguments_are_not_mutated():
    tree = conditioned_clusters(100, 6, rng=0)
    sites, values, query = np.array([5, 3, 5]), np.array([1.0, 2.0, 9.0]), np.array([0, 1])
    for learner in (TreeNearest(adjusted=True), TreePosterior()):
        learner.fit(tree, sites, values).predict(query)
    assert (sites.tolist(), values.tolist(), query.tolist()) == ([5, 3, 5], [1, 2, 9], [0, 1])
