"""Losses of tree learners on large conditioned trees follow their laws."""

import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

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
from percolaw.learners.tree_nearest import TreeNearest
from percolaw.learners.tree_posterior import TreePosterior, posterior_variance
from percolaw.targets.tree_walk import TreeWalk

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


@pytest.fixture(scope="module")
def trees():
    return conditioned_clusters(np.full(250, 40_000), math.inf, rng=9)


@pytest.mark.parametrize("m", [1, 2, 5, 20])
def test_mean_distance_to_the_nearest_of_m(trees, m):
    size, n_trees, n_tests, tree = 40_000, 250, 20, trees
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
