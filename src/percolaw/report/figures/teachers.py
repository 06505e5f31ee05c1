"""Nonlinearity and linear pieces of random teachers."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import CONFIDENCE, Plot, Series
from percolaw.report.records import claims_beside, series
from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a teachers record."""
    t = record["tables"]
    table = t["teachers"]
    relu = [e for e in table if "depth" in e and e["family"] != "Sharma-Kaplan"]
    budget = {(int(d), w) for d, w in t["budget_widths"].items()}
    grid = [e for e in relu if e["biased"] and (e["depth"], e["width"]) not in budget]
    figure, (score, pieces, fixed, families) = new(2, 2)
    for depth, color in zip(sorted({e["depth"] for e in grid}), CYCLE, strict=False):
        own = sorted((e for e in grid if e["depth"] == depth), key=lambda e: e["width"])
        width = [e["width"] for e in own]
        _points(score, width, own, "score", color, f"depth {depth}")
        _points(pieces, width, own, "pieces", color, f"depth {depth}")
        pieces.plot(width, [e["expected_pieces"] for e in own], "--", color=color, lw=1)
    score.set(
        xscale="log",
        xlabel="width",
        ylabel="score (1 = linear)",
        title="Nonlinearity of ReLU networks with biases",
    )
    pieces.set(
        xscale="log",
        yscale="log",
        xlabel="width",
        ylabel="linear pieces on a segment",
        title="Linear pieces, and the Rice formula (dashed)",
    )
    for biased, color in ((True, CYCLE[0]), (False, CYCLE[1])):
        own = sorted(
            (e for e in relu if e["biased"] == biased and (e["depth"], e["width"]) in budget),
            key=lambda e: e["depth"],
        )
        depth = [e["depth"] for e in own]
        _points(fixed, depth, own, "pieces", color, "biases" if biased else "no biases")
        fixed.plot(depth, [e["expected_pieces"] for e in own], "--", color=color, lw=1)
    parameters = int(np.mean([e["parameters"] for e in relu if (e["depth"], e["width"]) in budget]))
    fixed.set(
        xscale="log",
        yscale="log",
        xlabel="depth",
        ylabel="linear pieces on a segment",
        title=f"At about {parameters} parameters (formula dashed)",
    )
    for axis in (score, pieces, fixed):
        axis.legend(fontsize=8)
    shown = [e for e in table if e not in relu] + [
        e for e in relu if (e["depth"], e["width"]) in budget
    ]
    names = [e["family"] for e in shown]
    x = np.array([e["score"] for e in shown])
    ends = np.array([[_finite(v, e["score"]) for v in e["score_interval"]] for e in shown]).T
    families.errorbar(
        x, np.arange(len(shown)), xerr=np.abs(ends - x), fmt="o", color=CYCLE[0], ms=4
    )
    families.axvline(t["threshold"], color=BLACK, ls="--", lw=1)
    families.set(
        yticks=np.arange(len(shown)),
        xlabel="score (1 = linear); dashed: vetting threshold",
        title=f"Families of teachers, {t['n_seeds']} seeds",
    )
    families.set_yticklabels(
        [f"{name}: {e['passed']:.0%} pass" for name, e in zip(names, shown, strict=True)],
        fontsize=7,
    )
    families.invert_yaxis()
    return {"teachers": figure}


def _points(
    axis: Any, x: Any, entries: list[dict[str, Any]], key: str, color: str, label: str
) -> None:
    y = np.array([e[key] for e in entries])
    ends = np.array([[_finite(v, e[key]) for v in e[f"{key}_interval"]] for e in entries]).T
    axis.errorbar(x, y, np.abs(ends - y), fmt="o-", color=color, ms=4, lw=1.4, label=label)


def _finite(value: float | None, instead: float) -> float:
    return instead if value is None or not np.isfinite(value) else value


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return scores and linear pieces of ReLU networks by width and by depth."""
    t = record["tables"]
    seeds = t["n_seeds"]
    relu = [e for e in t["teachers"] if "depth" in e and e["family"] != "Sharma-Kaplan"]
    budget = {(int(d), w) for d, w in t["budget_widths"].items()}
    grid = [e for e in relu if e["biased"] and (e["depth"], e["width"]) not in budget]
    score, pieces, fixed = [], [], []
    for depth in sorted({e["depth"] for e in grid}):
        own = sorted((e for e in grid if e["depth"] == depth), key=lambda e: e["width"])
        name = f"depth {depth}"
        score.append(_series(name, own, "width", "score", seeds))
        pieces += _with_formula(name, own, "width", seeds)
    for biased in (True, False):
        own = sorted(
            (e for e in relu if e["biased"] == biased and (e["depth"], e["width"]) in budget),
            key=lambda e: e["depth"],
        )
        beside = claims_beside(record, lambda c: c.startswith("exponent of linear pieces"))
        fixed += _with_formula(
            "biases" if biased else "no biases", own, "depth", seeds, beside if biased else ()
        )
    counted = "linear pieces on a segment"
    return [
        Plot(
            "teachers-score",
            "Nonlinearity of ReLU networks with biases",
            "Score of nonlinearity against width, one curve a depth; deeper networks are less linear.",
            "width",
            "score (1 = linear)",
            True,
            False,
            tuple(score),
        ),
        Plot(
            "teachers-pieces",
            "Linear pieces by width",
            "Linear pieces on a segment rise with width along the Rice formula, one curve a depth.",
            "width",
            counted,
            True,
            True,
            tuple(pieces),
            growth=True,
        ),
        Plot(
            "teachers-budget",
            "Linear pieces by depth at fixed parameters",
            "Linear pieces on a segment against depth at a fixed number of parameters, "
            "with and without biases.",
            "depth",
            counted,
            True,
            True,
            tuple(fixed),
            growth=True,
        ),
    ]


def _series(
    name: str,
    entries: list[dict[str, Any]],
    x: str,
    key: str,
    seeds: Any,
    prediction: str | None = None,
    stored: Any = (),
) -> Series:
    return series(
        name,
        "measured",
        [e[x] for e in entries],
        [e[key] for e in entries],
        low=[e[f"{key}_interval"][0] for e in entries],
        high=[e[f"{key}_interval"][1] for e in entries],
        interval=CONFIDENCE,
        n_seeds=seeds,
        prediction=prediction,
        stored=stored,
    )


def _with_formula(
    name: str, entries: list[dict[str, Any]], x: str, seeds: Any, stored: Any = ()
) -> list[Series]:
    """Pieces counted, and the Rice formula as their prediction."""
    formula = f"{name}, Rice formula"
    return [
        _series(name, entries, x, "pieces", seeds, formula, stored),
        series(formula, "theory", [e[x] for e in entries], [e["expected_pieces"] for e in entries]),
    ]
