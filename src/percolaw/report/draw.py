"""Pictures of plots: the same curves, colours and words as in the page, as Matplotlib figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot, Series
from percolaw.nulls import floats
from percolaw.report.style import BLACK, CYCLE, GREY, new, shades, window

#: Markers of measured series, in order.
MARKERS = "os^Dv<>phX*P"
#: From this many points on a measured line has no markers and a band in place of bars.
MANY = 13
_STYLE = {"measured": "-", "theory": "--", "reference": ":"}
#: Panels beside each other.
COLUMNS = 3
#: Share of a panel that a legend may cover; with a larger one all stand below their panels.
COVERED = 0.16
#: Height of a line of a legend, width of a character and of what stands before them, in inches.
_LEGEND = (0.165, 0.06, 0.5)
#: Letters in a line of a title or an axis.
LINE = 60


def figures(plots: Sequence[Plot]) -> dict[str, Any]:
    """Return a Matplotlib figure for each file name; plots of one name are its panels."""
    files: dict[str, list[Plot]] = {}
    for plot in plots:
        files.setdefault(plot.figure or plot.id, []).append(plot)
    return {name: _figure(panels) for name, panels in files.items()}


def _figure(panels: list[Plot]) -> Any:
    columns = 2 if len(panels) == 4 else min(COLUMNS, len(panels))
    wide = {1: 6.4, 2: 5.4}.get(columns, 4.4)
    height = 0.76 * wide
    figure, axes = new(columns, -(-len(panels) // columns), width=wide, height=height)
    for axis, plot in zip(axes, panels, strict=False):
        panel(axis, plot)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    line, character, handle = _LEGEND
    names = [axis.get_legend_handles_labels()[1] for axis in axes]
    areas = [len(n) * line * (handle + character * max(map(len, n), default=0)) for n in names]
    if max(areas) > COVERED * wide * height:
        more = max(axis.get_xlabel().count("\n") for axis in axes)  # further lines of a label
        below = -0.2 - 0.05 * more
        for axis in axes[: len(panels)]:
            axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0.0, below), borderaxespad=0)
        rows = [max(map(len, names[i : i + columns])) for i in range(0, len(axes), columns)]
        figure.set_figheight(figure.get_figheight() + (sum(rows) + more * len(rows)) * line)
        figure.draw_without_rendering()  # legends move with their axes: the second layout holds them
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
    color = colors(plot.series, plot.ordered)
    turn, seen = 0, set()
    told: dict[str, str] = {}
    for one in plot.series:
        marker = MARKERS[turn % len(MARKERS)]
        turn += one.kind == "measured"
        follows = bool(one.group) and one.group in seen
        seen.add(one.group)
        if follows:
            marker = "o"
        _series(axis, one, color[one.name], marker, "" if follows else label(one))
        if follows:
            alone = "o" if one.kind == "measured" else "_"
            line = _STYLE[one.kind] if one.joined else alone
            told.setdefault(line, one.name.removeprefix(f"{one.group}, "))
    for style, name in told.items():
        axis.plot([], [], style, color=BLACK, ms=5 if style == "o" else 10, lw=1.3, label=name)
    axis.set(
        xscale="log" if plot.x_log else "linear",
        yscale="log" if plot.y_log and _positive(plot) else "linear",
        xlabel=textwrap.fill(plot.x_label, LINE),
        ylabel=plot.y_label,
        title=textwrap.fill(plot.title, LINE),
        ylim=plot.y_limits,
    )
    for one in (axis.xaxis, axis.yaxis):
        _plain_numbers(one)
    axis.legend(fontsize=8)


def colors(series: Sequence[Series], ordered: bool = False) -> dict[str, str]:
    """Return the colour of every series: one a group, black and grey for what stands alone.

    The first theory that belongs to no measured series and no group is black, the next ones have
    colours of their own; such references are grey.

    Parameters
    ----------
    series : sequence of Series
    ordered : bool
        Shades from dark to light for what is measured, in place of colours.

    Returns
    -------
    dict of str
        Colour by name of series.
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
            groups[one.name] = group
    names = list(dict.fromkeys(groups.values()))
    cycle = [CYCLE[i % len(CYCLE)] for i in range(len(names))]
    palette = dict(zip(names, shades(len(names)) if ordered else cycle, strict=True))
    return found | {name: palette[group] for name, group in groups.items()}


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


def _plain_numbers(axis: Any) -> None:
    """Label a logarithmic axis of less than two decades by plain numbers, few enough to be read."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    if axis.get_scale() != "log" or not 0.0 < low < high < 100.0 * low:
        return
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high > 10.0 * low else range(1, 10)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _positive(plot: Plot) -> bool:
    return any(v is not None and v > 0.0 for one in plot.series for v in one.y)
