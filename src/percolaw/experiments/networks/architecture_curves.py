"""The learning curves of several architectures on one data set, and what they are called."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from percolaw.datasets.sources import Source
from percolaw.experiments.base import Row
from percolaw.experiments.networks import convergence, neural
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import PowerLawFit
from percolaw.targets.teacher import TeacherFamily

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


def _rows_of(task: str, architecture: str, source: Source, rows: list[Row]) -> list[list[Row]]:
    key = (task, architecture, source.word)
    mine = [r for r in rows if (r["task"], r["architecture"], r["points"]) == key]
    return [[r for r in mine if r["kind"] == kind] for kind in ("train", "doubled")]


def learning_curve(
    task: Mapping[str, Any],
    source: Source,
    target: TeacherFamily,
    rows: list[Row],
    first: float,
    tolerance: float,
) -> Curve:
    """Return the curve of a task; usable are the sizes at which training converged.

    Parameters
    ----------
    task : mapping
        With ``task`` and ``architecture``.
    source : Source
    target : TeacherFamily
    rows : list of dict
        Of all tasks.
    first : float
        Smallest size of fits.
    tolerance : float
        Of an exponent, relative to the prediction.

    Returns
    -------
    Curve
    """
    name, what = task["architecture"], task["task"]
    measured, doubled = _rows_of(what, name, source, rows)
    predicted = neural.predicted_exponent(source, target, math.inf) or 0.0
    largest = max(r["n"] for r in measured)
    allowed = convergence.allowed_gap(largest, first, tolerance * predicted)
    kernels = {
        key: convergence.losses(measured, "n", key)
        for key in KERNELS
        if all(key in r for r in measured)
    }
    curve = convergence.learning_curve(measured, doubled, "n", allowed)
    if what == "shuffled":  # a student worse than the mean of the labels has learned nothing either
        curve = replace(curve, loss=np.minimum(curve.loss, 1.0))
    return Curve(what, name, source, curve, kernels, (float(first), math.inf), predicted)


def gap_row(one: Curve, rows: list[Row]) -> dict[str, Any]:
    """Return what doubled budgets gained, size by size, as plain values.

    Parameters
    ----------
    one : Curve
    rows : list of dict

    Returns
    -------
    dict
    """
    measured, doubled = _rows_of(one.task, one.architecture, one.source, rows)
    gap = convergence.gaps(measured, doubled, "n")
    return {
        "task": one.task,
        "architecture": NAMES[one.architecture],
        "source": one.source.label,
        "size": one.measured.size.tolist(),
        "gap": [float(f"{v:.4g}") if math.isfinite(v) else None for v in gap],
    }
