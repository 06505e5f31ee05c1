"""``percolaw report``: finished runs as one HTML file, and their figures for publication."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from percolaw import checks
from percolaw.cli.control import _line, run_path
from percolaw.cli.terminal import note
from percolaw.errors import RunError
from percolaw.experiments.registry import known_class
from percolaw.text import printable

#: Seconds between two looks at runs that go on.
POLL = 5.0


def add(commands: Any) -> None:
    """Add the command to the parser."""
    report = commands.add_parser(
        "report",
        help="finished runs as one HTML file",
        description="One HTML file that needs no network: claims with verdicts, plots to explore, "
        "configs, and how to redo everything.",
    )
    report.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        type=run_path,
        help="folder of a run, or of runs or percolaw reproduce, which stand for all in them",
    )
    report.add_argument("--out", default="report.html", help="file to write (default: report.html)")
    report.add_argument(
        "--watch",
        action="store_true",
        help="write the file again whenever a run goes on, until none does; the page loads itself anew",
    )
    report.add_argument(
        "--figures",
        default="",
        metavar="FORMATS",
        help="also write every figure for publication: png, svg, pdf, or several, as in svg,pdf",
    )
    report.add_argument(
        "--figures-dir", default=None, metavar="DIR", help="where (default: beside --out)"
    )
    report.set_defaults(handler=run_report)


def run_report(options: argparse.Namespace) -> int:
    """Write the page, then the figures if asked for; print where, and how large.

    Raises
    ------
    ValueError
        For an unknown format, and ``--figures-dir`` that is a file or comes without
        ``--figures``.
    """
    from percolaw.report import FORMATS, write_figures
    from percolaw.report.html import write_report
    from percolaw.report.reading import expand
    from percolaw.runs.folders import damaged_units

    formats = [name.strip().lower() for name in options.figures.split(",") if name.strip()]
    for name in formats:
        checks.choice("--figures", name, FORMATS)
    if options.figures_dir is not None and not formats:
        raise ValueError("--figures-dir needs --figures, for instance --figures svg,pdf.")
    out = Path(options.out)
    folder = Path(options.figures_dir or out.with_name(f"{out.stem}-figures"))
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--figures-dir {folder} is a file; name a folder.")
    if options.watch:
        _watch(options.runs, out)
    folders, unfinished = _members(options.runs)
    for item in unfinished:
        note(f"{item.folder} has not finished and is left out.")
    if unfinished and not folders:
        raise RunError("none of these runs has finished. Run the same commands again: they go on.")
    path, size = write_report(folders, out, note)
    print(f"report: {printable(path)}  ({size / 1e6:.2f} MB)", flush=True)
    for run in expand(folders)[0]:
        damaged = damaged_units(run)
        if damaged:
            note(
                f"{damaged} unit(s) of {run} were damaged after its record was written; the report is "
                "whole, and percolaw resume measures them again."
            )
    if formats:
        written = write_figures(folders, folder, formats)
        total = sum(file.stat().st_size for file in written)
        print(f"figures: {printable(folder)}  ({len(written)} files, {total / 1e6:.2f} MB)")
    return 0


def _members(named: list[str]) -> tuple[list[Path], list[Any]]:
    """Folders to report, and the status of runs among several that have not finished."""
    from percolaw.runs.folders import run_folders
    from percolaw.runs.status import status

    finished: list[Path] = []
    unfinished = []
    for place in map(Path, named):
        alone = any((place / n).exists() for n in ("config.json", "record.json", "summary.json"))
        begun = (place / "config.json").exists() and not (place / "record.json").exists()
        if begun and len(named) > 1:
            unfinished.append(status(place, known_class))
            continue
        inside = [] if alone or not place.is_dir() else list(run_folders(place))
        done = [run for run in inside if (run / "record.json").exists()]
        unfinished += [status(run, known_class) for run in inside if run not in done]
        finished += done if inside else [place]
    return finished, unfinished


def _watch(named: list[str], out: Path) -> None:
    """Write the page whenever a run goes on or finishes, until no run of these folders goes on."""
    from percolaw.report.html import write_report
    from percolaw.report.reading import Run, read_run

    kept: dict[Path, tuple[int, Run]] = {}

    def read(folder: Path) -> Run:
        written = (folder / "record.json").stat().st_mtime_ns
        if kept.get(folder, (0, None))[0] != written:
            kept[folder] = written, read_run(folder)
        return kept[folder][1]

    before: object = None
    while True:
        folders, unfinished = _members(named)
        going = [_line(item) for item in unfinished if item.state == "running"]
        if not going:
            return
        if (folders, going) != before:
            path, _ = write_report(folders, out, running=going, read=read)
            if before is None:
                print(f"report: {printable(path)}  (open it; Ctrl-C ends)", flush=True)
            before = folders, going
        time.sleep(POLL)
