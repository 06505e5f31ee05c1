"""Degrees of freedom and random features against solved matrices and fits of unit vectors."""

import math
import re

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

from percolaw import checks
from percolaw.errors import ResourceError
from percolaw.learners.kernel import KernelRegression
from percolaw.learners.random_features import RandomFeatures
from percolaw.numerics.covariance import NetworkGaussianProcess
from percolaw.numerics.degrees_of_freedom import (
    divergence,
    matched_smoother,
    random_signs,
    smoother_trace,
    stein_divergence,
)
from percolaw.rng import Streams


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def positive(seed, n, rank):
    root = normal(seed, n, rank)
    return root @ root.T


# --- the trace of a kernel smoother


@pytest.mark.parametrize("rank", [5, 30, 50])
def test_trace_against_solve(rank):
    kernel = positive(0, 30, rank)
    ridges = np.array([[1e-3, 0.1, 1.0], [7.0, 50.0, 1e4]])
    found = smoother_trace(kernel, ridges)
    assert found.shape == ridges.shape
    expected = [np.trace(np.linalg.solve(kernel + r * np.eye(30), kernel)) for r in ridges.ravel()]
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-9)
    assert np.all(np.diff(found.ravel()) < 0.0)
    # The ridge is in the unit of the kernel, not of its mean over points.
    assert abs(found[0, 2] - smoother_trace(kernel / 30, 1.0)) > 0.1
    assert smoother_trace(kernel, 0.5).shape == ()


@pytest.mark.parametrize("rank", [0, 1, 7, 20])
def test_trace_without_a_ridge_is_the_rank(rank):
    kernel = positive(1, 20, rank) if rank else np.zeros((20, 20))
    assert smoother_trace(kernel, 0.0) == rank
    assert smoother_trace(1e-9 * kernel, 0.0) == rank


def test_trace_by_hand():
    np.testing.assert_allclose(
        smoother_trace(np.diag([4.0, 1.0, 0.0]), [0.0, 1.0, 4.0]),
        [2.0, 0.8 + 0.5, 0.5 + 0.2],
        rtol=1e-15,
    )


@pytest.mark.parametrize(
    ("kernel", "ridge", "reason"),
    [
        (np.ones((2, 3)), 1.0, "square; got (2, 3)"),
        (np.ones(3), 1.0, "2 dimension"),
        (np.eye(2), -0.5, "at least 0; got -0.5"),
        (np.eye(2), [1.0, -2.0], "at least 0; got -2"),
        (np.eye(2), math.nan, "non-finite"),
        ([[1.0, math.nan], [0.0, 1.0]], 1.0, "non-finite"),
    ],
)
def test_trace_refuses(kernel, ridge, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        smoother_trace(kernel, ridge)


# --- the divergence of any fit


def test_divergence_of_a_linear_fit():
    """Unbiased, with the variance of the docstring; not the sum of H, its row signs ignored."""
    h = positive(2, 12, 6) / 12
    probes = 4000
    found = stein_divergence(lambda y: h @ y, normal(3, 12), n_probes=probes, rng=5)
    assert found.shape == (probes,)
    mean, error = mean_and_error(found)
    assert_close(mean, np.trace(h), error)
    variance = 2.0 * (np.sum(h * h) - np.sum(np.diag(h) ** 2))
    spread = (found - np.trace(h)) ** 2
    assert_close(spread.mean(), variance, spread.std() / math.sqrt(probes))
    # Controls: signs ignored (sum of H), a step of the wrong sign or of twice the size, and a
    # variance that counts the diagonal or forgets the symmetric half.
    for wrong in (h.sum(), -np.trace(h), 2 * np.trace(h), np.trace(h @ h)):
        assert_far(mean, wrong, error)
    for wrong in (2 * np.sum(h * h), variance / 2):
        assert_far(spread.mean(), wrong, spread.std() / math.sqrt(probes))
    # An estimate in which half of the signs are lost is another one.
    signs = 2.0 * np.random.default_rng(6).integers(0, 2, (12, probes)) - 1.0
    lost = signs.copy()
    lost[:6] = 1.0
    broken, its_error = mean_and_error((lost * (h @ lost)).sum(axis=0))
    assert_far(broken, np.trace(h), its_error)


def test_divergence_of_an_asymmetric_fit():
    h = normal(4, 9, 9)
    found = stein_divergence(lambda y: h @ y + 3.0, normal(5, 9), n_probes=2000, rng=1)
    mean, error = mean_and_error(found)
    assert_close(mean, np.trace(h), error)
    assert_far(mean, h.sum(), error)


def test_divergence_from_its_parts():
    """Fits made elsewhere, columns first moved up and then down, give the same estimates."""
    h, y = normal(4, 9, 9), normal(5, 9)
    signs, step = random_signs(9, 6, rng=2), 1e-2 * y.std()
    np.testing.assert_array_equal(np.abs(signs), 1.0)
    up, down = h @ (y[:, None] + step * signs), h @ (y[:, None] - step * signs)
    found = divergence(signs, np.concatenate([up, down], axis=1), step)
    # Not to the bit: on some processors a product depends on how many columns it has.
    together = stein_divergence(lambda v: h @ v, y, n_probes=6, rng=2)
    np.testing.assert_allclose(found, together, rtol=1e-12)
    np.testing.assert_allclose(found, [z @ h @ z for z in signs.T], rtol=1e-9)
    np.testing.assert_allclose(divergence(signs, np.concatenate([down, up], 1), step), -found)


def test_signs_are_fair_and_independent():
    signs = random_signs(50, 200, rng=1)
    for sample in (signs, signs[1:] * signs[:-1], signs[:, 1:] * signs[:, :-1]):
        mean, error = mean_and_error(sample.ravel())
        assert_close(mean, 0.0, error)
    assert_far(float((signs > 0).mean()), 0.0, 0.005)


@pytest.mark.parametrize("scale", [0.1, 1.0, 30.0])
def test_divergence_of_a_cube_is_exact(scale):
    """(y+e)^3 - (y-e)^3 = 2e (3 y^2 + e^2), whatever the signs: the step is in units of the spread,
    and taken to both sides."""
    y = scale * (1.0 + normal(6, 25))
    e = 0.05 * y.std()
    found = stein_divergence(lambda v: v**3, y, n_probes=3, amplitude=0.05)
    np.testing.assert_allclose(found, np.sum(3 * y**2 + e**2), rtol=1e-10)
    one_sided = np.sum(3 * y**2 + 3 * e * y + e**2)
    assert np.all(np.abs(found - one_sided) > 1e-3 * found)


def test_divergence_of_constant_values():
    seen = []

    def fit(v):
        seen.append(v)
        return v - v.mean(axis=0)

    found = stein_divergence(fit, np.full(8, 2.0), n_probes=200, amplitude=0.5)
    (v,) = seen
    assert v.shape == (8, 400)
    np.testing.assert_array_equal(np.abs(v - 2.0), 0.5)  # the unit is 1 where nothing varies
    np.testing.assert_array_equal(v[:, :200] - 2.0, 2.0 - v[:, 200:])
    mean, error = mean_and_error(found)
    assert_close(mean, 7.0, error)
    assert_far(mean, 8.0, error)


def test_divergence_is_a_function_of_its_seed():
    y, h = normal(7, 10), normal(8, 10, 10)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = stein_divergence(lambda v: h @ v, y, rng=3)
    np.testing.assert_array_equal(first, stein_divergence(lambda v: h @ v, y, rng=3))
    np.testing.assert_array_equal(first, stein_divergence(lambda v: h @ v, y, rng=Streams(3)))
    assert not np.any(first == stein_divergence(lambda v: h @ v, y, rng=4))
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002
    # The scale of the values does not matter for a linear fit, nor does the amplitude.
    for other in (
        stein_divergence(lambda v: h @ v, 1e3 * y, rng=3),
        stein_divergence(lambda v: h @ v, y, rng=3, amplitude=1.0),
    ):
        np.testing.assert_allclose(other, first, rtol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"fit": lambda v: v[:, 0]}, "shape (5, 16); got (5,)"),
        ({"fit": lambda v: v.T}, "shape (5, 16); got (16, 5)"),
        ({"values": np.ones((5, 1))}, "1 dimension"),
        ({"values": np.full(5, math.nan)}, "non-finite"),
        ({"n_probes": 0}, "n_probes must be in [1"),
        ({"amplitude": 0.0}, "amplitude must be finite and in"),
        ({"amplitude": -1.0}, "amplitude must be finite and in"),
    ],
)
def test_divergence_refuses(arguments, reason):
    full = {"fit": lambda v: v, "values": np.arange(5.0)} | arguments
    fit, values = full.pop("fit"), full.pop("values")
    with pytest.raises(ValueError, match=re.escape(reason)):
        stein_divergence(fit, values, **full)


# --- random features


def features(fitted, x):
    """The features of a fit, from its weights and biases, written out."""
    m = fitted.biases_.size
    z = np.array([[row @ fitted.weights_[:, j] + fitted.biases_[j] for j in range(m)] for row in x])
    return np.where(z > 0.0, z, 0.0) / math.sqrt(m)


@pytest.mark.parametrize("ridge", [1e-3, 0.5])
@pytest.mark.parametrize("m", [8, 60])
def test_random_features_against_the_normal_equations(m, ridge):
    x, y, q = normal(10, 25, 3), normal(11, 25, 2), normal(12, 7, 3)
    fitted = RandomFeatures(m, ridge, rng=2).fit(x, y)
    phi = features(fitted, x)
    a = np.linalg.solve(phi.T @ phi + ridge * np.eye(m), phi.T @ y)
    np.testing.assert_allclose(fitted.readout_, a, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(fitted.predict(q), features(fitted, q) @ a, atol=1e-9)
    # Not the ridge per point, as others have it.
    wrong = np.linalg.solve(phi.T @ phi + 25 * ridge * np.eye(m), phi.T @ y)
    assert np.abs(fitted.readout_ - wrong).max() > 1e-3
    single = RandomFeatures(m, ridge, rng=2).fit(x, y[:, 1])
    assert single.readout_.shape == (m,)
    np.testing.assert_allclose(single.predict(q), fitted.predict(q)[:, 1], atol=1e-12)


@pytest.mark.parametrize("m", [8, 60])
def test_random_features_without_a_ridge(m):
    """Least squares of least norm: of 25 points with 60 features it interpolates."""
    x, y = normal(10, 25, 3), normal(11, 25)
    fitted = RandomFeatures(m, 0.0, rng=2).fit(x, y)
    a = np.linalg.lstsq(features(fitted, x), y, rcond=None)[0]
    np.testing.assert_allclose(fitted.readout_, a, rtol=1e-6, atol=1e-8 * np.abs(a).max())
    residual = np.abs(fitted.predict(x) - y).max()
    assert residual < 1e-8 if m == 60 else residual > 0.1
    rank = np.linalg.matrix_rank(features(fitted, x))
    np.testing.assert_allclose(fitted.degrees_of_freedom_, rank, rtol=1e-12)


@pytest.mark.parametrize(("m", "ridge"), [(8, 1e-2), (60, 0.1), (60, 3.0), (60, 0.0)])
def test_random_features_degrees_of_freedom(m, ridge):
    """Trace of the hat matrix, made by fitting unit vectors; its kernel's; and its divergence."""
    x, n = normal(13, 20, 4), 20
    model = RandomFeatures(m, ridge, rng=3)
    fitted = model.fit(x, np.eye(n))
    hat = fitted.predict(x)
    np.testing.assert_allclose(fitted.degrees_of_freedom_, np.trace(hat), rtol=1e-9)
    phi = features(fitted, x)
    np.testing.assert_allclose(smoother_trace(phi @ phi.T, ridge), np.trace(hat), rtol=1e-6)
    found = stein_divergence(lambda v: model.fit(x, v).predict(x), normal(14, n), n_probes=200)
    if ridge or m < n:
        mean, error = mean_and_error(found)
        assert_close(mean, np.trace(hat), error)
        # A probe with the wrong sign on one side sees no difference at all.
        for wrong in (0.0, float(n), np.trace(hat) / 2):
            assert_far(mean, wrong, error)


def test_random_features_are_drawn_as_said():
    fitted = RandomFeatures(4000, weight_scale=3.0, bias_scale=0.5, rng=1).fit(
        normal(15, 3, 5), np.zeros(3)
    )
    for found, scale, wrong in (
        (fitted.weights_.ravel(), 3.0 / math.sqrt(5), 3.0),
        (fitted.biases_, 0.5, 0.25),
    ):
        mean, error = mean_and_error(found)
        assert_close(mean, 0.0, error)
        square, error = mean_and_error(found**2)
        assert_close(square, scale**2, error)
        assert_far(square, wrong**2, error)
    again = RandomFeatures(4000, weight_scale=3.0, bias_scale=0.5, rng=1).fit(
        normal(15, 3, 5), np.zeros(3)
    )
    np.testing.assert_array_equal(again.weights_, fitted.weights_)
    other = RandomFeatures(4000, weight_scale=3.0, bias_scale=0.5, rng=2).fit(
        normal(15, 3, 5), np.zeros(3)
    )
    assert not np.any(other.weights_ == fitted.weights_)


class WithoutReadout:
    """E relu relu': the Gaussian process of a network less the gain and bias of its readout."""

    def __init__(self, weight_scale, bias_scale):
        self.network = NetworkGaussianProcess(1, weight_scale, bias_scale)

    def __call__(self, x, y):
        w, b = self.network.weight_scale, self.network.bias_scale
        return (self.network(x, y) - b**2) / w**2

    def diagonal(self, x):
        w, b = self.network.weight_scale, self.network.bias_scale
        return (self.network.diagonal(x) - b**2) / w**2


def test_expected_features_are_the_kernel():
    x = normal(16, 6, 3)
    kernel = WithoutReadout(1.3, 0.7)
    z_w, z_b = normal(17, 3, 100_000) * 1.3 / math.sqrt(3), normal(18, 100_000) * 0.7
    phi = np.maximum(x @ z_w + z_b, 0.0)
    for i, j in ((0, 0), (0, 1), (2, 4)):
        mean, error = mean_and_error(phi[i] * phi[j])
        assert_close(mean, kernel(x, x)[i, j], error)
        assert_far(mean, kernel.network(x, x)[i, j], error)


@pytest.mark.parametrize("bias_scale", [0.0, 1.0])
def test_random_features_become_kernel_regression(bias_scale):
    x, q = normal(19, 40, 3), normal(20, 30, 3)
    y, ridge = np.sin(x[:, 0]) + x[:, 1], 0.05
    kernel = WithoutReadout(math.sqrt(2.0), bias_scale)
    limit = KernelRegression(kernel, ridge).fit(x, y).predict(q)

    def distance(m, to, r=ridge):
        gaps = [
            RandomFeatures(m, r, bias_scale=bias_scale, rng=seed).fit(x, y).predict(q) - to
            for seed in range(6)
        ]
        return math.sqrt(np.mean(np.square(gaps)))

    far, near = distance(64, limit), distance(4096, limit)
    assert near < far / 4.0  # 1/sqrt(m) would be 8
    assert near < 0.03 * limit.std()
    # Control: the kernel with another bias, or a ridge a few times as large, is another limit.
    other = KernelRegression(WithoutReadout(math.sqrt(2.0), 20.0), ridge).fit(x, y).predict(q)
    assert distance(4096, other) > 4.0 * near
    assert distance(4096, limit, 10.0 * ridge) > 2.0 * near


def test_random_features_and_the_network_process():
    """Without biases the process of depth 1 is the features' kernel times weight_scale^2."""
    x, q = normal(19, 40, 3), normal(20, 30, 3)
    y, ridge = np.sin(x[:, 0]) + x[:, 1], 0.05
    process = NetworkGaussianProcess(1, math.sqrt(2.0), 0.0)
    limit = KernelRegression(process, 2.0 * ridge).fit(x, y).predict(q)
    found = RandomFeatures(8192, ridge, bias_scale=0.0).fit(x, y).predict(q)
    assert np.abs(found - limit).max() < 0.05 * limit.std()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"n_features": 0}, "n_features must be in [1"),
        ({"n_features": 2.5}, "n_features must be an integer"),
        ({"ridge": -1.0}, "ridge must be finite and in [0"),
        ({"weight_scale": 0.0}, "weight_scale must be finite"),
        ({"bias_scale": -0.1}, "bias_scale must be finite"),
        ({"bias_scale": math.nan}, "bias_scale must be finite"),
    ],
)
def test_random_features_refuse_numbers(arguments, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        RandomFeatures(**arguments)


def test_random_features_refuse_data(monkeypatch):
    model, x = RandomFeatures(10), normal(21, 6, 2)
    for points, values, reason in (
        (x[0], np.zeros(2), "2 dimension"),
        (x, np.zeros(5), "must have 6 rows; got 5"),
        (np.full((6, 2), math.inf), np.zeros(6), "non-finite"),
        (x, np.full(6, math.nan), "non-finite"),
        (np.zeros((0, 2)), np.zeros(0), "neither 0; got (0, 2)"),
    ):
        with pytest.raises(ValueError, match=re.escape(reason)):
            model.fit(points, values)
    fitted = model.fit(x, np.zeros(6))
    with pytest.raises(ValueError, match="X has 3 features, but RandomFeatures is expecting 2"):
        fitted.predict(np.zeros((4, 3)))
    monkeypatch.setattr(checks, "available_memory", lambda: 100)
    with pytest.raises(ResourceError, match="Lower n_features"):
        model.fit(x, np.zeros(6))


def test_dead_features_predict_zero():
    """Where every feature is 0 the fit of least norm is 0, with no degree of freedom."""
    fitted = RandomFeatures(5, 0.0, bias_scale=0.0).fit(np.zeros((4, 2)), np.ones(4))
    assert fitted.degrees_of_freedom_ == 0.0
    np.testing.assert_array_equal(fitted.predict(np.ones((3, 2))), 0.0)


def dense_residual(kernel, y, ridge):
    fitted = kernel @ np.linalg.solve(kernel + ridge * np.eye(y.size), y)
    return float(np.mean((y - fitted) ** 2))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e8])
@pytest.mark.parametrize("share", [1e-6, 1e-3, 0.1, 0.5, 0.99])
def test_matched_smoother_leaves_the_asked_residual(scale, share):
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((40, 3)), rng.standard_normal(40)
    kernel = scale * np.exp(-np.linalg.norm(x[:, None] - x, axis=2))
    asked = share * np.mean(y**2)
    ridge, trace = matched_smoother(kernel, y, asked)
    assert ridge > 0
    assert trace == pytest.approx(smoother_trace(kernel, ridge), rel=1e-6)
    assert dense_residual(kernel, y, ridge) == pytest.approx(asked, rel=1e-4)
    assert dense_residual(kernel, y, 2 * ridge) > 1.001 * asked


def test_limits_of_the_matched_smoother():
    rng = np.random.default_rng(7)
    features, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    kernel = features @ features.T
    least = float(np.mean((y - features @ np.linalg.lstsq(features, y)[0]) ** 2))
    # Even interpolation leaves more: all of the rank.
    assert matched_smoother(kernel, y, 0.9 * least) == (0.0, 4.0)
    assert matched_smoother(kernel, y, 0.0) == (0.0, 4.0)
    ridge, trace = matched_smoother(kernel, y, 1.1 * least)
    assert dense_residual(kernel, y, ridge) == pytest.approx(1.1 * least, rel=1e-4)
    assert trace == pytest.approx(smoother_trace(kernel, ridge), rel=1e-6)
    largest = np.linalg.eigvalsh(kernel)[-1]
    for more in (1.0, 5.0):
        ridge, trace = matched_smoother(kernel, y, more * np.mean(y**2))
        assert ridge == pytest.approx(1e12 * largest)
        assert 0.0 <= trace < 1e-10
    ridge, trace = matched_smoother(np.zeros((30, 30)), y, 0.1)
    assert np.isfinite(ridge)
    assert trace == 0.0
