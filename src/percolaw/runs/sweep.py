"""Searches over config fields: grid, random, or Optuna's TPE, resumable, by several processes.

A sweep is a folder with its definition, Optuna's journal, and the run folders of its trials. The
objective is the experiment's `validate(rows)`, which is handed rows without anything whose name
begins with ``test``: what is chosen cannot have seen the test data.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from percolaw import checks
from percolaw.errors import RunError
from percolaw.experiments.base import config_dict, content_id, from_config, plain
from percolaw.rng import Streams
from percolaw.runs.activity import RunCancelled, working
from percolaw.runs.files import is_plain_file, read_json, well_formed, write_atomic
from percolaw.runs.run import Result, run
from percolaw.runs.store import RunFolder
from percolaw.runs.threads import one_thread
from percolaw.runs.workers import refuse_in_starting_process

Sampler: TypeAlias = Literal["grid", "random", "tpe"]

#: Failures in a row after which a search gives up.
MOST_FAILURES = 10


@dataclass(frozen=True)
class Axis:
    """What one config field may be.

    Attributes
    ----------
    field : str
        Name, with dots into nested parts.
    choices : tuple
        Values to choose from; empty for a range.
    low, high : float
        Ends of a range.
    log, integer : bool
        Spaced geometrically; whole numbers.
    """

    field: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    integer: bool = False


def parse_axis(text: str) -> Axis:
    """Return the axis of ``field=a,b,c``, ``field=low:high``, ``field=log:low:high`` or
    ``field=int:low:high`` (also ``field=int:log:low:high``)."""
    name, equals, spec = text.partition("=")
    field = name.strip().replace("-", "_")
    if not equals or not field or not spec:
        raise ValueError(
            f"--over must read FIELD=a,b,c or FIELD=low:high or FIELD=log:low:high; got {text!r}."
        )
    words = spec.split(":")
    if len(words) == 1:
        return Axis(field, choices=tuple(_value(word) for word in spec.split(",")))
    kinds, ends = words[:-2], words[-2:]
    unknown = set(kinds) - {"log", "int"}
    if unknown:
        raise ValueError(f"--over {text!r}: unknown {sorted(unknown)[0]!r}; known are log and int.")
    try:
        low, high = float(ends[0]), float(ends[1])
    except ValueError:
        raise ValueError(f"--over {text!r}: the ends of a range must be numbers.") from None
    log, integer = "log" in kinds, "int" in kinds
    if not low < high or (log and low <= 0.0):
        raise ValueError(f"--over {text!r}: a range needs low < high, and low > 0 with log.")
    if integer:
        checks.integer("low", low)
        checks.integer("high", high)
    return Axis(field, low=low, high=high, log=log, integer=integer)


def _value(word: str) -> Any:
    try:
        return json.loads(word)
    except ValueError:
        return word.strip()


@dataclass(frozen=True)
class Sweep:
    """A search over fields of an experiment's config.

    Attributes
    ----------
    experiment : Experiment
        With `validate(rows)`, the objective, lower is better.
    axes : tuple of Axis
    sampler : {"grid", "random", "tpe"}
    n_trials : int
        Trials in all; a grid has its own number.
    seed : int
    """

    experiment: Any
    axes: tuple[Axis, ...]
    sampler: Sampler = "tpe"
    n_trials: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        checks.choice("sampler", self.sampler, ("grid", "random", "tpe"))
        checks.integer("trials", self.n_trials, minimum=1)
        if not self.axes:
            raise ValueError("a sweep needs a field to go over: --over FIELD=...")
        if not callable(getattr(self.experiment, "validate", None)):
            raise ValueError(
                f"{self.experiment.name} has no validate(rows) and cannot be tuned; see docs/extend.md."
            )
        for axis in self.axes:
            if self.sampler == "grid" and not axis.choices:
                raise ValueError(f"a grid needs choices for {axis.field}: {axis.field}=a,b,c.")
            for value in axis.choices or (axis.low, axis.high):
                self.trial({axis.field: int(value) if axis.integer else value})
        fields = [axis.field for axis in self.axes]
        if len(set(fields)) < len(fields):
            raise ValueError(f"--over names a field twice: {', '.join(fields)}.")

    def trial(self, values: Mapping[str, Any]) -> Any:
        """Return the experiment with other values of some fields; raises ValueError if refused."""
        experiment = self.experiment
        for field, value in values.items():
            experiment = _replaced(experiment, field.split("."), value)
        return experiment

    @property
    def size(self) -> int:
        """Number of trials."""
        if self.sampler != "grid":
            return self.n_trials
        total = 1
        for axis in self.axes:
            total *= len(axis.choices)
        return total

    def definition(self) -> dict[str, Any]:
        """Return plain values that fix the sweep (not how many trials)."""
        return {
            **config_dict(self.experiment),
            "axes": [plain(dataclasses.asdict(axis)) for axis in self.axes],
            "sampler": self.sampler,
            "seed": self.seed,
        }


def _replaced(value: Any, path: list[str], new: Any) -> Any:
    names = {f.name for f in dataclasses.fields(value)}
    checks.choice("field", path[0], sorted(names))
    if len(path) > 1:
        new = _replaced(getattr(value, path[0]), path[1:], new)
        return dataclasses.replace(value, **{path[0]: new})
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    # Through JSON, as a config on disk would come: lists become tuples, types are checked.
    made = from_config(type(value), {path[0]: plain(new)})
    return dataclasses.replace(value, **{**fields, path[0]: getattr(made, path[0])})


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep.

    Attributes
    ----------
    folder : Path
    best : Experiment
        Config of the least objective.
    value : float
        Its objective.
    trials : list of dict
        Every finished trial: number, values of the fields, objective, run folder.
    failed : list of dict
        Values of the fields of trials that failed and of which no other finished.
    """

    folder: Path
    best: Any
    value: float
    trials: list[dict[str, Any]]
    failed: list[dict[str, Any]]


def run_sweep(
    sweep: Sweep,
    *,
    out: str | os.PathLike[str] = "runs",
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    waiting: Callable[[str], None] = lambda message: None,
) -> SweepResult:
    """Search to the end; what was tried before is not tried again.

    Parameters
    ----------
    sweep : Sweep
    out : path
        Where the sweep's folder is made.
    workers : int
        Processes that try at the same time. With more than one, TPE depends on which process is
        faster; grids and random search do not.
    progress : callable
        Called with trials finished and in all.
    waiting : callable
        Called with a message if another process works on the sweep; this one then waits for it.

    Returns
    -------
    SweepResult
    """
    refuse_in_starting_process()
    checks.extra("optuna", "sweep")
    folder = Path(out) / f"sweep-{sweep.experiment.name}-{content_id(sweep.definition())}"
    folder.mkdir(parents=True, exist_ok=True)
    definition = json.dumps(sweep.definition(), indent=1) + "\n"
    if not (folder / "sweep.json").exists():
        write_atomic(folder / "sweep.json", definition)
    elif read_json(folder / "sweep.json") != json.loads(definition):
        raise RunError(
            f"{folder}/sweep.json is of another sweep, or damaged. Move the folder aside."
        )
    with working(folder, waiting) as activity:
        study = _study(sweep, folder)
        _give_up_lost_trials(study)
        if sweep.sampler == "grid":
            _enqueue_grid(sweep, study)

        def told() -> None:
            done = _n_finished(study)
            progress(done, sweep.size)
            activity.report(done, sweep.size, 0)

        told()
        if workers <= 1:
            _search(sweep, folder, told)
        else:
            _search_together(sweep, folder, workers, told)
        return _concluded(sweep, folder)


def _sampler(sweep: Sweep, trial: int) -> Any:
    """A sampler for one trial, seeded by its number: a sweep that goes on draws anew."""
    import optuna

    seed = int(Streams(sweep.seed).key("init", trial) >> np.uint64(33))
    if sweep.sampler == "tpe":
        return optuna.samplers.TPESampler(seed=seed)
    return optuna.samplers.RandomSampler(seed=seed)  # a grid's trials are enqueued


def _study(sweep: Sweep, folder: Path) -> Any:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    journal = folder / "journal.log"
    if journal.exists() and not is_plain_file(journal):
        raise RunError(f"{journal} is no regular file. Move it aside.")
    with well_formed(f"{journal} cannot be read", "Move it aside to search anew."):
        return optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            sampler=_sampler(sweep, 0),
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


def _objective(sweep: Sweep, folder: Path, trial: Any) -> float:
    experiment = sweep.trial({axis.field: _suggest(trial, axis) for axis in sweep.axes})
    result: Result = run(experiment, out=folder)
    trial.set_user_attr("run", result.folder.name)
    store = RunFolder(result.folder, config_dict(experiment), type(experiment))
    rows = [
        {k: v for k, v in row.items() if not k.startswith("test")}
        for row in store.rows(experiment.cells())
    ]
    with one_thread():
        value = float(experiment.validate(rows))
    if not math.isfinite(value):
        raise ValueError(f"the objective of {result.folder} is {value}.")
    return value


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


def _enqueue_grid(sweep: Sweep, study: Any) -> None:
    """Put every point of the grid that was not tried yet in the queue, which processes share."""
    from optuna.trial import TrialState

    known = [
        t.system_attrs.get("fixed_params", t.params)
        for t in study.get_trials(deepcopy=False)
        if t.state in (TrialState.COMPLETE, TrialState.WAITING)
    ]
    names = [axis.field for axis in sweep.axes]
    for point in itertools.product(*(map(json.dumps, axis.choices) for axis in sweep.axes)):
        params = dict(zip(names, point, strict=True))
        if params not in known:
            study.enqueue_trial(params)


def _search(sweep: Sweep, folder: Path, told: Callable[[], None]) -> None:
    """Try until enough trials are finished; one process's share of a sweep."""
    from optuna.trial import TrialState

    study = _study(sweep, folder)
    errors: list[Exception] = []
    cancelled: list[RunCancelled] = []

    def objective(trial: Any) -> float:
        # The sampler of the first question: its numbers depend on the trial alone.
        study.sampler = _sampler(sweep, trial.number)
        try:
            value = _objective(sweep, folder, trial)
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
        if sweep.sampler == "grid":
            if not waiting:
                return
        elif states.count(TrialState.COMPLETE) + running >= sweep.size:
            return
        study.optimize(objective, n_trials=1, catch=(Exception,))
        if cancelled:
            raise cancelled[0]
        if len(errors) >= MOST_FAILURES:
            raise RunError(
                f"{len(errors)} trials in a row failed, the last with: {errors[-1]}"
            ) from errors[-1]
        told()


def _search_from_disk(module: str, name: str, folder: str, n_trials: int) -> None:
    """A worker's part, from the sweep's definition on disk."""
    import importlib

    definition = read_json(Path(folder) / "sweep.json")
    cls = getattr(importlib.import_module(module), name)
    axes = tuple(Axis(**{**axis, "choices": tuple(axis["choices"])}) for axis in definition["axes"])
    experiment = from_config(cls, definition["config"])
    sweep = Sweep(experiment, axes, definition["sampler"], n_trials, definition["seed"])
    _search(sweep, Path(folder), lambda: None)


def _search_together(sweep: Sweep, folder: Path, workers: int, told: Callable[[], None]) -> None:
    from concurrent.futures import FIRST_EXCEPTION, wait

    from percolaw.runs.workers import WorkerPool

    cls = type(sweep.experiment)
    job = (cls.__module__, cls.__name__, str(folder), sweep.n_trials)
    pool = WorkerPool(workers)
    try:
        futures = {pool.submit(_search_from_disk, *job) for _ in range(workers)}
        pending = futures
        while pending:
            _, pending = wait(pending, timeout=1.0, return_when=FIRST_EXCEPTION)
            told()
        for future in futures:
            try:
                future.result()
            except (RunError, ValueError):
                raise
            except Exception as error:  # whatever a lost worker raises
                raise RunError(
                    f"a process of the sweep ended ({type(error).__name__}: {error}). Finished "
                    f"trials are kept in {folder}; the same command goes on."
                ) from error
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def _failed(study: Any, trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from optuna.trial import TrialState

    done = [trial["values"] for trial in trials]
    found: list[dict[str, Any]] = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)):
        values = {
            k: json.loads(v) if isinstance(v, str) else v
            for k, v in (trial.params or trial.system_attrs.get("fixed_params", {})).items()
        }
        if values and values not in done and values not in found:
            found.append(values)
    return found


def _concluded(sweep: Sweep, folder: Path) -> SweepResult:
    study = _study(sweep, folder)
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
                for axis in sweep.axes
            },
            "objective": t.value,
            "run": t.user_attrs["run"],
        }
        for t in sorted(finished, key=lambda t: (t.value, t.number))
    ]
    best = sweep.trial(trials[0]["values"])
    write_atomic(
        folder / "best.json",
        json.dumps(
            {**config_dict(best), "objective": trials[0]["objective"], "trials": trials}, indent=1
        )
        + "\n",
    )
    return SweepResult(folder, best, float(trials[0]["objective"]), trials, _failed(study, trials))
