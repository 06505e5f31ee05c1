"""What is left behind in run folders is removed."""

import sqlite3
from pathlib import Path

import pytest
from fault_toy import (
    FaultToy,
    content,
    done,
    live,
    register,
    toy,
)
from run_commands import QUIET, cli

import percolaw
from percolaw.errors import RunError
from percolaw.experiments.base import config_dict
from percolaw.runs import code as source_code
from percolaw.runs.folders import open_config
from percolaw.runs.run import default_folder
from percolaw.runs.store import RunFolder, experiment_code


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


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


def test_gc_passes_over_a_config_of_another_experiment(tmp_path, capsys):
    """Edited by hand, or copied from another folder: no unit is taken for one of other code."""
    folder = percolaw.run(FaultToy(n_units=3), out=tmp_path).folder
    before = content(folder)
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text('{"experiment": "theory-curves", "config": {}}')
    assert cli("gc", "--apply", "--out", tmp_path) == 1
    assert "its name is of a run of fault-toy" in capsys.readouterr().err
    (folder / "config.json").write_text(text)
    assert content(folder) == before


@pytest.mark.parametrize(
    "text",
    [
        *("null", "[]", '{"config": {}}'),
        *('{"experiment": 3, "config": {}}', '{"experiment": "toy", "config": []}'),
    ],
)
def test_what_is_no_config_is_not_taken_for_one(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match="is not the config of a run"):
        open_config(tmp_path)
