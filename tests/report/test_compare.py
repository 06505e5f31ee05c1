"""Runs of one experiment: what tells them apart, and their curves in one plot."""

from dataclasses import replace

import pytest
from report_cases import check_page, record, write_run

from percolaw.report.compare import differing, labels, lighter, overlaid
from percolaw.report.html import build, read_run


@pytest.fixture
def runs(tmp_path):
    """Three runs, two of which differ in two fields, and one of another experiment."""
    first = record(size=9)
    configs = [
        first["config"],
        {**first["config"], "n_seeds": 17},
        {**first["config"], "clusters": {**first["config"]["clusters"], "n_clusters": 5}},
    ]
    made = [record(size=9, id=f"{i}" * 12, config=c) for i, c in enumerate(configs)]
    made.append(record("theory-curves", size=9))
    return [read_run(write_run(tmp_path / f"run-{i}", one)) for i, one in enumerate(made)]


def test_runs_are_told_apart_by_what_differs_in_their_configs(runs):
    assert labels(runs[:2]) == ["n_seeds = 3", "n_seeds = 17"]
    assert labels(runs[2:]) == ["", ""], "one of each experiment"
    assert differing(runs[:3]) == ["clusters.n_clusters", "n_seeds"]
    three = labels(runs[:3])
    assert len(set(three)) == 3
    assert three[1] == "clusters.n_clusters = 100, n_seeds = 17"


def test_runs_of_one_config_are_told_apart_by_their_folders(runs, tmp_path):
    again = replace(runs[0], folder=tmp_path / "elsewhere")
    names = labels([runs[0], again])
    assert names == [f"run 000000000000, {tmp_path.name}/{end}" for end in ("run-0", "elsewhere")]


def test_curves_of_all_runs_in_one_plot(runs):
    """A theory that is the same in both is drawn once; colours are lighter in the second run."""
    first, second = runs[:2]
    plot = second.plots[0]
    moved = replace(plot.series[0], y=tuple(2 * y for y in plot.series[0].y))
    second = replace(second, plots=(replace(plot, series=(moved, *plot.series[1:])),))
    ((both, colors),) = overlaid([first, second], ["a", "b"])
    names = [one.name for one in both.series]
    assert names == [
        *("first (a)", "second (a)", "theory", "points (a)", "limit"),
        *("first (b)", "second (b)", "points (b)"),
    ]
    by_name = dict(zip(names, both.series, strict=True))
    assert by_name["first (b)"].y == moved.y
    assert by_name["first (a)"].y == first.plots[0].series[0].y
    assert by_name["first (b)"].prediction == "theory"
    shade = dict(zip(names, colors, strict=True))
    assert shade["first (b)"] == lighter(shade["first (a)"], 0.62)
    assert both.window == plot.window


def test_a_theory_of_its_own_is_drawn_for_each_run(runs):
    first, second = runs[:2]
    plot = second.plots[0]
    theory = replace(plot.series[2], y=tuple(3 * y for y in plot.series[2].y))
    other = replace(plot, series=(*plot.series[:2], theory, *plot.series[3:]), window=(1.0, 10.0))
    ((both, _),) = overlaid([first, replace(second, plots=(other,))], ["a", "b"])
    by_name = {one.name: one for one in both.series}
    assert by_name["first (b)"].prediction == "theory (b)"
    assert by_name["theory (b)"].y == theory.y
    assert both.window is None, "each run has its own"


def test_the_page_shows_what_differs(runs):
    seen = check_page(build([run.folder for run in runs[:2]]))
    words = " ".join(seen.text)
    assert "n_seeds = 17" in words
    assert "2 runs" in words
    assert len(seen.data()) == 6, "two plots of each run and two of both"
    assert "Their configs are the same" not in words
    assert "versions of the code" not in words


def test_the_page_says_that_other_code_measured_a_run(tmp_path):
    folders = [write_run(tmp_path / f"{i}", record(size=9, code=f"{i}" * 16)) for i in range(2)]
    assert "2 versions of the code measured them" in build(folders)


def test_lighter():
    assert lighter("#0072B2", 0.0) == "#0072b2"
    assert lighter("#000000", 0.5) == "#808080"
