"""Expected losses against the mean over many functions drawn from the law."""

from functools import partial

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

from percolaw.learners.expected import kernel_loss, neighbors_loss
from percolaw.learners.kernel import KernelRegression, nested_curve
from percolaw.learners.neighbors import NearestNeighbors
from percolaw.numerics.covariance import Linear, Matern

RNG = np.random.default_rng(0)
POINTS = RNG.standard_normal((140, 3))
QUERIES = RNG.standard_normal((60, 3)) * 1.3
SIZES = np.array([10, 140])
EVERYTHING = np.concatenate([POINTS, QUERIES])
DRAWS = 1000


def draws(covariance):
    """Functions on points and queries, a column each, centred as standardised values are."""
    matrix = covariance(EVERYTHING, EVERYTHING) + 1e-10 * np.eye(200)
    f = np.linalg.cholesky(matrix) @ np.random.default_rng(1).standard_normal((200, DRAWS))
    return f - f.mean(axis=0)


@pytest.mark.parametrize("covariance", [Linear(), Matern(0.5), Matern(1.5)])
@pytest.mark.parametrize(
    "learner",
    [
        NearestNeighbors(1),
        NearestNeighbors(4),
        KernelRegression(Matern(0.5, 0.2)),  # far from all points it answers 0
        KernelRegression(Matern(2.5), 0.1),
    ],
    ids=str,
)
def test_the_mean_over_functions_is_what_is_expected(covariance, learner):
    f = draws(covariance)
    variance, error = mean_and_error(f[140:].var(axis=0))
    if isinstance(learner, NearestNeighbors):
        predict = partial(neighbors_loss, covariance, POINTS, QUERIES, SIZES, k=learner.k)
    else:
        given = learner.kernel, learner.ridge
        predict = partial(kernel_loss, covariance, POINTS, QUERIES, SIZES, learner=given)
    own = covariance(QUERIES, QUERIES)
    expected = predict(variance=float(np.diag(own).mean() - own.mean()))
    slopes = 2.0 * predict(variance=2.0) - predict(variance=1.0)
    for n, one, slope in zip(SIZES, expected, slopes, strict=True):
        square = ((learner.fit(POINTS[:n], f[:n]).predict(QUERIES) - f[140:]) ** 2).mean(axis=0)
        mean, spread = mean_and_error(square)
        ratio = mean / variance
        spread = ratio * (spread / mean + error / variance)  # both at their worst together
        assert_close(ratio, one, spread)
        assert_far(ratio, 1.5 * one, spread)
        # The slope of errors against variances is that of least squares.
        away = f[140:].var(axis=0) - variance
        moment, spread = mean_and_error(away * (square - mean - slope * away))
        assert_close(moment, 0.0, spread)
        assert_far(moment - 0.3 * np.mean(away**2), 0.0, spread)


def test_a_matched_kernel_without_ridge_has_its_posterior_variance():
    """But for the centring of values, which `nested_curve` does not do."""
    kernel = Matern(0.5, 0.3)
    curve = nested_curve(kernel, POINTS, np.zeros(140), QUERIES, SIZES)
    spread = kernel.diagonal(QUERIES).mean() - kernel(QUERIES, QUERIES).mean()
    found = kernel_loss(kernel, POINTS, QUERIES, SIZES, spread, (kernel, 0.0))
    np.testing.assert_allclose(found[1], curve.variance[1] / spread, rtol=0.05)
