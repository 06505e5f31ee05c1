"""Steps of every network can be recorded: nothing in them waits for a number, or comes from the host."""

import contextlib
import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural_cases import DOUBLE, fields  # noqa: E402
from step_cases import STEPS, N  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402

import percolaw as pl  # noqa: E402
from percolaw.neural import step  # noqa: E402
from percolaw.neural.config import Training  # noqa: E402
from percolaw.neural.device import gradients_on  # noqa: E402
from percolaw.neural.ensemble import train_ensemble  # noqa: E402
from percolaw.neural.flat_update import FlatAdamW  # noqa: E402
from percolaw.neural.job import TrainingJob  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import ForwardPass, n_parameters, unflatten  # noqa: E402
from percolaw.neural.program import views  # noqa: E402
from percolaw.neural.step import AdamW, Minibatch, Moments, gradient_method  # noqa: E402

STUDENTS, BATCH = 3, 4


class OnTheHost(TorchDispatchMode):
    """Notes operations that take or return what lies on the CPU; numbers are constants of a recording."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves((out, args, kwargs)):
            if isinstance(each, torch.Tensor) and each.device.type == "cpu" and each.ndim:
                self.seen.append(str(func))
        return out


@pytest.fixture(autouse=True)
def _no_autocast(monkeypatch):
    """Tensors without values know no reduced precision."""
    monkeypatch.setattr(step, "autocast", lambda dtype, device: contextlib.nullcontext())


def second_step(network, x, y, loss, **changes):
    """Operations of the host in a step on tensors without values, the second: some are made once."""
    training = Training(dtype="float32", weight_decay=0.1, **changes)
    n_outputs, dim = y.shape[1], x.shape[1]
    gradient = gradient_method(network, training, loss)
    with gradients_on():
        rows = torch.zeros(STUDENTS, n_parameters(network, dim, n_outputs), device="meta")
        weights = unflatten(network, dim, n_outputs, rows)
        leaves = {name: w.detach() for name, w in weights.items()}
        for leaf in leaves.values():
            leaf.requires_grad_(gradient.by_autograd)
        flat = torch.zeros_like(rows)
        into = views(flat, list(weights.values()))
        optimizer = FlatAdamW.like(
            AdamW.of(network, dim, n_outputs, training), np.full(STUDENTS, 0.1), rows
        )
        moments, numbers = Moments.start(rows), torch.zeros(3, STUDENTS, 1, device="meta")
        dtype = torch.int64 if network.takes_tokens else torch.float32
        inputs = torch.zeros(STUDENTS, BATCH, dim, dtype=dtype, device="meta")
        values = torch.zeros(STUDENTS, BATCH, n_outputs, device="meta")
        shares = torch.zeros(STUDENTS, BATCH, device="meta")
        seeds = torch.zeros(STUDENTS, dtype=torch.int64, device="meta")
        run = ForwardPass(
            training.dropout, seeds, torch.zeros((), dtype=torch.int64, device="meta")
        )
        for watching in (OnTheHost(), OnTheHost()):
            with watching:
                gradient(leaves, Minibatch(inputs, values, shares, run), into)
                optimizer(rows, flat, moments, numbers)
    return watching.seen


@pytest.mark.parametrize("name", STEPS)
def test_a_step_stays_on_the_device(name):
    assert second_step(*STEPS[name]) == []


@pytest.mark.parametrize("changes", [{"clip": 1.0}, {"dropout": 0.2}], ids=str)
def test_so_with_clipping_and_dropout(changes):
    assert second_step(*STEPS["residual"], **changes) == []


@dataclasses.dataclass(frozen=True)
class Asking(MLP):
    def forward(self, weights, x, run):
        return super().forward(weights, x * (1.0 if float(x.sum()) > -math.inf else 0.0), run)


@dataclasses.dataclass(frozen=True)
class Sending(MLP):
    def forward(self, weights, x, run):
        return super().forward(weights, x + torch.zeros(24).to(x.device), run)


def test_networks_that_ask_or_send_are_found_out():
    _, x, y, loss = STEPS["mlp"]
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        second_step(Asking(2, 8, "tanh"), x, y, loss)
    assert second_step(Sending(2, 8, "tanh"), x, y, loss)


@pytest.mark.parametrize("name", STEPS)
def test_the_program_trains_as_the_loop_does(name):
    network, x, y, loss = STEPS[name]
    training = dataclasses.replace(DOUBLE, steps=24, batch_size=16, evaluate_every=9, patience=3)
    learners = [pl.Student(seed, np.arange(80), np.arange(80, N)) for seed in range(2)]
    job = TrainingJob(network, x, y, learners, training, y.shape[1], loss)
    with gradients_on():
        one, other = (fields(train_ensemble(job, as_program)) for as_program in (False, True))
    np.testing.assert_array_equal(one.pop("stopped"), other.pop("stopped"))
    for field, value in one.items():
        np.testing.assert_allclose(value, other[field], rtol=1e-8, atol=1e-10, err_msg=field)
