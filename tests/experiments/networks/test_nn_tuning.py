"""Learning rates: which is best, whether it moves with width and size, and the figures."""

import dataclasses
import math

import numpy as np
import pytest
from conclusions import claim_with

pytest.importorskip("torch")

from network_cases import MODEL, drawn, model_rows, read_back

from percolaw.experiments.base import (
    preset,
)
from percolaw.experiments.networks.nn_tuning import NnTuning, best_rate
from percolaw.neural.config import Training

RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
TUNING = NnTuning(
    n_seeds=4,
    widths=(16, 48, 160),
    sizes=(30, 300),
    rates=RATES,
    training=Training(learning_rate=0.01),
    tolerance=0.35,
)


def tuning_rows(e, best=lambda kind, width, n: 0.01, diverged=lambda row: False, test=1.0):
    """A parabola in log rate about the best rate, which may be chosen by width and size."""
    rng = np.random.default_rng(9)
    rows = []
    for cell in e.cells():
        kind, width = cell.get("parametrization", "mup"), cell.get("width", e.width)
        rates = [e.training.learning_rate] if cell["kind"] == "chosen" else e.rates
        for n in e.sizes if cell["kind"] == "sizes" else [e.n_train]:
            for rate in rates:
                away = math.log10(rate / best(kind, width, n))
                loss = float((1 + away**2) * math.exp(0.001 * rng.standard_normal()))
                row = {**cell, "width": width, "parametrization": kind, "n": n, "rate": rate}
                bad = diverged(row)
                row |= {"validation": None if bad else loss, "test": None if bad else test * loss}
                rows.append(row | {"stopped": "diverged" if bad else "plateau"})
    return rows


def moving(kind, width, n):
    return 0.1 * 16 / width if kind == "standard" else 0.01


def test_best_rates_are_found_and_moves_judged():
    found = TUNING.conclude(tuning_rows(TUNING, moving))
    assert len(found.claims) == 3 + 2 + 2
    assert {c.verdict for c in found.claims} == {"agrees"}
    standard = claim_with(found, "standard: decades the best rate moves, width 16 to 160")
    assert standard.predicted == pytest.approx(-1.0)
    assert standard.measured == pytest.approx(-1.0, abs=0.05)
    assert claim_with(found, "muP: decades the best rate moves").measured == pytest.approx(
        0.0, abs=0.02
    )
    good = [c for c in found.claims if "over the best" in c.name]
    for claim in good:
        assert claim.measured == pytest.approx(1.0, abs=0.01)
        assert "best at 0.01, inside the range" in claim.note
    assert len([c for c in good if c.name.startswith("n = 30, width 64, muP: ")]) == 1
    for plot, kind in zip(found.plots, ("mup", "standard", "mup"), strict=True):
        for one in plot.series[:-1]:
            at = RATES[int(np.argmin(one.y))]
            width = int(one.name.split()[-1]) if one.name.startswith("width") else TUNING.width
            assert abs(math.log10(at / moving(kind, width, 0))) < 0.3


@pytest.mark.parametrize("best", [0.004, 0.01, 0.0173])
def test_best_rate_is_the_vertex_of_a_parabola(best):
    loss = np.exp(2.0 + 0.7 * np.log10(np.array(RATES) / best) ** 2)
    assert best_rate(RATES, loss) == pytest.approx(math.log10(best), abs=1e-9)
    assert best_rate(RATES, 1e9 * loss) == pytest.approx(math.log10(best), abs=1e-9)


def test_best_rate_without_a_parabola():
    """At an end, beside a student that diverged, and where all are alike, it is a rate itself."""
    for loss, expected in (
        ([1.0, 2.0, 3.0, 4.0, 5.0], 0.001),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 0.1),
        ([5.0, 4.0, 3.0, math.inf, math.inf], 0.01),
        ([math.inf, math.inf, 3.0, 4.0, 5.0], 0.01),
        ([math.inf, 3.0, 2.0, 4.0, math.inf], None),
        ([1.0] * 5, 0.001),
        ([2.0, 1.0, 1.0, 1.0, 2.0], None),
    ):
        found = best_rate(RATES, np.array(loss))
        if expected is None:
            i = int(np.argmin(loss))
            assert math.log10(RATES[i - 1]) < found < math.log10(RATES[i + 1])
        else:
            assert found == pytest.approx(math.log10(expected))


def test_a_rate_that_moves_with_width_under_mup_disagrees():
    found = TUNING.conclude(tuning_rows(TUNING, lambda kind, width, n: 0.1 * 16 / width))
    claim = claim_with(found, "muP: decades the best rate moves")
    assert (claim.verdict, claim.predicted) == ("disagrees", 0.0)
    assert claim.measured == pytest.approx(-1.0, abs=0.05)
    stays = TUNING.conclude(tuning_rows(TUNING))
    assert claim_with(stays, "standard: decades the best rate moves").verdict == "disagrees"


def test_a_bad_rate_disagrees_and_an_end_of_the_range_is_said():
    found = TUNING.conclude(tuning_rows(TUNING, lambda kind, width, n: 0.1 if n == 30 else 0.001))
    small, large = claim_with(found, "n = 30, width"), claim_with(found, "n = 300, width")
    assert small.verdict == large.verdict == "disagrees"
    for claim in (small, large):
        assert claim.measured == pytest.approx(2.0, abs=0.01)
    assert "best at 0.1, at the end of the range" in small.note
    assert "best at 0.001, at the end of the range" in large.note
    for claim in found.claims:
        if "over the best" in claim.name:
            assert "at the end of" in claim.note


def test_a_chosen_rate_that_diverges_for_one_seed_disagrees():
    def diverged(row):
        return row["rate"] == 0.01 and row["seed"] == 2 and row["width"] == 160

    found = TUNING.conclude(tuning_rows(TUNING, diverged=diverged))
    claim = claim_with(found, "width 160, n = 1000, muP")
    assert claim.verdict == "disagrees"
    assert math.isfinite(claim.measured)
    curve = next(one for one in found.plots[0].series if one.name == "width 160")
    assert curve.y[RATES.index(0.01)] is None
    assert [v is None for v in curve.y].count(True) == 1
    high = TUNING.conclude(tuning_rows(TUNING, diverged=lambda row: row["rate"] > 0.02))
    for claim in high.claims:
        if "over the best" in claim.name:
            assert claim.verdict == "agrees"
            assert "inside" in claim.note, "rates that diverge are in the range too"


def test_a_search_sees_validation_at_the_chosen_rate_only():
    rows = tuning_rows(TUNING)
    chosen = [r for r in rows if r["kind"] == "chosen"]
    assert len(chosen) == 4
    value = TUNING.validate(rows)
    assert value == pytest.approx(np.mean([r["validation"] for r in chosen]), rel=1e-12)
    other = [
        r | {"test": 1e9} | ({} if r["kind"] == "chosen" else {"validation": 1e9}) for r in rows
    ]
    assert TUNING.validate(other) == value
    blind = [{k: v for k, v in r.items() if not k.startswith("test")} for r in rows]
    assert TUNING.validate(blind) == value, "as a sweep hands them"
    elsewhere = tuning_rows(TUNING, diverged=lambda row: row["kind"] != "chosen")
    assert math.isfinite(TUNING.validate(elsewhere))
    bad = tuning_rows(TUNING, diverged=lambda row: row["kind"] == "chosen" and row["seed"] == 3)
    assert TUNING.validate(bad) == math.inf


def test_a_search_without_widths_and_sizes():
    e = dataclasses.replace(TUNING, widths=(), sizes=())
    assert e.cells() == [{"kind": "chosen", "seed": seed} for seed in range(4)]
    rows = tuning_rows(e)
    found = e.conclude(rows)
    assert found.claims == ()
    assert found.plots == ()
    assert math.isfinite(e.validate(rows))
    one = dataclasses.replace(TUNING, widths=(16,), sizes=())
    assert len(one.conclude(tuning_rows(one)).claims) == 1, "one width moves nowhere"
    other = dataclasses.replace(TUNING, training=Training(learning_rate=0.02), widths=())
    found = other.conclude(tuning_rows(other))
    assert found.claims == (), "a rate that was not tried is over nothing"


@pytest.mark.parametrize("label", ["smoke", "laptop", "gpu"])
def test_claims_of_every_tuning_preset_have_names_of_their_own(label):
    e = preset(NnTuning, label)
    names = [c.name for c in e.conclude(tuning_rows(e, moving)).claims]
    assert len(set(names)) == len(names)


# --- figures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "n_plots"),
    [
        ({}, 3),
        ({"sizes": ()}, 2),
        ({"widths": ()}, 1),
        ({"widths": (), "sizes": ()}, 0),
        ({"n_seeds": 1}, 3),
    ],
)
def test_figures_of_tuning(fields, n_plots):
    e = dataclasses.replace(TUNING, **fields)
    conclusion = e.conclude(tuning_rows(e, moving))
    plots = read_back(conclusion)
    assert len(plots) == n_plots
    assert {plot.figure for plot in plots} <= {"nn-tuning"}
    if n_plots < 2:
        drawn(conclusion)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["nn-tuning", "nn-model-scaling"])
def test_figures_where_everything_diverged(name):
    e = {"nn-tuning": TUNING, "nn-model-scaling": MODEL}[name]
    made = tuning_rows if e is TUNING else model_rows
    conclusion = e.conclude(made(e, diverged=lambda *a: True))
    assert {c.verdict for c in conclusion.claims} <= {"inconclusive", "disagrees", "agrees"}
    drawn(conclusion)
    for plot in read_back(conclusion):
        for one in plot.series:
            assert one.kind != "measured" or not any(one.usable)


def test_full_points_are_at_the_best_rates():
    found = read_back(TUNING.conclude(tuning_rows(TUNING, moving)))
    for plot, expected in zip(found, ([0.01] * 3, [0.1, 0.03, 0.01], [0.01] * 2), strict=True):
        *curves, chosen = plot.series
        assert [
            x for one in curves for x, best in zip(one.x, one.usable, strict=True) if best
        ] == expected
        assert chosen.x == (0.01, 0.01)
