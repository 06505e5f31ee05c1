"""Killed commands and workers, hanging and greedy units, Ctrl-C: no finished unit is lost or repeated."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fault_toy import (
    FaultToy,
    begun,
    clean,
    command,
    content,
    done,
    flags,
    lines,
    register,
    start,
    toy,
    undisturbed,
    until,
    workers_of,
)
from pebble import ProcessExpired

import percolaw
from percolaw.cli import main
from percolaw.errors import RunError
from percolaw.experiments.base import config_dict
from percolaw.runs.activity import working
from percolaw.runs.run import default_folder
from percolaw.runs.status import status
from percolaw.runs.store import RunFolder
from percolaw.runs.workers import WorkerPool


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


# --- killed ---------------------------------------------------------------------------------------


def test_killed_commands_lose_nothing_and_measure_nothing_twice(tmp_path):
    experiment, chance = toy(tmp_path, n_units=40, seconds=0.03), random.Random(5)
    out = tmp_path / "runs"
    folder = default_folder(experiment, out)
    before: dict[int, Any] = {}
    marks = []
    for n_done, workers in ((1, 2), (12, 1)):
        process = start(*flags(experiment, out, workers))
        until(lambda n=n_done, p=process: len(done(folder)) >= n or p.poll() is not None)
        time.sleep(0.1 * chance.random())
        assert process.poll() is None, process.communicate()
        below = workers_of(process.pid)
        process.kill()
        process.communicate()
        until(lambda pids=below: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids), 5)
        now = done(folder)
        assert before.items() <= now.items(), "a kept unit was lost or measured again"
        assert not (folder / "record.json").exists()
        marks.append((len(lines(experiment)), set(now)))
        before = now
    percolaw.run(experiment, out=out)
    for seen, units in marks:
        again = {unit for what, unit, _ in lines(experiment)[seen:] if what == "begin"}
        assert not again & units, "a kept unit was measured again"
    assert before.items() <= done(folder).items()
    assert content(folder) == undisturbed(experiment, tmp_path)
    assert not list(folder.rglob("*.part"))
    assert not (folder / "active.json").exists()


def test_killed_worker_loses_its_unit_only(tmp_path):
    experiment = toy(tmp_path, n_units=12, seconds=0.2)
    process = start(*flags(experiment, tmp_path / "runs"))

    def busy():
        """A unit that has begun and not ended, with its process."""
        ended = {unit for what, unit, _ in lines(experiment) if what == "end"}
        return [(unit, pid) for _, unit, pid in lines(experiment) if unit not in ended]

    until(lambda: len(lines(experiment)) >= 8 and busy())
    ((lost, pid), *_) = busy()
    os.kill(pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert clean(errors)
    assert "WorkerLost" in errors
    assert "1 unit(s) of fault-toy failed" in errors
    folder = default_folder(experiment, tmp_path / "runs")
    assert set(done(folder)) == set(range(12)) - {lost}
    seen = len(begun(experiment))
    assert seen == 12
    percolaw.run(experiment, out=tmp_path / "runs")
    assert begun(experiment)[seen:] == [lost]
    assert content(folder) == undisturbed(experiment, tmp_path)


def test_unit_that_kills_its_worker_is_reported_and_others_go_on(tmp_path):
    experiment = toy(tmp_path, n_units=12, seconds=0.05, at=(3,), how="die")
    broken = Path(experiment.log + ".broken")
    broken.touch()
    with (
        WorkerPool(2) as pool,
        pytest.raises(RunError, match=r"1 unit\(s\) of fault-toy failed.*WorkerLost: the process"),
    ):
        percolaw.run(experiment, out=tmp_path / "runs", executor=pool)
    folder = default_folder(experiment, tmp_path / "runs")
    assert set(done(folder)) == set(range(12)) - {3}
    assert sorted(begun(experiment)) == list(range(12))
    broken.unlink()
    percolaw.run(experiment, out=tmp_path / "runs")
    assert begun(experiment)[12:] == [3]
    assert content(folder) == undisturbed(experiment, tmp_path)


def test_pool_outlives_an_idle_worker():
    with WorkerPool(1) as pool:
        os.kill(pool.submit(os.getpid).result(20), signal.SIGKILL)
        time.sleep(0.5)
        assert pool.submit(abs, -3).result(20) == 3


def _sends_much_and_dies(n_bytes: int, delay: float) -> str:
    """Killed while the result is on its way, as by the kernel for want of memory."""

    def kill():
        time.sleep(delay)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    return "x" * n_bytes


@pytest.mark.slow
def test_pool_outlives_a_worker_killed_while_sending():
    for delay in (0.3, 0.4, 0.5, 0.6):
        pool = WorkerPool(2)
        try:
            pool.submit(_sends_much_and_dies, 400_000_000, delay)
            others = [pool.submit(time.sleep, 0.01) for _ in range(50)]
            # None is waited for in vain; those that a broken pool gives up a run hands in again.
            errors = [future.exception(30) for future in others]
            assert sum(isinstance(error, ProcessExpired) for error in errors) <= 1
            assert pool.submit(abs, -3).result(20) == 3
        finally:
            pool.shutdown(cancel_futures=True)


# --- hanging and greedy units ---------------------------------------------------------------------


def test_hanging_units_are_stopped_and_reported(tmp_path):
    experiment = toy(tmp_path, n_units=12, at=(2,), how="hang")
    broken = Path(experiment.log + ".broken")
    broken.touch()
    started = time.monotonic()
    with (
        WorkerPool(2, timeout=3.0) as pool,
        pytest.raises(RunError, match=r"1 unit\(s\) .*TimeoutError: the unit took longer"),
    ):
        percolaw.run(experiment, out=tmp_path / "runs", executor=pool)
    assert time.monotonic() - started < 40
    folder = default_folder(experiment, tmp_path / "runs")
    assert set(done(folder)) == set(range(12)) - {2}
    hung = {pid for what, unit, pid in lines(experiment) if unit == 2}
    assert not any(Path(f"/proc/{pid}/cmdline").exists() for pid in hung), "still running"
    broken.unlink()
    percolaw.run(experiment, out=tmp_path / "runs")
    assert content(folder) == undisturbed(experiment, tmp_path)


def test_command_line_stops_a_hanging_unit_of_one_worker(tmp_path, capfd):
    experiment = toy(tmp_path, n_units=3, at=(1,), how="hang")
    Path(experiment.log + ".broken").touch()
    given = [*flags(experiment, tmp_path / "runs", workers=1), "--timeout", 1]
    assert main([str(word) for word in given]) == 1
    said = capfd.readouterr().err
    assert "TimeoutError: the unit took longer than allowed" in said
    assert clean(said)
    assert set(done(default_folder(experiment, tmp_path / "runs"))) == {0, 2}


def test_units_that_exhaust_memory_fail_alone(tmp_path):
    experiment = toy(tmp_path, n_units=10, at=(1, 8), how="memory")
    Path(experiment.log + ".broken").touch()
    with (
        WorkerPool(2, memory=500e6) as pool,
        pytest.raises(RunError, match=r"2 unit\(s\) .*(MemoryError|WorkerLost)"),
    ):
        percolaw.run(experiment, out=tmp_path / "runs", executor=pool)
    folder = default_folder(experiment, tmp_path / "runs")
    assert set(done(folder)) == set(range(10)) - {1, 8}
    for _, error in RunFolder(folder, config_dict(experiment)).failures():
        assert "MemoryError" in error or "WorkerLost" in error


def test_memory_limit_holds_for_workers_that_replace_dead_ones(tmp_path):
    with WorkerPool(1, memory=300e6) as pool:
        futures = [pool.submit(os._exit, 3), pool.submit(_limit)]
        with pytest.raises(Exception, match="Abnormal termination"):
            futures[0].result(30)
        assert 300e6 < futures[1].result(30) < 1e9


def _limit() -> int:
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


# --- clocks, two at once, many units, Ctrl-C ------------------------------------------------------


def test_two_processes_on_one_run(tmp_path):
    experiment = toy(tmp_path, n_units=60, seconds=0.1)
    first = start(*flags(experiment, tmp_path / "runs", 1))
    until(lambda: begun(experiment))
    second = start(*flags(experiment, tmp_path / "runs", 1))
    errors = []
    for process in (first, second):
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
        errors.append(err)
    assert errors[0] == ""
    assert f"process {first.pid} on" in errors[1]
    assert "waiting for it to end" in errors[1]
    assert sorted(begun(experiment)) == list(range(60))
    folder = default_folder(experiment, tmp_path / "runs")
    assert content(folder) == undisturbed(experiment, tmp_path)


def test_second_process_finishes_what_the_killed_first_began(tmp_path):
    experiment = toy(tmp_path, n_units=30, seconds=0.05)
    first = start(*flags(experiment, tmp_path / "runs", 1))
    until(lambda: len(begun(experiment)) > 3)
    second = start(*flags(experiment, tmp_path / "runs", 1))
    time.sleep(0.4)
    first.kill()
    first.communicate()
    folder = default_folder(experiment, tmp_path / "runs")
    before = done(folder)
    _, err = second.communicate(timeout=100)
    assert second.returncode == 0, err
    assert before.items() <= done(folder).items()
    assert len(begun(experiment)) in (30, 31)  # the unit at hand when the first was killed
    assert content(folder) == undisturbed(experiment, tmp_path)


@pytest.mark.slow
def test_a_thousand_small_units(tmp_path):
    experiment = toy(tmp_path, n_units=1000)
    with WorkerPool(2) as pool:
        pooled = percolaw.run(experiment, out=tmp_path / "pool", executor=pool)
    assert sorted(begun(experiment)) == list(range(1000))
    with ThreadPoolExecutor(8) as threads:
        threaded = percolaw.run(experiment, out=tmp_path / "threads", executor=threads)
    assert len(begun(experiment)) == 2000
    assert content(pooled.folder) == content(threaded.folder)


def interrupted(tmp_path, pauses):
    """Interrupt a command as often as there are pauses; check what is kept, return what it says."""
    experiment = toy(tmp_path, n_units=60, seconds=0.02)
    folder = default_folder(experiment, tmp_path / "runs")
    process = start(*flags(experiment, tmp_path / "runs"))
    until(lambda: len(done(folder)) > 3)
    below = workers_of(process.pid)
    assert len(below) == 2
    for pause in pauses:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(pause)
    _, err = process.communicate(timeout=60)
    assert process.returncode not in (0, 2)
    before = done(folder)
    assert set(before) <= {unit for what, unit, _ in lines(experiment) if what == "end"}
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in below), 5)
    assert not (folder / "record.json").exists()
    percolaw.run(experiment, out=tmp_path / "runs")
    assert before.items() <= done(folder).items()
    assert content(folder) == undisturbed(experiment, tmp_path)
    return err


@pytest.mark.slow
def test_ctrl_c(tmp_path):
    assert interrupted(tmp_path, [0.0]).strip() == (
        "interrupted; every finished unit is kept, the same command continues."
    )


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_ctrl_c_twice_keeps_what_was_finished(tmp_path, pause):
    interrupted(tmp_path, [pause, 0.0])


def test_ctrl_c_many_times_prints_no_traceback(tmp_path):
    assert clean(interrupted(tmp_path, [0.004] * 250))


@pytest.mark.parametrize(
    ("number", "pause"),
    [
        (signal.SIGINT, 0.05),
        (signal.SIGTERM, 0.15),
        (signal.SIGHUP, 0.05),
        pytest.param(signal.SIGINT, 0.15, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 0.05, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 0.15, marks=pytest.mark.slow),
    ],
)
def test_stopped_while_its_workers_start(tmp_path, number, pause):
    """Workers that have not come to their first unit end without a word."""
    experiment = toy(tmp_path, n_units=2000, seconds=0.01)
    process = subprocess.Popen(
        command(*flags(experiment, tmp_path / "runs")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: len(workers_of(process.pid)) == 2)
    time.sleep(pause)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    word = "interrupted" if number == signal.SIGINT else "terminated"
    assert errors.strip() == f"{word}; every finished unit is kept, the same command continues."


@pytest.mark.slow
def test_terminated_command_continues(tmp_path):
    experiment = toy(tmp_path, n_units=40, seconds=0.02)
    folder = default_folder(experiment, tmp_path / "runs")
    process = start(*flags(experiment, tmp_path / "runs"))
    until(lambda: len(done(folder)) > 3)
    below = workers_of(process.pid)
    process.terminate()
    process.communicate(timeout=60)
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in below), 5)
    before = done(folder)
    assert status(folder, lambda name: FaultToy).state == "unfinished"
    ended = subprocess.run(command(*flags(experiment, tmp_path / "runs")), capture_output=True)
    assert ended.returncode == 0
    assert before.items() <= done(folder).items()
    assert content(folder) == undisturbed(experiment, tmp_path)


def test_lock_goes_with_its_process(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from percolaw.runs.activity import working\n"
        "with working(Path(sys.argv[1])): print('in', flush=True); time.sleep(100)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "in\n"
    told: list[str] = []

    def waiting(message: str) -> None:
        told.append(message)
        holder.kill()

    with working(tmp_path, waiting):
        pass
    holder.communicate()
    assert len(told) == 1
