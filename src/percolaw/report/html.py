"""One self-contained HTML file of finished runs: claims, plots, pictures, and how to redo them.

The file needs no network and loads nothing. Its only script and style are those of the package, named
by hash in a content security policy, so nothing that a record holds can run.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path

from percolaw.errors import RunError
from percolaw.experiments.plots import slug
from percolaw.experiments.series import widenings
from percolaw.report import overview
from percolaw.report.citations import bibtex
from percolaw.report.compare import compared, labels
from percolaw.report.markup import duration, text
from percolaw.report.reading import Entry, Paper, Picture, Run, expand, read_run, readable
from percolaw.report.section import section
from percolaw.runs.files import write_atomic
from percolaw.version import __version__

#: Bytes of pictures per run before they are made smaller; nine runs stay under 5 MB in all.
_PICTURE_BYTES = 320_000
_FEW_RUNS = 1_500_000
#: The script of the page, in order: one function of its own, so that nothing of it is global.
_SCRIPTS = ("numbers.js", "take.js", "plot.js", "page.js")


def write_report(
    folders: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    complain: Callable[[str], None] = lambda message: None,
    *,
    running: Sequence[str] = (),
    read: Callable[[Path], Run] = read_run,
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
    running, read
        As for `build`.

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
    text = build(folders, complain, running=running, read=read)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, text)
    return target, target.stat().st_size


def build(
    folders: Sequence[str | os.PathLike[str]],
    complain: Callable[[str], None] = lambda message: None,
    *,
    running: Sequence[str] = (),
    read: Callable[[Path], Run] = read_run,
) -> str:
    """Return the page of finished runs as text; see `write_report`. Same records, same text.

    Parameters
    ----------
    folders : sequence of paths
        Run folders, or folders of `percolaw reproduce`.
    complain : callable
        Called with a message for every run whose figures cannot be drawn.
    running : sequence of str
        What goes on, in words. If there is anything, the page loads itself anew while nobody touches it,
        and there need not be finished runs.
    read : callable
        Folder of a run to what the page shows of it.
    """
    members, papers = expand(folders) if folders or not running else ([], [])
    runs = [read(folder) for folder in members]
    for run in runs:
        for note in run.notes:
            complain(note)
    return page(_smaller(runs), papers, running)


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


# --- the page ------------------------------------------------------------------------------------


def page(runs: Sequence[Run], papers: Sequence[Paper] = (), running: Sequence[str] = ()) -> str:
    """Return the page of runs that were read.

    Parameters
    ----------
    runs : sequence of Run
    papers : sequence of Paper
        Reproductions that the runs are of; the title is that of a single one.
    running : sequence of str
        What goes on, in words.
    """
    style, script = _asset("page.css"), _script()
    places = [f"run-{i}-{slug(run.name)[:60]}" for i, run in enumerate(runs, 1)]
    title = papers[0].title if len(papers) == 1 and papers[0].title else "percolaw report"
    names = labels(runs)
    entries = [Entry(*parts) for parts in zip(runs, places, names, strict=True)]
    comparisons = compared(entries)
    sections = []
    for entry in entries:
        with readable(entry.run.folder):
            sections += [comparisons.get(entry.place, ""), section(entry)]
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    redo = "".join(
        f"<p>Redo all of it (took {duration(p.seconds)}):</p><pre>{text(p.command)}</pre>"
        for p in papers
    )
    every = [claim for run in runs for claim in run.claims]
    sources = [claim.source for claim in every] + [run.description.source for run in runs]
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
{overview.navigation(entries)}
{overview.going_on(running)}
<header id="top">
<h1>{text(title)}</h1>
{overview.headline(every, [run.name for run in runs])}
<p class="source">Everything is in this file; numbers are those of the records unless a label says
&ldquo;recomputed in this page&rdquo;.</p>
{redo}
</header>
<main data-widening="{json.dumps(_factors(runs))}">
{overview.found(entries)}
{overview.disagreements(entries)}
{overview.claims_section(entries)}
{"".join(sections)}
<section id="cite"><h2>Cite</h2>
<pre data-what="Copy the BibTeX">{text(bibtex(sources))}</pre></section>
</main>
<footer><p>Written by percolaw {text(__version__)}.</p></footer>
<script>{script}</script>
</body>
</html>
"""


def _factors(runs: Sequence[Run]) -> list[float]:
    """By how much intervals over seeds are widened, by number of seeds."""
    counts = (len(one.seeds or ()) for run in runs for plot in run.plots for one in plot.series)
    return [round(factor, 12) for factor in widenings(max(counts, default=0))]


@lru_cache(maxsize=8)
def _asset(name: str) -> str:
    return resources.files("percolaw.report").joinpath("assets", name).read_text("utf-8")


def _script() -> str:
    return "(() => {\n" + '"use strict";\n' + "\n".join(map(_asset, _SCRIPTS)) + "})();\n"


def _hash(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
