"""The section of one run: what it says in words, its plots, pictures, config, and how to redo it."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from typing import Any

from percolaw.experiments.series import Numbers, Plot, Series
from percolaw.report.citations import linked
from percolaw.report.claims import number, tally
from percolaw.report.colors import palette
from percolaw.report.markup import _details, _flat, _table, duration, embedded_json, text
from percolaw.report.reading import Entry, Picture, Run
from percolaw.report.records import Reading, readings
from percolaw.report.records import number as json_number
from percolaw.report.redo import _config_table, _redo, commit_of
from percolaw.report.style import BLACK, GREY

#: Numbers of a curve's seeds that the page holds at most.
SEED_NUMBERS = 6000
#: Rows of a table, and tables, up to which they stand open.
OPEN_ROWS, OPEN_TABLES = 8, 6


def section(entry: Entry) -> str:
    """Return the section of a run as HTML."""
    run, place, label = entry
    record = run.record
    title, source = run.description.title, run.description.source
    curves = "".join(
        plot_figure(plot, f"{place}-plot-{i}", place, palette(plot, run.plots))
        for i, plot in enumerate(run.plots, 1)
    )
    pictures = "".join(_picture(p, title) for p in run.pictures)
    try:
        seconds = json_number(record.get("unit_seconds"))
    except ValueError:
        seconds = None
    verdicts = f"{text(tally(run.claims))}. " if run.claims else "No claims. "
    which = f' <span class="which">{text(label)}</span>' if label else ""
    return f"""
<section id="{place}" class="run">
<h2><span data-formulas>{text(title)}</span>{which}</h2>
<p class="source"><code>{text(run.name)}</code> &middot; run <code>{text(record.get("id", "?"))}</code>
&middot; {linked(source, commit_of(record))} &middot;
computing time {duration(seconds)} over {text(record.get("units", "?"))} units</p>
<p>{verdicts}<a href="#claims">To the claims</a></p>
{_reused(record)}{"".join(f'<p class="note">{text(note)}</p>' for note in run.notes)}
{_readings(readings(record["tables"]))}
{f'<div class="plots">{curves}</div>' if curves else ""}
{f'<div class="pictures">{pictures}</div>' if pictures else ""}
<div class="folds">{_details("How to redo it", _redo(record, run.description))}
{_details("Config, defaults expanded", _config_table(record["config"], run.description))}
{_details("Provenance", _provenance(run))}</div>
</section>"""


def _provenance(run: Run) -> str:
    names = ("id", "code", "schema_version", "stream_version", "provenance")
    rows = _flat({name: run.record.get(name) for name in names})
    return _table(
        [(text(k), f"<code>{text(v)}</code>") for k, v in rows],
        ("where it comes from", "value"),
        f"Provenance of {run.name}",
    )


def _reused(record: dict[str, Any]) -> str:
    """A paragraph on units that were not measured in this run."""
    taken = record.get("reused")
    if not isinstance(taken, dict) or not taken:
        return ""
    names = ", ".join(
        f"{text(n)} {'unit' if n == 1 else 'units'} from {text(name)}" for name, n in taken.items()
    )
    return (
        f'<p class="note">Not measured in this run but taken from runs beside it: {names}. '
        "They are as those runs kept them.</p>"
    )


def _readings(said: Sequence[Reading]) -> str:
    """Paragraphs and tables; folded where they are long or many."""
    blocks = []
    many = sum(bool(one.rows) for one in said) > OPEN_TABLES
    for one in said:
        blocks.append(f"<h3>{text(one.title)}</h3><p>{text(one.text)}</p>")
        if one.rows:
            rows = [[text(cell) for cell in row] for row in one.rows]
            table = _table(rows, [text(cell) for cell in one.header], one.title, "reading")
            folded = many or len(rows) > OPEN_ROWS
            blocks.append(_details(f"Table: {one.title}", table) if folded else table)
    return f'<div class="readings">{"".join(blocks)}</div>' if blocks else ""


def _picture(picture: Picture, title: str) -> str:
    width, height = (int.from_bytes(picture.data[i : i + 4]) for i in (16, 20))
    body = base64.b64encode(picture.data).decode("ascii")
    kind = ' class="wide"' if width > 1.7 * height else ""
    return (
        f'<figure{kind} data-name="{text(picture.name)}"><div class="scroll" tabindex="0" role="region" '
        f'aria-label="Picture {text(picture.name)}"><img src="data:image/png;base64,{body}" '
        f'width="{width}" height="{height}" alt="Picture {text(picture.name)}: {text(title)}"></div>'
        f"<figcaption><p>{text(title)}</p></figcaption></figure>"
    )


# --- plots ----------------------------------------------------------------------------------------


def plot_figure(plot: Plot, place: str, run: str, colors: Sequence[str] | None = None) -> str:
    """Return a plot as HTML: title, sentence, its data for the script, and the same as a table.

    Parameters
    ----------
    plot : Plot
    place : str
        Id of the figure.
    run : str
        What names of downloaded files begin with.
    colors : sequence of str, optional
        One a series; those of the pictures if None.

    Returns
    -------
    str
    """
    return (
        f'<figure class="plot" id="{place}" data-plot="{text(plot.id)}" data-run="{text(run)}">'
        f"<figcaption><h3>{text(plot.title)}</h3><p>{text(plot.alt)}</p></figcaption>"
        f'<script type="application/json">{embedded_json(plot_data(plot, colors))}</script>'
        f'<div class="drawing"></div>{_details("Data of this plot", _data_table(plot))}</figure>'
    )


def plot_data(plot: Plot, colors: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a plot as JSON values for the script of the page, with the colour of each series.

    Seeds are held with six digits, and left to the record where they are very many.

    Parameters
    ----------
    plot : Plot
    colors : sequence of str, optional
        Hexadecimal, or "ink" and "grey", which depend on the paper; those of the pictures if None.

    Returns
    -------
    dict
    """
    if colors is None:
        colors = palette(plot)
    names = {BLACK: "ink", GREY: "grey"}
    series = []
    for one in plot.series:
        few = one.seeds if one.seeds and len(one.seeds) * len(one.x) <= SEED_NUMBERS else ()
        seeds = tuple(tuple(None if v is None else float(f"{v:.6g}") for v in s) for s in few)
        series.append(dataclasses.replace(one, seeds=seeds or None))
    held = dataclasses.replace(plot, series=tuple(series))
    return dataclasses.asdict(held) | {"colors": [names.get(color, color) for color in colors]}


def _cell(value: float | None) -> str:
    return "" if value is None else number(value).replace("e+", "e")


def _data_table(plot: Plot) -> str:
    """Tables of the curves: one for all that share their x, one a curve otherwise."""
    groups: dict[Numbers, list[Series]] = {}
    for one in plot.series:
        groups.setdefault(one.x, []).append(one)
    tables = []
    for x, members in groups.items():
        header = [text(plot.x_label)]
        for one in members:
            header.append(text(one.name))
            if one.low is not None:
                header.append(text(f"its interval: {one.interval}"))
        rows = []
        for i, value in enumerate(x):
            row = [_cell(value)]
            for one in members:
                row.append(_cell(one.y[i]))
                if one.low is not None and one.high is not None:
                    row.append(f"{_cell(one.low[i])} to {_cell(one.high[i])}")
            rows.append(row)
        tables.append(_table(rows, header, f"Data of {plot.title}", "data"))
    return "".join(tables)
