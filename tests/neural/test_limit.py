"""Networks of the package against the kernels to which they tend with their width."""

from functools import lru_cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from percolaw.neural.config import Student, Training  # noqa: E402
from percolaw.neural.limit import tangent_limit  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import ForwardPass, rate_factor, unflatten  # noqa: E402
from percolaw.neural.tangent_kernel import tangent_kernel  # noqa: E402
from percolaw.neural.training import train  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402
from percolaw.numerics.covariance import LayerTangent, NeuralTangent  # noqa: E402

X = np.random.default_rng(0).standard_normal((10, 4))
WIDTHS = (32, 128, 512)


def start(network, seeds):
    """Students that have learned nothing."""
    learners = [Student(s, np.arange(2), np.arange(2, 4)) for s in seeds]
    training = Training(steps=1, learning_rate=0.0, dtype="float64")
    return train(network, X, X[:, 0], learners, training)


@lru_cache
def measured_kernels(network):
    """Kernels of 3 students in the unit of the limit."""
    found = start(network, range(3))
    unit = network.width if network.parametrization == "standard" else network.base_width
    return np.array([tangent_kernel(found, X, s, "sgd") / unit for s in range(3)])


def distance(network, kernel, shape_only=False):
    """Relative distance of the measured kernels from a kernel, mean and of the mean."""
    measured = measured_kernels(network)
    if shape_only:
        expected = kernel * np.sum(measured * kernel, axis=(1, 2))[:, None, None]
        expected = expected / np.sum(kernel * kernel)
    else:
        expected = np.broadcast_to(kernel, measured.shape)
    size = np.linalg.norm(expected, axis=(1, 2)).mean()
    each = np.linalg.norm(measured - expected, axis=(1, 2)).mean() / size
    return each, np.linalg.norm((measured - expected).mean(axis=0)) / size


@pytest.mark.parametrize("depth", [1, *(pytest.param(d, marks=pytest.mark.slow) for d in (2, 3))])
@pytest.mark.parametrize("parametrization", ["standard", "mup"])
def test_measured_kernels_converge_as_the_root_of_the_width(depth, parametrization):
    networks = [MLP(depth, m, parametrization=parametrization, base_width=32) for m in WIDTHS]
    gaps, means = np.transpose([distance(n, tangent_limit(n)(X, X)) for n in networks])
    slope = np.polyfit(np.log(WIDTHS), np.log(gaps), 1)[0]
    # -1/2 in the limit; terms of order 1/width steepen it at the least width, most for depth 3.
    assert -0.8 < slope < -0.35
    # What one student is off at a width grows with depth.
    assert gaps[-1] < 0.1 * depth
    assert means[-1] < 0.06 * depth


@pytest.mark.slow
@pytest.mark.parametrize("depth", [1, 2])
def test_control_the_ntk_of_unit_biases_is_no_limit_of_these_networks(depth):
    """Its shape stays wrong at every width, whatever the scale."""
    gaps = []
    for m in WIDTHS[1:]:
        network = MLP(depth, m, parametrization="standard")
        gaps.append(distance(network, NeuralTangent(depth)(X, X), shape_only=True)[0])
    assert min(gaps) > 0.3
    assert gaps[1] > 0.8 * gaps[0]


def test_every_role_counts():
    """Without any one of them the mean over students of a narrow muP network is missed."""
    network = MLP(2, 512, base_width=2)
    full = tangent_limit(network)
    gap = distance(network, full(X, X))[1]
    names = ("output_weights", "hidden_weights", "input_weights", "biases", "output_bias")
    for name in names:
        rates = {n: getattr(full, n) for n in names} | {name: 0.0}
        assert distance(network, LayerTangent(2, **rates)(X, X))[1] > 1.5 * gap, name


def test_the_limit_of_the_standard_parametrization_is_homogeneous():
    kernel = tangent_limit(MLP(2, parametrization="standard"))
    np.testing.assert_allclose(kernel(2 * X, 2 * X), 4 * kernel(X, X), rtol=1e-12)
    np.testing.assert_allclose(kernel(3 * X, X), 3 * kernel(X, X), rtol=1e-10)
    assert abs(NeuralTangent(2)(2 * X, 2 * X) / NeuralTangent(2)(X, X) - 4).min() > 0.1
    np.testing.assert_allclose(np.diag(kernel(X, X)), kernel.diagonal(X), rtol=1e-13)
    biased = tangent_limit(MLP(2, 64))
    np.testing.assert_allclose(np.diag(biased(X, X)), biased.diagonal(X), rtol=1e-13)


@pytest.mark.parametrize(
    "network", [MLP(0), MLP(2, residual=True), MLP(1, activation="gelu"), Transformer()], ids=str
)
def test_networks_of_other_limits_are_refused(network):
    with pytest.raises(ValueError, match="ReLU with a hidden layer"):
        tangent_limit(network)


def test_a_kernel_of_which_nothing_learns_is_refused():
    with pytest.raises(ValueError, match="all rates are 0"):
        LayerTangent(2, 0.0, 0.0)
    with pytest.raises(ValueError, match="biases"):
        LayerTangent(2, biases=-1.0)


def test_small_steps_of_gradient_descent_move_outputs_by_the_kernel():
    """With the factors on the rates, for muP too: without them the change is missed."""
    network = MLP(2, 128, base_width=16)
    values = X[:, 0] * X[:, 1]
    rate, points = 1e-6, torch.as_tensor(X)[None]
    before = start(network, [0])
    weights = unflatten(network, 4, 1, torch.as_tensor(before.weights))
    leaves = {name: w.clone().requires_grad_() for name, w in weights.items()}
    out = network.forward(leaves, points, ForwardPass())[0, :, 0]
    loss = (out[:8] - torch.as_tensor(values[:8])).square().mean()
    slopes = torch.autograd.grad(loss, list(leaves.values()))
    roles = [p.role for p in network.parameters(4).values()]
    stepped = {
        name: w - rate * rate_factor(network, role, "sgd") * g
        for (name, w), role, g in zip(weights.items(), roles, slopes, strict=True)
    }
    f = out.detach().numpy()
    moved = network.forward(stepped, points, ForwardPass())[0, :, 0].numpy() - f
    slope = 2.0 / 8 * (f[:8] - values[:8])
    kernel = tangent_kernel(before, X, rates="sgd")[:, :8]
    np.testing.assert_allclose(moved, -rate * kernel @ slope, rtol=1e-3, atol=1e-9)
    plain = tangent_kernel(before, X)[:, :8]
    assert np.abs(moved + rate * plain @ slope).max() > 0.3 * np.abs(moved).max()
    with pytest.raises(ValueError, match="rates"):
        tangent_kernel(before, X, rates="adamw")
