"""Run an experiment: open its folder, do what is missing, conclude, write record and figures."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.base import Claim, config_dict, run_id
from percolaw.runs.executor import run_units
from percolaw.runs.provenance import provenance
from percolaw.runs.store import RunFolder


@dataclass(frozen=True)
class Result:
    """A finished run: its folder, claims, figure files and figure data."""

    folder: Path
    claims: tuple[Claim, ...]
    figures: tuple[Path, ...]
    tables: dict[str, Any]


def default_folder(experiment: Any, out: str | os.PathLike[str]) -> Path:
    """Return ``out/<experiment>-<id>``: the same config always has the same folder."""
    return Path(out) / f"{experiment.name}-{run_id(experiment)}"


def run(
    experiment: Any,
    *,
    out: str | os.PathLike[str] = "runs",
    folder: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    figures: bool = True,
) -> Result:
    """Run an experiment to its conclusion; what was finished before is not done again.

    Parameters
    ----------
    experiment : Experiment
        A config, for instance from a preset.
    out : path
        Where run folders are made; `folder` names one exactly.
    executor : Executor, optional
        Where units are measured; this process if None. Results do not depend on it.
    progress : callable
        Called with units done and in all.
    figures : bool
        Draw the figures (needs the ``report`` extra).

    Raises
    ------
    RunError
        If units failed; the others are kept, their tracebacks are in the folder.
    """
    path = Path(folder) if folder is not None else default_folder(experiment, out)
    store = RunFolder(path, config_dict(experiment))
    run_units(experiment, store, executor, progress)
    failures = store.failures()
    if failures:
        cell, error = failures[0]
        raise RunError(
            f"{len(failures)} unit(s) of {experiment.name} failed, the first {cell}: "
            f"{error.strip().splitlines()[-1]} All others are kept in {path}; "
            "the same command tries the failed ones again."
        )
    cells = experiment.cells()
    rows = store.rows(cells)
    conclusion = experiment.conclude(rows)
    record = {
        **store.config,
        "id": run_id(experiment),
        "status": "done",
        "claims": conclusion.claims,
        "tables": conclusion.tables,
        "units": len(cells),
        "unit_seconds": store.seconds(),
        "code": store.code,
        "provenance": provenance(),
    }
    store.write_record(record, rows)
    drawn: tuple[Path, ...] = ()
    if figures:
        from percolaw.report import draw_figures

        drawn = draw_figures(path)
    return Result(path, conclusion.claims, drawn, conclusion.tables)
