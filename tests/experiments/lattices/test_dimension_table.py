"""The table by dimension: the literature from its own curves, and other curves refused."""

import dataclasses
import json

import numpy as np
import pytest
from conclusions import check_figures, claim_with, verdicts

from percolaw.clusters.hypercubic.box import HypercubicLattice
from percolaw.clusters.hypercubic.newman_ziff import sweep
from percolaw.experiments.base import canonical_json
from percolaw.experiments.lattices import box_curves
from percolaw.experiments.lattices.dimension_table import DimensionTable
from percolaw.experiments.lattices.lattice_exponents import FIELD, LINEAR
from percolaw.laws import hypercubic as literature
from percolaw.rng import Streams
from percolaw.scaling import fit


def said_of(conclusion, dimension):
    """Claims on a lattice by quantity."""
    source = f"lattice d = {dimension}, p_c"
    return {c.about["quantity"]: c for c in conclusion.claims if c.about["source"] == source}


TABLE = DimensionTable(dimensions=(2, 3, 6, 7), n_seeds=4)


def table_rows(e=TABLE, change=None):
    """Rows as the literature has them, each seed with slopes of its own."""
    extra = dict.fromkeys(("tau", "D", "d_min", "1/sigma", LINEAR, FIELD, "growth"), 0.0)
    extra |= {"bond": 1.0, "site": 1.0, "collapse": 1.0, **(change or {})}
    rng = np.random.default_rng(1)
    rows = []
    for cell in e.cells():
        d, kind = cell["dimension"], cell["kind"]
        known = literature.critical_exponents(d)
        off = 1.0 + 0.001 * rng.standard_normal()
        if kind == "sizes":
            s = np.unique(np.rint(np.geomspace(1, 1e6, 25)))
            slope = off * (2.0 - known.fisher_exponent) - extra["tau"]
            found = {"s": s, "survival": 0.8 * s**slope, "n_clusters": 10**8}
        elif kind == "below":
            power = off * (1 / known.cutoff_exponent + extra["1/sigma"])
            found = {f"cutoff_{i}": 3.0 * gap**-power for i, gap in enumerate(e.below)}
        elif kind == "learning":
            n = box_curves.grid(10.0, 0.1 * e.field_size, e.per_decade)
            mass = box_curves.grid(100.0, e.field_size, e.per_decade)
            radius = 0.2 * mass ** (off * 2 / (known.fractal_dimension + extra["D"]))
            found = {"n": n, "loops": 0.1, "mass": mass, "radius": radius}
            path = known.shortest_path_dimension + extra["d_min"]
            found["depth"] = 1.3 * radius ** (off * path / 2)
            found[LINEAR] = 2.0 * n ** -(off * known.cluster_exponent() + extra[LINEAR])
            found[FIELD] = 2.0 * n ** -(off * known.free_field_exponent + extra[FIELD])
        else:
            name = kind.split()[1]
            known_p = literature.hypercubic_threshold(d, name)
            p = known_p * np.linspace(0.76, 1.24, 161)
            found = {"p": p}
            high = d >= 6
            torus = 2 * d / 3 if high else known.fractal_dimension
            power = d / 3 if high else 1 / known.correlation_exponent
            for i, length in enumerate(e._lengths(d)):
                # From six dimensions on wrapping curves cross elsewhere; below, the largest stay put.
                shift = 1.05 if high else extra[name]
                x = (p / (shift * known_p) - 1.0) * length**power
                found[f"wrapping_{i}"] = 1.0 / (1.0 + np.exp(0.7 - 3.0 * off * x))
                x = (p / ((extra[name] if high else 1.0) * known_p) - 1.0) * length**power
                # Farther apart on one side of p_c: the growth at p_c and where curves cross stay.
                beside = x > 1e-6 if extra["collapse"] > 1.0 else x < -1e-6
                curve = np.exp(0.3 * off * x) * np.where(beside, extra["collapse"], 1.0) ** i
                found[f"largest_{i}"] = 0.5 * length ** (torus - d + extra["growth"]) * curve
        rows.append({**cell, **found})
    return rows


#: Quantity -> a part of its claim's name that no other claim has.
TABLE_CLAIMS = {
    "tau": ": tau, s from",
    "D": ": D, s =",
    "d_min": ": d_min, s =",
    "1/sigma": "1/sigma, 1 - p/p_c",
    "alpha": ": alpha =",
    LINEAR: "exponent of a linear function",
    FIELD: "exponent of the free field",
    "bond": "p_c of bond",
    "site": "p_c of site",
    "growth": "growth of the largest",
    "collapse": "finite-size collapse",
}


def test_the_literature_is_recovered_from_its_own_curves():
    found = TABLE.conclude(table_rows())
    assert set(verdicts(found).values()) == {"agrees"}
    assert len(found.claims) == 4 * len(TABLE_CLAIMS)
    for d in TABLE.dimensions:
        known = literature.critical_exponents(d)
        said = said_of(found, d)
        for name, value in (
            ("tau", known.fisher_exponent),
            ("D", known.fractal_dimension),
            ("d_min", known.shortest_path_dimension),
            ("1/sigma", 1 / known.cutoff_exponent),
            ("c/D", known.cluster_exponent()),
            ("2/d_s - 1", known.free_field_exponent),
            ("p_c bond", literature.hypercubic_threshold(d)),
            ("p_c site", literature.hypercubic_threshold(d, "site")),
        ):
            assert said[name].predicted == pytest.approx(value)
            assert said[name].measured == pytest.approx(value, rel=4e-3)
            low, high = said[name].interval
            assert low <= said[name].measured <= high
        tau = said["tau"].measured
        assert said["alpha"].measured == pytest.approx((3 - tau) / (tau - 2))
    # Above six dimensions the largest cluster of a torus grows otherwise.
    assert claim_with(found, "d = 6: growth of the largest").predicted == pytest.approx(4.0)
    assert claim_with(found, "d = 7: growth of the largest").predicted == pytest.approx(14 / 3)
    # What crosses at p_c: curves drawn are those of the claims.
    for d in TABLE.dimensions:
        claim = said_of(found, d)["p_c bond"]
        what = "largest clusters over V^(2/3)" if d >= 6 else "wrapping curves"
        assert f"where {what} of L = " in claim.name
        (plot,) = [p for p in found.plots if p.id == f"dimension-table-wrapping-{d}"]
        small, large = plot.series[:2]
        at = int(np.argmin(np.abs(np.array(small.x) - claim.predicted)))
        assert small.y[at] == pytest.approx(large.y[at], rel=1e-6), "they cross there"
        gap = np.subtract(large.y, small.y)
        assert np.all(np.sign(gap[[at - 5, at + 5]]) == [-1, 1])


#: Quantities that from six dimensions on are wrong besides: all are of the largest cluster there.
WITH = {
    "bond": {"growth", "collapse"},
    "growth": {"bond", "site", "collapse"},
}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"tau": 0.03}, {"tau", "alpha"}),
        ({"D": 0.15}, {"D"}),
        ({"d_min": -0.08}, {"d_min"}),
        ({"1/sigma": 0.3}, {"1/sigma"}),
        ({LINEAR: 0.05}, {LINEAR}),
        ({FIELD: -0.05}, {FIELD}),
        ({"bond": 1.02}, {"bond"}),
        ({"site": 0.99}, {"site"}),
        ({"growth": 0.2}, {"growth"}),
        ({"collapse": 1.25}, {"collapse"}),
    ],
)
def test_other_curves_than_the_literatures_disagree(change, wrong):
    found = verdicts(TABLE.conclude(table_rows(change=change)))
    for quantity, text in TABLE_CLAIMS.items():
        own = [v for name, v in found.items() if text in name]
        assert len(own) == 4
        if quantity == "alpha" and "tau" in wrong:
            assert own[0] != "agrees", "in two dimensions tau decides alpha"
            continue
        if quantity == "collapse" and "growth" in wrong:
            continue
        assert set(own[:2]) == ({"disagrees"} if quantity in wrong else {"agrees"}), quantity
        above = set.union(wrong, *(WITH.get(k, set()) for k in wrong))
        assert set(own[2:]) == ({"disagrees"} if quantity in above else {"agrees"}), quantity


def test_the_largest_clusters_collapse_with_the_volume_above_six_dimensions():
    """Rows that scale with L^(1/nu) = L^2 collapse in six dimensions and not in seven."""
    rows = table_rows()
    for row in rows:
        if row["kind"] == "threshold bond" and row["dimension"] >= 6:
            d = row["dimension"]
            p = np.array(row["p"]) / literature.hypercubic_threshold(d) - 1.0
            for i, length in enumerate(TABLE._lengths(d)):
                row[f"largest_{i}"] = length ** (-d / 3) * (1.0 + 30.0 * np.abs(p) * length**2.0)
    found = TABLE.conclude(rows)
    assert claim_with(found, "d = 6: finite-size collapse").verdict == "agrees"
    assert claim_with(found, "d = 7: finite-size collapse").verdict == "disagrees"


def test_too_few_clusters_make_no_exponent():
    rows = table_rows()
    for row in rows:
        if row["kind"] == "sizes":
            row["n_clusters"] = 10
    found = TABLE.conclude(rows)
    for d in TABLE.dimensions:
        claim = claim_with(found, f"d = {d}: tau")
        assert claim.verdict == "inconclusive"
        assert "too few clusters" in claim.note
        assert claim_with(found, f"d = {d}: alpha").verdict == "inconclusive"
    flat = table_rows(change={"tau": -0.2})
    assert claim_with(TABLE.conclude(flat), "d = 2: alpha").verdict == "inconclusive", "tau below 2"


def test_learning_windows_without_a_size_are_refused():
    with pytest.raises(ValueError, match="leave no half decade to fit"):
        dataclasses.replace(TABLE, learn_share=1e-5)


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_few_seeds_have_no_interval(n_seeds):
    e = dataclasses.replace(TABLE, n_seeds=n_seeds)
    assert set(verdicts(e.conclude(table_rows(e))).values()) == {"inconclusive"}


def tiny_table(**fields):
    return DimensionTable(
        **{
            "dimensions": (2,),
            "n_seeds": 3,
            "max_size": 10_000,
            "budget": 60_000,
            "field_size": 20_000,
            "n_balls": 2,
            "n_learned": 1,
            "n_test": 500,
            "sweep_sites": (100, 900),
            "n_sweeps": 5,
            **fields,
        }
    )


@pytest.mark.parametrize("kind", ["bond", "site"])
def test_curves_of_tori_are_means_over_sweeps(kind):
    """Of each sweep's own curves, against the literature's p_c."""
    e = tiny_table(n_sweeps=3)
    row = e._threshold(2, kind, Streams(5))
    p_c = literature.hypercubic_threshold(2, kind)
    np.testing.assert_allclose(row["p"], p_c * np.linspace(0.76, 1.24, 161))
    for i, length in enumerate((10, 30)):
        lattice = HypercubicLattice(2, length, kind, periodic=True)
        total = lattice.n_bonds if kind == "bond" else lattice.n_sites
        records = np.unique(np.linspace(0.7 * p_c * total, 1.3 * p_c * total, 401).astype(int))
        curves = [
            sweep(lattice, Streams(5).child(i, j), n_open=records).at(row["p"]) for j in range(3)
        ]
        largest = np.mean([c["largest_share"] for c in curves], axis=0)
        np.testing.assert_allclose(row[f"largest_{i}"], largest, rtol=1e-9)
        wrapped = np.mean([c["wrapped"].mean(axis=1) for c in curves], axis=0)
        np.testing.assert_allclose(row[f"wrapping_{i}"], wrapped, atol=1e-12)
        assert np.any(np.abs(curves[0]["largest_share"] - largest) > 1e-3)


@pytest.mark.slow  # the smoke preset runs the same
def test_tiny_table_end_to_end():
    e = tiny_table()
    rows = json.loads(canonical_json([row for cell in e.cells() for row in e.measure(cell)]))
    assert len(rows) == 15
    sizes = [r for r in rows if r["kind"] == "sizes"]
    for row in sizes:
        assert row["survival"][0] == 1.0
        assert np.all(np.diff(row["survival"]) <= 0)
        assert row["n_clusters"] == e.n_clusters(2)
    below = [r for r in rows if r["kind"] == "below"]
    assert all(r["cutoff_0"] > r["cutoff_1"] > 1 for r in below)
    for row in rows:
        if row["kind"] == "learning":
            assert np.all(np.diff(row["radius"]) > 0)
            assert np.all(np.diff(row["depth"]) >= 0)
            # In a square D is between 1.5 and 2 at any size.
            slope = fit.log_slopes(row["mass"], [row["radius"]])[0]
            assert 1.5 < 2 / slope < 2.05
            assert 0 < row["loops"] < 1
    found = e.conclude(rows)
    assert claim_with(found, "p_c of bond").measured == pytest.approx(0.5, abs=0.03)
    assert claim_with(found, "p_c of site").measured == pytest.approx(0.593, abs=0.04)
    check_figures(e, rows)
