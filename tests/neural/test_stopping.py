"""Schedules, and when a student ends."""

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import (  # noqa: E402
    DOUBLE,
    assert_same,
    ensemble_of,
    interrupted,
    mlp_plain,
    students,
    three_targets,
)

from percolaw.neural.ensemble import Ensemble  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.network import unflatten  # noqa: E402
from percolaw.neural.training import train  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.25, 0.9])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "trapezoid"])
def test_schedules(data, schedule, warmup):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, warmup=warmup, schedule=schedule, cooldown=0.3)
    batch = ensemble_of(MLP(0), x, y, students((0, 1)), training)
    # The second student has been told to cool down from step 10 to 15.
    batch.stopping.cooling_start[1], batch.stopping.end[1] = 10, 15
    found = batch.rate_multipliers(0, 40)
    for s, (low, high) in enumerate([(28, 40), (10, 15)]):
        expected = []
        for t in range(40):
            m = min(1.0, (t + 1) / (warmup * 40)) if warmup else 1.0
            if schedule == "cosine":
                m *= (1 + math.cos(math.pi * t / 40)) / 2
            if schedule == "trapezoid" and t >= low:
                m = min(m, (high - t) / (high - low))
            expected.append(m)
        np.testing.assert_allclose(
            found[: 40 if s == 0 else 15, s], expected[: 40 if s == 0 else 15]
        )
    np.testing.assert_array_equal(batch.rate_multipliers(7, 5), found[7:12])
    batch.active = np.array([1])
    np.testing.assert_array_equal(batch.rate_multipliers(7, 5), found[7:12, 1:])


def stopping_rule(curve, evaluated, training):
    """When a student ends, from its validation curve, for the rule as the documentation has it."""
    reference, since, end = math.inf, 0, None
    steps = training.steps
    late = steps - round(training.cooldown * steps)
    for loss, step in zip(curve, evaluated, strict=True):
        if loss < reference * (1 - training.least_gain):
            reference, since = loss, 0
        else:
            since += 1
        if end is None and since >= training.patience and step < late:
            end = step
            if training.schedule == "trapezoid":
                unit = training.evaluate_every
                end += max(unit, round(training.cooldown * step / unit) * unit)
        if end is not None and step >= end:
            return step, "plateau"
    return evaluated[-1], "budget"


@pytest.mark.parametrize("schedule", ["constant", "cosine", "trapezoid"])
def test_plateau_and_budget(data, schedule):
    """Noise cannot be learned: that student converges early; a slow one runs to the budget."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=600, evaluate_every=10, patience=4, schedule=schedule, batch_size=32
    )
    learners = [
        *students((0, 1), target=2, learning_rate=0.02),
        *students((2,), target=1, learning_rate=1e-3),
        *students((3,), target=1, learning_rate=0.3),
    ]
    found = train(MLP(1, 8), x, y, learners, training)
    assert found.stopped == ("plateau", "plateau", "budget", "plateau")
    np.testing.assert_array_equal(found.converged, [True, True, False, True])
    for s in range(4):
        made = int(found.steps[s])
        live = found.evaluated <= made
        curve = found.validation_curve[:, s]
        assert np.isfinite(curve[live]).all()
        assert np.isnan(curve[~live]).all()
        rule = stopping_rule(curve[live], found.evaluated[live], training)
        assert rule == (made, found.stopped[s])
        np.testing.assert_allclose(found.validation_loss[s], np.nanmin(curve), rtol=1e-12)
        assert np.isnan(found.train_curve[0, s])
        assert np.isfinite(found.train_curve[1:][live[1:], s]).all()
    assert found.steps[2] == 600
    # The weights kept are those of the best validation loss, not the last.
    out = found.predict(x[80:])[:, :, 0]
    loss = ((out - y[80:, [2, 2, 1, 1]].T) ** 2).mean(axis=1)
    np.testing.assert_allclose(loss, found.validation_loss, rtol=1e-10)
    if schedule == "constant":
        ends = [found.validation_curve[found.evaluated == found.steps[s], s] for s in range(4)]
        assert np.any(np.ravel(ends) > 1.001 * found.validation_loss)
    # What is said of training rows is of the weights kept.
    out = found.predict(x[:80])[:, :, 0]
    loss = ((out - y[:80, [2, 2, 1, 1]].T) ** 2).mean(axis=1)
    np.testing.assert_allclose(loss, found.train_loss, rtol=1e-10)


def test_weights_kept(data):
    """Of noise learned by heart the last weights are worse than the best, and are those asked for."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE,
        steps=200,
        evaluate_every=20,
        patience=4,
        learning_rate=0.03,
        schedule="constant",
    )
    learners = students((0, 1, 2), n=20, target=2)
    found = {
        keep: train(MLP(1, 8), x, y, learners, dataclasses.replace(training, keep=keep))
        for keep in ("best", "last")
    }
    best, last = found["best"], found["last"]
    np.testing.assert_array_equal(best.validation_curve, last.validation_curve)
    assert best.stopped == last.stopped
    for s in range(3):
        curve = best.validation_curve[:, s]
        curve = curve[np.isfinite(curve)]
        for t, expected in ((best, curve.min()), (last, curve[-1])):
            loss = ((t.predict(x[80:])[s, :, 0] - y[80:, 2]) ** 2).mean()
            np.testing.assert_allclose([loss, t.validation_loss[s]], expected, rtol=1e-10)
        assert curve[-1] > 1.01 * curve.min()
    assert (last.train_loss < best.train_loss).all()


def test_gradient_norm_of_the_weights_kept(data):
    x, y = data
    found = train(MLP(2, 6), x, y, students(), dataclasses.replace(DOUBLE, steps=30))
    w = unflatten(found.network, 3, 1, torch.as_tensor(found.weights))
    for s in range(3):
        leaves = {k: v[s].clone().requires_grad_() for k, v in w.items()}
        out = mlp_plain(2, leaves, torch.as_tensor(x[:80]))[:, 0]
        loss = ((out - torch.as_tensor(y[:80, 0])) ** 2).mean()
        slopes = torch.autograd.grad(loss, list(leaves.values()))
        norm = math.sqrt(sum(float((g**2).sum()) for g in slopes))
        np.testing.assert_allclose(found.gradient_norm[s], norm, rtol=1e-9)


class TooLong(Exception):
    """A training that does not end."""


def at_most(calls):
    count = iter(range(calls))

    def progress(step, active):
        if next(count, None) is None:
            raise TooLong

    return progress


def test_a_late_plateau_ends_with_the_budget(data):
    """Flat at 60 of 100 steps, a cool-down of 60 more: the loop makes 0 steps for ever."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=100, evaluate_every=60, patience=1, learning_rate=0.0
    )
    found = train(MLP(0), x, y, students((0,)), training, progress=at_most(20))
    assert found.steps[0] <= 100


def test_a_doubled_budget_has_the_same_rates(data):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=200, warmup=0.1)
    twice = training.doubled()
    assert (twice.steps, twice.learning_rate) == (400, training.learning_rate)
    one, two = (ensemble_of(MLP(0), x, y, students((0,)), t) for t in (training, twice))
    np.testing.assert_allclose(
        one.rate_multipliers(0, 150), two.rate_multipliers(0, 150), rtol=1e-15
    )


def test_a_doubled_budget_is_used_to_its_end(data):
    """Whatever a plateau says: a student that learns nothing more makes all steps too."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, evaluate_every=4, patience=2, least_gain=0.5)
    learners = students((0, 1), target=2)
    once, twice = (train(MLP(1, 6), x, y, learners, t) for t in (training, training.doubled()))
    assert once.stopped == ("plateau", "plateau")
    assert (once.steps < 40).all()
    assert twice.stopped == ("budget", "budget")
    np.testing.assert_array_equal(twice.steps, 80)


def test_many_small_steps_down_make_one_gain(data, monkeypatch):
    """A loss that falls by 0.4% at every look is not flat for a gain of 1% in 5 looks; one that falls
    by 0.1% is. Every small step is a best value of its own, which must not restart the count."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=100, evaluate_every=1, patience=5, least_gain=0.01, schedule="constant"
    )
    falls = np.array([0.004, 0.001, 0.0, -0.002])

    def loss(self, rows, which):
        return (1.0 - falls[which]) ** self.step

    monkeypatch.setattr(Ensemble, "validation_loss", loss)
    found = train(MLP(0), x, y, students(range(4)), training)
    assert found.stopped == ("budget", "plateau", "plateau", "plateau")
    np.testing.assert_array_equal(found.steps, [100, 5, 5, 5])
    for s in range(4):
        live = found.evaluated <= found.steps[s]
        rule = stopping_rule(
            found.validation_curve[live, s],
            found.evaluated[live],
            dataclasses.replace(training, cooldown=0.0),
        )
        assert rule == (found.steps[s], found.stopped[s])


def test_gains_are_counted_again_after_a_resumption(data, tmp_path, monkeypatch):
    """The loss at the last gain is part of the state."""
    x, y = data
    training = dataclasses.replace(
        DOUBLE, steps=40, evaluate_every=1, patience=5, least_gain=0.01, schedule="constant"
    )
    monkeypatch.setattr(
        Ensemble, "validation_loss", lambda self, rows, which: 0.997**self.step + 0.0 * which
    )
    whole = train(MLP(0), x, y, students(), training)
    assert set(whole.stopped) == {"budget"}
    _, progress = interrupted(8)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(MLP(0), x, y, students(), training, progress=progress, **kwargs)
    assert_same(train(MLP(0), x, y, students(), training, **kwargs), whole)
