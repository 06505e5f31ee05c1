"""Endless data: streams against the same rows held, alone and together, resumed, and what is refused."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

import percolaw as pl  # noqa: E402
from percolaw.neural import step as step_module  # noqa: E402
from percolaw.neural.data import RowOrder, StreamMinibatches  # noqa: E402
from percolaw.neural.stream import Stream  # noqa: E402

X = np.random.default_rng(1).standard_normal((120, 3))
Y = np.stack([np.sin(2 * X[:, 0]) * X[:, 1], X @ [1.0, -2.0, 0.5]], axis=1)
HELD = np.arange(80, 120)
TRAINING = pl.Training(
    dtype="float64", device="cpu", steps=80, batch_size=16, evaluate_every=10, patience=3
)


class Held:
    """The rows that are given, in the order in which a student that holds them sees them."""

    def __init__(self, seed, rows, batch_size=16):
        self.order = RowOrder(seed, rows, batch_size)

    def rows(self, step):
        index = self.order.minibatches(step, 1)[0]
        return X[index], Y[index]


@dataclass(frozen=True)
class Fresh:
    """Points that nobody holds; how often each step was asked for is noted."""

    seed: int
    asked: tuple = dataclasses.field(default=(), repr=False)

    def rows(self, step):
        for calls in self.asked:
            calls.append(step)
        x = pl.Streams(self.seed).child(step).generator("batch").standard_normal((16, 3))
        return x, np.stack([np.sin(2 * x[:, 0]) * x[:, 1], x @ [1.0, -2.0, 0.5]], axis=1)


def same(one, other, names=("weights", "validation_curve", "train_curve", "steps", "evaluated")):
    for name in names:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.stopped == other.stopped


NETWORKS = [
    pl.MLP(2, 8),
    pl.MLP(1, 8, "gelu"),
    pl.Transformer(1, 8, 2, 2),
]


@pytest.mark.parametrize(
    ("network", "changes"),
    [
        *((network, {}) for network in NETWORKS),
        (NETWORKS[0], {"dtype": "float32", "keep": "last"}),
        (NETWORKS[2], {"dropout": 0.2}),
    ],
    ids=["by hand", "autograd", "transformer", "float32", "dropout"],
)
def test_rows_from_a_stream_are_the_rows_that_are_held(network, changes):
    """Bit for bit."""
    training = dataclasses.replace(TRAINING, **changes)
    sizes = [(0, 80, 0), (1, 40, 1), (2, 57, 0)]
    rows = [pl.Student(s, np.arange(n), HELD, target) for s, n, target in sizes]
    streams = [dataclasses.replace(s, train=Held(s.seed, s.train)) for s in rows]
    same(*(pl.train(network, X, Y, learners, training) for learners in (rows, streams)))


def test_training_loss_is_of_the_first_steps():
    student = pl.Student(0, Held(0, np.arange(80)), HELD)
    trained = pl.train(pl.MLP(1, 8), X, Y, [student], TRAINING)
    index = RowOrder(0, np.arange(80), 16).minibatches(0, 4096 // 16).reshape(-1)
    out = trained.predict(X[index])[0, :, 0]
    np.testing.assert_allclose(trained.train_loss[0], np.mean((out - Y[index, 0]) ** 2), rtol=1e-9)


def test_together_as_alone():
    shared = Fresh(5)
    learners = [
        pl.Student(0, shared, HELD),
        pl.Student(1, shared, HELD, 1, 0.02),
        pl.Student(0, Fresh(6), HELD),
    ]
    together = pl.train(pl.MLP(2, 8), X, Y, learners, TRAINING)
    for i, student in enumerate(learners):
        alone = pl.train(pl.MLP(2, 8), X, Y, [student], TRAINING)
        np.testing.assert_allclose(together.weights[i], alone.weights[0], rtol=1e-9, atol=1e-12)
        assert together.stopped[i] == alone.stopped[0]
    # Control: the stream matters.
    assert np.abs(together.weights[0] - together.weights[2]).max() > 1e-3


def test_a_stream_is_asked_once_a_step_and_little_is_held(monkeypatch):
    """By students that share it and are worked on one after the other; fresh points are not kept."""
    monkeypatch.setattr(step_module, "CACHE", 1)
    most = []
    real = StreamMinibatches._rows

    def counted(self, stream, step):
        out = real(self, stream, step)
        most.append(len(self._drawn))
        return out

    monkeypatch.setattr(StreamMinibatches, "_rows", counted)
    calls = []
    stream = Fresh(5, (calls,))
    learners = [pl.Student(seed, stream, HELD) for seed in range(3)]
    training = dataclasses.replace(TRAINING, patience=10**6)
    pl.train(pl.MLP(2, 8), X, Y, learners, training)
    assert calls[:80] == list(range(80))
    assert max(most[: 3 * 80]) <= training.evaluate_every


def test_fresh_points_generalise():
    """From 16 x 2000 points a network learns what 80 points do not teach it."""
    training = dataclasses.replace(
        TRAINING, steps=2000, evaluate_every=100, learning_rate=0.01, dtype="float32", patience=20
    )
    fresh = pl.train(pl.MLP(2, 32), X, Y, [pl.Student(0, Fresh(7), HELD)], training)
    few = pl.train(pl.MLP(2, 32), X, Y, [pl.Student(0, np.arange(80), HELD)], training)
    assert fresh.validation_loss[0] < 0.3 * few.validation_loss[0]


def interrupted(calls):
    seen = []

    def progress(step, active):
        seen.append(step)
        if len(seen) == calls:
            raise KeyboardInterrupt

    return seen, progress


def test_resumed_as_if_never_interrupted(tmp_path):
    learners = [pl.Student(seed, Fresh(5), HELD) for seed in range(2)]
    whole = pl.train(pl.MLP(2, 8), X, Y, learners, TRAINING)
    kwargs = {"checkpoint": tmp_path, "checkpoint_seconds": 0.0}
    for expected in ([10, 20, 30], [40, 50, 60]):
        seen, progress = interrupted(3)
        with pytest.raises(KeyboardInterrupt):
            pl.train(pl.MLP(2, 8), X, Y, learners, TRAINING, progress=progress, **kwargs)
        assert seen == expected
    # Another stream does not pick the state up.
    other = [dataclasses.replace(s, train=Fresh(6)) for s in learners]
    seen, progress = interrupted(1)
    with pytest.raises(KeyboardInterrupt):
        pl.train(pl.MLP(2, 8), X, Y, other, TRAINING, progress=progress, **kwargs)
    assert seen == [10]
    done = pl.train(pl.MLP(2, 8), X, Y, learners, TRAINING, **kwargs)
    same(done, whole)
    np.testing.assert_array_equal(done.train_loss, whole.train_loss)


def test_tokens_from_a_stream():
    class Tokens:
        def rows(self, step):
            ids = np.random.default_rng(step).integers(0, 3, (16, 4))
            return ids.astype(np.uint8), (ids == 0).sum(axis=1)

    ids = np.random.default_rng(99).integers(0, 3, (40, 4))
    network = pl.Transformer(1, 8, 2, vocabulary=3)
    student = pl.Student(0, Tokens(), np.arange(40))
    training = dataclasses.replace(TRAINING, steps=200, learning_rate=0.01, patience=20)
    trained = pl.train(network, ids, (ids == 0).sum(axis=1), [student], training)
    assert trained.validation_loss[0] < 0.1 * trained.validation_curve[0, 0]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ((X[:15], Y[:15]), r"\(batch_size, dim\) = \(16, 3\); got \(15, 3\) at step 0"),
        ((X[:16, :2], Y[:16]), r"got \(16, 2\)"),
        ((X[:16], Y[:15]), "values must have 16 rows; got 15"),
        ((X[:16], Y[:16, 0]), r"values of 2 column\(s\).*got 1 at step 0"),
        ((X[:16] * np.nan, Y[:16]), "points has 48 non-finite"),
        ((X[:16], Y[:16] * np.inf), "values has 32 non-finite"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows, match):
    class Bad:
        def rows(self, step):
            return rows

    assert isinstance(Bad(), Stream)
    with pytest.raises(ValueError, match=match):
        pl.train(pl.MLP(1, 4), X, Y, [pl.Student(0, Bad(), HELD)], TRAINING)


def test_streams_and_rows_are_trained_apart():
    learners = [pl.Student(0, Fresh(1), HELD), pl.Student(0, np.arange(80), HELD)]
    with pytest.raises(ValueError, match=r"1 of 2 students learn from a stream.*two calls"):
        pl.train(pl.MLP(1, 4), X, Y, learners, TRAINING)


def test_a_student_of_a_stream_needs_validation_rows():
    with pytest.raises(ValueError, match="one is empty"):
        pl.train(pl.MLP(1, 4), X, Y, [pl.Student(0, Fresh(1), [])], TRAINING)
