"""Regimes: verdicts that turn when the rows do not obey the theory."""

import copy
import dataclasses
import json
import math

import numpy as np
import pytest
from conclusions import check_figures, claim_with, verdicts
from lattice_cases import SMALL, bethe_moments

from percolaw.experiments.base import canonical_json
from percolaw.experiments.lattices import box_curves, boxes
from percolaw.experiments.lattices.boxes import BETHE
from percolaw.experiments.lattices.regime_plots import FULL
from percolaw.experiments.lattices.regimes import SPACE_SHARE, Regimes, Windows
from percolaw.laws import hypercubic as literature
from percolaw.scaling import fit

REGIMES = Regimes(dimensions=(2, 4, BETHE), ratios=(0.7, 0.8, 0.9, 1.0, 1.3), n_seeds=4)
#: What rows hold: filled in by theory, then changed by one factor at a time.
LAWS = ("random", "placed")


def regime_rows(e=REGIMES, largest=1_000_000, change=None):
    """Rows as exact power laws have them; `change` maps quantities to extra exponents or factors."""
    names = ("tau", "cutoff", "critical", "giant", "full", "space", "full space")
    extra = dict.fromkeys(names, 0.0) | (change or {})
    rng = np.random.default_rng(0)
    rows = []
    for cell in e.cells():
        d, ratio = cell["dimension"], cell["ratio"]
        known = literature.critical_exponents(6 if d == BETHE else d)
        above = ratio == FULL or ratio > 1.0
        size = 4 * largest if ratio == FULL else largest

        def off(at):
            return at ** (0.003 * rng.standard_normal())

        n = box_curves.grid(10.0, 0.1 * size, e.per_decade)
        part = "full" if ratio == FULL else "giant" if above else "critical"
        slope = boxes.cluster_exponent(d, above) + extra[part]
        s = boxes.SURVIVAL_SIZES.astype(float)
        row = {
            **cell,
            "n_sites": 4 * largest,
            "largest_share": 0.25,
            "loops_per_site": 0.1,
            "probability": 0.5,
            "n_clusters": 10,
            "kept_share": 0.9,
            "cutoff": max(abs(1.0 - ratio), 1e-3) ** -(1 / known.cutoff_exponent + extra["cutoff"]),
            "survival": s ** (2.0 - known.fisher_exponent - extra["tau"]) * off(s),
            "largest": size,
            "total": 4 * largest,
            "n": n,
            "single": 2.0 * n**-slope * off(n),
        }
        if d != BETHE:
            in_space = extra["full space" if ratio == FULL else "space"]
            row["space"] = 1.5 * n ** -(slope + in_space) * off(n)
            row["space"] = row["space"][n <= SPACE_SHARE * size]
        if ratio != FULL:
            t = box_curves.grid(10.0, 0.8 * largest, e.per_decade)
            row |= {"gamma": slope, "factor": 1.0, "t": t}
            for name, power in zip(LAWS, (0.4, 0.6), strict=True):
                factor, bend = extra.get(name, (1.0, 0.0))
                row[f"{name}_predicted"] = 1.5 * t**-power
                row[name] = factor * 1.5 * t ** (bend - power) * off(t)
                if bend:
                    row[name] /= np.exp(np.log(t ** (bend)).mean())
        rows.append(row)
    return rows


def test_regimes_that_obey_the_theory_agree():
    found = REGIMES.conclude(regime_rows())
    names = verdicts(found)
    assert set(names.values()) == {"agrees"}
    # On two lattices tau, 1/sigma, four exponents and four claims on laws; on the Bethe lattice sizes are
    # the exact law, and its giant has no dimension.
    assert len(names) == 2 * 10 + 5
    assert not [n for n in names if "Bethe" in n and ("tau" in n or "giant" in n or "sigma" in n)]
    assert [n for n in names if "sigma" in n] == [
        f"d = {d}: 1/sigma from <S^2>/<S> between p = 0.8 and 0.9 p_c" for d in (2, 4)
    ]
    assert claim_with(found, "d = 2, p_c: tau").predicted == pytest.approx(187 / 91)
    assert claim_with(found, "d = 4: 1/sigma").predicted == pytest.approx(1 / 0.4799)
    assert "between p = 0.8 and 0.9 p_c" in claim_with(found, "d = 4: 1/sigma").name
    assert claim_with(found, "Bethe lattice, p_c: exponent of the largest").predicted == 0.5
    for neighbor in ("along bonds", "in space"):
        claim = claim_with(
            found,
            "d = 4, 1.3 p_c: exponent of the giant cluster less that of the full box, nearest "
            + neighbor,
        )
        assert claim.predicted == 0.0
        assert claim.name.endswith("n = 32..17783"), "the sizes of the giant cluster"
        assert claim.note.startswith("itself 0.5")
        assert "c/d = 0.50, c/D = 0.66" in claim.note
    for d, predicted in ((2, 1.0), (4, 0.5)):
        claim = claim_with(found, f"d = {d}, full box: exponent, n = 32..56234: c/d")
        assert claim.predicted == predicted
    # What the exact law has between the same two p: less than 2, by corrections to scaling.
    moments = [np.divide(*bethe_moments(6, 0.2 * ratio)[::-1]) for ratio in (0.9, 0.8)]
    bend = math.log(moments[0] / moments[1]) / math.log(2)
    assert f"has {bend:.2f} of 2 here" in claim_with(found, "d = 2: 1/sigma").note


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"tau": 0.05}, "tau from"),
        ({"cutoff": 0.4}, "1/sigma"),
        ({"critical": 0.08}, "exponent of the largest cluster"),
        ({"giant": -0.08}, "exponent of the giant cluster"),
        ({"full": 0.08}, "full box"),
        ({"giant": 0.08, "full": 0.08}, "full box: exponent"),
        ({"space": 0.08}, "nearest in space"),
        ({"full space": 0.08}, "nearest in space"),
        ({"space": 0.08, "full space": 0.08}, "no claim at all"),
        ({"random": (1.6, 0.0)}, "data law over the prediction"),
        ({"placed": (0.6, 0.0)}, "model law over the prediction"),
        ({"random": (1.0, 0.1)}, "data exponent"),
        ({"placed": (1.0, -0.1)}, "model exponent"),
    ],
)
def test_regimes_that_do_not_obey_the_theory_disagree(change, text):
    for name, verdict in verdicts(REGIMES.conclude(regime_rows(change=change))).items():
        assert (verdict == "disagrees") == (text in name), name


def test_the_full_box_is_taken_on_the_sizes_of_the_giant():
    """Whatever it does on sizes beyond them, on which it has its own claim."""
    rows = regime_rows()
    for row in rows:
        if row["ratio"] == FULL:
            n = np.array(row["n"])
            row["single"] = row["single"] * np.where(n > 20_000.0, 0.5, 1.0)
            row["space"] = row["space"] * np.where(n[: row["space"].size] > 20_000.0, 0.5, 1.0)
            # Nor by what it does before.
            row["single"][n < 30.0] *= 3.0
            row["space"][n[: row["space"].size] < 30.0] *= 3.0
    for name, verdict in verdicts(REGIMES.conclude(rows)).items():
        assert (verdict == "disagrees") == ("full box: exponent" in name), name


def test_seeds_of_the_giant_are_held_against_their_own_full_box():
    """What both have in common leaves no trace: not in the mean, not in the interval."""
    rows = regime_rows()
    for row in rows:
        if row["ratio"] == FULL or row["ratio"] > 1.0:
            n, common = np.array(row["n"]), 0.3 * (row["seed"] - 1.5)
            row["single"] = row["single"] * n**common
            if "space" in row:
                row["space"] = row["space"] * n[: row["space"].size] ** common
    found = REGIMES.conclude(rows)
    pairs = [c for c in found.claims if "giant cluster less" in c.name]
    assert len(pairs) == 4
    assert {c.verdict for c in pairs} == {"agrees"}
    assert all(c.interval[1] - c.interval[0] < 0.05 for c in pairs)
    whole = [c for c in found.claims if "full box: exponent" in c.name]
    assert all(c.interval[1] - c.interval[0] > 0.5 for c in whole), (
        "control: one by one they differ"
    )


def test_regimes_claim_nothing_of_windows_below_a_decade():
    names = verdicts(REGIMES.conclude(regime_rows(largest=9_000)))
    assert not [n for n in names if "exponent of the" in n], "0.02 of 9000 sites is 180"
    assert len([n for n in names if "full box: exponent" in n]) == 2, "of 36000 it is 720"
    assert not [n for n in names if "law" in n or "data exponent" in n]
    assert [n for n in names if "1/sigma" in n]


def test_rows_of_unlike_boxes_are_cut_to_the_smallest():
    rows = regime_rows()
    shorter = copy.deepcopy(rows)
    for row in shorter:
        if row["seed"] == 0 and row["ratio"] != FULL:  # that one always has all sites
            if "space" in row:
                row["space"] = row["space"][np.array(row["n"][: len(row["space"])]) <= 2000.0]
            row["largest"], row["total"] = 100_000, 400_000
            for key, kept in (("n", 17), ("t", 20)):
                for name in [k for k in row if k == key or k in ("single", *LAWS) or "_pred" in k]:
                    if len(row[name]) == len(rows[0][key]):
                        row[name] = row[name][:kept]
    found = REGIMES.conclude(shorter)
    assert set(verdicts(found).values()) == {"agrees"}
    assert "n = 32..1778" in claim_with(found, "d = 2, p_c: exponent of the largest").name
    assert (
        "n = 32..17783" in claim_with(REGIMES.conclude(rows), "d = 2, p_c: exponent of the l").name
    )


def test_units_of_regimes():
    e = Regimes(dimensions=(2, BETHE), ratios=(0.9, 1.0, 2.5, 6.0), n_seeds=2)
    found = {(c["dimension"], c["ratio"]) for c in e.cells()}
    assert found == {(2, 0.9), (2, 1.0), (2, FULL), *((BETHE, r) for r in (0.9, 1.0, 2.5))}


@pytest.mark.slow  # the smoke preset runs the same
def test_tiny_regimes_end_to_end():
    e = Regimes(
        dimensions=(2, BETHE), ratios=(0.8, 0.9, 1.0, 1.3), n_seeds=3, boxes=SMALL, per_decade=4
    )
    rows = [row for cell in e.cells() for row in e.measure(cell)]
    rows = json.loads(canonical_json(rows))
    for row in rows:
        assert row["largest"] <= row["total"]
        assert len(row["single"]) == len(row["n"])
        if row["ratio"] != FULL:
            assert {len(row[k]) for k in (*LAWS, *(f"{n}_predicted" for n in LAWS))} == {
                len(row["t"])
            }
            assert min(row["random"], default=1.0) > 0
    whole = [r for r in rows if r["ratio"] == FULL]
    assert len(whole) == 3
    assert all(r["largest"] == r["n_sites"] == r["total"] for r in whole)
    assert all(r["probability"] == 1.0 for r in whole)
    found = e.conclude(rows)
    # A box of 2 dimensions that is whole is a square: 1-NN has 2/2 there, roughly.
    n, single = (np.array(whole[0][k]) for k in ("n", "single"))
    use = (n >= 30) & (n <= 1000)
    assert fit.log_slopes(n[use], [single[use]])[0] == pytest.approx(-1.0, abs=0.15)
    assert [t["label"] for t in found.tables["lattices"]] == ["d = 2", "Bethe lattice"]
    assert [entry["ratio"] for entry in found.tables["lattices"][0]["table"]] == [
        *(0.8, 0.9, 1.0, 1.3, FULL)
    ]
    check_figures(e, rows)


def test_windows_of_regimes_are_judged_alone():
    """Units are named without them, so `measure` must not read them."""
    e = Regimes(dimensions=(2,), ratios=(1.0,), n_seeds=1, boxes=SMALL)
    other = dataclasses.replace(e, windows=Windows(single_from=5.0, single_share=0.05))
    assert canonical_json(other.measure(e.cells()[0])) == canonical_json(e.measure(e.cells()[0]))
