"""What students learn, against closed forms and the scaling of the maximal update."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import DOUBLE, ensemble_of, normal, students, tensor, three_targets  # noqa: E402

from percolaw.neural.config import Student, Training  # noqa: E402
from percolaw.neural.losses import LOSSES  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import ForwardPass, unflatten  # noqa: E402
from percolaw.neural.training import train  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


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
        (MLP, (32, 96, 288), {"depth": 2}),
        (MLP, (32, 96, 288), {"depth": 2, "activation": "gelu", "residual": True}),
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


@pytest.mark.parametrize(
    "network", [MLP(2, 16), pytest.param(Transformer(1, 8, 2, 2), marks=pytest.mark.slow)], ids=str
)
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
