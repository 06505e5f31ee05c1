"""What is known of an experiment without its code: kept with the runs of users' experiments.

A run folder of an experiment that percolaw does not know by name has a file ``experiment.json`` with
title, source, presets, and what to type to run it again. So it can be listed and reported by those who do
not have the code, and nothing that a folder names is ever imported.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from percolaw.errors import PercolawError
from percolaw.experiments.base import config_dict, content_id, plain, preset
from percolaw.experiments.registry import known_class, place_of
from percolaw.runs.files import read_json, write_atomic
from percolaw.runs.rows import dotted

FILE = "experiment.json"


@dataclass(frozen=True)
class Description:
    """An experiment as it describes itself.

    Attributes
    ----------
    name, title, source : str
    place : str
        What `percolaw run` takes: its name, or where its class stands. Empty if it has no file.
    presets : dict
        Name of a preset to all fields of its config.
    defaults : dict
        Fields of the config that nobody changed.
    units : int or None
        Units of the run that it is kept with.
    known : bool
        Whether it is of this package.
    """

    name: str
    title: str
    source: str
    place: str = ""
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    units: int | None = None
    known: bool = False


def describe(cls: type[Any], units: int | None = None) -> Description:
    """Return what an experiment's class says of itself.

    Parameters
    ----------
    cls : type
    units : int, optional
        Of a run.

    Returns
    -------
    Description
    """
    without = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    return Description(
        str(cls.name),
        str(cls.title),
        str(cls.source),
        place_of(cls),
        {name: config_dict(preset(cls, name))["config"] for name in cls.presets},
        {} if without else config_dict(cls())["config"],
        units,
        known_class(cls.name) is cls,
    )


def keep_description(folder: Path, experiment: Any, units: int) -> None:
    """Write the description of a user's experiment into its run folder; nothing for the package's.

    Parameters
    ----------
    folder : path
    experiment : Experiment
    units : int
        Of this run.
    """
    description = describe(type(experiment), units)
    if not description.known:
        content = {k: v for k, v in plain(description).items() if k != "known"}
        write_atomic(folder / FILE, json.dumps(content, indent=1) + "\n")


def description_of(folder: Path, name: str) -> Description:
    """Return what is known of the experiment of a run folder, without running its code.

    Parameters
    ----------
    folder : path
    name : str
        The experiment's, from the config or the record.

    Returns
    -------
    Description
        Of little more than the name, if nothing else is there or it cannot be read.
    """
    cls = known_class(name)
    if cls is not None:
        return describe(cls)
    nothing = Description(name, name, "an experiment that percolaw does not know")
    try:
        kept = read_json(folder / FILE)
    except PercolawError:
        return nothing
    if not isinstance(kept, dict) or kept.get("name") != name:
        return nothing
    texts: list[Any] = [kept.get(key) for key in ("title", "source", "place")]
    presets, defaults, units = (kept.get(key) for key in ("presets", "defaults", "units"))
    if not (
        all(isinstance(text, str) for text in texts)
        and isinstance(presets, dict)
        and all(isinstance(fields, dict) for fields in presets.values())
        and isinstance(defaults, dict)
    ):
        return nothing
    known = units if type(units) is int and units >= 0 else None
    title, source, place = texts
    return Description(name, title, source, place, presets, defaults, known)


def run_command(description: Description, config: Mapping[str, Any]) -> str | None:
    """Return the command line of a config: the nearest preset and flags for the rest.

    Parameters
    ----------
    description : Description
    config : dict
        Fields, as in a record.

    Returns
    -------
    str or None
        None if a field is unknown or cannot be written as a flag, or the place is empty. An experiment
        with a command of its own writes it (`command_line`).
    """
    cls = known_class(description.name)
    if cls is not None and hasattr(cls, "command_line"):
        line: str | None = cls.command_line(config)
        return line
    wanted = dict(dotted(config))
    best: list[str] | None = None
    starts = {name: ["--preset", name] for name in description.presets}
    for name, words in (starts or {"": []}).items():
        given = dict(dotted(description.presets.get(name, description.defaults)))
        if set(given) != set(wanted) or not description.place:
            return None
        command = ["percolaw", "run", description.place, *words]
        for key, value in wanted.items():
            if value == given[key] and type(value) is type(given[key]):
                continue
            values = value if isinstance(value, list) else [value]
            if isinstance(value, bool) or not all(
                isinstance(v, (int, float, str)) and not isinstance(v, bool) for v in values
            ):
                return None
            command += [f"--{key.replace('_', '-')}", *map(str, values)]
        if best is None or len(command) < len(best):
            best = command
    return None if best is None else shlex.join(best)


def continuing(folder: Path, config: Mapping[str, Any]) -> str:
    """Return a sentence on how the run of a user's experiment goes on.

    Parameters
    ----------
    folder : path
    config : dict
        As `percolaw.experiments.base.config_dict` returns it.

    Returns
    -------
    str
        The command, or that it must be run from Python where no command stands for it.
    """
    command = command_again(folder, config)
    if not command:
        return "Run it from Python: percolaw.run(experiment, folder=...), with the same config."
    return f"Name it again, which goes on with what is missing: {command}"


def command_again(folder: Path, config: Mapping[str, Any]) -> str:
    """Return the command by which the run of a user's experiment goes on, empty where none does.

    Parameters
    ----------
    folder : path
    config : dict
        As `percolaw.experiments.base.config_dict` returns it.

    Returns
    -------
    str
    """
    description = description_of(folder, str(config["experiment"]))
    command = run_command(description, config["config"])
    if command is None or folder.name != f"{description.name}-{content_id(config)}":
        return ""
    out = "" if folder.parent == Path("runs") else f" --out {shlex.quote(str(folder.parent))}"
    return command + out
