"""Losses task by task: against predictions, undisturbed by tests, and chance for what is never seen."""

import math

import numpy as np
import pytest

from percolaw.datasets.parity import ParityStream, ParityTasks
from percolaw.datasets.parity_tasks import parity_tasks

torch = pytest.importorskip("torch")

from percolaw.neural.config import NEVER_STOP, Student, Training  # noqa: E402
from percolaw.neural.parity import ParityNetwork  # noqa: E402
from percolaw.neural.tasks import train_tasks  # noqa: E402
from percolaw.neural.training import train  # noqa: E402

PLAN = Training(
    learning_rate=0.03,
    steps=150,
    batch_size=100,
    schedule="constant",
    loss="cross_entropy",
    patience=NEVER_STOP,
    keep="last",
    device="cpu",
)


@pytest.fixture(scope="module")
def tasks():
    """Parities of one bit, quickly learned; the last task is never used."""
    law = parity_tasks(4, 6, 1, -1.0)
    return ParityTasks(law.subset, np.array([4.0, 2.0, 1.0, 0.0]))


def curves(tasks, at, test=None):
    test = tasks.test_set(100) if test is None else test
    students = [Student(s, ParityStream(tasks, 100, s), [0]) for s in (0, 1)]
    network = ParityNetwork(4, 6, 16)
    return train_tasks(network, test.inputs(), test.targets(), test.task, students, PLAN, at)


@pytest.fixture(scope="module")
def learned(tasks):
    return curves(tasks, [0, 50, 150])


def test_tasks_that_are_seen_are_learned_and_others_are_not(learned):
    """A task never seen is at chance or worse, before training and after it."""
    assert learned.loss.shape == learned.error.shape == (3, 2, 4)
    assert np.all(learned.loss[0] > 0.5 * math.log(2))  # outputs of random weights scatter
    assert np.all(learned.loss[2, :, :3] < 0.1)
    assert np.all(learned.error[2, :, :3] < 0.02)
    assert np.all(learned.loss[2, :, 3] > 0.6)
    assert np.all(np.abs(learned.error[2, :, 3] - 0.5) < 0.35)


def test_tests_change_nothing_of_what_is_learned(tasks, learned):
    """More of them, at other times and of other samples: the same weights, the same losses."""
    often = curves(tasks, np.arange(10, 151, 20))
    assert np.array_equal(often.loss[-1], learned.loss[-1])
    assert np.array_equal(often.loss[2], learned.loss[1])
    few = curves(tasks, [150], tasks.test_set(3, 7))
    assert few.loss[0, :, :3] == pytest.approx(learned.loss[2, :, :3], abs=0.1)


def test_losses_are_those_of_the_students_that_train_gives(tasks, learned):
    test = tasks.test_set(100)
    students = [Student(s, ParityStream(tasks, 100, s), [0]) for s in (0, 1)]
    network = ParityNetwork(4, 6, 16)
    trained = train(network, test.inputs(), test.targets(), students, PLAN, n_outputs=2)
    output = trained.predict(test.inputs())
    wrong = output.argmax(axis=-1) != test.label
    assert np.array_equal(test.per_task(wrong), learned.error[-1])
    log_p = output - np.logaddexp(output[..., :1], output[..., 1:])
    loss = -np.take_along_axis(log_p, test.label[None, :, None], axis=2)[..., 0]
    np.testing.assert_allclose(test.per_task(loss), learned.loss[-1], rtol=1e-4, atol=1e-6)


def test_students_of_rows_beyond_the_test(tasks):
    """Training rows follow the test points; the first of them are learned by heart, not the test."""
    test, drawn = tasks.test_set(50), tasks.sample(20)
    x = np.concatenate([test.inputs(), drawn.inputs()])
    y = np.concatenate([test.targets(), drawn.targets()])
    student = [Student(0, test.n_samples + np.arange(20), [0])]
    curve = train_tasks(ParityNetwork(4, 6, 16), x, y, test.task, student, PLAN, [0, 100])
    assert curve.loss.shape == (2, 1, 4)
    assert not np.array_equal(curve.loss[0], curve.loss[1])


def test_steps_must_rise(tasks):
    for at in ([], [5, 5], [-1, 3]):
        with pytest.raises(ValueError, match="rise"):
            curves(tasks, at)


def test_every_task_needs_a_test_point(tasks):
    test = tasks.test_set(5)
    x, y = test.inputs(), test.targets()
    student = [Student(0, ParityStream(tasks, 50, 0), [0])]
    for task in (test.task * 2, np.tile(test.task, 2), test.task[:0]):
        with pytest.raises(ValueError, match="none left out"):
            train_tasks(ParityNetwork(8, 6, 16), x, y, task, student, PLAN, [5])
