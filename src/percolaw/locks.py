"""Locks of the operating system: one process at a time, released however the process ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def locked(descriptor: int, shared: bool = False) -> bool | None:
    """Lock an open file and return True, or return False if another one holds it.

    None where there are no such locks: work that others do at once is then not noticed.

    Parameters
    ----------
    descriptor : int
        Descriptor of the open file.
    shared : bool
        Ask for a shared lock rather than an exclusive one.

    Returns
    -------
    bool or None
    """
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        # Other errors come from file systems without locks.
        return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
    return True


@contextmanager
def only_one(path: Path, busy: str) -> Iterator[None]:
    """Hold the lock file `path` while the block runs, and remove it.

    Parameters
    ----------
    path : path
        Lock file, made if it is not there; a killed process leaves it behind, unlocked.
    busy : str
        What FileExistsError says if another process or thread holds the lock.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            free = locked(descriptor)
            # The holder removes the file when it ends: what we opened may be gone by now.
            if not _same(descriptor, path):
                continue
            if free is False:
                raise FileExistsError(busy)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(descriptor)


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
