"""Reports read records and never compute a result: figures and claims tables."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from percolaw.experiments import EXPERIMENTS
from percolaw.runs.store import read_record, write_atomic


def draw_figures(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Draw all figures of a finished run folder as PNG files in its ``figures``; return them.

    Tables, where an experiment has them, are written beside as Markdown.
    """
    from percolaw.report.style import save, styled

    record = read_record(folder)
    module = EXPERIMENTS[record["experiment"]].split(":")[0]
    figures = importlib.import_module(f"percolaw.report.figures.{module}")
    target = Path(folder) / "figures"
    target.mkdir(exist_ok=True)
    # A few experiments also have a table to read beside the pictures.
    for name, text in getattr(figures, "tables", lambda record: {})(record).items():
        write_atomic(target / f"{name}.md", text)
    with styled():
        return tuple(
            save(figure, target / f"{name}.png") for name, figure in figures.draw(record).items()
        )
