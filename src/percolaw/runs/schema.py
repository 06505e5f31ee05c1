"""The table of units and how older ones are brought up to date."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.base import content_id, measured_config
from percolaw.experiments.registry import known_class
from percolaw.runs.files import well_formed

#: Version of the table; the file carries it as SQLite's user_version.
TABLE_VERSION = 2

_TABLE = """
CREATE TABLE IF NOT EXISTS units (
    key TEXT NOT NULL, code TEXT NOT NULL, cell TEXT NOT NULL, status TEXT NOT NULL,
    rows TEXT, error TEXT, seconds REAL, finished TEXT, place TEXT,
    digest TEXT, PRIMARY KEY (key, code)
)
"""


#: The columns, in the order in which units are written and copied.
COLUMNS = "key, code, cell, status, rows, error, seconds, finished, place, digest"


def row_digest(text: bytes) -> str:
    """Return the checksum of a unit's rows as they stand in the table."""
    return hashlib.sha256(text).hexdigest()[:16]


def prepare(connection: sqlite3.Connection, config: dict[str, Any]) -> None:
    """Make the table, or bring an older one up to date, inside the caller's transaction.

    Version 1 (files of version 0.1 without a number) named units by their cell alone and had neither
    the place where they were measured nor a checksum.

    Parameters
    ----------
    connection : sqlite3.Connection
        Of the run's store of units.
    config : dict
        The run's config.json.

    Raises
    ------
    RunError
        If a newer percolaw has written the file, or an older table cannot be read.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version == TABLE_VERSION:
        return
    if version > TABLE_VERSION:
        raise RunError(
            f"this run was written by a newer percolaw (table version {version}; this one knows "
            f"{TABLE_VERSION}). Update percolaw, or choose another folder with --out."
        )
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been faster.
    if int(connection.execute("PRAGMA user_version").fetchone()[0]) == TABLE_VERSION:
        return
    old = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'units'"
    ).fetchone()
    if old:
        connection.execute("ALTER TABLE units RENAME TO units_1")
    connection.execute(_TABLE)
    if old:
        with well_formed("the old table of units cannot be read", "Move it aside to measure anew."):
            _copy_units(connection, measured_config(config, known_class(config["experiment"])))
        connection.execute("DROP TABLE units_1")
    connection.execute(f"PRAGMA user_version = {TABLE_VERSION}")


def _copy_units(connection: sqlite3.Connection, base: dict[str, Any]) -> None:
    """Copy the units of version 1 under the names of version 2."""
    units = connection.execute(
        "SELECT code, cell, status, rows, error, seconds, finished FROM units_1"
    ).fetchall()
    connection.executemany(
        f"INSERT OR REPLACE INTO units ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
        [
            (
                content_id([base, json.loads(row[1])], 24),
                *row,
                None if row[3] is None else row_digest(row[3].encode()),
            )
            for row in units
        ],
    )
