"""Degrees of freedom: linear students, made-up rows, figures."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

pytest.importorskip("torch")

from network_cases import LINEAR, drawn, read_back, sources

from percolaw.datasets.sources import Cube, parse_source
from percolaw.experiments.networks.effective_dof import EffectiveDof
from percolaw.numerics.degrees_of_freedom import random_signs
from percolaw.rng import Streams
from percolaw.targets.families import standardized_values
from percolaw.targets.matern import MaternTeacher


def test_a_linear_student_has_as_many_degrees_of_freedom_as_parameters():
    """Least squares in two coordinates with a constant: divergence and trace are 3 a function."""
    (row,) = LINEAR.measure(LINEAR.cells()[0])
    assert row["n_parameters"] == 3
    # Random signs see the diagonal of a projection, and its other elements as noise of variance
    # 2 (3 - sum H_ii^2) / n_probes, exactly known here.
    streams = Streams(0).child(*b"cube 2")
    x = Cube(2).inputs(100 + 2 * 50, streams)[100:]
    design = np.column_stack([x, np.ones(100)])
    hat = design @ np.linalg.pinv(design)
    signs = random_signs(100, 2, streams.child(1))
    expected = np.einsum("ip,ij,jp->p", signs, hat, signs)
    assert row["probes"] == pytest.approx(expected.tolist(), rel=1e-3)
    assert row["trace"] == pytest.approx(3.0, rel=1e-2)
    assert row["diverged"] is False
    y = standardized_values([MaternTeacher(0.5)], Cube(2).inputs(200, streams), streams)[100:, 0]
    assert row["train"] == pytest.approx(np.mean((y - hat @ y) ** 2), rel=1e-3)


def test_a_student_that_diverged_is_not_reported_as_measured():
    e = dataclasses.replace(
        LINEAR, depth=2, width=8, training=dataclasses.replace(LINEAR.training, learning_rate=1e6)
    )
    (row,) = e.measure(e.cells()[0])
    assert row["diverged"] is True
    assert row["n_parameters"] > 0
    assert not {"loss", "train", "divergence", "probes", "trace", "ridge"} & row.keys()


FREEDOM = EffectiveDof(
    n_seeds=4,
    settings=sources("cube 2", "cube 20"),
    sizes=(30, 100, 300, 1000),
    decays=(0.0, 1.0),
    dropouts=(0.0, 0.1),
    tolerance=0.15,
    trace_tolerance=0.2,
)


def freedom_rows(e, factor=1.0, ratio=1.0, span=30.0, diverged=lambda row: False):
    """Loss = (degrees of freedom)^-(c/D), of which there are up to `span` times as many."""
    rng = np.random.default_rng(8)
    rows = []
    for cell in e.cells():
        big_d = parse_source(cell["points"]).dimension
        exponent = factor * min(e.teacher.approximation_order, big_d + 2.0) / big_d
        by_size = cell["kind"] == "sizes"
        plan = list(itertools.product(e.sizes, e.decays)) if by_size else [(e.n_width, 0.0)]
        for n, decay in plan:
            span_of = math.log(e.sizes[-1] / e.sizes[0])
            count = 10.0 * span ** (math.log(n / e.sizes[0]) / span_of)
            loss = float(count**-exponent * np.exp(0.001 * rng.standard_normal()))
            row = {**cell, "width": cell.get("width", e.width), "n": n, "decay": decay}
            row |= {"n_parameters": 100, "diverged": bool(diverged(row))}
            if not row["diverged"]:
                row |= {"loss": loss, "train": 0.1, "ridge": 1.0}
                row |= {"divergence": count, "probes": [count], "trace": ratio * count}
            rows.append(row)
    return rows


@pytest.mark.parametrize("factor", [1.0, 0.7, 1.3])
def test_loss_is_held_against_degrees_of_freedom(factor):
    found = FREEDOM.conclude(freedom_rows(FREEDOM, factor))
    against = [c for c in found.claims if "loss against degrees of freedom" in c.name]
    assert len(against) == 2 * 4
    assert {c.verdict for c in against} == {"agrees" if factor == 1.0 else "disagrees"}
    for claim in against:
        assert claim.measured == pytest.approx(factor * claim.predicted, abs=0.02)
    assert {c.verdict for c in found.claims if "trace" in c.name} == {"agrees"}
    wrong = FREEDOM.conclude(freedom_rows(FREEDOM, factor, ratio=1.3))
    for claim in wrong.claims:
        if "trace" in claim.name:
            assert claim.verdict == "disagrees"
            assert claim.measured == pytest.approx(1.3)
    short = FREEDOM.conclude(freedom_rows(FREEDOM, factor, span=8.0))
    verdicts = {c.verdict for c in short.claims if "loss against" in c.name}
    assert verdicts == {"inconclusive"}, "not a decade"


def of_seeds(*seeds):
    """Whether one size of some seeds diverged, in one setting; without decay and dropout."""

    def diverged(row):
        own = row["kind"] == "sizes" and not row["decay"] and not row["dropout"]
        return own and (row["points"], row["n"]) == ("cube 2", 300) and row["seed"] in seeds

    return diverged


@pytest.fixture(scope="module")
def capped():
    """Five seeds of a teacher whose c/D is capped, and the conclusion where none diverged."""
    e = dataclasses.replace(FREEDOM, n_seeds=5, teacher=MaternTeacher(2.5))
    return e, e.conclude(freedom_rows(e))


@pytest.mark.parametrize(
    ("seeds", "verdict"), [((0,), "agrees"), ((0, 1), "inconclusive"), (range(5), "inconclusive")]
)
def test_seeds_that_diverged_are_left_out_of_degrees_of_freedom(capped, seeds, verdict):
    e, whole = capped
    found = e.conclude(freedom_rows(e, diverged=of_seeds(*seeds)))
    for before, claim in zip(whole.claims, found.claims, strict=True):
        assert claim.name == before.name
        if claim.name.startswith("cube 2, decay 0, dropout 0:"):
            assert claim.verdict == verdict
            assert (claim.predicted, claim.tolerance) == (before.predicted, before.tolerance)
            if verdict == "inconclusive":
                assert f"{len(seeds)} of 5 seeds diverged" in claim.note
        else:
            assert claim.verdict == before.verdict == "agrees"
    read_back(found)


def test_the_trace_leaves_out_seeds_of_which_nothing_is_left():
    """Nothing over nothing is no ratio of 0."""
    e = dataclasses.replace(FREEDOM, n_seeds=5)
    found = e.conclude(freedom_rows(e, diverged=lambda row: row["seed"] == 0))
    for claim in found.claims:
        assert claim.verdict == "agrees"
        if "trace" in claim.name:
            assert claim.measured == pytest.approx(1.0)
    none = e.conclude(freedom_rows(e, diverged=lambda row: True))
    assert {c.verdict for c in none.claims} == {"inconclusive"}
    drawn(none)


# --- figures ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # a slope through one value
def test_figures_of_degrees_of_freedom():
    found = read_back(FREEDOM.conclude(freedom_rows(FREEDOM)))
    assert {plot.figure for plot in found} == {"effective-dof"}
    ends = itertools.product(("cube-2", "cube-20"), ("", "-trace", "-width"))
    assert [p.id for p in found] == [f"effective-dof-{name}{end}" for name, end in ends]
    for loss, trace, width in (found[:3], found[3:]):
        *curves, slope = loss.series
        assert len(curves) == 4
        assert all(len(line.stored) == 1 for line in curves)
        assert slope.kind == "theory"
        assert trace.series[0].x == trace.series[0].y, "made so"
        assert [line.name for line in width.series] == [
            *("divergence", "trace", "min(parameters, points)")
        ]
    # A divergence below 0 has no logarithm: what is left of the curves is drawn.
    one = dataclasses.replace(FREEDOM, settings=sources("cube 2"))
    drawn(one.conclude([r | {"divergence": -1.0} for r in freedom_rows(one)]))


def test_slopes_drawn_are_those_of_the_setting():
    settings = ("cube 20", "cube 2")
    e = dataclasses.replace(FREEDOM, settings=sources(*settings))
    found = read_back(e.conclude(freedom_rows(e)))
    for plot, name in zip(found[::3], settings, strict=True):
        (line,) = [one for one in plot.series if one.kind == "theory"]
        x, y = line.x, line.y
        slope = -math.log(y[1] / y[0]) / math.log(x[1] / x[0])
        assert slope == pytest.approx(1.0 / parse_source(name).dimension)
