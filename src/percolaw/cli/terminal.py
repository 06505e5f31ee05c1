"""What the terminal can take: streams that are closed, narrow, without colour or without Unicode."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from percolaw.text import printable

#: Columns below which texts are no longer folded; narrower terminals fold them themselves.
NARROWEST = 40


def prepare_streams() -> None:
    """Make the standard streams safe to print to.

    A closed stream takes everything and shows nothing; a character that the terminal's encoding lacks
    is shown as its code instead of ending the command.
    """
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def note(message: object) -> None:
    """Say on stderr, on one line that steers no terminal, what has to be known beside the results."""
    print(f"percolaw: {printable(message)}", file=sys.stderr)


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Print warnings as lines that steer no terminal, each once, without the place in the code."""
    said: set[str] = set()

    def show(message: Warning | str, *where: Any, **more: Any) -> None:
        text = printable(message)
        if text not in said:
            said.add(text)
            print(f"note: {text}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def has_colors(stream: Any) -> bool:
    """Return whether to colour what goes to a stream: a terminal, unless NO_COLOR or TERM=dumb."""
    return bool(
        stream is not None
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def table_width() -> int:
    """Return the columns for tables: the terminal's, 130 where nobody says how wide it is."""
    return max(NARROWEST, shutil.get_terminal_size(fallback=(130, 24)).columns)


@contextmanager
def help_style() -> Iterator[None]:
    """Environment in which tyro writes its help: at least 40 columns wide, coloured as we colour.

    It never ends below 6 columns, and does not look at NO_COLOR.
    """
    wanted = {"COLUMNS": str(max(NARROWEST, shutil.get_terminal_size().columns))}
    if not has_colors(sys.stdout):
        wanted["TERM"] = "dumb"
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
