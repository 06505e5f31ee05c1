"""Pictures of plots: the same curves, colours and words as in the page, as Matplotlib figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot, Series
from percolaw.nulls import floats
from percolaw.report.style import BLACK, CYCLE, GREY, new, plain_numbers, shades, window

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
#: Letters in an inch of a title or of the label of an axis.
LETTERS = 11


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
        panel(axis, plot, int(LETTERS * wide))
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    shown = axes[: len(panels)]
    line, character, handle = _LEGEND
    names = [axis.get_legend_handles_labels()[1] for axis in shown]
    areas = [len(n) * line * (handle + character * max(map(len, n), default=0)) for n in names]
    large = max(areas) > COVERED * wide * height
    if not large:
        figure.draw_without_rendering()  # only now legends have chosen their places
    if large or any(_over_data(axis) for axis in shown):
        _legends_below(figure, shown, columns, int((wide - handle) / character))
    return figure


def _over_data(axis: Any) -> bool:
    """Whether a legend lies over curves, points or intervals."""
    box = axis.get_legend().get_window_extent()
    paths = []
    for one in axis.lines:
        path = one.get_transform().transform_path(one.get_path())
        if one.get_linestyle() == "None":
            if any(box.contains(x, y) for x, y in path.vertices):
                return True
        elif len(path.vertices):
            paths.append((path, False))
    for one in axis.collections:
        move = one.get_transform()
        filled = bool(one.get_facecolor().size)
        paths += [(move.transform_path(path), filled) for path in one.get_paths()]
    return any(path.intersects_bbox(box, filled=filled) for path, filled in paths)


def _legends_below(figure: Any, axes: Sequence[Any], columns: int, letters: int) -> None:
    """Move legends below their panels; below all of them, once, where they say the same."""
    line = _LEGEND[0]
    drawn = [axis.get_legend_handles_labels() for axis in axes]
    labels = [[textwrap.fill(name, letters) for name in names] for _, names in drawn]
    if len(axes) > 1 and all(names == labels[0] for names in labels):
        for axis in axes:
            axis.get_legend().remove()
        across = min(len(labels[0]), 2 * columns)
        figure.legend(drawn[0][0], labels[0], loc="outside lower center", ncols=across, fontsize=8)
        rows = [-(-len(labels[0]) // across)]
        more = 0
    else:
        more = max(axis.get_xlabel().count("\n") for axis in axes)  # further lines of a label
        place = {"loc": "upper left", "bbox_to_anchor": (-0.12, -0.2 - 0.05 * more)}
        for axis, (handles, _), names in zip(axes, drawn, labels, strict=True):
            axis.legend(handles, names, fontsize=8, borderaxespad=0, **place)
        lines = [sum(name.count("\n") + 1 for name in names) for names in labels]
        rows = [max(lines[i : i + columns]) for i in range(0, len(axes), columns)]
    figure.set_figheight(figure.get_figheight() + (sum(rows) + more * len(rows)) * line)
    figure.draw_without_rendering()  # legends move with their axes: the second layout holds them


def panel(axis: Any, plot: Plot, letters: int = 60) -> None:
    """Draw one plot into Matplotlib axes.

    In a group only the first series has a line in the legend; what stands for the others (a prediction, a
    limit) is said once, in black.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Changed.
    plot : Plot
    letters : int
        In a line of the title and of the label of x.
    """
    if plot.window is not None:
        window(axis, *plot.window)
    color = colors(plot.series, plot.ordered)
    groups = list(dict.fromkeys(one.group or one.name for one in plot.series))
    marks = {group: MARKERS[i % len(MARKERS)] for i, group in enumerate(groups)}
    measured = {one.group or one.name for one in plot.series if one.kind == "measured"}
    marked = len(measured) >= len(CYCLE) and not plot.ordered  # colours repeat: marks tell curves
    seen: set[str] = set()
    told: dict[str, str] = {}
    for one in plot.series:
        follows = bool(one.group) and one.group in seen
        seen.add(one.group)
        marker = "*" if follows else marks[one.group or one.name]
        _series(axis, one, color[one.name], marker, "" if follows else label(one), marked)
        if follows:
            alone = "*" if one.kind == "measured" else "_"
            line = _STYLE[one.kind] if one.joined else alone
            told.setdefault(line, one.name.removeprefix(f"{one.group}, "))
    for style, name in told.items():
        axis.plot([], [], style, color=BLACK, ms=10, lw=1.3, label=name)
    axis.set(
        xscale="log" if plot.x_log else "linear",
        yscale="log" if plot.y_log and _positive(plot) else "linear",
        xlabel=textwrap.fill(plot.x_label, letters),
        ylabel=plot.y_label,
        title=textwrap.fill(plot.title, letters),
        ylim=plot.y_limits,
    )
    for one in (axis.xaxis, axis.yaxis):
        plain_numbers(one)
    if not plot.x_log and all(x is not None and x == int(x) for one in plot.series for x in one.x):
        axis.xaxis.get_major_locator().set_params(integer=True)
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
        known = stored.predicted is not None
        return text + (f", predicted {stored.predicted:.3g}" if known else "")
    return one.name


def _series(
    axis: Any, one: Series, color: str, marker: str, text: str, marked: bool = False
) -> None:
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
    size = 9 if marker == "*" else 5 if one.joined or x.size < 3 * MANY else 3
    if few or marked or not full.all():
        every = 1 if few or not full.all() else -(-x.size // MANY)
        axis.plot(x[~full], y[~full], marker, color=color, mfc="white", ms=size)
        axis.plot(x[full], y[full], marker, color=color, ms=size, markevery=every)
    style = ("-" if one.joined else "") + (marker if few or marked else "")
    axis.plot([], [], style or marker, color=color, ms=size, lw=1.5, label=text or None)


def _positive(plot: Plot) -> bool:
    return any(v is not None and v > 0.0 for one in plot.series for v in one.y)
