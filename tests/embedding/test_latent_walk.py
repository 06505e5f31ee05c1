"""The walk along latents: unit steps, orthogonal siblings, and the law of directions."""

import numpy as np
import pytest

from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.embedding.latent_walk import embed_latents
from percolaw.tree import Tree


@pytest.fixture(scope="module")
def walk():
    tree = conditioned_clusters([400, 1, 30], np.inf, rng=1)
    merges = merge_tree(tree, rng=2)
    return tree, merges, embed_latents(tree, merges, 16, rng=3)


def steps(tree, points):
    return points - np.where(tree.parent[:, None] < 0, points, points[tree.parent])


def test_steps_are_unit_vectors_and_siblings_are_orthogonal(walk):
    tree, merges, points = walk
    assert not points[tree.parent < 0].any()
    step = steps(tree, points)[tree.parent >= 0]
    np.testing.assert_allclose(np.linalg.norm(step, axis=1), 1.0, rtol=1e-5)
    pairs = [merges.members(i) for i in np.flatnonzero(merges.sizes() == 2)]
    pairs = np.array([p for p in pairs if np.all(tree.parent[p] >= 0)])
    product = np.sum(steps(tree, points)[pairs[:, 0]] * steps(tree, points)[pairs[:, 1]], axis=1)
    np.testing.assert_allclose(product, 0.0, atol=1e-5)
    assert pairs.shape[0] > 50


def test_steps_of_different_sites_are_uncorrelated():
    """Below the smallest latent with both sites directions are orthogonal, and stay so in the mean."""
    tree = Tree.from_parent([-1, 0, 1, 2, 3, 4])
    merges = merge_tree(tree, rng=4)
    draws = np.array([steps(tree, embed_latents(tree, merges, 3, rng=s)) for s in range(2000)])
    product = np.einsum("sic,sjc->ij", draws, draws) / 2000
    off = product[1:, 1:][~np.eye(5, dtype=bool)]
    assert np.abs(off).max() < 4.5 / np.sqrt(3 * 2000)


def test_clusters_do_not_depend_on_each_other_but_by_number(walk):
    tree, merges, points = walk
    again = embed_latents(tree, merges, 16, rng=3)
    np.testing.assert_array_equal(again, points)
    first = tree.cluster(0)
    alone = embed_latents(first, merge_tree(first, rng=2), 16, rng=3)
    np.testing.assert_array_equal(alone, points[:400])


def test_bad_input_is_refused(walk):
    tree, merges, _ = walk
    with pytest.raises(ValueError, match="dim"):
        embed_latents(tree, merges, 1)
    with pytest.raises(ValueError, match="hierarchy has"):
        embed_latents(tree.cluster(0), merges, 3)
    long = Tree.from_parent([-1, 0, 1], length=[1.0, 2.0, 1.0])
    with pytest.raises(ValueError, match="length"):
        embed_latents(long, merge_tree(long), 3)
