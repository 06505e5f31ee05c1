"""The command that makes a run again, and its config as a table of the page."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from percolaw.experiments.base import plain, preset
from percolaw.report.citations import at_commit, link
from percolaw.report.markup import _flat, _table, text


def _config_table(config: dict[str, Any], cls: type[Any] | None) -> str:
    default = dict(_flat(plain(cls()))) if cls else {}
    rows = [
        (text(k), f"<code>{text(v)}</code>", f"<code>{text(default.get(k, ''))}</code>")
        for k, v in _flat(config)
    ]
    return _table(rows, ("field", "value", "default"), "Config")


def _redo(record: dict[str, Any], cls: type[Any] | None) -> str:
    lines = []
    commit, code = commit_of(record), ""
    if commit is not None:
        dirty = record["provenance"].get("git_dirty")
        lines.append(
            f"git checkout {commit}{'  # there were changes not committed' if dirty else ''}"
        )
        address = at_commit(commit)
        code = f" {link(address, 'The code at this commit')}." if address else ""
    command = redo_command(record, cls)
    if command is None:
        return (
            "<p>The config does not fit this version of percolaw; use the version named under "
            "provenance, with the config below.</p>"
        )
    lines.append(command)
    return (
        f'<pre data-what="Copy the commands">{text(chr(10).join(lines))}</pre>'
        f"<p>The same config has the same id, <code>{text(record.get('id', '?'))}</code>, and the same "
        f"folder name everywhere; results do not depend on the number of workers.{code}</p>"
    )


def commit_of(record: Mapping[str, Any]) -> str | None:
    """Return the commit of the code that made a record, None where it is not known."""
    origin = record.get("provenance")
    commit = origin.get("git_commit") if isinstance(origin, dict) else None
    return commit if isinstance(commit, str) and commit.isalnum() else None


def redo_command(record: dict[str, Any], cls: type[Any] | None) -> str | None:
    """Return the command line of a config: the nearest preset and flags for the rest.

    None if a field is unknown to this version or cannot be written as a flag.
    """
    if cls is None:
        return None
    wanted = dict(_leaves(record["config"]))
    best: list[str] | None = None
    for name in cls.presets:
        given = dict(_leaves(plain(preset(cls, name))))
        if set(given) != set(wanted):
            return None
        words = ["percolaw", "run", cls.name, "--preset", name]
        for key, value in wanted.items():
            if value == given[key] and type(value) is type(given[key]):
                continue
            values = value if isinstance(value, list) else [value]
            if isinstance(value, bool) or not all(
                isinstance(v, (int, float, str)) and not isinstance(v, bool) for v in values
            ):
                return None
            words += [f"--{key.replace('_', '-')}", *map(str, values)]
        if best is None or len(words) < len(best):
            best = words
    return None if best is None else shlex.join(best)


def _leaves(config: Mapping[str, Any], name: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{name}{key}.")
        else:
            yield f"{name}{key}", value
