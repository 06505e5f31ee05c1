"""Who works on a run now: one process at a time, how far it is, and how to ask it to stop."""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from percolaw.errors import RunError

#: Seconds between two reports of progress, and after which a silent remote run counts as dead.
BEAT, SILENCE = 1.0, 60.0


class RunCancelled(RunError):
    """A run was asked to stop by ``percolaw cancel``."""


class Activity:
    """The present work on one run folder; see `working`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started = time.time()
        self._beat = -1.0
        self._first: int | None = None

    def report(self, done: int, total: int, failed: int) -> None:
        """Tell how far the work is, at most once a second; raise RunCancelled if asked to stop."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._begun = done, now
        if now - self._beat < BEAT and done < total:
            return
        self._beat = now
        if (self.folder / "cancel").exists():
            (self.folder / "cancel").unlink(missing_ok=True)
            raise RunCancelled(
                f"cancelled; every finished unit is kept in {self.folder}, `percolaw resume` goes on."
            )
        fresh = done - self._first
        left = (total - done) * (now - self._begun) / fresh if fresh else None
        text = json.dumps(
            {
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "started": self.started,
                "done": done,
                "failed": failed,
                "total": total,
                "seconds_left": left,
            }
        )
        part = self.folder / f".active.{os.getpid()}.part"
        try:
            part.write_text(text, encoding="utf-8")
            os.replace(part, self.folder / "active.json")
        except OSError:
            part.unlink(missing_ok=True)  # progress is a courtesy: a full disk fails elsewhere


@contextmanager
def working(
    folder: Path, waiting: Callable[[str], None] = lambda message: None
) -> Iterator[Activity]:
    """Be the only process that works on a run; wait for another one to end.

    The lock is the operating system's and goes with the process, however it ends.
    """
    with open(folder / ".lock", "a+", encoding="utf-8") as lock:
        told = False
        while not _locked(lock):
            if not told:
                told = True
                other = active(folder)
                who = f"process {other['pid']} on {other['host']}" if other else "another process"
                waiting(f"{who} works on {folder}; waiting for it to end.")
            time.sleep(0.2)
        (folder / "cancel").unlink(missing_ok=True)
        ended = threading.Event()
        threading.Thread(target=_beat, args=(folder / "active.json", ended), daemon=True).start()
        try:
            yield Activity(folder)
        finally:
            ended.set()
            (folder / "active.json").unlink(missing_ok=True)


def _beat(file: Path, ended: threading.Event) -> None:
    """Show other machines that the work goes on, also while one unit takes long."""
    while not ended.wait(10.0):
        with suppress(OSError):
            os.utime(file)


def _locked(file: Any) -> bool:
    try:
        import fcntl
    except ImportError:  # no such locks on this system: two runs then only waste time
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Other errors come from file systems without locks.
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def active(folder: Path) -> dict[str, Any] | None:
    """Return what the process that works on a run last reported, or None if none is alive."""
    file = folder / "active.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        age = abs(time.time() - file.stat().st_mtime)
        pid, host = int(found["pid"]), str(found["host"])
        for name in ("done", "total", "failed"):
            found[name] = int(found[name])
        left = found.get("seconds_left")
        found["seconds_left"] = float(left) if isinstance(left, (int, float)) else None
        if left is not None and not 0.0 <= float(left) < 1e12:
            found["seconds_left"] = None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    if host != socket.gethostname():
        return found if age < SILENCE else None
    if pid == os.getpid():
        return found
    try:
        with open(folder / ".lock", "a+", encoding="utf-8") as lock:
            return None if _locked(lock) else found  # the lock goes with its process
    except OSError:
        return found if age < SILENCE else None
