"""Expected losses by position against many functions drawn, and against each other."""

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

from percolaw.datasets.contexts import ClusterFunctions, context_cluster, parse_law
from percolaw.datasets.sources import InfiniteCluster
from percolaw.learners import in_context
from percolaw.learners.kernel import KernelRegression
from percolaw.learners.neighbors import NearestNeighbors
from percolaw.learners.tree_posterior import posterior_variance
from percolaw.numerics.covariance import Linear, Matern

CLUSTER = context_cluster(InfiniteCluster(3), 14, rng=4)
FUNCTIONS = ClusterFunctions(CLUSTER, parse_law("tree walk"))
COVARIANCE, POINTS = FUNCTIONS.covariance, CLUSTER.points
SEQUENCES = np.random.default_rng(0).random((5, 14)).argsort(axis=1)[:, :8]


def dense(position):
    """Posterior weights of y at a position of each sequence, by dense conditioning."""
    for row in SEQUENCES:
        before, query = row[:position], row[position]
        inside = COVARIANCE[np.ix_(before, before)] + 1e-9 * np.eye(position)
        yield row, np.linalg.solve(inside, COVARIANCE[before, query])


def test_the_posterior_is_gaussian_conditioning():
    y = FUNCTIONS.draw(5, rng=1)[np.arange(5)[:, None], SEQUENCES]
    mean = in_context.posterior_means(COVARIANCE, SEQUENCES, y)
    losses = in_context.posterior_losses(COVARIANCE, SEQUENCES)
    np.testing.assert_allclose(mean[:, 0], 0.0, atol=1e-12)
    assert losses[0] == pytest.approx(COVARIANCE.diagonal()[SEQUENCES[:, 0]].mean())
    for t in (1, 4, 7):
        variance = []
        for i, (row, weight) in enumerate(dense(t)):
            assert mean[i, t] == pytest.approx(float(weight @ y[i, :t]), abs=1e-6)
            variance.append(COVARIANCE[row[t], row[t]] - weight @ COVARIANCE[row[:t], row[t]])
        assert losses[t] == pytest.approx(np.mean(variance), abs=1e-6)


def test_the_posterior_of_many_points_is_that_of_the_tree():
    """The mean over the cluster is known here and not there: it tells less, the more pairs are seen."""
    ratio = []
    for t in (1, 7):
        flat = [
            posterior_variance(CLUSTER.tree, CLUSTER.node[row[:t]], CLUSTER.node[row[t : t + 1]])
            for row in SEQUENCES
        ]
        exact = in_context.posterior_losses(COVARIANCE, SEQUENCES)[t] * FUNCTIONS.scale**2
        ratio.append(exact / np.mean(flat))
    assert ratio[0] < 0.7 < ratio[1] <= 1.0


LEARNERS = {
    "ridge": (KernelRegression(Linear(), 0.3), lambda: _kernel(Linear(), 0.3)),
    "kernel": (KernelRegression(Matern(0.5), 0.01), lambda: _kernel(Matern(0.5), 0.01)),
    "nearest": (
        NearestNeighbors(1),
        lambda: in_context.nearest_losses(COVARIANCE, SEQUENCES, POINTS),
    ),
}


def _kernel(kernel, ridge):
    return in_context.kernel_losses(COVARIANCE, SEQUENCES, kernel(POINTS, POINTS), ridge)


@pytest.mark.parametrize("name", LEARNERS)
def test_expected_losses_are_those_over_many_functions(name):
    learner, expected = LEARNERS[name]
    losses, drawn = expected(), FUNCTIONS.draw(2000, rng=3)
    assert losses[0] == pytest.approx(COVARIANCE.diagonal()[SEQUENCES[:, 0]].mean())
    for t in (1, 6):
        square = np.zeros(2000)
        for row in SEQUENCES:
            fitted = learner.fit(POINTS[row[:t]], drawn[:, row[:t]].T)
            square += (fitted.predict(POINTS[row[t : t + 1]])[0] - drawn[:, row[t]]) ** 2 / 5
        mean, error = mean_and_error(square)
        assert_close(mean, losses[t], error)
        assert_far(mean, losses[t] * 1.25, error)


def test_the_best_gradient_step_is_the_best_and_ridge_its_limit():
    step = in_context.best_gradient_step(COVARIANCE, SEQUENCES, POINTS)
    at_best = in_context.gradient_step_losses(COVARIANCE, SEQUENCES, POINTS, step)[1:].mean()
    for i in range(9):
        other = step.copy()
        other.flat[i] += 0.05
        moved = in_context.gradient_step_losses(COVARIANCE, SEQUENCES, POINTS, other)[1:].mean()
        assert moved > at_best
    # of a large ridge, regression is one small step: f = x.x' y / ridge, summed over the pairs
    small = in_context.gradient_step_losses(COVARIANCE, SEQUENCES, POINTS, 1e-3 * np.eye(3))
    for t in (1, 5):
        ridge = _kernel(Linear(), 1e3 * t / 3.0)[t]
        assert ridge == pytest.approx(small[t], rel=1e-4)
        assert abs(small[t] - small[0]) > 1e-5


def test_linear_functions_are_known_after_as_many_pairs_as_coordinates():
    """Ridge that goes to 0 is the posterior of linear functions."""
    linear = ClusterFunctions(CLUSTER, parse_law("linear")).covariance
    posterior = in_context.posterior_losses(linear, SEQUENCES)
    kernel = POINTS @ POINTS.T / np.trace(POINTS @ POINTS.T) * 14
    ridge = in_context.kernel_losses(linear, SEQUENCES, kernel, 1e-9)
    np.testing.assert_allclose(ridge, posterior, atol=1e-6)
    assert posterior[2] > 0.05
    assert posterior[3] < 1e-5
    assert in_context.kernel_losses(linear, SEQUENCES, kernel, 0.5)[3] > 0.02


def test_the_best_step_on_gaussian_points_is_the_published_one():
    """Ahn et al. (2023): P = (1 + (d + 1) / n)^-1 for n independent pairs of isotropic points; n = 1."""
    rng = np.random.default_rng(6)
    points = rng.standard_normal((2000, 2))
    step = in_context.best_gradient_step(
        points @ points.T, rng.integers(0, 2000, (40_000, 2)), points
    )
    np.testing.assert_allclose(step, np.eye(2) / 4.0, atol=0.01)
