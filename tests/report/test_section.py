"""The section of a run: colours of its plots, data as tables, what it was made of."""

from dataclasses import replace

import pytest
from report_cases import HOSTILE, check_page, record, write_run

from percolaw.report import colors
from percolaw.report.colors import palette
from percolaw.report.html import build
from percolaw.report.reading import Entry, read_run
from percolaw.report.section import OPEN_ROWS, OPEN_TABLES, plot_data, section
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
    monkeypatch.setattr(colors, "shades", missing)
    plain = colors.colors(plot.series)
    assert palette(plot) == [plain[one.name] for one in plot.series] != shaded


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


# --- what an experiment says in words -------------------------------------------------------------


def reading(**changed):
    whole = {"title": "A title", "text": "A sentence.", "header": ["what", "it is"]}
    return {**whole, "rows": [["one", "two"]], **changed}


def page_of(tmp_path, said):
    return build([write_run(tmp_path / "said", record("theory-curves", tables={"readings": said}))])


def test_readings_stand_before_the_plots_and_fold_where_they_are_long(tmp_path):
    rows = [[str(i), "x"] for i in range(OPEN_ROWS + 1)]
    page = page_of(tmp_path, [reading(), reading(title="Long", rows=rows), reading(rows=[])])
    assert "<h3>A title</h3><p>A sentence.</p><div" in page
    assert "<details><summary>Table: Long</summary><div" in page
    assert page.count("Table: ") == 1
    assert page.index("A sentence.") < page.index('<div class="plots">')
    assert '<div class="readings">' not in page_of(tmp_path, [])
    assert "What was found" not in page_of(tmp_path, [])
    assert page.index("What was found") < page.index('id="claims"'), "said first"
    many = page_of(tmp_path, [reading()] * (OPEN_TABLES + 1))
    assert many.count("Table: A title") == OPEN_TABLES + 1


@pytest.mark.parametrize("text", HOSTILE)
def test_readings_are_text(tmp_path, text):
    seen = check_page(
        page_of(tmp_path, [reading(title=text, text=text, header=[text, "b"], rows=[["a", text]])])
    )
    assert len([tag for tag, _ in seen.tags if tag == "script"]) == 1 + len(seen.data())


@pytest.mark.parametrize(
    "said",
    [
        *(None, 3, "text", {}, {"title": "A title"}, [None], [3], ["A title"], [[]], [{}]),
        *([reading(title=3)], [reading(text=None)], [reading(header="ab")], [reading(rows=7)]),
        *([reading(rows=["ab"])], [reading(rows=[["one"]])], [reading(rows=[["one", 2]])]),
        *([reading(rows={"a": 1})], [reading(header=None)], [reading(), {"title": "A title"}]),
    ],
)
def test_what_others_keep_under_this_key_is_no_reading(tmp_path, said):
    assert '<div class="readings">' not in page_of(tmp_path, said)
