"""Kernels of points that are near each other, and of points too large for squares."""

import math
import warnings

import numpy as np
import pytest

from percolaw.learners.kernel import KernelRegression, nested_curve
from percolaw.learners.random_features import RandomFeatures
from percolaw.numerics.covariance import (
    Gaussian,
    LayerTangent,
    Matern,
    NetworkGaussianProcess,
    NeuralTangent,
)
from percolaw.numerics.distances import squared_distances
from percolaw.targets.teacher import standardized_inputs

X = np.random.default_rng(0).standard_normal((150, 3))
Y = np.sin(2.0 * X[:, 0])
NETWORKS = [NetworkGaussianProcess(2), NeuralTangent(1), NeuralTangent(3), LayerTangent(2)]


def direct(x, y):
    return ((x[:, None] - y[None]) ** 2).sum(axis=2)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e8])
@pytest.mark.parametrize("step", [1.0, 1e-4, 1e-9, 0.0])
def test_distances_of_near_pairs(offset, step):
    x = X + offset
    y = x + step * np.random.default_rng(1).standard_normal(x.shape)
    np.testing.assert_allclose(squared_distances(x, y), direct(x, y), rtol=1e-11)
    np.testing.assert_array_equal(np.diag(squared_distances(x, x)), 0.0)
    far = np.concatenate([x, x + 1e8])
    np.testing.assert_allclose(squared_distances(far, far), direct(far, far), rtol=1e-11)
    strided = np.asfortranarray(far)[::2]
    np.testing.assert_allclose(squared_distances(strided, y), direct(strided, y), rtol=1e-11)


@pytest.mark.parametrize("kernel", [Matern(0.05), Matern(0.5), Matern(0.1, 0.2)], ids=str)
def test_rough_kernels_meet_their_training_points(kernel):
    fitted = KernelRegression(kernel).fit(X, Y)
    np.testing.assert_allclose(fitted.predict(X), Y, atol=1e-9)
    curve = nested_curve(kernel, X, Y, X[:20], [50, 150])
    np.testing.assert_allclose(curve.prediction[1, :, 0], Y[:20], atol=1e-9)


@pytest.mark.parametrize("away", [1e4, 1e8])
def test_a_second_far_copy_changes_no_prediction(away):
    kernel, queries = Matern(1.5), X[:20] + 0.1
    alone = KernelRegression(kernel).fit(X, Y).predict(queries)
    both = np.concatenate([X, X + away])
    fitted = KernelRegression(kernel).fit(both, np.concatenate([Y, Y]))
    np.testing.assert_allclose(fitted.predict(queries), alone, atol=1e-8)


@pytest.mark.parametrize("kernel", NETWORKS, ids=str)
def test_network_kernels_at_small_angles(kernel):
    """Of a point with itself they are the diagonal, and the kink |angle| is seen from 1e-12 on."""
    own = kernel.diagonal(X)
    np.testing.assert_allclose(np.diag(kernel(X, X)), own, rtol=1e-14)
    if isinstance(kernel, NetworkGaussianProcess):
        return
    x = X[:1]
    side = np.cross(x, X[1:2])
    side /= np.linalg.norm(side)
    steps = 10.0 ** -np.arange(4, 12)[:, None]
    drop = (kernel.diagonal(x) - kernel(x + steps * side, x)[:, 0]) / steps[:, 0]
    np.testing.assert_allclose(drop[:6], drop[0], rtol=1e-3)


def test_opposite_points_are_at_half_a_turn():
    kernel = NeuralTangent(1, math.sqrt(2.0), 0.0)
    assert np.abs(np.diag(kernel(X, -X)) / kernel.diagonal(X)).max() < 1e-15
    kernel = LayerTangent(3)
    assert np.isfinite(kernel(np.zeros((2, 3)), X)).all()


@pytest.mark.parametrize("kernel", [Matern(), Matern(1.0), Gaussian(), *NETWORKS], ids=str)
@pytest.mark.parametrize("scale", [1e160, 1e200, 1e300])
def test_points_whose_squares_overflow_are_refused(kernel, scale):
    with pytest.raises(ValueError, match="Scale the inputs"):
        KernelRegression(kernel).fit(X * scale, Y)
    fitted = KernelRegression(kernel, ridge=1e-8).fit(X, Y)
    with pytest.raises(ValueError, match="Scale the inputs"):
        fitted.predict(X * scale)


@pytest.mark.parametrize("scale", [1e145, 1e200, 1e300])
def test_features_whose_squares_overflow_are_refused(scale):
    with pytest.raises(ValueError, match="Scale the inputs"):
        RandomFeatures(20).fit(X * scale, Y)
    fitted = RandomFeatures(20).fit(X, Y)
    with pytest.raises(ValueError, match="Scale the inputs"):
        fitted.predict(X * scale)


@pytest.mark.parametrize("power", [-1000, -600, -3, 600, 1000])
def test_inputs_of_any_unit_are_standardized(power):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = standardized_inputs(np.ldexp(X, power))
    np.testing.assert_allclose(found, standardized_inputs(X), rtol=1e-12)
