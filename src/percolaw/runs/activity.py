"""Who works on a run now: one process at a time, how far it is, and how to ask it to stop."""

from __future__ import annotations

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
from percolaw.locks import locked
from percolaw.runs.files import MALFORMED, read_json, replacing

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
        """Report how far the work is, at most once a second; raise RunCancelled if asked to stop.

        Parameters
        ----------
        done, total, failed : int
            Units: finished (failures among them), in all, and failed.

        Raises
        ------
        RunError
            If the folder was removed or moved.
        RunCancelled
            If asked to stop; the note that asks is removed.
        """
        now = time.monotonic()
        if self._first is None:
            self._first, self._begun = done, now
        if not self.folder.exists():
            raise RunError(
                f"{self.folder} was removed or moved while it was worked on. Put it back, or start the "
                "same command again; nothing more would be kept."
            )
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
        # Progress is a courtesy: a full disk fails elsewhere.
        with suppress(OSError), replacing(self.folder / "active.json") as part:
            part.write_text(text, encoding="utf-8")


@contextmanager
def working(
    folder: Path, waiting: Callable[[str], None] = lambda message: None
) -> Iterator[Activity]:
    """Be the only process that works on a run; wait for another one to end.

    The lock is the operating system's and goes with the process, however it ends.

    Parameters
    ----------
    folder : path
        A run's, which exists.
    waiting : callable
        Called once with a message if another process works on the run.

    Yields
    ------
    Activity
    """
    with open(folder / ".lock", "a+", encoding="utf-8") as lock:
        announced = False
        while locked(lock.fileno()) is False:
            if not announced:
                announced = True
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


@contextmanager
def idle(folder: Path) -> Iterator[None]:
    """Keep a run from being worked on for a moment; raise RunError if a process works on it."""
    busy = f"{folder} is being worked on; wait, or cancel it first."
    if active(folder) is not None:
        raise RunError(busy)
    with open(folder / ".lock", "a+", encoding="utf-8") as lock:
        if locked(lock.fileno()) is False:
            raise RunError(busy)
        yield


def active(folder: Path) -> dict[str, Any] | None:
    """Return what the process that works on a run last reported, or None if none is alive.

    Its fields are pid, host, done, total, failed and seconds_left (None if not known). A process of
    another machine counts as dead if its file was not touched for `SILENCE` seconds.
    """
    file = folder / "active.json"
    try:
        report: dict[str, Any] = read_json(file)
        age = abs(time.time() - file.stat().st_mtime)
        report = {
            "pid": int(report["pid"]),
            "host": str(report["host"]),
            **{name: int(report[name]) for name in ("done", "total", "failed")},
            "seconds_left": _duration(report.get("seconds_left")),
        }
    except (RunError, *MALFORMED, OSError):
        return None
    if report["host"] == socket.gethostname():
        if report["pid"] == os.getpid():
            return report
        held = _is_held(folder / ".lock")
        if held is not None:
            return report if held else None
    return report if age < SILENCE else None


def _duration(value: Any) -> float | None:
    """Seconds as they were reported, None if they are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0.0 <= value < 1e12 else None


def _is_held(lock: Path) -> bool | None:
    """Whether a process of this machine holds a lock, which goes with it; None if nobody can tell.

    Asking takes no more than reading the file: archives cannot be written.
    """
    try:
        descriptor = os.open(lock, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return False  # whoever works on a run has made the file
    except OSError:
        return None
    try:
        free = locked(descriptor, shared=True)
        return None if free is None else not free
    finally:
        os.close(descriptor)
