"""The network of tasks and bits against the fully connected one on one-hot codes and signs."""

import numpy as np
import pytest

from percolaw.datasets.parity_tasks import composite_tasks, parity_tasks

torch = pytest.importorskip("torch")

from percolaw.neural import parity_gradient  # noqa: E402
from percolaw.neural.config import Student, Training  # noqa: E402
from percolaw.neural.losses import CrossEntropy  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import ForwardPass, initial_weights, unflatten  # noqa: E402
from percolaw.neural.parity import ParityNetwork  # noqa: E402
from percolaw.neural.step import AutogradGradient, Minibatch, gradient_method  # noqa: E402
from percolaw.neural.training import train  # noqa: E402


def forward(network, samples, seeds=(0, 1)):
    """Outputs of students with the weights that their seeds start with, and these weights."""
    x = samples.inputs()
    rows = initial_weights(network, x.shape[1], 2, seeds)
    weights = unflatten(network, x.shape[1], 2, torch.as_tensor(rows))
    inputs = torch.as_tensor(x).expand(len(seeds), *x.shape)
    return network.forward(weights, inputs, ForwardPass()), weights


@pytest.mark.parametrize(("n_bits", "depth"), [(20, 1), (70, 2)])
def test_it_is_a_network_of_one_hot_codes_and_signs(n_bits, depth):
    tasks = parity_tasks(5, n_bits)
    samples = tasks.sample(30)
    out, weights = forward(ParityNetwork(5, n_bits, 8, depth), samples)
    plain = np.hstack([np.eye(5)[samples.task], 2.0 * samples.bits() - 1.0])
    weights["weight 0"] = torch.cat([weights.pop("task"), weights["weight 0"]], dim=1)
    x = torch.as_tensor(plain).expand(2, *plain.shape)
    expected = MLP(depth, 8).forward(weights, x, ForwardPass())
    torch.testing.assert_close(out, expected)


def test_vectors_of_unions_are_sums_of_those_of_their_parts():
    tasks = composite_tasks([(0,), (1,), (0, 1)], np.ones(3), 8, 4)
    samples = tasks.sample(20)
    out, weights = forward(ParityNetwork(3, 8, 6, parts=tasks.parts), samples)
    assert weights["task"].shape == (2, 2, 6)
    own = ParityNetwork(3, 8, 6)
    both = weights["task"]
    weights["task"] = torch.cat([both, both.sum(dim=1, keepdim=True)], dim=1)
    x = samples.inputs()
    expected = own.forward(weights, torch.as_tensor(x).expand(2, *x.shape), ForwardPass())
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("parts", [False, True])
def test_the_gradient_written_out_is_that_of_autograd(parts, monkeypatch):
    """Of minibatches that are cut into pieces; a row left out, or a sum over one piece only, shows."""
    codes = [(0,), (1,), (0, 1)]
    tasks = composite_tasks(codes, np.ones(3), 70, 4)
    samples = tasks.sample(50)
    network = ParityNetwork(3, 70, 8, parts=tasks.parts if parts else ())
    rows = torch.as_tensor(initial_weights(network, 3, 2, (0, 1)))
    x = torch.as_tensor(samples.inputs()).expand(2, 50, 3)
    y = torch.as_tensor(samples.targets()).expand(2, 50, 2)
    share = torch.linspace(0.5, 1.5, 50, dtype=torch.float64).expand(2, 50) / 50
    minibatch = Minibatch(x, y, share, ForwardPass())
    leaves = {k: w.clone().requires_grad_() for k, w in unflatten(network, 3, 2, rows).items()}
    loss, expected = AutogradGradient(network, CrossEntropy(), "float64")(leaves, minibatch)
    monkeypatch.setattr(parity_gradient, "AT_ONCE", 17 * 70)
    method = gradient_method(network, Training(dtype="float64"), CrossEntropy())
    assert isinstance(method, parity_gradient.ParityGradient)
    into = [torch.full_like(w, 7.0) for w in leaves.values()]
    for given in (None, into):
        value, gradients = method(unflatten(network, 3, 2, rows), minibatch, given)
        torch.testing.assert_close(value, loss)
        torch.testing.assert_close(list(gradients), list(expected))


def test_one_student_alone_or_among_others():
    tasks = parity_tasks(4, 8, 2)
    samples = tasks.sample(200)
    students = [Student(s, np.arange(100), np.arange(100, 200)) for s in (0, 1)]
    plan = Training(steps=5, batch_size=20, loss="cross_entropy", device="cpu")
    args = ParityNetwork(4, 8, 8), samples.inputs(), samples.targets()
    both = train(*args, students, plan, n_outputs=2)
    alone = train(*args, students[1:], plan, n_outputs=2)
    np.testing.assert_allclose(both.weights[1], alone.weights[0], rtol=1e-5, atol=1e-7)
    assert np.abs(both.weights[0] - both.weights[1]).max() > 0.1


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match=r"samples\.inputs"):
        ParityNetwork(4, 65).parameters(2, 2)
    with pytest.raises(ValueError, match=r"tasks\.parts"):
        ParityNetwork(4, 8, parts=((0,),))
    assert ParityNetwork(2, 8, parts=[[0], np.array([0, 1])]).parts == ((0,), (0, 1))
    assert ParityNetwork(4, 8, 16, 2).flops(2, 2) == 2 * (8 * 16 + 16 * 16 + 16 * 2)
