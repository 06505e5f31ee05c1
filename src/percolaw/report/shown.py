"""What the ``plot`` of objects draws: curves as in the report, claims, dimensions, points."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from percolaw import checks
from percolaw.experiments import plots
from percolaw.experiments.real.data_plots import data_plots
from percolaw.report import dimension as dimension_panels
from percolaw.report.draw import panel
from percolaw.report.style import BLACK, BLUE, GREEN, GREY, RED, styled

if TYPE_CHECKING:
    from percolaw.analysis.findings import Findings
    from percolaw.datasets.dataset import Dataset
    from percolaw.dimension.estimate import DimensionReport
    from percolaw.experiments.claims import Claims
    from percolaw.scaling.curve import LearningCurve

#: Colours of verdicts.
VERDICTS = {"agrees": GREEN, "disagrees": RED, "inconclusive": GREY}
#: Points of a dataset that are drawn, at most.
POINTS = 5000


def draw(kind: str, shown: Any, ax: Any) -> Any:
    """Draw an object into axes and return them; see `percolaw.shown.Drawable`.

    Parameters
    ----------
    kind : str
        Of `PAINTERS`.
    shown : object
    ax : matplotlib.axes.Axes or None
        New ones, of a figure in the house style, for None; notebooks show it, and ``ax.figure.savefig``
        writes it.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        Without Matplotlib.
    """
    if ax is not None:
        PAINTERS[kind](shown, ax)
        return ax
    pyplot = checks.extra("matplotlib.pyplot", "report")
    size = (7.4, 1.2 + 0.3 * max(4, len(shown))) if kind == "claims" else (6.4, 4.8)
    with styled():
        _, ax = pyplot.subplots(figsize=size)
        PAINTERS[kind](shown, ax)
    return ax


def _learning_curve(curve: LearningCurve, axis: Any) -> None:
    try:
        fitted = curve.fit()
    except ValueError:  # a loss that is not positive
        fitted = None
    series = []
    if curve.predicted is not None:
        series.append(plots.line("predicted", "theory", curve.size, curve.predicted, group="loss"))
    elif fitted is not None and curve.predicted_exponent is not None:
        name = f"predicted exponent {curve.predicted_exponent:.3g}"
        series.append(plots.slope(name, fitted, curve.predicted_exponent, group="loss"))
    measured = plots.curve(
        "loss", curve, fitted=fitted, predicted=curve.predicted_exponent, group="loss"
    )
    _plot(plots.log_log("curve", "", "", ("size", "loss"), [measured, *series]), axis)


def _plot(plot: plots.Plot, axis: Any) -> None:
    panel(axis, plot)


def _claims(claims: Claims, axis: Any) -> None:
    """Measured minus predicted, in tolerances, a claim a line."""
    axis.axvspan(-1.0, 1.0, color=GREY, alpha=0.15, linewidth=0)
    axis.axvline(0.0, color=BLACK, ls="--", lw=1)
    for y, claim in enumerate(claims):
        if not (claim.tolerance > 0.0 and math.isfinite(claim.measured - claim.predicted)):
            continue
        low, middle, high = (
            float(np.clip((value - claim.predicted) / claim.tolerance, -_EDGE, _EDGE))
            for value in (claim.interval[0], claim.measured, claim.interval[1])
        )
        color = VERDICTS[claim.verdict]
        axis.plot([low, high], [y, y], color=color, lw=1.6)
        outside = abs(claim.measured - claim.predicted) > _EDGE * claim.tolerance
        axis.plot(middle, y, "<>"[middle > 0] if outside else "o", color=color, ms=5, clip_on=False)
    for verdict, color in VERDICTS.items():
        if any(claim.verdict == verdict for claim in claims):
            axis.plot([], [], "o-", color=color, ms=5, label=verdict)
    axis.set_yticks(range(len(claims)), [_short(claim.name) for claim in claims], fontsize=8)
    axis.set(
        xlim=(-_EDGE, _EDGE),
        ylim=(len(claims) - 0.5, -0.5),
        xlabel="(measured - predicted) / tolerance",
    )
    axis.legend(fontsize=8)


#: Ends of the axis of claims, in tolerances; what lies outside stands at the edge.
_EDGE = 4.0


def _short(name: str, most: int = 48) -> str:
    return (name if len(name) <= most else f"{name[: most - 3]}...").replace("$", r"\$")


def _dimension_report(report: DimensionReport, axis: Any) -> None:
    dimension_panels.by_scale(axis, report.as_dict())


def _dataset(data: Dataset, axis: Any) -> None:
    """Points in the plane of their largest variance, coloured by the first label."""
    rows = np.linspace(0, len(data) - 1, min(len(data), POINTS)).astype(np.int64)
    part = data.take(np.unique(rows))
    points = np.asarray(part.X, dtype=np.float64)
    names = ("coordinate 1", "coordinate 2")
    if data.dim > 2:
        centred = points - points.mean(axis=0)
        points = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
        names = ("principal axis 1", "principal axis 2")
    elif data.dim == 1:
        points = np.column_stack([points, part.y.reshape(len(part), -1)[:, 0]])
        names = ("coordinate", "label y")
    label = part.y.reshape(len(part), -1)[:, 0]
    size = 4.0 if len(part) > 1000 else 14.0
    if np.ptp(label) > 0.0:
        dots = axis.scatter(*points.T, c=label, s=size, cmap="viridis", linewidths=0)
        axis.figure.colorbar(dots, ax=axis, label="label y")
    else:
        axis.scatter(*points.T, color=BLUE, s=size, linewidths=0)
    axis.set(xlabel=names[0], ylabel=names[1])
    if data.dim > 1:
        axis.set_aspect("equal", "datalim")


def _findings(findings: Findings, axis: Any) -> None:
    """Cluster sizes; the largest connected part where there is no function."""
    wanted = "data-0-sizes" if findings.levels else "data-connectivity"
    (chosen,) = (plot for plot in data_plots("data", findings) if plot.id == wanted)
    panel(axis, chosen)


PAINTERS: Mapping[str, Callable[[Any, Any], None]] = {
    "learning curve": _learning_curve,
    "plot": _plot,
    "claims": _claims,
    "dimension report": _dimension_report,
    "dataset": _dataset,
    "findings": _findings,
}
