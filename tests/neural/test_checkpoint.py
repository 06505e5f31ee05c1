"""Trainings that were interrupted and resumed; damaged and foreign states."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from neural_cases import (  # noqa: E402
    DOUBLE,
    LEARNERS,
    assert_same,
    interrupted,
    job_of,
    students,
    three_targets,
)

from percolaw.neural.checkpoint import Checkpoint, identity  # noqa: E402
from percolaw.neural.config import Student  # noqa: E402
from percolaw.neural.mlp import MLP  # noqa: E402
from percolaw.neural.training import train  # noqa: E402
from percolaw.neural.transformer import Transformer  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return three_targets()


RESUMED = [
    (MLP(2, 8), {}),
    (MLP(2, 8), {"dropout": 0.2, "dtype": "float32", "keep": "last"}),
    (MLP(1, 8), {"clip": 1.0, "schedule": "cosine"}),
    (Transformer(1, 8, 2, 2), {"steps": 90}),
]


@pytest.mark.parametrize(("network", "changes"), RESUMED, ids=lambda v: str(v)[:40])
def test_resumed_as_if_never_interrupted(data, tmp_path, network, changes):
    x, y = data
    training = dataclasses.replace(
        DOUBLE,
        **({"steps": 150, "batch_size": 16, "evaluate_every": 10, "patience": 3} | changes),
    )
    whole = train(network, x, y, LEARNERS, training)
    if isinstance(network, MLP):
        assert len(set(whole.steps.tolist())) > 1, "students end at different times"
    at, folder = [], tmp_path / "states"
    for calls in (2, 1, 3, 1):
        seen, progress = interrupted(calls)
        with pytest.raises(KeyboardInterrupt):
            train(
                *(network, x, y, LEARNERS, training),
                checkpoint=folder,
                checkpoint_seconds=0.0,
                progress=progress,
            )
        at += seen
        (state,) = folder.iterdir()
        with np.load(state, allow_pickle=False) as arrays:  # no pickle in it
            assert int(arrays["step"]) == seen[-1]
            assert all(arrays[k].dtype.kind in "iufb" for k in arrays.files)
    assert at == [10 * (i + 1) for i in range(7)], "every call went on where the last one was"
    done = train(network, x, y, LEARNERS, training, checkpoint=folder, checkpoint_seconds=0.0)
    assert_same(done, whole)
    assert list(folder.iterdir()) == [], "nothing is left of a training that ended"


def test_interrupted_after_the_last_step(data, tmp_path):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=30, evaluate_every=10)
    whole = train(MLP(1, 8), x, y, LEARNERS, training)
    _, progress = interrupted(3)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(MLP(1, 8), x, y, LEARNERS, training, progress=progress, **kwargs)
    seen, progress = interrupted(0)
    assert_same(train(MLP(1, 8), x, y, LEARNERS, training, progress=progress, **kwargs), whole)
    assert seen == []


@pytest.fixture
def stopped(data, tmp_path):
    """A training stopped after 30 steps, its state, and what it would have come to."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=60, evaluate_every=10, batch_size=16)
    arguments = (MLP(1, 6), x, y, LEARNERS, training)
    _, progress = interrupted(3)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        train(*arguments, progress=progress, **kwargs)
    (state,) = tmp_path.iterdir()
    return arguments, kwargs, state, train(*arguments)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-1],
        lambda raw: b"",
        lambda raw: b"not a state",
        lambda raw: raw[:300] + b"\xff" * 40 + raw[340:],
        lambda raw: raw[100:],
    ],
)
def test_a_damaged_state_is_ignored(stopped, damage):
    arguments, kwargs, state, whole = stopped
    state.write_bytes(damage(state.read_bytes()))
    seen, progress = interrupted(0)
    assert_same(train(*arguments, progress=progress, **kwargs), whole)
    assert seen[0] == 10, "it began again"
    assert not state.exists()


def test_no_flipped_byte_stops_a_training(stopped, tmp_path):
    """Any one byte of a state inverted: it is ignored, or whole all the same."""
    *_, state, _ = stopped
    raw, name = state.read_bytes(), state.stem
    whole = Checkpoint(tmp_path, name).load()
    for i in range(len(raw) - 1500, len(raw), 7):  # the directory of the archive
        bad = bytearray(raw)
        bad[i] ^= 0xFF
        state.write_bytes(bad)
        found = Checkpoint(tmp_path, name).load()
        if found is not None and found.keys() == whole.keys():
            assert all(np.array_equal(found[k], whole[k], equal_nan=True) for k in whole)


@pytest.mark.parametrize("drop", ["second", "stopping least_loss", "weights"])
def test_a_state_that_lacks_something_is_ignored(stopped, drop):
    """A byte of a name flipped in the archive gives such a state."""
    arguments, kwargs, state, whole = stopped
    checkpoint = Checkpoint(state.parent, state.stem)
    arrays = checkpoint.load()
    del arrays[drop]
    checkpoint.save(arrays)
    assert_same(train(*arguments, **kwargs), whole)


def test_another_training_does_not_pick_a_state_up(stopped):
    (network, x, y, learners, training), kwargs, state, _ = stopped
    shifted = x.copy()
    shifted[0, 0] += 1e-9
    others = [
        (MLP(1, 6, "tanh"), x, y, learners, training),
        (network, shifted, y, learners, training),
        (network, x, y + 1e-9, learners, training),
        (network, x, y, learners[::-1], training),
        (network, x, y, [*learners[:4], dataclasses.replace(learners[4], seed=9)], training),
        (network, x, y, [*learners[:4], dataclasses.replace(learners[4], target=1)], training),
        (
            network,
            x,
            y,
            [*learners[:4], dataclasses.replace(learners[4], learning_rate=0.5)],
            training,
        ),
        (network, x, y, learners, dataclasses.replace(training, weight_decay=1.0)),
        (network, x, y, learners, dataclasses.replace(training, steps=70)),
        (network, x, y, learners, dataclasses.replace(training, dtype="float32")),
    ]
    for other in others:
        seen, progress = interrupted(1)
        with pytest.raises(KeyboardInterrupt):
            train(*other, progress=progress, **kwargs)
        assert seen == [10], "it started from nothing"
    assert len(list(state.parent.iterdir())) == 1 + len(others)
    # Control: the same call does, and the device is no part of it.
    seen, progress = interrupted(1)
    same = (network, x, y, learners, dataclasses.replace(training, device="auto"))
    if not torch.cuda.is_available():
        with pytest.raises(KeyboardInterrupt):
            train(*same, progress=progress, **kwargs)
        assert seen == [40]


def test_another_split_of_the_same_rows_is_another_training(data):
    x, y = data
    names = {
        identity(job_of(MLP(0), x, y, [Student(0, np.arange(n), np.arange(n, 60))], DOUBLE))
        for n in (30, 40)
    }
    assert len(names) == 2


def test_states_are_written_as_seldom_as_asked(data, tmp_path):
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=40, evaluate_every=10)
    there = []
    train(
        *(MLP(0), x, y, LEARNERS, training),
        checkpoint=tmp_path,
        checkpoint_seconds=1e6,
        progress=lambda step, active: there.append(len(list(tmp_path.glob("*")))),
    )
    assert there
    assert set(there) == {0}


def test_numbers_of_other_types(data, tmp_path):
    """A state's name is made of the numbers of a training, NumPy's too."""
    x, y = data
    training = dataclasses.replace(DOUBLE, steps=2, clip=np.float32(1.0))
    train(MLP(0), x, y, students(), training, checkpoint=tmp_path)
