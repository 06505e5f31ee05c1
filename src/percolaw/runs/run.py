"""Run an experiment: open its folder, do what is missing, conclude, write the record."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from percolaw.errors import MissingExtraError, RunError
from percolaw.experiments.base import (
    Experiment,
    check_tolerances,
    config_dict,
    missing_extra,
    run_id,
)
from percolaw.experiments.claims import Claim
from percolaw.runs.activity import working
from percolaw.runs.executor import run_units
from percolaw.runs.provenance import provenance
from percolaw.runs.store import RunFolder, code_id, experiment_code


@dataclass(frozen=True)
class Result:
    """A finished run: its folder, claims and figure data.

    `percolaw.report.draw_figures(result.folder)` draws its figures.
    """

    folder: Path
    claims: tuple[Claim, ...]
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
    progress: Callable[[int, int], None] | bool = False,
    waiting: Callable[[str], None] = lambda message: None,
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
    progress : bool or callable
        True shows a bar (terminal, notebook, or lines in a log); a function is called with units
        done and in all.
    waiting : callable
        Called with a message if another process works on the run; this one then waits for it.

    Raises
    ------
    RunError
        If units failed (the others are kept, their tracebacks are in the folder), or what was
        measured cannot be concluded.
    """
    if not isinstance(experiment, Experiment):
        raise TypeError(
            f"experiment must be an experiment's config; got {experiment!r}. For instance "
            "percolaw.experiments.experiment_class('single-cluster')(n_seeds=3)."
        )
    check_tolerances(experiment)
    missing = missing_extra(type(experiment))
    if missing:
        raise MissingExtraError(missing)
    path = Path(folder) if folder is not None else default_folder(experiment, out)
    store = RunFolder(path, config_dict(experiment), type(experiment))
    if store.read_only:
        raise RunError(f"{path} is not writable. Choose another folder with --out.")
    with working(path, waiting) as activity:
        store.reuse(experiment.cells())
        with _progress(experiment.name, progress) as update, store.held_open():
            run_units(experiment, store, executor, update, activity)
        code_id.cache_clear()
        if experiment_code(type(experiment)) != store.code:
            raise RunError(
                "the source of percolaw or of the experiment changed while this run was measured; "
                "what was measured is kept under the name of the old code. Start it again."
            )
        return _conclude(experiment, store)


def _progress(
    name: str, wanted: Callable[[int, int], None] | bool
) -> AbstractContextManager[Callable[[int, int], None]]:
    """What to tell of progress, as a context that ends it."""
    if callable(wanted):
        return nullcontext(wanted)
    if not wanted:
        return nullcontext(lambda done, total: None)
    from percolaw.runs.progress import progress

    return progress(name, quiet=False)


def _conclude(experiment: Any, store: RunFolder) -> Result:
    """Claims and figure data from the kept rows, and the record."""
    path = store.path
    failures = store.failures()
    if failures:
        cell, error = failures[0]
        raise RunError(
            f"{len(failures)} unit(s) of {experiment.name} failed, the first {cell}: "
            f"{error.strip().splitlines()[-1]} All others are kept in {path}; "
            "the same command tries the failed ones again."
        )
    shutil.rmtree(path / "scratch", ignore_errors=True)
    cells = experiment.cells()
    rows = store.rows(cells)
    try:
        conclusion = experiment.conclude(rows)
    except ValueError as error:
        raise RunError(
            f"{experiment.name} was measured and kept in {path}, but cannot be concluded: {error}"
        ) from error
    record = {
        **store.config,
        "id": run_id(experiment),
        "status": "done",
        "claims": conclusion.claims,
        "tables": conclusion.tables,
        "plots": conclusion.plots,
        "units": len(cells),
        "unit_seconds": store.seconds(),
        "code": store.code,
        "provenance": provenance(),
    }
    store.write_record(record, rows)
    return Result(path, conclusion.claims, conclusion.tables)
