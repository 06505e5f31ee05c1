"""Pictures of plots: the same curves, colours and words as in the page, as Matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot, Series
from percolaw.nulls import floats
from percolaw.report.style import BLACK, CYCLE, GREY, new, window

#: Markers of measured series, in order.
MARKERS = "os^Dv<>phX*P"
#: From this many points on a measured line has no markers and a band in place of bars.
MANY = 13
_STYLE = {"measured": "-", "theory": "--", "reference": ":"}
#: Panels beside each other.
COLUMNS = 3


def figures(plots: Sequence[Plot]) -> dict[str, Any]:
    """Return a Matplotlib figure for each file name; plots of one name are its panels."""
    files: dict[str, list[Plot]] = {}
    for plot in plots:
        files.setdefault(plot.figure or plot.id, []).append(plot)
    return {name: _figure(panels) for name, panels in files.items()}


def _figure(panels: list[Plot]) -> Any:
    columns = 2 if len(panels) == 4 else min(COLUMNS, len(panels))
    wide = {1: 6.4, 2: 5.4}.get(columns, 4.4)
    figure, axes = new(columns, -(-len(panels) // columns), width=wide, height=0.76 * wide)
    for axis, plot in zip(axes, panels, strict=False):
        panel(axis, plot)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return figure


def panel(axis: Any, plot: Plot) -> None:
    """Draw one plot into Matplotlib axes.

    In a group only the first series has a line in the legend; what stands for the others (a prediction, a
    limit) is said once, in black.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Changed.
    plot : Plot
    """
    if plot.window is not None:
        window(axis, *plot.window)
    color = colors(plot.series)
    turn, seen = 0, set()
    told: dict[str, str] = {}
    for one in plot.series:
        marker = MARKERS[turn % len(MARKERS)]
        turn += one.kind == "measured"
        follows = bool(one.group) and one.group in seen
        seen.add(one.group)
        _series(axis, one, color[one.name], marker, "" if follows else label(one))
        if follows:
            told.setdefault(_STYLE[one.kind], one.name.removeprefix(f"{one.group}, "))
    for style, name in told.items():
        axis.plot([], [], style, color=BLACK, lw=1.3, label=name)
    axis.set(
        xscale="log" if plot.x_log else "linear",
        yscale="log" if plot.y_log and _positive(plot) else "linear",
        xlabel=plot.x_label,
        ylabel=plot.y_label,
        title=plot.title,
        ylim=plot.y_limits,
    )
    axis.legend(fontsize=8)


def colors(series: Sequence[Series]) -> dict[str, str]:
    """Return the colour of every series: one a group, black and grey for what stands alone.

    The first theory that belongs to no measured series and no group is black, the next ones have
    colours of their own; such references are grey.
    """
    found: dict[str, str] = {}
    groups: dict[str, str] = {}
    measured = {one.group or one.name for one in series if one.kind == "measured"}
    for one in series:
        group = one.group or one.name
        alone = group not in measured and not one.group
        if one.kind == "reference" and alone:
            found[one.name] = GREY
        elif one.kind == "theory" and alone and BLACK not in found.values():
            found[one.name] = BLACK
        else:
            groups.setdefault(group, CYCLE[len(groups) % len(CYCLE)])
            found[one.name] = groups[group]
    return found


def label(one: Series) -> str:
    """Return what a legend says of a series: its name, and its exponent beside the predicted one."""
    for stored in one.stored:
        if stored.measured is None or len(one.stored) > 1:
            continue
        low, high = stored.interval
        text = f"{one.name}: {stored.measured:.3g}"
        if low is not None and high is not None and high > low:
            text += f" [{low:.3g}, {high:.3g}]"
        return text + (f" of {stored.predicted:.3g}" if stored.predicted is not None else "")
    return one.name


def _series(axis: Any, one: Series, color: str, marker: str, text: str) -> None:
    x, y = floats(one.x), floats(one.y)
    if one.kind != "measured":
        if one.joined:
            axis.plot(x, y, _STYLE[one.kind], color=color, lw=1.3, label=text or None)
        else:
            axis.plot(x, y, "_", color=color, ms=10, mew=1.6, label=text or None)
        return
    full = np.ones(x.size, dtype=bool) if one.usable is None else np.array(one.usable)
    few = x.size < MANY or not one.joined
    if one.low is not None and one.high is not None:
        low, high = floats(one.low), floats(one.high)
        if few:
            ends = np.stack([y - low, high - y])
            axis.errorbar(x, y, np.maximum(ends, 0.0), fmt="none", color=color, lw=1)
        else:
            axis.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
    if one.joined:
        axis.plot(x, y, "-", color=color, lw=1.5)
    if few or not full.all():
        axis.plot(x[~full], y[~full], marker, color=color, mfc="white", ms=5)
        axis.plot(x[full], y[full], marker, color=color, ms=5)
    style = ("-" if one.joined else "") + (marker if few else "")
    axis.plot([], [], style or marker, color=color, ms=5, lw=1.5, label=text or None)


def _positive(plot: Plot) -> bool:
    return any(v is not None and v > 0.0 for one in plot.series for v in one.y)
