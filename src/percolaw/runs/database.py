"""SQLite files: opened whoever may write to them and whatever the file system lacks."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from percolaw.errors import RunError
from percolaw.runs.files import is_in_the_way

#: File systems that several machines share. A write-ahead log needs memory that all who open the file
#: share; on these it fails, or looks well until a second machine opens the file.
NETWORK = frozenset(
    [
        *("nfs", "nfs4", "lustre", "gpfs", "beegfs", "ceph", "cifs", "smb3", "afs", "glusterfs"),
        *("orangefs", "pvfs2", "panfs", "wekafs", "fuse.sshfs", "fuse.glusterfs", "fuse.ceph"),
    ]
)
#: Seconds for which another process is waited for.
PATIENCE = 60.0
#: What SQLite says where the memory beside a write-ahead log cannot be shared.
_NO_SHARED_MEMORY = ("SQLITE_IOERR", "SQLITE_PROTOCOL", "SQLITE_CANTOPEN")


@contextmanager
def named(file: Path) -> Iterator[None]:
    """Turn errors of SQLite into RunError naming the file and what may help."""
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(
            f"{file} cannot be used: {error}. If the disk is full, make room; if the file system has no "
            "locks (some network ones), choose another with --out; if the file is damaged, move it "
            "aside to measure anew."
        ) from error


def check_files(file: Path) -> None:
    """Refuse a database that is, or has beside it, something that is no regular file.

    Raises
    ------
    RunError
        For instance of a named pipe, for which SQLite would wait for ever.
    """
    for path in (file, *_beside(file)):
        if is_in_the_way(path):
            raise RunError(f"{path} cannot be used: it is no regular file. Move it aside.")


def _beside(file: Path) -> list[Path]:
    return [file.with_name(file.name + end) for end in ("-wal", "-journal", "-shm")]


def open_writable(file: Path) -> sqlite3.Connection:
    """Open a database to write, made if missing.

    A new one gets a write-ahead log, or a rollback journal on file systems of several machines and
    wherever the log turns out not to work. The file keeps its kind: machines that open it agree.

    Raises
    ------
    RunError
        For a file that is no regular file, or holds views, triggers or computed columns.
    sqlite3.Error
        If the file cannot be opened; see `named`.
    """
    check_files(file)
    last = time.monotonic() + PATIENCE
    while True:
        try:
            return _begun(file)
        except sqlite3.OperationalError as error:
            # SQLite itself does not wait where two processes begin the log of one new file.
            busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
            if not busy or time.monotonic() > last:
                raise
            time.sleep(0.01)


def _begun(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=PATIENCE)
    try:
        new = not connection.execute("PRAGMA page_count").fetchone()[0]
        wanted = "=WAL" if new and file_system(file) not in NETWORK else ""
        mode = connection.execute(f"PRAGMA journal_mode{wanted}").fetchone()[0]
        _refuse_programs(connection)
        if mode == "wal":
            connection.execute("PRAGMA synchronous=NORMAL")
        return connection
    except sqlite3.OperationalError as error:
        connection.close()
        name = getattr(error, "sqlite_errorname", "")
        if not name.startswith(_NO_SHARED_MEMORY) or not (rollback := _without_log(file)):
            raise
        return rollback
    except BaseException:
        connection.close()
        raise


def _without_log(file: Path) -> sqlite3.Connection | None:
    """Open a database and give it a rollback journal; None if that does not work either."""
    connection = sqlite3.connect(file, timeout=PATIENCE)
    try:
        # Whoever is alone with the file needs no shared memory to read its log.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        mode = connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        connection.execute("PRAGMA locking_mode=NORMAL")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()  # this lets go of the lock
        if mode == "delete":
            return connection
    except sqlite3.OperationalError:
        pass
    connection.close()
    return None


def file_system(path: Path) -> str:
    """Return the kind of file system that a path is on, "" if it cannot be told."""
    try:
        table = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        where = path.resolve()
    except OSError:
        return ""
    longest, kind = -1, ""
    for line in table.splitlines():
        words = line.split(" ")
        place = Path(words[1].replace("\\040", " ")) if len(words) > 2 else None
        # Of two mounts on one place the later one is seen.
        if place is not None and where.is_relative_to(place) and len(place.parts) >= longest:
            longest, kind = len(place.parts), words[2]
    return kind


def _refuse_programs(connection: sqlite3.Connection) -> None:
    """Refuse a database that computes what it is asked for: it could compute for ever, and anything.

    Raises
    ------
    RunError
        For views, triggers, virtual tables and computed columns, none of which is ever made here.
    """
    programs = connection.execute(
        "SELECT name FROM sqlite_master WHERE type NOT IN ('table', 'index') OR "
        "sql LIKE 'CREATE VIRTUAL%' UNION "
        "SELECT t.name || '.' || c.name FROM sqlite_master t, pragma_table_xinfo(t.name) c "
        "WHERE t.type = 'table' AND c.hidden != 0"
    ).fetchone()
    if programs:
        raise RunError(f"the database holds {programs[0]!r}, which computes; move it aside.")


@contextmanager
def open_readable(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a database to read, also where the file and its folder cannot be written.

    What a killed process left in a log beside it is read too. Where SQLite would have to write for
    that, a copy is read, in the folder for temporary files. Raises RunError as `open_writable` does.
    """
    check_files(file)
    place = file.resolve()
    with ExitStack() as stack:
        try:
            connection = _opened(f"{place.as_uri()}?mode=ro")
        except sqlite3.OperationalError:
            logs = [log for log in _beside(place)[:2] if log.exists() and log.stat().st_size]
            if logs:
                aside = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                for part in (place, *logs):
                    shutil.copyfile(part, aside / part.name)
                connection = _opened((aside / place.name).as_uri())
            else:
                connection = _opened(f"{place.as_uri()}?mode=ro&immutable=1")
        yield stack.enter_context(closing(connection))


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=10.0)
    try:
        _refuse_programs(connection)
        return connection
    except BaseException:
        connection.close()
        raise
