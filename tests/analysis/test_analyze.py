"""`pl.analyze`, and what it gives says of itself: in a sentence, a table, a picture, a notebook."""

import numpy as np
import pytest

import percolaw as pl
from percolaw.analysis import parts


@pytest.fixture(scope="module")
def findings():
    """Classes that are two halves of a square, called by what a page could run."""
    points = np.random.default_rng(0).random((400, 2))
    classes = np.where(points[:, 0] > 0.5, "<b>", "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "MOST_SWEPT", 0.0)  # labels of maximum entropy are tried once
        return pl.analyze(points, classes, k=4, other_k=(), n_draws=20, learners=())


def test_words(findings):
    assert repr(findings) == "Findings(400 elements: supercritical domains)"
    assert str(findings) == findings.sentence
    assert "holds 100% of 50 elements and " in findings.sentence


def test_a_notebook_shows_the_conditions(findings):
    page = findings._repr_html_()
    assert "<h4>classes: supercritical domains</h4><table>" in page
    assert page.count("<tr>") == 8
    assert "<td>shape</td>" in page


def test_rows_as_a_table(findings):
    table = findings.to_frame()
    assert len(table["quantity"]) == len(findings.rows)


def test_plots(findings):
    pytest.importorskip("matplotlib")
    ax = findings.plot()
    labels = {text.get_text() for text in ax.get_legend().get_texts()}
    assert {"data", "critical", "maximum entropy"} <= labels
    assert ax.get_xscale() == "log"


def test_geometry_alone():
    pytest.importorskip("matplotlib")
    points = np.random.default_rng(0).random((400, 3))
    findings = pl.analyze(points, k=4, other_k=(), n_draws=20)
    assert findings.sentence.startswith("400 elements without a function: With k = 4")
    assert repr(findings) == "Findings(400 elements: geometry alone)"
    assert findings._repr_html_() == f"<p>{findings.sentence}</p>"
    assert findings.plot().get_ylabel() == "share in the largest part"


def test_learners_are_checked_before_anything_is_measured():
    points = np.random.default_rng(0).random((400, 3))
    with pytest.raises(ValueError, match="Did you mean 'kernel'"):
        pl.analyze(points, points[:, 0] > 0.5, learners=("kernl",))
    with pytest.raises(ValueError, match="non-finite"):
        pl.analyze(np.where(points > 0.999, np.nan, points))
