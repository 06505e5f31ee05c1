"""The command that makes a run again, and its config as a table of the page."""

from __future__ import annotations

from typing import Any

from percolaw.report.markup import _flat, _table, text
from percolaw.runs.description import Description, run_command


def _config_table(config: dict[str, Any], said: Description) -> str:
    default = dict(_flat(said.defaults))
    rows = [
        (text(k), f"<code>{text(v)}</code>", f"<code>{text(default.get(k, ''))}</code>")
        for k, v in _flat(config)
    ]
    return _table(rows, ("field", "value", "default"), "Config")


def _redo(record: dict[str, Any], said: Description) -> str:
    lines = []
    origin = record.get("provenance")
    origin = origin if isinstance(origin, dict) else {}
    commit = origin.get("git_commit")
    if isinstance(commit, str) and commit.isalnum():
        dirty = "  # there were changes not committed" if origin.get("git_dirty") else ""
        lines.append(f"git checkout {commit}{dirty}")
    command = run_command(said, record["config"])
    if command is None:
        if not said.known:
            return "<p>In Python: <code>percolaw.run(experiment)</code>, with the config below.</p>"
        return (
            "<p>The config does not fit this version of percolaw; use the version named under "
            "provenance, with the config below.</p>"
        )
    lines.append(command)
    return (
        f"<pre>{text(chr(10).join(lines))}</pre>"
        f"<p>The same config has the same id, <code>{text(record.get('id', '?'))}</code>, and the same "
        "folder name everywhere; results do not depend on the number of workers.</p>"
    )
