"""What the dimension experiment concludes from made-up rows."""

import json

import numpy as np
import pytest

from percolaw.experiments.embedding.dimension import Dimension

SHAPES = Dimension(
    n_seeds=3, sizes=(400, 800), shapes=("cube 2", "sphere 2 x cube 2"), cluster_dims=(8,)
)
ESTIMATORS = ("one", "two", "three")


def truths(e):
    """Dimension of every shape by its name."""
    return {shape.name: shape.truth for shape in e.settings()}


def made_rows(value, interval, e=SHAPES):
    """Rows as `measure` returns them; value and interval are functions of (truth, estimator, seed)."""
    rows = []
    for cell in e.cells():
        truth = truths(e)[cell["shape"]]
        for i, name in enumerate(ESTIMATORS):
            found = value(truth or 3.0, i, cell["seed"])
            row = {
                **cell,
                "estimator": name,
                "dimension": found,
                "standard_error": 0.1,
                "extrapolated": found,
                "interval": list(interval(truth or 3.0, i, cell)),
                "n_points": [cell["n"], cell["n"] // 2],
                "level": [found, found + 0.1],
            }
            if i == 0:
                table = {"k": [2.0, 5.0], "ratio": [found, 1.0], "likelihood": [1.0, found]}
                row |= {"by_neighbors": table, "trust": "steady"}
            rows.append(row)
    return rows


def inside(truth, i, cell):
    return truth - 0.1, truth + 0.1


def test_exact_estimates_agree():
    e = SHAPES
    assert len({str(c) for c in e.cells()}) == len(e.cells())
    assert truths(e)["sphere 2 x cube 2"] == 4.0
    found = e.conclude(made_rows(lambda truth, i, seed: truth, inside))
    names = [c.name for c in found.claims]
    assert len(set(names)) == len(names)
    medians = [c for c in found.claims if "median of the estimators" in c.name]
    assert {c.verdict for c in medians} == {"agrees"}
    known = {s: d for s, d in truths(e).items() if d is not None}
    assert sorted(c.name.split(", 800")[0] for c in medians) == sorted(known)
    for claim in medians:
        assert claim.predicted == claim.measured == known[claim.name.split(", 800")[0]]
    unknown = [s for s, d in truths(e).items() if d is None]
    assert len(unknown) == 2
    assert not [c for c in found.claims for s in unknown if c.name.startswith(s)]
    table = found.tables["table"]
    assert len(table) == len(e.settings()) * 2 * 3
    assert all(t["inside"] is None for t in table if t["shape"] in unknown)
    assert all(t["inside"] == 1.0 for t in table if t["shape"] in known)
    json.dumps(found.tables, allow_nan=False)


def test_the_median_over_estimators_and_the_mean_over_seeds():
    """Estimates truth - 3, truth (1 + shift), truth + 5: the median is that in the middle."""
    for shift, verdict in ((0.05, "agrees"), (-0.5, "disagrees"), (0.5, "disagrees")):

        def value(truth, i, seed, shift=shift):
            return truth + (-3.0, shift * truth + 0.01 * (seed - 1), 5.0)[i]

        claims = SHAPES.conclude(made_rows(value, inside)).claims
        medians = [c for c in claims if "median of the estimators" in c.name]
        assert {c.verdict for c in medians} == {verdict}
        for claim in medians:
            assert claim.measured == pytest.approx((1 + shift) * claim.predicted)


def test_coverage_is_the_share_of_intervals_with_the_truth():
    """Counted by estimator, over shapes of known dimension and both sizes; unknown ends are left out."""
    rng = np.random.default_rng(2)

    def interval(truth, i, cell):
        if i == 1:
            return truth - 0.1, truth + 0.1
        if rng.uniform() < 0.2:
            return 0.0, None
        low = truth + rng.choice([-0.5, -0.2, 0.0, 0.3])  # an end at the truth counts as inside
        return low, low + 0.4

    rows = made_rows(lambda truth, i, seed: truth, interval)
    claims = SHAPES.conclude(rows).claims
    coverage = [c for c in claims if "share of stated intervals" in c.name]
    truth = truths(SHAPES)
    for name in ESTIMATORS:
        own = [c for c in coverage if c.name.startswith(f"{name}:")]
        shares = {}
        for part in (False, True):
            by_seed = {}
            for r in rows:
                known = truth[r["shape"]] is not None and None not in r["interval"]
                if r["estimator"] == name and known and ("of the sites" in r["shape"]) == part:
                    low, high = r["interval"]
                    hit = low <= truth[r["shape"]] <= high
                    by_seed.setdefault(r["seed"], []).append(hit)
            shares[part] = np.mean([np.mean(v) for v in by_seed.values()])
        assert [c.measured for c in own] == pytest.approx([shares[False], shares[True]])
        assert [c.predicted for c in own] == [0.95, 0.95]
        if name == "two":
            assert {c.measured for c in own} == {1.0}
            assert {c.verdict for c in own} == {"agrees"}
    wrong = SHAPES.conclude(made_rows(lambda t, i, s: t, lambda t, i, c: (t + 0.1, t + 1.0)))
    shares = [c for c in wrong.claims if "share of stated intervals" in c.name]
    assert {(c.measured, c.verdict) for c in shares} == {(0.0, "disagrees")}


def test_neighbours_are_averaged_over_seeds_of_the_largest_samples():
    rows = made_rows(lambda truth, i, seed: truth + seed, inside)
    for row in rows:
        if row["n"] == 400:
            row["by_neighbors"] = {"k": [2.0, 5.0], "ratio": [99, 99], "likelihood": [99, 99]}
    (plot,) = [p for p in SHAPES.conclude(rows).plots if p.id == "dimension-neighbors"]
    measured = [one for one in plot.series if one.kind == "measured"]
    assert len(measured) == 6
    for one in measured:
        truth = truths(SHAPES)[one.name] or 3.0
        assert one.x == (2.0, 5.0)
        assert one.y == (1.0, truth + 1.0)


def test_samples_too_small_for_intervals():
    """Below 400 points intervals are infinite and nothing can be concluded."""
    with pytest.raises(ValueError, match=r"sizes must be in \[400"):
        Dimension(n_seeds=3, sizes=(399,), shapes=("cube 2",), cluster_dims=())
    e = Dimension(n_seeds=3, sizes=(400,), shapes=("cube 2",), cluster_dims=())
    rows = [row for cell in e.cells() for row in e.measure(cell)]
    assert e.conclude(rows).claims
