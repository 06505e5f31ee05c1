"""Commands on runs on disk: status, resume, retry, cancel, diff, export, gc; shared units; upgrades."""

import csv
import dataclasses
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_faults import (
    FaultToy,
    begun,
    change,
    content,
    done,
    flags,
    lines,
    live,
    register,
    start,
    toy,
    undisturbed,
    until,
)

import percolaw
from percolaw.cli import control, main
from percolaw.errors import RunError
from percolaw.experiments import fields
from percolaw.experiments.base import config_dict, content_id, from_config, preset
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.runs import code as source_code
from percolaw.runs import folders
from percolaw.runs.folders import export, open_config, run_folders, status
from percolaw.runs.run import default_folder
from percolaw.runs.store import RunFolder, experiment_code, read_record

OLD = Path(__file__).parent / "data" / "run-schema-1"
QUIET = ("--quiet", "--no-figures", "--workers", "1")


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


def cli(*words: object) -> int:
    return main([str(word) for word in words])


def known(name: str) -> Any:
    return experiment_class(name) if name in EXPERIMENTS else None


def interrupted_run(experiment: FaultToy, out: Path, n: int) -> Path:
    """A run that was stopped when n units were done."""

    def progress(n_done: int, total: int) -> None:
        if n_done >= n:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        percolaw.run(experiment, out=out, progress=progress)
    return default_folder(experiment, out)


# --- status ---------------------------------------------------------------------------------------


@pytest.fixture
def zoo(tmp_path):
    """One run in every state; name -> folder."""
    out = tmp_path / "runs"
    found = {"concluded": percolaw.run(toy(tmp_path, level=1.0), out=out).folder}
    found["unfinished"] = interrupted_run(toy(tmp_path, level=2.0), out, 5)
    failing = toy(tmp_path, level=3.0, at=(4, 7), how="fail")
    Path(failing.log + ".broken").touch()
    with pytest.raises(RunError):
        percolaw.run(failing, out=out)
    found["failed"] = default_folder(failing, out)
    found["running"] = interrupted_run(toy(tmp_path, level=4.0), out, 3)
    (found["running"] / "active.json").write_text(live(seconds_left=3725.0))
    found["damaged"] = interrupted_run(toy(tmp_path, level=5.0), out, 3)
    (found["damaged"] / "config.json").write_text("{")
    (out / "no-run").mkdir()
    (out / "a file").touch()
    return found


def test_status_of_every_state(zoo, capsys):
    capsys.readouterr()
    out = zoo["concluded"].parent
    assert cli("status", "--out", out) == 0
    said = capsys.readouterr()
    shown = dict(line.split("  ", 1) for line in said.out.splitlines())
    assert set(shown) == {str(path) for path in zoo.values()}
    assert shown[str(zoo["concluded"])] == "concluded  12/12 units"
    assert shown[str(zoo["unfinished"])] == "unfinished  5/12 units  (percolaw resume)"
    assert shown[str(zoo["failed"])] == "failed  10/12 units, 2 failed (percolaw retry)"
    running = shown[str(zoo["running"])]
    assert running.startswith("running  3/12 units  1 h 2 min left  on ")
    assert running.endswith(f":{os.getpid()}")
    assert shown[str(zoo["damaged"])] == "damaged"
    assert said.err.startswith(f"percolaw: {zoo['damaged']} is damaged: ")
    assert "config.json cannot be read" in said.err


def test_status_as_json(zoo, capsys):
    capsys.readouterr()
    assert cli("status", "--json", "--out", zoo["concluded"].parent) == 0
    found = {item["folder"]: item for item in json.loads(capsys.readouterr().out)}
    for state, path in zoo.items():
        item = found[str(path)]
        assert item["state"] == state
        if state != "damaged":
            assert (item["experiment"], item["units"]) == ("fault-toy", 12)
    assert found[str(zoo["failed"])]["failed"] == 2
    assert found[str(zoo["running"])]["seconds_left"] == 3725.0
    assert found[str(zoo["unfinished"])]["seconds_left"] is None
    assert "config.json" in found[str(zoo["damaged"])]["note"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.4, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (9e4, "25 h 0 min")],
)
def test_time_left_is_readable(seconds, text):
    assert control._duration(seconds) == text


def test_status_of_an_unknown_experiment(tmp_path, monkeypatch, capsys):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    monkeypatch.delitem(EXPERIMENTS, "fault-toy")
    capsys.readouterr()
    assert cli("status", "--out", tmp_path) == 0
    assert capsys.readouterr().out == f"{folder}  concluded  12 units\n"


def test_status_changes_nothing(zoo):
    def seen():
        return {
            path: path.read_bytes()
            for folder in zoo.values()
            for path in folder.rglob("*")
            if path.is_file() and not path.name.startswith("units.sqlite")
        } | {path: done(path) for path in zoo.values()}

    before = seen()
    assert cli("status", "--out", zoo["concluded"].parent) == 0
    assert seen() == before


def test_status_of_no_runs(tmp_path, capsys):
    assert cli("status", "--out", tmp_path) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}\n"
    assert cli("status", "--json", "--out", tmp_path) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert cli("status", "--out", tmp_path / "none") == 2
    assert f"there is no folder {tmp_path / 'none'}" in capsys.readouterr().err


@pytest.mark.parametrize("how", [[], ["--json"]])
def test_watch_ends_when_nothing_runs(tmp_path, capsys, monkeypatch, how):
    folder = interrupted_run(FaultToy(), tmp_path, 3)
    assert cli("status", "--watch", "--out", tmp_path, *how) == 0
    (folder / "active.json").write_text(live(seconds_left=5.0))
    sleeps = []

    def sleep(seconds):
        sleeps.append(seconds)
        if len(sleeps) == 2:
            (folder / "active.json").unlink()

    monkeypatch.setattr(control.time, "sleep", sleep)
    capsys.readouterr()
    assert cli("status", "--watch", "--out", tmp_path, *how) == 0
    assert sleeps == [2.0, 2.0]
    text = capsys.readouterr().out
    assert text.count("running") == 2
    assert text.count("unfinished") == 1


def test_status_while_a_command_runs(tmp_path, capsys):
    experiment = toy(tmp_path, n_units=60, seconds=0.1)
    folder = default_folder(experiment, tmp_path / "runs")
    process = start(*flags(experiment, tmp_path / "runs"))
    found = []

    def running():
        if folder.exists() and (folder / "units.sqlite").exists():
            found.append(status(folder, known))
        return found and found[-1].seconds_left is not None

    until(running)
    last = found[-1]
    assert last.state == "running"
    assert last.where.endswith(f":{process.pid}")
    assert 0.0 < last.seconds_left < 60.0
    assert 0 < last.done < 60
    assert last.units == 60
    process.kill()
    process.communicate()
    assert status(folder, known).state == "unfinished"


def test_run_of_older_code_that_is_measured_anew_is_not_concluded(tmp_path, monkeypatch):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    monkeypatch.setattr(source_code, "package_code", lambda: "another")
    interrupted_run(FaultToy(), tmp_path, 3)
    assert status(folder, known).done == 3
    assert status(folder, known).state == "outdated"


# --- resume and retry -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 7, 12])
def test_resume_needs_the_folder_only(tmp_path, capsys, n):
    experiment = toy(tmp_path)
    folder = interrupted_run(experiment, tmp_path / "runs", n)
    elsewhere = tmp_path / "moved" / "my run"
    elsewhere.parent.mkdir()
    folder.rename(elsewhere)
    assert cli("resume", elsewhere, *QUIET) == 0
    assert "1 agree" in capsys.readouterr().out
    assert begun(experiment) == list(range(12))
    assert content(elsewhere) == undisturbed(experiment, tmp_path)
    assert status(elsewhere, known).state == "concluded"


def test_resume_of_a_finished_run_measures_nothing_and_prints_json(tmp_path, capsys):
    experiment = toy(tmp_path)
    folder = percolaw.run(experiment, out=tmp_path / "runs").folder
    assert cli("resume", folder, *QUIET, "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "done"
    assert begun(experiment) == list(range(12))


def test_resume_of_a_real_experiment(tmp_path):
    experiment = from_config(experiment_class("dof-scan"), open_config(OLD)["config"])

    def progress(n_done, total):
        if n_done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        percolaw.run(experiment, out=tmp_path / "a", progress=progress)
    folder = default_folder(experiment, tmp_path / "a")
    assert cli("resume", folder, *QUIET) == 0
    peace = percolaw.run(experiment, out=tmp_path / "b")
    kept, other = read_record(folder), read_record(peace.folder)
    assert kept["claims"] == other["claims"]
    assert kept["tables"] == other["tables"]
    assert (folder / "rows.jsonl").read_bytes() == (peace.folder / "rows.jsonl").read_bytes()


@pytest.mark.parametrize("name", ["resume", "retry", "cancel", "export", "diff"])
def test_folders_that_are_no_runs_are_refused(tmp_path, capsys, name):
    more = {"export": ["--out", tmp_path / "x.csv"], "diff": [tmp_path]}.get(name, [])
    for place in (tmp_path, tmp_path / "none"):
        assert cli(name, place, *more) == 1
        err = capsys.readouterr().err
        assert str(place) in err
        assert "no config.json" in err or "no record.json" in err
    assert not (tmp_path / "none").exists()


def test_resume_of_an_unknown_experiment_says_how(tmp_path, monkeypatch, capsys):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    monkeypatch.delitem(EXPERIMENTS, "fault-toy")
    assert cli("resume", folder, *QUIET) == 1
    assert "which this percolaw does not know. Run it from Python" in capsys.readouterr().err


def test_retry_measures_the_failed_units_only(tmp_path, capsys):
    experiment = toy(tmp_path, at=(3, 8), how="fail")
    broken = Path(experiment.log + ".broken")
    broken.touch()
    with pytest.raises(RunError):
        percolaw.run(experiment, out=tmp_path / "runs")
    folder = default_folder(experiment, tmp_path / "runs")
    before, seen = done(folder), len(begun(experiment))
    capsys.readouterr()
    assert cli("retry", folder, *QUIET) == 1
    assert capsys.readouterr().out.startswith("2 failed units are measured again")
    assert begun(experiment)[seen:] == [3, 8]
    broken.unlink()
    seen = len(begun(experiment))
    assert cli("retry", folder, *QUIET) == 0
    assert begun(experiment)[seen:] == [3, 8]
    assert before.items() <= done(folder).items()
    assert content(folder) == undisturbed(experiment, tmp_path)
    capsys.readouterr()
    assert cli("retry", folder, *QUIET) == 0
    assert capsys.readouterr().out.startswith("0 failed units")
    assert len(begun(experiment)) == seen + 2


@pytest.mark.parametrize("words", [["--workers", "0"], ["--timeout", "-1"]])
def test_refused_retry_forgets_nothing(tmp_path, words):
    experiment = toy(tmp_path, at=(3,), how="fail")
    Path(experiment.log + ".broken").touch()
    with pytest.raises(RunError):
        percolaw.run(experiment, out=tmp_path / "runs")
    folder = default_folder(experiment, tmp_path / "runs")
    assert cli("retry", folder, "--no-figures", *words) == 2
    assert len(RunFolder(folder, config_dict(experiment)).failures()) == 1


# --- cancel ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_cancel_stops_a_command_gracefully(tmp_path, capsys, workers):
    experiment = toy(tmp_path, n_units=100, seconds=0.1)
    folder = default_folder(experiment, tmp_path / "runs")
    process = start(*flags(experiment, tmp_path / "runs", workers))
    until(lambda: len(done(folder)) > 2 and (folder / "active.json").exists())
    assert cli("cancel", folder) == 0
    assert capsys.readouterr().out.startswith("stopped; every finished unit is kept in ")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.strip() == (
        f"percolaw: cancelled; every finished unit is kept in {folder}, `percolaw resume` goes on."
    )
    before = done(folder)
    ended = {unit for what, unit, _ in lines(experiment) if what == "end"}
    assert 2 < len(before) < 100
    assert len(ended - set(before)) <= workers
    assert not (folder / "cancel").exists()
    assert not (folder / "active.json").exists()
    assert status(folder, known).state == "unfinished"
    assert "unfinished" in control._table([status(folder, known)])


def test_cancel_when_nothing_runs(tmp_path, capsys):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    assert cli("cancel", folder) == 0
    assert capsys.readouterr().out == f"nothing works on {folder}\n"
    assert not (folder / "cancel").exists()


def test_leftover_cancel_does_not_stop_the_next_run(tmp_path):
    experiment = toy(tmp_path, seconds=0.1)
    folder = interrupted_run(experiment, tmp_path / "runs", 2)
    (folder / "cancel").touch()
    assert cli("resume", folder, *QUIET) == 0
    assert not (folder / "cancel").exists()
    assert begun(experiment) == list(range(12))


def test_cancel_of_a_busy_process_says_so(tmp_path, capsys, monkeypatch):
    folder = interrupted_run(FaultToy(), tmp_path, 2)
    (folder / "active.json").write_text(live())
    monkeypatch.setattr(control.time, "sleep", lambda seconds: None)
    assert cli("cancel", folder) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"asked process {os.getpid()} on ")
    assert "when its present unit ends" in text
    assert (folder / "cancel").exists()


# --- diff -----------------------------------------------------------------------------------------


@pytest.fixture
def pair(tmp_path):
    one = percolaw.run(FaultToy(), out=tmp_path).folder
    two = percolaw.run(FaultToy(n_units=20, level=2.5), out=tmp_path).folder
    return one, two


def test_diff_of_config_and_claims(pair, capsys):
    one, two = pair
    assert cli("diff", one, one) == 0
    assert capsys.readouterr().out == "1 claims equal, 0 different\n"
    assert cli("diff", one, two) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == ["config level: 2.0 | 2.5", "config n_units: 12 | 20", "claim 'mean'"]
    assert "    predicted: 2 | 2.5" in said
    assert any(line.startswith("    interval: [") for line in said)
    assert said[-1] == "0 claims equal, 1 different"
    assert not any("code" in line for line in said)


def test_diff_as_json(pair, capsys):
    one, two = pair
    assert cli("diff", one, two, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"] == {"level": [2.0, 2.5], "n_units": [12, 20]}
    assert found["claims"]["mean"]["predicted"] == [2.0, 2.5]
    assert found["code"] == [experiment_code(FaultToy)] * 2
    assert found["same_claims"] == 0


def edit_record(folder: Path, edit: Any) -> None:
    record = json.loads((folder / "record.json").read_text())
    edit(record)
    (folder / "record.json").write_text(json.dumps(record))


def test_diff_of_code_and_missing_claims(pair, capsys):
    one, two = pair

    def edit(record):
        record["code"] = "0123456789abcdef"
        record["claims"].append({**record["claims"][0], "name": "extra"})

    edit_record(two, edit)
    assert cli("diff", one, two) == 0
    text = capsys.readouterr().out
    assert f"code: {experiment_code(FaultToy)} | 0123456789abcdef" in text
    assert f"claim 'extra'\n    only in: {two}" in text
    assert text.endswith("0 claims equal, 2 different\n")
    assert cli("diff", two, one) == 0
    assert f"claim 'extra'\n    only in: {two}" in capsys.readouterr().out


def test_diff_of_different_experiments(pair, tmp_path, capsys):
    other = percolaw.run(preset(experiment_class("theory-curves"), "smoke"), out=tmp_path).folder
    assert cli("diff", pair[0], other) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "experiment: fault-toy | theory-curves"
    assert any(line.startswith("config level: 2.0 | None") for line in said)


def test_diff_of_an_unfinished_run_is_refused(pair, tmp_path, capsys):
    unfinished = interrupted_run(FaultToy(level=7.0), tmp_path, 3)
    for words in ((pair[0], unfinished), (unfinished, pair[0])):
        assert cli("diff", *words) == 1
        assert f"{unfinished} has no record.json" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[]", "7", '{"claims": [{}]}', '{"claims": 3}'])
def test_diff_of_a_malformed_record_is_refused(pair, capsys, text):
    (pair[1] / "record.json").write_text(text)
    assert cli("diff", *pair) == 1
    assert "record.json" in capsys.readouterr().err


# --- export ---------------------------------------------------------------------------------------


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
        patch.setattr(source_code, "package_code", lambda: "another")
        with pytest.raises(RunError, match="no finished units of this code"):
            export(folder, tmp_path / "rows.csv")


# --- gc -------------------------------------------------------------------------------------------


@pytest.fixture
def litter(tmp_path, monkeypatch):
    """A run with units of other code and leftovers of killed writes."""
    out = tmp_path / "runs"
    with monkeypatch.context() as patch:
        patch.setattr(source_code, "package_code", lambda: "older")
        percolaw.run(FaultToy(padding=20_000), out=out)
    folder = percolaw.run(FaultToy(padding=20_000), out=out).folder
    (folder / "figures").mkdir()
    (folder / ".record.json.123.part").write_text("x" * 100)
    (folder / "figures" / ".a.png.123.part").write_text("x")
    (folder / "figures" / "a.png").write_text("x")
    return folder


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


# --- units shared between runs --------------------------------------------------------------------


def test_more_units_measure_the_new_ones_only(tmp_path):
    experiment = toy(tmp_path, n_units=6)
    percolaw.run(experiment, out=tmp_path / "runs")
    more = dataclasses.replace(experiment, n_units=10)
    folder = percolaw.run(more, out=tmp_path / "runs").folder
    assert begun(experiment) == list(range(10))
    assert content(folder) == undisturbed(more, tmp_path)
    fewer = dataclasses.replace(experiment, n_units=3)
    folder = percolaw.run(fewer, out=tmp_path / "runs").folder
    assert begun(experiment) == list(range(10))
    assert content(folder) == undisturbed(fewer, tmp_path)


def test_changed_tolerance_measures_nothing(tmp_path):
    experiment = toy(tmp_path)
    percolaw.run(experiment, out=tmp_path / "runs")
    other = dataclasses.replace(experiment, tolerance=0.01)
    result = percolaw.run(other, out=tmp_path / "runs")
    assert result.claims[0].tolerance == 0.01
    assert begun(experiment) == list(range(12))


@pytest.mark.parametrize("fields", [{"level": 3.0}, {"padding": 7}, {"seconds": 0.001}])
def test_changed_measurement_is_made_anew(tmp_path, fields):
    experiment = toy(tmp_path)
    percolaw.run(experiment, out=tmp_path / "runs")
    folder = percolaw.run(dataclasses.replace(experiment, **fields), out=tmp_path / "runs").folder
    assert begun(experiment) == [*range(12), *range(12)]
    assert len(done(folder)) == 12


def test_real_experiment_shares_its_seeds(tmp_path):
    first = from_config(experiment_class("dof-scan"), open_config(OLD)["config"])
    percolaw.run(first, out=tmp_path)
    more = dataclasses.replace(first, n_seeds=first.n_seeds + 1)
    seen: list[Any] = []
    folder = percolaw.run(more, out=tmp_path, progress=lambda *p: seen.append(p)).folder
    new, total = len(more.cells()) - len(first.cells()), len(more.cells())
    assert seen[0] == (total - new, total)
    peace = percolaw.run(more, out=tmp_path / "peace").folder
    assert (folder / "rows.jsonl").read_bytes() == (peace / "rows.jsonl").read_bytes()
    judged = dataclasses.replace(more, share_tolerance=0.5)
    seen.clear()
    percolaw.run(judged, out=tmp_path, progress=lambda *p: seen.append(p))
    assert seen == [(total, total)]


def test_failed_units_are_not_shared(tmp_path):
    experiment = toy(tmp_path, at=(2,), how="fail")
    broken = Path(experiment.log + ".broken")
    broken.touch()
    with pytest.raises(RunError):
        percolaw.run(experiment, out=tmp_path / "runs")
    broken.unlink()
    seen = len(begun(experiment))
    percolaw.run(dataclasses.replace(experiment, tolerance=0.4), out=tmp_path / "runs")
    assert begun(experiment)[seen:] == [2]


def test_units_of_other_code_are_not_shared(tmp_path, monkeypatch):
    experiment = toy(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(source_code, "package_code", lambda: "another")
        percolaw.run(experiment, out=tmp_path / "runs")
    percolaw.run(dataclasses.replace(experiment, tolerance=0.4), out=tmp_path / "runs")
    assert len(begun(experiment)) == 24


def neighbours(file: Path, kind: str) -> None:
    """Make a store unusable."""
    if kind == "noise":
        file.write_bytes(os.urandom(10_000))
    elif kind == "empty":
        file.write_bytes(b"")
    elif kind == "cut":
        file.write_bytes(file.read_bytes()[:5000])
    elif kind == "folder":
        file.unlink()
        file.mkdir()
    elif kind == "dangling":
        file.unlink()
        file.symlink_to("nowhere")
    elif kind == "old":
        shutil.copy(OLD / "units.sqlite", file)
    elif kind == "other table":
        file.unlink()
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE units (x)")
        connection.commit()
        connection.close()


@pytest.mark.parametrize(
    "kind", ["noise", "empty", "cut", "folder", "dangling", "old", "other table"]
)
def test_damaged_neighbours_are_passed_over(tmp_path, kind):
    experiment = toy(tmp_path, n_units=4)
    first = percolaw.run(experiment, out=tmp_path / "runs").folder
    neighbours(first / "units.sqlite", kind)
    other = dataclasses.replace(experiment, tolerance=0.4)
    folder = percolaw.run(other, out=tmp_path / "runs").folder
    assert begun(experiment) == [*range(4), *range(4)]
    assert content(folder) == undisturbed(other, tmp_path)


@pytest.mark.parametrize("rows", ["[{", "", None], ids=["cut", "empty", "no"])
def test_damaged_rows_of_neighbours_are_passed_over(tmp_path, rows):
    experiment = toy(tmp_path, n_units=4)
    first = percolaw.run(experiment, out=tmp_path / "runs").folder
    change(first, "UPDATE units SET rows = ? WHERE cell = '{\"unit\":2}'", rows)
    other = dataclasses.replace(experiment, tolerance=0.4)
    try:
        folder = percolaw.run(other, out=tmp_path / "runs").folder
    except (ValueError, TypeError) as error:
        pytest.fail(f"spoiled: {error}")
    assert begun(experiment) == [*range(4), 2]
    assert content(folder) == undisturbed(other, tmp_path)


@pytest.mark.parametrize("name", ["a b", "é", "50%", "x%20y", "a#b", "a?b", "a[b]c"])
def test_units_are_shared_in_folders_of_any_name(tmp_path, name):
    experiment = toy(tmp_path, n_units=4)
    percolaw.run(experiment, out=tmp_path / name)
    percolaw.run(dataclasses.replace(experiment, tolerance=0.4), out=tmp_path / name)
    assert begun(experiment) == list(range(4))


# --- what measure reads ---------------------------------------------------------------------------


def some_cells(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One cell of each kind: the smallest and first for every word in it."""
    found: dict[Any, dict[str, Any]] = {}
    for cell in cells:
        words = tuple(sorted((k, v) for k, v in cell.items() if isinstance(v, str)))
        sizes = [v for k, v in cell.items() if k != "seed" and isinstance(v, (int, float))]
        old = found.get(words)
        if old is None or (sum(sizes), cell.get("seed", 0)) < old[0]:
            found[words] = ((sum(sizes), cell.get("seed", 0)), cell)  # type: ignore[assignment]
    return [cell for _, cell in found.values()][:6]


#: Their units train networks: 3 to 5 s each.
TRAINING = ("nn-tuning", "nn-data-scaling", "nn-model-scaling", "effective-dof")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in TRAINING else n for n in EXPERIMENTS],
)
def test_measure_never_reads_what_is_judged(name):
    """`measure` runs on an object without these fields; and it reads nothing that stands for them."""
    cls = experiment_class(name)
    judged = fields.judged(cls)
    if not judged:
        return
    seen: set[str] = set()

    class Spy(cls):
        def __getattribute__(self, attribute):
            seen.add(attribute)
            return super().__getattribute__(attribute)

    experiment = preset(cls, "smoke")
    spy = Spy(**{f.name: getattr(experiment, f.name) for f in dataclasses.fields(cls)})
    for cell in some_cells(experiment.cells()):
        seen.clear()
        assert spy.measure(cell), cell
        assert not seen & {"__dict__", "cells", "conclude", *judged}, cell
    if "n_seeds" in judged:
        other = dataclasses.replace(experiment, n_seeds=experiment.n_seeds + 1)
        small = [cell for cell in experiment.cells() if cell not in other.cells()]
        assert not small, "more seeds add cells and change none"


# --- stores of older and newer versions -----------------------------------------------------------


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
