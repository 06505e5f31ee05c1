"""Runs: the same result however it was computed and however often it was interrupted."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from toy_experiment import Shape, ToyExperiment, percolaw_command

import percolaw
from percolaw.errors import RunError
from percolaw.experiments.base import config_dict, from_config, run_id
from percolaw.experiments.registry import experiment_class
from percolaw.runs import code, store
from percolaw.runs.run import default_folder
from percolaw.runs.store import RunFolder, read_record, write_atomic
from percolaw.runs.workers import WorkerPool


def toy(tmp_path, **fields) -> ToyExperiment:
    return ToyExperiment(log=str(tmp_path / "log"), **fields)


def measured(experiment) -> list[int]:
    """The units measured so far, in order."""
    file = Path(experiment.log)
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def go(experiment, tmp_path, name="runs", **options):
    return percolaw.run(experiment, out=tmp_path / name, **options)


def content(folder: Path):
    """What must not depend on how a run went."""
    record = read_record(folder)
    kept = {k: record[k] for k in ("claims", "tables", "config", "id", "units", "status")}
    return kept, (folder / "rows.jsonl").read_bytes()


def units(folder: Path) -> dict[str, tuple]:
    """key -> (status, finished, seconds) straight from the database."""
    connection = sqlite3.connect(folder / "units.sqlite", timeout=30)
    try:
        found = connection.execute("SELECT key, code, status, finished, seconds FROM units")
        return {(key, code): rest for key, code, *rest in found.fetchall()}
    finally:
        connection.close()


# --- executors -----------------------------------------------------------------------------------


def test_result_does_not_depend_on_the_executor(tmp_path):
    reference = go(ToyExperiment(), tmp_path, "none")
    assert reference.claims[0].verdict == "agrees"
    with WorkerPool(2) as pool:
        result = go(ToyExperiment(), tmp_path, "pool", executor=pool)
    assert content(result.folder) == content(reference.folder)
    with ThreadPoolExecutor(3) as threads:
        result = go(ToyExperiment(), tmp_path, "threads", executor=threads)
    assert content(result.folder) == content(reference.folder)
    other = go(ToyExperiment(shape=Shape(mean=2.5)), tmp_path, "other")
    assert content(other.folder) != content(reference.folder)


def test_second_call_measures_nothing(tmp_path):
    experiment, calls = toy(tmp_path), []
    first = go(experiment, tmp_path)
    before = content(first.folder)
    assert measured(experiment) == list(range(6))
    second = go(experiment, tmp_path, progress=lambda *p: calls.append(p))
    assert measured(experiment) == list(range(6))
    assert calls == [(6, 6)]
    assert second.folder == first.folder == default_folder(experiment, tmp_path / "runs")
    assert content(second.folder) == before


def test_progress_counts_every_unit(tmp_path):
    calls = []
    go(ToyExperiment(n_seeds=3), tmp_path, progress=lambda *p: calls.append(p))
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_pool_limits_threads_and_restores_the_environment():
    before = dict(os.environ)
    with WorkerPool(1) as pool:
        inside = pool.submit(os.getenv, "OMP_NUM_THREADS").result()
    assert inside == "1"
    assert dict(os.environ) == before


# --- interruptions -------------------------------------------------------------------------------


def interrupt_after(n):
    def progress(done, total):
        if done >= n:
            raise KeyboardInterrupt

    return progress


def test_interrupted_run_continues(tmp_path):
    undisturbed = go(ToyExperiment(), tmp_path / "a")
    experiment = ToyExperiment()
    for n in (0, 1, 1, 4):
        with pytest.raises(KeyboardInterrupt):
            go(experiment, tmp_path / "b", progress=interrupt_after(n))
        folder = default_folder(experiment, tmp_path / "b" / "runs")
        assert not (folder / "record.json").exists()
        with pytest.raises(RunError, match="has not finished"):
            read_record(folder)
    result = go(experiment, tmp_path / "b")
    assert content(result.folder) == content(undisturbed.folder)


def test_interruption_measures_no_unit_twice(tmp_path):
    experiment = toy(tmp_path)
    for n in (2, 5):
        with pytest.raises(KeyboardInterrupt):
            go(experiment, tmp_path, progress=interrupt_after(n))
        assert measured(experiment) == list(range(n))
    go(experiment, tmp_path)
    assert measured(experiment) == list(range(6))


class Immediate(Executor):
    """Every future is done when it is submitted."""

    def submit(self, function, /, *arguments, **keywords):
        future = Future()
        future.set_result(function(*arguments, **keywords))
        return future


def test_interruption_with_an_executor_keeps_what_was_collected(tmp_path):
    experiment = toy(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        go(experiment, tmp_path, executor=Immediate(), progress=interrupt_after(1))
    go(experiment, tmp_path)
    assert sorted(measured(experiment)) == list(range(6))


def test_interruption_while_storing_keeps_the_other_finished_units(tmp_path, monkeypatch):
    experiment, keep, calls = toy(tmp_path), RunFolder.keep, []

    def interrupted_once(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        keep(self, *arguments)

    monkeypatch.setattr(RunFolder, "keep", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        go(experiment, tmp_path)
    go(experiment, tmp_path)
    assert len(measured(experiment)) <= 7  # six units, and the one being stored again


CLI_FLAGS = (
    *("run", "dof-scan", "--preset", "smoke", "--n-settings", 150, "--chunk", 1),
    *("--clusters.n-clusters", 40, "--clusters.max-size", 100_000),
    *("--no-figures", "--quiet"),
)
# Seconds of work behind the last stop below, so that a stalled machine cannot finish it first.
CLI_UNITS = 3 * 150


def children(pid: int) -> list[int]:
    """All descendants of a process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *children(child)]
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def stopped_at(n_done: int, delay: float, send: int, workers: int, out: Path):
    """Start the real command, stop it when n_done units are kept; return exit code and stderr."""
    process = subprocess.Popen(
        percolaw_command(*CLI_FLAGS, "--workers", workers, "--out", out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        files = list(out.glob("dof-scan-*/units.sqlite"))
        try:
            if n_done == 0 or (files and len(units(files[0].parent)) >= n_done):
                break
        except sqlite3.OperationalError:
            pass  # the table is being made
        time.sleep(0.005)
    time.sleep(delay)
    below = children(process.pid)
    assert process.poll() is None, "finished before it could be stopped"
    process.send_signal(send)
    _, errors = process.communicate(timeout=100)
    deadline = time.monotonic() + 10
    while any(map(alive, below)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, below)), "workers outlive their parent"
    if workers > 1 and n_done:
        assert len(below) >= workers
    return process.returncode, errors


@pytest.mark.slow  # test_killed.py does it with units of nothing
def test_killed_command_continues_and_ends_in_the_same_record(tmp_path):
    out, chance = tmp_path / "out", random.Random(2412)
    kept: dict = {}
    stops = (
        (0, 0.3 + chance.random(), signal.SIGKILL, 2),
        (1, 0.1 * chance.random(), signal.SIGKILL, 2),
        (40, 0.05 * chance.random(), signal.SIGKILL, 1),
        (80, 0.05 * chance.random(), signal.SIGINT, 2),
    )
    for n_done, delay, send, workers in stops:
        code, errors = stopped_at(n_done, delay, send, workers, out)
        if send == signal.SIGINT:
            assert code == 130
            assert errors.strip() == (
                "interrupted; every finished unit is kept, the same command continues."
            )
        else:
            assert code == -signal.SIGKILL
        folders = list(out.glob("dof-scan-*"))
        now = units(folders[0]) if folders and (folders[0] / "units.sqlite").exists() else {}
        assert kept.items() <= now.items(), "a kept unit was lost or measured again"
        assert len(now) >= n_done
        assert len(now) < CLI_UNITS
        assert not list(out.glob("*/record.json"))
        kept = now

    done = subprocess.run(
        percolaw_command(*CLI_FLAGS, "--workers", 2, "--out", out),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = out.glob("dof-scan-*")
    final = units(folder)
    assert kept.items() <= final.items()
    assert len(final) == CLI_UNITS
    assert {status for status, _, _ in final.values()} == {"done"}
    leftovers = [p.name for p in folder.iterdir() if p.name.endswith(".part")]
    assert not leftovers

    config = json.loads((folder / "config.json").read_text())
    experiment = from_config(experiment_class("dof-scan"), config["config"])
    undisturbed = percolaw.run(experiment, out=tmp_path / "undisturbed")
    assert content(undisturbed.folder) == content(folder)


# --- failures ------------------------------------------------------------------------------------


def test_failed_units_stay_visible_and_are_tried_again(tmp_path, capfd):
    experiment = toy(tmp_path, fail_at=(2, 4))
    broken = Path(experiment.log + ".broken")
    broken.touch()
    folder = default_folder(experiment, tmp_path / "runs")
    said = rf"2 unit\(s\) of toy failed.*: unit [24] is broken\. All others are kept in {folder}; "
    with pytest.raises(RunError, match=said):
        go(experiment, tmp_path)
    said = capfd.readouterr().err
    assert said.count("Traceback") == 1, "the same failure is shown once"
    assert "2 units failed at this place; the first: ArithmeticError: unit" in said
    opened = RunFolder(folder, config_dict(experiment), ToyExperiment)
    assert opened.counts() == {"done": 4, "failed": 2}
    failures = sorted(opened.failures(), key=lambda f: f[0]["seed"])
    assert [cell["seed"] for cell, _ in failures] == [2, 4]
    for cell, error in failures:
        assert error.startswith("Traceback")
        assert error.rstrip().endswith(f"ArithmeticError: unit {cell['seed']} is broken")
    assert not (folder / "record.json").exists()
    assert measured(experiment) == list(range(6))  # the others were measured all the same

    with pytest.raises(RunError):
        go(experiment, tmp_path)
    assert measured(experiment)[6:] == [2, 4]  # only those are tried again
    broken.unlink()
    result = go(experiment, tmp_path)
    assert measured(experiment)[8:] == [2, 4]
    assert RunFolder(folder, config_dict(experiment), ToyExperiment).counts() == {"done": 6}
    healthy = go(toy(tmp_path), tmp_path, "healthy")
    assert content(result.folder)[1] == content(healthy.folder)[1]


class HalfBroken(Immediate):
    """As after the death of a worker: some futures are done, the others raise."""

    def submit(self, function, /, *arguments, **keywords):
        if arguments[4]["seed"] % 2:
            future = Future()
            future.set_exception(BrokenExecutor("a worker died"))
            return future
        return super().submit(function, *arguments, **keywords)


def test_units_finished_before_a_worker_died_are_kept(tmp_path):
    experiment = toy(tmp_path, n_seeds=40)
    with pytest.raises((RunError, BrokenExecutor)):
        go(experiment, tmp_path, executor=HalfBroken())
    folder = RunFolder(
        default_folder(experiment, tmp_path / "runs"), config_dict(experiment), ToyExperiment
    )
    assert folder.counts()["done"] == 20


def test_run_continues_after_a_worker_died(tmp_path):
    experiment = toy(tmp_path, die_at=(3,))
    with WorkerPool(1) as pool, pytest.raises(RunError, match="WorkerLost"):
        go(experiment, tmp_path, executor=pool)
    folder = RunFolder(
        default_folder(experiment, tmp_path / "runs"), config_dict(experiment), ToyExperiment
    )
    kept = folder.finished()
    first = len(measured(experiment))
    with WorkerPool(1) as pool, pytest.raises(RunError, match="WorkerLost"):
        go(experiment, tmp_path, executor=pool)
    again = {folder.key({"seed": seed, "kind": "toy"}) for seed in measured(experiment)[first:]}
    assert again
    assert not again & kept, "what was kept is not measured again"


# --- folders -------------------------------------------------------------------------------------


def test_folder_of_another_config_is_refused(tmp_path):
    go(ToyExperiment(), tmp_path, folder=tmp_path / "mine")
    before = content(tmp_path / "mine")
    other = ToyExperiment(n_seeds=7)
    with pytest.raises(RunError, match=rf"another config .*this one is {run_id(other)}.*--out"):
        go(other, tmp_path, folder=tmp_path / "mine")
    assert content(tmp_path / "mine") == before
    go(ToyExperiment(), tmp_path, folder=tmp_path / "mine")


def test_folder_that_is_no_run_is_refused(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    with pytest.raises(RunError, match="not empty and is no run folder"):
        go(ToyExperiment(), tmp_path, folder=tmp_path / "thesis")
    assert [p.name for p in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".config.json.123.part").write_text("{")  # killed while it began
    go(ToyExperiment(), tmp_path, folder=tmp_path / "empty")


def test_unwritable_folders_are_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunError, match=r"cannot make .*Not a directory\. Choose another"):
        percolaw.run(toy(tmp_path), out=tmp_path / "file" / "runs")
    monkeypatch.setattr(store.os, "access", lambda path, mode: False)
    with pytest.raises(RunError, match=r"is not writable\. Choose another folder with --out"):
        go(toy(tmp_path), tmp_path)
    assert measured(toy(tmp_path)) == []


@pytest.mark.parametrize("text", ["", '{"experiment": "to', "\x00\xff"])
def test_damaged_config_is_named(tmp_path, text):
    result = go(toy(tmp_path), tmp_path)
    (result.folder / "config.json").write_text(text)
    with pytest.raises(RunError, match=r"config\.json cannot be read"):
        go(toy(tmp_path), tmp_path)


def test_damaged_units_are_named_and_can_be_moved_aside(tmp_path):
    experiment = toy(tmp_path)
    result = go(experiment, tmp_path)
    before = content(result.folder)
    file = result.folder / "units.sqlite"
    file.write_bytes(b"this is no database" * 100)
    with pytest.raises(RunError, match=r"units\.sqlite cannot be used: .*move it aside"):
        go(experiment, tmp_path)
    file.rename(tmp_path / "aside")
    go(experiment, tmp_path)
    assert content(result.folder) == before
    assert len(measured(experiment)) == 12


def test_damaged_record_is_named(tmp_path):
    result = go(ToyExperiment(), tmp_path)
    (result.folder / "record.json").write_text('{"cla')
    with pytest.raises(RunError, match=r"record\.json cannot be read"):
        read_record(result.folder)
    go(ToyExperiment(), tmp_path)
    read_record(result.folder)


def test_other_code_measures_anew_and_keeps_the_old_rows(tmp_path, monkeypatch):
    experiment = toy(tmp_path)
    folder = go(experiment, tmp_path).folder
    old = units(folder)
    with monkeypatch.context() as patch:
        patch.setattr(code, "_digest", lambda texts: "another")
        go(experiment, tmp_path)
        assert read_record(folder)["code"] not in {code for _, code in old}
    assert measured(experiment) == [*range(6), *range(6)]
    assert old.items() <= units(folder).items()
    assert len(units(folder)) == 12
    go(experiment, tmp_path)  # back to the first code: its rows are still there
    assert len(measured(experiment)) == 12


def test_two_processes_may_share_a_folder(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import percolaw, toy_experiment as t\n"
        "percolaw.run(t.ToyExperiment(n_seeds=30), out=sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parents[1]), str(tmp_path / "shared")]
    both = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors
    alone = go(ToyExperiment(n_seeds=30), tmp_path)
    assert content(tmp_path / "shared" / alone.folder.name) == content(alone.folder)


# --- atomic writes -------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_failed_write_leaves_the_old_file(tmp_path, monkeypatch, failing):
    file = tmp_path / "record.json"
    write_atomic(file, "old")

    def fail(*arguments):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(store.os, failing, fail)
        with pytest.raises(OSError, match="disk full"):
            write_atomic(file, "new")
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["record.json"]
    write_atomic(file, "new")
    assert file.read_text() == "new"


def test_reader_sees_whole_files_only(tmp_path):
    file = tmp_path / "record.json"
    texts = {"a" * 400_000, "b" * 700_000}
    write_atomic(file, min(texts))
    stop, seen = threading.Event(), []

    def read():
        while not stop.is_set():
            seen.append(file.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(30):
        write_atomic(file, sorted(texts)[i % 2])
    stop.set()
    reader.join()
    assert set(seen) <= texts


def test_a_signal_that_a_library_takes_for_a_failure_is_a_signal(tmp_path, monkeypatch):
    """Numba turns an interrupt while it loads a kernel into a SystemError."""
    from percolaw.runs.signals import Terminated

    def interrupted(self, cell):
        try:
            raise Terminated(signal.SIGTERM)
        except KeyboardInterrupt as stop:
            raise SystemError("returned a result with an exception set") from stop

    monkeypatch.setattr(ToyExperiment, "measure", interrupted)
    with pytest.raises(Terminated):
        percolaw.run(ToyExperiment(), out=tmp_path)
    folder = default_folder(ToyExperiment(), tmp_path)
    assert RunFolder(folder, config_dict(ToyExperiment()), ToyExperiment).failures() == []


def test_a_class_is_no_config(tmp_path):
    with pytest.raises(TypeError, match="experiment must be an experiment's config; got <class"):
        percolaw.run(ToyExperiment, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
