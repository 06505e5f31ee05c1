"""``percolaw run`` and ``reproduce``: experiments and their results."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percolaw import checks
from percolaw.cli.measuring import add_common, check_options, configure, draw, executor_of, run_one
from percolaw.cli.numbers import count
from percolaw.cli.terminal import has_colors, note, table_width
from percolaw.errors import MissingExtraError
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.experiments.reproductions import OVERRIDES, PRESETS, REPRODUCTIONS
from percolaw.text import printable

if TYPE_CHECKING:
    from percolaw.experiments.claims import Claim
    from percolaw.runs.run import Result


#: Said under the disagreements of a preset that is made to be quick.
SMOKE = (
    "The smoke preset shows in seconds that everything works. Its sizes are too small for the limits "
    "that claims speak of, so a disagreement here says little: --preset laptop is made to judge."
)


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    shared = argparse.ArgumentParser(add_help=False, usage=argparse.SUPPRESS)
    flags = shared.add_argument_group("flags of every experiment")
    flags.add_argument(
        "--preset", default=None, help="smoke, laptop (default, else the first), paper or gpu"
    )
    add_common(flags)
    run = commands.add_parser(
        "run",
        help="run one experiment, of percolaw or your own",
        usage="percolaw run EXPERIMENT [flags of every experiment] [flags of its own]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run one experiment: a name from percolaw list, or your own,\n"
        "my_file.py:MyExperiment or my_package.module:MyExperiment. Flags of its own are\n"
        "the fields of its config, and "
        "percolaw run EXPERIMENT --help lists them.",
        epilog=textwrap.fill(f"experiments: {', '.join(EXPERIMENTS)}", 78, break_on_hyphens=False),
        parents=[shared],
        add_help=False,
    )
    run.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="percolaw list names them")
    run.set_defaults(handler=run_run, help=run.format_help, shared_help=shared.format_help)
    reproduce = commands.add_parser("reproduce", help="all figures and claims of a paper")
    reproduce.add_argument(
        "paper", choices=list(REPRODUCTIONS), metavar="PAPER", help=", ".join(REPRODUCTIONS)
    )
    reproduce.add_argument(
        "--preset", default="laptop", help="smoke, laptop (default), paper or gpu"
    )
    reproduce.add_argument(
        "--n-seeds",
        type=count,
        default=None,
        metavar="N",
        help="repetitions, instead of the preset's",
    )
    add_common(reproduce)
    reproduce.set_defaults(handler=run_reproduce)


def run_run(options: argparse.Namespace) -> int:
    """Run one experiment and print its claims; what they say does not change the exit code."""
    asked = bool({"-h", "--help"} & set(options.rest))
    if options.experiment is None:
        print(options.help())
        return 0 if asked else 2
    if asked:
        with contextlib.suppress(SystemExit):
            configure(experiment_class(options.experiment), options.preset, options.rest)
        print(f"\n{options.shared_help()}", end="")
        return 0
    experiment = configure(experiment_class(options.experiment), options.preset, options.rest)
    check_options(options)
    started = time.perf_counter()
    with executor_of(options) as executor:
        result = run_one(experiment, options, executor)
    return show(result, options, time.perf_counter() - started)


def show(result: Any, options: argparse.Namespace, seconds: float) -> int:
    """Print the claims of a run and where its results are.

    Parameters
    ----------
    result : Result
    options : argparse.Namespace
        ``json``, ``no_figures``.
    seconds : float
        How long it took.

    Returns
    -------
    int
        Exit code 0, whatever the claims say.
    """
    if options.json:
        print((result.folder / "record.json").read_text(encoding="utf-8"), end="", flush=True)
        draw(result, options)
        return 0
    if result.claims:
        smoke = vars(options).get("preset") == "smoke"
        _print_claims(result.claims, f"{seconds:.1f} s", smoke)
        if result.config.get("n_seeds", 3) < 3:
            print("[-inf, inf]: an interval needs three seeds, --n-seeds 3 or more.")
    print_findings([result])
    for folder, n in result.reused.items():
        print(f"{n} units were measured by another run, {printable(folder)}")
    print(f"results: {printable(result.folder)}", flush=True)
    draw(result, options)
    return 0


def _print_claims(claims: Sequence[Claim], seconds: str, smoke: bool = False) -> None:
    """Print a table of claims, how many agree, and those that disagree once more."""
    from percolaw.report.claims import claims_table, disagreements, tally

    color, width = has_colors(sys.stdout), table_width()
    print(claims_table(claims, color=color, width=width))
    again = disagreements(claims, color=color, width=width)
    if again and len(claims) > 1:
        print(f"\n{again}")
        if smoke:
            print(textwrap.fill(SMOKE, min(width, 100)))
    print(f"\n{tally(claims)}; {seconds}")


def print_findings(results: Sequence[Result]) -> None:
    """Print what experiments on data found, a line for each data set and resolution."""
    readings = [one for result in results for one in result.tables.get("readings", ())]
    lines = [one["short"] for one in readings if "short" in one]
    if lines:
        print("\nfound:")
    for line in lines:
        print(textwrap.fill(printable(line), min(table_width(), 100), subsequent_indent="    "))


def run_reproduce(options: argparse.Namespace) -> int:
    """Run all experiments of a paper and gather their claims and figures.

    Raises
    ------
    MissingExtraError
        If none of the experiments can be run here.
    """
    from percolaw.experiments.base import content_id, run_id

    _, members = REPRODUCTIONS[options.paper]
    reasons = {name: reason_to_leave_out(name, options.preset) for name in members}
    left_out = [text for text in reasons.values() if text]
    for text in left_out:
        print(f"left out: {text}", file=sys.stderr)
    experiments = [
        member_config(options.paper, name, options.preset) for name in members if not reasons[name]
    ]
    if not experiments:
        raise MissingExtraError(left_out[0])
    if options.n_seeds is not None:
        n = checks.integer("--n-seeds", options.n_seeds, minimum=1)
        experiments = [
            dataclasses.replace(e, n_seeds=n) if hasattr(e, "n_seeds") else e for e in experiments
        ]
    check_options(options)
    started = time.perf_counter()
    identity = content_id([run_id(e) for e in experiments], 8)
    folder = Path(options.out) / f"{options.paper}-{options.preset}-{identity}"
    with executor_of(options) as executor:
        results = [run_one(experiment, options, executor) for experiment in experiments]
    seconds = time.perf_counter() - started
    folder.mkdir(parents=True, exist_ok=True)
    summary = _write_summary(results, folder, options, left_out, seconds)
    if options.json:
        print(json.dumps(summary, indent=1), flush=True)
    else:
        claims = [claim for result in results for claim in result.claims]
        _print_claims(claims, f"{seconds:.0f} s", options.preset == "smoke")
        print_findings(results)
        for text in left_out:
            print(f"left out: {text}")
        print(f"results: {printable(folder)}", flush=True)
    if not options.no_figures:
        _draw_all(results, folder, options)
    return 0


def _write_summary(
    results: Sequence[Result],
    folder: Path,
    options: argparse.Namespace,
    left_out: list[str],
    seconds: float,
) -> Any:
    """Write ``claims.md`` and ``summary.json`` of a reproduction; return the summary."""
    from percolaw.report.claims import VERDICT_RULE, claims_markdown
    from percolaw.runs.files import strict_json, write_atomic
    from percolaw.runs.provenance import provenance

    command = f"percolaw reproduce {options.paper} --preset {options.preset}"
    if options.n_seeds is not None:
        command += f" --n-seeds {options.n_seeds}"
    claims = [(result.experiment, claim) for result in results for claim in result.claims]
    text = claims_markdown([claim for _, claim in claims])
    write_atomic(folder / "claims.md", f"`{command}`\n\n{text}\n{VERDICT_RULE}\n")
    summary = strict_json(
        {
            "paper": REPRODUCTIONS[options.paper][0],
            "command": command,
            "claims": [{"experiment": name, **dataclasses.asdict(claim)} for name, claim in claims],
            "runs": {r.experiment: os.path.relpath(r.folder, folder) for r in results},
            "left_out": left_out,
            "seconds": round(seconds, 1),
            "provenance": provenance(),
        }
    )
    write_atomic(folder / "summary.json", json.dumps(summary, indent=1) + "\n")
    return summary


def _draw_all(results: list[Any], folder: Path, options: argparse.Namespace) -> None:
    """Draw the figures of a reproduction, gather them in its folder, and write its report."""
    target = folder / "figures"
    target.mkdir(exist_ok=True)
    for result in results:
        draw(result, options)
        for figure in sorted((result.folder / "figures").glob("[!.]*.*")):
            if not figure.is_file() or figure.is_symlink():
                continue
            (target / figure.name).write_bytes(figure.read_bytes())
    if not options.json:
        print(f"figures: {printable(target)}")
    write_page(folder, options)


def write_page(folder: Path, options: argparse.Namespace) -> None:
    """Write the report of a folder into it and say where; a failure takes nothing from the results.

    Parameters
    ----------
    folder : path
        Of a run or a reproduction.
    options : argparse.Namespace
        ``json``.
    """
    try:
        from percolaw.report.html import write_report

        page, _ = write_report([folder], folder / "report.html")
    except Exception as error:
        note(f"no report ({type(error).__name__}: {error}).")
        return
    if not options.json:
        print(f"report:  {printable(page)}  (open it in a browser)")


def reason_to_leave_out(name: str, label: str) -> str:
    """Return why an experiment cannot be part of a reproduction here; empty if it can.

    Parameters
    ----------
    name, label : str
        Of the experiment and of the preset.
    """
    from percolaw.experiments.base import missing_extra

    cls = experiment_class(name)
    missing = missing_extra(cls)
    if missing or label != "paper" or "gpu" not in cls.presets or "paper" in cls.presets:
        return missing
    from percolaw.neural.device import resolve_device

    if resolve_device("auto") != "cpu":
        return ""
    return (
        f"{name} has the preset gpu in place of {label}, and there is no accelerator here. "
        f"percolaw run {name} --preset gpu runs it anyway."
    )


def member_config(paper: str, name: str, label: str) -> Any:
    """The config of an experiment in a reproduction: its preset, and what the source asks for.

    Parameters
    ----------
    paper, name, label : str
        Of the reproduction, the experiment and the preset.

    Returns
    -------
    Experiment
    """
    from percolaw.experiments.base import preset
    from percolaw.experiments.fields import hints, read_words

    cls = experiment_class(name)
    if label not in cls.presets:  # the large preset of networks is called after what it needs
        other = {"paper": "gpu", "gpu": "paper"}.get(label, label)
        only = other != label and other not in cls.presets  # data that have no larger size
        label = [*cls.presets][-1] if only else other
    label = PRESETS.get(paper, {}).get(name, {}).get(label, label)
    asked = OVERRIDES.get(paper, {}).get(name, {})
    given = {field: read_words(hints(cls)[field], value) for field, value in asked.items()}
    return dataclasses.replace(preset(cls, label), **given)
