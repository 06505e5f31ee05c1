"""Findings: the same from rows in any order, no verdict from nothing, chance labels never critical."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

import percolaw as pl
from percolaw.analysis import findings
from percolaw.analysis.clusters import STATISTICS
from percolaw.analysis.findings import conclude, verdict_of
from percolaw.analysis.parts import CHUNK, NULLS, Measurement, Settings, plan
from percolaw.analysis.sample import as_sample
from percolaw.analysis.verdict import CONDITIONS

K, N = 6, 1000
#: What critical data would show; the draws of critical surrogates scatter by .1 about it.
CENTRE = {
    "agreement": 0.6,
    "largest": 0.3,
    "log_size": 4.0,
    "broken": 0.2,
    "fragility": 0.45,
    "thinned": 0.7,
}


def row(part, quantity, value, x=None, low=None, high=None, **more):
    return {
        "part": part,
        "quantity": quantity,
        "x": x,
        "value": value,
        "low": low,
        "high": high,
        **more,
    }


def rows_of(n_draws=200, **changed):
    """Rows of a data set that is critical in every condition, but for the statistics that are given."""
    data = CENTRE | {k: v for k, v in changed.items() if k in CENTRE}
    at = {"level": 0, "n": N, "k": K}
    rows = [
        row("geometry", "largest component", share, n=n, k=k)
        for n, share in ((1000, 0.5), (500, 0.6), (125, 0.9))
        for k in (K, 3)
    ]
    rows += [row("geometry", "dimension", 3.2, low=3.0, high=3.4, n=N, k=K)]
    rows += [row("clusters", name, value, **at) for name, value in data.items()]
    rows += [row("clusters", "largest", 0.9, level=0, n=N, k=3)]
    rows += [
        row("tail", "power law p value", changed.get("p", 0.5), level=0),
        row("tail", "beaten by log-normal", changed.get("beaten", 0.0), level=0),
        row("tail", "tau", 2.2, low=2.1, high=2.3, level=0),
        row(
            "agreement",
            "omega",
            changed.get("omega", 0.4),
            x=0.03,
            low=changed.get("low", 0.3),
            high=0.5,
            level=0,
        ),
        row("agreement", "bend p value", changed.get("bend", 0.5), x=0.03, level=0),
        row("agreement", "agreement ends", changed.get("ends", 0.0), x=0.03, level=0),
        row(
            "learning",
            "margin of percolation",
            0.3,
            low=-0.3,
            high=changed.get("margin", 0.1),
            level=0,
            learner="nearest neighbour",
        ),
        row(
            "draws",
            "equilibrated",
            changed.get("equilibrated", 1.0),
            level=0,
            null="maximum entropy",
        ),
    ]
    rng = np.random.default_rng(0)
    for null in NULLS:
        shift = 0.0 if null == "critical" else -0.5
        for name, centre in CENTRE.items():
            draws = centre * (1 + shift) + 0.1 * centre * rng.standard_normal(n_draws)
            rows += [
                row(
                    "draws",
                    name,
                    float(v),
                    x=i,
                    level=0,
                    null=null,
                    first=i // CHUNK * CHUNK,
                    count=CHUNK,
                )
                for i, v in enumerate(draws)
            ]
    return rows


def word(rows):
    return conclude(rows, ("classes",), K).verdicts[0].word


def held(rows):
    return {c.name: c.holds for c in conclude(rows, ("classes",), K).verdicts[0].conditions}


def test_all_conditions_hold():
    findings = conclude(rows_of(), ("classes",), K)
    assert findings.verdicts[0].word == "critical"
    assert [c.name for c in findings.verdicts[0].conditions] == list(CONDITIONS)
    assert findings.n == N
    assert "critical (clusters at their threshold" in findings.sentence
    assert (
        "k = 6 the largest connected part holds 90% of 125 elements and 50% of 1000"
        in findings.sentence
    )
    assert "dimension 3.2" in findings.sentence
    assert str(findings) == findings.sentence
    assert repr(findings) == "Findings(1000 elements: critical)"


@pytest.mark.parametrize(
    ("changed", "condition", "holds", "expected"),
    [
        ({"largest": 0.8}, "extent", False, "undecided"),
        ({"log_size": 6.0}, "extent", False, "supercritical domains"),
        ({"log_size": 2.7, "bend": 0.01}, "extent", False, "subcritical"),
        ({"log_size": 2.7}, "extent", False, "undecided"),
        ({"log_size": 2.7, "ends": 1.0}, "extent", False, "subcritical"),
        ({"agreement": 0.9, "largest": 0.8}, "extent", False, "supercritical domains"),
        ({"broken": 0.4}, "shape", False, "supercritical domains"),
        ({"broken": 0.1}, "shape", False, "undecided"),
        ({"broken": None}, "shape", None, "undecided"),
        ({"fragility": 0.0}, "shape", False, "undecided"),
        ({"fragility": None}, "shape", True, "critical"),
        ({"thinned": 0.2}, "thinning", False, "undecided"),
        ({"thinned": 0.99}, "thinning", True, "critical"),
        ({"thinned": None}, "thinning", None, "undecided"),
        ({"p": 0.05}, "tail", False, "undecided"),
        ({"beaten": 1.0}, "tail", False, "undecided"),
        ({"p": None}, "tail", None, "undecided"),
        ({"bend": 0.04}, "flow", False, "undecided"),
        ({"low": -0.1}, "flow", False, "undecided"),
        ({"omega": None}, "flow", None, "undecided"),
        ({"margin": -0.1}, "prediction", False, "undecided"),
        ({"equilibrated": 0.0}, "beyond", None, "undecided"),
        ({"agreement": 0.3}, "extent", True, "label frequencies only"),
    ],
)
def test_each_condition_can_fail(changed, condition, holds, expected):
    rows = rows_of(**changed)
    assert word(rows) == expected
    expected = dict.fromkeys(CONDITIONS, True) | {condition: holds}
    if "bend" in changed or "ends" in changed:
        expected["flow"] = False
    assert held(rows) == expected


def test_small_clusters_are_subcritical_only_where_the_flow_was_tested():
    small = rows_of(log_size=2.7)
    unknown = [r | {"value": None} if r["quantity"] == "omega" else r for r in small]
    fewer = [r for r in small if r["quantity"] not in ("omega", "bend p value")]
    for rows in (unknown, fewer, [*fewer, row("agreement", "agreement by volume", 0.5, level=0)]):
        assert held(rows)["flow"] is None
        assert word(rows) == "undecided"
    assert "1667 are needed" in conclude(rows, ("classes",), K).sentence


@pytest.mark.parametrize("null", ["permuted", "maximum entropy"])
def test_both_nulls_must_be_left_behind(null):
    like = [
        r | {"value": CENTRE[r["quantity"]] * (1 + 0.01 * (r["x"] - 100))}
        if r.get("null") == null and r["quantity"] in ("largest", "log_size")
        else r
        for r in rows_of()
    ]
    assert held(like)["beyond"] is False
    without = [r for r in rows_of() if r.get("null") != null]
    assert held(without)["beyond"] is None
    assert word(without) == "undecided"


def test_few_draws_can_tell():
    assert word(rows_of(n_draws=20)) == "critical"
    assert word(rows_of(n_draws=20, broken=0.05)) == "undecided"
    assert word(rows_of(n_draws=19)) == "undecided"  # too few for a central range


def test_nothing_known_is_undecided():
    unknown = [
        r | {"value": None, "low": None, "high": None} if r["part"] != "geometry" else r
        for r in rows_of()
    ]
    assert word(unknown) == "undecided"
    assert set(held(unknown).values()) == {None}
    bare = [r for r in rows_of() if r["part"] == "geometry"]
    assert word(bare) == "undecided"
    assert "undecided" in conclude(unknown, ("classes",), K).sentence
    table = conclude(unknown, ("classes",), K).statistics(0)
    assert all(math.isnan(line[null]["p"]) for line in table for null in NULLS)


def test_the_order_of_rows_changes_nothing():
    rows = rows_of(largest=0.5, bend=0.01)
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    one, other = (conclude(r, ("classes",), K) for r in (rows, shuffled))
    assert one.verdicts[0] == other.verdicts[0]
    assert one.sentence == other.sentence
    for left, right in zip(one.statistics(0), other.statistics(0), strict=True):
        assert left == right


def test_statistics_beside_nulls():
    findings = conclude(rows_of(), ("classes",), K)
    table = {line["statistic"]: line for line in findings.statistics(0)}
    assert list(table) == list(STATISTICS)
    draws = findings.draws("critical", "largest", 0)
    assert draws.size == 200
    low, high = np.quantile(draws, [0.025, 0.975])
    assert table["largest"]["critical"]["low"] == low
    assert table["largest"]["critical"]["high"] == high
    assert table["largest"]["data"] == 0.3  # of k = 6, not of 3
    assert table["largest"]["permuted"]["p"] == pytest.approx(2 / 201)
    frame = findings.to_frame()
    assert len(frame["quantity"]) == len(findings.rows)


def test_levels_are_judged_apart():
    two = rows_of() + [r | {"level": 1} for r in rows_of(agreement=0.3) if "level" in r]
    findings = conclude(two, ("coarse", "fine"), K)
    assert [v.word for v in findings.verdicts] == ["critical", "label frequencies only"]
    assert verdict_of(findings, 0).word == "critical"
    assert "At coarse: critical" in findings.sentence
    assert "At fine: label frequencies only" in findings.sentence


def test_geometry_alone():
    bare = [r for r in rows_of() if r["part"] == "geometry"]
    findings = conclude(bare, (), K)
    assert findings.verdicts == ()
    assert findings.sentence.startswith("1000 elements without a function: With k = 6")
    assert repr(findings) == "Findings(1000 elements: geometry alone)"


SETTINGS = Settings(k=4, other_k=(), n_draws=20, learners=(), nulls=("critical", "permuted"))


def verdict_on(points, label, seed):
    """The verdict from measured clusters and ranks and two nulls."""
    sample = as_sample(points, label)
    measurement = Measurement(sample, SETTINGS, seed)
    parts = [
        p
        for p in plan(sample, SETTINGS)
        if p["part"] in ("geometry", "agreement", "draws")
        or (p["part"] == "clusters" and p["n"] == sample.n)
    ]
    rows = list(itertools.chain.from_iterable(measurement.rows(p) for p in parts))
    assert json.loads(json.dumps(rows)) == rows
    return conclude(rows, sample.levels, SETTINGS.k).verdicts[0]


@pytest.mark.parametrize("n_sets", [5, pytest.param(40, marks=pytest.mark.slow)])
def test_shuffled_classes_are_never_critical(n_sets):
    """Classes that know nothing of the points; where they do, they are seen."""
    rng = np.random.default_rng(0)
    words = []
    for seed in range(n_sets):
        points = rng.random((400, 2))
        domains = (np.floor(2 * points) @ [2, 1]).astype(int)
        words.append(verdict_on(points, rng.permutation(domains), seed).word)
    assert set(words) <= {"label frequencies only", "undecided", "subcritical"}
    # One in 21 shuffles lies above 20 draws by chance.
    assert words.count("label frequencies only") >= n_sets - max(1, n_sets // 6)
    assert verdict_on(points, domains, 0).word == "supercritical domains"


@pytest.mark.parametrize(
    ("repeated", "disagreeing", "end"),
    [
        (3, 2, "elements: 3, of which 2 disagree with the label of the first, which was kept"),
        (3, 0, " Left out as equal to earlier elements: 3."),
        (0, 0, "; dimension"),
    ],
)
def test_equal_elements_of_other_labels_are_said(repeated, disagreeing, end):
    sample = as_sample(np.random.default_rng(0).random((420, 2)))
    sample = dataclasses.replace(sample, n_repeated=repeated, n_disagreeing=disagreeing)
    measurement = Measurement(sample, Settings(k=6, other_k=(), n_draws=20))
    parts = [part for part in plan(sample, measurement.settings) if part["part"] == "geometry"]
    said = conclude([row for part in parts for row in measurement.rows(part)], (), 6).sentence
    assert end in said
    assert said.count("Left out") == (repeated > 0)


@pytest.mark.parametrize("gap", [5.0, 1.05])
def test_classes_that_touch_nowhere_are_domains(gap):
    """Surrogates that agree as much as these are the same clusters: nothing to compare with."""
    x = np.random.default_rng(0).random((600, 2))
    label = np.arange(600) % 2
    x[label == 1] += [gap, 0.0]
    found = pl.analyze(x, label, n_draws=20, learners=())
    assert found.verdicts[0].word == "supercritical domains"
    touch = found.verdicts[0].conditions[0].measured != findings.WHOLE
    assert touch == (gap < 2.0), "control: squares that nearly touch have bonds across"
