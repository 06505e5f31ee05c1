"""What is concluded of several architectures on one data set: exponents, shifts, differences, plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from percolaw.datasets.sources import LatticeCluster, Source
from percolaw.experiments import claims
from percolaw.experiments.base import Conclusion, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.networks import architecture_plots, convergence
from percolaw.experiments.networks.architecture_curves import (
    AXES,
    KERNELS,
    NAMES,
    Curve,
    gap_row,
    learning_curve,
)
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import PowerLawFit

THEORY = "docs/theory.md, 9"


def conclusion(rules: Any, rows: list[Row]) -> Conclusion:
    """Return claims, the table and the plots.

    Parameters
    ----------
    rules : Architectures
    rows : list of dict

    Returns
    -------
    Conclusion
    """
    curves = {
        (task["task"], task["architecture"], source): learning_curve(
            task,
            source,
            rules.teacher,
            rows,
            rules.model_fit_from if task["task"] == "model" else rules.fit_from,
            rules.tolerance,
        )
        for source in rules.settings
        for task in rules.tasks()
        if task["points"] == source.word
    }
    every: list[Claim] = []
    table: list[dict[str, Any]] = []
    exponents: dict[Curve, Claim] = {}
    for one in curves.values():
        if one.task not in AXES:
            every.append(_control(rules, one, curves["data", one.architecture, one.source]))
            continue
        said = _on_curve(rules, one)
        exponents[one] = said[0]
        base = curves.get((one.task, rules.architectures[0], one.source))
        if base is not None and base is not one:
            said.append(_beside_first(rules, one, base))
        every += said
        table += [_entry(one.task, one.architecture, one.source.label, claim) for claim in said]
    for low, high in transitions(rules.settings):
        for task in AXES:
            shifts = _shifts(rules, curves, task, low, high)
            every += shifts
            table += [_entry(task, c.about["learner"], low.label, c) for c in shifts]
    drawn = []
    for task in AXES:
        if mine := [one for one in curves.values() if one.task == task]:
            drawn.append(architecture_plots.exponent_plot("architectures", task, mine))
            drawn += architecture_plots.curve_plots("architectures", task, mine, exponents)
    gaps = [gap_row(one, rows) for one in curves.values()]
    return Conclusion(tuple(every), {"architectures": table, "gaps": gaps}, tuple(drawn))


def transitions(sources: Sequence[Source]) -> list[tuple[Source, Source]]:
    """Return the pairs of a lattice at the threshold and the same one above it, which follows it."""
    return [
        (low, high)
        for low, high in pairwise(sources)
        if isinstance(low, LatticeCluster)
        and isinstance(high, LatticeCluster)
        and low.lattice_dimension == high.lattice_dimension
        and low.ratio == 1.0 < high.ratio
    ]


def _on_curve(rules: Any, one: Curve) -> list[Claim]:
    """Its exponent against c/D, and less those of its kernels against 0."""
    words = f"{one.source}, {NAMES[one.architecture]}"
    axis, tolerance, line = AXES[one.task], rules.tolerance * one.predicted, one.line
    said = [
        claims.exponent(
            f"{words}: exponent in {axis}, c/D",
            THEORY,
            one.predicted,
            line,
            tolerance,
            convergence.fit_note(line, "", one.measured),
            {**one.about, "quantity": f"exponent in {axis}"},
            rough=convergence.rough_exponent(one.measured),
        )
    ]
    for key, kernel in one.kernels.items():
        ratio, of_kernel = one.measured.over(kernel), kernel.fit(one.window)
        over = ratio.fit(one.window)
        more = f"which has {of_kernel.exponent:.2f}" if of_kernel else ""
        said.append(
            claims.exponent(
                f"{words}: exponent less that of {KERNELS[key]}",
                "docs/neural.md",
                0.0,
                over,
                tolerance,
                convergence.fit_note(over, more),
                {**one.about, "quantity": f"exponent less {key}"},
                rough=convergence.rough_exponent(ratio),
            )
        )
    return said


def _beside_first(rules: Any, one: Curve, first: Curve) -> Claim:
    """Two architectures on the same points and teachers, seed by seed."""
    return _difference(
        f"{one.source}, {NAMES[one.architecture]} less {NAMES[first.architecture]}: exponent in "
        f"{AXES[one.task]}",
        (one.measured, first.measured),
        one.window,
        rules.tolerance * one.predicted,
        {**one.about, "quantity": f"exponent less {first.architecture}"},
    )


def _difference(
    name: str,
    curves: tuple[LearningCurve, LearningCurve],
    window: tuple[float, float],
    tolerance: float,
    about: dict[str, str],
) -> Claim:
    """Hold the exponent of the first curve less that of the second, seed by seed, against 0."""
    one, other = curves
    if np.array_equal(one.size, other.size):
        ratio = one.over(other)
        line, rough = ratio.fit(window), convergence.rough_exponent(ratio)
        note = convergence.fit_note(line)
        return claims.exponent(name, THEORY, 0.0, line, tolerance, note, about, rough=rough)
    # Networks of different shapes have different numbers of parameters.
    if one.fit(window) is None or other.fit(window) is None:
        rough = convergence.rough_exponent(one) - convergence.rough_exponent(other)
        note = convergence.fit_note(None)
        return claims.exponent(name, THEORY, 0.0, None, tolerance, note, about, rough=rough)
    gaps = one.slopes(window) - other.slopes(window)
    return claims.difference(name, THEORY, gaps[np.isfinite(gaps)], tolerance, "", about)


def _control(rules: Any, one: Curve, right: Curve) -> Claim:
    """Shuffled labels teach nothing; coordinates in another order change nothing."""
    tolerance, words = (
        rules.tolerance * one.predicted,
        f"{one.source}, {NAMES[one.architecture]}",
    )
    about = {**one.about, "quantity": f"exponent, {one.task}"}
    if one.task == "permuted":
        name = f"{words}: exponent with permuted coordinates less that without"
        return _difference(name, (one.measured, right.measured), one.window, tolerance, about)
    line, rough = one.line, convergence.rough_exponent(one.measured)
    name, note = f"{words}: exponent of shuffled labels", convergence.fit_note(one.line)
    return claims.exponent(name, THEORY, 0.0, line, tolerance, note, about, rough=rough)


def _shifts(
    rules: Any, curves: dict[Any, Curve], task: str, low: Source, high: Source
) -> list[Claim]:
    """The exponent at the threshold less that above it: of each architecture, and less the first's."""
    ratios: dict[str, LearningCurve] = {}
    said = []
    first = rules.architectures[0]
    for name in rules.architectures:
        if (task, name, low) not in curves or (task, name, high) not in curves:
            continue
        at, above = curves[task, name, low], curves[task, name, high]
        predicted = at.predicted - above.predicted
        tolerance = rules.shift_tolerance * predicted
        ratio = ratios[name] = at.measured.over(above.measured)
        line = ratio.fit(at.window)
        about = {**at.about, "quantity": f"shift of the exponent in {AXES[task]}"}
        words = f"{low} less {high}, {NAMES[name]}"
        said.append(
            claims.exponent(
                f"{words}: shift of the exponent in {AXES[task]}",
                THEORY,
                predicted,
                line,
                tolerance,
                _shown(line, at, above),
                about,
                rough=convergence.rough_exponent(ratio),
            )
        )
        if name != first and first in ratios:
            said.append(
                _difference(
                    f"{words} less {NAMES[first]}: shift of the exponent in {AXES[task]}",
                    (ratio, ratios[first]),
                    at.window,
                    tolerance,
                    {**about, "quantity": f"shift less {first}"},
                )
            )
    return said


def _shown(line: PowerLawFit | None, at: Curve, above: Curve) -> str:
    """Say whether the transition shows, and what kernels show on the same points."""
    verdict = "not known"
    if line is not None:
        low, high = line.interval
        verdict = "shows" if low > 0.0 else "opposite" if high < 0.0 else "not resolved"
    parts = [f"transition {verdict}"]
    for key, kernel in at.kernels.items():
        of_kernel = kernel.over(above.kernels[key]).fit(at.window)
        if of_kernel is not None:
            low, high = of_kernel.interval
            parts.append(f"{KERNELS[key]} {of_kernel.exponent:.2f} [{low:.2f}, {high:.2f}]")
    return convergence.fit_note(line, "; ".join(parts))


# --- table -------------------------------------------------------------------------------


def _entry(task: str, learner: str, source: str, claim: Claim) -> dict[str, Any]:
    ends = [v if math.isfinite(v) else None for v in claim.interval]
    return {
        "task": task,
        "architecture": NAMES.get(learner, learner),
        "source": source,
        "quantity": claim.about["quantity"],
        "predicted": claim.predicted,
        "measured": claim.measured if math.isfinite(claim.measured) else None,
        "interval": ends,
        "verdict": claim.verdict,
    }
