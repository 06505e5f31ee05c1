"""One self-contained HTML file of finished runs: claims, plots, pictures, and how to redo them.

The file needs no network and loads nothing. Its only script and style are those of the package, named
by hash in a content security policy, so nothing that a record holds can run.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import math
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.claims import Claim
from percolaw.experiments.plots import Numbers, Plot, Series, slug
from percolaw.report.citations import SOURCES
from percolaw.report.claims import VERDICT_RULE, measured, number, predicted, tally
from percolaw.report.markup import _details, _flat, _table, badge, duration, embedded_json, text
from percolaw.report.reading import Paper, Picture, Run, expand, read_run, readable
from percolaw.report.records import number as json_number
from percolaw.report.redo import _config_table, _redo
from percolaw.runs.files import write_atomic
from percolaw.version import __version__

#: Bytes of pictures per run before they are made smaller; nine runs stay under 5 MB in all.
_PICTURE_BYTES = 320_000
_FEW_RUNS = 1_500_000
#: Numbers of a curve's seeds that the page holds.
_SEED_NUMBERS = 3000


def write_report(
    folders: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    complain: Callable[[str], None] = lambda message: None,
) -> tuple[Path, int]:
    """Write one HTML file of finished runs, whole or not at all; return its path and size in bytes.

    Parameters
    ----------
    folders : sequence of paths
        Run folders, or folders of `percolaw reproduce`, which stand for all their runs.
    path : path
        The file to write, .html or .htm; its folder is made if missing.
    complain : callable
        Called with a message for every run whose figures cannot be drawn; the page says so too.

    Returns
    -------
    path, size : Path, int

    Raises
    ------
    RunError
        If a run has not finished or is damaged; nothing is written then.
    ValueError
        For another suffix than .html and .htm.
    """
    target = Path(path)
    if target.is_dir():
        raise RunError(f"{target} is a folder. Name a file with --out, for instance report.html.")
    if target.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--out must end in .html or .htm; got {target}, which would be replaced.")
    text = build(folders, complain)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, text)
    return target, target.stat().st_size


def build(
    folders: Sequence[str | os.PathLike[str]],
    complain: Callable[[str], None] = lambda message: None,
) -> str:
    """Return the page of finished runs as text; see `write_report`. Same records, same text.

    Parameters
    ----------
    folders : sequence of paths
        Run folders, or folders of `percolaw reproduce`.
    complain : callable
        Called with a message for every run whose figures cannot be drawn.
    """
    members, papers = expand(folders)
    runs = [read_run(folder) for folder in members]
    for run in runs:
        for note in run.notes:
            complain(note)
    return page(_smaller(runs), papers)


# --- pictures -------------------------------------------------------------------------------------


def _smaller(runs: list[Run]) -> list[Run]:
    """Pictures in 256 colours if there are too many bytes, then smaller ones."""
    allowed = max(_FEW_RUNS, _PICTURE_BYTES * len(runs))
    for width in (10_000, 1000, 600):
        if sum(len(p.data) for run in runs for p in run.pictures) <= allowed:
            break
        runs = [
            dataclasses.replace(run, pictures=tuple(_reduced(p, width) for p in run.pictures))
            for run in runs
        ]
    return runs


def _reduced(picture: Picture, width: int) -> Picture:
    """The picture with at most 256 colours and a width, if that takes fewer bytes."""
    try:
        from PIL import Image

        with Image.open(io.BytesIO(picture.data)) as opened:
            image = opened.convert("RGB")
        if image.width > width:
            image = image.resize((width, max(1, image.height * width // image.width)))
        buffer = io.BytesIO()
        image.quantize(256).save(buffer, "PNG", optimize=True)
    except (ImportError, OSError, ValueError, SyntaxError):
        return picture
    data = buffer.getvalue()
    return Picture(picture.name, data) if len(data) < len(picture.data) else picture


# --- text ----------------------------------------------------------------------------------------


# --- the page ------------------------------------------------------------------------------------


def page(runs: Sequence[Run], papers: Sequence[Paper] = ()) -> str:
    """Return the page of runs that were read.

    Parameters
    ----------
    runs : sequence of Run
    papers : sequence of Paper
        Reproductions that the runs are of; the title is that of a single one.
    """
    style, script = _asset("page.css"), _asset("page.js")
    places = [f"run-{i}-{slug(run.name)[:60]}" for i, run in enumerate(runs, 1)]
    title = papers[0].title if len(papers) == 1 and papers[0].title else "percolaw report"
    sections = []
    for run, place in zip(runs, places, strict=True):
        with readable(run.folder):
            sections.append(_section(run, place))
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    links = "".join(
        f'<li><a href="#{place}">{text(run.name)}</a></li>'
        for run, place in zip(runs, places, strict=True)
    )
    every = [claim for run in runs for claim in run.claims]
    redo = "".join(
        f"<p>Redo all of it: <code>{text(p.command)}</code> (took {duration(p.seconds)})</p>"
        for p in papers
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta name="generator" content="percolaw {text(__version__)}">
<title>{text(title)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#claims">To the claims</a>
<header>
<h1>{text(title)}</h1>
<p>{_many(len(runs), "experiment")}, {_many(len(every), "claim")}: {text(tally(every))}.
Everything is in this file; numbers are those of the records unless a label says
&ldquo;recomputed in this page&rdquo;.</p>
{redo}
<nav aria-label="Experiments"><ul>{links}</ul></nav>
</header>
<main>
{_claims(runs, places)}
{"".join(sections)}
</main>
<footer><p>Written by percolaw {text(__version__)}.</p></footer>
<script>{script}</script>
</body>
</html>
"""


@lru_cache(maxsize=2)
def _asset(name: str) -> str:
    return resources.files("percolaw.report").joinpath(name).read_text("utf-8")


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _many(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _claims(runs: Sequence[Run], places: Sequence[str]) -> str:
    """The table of all claims."""
    header = ("verdict", "claim", "predicted", "measured", "", "source")
    columns = "".join(f'<th scope="col">{h or "<span class=sr>drawn</span>"}</th>' for h in header)
    bodies = []
    for run, place in zip(runs, places, strict=True):
        if not run.claims:
            continue
        rows = "".join(
            f'<tr data-verdict="{text(c.verdict)}"><td>{badge(c.verdict)}</td>'
            f'<th scope="row"><a href="#{place}">{text(c.name)}</a>'
            + (f'<span class="note">{text(c.note)}</span>' if c.note else "")
            + f"</th><td>{text(predicted(c)).replace('+-', '&plusmn;')}</td><td>{text(measured(c))}</td>"
            f"<td>{_strip(c)}</td><td>{text(c.source)}</td></tr>"
            for c in run.claims
        )
        bodies.append(
            f'<tbody><tr class="group"><th colspan="6" scope="rowgroup">'
            f'<a href="#{place}">{text(run.name)}</a></th></tr>{rows}</tbody>'
        )
    if not bodies:
        return '<section id="claims"><h2>Claims</h2><p>These runs make no claims.</p></section>'
    return (
        '<section id="claims"><h2>Claims</h2>'
        f"<p>{text(VERDICT_RULE).replace('+-', '&plusmn;')}</p>"
        '<p class="filter controls" hidden></p>'
        '<div class="scroll claims" tabindex="0" role="region" aria-label="Claims">'
        f"<table><thead><tr>{columns}</tr></thead>{''.join(bodies)}</table></div></section>"
    )


def _strip(claim: Claim) -> str:
    """The interval against predicted +- tolerance, drawn; 4 tolerances to each side."""
    low, high = claim.interval
    t = claim.tolerance
    if not t > 0 or not all(map(math.isfinite, (claim.predicted, claim.measured))):
        return ""

    def place(value: float) -> float:
        return round(60 + 14 * max(-4.0, min(4.0, (value - claim.predicted) / t)), 1)

    a, b = place(low), place(high)
    return (
        '<svg class="strip" viewBox="0 0 120 16" width="120" height="16" aria-hidden="true">'
        '<rect class="allowed" x="46" y="1" width="28" height="14"/>'
        '<line class="expected" x1="60" y1="1" x2="60" y2="15"/>'
        f'<line class="found" x1="{a}" y1="8" x2="{b}" y2="8"/>'
        f'<circle class="found" cx="{place(claim.measured)}" cy="8" r="3"/></svg>'
    )


def _section(run: Run, place: str) -> str:
    """One experiment."""
    record, said = run.record, run.description
    title = said.title
    curves = "".join(_plot(plot, f"{place}-plot-{i}") for i, plot in enumerate(run.plots, 1))
    pictures = "".join(_picture(p, title) for p in run.pictures)
    try:
        seconds = json_number(record.get("unit_seconds"))
    except ValueError:
        seconds = None
    verdicts = f"{text(tally(run.claims))}. " if run.claims else "No claims. "
    config = _config_table(record["config"], said)
    origin = {
        "id": record.get("id"),
        "code": record.get("code"),
        "schema_version": record.get("schema_version"),
        "stream_version": record.get("stream_version"),
        "provenance": record.get("provenance"),
    }
    come_from = _table(
        [(text(k), f"<code>{text(v)}</code>") for k, v in _flat(origin)],
        ("where it comes from", "value"),
        f"Provenance of {run.name}",
    )
    return f"""
<section id="{place}" class="run">
<h2>{text(title)}</h2>
<p class="source"><code>{text(run.name)}</code> &middot; {text(said.source)} &middot;
computing time {duration(seconds)} over {text(record.get("units", "?"))} units</p>
<p>{verdicts}<a href="#claims">To the claims</a></p>
{_reused(record)}{"".join(f'<p class="note">{text(note)}</p>' for note in run.notes)}
{f'<div class="plots">{curves}</div>' if curves else ""}
{f'<h3>Pictures</h3><div class="pictures">{pictures}</div>' if pictures else ""}
<h3>How to redo it</h3>
{_redo(record, said)}
{_details("Config, defaults expanded", config)}
{_details("Provenance", come_from)}
{_details("Cite", f"<pre>{text(citation(run))}</pre>")}
</section>"""


def _reused(record: dict[str, Any]) -> str:
    """A paragraph on units that were not measured in this run."""
    taken = record.get("reused")
    if not isinstance(taken, dict) or not taken:
        return ""
    names = ", ".join(f"{_many_units(n)} from {text(name)}" for name, n in taken.items())
    return (
        f'<p class="note">Not measured in this run but taken from runs beside it: {names}. '
        "They are as those runs kept them.</p>"
    )


def _many_units(n: Any) -> str:
    return f"{text(n)} {'unit' if n == 1 else 'units'}"


def citation(run: Run) -> str:
    """Return BibTeX of what a run stands on, and of the software."""
    sources = [run.description.source, *(claim.source for claim in run.claims)]
    cited = [entry for name, entry in SOURCES.items() if any(name in s for s in sources)]
    software = f"""@software{{percolaw,
  title   = {{percolaw}},
  author  = {{{{The percolaw authors}}}},
  version = {{{__version__}}},
  note    = {{MIT license}}
}}"""
    return "\n\n".join([*cited, software])


def _picture(picture: Picture, title: str) -> str:
    width, height = (int.from_bytes(picture.data[i : i + 4]) for i in (16, 20))
    body = base64.b64encode(picture.data).decode("ascii")
    wide = ' class="wide"' if width > 1.7 * height else ""
    return (
        f'<figure{wide}><img src="data:image/png;base64,{body}" width="{width}" height="{height}" '
        f'alt="Picture {text(picture.name)}: {text(title)}">'
        f"<figcaption>{text(picture.name)}</figcaption></figure>"
    )


def _plot(plot: Plot, place: str) -> str:
    """A plot: title, sentence, its data for the script, and the same as a table."""
    return (
        f'<figure class="plot" id="{place}" data-plot="{text(plot.id)}">'
        f"<figcaption><h3>{text(plot.title)}</h3><p>{text(plot.alt)}</p></figcaption>"
        f'<script type="application/json">{embedded_json(plot_data(plot))}</script>'
        f'<div class="drawing"></div>{_details("Data of this plot", _data_table(plot))}</figure>'
    )


def plot_data(plot: Plot) -> dict[str, Any]:
    """Return a plot as JSON values for the script of the page; many seeds are left to the record."""
    few = (len(one.seeds or ()) * len(one.x) <= _SEED_NUMBERS for one in plot.series)
    series = tuple(
        one if shown else dataclasses.replace(one, seeds=None)
        for one, shown in zip(plot.series, few, strict=True)
    )
    return dataclasses.asdict(dataclasses.replace(plot, series=series))


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
