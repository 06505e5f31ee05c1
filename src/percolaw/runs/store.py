"""The run folder: config, finished units in one SQLite file, and the final record.

A unit is named by its content: experiment, what the config says to `measure`, and cell. It counts as
done only if the code that measures is the code that measured it: after a change of the package
(reports and command line aside) it is measured anew, the old rows stay beside until
``percolaw gc``. What another run of the same experiment in the same place has measured is copied.

    config.json    name and fields of the config, schema version; fixes the folder's identity
    units.sqlite   one row per unit: cell, status, rows as JSON, error, seconds, place (WAL mode)
    active.json    who works on the run now, and how far it is; removed at the end
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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.base import (
    Cell,
    Row,
    canonical_json,
    content_id,
    known_class,
    measured_config,
    plain,
)
from percolaw.runs.schema import prepare, row_digest


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
    experiment : type, optional
        The experiment's class; looked up by its name if None. Of an unknown one the latest code that
        measured counts.

    Raises
    ------
    RunError
        If the folder cannot be written or holds another config.
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
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make the results folder {self.path}: {error.strerror}. "
                "Choose another with --out."
            ) from None
        self.read_only = not os.access(self.path, os.W_OK | os.X_OK)
        if self.read_only and not (self.path / "units.sqlite").exists():
            raise RunError(f"{self.path} is not writable. Choose another folder with --out.")
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
        self.code = (
            experiment_code(experiment) if experiment else latest[0] if latest else code_id()
        )

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """One transaction; the write-ahead log makes it whole or nothing however the process ends."""
        file = self.path / "units.sqlite"
        try:
            if self._held is not None:
                with self._held:
                    yield self._held
                return
            if self.read_only:  # an archive: nobody writes to it
                place = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
                connection = sqlite3.connect(place, uri=True)
            else:
                connection = sqlite3.connect(file, timeout=60.0)
            try:
                if not self.read_only:
                    connection.execute("PRAGMA journal_mode=WAL")
                    connection.execute("PRAGMA synchronous=NORMAL")
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            raise RunError(
                f"{file} cannot be used: {error}. If the disk is full, make room; if the file is "
                "damaged, move it aside to measure anew."
            ) from error

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
        text = (
            f"[{self._measured},{canonical_json(cell)}]"  # content_id of both, the first made once
        )
        return hashlib.sha256(text.encode()).hexdigest()[:24]

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

    def keep(self, outcomes: Iterable[tuple[Cell, Outcome]], finished: str) -> None:
        """Store units in one transaction; a unit already done stays as it is."""
        texts = [
            (cell, outcome, None if outcome.rows is None else canonical_json(outcome.rows))
            for cell, outcome in outcomes
        ]
        values = [
            (
                self.key(cell),
                self.code,
                canonical_json(cell),
                "failed" if outcome.rows is None else "done",
                text,
                outcome.error or None,
                outcome.seconds,
                finished,
                outcome.place,
                row_digest(text),
            )
            for cell, outcome, text in texts
        ]
        if not values:
            return
        with self._connect() as connection:
            connection.executemany(
                "INSERT INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT(key, code) DO UPDATE SET status = excluded.status, "
                "rows = excluded.rows, error = excluded.error, seconds = excluded.seconds, "
                "finished = excluded.finished, place = excluded.place, "
                "digest = excluded.digest WHERE status != 'done'",
                values,
            )

    def reuse(self, cells: Iterable[Cell]) -> int:
        """Copy units that other runs of this experiment beside this one have done; return how many.

        Damaged neighbours are passed over: they are not this run's business.
        """
        missing = {self.key(cell) for cell in cells} - self.finished()
        copied = 0
        for file in sorted(self.path.parent.glob(f"{self.config['experiment']}-*/units.sqlite")):
            if not missing or file.parent == self.path:
                continue
            try:
                other = sqlite3.connect(
                    f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=10.0
                )
                try:
                    there = other.execute(
                        "SELECT key FROM units WHERE status = 'done' AND code = ?", (self.code,)
                    )
                    shared = [key for (key,) in there if key in missing]
                    wanted = [
                        other.execute(
                            "SELECT key, code, cell, status, rows, error, seconds, finished, place, "
                            "digest FROM units WHERE key = ? AND code = ?",
                            (key, self.code),
                        ).fetchone()
                        for key in shared
                    ]
                finally:
                    other.close()
            except sqlite3.Error:
                continue
            wanted = [row for row in wanted if row and row[9] == row_digest(row[4])]
            if not wanted:
                continue
            with self._connect() as connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO units VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", wanted
                )
            missing -= {row[0] for row in wanted}
            copied += len(wanted)
        return copied

    def failures(self) -> list[tuple[Cell, str]]:
        """Return failed units with their tracebacks."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT cell, error FROM units WHERE status = 'failed' AND code = ? ORDER BY key",
                (self.code,),
            ).fetchall()
        return [(json.loads(cell), error) for cell, error in found]

    def kept(self) -> list[tuple[Cell, list[Row]]]:
        """Return every finished unit of the present code with its rows."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT cell, rows, digest FROM units WHERE status = 'done' AND code = ? "
                "ORDER BY rowid",
                (self.code,),
            ).fetchall()
        return [(json.loads(cell), self._read(rows, digest)) for cell, rows, digest in found]

    def _read(self, text: str, digest: str) -> list[Row]:
        """Rows from the table, if they are as they were written."""
        if not isinstance(text, str) or row_digest(text) != digest:
            raise RunError(
                f"{self.path / 'units.sqlite'} is damaged: rows are not as they were written. Move it "
                "aside to measure anew."
            )
        rows: list[Row] = json.loads(text)
        return rows

    def rows(self, cells: list[Cell]) -> list[Row]:
        """Return the rows of the given units, in their order."""
        with self._connect() as connection:
            found = connection.execute(
                "SELECT key, rows, digest FROM units WHERE status = 'done' AND code = ?",
                (self.code,),
            ).fetchall()
        kept = {key: (rows, digest) for key, rows, digest in found}
        return [row for cell in cells for row in self._read(*kept[self.key(cell)])]

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
        connection = sqlite3.connect(file, timeout=60.0)
        try:
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise RunError(f"{file} cannot be made smaller now: {error}.") from error
        finally:
            connection.close()
        return n, max(0, before - file.stat().st_size)

    def count_other_code(self) -> int:
        """Return how many units were measured by other versions of the code."""
        with self._connect() as connection:
            found = connection.execute("SELECT COUNT(*) FROM units WHERE code != ?", (self.code,))
            return int(found.fetchone()[0])

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


def experiment_code(experiment: type[Any]) -> str:
    """Return the hash of the code that measures an experiment: the package, and for a class of a
    user's own the file it stands in (not what that file imports)."""
    import inspect

    if experiment.__module__.split(".")[0] == "percolaw":
        return code_id()
    try:
        own = Path(inspect.getsourcefile(experiment) or "").read_bytes()
    except (OSError, TypeError):
        own = experiment.__qualname__.encode()
    return hashlib.sha256(code_id().encode() + own).hexdigest()[:16]


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
    record: dict[str, Any] = read_json(file)
    return record


def read_json(path: Path) -> Any:
    """Return the JSON in a file, or raise RunError naming it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}.") from None
