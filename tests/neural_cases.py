"""Data, students and networks of the tests of neural students, and how two trainings are compared."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from percolaw.neural import step as step_module  # noqa: E402
from percolaw.neural.config import Student, Training  # noqa: E402
from percolaw.neural.ensemble import Ensemble  # noqa: E402
from percolaw.neural.job import TrainingJob  # noqa: E402
from percolaw.neural.losses import LOSSES  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import ForwardPass, initial_weights, unflatten  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402

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


def three_targets():
    """120 points in 3 dimensions, and values of three targets: smooth, linear, noise."""
    x, noise = normal(1, 120, 3), normal(2, 120, 3)
    y = np.stack([np.sin(2 * x[:, 0]) * x[:, 1], x @ [1.0, -2.0, 0.5], noise[:, 0]], axis=1)
    return x, y + 0.05 * noise


def students(seeds=(0, 1, 2), n=80, **kwargs):
    return [Student(seed, np.arange(n), np.arange(80, 120), **kwargs) for seed in seeds]


def job_of(network, x, y, learners, training, n_outputs=1):
    y = y.reshape(x.shape[0], -1)
    return TrainingJob(network, x, y, learners, training, n_outputs, LOSSES[training.loss])


def ensemble_of(network, x, y, learners, training, as_program=None, n_outputs=1):
    return Ensemble(job_of(network, x, y, learners, training, n_outputs), as_program)


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


def mlp_plain(depth, w, x):
    for i in range(depth):
        x = (x @ w[f"weight {i}"] + w[f"bias {i}"]).relu()
    return x @ w[f"weight {depth}"] + w[f"bias {depth}"]


LEARNERS = [
    Student(0, np.arange(80), np.arange(80, 120)),
    Student(1, np.arange(10), np.arange(80, 120), 1, 0.03),
    Student(2, np.arange(5, 45), np.arange(60, 100), 2, 0.02, 0.5),
    Student(3, np.arange(100, 120), np.arange(40), 2, 0.05, 0.0),
    Student(4, np.arange(20, 53), np.arange(80, 120)[::-1], 0, 1e-3, 0.1),
]


def interrupted(calls):
    """Progress that interrupts at one call, and what it saw."""
    seen = []

    def progress(step, active):
        seen.append(step)
        if len(seen) == calls:
            raise KeyboardInterrupt

    return seen, progress
