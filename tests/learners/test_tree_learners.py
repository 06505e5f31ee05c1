"""Learners on trees against brute force, and the laws of the nearest observed site."""

import math

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.laws.ensembles import ensemble_nearest_neighbor_loss
from percolaw.laws.single_cluster import (
    ASYMPTOTIC_SCALE_FACTOR,
    mean_nearest_distance,
    mean_nearest_distance_at_rate,
    nearest_distance_survival,
    nearest_neighbor_loss,
    offspring_variance,
    posterior_constant,
)
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


@settings(max_examples=150, deadline=None)
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


@settings(max_examples=150, deadline=None)
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
    n_seeds = 4000
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


# ---- statistical laws on large conditioned trees


def per_cluster(tree, x):
    return np.add.reduceat(np.asarray(x, dtype=float), tree.start[:-1]) / tree.sizes


def observed_sites(tree, rate, seed):
    """Each site with probability `rate`, by NumPy (not the kernel under test)."""
    rate = np.repeat(np.broadcast_to(rate, tree.n_clusters), tree.sizes)
    return np.flatnonzero(np.random.default_rng(seed).random(tree.n_sites) < rate)


def ratio_and_error(top, bottom):
    """Ratio of means and its standard error by the delta method."""
    r = np.mean(top) / np.mean(bottom)
    _, error = mean_and_error(top - r * bottom)
    return float(r), error / float(np.mean(bottom))


@pytest.fixture(scope="module", params=[3, 6, math.inf], ids=["z3", "z6", "poisson"])
def large(request):
    """40 independent clusters of 50 000 sites: standard errors are over trees."""
    return request.param, conditioned_clusters(np.full(40, 50_000), request.param, rng=3)


@pytest.mark.parametrize("rate", [0.004, 0.05, 0.3])
def test_nearest_distance_law(large, rate):
    z, tree = large
    distance, _ = tree.nearest(observed_sites(tree, rate, 1))
    top = int(2.5 / math.sqrt(rate))
    law = nearest_distance_survival(rate, top, z)
    for r in {0, 1, 2, top // 4, top // 2, top}:
        mean, error = mean_and_error(per_cluster(tree, distance > r))
        assert_close(mean, law[r], error)
    mean, error = mean_and_error(per_cluster(tree, distance))
    assert_close(mean, float(mean_nearest_distance_at_rate(rate, z)), error)
    # Controls: twice the rate, another lattice, one step off, distance measured in 2-d.
    assert_far(mean, float(mean_nearest_distance_at_rate(2 * rate, z)), error)
    half = top // 2
    mean, error = mean_and_error(per_cluster(tree, distance > half))
    assert_far(mean, law[max(half - 1, 0)], error)
    assert_far(mean, math.exp(-math.pi * rate * half**2), error)
    if z == 3:
        assert_far(mean, nearest_distance_survival(rate, top)[half], error)


def test_nearest_distance_tends_to_sech_squared(large):
    z, tree = large
    rate = 0.002
    s2 = offspring_variance(z)
    distance, _ = tree.nearest(observed_sites(tree, rate, 2))
    for r in (10, 20, 30, 45):
        mean, error = mean_and_error(per_cluster(tree, distance > r))
        limit = math.cosh(r * math.sqrt(rate * s2 / 2)) ** -2
        # The law reaches its limit like sqrt(rate), see the next test for the constant.
        assert_close(mean, limit, error, bias=1.5 * math.sqrt(rate))
    r = 45
    mean, error = mean_and_error(per_cluster(tree, distance > r))
    wrong = 1 / math.cosh(r * math.sqrt(rate * s2 / 2))  # sech, not its square
    assert_far(mean, wrong, error)
    assert abs(mean - wrong) > 2 * 1.5 * math.sqrt(rate)  # far beyond the bias granted above
    if z == 3:
        wrong = math.cosh(30 * math.sqrt(rate / 2)) ** -2  # s2 = 1
        mean, error = mean_and_error(per_cluster(tree, distance > 30))
        assert_far(mean, wrong, error)
        assert abs(mean - wrong) > 1.5 * 1.5 * math.sqrt(rate)


def test_sech_squared_is_reached_like_the_square_root_of_the_rate():
    for z in (3, 6, math.inf):
        s2 = offspring_variance(z)
        gaps = []
        for rate in (1e-3, 1e-5, 1e-7):
            r = np.arange(int(4 / math.sqrt(rate)) + 1)
            law = nearest_distance_survival(rate, int(r[-1]), z)
            gaps.append(np.abs(law - np.cosh(r * math.sqrt(rate * s2 / 2)) ** -2).max())
        np.testing.assert_allclose(np.array(gaps[1:]) / gaps[:-1], 0.1, rtol=0.1)
        assert 0.5 * math.sqrt(1e-3) < gaps[0] < 1.5 * math.sqrt(1e-3)


def test_posterior_to_nearest_ratio(large):
    _, tree = large
    sites = observed_sites(tree, 0.01, 4)
    distance, _ = tree.nearest(sites)
    variance = per_cluster(tree, posterior_variance(tree, sites))
    ratio, error = ratio_and_error(variance, per_cluster(tree, distance))
    # Measured drift with the rate: below 0.002 up to a rate of 0.05.
    assert_close(ratio, posterior_constant(), error, bias=0.002)
    assert_far(ratio, 0.75, error)
    assert_far(ratio, 0.78, error)
    assert posterior_constant() == pytest.approx(0.7636, abs=5e-5)


def test_losses_of_actual_predictions_on_actual_walks():
    # The two losses are the mean distance and the mean posterior variance, tree by tree.
    tree = conditioned_clusters(np.full(200, 10_000), 6, rng=6)
    value = TreeWalk(standardized=False).sample(tree, rng=6).value + 12.0
    sites = observed_sites(tree, 0.01, 6)
    loss = {}
    for name, learner in (("nearest", TreeNearest()), ("posterior", TreePosterior())):
        prediction = learner.fit(tree, sites, value[sites]).predict()
        loss[name] = per_cluster(tree, (prediction - value) ** 2)
    distance = per_cluster(tree, tree.nearest(sites)[0])
    variance = per_cluster(tree, posterior_variance(tree, sites))
    for name, truth in (("nearest", distance), ("posterior", variance)):
        mean, error = mean_and_error(loss[name] - truth)
        assert_close(mean, 0.0, error)
    mean, error = mean_and_error(loss["nearest"] - variance)
    assert_far(mean, 0.0, error)  # control
    ratio, error = ratio_and_error(loss["posterior"], loss["nearest"])
    assert_close(ratio, posterior_constant(), error, bias=0.002)
    assert_far(ratio, 1.0, error)


def test_posterior_is_calibrated_site_by_site():
    # (f - mean)/sd has variance 1 at each unobserved site; the 1-NN distance overstates it.
    tree = conditioned_clusters(np.full(300, 2000), 3, rng=1)
    value = TreeWalk(standardized=False).sample(tree, rng=0).value
    sites = observed_sites(tree, 0.05, 0)
    mean = TreePosterior().fit(tree, sites, value[sites]).predict()
    variance = posterior_variance(tree, sites)
    distance = tree.nearest(sites)[0]
    free = distance > 0
    residual = np.where(free, (value - mean) ** 2, 0.0)
    score = residual / np.where(free, variance, 1.0)
    share = per_cluster(tree, free)
    ratio, error = ratio_and_error(per_cluster(tree, score), share)
    assert_close(ratio, 1.0, error)
    wrong = residual / np.where(free, distance, 1.0)
    ratio, error = ratio_and_error(per_cluster(tree, wrong), share)
    assert_far(ratio, 1.0, error)


def test_adjustment_and_posterior_beat_plain_nearest_on_standardised_targets():
    tree = conditioned_clusters(np.full(200, 5000), 200, rng=9)
    value = TreeWalk().sample(tree, rng=9).value
    sites = np.flatnonzero(np.random.default_rng(9).random(tree.n_sites) < 0.002)
    loss = {}
    for name, learner in (
        ("plain", TreeNearest()),
        ("adjusted", TreeNearest(adjusted=True)),
        ("posterior", TreePosterior()),
    ):
        prediction = learner.fit(tree, sites, value[sites]).predict()
        loss[name] = per_cluster(tree, (prediction - value) ** 2)
    for better in ("adjusted", "posterior"):
        gain, error = mean_and_error(loss["plain"] - loss[better])
        assert gain > 5 * error


@pytest.mark.parametrize("m", [1, 2, 3, 5, 20])
def test_mean_distance_to_the_nearest_of_m(m):
    size, n_trees, n_tests = 40_000, 250, 30
    tree = conditioned_clusters(np.full(n_trees, size), math.inf, rng=9)
    rng = np.random.default_rng(m)
    base = tree.start[:-1, None, None]
    sites = base + rng.integers(0, size, (n_trees, n_tests, m))
    query = np.broadcast_to(base + rng.integers(0, size, (n_trees, n_tests, 1)), sites.shape)
    distance = tree.distance_between(query.ravel(), sites.ravel()).reshape(sites.shape).min(axis=2)
    mean, error = mean_and_error(distance.mean(axis=1) / math.sqrt(size))
    truth = float(mean_nearest_distance(m))
    # Finite size: -4/3 of sqrt(pi S/2) for m = 1 exactly, relative order 1/sqrt(S) = 0.5%; the
    # finite rate adds 1% at m = 20.
    bias = (0.007 + 0.4 * math.sqrt(m / size)) * truth
    assert_close(mean, truth, error, bias=bias)
    for wrong in (math.sqrt(math.pi / 2) * m ** (-1 / 3), math.sqrt(math.pi / 2) / m):
        if m > 2 or (m == 2 and wrong < 0.9 * truth):
            assert_far(mean, wrong, error)
            assert abs(mean - wrong) > bias
    if m == 1:
        assert_far(mean, math.sqrt(2 / m), error)  # the large-m form is not good here
    if m == 20:
        assert_far(mean, 1 / math.sqrt(m), error)


def test_nearest_neighbor_loss_as_a_ratio_of_means():
    size, n_trees = 20_000, 150
    tree = conditioned_clusters(np.full(n_trees, size), math.inf, rng=2)
    target = TreeWalk(standardized=False).sample(tree, rng=2)
    value = target.value - np.repeat(per_cluster(tree, target.value), size)
    for n in (0.3, 1.0, 3.0, 10.0, 40.0):
        sites = observed_sites(tree, n / size, int(10 * n))
        prediction = TreeNearest().fit(tree, sites, value[sites]).predict()
        loss = per_cluster(tree, (prediction - value) ** 2)
        ratio, error = ratio_and_error(loss, target.variance)
        truth = float(nearest_neighbor_loss(n))
        bias = 0.8 * math.sqrt(n / size) * truth  # finite rate, see finite_rate_factor
        assert_close(ratio, truth, error, bias=bias)
        assert_far(ratio, truth * n ** (0.25 if n > 3 else 0.5) if n != 1.0 else 1.0, error)
        if n >= 3:
            assert_far(ratio, math.sqrt(2 / n), error)  # not normalised by the mean variance
        if n == 40.0:
            # Control: a mean of ratios, as standardised targets give, lies a quarter higher.
            assert float(np.mean(loss / target.variance)) > 1.1 * ratio
            assert_close(ratio, (n / ASYMPTOTIC_SCALE_FACTOR) ** -0.5, error, bias=2 * bias)


def test_ensemble_loss_as_a_ratio_of_means():
    sizes = np.array([20_000, 8000, 3000])
    rates = np.array([[1e-4, 1e-4, 1e-4], [1e-3, 1e-3, 1e-4], [0.01, 0.01, 0.03], [0.2, 0.3, 0.1]])
    n_repeats = 100
    tree = conditioned_clusters(np.tile(sizes, n_repeats), 6, rng=5)
    target = TreeWalk(standardized=False).sample(tree, rng=5)
    value = target.value - np.repeat(per_cluster(tree, target.value), tree.sizes)
    variance = target.variance.reshape(n_repeats, 3)
    weight = sizes / sizes.sum()
    predicted = ensemble_nearest_neighbor_loss(rates, sizes, 6)
    without_weights = []
    for j, rate in enumerate(rates):
        sites = observed_sites(tree, np.tile(rate, n_repeats), 11 + j)
        guess = TreeNearest().fit(tree, sites, value[sites]).predict()
        loss = per_cluster(tree, (guess - value) ** 2).reshape(n_repeats, 3)
        ratio = loss.mean(axis=0) / variance.mean(axis=0)
        influence = ((loss - ratio * variance) / variance.mean(axis=0)) @ weight
        _, error = mean_and_error(influence)
        # E[variance] of 3000 sites is O(1/sqrt(3000)) from its limit; that share is 10%.
        assert_close(float(ratio @ weight), predicted[j], error, bias=0.01 * predicted[j])
        assert_far(float(ratio @ weight), 1.5 * predicted[j], error)
        without_weights.append((float(ratio @ weight), error))
    measured, error = without_weights[3]
    naive = float(weight @ nearest_neighbor_loss(rates[3] * sizes))
    assert_far(measured, naive, error)  # control: no finite-rate factor
    measured, error = without_weights[1]
    assert_far(measured, float(nearest_neighbor_loss(rates[1] * sizes).mean()), error)
