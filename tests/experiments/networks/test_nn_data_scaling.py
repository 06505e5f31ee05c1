"""Data scaling of networks: what is concluded of made-up rows, and its figures."""

import copy
import json
import math

import numpy as np
import pytest
from conclusions import claim_with

pytest.importorskip("torch")

from network_cases import (
    DATA,
    MODEL,
    curves_of,
    data_rows,
    drawn,
    exponents_of,
    fit_of,
    marked,
    model_rows,
    panel,
    points_of,
    predicted_data,
    read_back,
)

from percolaw.experiments.base import (
    canonical_json,
)
from percolaw.experiments.networks.neural import REFERENCE


def test_data_scaling_agrees_with_itself():
    found = DATA.conclude(data_rows(DATA))
    assert len(exponents_of(found)) == 4, "not of Fourier teachers"
    assert len(found.claims) == 4 + 5
    assert len({c.name for c in found.claims}) == len(found.claims)
    assert {c.verdict for c in found.claims} == {"agrees"}
    for claim in exponents_of(found):
        assert claim.measured == pytest.approx(claim.predicted, abs=0.02)
        assert claim.note == "1.3 decades, 5 seeds"
    # 5 of the teacher's Matérn 2.5, capped at D + 2 = 4.
    assert claim_with(found, "cube 2, Matérn 2.5: exponent c/D").predicted == 2.0
    assert claim_with(found, "cluster d = 16, ReLU 1 x 1000: exponent c/D").predicted == 0.75
    curves = curves_of(found)
    assert len(curves) == 5
    for (points, teacher), curve in curves.items():
        assert curve.usable == (True,) * 7
        assert fit_of(curve)[1] == (139.0, 3000.0)
        expected = None if teacher == "Fourier" else predicted_data(points, teacher)
        assert curve.stored[0].predicted == expected
    assert {tuple(c.about) for c in found.claims} == {("quantity", "source", "target", "learner")}
    assert found.tables["gaps"][0]["gap"] == [None] * 3 + [0.02] + [None] * 2 + [0.02]
    json.dumps(found.tables, allow_nan=False)


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_wrong_exponents_of_networks_alone_are_width_training_or_features(factor):
    found = DATA.conclude(data_rows(DATA, factor))
    assert {c.verdict for c in found.claims} == {"disagrees"}
    for claim in exponents_of(found):
        assert "width, training, features or parametrisation: the tangent kernel" in claim.note
        assert claim.measured == pytest.approx(factor * claim.predicted, abs=0.02)


@pytest.mark.parametrize("towards", [True, False])
def test_wrong_exponents_of_both_are_sizes_or_theory(towards):
    """Networks as their limit, whose local exponent is 30% low and moves towards c/D, or away."""

    def loss(n, exponent):
        local = np.log(n / 30.0)
        bend = 0.02 if towards else -0.02
        return math.exp(-exponent * (0.6 * local + bend * local**2))

    rows = data_rows(DATA, wide=loss)
    for row in rows:
        if row["kind"] == "train":
            row["loss"] = row["validation"] = 1.1 * row["wide"]
        else:
            row["validation"] = 1.1 * loss(row["n"], predicted_data(row["points"], row["teacher"]))
    found = DATA.conclude(rows)
    for claim in found.claims:
        if "exponent c/D" in claim.name:
            assert claim.verdict == "disagrees"
            word = "sizes: " if towards else "teacher or theory: "
            assert f"; {word}the {REFERENCE} misses it as much" in claim.note
        else:
            assert claim.verdict == "agrees"


def test_points_that_did_not_converge_are_optimisation():
    found = DATA.conclude(data_rows(DATA, gap=1.0))
    assert {c.verdict for c in found.claims} == {"inconclusive"}
    for claim in exponents_of(found):
        assert "optimisation: too few points converged" in claim.note
        assert claim.measured == pytest.approx(claim.predicted, abs=0.02), "the rough one"
        assert claim.interval == (-math.inf, math.inf)
    for curve in curves_of(found).values():
        assert fit_of(curve) is None
        assert not any(curve.usable)


def test_a_size_at_which_all_diverged_is_hollow_and_not_fitted():
    bad = DATA.sizes()[5]

    def diverged(seed, n, teacher, doubled):
        return n == bad and teacher == "Matérn 0.5"

    rows = data_rows(DATA, diverged=diverged)
    for (points, teacher), curve in curves_of(DATA.conclude(rows)).items():
        gone = teacher == "Matérn 0.5"
        assert curve.usable == (*[True] * 5, not gone, True)
        assert (curve.y[5] is None) == gone
        exponent, window = fit_of(curve)
        assert exponent == pytest.approx(predicted_data(points, teacher), abs=0.03)
        assert window == (139.0, 3000.0)
    # Three of five diverged: a value, which counts for nothing however wrong.
    some = data_rows(DATA, diverged=lambda seed, *a: diverged(seed, *a) and seed > 1)
    spoilt = copy.deepcopy(some)
    for row in spoilt:
        if row["n"] == bad and row["teacher"] == "Matérn 0.5" and row["loss"] is not None:
            row["loss"] = 1e3
    one, other = (curves_of(DATA.conclude(rows)) for rows in (some, spoilt))
    for (points, teacher), curve in one.items():
        same = other[points, teacher]
        assert fit_of(curve) == fit_of(same)
        if teacher == "Matérn 0.5":
            assert curve.usable[5] is same.usable[5] is False
            assert same.y[5] == pytest.approx(1e3)


def test_conclude_is_pure_and_takes_rows_in_any_order():
    for e, rows in ((DATA, data_rows(DATA)), (MODEL, model_rows(MODEL))):
        before = copy.deepcopy(rows)
        first = e.conclude(rows)
        assert rows == before
        for again in (e.conclude(rows), e.conclude(rows[::-1])):
            assert canonical_json(again) == canonical_json(first)


def test_scatter_common_to_network_and_limit_cancels():
    found = DATA.conclude(data_rows(DATA, common=0.5, own=0.003))
    for claim in found.claims:
        width = claim.interval[1] - claim.interval[0]
        if "exponent c/D" in claim.name:
            assert width > 0.1
        else:
            assert "less that of the tangent kernel" in claim.name
            assert width < 0.01
            assert claim.verdict == "agrees"
            assert abs(claim.measured) < 0.005
    # Each seed is divided by its own limit: shuffled among the seeds, nothing cancels.
    rows = data_rows(DATA, common=0.5, own=0.003)
    by_seed = {(r["points"], r["teacher"], r["n"], r["seed"]): r for r in rows if "wide" in r}
    shuffled = []
    for row in rows:
        if "wide" in row:
            other = (row["points"], row["teacher"], row["n"], (row["seed"] + 1) % 5)
            row = row | {"wide": by_seed[other]["wide"]}
        shuffled.append(row)
    for claim in DATA.conclude(shuffled).claims:
        if "less that of" in claim.name:
            assert claim.interval[1] - claim.interval[0] > 0.1


@pytest.mark.parametrize("exponent", [0.0, 0.001, -0.001])
def test_flat_limits_and_equal_networks_agree(exponent):
    """A Fourier teacher is not learned from few points: the limit may even rise a little."""
    rows = data_rows(DATA, wide=lambda n, _: (n / 30) ** -exponent)
    for row in rows:
        if "wide" in row:
            row["loss"] = row["wide"]
        else:
            row["validation"] *= 2.0  # nothing gained by a doubled budget
    claim = claim_with(DATA.conclude(rows), "Fourier: exponent less")
    assert claim.measured == pytest.approx(0.0, abs=1e-12)
    assert claim.tolerance >= 0.0
    assert claim.verdict == "agrees"


SHOWN = {
    "all converged": {},
    "none converged": {"gap": 1.0},
    "some sizes": {"gap": lambda n: 1.0 if n > 1000 else 0.0},
}


# --- figures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SHOWN)
def test_figures_of_data_scaling(case):
    gap = SHOWN[case].get("gap", 0.02)
    rows = data_rows(DATA, gap=0.0)
    for row in rows:
        if row["kind"] == "doubled":
            row["validation"] /= 1 + (gap(row["n"]) if callable(gap) else gap)
    conclusion = DATA.conclude(rows)
    plots = read_back(conclusion)
    shown = {f"nn-data-scaling{end}" for end in ("", "-curves", "-over-wide")}
    assert {plot.figure or plot.id for plot in plots} == shown
    sizes = DATA.sizes()
    n_good = {"all converged": 7, "none converged": 0, "some sizes": 4}[case]
    figures = drawn(conclusion) if case == "some sizes" else {}
    for plot, n_curves in zip(plots[1:3], (3, 2), strict=True):
        expected = sorted(sizes[:n_good] * n_curves), sorted(sizes[n_good:] * n_curves)
        assert points_of(plot) == expected
        if figures:
            assert marked(panel(figures[plot.figure], plot.title)) == expected
    ends = ("", "-cluster-d-16", "-cube-2", "-cluster-d-16-over-wide", "-cube-2-over-wide")
    assert [p.id for p in plots] == [f"nn-data-scaling{end}" for end in ends]
    for plot in plots[1:3]:
        assert (plot.window is not None) == (case == "all converged")
        for one in plot.series:
            if one.kind != "measured":
                continue
            claims = [c for c in conclusion.claims if f"{one.name}: exponent c/D" in c.name]
            stored = [s for s in one.stored if s.verdict]
            assert bool(stored) == bool(claims)
            assert {s.predicted for s in stored} <= {c.predicted for c in claims}
            assert one.y == tuple(
                pytest.approx(v) for v in np.exp(np.log(losses_of(rows, plot, one)).mean(axis=0))
            )
        assert {s.kind for s in plot.series} >= {"measured", "reference"}
    for plot in plots[3:]:
        assert [s.stored[0].predicted for s in plot.series] == [0.0] * len(plot.series)


def losses_of(rows, plot, series):
    """Losses (seeds, sizes) of one curve of a plot."""
    points = plot.title.split(" (D = ")[0]
    own = [
        r for r in rows if (r["points"], r["teacher"], r["kind"]) == (points, series.name, "train")
    ]
    return np.array([[r["loss"] for r in own if r["seed"] == seed] for seed in range(5)])


@pytest.mark.slow
def test_figures_where_whole_curves_diverged():
    rows = data_rows(DATA, diverged=lambda seed, n, teacher, doubled: teacher == "Matérn 0.5")
    conclusion = DATA.conclude(rows)
    for (_, teacher), curve in curves_of(conclusion).items():
        if teacher == "Matérn 0.5":
            assert curve.y == (None,) * 7
            assert fit_of(curve) is None
    read_back(conclusion)
    everything = DATA.conclude(data_rows(DATA, diverged=lambda *a: True))
    assert {c.verdict for c in everything.claims} == {"inconclusive"}
    drawn(everything)


def test_exponents_stand_against_predicted_ones():
    """Clusters full, cubes hollow, each near its prediction; the kernel's beside them."""
    (plot,) = [p for p in DATA.conclude(data_rows(DATA)).plots if p.id == DATA.name]
    by_name = {one.name: one for one in plot.series}
    matern = by_name["Matérn 0.5"]
    assert matern.x == pytest.approx([0.25, 0.5], rel=0.02)
    assert matern.y == pytest.approx([0.25, 0.5], abs=0.02)
    assert matern.usable == (True, False)
    assert "Fourier" not in by_name
    kernel = by_name["tangent kernel, unit biases (not their limit)"]
    assert kernel.y == pytest.approx([0.75, 0.25, 0.5, 2.0])
    nothing = DATA.conclude(data_rows(DATA, diverged=lambda *a: True)).plots[0]
    assert [one.name for one in nothing.series] == ["measured = predicted"]


def test_rows_kept_are_rows_concluded(tmp_path):
    """JSON in between changes nothing."""
    rows = data_rows(DATA)
    stored = json.loads(canonical_json(rows))
    assert canonical_json(DATA.conclude(stored)) == canonical_json(DATA.conclude(rows))
