"""``percolaw estimate-dimension``: the intrinsic dimension of points in a file."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percolaw import checks
from percolaw.cli.numbers import count
from percolaw.cli.terminal import note
from percolaw.progress import progress
from percolaw.text import printable

if TYPE_CHECKING:
    from percolaw.dimension.estimate import DimensionReport


#: Points up to which an estimate takes no time to speak of.
AT_ONCE = 5000


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "estimate-dimension",
        help="intrinsic dimension of the points in a file, with a plot",
        description="Estimate the intrinsic dimension of points by several methods, with intervals, "
        "dependence on scale, a plot, and a sentence on how far to trust it.",
    )
    parser.add_argument(
        "file", metavar="FILE", help=".npy, .npz, .zarr, .parquet, .csv, .tsv or .txt"
    )
    parser.add_argument("--array", default=None, help="name of the array in an .npz (default: X)")
    parser.add_argument(
        "--header",
        choices=["auto", "yes", "no"],
        default="auto",
        help="text files: whether the first line holds names (default: auto)",
    )
    parser.add_argument(
        "--max-points", type=count, default=100_000, help="random rows used (default: 100000)"
    )
    parser.add_argument(
        "--drop-duplicates",
        action="store_true",
        help="keep one of points that coincide, exactly or within the rounding of their numbers",
    )
    parser.add_argument("--seed", type=count, default=0, help="seed (default: 0)")
    parser.add_argument(
        "--plot", default=None, help="where to draw (default: FILE.dimension.png beside the file)"
    )
    parser.add_argument("--no-plot", action="store_true", help="numbers only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(handler=run_estimate_dimension)


def run_estimate_dimension(options: argparse.Namespace) -> int:
    """Read, estimate, draw, and say how far to trust it; 1 if a plot asked for cannot be written."""
    from percolaw.datasets.points import read_points
    from percolaw.dimension.estimate import estimate_dimension
    from percolaw.numerics.copies import near_copies

    most = checks.integer("--max-points", options.max_points, minimum=100)
    source = Path(options.file)
    plot = _plot_target(options, source)
    points, n_rows = read_points(source, most, options.seed, options.array, options.header)
    n_read = points.shape[0]
    if options.drop_duplicates:
        points = points[~near_copies(points)]
    with progress("estimating", quiet=points.shape[0] < AT_ONCE) as update:
        report = estimate_dimension(points, options.seed, progress=update)
    if options.json:
        print(json.dumps({"file": str(source), "rows": n_rows, **report.as_dict()}, indent=1))
    else:
        _print_report(report, source, points.shape[0], n_read, n_rows)
    sys.stdout.flush()
    if plot is None:
        return 0
    try:
        from percolaw.report.dimension import draw_report

        draw_report(report.as_dict(), plot, title=printable(source.name))
    except OSError as error:
        note(
            f"no plot: {plot} cannot be written ({error.strerror or error}). Name another place with "
            "--plot, or none with --no-plot."
        )
        return 1 if options.plot else 0
    if not options.json:
        print(f"plot: {printable(plot)}")
    return 0


def _plot_target(options: argparse.Namespace, source: Path) -> Path | None:
    """Where to draw, or None; a place that was asked for and cannot be is refused."""
    if options.no_plot:
        return None
    checks.extra("matplotlib", "report")
    plot = Path(options.plot) if options.plot else source.with_name(source.name + ".dimension.png")
    if plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ValueError(f"--plot must end in .png, .svg or .pdf; got {plot}.")
    if not plot.parent.is_dir():
        raise ValueError(f"there is no folder {plot.parent} for the plot; name another.")
    if options.plot and not os.access(plot.parent, os.W_OK | os.X_OK):
        raise ValueError(f"the folder {plot.parent} is not writable; name another for --plot.")
    return plot


def _print_report(
    report: DimensionReport, source: Path, n_used: int, n_read: int, n_rows: int
) -> None:
    """Print the estimates with their intervals, and how far to trust them."""
    used = "" if n_read == n_rows else f", {n_read} of them used (--max-points)"
    constant = f", {report.n_constant} columns constant" if report.n_constant else ""
    print(
        f"{printable(source)}: {n_rows} points in {report.embedding_dimension} dimensions{used}{constant}"
    )
    if n_used < n_read:
        print(f"{n_read - n_used} duplicates dropped (equal up to rounding)")
    print(f"\n{'estimator':<34} {'estimate':>8}  {'stated interval':<17} smallest subsets")
    for name, e in report.estimates.items():
        interval = f"[{e.interval[0]:.2f}, {e.interval[1]:.2f}]"
        interval = interval if math.isfinite(e.interval[1]) else "none"
        last = f"{e.level[-1]:.2f} ({e.n_points[-1]} points)"
        print(f"{name:<34} {e.dimension:8.2f}  {interval:<17} {last}")
    low, _, middle, _, high = report.local
    few, many = report.expected_local
    print(
        f"local dimension: {middle:.1f} in the median, 90% of points {low:.1f} to {high:.1f} "
        f"(one dimension everywhere would give {few:.1f} to {many:.1f})"
    )
    print(f"\n{report.sentence}")
