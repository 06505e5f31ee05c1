"""Where data are learned best: the best p, budgets, and what claims say of the scan."""

import dataclasses
import json
import math

import numpy as np
import pytest
from conclusions import check_figures
from lattice_cases import WHOLE

from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.experiments.base import canonical_json
from percolaw.experiments.lattices import boxes
from percolaw.experiments.lattices.boxes import BETHE
from percolaw.experiments.lattices.learnability import LEARNERS, Learnability
from percolaw.rng import Streams

LEARNABLE = Learnability(
    dimensions=(2, BETHE),
    ratios=(0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4, 1.8),
    n_seeds=4,
    budgets=(100, 1000, 10_000),
)


def learnable_rows(best, e=LEARNABLE, missing=None):
    """Losses least at `best`, a parabola in log p; `missing(ratio, budget)` says what was not learned."""
    rng = np.random.default_rng(0)
    rows = []
    for cell in e.cells():
        own = best * math.exp(0.004 * rng.standard_normal())
        for_seed = [
            None
            if missing and missing(cell["ratio"], budget)
            else math.exp(2.0 * math.log(cell["ratio"] / own) ** 2) / budget**0.3
            for budget in e.budgets
        ]
        rows.append(
            {**cell, **dict.fromkeys(LEARNERS, for_seed), "total": 10**6, "kept_share": 1.0}
        )
    return rows


def test_the_best_p_is_found_where_it_is():
    at = LEARNABLE.conclude(learnable_rows(1.0))
    assert len(at.claims) == 8  # two lattices, two learners, the smallest and the largest budget
    assert {c.verdict for c in at.claims} == {"agrees"}
    assert not [c for c in at.claims if "best at an end" in c.note]
    for best in (0.9, 1.15):
        found = LEARNABLE.conclude(learnable_rows(best))
        assert {c.verdict for c in found.claims} == {"disagrees"}
        assert all(c.measured == pytest.approx(best, rel=0.02) for c in found.claims)
    (plot,) = [p for p in found.plots if p.id == "learnability-best-nearest"]
    np.testing.assert_allclose(plot.series[0].y, 1.15, rtol=0.02)


def test_all_clusters_are_learned():
    """Drawn by site the giant cluster would be one of many, whatever it holds."""
    for given in Learnability.presets.values():
        assert Learnability(**given.config).boxes.n_draws == 0
    e = Learnability(boxes=dataclasses.replace(WHOLE, n_sites=10_000), n_seeds=1, budgets=(50,))
    (row,) = e.measure({"dimension": 2, "ratio": 1.0, "seed": 3})
    found = percolate(HypercubicLattice(2, 100), 0.5, Streams(3).child(2))
    assert row["total"] == found.size[found.size >= 30].sum()


def test_claims_say_where_the_scan_ends():
    found = LEARNABLE.conclude(learnable_rows(3.0))
    for claim in found.claims:
        assert claim.measured == pytest.approx(1.8)
        assert "p from 0.8 to 1.8 p_c" in claim.note
        assert "4 of 4 seeds have their best at an end" in claim.note
    found = LEARNABLE.conclude(learnable_rows(0.9, missing=lambda r, b: r < 1.0 and b > 100))
    low = [c for c in found.claims if ", 100 points" in c.name]
    high = [c for c in found.claims if ", 10000 points" in c.name]
    assert not any("end of it" in c.note for c in low)
    assert all("p from 1 to 1.8 p_c; 4 of 4 seeds" in c.note for c in high)
    # Budgets that p_c itself cannot be learned with make no claim.
    found = LEARNABLE.conclude(learnable_rows(1.1, missing=lambda r, b: r < 1.2 and b > 1000))
    assert {c.name.split(", ")[-1] for c in found.claims} == {
        *("100 points: best p / p_c", "1000 points: best p / p_c")
    }


def test_budgets_larger_than_all_data_are_left_out(monkeypatch):
    monkeypatch.setattr(boxes, "SURVIVAL_SIZES", 2 ** np.arange(2))  # not kept
    e = Learnability(
        dimensions=(2, BETHE),
        ratios=(0.9, 1.0, 1.1, 1.2, 1.5),
        budgets=(50, 10**7),
        boxes=dataclasses.replace(WHOLE, n_sites=10_000),
        n_seeds=3,
    )
    rows = json.loads(canonical_json([row for cell in e.cells() for row in e.measure(cell)]))
    for row in rows:
        for name in LEARNERS:
            assert row[name][1] is None
            assert row[name][0] is None or 0 < row[name][0] < 3
            assert (row[name][0] is None) == (0.05 * row["total"] < 50)
    learned = [row["nearest"][0] is not None for row in rows]
    assert 0 < sum(learned) < len(rows), "both cases occur"
    assert all(row["kept_share"] * 10_000 == row["total"] for row in rows if row["dimension"] == 2)
    found = e.conclude(rows)
    assert not [c for c in found.claims if "10000000" in c.name]
    for learner in LEARNERS:
        (plot,) = [p for p in found.plots if p.id == f"learnability-best-{learner}"]
        for one in plot.series[:2]:
            assert (one.y[1], one.low[1], one.high[1]) == (None, None, None)
    check_figures(e, rows)
    only = dataclasses.replace(e, budgets=(10**7,))
    lost = [{**row, **{name: [None] for name in LEARNERS}} for row in rows]
    assert only.conclude(lost).claims == ()
