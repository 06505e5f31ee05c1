"""Networks in context: what they see, closed forms, scales, and what is refused."""

import numpy as np
import pytest
from neural_cases import DOUBLE, named, tensor, torch

from percolaw.datasets.contexts import ClusterFunctions, Contexts, context_cluster, parse_law
from percolaw.datasets.sources import InfiniteCluster
from percolaw.learners.in_context import best_gradient_step
from percolaw.neural.config import Student, Training
from percolaw.neural.in_context import InContextTransformer, LinearAttention, pairs
from percolaw.neural.network import ForwardPass, n_parameters
from percolaw.neural.training import train

LENGTH, D = 6, 3
DIM = LENGTH * (D + 1)
NETWORKS = [
    InContextTransformer(2, 8, 2),
    InContextTransformer(1, 12, 3, base_width=6),
    InContextTransformer(1, 8, 1, "standard"),
    LinearAttention(),
]


def output(network, weights, x):
    return network.forward(weights, x, ForwardPass())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_later_pairs_and_its_own_value_do_not_change_a_prediction(network):
    weights = named(network, DIM, LENGTH, seeds=(0, 1))
    x = tensor(1, 2, 4, DIM)
    before = output(network, weights, x)
    assert before.shape == (2, 4, LENGTH)
    for t in range(LENGTH):
        points, values = (part.clone() for part in pairs(x, LENGTH))
        values[:, :, t:] = 9.0
        points[:, :, t + 1 :] = -3.0
        moved = output(network, weights, torch.cat([points, values], dim=3).flatten(2))
        torch.testing.assert_close(moved[..., : t + 1], before[..., : t + 1])
        if t + 1 < LENGTH:  # what comes next sees y_t
            assert (moved[..., t + 1] - before[..., t + 1]).abs().max() > 1e-3


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_the_order_of_the_pairs_before_does_not_matter(network):
    weights = named(network, DIM, LENGTH)
    if isinstance(network, InContextTransformer) and network.depth > 1:
        pytest.skip("pairs see those before them: of several blocks the order counts")
    points, values = pairs(tensor(2, 1, 3, DIM), LENGTH)
    together = torch.cat([points, values], dim=3)
    mixed = together[:, :, [2, 0, 1, 3, 4, 5]]
    one, other = (output(network, weights, part.flatten(2)) for part in (together, mixed))
    torch.testing.assert_close(one[..., 3:], other[..., 3:])
    assert (one[..., 1] - other[..., 1]).abs().max() > 1e-3


def test_the_transformer_is_what_its_words_say():
    """One block, in plain NumPy, sequence by sequence and token by token."""
    network = InContextTransformer(1, 8, 2, base_width=4)
    weights = named(network, DIM, LENGTH)
    x = tensor(3, 1, 1, DIM)
    w = {name: value[0].numpy() for name, value in weights.items()}

    def norm(v, gain):
        return v / np.sqrt(np.mean(v**2) + 1e-6) * gain

    def mlp(v, name):
        z = torch.as_tensor(v @ w[f"{name} up"] + w[f"{name} up bias"])
        return torch.nn.functional.gelu(z).numpy() @ w[f"{name} down"] + w[f"{name} down bias"]

    row = x[0, 0].reshape(LENGTH, D + 1).numpy()
    embedded = row[:, :D] @ w["point"] + w["point bias"]
    embedded = embedded + np.stack([mlp(e, "point") for e in embedded])
    told = embedded + row[:, D:] @ w["value"]
    asked = embedded + w["question"]

    def heads(v):
        q, k, value = np.split(norm(v, w["block 0 norm 1"]) @ w["block 0 attention"], 3)
        return q.reshape(2, 4), k.reshape(2, 4), value.reshape(2, 4)

    out = []
    for t in range(LENGTH):
        seen = [heads(v) for v in (*told[:t], asked[t])]
        mixed = []
        for h in range(2):
            logits = np.array([heads(asked[t])[0][h] @ k[h] for _, k, _ in seen])
            share = np.exp(logits / np.sqrt(4 * 2.0))  # head of 4, width ratio 2
            mixed.append(
                sum(s * v[h] for s, (_, _, v) in zip(share, seen, strict=True)) / share.sum()
            )
        token = asked[t] + np.concatenate(mixed) @ w["block 0 mix"]
        token = token + mlp(norm(token, w["block 0 norm 2"]), "block 0")
        out.append(norm(token, w["norm out"]) @ w["weight out"][:, 0] + w["bias out"][0])
    np.testing.assert_allclose(output(network, weights, x)[0, 0].numpy(), out, atol=1e-10)


def test_linear_attention_is_one_step_of_gradient_descent():
    weights = {"rate": tensor(5, 1, D, D)}
    points, values = pairs(tensor(4, 1, 2, DIM), LENGTH)
    predicted = output(LinearAttention(), weights, torch.cat([points, values], dim=3).flatten(2))
    for t in range(1, LENGTH):
        start = torch.zeros(D, dtype=torch.float64, requires_grad=True)
        gap = points[0, 1, :t] @ start - values[0, 1, :t, 0]
        (gradient,) = torch.autograd.grad(0.5 * gap.square().mean(), start)
        step = -weights["rate"][0] @ gradient
        torch.testing.assert_close(predicted[0, 1, t], points[0, 1, t] @ step)
    assert float(predicted[0, 1, 0]) == 0.0


def test_trained_linear_attention_is_the_best_gradient_step():
    functions = ClusterFunctions(
        context_cluster(InfiniteCluster(2), 10, rng=1), parse_law("linear")
    )
    held = Contexts([functions], 4, 3).draw(4000)
    training = Training(
        learning_rate=0.05, steps=300, batch_size=64, evaluate_every=300, dtype="float64"
    )
    stream = Contexts([functions], 4, 2)
    student = Student(0, stream, np.arange(4000))
    trained = train(LinearAttention(), held.inputs, held.y, [student], training, n_outputs=4)
    points = functions.cluster.points
    best = best_gradient_step(functions.covariance, held.point, points)
    np.testing.assert_allclose(trained.weights.reshape(2, 2), best, atol=0.08)
    assert np.abs(best).max() > 0.3


def test_streams_of_contexts_train_an_ensemble_as_alone():
    functions = [
        ClusterFunctions(context_cluster(InfiniteCluster(D), 8, rng=i), parse_law("tree walk"))
        for i in range(2)
    ]
    held = Contexts(functions, LENGTH, 9).draw(20)
    training = Training(steps=6, batch_size=50, evaluate_every=3, dtype="float64", device="cpu")
    students = [
        Student(i, Contexts(functions[: i + 1], LENGTH, i, 50), np.arange(20)) for i in range(2)
    ]

    def run(some):
        return train(NETWORKS[0], held.inputs, held.y, some, training, n_outputs=LENGTH)

    together = run(students)
    np.testing.assert_allclose(together.weights[1], run(students[1:]).weights[0], rtol=1e-9)
    assert np.isfinite(together.validation_loss).all()
    assert DOUBLE.dtype == training.dtype


def test_outputs_are_small_at_every_width_and_learning_moves_them_alike():
    """muP: at the start outputs fall with the width, and a step moves them by as much."""
    x = tensor(7, 1, 16, DIM)
    start, moved = [], []
    for width in (16, 64, 256):
        network = InContextTransformer(1, width, 2, base_width=16)
        w = named(network, DIM, LENGTH, jitter=0.0)
        out = output(network, w, x)
        start.append(float(out.square().mean().sqrt()))
        leaves = {name: v.clone().requires_grad_() for name, v in w.items()}
        loss = (output(network, leaves, x) - 1.0).square().mean()
        gradients = torch.autograd.grad(loss, list(leaves.values()))
        roles = [p.role for p in network.parameters(DIM, LENGTH).values()]
        rate = {"input": 1.0, "hidden": 16 / width, "output": 16 / width, "fixed": 0.0}
        stepped = {
            name: v - 1e-3 * rate[role] * g.sign()
            for (name, v), g, role in zip(w.items(), gradients, roles, strict=True)
        }
        moved.append(float((output(network, stepped, x) - out).square().mean().sqrt()))
    assert start[2] < 0.6 * start[0]
    assert max(moved) / min(moved) < 1.6


def test_flops_are_those_of_the_products():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    for network in (NETWORKS[0], LinearAttention()):
        weights = named(network, DIM, LENGTH)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            output(network, weights, tensor(1, 1, 2, DIM))
        assert counter.get_total_flops() == 2 * network.flops(DIM, LENGTH)
    wide, narrow = (InContextTransformer(2, w, 2) for w in (64, 32))
    assert n_parameters(wide, DIM, LENGTH) > 3 * n_parameters(narrow, DIM, LENGTH)


@pytest.mark.parametrize(("dim", "length"), [(24, 1), (25, 6), (6, 6), (0, 2)])
def test_columns_that_are_no_pairs(dim, length):
    for network in (NETWORKS[0], LinearAttention()):
        with pytest.raises(ValueError, match=r"T pairs in T \(d \+ 1\) columns.*n_outputs = T"):
            network.parameters(dim, length)


def test_heads_divide_the_width():
    with pytest.raises(ValueError, match="multiple of n_heads"):
        InContextTransformer(width=10, n_heads=4)
