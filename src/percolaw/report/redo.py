"""The command that makes a run again, and its config as a table of the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from percolaw.report.citations import at_commit, link
from percolaw.report.markup import _flat, _table, text
from percolaw.runs.description import Description, run_command


def _config_table(config: dict[str, Any], description: Description) -> str:
    default = dict(_flat(description.defaults))
    rows = [
        (text(k), f"<code>{text(v)}</code>", f"<code>{text(default.get(k, ''))}</code>")
        for k, v in _flat(config)
    ]
    return _table(rows, ("field", "value", "default"), "Config")


def _redo(record: dict[str, Any], description: Description) -> str:
    lines = []
    commit, code = commit_of(record), ""
    if commit is not None:
        dirty = record["provenance"].get("git_dirty")
        lines.append(
            f"git checkout {commit}{'  # there were changes not committed' if dirty else ''}"
        )
        address = at_commit(commit)
        code = f" {link(address, 'The code at this commit')}." if address else ""
    command = run_command(description, record["config"])
    if command is None:
        if not description.known:
            return "<p>In Python: <code>percolaw.run(experiment)</code>, with the config below.</p>"
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
