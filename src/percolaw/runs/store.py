"""The run folder: config, finished units in one SQLite file, and the final record.

A unit counts as done only if the code that measures is the code that measured it: after a change
of the package (reports and command line aside) it is measured anew, the old rows stay beside.

    config.json    name and fields of the config, schema version; fixes the folder's identity
    units.sqlite   one row per unit: cell, status, rows as JSON, error, seconds (WAL mode)
    rows.jsonl     the rows of all units in order, written at the end
    record.json    status, claims, figure data, provenance; written last, atomically
    figures/       one PNG per figure
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.base import Cell, Row, canonical_json, content_id, plain

_TABLE = """
CREATE TABLE IF NOT EXISTS units (
    key TEXT NOT NULL, code TEXT NOT NULL, cell TEXT NOT NULL, status TEXT NOT NULL,
    rows TEXT, error TEXT, seconds REAL, finished TEXT, PRIMARY KEY (key, code)
)
"""


def write_atomic(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


class RunFolder:
    """One run on disk; safe to open from several processes at once.

    Parameters
    ----------
    path : path
        Made if missing.
    config : dict
        From `percolaw.experiments.base.config_dict`.

    Raises
    ------
    RunError
        If the folder cannot be written or holds another config.
    """

    def __init__(self, path: str | os.PathLike[str], config: dict[str, Any]) -> None:
        self.path = Path(path)
        self.config = config
        self.code = code_id()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make the results folder {self.path}: {error.strerror}. "
                "Choose another with --out."
            ) from None
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise RunError(f"{self.path} is not writable. Choose another folder with --out.")
        known = self.path / "config.json"
        text = canonical_json(config)
        if known.exists():
            if _read_json(known) != json.loads(text):
                raise RunError(
                    f"{self.path} holds a run of another config (id "
                    f"{content_id(_read_json(known))}, this one is {content_id(config)}). "
                    "Choose another folder with --out, or remove that one."
                )
        elif any(p for p in self.path.iterdir() if p.name != "figures" and p.name[0] != "."):
            raise RunError(
                f"{self.path} is not empty and is no run folder. Choose another with --out."
            )
        else:
            write_atomic(known, json.dumps(json.loads(text), indent=2) + "\n")
        with self._connect() as connection:
            connection.execute(_TABLE)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        file = self.path / "units.sqlite"
        try:
            connection = sqlite3.connect(file, timeout=60.0)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            raise RunError(
                f"{file} cannot be used: {error}. Move it aside to measure anew."
            ) from error

    def finished(self) -> set[str]:
        """Return the keys of units whose rows are kept."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT key FROM units WHERE status = 'done' AND code = ?", (self.code,)
            )
            return {key for (key,) in found}

    def counts(self) -> dict[str, int]:
        """Return how many units have each status."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT status, COUNT(*) FROM units WHERE code = ? GROUP BY status", (self.code,)
            )
            return dict(found.fetchall())

    def seconds(self) -> float:
        """Return the computing time of all finished units, in seconds."""
        with self._connect() as connection:
            total = connection.execute(
                "SELECT TOTAL(seconds) FROM units WHERE code = ?", (self.code,)
            )
            return float(total.fetchone()[0])

    def keep(self, cell: Cell, rows: list[Row], seconds: float, finished: str) -> None:
        """Store a finished unit in one transaction; a unit already kept stays as it is."""
        with self._connect() as connection:
            connection.execute(
                "INSERT INTO units VALUES (?, ?, ?, 'done', ?, NULL, ?, ?) "
                "ON CONFLICT(key, code) DO UPDATE "
                "SET status = 'done', rows = excluded.rows, error = NULL, "
                "seconds = excluded.seconds, finished = excluded.finished "
                "WHERE status != 'done'",
                (
                    unit_key(cell),
                    self.code,
                    canonical_json(cell),
                    canonical_json(rows),
                    seconds,
                    finished,
                ),
            )

    def keep_failure(self, cell: Cell, error: str, seconds: float, finished: str) -> None:
        """Store why a unit failed; it is tried again in the next run."""
        with self._connect() as connection:
            connection.execute(
                "INSERT INTO units VALUES (?, ?, ?, 'failed', NULL, ?, ?, ?) "
                "ON CONFLICT(key, code) DO UPDATE SET status = 'failed', error = excluded.error, "
                "seconds = excluded.seconds, finished = excluded.finished "
                "WHERE status != 'done'",
                (unit_key(cell), self.code, canonical_json(cell), error, seconds, finished),
            )

    def failures(self) -> list[tuple[Cell, str]]:
        """Return failed units with their tracebacks."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT cell, error FROM units WHERE status = 'failed' AND code = ? ORDER BY key",
                (self.code,),
            ).fetchall()
        return [(json.loads(cell), error) for cell, error in found]

    def rows(self, cells: list[Cell]) -> list[Row]:
        """Return the rows of the given units, in their order."""
        with self._connect() as connection:
            kept = dict(
                connection.execute(
                    "SELECT key, rows FROM units WHERE status = 'done' AND code = ?", (self.code,)
                ).fetchall()
            )
        return [row for cell in cells for row in json.loads(kept[unit_key(cell)])]

    def write_record(self, record: dict[str, Any], rows: list[Row]) -> None:
        """Write rows.jsonl and then record.json, each atomically."""
        write_atomic(
            self.path / "rows.jsonl",
            "".join(canonical_json(strict_json(row)) + "\n" for row in rows),
        )
        write_atomic(self.path / "record.json", json.dumps(strict_json(record), indent=1) + "\n")


def strict_json(value: Any) -> Any:
    """Return plain JSON values in which infinities and NaN are null: strict JSON has neither."""

    def clean(item: Any) -> Any:
        if isinstance(item, float) and not math.isfinite(item):
            return None
        if isinstance(item, dict):
            return {key: clean(inner) for key, inner in item.items()}
        return [clean(inner) for inner in item] if isinstance(item, list) else item

    return clean(json.loads(json.dumps(plain(value))))


def unit_key(cell: Cell) -> str:
    """Return the key of a unit: a hash of its content."""
    return content_id(cell, 24)


@lru_cache(maxsize=1)
def code_id() -> str:
    """Return a hash of the package's source, without the parts that measure nothing."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package)
        if name.parts[0] not in ("report", "runs", "cli", "__main__.py"):
            digest.update(str(name).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the record of a finished run folder."""
    file = Path(path) / "record.json"
    if not file.exists():
        raise RunError(f"{path} has no record.json: not a run folder, or the run has not finished.")
    record: dict[str, Any] = _read_json(file)
    return record


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from None
