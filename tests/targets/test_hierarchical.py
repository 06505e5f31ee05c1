"""The hierarchical function: values by brute force, expected differences and variances, streams."""

import numpy as np
import pytest

from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.targets.hierarchical import HierarchicalFunction


@pytest.fixture(scope="module")
def merges():
    return merge_tree(conditioned_clusters([9, 1, 5], np.inf, rng=3), rng=1)


@pytest.mark.parametrize("normalized", [True, False])
def test_values_are_sums_over_latents(merges, normalized):
    drawn = HierarchicalFunction(normalized, standardized=False).on(merges, rng=2)
    for site in range(merges.n_sites):
        terms = [drawn.own[site], *drawn.latent[merges.ancestors(site)]]
        scale = np.sqrt(len(terms)) if normalized else 1.0
        assert drawn.value[site] == pytest.approx(sum(terms) / scale)
    standard = HierarchicalFunction(normalized).on(merges, rng=2)
    for k, (low, high) in enumerate([(0, 9), (9, 10), (10, 15)]):
        part = drawn.value[low:high]
        assert standard.variance[k] == pytest.approx(part.var(), abs=1e-12)
        spread = part.std() or 1.0
        np.testing.assert_allclose(standard.value[low:high], (part - part.mean()) / spread)


@pytest.mark.parametrize("normalized", [True, False])
def test_expected_differences_and_variances(merges, normalized):
    """Against the covariance matrix of all values, written out from the latents of each site."""
    target = HierarchicalFunction(normalized)
    n = merges.n_sites
    weight = np.hstack([merges.membership(np.arange(merges.n_latents)).toarray(), np.eye(n)])
    if normalized:
        weight = weight / np.sqrt(weight.sum(axis=1, keepdims=True))
    covariance = weight @ weight.T
    first, second = (a.ravel() for a in np.indices((n, n)))
    difference = np.diag(covariance)[:, None] + np.diag(covariance) - 2 * covariance
    np.testing.assert_allclose(
        target.expected_difference(merges, first, second), difference.ravel(), atol=1e-12
    )
    for k, part in enumerate([slice(0, 9), slice(9, 10), slice(10, 15)]):
        assert target.expected_variance(merges)[k] == pytest.approx(
            difference[part, part].mean() / 2
        )


def test_the_law_of_drawn_values(merges):
    """Negative control: hierarchies of other edges have other variances."""
    target = HierarchicalFunction(standardized=False)
    drawn = np.array([target.on(merges, rng=seed).value for seed in range(3000)])
    square = np.mean((drawn[:, [0]] - drawn) ** 2, axis=0)
    n = merges.n_sites
    expected = target.expected_difference(merges, np.zeros(n, int), np.arange(n))
    error = expected * np.sqrt(2 / 3000)
    assert np.all(np.abs(square - expected) <= 4.5 * error)
    tree = conditioned_clusters([9, 1, 5], np.inf, rng=3)
    other = target.expected_difference(merge_tree(tree, rng=2), np.zeros(n, int), np.arange(n))
    assert np.any(np.abs(square - other) > 4.5 * error)


def test_one_nearest_neighbour_has_the_predicted_curve():
    tree = conditioned_clusters(200_000, np.inf, rng=5)
    target = HierarchicalFunction(standardized=False)
    merges, rng = merge_tree(tree, rng=6), np.random.default_rng(0)
    scale = target.expected_variance(merges)[0]
    curve = []
    for m in (300, 3000, 30_000):
        observed, test = rng.choice(tree.n_sites, m, replace=False), rng.choice(tree.n_sites, 3000)
        nearest = tree.nearest(observed)[1]
        values = [target.on(merges, rng=s).value for s in range(4)]
        measured = np.array([np.mean((v[test] - v[nearest[test]]) ** 2) for v in values]) / scale
        expected = target.expected_difference(merges, test, nearest[test]).mean() / scale
        assert measured.mean() == pytest.approx(expected, abs=4 * measured.std(ddof=1) / 2 + 0.02)
        curve.append(expected)
    local = -np.diff(np.log(curve)) / np.log(10)
    assert np.all(local < 0.47), local  # one half is approached from below, by a logarithm
    assert np.all(local > 0.3), local
