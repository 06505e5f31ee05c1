"""Sparse autoencoders: rules of codes, found features, the circle's bound, ensembles."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from percolaw.laws.dictionaries import circle_sparse_loss  # noqa: E402
from percolaw.neural.config import Training  # noqa: E402
from percolaw.neural.network import ForwardPass, initial_weights, unflatten  # noqa: E402
from percolaw.neural.sparse_autoencoder import (  # noqa: E402
    Dictionaries,
    SparseAutoencoder,
    SparseCodingLoss,
    _resampled,
    matched_cosine,
    train_dictionaries,
)
from percolaw.rng import Streams  # noqa: E402

RULES = ("relu", "topk", "batch_topk", "jump")


@pytest.fixture(scope="module")
def sparse_points():
    """Ten independent features of orthogonal directions, each there for a tenth of the points."""
    rng = np.random.default_rng(0)
    features = np.linalg.qr(rng.standard_normal((16, 16)))[0][:10]
    codes = (rng.random((6000, 10)) < 0.1) * rng.uniform(0.5, 1.5, (6000, 10))
    return codes @ features, features


@pytest.mark.parametrize("rule", RULES)
def test_codes_follow_their_rule(rule):
    network = SparseAutoencoder(12, rule, k=3)
    rng = np.random.default_rng(1)
    rows = initial_weights(network, 5, 6, [0, 1]) + 0.3 * rng.standard_normal((2, 1)) ** 2
    weights = unflatten(network, 5, 6, torch.as_tensor(rows))
    x = torch.as_tensor(rng.standard_normal((2, 40, 5)))
    run = ForwardPass(layers={})
    output = network.forward(weights, x, run)
    for s in range(2):
        w = {name: t[s].numpy() for name, t in weights.items()}
        z = (x[s].numpy() - w["centre"]) @ (w["decoder"].T + w["encoder"]) + w["bias"]
        codes = np.maximum(z, 0.0)
        if rule == "topk":
            codes[codes < np.sort(codes, axis=1)[:, -3][:, None]] = 0.0
        elif rule == "batch_topk":
            codes[codes < np.sort(codes.ravel())[-120]] = 0.0
        elif rule == "jump":
            codes = np.where(z > w["threshold"], z, 0.0)
        np.testing.assert_allclose(run.layers["codes"][s], codes)
        np.testing.assert_allclose(output[s, :, :-1], codes @ w["decoder"] + w["centre"])
        penalty = {
            "relu": codes @ np.linalg.norm(w["decoder"], axis=1),
            "jump": (codes != 0).sum(axis=1),
        }
        np.testing.assert_allclose(output[s, :, -1], penalty.get(rule, np.zeros(40)))


def test_the_loss_is_half_a_square_and_the_penalty():
    output, target = torch.tensor([[[1.0, 2.0, 5.0]]]), torch.tensor([[[0.0, 0.0, 9.0]]])
    assert SparseCodingLoss(0.1).value(output, target).item() == pytest.approx(2.5 + 0.5)


def test_a_threshold_learns_by_the_rectangle():
    """Against the derivative of the mean over a spread of z, which smooths the step."""
    network = SparseAutoencoder(1, "jump", bandwidth=0.2, centred=False)
    weights = unflatten(network, 1, 2, torch.as_tensor(initial_weights(network, 1, 2, [0])))
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    scale = weights["decoder"].item()
    x = torch.linspace(-3, 3, 60_001, dtype=torch.float64)[None, :, None] / scale
    output = network.forward(weights, x, ForwardPass())
    (slope,) = torch.autograd.grad(output[..., -1].mean(), weights["threshold"])
    assert slope.item() == pytest.approx(-1 / 6, rel=1e-2)  # density of z at the threshold
    (slope,) = torch.autograd.grad(
        network.forward(weights, x, ForwardPass())[..., 0].mean(), weights["threshold"]
    )
    assert slope.item() == pytest.approx(-0.1 * scale / 6, rel=1e-2)


@pytest.mark.parametrize(("rule", "penalty", "least"), [("relu", 0.05, 0.995), ("topk", 0.0, 0.99)])
def test_independent_features_are_found(sparse_points, rule, penalty, least):
    x, features = sparse_points
    training = Training(learning_rate=3e-3, batch_size=128, steps=800)
    found = train_dictionaries(
        x, SparseAutoencoder(20, rule, k=2), (0,), penalty=penalty, training=training
    )
    assert matched_cosine(found.atoms(), features).mean() > least
    summary = found.summary(x[-600:])
    assert summary["unexplained"] < 0.08
    assert summary["n_codes"] < 3.0
    dense = np.random.default_rng(2).standard_normal((2000, 16))  # nothing sparse to find
    other = train_dictionaries(dense, SparseAutoencoder(20, rule, k=2), (0,), training=training)
    assert matched_cosine(other.atoms(), features).mean() < 0.9


def test_no_dictionary_beats_the_circle_bound():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 4000)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    bound = circle_sparse_loss(8, 0.1)
    found = train_dictionaries(
        x,
        SparseAutoencoder(8, centred=False),
        range(4),
        penalty=0.1,
        training=Training(learning_rate=0.01, steps=1500, batch_size=256),
    )
    losses = [found.summary(x, i)["loss"] for i in range(4)]
    assert min(losses) > bound - 5e-4
    assert max(losses) < 1.15 * bound  # a linear encoder comes near the best codes, and no nearer


def test_dictionaries_are_the_same_alone_and_among_others(sparse_points):
    x, _ = sparse_points
    training = Training(learning_rate=3e-3, batch_size=64, steps=40, dtype="float64")
    together = train_dictionaries(x, SparseAutoencoder(20), (3, 4), training=training)
    alone = train_dictionaries(x, SparseAutoencoder(20), (4,), training=training)
    np.testing.assert_allclose(together.atoms(1), alone.atoms(), rtol=1e-6)
    assert together.codes(x[:50], 1).shape == (50, 20)


def test_dead_atoms_are_counted(sparse_points):
    x, _ = sparse_points
    training = Training(learning_rate=3e-3, batch_size=64, steps=20)
    found = train_dictionaries(x, SparseAutoencoder(20), (0,), training=training)
    weights = found.trained.weights.copy()
    weights[0, 3 * 16 : 20 * 16] = 0.0  # all atoms but three
    weights[0, 20 * 16 : 2 * 20 * 16 + 20] = 0.0  # the encoder is their transpose
    few = Dictionaries(dataclasses.replace(found.trained, weights=weights), 0.1)
    assert few.summary(x)["dead"] == pytest.approx(0.85)
    assert 0.0 < few.summary(x)["n_codes"] < 3.0


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at most n_atoms"):
        SparseAutoencoder(4, "topk", k=5)
    with pytest.raises(ValueError, match="finite"):
        train_dictionaries(np.full((50, 3), np.nan), SparseAutoencoder(4))
    with pytest.raises(ValueError, match="n_validation"):
        train_dictionaries(np.zeros((50, 3)), SparseAutoencoder(4), n_validation=50)
    with pytest.raises(ValueError, match="length zero"):
        matched_cosine(np.eye(3), np.zeros((1, 3)))
    with pytest.raises(ValueError, match="coordinates"):
        matched_cosine(np.eye(3), np.eye(2))


def test_dead_atoms_become_badly_explained_points():
    """On a circle, where a dictionary whose atoms died is given half of its points again."""
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 3000)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    shape = SparseAutoencoder(12, "topk", k=1, centred=False)
    training = Training(learning_rate=0.01, steps=20, batch_size=64)
    found = train_dictionaries(x, shape, (0,), training=training)
    weights = found.trained.weights.copy()
    weights[0, 24:48] = -weights[0, :24].reshape(12, 2).T.ravel()  # no code is above 0
    weights[0, [24, 36]] += 2 * weights[0, :2]  # but that of atom 0
    weights[0, 48:] = 0.0
    one = Dictionaries(dataclasses.replace(found.trained, weights=weights), 0.0)
    assert one.summary(x)["dead"] == pytest.approx(11 / 12)
    row = _resampled(one, 0, x, Streams(1))
    revived = Dictionaries(dataclasses.replace(found.trained, weights=row[None]), 0.0)
    np.testing.assert_array_equal(row[:2], weights[0, :2])
    assert revived.summary(x)["dead"] < 0.3
    assert revived.summary(x)["unexplained"] < 0.5 * one.summary(x)["unexplained"]
    new = revived.atoms()[1:]
    gap = np.linalg.norm(new[:, None] - x[None], axis=2).min(axis=1)
    assert gap.max() < 1e-6  # each is the direction of a point
    assert np.mean(new @ revived.atoms()[0] < 0.0) > 0.5  # most where atom 0 explains nothing
    np.testing.assert_array_equal(_resampled(revived, 0, np.zeros((9, 2)), Streams(1)), row)


def test_points_are_drawn_by_the_square_of_what_is_not_explained_of_them():
    """Nothing is explained: points of length 1 and 2 in equal numbers are drawn as 1 to 16."""
    x = np.repeat([[1.0, 0.0], [0.0, 2.0]], 50, axis=0)
    shape = SparseAutoencoder(600, "relu", centred=False)
    training = Training(learning_rate=0.01, steps=1, batch_size=10)
    found = train_dictionaries(x, shape, (0,), training=training)
    nothing = dataclasses.replace(found.trained, weights=np.zeros_like(found.trained.weights))
    row = _resampled(Dictionaries(nothing, 0.0), 0, x, Streams(1))
    revived = Dictionaries(dataclasses.replace(found.trained, weights=row[None]), 0.0)
    long = np.mean(revived.atoms()[:, 1] > 0.5)
    assert abs(long - 16 / 17) < 4 * np.sqrt(16 / 17**2 / 600)


def test_rounds_share_the_steps_and_each_goes_on_from_the_last(sparse_points):
    x, _ = sparse_points
    training = Training(learning_rate=3e-3, batch_size=64, steps=40, dtype="float64")
    shape = SparseAutoencoder(20, "topk", k=2)
    both = train_dictionaries(x, shape, (3, 4), training=training, resamplings=1)
    alone = train_dictionaries(x, shape, (4,), training=training, resamplings=1)
    np.testing.assert_allclose(both.atoms(1), alone.atoms(), rtol=1e-6)
    assert both.trained.steps.tolist() == [20, 20]
    half = train_dictionaries(x, shape, (4,), training=dataclasses.replace(training, steps=20))
    assert both.summary(x, 1)["unexplained"] < half.summary(x)["unexplained"]
    same = np.sum(both.atoms(1) * half.atoms(), axis=1) > 0.95
    assert 0.8 < same.mean() < 1.0  # not begun anew, but for dead atoms
    with pytest.raises(ValueError, match="resamplings"):
        train_dictionaries(x, shape, resamplings=-1)
