"""What the page begins with: verdicts in a line, what disagrees, links."""

import pytest
from report_cases import check_page, claim, record, write_run

from percolaw.report import overview
from percolaw.report.html import page, read_run
from percolaw.report.reading import Entry


@pytest.fixture
def runs(tmp_path):
    quiet = record("teachers", claims=[claim("quiet")])
    return [
        read_run(write_run(tmp_path / name, one))
        for name, one in (("loud", record()), ("quiet", quiet))
    ]


def test_the_bar_of_verdicts_adds_up_to_all_claims(runs):
    claims = [one for run in runs for one in run.claims]
    words = overview.headline(claims, ["one", "two"])
    assert "2 experiments, 4 claims: 2 agree, 1 disagree, 1 inconclusive." in words
    assert '"agrees" x="0.00" y="0" width="50.00"' in words
    assert '"inconclusive" x="75.00" y="0" width="25.00"' in words
    assert "svg" not in overview.headline([], ["one"])
    assert "2 experiments in 3 runs, 4 claims" in overview.headline(claims, ["one", "two", "one"])


def entries(runs):
    return [Entry(runs[0], "a", ""), Entry(runs[1], "b", "n = 3")]


def test_what_disagrees_stands_before_the_claims_and_the_runs(runs):
    text = page(runs)
    seen = check_page(text)
    order = [text.index(part) for part in ("What disagrees", 'id="claims"', 'class="run"')]
    assert order == sorted(order)
    place = overview.disagreements(entries(runs))
    assert place.count("<li>") == 1
    assert '<a href="#a">1-NN exponent, infinite, d = 4</a>' in place
    assert "predicted 0.5 &plusmn; 0.03, measured 0.49 [0.45, 0.53]" in place
    assert ("details", {"id": "claims", "class": "claims"}) in seen.tags, "folded"
    nothing = overview.disagreements([Entry(runs[1], "b", "")])
    assert nothing == "<p>No claim disagrees with its prediction.</p>"


def test_links_say_which_run_has_disagreements(runs):
    bar = overview.navigation(entries(runs))
    assert 'href="#a">model-scaling <span class="against">1 ✕</span>' in bar
    assert 'href="#b">teachers n = 3</a>' in bar
