"""Progress and failures on terminals, in notebooks, and in logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

#: What is told of progress, units done and in all; or whether a bar shows it.
Wanted: TypeAlias = Callable[[int, int], None] | bool


@contextmanager
def progress(name: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with the time left; without a terminal at most one line in 10 seconds.

    Parameters
    ----------
    name : str
        What stands before the bar.
    quiet : bool
        Show nothing.
    """
    tqdm, lively = _bar()
    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar
        if quiet or not total or sys.stderr is None:
            return
        if bar is None:
            bar = tqdm(
                total=total,
                initial=done,
                desc=f"{name:<16}",
                unit="unit",
                mininterval=0.1 if lively else 10.0,
                bar_format="{desc} {percentage:3.0f}%|{bar:25}| {n}/{total} "
                "[{elapsed} elapsed, {remaining} left]",
            )
        bar.update(done - bar.n)
        if lively:
            bar.refresh()

    try:
        yield update
    finally:
        if bar is not None:
            bar.close()


def reporting(name: str, wanted: Wanted) -> AbstractContextManager[Callable[[int, int], None]]:
    """What a long call tells of its progress: a function of the caller, a bar, or nothing.

    Parameters
    ----------
    name : str
        What stands before the bar.
    wanted : bool or callable

    Returns
    -------
    context manager
        Of a function of units done and in all.
    """
    return nullcontext(wanted) if callable(wanted) else progress(name, quiet=not wanted)


def _bar() -> tuple[Any, bool]:
    """The kind of bar for where we are, and whether it may be redrawn often."""
    from importlib.util import find_spec

    if "ipykernel" in sys.modules and find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm as notebook

        return notebook, True
    from tqdm import tqdm

    return tqdm, sys.stderr is not None and sys.stderr.isatty()


class Failures:
    """Tracebacks on stderr: of failures at one place the first, and in the end how many there were."""

    def __init__(self) -> None:
        self.n = 0
        self._kinds: dict[tuple[str, ...], list[str]] = {}

    def tell(self, error: str) -> None:
        """Count a unit's failure, and print it if none before happened at the same place."""
        self.n += 1
        lines = error.strip().splitlines() or ["unknown error"]
        frames = (line for line in lines if line.startswith("  File "))
        same = self._kinds.setdefault((*frames, lines[-1].split(":")[0]), [])
        same.append(lines[-1])
        if len(same) == 1:
            _say(error)

    def count(self) -> None:
        """Print how many failures were not shown."""
        for said in self._kinds.values():
            if len(said) > 1:
                _say(f"{len(said)} units failed at this place; the first: {said[0]}")


def _say(text: str) -> None:
    if sys.stderr is not None:
        print(text, file=sys.stderr)
