"""Dropout masks: fair, independent, and a function of seed, step and place."""

import dataclasses
import math

import numpy as np
import pytest
from statistical import assert_close, assert_far, mean_and_error

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import DOUBLE, ensemble_of, named, students, three_targets  # noqa: E402

from percolaw.neural.dropout import drop_units  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import ForwardPass, unflatten  # noqa: E402
from percolaw.neural.training import train  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


def test_dropout_is_fair_and_keeps_the_mean():
    share, seeds = 0.3, torch.arange(4)
    x = torch.ones(4, 200, 50, dtype=torch.float64)

    def kept(step=0, place=1, seed=seeds):
        return (drop_units(x, share, seed, step, place) != 0).double()

    out = drop_units(x, share, seeds, 0, 1)
    assert set(out.unique().tolist()) == {0.0, 1.0 / 0.7}
    for s in range(4):
        mean, error = mean_and_error(kept()[s].numpy().ravel())
        assert_close(mean, 0.7, error)
        assert_far(mean, 0.5, error)
        # Rows, columns: no unit is dropped more than others.
        for axis, size in ((0, 200), (1, 50)):
            shares = kept()[s].mean(dim=axis).numpy()
            z = (shares - 0.7) / math.sqrt(0.21 / size)
            assert abs((z**2).mean() - 1.0) < 5 * math.sqrt(2 / z.size)
    np.testing.assert_array_equal(kept(), kept())

    def correlation(a, b):
        product = ((a - 0.7) * (b - 0.7) / 0.21).numpy().ravel()
        return mean_and_error(product)

    for a, b in (
        (kept(), kept(step=1)),
        (kept(), kept(place=2)),
        (kept()[0], kept()[1]),
        (kept()[:, :, 1:], kept()[:, :, :-1]),
        (kept()[:, 1:], kept()[:, :-1]),
        (kept(step=3), kept(step=0, place=4)),
        (kept(seed=seeds)[1], kept(seed=seeds + (1 << 40))[1]),
    ):
        mean, error = correlation(a, b)
        assert_close(mean, 0.0, error)
    mean, error = correlation(kept(), kept())
    assert_far(mean, 0.0, error)


def test_dropout_acts_in_training_only(data):
    x, y = data
    w = named(MLP(2, 16), 3, seeds=(0,))
    run = ForwardPass(0.5, torch.tensor([0]), 3)
    point = torch.as_tensor(x[None])
    assert bool(
        (MLP(2, 16).forward(w, point, run) != MLP(2, 16).forward(w, point, ForwardPass())).any()
    )
    # Two places in one pass have different masks, in one step after the other too.
    ones, run = torch.ones(1, 5, 16), ForwardPass(0.5, torch.tensor([0]), 3)
    assert not torch.equal(run.drop(ones), run.drop(ones))
    training = dataclasses.replace(DOUBLE, steps=1, learning_rate=0.0, dropout=0.5)
    quiet = train(MLP(2, 16), x, y, students((0,)), training)
    plain = train(MLP(2, 16), x, y, students((0,)), dataclasses.replace(training, dropout=0.0))
    np.testing.assert_allclose(quiet.validation_curve, plain.validation_curve, rtol=1e-12)
    assert abs(quiet.train_curve[1, 0] - plain.train_curve[1, 0]) > 1e-3


def test_dropout_is_told_seed_step_and_place(data, monkeypatch):
    x, y = data
    told = []

    def recorded(h, share, seeds, step, place):
        told.append((share, tuple(seeds.tolist()), step, place))
        return drop_units(h, share, seeds, step, place)

    monkeypatch.setattr("percolaw.neural.network.drop_units", recorded)
    training = dataclasses.replace(DOUBLE, steps=6, evaluate_every=4, dropout=0.25)
    train(MLP(2, 4), x, y, students((7, 3)), training)
    assert told == [(0.25, (7, 3), t, place) for t in range(6) for place in (1, 2)]


@pytest.mark.parametrize("network", [MLP(2, 8), MLP(2, 8, "tanh")], ids=str)
def test_training_curve_is_the_mean_of_the_steps(data, network):
    x, y = data
    training = dataclasses.replace(DOUBLE, batch_size=16)
    pieces, whole = (ensemble_of(network, x, y, students(), training) for _ in range(2))
    one_by_one = []
    for _ in range(5):
        weights = {k: v.clone() for k, v in unflatten(network, 3, 1, pieces.weights).items()}
        index = np.stack([o.minibatches(pieces.step, 1)[0] for o in pieces.minibatches.orders])
        out = network.forward(weights, torch.as_tensor(x[index]), ForwardPass())[:, :, 0].numpy()
        one_by_one.append(((out - y[index, 0]) ** 2).mean(axis=1))
        pieces.run_steps(1)
    whole.run_steps(5)
    np.testing.assert_allclose(np.array(pieces.train_curve), one_by_one, rtol=1e-10)
    np.testing.assert_allclose(whole.train_curve[0], np.mean(one_by_one, axis=0), rtol=1e-10)
