"""One step of training: gradients against autograd and finite differences, AdamW against torch.optim."""

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import (  # noqa: E402
    DOUBLE,
    MLPS,
    POINTS,
    TOKENS,
    ensemble_of,
    inputs,
    mlp_plain,
    named,
    normal,
    relu_batch,
    students,
    tensor,
    three_targets,
)

from percolaw.kernels.optimize import adamw  # noqa: E402
from percolaw.neural import ensemble  # noqa: E402
from percolaw.neural import step as step_module  # noqa: E402
from percolaw.neural.data import RowOrder  # noqa: E402
from percolaw.neural.losses import LOSSES  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import ForwardPass, initial_weights, unflatten  # noqa: E402
from percolaw.neural.training import train  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


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
        assert isinstance(step_module.gradient_method(relu, DOUBLE, loss), step_module.ReluGradient)
    for network, training in (
        (MLP(2, 8, "gelu"), DOUBLE),
        (MLP(2, 8, residual=True), DOUBLE),
        (Transformer(), DOUBLE),
        (relu, dataclasses.replace(DOUBLE, dropout=0.1)),
        (relu, dataclasses.replace(DOUBLE, dtype="bfloat16")),
    ):
        method = step_module.gradient_method(network, training, mse)
        assert isinstance(method, step_module.AutogradGradient)


def always_autograd(network, training, loss):
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


def test_the_kernel_of_adam_by_hand():
    w, m, v = np.array([[2.0]]), np.array([[0.5]]), np.array([[0.25]])
    adamw(w, np.array([[3.0]]), m, v, np.array([0.1]), 0.5, np.array([0.9]), 0.8, 0.9, 1, 1e-8)
    first, second = 0.8 * 0.5 + 0.2 * 3.0, 0.9 * 0.25 + 0.1 * 9.0
    step = (first / (1 - 0.8**2)) / (math.sqrt(second / (1 - 0.9**2)) + 1e-8)
    np.testing.assert_allclose([w[0, 0], m[0, 0], v[0, 0]], [1.8 - 0.05 * step, first, second])


def test_memory_does_not_grow_as_students_end():
    network, by_hand = MLP(1, 4), step_module.ReluGradient(1, LOSSES["mse"])

    def held():
        return sum(b.numel() for b in by_hand._memory.values())

    by_hand(named(network, 4, 2, range(12)), relu_batch(4, 2, 12))
    before = held()
    for n in range(11, 0, -1):
        by_hand(named(network, 4, 2, range(n)), relu_batch(4, 2, n))
    assert held() <= 2 * before
