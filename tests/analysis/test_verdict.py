"""The rule of the verdict as a truth table, and how a value is held against draws."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest

from percolaw.analysis.parts import NULLS
from percolaw.analysis.reliability import BY_KIND, RELIABILITY
from percolaw.analysis.verdict import (
    CONDITIONS,
    MEANING,
    VERDICTS,
    Condition,
    above,
    chance,
    decide,
    least_level,
    p_values,
    ranged,
    within,
)

DRAWS = np.arange(1.0, 201.0)
NAN = np.full(200, np.nan)


def conditions(**changed):
    return [Condition(name, changed.get(name, True), "") for name in CONDITIONS]


def sides(size=0, agreement=0, strength=0):
    return {"size": size, "agreement": agreement, "strength": strength}


def word(size=0, agreement=0, permuted=True, strength=0, **changed):
    return decide(conditions(**changed), sides(size, agreement, strength), permuted).word


def test_critical_needs_every_condition():
    assert word() == "critical"
    assert word(permuted=None) == "critical"
    for name, held in itertools.product(CONDITIONS, (False, None)):
        assert word(**{name: held}) == "undecided"
    lacking = decide(conditions()[:-1], sides(), True)
    assert lacking.word == "undecided"


@pytest.mark.parametrize(
    ("size", "agreement", "permuted", "flow", "expected"),
    [
        (1, 0, True, True, "supercritical domains"),
        (0, 1, True, True, "supercritical domains"),
        (-1, 1, True, False, "supercritical domains"),
        (1, -1, None, None, "supercritical domains"),
        (-1, 0, True, False, "subcritical"),
        (-1, -1, True, None, "undecided"),
        (-1, 0, True, True, "undecided"),
        (0, -1, True, False, "undecided"),
        (0, 0, None, None, "undecided"),
        *(
            (s, a, False, f, "label frequencies only")
            for s in (-1, 0, 1)
            for a in (0, 1)
            for f in (True, False)
        ),
    ],
)
def test_truth_table(size, agreement, permuted, flow, expected):
    assert word(size, agreement, permuted, flow=flow, extent=False) == expected
    assert expected in VERDICTS
    sturdy = word(size, agreement, permuted, strength=1, flow=flow, extent=False)
    assert sturdy == ("supercritical domains" if permuted is not False else expected)
    assert word(size, agreement, permuted, strength=-1, flow=flow, extent=False) == expected


def test_chance_labels_are_never_critical():
    assert word(permuted=False) == "label frequencies only"


def test_failed_conditions_are_named_in_order():
    verdict = decide(conditions(tail=None, shape=False), sides(), True)
    assert [c.name for c in verdict.failed] == ["shape", "tail"]


def test_central_range_and_side():
    assert within(100.0, DRAWS) == (True, 0)
    assert within(6.0, DRAWS) == (True, 0)  # 5.975 to 195.025 hold 95% of them
    assert within(5.9, DRAWS) == (False, -1)
    assert within(195.1, DRAWS) == (False, 1)
    assert within(math.nan, DRAWS) == (None, 0)
    assert within(1.0, NAN) == (None, 0)
    assert within(-9.0, np.where(DRAWS > 99, np.nan, DRAWS)) == (None, 0)  # most are unknown
    assert within(-9.0, np.where(DRAWS > 101, np.nan, DRAWS)) == (False, -1)
    assert within(-9.0, DRAWS[:19]) == (None, 0)  # too few
    same = np.full(50, 5.52)
    assert within(5.52, same) == (None, 0), "what cannot be otherwise says nothing"
    assert within(5.6, same) == (False, 1)


@pytest.mark.parametrize("values", [[1, 2, 3, 4, 5], [1, 1, 2, 2, 2], [0, 0, 0, 0, 0]])
def test_p_is_below_x_at_most_as_often_as_x(values):
    """Each of five exchangeable values is the data once: the exact law of p."""
    results = [p_values(values[i], np.delete(values, i)) for i in range(5)]
    two_sided = [chance(values[i], np.delete(values, i)) for i in range(5)]
    for level in np.arange(1, 6) / 5:
        for p in (*np.transpose(results), two_sided):
            assert np.mean(np.asarray(p) <= level + 1e-9) <= level + 1e-9
    if len(set(values)) == 5:  # without ties the bound is reached
        assert sorted(above for above, _ in results) == pytest.approx(np.arange(1, 6) / 5)


def test_ties_count_on_both_sides():
    assert p_values(3.0, np.array([1.0, 3.0, 3.0, 5.0])) == (0.8, 0.8)
    assert chance(3.0, np.array([1.0, 3.0, 3.0, 5.0])) == 1.0


def test_chance_among_draws():
    assert chance(0.0, DRAWS) == pytest.approx(2 / 201)
    assert chance(1e9, np.append(DRAWS, np.nan)) == pytest.approx(2 / 201)
    assert chance(100.5, DRAWS) == 1.0
    assert math.isnan(chance(math.nan, DRAWS))
    assert math.isnan(chance(0.0, NAN))


def test_above_at_one_percent():
    assert above(199.5, DRAWS)  # one draw is above: p = 2/201
    assert not above(198.5, DRAWS)
    assert not above(-1.0, DRAWS)
    assert above(20.5, DRAWS[:20])  # as small as so few draws allow
    assert not above(19.5, DRAWS[:20])
    assert above(-1.0, DRAWS) is False  # what `decide` looks for
    assert above(math.nan, DRAWS) is None
    assert above(0.0, NAN) is None


def test_level_of_few_draws():
    assert least_level(200) == 0.01
    assert least_level(20) == pytest.approx(2 / 21)
    assert chance(0.0, DRAWS[:20]) <= least_level(20)


def test_words_for_a_range():
    assert ranged("share", 0.5, DRAWS) == "share 0.5, surrogates 5.98 to 195"
    assert ranged("share", 0.5, NAN) == "share 0.5, surrogates unknown"
    assert ranged("share", math.nan, DRAWS) == "share unknown, surrogates 5.98 to 195"


def test_the_page_states_the_rule_word_for_word():
    page = (Path(__file__).parents[2] / "docs" / "real-data.md").read_text(encoding="utf-8")
    for words in (CONDITIONS, VERDICTS, NULLS):
        for name, text in words.items():
            assert f"| {name} | {text} |" in page, name


def test_what_is_said_of_wrong_verdicts_was_measured():
    """The shares by kind are means over the states in the published table."""
    page = Path(__file__).parents[2] / "docs/results/analyze-confusion-laptop/claims.md"
    lines = [line.strip("|").split("|") for line in page.read_text("utf-8").splitlines()]
    states = {
        cells[0].strip(): cells[1:6] for cells in lines if len(cells) == 7 and "%" in cells[1]
    }
    shares = {name: [float(c.strip(" %")) for c in cells] for name, cells in states.items()}
    kinds = {row[0]: row for row in BY_KIND}
    for kind, words in {
        "critical lattice, d = 3, all sites": ("d = 3, 1 p_c, 100%",),
        "lattice at 0.7 p_c": ("0.7 p_c",),
        "critical lattice, 10 or 3% of the sites": (", 1 p_c, 10%", ", 1 p_c, 3%"),
        "random labels": ("random labels",),
    }.items():
        rows = [row for name, row in shares.items() if any(word in name for word in words)]
        means = [round(sum(column) / len(rows)) for column in zip(*rows, strict=True)]
        assert list(kinds[kind][2:]) == means
        assert kinds[kind][1] % len(rows) == 0
    assert sum(row[1] for row in BY_KIND) % len(shares) == 0
    assert f"{kinds['critical lattice, d = 2, all sites'][2]}% were seen in two" in RELIABILITY
    assert set(MEANING) == set(VERDICTS)
