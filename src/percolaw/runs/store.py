"""The run folder: config, finished units in one SQLite file, and the final record.

A unit is named by its content: experiment, what the config says to `measure`, and cell. It counts as
done only if the code that measures is the code that measured it (`percolaw.runs.code`): after a change
of what its experiment imports, docstrings and comments aside, it is measured anew, the old rows stay
beside until ``percolaw gc``. A unit whose row is not as it was written is not done either. What another
run of the same experiment in the same place has measured is copied, and the record says from where.

    config.json    name and fields of the config, schema version; fixes the folder's identity
    units.sqlite   one row per unit: cell, status, rows as JSON, checksum, error, seconds, place; and
                   which units were taken from another run
    experiment.json  title, presets and place of a user's experiment; see `percolaw.runs.description`
    active.json    who works on the run now, and how far it is; removed at the end
    rows.jsonl     the rows of all units in order, written at the end
    record.json    status, claims, figure data, provenance; written last, atomically
    figures/       one PNG per figure
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.base import (
    Cell,
    Row,
    canonical_json,
    content_id,
    measured_config,
)
from percolaw.experiments.registry import known_class
from percolaw.runs import reuse
from percolaw.runs.code import experiment_code, package_code
from percolaw.runs.database import named, open_readable, open_writable
from percolaw.runs.files import (
    check_writable,
    is_writable,
    make_folder,
    read_json,
    strict_json,
    write_atomic,
)
from percolaw.runs.schema import COLUMNS, prepare, row_digest

#: The SQL function `whole` takes bytes, so that text that is none does not end the question.
_WHOLE = "whole({})".format(
    ", ".join(f"CAST({name} AS BLOB)" for name in ("key", "cell", "status", "rows", "digest"))
)
_DONE = f"status = 'done' AND code = ? AND {_WHOLE}"


@dataclass(frozen=True)
class Outcome:
    """What came of a unit.

    Attributes
    ----------
    rows : list of dict or None
        None if it failed.
    error : str
        Why it failed.
    seconds : float
        Computing time.
    place : str
        Host and process.
    """

    rows: list[Row] | None
    error: str
    seconds: float
    place: str


class RunFolder:
    """One run on disk; safe to open from several processes at once.

    Parameters
    ----------
    path : path
        Made if missing.
    config : dict
        From `percolaw.experiments.base.config_dict`.
    experiment : type, optional
        The experiment's class; looked up by its name if None. Of an unknown one the latest code that
        measured counts.

    Raises
    ------
    RunError
        If the folder cannot be made, holds another config or something else, or cannot be written and
        holds no units. With units it is then opened to be read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: dict[str, Any],
        experiment: type[Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.config = config
        self._held: sqlite3.Connection | None = None
        experiment = experiment or known_class(config["experiment"])
        self._measured = canonical_json(measured_config(config, experiment))
        self._knows_names = experiment is not None
        code = "" if experiment is None else experiment_code(experiment)
        make_folder(self.path)
        self.read_only = not is_writable(self.path)
        if not (self.path / "units.sqlite").exists():
            check_writable(self.path)
        known = self.path / "config.json"
        text = canonical_json(config)
        if known.exists():
            if read_json(known) != json.loads(text):
                raise RunError(
                    f"{self.path} holds a run of another config (id "
                    f"{content_id(read_json(known))}, this one is {content_id(config)}). "
                    "Choose another folder with --out, or remove that one."
                )
        elif (
            any(p for p in self.path.iterdir() if p.name != "figures" and p.name[0] != ".")
            and not known.exists()  # another process may just have begun the same run
        ):
            raise RunError(
                f"{self.path} is not empty and is no run folder. Choose another with --out."
            )
        else:
            write_atomic(known, json.dumps(json.loads(text), indent=2) + "\n")
        with self._connect() as connection:
            if not self.read_only:
                prepare(connection, config)
            latest = connection.execute("SELECT code FROM units ORDER BY rowid DESC").fetchone()
        self.code = code or (latest[0] if latest else package_code())

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """One transaction; SQLite's log makes it whole or nothing however the process ends."""
        file = self.path / "units.sqlite"
        with named(file):
            if self._held is not None:
                if not file.exists():  # SQLite would go on, into a file that has no name any more
                    raise RunError(
                        f"{file} was removed or moved while units were measured. Put it back, or start "
                        "the same command again; nothing more would be kept."
                    )
                with self._held:
                    yield self._held
            elif self.read_only:
                with open_readable(file) as connection:
                    self._teach(connection)
                    yield connection
            else:
                with closing(open_writable(file)) as connection, connection:
                    self._teach(connection)
                    yield connection

    def _teach(self, connection: sqlite3.Connection) -> None:
        """Make the function `whole` known to SQL: whether a unit is as `keep` has written it."""

        def whole(
            key: bytes, cell: bytes, status: bytes, rows: bytes | None, digest: bytes | None
        ) -> bool:
            if status not in (b"done", b"failed") or (status == b"done") != (rows is not None):
                return False
            if self._knows_names and self._name(cell).encode() != key:
                return False
            return digest == (None if rows is None else row_digest(rows).encode())

        connection.create_function("whole", 5, whole, deterministic=True)
        connection.text_factory = lambda text: text.decode("utf-8", "backslashreplace")

    @contextmanager
    def held_open(self) -> Iterator[None]:
        """Keep one connection for the time of a run: opening takes longer than a small unit."""
        with self._connect() as connection:
            connection.commit()
            self._held = connection
            try:
                yield
            finally:
                self._held = None

    def key(self, cell: Cell) -> str:
        """Return the name of a unit: a hash of its content."""
        return self._name(canonical_json(cell).encode())

    def _name(self, cell: bytes) -> str:
        """`content_id` of config and cell, of which the first is made once."""
        text = b"[%b,%b]" % (self._measured.encode(), cell)
        return hashlib.sha256(text).hexdigest()[:24]

    def finished(self) -> set[str]:
        """Return the keys of units of this code that are done and as they were written."""
        with self._connect() as connection:
            keys = connection.execute(f"SELECT key FROM units WHERE {_DONE}", (self.code,))
            return {key for (key,) in keys}

    def counts(self) -> dict[str, int]:
        """Return how many units of this code are done, failed and damaged; none of a kind, no key."""
        with self._connect() as connection:
            states = connection.execute(
                f"SELECT CASE WHEN {_WHOLE} THEN status ELSE 'damaged' END AS state, COUNT(*) "
                "FROM units WHERE code = ? GROUP BY state",
                (self.code,),
            )
            return dict(states.fetchall())

    def seconds(self) -> float:
        """Return the computing time of all units of this code, failed and reused ones too, in seconds."""
        with self._connect() as connection:
            total = connection.execute(
                "SELECT TOTAL(seconds) FROM units WHERE code = ?", (self.code,)
            )
            return float(total.fetchone()[0])

    def keep(self, outcomes: Iterable[tuple[Cell, Outcome]], finished: str) -> None:
        """Store units in one transaction; a unit already done stays as it is.

        Parameters
        ----------
        outcomes : iterable of (Cell, Outcome)
        finished : str
            Time in ISO format, for all of them.
        """

        def columns(cell: Cell, outcome: Outcome) -> tuple[Any, ...]:
            text = None if outcome.rows is None else canonical_json(outcome.rows)
            return (
                self.key(cell),
                self.code,
                canonical_json(cell),
                "failed" if text is None else "done",
                text,
                outcome.error.encode("utf-8", "backslashreplace").decode() or None,
                outcome.seconds,
                finished,
                outcome.place,
                None if text is None else row_digest(text.encode()),
            )

        values = [columns(cell, outcome) for cell, outcome in outcomes]
        with self._connect() as connection:
            connection.executemany(
                f"INSERT INTO units ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT(key, code) DO UPDATE SET status = excluded.status, "
                "rows = excluded.rows, error = excluded.error, seconds = excluded.seconds, "
                "finished = excluded.finished, place = excluded.place, "
                "digest = excluded.digest WHERE status != 'done'",
                values,
            )

    def reuse(self, cells: Iterable[Cell]) -> int:
        """Copy units that other runs of this experiment beside this one have done; return how many.

        Damaged neighbours are passed over: they are not this run's business. That a unit was copied,
        and from which folder, is kept; see `reused`.
        """
        finished = self.finished()
        missing = {key: cell for cell in cells if (key := self.key(cell)) not in finished}
        copied = 0
        for other in reuse.neighbours(self.path, self.config["experiment"]):
            if not missing:
                break
            taken = reuse.units_of(other, self.code, missing)
            if not taken:
                continue
            with self._connect() as connection:
                reuse.store_units(connection, taken, other.name)
            for unit in taken:
                del missing[unit[0]]
            copied += len(taken)
        return copied

    def reused(self) -> dict[str, int]:
        """Return how many finished units were taken from other runs: folder to number."""
        with self._connect() as connection:
            return reuse.count(connection, self.code)

    def failures(self) -> list[tuple[Cell, str]]:
        """Return the failed units of this code with their tracebacks, by key."""
        with self._connect() as connection:
            failed = connection.execute(
                "SELECT cell, COALESCE(error, '') FROM units WHERE status = 'failed' AND code = ? "
                f"AND {_WHOLE} ORDER BY key",
                (self.code,),
            ).fetchall()
        return [(json.loads(cell), str(error)) for cell, error in failed]

    def kept(self, code: str = "") -> list[tuple[Cell, list[Row]]]:
        """Return every finished unit, its cell and rows, of a code; of the present one by default."""
        with self._connect() as connection:
            units = connection.execute(
                f"SELECT cell, rows FROM units WHERE {_DONE} ORDER BY rowid", (code or self.code,)
            ).fetchall()
        return [(json.loads(cell), self._rows(text)) for cell, text in units]

    def _rows(self, text: str) -> list[Row]:
        """Rows from the table."""
        try:
            return reuse.checked_rows(text)
        except ValueError as error:
            raise RunError(
                f"{self.path / 'units.sqlite'} holds rows that no experiment writes: {error}. Move it "
                "aside to measure anew."
            ) from None

    def rows(self, cells: list[Cell]) -> list[Row]:
        """Return the rows of the given units, in their order.

        Raises
        ------
        RunError
            If a unit is not kept, or was damaged since.
        """
        with self._connect() as connection:
            kept = dict(
                connection.execute(f"SELECT key, rows FROM units WHERE {_DONE}", (self.code,))
            )
        keys = [self.key(cell) for cell in cells]
        missing = sum(key not in kept for key in keys)
        if missing:
            raise RunError(
                f"{missing} of {len(keys)} units are not kept in {self.path}, or were damaged since "
                "they were measured; percolaw resume measures them again."
            )
        return [row for key in keys for row in self._rows(kept[key])]

    def forget_damaged(self) -> int:
        """Remove units of this code that are not as they were written; return how many there were."""
        with self._connect() as connection:
            n = connection.execute(
                f"DELETE FROM units WHERE code = ? AND NOT {_WHOLE}", (self.code,)
            ).rowcount
            reuse.tidy(connection)
            return n

    def forget_failures(self) -> int:
        """Remove failed units, so that they are measured again; return how many there were."""
        with self._connect() as connection:
            return connection.execute(
                "DELETE FROM units WHERE status = 'failed' AND code = ?", (self.code,)
            ).rowcount

    def forget_other_code(self) -> tuple[int, int]:
        """Remove units measured by other versions of the code; return (units, bytes won back)."""
        file = self.path / "units.sqlite"
        before = file.stat().st_size
        with self._connect() as connection:
            n = connection.execute("DELETE FROM units WHERE code != ?", (self.code,)).rowcount
            reuse.tidy(connection)
        with named(file), closing(open_writable(file)) as connection:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return n, max(0, before - file.stat().st_size)

    def count_other_code(self) -> int:
        """Return how many units were measured by other versions of the code."""
        with self._connect() as connection:
            counted = connection.execute("SELECT COUNT(*) FROM units WHERE code != ?", (self.code,))
            return int(counted.fetchone()[0])

    def write_record(self, record: dict[str, Any], rows: list[Row]) -> None:
        """Write rows.jsonl and then record.json, each atomically.

        Parameters
        ----------
        record : dict
        rows : list of dict
        """
        write_atomic(
            self.path / "rows.jsonl",
            "".join(canonical_json(strict_json(row)) + "\n" for row in rows),
        )
        write_atomic(self.path / "record.json", json.dumps(strict_json(record), indent=1) + "\n")


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the record of a finished run folder, an object with an experiment's name.

    Raises
    ------
    RunError
        If there is no record, or it is not the record of a run.
    """
    file = Path(path) / "record.json"
    if not file.exists():
        raise RunError(f"{path} has no record.json: not a run folder, or the run has not finished.")
    again = "Run the same command again, which keeps finished units and writes it anew."
    record = read_json(file, again)
    if not isinstance(record, dict) or not isinstance(record.get("experiment"), str):
        raise RunError(f"{file} does not hold the record of a run. {again}")
    return record
