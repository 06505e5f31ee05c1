"""The plot of a dimension report."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import Any

from percolaw.report.draw import WIDTH
from percolaw.report.style import BLACK, CYCLE, GREY, new, save, styled


def draw_report(report: dict[str, Any], path: str | os.PathLike[str], title: str = "") -> Path:
    """Draw estimates against scale and number of neighbours, and their intervals; return the path.

    Parameters
    ----------
    report : dict
        `percolaw.dimension.estimate.DimensionReport.as_dict`.
    path : path
        ``.png``, ``.svg`` or ``.pdf``.
    title : str
        Stands before the report's sentence.

    Returns
    -------
    Path
    """
    with styled():
        figure, (scale, neighbors, intervals, key) = new(4, 2, width=WIDTH[2], height=2.9)
        by_scale(scale, report)
        scale.get_legend().remove()
        key.set_axis_off()
        key.legend(*scale.get_legend_handles_labels(), loc="center left")
        k = report["by_neighbors"]
        # Neither is one of the estimators of the key, which have their numbers of neighbours.
        neighbors.plot(k["k"], k["likelihood"], "o-", color=BLACK, ms=4, label="MLE")
        neighbors.plot(k["k"], k["ratio"], "s--", color=GREY, ms=4, label="ratio regression")
        neighbors.set(xscale="log", xlabel="neighbours $k$", title="Dependence on neighbours")
        neighbors.legend()
        names = list(report["estimates"])
        # One interval without an end in sight must not hide the others.
        most = 3.0 * max(e["dimension"] for e in report["estimates"].values())
        for y, (name, color) in enumerate(zip(names, CYCLE, strict=False)):
            e = report["estimates"][name]
            low, high = e["interval"]
            if low is not None and high is not None:
                intervals.plot([low, min(high, most)], [y, y], color=color, lw=2, alpha=0.6)
                if high > most:
                    intervals.plot(most, y, ">", color=color)
                    intervals.annotate(f"to {high:.3g}", (most, y - 0.15), ha="right", fontsize=8)
            intervals.plot(e["dimension"], y, "o", color=color)
        intervals.axvline(report["dimension"], color=BLACK, ls="--", lw=1)
        intervals.set(yticks=[], xlabel="dimension", title="Stated intervals")  # the key is beside
        intervals.invert_yaxis()
        title = title.replace("$", r"\$")  # no formula
        figure.suptitle("\n".join(textwrap.wrap(f"{title}: {report['sentence']}", 95)), fontsize=9)
        return save(figure, Path(path))


def by_scale(axis: Any, report: dict[str, Any]) -> None:
    """Draw the estimates with all points and with random subsets into axes.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    report : dict
        `percolaw.dimension.estimate.DimensionReport.as_dict`.
    """
    for (name, e), color in zip(report["estimates"].items(), CYCLE, strict=False):
        axis.plot(e["n_points"], e["level"], "o-", color=color, ms=4, lw=1.4, label=name)
    axis.set(
        xscale="log",
        xlabel="points: all, and random subsets",
        ylabel="estimated dimension",
        title="Dependence on scale",
    )
    ticks = next(iter(report["estimates"].values()))["n_points"]
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.legend(fontsize=8)
