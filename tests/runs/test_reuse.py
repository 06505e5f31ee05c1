"""Units shared between runs: what is measured anew, what is not, and what `measure` may read."""

import dataclasses
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from fault_toy import (
    begun,
    change,
    content,
    done,
    register,
    toy,
    undisturbed,
)
from run_commands import OLD

import percolaw
from percolaw.errors import RunError
from percolaw.experiments import fields
from percolaw.experiments.base import from_config, preset
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.runs import code as source_code
from percolaw.runs.folders import open_config


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


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


@pytest.mark.slow
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
        patch.setattr(source_code, "_digest", lambda texts: "another")
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


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_more_seeds_add_cells_and_change_none(name):
    cls = experiment_class(name)
    if "n_seeds" not in fields.judged(cls):
        return
    experiment = preset(cls, "smoke")
    more = dataclasses.replace(experiment, n_seeds=experiment.n_seeds + 1).cells()
    assert not [cell for cell in experiment.cells() if cell not in more]
