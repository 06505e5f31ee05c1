"""Stores of older and newer versions: upgraded whole, or refused."""

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from fault_toy import (
    FaultToy,
    change,
    register,
)
from run_commands import OLD, QUIET, cli, known

import percolaw
from percolaw.experiments.base import content_id, from_config
from percolaw.experiments.registry import experiment_class
from percolaw.runs.database import open_writable
from percolaw.runs.folders import open_config, run_folders
from percolaw.runs.status import status
from percolaw.runs.store import RunFolder, experiment_code


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


@pytest.fixture
def old(tmp_path):
    """A copy of a run as percolaw 0.1 made it."""
    folder = tmp_path / "dof-scan-b72e67a3649f"
    shutil.copytree(OLD, folder)
    return folder


def table(folder: Path) -> tuple[int, list[tuple[Any, ...]]]:
    connection = sqlite3.connect(folder / "units.sqlite")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        names = "code, cell, status, rows, error, seconds, finished"
        return version, sorted(connection.execute(f"SELECT {names} FROM units").fetchall())
    finally:
        connection.close()


def old_columns(folder: Path) -> list[str]:
    connection = sqlite3.connect(folder / "units.sqlite")
    try:
        return [row[1] for row in connection.execute("PRAGMA table_info(units)")]
    finally:
        connection.close()


def test_stored_run_is_of_version_1(old):
    version, rows = table(old)
    assert version == 0
    assert len(rows) == 8
    assert "place" not in old_columns(old)
    connection = sqlite3.connect(old / "units.sqlite")
    for key, cell in connection.execute("SELECT key, cell FROM units"):
        assert key == content_id(json.loads(cell), 24)
    connection.close()


def test_old_run_is_upgraded_and_keeps_every_row(old):
    _, rows = table(old)
    config = open_config(old)
    for _ in range(2):
        folder = RunFolder(old, config)
        assert table(old) == (2, rows)
        assert old_columns(old)[-2:] == ["place", "digest"]
        connection = sqlite3.connect(old / "units.sqlite")
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert tables.fetchall() == [("units",)]
        for key, cell in connection.execute("SELECT key, cell FROM units"):
            assert key == folder.key(json.loads(cell))
        connection.close()


def test_old_rows_count_if_the_code_is_the_same(old, capsys):
    change(old, "UPDATE units SET code = ?", experiment_code(experiment_class("dof-scan")))
    assert status(old, known).done == 8
    experiment = from_config(experiment_class("dof-scan"), open_config(old)["config"])
    seen: list[Any] = []
    percolaw.run(experiment, folder=old, progress=lambda *p: seen.append(p))
    assert seen == [(8, 8)]
    assert cli("export", old, "--out", old.parent / "rows.csv") == 0


def test_two_processes_upgrade_at_once(old):
    _, rows = table(old)
    code = (
        "import sys, time; from percolaw.runs.folders import open_config\n"
        "from percolaw.runs.store import RunFolder\n"
        "config = open_config(sys.argv[1]); print('ready', flush=True); sys.stdin.readline()\n"
        "RunFolder(sys.argv[1], config)"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(old)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in both:
        _, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
    assert table(old) == (2, rows)


def test_threads_upgrade_at_once(tmp_path):
    for attempt in range(10):
        folder = tmp_path / f"run{attempt}"
        shutil.copytree(OLD, folder)
        _, rows = table(folder)
        config, errors = open_config(folder), []
        barrier = threading.Barrier(4)

        def open_it(folder=folder, config=config, errors=errors, barrier=barrier):
            barrier.wait()
            try:
                RunFolder(folder, config)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=open_it) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert table(folder) == (2, rows)


def test_upgrade_that_is_killed_leaves_the_old_table(old):
    before = table(old)
    code = (
        "import os, sys; from percolaw.runs import schema\n"
        "schema.content_id = lambda *arguments: os.kill(os.getpid(), 9)\n"
        "from percolaw.runs.folders import open_config\n"
        "from percolaw.runs.store import RunFolder\n"
        "RunFolder(sys.argv[1], open_config(sys.argv[1]))"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(old)], timeout=30)
    assert ended.returncode == -signal.SIGKILL
    assert table(old) == before
    RunFolder(old, open_config(old))
    assert table(old) == (2, before[1])


def test_newer_store_is_refused(old, capsys):
    connection = sqlite3.connect(old / "units.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = table(old)
    text = "written by a newer percolaw (table version 99; this one knows 2). Update percolaw"
    assert cli("resume", old, *QUIET) == 1
    assert text in capsys.readouterr().err
    assert cli("status", "--out", old.parent) == 0
    said = capsys.readouterr()
    assert text in said.err
    assert "damaged" in said.out
    assert table(old) == before


def test_run_folders_are_found_by_their_files(tmp_path):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").touch()
    assert list(run_folders(tmp_path)) == [folder]


def test_a_new_file_is_opened_by_several_at_once(tmp_path):
    """SQLite waits for nobody where two begin the log of one file."""
    refused = []

    def begin(file, barrier):
        barrier.wait()
        try:
            open_writable(file).close()
        except sqlite3.Error as error:
            refused.append(error)

    for i in range(40):
        barrier = threading.Barrier(4)
        threads = [
            threading.Thread(target=begin, args=(tmp_path / f"{i}.sqlite", barrier))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not refused
