"""The counts of the reliability campaign: each is provoked once, so that its zero means something."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from fault_toy import command, flags, kept, register, start, toy, until, workers_of

from percolaw.runs.files import replacing
from percolaw.runs.run import default_folder

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import _kills
from _kills import Campaign, age, complaints, content, damage, done, gone, leftovers


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


def said(*words: object, code: str = "") -> dict[str, int]:
    """What a command that ends by itself is counted as; `code` is run in its process before."""
    given = command(*words)
    if code:
        given[2] = f"{code}; {given[2]}"
    return complaints(subprocess.run(given, capture_output=True, text=True, timeout=120).stderr)


def only(**numbers: int) -> dict[str, int]:
    return {**dict.fromkeys(("traceback", "broken", "store", "lost", "other"), 0), **numbers}


@pytest.fixture(scope="module")
def in_peace(tmp_path_factory):
    """A toy, the folder of runs of a command on it, and what that command is counted as."""
    tmp_path = tmp_path_factory.mktemp("peace")
    experiment = toy(tmp_path, n_units=3)
    return experiment, tmp_path / "runs", said(*flags(experiment, tmp_path / "runs", 1))


@pytest.fixture
def finished(in_peace, tmp_path):
    """A toy, and a copy of its finished run."""
    experiment, runs, _ = in_peace
    return experiment, default_folder(experiment, shutil.copytree(runs, tmp_path / "runs"))


def test_a_command_in_peace_counts_as_nothing(in_peace):
    assert in_peace[2] == only()


def test_a_pool_that_is_given_up_is_counted(tmp_path):
    code = (
        "import percolaw.runs.executor as e, percolaw.runs.workers as w, os; "
        "e.MOST_RESTARTS = 1; w._start_worker = os._exit"
    )
    found = said(*flags(toy(tmp_path, n_units=3), tmp_path / "runs"), code=code)
    assert found == only(broken=1)


def test_a_lost_unit_is_counted(tmp_path):
    experiment = toy(tmp_path, n_units=6, seconds=0.05, at=(2,), how="die")
    Path(experiment.log + ".broken").touch()
    assert said(*flags(experiment, tmp_path / "runs")) == only(lost=1)


def test_a_store_that_cannot_be_read_is_counted(finished, tmp_path):
    experiment, folder = finished
    (folder / "units.sqlite").write_bytes(b"damaged" * 1000)
    assert said(*flags(experiment, tmp_path / "runs", 1)) == only(store=1)


def test_a_traceback_and_another_message_are_counted(tmp_path):
    code = "import percolaw.runs.run as r; r.provenance = lambda: 1 // 0"
    found = said(*flags(toy(tmp_path, n_units=3), tmp_path / "runs", 1), code=code)
    assert found["traceback"] == 1
    assert complaints("percolaw: something else\n") == only(other=1)


def test_lost_and_changed_units_are_counted(finished):
    _, folder = finished
    before = done(folder)
    assert len(before) == len(kept(folder)) == 3
    assert damage(before, done(folder)) == (0, 0)
    with sqlite3.connect(folder / "units.sqlite") as connection:
        first, second = [key for key, _ in before][:2]
        connection.execute("DELETE FROM units WHERE key = ?", (first,))
        connection.execute("UPDATE units SET seconds = 1e9 WHERE key = ?", (second,))
    assert damage(before, done(folder)) == (1, 1)


def test_a_command_that_measures_nothing_is_a_stall(tmp_path, monkeypatch):
    monkeypatch.setattr(_kills, "STALL", 0.05)
    campaign = object.__new__(Campaign)
    campaign.out, campaign.before, campaign.stalls = tmp_path, {}, 0
    campaign.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    campaign.progress()
    campaign.process.kill()
    campaign.process.wait()
    campaign.progress()  # one that ended is counted elsewhere
    assert campaign.stalls == 1


def test_what_a_killed_process_leaves_is_seen(tmp_path):
    experiment = toy(tmp_path, n_units=50, seconds=0.1)
    folder = default_folder(experiment, tmp_path / "runs")
    process = start(*flags(experiment, tmp_path / "runs", 1))
    until(lambda: kept(folder))
    process.kill()
    process.wait()
    assert [path.name for path in leftovers(folder)] == ["active.json"]
    with replacing(folder / "record.json") as part:
        part.write_text("half")
        assert part in leftovers(folder)


def test_a_record_that_is_not_the_undisturbed_one_is_seen(finished):
    _, folder = finished
    before, rows = content(folder), folder / "rows.jsonl"
    assert content(folder) == before
    rows.write_text(rows.read_text().replace("1", "2", 1))
    assert content(folder) != before


def test_workers_that_live_on_are_seen(tmp_path):
    process = start(*flags(toy(tmp_path, n_units=50, seconds=0.1), tmp_path / "runs"))
    try:
        until(lambda: workers_of(process.pid))
        (pid, *_) = workers_of(process.pid)
        assert not gone(pid)
        assert 0.0 <= age(pid) < 60.0
        os.kill(pid, signal.SIGKILL)
        until(lambda: gone(pid), 10)
    finally:
        process.kill()
        process.communicate()
    assert age(2**22 + 1) == float("inf")
