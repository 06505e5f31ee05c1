"""Networks: counts, floating-point operations, initial weights, and forward passes against torch.nn."""

import dataclasses
import math
import re
from itertools import pairwise

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import (  # noqa: E402
    MLPS,
    POINTS,
    TOKENS,
    inputs,
    named,
    relu_batch,
    students,
    three_targets,
)
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from percolaw.neural import step as step_module  # noqa: E402
from percolaw.neural.activations import layer_activations  # noqa: E402
from percolaw.neural.config import Training  # noqa: E402
from percolaw.neural.losses import LOSSES  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import (  # noqa: E402
    ForwardPass,
    initial_weights,
    n_parameters,
    rate_factor,
    training_flops,
    unflatten,
)
from percolaw.neural.training import train  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


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
