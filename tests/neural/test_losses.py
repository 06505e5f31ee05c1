"""Losses of networks: against torch, closed forms against autograd, and a loss of the user's own."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

import percolaw as pl  # noqa: E402
from percolaw.neural.losses import LOSSES, Loss  # noqa: E402

X = np.random.default_rng(0).standard_normal((120, 3))
DOUBLE = {"dtype": "float64", "device": "cpu", "steps": 60, "evaluate_every": 20, "batch_size": 32}


class Squares(Loss):
    """The mean squared error once more, without its closed form."""

    def value(self, output, target):
        return ((output - target) ** 2).sum(dim=-1) / output.shape[-1]


class Absolute(Loss):
    """The absolute error, whose least value is at the median."""

    def value(self, output, target):
        return (output - target).abs().mean(dim=-1)


def students(n=3):
    return [pl.Student(seed, np.arange(80), np.arange(80, 120)) for seed in range(n)]


def tensors(seed, n_outputs=4):
    generator = torch.Generator().manual_seed(seed)
    out, target = torch.randn(2, 3, 7, n_outputs, generator=generator).double()
    weight = torch.rand(3, 7, generator=generator).double()
    weight[0, 5:] = 0.0
    return out, target, weight


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_the_values(name):
    loss, (out, target, weight) = LOSSES[name], tensors(1)
    leaf = out.clone().requires_grad_()
    value = loss.value(leaf, target)
    assert value.shape == (3, 7)
    (expected,) = torch.autograd.grad((value * weight).sum(), leaf)
    got, gradient = loss.value_and_gradient(out.clone(), target, weight)
    torch.testing.assert_close(got, value.detach(), rtol=1e-14, atol=0)
    torch.testing.assert_close(gradient, expected, rtol=1e-13, atol=1e-15)
    assert not got.requires_grad
    assert not gradient.requires_grad
    assert float(gradient[0, 5:].abs().max()) == 0.0
    assert float(expected.abs().max()) > 1e-3


def test_values_against_torch():
    out, target, _ = tensors(2)
    p = target.softmax(dim=-1)
    theirs = torch.nn.functional.kl_div(out.log_softmax(-1), p, reduction="none").sum(-1)
    torch.testing.assert_close(LOSSES["kl"].value(out, target), theirs)
    theirs = torch.nn.functional.cross_entropy(
        out.reshape(-1, 4), p.reshape(-1, 4), reduction="none"
    )
    torch.testing.assert_close(LOSSES["cross_entropy"].value(out, p), theirs.reshape(3, 7))
    # For a teacher's distribution the two differ by its entropy, whatever the student.
    entropy = -(p * p.log()).sum(-1)
    gap = LOSSES["cross_entropy"].value(out, p) - LOSSES["kl"].value(out, target)
    torch.testing.assert_close(gap, entropy)
    labels = torch.arange(21).reshape(3, 7) % 4
    rows = torch.eye(4).double()[labels]
    theirs = torch.nn.functional.cross_entropy(
        out.reshape(-1, 4), labels.reshape(-1), reduction="none"
    )
    torch.testing.assert_close(LOSSES["cross_entropy"].value(out, rows), theirs.reshape(3, 7))


@pytest.mark.parametrize(
    "network",
    [pl.MLP(2, 8), pl.MLP(2, 8, "gelu"), pl.Transformer(1, 8, 2, 2)],
    ids=["by hand", "autograd", "transformer"],
)
def test_a_loss_of_the_user_s_own_trains_as_the_built_in_one(network):
    y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)
    training = pl.Training(**DOUBLE)
    ours, theirs = (
        pl.train(network, X, y, students(), training, n_outputs=2, loss=loss)
        for loss in (None, Squares())
    )
    np.testing.assert_allclose(theirs.weights, ours.weights, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(theirs.validation_curve, ours.validation_curve, rtol=1e-9)
    np.testing.assert_allclose(theirs.train_loss, ours.train_loss, rtol=1e-9)
    other = pl.train(network, X, y, students(), training, n_outputs=2, loss=Absolute())
    assert np.abs(other.weights - ours.weights).max() > 1e-3


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_the_absolute_error_learns_the_median(activation):
    """All points are one point, so that only the value matters; the mean is far off."""
    y = np.random.default_rng(3).exponential(size=120) ** 2
    y[80:] = np.median(y[:80])
    training = pl.Training(**DOUBLE | {"steps": 1000, "batch_size": 80, "learning_rate": 0.01})
    point = np.zeros((120, 2))
    network = pl.MLP(1, 4, activation)
    found = {}
    for loss in (None, Absolute()):
        trained = pl.train(network, point, y, students(1), training, loss=loss)
        found[loss is None] = float(trained.predict(point[:1])[0, 0, 0])
    assert abs(found[False] - np.median(y[:80])) < 0.05
    assert abs(y[:80].mean() - np.median(y[:80])) > 0.5


def test_classes_are_learned():
    labels = (X[:, 0] > 0).astype(int) + 2 * (X[:, 1] > 0).astype(int)
    training = pl.Training(
        **DOUBLE | {"steps": 600}, loss="cross_entropy", learning_rate=0.01, patience=30
    )
    trained = pl.train(pl.MLP(2, 32), X, np.eye(4)[labels], students(), training, n_outputs=4)
    guess = trained.predict(X[80:]).argmax(axis=-1)
    assert ((guess == labels[80:]).mean(axis=1) > 0.85).all()
    assert (trained.validation_curve[0] > 2 * trained.validation_loss).all()


@pytest.mark.parametrize("name", ["kl", "cross_entropy"])
def test_classes_need_two_outputs(name):
    with pytest.raises(ValueError, match=r"compares 2 outputs or more; got n_outputs = 1"):
        pl.train(pl.MLP(1, 4), X, X[:, 0], students(), pl.Training(loss=name))


@pytest.mark.parametrize("loss", ["mse", torch.nn.functional.mse_loss, Squares])
def test_what_is_no_loss_is_refused(loss):
    with pytest.raises(
        TypeError, match=r"loss must be .*Loss; got .*Training\(loss=\.\.\.\): mse, kl"
    ):
        pl.train(pl.MLP(1, 4), X, X[:, 0], students(), loss=loss)


def test_a_checkpoint_belongs_to_its_loss(tmp_path):
    """A state written under one loss is passed over by another."""
    seen = []

    def stop_early(step, active):
        seen.append(step)
        raise KeyboardInterrupt

    for loss in (Squares(), Absolute(), Squares()):  # the last one goes on from the first
        with pytest.raises(KeyboardInterrupt):
            pl.train(
                *(pl.MLP(1, 4), X, X[:, 0], students(), pl.Training(**DOUBLE)),
                loss=loss,
                checkpoint=tmp_path,
                checkpoint_seconds=0.0,
                progress=stop_early,
            )
    assert seen == [20, 20, 40]
