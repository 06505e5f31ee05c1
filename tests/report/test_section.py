"""The section of a run: colours of its plots, data as tables, what it was made of."""

from dataclasses import replace

import pytest
from report_cases import record, write_run

from percolaw.report import draw
from percolaw.report.reading import Entry, read_run
from percolaw.report.section import palette, plot_data, section
from percolaw.report.style import BLUE, ORANGE


@pytest.fixture
def run(tmp_path):
    return read_run(write_run(tmp_path / "run", record("theory-curves", size=9)))


def test_colours_of_a_plot_are_those_of_its_picture(run):
    """What stands alone depends on the paper, so the page names it and does not colour it."""
    colors = plot_data(run.plots[0])["colors"]
    assert colors[:3] == [BLUE, ORANGE, BLUE], "a theory has the colour of its curve"
    assert colors[-1] == "grey"
    alone = replace(run.plots[1].series[0], group="")
    assert plot_data(replace(run.plots[1], series=(alone,)))["colors"] == ["ink"]


def test_without_matplotlib_there_are_colours_and_no_shades(run, monkeypatch):
    def missing(n):
        raise ImportError("no matplotlib")

    plot = replace(run.plots[0], ordered=True)
    shaded = palette(plot)
    monkeypatch.setattr(draw, "shades", missing)
    assert palette(plot) == draw.colors(plot.series) != shaded


def test_a_section_names_its_run_and_what_tells_it_from_others(run):
    words = section(Entry(run, "place", "n_seeds = 17"))
    assert "run <code>0123456789ab</code>" in words
    assert '<span class="which">n_seeds = 17</span>' in words
    assert (
        '<a href="https://arxiv.org/abs/2412.07942" rel="noopener noreferrer">Brill 2024</a>'
        in words
    )
    assert "<details><summary>How to redo it</summary>" in words


def test_very_many_seeds_are_left_to_the_record(run, monkeypatch):
    assert len(plot_data(run.plots[0])["series"][0]["seeds"]) == 3
    monkeypatch.setattr("percolaw.report.section.SEED_NUMBERS", 3 * 9 - 1)
    assert plot_data(run.plots[0])["series"][0]["seeds"] is None
