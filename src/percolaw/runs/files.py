"""Files of run folders: read with nothing taken for granted, written whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from percolaw.errors import PercolawError, RunError
from percolaw.experiments.base import plain
from percolaw.nulls import to_null

#: What data of the wrong shape raise wherever they are used.
MALFORMED = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    MemoryError,
    StopIteration,
)
#: Levels of lists and objects in a file, and digits of an integer: more than any run writes, and few
#: enough that nothing after the reading fails on them.
DEEPEST, MOST_DIGITS = 100, 300


@contextmanager
def well_formed(
    complaint: str, remedy: str = "", wrong: tuple[type[Exception], ...] = MALFORMED
) -> Iterator[None]:
    """Turn every error that contents of the wrong shape raise into one RunError.

    Parameters
    ----------
    complaint : str
        What is wrong, without a full stop: "FILE is not the config of a run".
    remedy : str
        What helps, as a sentence.
    wrong : tuple of types
        The errors meant.
    """
    try:
        yield
    except PercolawError:
        raise
    except wrong as error:
        what = str(error)[:200].rstrip(".") or "no more is known"
        text = f"{complaint} ({type(error).__name__}: {what}). {remedy}"
        raise RunError(text.rstrip()) from error


def is_in_the_way(path: Path) -> bool:
    """Return whether something that is no regular file stands at a path.

    Asked once: a file that another process removes meanwhile is not there.
    """
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def make_folder(path: Path) -> None:
    """Make a results folder, if it is missing.

    Raises
    ------
    RunError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make the results folder {path}: {error.strerror}. Choose another with --out."
        ) from None


def is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder, and its units be written if it is a run's."""
    units = folder / "units.sqlite"
    return os.access(folder, os.W_OK | os.X_OK) and (
        not units.exists() or os.access(units, os.W_OK)
    )


def check_writable(folder: Path, remedy: str = "") -> None:
    """Refuse a folder in which nothing can be written.

    Parameters
    ----------
    folder : path
    remedy : str
        What helps, as a sentence; by default another folder, or a copy of this one.

    Raises
    ------
    RunError
        If it, or the units of the run in it, cannot be written.
    """
    if not is_writable(folder):
        remedy = remedy or (
            "Choose another folder with --out, or copy this one to where you may write and name the copy."
        )
        raise RunError(f"{folder} is not writable. {remedy}")


def read_json(path: Path, remedy: str = "") -> Any:
    """Return the JSON in a file, or raise RunError naming it and the remedy.

    Parameters
    ----------
    path : path
        A regular file.
    remedy : str
        Last sentence of the message.

    Returns
    -------
    object
    """
    try:
        # Opening a named pipe would wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("it is no regular file")
            return parse_json(file.read())
    except (OSError, ValueError, MemoryError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RunError(f"{path} cannot be read: {reason.rstrip('.')}. {remedy}".rstrip()) from None


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text, or raise ValueError.

    Refused are more than 100 levels and integers of more than 300 digits, on which recursions and
    conversions to float fail later.
    """
    try:
        value = json.loads(text, parse_int=_integer)
    except RecursionError:
        raise ValueError(f"it is nested more than {DEEPEST} levels deep") from None
    level = [value]
    for _ in range(DEEPEST + 1):
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return value
    raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"it holds an integer of {len(text)} digits")
    return int(text)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of a new file beside `path` that replaces it at the end, or is removed on an error.

    No other process uses that path; a link is replaced, not followed.

    Raises
    ------
    OSError
        If the new file cannot be written, naming `path`.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)
    except OSError as error:
        if error.filename != str(part):
            raise
        raise OSError(
            error.errno, error.strerror, str(path)
        ) from error  # the name that was asked for
    finally:
        with suppress(OSError):  # where nothing can be written, nothing can be removed
            part.unlink()


def write_atomic(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Parameters
    ----------
    path : path
        Replaced if it exists.
    text : str
        Written as UTF-8 and synchronised with the disk.
    """
    with replacing(path) as part, open(part, "x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def strict_json(value: Any) -> Any:
    """Return plain JSON values in which infinities and NaN are null: strict JSON has neither."""
    return to_null(json.loads(json.dumps(plain(value))))
