"""Tangent kernels against the Jacobian and the infinitely wide network; degrees of freedom."""

import dataclasses
import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import DOUBLE, normal, students, three_targets  # noqa: E402

from percolaw.errors import ResourceError  # noqa: E402
from percolaw.learners.kernel import KernelRegression  # noqa: E402
from percolaw.neural.activations import layer_activations  # noqa: E402
from percolaw.neural.config import Student  # noqa: E402
from percolaw.neural.limit import tangent_limit  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import (  # noqa: E402
    ForwardPass,
    initial_weights,
    n_parameters,
    unflatten,
)
from percolaw.neural.tangent_kernel import initial_tangent, tangent_kernel  # noqa: E402
from percolaw.neural.training import train  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402
from percolaw.numerics.covariance import NeuralTangent  # noqa: E402
from percolaw.numerics.degrees_of_freedom import smoother_trace, stein_divergence  # noqa: E402
from percolaw.numerics.tabulated import Tabulated  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


def at_the_start(network, dim, seeds=(0,)):
    """Students that have learned nothing."""
    x = normal(17, 4, dim)
    learners = [Student(s, np.arange(2), np.arange(2, 4)) for s in seeds]
    training = dataclasses.replace(DOUBLE, steps=1, learning_rate=0.0)
    found = train(network, x, x[:, 0], learners, training)
    np.testing.assert_array_equal(found.weights, initial_weights(network, dim, 1, seeds))
    return found


@pytest.mark.parametrize(
    "network",
    [MLP(0), MLP(2, 4), MLP(2, 4, "gelu", residual=True), Transformer(1, 4, 2, 2)],
    ids=str,
)
def test_tangent_kernel_against_the_jacobian(network):
    x = normal(18, 5, 4)
    found = at_the_start(network, 4, (0, 1))
    for s in range(2):

        def outputs(row):
            w = unflatten(network, 4, 1, row[None])
            return network.forward(w, torch.as_tensor(x[None]), ForwardPass())[0, :, 0]

        j = torch.autograd.functional.jacobian(outputs, torch.as_tensor(found.weights[s])).numpy()
        kernel = tangent_kernel(found, x, s)
        np.testing.assert_allclose(kernel, j @ j.T, rtol=1e-10, atol=1e-10)
    if isinstance(network, MLP) and network.depth == 0:
        np.testing.assert_allclose(kernel, x @ x.T + 1.0, rtol=1e-12)
    else:
        assert np.abs(tangent_kernel(found, x, 0) - kernel).max() > 1e-2


def test_tangent_kernel_of_tokens():
    network = Transformer(1, 4, 2, vocabulary=5)
    ids = np.random.default_rng(0).integers(0, 5, (6, 3))
    training = dataclasses.replace(DOUBLE, steps=1)
    found = train(network, ids, np.arange(6.0), [Student(0, [0, 1], [2, 3])], training)
    kernel = tangent_kernel(found, ids)
    step, row = 1e-6, found.weights[0]
    moved = step * np.eye(row.size)
    ends = torch.as_tensor(np.concatenate([row + moved, row - moved]))  # a student each
    w = unflatten(network, 3, 1, ends)
    x = torch.as_tensor(ids).expand(2 * row.size, *ids.shape)
    up, down = network.forward(w, x, ForwardPass())[:, :, 0].reshape(2, row.size, 6)
    j = ((up - down) / (2 * step)).numpy().T
    np.testing.assert_allclose(kernel, j @ j.T, rtol=1e-6, atol=1e-6)


def wide_limit(x, width):
    """E K of one hidden ReLU layer at the start, exactly, from the package's infinite networks.

    With w ~ N(0, 2/d), v ~ N(0, 1/m) and no biases at the start: the readout's gradients give
    m E relu relu', the hidden layer's E 1 1' (x.x' + 1), the last bias 1. NeuralTangent(1) without
    biases is k1 + k0 half, with k0 = 2 x.x'/d, k1 = 2 E relu relu' and half = 2 E 1 1'.
    """
    d = x.shape[1]
    k0 = 2.0 / d * (x @ x.T)
    norms = np.sqrt(np.outer(np.diag(k0), np.diag(k0)))
    angle = np.arccos(np.clip(k0 / norms, -1, 1))
    both = (math.pi - angle) / (2 * math.pi)
    relu = norms * (np.sin(angle) + (math.pi - angle) * np.cos(angle)) / (2 * math.pi)
    tangent = NeuralTangent(1, math.sqrt(2.0), 0.0)(x, x)
    np.testing.assert_allclose(2 * relu + k0 * 2 * both, tangent, rtol=1e-6)
    readout = 0.5 * width * (tangent - k0 * 2 * both)
    return readout + both * (x @ x.T + 1.0) + 1.0, readout


def test_wide_networks_have_the_infinite_one_s_tangent_kernel():
    x = normal(19, 8, 3)
    error = []
    for width in (64, 256, 1024):
        network = MLP(1, width, parametrization="standard")
        expected, readout = wide_limit(x, width)
        found = at_the_start(network, 3, range(8))
        kernels = np.array([tangent_kernel(found, x, s) for s in range(8)])
        gaps = kernels - expected
        error.append(np.sqrt((gaps**2).mean()) / np.sqrt((expected**2).mean()))
        if width == 64:
            # Unbiased at any width: the mean over students, entry by entry; without the hidden
            # layer's gradients it is not.
            many = at_the_start(network, 3, range(60))
            some = np.array([tangent_kernel(many, x[:3], s)[0, 1] for s in range(60)])
            mean, its_error = mean_and_error(some)
            assert_close(mean, expected[0, 1], its_error)
            same = np.array([tangent_kernel(many, x[:3], s)[2, 2] for s in range(60)])
            mean, its_error = mean_and_error(same)
            assert_close(mean, expected[2, 2], its_error)
            assert_far(mean, 2.0 * expected[2, 2], its_error)
    assert error[1] < 0.75 * error[0]
    assert error[2] < 0.75 * error[1]
    assert error[2] < 0.1
    # The hidden layer's part alone, of order 1 beside the readout's of order m, is right as well.
    part = kernels.mean(axis=0) - np.array([readout_part(found, x, s) for s in range(8)]).mean(
        axis=0
    )
    assert np.abs(part - (expected - readout)).max() < 0.15 * np.abs(expected - readout).max()


def readout_part(found, x, s):
    after = layer_activations(found, x, s)["layer 1 after"]
    return after @ after.T


def test_deep_wide_networks_have_the_infinite_one_s_readout():
    """Two hidden layers of the residual kind have none of this: the process of depth 2 is of plain
    ones."""
    from percolaw.numerics.covariance import NetworkGaussianProcess

    x, width = normal(19, 8, 3), 512
    found = at_the_start(MLP(2, width, parametrization="standard"), 3, range(6))
    after = [layer_activations(found, x, s)["layer 2 after"] for s in range(6)]
    kernel = np.mean([2.0 * a @ a.T / width for a in after], axis=0)
    expected = NetworkGaussianProcess(2, math.sqrt(2.0), 0.0)(x, x)
    scale = np.abs(expected).max()
    assert np.abs(kernel - expected).max() < 0.1 * scale
    assert np.abs(kernel - NetworkGaussianProcess(1, math.sqrt(2.0), 0.0)(x, x)).max() > 0.1 * scale


def test_trace_of_a_tangent_kernel():
    """A linear student's kernel is of rank d + 1, its degrees of freedom without a ridge."""
    x = normal(20, 30, 4)
    kernel = tangent_kernel(at_the_start(MLP(0), 4), x)
    np.testing.assert_allclose(smoother_trace(kernel, 0.0), 5.0)
    full = np.column_stack([x, np.ones(30)])
    hat = full @ np.linalg.solve(full.T @ full + 2.0 * np.eye(5), full.T)
    np.testing.assert_allclose(smoother_trace(kernel, 2.0), np.trace(hat), rtol=1e-10)


def test_degrees_of_freedom_of_linear_students():
    """Trained together on perturbed values to the end: dimension + 1, the bias counted."""
    n, d, probes = 30, 3, 30
    x = normal(21, n, d)
    y = x @ [1.0, -1.0, 0.5] + normal(22, n)
    training = dataclasses.replace(
        DOUBLE, steps=1500, evaluate_every=500, learning_rate=0.03, least_gain=0.0
    )

    def fit(values):
        # Validated on the same points once more, so that the end is the best.
        both, points = np.vstack([values, values]), np.vstack([x, x])
        learners = [
            Student(0, np.arange(n), np.arange(n, 2 * n), target=t) for t in range(values.shape[1])
        ]
        return train(MLP(0), points, both, learners, training).predict(x)[:, :, 0].T

    found = stein_divergence(fit, y, n_probes=probes)
    mean, error = mean_and_error(found)
    full = np.column_stack([x, np.ones(n)])
    hat = full @ np.linalg.pinv(full)
    assert np.trace(hat) == pytest.approx(d + 1)
    assert_close(mean, d + 1, error)
    assert_far(mean, 0.0, error)
    # Probe by probe it is what the hat matrix gives: nothing is left to chance but the signs.
    np.testing.assert_allclose(
        found, stein_divergence(lambda v: hat @ v, y, n_probes=probes), rtol=1e-4
    )


def test_tangent_kernel_refuses(data, monkeypatch):
    x, y = data
    two = train(MLP(0), x, y, students((0,)), dataclasses.replace(DOUBLE, steps=1), n_outputs=2)
    with pytest.raises(ValueError, match="of one output; got 2"):
        tangent_kernel(two, x)
    one = at_the_start(MLP(0), 3)
    for student in (1, -1):
        with pytest.raises(ValueError, match="student must be in"):
            tangent_kernel(one, x, student)
        with pytest.raises(ValueError, match="student must be in"):
            layer_activations(one, x, student)
    monkeypatch.setattr("percolaw.checks.available_memory", lambda: 1000)
    with pytest.raises(ResourceError, match="gradients at 120 points"):
        tangent_kernel(one, x)


@pytest.mark.parametrize(
    "points",
    [np.full((2, 3), math.nan), np.ones((2, 4)), np.ones(3)],
)
def test_tangent_kernel_refuses_points(points):
    with pytest.raises(ValueError, match="points"):
        tangent_kernel(at_the_start(MLP(1, 4), 3), points)


# --- before training -------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [2, 100], ids=["blocks", "one block"])
@pytest.mark.parametrize(
    "network",
    [
        MLP(2, 8, base_width=2, residual=True),
        Transformer(1, 8, 2, 1, base_width=2),
        Transformer(1, 8, 2, vocabulary=5),
    ],
    ids=str,
)
def test_initial_kernels_are_those_of_students_that_learned_nothing(network, rows, monkeypatch):
    x = normal(18, 5, 3)
    if network.takes_tokens:
        x = np.random.default_rng(0).integers(0, 5, (5, 3))
    learners = [Student(s, np.arange(2), np.arange(2, 4)) for s in (3, 1)]
    training = dataclasses.replace(DOUBLE, steps=1, learning_rate=0.0)
    start = train(network, x, np.arange(5.0), learners, training)
    expected = np.mean([tangent_kernel(start, x, s, "sgd") for s in range(2)], axis=0)
    place = "percolaw.neural.tangent_kernel.GRADIENTS_AT_ONCE"
    monkeypatch.setattr(place, rows * n_parameters(network, 3))
    kernel = initial_tangent(network, x, [3, 1])
    np.testing.assert_allclose(kernel, expected, rtol=1e-10, atol=1e-10)
    plain = np.mean([tangent_kernel(start, x, s) for s in range(2)], axis=0)
    assert np.abs(kernel - plain).max() > 0.1, "the factors on the rates count"


def test_initial_kernels_tend_to_the_limit_and_so_do_their_predictions():
    """As one over the root of the width: fourfold width halves both errors, to what chance leaves."""
    x, y = normal(30, 40, 3), normal(31, 40)
    limit = tangent_limit(MLP(2, 64))
    numbers = np.arange(40.0)[:, None]

    def prediction(kernel, points):
        learner = KernelRegression(kernel, 1e-2 * kernel.diagonal(points).mean())
        return learner.fit(points[:30], y[:30]).predict(points[30:])

    expected, apart, missed = prediction(limit, x), [], []
    for width in (16, 64, 256):
        kernels = [initial_tangent(MLP(2, width), x, [s]) / 64 for s in range(6)]
        apart.append(np.sqrt(np.mean((np.array(kernels) - limit(x, x)) ** 2)))
        out = [prediction(Tabulated(k), numbers) for k in kernels]
        missed.append(np.sqrt(np.mean((np.array(out) - expected) ** 2)))
    for errors in (apart, missed):
        slope = np.polyfit(np.log([16, 64, 256]), np.log(errors), 1)[0]
        assert -0.75 < slope < -0.3
    other = prediction(NeuralTangent(2), x)
    assert missed[-1] < 0.5 * np.sqrt(np.mean((other - expected) ** 2)), "a control: another kernel"


def test_initial_kernels_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="one student at least"):
        initial_tangent(MLP(1, 4), np.ones((2, 3)), [])
    with pytest.raises(ValueError, match=r"shape \(n, dim\)"):
        initial_tangent(MLP(1, 4), np.ones(3), [0])
    monkeypatch.setattr("percolaw.checks.available_memory", lambda: 1000)
    with pytest.raises(ResourceError, match="a tangent kernel of 50 points"):
        initial_tangent(MLP(1, 4), np.ones((50, 3)), [0])
