"""Do units of work on any `concurrent.futures.Executor`, keeping each as it finishes."""

from __future__ import annotations

import datetime
import importlib
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from typing import Any

from percolaw.errors import RunError
from percolaw.experiments.base import Cell, Row, from_config
from percolaw.runs.store import RunFolder, unit_key

_THREAD_VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def default_workers() -> int:
    """Return the number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Return a spawned pool of single-threaded workers that end with their parent."""
    saved = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        pool = ProcessPoolExecutor(
            workers,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(os.getpid(),),
        )
        # Workers are spawned on demand; start them while the environment limits their threads.
        for future in [pool.submit(time.sleep, 0.05) for _ in range(workers)]:
            future.result()
        return pool
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and exit when the parent is gone, however it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def measure_unit(
    module: str, name: str, fields: dict[str, Any], cell: Cell
) -> tuple[list[Row] | None, str, float]:
    """Measure one cell in a worker: (rows or None, traceback, seconds)."""
    started = time.perf_counter()
    try:
        experiment = from_config(getattr(importlib.import_module(module), name), fields)
        return experiment.measure(cell), "", time.perf_counter() - started
    except Exception:
        return None, traceback.format_exc(), time.perf_counter() - started


def run_units(
    experiment: Any,
    folder: RunFolder,
    executor: Executor | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Measure every unit that is not kept yet; return when all were tried.

    Parameters
    ----------
    experiment : Experiment
    folder : RunFolder
        Where finished units are kept, one transaction each.
    executor : Executor, optional
        None works in this process.
    progress : callable
        Called with the number of units done and in all, first with those already kept.

    Notes
    -----
    An interruption (KeyboardInterrupt) keeps everything finished and passes on. Stopping what is
    still queued is left to who made the executor: ``shutdown(cancel_futures=True)``.
    """
    cells = experiment.cells()
    kept = folder.finished()
    todo = [cell for cell in cells if unit_key(cell) not in kept]
    done = len(cells) - len(todo)
    progress(done, len(cells))
    cls = type(experiment)
    job = (cls.__module__, cls.__name__, folder.config["config"])

    def keep(cell: Cell, result: tuple[list[Row] | None, str, float]) -> None:
        rows, error, seconds = result
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        if rows is None:
            folder.keep_failure(cell, error, seconds, now)
            print(error, file=sys.stderr)
        else:
            folder.keep(cell, rows, seconds, now)

    if executor is None:
        for cell in todo:
            keep(cell, measure_unit(*job, cell))
            done += 1
            progress(done, len(cells))
        return
    pending: dict[Future[Any], Cell] = {
        executor.submit(measure_unit, *job, cell): cell for cell in todo
    }
    try:
        while pending:
            finished, _ = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in finished:
                keep(pending[future], future.result())
                del pending[future]
                done += 1
            progress(done, len(cells))
    except BaseException as error:
        for future, cell in pending.items():
            if future.done() and not future.cancelled() and future.exception() is None:
                keep(cell, future.result())
        if isinstance(error, BrokenExecutor):
            raise RunError(
                f"a worker process of {experiment.name} died, perhaps for want of memory. Finished "
                f"units are kept in {folder.path}; the same command continues, with --workers 1 if "
                "memory is short."
            ) from error
        raise
