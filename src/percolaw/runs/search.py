"""Searches over config fields: grid, random, or Optuna's TPE, resumable, by several processes.

A search is a folder with its definition, Optuna's journal, and the run folders of its trials. What it
lowers is `validate(rows)`, which is handed no field whose name begins with ``test``.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import queue
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.errors import RunError
from percolaw.experiments.base import config_dict, content_id, from_config
from percolaw.rng import Streams
from percolaw.runs.activity import RunCancelled, working
from percolaw.runs.code import experiment_code
from percolaw.runs.files import (
    check_writable,
    is_in_the_way,
    make_folder,
    read_json,
    well_formed,
    write_atomic,
)
from percolaw.runs.run import Result, default_folder, run
from percolaw.runs.search_space import Axis, Search
from percolaw.runs.signals import undivided
from percolaw.runs.store import RunFolder
from percolaw.runs.threads import one_thread
from percolaw.runs.workers import WorkerPool, refuse_in_starting_process

#: Failures in a row after which a search gives up.
MOST_FAILURES = 10


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Attributes
    ----------
    folder : Path
    best : Experiment
        Config of the least objective.
    value : float
        Its objective.
    trials : list of dict
        Every finished trial, the best first: number, values of the fields, objective, run (the name of
        its folder), and code (hash of what measured it).
    outdated : int
        Trials among them whose objective was measured by other code than the present.
    failed : list of dict
        Values of the fields of trials that failed and of which no other finished.
    """

    folder: Path
    best: Any
    value: float
    trials: list[dict[str, Any]]
    failed: list[dict[str, Any]]
    outdated: int


def run_search(
    search: Search,
    *,
    out: str | os.PathLike[str] = "runs",
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    waiting: Callable[[str], None] = lambda message: None,
) -> SearchResult:
    """Search to the end; what was tried before is not tried again.

    Parameters
    ----------
    search : Search
    out : path
        Where the folder of the search is made.
    workers : int
        Processes that try at the same time. With more than one, TPE depends on which process is
        faster; grids and random search do not.
    progress : callable
        Called with trials finished and in all.
    waiting : callable
        Called with a message if another process works on it, for which this one then waits, and if
        objectives that are kept were measured by other code.

    Returns
    -------
    SearchResult

    Raises
    ------
    RunError
        If the folder holds another search or is damaged, `MOST_FAILURES` trials in a row fail, no trial
        finishes, or a process of the search ends.
    RunCancelled
        If asked to stop.
    MissingExtraError
        Without the extra ``sweep``.
    """
    refuse_in_starting_process()
    checks.extra("optuna", "sweep")
    folder = Path(out) / f"sweep-{search.experiment.name}-{content_id(search.definition())}"
    make_folder(folder)
    check_writable(folder)
    definition = json.dumps(search.definition(), indent=1) + "\n"
    if not (folder / "sweep.json").exists():
        write_atomic(folder / "sweep.json", definition)
    elif read_json(folder / "sweep.json") != json.loads(definition):
        raise RunError(
            f"{folder}/sweep.json is of another search, or damaged. Move the folder aside."
        )
    with working(folder, waiting) as activity:
        study = _study(search, folder)
        _give_up_lost_trials(study)
        if search.sampler == "grid":
            _enqueue_grid(search, study)

        def report_progress() -> None:
            done = _n_finished(study)
            progress(done, search.total)
            activity.report(done, search.total, 0)

        report_progress()
        if workers <= 1:
            _search(search, folder, report_progress)
        else:
            _search_together(search, folder, workers, report_progress)
        result = _concluded(search, folder)
    if result.outdated:
        best = result.trials[0]["code"] != experiment_code(type(search.experiment))
        which = f"{len(result.trials)} objectives{', the best among them,' if best else ''}"
        waiting(
            f"{result.outdated} of {which} were measured by other code than the present and kept: they "
            "may not compare. With another --out all are measured anew."
        )
    return result


def _sampler(search: Search, trial: int) -> Any:
    """A sampler for one trial, seeded by its number: a search that goes on draws anew."""
    import optuna

    seed = int(Streams(search.seed).key("init", trial) >> np.uint64(33))
    if search.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)  # a grid's trials are enqueued


def _study(search: Search, folder: Path) -> Any:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal = folder / "journal.log"
    if is_in_the_way(journal):
        raise RunError(f"{journal} is no regular file. Move it aside.")
    with well_formed(f"{journal} cannot be read", "Move it aside to search anew."):
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            sampler=_sampler(search, 0),
            study_name="sweep",
            load_if_exists=True,
        )


def _suggest(trial: Any, axis: Axis) -> Any:
    if axis.choices:
        return json.loads(
            trial.suggest_categorical(axis.field, [json.dumps(c) for c in axis.choices])
        )
    if axis.integer:
        return trial.suggest_int(axis.field, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(axis.field, axis.low, axis.high, log=axis.log)


def _objective(search: Search, folder: Path, trial: Any) -> float:
    experiment = search.trial({axis.field: _suggest(trial, axis) for axis in search.axes})
    result: Result = run(experiment, out=folder)
    store = RunFolder(result.folder, config_dict(experiment), type(experiment))
    trial.set_user_attr("run", result.folder.name)
    trial.set_user_attr("code", store.code)
    value = _value(experiment, store)
    if not math.isfinite(value):
        raise ValueError(f"the objective of {result.folder} is {value}.")
    return value


def _value(experiment: Any, store: RunFolder) -> float:
    """The objective of a run by its stored rows, without what is called test."""
    rows = [
        {k: v for k, v in row.items() if not k.startswith("test")}
        for row in store.rows(experiment.cells())
    ]
    with one_thread():
        return float(experiment.validate(rows))


def _n_finished(study: Any) -> int:
    return len(_finished(study))


def _finished(study: Any) -> list[Any]:
    from optuna.trial import TrialState

    return list(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _give_up_lost_trials(study: Any) -> None:
    """Trials of a process that was killed: nobody else holds the lock, so nobody works on them."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
        if trial.params and not trial.system_attrs.get("fixed_params"):
            study.enqueue_trial(trial.params)


def _enqueue_grid(search: Search, study: Any) -> None:
    """Put every point of the grid that was not tried yet in the queue, which processes share."""
    from optuna.trial import TrialState

    known = [
        t.system_attrs.get("fixed_params", t.params)
        for t in study.get_trials(deepcopy=False)
        if t.state in (TrialState.COMPLETE, TrialState.WAITING)
    ]
    names = [axis.field for axis in search.axes]
    for point in itertools.product(*(map(json.dumps, axis.choices) for axis in search.axes)):
        params = dict(zip(names, point, strict=True))
        if params not in known:
            study.enqueue_trial(params)


def _search(search: Search, folder: Path, report_progress: Callable[[], None]) -> None:
    """Try until enough trials are finished; one process's share."""
    from optuna.trial import TrialState

    study = _study(search, folder)
    errors: list[Exception] = []
    cancelled: list[RunCancelled] = []

    def objective(trial: Any) -> float:
        # The sampler of the first question: its numbers depend on the trial alone.
        study.sampler = _sampler(search, trial.number)
        try:
            value = _objective(search, folder, trial)
        except RunCancelled as error:
            cancelled.append(error)
            raise
        except Exception as error:
            errors.append(error)
            raise
        errors.clear()
        return value

    while True:
        states = [t.state for t in study.get_trials(deepcopy=False)]
        waiting, running = states.count(TrialState.WAITING), states.count(TrialState.RUNNING)
        if search.sampler == "grid":
            if not waiting:
                return
        elif states.count(TrialState.COMPLETE) + running >= search.total:
            return
        study.optimize(objective, n_trials=1, catch=(Exception,))
        if cancelled:
            raise cancelled[0]
        if len(errors) >= MOST_FAILURES:
            raise RunError(
                f"{len(errors)} trials in a row failed, the last with: {errors[-1]}"
            ) from errors[-1]
        report_progress()


def _search_from_disk(module: str, name: str, folder: str, n_trials: int) -> None:
    """A worker's part, from the definition on disk."""
    import importlib

    definition = read_json(Path(folder) / "sweep.json")
    cls = getattr(importlib.import_module(module), name)
    axes = tuple(Axis(**{**axis, "choices": tuple(axis["choices"])}) for axis in definition["axes"])
    experiment = from_config(cls, definition["config"])
    search = Search(experiment, axes, definition["sampler"], n_trials, definition["seed"])
    _search(search, Path(folder), lambda: None)


def _search_together(
    search: Search, folder: Path, workers: int, report_progress: Callable[[], None]
) -> None:
    cls = type(search.experiment)
    job = (cls.__module__, cls.__name__, str(folder), search.n_trials)
    with WorkerPool(workers) as pool:
        ended: queue.SimpleQueue[Any] = queue.SimpleQueue()
        with undivided():
            futures = [pool.submit(_search_from_disk, *job) for _ in range(workers)]
            for future in futures:
                future.add_done_callback(ended.put)
        left = workers
        while left:
            with contextlib.suppress(queue.Empty):
                ended.get(timeout=1.0)
                left -= 1
            report_progress()
        for future in futures:
            try:
                future.result()
            except (RunError, ValueError):
                raise
            except Exception as error:  # a lost worker's
                raise RunError(
                    f"a process of the search ended ({type(error).__name__}: {error}). Finished "
                    f"trials are kept in {folder}; the same command goes on."
                ) from error


def _failed(study: Any, trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from optuna.trial import TrialState

    done = [trial["values"] for trial in trials]
    failed: list[dict[str, Any]] = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        values = {
            k: json.loads(v) if isinstance(v, str) else v
            for k, v in (trial.params or trial.system_attrs.get("fixed_params", {})).items()
        }
        if values and values not in done and values not in failed:
            failed.append(values)
    return failed


def _check_journal(search: Search, folder: Path, trial: dict[str, Any]) -> None:
    """Refuse a trial that is not what its run is: rows have checksums, lines of the journal have none."""
    experiment = search.trial(trial["values"])
    place = default_folder(experiment, folder)
    right = place.name == trial["run"]
    present = trial["code"] == experiment_code(type(experiment))
    if right and present and place.is_dir():  # else somebody has removed it
        store = RunFolder(place, config_dict(experiment), type(experiment))
        kept = {store.key(cell) for cell in experiment.cells()} <= store.finished()
        right = not kept or _value(experiment, store) == trial["objective"]
    if not right:
        raise RunError(
            f"trial {trial['number']} in {folder}/journal.log, {trial['values']} with the objective "
            f"{trial['objective']}, is not what its run {trial['run']} holds: the journal is damaged. "
            "Move it aside; the same command tries anew and keeps the runs."
        )


def _concluded(search: Search, folder: Path) -> SearchResult:
    study = _study(search, folder)
    finished = _finished(study)
    if not finished:
        raise RunError(f"no trial of {folder} finished; their runs say why.")
    trials = [
        {
            "number": t.number,
            "values": {
                axis.field: json.loads(t.params[axis.field])
                if axis.choices
                else t.params[axis.field]
                for axis in search.axes
            },
            "objective": t.value,
            "run": t.user_attrs["run"],
            "code": t.user_attrs.get("code"),  # what older versions have tried has none
        }
        for t in sorted(finished, key=lambda t: (t.value, t.number))
    ]
    for trial in trials:
        _check_journal(search, folder, trial)
    best = search.trial(trials[0]["values"])
    write_atomic(
        folder / "best.json",
        json.dumps(
            {**config_dict(best), "objective": trials[0]["objective"], "trials": trials}, indent=1
        )
        + "\n",
    )
    value, present = float(trials[0]["objective"]), experiment_code(type(search.experiment))
    outdated = sum(trial["code"] != present for trial in trials)
    return SearchResult(folder, best, value, trials, _failed(study, trials), outdated)
