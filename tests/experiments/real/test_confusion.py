"""The share of false criticals, whose published value is zero, is a count that can be another."""

import dataclasses

import pytest

from percolaw.experiments.real import confusion
from percolaw.experiments.registry import experiment_class


@pytest.fixture(scope="module")
def experiment():
    cls = experiment_class("analyze-confusion")
    return cls(**{**cls.presets["smoke"].config, "n_seeds": 50})


def concluded(experiment, verdict):
    """The claim and the table of data sets whose verdicts `verdict` gives by state."""
    rows = [
        {**cell, "verdict": verdict(experiment.states()[cell["state"]].state), "failed": ""}
        for cell in experiment.cells()
    ]
    found = experiment.conclude(rows)
    (claim,) = found.claims
    return claim, found.tables["readings"][0]


def test_every_false_critical_counts_and_no_other(experiment):
    states = {known.state for known in experiment.states().values()}
    assert {"critical", "other"} <= states
    right, table = concluded(experiment, lambda s: "undecided" if s == "other" else "critical")
    assert (right.measured, right.predicted, right.verdict) == (0.0, 0.0, "agrees")
    assert "100%" in table["text"]  # of dense critical lattices
    wrong, table = concluded(experiment, lambda s: "critical")
    assert (wrong.measured, wrong.verdict) == (1.0, "disagrees")
    assert wrong.interval[0] > 0.2
    assert "100%" in table["text"]
    assert "0% in d" in concluded(experiment, lambda s: "undecided")[1]["text"]


def test_verdicts_are_those_of_the_analysis(experiment, monkeypatch):
    """A rule that finds everything critical is reported as such."""
    monkeypatch.setattr(confusion, "conclude", always_critical(confusion.conclude))
    cell = next(c for c in experiment.cells() if experiment.states()[c["state"]].state == "other")
    (row,) = experiment.measure(cell)
    assert (row["verdict"], row["state"]) == ("critical", cell["state"])


def always_critical(conclude):
    def changed(*given):
        found = conclude(*given)
        verdicts = [dataclasses.replace(v, word="critical") for v in found.verdicts]
        return dataclasses.replace(found, verdicts=tuple(verdicts))

    return changed
