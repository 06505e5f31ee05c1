"""``percolaw report``: finished runs as one HTML file, and their figures for publication."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from percolaw import checks
from percolaw.cli.control import run_path
from percolaw.text import printable


def add(commands: Any) -> None:
    """Add the command to the parser."""
    report = commands.add_parser(
        "report",
        help="finished runs as one HTML file",
        description="One HTML file that needs no network: claims with verdicts, plots to explore, "
        "configs, and how to redo everything.",
        allow_abbrev=False,
    )
    report.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        type=run_path,
        help="folder of a run, or of percolaw reproduce, which stands for all its runs",
    )
    report.add_argument("--out", default="report.html", help="file to write (default: report.html)")
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


def run_report(options: argparse.Namespace, rest: list[str]) -> int:
    """Write the page, then the figures if asked for; print where, and how large.

    Parameters
    ----------
    options : argparse.Namespace
        ``runs``, ``out``, ``figures``, ``figures_dir``.
    rest : list of str
        Not used.

    Returns
    -------
    int
        Exit code 0.

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
    path, size = write_report(options.runs, out, _complain)
    print(f"report: {printable(path)}  ({size / 1e6:.2f} MB)", flush=True)
    for run in expand(options.runs)[0]:
        damaged = damaged_units(run)
        if damaged:
            _complain(
                f"{damaged} unit(s) of {run} were damaged after its record was written; the report is "
                "whole, and percolaw resume measures them again."
            )
    if formats:
        written = write_figures(options.runs, folder, formats)
        total = sum(file.stat().st_size for file in written)
        print(f"figures: {printable(folder)}  ({len(written)} files, {total / 1e6:.2f} MB)")
    return 0


def _complain(message: str) -> None:
    print(f"percolaw: {printable(message)}", file=sys.stderr)
