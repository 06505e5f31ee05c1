"""What the runs and sweeps in a folder have done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from percolaw.errors import DatasetError, PercolawError
from percolaw.runs.activity import active
from percolaw.runs.description import command_again, description_of
from percolaw.runs.files import read_json, well_formed
from percolaw.runs.folders import OTHER_CONFIG, Lookup, opened, run_folders


@dataclass(frozen=True)
class RunStatus:
    """What a run has done.

    Attributes
    ----------
    folder, experiment : str
    state : {"running", "concluded", "outdated", "unfinished", "failed", "no data", "damaged"}
        Outdated: concluded by another version of the code. No data: files that it is about are not there
        or changed. Damaged: it cannot be read.
    kind : {"run", "sweep"}
        The units of a sweep are its trials.
    done, failed, damaged : int
        Units measured by the present code, failed, and no longer as they were written.
    units : int or None
        Units in all; None of a sweep, and where neither code nor folder says it.
    seconds_left : float or None
        Of a running one, by its own estimate.
    where : str
        Host and process that works on it now.
    again : str
        How a run goes on whose code must be named again; empty of percolaw's own.
    note : str
        What is wrong with a damaged one, or one without its data.
    """

    folder: str
    experiment: str
    state: str
    kind: str = "run"
    done: int = 0
    failed: int = 0
    damaged: int = 0
    units: int | None = None
    seconds_left: float | None = None
    where: str = ""
    again: str = ""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def status(path: Path, experiment_of: Lookup) -> RunStatus:
    """Return the status of a run folder; of one that cannot be read, why.

    Parameters
    ----------
    path : path
    experiment_of : callable
        Name of an experiment to its class, or None where it is not known.

    Returns
    -------
    RunStatus
    """
    try:
        folder, experiment = opened(path, experiment_of)
        counts = folder.counts()
        with well_formed(f"{path}/config.json does not fit its experiment", OTHER_CONFIG):
            if experiment is None:
                units = description_of(path, folder.config["experiment"]).units
                again = command_again(path, folder.config) or "percolaw.run in Python"
            else:
                try:
                    units, again = len(experiment.cells()), ""
                except DatasetError as error:
                    name, done = folder.config["experiment"], counts.get("done", 0)
                    note = f"{error} What was measured is kept, and report and export read it."
                    return RunStatus(str(path), name, "no data", done=done, note=note)
    except (OSError, PercolawError) as error:
        return RunStatus(str(path), "", "damaged", note=str(error))
    now = active(path)
    done, failed, damaged = (counts.get(name, 0) for name in ("done", "failed", "damaged"))
    if now is not None:
        state = "running"
    elif failed:
        state = "failed"
    elif damaged or not (path / "record.json").exists():
        state = "unfinished"
    else:
        state = "concluded" if units is None or done >= units else "outdated"
    return RunStatus(
        str(path),
        str(folder.config["experiment"]),
        state,
        done=done,
        failed=failed,
        damaged=damaged,
        units=units,
        seconds_left=None if now is None else now["seconds_left"],
        where="" if now is None else f"{now['host']}:{now['pid']}",
        again=again,
    )


def sweep_status(path: Path, experiment_of: Lookup) -> RunStatus:
    """Return the status of a sweep's folder: its trials that concluded, and whether it did.

    Parameters
    ----------
    path : path
    experiment_of : callable
        Name of an experiment to its class, or None where it is not known.

    Returns
    -------
    RunStatus
        Outdated if other code than the present measured one of its trials or more.
    """
    now = active(path)
    try:
        definition = read_json(path / "sweep.json")
        with well_formed(f"{path}/sweep.json does not define a sweep"):
            name = str(definition["experiment"])
        trials = [status(trial, experiment_of).state for trial in run_folders(path)]
    except (OSError, PercolawError) as error:
        return RunStatus(str(path), "", "damaged", "sweep", note=str(error))
    done = trials.count("concluded") + trials.count("outdated")
    state = "unfinished"
    if (path / "best.json").exists():
        state = "outdated" if "outdated" in trials else "concluded"
    if now is None:
        return RunStatus(str(path), name, state, "sweep", done)
    where = f"{now['host']}:{now['pid']}"
    left = now["seconds_left"]
    return RunStatus(str(path), name, "running", "sweep", done, seconds_left=left, where=where)
