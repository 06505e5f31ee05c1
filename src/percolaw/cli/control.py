"""``percolaw status | resume | retry | cancel | diff | export | gc``: runs on disk."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from percolaw import checks
from percolaw.cli.terminal import has_colors, note
from percolaw.errors import PercolawError
from percolaw.experiments.registry import known_class
from percolaw.text import nearest, printable

#: Where runs are if nothing else is said.
RUNS = "runs"


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    from percolaw.cli.measuring import add_common

    def command(name: str, text: str, handler: Any, *, run: bool = True) -> Any:
        parser = commands.add_parser(name, help=text, description=text)
        if run:
            parser.add_argument(
                "run", metavar="RUN", type=run_path, help="a run folder, or its name in runs/"
            )
        parser.set_defaults(handler=handler)
        return parser

    status = command("status", "what the runs in a folder have done", run_status, run=False)
    status.add_argument("--out", default=RUNS, help="folder of runs (default: runs)")
    status.add_argument("--watch", action="store_true", help="go on until nothing is running")
    status.add_argument("--json", action="store_true", help="print JSON")
    resume = command("resume", "measure what a run still lacks, and conclude", run_resume)
    add_common(resume, out=False)
    retry = command("retry", "measure the failed units of a run again", run_retry)
    add_common(retry, out=False)
    command("cancel", "ask the process that works on a run to stop", run_cancel)
    diff = command("diff", "how two finished runs differ: config, claims, code", run_diff)
    diff.add_argument("other", metavar="OTHER", type=run_path, help="another run folder")
    diff.add_argument("--json", action="store_true", help="print JSON")
    export = command(
        "export", "write the rows of a run as one table, one number a cell", run_export
    )
    export.add_argument(
        "--out", required=True, help="file; the suffix is the format: .csv, .jsonl or .parquet"
    )
    export.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    gc = command("gc", "remove units of other code and leftovers of killed runs", run_gc, run=False)
    gc.add_argument("--out", default=RUNS, help="folder of runs (default: runs)")
    gc.add_argument("--apply", action="store_true", help="remove; without it only say what")


def run_path(text: str) -> str:
    """Return a run's folder: the path, or where there is none the run of that name in ``runs``.

    Raises
    ------
    argparse.ArgumentTypeError
        If neither is there, and one of nearly that name is.
    """
    inside = Path(RUNS) / text
    try:
        if Path(text).exists() or inside.is_dir():
            return text if Path(text).exists() else str(inside)
        near = nearest(text, [path.name for path in Path(RUNS).iterdir() if path.is_dir()])
    except (OSError, ValueError):
        near = None
    if near is not None:
        raise argparse.ArgumentTypeError(
            printable(f"there is no run {text}. Did you mean {near}? percolaw status lists all.")
        )
    return text


def run_status(options: argparse.Namespace) -> int:
    """Print what every run and sweep in a folder has done."""
    from percolaw.runs.folders import run_folders, sweep_folders
    from percolaw.runs.status import status, sweep_status

    while True:
        states = []
        if options.out != RUNS or Path(RUNS).exists():
            states = [status(path, known_class) for path in run_folders(options.out)]
            states += [sweep_status(path, known_class) for path in sweep_folders(options.out)]
        for item in states:
            if item.note:
                state = "is damaged" if item.state == "damaged" else "cannot go on"
                note(f"{item.folder} {state}: {item.note}")
        if options.json:
            print(json.dumps([item.as_dict() for item in states], indent=1))
        else:
            if options.watch and has_colors(sys.stdout):
                print("\033[2J\033[H", end="")
            print(_table(states) if states else f"no runs in {printable(options.out)}", flush=True)
        if not options.watch or not any(item.state == "running" for item in states):
            return 0
        time.sleep(2.0)


def _table(states: list[Any]) -> str:
    return "\n".join(map(_line, states))


def _line(item: Any) -> str:
    """One run or sweep."""
    units = f"{item.done}" if item.units is None else f"{item.done}/{item.units}"
    text = f"{item.folder}  {item.state}"
    if item.state != "damaged":
        text += f"  {units} {'units' if item.kind == 'run' else 'trials'}"
    if item.failed:
        text += f", {item.failed} failed ({item.again or 'percolaw retry'})"
    if item.damaged:
        text += f", {item.damaged} damaged"
    if item.state in ("unfinished", "outdated"):
        again = "percolaw resume"
        if item.kind == "sweep":
            outdated = item.state == "outdated"
            again = f"the same percolaw sweep {'with another --out' if outdated else 'goes on'}"
        text += f"  ({item.again or again})"
    if item.seconds_left is not None:
        text += f"  {_duration(item.seconds_left)} left"
    if item.where:
        text += f"  on {item.where}"
    return printable(text)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def run_resume(options: argparse.Namespace) -> int:
    """Go on with a run from its folder alone."""
    from percolaw.cli.experiments import show
    from percolaw.cli.measuring import check_options, executor_of, run_one
    from percolaw.runs.folders import reopen

    experiment = reopen(options.run, known_class)
    check_options(options)
    started = time.perf_counter()
    with executor_of(options) as executor:
        result = run_one(experiment, options, executor, folder=options.run)
    return show(result, options, time.perf_counter() - started)


def run_retry(options: argparse.Namespace) -> int:
    """Forget failures, then go on."""
    from percolaw.cli.measuring import check_options
    from percolaw.runs.files import check_writable
    from percolaw.runs.folders import opened, reopen

    reopen(options.run, known_class)
    check_options(options)
    check_writable(Path(options.run))
    n = opened(options.run)[0].forget_failures()
    if not options.json:
        print(f"{n} failed units are measured again")
    return run_resume(options)


def run_cancel(options: argparse.Namespace) -> int:
    """Leave a note for the process that works on a run."""
    from percolaw.runs.activity import active
    from percolaw.runs.files import check_writable
    from percolaw.runs.folders import open_config

    folder = Path(options.run)
    if not (folder / "sweep.json").exists():
        open_config(folder)
    now = active(folder)
    where = printable(folder)
    if now is None:
        print(f"nothing works on {where}")
        return 0
    by = f"process {now['pid']} on {now['host']}"
    check_writable(folder, f"Ask the user whose {by} works on it.")
    (folder / "cancel").touch()
    for _ in range(300):
        if active(folder) is None:
            print(f"stopped; every finished unit is kept in {where}, `percolaw resume` goes on")
            return 0
        time.sleep(0.1)
    print(f"asked {printable(by)} to stop; it does when its present unit ends")
    return 0


def run_diff(options: argparse.Namespace) -> int:
    """Print how two runs differ."""
    from percolaw.runs.folders import difference

    differing = difference(options.run, options.other)
    if options.json:
        print(json.dumps(differing, indent=1))
        return 0
    lines = []
    if differing["experiment"][0] != differing["experiment"][1]:
        lines.append(f"experiment: {differing['experiment'][0]} | {differing['experiment'][1]}")
    if differing["code"][0] != differing["code"][1]:
        lines.append(f"code: {differing['code'][0]} | {differing['code'][1]}")
    lines += [f"config {key}: {one} | {two}" for key, (one, two) in differing["config"].items()]
    for name, changed in differing["claims"].items():
        lines.append(f"claim {name!r}")
        for key, pair in changed.items():
            text = pair if isinstance(pair, str) else f"{_short(pair[0])} | {_short(pair[1])}"
            lines.append(f"    {key}: {text}")
    same = differing["same_claims"]
    lines.append(f"{same} claim{'s' * (same != 1)} equal, {len(differing['claims'])} different")
    print("\n".join(map(printable, lines)))
    return 0


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return str(value)


def run_export(options: argparse.Namespace) -> int:
    """Write rows for other programs."""
    from percolaw.runs.folders import damaged_units, export

    n = export(options.run, options.out, overwrite=options.overwrite)
    print(f"{n} lines in {printable(options.out)}")
    damaged = damaged_units(options.run)
    if damaged:
        note(f"{damaged} unit(s) are damaged and left out; percolaw resume measures them again.")
    return 0


def run_gc(options: argparse.Namespace) -> int:
    """Say what can go, or remove it; 1 if a run was passed over that should have been cleaned."""
    from percolaw.runs.folders import collect_garbage, garbage, run_folders

    total = code = 0
    for path in run_folders(options.out):
        try:
            units, files = garbage(path)
            if not units and not files:
                continue
            text = f"{path}  {units} units of other code, {len(files)} leftover files"
            if options.apply:
                won = collect_garbage(path)
                total += won
                text += f": removed, {checks.human_bytes(won)}"
        except (PercolawError, ValueError, OSError) as error:
            note(f"{path} is passed over: {error}")
            code = 1 if options.apply else code
            continue
        print(printable(text))
    print(
        f"{checks.human_bytes(total)} won back" if options.apply else "nothing removed; add --apply"
    )
    return code
