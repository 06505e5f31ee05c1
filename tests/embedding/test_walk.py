"""Whole trees as points: the law of pairs, steps of every kind, keys."""

import itertools
import math

import numpy as np
import pytest
from embedding_cases import paths, squares
from scipy.stats import chi2, kstest
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.embedding.walk import STEPS, embed_tree
from percolaw.rng import Streams
from percolaw.tree import Tree


@pytest.fixture(scope="module")
def forest():
    """4000 clusters of 40 sites and a site of each, far from its root or not."""
    tree = conditioned_clusters([40] * 4000, math.inf, 1)
    low = tree.start[:-1]
    generator = Streams(2).generator("split")
    first = low + generator.integers(0, 40, low.size)
    second = low + generator.integers(0, 40, low.size)
    apart = first != second
    return tree, first[apart], second[apart], tree.distance_between(first[apart], second[apart])


@pytest.mark.parametrize("d", [1, 3, 16])
def test_squared_distances_are_chi_squared(forest, d):
    tree, u, v, distance = forest
    points = embed_tree(tree, d, 3)
    assert points.dtype == np.float32
    assert points.shape == (tree.n_sites, d)
    ratio = squares(points[u], points[v]) / distance
    mean, error = mean_and_error(ratio)
    assert_close(mean, 1.0, math.sqrt(2 / d / ratio.size))
    assert kstest(ratio * d, chi2(d).cdf).pvalue > P_FLOOR
    # Standardised squares have variance 2 and kurtosis 12/d: var of (r-1)^2 d/2 is 2 + 12/d.
    spread = (ratio - 1) ** 2 * d / 2
    assert_close(float(spread.mean()), 1.0, math.sqrt((2 + 12 / d) / ratio.size))
    # Controls: ordinary distance in place of its square root, and steps of variance 1.1/d.
    assert kstest(ratio * distance * d, chi2(d).cdf).pvalue < P_FLOOR
    assert_far(1.2 * mean, 1.0, error)
    far = distance > np.median(distance)
    assert_close(float(ratio[far].mean()), 1.0, math.sqrt(2 / d / far.sum()))


def test_roots_are_at_the_origin_and_edges_have_lengths():
    tree = Tree.from_parent([-1, 0, 0, -1, 3, 3], length=[1.0, 4.0, 0.25, 1.0, 9.0, 1.0])
    for steps in ("gaussian", "sphere"):
        points = embed_tree(tree, 50_000, 0, steps)
        assert not points[[0, 3]].any()
        got = squares(points[[1, 2, 4, 5]], points[[0, 0, 3, 3]])
        np.testing.assert_allclose(got, [4.0, 0.25, 9.0, 1.0], rtol=0.05)
    with pytest.raises(ValueError, match="the lattice walk needs unit edges"):
        embed_tree(tree, 5, 0, "lattice")


def test_sphere_steps(forest):
    tree, u, v, distance = forest
    d = 5
    points = embed_tree(tree, d, 4, "sphere").astype(np.float64)
    child = np.flatnonzero(tree.parent >= 0)
    steps = points[child] - points[tree.parent[child]]
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), 1.0, atol=1e-5)
    # Uniform on the sphere: each coordinate squared is Beta(1/2, (d - 1)/2).
    few = steps[:20_000]
    for c in range(d):
        assert kstest(few[:, c] ** 2, "beta", args=(0.5, (d - 1) / 2)).pvalue > P_FLOOR
        assert_close(float(np.sign(few[:, c]).mean()), 0.0, 1 / math.sqrt(len(few)))
        assert kstest(few[:, c] ** 2, "beta", args=(0.5, d / 2)).pvalue < P_FLOOR
    square = squares(points[u], points[v])
    # Independent unit steps: mean L, variance 2 L (L - 1)/d.
    assert_close(
        float((square - distance).mean()),
        0.0,
        math.sqrt(float((2 * distance * (distance - 1) / d).mean()) / square.size),
    )
    standard = (square - distance) ** 2 - 2 * distance * (distance - 1) / d
    assert_close(*_zero(standard))
    assert_far(*_zero((square - distance) ** 2 - 3 * distance * (distance - 1) / d))


def _zero(sample):
    mean, error = mean_and_error(sample)
    return mean, 0.0, error


@pytest.mark.parametrize("d", [2, 3, 8])
def test_lattice_steps(d):
    length, n = 7, 6000
    tree = paths(length, n)
    points = embed_tree(tree, d, 5, "lattice").astype(int).reshape(n, length + 1, d)
    steps = np.diff(points, axis=1)
    assert (np.abs(steps).sum(axis=2) == 1).all()
    assert (steps[:, 1:] + steps[:, :-1]).any(axis=2).all(), "a step undoes the one before"
    # All 2d directions come first, and the 2d - 1 others follow each, equally often.
    code = (steps * (1 + np.arange(d))).sum(axis=2)
    directions = [c for c in range(-d, d + 1) if c]
    counts = [np.count_nonzero(code[:, 0] == c) for c in directions]
    assert chi_squared_p(counts, np.full(2 * d, 1 / (2 * d))) > P_FLOOR
    follows = [
        np.count_nonzero((code[:, 2] == a) & (code[:, 3] == b))
        for a, b in itertools.product(directions, directions)
        if a != -b
    ]
    assert chi_squared_p(follows, np.full(len(follows), 1 / len(follows))) > P_FLOOR
    r = 1 / (2 * d - 1)
    for edges in (1, 2, 3, length):
        square = (points[:, edges] ** 2).sum(axis=1)
        truth = edges * (1 + r) / (1 - r) - 2 * r * (1 - r**edges) / (1 - r) ** 2
        if edges == 1:
            assert (square == 1).all()
            assert truth == pytest.approx(1)
            continue
        mean, error = mean_and_error(square)
        assert_close(mean, truth, error)
        assert_far(mean, float(edges), error)  # independent steps


def test_lattice_walk_in_one_dimension_is_straight():
    points = embed_tree(paths(9, 200), 1, 5, "lattice").reshape(200, 10)
    np.testing.assert_array_equal(np.abs(points), np.tile(np.arange(10), (200, 1)))
    assert 60 < np.count_nonzero(points[:, 1] > 0) < 140


def test_lattice_siblings_are_independent():
    # Two children of a site may take one step; only going back is forbidden.
    tree = Tree.from_parent([-1, 0, 1, 1])
    points = np.array([embed_tree(tree, 2, seed, "lattice") for seed in range(900)])
    same = (points[:, 2] == points[:, 3]).all(axis=1).mean()
    assert_close(float(same), 1 / 3, math.sqrt(2 / 9 / 900))
    assert_far(float(same), 0.0, math.sqrt(2 / 9 / 900))
    assert not np.any((points[:, 2:] == 0).all(axis=2))


def test_embedding_is_reproducible_and_keyed_by_site():
    tree = conditioned_clusters([30, 40], rng=0)
    for steps in STEPS:
        whole = embed_tree(tree, 6, 1, steps)
        np.testing.assert_array_equal(whole, embed_tree(tree, 6, 1, steps))
        assert not np.array_equal(whole, embed_tree(tree, 6, 2, steps))
        np.testing.assert_array_equal(whole[:30], embed_tree(tree.cluster(0), 6, 1, steps))
    generator = np.random.default_rng(0)
    assert not np.array_equal(embed_tree(tree, 6, generator), embed_tree(tree, 6, generator))
