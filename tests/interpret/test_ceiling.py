"""The posterior of latents: against dense Gaussian conditioning, and as a bound on guesses."""

import numpy as np
import pytest

from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.interpret.ceiling import latent_posterior
from percolaw.targets.hierarchical import HierarchicalFunction


@pytest.fixture(scope="module")
def merges():
    return merge_tree(conditioned_clusters([12, 1, 2, 7], np.inf, rng=4), rng=1)


def dense(merges, values, sites, normalized):
    """Conditioning of all latents on labels, by matrices."""
    weight = np.hstack(
        [merges.membership(np.arange(merges.n_latents)).toarray(), np.eye(merges.n_sites)]
    )
    if normalized:
        weight = weight / np.sqrt(weight.sum(axis=1, keepdims=True))
    weight = weight[sites]
    gain = weight.T @ np.linalg.inv(weight @ weight.T)
    k = merges.n_latents
    return (gain @ values)[:k], 1.0 - np.einsum("ij,ji->i", gain, weight)[:k]


@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_against_dense_conditioning(merges, normalized, share):
    function = HierarchicalFunction(normalized, standardized=False)
    values = function.on(merges, rng=3).value
    sites = np.flatnonzero(np.random.default_rng(2).random(merges.n_sites) < share)
    found = latent_posterior(merges, values[sites], sites, normalized=normalized)
    mean, variance = dense(merges, values[sites], sites, normalized)
    np.testing.assert_allclose(found.mean, mean, atol=1e-10)
    np.testing.assert_allclose(found.variance, variance, atol=1e-10)
    assert not np.allclose(found.variance, latent_posterior(merges, values).variance) or share == 1


def test_no_guess_is_better_than_the_ceiling():
    """The posterior mean reaches it; a mean of labels, and the posterior of other labels, do not."""
    merges = merge_tree(conditioned_clusters(3000, np.inf, rng=1), rng=2)
    large = np.flatnonzero(merges.sizes() >= 16)
    scores = {"posterior": [], "mean": [], "shuffled": []}
    function = HierarchicalFunction(standardized=False)
    for seed in range(12):
        drawn = function.on(merges, rng=seed)
        found = latent_posterior(merges, drawn.value)
        other = latent_posterior(merges, np.random.default_rng(seed).permutation(drawn.value))
        inside = np.array([drawn.value[merges.members(i)].mean() for i in large])
        truth = drawn.latent[large]
        scores["mean"].append(np.corrcoef(inside, truth)[0, 1] ** 2)
        scores["posterior"].append(1 - np.mean((found.mean[large] - truth) ** 2))
        scores["shuffled"].append(1 - np.mean((other.mean[large] - truth) ** 2))
    ceiling = found.ceiling(large)
    error = {k: np.std(v, ddof=1) / np.sqrt(12) for k, v in scores.items()}
    assert abs(np.mean(scores["posterior"]) - ceiling) < 4 * error["posterior"]
    assert np.mean(scores["mean"]) < ceiling - 4 * error["mean"]
    assert np.mean(scores["shuffled"]) < 0.0


def test_what_is_not_known_is_said(merges):
    nothing = latent_posterior(merges, [], [])
    assert np.all(nothing.variance == 1.0)
    assert np.all(nothing.mean == 0.0)
    with pytest.raises(ValueError, match="twice"):
        latent_posterior(merges, [1.0, 2.0], [3, 3])
    with pytest.raises(ValueError, match="values"):
        latent_posterior(merges, [1.0, 2.0])
    with pytest.raises(ValueError, match="empty"):
        nothing.ceiling([])
