"""``percolaw list``: experiments and reproductions, a line each."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from typing import Any

from percolaw.cli.terminal import has_colors, table_width
from percolaw.experiments.registry import EXPERIMENTS, experiment_class, installed
from percolaw.experiments.reproductions import REPRODUCTIONS
from percolaw.text import nearest

#: Sentences under the overview.
LEGEND = (
    "Right: time of --preset laptop on 2 cores. * percolaw sweep NAME searches over its fields.",
    "percolaw list NAME for sources, other presets, and whether times are estimated; "
    "percolaw run NAME --help for its flags.",
)


def add(commands: Any) -> None:
    """Add the command to the parser."""
    listing = commands.add_parser(
        "list",
        help="every experiment, by paper; list TEXT shows more of some",
        description="Every experiment in a line, under the reproduction it is first part of. With TEXT "
        "those whose name, title, source or reproduction contains it, with sources and costs.",
    )
    listing.add_argument("text", nargs="?", default="", metavar="TEXT", help="what to look for")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(handler=run_list)


def run_list(options: argparse.Namespace) -> int:
    """Print experiments by paper: a line each, or all that is known of those that were asked for.

    Raises
    ------
    ValueError
        If nothing contains the text.
    """
    wanted = options.text.lower()
    others = [n for n, place in installed().items() if wanted and wanted in f"{n} {place}".lower()]
    listed = {name: _entry(name) for name in (*EXPERIMENTS, *others)}
    chosen = {
        name: entry
        for name, entry in listed.items()
        if name in others
        or wanted in " ".join([name, entry["title"], entry["source"], *entry["papers"]]).lower()
    }
    if not chosen:
        near = nearest(wanted, [*listed, *REPRODUCTIONS])
        hint = f" Did you mean {near}?" if near else ""
        raise ValueError(f"no experiment is about {options.text!r}.{hint} percolaw list shows all.")
    if options.json:
        print(json.dumps(chosen, indent=1))
    elif options.text:
        print("\n".join(_details(name, entry) for name, entry in chosen.items()))
    else:
        print(_overview(chosen))
    return 0


def _entry(name: str) -> dict[str, Any]:
    cls = experiment_class(name)
    presets = {p: {"time": v.time, "memory": v.memory} for p, v in cls.presets.items()}
    papers = [paper for paper, (_, members) in REPRODUCTIONS.items() if name in members]
    return {
        "title": cls.title,
        "source": cls.source,
        "presets": presets,
        "command": getattr(cls, "command", f"percolaw run {name}"),
        "papers": papers,
        "tuned": callable(getattr(cls, "validate", None)),
    }


def _details(name: str, entry: dict[str, Any]) -> str:
    lines = [name, f"    {entry['title']}", f"    source: {entry['source']}"]
    if entry["papers"]:
        lines.append(f"    part of: {', '.join(entry['papers'])}")
    if entry["tuned"]:
        lines.append(f"    percolaw sweep {name} searches over its fields")
    if not entry["presets"]:
        lines.append(f"    no presets: {entry['command']}")
    for label, cost in entry["presets"].items():
        lines.append(f"    --preset {label:<7} about {cost['time']}, {cost['memory']} on 2 cores")
    return "\n".join(lines)


def _overview(listed: dict[str, dict[str, Any]]) -> str:
    """A line each under the first reproduction that has it, with the time of the preset laptop."""
    bold, plain = ("\033[1m", "\033[0m") if has_colors(sys.stdout) else ("", "")
    groups = {paper: f"{paper}: {title}" for paper, (title, _) in REPRODUCTIONS.items()}
    first = max(map(len, listed)) + 1
    width = table_width()
    lines = []
    for paper, heading in {**groups, "": "in no reproduction"}.items():
        members = [n for n, e in listed.items() if (e["papers"] or [""])[0] == paper]
        elsewhere = [n for n, e in listed.items() if paper in e["papers"] and n not in members]
        lines.append(f"{bold}{_clipped(heading, width)}{plain}")
        for name in members:
            entry = listed[name]
            start = f"  {name + ('*' if entry['tuned'] else ''):<{first}}"
            time = entry["presets"]["laptop"]["time"] if "laptop" in entry["presets"] else ""
            time = time.partition(",")[0]  # what follows says that it is an estimate, and of what
            command = "" if entry["presets"] else f"{entry['command']}: "
            title = _clipped(command + entry["title"], width - len(start) - 11)
            lines.append(f"{start} {title:<{width - len(start) - 11}}  {time:>8}")
        if elsewhere:
            lines.append(_clipped(f"  and {', '.join(elsewhere)}", width))
    places = installed()
    if places:
        lines.append(f"{bold}of installed packages{plain}")
        lines += [_clipped(f"  {name:<{first}} {place}", width) for name, place in places.items()]
    lines += ["", *(textwrap.fill(line, width) for line in LEGEND)]
    return "\n".join(lines)


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(0, width - 3)] + "..."
