"""Rows of runs in long form, and exported."""

import csv
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fault_toy import FaultToy, register
from run_commands import cli, interrupted_run

import percolaw
from percolaw.errors import RunError
from percolaw.runs import code as source_code
from percolaw.runs import folders
from percolaw.runs.folders import export
from percolaw.runs.rows import long_rows

SUFFIXES = [".csv", ".jsonl", ".parquet"]


@pytest.fixture(autouse=True)
def _toy_is_known(monkeypatch):
    register(monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return percolaw.run(FaultToy(n_units=12), out=tmp_path_factory.mktemp("runs")).folder


# --- the long form ----------------------------------------------------------------------------------


def test_lists_of_a_row_stand_side_by_side():
    row = {"n": [10, 30], "loss": [0.5, 0.2], "best": 0.1, "quantiles": [1.0, 2.0, 3.0]}
    table = long_rows([({"seed": 4}, [row, {"note": "no lists"}])])
    assert table == {
        "cell": [0] * 6,
        "row": [0] * 5 + [1],
        "position": [0, 1, 0, 1, 2, None],
        "seed": [4] * 6,
        "best": [0.1] * 5 + [None],
        "n": [10, 30] + [None] * 4,
        "loss": [0.5, 0.2] + [None] * 4,
        "quantiles": [None, None, 1.0, 2.0, 3.0, None],
        "note": [None] * 5 + ["no lists"],
    }


def test_what_is_nested_is_taken_apart():
    row = {
        "by": {"k": [1, 2], "deep": {"x": 3}},
        "place": [[1.0, 2.0], [3.0, 4.0]],
        "bins": [{"low": 1, "r": [5]}, {"low": 2}],
        "row": "mine",
        "empty": [],
    }
    table = long_rows([({}, [row])])
    assert table["by.k"] == [1, 2]
    assert table["by.deep.x"] == [3, 3]
    assert (table["place.0"], table["place.1"]) == ([1.0, 3.0], [2.0, 4.0])
    assert (table["bins.low"], table["bins.r.0"]) == ([1, 2], [5, None])
    assert (table["row"], table["row_"]) == ([0, 0], ["mine", "mine"])
    assert "empty" not in table
    assert long_rows([({}, [{"empty": [], "x": 1}])])["x"] == [1]


def test_the_order_does_not_depend_on_who_ended_first():
    units = [({"kind": kind, "seed": seed}, [{"x": seed}]) for kind in "ab" for seed in (2, 10, 1)]
    table = long_rows(units)
    assert table == long_rows(units[::-1])
    assert table["seed"] == [1, 2, 10] * 2
    assert long_rows([]) == {}


def test_sizes_stand_beside_losses(finished):
    """In the experiments whose rows hold curves."""
    from percolaw.experiments.registry import experiment_class

    e = experiment_class("kernel-scaling")(
        n_seeds=1, cluster_dims=(), cube_dims=(1,), lattices=(), largest=300, n_test=50
    )
    cell = e.cells()[0]
    table = long_rows([(cell, e.measure(cell))])
    assert table["n"][: e.sizes().size] == e.sizes().tolist()
    assert None not in table["n"] + table["loss"]


# --- export -----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_export_has_every_row(finished, tmp_path, suffix, capsys):
    rows = [json.loads(line) for line in (finished / "rows.jsonl").read_text().splitlines()]
    lines = exported(finished, tmp_path / f"rows{suffix}")
    for key, inside in (("value", lambda r: r["value"]), ("square", lambda r: r["square"])):
        stored = [inside(row) for row in rows if key in row]
        back = [line for line in lines if line.get(key) not in (None, "")]
        back = {(int(line["cell"]), int(line["row"])): float(line[key]) for line in back}
        assert list(back.values()) == stored
    assert [float(line["nested.0"] or "nan") for line in lines[:1]] == rows[0]["nested"][0]
    file = tmp_path / f"again{suffix.upper()}"
    assert cli("export", finished, "--out", file) == 0
    assert capsys.readouterr().out == f"{len(lines)} lines in {file}\n"
    if suffix == ".csv":
        assert b"\r" not in file.read_bytes()


@dataclass(frozen=True)
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
    lines = exported(folder, tmp_path / f"rows{suffix}")[:6]
    assert [float(line["value"]) for line in lines] == [math.inf, 3.0, 3.0, 0.1, 0.1, 1e300]
    assert float(lines[0]["other"]) == -math.inf
    assert math.isnan(float(lines[0]["third"] or "nan"))  # Parquet holds no NaN beside null
    assert [float(line["matrix.1"]) for line in lines[1:3]] == [1.0, 3.0]
    assert float(lines[3]["table.a"]) == 1.0
    assert lines[5]["text"] == 'a,"b"\nc;é\t'
    assert lines[5]["flag"] in (True, "True")


def test_parquet_refuses_columns_of_two_kinds(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    mixed = [({"unit": 0}, [{"x": 1.5}, {"x": "one"}])]
    monkeypatch.setattr(folders, "kept_units", lambda path: mixed)
    with pytest.raises(RunError, match=r"Export them as \.jsonl, which takes any rows"):
        export(tmp_path, tmp_path / "rows.parquet")
    assert export(tmp_path, tmp_path / "rows.jsonl") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.jsonl"]


def test_export_of_an_unfinished_run_is_what_there_is(tmp_path):
    folder = interrupted_run(FaultToy(), tmp_path, 3)
    lines = exported(folder, tmp_path / "rows.csv")
    assert len({line["cell"] for line in lines}) == 3


def test_export_of_nothing_is_refused(tmp_path, capsys):
    folder = interrupted_run(FaultToy(), tmp_path, 0)
    assert cli("export", folder, "--out", tmp_path / "rows.csv") == 1
    assert "no finished units of this code" in capsys.readouterr().err
    assert not (tmp_path / "rows.csv").exists()


def test_wrong_targets_of_exports(finished, tmp_path, capsys):
    (tmp_path / "folder.csv").mkdir()
    for name, text in (
        ("rows.xlsx", "export suffix"),
        ("rows", "export suffix"),
        ("none/rows.csv", f"there is no folder {tmp_path / 'none'} to export to; make it"),
        ("folder.csv", "folder.csv exists; name another file"),
    ):
        assert cli("export", finished, "--out", tmp_path / name) == 2
        assert text in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.csv"]


def test_a_file_is_replaced_only_when_asked(finished, tmp_path, capsys):
    file = tmp_path / "rows.csv"
    file.write_text("old")
    assert cli("export", finished, "--out", file) == 2
    assert "exists; name another file, or replace it with --overwrite" in capsys.readouterr().err
    assert file.read_text() == "old"
    assert cli("export", finished, "--out", file, "--overwrite") == 0
    assert file.read_text().startswith("cell,row,position,unit,")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_export_is_whole_or_not_at_all(finished, tmp_path, monkeypatch, suffix):
    file = tmp_path / f"rows{suffix}"
    file.write_text("old")

    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            export(finished, file, overwrite=True)
    assert file.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_units_are_those_of_the_record(tmp_path, monkeypatch):
    """A finished run is exported whole after the code has changed; an unfinished one has the present."""
    folder = percolaw.run(FaultToy(), out=tmp_path / "one").folder
    begun = interrupted_run(FaultToy(), tmp_path / "two", 3)
    monkeypatch.setattr(source_code, "_digest", lambda texts: "another")
    assert export(folder, tmp_path / "rows.csv") > 0
    with pytest.raises(RunError, match="no finished units of this code"):
        export(begun, tmp_path / "begun.csv")


def test_damaged_units_are_left_out_and_said(finished, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(folders, "damaged_units", lambda path: 2)
    assert cli("export", finished, "--out", tmp_path / "rows.csv") == 0
    assert "2 unit(s) are damaged and left out" in capsys.readouterr().err
