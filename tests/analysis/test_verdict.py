"""The rule of the verdict: each word, in its order, and the page that states it."""

from pathlib import Path

import numpy as np
import pytest

from percolaw.analysis import parts
from percolaw.analysis import verdict as rule

PAGE = Path(__file__).parents[2] / "docs" / "real-data.md"


def decided(failing=(), size=0, agreement=0, strength=0, permuted=True):
    conditions = [
        rule.Condition(name, {True: None, False: True}[name in failing] or name not in failing, "")
        for name in rule.CONDITIONS
    ]
    sides = {"size": size, "agreement": agreement, "strength": strength}
    return rule.decide(conditions, sides, permuted).word


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({}, "critical"),
        ({"permuted": False}, "label frequencies only"),
        ({"size": 1}, "critical"),
        *[({"failing": (name,)}, "undecided") for name in rule.CONDITIONS],
        ({"failing": ("shape",), "size": 1}, "supercritical domains"),
        ({"failing": ("shape",), "agreement": 1, "size": -1}, "supercritical domains"),
        ({"failing": ("shape",), "strength": 1}, "supercritical domains"),
        ({"failing": ("extent",), "size": -1}, "undecided"),
        ({"failing": ("extent", "flow"), "size": -1}, "subcritical"),
    ],
)
def test_the_rule(how, word):
    assert decided(**how) == word


def test_a_condition_that_could_not_be_tested_does_not_hold():
    conditions = [rule.Condition(name, True, "") for name in rule.CONDITIONS]
    conditions[-1] = rule.Condition("prediction", None, "no learning curve")
    verdict = rule.decide(conditions, {"size": 0, "agreement": 0}, None)
    assert verdict.word == "undecided"
    assert [c.name for c in verdict.failed] == ["prediction"]


def test_values_among_draws():
    draws = np.arange(200.0)
    assert rule.within(100.0, draws) == (True, 0)
    assert rule.within(199.0, draws) == (False, 1)
    assert rule.within(1.0, draws) == (False, -1)
    assert rule.within(np.nan, draws) == (None, 0)
    assert rule.within(100.0, np.where(draws < 120, np.nan, draws)) == (None, 0), "most unknown"
    assert rule.chance(300.0, draws) == pytest.approx(2 / 201)
    assert rule.above(300.0, draws) is True
    assert rule.above(150.0, draws) is False


def test_the_page_states_the_rule_word_for_word():
    page = PAGE.read_text(encoding="utf-8")
    for words in (rule.CONDITIONS, rule.VERDICTS, parts.NULLS):
        for name, text in words.items():
            assert f"| {name} | {text} |" in page, name
