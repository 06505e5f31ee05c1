"""Run an experiment: open its folder, do what is missing, conclude, write the record."""

from __future__ import annotations

import html
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percolaw.errors import MissingExtraError, RunError
from percolaw.experiments.base import (
    Experiment,
    Row,
    check_cells,
    check_tolerances,
    config_dict,
    missing_extra,
    run_id,
)
from percolaw.experiments.claims import Claims
from percolaw.experiments.fields import check_memory
from percolaw.experiments.series import Plot, learning_curve
from percolaw.frames import Frame, frame
from percolaw.progress import Wanted, reporting
from percolaw.runs.activity import working
from percolaw.runs.code import experiment_code, forget, forget_bytes, source_bytes
from percolaw.runs.description import keep_description
from percolaw.runs.executor import run_units
from percolaw.runs.files import MALFORMED, check_writable
from percolaw.runs.folders import kept_units
from percolaw.runs.provenance import provenance
from percolaw.runs.rows import long_rows
from percolaw.runs.store import RunFolder
from percolaw.runs.threads import one_thread
from percolaw.runs.workers import WorkerPool, refuse_in_starting_process

if TYPE_CHECKING:
    from percolaw.scaling.curve import LearningCurve


@dataclass(frozen=True, repr=False)
class Result:
    """Claims, tables and curves of a run; `percolaw.open_run` gives those of a folder.

    `percolaw.report.draw_figures(result.folder)` writes its figures.

    Attributes
    ----------
    folder : Path
    experiment : str
        Name.
    config : dict
        Its fields.
    claims : Claims
        A tuple of `Claim` with ``to_frame`` and ``plot``; empty while the run is not finished.
    tables : dict
        Further data of the conclusion.
    plots : tuple of Plot
        Its curves as they are drawn, each with ``to_frame`` and ``plot``.
    reused : dict
        Units not measured in this run but copied from others beside it: name of their folder to number.
    finished : bool
    """

    folder: Path
    experiment: str
    config: dict[str, Any]
    claims: Claims
    tables: dict[str, Any]
    plots: tuple[Plot, ...] = ()
    reused: dict[str, int] = field(default_factory=dict)
    finished: bool = True

    @property
    def rows(self) -> list[Row]:
        """All rows that were measured, as `measure` returned them, with the fields of their cell."""
        return [{**cell, **row} for cell, rows in kept_units(self.folder) for row in rows]

    @property
    def curves(self) -> dict[str, LearningCurve]:
        """Measured curves of the plots that keep every seed, by ``plot: curve``."""
        kept = {}
        for plot in self.plots:
            by_name = {one.name: one for one in plot.series}
            for one in plot.series:
                if one.kind == "measured" and one.seeds:
                    kept[f"{plot.id}: {one.name}"] = learning_curve(one, by_name)
        return kept

    def to_frame(self) -> Frame:
        """Return the rows in long form, one number a cell.

        Returns
        -------
        pandas.DataFrame or dict of array
            Columns as `percolaw.runs.rows.long_rows` says; see `percolaw.frames.frame`.
        """
        return frame(long_rows(kept_units(self.folder)))

    def __repr__(self) -> str:
        verdicts = [claim.verdict for claim in self.claims]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        state = (
            f"{len(verdicts)} claim{'s' * (len(verdicts) != 1)}: {counts}"
            if verdicts
            else "no claims"
        )
        return f"Result({self.folder}, {state if self.finished else 'not finished'})"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.claims._repr_html_()}"


def default_folder(experiment: Any, out: str | os.PathLike[str]) -> Path:
    """Return ``out/<experiment>-<id>``: the same config always has the same folder.

    Parameters
    ----------
    experiment : Experiment
    out : path

    Returns
    -------
    Path
    """
    return Path(out) / f"{experiment.name}-{run_id(experiment)}"


def run(
    experiment: Any,
    *,
    out: str | os.PathLike[str] = "runs",
    folder: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    progress: Wanted = False,
    waiting: Callable[[str], None] | None = None,
) -> Result:
    """Run an experiment to its conclusion; what was finished before is not done again.

    Parameters
    ----------
    experiment : Experiment
        A config, for instance from a preset.
    out : path
        Where run folders are made; `folder` names one exactly.
    folder : path, optional
        The run folder itself, in place of one in `out`.
    executor : Executor, optional
        Where units are measured; this process if None. Results do not depend on it.
    progress : bool or callable
        True shows a bar (terminal, notebook, or lines in a log); a function is called with units
        done and in all.
    waiting : callable, optional
        Called with a message if another process works on the run, for which this one then waits, and
        if kept units are damaged and measured again.

    Returns
    -------
    Result

    Raises
    ------
    RunError
        If units failed (the others are kept, their tracebacks are in the folder), what was measured
        cannot be concluded, the folder cannot be written or holds another config, the workers were
        lost, the source changed meanwhile, or the run was cancelled.
    TypeError
        If `experiment` is no experiment's config.
    ValueError
        For a tolerance of the config below 0 or not finite, two units that are the same, and fields
        whose words name nothing, so that no unit could be measured.
    MissingExtraError
        If an extra that the experiment needs is not installed.
    ResourceError
        If a unit would need more memory than this machine has, where it is measured here.
    """
    if isinstance(experiment, type) or not isinstance(experiment, Experiment):
        raise TypeError(
            f"experiment must be an experiment's config; got {experiment!r}. For instance "
            "percolaw.experiments.registry.experiment_class('single-cluster')(n_seeds=3)."
        )
    refuse_in_starting_process()
    waiting = waiting or (lambda message: None)
    check_tolerances(experiment)
    missing = missing_extra(type(experiment))
    if missing:
        raise MissingExtraError(missing)
    cells = experiment.cells()
    check_cells(experiment, cells)
    path = Path(folder) if folder is not None else default_folder(experiment, out)
    here = executor is None or isinstance(executor, WorkerPool | ProcessPoolExecutor)
    if here and not (path / "record.json").exists():
        check_memory(experiment)
    before = source_bytes(type(experiment))
    store = RunFolder(path, config_dict(experiment), type(experiment))
    check_writable(path)
    with working(path, waiting) as activity:
        damaged = store.forget_damaged()
        if damaged:
            waiting(f"{damaged} unit(s) kept in {path} were damaged; they are measured again.")
        keep_description(path, experiment, len(cells))
        store.reuse(cells)
        with reporting(experiment.name, progress) as update, store.held_open():
            run_units(experiment, store, executor, update, activity)
        if _changed(type(experiment), before, store.code):
            raise RunError(
                "the source of percolaw or of the experiment changed while this run was measured; "
                "what was measured is kept under the name of the old code. Start it again."
            )
        return _conclude(experiment, store)


def _changed(experiment: type[Any], source: str, code: str) -> bool:
    """Whether the code of an experiment, with this hash of its bytes before, is another one now."""
    forget_bytes()
    if source_bytes(experiment) == source:
        return False
    forget()
    return experiment_code(experiment) != code


def _conclude(experiment: Any, store: RunFolder) -> Result:
    """Claims and figure data from the kept rows, and the record."""
    path = store.path
    failures, cells = store.failures(), experiment.cells()
    if failures:
        cell, error = failures[0]
        kept = "All others are kept" if len(failures) < len(cells) else "No unit was measured"
        raise RunError(
            f"{len(failures)} unit(s) of {experiment.name} failed, the first {cell}: "
            f"{error.strip().splitlines()[-1].rstrip('.')}. {kept} in {path}; "
            "the same command tries the failed ones again."
        )
    shutil.rmtree(path / "scratch", ignore_errors=True)
    rows = store.rows(cells)
    reused = store.reused()
    try:
        with one_thread():
            conclusion = experiment.conclude(rows)
    except MALFORMED as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise RunError(
            f"{experiment.name} was measured and kept in {path}, but cannot be concluded: "
            + reason.rstrip(".")
            + _place(error, type(experiment))
            + _suspects(reused)
        ) from error
    record = {
        **store.config,
        "id": run_id(experiment),
        "status": "done",
        "claims": conclusion.claims,
        "tables": conclusion.tables,
        "plots": conclusion.plots,
        "units": len(cells),
        "reused": reused,
        "unit_seconds": store.seconds(),
        "code": store.code,
        "provenance": provenance(),
    }
    store.write_record(record, rows)
    return Result(
        path,
        experiment.name,
        store.config["config"],
        Claims(conclusion.claims),
        conclusion.tables,
        conclusion.plots,
        reused,
    )


def _place(error: Exception, cls: type) -> str:
    """The last line of the experiment's own file that is behind an error."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f" ({file}, line {lines[-1]})" if lines else ""


def _suspects(reused: dict[str, int]) -> str:
    """A sentence on units that were not measured here, for a run that cannot be concluded."""
    if not reused:
        return "."
    return (
        f". {sum(reused.values())} of its units were not measured here but taken from "
        f"{', '.join(reused)}; with another --out all are measured."
    )
