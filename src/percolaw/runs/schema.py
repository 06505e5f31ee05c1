"""The table of units and how older ones are brought up to date."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.base import content_id, measured_config

#: Version of the table; the file carries it as SQLite's user_version.
TABLE_VERSION = 2

_TABLE = """
CREATE TABLE IF NOT EXISTS units (
    key TEXT NOT NULL, code TEXT NOT NULL, cell TEXT NOT NULL, status TEXT NOT NULL,
    rows TEXT, error TEXT, seconds REAL, finished TEXT, place TEXT,
    digest TEXT, PRIMARY KEY (key, code)
)
"""


def row_digest(text: str | None) -> str | None:
    """Return the checksum of a unit's rows as they stand in the table."""
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()[:16]


def prepare(connection: sqlite3.Connection, config: dict[str, Any]) -> None:
    """Make the table, or bring an older one up to date, inside the caller's transaction.

    Version 1 (files of version 0.1 without a number) named units by their cell alone and had neither
    the place where they were measured nor a checksum.

    Raises
    ------
    RunError
        If a newer percolaw has written the file.
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
        base = measured_config(config)
        found = connection.execute(
            "SELECT code, cell, status, rows, error, seconds, finished FROM units_1"
        ).fetchall()
        connection.executemany(
            "INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            [
                (content_id([base, json.loads(row[1])], 24), *row, row_digest(row[3]))
                for row in found
            ],
        )
        connection.execute("DROP TABLE units_1")
    connection.execute(f"PRAGMA user_version = {TABLE_VERSION}")
