"""Commands on runs on disk: status, resume, retry, cancel, diff."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from fault_toy import (
    FaultToy,
    begun,
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
from run_commands import OLD, QUIET, cli, interrupted_run, known

import percolaw
from percolaw.cli import control, main
from percolaw.errors import RunError
from percolaw.experiments.base import config_dict, from_config, preset
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.runs import code as source_code
from percolaw.runs.folders import open_config
from percolaw.runs.run import default_folder
from percolaw.runs.status import status
from percolaw.runs.store import RunFolder, experiment_code, read_record


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """One run in every state, for tests that change none; name -> folder."""
    tmp_path = tmp_path_factory.mktemp("zoo")
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


# --- status ---------------------------------------------------------------------------------------


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
    process = start(*flags(experiment, tmp_path / "runs", 1))
    found = []

    def running():
        if folder.exists() and (folder / "units.sqlite").exists():
            found.append(status(folder, known))
        return found and found[-1].seconds_left is not None

    until(running)
    last = found[-1]
    assert last.state == "running"
    assert last.where.endswith(f":{process.pid}")
    assert 0.0 < last.seconds_left < 600.0  # 6 s at rest; on a busy machine ten times as much
    assert 0 < last.done < 60
    assert last.units == 60
    process.kill()
    process.communicate()
    assert status(folder, known).state == "unfinished"


def test_run_of_older_code_that_is_measured_anew_is_not_concluded(tmp_path, monkeypatch):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    monkeypatch.setattr(source_code, "_digest", lambda texts: "another")
    interrupted_run(FaultToy(), tmp_path, 3)
    assert status(folder, known).done == 3
    assert status(folder, known).state == "outdated"


# --- resume and retry -----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 7, 12])
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


@pytest.mark.slow
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
        found = "is no run folder" if place.exists() or name != "diff" else "no record.json"
        assert found in err or "no record.json" in err
        assert ("nothing of that name" in err) == (not place.exists() and name != "diff")
    assert not (tmp_path / "none").exists()


def test_resume_of_an_unknown_experiment_says_how(tmp_path, monkeypatch, capsys):
    folder = percolaw.run(FaultToy(), out=tmp_path).folder
    monkeypatch.delitem(EXPERIMENTS, "fault-toy")
    assert cli("resume", folder, *QUIET) == 1
    assert "Run it from Python: percolaw.run(experiment, folder=...)" in capsys.readouterr().err


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


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
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


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("two")
    one = percolaw.run(FaultToy(), out=out).folder
    return one, percolaw.run(FaultToy(n_units=20, level=2.5), out=out).folder


@pytest.fixture
def pair(tmp_path, two_runs):
    """Copies of two runs, which a test may spoil."""
    return tuple(shutil.copytree(run, tmp_path / run.name) for run in two_runs)


# --- diff -----------------------------------------------------------------------------------------


def test_diff_of_config_and_claims(pair, capsys):
    one, two = pair
    assert cli("diff", one, one) == 0
    assert capsys.readouterr().out == "1 claim equal, 0 different\n"
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


@pytest.mark.parametrize("text", ["7", '{"claims": [{}]}', '{"claims": 3}'])
def test_diff_of_a_malformed_record_is_refused(pair, capsys, text):
    (pair[1] / "record.json").write_text(text)
    assert cli("diff", *pair) == 1
    assert "record.json" in capsys.readouterr().err


def test_a_run_of_nearly_the_name_that_was_typed_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "toy-0123abcd").mkdir(parents=True)
    for command in ("resume", "report"):
        assert main([command, "toy-0123"]) == 2
        assert "there is no run toy-0123. Did you mean toy-0123abcd?" in capsys.readouterr().err
