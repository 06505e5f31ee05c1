"""Gradients of single samples: those of autograd, of any network; projections keep inner products."""

import numpy as np
import pytest

import percolaw as pl
from percolaw.datasets.parity_tasks import parity_tasks
from percolaw.neural.config import Student, Training
from percolaw.neural.gradients import module_gradients, sample_gradients
from percolaw.neural.losses import CrossEntropy
from percolaw.neural.parity import ParityNetwork

torch = pytest.importorskip("torch")


def trained(network, x, y, **more):
    half = x.shape[0] // 2
    student = Student(0, np.arange(half), np.arange(half, x.shape[0]))
    plan = Training(learning_rate=0.01, steps=3, batch_size=8, **more)
    return pl.train(
        network, x, y, [student, student], plan, n_outputs=y.reshape(len(y), -1).shape[1]
    )


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).standard_normal((40, 3))


@pytest.fixture(scope="module")
def student(points):
    return trained(pl.MLP(2, 16), points, points[:, 0] ** 2)


def module_of(result):
    """The first student as a module of PyTorch."""
    rows = torch.as_tensor(result.weights[0])
    sizes = [(3, 16), (16,), (16, 16), (16,), (16, 1), (1,)]
    parts = torch.split(rows, [int(np.prod(s)) for s in sizes])
    layers = [torch.nn.Linear(*s) for s in sizes[::2]]
    with torch.no_grad():
        for i, layer in enumerate(layers):
            layer.weight.copy_(parts[2 * i].reshape(sizes[2 * i]).T)
            layer.bias.copy_(parts[2 * i + 1])
    relu = torch.nn.ReLU
    return torch.nn.Sequential(layers[0], relu(), layers[1], relu(), layers[2])


def test_gradients_are_those_of_one_backward_pass_each(points, student, monkeypatch):
    monkeypatch.setattr("percolaw.neural.gradients.GRADIENTS_AT_ONCE", 4000)
    y = points[:, 0] ** 2
    gradients = sample_gradients(student, points, y)
    row = torch.as_tensor(student.weights[:1]).requires_grad_()
    weights, place = {}, 0
    for name, p in student.network.parameters(3, 1).items():
        weights[name] = row[:, place : place + p.size].reshape(1, *p.shape)
        place += p.size
    from percolaw.neural.network import ForwardPass

    for i in (0, 7, 39):
        x = torch.as_tensor(points[None, i : i + 1], dtype=torch.float32)
        output = student.network.forward(weights, x, ForwardPass())
        loss = (output - float(y[i])).square().sum()
        (expected,) = torch.autograd.grad(loss, row, retain_graph=True)
        np.testing.assert_allclose(gradients[i], expected[0].numpy(), rtol=2e-4, atol=1e-5)


def test_a_module_of_the_same_weights_has_the_same_inner_products(points, student):
    y = points[:, 0] ** 2
    ours = sample_gradients(student, points, y)
    module = module_of(student)
    out = module(torch.as_tensor(points, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(out, student.predict(points)[0], rtol=1e-4, atol=1e-5)
    theirs = module_gradients(module, points, y[:, None], torch.nn.functional.mse_loss)
    np.testing.assert_allclose(theirs @ theirs.T, ours @ ours.T, rtol=1e-3, atol=1e-3)


def test_a_projection_keeps_inner_products(points, student):
    y = points[:, 0] ** 2
    full = sample_gradients(student, points, y).astype(np.float64)
    full /= np.linalg.norm(full, axis=1, keepdims=True)
    error = []
    for rng in range(30):
        part = sample_gradients(student, points, y, n_directions=100, rng=rng).astype(np.float64)
        assert part.shape == (40, 100)
        part /= np.linalg.norm(sample_gradients(student, points, y), axis=1, keepdims=True)
        error.append((part @ part.T - full @ full.T)[np.triu_indices(40, 1)])
    bias, spread = np.mean(error), np.std(error)
    assert abs(bias) < 0.02
    assert 0.05 < spread < 0.15  # 1/sqrt(100), and less than that of parallel gradients


def test_every_network_and_loss(points):
    tasks = parity_tasks(3, 70, 2, rng=0)
    samples = tasks.sample(20)
    result = trained(
        ParityNetwork(3, 70, 8), samples.inputs(), samples.targets(), loss="cross_entropy"
    )
    gradients = sample_gradients(result, samples.inputs(), samples.targets(), student=1)
    assert gradients.shape == (20, 3 * 8 + 70 * 8 + 8 + 16 + 2)
    of_task = gradients[:, : 3 * 8].reshape(20, 3, 8)
    used = np.abs(of_task).sum(axis=2) > 0
    np.testing.assert_array_equal(used, np.arange(3) == samples.task[:, None])
    same = sample_gradients(
        result, samples.inputs(), samples.targets(), student=1, loss=CrossEntropy()
    )
    np.testing.assert_array_equal(same, gradients)


def test_modules_of_classes_keep_their_mode_and_leave_out_what_is_frozen(points):
    module = torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.Dropout(0.5), torch.nn.Linear(5, 2)
    )
    module[0].weight.requires_grad_(False)
    module.train()
    module[1].eval()  # and with it what a part of its own was set to
    labels = (points[:, 0] > 0).astype(int)
    first, second = (
        module_gradients(module, points, labels, torch.nn.functional.cross_entropy)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert [part.training for part in module] == [True, False, True]
    assert first.shape == (40, 5 + 10 + 2)


def test_what_does_not_fit_is_refused(points, student):
    y = points[:, 0]
    with pytest.raises(ValueError, match="as in training"):
        sample_gradients(student, points[:, :2], y)
    with pytest.raises(ValueError, match="values must have 1 columns"):
        sample_gradients(student, points, points)
    with pytest.raises(ValueError, match="student must be"):
        sample_gradients(student, points, y, student=2)
    with pytest.raises(ValueError, match="requires gradients"):
        module_gradients(torch.nn.ReLU(), points, y, torch.nn.functional.mse_loss)
    module = torch.nn.Linear(3, 1)
    with pytest.raises(ValueError, match="40 points need as many values"):
        module_gradients(module, points, y[:5], torch.nn.functional.mse_loss)
    with pytest.raises(TypeError, match="values must be numeric"):
        module_gradients(module, points, ["a"] * 40, torch.nn.functional.mse_loss)
