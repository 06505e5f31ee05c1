"""Workers that die, cannot start, or are asked to end: what becomes of their units."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
from fault_toy import (
    clean,
    command,
    done,
    flags,
    register,
    start,
    toy,
    until,
    workers_of,
)

import percolaw
from percolaw.errors import RunError
from percolaw.progress import progress
from percolaw.runs import executor as executor_module
from percolaw.runs.run import default_folder
from percolaw.runs.workers import WorkerPool, check_reachable


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


def kill_young(process: subprocess.Popen, delay: float) -> None:
    """Kill a worker some time after it appeared."""
    until(lambda: workers_of(process.pid) or process.poll() is not None)
    time.sleep(delay)
    for pid in workers_of(process.pid)[:1]:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    "delay", [0.0, *(pytest.param(t, marks=pytest.mark.slow) for t in (0.15, 0.3))]
)
def test_worker_killed_in_its_first_half_second_costs_nothing_else(tmp_path, delay):
    """At most the unit at hand may fail; the command goes on with all others."""
    experiment = toy(tmp_path, n_units=12, seconds=0.02)
    process = start(*flags(experiment, tmp_path / "runs"))
    try:
        kill_young(process, delay)
        _, errors = process.communicate(timeout=90)
    finally:
        process.kill()
    assert clean(errors), errors
    assert "were lost" not in errors
    folder = default_folder(experiment, tmp_path / "runs")
    assert len(done(folder)) >= 11
    assert process.returncode == (0 if len(done(folder)) == 12 else 1)


def test_pool_whose_workers_all_die_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(executor_module, "MOST_RESTARTS", 2)
    monkeypatch.setattr("percolaw.runs.workers._start_worker", _end)
    with WorkerPool(1) as pool, pytest.raises(RunError, match="2 times in a row, and nothing"):
        percolaw.run(toy(tmp_path), out=tmp_path / "runs", executor=pool)


def _end(parent: int, memory: int) -> None:
    os._exit(3)


UNGUARDED = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import percolaw
from percolaw.experiments.registry import experiment_class
from percolaw.runs.workers import WorkerPool
cls = experiment_class("single-cluster")
if sys.argv[1] == "ours":
    pool = WorkerPool(1)
elif sys.argv[1] == "dask":
    from percolaw.runs.scheduler import dask_executor
    with dask_executor("local", 1) as pool:
        percolaw.run(cls(**cls.presets["smoke"].config), out=sys.argv[2], executor=pool)
    sys.exit()
else:
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))
percolaw.run(cls(**cls.presets["smoke"].config), out=sys.argv[2], executor=pool)
"""


@pytest.mark.parametrize(
    "executor",
    ["ours", *(pytest.param(name, marks=pytest.mark.slow) for name in ("dask", "theirs"))],
)
def test_script_without_guard_is_told_of_it(tmp_path, executor):
    if executor == "dask":
        pytest.importorskip("distributed")
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    ended = subprocess.run(
        [sys.executable, script, executor, tmp_path / "runs"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    # The last word of ours; Python itself may warn of semaphores that the lost workers left.
    (last,) = [line for line in ended.stderr.splitlines() if "RunError: " in line][-1:]
    assert 'if __name__ == "__main__":' in last


@pytest.mark.parametrize(
    "executor",
    ["theirs", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ours", "dask"))],
)
def test_script_from_standard_input_is_refused(tmp_path, executor):
    ended = subprocess.run(
        [sys.executable, "-", executor, tmp_path / "runs"],
        input=UNGUARDED,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "there is no file" in ended.stderr
    assert "<stdin>" in ended.stderr
    assert "memory" not in ended.stderr.splitlines()[-1]


def test_class_of_a_notebook_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    found = type("Mine", (), {"__module__": "__main__"})
    for method in ("spawn", "fork"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            if method == "fork":
                check_reachable(pool, found)
            else:
                with pytest.raises(RunError, match="Mine is defined in a notebook"):
                    check_reachable(pool, found)


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_sigterm_keeps_what_is_finished(tmp_path, workers):
    experiment = toy(tmp_path, n_units=200, seconds=0.05)
    process = start(*flags(experiment, tmp_path / "runs", workers))
    folder = default_folder(experiment, tmp_path / "runs")
    try:
        until(lambda: len(done(folder)) >= 5 or process.poll() is not None)
        below = workers_of(process.pid)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 143, errors
    assert errors.strip() == "terminated; every finished unit is kept, the same command continues."
    assert 5 <= len(done(folder)) < 200
    assert not (folder / "active.json").exists()
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in below), 5)


def test_ctrl_c_has_its_own_exit_code(tmp_path):
    experiment = toy(tmp_path, n_units=200, seconds=0.05)
    process = start(*flags(experiment, tmp_path / "runs", 1))
    try:
        until(lambda: len(done(default_folder(experiment, tmp_path / "runs"))) >= 2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted; every finished unit is kept" in errors


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="mounts, as root")
@pytest.mark.parametrize(
    "given",
    ["--workers 2", *(pytest.param(g, marks=pytest.mark.slow) for g in ("--scheduler local", ""))],
)
def test_system_without_semaphores(tmp_path, given):
    if "scheduler" in given:
        pytest.importorskip("distributed")
    experiment = toy(tmp_path, n_units=4)
    words = flags(experiment, tmp_path / "runs")
    at = words.index("--workers")
    words[at : at + 2] = given.split()
    mount = 'mount -t tmpfs -o ro tmpfs /dev/shm && exec "$@"'
    if subprocess.run(["unshare", "-m", "sh", "-c", mount, "-", "true"]).returncode:
        pytest.skip("file systems cannot be mounted here")
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", mount, "-", *command(*words)], capture_output=True, text=True
    )
    assert "/dev/shm" in ended.stderr or (not given and os.cpu_count() == 1)
    assert "--workers 1" in ended.stderr or os.cpu_count() == 1
    assert clean(ended.stderr)
    assert ended.returncode == (1 if given else 0)


def test_progress_without_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with progress("toy", quiet=False) as update:
        update(1, 3)


def held_back():
    return {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])}


def test_workers_start_with_ctrl_c_held_back():
    with WorkerPool(1) as pool:
        assert int(signal.SIGINT) in pool.submit(held_back).result(60)
        assert int(signal.SIGTERM) not in pool.submit(held_back).result(60)
    assert int(signal.SIGINT) not in held_back()


def test_processes_end_before_what_they_wait_for(monkeypatch):
    """Pebble takes the semaphores away first; a worker that is starting then finds none."""
    from pebble.pool.process import WorkerManager

    alive = []
    close = WorkerManager.close_channels
    pool = WorkerPool(2)

    def closing(manager):
        alive.append([p.pid for p in pool._context.alive()])
        close(manager)

    monkeypatch.setattr(WorkerManager, "close_channels", closing)
    pool.submit(held_back)  # its workers have only begun to start
    assert len(pool._context.alive()) == 2
    pool.shutdown(cancel_futures=True)
    assert alive == [[]]
