"""The toy of superposition: its map, its streams, and that it is learned."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from percolaw.laws.superposition import random_directions_loss, unrepresented_loss  # noqa: E402
from percolaw.neural.config import NEVER_STOP, Student, Training  # noqa: E402
from percolaw.neural.network import ForwardPass, initial_weights, unflatten  # noqa: E402
from percolaw.neural.superposition import (  # noqa: E402
    SparseFeatures,
    SuperpositionToy,
    stratified_features,
)
from percolaw.neural.training import train  # noqa: E402

ACTIVITY = np.arange(1, 13) ** -2.0 / np.sum(np.arange(1, 13) ** -2.0)


@pytest.mark.parametrize("unit", [False, True])
def test_features_go_there_and_back(unit):
    toy, rng = SuperpositionToy(3, unit), np.random.default_rng(0)
    rows = initial_weights(toy, 7, 7, [0, 1]) + rng.standard_normal((2, 1))
    weights = unflatten(toy, 7, 7, torch.as_tensor(rows))
    x, run = rng.random((2, 5, 7)), ForwardPass(layers={})
    output = toy.forward(weights, torch.as_tensor(x), run).numpy()
    for s in range(2):
        w, b = weights["weight"][s].numpy(), weights["bias"][s].numpy()
        w = w / np.linalg.norm(w, axis=1, keepdims=True) if unit else w
        np.testing.assert_allclose(run.layers["hidden"][s], x[s] @ w)
        np.testing.assert_allclose(output[s], np.maximum(x[s] @ w @ w.T + b, 0.0))


def test_points_of_a_stream():
    stream = SparseFeatures(np.array([0.5, 0.1]), 40_000, 3)
    x, y = stream.rows(2)
    assert x is y
    np.testing.assert_array_equal(x, stream.rows(2)[0])
    assert not np.array_equal(x, stream.rows(3)[0])
    there = x > 0.0
    np.testing.assert_allclose(there.mean(axis=0), [0.5, 0.1], atol=0.01)
    assert there.all(axis=1).mean() == pytest.approx(0.05, abs=0.005)  # independent
    for column in range(2):
        values = x[there[:, column], column]
        np.testing.assert_allclose(np.quantile(values, [0.25, 0.5, 0.75]), [0.5, 1, 1.5], atol=0.06)


def test_strata_give_expected_losses():
    """Of something that looks at pairs, against plain draws; rare features have their share."""
    x, weight = stratified_features(ACTIVITY, 400, np.random.default_rng(0))
    assert weight.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(weight @ (x > 0), ACTIVITY, rtol=0.1)
    assert np.all(np.count_nonzero(x, axis=0) >= 400)
    plain = SparseFeatures(ACTIVITY, 200_000, 1).rows(0)[0]

    def look(points):
        return np.maximum(points @ np.cos(np.arange(12)) - 0.3, 0.0) ** 2

    error = look(plain).std() / np.sqrt(200_000)
    assert abs(weight @ look(x) - look(plain).mean()) < 4 * error + 0.01
    assert abs(look(x).mean() - look(plain).mean()) > 10 * error  # weights matter


def test_decay_leaves_features_out_and_unit_rows_do_not():
    held = SparseFeatures(ACTIVITY, 500, 9).rows(0)[0]
    x, weight = stratified_features(ACTIVITY, 50, np.random.default_rng(0))
    training = Training(
        learning_rate=0.03, steps=200, batch_size=64, keep="last", patience=NEVER_STOP
    )
    losses, represented = {}, {}
    for unit, decay in ((False, 0.0), (False, 3.0), (True, 0.0)):
        student = Student(0, SparseFeatures(ACTIVITY, 64, 0), np.arange(500), weight_decay=decay)
        toy = SuperpositionToy(3, unit)
        trained = train(toy, held, held, [student], training, n_outputs=12)
        losses[unit, decay] = weight @ np.sum((trained.predict(x)[0] - x) ** 2, axis=1)
        rows = np.linalg.norm(trained.weights[0, :36].reshape(12, 3), axis=1)
        represented[unit, decay] = np.count_nonzero(rows > 0.5)
    assert represented[False, 3.0] <= 4 < represented[False, 0.0]
    assert losses[False, 0.0] < unrepresented_loss(ACTIVITY, 3) < losses[False, 3.0]
    assert losses[True, 0.0] < random_directions_loss(ACTIVITY, 3)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="nothing is superposed"):
        SuperpositionToy(8).parameters(7, 7)
    with pytest.raises(ValueError, match="n_outputs = 3"):
        SuperpositionToy(2).parameters(7, 3)
    for wrong in ([], [0.1, 0.2], [0.5, 0.0]):
        with pytest.raises(ValueError, match="falling probabilities"):
            stratified_features(wrong, 3, np.random.default_rng(0))
