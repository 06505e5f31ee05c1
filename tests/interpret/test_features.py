"""Shares of context, component and surface against what distances and hierarchies say exactly."""

import numpy as np
import pytest

from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.embedding.walk import embed_tree
from percolaw.interpret.features import FeatureShares, feature_pairs
from percolaw.targets.hierarchical import HierarchicalFunction

SIZES = [1600, 800, 1, 400, 2, 200]


@pytest.fixture(scope="module")
def tree():
    return conditioned_clusters(SIZES, np.inf, rng=4)


@pytest.fixture(scope="module")
def merges(tree):
    return merge_tree(tree, rng=1)


@pytest.mark.parametrize("share", [1.0, 0.2, 1 / 16])
def test_pairs_are_of_the_same_place(merges, share):
    """Parts by brute force: up from each site while the latent is small enough."""
    node_of = merges.site_node(np.arange(merges.n_sites))
    pairs = feature_pairs(merges, share, rng=2)
    bounds, sizes = merges.start, merges.sizes()
    up, label = merges.nodes.parent, np.full(merges.n_sites, -1)
    node_latent = np.full(merges.nodes.n_sites, -1)
    node_latent[merges.latent_node(np.arange(merges.n_latents))] = np.arange(merges.n_latents)
    cluster = np.searchsorted(bounds, np.arange(merges.n_sites), side="right") - 1
    for site in range(merges.n_sites):
        node = up[node_of[site]]
        while node >= 0 and sizes[node_latent[node]] <= share * SIZES[cluster[site]]:
            label[site], node = node, up[node]
    assert set(pairs.site) == set(np.flatnonzero(label >= 0))
    assert np.unique(pairs.site).size == pairs.site.size
    np.testing.assert_array_equal(label[pairs.part], label[pairs.site])
    np.testing.assert_array_equal(cluster[pairs.cluster], cluster[pairs.site])
    for other in (pairs.part, pairs.cluster, pairs.anywhere):
        assert not np.any(other == pairs.site)
    outside = np.mean(cluster[pairs.anywhere] != cluster[pairs.site])
    weight = np.array(SIZES) / np.sum(SIZES)
    assert outside == pytest.approx(1 - np.sum(weight**2), abs=0.05)
    if share == 1.0:
        assert pairs.site.size == merges.n_sites - 1  # all but the lone one
    else:
        assert np.mean(label[pairs.cluster] != label[pairs.site]) > 0.5


def test_points_have_the_shares_of_distances(tree, merges):
    """Squared distances of a Gaussian embedding are chemical distances in the mean."""
    pairs = feature_pairs(merges, rng=0)
    x = embed_tree(tree, 400, rng=3).astype(np.float64)
    x += 3.0 * np.repeat(np.random.default_rng(1).standard_normal((6, 400)), SIZES, axis=0)
    found = pairs.shares(x)
    part, cluster = (
        tree.distance_between(pairs.site, other).mean() for other in (pairs.part, pairs.cluster)
    )
    assert found.component_r2 == pytest.approx(1.0 - part / cluster, abs=0.02)
    assert found.context > 0.9
    coarse = feature_pairs(merges, 0.5, rng=0).shares(x)
    assert coarse.component_r2 < found.component_r2 - 0.2
    assert sum(vars(found).values()) == pytest.approx(1.0)


def test_labels_have_the_shares_of_their_hierarchy(merges):
    function = HierarchicalFunction(standardized=False)
    values = np.stack([function.on(merges, rng=seed).value for seed in range(300)], axis=1)
    pairs = feature_pairs(merges, rng=5)
    expected = FeatureShares.of(
        *(
            function.expected_difference(merges, pairs.site, other)
            for other in (pairs.part, pairs.cluster, pairs.anywhere)
        )
    )
    found = pairs.shares(values)
    for name in ("context", "component", "surface"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=0.03)


def test_what_a_representation_of_one_kind_holds(merges):
    pairs = feature_pairs(merges, rng=6)
    cluster = np.searchsorted(merges.start, np.arange(merges.n_sites), side="right") - 1
    rng = np.random.default_rng(0)
    noise = pairs.shares(rng.standard_normal((merges.n_sites, 30)))
    assert noise.surface == pytest.approx(1.0, abs=0.02)
    assert abs(noise.component_r2) < 0.02
    only = pairs.shares(rng.standard_normal((6, 30))[cluster])
    assert (only.context, only.component_r2) == (1.0, 0.0)
    shuffled = pairs.shares(rng.permutation(rng.standard_normal((6, 30))[cluster]))
    assert abs(shuffled.context) < 0.04


def test_bad_input_is_refused(merges):
    pairs = feature_pairs(merges)
    with pytest.raises(ValueError, match="dead units"):
        pairs.shares(np.zeros((merges.n_sites, 4)))
    with pytest.raises(ValueError, match="restrict"):
        pairs.shares(np.zeros((50, 4)))
    with pytest.raises(ValueError, match="restrict"):  # all sites, for pairs of some
        feature_pairs(merges.restrict(np.arange(300))).shares(np.ones((merges.n_sites, 4)))
    with pytest.raises(ValueError, match="finite"):
        pairs.shares(np.full((merges.n_sites, 4), np.nan))
    with pytest.raises(ValueError, match="larger share"):
        feature_pairs(merges, 1e-5)
    with pytest.raises(ValueError, match="share"):
        feature_pairs(merges, 1.5)
