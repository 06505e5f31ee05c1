"""Teachers: parameter budgets, and what is concluded from made-up rows."""

import re

import pytest

from percolaw.experiments.kernels.teachers import Teachers


def brute_parameters(depth, width, dim):
    """Weights and biases of dim -> width -> ... -> width -> 1."""
    layers = [dim] + [width] * depth + [1]
    return sum((layers[i] + 1) * layers[i + 1] for i in range(depth + 1))


@pytest.mark.parametrize(("budget", "dim"), [(5000, 20), (40_000, 20), (900, 2), (1234, 7)])
def test_budget_width_is_the_largest_within_the_budget(budget, dim):
    e = Teachers(budget=budget, dim=dim, budget_depths=(1, 2, 3, 4, 8))
    for depth in e.budget_depths:
        width = 1
        while brute_parameters(depth, width + 1, dim) <= budget:
            width += 1
        assert e.budget_width(depth) == width
    with pytest.raises(ValueError, match="width within the budget"):
        Teachers(budget=50, dim=dim)


def test_only_networks_without_biases_are_linear_on_rays():
    e = Teachers(depths=(2,), widths=(30,), n_repeats=2, n_segments=3)
    (biased,) = e.measure({"family": "ReLU 2 x 30", "seed": 0})
    (homogeneous,) = e.measure({"family": "ReLU 2 x 30, no biases", "seed": 0})
    assert homogeneous["ray_pieces"] == 1.0
    assert homogeneous["pieces"] > 1.0
    assert biased["ray_pieces"] > 1.0


TEACHERS = Teachers(
    n_seeds=3, depths=(1, 4), widths=(10, 100), budget=5000, budget_depths=(1, 2, 4, 8)
)


def teacher_rows(linear=1.0, rays=1.0, ratio=1.0, slope=0.4, formula=0.4):
    rows = []
    for cell in TEACHERS.cells():
        row = {**cell, "score": 0.8, "standard_error": 0.01}
        if cell["family"] == "linear":
            row["score"] = linear
        shape = re.match(r"ReLU (\d+) x (\d+)(, no biases)?", cell["family"])
        if shape or cell["family"] == "Sharma-Kaplan":
            depth, width = (int(shape[1]), int(shape[2])) if shape else (2, 600)
            biased = bool(shape) and shape[3] is None
            expected = 1.0 + 40.0 * depth**formula
            pieces = 1.0 + ratio * (expected - 1.0)
            if biased and width == TEACHERS.budget_width(depth):
                pieces = 50.0 * depth**slope
                expected = 50.0 * depth**formula
            row |= {
                "depth": depth,
                "width": width,
                "biased": biased,
                "parameters": 5000,
                "pieces": pieces,
                "expected_pieces": expected,
                "ray_pieces": 9.0 if biased else rays,
            }
        rows.append(row)
    return rows


def test_conclusion_about_teachers():
    assert len({str(c) for c in TEACHERS.cells()}) == len(TEACHERS.cells())
    found = TEACHERS.conclude(teacher_rows())
    names = [c.name for c in found.claims]
    assert len(set(names)) == len(names) == 4
    assert {c.verdict for c in found.claims} == {"agrees"}
    linear, rays, pieces, budget = found.claims
    assert (linear.predicted, rays.predicted, pieces.predicted) == (1.0, 1.0, 1.0)
    assert budget.predicted == pytest.approx(0.4)
    assert budget.measured == pytest.approx(0.4)
    table = {t["family"]: t for t in found.tables["teachers"]}
    assert set(table) == set(TEACHERS.families())
    assert table["linear"]["passed"] == 0.0, "a linear teacher is above the threshold"
    assert table["ReLU 4 x 10"]["passed"] == 1.0
    widths = {d: TEACHERS.budget_width(d) for d in (1, 2, 4, 8)}
    shown = set(found.tables["shown"])
    assert {name for name in shown if name.startswith("ReLU")} == {
        f"ReLU {d} x {w}{end}" for d, w in widths.items() for end in ("", ", no biases")
    }
    plots = {p.id: p for p in found.plots}
    for one in plots["teachers-budget"].series:
        assert one.x == (1.0, 2.0, 4.0, 8.0)
    assert [one.name for one in plots["teachers-score"].series] == ["depth 1", "depth 4"]


@pytest.mark.parametrize(
    ("change", "index", "measured"),
    [
        ({"linear": 0.99}, 0, 0.99),
        ({"rays": 2.0}, 1, 2.0),
        ({"ratio": 1.5}, 2, None),
        ({"slope": 0.8}, 3, 0.8),
        ({"formula": 0.1}, 3, 0.4),
    ],
)
def test_other_teachers_disagree(change, index, measured):
    claim = TEACHERS.conclude(teacher_rows(**change)).claims[index]
    assert claim.verdict == "disagrees"
    if measured is not None:
        assert claim.measured == pytest.approx(measured)
