"""Model scaling of networks: what is concluded of made-up rows, and its figures."""

import dataclasses
import json
import math

import pytest
from conclusions import claim_with

pytest.importorskip("torch")

from network_cases import (
    GRID,
    MODEL,
    curves_of,
    exponents_of,
    fit_of,
    grid_rows,
    model_rows,
    points_of,
    read_back,
    sources,
    targets,
)
from toy_experiment import shared_root, smoke_run

from percolaw.experiments.networks import neural
from percolaw.experiments.networks import nn_model_scaling as neural_model
from percolaw.experiments.networks.nn_model_scaling import NnModelScaling
from percolaw.report.reading import open_run


@pytest.mark.parametrize("factor", [1.0, 0.7, 4 / 3])
def test_model_scaling_is_held_against_the_prediction(factor):
    found = MODEL.conclude(model_rows(MODEL, factor))
    assert len({c.name for c in found.claims}) == len(found.claims)
    own = exponents_of(found)
    assert len(own) == 4
    assert {c.verdict for c in own} == {"agrees" if factor == 1.0 else "disagrees"}
    for claim in own:
        assert claim.measured == pytest.approx(factor * claim.predicted, abs=0.02)
        assert "exponent c/D in parameters" in claim.name
        assert "local exponents" in claim.note
    assert claim_with(found, "cube 2, ReLU 1 x 1000: exponent c/D").predicted == 1.5
    # Sharma and Kaplan expect 4/D of their teachers, whatever the order of approximation.
    theirs = [c for c in found.claims if "exponent 4/D" in c.name]
    assert [c.predicted for c in theirs] == [1.0, 2.0]
    assert {c.verdict for c in theirs} == {"agrees" if factor > 1 else "disagrees"}
    for curve in curves_of(found).values():
        assert fit_of(curve)[1] == (108.0, 6912.0), "48 parameters are fewer than fit_from"
        assert curve.x == tuple(3 * w * w for w in MODEL.widths)
    json.dumps(found.tables, allow_nan=False)


def test_model_scaling_orders_are_capped_at_piecewise_linear():
    e = NnModelScaling(settings=sources("cube 4"), teachers=targets("Matérn 2.5", "Matérn 1.5"))
    assert [c.predicted for c in e.conclude(model_rows(e)).claims] == [1.0, 0.75]


def test_model_scaling_leaves_out_what_did_not_converge():
    found = MODEL.conclude(model_rows(MODEL, gap=3.0))
    assert {c.verdict for c in found.claims} == {"inconclusive"}

    def diverged(seed, width, teacher):
        return width == 48 and teacher == "Matérn 0.5"

    e = dataclasses.replace(MODEL, fit_from=40)
    for (_, teacher), curve in curves_of(e.conclude(model_rows(e, diverged=diverged))).items():
        gone = teacher == "Matérn 0.5"
        # The doubled run at the largest width diverged too: nothing says that 24 and 32 converged.
        assert curve.usable == ((*[True] * 5, *[False] * 3) if gone else (True,) * 8)
        assert fit_of(curve)[1] == (48.0, 768.0 if gone else 6912.0)
    # One of five is left at the largest width: however wrong, it counts for nothing.
    one, other = (
        curves_of(
            e.conclude(
                model_rows(e, diverged=lambda s, w, t: diverged(s, w, t) and s != 1, last=last)
            )
        )
        for last in (1.0, 1e3)
    )
    for key, curve in one.items():
        assert (fit_of(curve) == fit_of(other[key])) == (key[1] == "Matérn 0.5")
        assert curve.y != other[key].y


def test_a_field_of_waves_is_fitted_while_many_waves_are_left():
    """Only of Matérn teachers; the rest of the curve counts, and the size itself is shown."""
    least = neural_model.LEAST_WAVES / neural_model.N_WAVES
    e = dataclasses.replace(MODEL, fit_from=40, settings=sources("cube 2"))
    at = [3 * w * w for w in e.widths]
    curves = curves_of(e.conclude(model_rows(e)))
    matern, relu = curves["cube 2", "Matérn 0.5"], curves["cube 2", "ReLU 1 x 1000"]
    assert all(matern.usable)
    assert min(matern.y) > least > min(relu.y)
    assert all(relu.usable)
    rows = [r | {"loss": r["loss"] / 10} for r in model_rows(e)]
    curves = curves_of(e.conclude(rows))
    expected = [(n / 48) ** -0.5 / 10 > least for n in at]
    assert expected == [True] * 5 + [False] * 3
    assert curves["cube 2", "Matérn 0.5"].usable == tuple(expected)
    assert all(v is not None for v in curves["cube 2", "Matérn 0.5"].y)
    assert all(curves["cube 2", "Fourier"].usable)
    # Of the mean of those that did not diverge.
    kept = model_rows(e, diverged=lambda s, w, t: s == 4 and w == 12)
    assert all(curves_of(e.conclude(kept))["cube 2", "Matérn 0.5"].usable)


# --- figures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gap", "n_seeds"), [(0.0, 2), (0.0, 5), (3.0, 5)])
def test_figures_of_model_scaling(gap, n_seeds):
    e = dataclasses.replace(MODEL, n_seeds=n_seeds)
    conclusion = e.conclude(model_rows(e, gap=gap))
    plots = read_back(conclusion)
    sizes = [3.0 * w * w for w in e.widths]
    assert len(plots) == 3
    for plot in plots[1:]:
        assert plot.figure == "nn-model-scaling-curves"
        usable, others = points_of(plot)
        assert (others if gap else usable) == sorted(sizes * 3)
        assert (usable if gap else others) == []
    verdicts = {c.verdict for c in exponents_of(conclusion)}
    assert verdicts == ({"agrees"} if n_seeds > 2 and not gap else {"inconclusive"})


# --- budgets that grow -----------------------------------------------------------------------------


#: One curve of the grid.
ONE = dataclasses.replace(GRID, teachers=targets("Matérn 0.5"), other_depths=())


@pytest.fixture(scope="module")
def grid():
    """What is concluded of a sum of two powers with c/D."""
    return GRID.conclude(grid_rows(GRID))


def test_extrapolated_exponents_are_right_where_the_largest_budget_is_not(grid):
    relu = "cube 4, ReLU 1 x 1000: exponent c/D in parameters"
    assert claim_with(grid, f"{relu}, extrapolated").verdict == "agrees"
    assert claim_with(grid, f"{relu}, extrapolated").measured == pytest.approx(0.75, abs=0.02)
    short = next(c for c in grid.claims if c.name == relu)
    assert short.verdict == "disagrees"
    assert short.measured < 0.66
    assert (
        claim_with(grid, "cube 4, ReLU 1 x 1000: exponent 4/D in parameters, extra").predicted
        == 1.0
    )
    less = claim_with(grid, "cube 4, ReLU 1 x 1000: extrapolated exponent less that")
    assert less.interval[0] > 0.05
    assert "determined at 5 of 7 widths; median b 0.6" in claim_with(grid, f"{relu}, extra").note


def test_wrong_exponents_are_refused_by_both_estimates():
    found = ONE.conclude(grid_rows(ONE, factor=0.7))
    verdicts = {c.verdict for c in found.claims if "c/D in parameters" in c.name}
    assert verdicts == {"disagrees"}


def test_budgets_too_short_decide_nothing():
    found = ONE.conclude(grid_rows(ONE, height=60.0))
    of_rates = [c for c in found.claims if "rate" in c.name]
    assert {c.verdict for c in found.claims if c not in of_rates} == {"inconclusive"}
    assert {c.verdict for c in of_rates} == {"agrees"}
    json.dumps([c.measured for c in found.claims], allow_nan=False)


def test_frontier_is_held_against_the_two_exponents(grid):
    for teacher, a in (("ReLU 1 x 1000", 0.75), ("Matérn 0.5", 0.25)):
        claim = claim_with(grid, f"cube 4, {teacher}: exponent in compute less ab/(a + gb)")
        assert claim.verdict == "agrees"
        assert claim.tolerance == pytest.approx(0.15 * a * 0.6 / (a + 0.6), rel=0.02)
        assert f"of a = {a:.2f}, b = 0.60, g = 1.00" in claim.note
    # Negative control: losses that are no sum of two powers, but fall at one amount of compute.
    other = [
        r | {"loss": r["loss"] * (1 + 2 * math.exp(-r["flops"] / 1e9))} for r in grid_rows(ONE)
    ]
    (claim,) = (c for c in ONE.conclude(other).claims if "in compute" in c.name)
    assert claim.verdict == "disagrees"


def test_depths_are_compared_seed_by_seed(grid):
    names = [c.name for c in grid.claims if "at depth 2 less that at 3" in c.name]
    assert len(names) == 2
    assert {claim_with(grid, name).verdict for name in names} == {"agrees"}
    two = dataclasses.replace(ONE, other_depths=(2,))
    deeper = [
        r | {"loss": r["loss"] * r["n_inner"] ** (-0.2 if r["depth"] == 2 else 0.0)}
        for r in grid_rows(two)
    ]
    found = two.conclude(deeper)
    for name in names[1:]:
        assert claim_with(found, name).measured == pytest.approx(0.2, abs=0.01)
        assert claim_with(found, name).verdict == "disagrees"


def test_the_best_rate_is_followed_from_width_to_width(grid):
    move = claim_with(grid, "decades the best rate moves, width 4 to 32")
    assert (move.verdict, round(move.measured, 3)) == ("agrees", 0.0)
    assert "inside the range" in move.note
    assert claim_with(grid, "loss at rate 0.01 over the best, width 32").verdict == "agrees"
    found = ONE.conclude(grid_rows(ONE, rate=0.04))
    move = claim_with(found, "decades the best rate moves")
    assert move.verdict == "disagrees"
    assert move.measured == pytest.approx(-0.602, abs=0.01)
    assert "one at an end of the range" in move.note


def test_a_width_that_diverged_leaves_the_others():
    def without(bad):
        return [
            r | ({"loss": None, "validation": None} if bad(r) and r["kind"] == "train" else {})
            for r in grid_rows(ONE)
        ]

    found = ONE.conclude(without(lambda r: r["width"] == 32))
    name = "cube 4, Matérn 0.5: exponent c/D in parameters, extrapolated"
    assert "determined at 6 of 6 widths" in claim_with(found, name).note
    one = ONE.conclude(without(lambda r: r["width"] == 32 and r["seed"] == 0))
    assert "1.8 decades, 4 seeds" in claim_with(one, name).note
    none = ONE.conclude(without(lambda r: True))
    assert "no seed went through" in claim_with(none, name).note
    read_back(none)


def test_steps_grow_with_the_parameters_and_the_budget():
    e = dataclasses.replace(GRID, growth=0.5)
    first, last = (neural.student_network("mlp", 3, width) for width in (4, 32))
    inner = [2 * w * w + 3 * w + w + 1 for w in (4, 32)]
    assert e._training(first, 1.0) == e.training
    expected = e.training.steps * 2 * (inner[1] / inner[0]) ** 0.5
    assert e._training(last, 2.0).steps == round(expected)
    assert dataclasses.replace(e, growth=0.0)._training(last, 1.0) == e.training
    longest = e._training(last, 2.0).steps * e.training.batch_size
    assert e._n_points("train", 3) == min(e.most_points, longest)


def test_figures_of_the_grid(grid):
    plots = read_back(grid)
    figures = {p.figure for p in plots}
    for kind in ("budgets", "local", "compute"):
        assert {f"nn-model-scaling-{kind}", f"nn-model-scaling-{kind}-depth-2"} <= figures
    panel = next(p for p in plots if p.id.endswith("cube-4-Mat-rn-0-5-budgets"))
    names = [one.name for one in panel.series]
    assert names[:6] == [f"budget {b:g}" for b in (0.125, 0.25, 0.5, 1, 2)] + ["extrapolated"]
    local = next(p for p in plots if p.id.endswith("cube-4-Mat-rn-0-5-local"))
    (law,) = (one for one in local.series if one.kind == "theory")
    assert set(law.y) == {0.25}
    compute = next(p for p in plots if p.id.endswith("cube-4-Mat-rn-0-5-compute"))
    assert [one.name for one in compute.series][-2:] == ["frontier", "slope ab/(a + gb)"]


def test_a_run_whose_config_holds_an_infinity_is_opened(tmp_path_factory):
    """The norm at which gradients are clipped; a record has no number for it."""
    _, folder = smoke_run(shared_root(tmp_path_factory), "nn-model-scaling")
    run = open_run(folder)
    assert run.config["training"]["clip"] == math.inf
    assert {r["kind"] for r in run.rows} == {"train", "rates"}
