"""``percolaw sweep``: search over config fields on validation data."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from typing import Any

from percolaw import checks
from percolaw.cli.numbers import count
from percolaw.experiments.registry import experiment_class
from percolaw.progress import progress
from percolaw.text import printable


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "sweep",
        help="search over config fields: grid, random or TPE",
        description="Search over config fields of an experiment that can be tuned, by its objective on "
        "validation data. Further flags are fields of its config. The same command continues an "
        "interrupted search.",
    )
    parser.add_argument("experiment", metavar="EXPERIMENT")
    parser.add_argument(
        "--preset", default=None, help="smoke, laptop (default, else the first), paper"
    )
    parser.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="FIELD=SPEC",
        help="a,b,c | low:high | log:low:high | int:low:high; may be given several times",
    )
    parser.add_argument("--sampler", default="tpe", help="grid, random or tpe (default)")
    parser.add_argument("--trials", type=count, default=50, help="trials in all (default: 50)")
    parser.add_argument("--seed", type=count, default=0, help="seed of the search (default: 0)")
    parser.add_argument("--workers", type=count, default=1, help="processes (default: 1)")
    parser.add_argument("--out", default="runs", help="folder for results (default: runs)")
    parser.add_argument("--quiet", action="store_true", help="no progress, results only")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(handler=run_sweep_command)


def run_sweep_command(options: argparse.Namespace) -> int:
    """Search, and print the best trials.

    Raises
    ------
    ValueError
        If a flag is both fixed and searched over.
    """
    from percolaw.cli.measuring import configure
    from percolaw.runs.search import run_search
    from percolaw.runs.search_space import Search, parse_axis

    experiment = configure(experiment_class(options.experiment), options.preset, options.rest)
    for text in options.over:
        flag = "--" + text.split("=")[0].replace("_", "-")
        if flag in {word.split("=")[0] for word in options.rest}:
            raise ValueError(f"{flag} is both fixed and searched over; give one.")
    search = Search(
        experiment,
        tuple(parse_axis(text) for text in options.over),
        options.sampler,
        options.trials,
        options.seed,
    )
    started = time.perf_counter()
    with progress(f"sweep {experiment.name}", options.quiet) as update:
        result = run_search(
            search,
            out=options.out,
            workers=checks.integer("--workers", options.workers, minimum=1),
            progress=update,
            waiting=lambda message: print(printable(message), file=sys.stderr),
        )
    if options.json:
        kept = {"trials": result.trials, "outdated": result.outdated}
        print(json.dumps({"folder": str(result.folder), **kept}, indent=1))
        return 0
    print("objective    values")
    for trial in result.trials[:10]:
        values = "  ".join(f"{k} = {_short(v)}" for k, v in trial["values"].items())
        print(f"{trial['objective']:<12.5g} {values}")
    print(f"\n{len(result.trials)} trials; {time.perf_counter() - started:.1f} s")
    if result.failed:
        print(f"{len(result.failed)} failed: {result.failed[:5]}")
    flags = [
        f"--{k.replace('_', '-')} {shlex.quote(str(v))}"
        for k, v in result.trials[0]["values"].items()
    ]
    fixed = [shlex.quote(word) for word in options.rest]
    start = [options.experiment, *(["--preset", options.preset] if options.preset else [])]
    words = " ".join([*start, *fixed, *flags])
    print(f"best: percolaw run {words}")
    print(f"results: {printable(result.folder)}")
    return 0


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
