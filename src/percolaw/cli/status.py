"""``percolaw status``: what the runs in a folder have done."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from percolaw.errors import PercolawError
from percolaw.experiments import EXPERIMENTS, experiment_class


def add(commands: Any) -> None:
    """Add the command to the parser."""
    status = commands.add_parser(
        "status", help="what the runs in a folder have done", allow_abbrev=False
    )
    status.add_argument("--out", default="runs", help="folder of runs (default: runs)")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(handler=run_status)


def run_status(options: argparse.Namespace, rest: list[str]) -> int:
    """Print what every run in a folder has done."""
    from percolaw.experiments.base import from_config
    from percolaw.runs.store import RunFolder

    out = Path(options.out)
    if not out.is_dir():
        raise ValueError(f"there is no folder {out}; name one with --out.")
    found: list[dict[str, Any]] = []
    for path in sorted(out.iterdir()):
        if not (path / "config.json").exists() or not (path / "units.sqlite").exists():
            continue
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
            counts = RunFolder(path, config).counts()
            name = config["experiment"]
            total = (
                len(from_config(experiment_class(name), config["config"]).cells())
                if name in EXPERIMENTS
                else None
            )
        except (ValueError, KeyError, TypeError, OSError, PercolawError) as error:
            print(f"percolaw: {path} is damaged: {error}", file=sys.stderr)
            found.append({"folder": str(path), "damaged": str(error)})
            continue
        found.append(
            {
                "folder": str(path),
                "experiment": name,
                "done": counts.get("done", 0),
                "failed": counts.get("failed", 0),
                "units": total,
                "concluded": (path / "record.json").exists(),
            }
        )
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    if not found:
        print(f"no runs in {out}")
    for item in found:
        if "damaged" in item:
            print(f"{item['folder']}  damaged")
            continue
        state = "concluded" if item["concluded"] else "unfinished: run it again to continue"
        failed = f", {item['failed']} failed" if item["failed"] else ""
        units = f"{item['done']}" if item["units"] is None else f"{item['done']}/{item['units']}"
        print(f"{item['folder']}  {units} units{failed}  {state}")
    return 0
