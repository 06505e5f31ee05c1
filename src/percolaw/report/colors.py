"""Which colour each curve has: in pictures, in the page, and in all panels of a figure."""

from __future__ import annotations

from collections.abc import Sequence

from percolaw.experiments.series import Plot, Series
from percolaw.report.style import BLACK, CYCLE, GREY, shades


def palette(plot: Plot, plots: Sequence[Plot] = ()) -> list[str]:
    """Return the colour of each series, as pictures have it.

    Shades need Matplotlib; without it there are no pictures, and no shades.

    Parameters
    ----------
    plot : Plot
    plots : sequence of Plot, optional
        Those of its run: panels of one figure share colours.

    Returns
    -------
    list of str
        One a series.
    """
    among = together(plot, plots)
    try:
        color = colors(among, plot.ordered)
    except ImportError:
        color = colors(among)
    return [color[one.name] for one in plot.series]


def together(plot: Plot, plots: Sequence[Plot]) -> Sequence[Series]:
    """Return the curves among which those of a plot get colours and markers, the same in all its figure.

    Those of all panels of its figure, each name once; where they are shades, of the panel that has all of
    them, in its order. Its own, if there are more than there are colours or no panel has all.

    Parameters
    ----------
    plot : Plot
    plots : sequence of Plot
        Those of a run.

    Returns
    -------
    sequence of Series
    """
    panels = [p for p in plots if p.figure and p.figure == plot.figure]
    every = {one.name: one for p in panels for one in p.series}
    fullest = max(panels, key=lambda p: len(p.series), default=plot)
    if any(p.ordered for p in panels):
        return fullest.series if every.keys() <= {s.name for s in fullest.series} else plot.series
    alike = all(
        (one.kind, one.group) == (every[one.name].kind, every[one.name].group)
        for p in panels
        for one in p.series
    )
    few = len({one.group or one.name for one in every.values()}) <= len(CYCLE)
    return tuple(every.values()) if panels and alike and few else plot.series


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
    color_of: dict[str, str] = {}
    groups: dict[str, str] = {}
    measured = {one.group or one.name for one in series if one.kind == "measured"}
    for one in series:
        group = one.group or one.name
        alone = group not in measured and not one.group
        if one.kind == "reference" and alone:
            color_of[one.name] = GREY
        elif one.kind == "theory" and alone and BLACK not in color_of.values():
            color_of[one.name] = BLACK
        else:
            groups[one.name] = group
    names = list(dict.fromkeys(groups.values()))
    cycle = [CYCLE[i % len(CYCLE)] for i in range(len(names))]
    palette = dict(zip(names, shades(len(names)) if ordered else cycle, strict=True))
    return color_of | {name: palette[group] for name, group in groups.items()}
