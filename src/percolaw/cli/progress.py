"""Progress on the terminal, and in logs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress(name: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr with the time left; without a terminal at most one line in 10 seconds."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    bar: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar
        if quiet or not total:
            return
        if bar is None:
            bar = tqdm(
                total=total,
                initial=done,
                desc=f"{name:<16}",
                unit="unit",
                mininterval=0.1 if terminal else 10.0,
                bar_format="{desc} {percentage:3.0f}%|{bar:25}| {n}/{total} "
                "[{elapsed} elapsed, {remaining} left]",
            )
        bar.update(done - bar.n)
        if terminal:
            bar.refresh()

    try:
        yield update
    finally:
        if bar is not None:
            bar.close()
