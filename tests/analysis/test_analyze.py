"""`analyze` from arrays to a verdict."""

import numpy as np
import pytest
from scipy import sparse

from percolaw.analysis.analyze import analyze, at_most
from percolaw.analysis.class_draws import TRIES
from percolaw.analysis.sample import as_sample

RNG = np.random.default_rng(0)
POINTS = RNG.random((420, 2))
QUICK = {"n_draws": 20, "learners": (), "other_k": ()}


@pytest.fixture(autouse=True)
def few_sweeps(monkeypatch):
    monkeypatch.setattr("percolaw.analysis.class_draws.TRIES", TRIES[:1])


def test_points_with_classes():
    findings = analyze(POINTS, POINTS[:, 0] > 0.5, **QUICK)
    assert findings.verdicts[0].word == "supercritical domains"
    assert findings.n == 420
    assert findings.sentence.startswith("supercritical domains")


def test_points_alone():
    findings = analyze(POINTS, **QUICK)
    assert findings.verdicts == ()
    assert "420 elements without a function" in findings.sentence


def test_strings_and_graphs():
    words = ["".join("abcd"[(i // 4**j) % 4] for j in range(5)) for i in range(420)]
    assert analyze(words, metric="hamming", **QUICK).n == 420
    ring = sparse.csr_array((np.ones(420), (np.arange(420), (np.arange(420) + 1) % 420)))
    findings = analyze(ring, np.arange(420) // 60, metric="graph", **QUICK)
    assert len(findings.verdicts) == 1


def test_no_more_than_asked_are_used_and_rows_stay_in_order():
    sample = as_sample(POINTS, np.arange(420) % 3)
    assert at_most(sample, 500, 0) is sample
    some = at_most(sample, 400, 0)
    rows = [int(np.flatnonzero((p == POINTS).all(axis=1))[0]) for p in some.elements]
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(some.classes[:, 0], np.array(rows) % 3)
    assert np.any(at_most(sample, 400, 1).elements != some.elements)
    with pytest.raises(ValueError, match="n_most"):
        at_most(sample, 399, 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 30}, "not more than k = 30"),
        ({"other_k": (400,)}, "not more than k = 400"),
        ({"n_draws": 5}, "n_draws"),
        ({"learners": ("forest",)}, "learner"),
        ({"metric": "hamming"}, "uint8"),
        ({"y": np.zeros(420, int)}, "two classes are the least"),
        ({"seed": -1}, "seed"),
        ({"n_most": 10}, "n_most"),
    ],
)
def test_refused_before_anything_is_measured(changed, message, monkeypatch):
    monkeypatch.setattr(
        "percolaw.analysis.parts.Measurement.rows", lambda *a: pytest.fail("measured")
    )
    with pytest.raises((ValueError, TypeError), match=message):
        analyze(POINTS, **({"y": np.arange(420) % 2} | QUICK | changed))


# --- what it gives says of itself ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def findings():
    """Classes that are two halves of a square, called by what a page could run."""
    points = np.random.default_rng(0).random((400, 2))
    classes = np.where(points[:, 0] > 0.5, "<b>", "a")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "percolaw.analysis.class_draws.TRIES", TRIES[:1]
        )  # labels of maximum entropy are tried once
        return analyze(points, classes, k=4, other_k=(), n_draws=20, learners=())


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


def test_geometry_alone_is_drawn():
    pytest.importorskip("matplotlib")
    points = np.random.default_rng(0).random((400, 3))
    findings = analyze(points, k=4, other_k=(), n_draws=20)
    assert findings.sentence.startswith("400 elements without a function: With k = 4")
    assert repr(findings) == "Findings(400 elements: geometry alone)"
    assert findings._repr_html_() == f"<p>{findings.sentence}</p>"
    assert findings.plot().get_ylabel() == "share in the largest part"
