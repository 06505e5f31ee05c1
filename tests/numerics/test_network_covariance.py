"""Kernels of infinitely wide networks against recursions by hand and random finite networks."""

import itertools
import math

import numpy as np
import pytest
from kernel_cases import normal
from statistical import assert_close, assert_far, mean_and_error

from percolaw.numerics.covariance import (
    NetworkGaussianProcess,
    NeuralTangent,
)

# --- infinitely wide networks


def k1(angle):
    return (math.sin(angle) + (math.pi - angle) * math.cos(angle)) / math.pi


@pytest.mark.parametrize("bias", [0.0, 0.8])
def test_depth_one_by_hand(bias):
    w2, b2 = 1.7, bias**2
    x, y = np.array([[1.0, 2.0]]), np.array([[3.0, -0.5]])
    kxx, kyy, kxy = (b2 + w2 * dot / 2 for dot in (5.0, 9.25, 2.0))
    angle = math.acos(kxy / math.sqrt(kxx * kyy))
    nngp = b2 + w2 / 2 * math.sqrt(kxx * kyy) * k1(angle)
    ntk = nngp + kxy * w2 / 2 * (1 - angle / math.pi)
    args = (1, math.sqrt(w2), bias)
    assert NetworkGaussianProcess(*args)(x, y)[0, 0] == pytest.approx(nngp, rel=1e-13)
    assert NeuralTangent(*args)(x, y)[0, 0] == pytest.approx(ntk, rel=1e-13)
    assert NetworkGaussianProcess(*args).diagonal(x)[0] == pytest.approx(b2 + w2 / 2 * kxx)
    assert NeuralTangent(*args).diagonal(x)[0] == pytest.approx(b2 + w2 / 2 * kxx * 2)


@pytest.mark.parametrize("depth", [2, 3, 6])
def test_recursion_over_depth_from_the_kernels_one_layer_less(depth):
    x, y = normal(0, 6, 3), normal(1, 5, 3)
    w, b = 1.2, 0.4
    less, more = NetworkGaussianProcess(depth - 1, w, b), NetworkGaussianProcess(depth, w, b)
    norm = np.sqrt(np.outer(less.diagonal(x), less.diagonal(y)))
    angle = np.arccos(less(x, y) / norm)
    expected = b**2 + w**2 / 2 * norm * np.vectorize(k1)(angle)
    np.testing.assert_allclose(more(x, y), expected, rtol=1e-12)
    tangent = expected + w**2 / 2 * (1 - angle / math.pi) * NeuralTangent(depth - 1, w, b)(x, y)
    np.testing.assert_allclose(NeuralTangent(depth, w, b)(x, y), tangent, rtol=1e-12)


@pytest.mark.parametrize("kind", [NetworkGaussianProcess, NeuralTangent])
def test_diagonal_is_the_kernel_of_a_point_with_itself(kind):
    x = np.concatenate([normal(0, 20, 4), np.zeros((1, 4))])
    for args in ((1, 1.0, 0.0), (3, 1.4, 0.0), (4, 1.1, 0.6)):
        kernel = kind(*args)
        np.testing.assert_allclose(np.diag(kernel(x, x)), kernel.diagonal(x), rtol=1e-6, atol=1e-12)


def test_homogeneous_without_biases_only():
    x, y = normal(2, 8, 3), normal(3, 9, 3)
    for kind in (NetworkGaussianProcess, NeuralTangent):
        kernel = kind(3, 1.3, 0.0)
        np.testing.assert_allclose(kernel(2.5 * x, 0.5 * y), 1.25 * kernel(x, y), rtol=1e-12)
        kernel = kind(3, 1.3, 0.5)
        assert np.abs(kernel(2.5 * x, 0.5 * y) / (1.25 * kernel(x, y)) - 1).max() > 0.05
    # Without biases every layer adds as much again: |grad|^2 = (depth + 1) f^2 in the mean.
    for depth in (1, 2, 5):
        nngp, ntk = (kind(depth, 1.3, 0.0) for kind in (NetworkGaussianProcess, NeuralTangent))
        np.testing.assert_allclose(ntk.diagonal(x), (depth + 1) * nngp.diagonal(x))


def test_opposite_and_zero_points():
    x = normal(4, 5, 3)
    kernel = NetworkGaussianProcess(1, 1.0, 0.0)
    np.testing.assert_allclose(np.diag(kernel(x, -x)), 0.0, atol=1e-15)  # ReLUs never both on
    zero = np.zeros((2, 3))
    for kind in (NetworkGaussianProcess, NeuralTangent):
        assert np.all(np.isfinite(kind(2, 1.0, 0.0)(np.concatenate([x, zero]), zero)))
        np.testing.assert_array_equal(kind(2, 1.0, 0.0)(x, zero), 0.0)


def draw(rng, sizes):
    """Standard normal parameters of a network in the NTK parametrisation."""
    return [
        (rng.standard_normal((a, b)), rng.standard_normal(b)) for a, b in itertools.pairwise(sizes)
    ]


def forward(parameters, x, w, b):
    """Outputs, inputs of every layer and which units are on."""
    inputs, on = [], []
    h = x
    for layer, (weight, bias) in enumerate(parameters):
        inputs.append(h)
        h = w / math.sqrt(weight.shape[0]) * (h @ weight) + b * bias
        if layer < len(parameters) - 1:
            on.append(h > 0)
            h = np.maximum(h, 0)
    return h[:, 0], inputs, on


def empirical_tangent(parameters, x, w, b):
    """Gradient products of a finite network, by backpropagation."""
    _, inputs, on = forward(parameters, x, w, b)
    delta = np.ones((x.shape[0], 1))
    total = np.zeros((x.shape[0], x.shape[0]))
    for layer in range(len(parameters) - 1, -1, -1):
        weight, h = parameters[layer][0], inputs[layer]
        fan_in = weight.shape[0]
        total += (w**2 / fan_in * (h @ h.T) + b**2) * (delta @ delta.T)
        if layer:
            delta = w / math.sqrt(fan_in) * (delta @ weight.T) * on[layer - 1]
    return total


def features(parameters, x, w, b):
    """Covariance of the output over its last weights and bias alone."""
    h = forward(parameters, x, w, b)[1][-1]
    return w**2 / h.shape[1] * (h @ h.T) + b**2


def test_backpropagation_against_finite_differences():
    # The reference itself: every parameter moved by hand.
    rng = np.random.default_rng(0)
    x, w, b = normal(0, 4, 3), 1.3, 0.7
    parameters = draw(rng, [3, 5, 4, 1])
    rows = []
    for weight, bias in parameters:
        for array in (weight, bias):
            flat = array.reshape(-1)
            for i in range(flat.size):
                keep = flat[i]
                flat[i] = keep + 1e-6
                up = forward(parameters, x, w, b)[0]
                flat[i] = keep - 1e-6
                rows.append((up - forward(parameters, x, w, b)[0]) / 2e-6)
                flat[i] = keep
    jacobian = np.array(rows)
    assert jacobian.shape[0] == 3 * 5 + 5 + 5 * 4 + 4 + 4 + 1
    np.testing.assert_allclose(
        jacobian.T @ jacobian, empirical_tangent(parameters, x, w, b), rtol=1e-6
    )


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("bias", [0.0, 0.7])
def test_kernels_are_the_mean_over_random_networks(depth, bias):
    x, w, width, n_networks = normal(1, 4, 3), 1.3, 128, 150
    rng = np.random.default_rng(depth)
    nngp, ntk, output = [], [], []
    for _ in range(n_networks):
        parameters = draw(rng, [3, *[width] * depth, 1])
        nngp.append(features(parameters, x, w, bias))
        ntk.append(empirical_tangent(parameters, x, w, bias))
        f = forward(parameters, x, w, bias)[0]
        output.append(np.outer(f, f))
    args = (depth, w, bias)
    for sample, kernel in (
        (nngp, NetworkGaussianProcess(*args)),
        (output, NetworkGaussianProcess(*args)),
        (ntk, NeuralTangent(*args)),
    ):
        sample, truth = np.array(sample), kernel(x, x)
        for i, j in itertools.combinations_with_replacement(range(4), 2):
            mean, error = mean_and_error(sample[:, i, j])
            # A finite width shifts the mean by O(depth / width).
            size = math.sqrt(truth[i, i] * truth[j, j])
            assert_close(mean, truth[i, j], error, bias=0.3 * depth * size / width)
    sample = np.array(ntk)
    mean, error = mean_and_error(sample[:, 0, 1])
    assert_far(mean, NetworkGaussianProcess(*args)(x, x)[0, 1], error)
    assert_far(mean, NeuralTangent(depth, 1.1 * w, bias)(x, x)[0, 1], error)
    sample = np.array(nngp)
    mean, error = mean_and_error(sample[:, 0, 0])
    assert_far(mean, NetworkGaussianProcess(depth, 1.1 * w, bias).diagonal(x)[0], error)
    assert_far(mean, NetworkGaussianProcess(depth, w, bias + 0.5).diagonal(x)[0], error)


def test_single_networks_approach_the_kernels_as_width_grows():
    x, w, b, depth = normal(2, 5, 4), 1.4, 0.5, 2
    rng = np.random.default_rng(0)
    gaps = {}
    for width in (32, 512):
        gap = []
        for _ in range(40):
            parameters = draw(rng, [4, *[width] * depth, 1])
            gap.append(
                [
                    features(parameters, x, w, b) - NetworkGaussianProcess(depth, w, b)(x, x),
                    empirical_tangent(parameters, x, w, b) - NeuralTangent(depth, w, b)(x, x),
                ]
            )
        gaps[width] = np.sqrt(np.mean(np.array(gap) ** 2, axis=(0, 2, 3)))
    ratio = gaps[32] / gaps[512]  # 4 = sqrt(16) if the limit is right, 1 if it is not
    assert np.all((ratio > 2.7) & (ratio < 6.0)), ratio
