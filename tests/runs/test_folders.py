"""Rows of runs exported, and what is left behind removed."""

import csv
import dataclasses
import json
import math
import os
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_toy import (
    FaultToy,
    content,
    done,
    live,
    register,
    toy,
)
from run_commands import QUIET, cli, interrupted_run

import percolaw
from percolaw.errors import RunError
from percolaw.experiments.base import config_dict
from percolaw.runs import code as source_code
from percolaw.runs import folders
from percolaw.runs.folders import export
from percolaw.runs.run import default_folder
from percolaw.runs.store import RunFolder, experiment_code


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


def exported(folder: Path, file: Path) -> list[dict[str, Any]]:
    """Read an export back with what others would use."""
    n = export(folder, file)
    if file.suffix == ".csv":
        with open(file, newline="", encoding="utf-8") as text:
            found = list(csv.DictReader(text))
    elif file.suffix == ".jsonl":
        found = [json.loads(line) for line in file.read_text().splitlines()]
    else:
        found = pytest.importorskip("pyarrow.parquet").read_table(file).to_pylist()
    assert len(found) == n
    return found


SUFFIXES = [".csv", ".jsonl", ".parquet"]


# --- export ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_export_has_every_row(tmp_path, suffix, capsys):
    folder = percolaw.run(FaultToy(n_units=5), out=tmp_path).folder
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    found = exported(folder, tmp_path / f"rows{suffix}")
    assert len(found) == len(rows) == 10
    for row, back in zip(rows, found, strict=True):
        if suffix == ".csv":
            assert set(back) == {"unit", "value", "nested", "text", "square"}
            for name in back:
                text, value = back[name], row.get(name, "")
                assert (json.loads(text) if isinstance(value, list) else text) == (
                    value if isinstance(value, list) else str(value)
                )
        elif suffix == ".jsonl":
            assert back == row
        else:
            assert back == {name: row.get(name) for name in back}
            assert set(back) == {"unit", "value", "nested", "text", "square"}
    assert cli("export", folder, "--out", tmp_path / f"again{suffix.upper()}") == 0
    assert capsys.readouterr().out == f"10 rows in {tmp_path / f'again{suffix.upper()}'}\n"


@dataclasses.dataclass(frozen=True)
class OddToy(FaultToy):
    """Rows with everything that rows may have."""

    name = "odd-toy"
    rows: tuple = ()

    def measure(self, cell):
        inf, nan = float("inf"), float("nan")
        return [
            {"unit": cell["unit"], "value": inf, "other": -inf, "third": nan},
            {"unit": cell["unit"], "value": 3, "matrix": np.arange(4.0).reshape(2, 2)},
            {"unit": cell["unit"], "value": 0.1, "table": {"a": [1, {"b": None}]}, "empty": []},
            {"unit": cell["unit"], "value": 1e300, "text": 'a,"b"\nc;é\t', "flag": True},
        ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_export_of_odd_values(tmp_path, suffix):
    folder = percolaw.run(OddToy(n_units=2), out=tmp_path).folder
    found = exported(folder, tmp_path / f"rows{suffix}")[:4]
    assert [float(row["value"]) for row in found] == [math.inf, 3.0, 0.1, 1e300]
    assert float(found[0]["other"]) == -math.inf
    assert math.isnan(float(found[0]["third"]))
    matrix = found[1]["matrix"]
    assert (json.loads(matrix) if suffix == ".csv" else matrix) == [[0.0, 1.0], [2.0, 3.0]]
    table = found[2]["table"]
    assert (table if suffix == ".jsonl" else json.loads(table)) == {"a": [1, {"b": None}]}
    assert found[2]["empty"] in ([], "[]")
    assert found[3]["text"] == 'a,"b"\nc;é\t'
    assert found[3]["flag"] in (True, "True")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_export_of_an_unfinished_run_is_what_there_is(tmp_path, suffix):
    folder = interrupted_run(FaultToy(), tmp_path, 3)
    assert len(exported(folder, tmp_path / f"rows{suffix}")) == 6


def test_export_of_nothing_is_refused(tmp_path, capsys):
    folder = interrupted_run(FaultToy(), tmp_path, 0)
    assert cli("export", folder, "--out", tmp_path / "rows.csv") == 1
    assert "no finished units of this code" in capsys.readouterr().err
    assert not (tmp_path / "rows.csv").exists()


def test_wrong_targets_of_exports(tmp_path, capsys):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    for name, code, text in (
        ("rows.xlsx", 2, "export suffix"),
        ("rows", 2, "export suffix"),
        ("none/rows.csv", 2, f"there is no folder {tmp_path / 'none'} to export to; make it"),
    ):
        assert cli("export", folder, "--out", tmp_path / name) == code
        assert text in capsys.readouterr().err
    (tmp_path / "folder.csv").mkdir()
    assert cli("export", folder, "--out", tmp_path / "folder.csv") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["folder.csv", folder.name])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_export_is_whole_or_not_at_all(tmp_path, monkeypatch, suffix):
    folder = percolaw.run(FaultToy(), out=tmp_path / "runs").folder
    file = tmp_path / f"rows{suffix}"
    file.write_text("old")

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            export(folder, file)
    with monkeypatch.context() as patch:
        patch.setattr(folders, "_columns", full)
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="No space left"):
            export(folder, file)
    assert file.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == [file.name, "runs"]


def test_export_does_not_depend_on_figures_or_other_code(tmp_path, monkeypatch):
    folder = percolaw.run(FaultToy(), out=tmp_path / "runs").folder
    with monkeypatch.context() as patch:
        patch.setattr(source_code, "_digest", lambda texts: "another")
        with pytest.raises(RunError, match="no finished units of this code"):
            export(folder, tmp_path / "rows.csv")


@pytest.fixture
def litter(tmp_path, monkeypatch):
    """A run with units of other code and leftovers of killed writes."""
    out = tmp_path / "runs"
    with monkeypatch.context() as patch:
        patch.setattr(source_code, "_digest", lambda texts: "older")
        percolaw.run(FaultToy(padding=20_000), out=out)
    folder = percolaw.run(FaultToy(padding=20_000), out=out).folder
    (folder / "figures").mkdir()
    (folder / ".record.json.123.part").write_text("x" * 100)
    (folder / "figures" / ".a.png.123.part").write_text("x")
    (folder / "figures" / "a.png").write_text("x")
    return folder


# --- gc -------------------------------------------------------------------------------------------


def test_gc_says_and_removes(litter, capsys):
    before, whole = done(litter), content(litter)
    files = {p: p.read_bytes() for p in litter.rglob("*") if p.is_file()}
    assert cli("gc", "--out", litter.parent) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        f"{litter}  12 units of other code, 2 leftover files",
        "nothing removed; add --apply",
    ]
    assert {p: p.read_bytes() for p in litter.rglob("*") if p.is_file()} == files
    size = (litter / "units.sqlite").stat().st_size
    assert cli("gc", "--apply", "--out", litter.parent) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{litter}  12 units of other code, 2 leftover files: removed, ")
    assert said[1].endswith(" won back")
    assert not list(litter.rglob("*.part"))
    assert (litter / "figures" / "a.png").exists()
    assert (litter / "units.sqlite").stat().st_size < 0.6 * size
    assert done(litter) == before
    assert content(litter) == whole
    connection = sqlite3.connect(litter / "units.sqlite")
    assert connection.execute("SELECT DISTINCT code FROM units").fetchall() == [
        (experiment_code(FaultToy),)
    ]
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert cli("gc", "--apply", "--out", litter.parent) == 0
    assert capsys.readouterr().out == "0 B won back\n"
    assert cli("resume", litter, *QUIET) == 0
    assert done(litter) == before


def test_gc_leaves_failures_of_this_code(tmp_path):
    experiment = toy(tmp_path, at=(3,), how="fail")
    Path(experiment.log + ".broken").touch()
    with pytest.raises(RunError):
        percolaw.run(experiment, out=tmp_path / "runs")
    folder = default_folder(experiment, tmp_path / "runs")
    assert cli("gc", "--apply", "--out", tmp_path / "runs") == 0
    assert RunFolder(folder, config_dict(experiment)).counts() == {"done": 11, "failed": 1}


def test_gc_refuses_a_running_run(litter, capsys):
    (litter / "active.json").write_text(live())
    assert cli("gc", "--apply", "--out", litter.parent) == 1
    assert f"{litter} is being worked on; wait, or cancel it first" in capsys.readouterr().err
    assert len(list(litter.rglob("*.part"))) == 2


def test_gc_without_room_ends_in_a_message(litter, capsys, monkeypatch):
    connect = sqlite3.connect

    class Full(sqlite3.Connection):
        def execute(self, statement, *arguments):
            if statement == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(statement, *arguments)

    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=Full))
    assert cli("gc", "--apply", "--out", litter.parent) == 1
    assert "disk is full" in capsys.readouterr().err
