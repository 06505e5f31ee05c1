"""A budget that cannot be made in the time asked for is refused early, by a clock that tests turn."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from neural_cases import job_of  # noqa: E402

import percolaw as pl  # noqa: E402
from percolaw.neural import time_limit  # noqa: E402
from percolaw.neural.time_limit import TimeLimit  # noqa: E402


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time_limit, "time", clock)
    return clock


def limit(seconds):
    # Defaults of the dataclass hold the real clock.
    return TimeLimit(seconds, 1000, "cuda", 100.0, 100.0)


@pytest.mark.parametrize(("seconds", "refused"), [(119.95, True), (120.05, False), (None, False)])
def test_the_second_interval_decides(clock, seconds, refused):
    """20 s of setting up and 1 s for 10 steps in the first interval, then 1 s for 10 steps."""
    it = limit(seconds)
    clock.now += 21.0
    it.interval_done(10, 10)
    clock.now += 1.0
    if not refused:
        it.interval_done(10, 20)
        clock.now += 1e6
        it.interval_done(10, 30)
        return
    with pytest.raises(
        TimeoutError, match=r"1000 steps at 1e\+02 ms on cuda take up to 120 s"
    ) as error:
        it.interval_done(10, 20)
    assert "(to 999 or less)" in str(error.value)


@pytest.mark.parametrize(("steps", "refused"), [(1000, True), (10, False)])
def test_a_first_interval_that_takes_all_the_time(clock, steps, refused):
    """What is finished is kept, however late."""
    it = TimeLimit(20.0, steps, "cuda", 100.0, 100.0)
    clock.now += 21.0
    if not refused:
        it.interval_done(10, 10)
        return
    with pytest.raises(TimeoutError, match=r"\(to 10 or less\)"):
        it.interval_done(10, 10)


def test_the_last_interval_is_kept(clock):
    it = TimeLimit(20.0, 20, "cuda", 100.0, 100.0)
    clock.now += 5.0
    it.interval_done(10, 10)
    clock.now += 50.0
    it.interval_done(10, 20)


def test_a_training_is_refused_after_two_intervals():
    x = np.random.default_rng(0).standard_normal((60, 2))
    student = pl.Student(0, np.arange(40), np.arange(40, 60))
    training = pl.Training(steps=10**7, evaluate_every=5, device="cpu", patience=10**6)
    seen = []
    arguments = (pl.MLP(1, 8), x, x[:, 0], [student], training)
    with pytest.raises(TimeoutError, match="more than the 3 s asked for"):
        pl.train(*arguments, seconds=3.0, progress=lambda step, active: seen.append(step))
    assert seen == [5]
    with pytest.raises(ValueError, match="seconds must be"):
        pl.train(*arguments, seconds=-1.0)


def test_halves_share_what_is_left():
    x = np.random.default_rng(0).standard_normal((60, 2))
    learners = [pl.Student(seed, np.arange(40), np.arange(40, 60)) for seed in range(2)]
    job = job_of(pl.MLP(1, 8), x, x[:, :1], learners, pl.Training(steps=5))
    job = dataclasses.replace(job, seconds=30.0)
    assert [half.seconds for half in job.halves(10.0)] == [10.0, 10.0]
    assert [half.seconds for half in job.halves(99.0)] == [0.0, 0.0]
