"""Model scaling of networks: what is concluded of made-up rows, and its figures."""

import dataclasses
import json

import pytest
from conclusions import claim_with

pytest.importorskip("torch")

from network_cases import (
    MODEL,
    curves_of,
    exponents_of,
    fit_of,
    model_rows,
    points_of,
    read_back,
    sources,
    targets,
)

from percolaw.experiments.networks import nn_model_scaling as neural_model
from percolaw.experiments.networks.nn_model_scaling import NnModelScaling


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
