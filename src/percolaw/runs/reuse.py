"""Units that other runs of the same experiment, in the same place, have measured already.

They are taken on trust: a checksum tells damage, not forgery. So what was not measured here is kept as
such, unit by unit, with the folder it was taken from, and the record and the report say it.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from percolaw.errors import RunError
from percolaw.experiments.base import Cell, Row, canonical_json
from percolaw.runs.database import open_readable
from percolaw.runs.files import parse_json
from percolaw.runs.schema import COLUMNS, row_digest

#: The columns of a unit, in the order of `schema.COLUMNS`.
Unit: TypeAlias = tuple[Any, ...]

# A table of its own: an older percolaw that works on the same file does not see it.
_TABLE = """
CREATE TABLE IF NOT EXISTS reused (
    key TEXT NOT NULL, code TEXT NOT NULL, folder TEXT NOT NULL, PRIMARY KEY (key, code)
)
"""


def neighbours(path: Path, experiment: str) -> Iterator[Path]:
    """Yield the folders beside a run that hold runs of the same experiment, by name.

    Parameters
    ----------
    path : path
        The run's own folder, which is left out.
    experiment : str
        Its name.
    """
    for file in sorted(path.parent.glob(f"{experiment}-*/units.sqlite")):
        if file.parent != path:
            yield file.parent


def units_of(folder: Path, code: str, wanted: Mapping[str, Cell]) -> list[Unit]:
    """Return those of the wanted units that a run has done with this code, as they are to be stored.

    Parameters
    ----------
    folder : path
        The other run's.
    code : str
        Hash of the code that measured them.
    wanted : dict
        Key of a unit to its cell.

    Returns
    -------
    list of tuple
        Columns of a unit in the order of the table. Empty if the folder cannot be read or is of another
        version; damaged units are left out.
    """
    try:
        with open_readable(folder / "units.sqlite") as other:
            there = other.execute(
                "SELECT key FROM units WHERE status = 'done' AND code = ?", (code,)
            )
            keys = [key for (key,) in there if key in wanted]
            units = [
                other.execute(
                    "SELECT rows, digest, seconds, finished, place FROM units "
                    "WHERE key = ? AND code = ?",
                    (key, code),
                ).fetchone()
                for key in keys
            ]
    except (sqlite3.Error, OSError, RunError):
        return []
    taken = []
    for key, unit in zip(keys, units, strict=True):
        if unit is None or not _as_written(*unit[:2]):
            continue
        rows, digest, seconds, finished, place = unit
        known = isinstance(seconds, float) and 0.0 <= seconds < math.inf
        when, where = (text if isinstance(text, str) else None for text in (finished, place))
        cell = canonical_json(wanted[key])
        took = seconds if known else 0.0
        taken.append((key, code, cell, "done", rows, None, took, when, where, digest))
    return taken


def _as_written(rows: Any, digest: Any) -> bool:
    try:
        checked_rows(rows)
        return bool(row_digest(rows.encode()) == digest)
    except ValueError:
        return False


def checked_rows(text: Any) -> list[Row]:
    """Return a unit's rows from their JSON, or raise ValueError: they are a list of objects."""
    if not isinstance(text, str):
        raise ValueError(f"they are no text but {type(text).__name__}")
    rows = parse_json(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("they are no list of objects")
    return rows


def store_units(connection: sqlite3.Connection, units: list[Unit], folder: str) -> None:
    """Store units taken from a folder, and that they were, inside the caller's transaction.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of the run that takes them.
    units : list of tuple
        As `units_of` returns them.
    folder : str
        Where they were measured.
    """
    connection.execute(_TABLE)
    connection.executemany(
        f"INSERT OR REPLACE INTO units ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", units
    )
    name = folder.encode("utf-8", "backslashreplace").decode()
    connection.executemany(
        "INSERT OR REPLACE INTO reused VALUES (?, ?, ?)", [(*unit[:2], name) for unit in units]
    )


def count(connection: sqlite3.Connection, code: str) -> dict[str, int]:
    """Return how many units of a store were taken from which folder.

    Parameters
    ----------
    connection : sqlite3.Connection
    code : str
        Hash of the code that measured them.

    Returns
    -------
    dict
        Folder to number of units.
    """
    if not _has_table(connection):
        return {}
    counted = connection.execute(
        "SELECT folder, COUNT(*) FROM reused JOIN units USING (key, code) "
        "WHERE code = ? AND status = 'done' GROUP BY folder ORDER BY folder",
        (code,),
    )
    return dict(counted.fetchall())


def tidy(connection: sqlite3.Connection) -> None:
    """Delete the notes on reused units that are no longer in the store."""
    if _has_table(connection):
        connection.execute(
            "DELETE FROM reused WHERE NOT EXISTS (SELECT 1 FROM units "
            "WHERE units.key = reused.key AND units.code = reused.code)"
        )


def _has_table(connection: sqlite3.Connection) -> bool:
    tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'reused'")
    return tables.fetchone() is not None
