"""Neural students against torch.nn, torch.optim, autograd, closed forms and themselves trained alone."""

import dataclasses
import math
import random
import re
from itertools import pairwise

import numpy as np
import pytest
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from percolaw.covariance import NeuralTangent  # noqa: E402
from percolaw.errors import ResourceError  # noqa: E402
from percolaw.kernels.optimize import adamw  # noqa: E402
from percolaw.learners.degrees_of_freedom import smoother_trace, stein_divergence  # noqa: E402
from percolaw.learners.neural import data as data_module  # noqa: E402
from percolaw.learners.neural import ensemble  # noqa: E402
from percolaw.learners.neural import network as network_module  # noqa: E402
from percolaw.learners.neural import step as step_module  # noqa: E402
from percolaw.learners.neural.activations import layer_activations  # noqa: E402
from percolaw.learners.neural.checkpoint import Checkpoint, identity  # noqa: E402
from percolaw.learners.neural.config import Student, Training  # noqa: E402
from percolaw.learners.neural.data import RowOrder  # noqa: E402
from percolaw.learners.neural.dropout import drop_units  # noqa: E402
from percolaw.learners.neural.ensemble import Ensemble  # noqa: E402
from percolaw.learners.neural.job import TrainingJob  # noqa: E402
from percolaw.learners.neural.losses import LOSSES  # noqa: E402
from percolaw.learners.neural.mlp import MLP  # noqa: E402
from percolaw.learners.neural.network import (  # noqa: E402
    ForwardPass,
    initial_weights,
    n_parameters,
    rate_factor,
    training_flops,
    unflatten,
)
from percolaw.learners.neural.tangent_kernel import tangent_kernel  # noqa: E402
from percolaw.learners.neural.training import train  # noqa: E402
from percolaw.learners.neural.transformer import Transformer  # noqa: E402

DOUBLE = Training(dtype="float64", device="cpu")


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def tensor(seed, *shape):
    return torch.as_tensor(normal(seed, *shape))


def named(network, dim, n_outputs=1, seeds=(0,), jitter=0.3):
    """Weights of students moved off their start, so that biases and gains count too."""
    rows = initial_weights(network, dim, n_outputs, seeds)
    rows = rows + jitter * normal(99, *rows.shape)
    return unflatten(network, dim, n_outputs, torch.as_tensor(rows))


def inputs(network, dim, students, batch, seed=1):
    if network.takes_tokens:
        ids = np.random.default_rng(seed).integers(0, network.vocabulary, (students, batch, dim))
        return torch.as_tensor(ids)
    return tensor(seed, students, batch, dim)


@pytest.fixture(scope="module")
def data():
    """120 points in 3 dimensions, and values of three targets: smooth, linear, noise."""
    x, noise = normal(1, 120, 3), normal(2, 120, 3)
    y = np.stack([np.sin(2 * x[:, 0]) * x[:, 1], x @ [1.0, -2.0, 0.5], noise[:, 0]], axis=1)
    return x, y + 0.05 * noise


def students(seeds=(0, 1, 2), n=80, **kwargs):
    return [Student(seed, np.arange(n), np.arange(80, 120), **kwargs) for seed in seeds]


def job_of(network, x, y, learners, training, n_outputs=1):
    y = y.reshape(x.shape[0], -1)
    return TrainingJob(network, x, y, learners, training, n_outputs, LOSSES[training.loss])


def ensemble_of(*arguments):
    return Ensemble(job_of(*arguments))


def fields(trained):
    return {
        "weights": trained.weights,
        "validation_loss": trained.validation_loss,
        "train_loss": trained.train_loss,
        "gradient_norm": trained.gradient_norm,
        "steps": trained.steps,
        "evaluated": trained.evaluated,
        "validation_curve": trained.validation_curve,
        "train_curve": trained.train_curve,
        "stopped": np.array(trained.stopped),
    }


def assert_same(one, other):
    """Bit for bit."""
    for name, value in fields(one).items():
        np.testing.assert_array_equal(value, fields(other)[name], err_msg=name)


def assert_alone(together, i, alone, rtol=1e-9):
    """Student i of a batch is the one that was trained alone."""
    n = alone.evaluated.size
    np.testing.assert_array_equal(together.evaluated[:n], alone.evaluated)
    assert together.stopped[i] == alone.stopped[0]
    assert together.steps[i] == alone.steps[0]
    for name in ("weights", "validation_loss", "train_loss"):
        np.testing.assert_allclose(
            getattr(together, name)[i], getattr(alone, name)[0], rtol=rtol, atol=1e-12, err_msg=name
        )
    np.testing.assert_allclose(together.gradient_norm[i], alone.gradient_norm[0], 1e-6, 1e-9)
    for name in ("validation_curve", "train_curve"):
        curve = getattr(together, name)[:, i]
        np.testing.assert_allclose(curve[:n], getattr(alone, name)[:, 0], rtol=rtol, err_msg=name)
        assert np.isnan(curve[n:]).all()


# --- counts


def mlp_parameters(dim, depth, width, out):
    if depth == 0:
        return dim * out + out
    return (dim + 1) * width + (depth - 1) * (width + 1) * width + (width + 1) * out


def transformer_parameters(dim, t, out):
    w = t.width
    tokens = dim if t.vocabulary else math.ceil(dim / t.group)
    first = (t.vocabulary or t.group) * w
    attention, feed = 3 * w * w + w * w, w * 4 * w + 4 * w + 4 * w * w + w
    return first + tokens * w + t.depth * (attention + feed + 2 * w) + w + w * out + out


MLPS = [
    MLP(0),
    MLP(1, 10),
    MLP(2, 7, "gelu"),
    MLP(3, 6, residual=True),
    MLP(3, 5, "tanh", "standard"),
]
POINTS = [  # groups of 4 do not divide 10; of 5 they do
    Transformer(2, 8, 2, group=4),
    Transformer(1, 8, 4, group=5, causal=True, parametrization="standard"),
    Transformer(2, 12, 3, group=3, base_width=6),
]
TOKENS = [
    Transformer(2, 8, 2, vocabulary=7),
    Transformer(1, 8, 1, vocabulary=5, causal=True, base_width=16),
]
every = pytest.mark.parametrize("network", MLPS + POINTS + TOKENS, ids=str)


@pytest.mark.parametrize("n_outputs", [1, 3])
@every
def test_number_of_parameters(network, n_outputs):
    if isinstance(network, MLP):
        expected = mlp_parameters(10, network.depth, network.width, n_outputs)
    else:
        expected = transformer_parameters(10, network, n_outputs)
    assert n_parameters(network, 10, n_outputs) == expected
    assert initial_weights(network, 10, n_outputs, [3, 4]).shape == (2, expected)
    sizes = [w[0].numel() for w in named(network, 10, n_outputs).values()]
    assert sum(sizes) == expected


def flops_by_hand(network, dim, out):
    """Products a point, and those of its inputs' layer."""
    if isinstance(network, MLP):
        sizes = [dim] + [network.width] * network.depth + [out]
        layers = [2 * a * b for a, b in pairwise(sizes)]
        return sum(layers), layers[0]
    w = network.width
    t = dim if network.vocabulary else math.ceil(dim / network.group)
    first = 0 if network.vocabulary else 2 * t * network.group * w
    products = 2 * t * w * 3 * w + 2 * t * w * w + 2 * t * w * 4 * w * 2
    attention = 2 * (t * t * w) * 2
    return first + network.depth * (products + attention) + 2 * w * out, first


def counted(network, dim, out):
    """What torch counts, a point: forward, and forward with backward."""
    n_students, batch = 2, 3
    w = named(network, dim, out, range(n_students))
    leaves = {k: v.clone().requires_grad_() for k, v in w.items()}
    x = inputs(network, dim, n_students, batch)
    found = []
    for backward in (False, True):
        with FlopCounterMode(display=False) as counter:
            y = network.forward(leaves, x, ForwardPass())
            if backward:
                torch.autograd.grad(y.sum(), list(leaves.values()))
        found.append(counter.get_total_flops() / (n_students * batch))
    return found


@pytest.mark.parametrize("n_outputs", [1, 3])
@every
def test_flops_of_a_forward_pass(network, n_outputs):
    total, _ = flops_by_hand(network, 10, n_outputs)
    assert network.flops(10, n_outputs) == total == counted(network, 10, n_outputs)[0]


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("network", MLPS + TOKENS, ids=str)
def test_flops_of_a_step(network, n_outputs):
    total, first = flops_by_hand(network, 10, n_outputs)
    expected = 3 * total - first
    assert training_flops(network, 10, n_outputs) == expected
    assert counted(network, 10, n_outputs)[1] == expected


@pytest.mark.parametrize("network", POINTS, ids=str)
def test_flops_of_a_step_on_groups(network):
    total, first = flops_by_hand(network, 10, 1)
    assert counted(network, 10, 1)[1] == 3 * total - first, "the oracles agree"
    assert training_flops(network, 10, 1) == 3 * total - first


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_flops_of_the_gradient_by_hand(depth):
    network = MLP(depth, 6)
    with FlopCounterMode(display=False) as counter:
        step_module.ReluGradient(depth, LOSSES["mse"])(
            named(network, 4, 2, (0, 1)), relu_batch(4, 2, 2)
        )
    assert counter.get_total_flops() == 2 * 9 * training_flops(network, 4, 2)


# --- the start


@every
def test_a_start_depends_on_its_seed_alone(network):
    rows = initial_weights(network, 10, 2, [5, 6, 5])
    np.testing.assert_array_equal(rows[0], rows[2])
    np.testing.assert_array_equal(initial_weights(network, 10, 2, [6])[0], rows[1])
    moved = rows[0] != rows[1]
    # Every parameter has numbers of its own: none begins like another.
    drawn = unflatten(network, 10, 2, rows)
    scales = {name: p.scale for name, p in network.parameters(10, 2).items() if p.scale}
    begin = [drawn[name][0].ravel()[0] / scale for name, scale in scales.items()]
    assert np.diff(np.sort(begin)).min(initial=1.0) > 1e-9
    for name, p in network.parameters(10, 2).items():
        at = unflatten(network, 10, 2, moved[None])[name]
        assert bool(at.all()) if p.scale else not bool(at.any()), name
    weights = unflatten(network, 10, 2, torch.as_tensor(rows))
    next(iter(weights.values()))[1] = 7.0
    assert (rows[1] == 7.0).sum() >= weights[next(iter(weights))][1].numel(), "memory is shared"


def expected_scales(network, dim, ratio):
    """Standard deviations by hand: fan-in, with 2 under ReLU; the readout falls with the ratio."""
    w = network.width
    if isinstance(network, MLP):
        gain = 2.0 if network.activation == "relu" else 1.0
        found = {"weight 0": gain / dim, "weight 1": gain / w, "weight 2": 1.0 / (w * ratio)}
    else:
        found = {
            "weight 0": 1.0 / network.group,
            "position": 1.0,
            "block 0 attention": 1.0 / w,
            "block 0 mix": 1.0 / w,
            "block 0 up": 1.0 / w,
            "block 0 down": 1.0 / (4 * w),
            "weight out": 1.0 / (w * ratio),
        }
    return {name: math.sqrt(v) for name, v in found.items()}


@pytest.mark.parametrize(
    ("network", "ratio"),
    [
        (MLP(2, 32, base_width=8), 4.0),
        (MLP(2, 32, "gelu", "standard", 8), 1.0),
        (Transformer(1, 16, 2, base_width=4), 4.0),
    ],
    ids=str,
)
def test_scales_at_the_start(network, ratio):
    weights = unflatten(network, 6, 1, initial_weights(network, 6, 1, range(60)))
    scales = expected_scales(network, 6, ratio)
    for name, values in weights.items():
        if name not in scales:
            mean = 1.0 if "norm" in name else 0.0
            np.testing.assert_array_equal(values, mean)
            continue
        mean, error = mean_and_error(values.ravel())
        assert_close(mean, 0.0, error)
        square, error = mean_and_error(values.ravel() ** 2)
        assert_close(square, scales[name] ** 2, error)
        assert_far(square, 2.0 * scales[name] ** 2, error)
        assert_far(square, 0.5 * scales[name] ** 2, error)


@pytest.mark.parametrize("family", [MLP, Transformer])
def test_parametrisations_meet_at_the_base_width(family):
    at, of = {"width": 16, "base_width": 16}, [0, 1]
    mup, standard = (family(parametrization=p, **at) for p in ("mup", "standard"))
    np.testing.assert_array_equal(
        initial_weights(mup, 6, 2, of), initial_weights(standard, 6, 2, of)
    )
    for role in ("input", "hidden", "output", "fixed"):
        for optimizer in ("adamw", "sgd"):
            assert rate_factor(mup, role, optimizer) == rate_factor(standard, role, optimizer) == 1
    w, x = named(mup, 6, 2, of), inputs(mup, 6, 2, 5)
    torch.testing.assert_close(
        mup.forward(w, x, ForwardPass()), standard.forward(w, x, ForwardPass())
    )
    wide = dataclasses.replace(mup, width=32)
    assert np.any(
        initial_weights(wide, 6, 2, of)
        != initial_weights(dataclasses.replace(wide, parametrization="standard"), 6, 2, of)
    )


# --- the forward pass against torch.nn

ACTIVATIONS = {
    "relu": torch.nn.ReLU,
    "gelu": torch.nn.GELU,
    "tanh": torch.nn.Tanh,
    "identity": torch.nn.Identity,
}


def linear(weight, bias=None):
    """A torch layer of a matrix (inputs, outputs)."""
    layer = torch.nn.Linear(*weight.shape, bias=bias is not None, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(weight.T)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def mlp_in_torch(network, w, x):
    h = x
    for i in range(network.depth):
        layer = linear(w[f"weight {i}"], w[f"bias {i}"])
        after = ACTIVATIONS[network.activation]()(layer(h))
        h = h + after / math.sqrt(network.depth) if network.residual and i > 0 else after
    return linear(w[f"weight {network.depth}"], w[f"bias {network.depth}"])(h)


def rms_norm(gain):
    layer = torch.nn.RMSNorm(gain.shape[0], eps=1e-6, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(gain)
    return layer


def transformer_in_torch(network, w, x):
    """With torch's own attention, whose scale is 1/sqrt(head): muP's rest goes into the queries."""
    width, dim = network.width, x.shape[1]
    if network.vocabulary is not None:
        h = torch.nn.functional.embedding(x, w["embedding"])
    else:
        tokens = math.ceil(dim / network.group)
        padded = torch.zeros(x.shape[0], tokens * network.group, dtype=torch.float64)
        padded[:, :dim] = x
        h = torch.stack(
            [
                linear(w["weight 0"])(padded[:, i * network.group : (i + 1) * network.group])
                for i in range(tokens)
            ],
            dim=1,
        )
    h = h + w["position"]
    ratio = 1.0 if network.parametrization == "standard" else width / network.base_width
    tokens = h.shape[1]
    mask = torch.ones(tokens, tokens, dtype=torch.bool).triu(1) if network.causal else None
    for b in range(network.depth):
        p = f"block {b} "
        attention = torch.nn.MultiheadAttention(
            width, network.n_heads, bias=False, batch_first=True, dtype=torch.float64
        )
        with torch.no_grad():
            into = w[p + "attention"].T.clone()
            into[:width] /= math.sqrt(ratio)
            attention.in_proj_weight.copy_(into)
            attention.out_proj.weight.copy_(w[p + "mix"].T)
        z = rms_norm(w[p + "norm 1"])(h)
        h = h + attention(z, z, z, attn_mask=mask, need_weights=False)[0]
        z = torch.nn.GELU()(linear(w[p + "up"], w[p + "up bias"])(rms_norm(w[p + "norm 2"])(h)))
        h = h + linear(w[p + "down"], w[p + "down bias"])(z)
    h = rms_norm(w["norm out"])(h)
    h = h[:, -1] if network.causal else h.mean(dim=1)
    return linear(w["weight out"], w["bias out"])(h)


@pytest.mark.parametrize(
    "network",
    [
        *MLPS,
        MLP(2, 6, "identity", residual=True),
        MLP(3, 6, "tanh", residual=True, base_width=2),
        *POINTS,
        *TOKENS,
    ],
    ids=str,
)
def test_forward_against_torch(network):
    of = (0, 1, 2)
    w, x = named(network, 10, 2, of), inputs(network, 10, len(of), 5)
    theirs = mlp_in_torch if isinstance(network, MLP) else transformer_in_torch
    found = network.forward(w, x, ForwardPass())
    kept = {}
    with_layers = network.forward(w, x, ForwardPass(layers=kept))
    torch.testing.assert_close(found, with_layers, rtol=0, atol=1e-14)
    assert len(kept) == 2 * network.depth + isinstance(network, Transformer)
    for s in of:
        with torch.no_grad():
            expected = theirs(network, {k: v[s] for k, v in w.items()}, x[s])
        scale = float(expected.abs().max())
        torch.testing.assert_close(found[s], expected, rtol=0, atol=1e-12 * max(1.0, scale))
        # Another student's weights give other outputs.
        assert float((found[(s + 1) % 3] - expected).abs().max()) > 1e-3


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("tokens", [True, False])
def test_causal_tokens_do_not_see_later_ones(causal, tokens):
    network = Transformer(2, 8, 2, group=2, vocabulary=9 if tokens else None, causal=causal)
    w, x = named(network, 6, seeds=(0, 1)), inputs(network, 6, 2, 4)
    length = network.n_tokens(6)
    for cut in range(1, length):
        column = cut if tokens else 2 * cut
        changed = x.clone()
        changed[..., column:] = (x[..., column:] + 1) % 9
        one, other = {}, {}
        a = network.forward(w, x, ForwardPass(layers=one))
        b = network.forward(w, changed, ForwardPass(layers=other))
        assert float((a - b).abs().min()) > 0.0, "the readout sees the last token"
        for name in ("layer 1 after", "layer 2 before", "layer 2 after"):
            pair = [found[name].reshape(2, 4, length, -1)[:, :, :cut] for found in (one, other)]
            same = torch.equal(*pair)
            # Control: without the mask the second block's early tokens have seen the change.
            assert same if causal else not same, (name, cut)


def test_layers_are_named_in_order(data):
    x, y = data
    trained = train(MLP(2, 6), x, y, students((0, 1)), Training(steps=1, device="cpu"))
    found = layer_activations(trained, x[:7], student=1)
    assert list(found) == [f"layer {i} {w}" for i in (1, 2) for w in ("before", "after")]
    w = {k: v[1] for k, v in unflatten(trained.network, 3, 1, trained.weights).items()}
    z = x[:7].astype(np.float32) @ w["weight 0"] + w["bias 0"]
    np.testing.assert_allclose(found["layer 1 before"], z, atol=1e-5)
    np.testing.assert_allclose(found["layer 1 after"], np.maximum(z, 0), atol=1e-5)
    z = np.maximum(z, 0) @ w["weight 1"] + w["bias 1"]
    np.testing.assert_allclose(found["layer 2 before"], z, atol=1e-5)


# --- gradients


def relu_batch(dim, n_outputs, n_students, rows=9):
    """A batch with padded rows of weight 0 and inputs of 0, where ReLU has its kink."""
    x = tensor(3, n_students, rows, dim)
    x[:, 2] = 0.0
    weight = torch.rand(n_students, rows, generator=torch.Generator().manual_seed(0)).double()
    weight[0, 6:] = 0.0
    weight[-1, 4:] = 0.0
    return step_module.Minibatch(
        x, tensor(4, n_students, rows, n_outputs), weight / rows, ForwardPass()
    )


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_gradient_by_hand(depth, n_outputs):
    network, of = MLP(depth, 6), range(4)
    start = named(network, 4, n_outputs, of)
    start = start | {k: torch.zeros_like(v) for k, v in start.items() if k == "bias 0" and depth}
    batch = relu_batch(4, n_outputs, 4)
    leaves = {k: v.clone().requires_grad_() for k, v in start.items()}
    by_autograd = step_module.AutogradGradient(network, LOSSES["mse"], "float64")
    expected_loss, expected = by_autograd(leaves, batch)
    # autograd itself, once more without the package.
    out = torch.stack(
        [mlp_plain(depth, {k: v[s] for k, v in leaves.items()}, batch.x[s]) for s in of]
    )
    plain = (((out - batch.y) ** 2).mean(-1) * batch.weight).sum()
    for a, b in zip(expected, torch.autograd.grad(plain, list(leaves.values())), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
    by_hand = step_module.ReluGradient(depth, LOSSES["mse"])
    for _ in range(2):  # the second call reuses the memory of the first
        loss, found = by_hand(start, batch)
        torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
        assert len(found) == len(expected) == 2 * (depth + 1)
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-13)
            assert float(b.abs().max()) > 0.0
    by_hand(start, dataclasses.replace(batch, x=batch.x + 1.0))
    # Padded rows count for nothing, whatever they hold.
    wild = batch.x.clone()
    wild[0, 6:], wild[-1, 4:] = 50.0, -50.0
    loss, found = by_hand(start, dataclasses.replace(batch, x=wild))
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def mlp_plain(depth, w, x):
    for i in range(depth):
        x = (x @ w[f"weight {i}"] + w[f"bias {i}"]).relu()
    return x @ w[f"weight {depth}"] + w[f"bias {depth}"]


def test_gradient_against_finite_differences():
    network, step = MLP(2, 5), 1e-6
    batch = relu_batch(4, 2, 2)
    rows = torch.as_tensor(initial_weights(network, 4, 2, (0, 1)) + 0.1)
    _, found = step_module.ReluGradient(2, LOSSES["mse"])(unflatten(network, 4, 2, rows), batch)
    flat = torch.cat([g.reshape(2, -1) for g in found], dim=1).clone()
    for seed in range(3):
        direction = tensor(seed, *rows.shape)
        ends = [
            step_module.ReluGradient(2, LOSSES["mse"])(
                unflatten(network, 4, 2, rows + e * direction), batch
            )[0]
            for e in (step, -step)
        ]
        slope = (ends[0] - ends[1]) / (2 * step)
        torch.testing.assert_close((flat * direction).sum(1), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("network", [MLP(2, 3, "gelu", residual=True), Transformer(1, 4, 2, 2)])
def test_autograd_against_finite_differences(network):
    rows = torch.as_tensor(initial_weights(network, 4, 1, (0,)) + 0.1).requires_grad_()
    x = tensor(5, 1, 2, 4)
    assert torch.autograd.gradcheck(
        lambda r: network.forward(unflatten(network, 4, 1, r), x, ForwardPass()), (rows,), rtol=1e-5
    )


def test_the_gradient_by_hand_is_taken_where_it_holds():
    relu, mse = MLP(2, 8), LOSSES["mse"]
    for loss in LOSSES.values():
        assert isinstance(
            step_module.gradient_method(relu, DOUBLE, loss, "cpu"), step_module.ReluGradient
        )
    for network, training, device in (
        (MLP(2, 8, "gelu"), DOUBLE, "cpu"),
        (MLP(2, 8, residual=True), DOUBLE, "cpu"),
        (Transformer(), DOUBLE, "cpu"),
        (relu, dataclasses.replace(DOUBLE, dropout=0.1), "cpu"),
        (relu, dataclasses.replace(DOUBLE, dtype="bfloat16"), "cpu"),
        (relu, DOUBLE, "cuda"),
    ):
        method = step_module.gradient_method(network, training, mse, device)
        assert isinstance(method, step_module.AutogradGradient)


def always_autograd(network, training, loss, device):
    return step_module.AutogradGradient(network, loss, training.dtype)


@pytest.mark.parametrize("depth", [0, 2])
def test_training_by_hand_and_by_autograd(data, monkeypatch, depth):
    """The same training with the gradient by hand forbidden."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, evaluate_every=20, batch_size=100)
    network = MLP(depth, 8)
    hand = train(network, x, y, students(), training, n_outputs=2)
    with monkeypatch.context() as patch:
        patch.setattr(ensemble, "gradient_method", always_autograd)
        auto = train(network, x, y, students(), training, n_outputs=2)
    np.testing.assert_allclose(hand.weights, auto.weights, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(hand.train_curve, auto.train_curve, rtol=1e-10)


# --- optimisers


def by_torch(network, x, y, student, training, n_steps, clip=None):
    """Weights after some steps of torch.optim at a schedule written out here; rows as in `Batch`."""
    dim, names = x.shape[1], list(network.parameters(x.shape[1]))
    rows = torch.as_tensor(initial_weights(network, dim, 1, [student.seed]))
    leaves = {k: v[0].clone().requires_grad_() for k, v in unflatten(network, dim, 1, rows).items()}
    matrices = [leaves[k] for k in names if "weight" in k]
    biases = [leaves[k] for k in names if "weight" not in k]
    decay, rate = training.weight_decay, training.learning_rate
    solver = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": decay}, {"params": biases, "weight_decay": 0.0}],
        lr=rate,
        betas=(training.momentum, training.second_moment),
        eps=1e-8,
    )
    order = RowOrder(student.seed, np.asarray(student.train), training.batch_size)
    index = order.minibatches(0, n_steps)
    for t in range(n_steps):
        now = rate * min(1.0, (t + 1) / max(1.0, training.warmup * training.steps))
        now *= 0.5 * (1 + math.cos(math.pi * t / training.steps))
        for group in solver.param_groups:
            group["lr"] = now
        rows_now = index[t, : len(student.train)]
        out = mlp_plain(network.depth, leaves, torch.as_tensor(x[rows_now]))[:, 0]
        loss = ((out - torch.as_tensor(y[rows_now])) ** 2).mean()
        solver.zero_grad()
        loss.backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(list(leaves.values()), clip)
        solver.step()
    return torch.cat([leaves[k].detach().reshape(-1) for k in names]).numpy()


@pytest.mark.parametrize("clip", [None, 0.3])
@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("batch_size", [16, 100])
def test_updates_against_torch(data, decay, clip, batch_size):
    x, y = data
    network = MLP(2, 8, parametrization="standard")
    training = dataclasses.replace(
        DOUBLE,
        learning_rate=0.02,
        weight_decay=decay,
        batch_size=batch_size,
        steps=50,
        warmup=0.1,
        schedule="cosine",
        momentum=0.8,
        second_moment=0.97,
        clip=math.inf if clip is None else clip,
    )
    student = students((7,))[0]
    batch = ensemble_of(network, x, y[:, :1], [student], training)
    start = batch.weights.numpy().copy()
    batch.run_steps(13)
    batch.run_steps(12)
    expected = by_torch(network, x, y[:, 0], student, training, 25, clip)
    # torch clips to most / (norm + 1e-6).
    rtol = 1e-10 if clip is None else 1e-4
    np.testing.assert_allclose(batch.weights.numpy()[0], expected, rtol=rtol, atol=rtol)
    moved = np.abs(expected - start[0]).max()
    assert moved > 0.05
    # Control: clipping and decay are seen.
    for other in (
        dataclasses.replace(training, weight_decay=0.3 - decay),
        dataclasses.replace(training, clip=0.05),
    ):
        wrong = by_torch(
            network, x, y[:, 0], student, other, 25, other.clip if other.clip < 1 else clip
        )
        assert np.abs(wrong - expected).max() > 1e-3


def test_clipping_takes_each_student_alone():
    gradients = [torch.tensor([[3.0, 0.0], [0.3, 0.0]]), torch.tensor([[4.0], [0.4]])]
    step_module.clip_gradients(gradients, 1.0)
    expected = [[[0.6, 0.0], [0.3, 0.0]], [[0.8], [0.4]]]
    for found, one in zip(gradients, expected, strict=True):
        torch.testing.assert_close(found, torch.tensor(one))


def test_rates_of_the_maximal_update(data):
    """The first step of Adam moves every number by rate x factor x sign of its gradient."""
    x, y = data
    factors = {"weight 1": 1 / 4, "weight 2": 1 / 4}
    network = MLP(2, 32, base_width=8)
    training = dataclasses.replace(
        DOUBLE, warmup=0.0, learning_rate=1e-2, batch_size=100, weight_decay=0.5
    )
    batch = ensemble_of(network, x, y[:, :1], students((0,)), training)
    before = {k: v.clone() for k, v in unflatten(network, 3, 1, batch.weights).items()}
    leaves = {k: v.clone().requires_grad_() for k, v in before.items()}
    out = network.forward(leaves, torch.as_tensor(x[None, :80]), ForwardPass())[0, :, 0]
    loss = ((out - torch.as_tensor(y[:80, 0])) ** 2).mean()
    slopes = torch.autograd.grad(loss, list(leaves.values()))
    batch.run_steps(1)
    after = unflatten(network, 3, 1, batch.weights)
    for (name, old), g in zip(before.items(), slopes, strict=True):
        step = factors.get(name, 1.0) * g / (g.abs() + 1e-8)
        shrunk = 1e-2 * 0.5 * old if "weight" in name else 0.0  # whatever the factor
        torch.testing.assert_close(after[name] - old, -1e-2 * step - shrunk, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("network", [MLP(2, 1), MLPS[3], POINTS[0], TOKENS[0]], ids=str)
def test_decay_is_of_matrices(network):
    """Embeddings and positions shrink, biases and gains do not, wherever they begin."""
    x = inputs(network, 6, 1, 120)[0].numpy()
    y = normal(2, 120)
    rows = []
    for decay in (0.0, 0.5):
        training = dataclasses.replace(DOUBLE, warmup=0.0, learning_rate=1e-2, weight_decay=decay)
        batch = ensemble_of(network, x, y, students((0,)), training)
        batch.weights += 0.3  # off zero
        before = unflatten(network, 6, 1, batch.weights.clone())
        batch.run_steps(1)
        rows.append(unflatten(network, 6, 1, batch.weights))
    for name, old in before.items():
        shrunk = 1e-2 * 0.5 * old if old[0].ndim > 1 else torch.zeros_like(old)
        torch.testing.assert_close(rows[0][name] - rows[1][name], shrunk, rtol=1e-9, atol=1e-12)
    kinds = {name: w[0].ndim > 1 for name, w in before.items()}
    assert not any(v for k, v in kinds.items() if "bias" in k or "norm" in k)
    assert all(v for k, v in kinds.items() if "weight" in k or k in ("position", "embedding"))


def test_rates_and_decays_may_be_tensors(monkeypatch):
    """As accelerators are handed them, on the operations that they take, against arrays of NumPy."""

    class Elsewhere(torch.Tensor):
        device = property(lambda self: type("Device", (), {"type": "elsewhere"}))

    real = step_module._column
    monkeypatch.setattr(
        step_module, "_column", lambda numbers, like: real(numbers, torch.Tensor(like.tolist()))
    )
    training = Training(momentum=0.85, clip=1.0)
    update = step_module.AdamW(
        training,
        [
            step_module.ParameterColumns(slice(0, 12), 0.5, True),
            step_module.ParameterColumns(slice(12, 20), 2.0, False),
        ],
    )
    rate, decay = np.float32([1e-2, 3e-3, 0.0]), np.float32([0.0, 0.7, 0.5])
    begin, ends = tensor(0, 3, 20).float(), []
    for convert in (np.asarray, torch.as_tensor):
        rows = begin.clone().as_subclass(Elsewhere)
        moments = step_module.Moments.start(rows)
        for step in range(3):
            gradients = [tensor(10 + step, 3, 4, 3).float(), tensor(20 + step, 3, 8).float()]
            update(rows, gradients, moments, step, convert(rate), convert(decay))
        ends.append(rows.as_subclass(torch.Tensor))
    torch.testing.assert_close(*ends, rtol=1e-6, atol=1e-7)
    moved = (ends[0] - begin).abs().amax(dim=1)
    assert (moved[:2] > 1e-4).all()
    assert moved[2] == 0.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_kernel_of_adam_against_torch_operations(monkeypatch, dtype):
    """The compiled pass over memory against the tensor operations that accelerators take."""

    class Elsewhere(torch.Tensor):
        device = property(lambda self: type("Device", (), {"type": "elsewhere"}))

    monkeypatch.setattr(
        step_module, "_column", lambda numbers, like: torch.as_tensor(numbers).to(dtype)[:, None]
    )
    training = Training(momentum=0.85, second_moment=0.95)
    update = step_module.AdamW(training, [])
    rate, kept = np.array([1e-2, 3e-3, 0.0]), np.array([1.0, 0.97, 0.99])
    state = [tensor(0, 3, 40).to(dtype), *(torch.zeros(3, 40, dtype=dtype) for _ in range(2))]
    here, there = [t.clone() for t in state], [t.clone().as_subclass(Elsewhere) for t in state]
    for step in range(6):
        g = tensor(step + 1, 3, 40).to(dtype) * 10.0 ** (step - 3)
        for (rows, first, second), own in ((here, g.clone()), (there, g.clone())):
            update.update(rows, own, first, second, step, rate, 0.25, kept)
    rtol = 1e-12 if dtype == torch.float64 else 2e-5
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(
            a.numpy(), b.as_subclass(torch.Tensor).numpy(), rtol, 1e-6 * rtol
        )
    assert float((here[0] - state[0]).abs().max()) > 1e-3
    np.testing.assert_allclose(here[0][2], state[0][2] * 0.99**6, rtol=1e-5)


def test_the_kernel_of_adam_by_hand():
    w, m, v = np.array([[2.0]]), np.array([[0.5]]), np.array([[0.25]])
    adamw(w, np.array([[3.0]]), m, v, np.array([0.1]), 0.5, np.array([0.9]), 0.8, 0.9, 1, 1e-8)
    first, second = 0.8 * 0.5 + 0.2 * 3.0, 0.9 * 0.25 + 0.1 * 9.0
    step = (first / (1 - 0.8**2)) / (math.sqrt(second / (1 - 0.9**2)) + 1e-8)
    np.testing.assert_allclose([w[0, 0], m[0, 0], v[0, 0]], [1.8 - 0.05 * step, first, second])


# --- schedules and stopping


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25, 0.9])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "trapezoid"])
def test_schedules(data, schedule, warmup):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, warmup=warmup, schedule=schedule, cooldown=0.3)
    batch = ensemble_of(MLP(0), x, y, students((0, 1)), training)
    # The second student has been told to cool down from step 10 to 15.
    batch.stopping.cooling_start[1], batch.stopping.end[1] = 10, 15
    found = batch.rate_multipliers(0, 40)
    for s, (low, high) in enumerate([(28, 40), (10, 15)]):
        expected = []
        for t in range(40):
            m = min(1.0, (t + 1) / (warmup * 40)) if warmup else 1.0
            if schedule == "cosine":
                m *= (1 + math.cos(math.pi * t / 40)) / 2
            if schedule == "trapezoid" and t >= low:
                m = min(m, (high - t) / (high - low))
            expected.append(m)
        np.testing.assert_allclose(
            found[: 40 if s == 0 else 15, s], expected[: 40 if s == 0 else 15]
        )
    np.testing.assert_array_equal(batch.rate_multipliers(7, 5), found[7:12])
    batch.active = np.array([1])
    np.testing.assert_array_equal(batch.rate_multipliers(7, 5), found[7:12, 1:])


def stopping_rule(curve, evaluated, training):
    """When a student ends, from its validation curve, for the rule as the documentation has it."""
    reference, since, end = math.inf, 0, None
    steps = training.steps
    late = steps - round(training.cooldown * steps)
    for loss, step in zip(curve, evaluated, strict=True):
        if loss < reference * (1 - training.least_gain):
            reference, since = loss, 0
        else:
            since += 1
        if end is None and since >= training.patience and step < late:
            end = step
            if training.schedule == "trapezoid":
                unit = training.evaluate_every
                end += max(unit, round(training.cooldown * step / unit) * unit)
        if end is not None and step >= end:
            return step, "plateau"
    return evaluated[-1], "budget"


@pytest.mark.parametrize("schedule", ["constant", "cosine", "trapezoid"])
def test_plateau_and_budget(data, schedule):
    """Noise cannot be learned: that student converges early; a slow one runs to the budget."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=600, evaluate_every=10, patience=4, schedule=schedule, batch_size=32
    )
    learners = [
        *students((0, 1), target=2, learning_rate=0.02),
        *students((2,), target=1, learning_rate=1e-3),
        *students((3,), target=1, learning_rate=0.3),
    ]
    found = train(MLP(1, 8), x, y, learners, training)
    assert found.stopped == ("plateau", "plateau", "budget", "plateau")
    np.testing.assert_array_equal(found.converged, [True, True, False, True])
    for s in range(4):
        made = int(found.steps[s])
        live = found.evaluated <= made
        curve = found.validation_curve[:, s]
        assert np.isfinite(curve[live]).all()
        assert np.isnan(curve[~live]).all()
        rule = stopping_rule(curve[live], found.evaluated[live], training)
        assert rule == (made, found.stopped[s])
        np.testing.assert_allclose(found.validation_loss[s], np.nanmin(curve), rtol=1e-12)
        assert np.isnan(found.train_curve[0, s])
        assert np.isfinite(found.train_curve[1:][live[1:], s]).all()
    assert found.steps[2] == 600
    # The weights kept are those of the best validation loss, not the last.
    out = found.predict(x[80:])[:, :, 0]
    loss = ((out - y[80:, [2, 2, 1, 1]].T) ** 2).mean(axis=1)
    np.testing.assert_allclose(loss, found.validation_loss, rtol=1e-10)
    if schedule == "constant":
        ends = [found.validation_curve[found.evaluated == found.steps[s], s] for s in range(4)]
        assert np.any(np.ravel(ends) > 1.001 * found.validation_loss)
    # What is said of training rows is of the weights kept.
    out = found.predict(x[:80])[:, :, 0]
    loss = ((out - y[:80, [2, 2, 1, 1]].T) ** 2).mean(axis=1)
    np.testing.assert_allclose(loss, found.train_loss, rtol=1e-10)


def test_weights_kept(data):
    """Of noise learned by heart the last weights are worse than the best, and are those asked for."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE,
        steps=200,
        evaluate_every=20,
        patience=4,
        learning_rate=0.03,
        schedule="constant",
    )
    learners = students((0, 1, 2), n=20, target=2)
    found = {
        keep: train(MLP(1, 8), x, y, learners, dataclasses.replace(training, keep=keep))
        for keep in ("best", "last")
    }
    best, last = found["best"], found["last"]
    np.testing.assert_array_equal(best.validation_curve, last.validation_curve)
    assert best.stopped == last.stopped
    for s in range(3):
        curve = best.validation_curve[:, s]
        curve = curve[np.isfinite(curve)]
        for t, expected in ((best, curve.min()), (last, curve[-1])):
            loss = ((t.predict(x[80:])[s, :, 0] - y[80:, 2]) ** 2).mean()
            np.testing.assert_allclose([loss, t.validation_loss[s]], expected, rtol=1e-10)
        assert curve[-1] > 1.01 * curve.min()
    assert (last.train_loss < best.train_loss).all()


def test_gradient_norm_of_the_weights_kept(data):
    x, y = data
    found = train(MLP(2, 6), x, y, students(), dataclasses.replace(DOUBLE, steps=30))
    w = unflatten(found.network, 3, 1, torch.as_tensor(found.weights))
    for s in range(3):
        leaves = {k: v[s].clone().requires_grad_() for k, v in w.items()}
        out = mlp_plain(2, leaves, torch.as_tensor(x[:80]))[:, 0]
        loss = ((out - torch.as_tensor(y[:80, 0])) ** 2).mean()
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        norm = math.sqrt(sum(float((g**2).sum()) for g in slopes))
        np.testing.assert_allclose(found.gradient_norm[s], norm, rtol=1e-9)


class TooLong(Exception):
    """A training that does not end."""


def at_most(calls):
    count = iter(range(calls))

    def progress(step, active):
        if next(count, None) is None:
            raise TooLong

    return progress


def test_a_late_plateau_ends_with_the_budget(data):
    """Flat at 60 of 100 steps, a cool-down of 60 more: the loop makes 0 steps for ever."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=100, evaluate_every=60, patience=1, learning_rate=0.0
    )
    found = train(MLP(0), x, y, students((0,)), training, progress=at_most(20))
    assert found.steps[0] <= 100


def test_a_doubled_budget_has_the_same_rates(data):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=200, warmup=0.1)
    twice = training.doubled()
    assert (twice.steps, twice.learning_rate) == (400, training.learning_rate)
    one, two = (ensemble_of(MLP(0), x, y, students((0,)), t) for t in (training, twice))
    np.testing.assert_allclose(
        one.rate_multipliers(0, 150), two.rate_multipliers(0, 150), rtol=1e-15
    )


def test_a_doubled_budget_is_used_to_its_end(data):
    """Whatever a plateau says: a student that learns nothing more makes all steps too."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, evaluate_every=4, patience=2, least_gain=0.5)
    learners = students((0, 1), target=2)
    once, twice = (train(MLP(1, 6), x, y, learners, t) for t in (training, training.doubled()))
    assert once.stopped == ("plateau", "plateau")
    assert (once.steps < 40).all()
    assert twice.stopped == ("budget", "budget")
    np.testing.assert_array_equal(twice.steps, 80)


def test_many_small_steps_down_make_one_gain(data, monkeypatch):
    """A loss that falls by 0.4% at every look is not flat for a gain of 1% in 5 looks; one that falls
    by 0.1% is. Every small step is a best value of its own, which must not restart the count."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=100, evaluate_every=1, patience=5, least_gain=0.01, schedule="constant"
    )
    falls = np.array([0.004, 0.001, 0.0, -0.002])

    def loss(self, rows, which):
        return (1.0 - falls[which]) ** self.step

    monkeypatch.setattr(Ensemble, "validation_loss", loss)
    found = train(MLP(0), x, y, students(range(4)), training)
    assert found.stopped == ("budget", "plateau", "plateau", "plateau")
    np.testing.assert_array_equal(found.steps, [100, 5, 5, 5])
    for s in range(4):
        live = found.evaluated <= found.steps[s]
        rule = stopping_rule(
            found.validation_curve[live, s],
            found.evaluated[live],
            dataclasses.replace(training, cooldown=0.0),
        )
        assert rule == (found.steps[s], found.stopped[s])


def test_gains_are_counted_again_after_a_resumption(data, tmp_path, monkeypatch):
    """The loss at the last gain is part of the state."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=40, evaluate_every=1, patience=5, least_gain=0.01, schedule="constant"
    )
    monkeypatch.setattr(
        Ensemble, "validation_loss", lambda self, rows, which: 0.997**self.step + 0.0 * which
    )
    whole = train(MLP(0), x, y, students(), training)
    assert set(whole.stopped) == {"budget"}
    _, progress = interrupted(8)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(MLP(0), x, y, students(), training, progress=progress, **kwargs)
    assert_same(train(MLP(0), x, y, students(), training, **kwargs), whole)


# --- many students are as one


LEARNERS = [
    Student(0, np.arange(80), np.arange(80, 120)),
    Student(1, np.arange(10), np.arange(80, 120), 1, 0.03),
    Student(2, np.arange(5, 45), np.arange(60, 100), 2, 0.02, 0.5),
    Student(3, np.arange(100, 120), np.arange(40), 2, 0.05, 0.0),
    Student(4, np.arange(20, 53), np.arange(80, 120)[::-1], 0, 1e-3, 0.1),
]


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        (MLP(2, 8), {}),
        (MLP(1, 8), {"clip": 0.5}),
        (MLP(2, 8), {"dropout": 0.3}),
        (
            MLP(2, 8, "gelu", residual=True),
            {"schedule": "cosine", "clip": 1.0, "dropout": 0.1, "steps": 80},
        ),
        (Transformer(1, 8, 2, 2), {"dropout": 0.2, "steps": 100, "patience": 1}),
    ],
    ids=lambda v: str(v)[:40],
)
def test_together_as_alone(data, network, changes):
    x, y = data
    training = dataclasses.replace(
        DOUBLE,
        **(
            {"steps": 200, "batch_size": 16, "evaluate_every": 10, "patience": 4}
            | {"weight_decay": 0.05, "learning_rate": 0.01}
            | changes
        ),
    )
    together = train(network, x, y, LEARNERS, training)
    assert len(set(together.steps.tolist())) > 1
    for i, student in enumerate(LEARNERS):
        assert_alone(together, i, train(network, x, y, [student], training))
    # Control: a student's own numbers matter.
    other = dataclasses.replace(LEARNERS[1], seed=77)
    assert (
        np.abs(train(network, x, y, [other], training).weights - together.weights[1]).max() > 1e-3
    )


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_parts_and_blocks_do_not_matter(data, monkeypatch, dropout):
    """Students worked on a few at a time, rows sent in small pieces, evaluation in small blocks."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=60, batch_size=16, evaluate_every=15, dropout=dropout
    )
    whole = train(MLP(2, 8), x, y, LEARNERS, training)
    out = whole.predict(x)
    monkeypatch.setattr(step_module, "CACHE", 1 << 14)
    monkeypatch.setattr(data_module, "INDEX_ELEMENTS", 300)
    monkeypatch.setattr(network_module, "ACTIVATIONS_AT_ONCE", 400)
    cut = train(MLP(2, 8), x, y, LEARNERS, training)
    for name, value in fields(cut).items():
        if name != "stopped":
            np.testing.assert_allclose(value, fields(whole)[name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(cut.predict(x), out, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rate", [1e6, math.inf])
def test_divergence_of_one_leaves_the_others(data, rate):
    x, y = data
    if math.isinf(rate):  # values that overflow, not a rate
        y, rate = y.copy(), 0.01
        y[:, 1] *= 1e200
    training = dataclasses.replace(DOUBLE, steps=60, batch_size=16, evaluate_every=10)
    wild = dataclasses.replace(LEARNERS[1], learning_rate=rate)
    found = train(MLP(2, 8), x, y, [LEARNERS[0], wild, *LEARNERS[2:]], training)
    assert found.stopped[1] == "diverged"
    assert not found.converged[1]
    for name in ("validation_loss", "train_loss", "gradient_norm"):
        assert np.isnan(getattr(found, name)[1]), name
        assert np.isfinite(np.delete(getattr(found, name), 1)).all(), name
    assert found.steps[1] < 60
    calm = train(MLP(2, 8), x, y, [LEARNERS[0], *LEARNERS[2:]], training)
    others = [0, 2, 3, 4]
    np.testing.assert_allclose(found.weights[others], calm.weights, rtol=1e-12, atol=1e-13)
    assert [found.stopped[i] for i in others] == list(calm.stopped)


def test_all_diverge(data):
    x, y = data
    found = train(MLP(1, 8), x, y, students(learning_rate=1e8), Training(steps=1000, device="cpu"))
    assert found.stopped == ("diverged",) * 3
    assert (found.steps < 1000).all()


# --- data order


@pytest.mark.parametrize("n", [17, 40, 70_000])
def test_every_epoch_is_a_permutation(n):
    rows = np.random.default_rng(0).permutation(3 * n)[:n]
    order = RowOrder(4, rows, 16)
    assert not order.all_rows
    np.testing.assert_array_equal(order.weights(), np.ones(16))
    count = -(-3 * n // 16)
    flat = order.minibatches(0, count).ravel()
    epochs = [flat[e * n : (e + 1) * n] for e in range(3)]
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.sort(rows))
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], rows)
    assert not np.array_equal(flat, RowOrder(5, rows, 16).minibatches(0, count).ravel())


@pytest.mark.parametrize(("n", "batch_size"), [(17, 16), (100, 7), (66_000, 512), (5, 1)])
def test_batches_do_not_depend_on_how_they_are_asked(n, batch_size):
    rows = np.arange(n)
    count = 3 * (1 << 16) // batch_size if n > 50_000 else 400
    whole = RowOrder(1, rows, batch_size).minibatches(0, count)
    order, at = RowOrder(1, rows, batch_size), 0
    for size in (1, 3, 50, 1, count - 55):
        np.testing.assert_array_equal(order.minibatches(at, size), whole[at : at + size])
        at += size
    # Backwards, and from the middle by an order that has seen nothing.
    np.testing.assert_array_equal(order.minibatches(2, 5), whole[2:7])
    np.testing.assert_array_equal(
        RowOrder(1, rows, batch_size).minibatches(count - 3, 3), whole[-3:]
    )


@pytest.mark.parametrize("n", [1, 5, 16])
def test_few_rows_are_all_taken(n):
    rows = np.arange(100, 100 + n)
    order = RowOrder(3, rows, 16)
    weight = order.weights()
    assert order.all_rows
    assert weight.mean() == pytest.approx(1.0, rel=1e-15)
    for batch in order.minibatches(5, 3):
        # Every row has the same share of the mean loss.
        shares = [weight[batch == row].sum() for row in rows]
        np.testing.assert_allclose(shares, 16 / n)
    assert np.isin(order.minibatches(0, 2), rows).all(), "padding exists"


def test_orders_are_uniform():
    """First rows of 4000 epochs, by a chi-squared; a shuffle that never ends a row first fails."""
    flat = RowOrder(2, np.arange(8), 4).minibatches(0, 8000).reshape(-1, 8)
    first, pairs = np.bincount(flat[:, 0], minlength=8), flat[:, 0] * 8 + flat[:, 1]
    assert chi_squared_p(first, np.full(8, 1 / 8)) > P_FLOOR
    counts = np.bincount(pairs, minlength=64)
    possible = (~np.eye(8, dtype=bool)).ravel()
    assert counts[~possible].sum() == 0
    assert chi_squared_p(counts[possible], np.full(56, 1 / 56)) > P_FLOOR
    # Control: epochs that are one another's rotation have uniform firsts but few pairs.
    turned = (np.arange(4000) * 5) % 8
    wrong = np.bincount(turned * 8 + (turned + 1) % 8, minlength=64)
    assert chi_squared_p(wrong[possible], np.full(56, 1 / 56)) < P_FLOOR


def test_students_of_one_seed_and_rows_share_an_order(data):
    """One object for them; another seed, fewer rows or the same rows in another order are others."""
    x, y = data
    rows = np.arange(80)
    learners = [
        Student(0, rows, np.arange(80, 120), target=0),
        Student(0, rows.copy(), np.arange(80, 120), target=1, learning_rate=0.1),
        Student(1, rows, np.arange(80, 120)),
        Student(0, rows[:40], np.arange(80, 120)),
        Student(0, np.roll(rows, 1), np.arange(80, 120)),
        Student(0, rows.astype(np.int32), np.arange(80, 120), target=2),
    ]
    training = dataclasses.replace(DOUBLE, steps=20, batch_size=16, evaluate_every=10)
    orders = ensemble_of(MLP(1, 4), x, y, learners, training).minibatches.orders
    assert orders[0] is orders[1]
    assert len({id(order) for order in orders[:5]}) == 4
    for order, student in zip(orders, learners, strict=True):
        own = RowOrder(student.seed, np.asarray(student.train), 16)
        np.testing.assert_array_equal(order.minibatches(3, 9), own.minibatches(3, 9))
    together = train(MLP(1, 4), x, y, learners, training)
    for i, student in enumerate(learners):
        assert_alone(together, i, train(MLP(1, 4), x, y, [student], training))


def test_rows_turned_round(data):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=2, evaluate_every=1)
    train(MLP(0), x, y, [Student(0, np.arange(80)[::-1], np.arange(80, 120))], training)


# --- dropout


def test_dropout_is_fair_and_keeps_the_mean():
    share, seeds = 0.3, torch.arange(4)
    x = torch.ones(4, 200, 50, dtype=torch.float64)

    def kept(step=0, place=1, seed=seeds):
        return (drop_units(x, share, seed, step, place) != 0).double()

    out = drop_units(x, share, seeds, 0, 1)
    assert set(out.unique().tolist()) == {0.0, 1.0 / 0.7}
    for s in range(4):
        mean, error = mean_and_error(kept()[s].numpy().ravel())
        assert_close(mean, 0.7, error)
        assert_far(mean, 0.5, error)
        # Rows, columns: no unit is dropped more than others.
        for axis, size in ((0, 200), (1, 50)):
            shares = kept()[s].mean(dim=axis).numpy()
            z = (shares - 0.7) / math.sqrt(0.21 / size)
            assert abs((z**2).mean() - 1.0) < 5 * math.sqrt(2 / z.size)
    np.testing.assert_array_equal(kept(), kept())

    def correlation(a, b):
        product = ((a - 0.7) * (b - 0.7) / 0.21).numpy().ravel()
        return mean_and_error(product)

    for a, b in (
        (kept(), kept(step=1)),
        (kept(), kept(place=2)),
        (kept()[0], kept()[1]),
        (kept()[:, :, 1:], kept()[:, :, :-1]),
        (kept()[:, 1:], kept()[:, :-1]),
        (kept(step=3), kept(step=0, place=4)),
        (kept(seed=seeds)[1], kept(seed=seeds + (1 << 40))[1]),
    ):
        mean, error = correlation(a, b)
        assert_close(mean, 0.0, error)
    mean, error = correlation(kept(), kept())
    assert_far(mean, 0.0, error)


def test_dropout_acts_in_training_only(data):
    x, y = data
    w = named(MLP(2, 16), 3, seeds=(0,))
    run = ForwardPass(0.5, torch.tensor([0]), 3)
    point = torch.as_tensor(x[None])
    assert bool(
        (MLP(2, 16).forward(w, point, run) != MLP(2, 16).forward(w, point, ForwardPass())).any()
    )
    # Two places in one pass have different masks, in one step after the other too.
    ones, run = torch.ones(1, 5, 16), ForwardPass(0.5, torch.tensor([0]), 3)
    assert not torch.equal(run.drop(ones), run.drop(ones))
    training = dataclasses.replace(DOUBLE, steps=1, learning_rate=0.0, dropout=0.5)
    quiet = train(MLP(2, 16), x, y, students((0,)), training)
    plain = train(MLP(2, 16), x, y, students((0,)), dataclasses.replace(training, dropout=0.0))
    np.testing.assert_allclose(quiet.validation_curve, plain.validation_curve, rtol=1e-12)
    assert abs(quiet.train_curve[1, 0] - plain.train_curve[1, 0]) > 1e-3


def test_dropout_is_told_seed_step_and_place(data, monkeypatch):
    x, y = data
    told = []

    def recorded(h, share, seeds, step, place):
        told.append((share, tuple(seeds.tolist()), step, place))
        return drop_units(h, share, seeds, step, place)

    monkeypatch.setattr("percolaw.learners.neural.network.drop_units", recorded)
    training = dataclasses.replace(DOUBLE, steps=6, evaluate_every=4, dropout=0.25)
    train(MLP(2, 4), x, y, students((7, 3)), training)
    assert told == [(0.25, (7, 3), t, place) for t in range(6) for place in (1, 2)]


@pytest.mark.parametrize("network", [MLP(2, 8), MLP(2, 8, "tanh")], ids=str)
def test_training_curve_is_the_mean_of_the_steps(data, network):
    x, y = data
    training = dataclasses.replace(DOUBLE, batch_size=16)
    pieces, whole = (ensemble_of(network, x, y, students(), training) for _ in range(2))
    one_by_one = []
    for _ in range(5):
        weights = {k: v.clone() for k, v in unflatten(network, 3, 1, pieces.weights).items()}
        index = np.stack([o.minibatches(pieces.step, 1)[0] for o in pieces.minibatches.orders])
        out = network.forward(weights, torch.as_tensor(x[index]), ForwardPass())[:, :, 0].numpy()
        one_by_one.append(((out - y[index, 0]) ** 2).mean(axis=1))
        pieces.run_steps(1)
    whole.run_steps(5)
    np.testing.assert_allclose(np.array(pieces.train_curve), one_by_one, rtol=1e-10)
    np.testing.assert_allclose(whole.train_curve[0], np.mean(one_by_one, axis=0), rtol=1e-10)


# --- evaluation leaves no trace


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_looking_changes_nothing(data, dropout):
    x, y = data
    rows = []
    for unit in (10, 50):
        training = dataclasses.replace(
            DOUBLE,
            steps=100,
            evaluate_every=unit,
            patience=10**6,
            schedule="constant",
            dropout=dropout,
            batch_size=16,
        )
        batch = ensemble_of(MLP(2, 8), x, y, students(), training)
        start = batch.weights.clone()
        for _ in range(100 // unit):
            batch.evaluate()
            batch.run_steps(unit)
        rows.append(batch.weights.numpy())
        assert float((batch.weights - start).abs().max()) > 0.01
    np.testing.assert_array_equal(*rows)


def test_global_random_states_are_left_alone(data):
    x, y = data

    def states():
        legacy = np.random.get_state()[1].copy()  # noqa: NPY002
        return [torch.get_rng_state().numpy(), legacy, random.getstate()]

    before = states()
    training = Training(steps=20, evaluate_every=5, dropout=0.2, device="cpu")
    found = train(MLP(2, 8), x, y, students(), training)
    found.predict(x)
    layer_activations(found, x)
    tangent_kernel(found, x[:4])
    for a, b in zip(before, states(), strict=True):
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
    # And they have no influence.
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    assert_same(found, train(MLP(2, 8), x, y, students(), training))


# --- resuming


def interrupted(calls):
    """Progress that interrupts at one call, and what it saw."""
    seen = []

    def progress(step, active):
        seen.append(step)
        if len(seen) == calls:
            raise KeyboardInterrupt

    return seen, progress


RESUMED = [
    (MLP(2, 8), {}),
    (MLP(2, 8), {"dropout": 0.2, "dtype": "float32", "keep": "last"}),
    (MLP(1, 8), {"clip": 1.0, "schedule": "cosine"}),
    (Transformer(1, 8, 2, 2), {"steps": 90}),
]


@pytest.mark.parametrize(("network", "changes"), RESUMED, ids=lambda v: str(v)[:40])
def test_resumed_as_if_never_interrupted(data, tmp_path, network, changes):
    x, y = data
    training = dataclasses.replace(
        DOUBLE,
        **({"steps": 150, "batch_size": 16, "evaluate_every": 10, "patience": 3} | changes),
    )
    whole = train(network, x, y, LEARNERS, training)
    if isinstance(network, MLP):
        assert len(set(whole.steps.tolist())) > 1, "students end at different times"
    at, folder = [], tmp_path / "states"
    for calls in (2, 1, 3, 1):
        seen, progress = interrupted(calls)
        with pytest.raises(KeyboardInterrupt):
            train(
                *(network, x, y, LEARNERS, training),
                checkpoint=folder,
                checkpoint_seconds=0.0,
                progress=progress,
            )
        at += seen
        (state,) = folder.iterdir()
        with np.load(state, allow_pickle=False) as arrays:  # no pickle in it
            assert int(arrays["step"]) == seen[-1]
            assert all(arrays[k].dtype.kind in "iufb" for k in arrays.files)
    assert at == [10 * (i + 1) for i in range(7)], "every call went on where the last one was"
    done = train(network, x, y, LEARNERS, training, checkpoint=folder, checkpoint_seconds=0.0)
    assert_same(done, whole)
    assert list(folder.iterdir()) == [], "nothing is left of a training that ended"


def test_interrupted_after_the_last_step(data, tmp_path):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=30, evaluate_every=10)
    whole = train(MLP(1, 8), x, y, LEARNERS, training)
    _, progress = interrupted(3)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(MLP(1, 8), x, y, LEARNERS, training, progress=progress, **kwargs)
    seen, progress = interrupted(0)
    assert_same(train(MLP(1, 8), x, y, LEARNERS, training, progress=progress, **kwargs), whole)
    assert seen == []


@pytest.fixture
def stopped(data, tmp_path):
    """A training stopped after 30 steps, its state, and what it would have come to."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=60, evaluate_every=10, batch_size=16)
    arguments = (MLP(1, 6), x, y, LEARNERS, training)
    _, progress = interrupted(3)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(*arguments, progress=progress, **kwargs)
    (state,) = tmp_path.iterdir()
    return arguments, kwargs, state, train(*arguments)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-1],
        lambda raw: b"",
        lambda raw: b"not a state",
        lambda raw: raw[:300] + b"\xff" * 40 + raw[340:],
        lambda raw: raw[100:],
    ],
)
def test_a_damaged_state_is_ignored(stopped, damage):
    arguments, kwargs, state, whole = stopped
    state.write_bytes(damage(state.read_bytes()))
    seen, progress = interrupted(0)
    assert_same(train(*arguments, progress=progress, **kwargs), whole)
    assert seen[0] == 10, "it began again"
    assert not state.exists()


def test_no_flipped_byte_stops_a_training(stopped, tmp_path):
    """Any one byte of a state inverted: it is ignored, or whole all the same."""
    *_, state, _ = stopped
    raw, name = state.read_bytes(), state.stem
    whole = Checkpoint(tmp_path, name).load()
    for i in range(len(raw) - 1500, len(raw), 7):  # the directory of the archive
        bad = bytearray(raw)
        bad[i] ^= 0xFF
        state.write_bytes(bad)
        found = Checkpoint(tmp_path, name).load()
        if found is not None and found.keys() == whole.keys():
            assert all(np.array_equal(found[k], whole[k], equal_nan=True) for k in whole)


@pytest.mark.parametrize("drop", ["second", "stopping least_loss", "weights"])
def test_a_state_that_lacks_something_is_ignored(stopped, drop):
    """A byte of a name flipped in the archive gives such a state."""
    arguments, kwargs, state, whole = stopped
    checkpoint = Checkpoint(state.parent, state.stem)
    arrays = checkpoint.load()
    del arrays[drop]
    checkpoint.save(arrays)
    assert_same(train(*arguments, **kwargs), whole)


def test_another_training_does_not_pick_a_state_up(stopped):
    (network, x, y, learners, training), kwargs, state, _ = stopped
    shifted = x.copy()
    shifted[0, 0] += 1e-9
    others = [
        (MLP(1, 6, "tanh"), x, y, learners, training),
        (network, shifted, y, learners, training),
        (network, x, y + 1e-9, learners, training),
        (network, x, y, learners[::-1], training),
        (network, x, y, [*learners[:4], dataclasses.replace(learners[4], seed=9)], training),
        (network, x, y, [*learners[:4], dataclasses.replace(learners[4], target=1)], training),
        (
            network,
            x,
            y,
            [*learners[:4], dataclasses.replace(learners[4], learning_rate=0.5)],
            training,
        ),
        (network, x, y, learners, dataclasses.replace(training, weight_decay=1.0)),
        (network, x, y, learners, dataclasses.replace(training, steps=70)),
        (network, x, y, learners, dataclasses.replace(training, dtype="float32")),
    ]
    for other in others:
        seen, progress = interrupted(1)
        with pytest.raises(KeyboardInterrupt):
            train(*other, progress=progress, **kwargs)
        assert seen == [10], "it started from nothing"
    assert len(list(state.parent.iterdir())) == 1 + len(others)
    # Control: the same call does, and the device is no part of it.
    seen, progress = interrupted(1)
    same = (network, x, y, learners, dataclasses.replace(training, device="auto"))
    if not torch.cuda.is_available():
        with pytest.raises(KeyboardInterrupt):
            train(*same, progress=progress, **kwargs)
        assert seen == [40]


def test_another_split_of_the_same_rows_is_another_training(data):
    x, y = data
    names = {
        identity(job_of(MLP(0), x, y, [Student(0, np.arange(n), np.arange(n, 60))], DOUBLE))
        for n in (30, 40)
    }
    assert len(names) == 2


def test_states_are_written_as_seldom_as_asked(data, tmp_path):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, evaluate_every=10)
    there = []
    train(
        *(MLP(0), x, y, LEARNERS, training),
        checkpoint=tmp_path,
        checkpoint_seconds=1e6,
        progress=lambda step, active: there.append(len(list(tmp_path.glob("*")))),
    )
    assert there
    assert set(there) == {0}


# --- the maximal update


def changes(network, n_seeds, steps=2, rate=0.1):
    """Root mean square change of hidden pre-activations and of outputs in a few steps of Adam."""
    x = normal(11, 64, 8)
    y = np.sin(x[:, 0]) + x[:, 1]
    learners = [Student(s, np.arange(48), np.arange(48, 64)) for s in range(n_seeds)]
    training = dataclasses.replace(
        DOUBLE, schedule="constant", warmup=0.0, learning_rate=rate, batch_size=48
    )
    batch = ensemble_of(network, x, y, learners, training)
    points = torch.as_tensor(np.broadcast_to(x, (n_seeds, *x.shape)).copy())

    def activations():
        kept = {}
        out = network.forward(
            unflatten(network, 8, 1, batch.weights), points, ForwardPass(layers=kept)
        )
        return [kept[f"layer {network.depth} before"].clone(), out.clone()]

    before = activations()
    batch.run_steps(steps)
    return [
        float((b - a).square().mean().sqrt()) for a, b in zip(before, activations(), strict=True)
    ]


def slopes(family, widths, parametrization, n_seeds=16, **kwargs):
    """Log-log slopes of the changes in width."""
    found = [
        changes(family(width=w, parametrization=parametrization, base_width=4, **kwargs), n_seeds)
        for w in widths
    ]
    return np.polyfit(np.log(widths), np.log(found), 1)[0]


@pytest.mark.parametrize(
    ("family", "widths", "kwargs"),
    [
        (MLP, (32, 128, 512), {"depth": 2}),
        (MLP, (32, 128, 512), {"depth": 2, "activation": "gelu", "residual": True}),
        (Transformer, (16, 32, 64), {"depth": 1, "n_heads": 2, "group": 4}),
    ],
    ids=["mlp", "residual", "transformer"],
)
def test_coordinate_check(family, widths, kwargs):
    """Under muP every width learns features at the same rate; under the standard one wide ones
    move more and more."""
    mup = slopes(family, widths, "mup", **kwargs)
    standard = slopes(family, widths, "standard", **kwargs)
    assert np.abs(mup).max() < 0.15, mup
    assert standard.min() > 0.3, standard


# --- what networks learn, against closed forms


def least_squares(x, y):
    """Weights and bias of the linear fit."""
    full = np.column_stack([x, np.ones(len(x))])
    return np.linalg.lstsq(full, y, rcond=None)[0]


def test_a_linear_student_is_least_squares(data):
    x, y = data[0] + 0.3, data[1] + 0.7 * normal(12, 120, 3)  # off-centre: the bias matters
    # Validation values on the least-squares plane: the best validation loss is there.
    exact = least_squares(x[:80], y[:80])
    y[80:] = np.column_stack([x[80:], np.ones(40)]) @ exact
    training = dataclasses.replace(
        DOUBLE, learning_rate=0.03, steps=1500, batch_size=80, evaluate_every=50, patience=50
    )
    found = train(MLP(0), x, y, students((3,)), training, n_outputs=3)
    w = unflatten(MLP(0), 3, 3, found.weights)
    np.testing.assert_allclose(w["weight 0"][0], exact[:3], atol=2e-5)
    np.testing.assert_allclose(w["bias 0"][0], exact[3], atol=2e-5)
    residual = y[:80] - np.column_stack([x[:80], np.ones(80)]) @ exact
    np.testing.assert_allclose(found.train_loss[0], (residual**2).mean(), rtol=1e-6)
    assert found.gradient_norm[0] < 1e-4
    # Control: least squares of all 120 rows before they were replaced, or without a bias, is far.
    assert np.abs(np.linalg.lstsq(x[:80], y[:80], rcond=None)[0] - exact[:3]).max() > 1e-2


def test_loss_against_the_divergence_by_hand(data):
    x, _ = data
    y = normal(13, 120, 3)
    training = dataclasses.replace(DOUBLE, loss="kl", steps=1, learning_rate=0.0)
    found = train(MLP(1, 6), x, y, students((0, 1)), training, n_outputs=3)
    out = found.predict(x)

    def softmax(z):
        e = np.exp(z)
        return e / e.sum(axis=-1, keepdims=True)

    p, q = softmax(y), softmax(out)
    each = (p * np.log(p / q)).sum(axis=-1)
    np.testing.assert_allclose(found.validation_loss, each[:, 80:].mean(axis=1), rtol=1e-10)
    np.testing.assert_allclose(found.train_loss, each[:, :80].mean(axis=1), rtol=1e-10)
    other_way = (q * np.log(q / p)).sum(axis=-1)
    assert np.abs(other_way[:, 80:].mean(axis=1) - found.validation_loss).min() > 1e-3


def test_divergence_loss_is_zero_at_the_values():
    loss, out = LOSSES["kl"].value, tensor(14, 2, 7, 3)
    assert float(loss(out, out).abs().max()) < 1e-15
    shifted = out + 5.0  # the same probabilities
    assert float(loss(out, shifted).abs().max()) < 1e-14
    assert float(loss(out, out + tensor(15, 2, 7, 3)).min()) > 0.0
    mse = LOSSES["mse"].value(out, shifted)
    torch.testing.assert_close(mse, torch.full((2, 7), 25.0).double())


def test_probabilities_are_learned(data):
    """A linear softmax model learns the probabilities of another one."""
    x, _ = data
    y = x @ normal(16, 3, 4)
    training = dataclasses.replace(DOUBLE, loss="kl", steps=400, learning_rate=0.05)
    found = train(MLP(0), x, y, students((0,)), training, n_outputs=4)
    assert found.validation_loss[0] < 1e-4 < 1e-2 * found.validation_curve[0, 0]


def test_tokens_are_learned():
    """The number of zeros among four tokens: linear in what attention over all tokens averages."""
    ids = np.random.default_rng(3).integers(0, 3, (120, 4))
    y = (ids == 0).sum(axis=1).astype(float)
    network = Transformer(1, 8, 2, vocabulary=3)
    training = dataclasses.replace(DOUBLE, steps=150, learning_rate=0.01, evaluate_every=50)
    found = train(network, ids.astype(np.uint8), y, students((0,)), training)
    assert found.validation_loss[0] < 0.05 * y.var()
    np.testing.assert_array_equal(found.predict(ids), found.predict(ids.astype(np.uint8)))


@pytest.mark.parametrize("network", [MLP(2, 16), Transformer(1, 8, 2, 2)], ids=str)
def test_half_precision_lands_near(data, network):
    x, y = data
    training = Training(
        steps=150, evaluate_every=25, batch_size=80, learning_rate=0.01, device="cpu"
    )
    found = {
        dtype: train(network, x, y, students(target=1), dataclasses.replace(training, dtype=dtype))
        for dtype in ("float64", "float32", "bfloat16")
    }
    start = found["float64"].validation_curve[0]
    for dtype, t in found.items():
        assert (
            t.weights.dtype
            == t.predict(x).dtype
            == ("float64" if dtype == "float64" else "float32")
        )
        assert np.isfinite(t.train_loss).all()
    full, single, half = (found[d].validation_loss for d in ("float64", "float32", "bfloat16"))
    np.testing.assert_allclose(single, full, rtol=1e-2)
    assert (np.abs(half - full) < 0.02 * start).all()
    assert (half < 0.5 * start).all()
    # It is another arithmetic, not float32 under another name.
    assert np.abs(half - single).max() > 1e-6
    gap = (found["bfloat16"].predict(x) - found["float32"].predict(x)).std()
    assert 1e-4 < gap < 0.5 * y[:, 1].std()


def test_prediction(data):
    x, y = data
    found = train(MLP(2, 6), x, y, students(), dataclasses.replace(DOUBLE, steps=5), n_outputs=2)
    out = found.predict(x)
    assert out.shape == (3, 120, 2)
    w = unflatten(MLP(2, 6), 3, 2, torch.as_tensor(found.weights))
    for s in range(3):
        expected = mlp_plain(2, {k: v[s] for k, v in w.items()}, torch.as_tensor(x))
        np.testing.assert_allclose(out[s], expected, atol=1e-12)
    own = np.stack([x, x[::-1], 2 * x])
    each = found.predict(own)
    np.testing.assert_allclose(each[1], out[1, ::-1], atol=1e-13)
    np.testing.assert_allclose(each[2], found.predict(2 * x)[2], atol=1e-13)
    with pytest.raises(ValueError, match=r"shape \(n, 3\)"):
        found.predict(x[:, :2])
    with pytest.raises(ValueError, match="non-finite"):
        found.predict(np.full((4, 3), math.nan))


# --- tangent kernels and degrees of freedom


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
    j = np.empty((6, row.size))
    for i in range(row.size):
        ends = [row.copy(), row.copy()]
        ends[0][i] += step
        ends[1][i] -= step
        w = unflatten(network, 3, 1, torch.as_tensor(np.stack(ends)))
        out = network.forward(w, torch.as_tensor(np.stack([ids, ids])), ForwardPass())[:, :, 0]
        j[:, i] = (out[0] - out[1]) / (2 * step)
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
    from percolaw.covariance import NetworkGaussianProcess

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
        DOUBLE, steps=3000, evaluate_every=500, learning_rate=0.03, least_gain=0.0
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


# --- memory


@pytest.mark.parametrize("most", [1, 2, 3])
@pytest.mark.parametrize(
    "kind",
    [
        lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        lambda: MemoryError(),
        lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 byte"),
        lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate"),
    ],
)
def test_short_memory_halves_the_batch(data, monkeypatch, most, kind):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=60, evaluate_every=10, patience=2, batch_size=16)
    arguments = (MLP(1, 6), x, y, LEARNERS, training)
    whole, real, sizes = train(*arguments), ensemble.train_ensemble, []

    def small(job):
        sizes.append(len(job.students))
        if len(job.students) > most:
            raise kind()
        return real(job)

    monkeypatch.setattr(ensemble, "train_ensemble", small)
    split = train(*arguments)
    assert sizes[0] == 5
    assert sum(s for s in sizes if s <= most) == 5
    for name, value in fields(whole).items():
        if name == "stopped":
            assert split.stopped == whole.stopped
        else:
            np.testing.assert_allclose(fields(split)[name], value, rtol=1e-9, atol=1e-12)
    assert np.abs(np.diff(whole.validation_loss)).min() > 1e-6, "an order to lose"
    np.testing.assert_allclose(split.predict(x[:5]), whole.predict(x[:5]), rtol=1e-9, atol=1e-12)


def test_one_student_too_large(data, monkeypatch):
    x, y = data

    def never(*_):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(ensemble, "train_ensemble", never)
    with pytest.raises(ResourceError, match="Lower batch_size or the width"):
        train(MLP(1, 6), x, y, LEARNERS, DOUBLE)


def test_other_errors_are_not_taken_for_short_memory(data, monkeypatch):
    x, y = data
    calls = []

    def broken(*_):
        calls.append(0)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(ensemble, "train_ensemble", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        train(MLP(1, 6), x, y, LEARNERS, DOUBLE)
    assert len(calls) == 1


def test_split_batches_resume(data, monkeypatch, tmp_path):
    """Halves have states of their own; an interrupted second half does not lose the first's end."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, evaluate_every=10, batch_size=16)
    whole, real = train(MLP(1, 6), x, y, LEARNERS, training), ensemble.train_ensemble

    def small(job):
        if len(job.students) > 3:
            raise MemoryError
        return real(job)

    monkeypatch.setattr(ensemble, "train_ensemble", small)
    _, progress = interrupted(6)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(MLP(1, 6), x, y, LEARNERS, training, progress=progress, **kwargs)
    done = train(MLP(1, 6), x, y, LEARNERS, training, **kwargs)
    np.testing.assert_allclose(done.weights, whole.weights, rtol=1e-9, atol=1e-12)
    assert list(tmp_path.iterdir()) == []


# --- what is refused


def refuses(
    match, *, error=ValueError, network=None, points=None, values=None, learners=None, **kw
):
    x = normal(0, 20, 3) if points is None else points
    y = normal(1, 20) if values is None else values
    learners = [Student(0, np.arange(10), np.arange(10, 20))] if learners is None else learners
    training = kw.pop("training", DOUBLE)
    with pytest.raises(error, match=re.escape(match)):
        train(network or MLP(1, 4), x, y, learners, training, **kw)


def one(train_rows, validation, **kwargs):
    return [Student(0, train_rows, validation, **kwargs)]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"learners": []}, "no students; give at least one"),
        ({"learners": one([0, 1], [1, 2])}, "both train and validation"),
        ({"learners": one([0, 1], [1, 2])}, "Make them disjoint"),
        ({"learners": one([0, 20], [1, 2])}, "train of student 0 must lie in [0, 19]; got"),
        ({"learners": one([0, 1], [-1, 2])}, "validation of student 0 must lie in [0, 19]"),
        ({"learners": one([], [1, 2])}, "student 0 needs training rows and validation rows"),
        ({"learners": one([0], [])}, "one is empty"),
        ({"learners": one([[0, 1]], [2])}, "one-dimensional"),
        ({"learners": one([0], [1], target=1)}, "learns columns 1..1; values have 1"),
        ({"n_outputs": 2}, "learns columns 0..1; values have 1"),
        ({"learners": one([0], [1], target=-1)}, "target must be in [0"),
        ({"n_outputs": 0}, "n_outputs must be in [1"),
        ({"learners": one([0], [1], learning_rate=-1.0)}, "learning_rate must be finite and in [0"),
        ({"learners": one([0], [1], weight_decay=math.nan)}, "weight_decay must be finite"),
        ({"learners": [Student(-1, [0], [1])]}, "seed must lie in 0..2^64 - 1; got -1"),
        (
            {"learners": [Student(0, [0], [1, 2]), Student(1, [0], [3])]},
            "equally many validation rows",
        ),
        ({"points": np.full((20, 3), math.nan)}, "points has 60 non-finite"),
        ({"points": np.full((20, 3), math.inf, dtype=np.float32)}, "points has 60 non-finite"),
        ({"points": np.zeros(20)}, "shape (n, dim), neither 0; got (20,)"),
        ({"points": np.zeros((0, 3))}, "neither 0; got (0, 3)"),
        ({"points": np.zeros((20, 0))}, "neither 0; got (20, 0)"),
        ({"values": np.full(20, math.nan)}, "values has 20 non-finite"),
        ({"values": np.zeros(19)}, "values must have 20 rows; got 19"),
        ({"values": np.zeros((20, 1, 1))}, "(n,) or (n, n_outputs); got (20, 1, 1)"),
        ({"training": Training(device="cuda:77")}, "no device 'cuda:77' here; there are cpu"),
        ({"training": Training(device="tpu")}, "(or auto)"),
        (
            {"network": Transformer(vocabulary=5), "points": np.full((20, 3), 5)},
            "token ids must lie in [0, 4]; got 5 to 5. Raise the network's vocabulary",
        ),
        (
            {"network": Transformer(vocabulary=5), "points": np.full((20, 3), -1)},
            "token ids must lie in [0, 4]; got -1",
        ),
    ],
)
def test_refused(arguments, match):
    refuses(match, **arguments)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"network": Transformer(vocabulary=5), "points": np.ones((20, 3))}, "integer token ids"),
        ({"learners": one([0.5], [1])}, "must be integer site ids"),
        ({"learners": [Student(0.5, [0], [1])]}, "seed must be an integer"),
        ({"points": np.full((20, 3), "a")}, "points must be numeric"),
    ],
)
def test_refused_types(arguments, match):
    refuses(match, error=TypeError, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a device of that name")
def test_a_device_that_is_not_there():
    refuses("no device 'cuda:7' here; there are cpu", training=Training(device="cuda:7"))
    refuses("no device 'cuda' here", training=Training(device="cuda"))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"learning_rate": -1e-3}, "learning_rate must be finite and in [0"),
        ({"learning_rate": math.nan}, "learning_rate must be finite"),
        ({"weight_decay": -1.0}, "weight_decay must be"),
        ({"steps": 0}, "steps must be in [1"),
        ({"steps": 1.5}, "steps must be an integer; got 1.5"),
        ({"batch_size": 0}, "batch_size must be in [1"),
        ({"evaluate_every": 0}, "evaluate_every must be in [1"),
        ({"patience": 0}, "patience must be in [1"),
        ({"dropout": 1.0}, "dropout must be finite and in [0"),
        ({"dropout": -0.1}, "dropout must be"),
        ({"momentum": 1.0}, "momentum must be"),
        ({"second_moment": 1.0}, "second_moment must be"),
        ({"warmup": 2.0}, "warmup must be"),
        ({"cooldown": -0.5}, "cooldown must be"),
        ({"least_gain": 1.5}, "least_gain must be"),
        ({"clip": 0.0}, "clip must be above 0 (math.inf for none); got 0.0"),
        ({"clip": -1.0}, "clip must be above 0"),
        ({"clip": math.nan}, "clip must be above 0"),
        ({"schedule": "linear"}, "choose from trapezoid, cosine, constant"),
        ({"keep": "first"}, "unknown keep 'first'; choose from best, last"),
        ({"loss": "mae"}, "unknown loss 'mae'; choose from mse, kl, cross_entropy"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
    ],
)
def test_refused_training(arguments, match):
    with pytest.raises(ValueError, match=re.escape(match)):
        Training(**arguments)


@pytest.mark.parametrize(
    ("family", "arguments", "match"),
    [
        (Transformer, {"width": 30}, "multiple of n_heads; got width = 30 and n_heads = 4. Widths"),
        (Transformer, {"depth": 0}, "depth must be in [1"),
        (Transformer, {"group": 0}, "group must be in [1"),
        (Transformer, {"vocabulary": 0}, "vocabulary must be in [1"),
        (Transformer, {"parametrization": "ntk"}, "unknown parametrization 'ntk'"),
        (MLP, {"depth": -1}, "depth must be in [0"),
        (MLP, {"width": 0}, "width must be in [1"),
        (MLP, {"base_width": 0}, "base_width must be in [1"),
        (MLP, {"activation": "rleu"}, "Did you mean 'relu'?"),
    ],
)
def test_refused_networks(family, arguments, match):
    with pytest.raises(ValueError, match=re.escape(match)):
        family(**arguments)


def test_a_misspelt_cpu():
    refuses("there is no device 'cpu:x' here", training=Training(device="cpu:x"))


@pytest.mark.parametrize("shape", [(3,), (2, 5, 3), (1, 3, 5, 3)])
def test_prediction_refuses_other_shapes(data, shape):
    """Points of one student only, or of two for three students."""
    x, y = data
    found = train(MLP(1, 4), x, y, students(), dataclasses.replace(DOUBLE, steps=1))
    with pytest.raises(ValueError, match="points must"):
        found.predict(np.zeros(shape))


@pytest.mark.parametrize(
    "points",
    [np.full((2, 3), math.nan), np.ones((2, 4)), np.ones(3)],
)
def test_tangent_kernel_refuses_points(points):
    with pytest.raises(ValueError, match="points"):
        tangent_kernel(at_the_start(MLP(1, 4), 3), points)


def test_a_divergence_of_one_output_is_refused():
    refuses("n_outputs", training=dataclasses.replace(DOUBLE, loss="kl", steps=1))


def test_numbers_of_other_types(data, tmp_path):
    """A state's name is made of the numbers of a training, NumPy's too."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=2, clip=np.float32(1.0))
    train(MLP(0), x, y, students(), training, checkpoint=tmp_path)


def test_memory_does_not_grow_as_students_end():
    network, by_hand = MLP(1, 4), step_module.ReluGradient(1, LOSSES["mse"])

    def held():
        return sum(b.numel() for b in by_hand._memory.values())

    by_hand(named(network, 4, 2, range(12)), relu_batch(4, 2, 12))
    before = held()
    for n in range(11, 0, -1):
        by_hand(named(network, 4, 2, range(n)), relu_batch(4, 2, n))
    assert held() <= 2 * before


def test_large_seeds(data):
    x, y = data
    learners = [
        dataclasses.replace(LEARNERS[0], seed=s) for s in (2**64 - 1, np.uint64(2**63), np.int64(3))
    ]
    training = dataclasses.replace(DOUBLE, steps=10, dropout=0.2, batch_size=16)
    found = train(MLP(1, 6), x, y, learners, training)
    for i, student in enumerate(learners):
        assert_alone(found, i, train(MLP(1, 6), x, y, [student], training))


# --- an accelerator


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")
@pytest.mark.parametrize(
    ("network", "changes"),
    [
        (MLP(2, 8), {"weight_decay": 0.1}),
        (MLP(2, 8, "gelu", residual=True), {"dropout": 0.2, "clip": 1.0}),
        (Transformer(1, 8, 2, 2), {}),
    ],
    ids=lambda v: str(v)[:40],
)
def test_accelerator_as_cpu(data, tmp_path, network, changes):
    """The same students; masks of dropout and a state written on the other device included."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, **({"steps": 60, "batch_size": 16, "evaluate_every": 10} | changes)
    )
    there = dataclasses.replace(training, device="cuda")
    here, far = (train(network, x, y, LEARNERS, t) for t in (training, there))
    for i in range(len(LEARNERS)):
        np.testing.assert_allclose(far.weights[i], here.weights[i], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(far.predict(x), here.predict(x), rtol=1e-6, atol=1e-8)
    _, progress = interrupted(3)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(network, x, y, LEARNERS, training, progress=progress, **kwargs)
    seen, progress = interrupted(0)
    moved = train(network, x, y, LEARNERS, there, progress=progress, **kwargs)
    assert seen[0] == 40
    np.testing.assert_allclose(moved.weights, here.weights, rtol=1e-6, atol=1e-8)
