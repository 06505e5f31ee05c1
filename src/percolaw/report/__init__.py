"""Reports read records and never compute a result: figures and claims tables."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from percolaw.experiments import EXPERIMENTS
from percolaw.runs.store import read_record


def draw_figures(folder: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Draw all figures of a finished run folder as PNG files in its ``figures``; return them."""
    from percolaw.report.style import save, styled

    record = read_record(folder)
    module = EXPERIMENTS[record["experiment"]].split(":")[0]
    figures = importlib.import_module(f"percolaw.report.figures.{module}")
    target = Path(folder) / "figures"
    target.mkdir(exist_ok=True)
    with styled():
        return tuple(
            save(figure, target / f"{name}.png") for name, figure in figures.draw(record).items()
        )
