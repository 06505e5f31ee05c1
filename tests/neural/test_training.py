"""Predictions, precisions, and what is refused."""

import dataclasses
import math
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import DOUBLE, mlp_plain, normal, students, three_targets  # noqa: E402

from percolaw.neural.config import Student, Training  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import unflatten  # noqa: E402
from percolaw.neural.training import train  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


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
        ({"learners": one([0], [1], start=np.zeros(3))}, "start of student 0 must have"),
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
        ({"schedule": "linear"}, "unknown schedule 'linear'"),
        ({"keep": "first"}, "unknown keep 'first'; choose from best, last"),
        ({"loss": "mae"}, "Did you mean 'mse'? There are mse, kl, cross_entropy"),
        ({"dtype": "float16"}, "unknown dtype 'float16'"),
    ],
)
def test_refused_training(arguments, match):
    with pytest.raises(ValueError, match=re.escape(match)):
        Training(**arguments)


def test_a_misspelt_cpu():
    refuses("there is no device 'cpu:x' here", training=Training(device="cpu:x"))


@pytest.mark.parametrize("shape", [(3,), (2, 5, 3), (1, 3, 5, 3)])
def test_prediction_refuses_other_shapes(data, shape):
    """Points of one student only, or of two for three students."""
    x, y = data
    found = train(MLP(1, 4), x, y, students(), dataclasses.replace(DOUBLE, steps=1))
    with pytest.raises(ValueError, match="points must"):
        found.predict(np.zeros(shape))


def test_a_divergence_of_one_output_is_refused():
    refuses("n_outputs", training=dataclasses.replace(DOUBLE, loss="kl", steps=1))
