"""What experiments on data share: units, claims, plots and text from measured rows."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from percolaw.analysis.findings import conclude
from percolaw.analysis.sample import as_sample
from percolaw.cli.experiments import print_findings
from percolaw.datasets.real.data import RealData
from percolaw.errors import MissingExtraError
from percolaw.experiments.real.analysis import (
    READINGS,
    DataAnalysis,
    measurement,
    missing_data,
    reading,
    real_sample,
)
from percolaw.experiments.real.data_plots import data_plots


@dataclass(frozen=True)
class Toy(DataAnalysis):
    """Two data sets: points in domains with a hierarchy, and points alone."""

    name: ClassVar[str] = "toy-analysis"
    title: ClassVar[str] = "Toy"
    presets: ClassVar[dict] = {}

    def names(self):
        return ("domains", "points")

    def data(self, name):
        x = np.random.default_rng(1).random((450, 2))
        fine = (np.floor(3 * x) @ [3, 1]).astype(int)
        levels = np.stack([fine // 3, fine], axis=1)
        function = None if name == "points" else levels
        return as_sample(
            x, function, level_names=("coarse", "fine") if function is not None else ()
        )


TOY = Toy(
    k=4,
    other_k=(3,),
    nulls=("critical", "permuted"),
    n_draws=20,
    learners=("nearest neighbour",),
    n_repeats=6,
)


@pytest.fixture(scope="module")
def rows():
    return [row for cell in TOY.cells() for row in TOY.measure(cell)]


@pytest.fixture(scope="module")
def concluded(rows):
    return TOY.conclude(rows)


def test_units_are_plain_and_rows_name_their_data(rows):
    cells = TOY.cells()
    assert json.loads(json.dumps(cells)) == cells
    assert {cell["data"] for cell in cells} == {"domains", "points"}
    assert len({json.dumps(cell, sort_keys=True) for cell in cells}) == len(cells)
    assert all(
        row["resolution"] == ("coarse", "fine")[row["level"]] for row in rows if "level" in row
    )
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_losses_of_one_neighbour_are_held_against_ranks(concluded, rows):
    assert len(concluded.claims) == 2
    assert "disagrees" not in [c.verdict for c in concluded.claims]
    assert all(c.predicted == 1.0 for c in concluded.claims)
    wrong = [
        r | {"value": 1.5 * r["value"]} if r["quantity"] == "loss" and r["value"] else r
        for r in rows
    ]
    assert [c.verdict for c in TOY.conclude(wrong).claims] == ["disagrees", "disagrees"]


def test_plots(concluded):
    names = [plot.id for plot in concluded.plots]
    assert len(set(names)) == len(names)
    for word in (
        "domains-connectivity",
        "points-connectivity",
        "domains-0-agreement",
        "domains-1-sizes",
    ):
        assert word in names
    assert "domains-1-flows" in names
    assert "domains-0-nearest-neighbour" in names
    assert all(plot.series for plot in concluded.plots)


def test_text_and_tables(concluded, capsys):
    said = concluded.tables[READINGS]
    assert json.loads(json.dumps(said)) == said
    titles = [s["title"] for s in said]
    assert any(t.startswith("domains, coarse: ") for t in titles)
    short = [s["short"] for s in said if "short" in s]
    assert [line.partition(": ")[0] for line in short] == ["domains, coarse", "domains, fine"]
    assert all("(not critical by: extent" in line and "beyond (unknown)" in line for line in short)
    show_result = SimpleNamespace(tables={READINGS: said})
    print_findings([SimpleNamespace(tables={}), show_result])
    shown = capsys.readouterr().out
    assert shown.split() == ["found:", *" ".join(short).split()]
    assert "domains, fine: clusters beside nulls" in titles
    assert all(len(row) == len(s["header"]) for s in said for row in s["rows"])
    assert any("without a function" in s["text"] for s in said)


def test_conclusions_do_not_depend_on_the_order_of_rows(concluded, rows):
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    again = TOY.conclude(shuffled)
    verdicts = [
        sorted(s["title"] for s in one.tables[READINGS] if s["rows"]) for one in (concluded, again)
    ]
    assert verdicts[0] == verdicts[1]


def test_a_data_set_is_read_once(monkeypatch):
    fresh = replace(TOY, seed=5)
    asked = []
    monkeypatch.setattr(Toy, "data", lambda self, name: asked.append(name) or TOY_DATA)
    for _ in range(3):
        measurement(fresh, "points")
    assert asked == ["points"]


TOY_DATA = Toy().data("points")


def test_a_data_set_without_labels_of_packages():
    x = np.random.default_rng(0).random((420, 3))
    data = RealData("d", x, "euclidean", ())
    assert real_sample(data).levels == ()
    labelled = RealData("d", x, "cosine", (), labels=np.arange(420) % 4)
    assert real_sample(labelled).classes.shape == (420, 1)
    assert real_sample(labelled).metric == "cosine"


def test_what_is_missing_is_said():
    def lacking():
        raise MissingExtraError("glove is not installed")

    assert missing_data(lacking) == "glove is not installed"
    assert missing_data(lambda: None) == ""


def test_bare_findings_have_text_and_a_plot():
    row = {"part": "geometry", "quantity": "largest component", "k": 6}
    row |= {"x": None, "low": None, "high": None}
    geometry = [row | {"n": n, "value": v} for n, v in ((800, 0.5), (400, 0.7))]
    findings = conclude(geometry, (), 6)
    assert [plot.id for plot in data_plots("my data", findings)] == ["my-data-connectivity"]
    assert len(reading("my data", findings)) == 1


@pytest.mark.parametrize(
    "changed", [{"k": 0}, {"n_draws": 3}, {"nulls": ("x",)}, {"learners": ("x",)}]
)
def test_fields_that_are_refused(changed):
    with pytest.raises(ValueError, match=next(iter(changed))[:4]):
        replace(TOY, **changed)
