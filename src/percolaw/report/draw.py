"""Pictures of plots: the same curves, colours and words as in the page, as Matplotlib figures."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from percolaw.experiments.series import Plot, Series
from percolaw.nulls import floats
from percolaw.report.colors import colors, together
from percolaw.report.style import BLACK, CYCLE, GREY, new, plain_numbers, window
from percolaw.text import printable

#: Markers of measured series, in order.
MARKERS = "os^Dv<>phX*P"
#: From this many points on a measured line has no markers and a band in place of bars.
MANY = 13
_STYLE = {"measured": "-", "theory": "--", "reference": ":"}
#: Panels beside each other, and the width of one by their number, in inches: printed across a column or
#: a page of two columns, letters keep their size.
COLUMNS = 2
WIDTH = {1: 4.2, 2: 3.5}
#: From this many bands on bars stand in their place, a few a curve, beside each other.
CROWD = 4
#: Share of a panel that a legend may cover; with a larger one all stand below their panels.
COVERED = 0.16
#: Height of a line of a legend, width of a character and of what stands before them, in inches.
_LEGEND = (0.165, 0.058, 0.5)
#: Letters in an inch of a title or of the label of an axis.
LETTERS = 12


def figures(plots: Sequence[Plot]) -> dict[str, Any]:
    """Return a Matplotlib figure for each file name; plots of one name are its panels."""
    files: dict[str, list[Plot]] = {}
    for plot in plots:
        files.setdefault(plot.figure or plot.id, []).append(plot)
    return {name: _figure(panels) for name, panels in files.items()}


def _figure(panels: list[Plot]) -> Any:
    columns = min(COLUMNS, len(panels))
    width = WIDTH[columns]
    height = 0.8 * width
    figure, axes = new(len(panels), columns, width=width, height=height)
    shared = _shared(panels)
    for axis, plot in zip(axes, panels, strict=True):
        panel(axis, plot, int(LETTERS * width), not shared, together(plot, panels))
    names = [axis.get_legend_handles_labels()[1] for axis in axes]
    large = max(len(n) * _LEGEND[0] * _breadth(n) for n in names) > COVERED * width * height
    if not large:
        _lay_out(figure)  # only now legends have chosen their places
    if large or any(_over_data(axis) for axis in axes):
        _legends_below(figure, axes, columns, shared)
    elif shared:
        _legend_of_all(figure, shared)
    figure.set_layout_engine("none")  # all parts are placed; saving would place them again
    return figure


def _shared(panels: Sequence[Plot]) -> dict[str, str]:
    """What marks stand for, if there are several panels and a mark is the same in all of them."""
    every = [pair for plot in panels for pair in keys(plot).items()]
    shared = dict(every)
    same = all(shared[mark] == words for mark, words in every)
    return shared if same and len(panels) > 1 else {}


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


def _legends_below(
    figure: Any, axes: Sequence[Any], columns: int, shared: Mapping[str, str]
) -> None:
    """Move legends below their panels; below all of them, once, where they say the same."""
    from matplotlib.transforms import ScaledTranslation

    line = _LEGEND[0]
    drawn = [axis.get_legend_handles_labels() for axis in axes]
    labels = [names for _, names in drawn]
    if len(axes) > 1 and all(names == labels[0] for names in labels):
        for axis in axes:
            axis.get_legend().remove()
        _legend_of_all(figure, shared, *drawn[0])
        return
    below = [[axis.get_xlabel(), *(t.get_text() for t in axis.get_xticklabels())] for axis in axes]
    more = max(text[0].count("\n") + max(t.count("\n") for t in text[1:]) for text in below)
    for axis, (handles, names) in zip(axes, drawn, strict=True):
        beside = axis.transAxes + ScaledTranslation(
            -0.5, -0.5 - line * more, figure.dpi_scale_trans
        )
        place = {"bbox_to_anchor": (0.0, 0.0), "bbox_transform": beside}
        ncols, _ = _grid(names, figure.get_figwidth() / columns)
        axis.legend(handles, names, loc="upper left", borderaxespad=0, ncols=ncols, **place)
    lines = [_grid(names, figure.get_figwidth() / columns)[1] for names in labels]
    rows = [max(lines[i : i + columns]) for i in range(0, len(axes), columns)]
    figure.set_figheight(figure.get_figheight() + (sum(rows) + more * len(rows)) * line)
    if shared:
        _legend_of_all(figure, shared)
    _lay_out(figure)  # legends move with their axes: the second layout holds them


def _legend_of_all(
    figure: Any, shared: Mapping[str, str], handles: Sequence[Any] = (), names: Sequence[str] = ()
) -> None:
    """Say below all panels what marks, and curves, stand for."""
    every = [*handles, *(_handle(mark) for mark in shared)]
    labels = [*names, *map(typeset, shared.values())]
    across, lines = _grid(labels, figure.get_figwidth())
    figure.legend(every, labels, loc="outside lower center", ncols=across)
    figure.set_figheight(figure.get_figheight() + lines * _LEGEND[0])
    _lay_out(figure)


def _lay_out(figure: Any) -> None:
    """Place all parts, as drawing would in twice the time."""
    figure.get_layout_engine().execute(figure)


def _breadth(labels: Sequence[str]) -> float:
    """Width of a column of a legend with these labels, in inches; signs that set formulas take none."""
    plain = [re.sub(r"\\mathrm|[${}_^]", "", line) for text in labels for line in text.split("\n")]
    return _LEGEND[2] + _LEGEND[1] * max(map(len, plain), default=0)


def _grid(labels: Sequence[str], width: float) -> tuple[int, int]:
    """Columns of a legend that fit beside each other in a width, and the lines they take."""
    columns = max(1, min(len(labels), int(width / _breadth(labels))))
    rows = -(-len(labels) // columns)
    return columns, sum(max(t.count("\n") + 1 for t in labels[i::rows]) for i in range(rows))


def keys(plot: Plot) -> dict[str, str]:
    """Return what stands for something in all curves of a plot: by mark, what it says.

    In a group only the first series has a line in the legend; what the others are (a prediction, a limit)
    is said once. So are hollow points, intervals, and the shaded sizes.
    """
    seen: set[str] = set()
    words: dict[str, str] = {}
    for one in plot.series:
        if one.group and one.group in seen:
            alone = "*" if one.kind == "measured" else "_"
            mark = _STYLE[one.kind] if one.joined else alone
            words.setdefault(mark, one.name.removeprefix(f"{one.group}, "))
        seen.add(one.group)
    if any(one.usable and not all(one.usable) for one in plot.series):
        words["hollow"] = f"hollow: {plot.hollow or 'left out of fits'}"
    bands = sum(_banded(one) for one in plot.series)
    for one in plot.series:
        if one.kind == "measured" and one.interval and one.low is not None and _some(one):
            mark = "band" if _banded(one) and bands < CROWD else "bar"
            words.setdefault(mark, one.interval)
    if plot.window is not None:
        words["window"] = "sizes fitted or compared"
    return words


def _some(one: Series) -> bool:
    """Whether an interval of a series has two ends apart."""
    ends = zip(one.low or (), one.high or (), strict=True)
    return any(low is not None and high is not None and high > low for low, high in ends)


def _banded(one: Series) -> bool:
    """Whether the intervals of a series are a band, if there are few of them."""
    return one.kind == "measured" and one.low is not None and one.joined and len(one.x) >= MANY


def _handle(mark: str) -> Any:
    """The sample of a mark in a legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    if mark in ("band", "window"):
        alpha = 0.35 if mark == "band" else 0.12
        return Rectangle((0.0, 0.0), 0.0, 0.0, color=GREY, alpha=alpha, linewidth=0)
    if mark in ("hollow", "bar", "*", "_"):
        marker = {"hollow": "o", "bar": "|"}.get(mark, mark)
        size = 5 if mark == "hollow" else 9
        return Line2D([], [], ls="", marker=marker, color=BLACK, mfc="white", ms=size)
    return Line2D([], [], ls=mark, color=BLACK, lw=1.3)


#: One letter or Greek name with an index or a power, and Greek names and signs that stand alone.
_INDEXED = re.compile(
    r"((?<![\w$])(?:[A-Za-z]|alpha|beta|gamma|tau|sigma|nu|xi|mu)|\))([_^])"
    r"(?:\(([^()\s]*)\)|(-?[A-Za-z0-9.]*[A-Za-z0-9]))(?:\^([0-9]+))?"
)
_GREEK = dict(
    zip(
        ("alpha", "beta", "gamma", "mu", "nu", "xi", "pi", "sigma", "tau"),
        "\N{GREEK SMALL LETTER ALPHA}βγμ\N{GREEK SMALL LETTER NU}ξπ\N{GREEK SMALL LETTER SIGMA}τ",
        strict=True,
    )
)
_ALONE = re.compile(rf"(?<![\w$\\])({'|'.join(_GREEK)})(?![\w(])")


def typeset(text: str) -> str:
    r"""Return a text of a plot with its formulas set by Matplotlib: ``P^0.387`` as ``$P^{0.387}$``.

    Plots are plain text, which the page, tables and terminals show as it is.
    """

    def index(match: re.Match[str]) -> str:
        letter, sign, enclosed, plain, power = match.groups()
        upper = f"^{{{power}}}" if power else ""
        lower = plain if enclosed is None else enclosed
        return f"${_GREEK.get(letter, letter)}{sign}{{\\mathrm{{{lower}}}}}{upper}$"

    text = (
        "\n".join(map(printable, text.split("\n")))
        .replace("$", r"\$")
        .replace(">=", "≥")
        .replace("<=", "≤")
    )
    return _ALONE.sub(lambda match: _GREEK[match[1]], _INDEXED.sub(index, text))


def _wrapped(text: str, letters: int) -> str:
    """A text in lines; none breaks inside an equation or an interval."""
    space = "\N{NO-BREAK SPACE}"
    whole = re.sub(r" = |\[[^\]]*\]|predicted ", lambda part: part[0].replace(" ", space), text)
    return textwrap.fill(whole, letters).replace(space, " ")


def panel(
    axis: Any,
    plot: Plot,
    letters: int = 60,
    keyed: bool = True,
    among: Sequence[Series] = (),
) -> None:
    """Draw one plot into Matplotlib axes.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Changed.
    plot : Plot
    letters : int
        In a line of the title and of the label of x; of the legend, a fifth more.
    keyed : bool
        Whether the legend also says what `keys` says.
    among : sequence of Series, optional
        Curves among which the plot's get colours and markers; its own if empty.
    """
    if plot.window is not None:
        window(axis, *plot.window)
    among = among or plot.series
    color = colors(among, plot.ordered)
    groups = list(dict.fromkeys(one.group or one.name for one in among))
    marks = {group: MARKERS[i % len(MARKERS)] for i, group in enumerate(groups)}
    measured = {one.group or one.name for one in plot.series if one.kind == "measured"}
    marked = len(measured) >= len(CYCLE) and not plot.ordered  # colours repeat: marks tell curves
    crowd = sum(_banded(one) for one in plot.series)
    seen: set[str] = set()
    for i, one in enumerate(plot.series):
        follows = bool(one.group) and one.group in seen
        seen.add(one.group)
        marker = "*" if follows else marks[one.group or one.name]
        text = "" if follows else typeset(_wrapped(label(one), int(1.2 * letters)))
        _series(axis, one, color[one.name], marker, text, marked)
        if one.kind == "measured":
            _intervals(axis, one, color[one.name], (i, crowd) if crowd >= CROWD else None)
    axis.set(
        xscale="log" if plot.x_log else "linear",
        yscale="log" if plot.y_log and _positive(plot) else "linear",
        xlabel=typeset(_wrapped(plot.x_label, letters)),
        ylabel=typeset(_wrapped(plot.y_label, int(0.7 * letters))),
        title=typeset(_wrapped(plot.title, letters)),
        ylim=plot.y_limits,
    )
    for one_axis in (axis.xaxis, axis.yaxis):
        plain_numbers(one_axis)
    if plot.x_ticks:
        axis.set_xticks(range(len(plot.x_ticks)), plot.x_ticks)
    elif not plot.x_log and all(x is not None and x == int(x) for s in plot.series for x in s.x):
        axis.xaxis.get_major_locator().set_params(integer=True)
    for mark, words in keys(plot).items() if keyed else ():
        sample = _handle(mark)
        sample.set(label=typeset(words), transform=axis.transAxes)
        axis.add_artist(sample)
    axis.legend()


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
            axis.plot(x, y, "_", color=color, ms=7, mew=1.5, label=text or None)
        return
    full = np.ones(x.size, dtype=bool) if one.usable is None else np.array(one.usable)
    few = x.size < MANY or not one.joined
    if one.joined:
        axis.plot(x, y, "-", color=color, lw=1.5)
    size = 8 if marker == "*" else 4.5 if one.joined or x.size < 3 * MANY else 3
    if few or marked or not full.all():
        every = 1 if few or not full.all() else -(-x.size // MANY)
        axis.plot(x[~full], y[~full], marker, color=color, mfc="white", ms=size)
        axis.plot(x[full], y[full], marker, color=color, ms=size, markevery=every)
    style = ("-" if one.joined else "") + (marker if few or marked else "")
    axis.plot([], [], style or marker, color=color, ms=size, lw=1.5, label=text or None)


def _intervals(axis: Any, one: Series, color: str, crowd: tuple[int, int] | None) -> None:
    """Draw bars; of many points a band, or a few bars beside those of the other curves of a crowd."""
    if one.low is None or one.high is None:
        return
    x, y, low, high = (floats(values) for values in (one.x, one.y, one.low, one.high))
    if _banded(one) and crowd is None:
        axis.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)
        return
    place, every = crowd if crowd and _banded(one) else (0, 1)
    at = slice(place % every, None, every)
    ends = np.maximum(np.stack([y - low, high - y]), 0.0)
    axis.errorbar(x[at], y[at], ends[:, at], fmt="none", color=color, lw=1)


def _positive(plot: Plot) -> bool:
    return any(v is not None and v > 0.0 for one in plot.series for v in one.y)
