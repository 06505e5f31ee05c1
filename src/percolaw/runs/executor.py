"""Do units of work on any `concurrent.futures.Executor`, keeping each as it finishes."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import os
import queue
import socket
import time
import traceback
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.base import SCRATCH, Cell, Row, from_config
from percolaw.experiments.fields import as_measured
from percolaw.progress import Failures
from percolaw.runs.activity import Activity
from percolaw.runs.code import experiment_code, source_bytes
from percolaw.runs.scheduler import same_code
from percolaw.runs.signals import undivided
from percolaw.runs.store import Outcome, RunFolder
from percolaw.runs.threads import one_thread
from percolaw.runs.workers import GUARD, WorkerPool, check_reachable

#: Units handed to an executor at a time: enough to keep it busy, few enough to stop quickly.
QUEUE = 1000
#: Seconds in which a pool with units in its queue may do nothing; doubled with each restart in vain.
STALL = 10.0
#: Restarts of a pool in a row, without a result between them, before the run is given up.
MOST_RESTARTS = 10


def measure_unit(
    module: str,
    name: str,
    fields: dict[str, Any],
    code: str,
    cell: Cell,
    scratch: str = "",
    source: str = "",
) -> Outcome:
    """Measure one cell in a worker; states of long units go to `scratch`, if it is within reach.

    Parameters
    ----------
    module, name : str
        Where the experiment's class is.
    fields : dict
        Config as JSON.
    code : str
        Hash of the code that the run is of.
    cell : Cell
    scratch : str
        Folder for states of long units; none if empty.
    source : str
        Hash of the bytes of that code; where they are the same, the code is not read.

    Returns
    -------
    Outcome
        With the traceback in place of rows if measuring failed.

    Raises
    ------
    KeyboardInterrupt
        If one is behind the failure: an interruption is no result.
    """
    started = time.perf_counter()
    place = f"{socket.gethostname()}:{os.getpid()}"
    rows, error = None, ""
    try:
        cls = getattr(importlib.import_module(module), name)
        if source_bytes(cls) != source:
            present = experiment_code(cls)
            if present != code:
                raise RunError(
                    f"{place} runs other code ({present}) than this run ({code}); install the same there."
                )
        experiment = from_config(cls, fields)
        within_reach = bool(scratch) and Path(scratch).parents[1].is_dir()
        token = SCRATCH.set(Path(scratch) if within_reach else None)
        try:
            with one_thread(*getattr(cls, "extra", ())[:1]):
                rows = _checked(as_measured(experiment).measure(cell), name)
        finally:
            SCRATCH.reset(token)
    except Exception as failure:
        stop = _interrupt_behind(failure)
        if stop is not None:
            raise stop from failure
        error = traceback.format_exc()
    return Outcome(rows, error, time.perf_counter() - started, place)


def _checked(rows: Any, name: str) -> list[Row]:
    """What `measure` returned, if it is rows."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise TypeError(
            f"measure of {name} must return a list of rows, each a dict; got {rows!r:.60}"
            + (" (no return?)." if rows is None else ".")
        )
    return rows


def _interrupt_behind(failure: BaseException | None) -> KeyboardInterrupt | None:
    """The signal that a library took for a failure of its own, as Numba does while it loads a kernel."""
    while failure is not None:
        if isinstance(failure, KeyboardInterrupt):
            return failure
        failure = failure.__cause__ or failure.__context__
    return None


def run_units(
    experiment: Any,
    folder: RunFolder,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    activity: Activity | None = None,
) -> None:
    """Measure every unit that is not kept yet; return when all were tried.

    Parameters
    ----------
    experiment : Experiment
    folder : RunFolder
        Where finished units are kept, whole or not at all.
    executor : Executor, optional
        None works in this process.
    progress : callable
        Called with the number of units done and in all, first with those already kept.
    activity : Activity, optional
        Progress is reported to it, and it raises RunCancelled if the run is to stop.

    Raises
    ------
    RunError
        If the workers were lost, cannot import the experiment, or are Dask workers of other code, and if
        the folder was removed; finished units are kept.
    RunCancelled
        If `activity` was asked to stop.

    Notes
    -----
    An interruption (KeyboardInterrupt) keeps everything finished and passes on. Stopping what is
    still queued is left to who made the executor: ``shutdown(cancel_futures=True)``.
    """
    cells = experiment.cells()
    kept = folder.finished()
    todo = [cell for cell in cells if folder.key(cell) not in kept]
    done, failures = len(cells) - len(todo), Failures()
    cls = type(experiment)
    job = (cls.__module__, cls.__name__, folder.config["config"], folder.code)
    more = (str(folder.path / "scratch" / folder.code), source_bytes(cls))

    def report() -> None:
        progress(done, len(cells))
        if activity is not None:
            activity.report(done, len(cells), failures.n)

    def keep(outcomes: list[tuple[Cell, Outcome]]) -> None:
        nonlocal done
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        folder.keep(outcomes, now)
        for _, outcome in outcomes:
            if outcome.rows is None:
                failures.tell(outcome.error)
        done += len(outcomes)

    report()
    if executor is None:
        for cell in todo:
            keep([(cell, measure_unit(*job, cell, *more))])
            report()
        failures.count()
        return
    check_reachable(executor, cls)
    units = _Queue(executor, todo, lambda cell: executor.submit(measure_unit, *job, cell, *more))
    try:
        with same_code(executor, cls, folder.code):
            units.fill()
            while units.pending:
                units.collect(keep)
                report()
                units.fill()
        failures.count()
    except BaseException as error:
        with undivided():
            keep(units.abandon())
        if isinstance(error, (BrokenExecutor, CancelledError)):
            raise RunError(
                f"the workers of {experiment.name} were lost ({type(error).__name__}: {error}), perhaps "
                "for want of memory or with their scheduler. "
                + ("" if done else f"If they ended before any unit was measured: {GUARD} ")
                + f"Finished units are kept in {folder.path}; the same command continues, with "
                "--workers 1 if memory is short."
            ) from error
        raise


class _Queue:
    """Units on their way through an executor; those of a lost pool of ours are handed in again.

    A worker that dies before it tells which unit it took breaks the whole pool, or leaves it waiting
    for ever; neither is the fault of a unit. Only waiting for a unit can be interrupted.
    """

    def __init__(
        self, executor: Executor, cells: list[Cell], submit: Callable[[Cell], Future[Any]]
    ) -> None:
        self.pending: dict[Future[Any], Cell] = {}
        self._executor, self._submit = executor, submit
        self._ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._waiting = iter(cells)
        self._busy = time.monotonic()
        self._fruitless = 0  # restarts since the last result

    def fill(self) -> None:
        """Hand in further units, if the queue has become short."""
        if len(self.pending) >= QUEUE // 2:
            return
        with undivided():
            for cell in self._waiting:
                self._hand_in(cell)
                if len(self.pending) >= QUEUE:
                    return

    def _hand_in(self, cell: Cell) -> None:
        future = self._submit(cell)
        self.pending[future] = cell
        future.add_done_callback(self._ended.put)

    def collect(self, keep: Callable[[list[tuple[Cell, Outcome]]], None]) -> None:
        """Wait for up to a second for a unit to end, and keep what has come of those that did."""
        finished = set()
        with contextlib.suppress(queue.Empty):
            finished = {self._ended.get(timeout=1.0)}
        with undivided():
            while not self._ended.empty():
                finished.add(self._ended.get())
            keep(self._taken(finished & self.pending.keys()))

    def _taken(self, finished: set[Future[Any]]) -> list[tuple[Cell, Outcome]]:
        """What has come of units that ended, no longer pending; lost ones are handed in again."""
        ours = isinstance(self._executor, WorkerPool)
        lost = {future for future in finished if ours and _broken(future)}
        outcomes = {future: _outcome(future) for future in finished - lost}
        results = [(self.pending.pop(future), outcome) for future, outcome in outcomes.items()]
        now = time.monotonic()
        if results:
            self._fruitless = 0
        if results or any(future.running() for future in self.pending):
            self._busy = now
        if lost or (ours and now - self._busy > STALL * 2 ** min(self._fruitless, 4)):
            self._restart()
        return results

    def _restart(self) -> None:
        """Make new workers and hand in again what the old ones have not done."""
        assert isinstance(self._executor, WorkerPool)
        self._fruitless += 1
        if self._fruitless > MOST_RESTARTS:
            raise BrokenProcessPool(f"{MOST_RESTARTS} times in a row, and nothing was measured")
        self._executor.restart()
        again = {f: cell for f, cell in self.pending.items() if not f.done() or _broken(f)}
        for future, cell in again.items():
            del self.pending[future]
            self._hand_in(cell)
        self._busy = time.monotonic()

    def abandon(self) -> list[tuple[Cell, Outcome]]:
        """Stop what is queued, and return what was finished in the meantime."""
        late = [
            (cell, future.result())
            for future, cell in self.pending.items()
            if future.done() and not future.cancelled() and future.exception() is None
        ]
        for future in self.pending:
            future.cancel()
        return late


def _broken(future: Future[Any]) -> bool:
    """Whether a unit came back because its pool broke, not because of itself."""
    return (
        future.done()
        and not future.cancelled()
        and isinstance(future.exception(), BrokenProcessPool)
    )


def _outcome(future: Future[Any]) -> Outcome:
    """The result of a unit, or how its worker was lost; a broken executor passes on."""
    try:
        outcome: Outcome = future.result()
        return outcome
    except (BrokenExecutor, CancelledError, KeyboardInterrupt):
        raise
    except TimeoutError as error:
        text = f"TimeoutError: the unit took longer than allowed and was stopped ({error})."
    except Exception as error:  # whatever an executor says when it loses a worker
        text = (
            f"WorkerLost: the process that measured this unit ended ({type(error).__name__}: {error}), "
            "perhaps for want of memory."
        )
    return Outcome(None, text, 0.0, "")
