"""Merge trees: exact laws of small trees, sites of latents by brute force, restriction, nested points."""

from collections import Counter
from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from percolaw.clusters.brownian import sample_large_cluster
from percolaw.clusters.coalescent import merge_points, merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.kernels import coalescent as kernels
from percolaw.kernels import random as kernels_random
from percolaw.laws.coalescent import expected_ancestors, root_split, unshared_latents
from percolaw.tree import Tree


def latents(merges):
    return [frozenset(merges.members(i).tolist()) for i in range(merges.n_latents)]


def joined(parent, order):
    """All sets made by adding the edges of a tree in an order, apart from the code under test."""
    part = {i: frozenset([i]) for i in range(len(parent))}
    made = []
    for child in order:
        whole = part[child] | part[parent[child]]
        made.append(whole)
        part.update(dict.fromkeys(whole, whole))
    return made


@pytest.fixture(scope="module")
def forest():
    return conditioned_clusters([40, 1, 7, 2], np.inf, rng=1)


@pytest.fixture(scope="module")
def merges(forest):
    return merge_tree(forest, rng=2)


def test_latents_are_made_by_their_edges(forest, merges):
    for k in range(forest.n_clusters):
        low, high = forest.cluster_sites(k)
        mine = np.arange(low - k, high - k - 1)
        order = merges.site[mine[::-1]]
        expected = joined(forest.parent.tolist(), order.tolist())
        assert [latents(merges)[i] for i in mine[::-1]] == expected


def test_intervals_and_ancestors_say_the_same(merges):
    sets = latents(merges)
    assert merges.sizes().tolist() == [len(s) for s in sets]
    assert merges.octaves().tolist() == [len(s).bit_length() - 1 for s in sets]
    for site in range(merges.n_sites):
        holding = sorted((i for i, s in enumerate(sets) if site in s), key=lambda i: len(sets[i]))
        assert merges.ancestors(site).tolist() == holding
        assert merges.n_ancestors()[site] == len(holding)


def test_membership_of_some_sites(merges):
    sets = latents(merges)
    chosen, sites = [3, 0, 41, 3], [46, 2, 2, 17, 41]
    matrix = merges.membership(chosen, sites).toarray()
    np.testing.assert_array_equal(matrix, [[s in sets[i] for i in chosen] for s in sites])
    assert merges.membership(np.arange(merges.n_latents)).sum() == merges.sizes().sum()


def test_common_nodes_are_the_smallest_latents_of_both(merges):
    sets, n = latents(merges), merges.n_sites
    first, second = (a.ravel() for a in np.indices((n, n)))
    node = merges.common_node(first, second).tolist()
    of_latent = merges.latent_node(np.arange(merges.n_latents)).tolist()
    own = merges.site_node(np.arange(n)).tolist()
    for u, v, common in zip(first.tolist(), second.tolist(), node, strict=True):
        both = [i for i, s in enumerate(sets) if u in s and v in s]
        expected = of_latent[min(both, key=lambda i: len(sets[i]))] if both else -1
        assert common == (own[u] if u == v else expected)


def test_a_restriction_keeps_what_joins_two_of_its_sites(merges):
    kept = np.sort(np.random.default_rng(3).choice(merges.n_sites, 20, replace=False))
    part = merges.restrict(kept)
    expected = {s & set(kept.tolist()) for s in latents(merges)}
    assert {frozenset(kept[list(s)].tolist()) for s in latents(part)} == {
        s for s in expected if len(s) > 1
    }
    whole = merges.restrict(np.arange(merges.n_sites))
    np.testing.assert_array_equal(whole.nodes.parent, merges.nodes.parent)
    np.testing.assert_array_equal(whole.site, merges.site)


@pytest.mark.parametrize("parent", [[-1, 0, 1, 2], [-1, 0, 0, 0], [-1, 0, 1, 1, 0]])
def test_every_order_of_edges_is_equally_likely(parent):
    tree, n_draws = Tree.from_parent(parent), 4000
    expected = Counter(
        frozenset(joined(parent, order)) for order in permutations(range(1, len(parent)))
    )
    shift = np.repeat(np.arange(n_draws) * len(parent), len(parent))
    copies = np.tile(tree.parent, n_draws)
    many = Tree.from_parent(np.where(copies < 0, -1, copies + shift))
    drawn = merge_tree(many, rng=5)
    sets, per = latents(drawn), len(parent) - 1
    seen = Counter(
        frozenset(frozenset(i - k * len(parent) for i in s) for s in sets[k * per : (k + 1) * per])
        for k in range(n_draws)
    )
    assert set(seen) == set(expected)
    total = sum(expected.values())
    p = stats.chisquare(
        [seen[s] for s in expected], [n_draws * c / total for c in expected.values()]
    )
    assert p.pvalue > 1e-4


def test_long_edges_are_cut_first():
    """An edge of length 3 in a path of two is the last merge in three quarters of all draws."""
    n = 20_000
    parent = np.tile([-1, 0, 1], n) + np.repeat(3 * np.arange(n), 3) * (np.arange(3 * n) % 3 > 0)
    tree = Tree.from_parent(parent, length=np.tile([1.0, 3.0, 1.0], n))
    last = merge_tree(tree, rng=1).site[::2] % 3
    assert abs(np.mean(last == 1) - 0.75) < 4 * np.sqrt(0.75 * 0.25 / n)


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_the_last_merge_splits_uniform_trees_by_the_law(n):
    """Against all labelled trees and all edges for few sites: every edge is last equally often."""
    count = Counter()
    for code in product(range(n), repeat=n - 2):
        degree = [1 + code.count(i) for i in range(n)]
        edges, left = [], list(degree)
        for v in code:
            leaf = left.index(1)
            edges.append((leaf, v))
            left[leaf] -= 1
            left[v] -= 1
        edges.append(tuple(i for i in range(n) if left[i] == 1))
        for cut in edges:
            part, grown = {cut[0]}, True
            while grown:
                more = {a + b - x for a, b in edges for x in (a, b) if (a, b) != cut and x in part}
                grown = not more <= part
                part |= more
            count[min(len(part), n - len(part))] += 1
    total = sum(count.values())
    np.testing.assert_allclose(root_split(n), [count[k] / total for k in range(1, n // 2 + 1)])
    assert root_split(1001).sum() == pytest.approx(1.0)


def test_drawn_hierarchies_split_by_the_law():
    n, draws = 6, 20_000
    merges = merge_tree(conditioned_clusters(np.full(draws, n), np.inf, rng=7), rng=8)
    root = np.arange(draws) * (n - 1)
    largest = np.full(draws, 1)
    sizes = merges.sizes().reshape(draws, n - 1)
    below = merges.nodes.parent.reshape(draws, 2 * n - 1) - np.arange(draws)[:, None] * (2 * n - 1)
    for i in range(1, n - 1):
        is_child = below[:, i] == 0
        largest[is_child] = np.maximum(largest[is_child], sizes[is_child, i])
    assert root.size == draws
    seen = np.bincount(np.minimum(largest, n - largest), minlength=4)[1:]
    assert stats.chisquare(seen, draws * root_split(n)).pvalue > 1e-4


def test_sites_have_as_many_ancestors_as_expected():
    for n in (3, 30):
        merges = merge_tree(conditioned_clusters(np.full(3000, n), np.inf, rng=1), rng=2)
        mean = merges.n_ancestors().reshape(3000, n).mean(axis=1)
        error = mean.std() / np.sqrt(mean.size) + 1e-12
        assert abs(mean.mean() - expected_ancestors(n)) < 4.5 * error
        assert abs(mean.mean() - np.sqrt(np.pi * n / 2)) > 4.5 * error  # the limit is not it
    assert expected_ancestors(10**8) == pytest.approx(np.sqrt(np.pi * 10**8 / 2), rel=1e-3)


@pytest.mark.parametrize("size", [np.inf, 50])
def test_points_of_a_large_cluster_are_nested(size):
    many = merge_points(sample_large_cluster(400, size, rng=1), rng=4)
    for n in (1, 2, 3, 90):
        few = merge_points(sample_large_cluster(n, size, rng=1), rng=4)
        part = many.restrict(np.arange(n))
        np.testing.assert_array_equal(part.nodes.parent, few.nodes.parent)
    if np.isfinite(size):  # sites drawn twice merge before all others
        sample = sample_large_cluster(400, size, rng=1)
        node = sample.spanned_tree().point
        same = [set(np.flatnonzero(node == v).tolist()) for v in np.unique(node)]
        assert all(frozenset(s) in set(latents(many)) for s in same if len(s) > 1)


def test_points_of_the_infinite_cluster_merge_as_those_of_a_large_one():
    """Four points fall 2 | 2 or 1 | 3 at the last merge as often as those of whole, large trees do."""
    draws = 1500
    points = [merge_points(sample_large_cluster(4, rng=s), rng=s) for s in range(draws)]
    rng = np.random.default_rng(0)
    forest = conditioned_clusters(np.full(draws, 400), np.inf, rng=3)
    whole = merge_tree(forest, rng=4)
    sites = np.concatenate(
        [k * 400 + np.sort(rng.choice(400, 4, replace=False)) for k in range(draws)]
    )
    part = whole.restrict(sites)

    def even(sizes):
        return (np.sort(sizes.reshape(-1, 3), axis=1)[:, 1] == 2).mean()

    a, b = even(np.concatenate([m.sizes() for m in points])), even(part.sizes())
    assert abs(a - b) < 4 * np.sqrt(2 * a * (1 - a) / draws)


def test_numbers_do_not_depend_on_other_clusters(forest):
    alone = merge_tree(forest.cluster(0), rng=2)
    np.testing.assert_array_equal(alone.site, merge_tree(forest, rng=2).site[:39])


@pytest.mark.parametrize(
    "ask",
    [
        lambda m: m.members(47),
        lambda m: m.members(-1),
        lambda m: m.ancestors(50),
        lambda m: m.restrict([3, 3]),
        lambda m: m.restrict([]),
        lambda m: m.common_node([1, 2], [3]),
        lambda m: m.membership([46]),
    ],
)
def test_what_is_not_there_is_refused(merges, ask):
    with pytest.raises((ValueError, TypeError)):
        ask(merges)


def test_latents_that_two_sites_do_not_share():
    """The law of the continuum tree, over distances; half as large a logarithm is refused."""
    n, gaps, laws = 6000, [], []
    rng = np.random.default_rng(0)
    for seed in range(30):
        tree = conditioned_clusters(n, np.inf, rng=seed)
        merges = merge_tree(tree, rng=seed)
        first, second = rng.integers(0, n, (2, 1000))
        first, second = first[first != second], second[first != second]
        depth = merges.nodes.depth()
        common = depth[merges.common_node(first, second)] + 1
        apart = (merges.n_ancestors()[first] + merges.n_ancestors()[second]) / 2 - common
        law = unshared_latents(tree.distance_between(first, second) / np.sqrt(n))
        near = tree.distance_between(first, second) < 0.5 * np.sqrt(n)
        gaps.append(np.mean((apart / np.sqrt(n) - law) * near))
        laws.append(np.mean(law * near))
    error = np.std(gaps, ddof=1) / np.sqrt(30)
    assert abs(np.mean(gaps)) < 4.5 * error + 2 / np.sqrt(n) * np.mean(laws)
    assert abs(np.mean(gaps) + 0.5 * np.mean(laws)) > 4.5 * error
    r = 1e-7
    assert unshared_latents(r) == pytest.approx(r / 2 * np.log(1 / r), rel=0.2)
    with pytest.raises(ValueError, match="positive"):
        unshared_latents([0.0])


@pytest.mark.parametrize("n", [1, 2, 300, 40_000])
def test_edges_come_in_the_order_of_their_bits(n):
    """Against sorting them; with one root and with many, in few buckets and in many."""
    key = np.uint64(12345)
    rank = np.array(
        [int(kernels_random.bits(key, np.uint64(i))) for i in range(n)], dtype=np.uint64
    )
    for share in (0.0, 0.3):
        parent = np.where(np.random.default_rng(0).random(n) < share, -1, 0).astype(np.int32)
        parent[0] = -1
        order = np.empty(np.count_nonzero(parent >= 0), dtype=np.int32)
        kernels.edge_order(key, parent, order)
        whole = np.argsort(rank)
        np.testing.assert_array_equal(order, whole[parent[whole] >= 0])
