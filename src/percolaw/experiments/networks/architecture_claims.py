"""What is concluded of several architectures on one data set: exponents, shifts, differences, plots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from percolaw.datasets.sources import LatticeCluster, Source
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Conclusion, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.networks import convergence, neural
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import PowerLawFit

if TYPE_CHECKING:
    from percolaw.experiments.networks.architectures import Architectures

THEORY = "docs/theory.md, 9"
#: Kernels by the name of their losses in rows. All but the first belong to one architecture.
KERNELS = {
    "wide": "tangent kernel of unit biases (NTK parametrisation)",
    "own": "its tangent kernel at the start",
    "biased": "its tangent kernel at the start, constant coordinate",
}
NAMES = {
    "mlp": "MLP",
    "residual": "residual MLP",
    "transformer": "transformer",
    "tokens": "transformer of digits",
}
#: Kernel that plots show beside each.
SHOWN = {"mlp": "wide", "residual": "biased", "transformer": "own", "tokens": "own"}
#: What exponents are in, by task.
AXES = {"data": "training points", "model": "parameters"}


@dataclass(frozen=True, eq=False)
class Curve:
    """The learning curve of one architecture on one source.

    Attributes
    ----------
    task : {"data", "model", "shuffled", "permuted"}
    architecture : str
    source : Source
    measured : LearningCurve
    kernels : dict of str to LearningCurve
    window : (low, high)
        Of fits.
    predicted : float
        Exponent c/D.
    """

    task: str
    architecture: str
    source: Source
    measured: LearningCurve
    kernels: dict[str, LearningCurve]
    window: tuple[float, float]
    predicted: float

    @property
    def line(self) -> PowerLawFit | None:
        """The power law of its converged points."""
        return self.measured.fit(self.window)

    @property
    def about(self) -> dict[str, str]:
        """Keys of claims."""
        return {"source": self.source.label, "learner": NAMES[self.architecture]}


def conclusion(experiment: Architectures, rows: list[Row]) -> Conclusion:
    """Return claims, the table and the plots.

    Parameters
    ----------
    experiment : Architectures
    rows : list of dict

    Returns
    -------
    Conclusion
    """
    curves = {
        (task["task"], task["architecture"], source): _curve(experiment, task, source, rows)
        for source in experiment.settings
        for task in experiment.tasks()
        if task["points"] == source.word
    }
    every: list[Claim] = []
    table: list[dict[str, Any]] = []
    for one in curves.values():
        if one.task not in AXES:
            every.append(_control(experiment, one, curves["data", one.architecture, one.source]))
            continue
        said = _on_curve(experiment, one)
        base = curves.get((one.task, experiment.architectures[0], one.source))
        if base is not None and base is not one:
            said.append(_beside_first(experiment, one, base))
        every += said
        table += [_table_row(one, claim) for claim in said]
    for low, high in transitions(experiment.settings):
        for task in AXES:
            shifts = _shifts(experiment, curves, task, low, high)
            every += shifts
            table += [_shift_row(task, low, claim) for claim in shifts]
    drawn = [
        *(p for task in AXES for p in _exponent_plots(experiment, curves, task)),
        *(p for task in AXES for p in _curve_plots(experiment, curves, task)),
    ]
    gaps = [_gap_row(one, rows) for one in curves.values()]
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


def _rows_of(task: str, architecture: str, source: Source, rows: list[Row]) -> list[list[Row]]:
    key = (task, architecture, source.word)
    mine = [r for r in rows if (r["task"], r["architecture"], r["points"]) == key]
    return [[r for r in mine if r["kind"] == kind] for kind in ("train", "doubled")]


def _curve(
    experiment: Architectures, task: dict[str, Any], source: Source, rows: list[Row]
) -> Curve:
    name, what = task["architecture"], task["task"]
    measured, doubled = _rows_of(what, name, source, rows)
    predicted = neural.predicted_exponent(source, experiment.teacher, math.inf) or 0.0
    first = experiment.model_fit_from if what == "model" else experiment.fit_from
    largest = max(r["n"] for r in measured)
    allowed = convergence.allowed_gap(largest, first, experiment.tolerance * predicted)
    kernels = {
        key: convergence.losses(measured, "n", key)
        for key in KERNELS
        if all(key in r for r in measured)
    }
    curve = convergence.learning_curve(measured, doubled, "n", allowed)
    return Curve(what, name, source, curve, kernels, (float(first), math.inf), predicted)


def _on_curve(experiment: Architectures, one: Curve) -> list[Claim]:
    """Its exponent against c/D, and less those of its kernels against 0."""
    words = f"{one.source}, {NAMES[one.architecture]}"
    axis, tolerance, line = AXES[one.task], experiment.tolerance * one.predicted, one.line
    said = [
        claims.exponent(
            f"{words}: exponent in {axis}, c/D",
            THEORY,
            one.predicted,
            line,
            tolerance,
            convergence.fit_note(line),
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


def _beside_first(experiment: Architectures, one: Curve, first: Curve) -> Claim:
    """Two architectures on the same points and teachers, seed by seed."""
    return _difference(
        f"{one.source}, {NAMES[one.architecture]} less {NAMES[first.architecture]}: exponent in "
        f"{AXES[one.task]}",
        (one.measured, first.measured),
        one.window,
        experiment.tolerance * one.predicted,
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


def _control(experiment: Architectures, one: Curve, right: Curve) -> Claim:
    """Shuffled labels teach nothing; coordinates in another order change nothing."""
    tolerance, words = (
        experiment.tolerance * one.predicted,
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
    experiment: Architectures, curves: dict[Any, Curve], task: str, low: Source, high: Source
) -> list[Claim]:
    """The exponent at the threshold less that above it: of each architecture, and less the first's."""
    ratios: dict[str, LearningCurve] = {}
    said = []
    first = experiment.architectures[0]
    for name in experiment.architectures:
        if (task, name, low) not in curves or (task, name, high) not in curves:
            continue
        at, above = curves[task, name, low], curves[task, name, high]
        predicted = at.predicted - above.predicted
        tolerance = experiment.shift_tolerance * predicted
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


# --- table and plots -------------------------------------------------------------------------------


def _table_row(one: Curve, claim: Claim) -> dict[str, Any]:
    return _entry(one.task, one.architecture, one.source.label, claim)


def _shift_row(task: str, low: Source, claim: Claim) -> dict[str, Any]:
    return _entry(task, claim.about["learner"], low.label, claim)


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


def _gap_row(one: Curve, rows: list[Row]) -> dict[str, Any]:
    """What doubled budgets gained, size by size."""
    gap = convergence.gaps(*_rows_of(one.task, one.architecture, one.source, rows), "n")
    return {
        "task": one.task,
        "architecture": NAMES[one.architecture],
        "source": one.source.label,
        "size": one.measured.size.tolist(),
        "gap": [float(f"{v:.4g}") if math.isfinite(v) else None for v in gap],
    }


def _exponent_plots(
    experiment: Architectures, curves: dict[Any, Curve], task: str
) -> list[plots.Plot]:
    """Exponents by source, an architecture a colour, with predictions and kernels."""
    mine = [one for one in curves.values() if one.task == task]
    sources = [s for s in experiment.settings if any(one.source == s for one in mine)]
    if not mine:
        return []
    series = []
    for i, name in enumerate(experiment.architectures):
        place = 0.12 * (i - 0.5 * (len(experiment.architectures) - 1))
        known = [
            (sources.index(one.source) + place, one.line)
            for one in mine
            if one.architecture == name and one.line is not None
        ]
        if known:
            series.append(
                plots.points(
                    NAMES[name],
                    [x for x, _ in known],
                    [line.exponent for _, line in known],
                    [line.interval[0] for _, line in known],
                    [line.interval[1] for _, line in known],
                    group=name,
                )
            )
        key = SHOWN[name]
        fits = [
            (sources.index(one.source) + place + 0.04, one.kernels[key].fit(one.window))
            for one in mine
            if one.architecture == name and key in one.kernels
        ]
        limits = [(x, fit.exponent) for x, fit in fits if fit is not None]
        if limits:
            label = f"{NAMES[name]}: {KERNELS[key].removeprefix('its ')}"
            series.append(
                plots.line(label, "reference", *zip(*limits, strict=True), joined=False, group=name)
            )
    theory = [(s, next(one.predicted for one in mine if one.source == s)) for s in sources]
    series.append(
        plots.line(
            "c/D", "theory", range(len(theory)), [value for _, value in theory], joined=False
        )
    )
    return [
        plots.Plot(
            f"{experiment.name}-{task}-exponents",
            f"Exponents in {AXES[task]} through the transition",
            "Exponents of every architecture at the threshold and above it, beside c/D.",
            "points",
            f"exponent in {AXES[task]}",
            False,
            False,
            tuple(series),
            fit=False,
            y_limits=(0.0, None),
            x_ticks=tuple(source.label for source in sources),
        )
    ]


def _curve_plots(
    experiment: Architectures, curves: dict[Any, Curve], task: str
) -> list[plots.Plot]:
    """Every learning curve, a panel a source: slope c/D dashed, kernels dotted."""
    panels = []
    for source in experiment.settings:
        mine = [one for one in curves.values() if (one.task, one.source) == (task, source)]
        series = []
        for one in mine:
            name, line = NAMES[one.architecture], one.line
            said = [_on_curve(experiment, one)[0]]
            series.append(
                plots.curve(name, one.measured, claims=said, fitted=line, group=one.architecture)
            )
            if line is not None:
                slope = f"{name}, slope c/D"
                series.append(plots.slope(slope, line, one.predicted, group=one.architecture))
            if SHOWN[one.architecture] in one.kernels:
                kernel = one.kernels[SHOWN[one.architecture]]
                label = KERNELS[SHOWN[one.architecture]].removeprefix("its ")
                series.append(
                    plots.line(
                        f"{name}: {label}",
                        "reference",
                        kernel.size,
                        kernel.mean(),
                        group=one.architecture,
                    )
                )
        if series:
            panels.append(
                plots.log_log(
                    f"{experiment.name}-{task}-{plots.slug(source.word)}",
                    f"{source} (D = {source.dimension:.4g})",
                    "Test loss of every architecture on the same points. Hollow: not converged.",
                    (AXES[task], "test loss / variance"),
                    series,
                    plots.hull(one.line for one in mine),
                    figure=f"{experiment.name}-{task}-curves",
                    hollow="not converged",
                )
            )
    return panels
