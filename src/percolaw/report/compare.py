"""Several runs of one experiment: told apart by their configs, their curves in one plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from percolaw.experiments.series import Plot, Series
from percolaw.report.claims import measured
from percolaw.report.colors import palette
from percolaw.report.markup import _flat, _table, badge, text
from percolaw.report.reading import Entry, Run
from percolaw.report.section import plot_figure

#: Letters of a label that says how configs differ; the run's id stands for longer ones.
_LONGEST = 44


def labels(runs: Sequence[Run]) -> list[str]:
    """Return what tells each run from the others of its experiment; empty for the only one.

    The fields of the config that differ, or the run's id where they are many or none.
    """
    words_of = []
    for run in runs:
        group = [other for other in runs if other.name == run.name]
        if len(group) == 1:
            words_of.append("")
            continue
        fields = differing(group)
        config = dict(_flat(run.record["config"]))
        words = ", ".join(f"{field} = {config.get(field, 'none')}" for field in fields)
        number = f"run {run.record.get('id', '?')}"
        words_of.append(words if words and len(words) <= _LONGEST else number)
    return [  # two runs of one config lie in different folders
        f"{label}, {run.folder.parent.name}/{run.folder.name}"
        if words_of.count(label) > 1 and label
        else label
        for run, label in zip(runs, words_of, strict=True)
    ]


def differing(group: Sequence[Run]) -> list[str]:
    """Return the fields of the config that are not the same in all runs."""
    configs = [dict(_flat(run.record["config"])) for run in group]
    fields = dict.fromkeys(field for config in configs for field in config)
    return [f for f in fields if len({config.get(f) for config in configs}) > 1]


def compared(entries: Sequence[Entry]) -> dict[str, str]:
    """Return what compares the runs of each experiment, as HTML, by id of its first run's section."""
    sections = {}
    for name in dict.fromkeys(entry.run.name for entry in entries):
        group = [entry for entry in entries if entry.run.name == name]
        if len(group) > 1:
            sections[group[0].place] = _section(group)
    return sections


def _section(entries: Sequence[Entry]) -> str:
    place = f"{entries[0].place}-runs"
    group, names = [entry.run for entry in entries], [entry.label for entry in entries]
    links = [f'<a href="#{entry.place}">{text(entry.label)}</a>' for entry in entries]
    configs = [dict(_flat(run.record["config"])) for run in group]
    rows = [
        [text(f), *(f"<code>{text(config.get(f, 'none'))}</code>" for config in configs)]
        for f in differing(group)
    ]
    fields = (
        _table(rows, ("field", *links), "How the configs differ")
        if rows
        else "<p>Their configs are the same.</p>"
    )
    codes = {run.record.get("code") for run in group}
    if len(codes) > 1:
        fields += f"<p>{len(codes)} versions of the code measured them: see Provenance of each.</p>"
    verdicts = [{claim.name: claim for claim in run.claims} for run in group]
    claims = [
        [
            f"<span data-formulas>{text(name)}</span>",
            *(
                f"{badge(mine[name].verdict)} {text(measured(mine[name]))}" if name in mine else ""
                for mine in verdicts
            ),
        ]
        for name in dict.fromkeys(name for mine in verdicts for name in mine)
    ]
    both = _table(claims, ("claim", *links), "Claims of each run") if claims else ""
    curves = "".join(
        plot_figure(plot, f"{place}-plot-{i}", place, colors)
        for i, (plot, colors) in enumerate(overlaid(group, names), 1)
    )
    return f"""
<section id="{place}" class="run">
<h2><span data-formulas>{text(group[0].description.title)}</span>
<span class="which">{len(group)} runs</span></h2>
{fields}{both}
{f'<div class="plots">{curves}</div>' if curves else ""}
</section>"""


def overlaid(group: Sequence[Run], names: Sequence[str]) -> list[tuple[Plot, list[str]]]:
    """Return the plots that all runs have, with the curves of all, and the colour of each curve.

    A curve keeps the colour that it has in its own plot, lighter from run to run. A theory or reference
    that is the same in several runs is drawn once.

    Parameters
    ----------
    group : sequence of Run
        Of one experiment.
    names : sequence of str
        Their labels.

    Returns
    -------
    list of (Plot, list of str)
    """
    overlays = []
    for first in group[0].plots:
        same = [_same_plot(first, run) for run in group]
        plots = [plot for plot in same if plot is not None]
        if len(plots) == len(group):
            shown = [palette(p, run.plots) for p, run in zip(plots, group, strict=True)]
            overlays.append(_overlay(plots, names, shown))
    return overlays


def _same_plot(plot: Plot, run: Run) -> Plot | None:
    axes = (plot.id, plot.x_label, plot.y_label)
    return next((p for p in run.plots if (p.id, p.x_label, p.y_label) == axes), None)


def _overlay(
    plots: Sequence[Plot], names: Sequence[str], shown: Sequence[Sequence[str]]
) -> tuple[Plot, list[str]]:
    series: list[Series] = []
    colors: list[str] = []
    for step, (plot, name) in enumerate(zip(plots, names, strict=True)):
        new = {
            one.name: one.name if _shared(one, plots) else f"{one.name} ({name})"
            for one in plot.series
        }
        for one, color in zip(plot.series, shown[step], strict=True):
            if step and new[one.name] == one.name:
                continue
            prediction = new.get(one.prediction or "")
            series.append(replace(one, name=new[one.name], prediction=prediction, group=""))
            colors.append(lighter(color, 0.62 * step / (len(plots) - 1)))
    windows = {plot.window for plot in plots}
    window = windows.pop() if len(windows) == 1 else None
    return replace(plots[0], series=tuple(series), window=window), colors


def _shared(one: Series, plots: Sequence[Plot]) -> bool:
    """Whether it is a theory or reference that all plots have at the same places."""
    mine = (one.name, one.x, one.y)
    return one.kind != "measured" and all(
        any((other.name, other.x, other.y) == mine for other in plot.series) for plot in plots
    )


def lighter(color: str, share: float) -> str:
    """Return a colour mixed with white.

    Parameters
    ----------
    color : str
        Hexadecimal, as in "#0072b2".
    share : float
        Of white, from 0 to 1.

    Returns
    -------
    str
    """
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02x}" for part in parts)
