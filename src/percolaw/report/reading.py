"""What records say: run folders read and checked for the page and for figures."""

from __future__ import annotations

import importlib.util
import io
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from percolaw.errors import RunError
from percolaw.experiments.claims import Claim, Claims
from percolaw.experiments.registry import EXPERIMENTS
from percolaw.experiments.series import Plot
from percolaw.nulls import from_null
from percolaw.report.records import number as json_number
from percolaw.report.records import numbers, read_plots
from percolaw.runs.description import Description, description_of
from percolaw.runs.files import MALFORMED, read_json, strict_json, well_formed
from percolaw.runs.folders import open_config
from percolaw.runs.run import Result
from percolaw.runs.store import read_record

_PNG = b"\x89PNG\r\n\x1a\n"
#: Verdicts and their signs.
VERDICTS = {"agrees": "\u2713", "disagrees": "\u2715", "inconclusive": "?"}

#: What figures raise, of a record of the wrong shape or by a mistake of their own.
DRAWING = (*MALFORMED, RuntimeError, AssertionError, ImportError)


@dataclass(frozen=True)
class Picture:
    """A PNG of a run."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Run:
    """What the page shows of one run.

    Attributes
    ----------
    folder : Path
    record : dict
        As `percolaw.runs.store.read_record` returns it, known to have the fields used here.
    claims : tuple of Claim
    plots : tuple of Plot
    pictures : tuple of Picture
    description : Description
        What is known of the experiment; its code is not asked, unless it is percolaw's.
    notes : tuple of str
        What could not be drawn, and why.
    """

    folder: Path
    record: dict[str, Any]
    claims: tuple[Claim, ...]
    plots: tuple[Plot, ...]
    pictures: tuple[Picture, ...]
    description: Description
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The experiment's name."""
        return str(self.record["experiment"])


class Entry(NamedTuple):
    """A run with the id of its section, and what tells it from others of its experiment."""

    run: Run
    place: str
    label: str

    @property
    def words(self) -> str:
        """What the run is called."""
        return f"{self.run.name} {self.label}".strip()


@dataclass(frozen=True)
class Paper:
    """A folder of `percolaw reproduce`: what its summary tells."""

    title: str
    command: str
    seconds: float | None


def expand(folders: Sequence[str | os.PathLike[str]]) -> tuple[list[Path], list[Paper]]:
    """Return run folders, each once, and the summaries of `percolaw reproduce` among them.

    Raises
    ------
    RunError
        For no folders, and a folder that does not exist.
    """
    if not folders:
        raise RunError("a report needs at least one run folder. percolaw status lists them.")
    runs: list[Path] = []
    papers: list[Paper] = []
    for given in map(Path, folders):
        if not given.is_dir():
            raise RunError(
                f"there is no folder {given}. Name a run folder or a folder of percolaw reproduce; "
                "percolaw status --out DIR lists those in DIR."
            )
        if not (given / "summary.json").exists() or (given / "record.json").exists():
            runs.append(given)
            continue
        members, paper = _summary(given)
        runs += members
        papers.append(paper)
    once = {folder.resolve(): folder for folder in reversed(runs)}
    return [folder for folder in dict.fromkeys(runs) if once[folder.resolve()] == folder], papers


def _summary(folder: Path) -> tuple[list[Path], Paper]:
    file = folder / "summary.json"
    again = "Run the same percolaw reproduce command again: it writes the file anew."
    summary = read_json(file, again)
    runs = summary.get("runs") if isinstance(summary, dict) else None
    if not isinstance(runs, dict) or not runs:
        raise RunError(f"{file} names no runs. {again}")
    members = []
    for name, where in runs.items():
        if not isinstance(where, str) or not where or "\0" in where:
            raise RunError(f"{file} does not say where the run of {name[:60]!r} is. {again}")
        beside = folder.parent / Path(where).name
        try:
            member = next((p for p in (beside, Path(where)) if p.is_dir()), None)
        except (OSError, ValueError):
            member = None
        if member is None:
            raise RunError(
                f"the run of {name[:60]!r} that {file} names, {where[:200]!r}, is gone. {again}"
            )
        members.append(member)
    try:
        seconds = json_number(summary.get("seconds"))
    except ValueError:
        seconds = None
    return members, Paper(str(summary.get("paper", "")), str(summary.get("command", "")), seconds)


def read_run(folder: str | os.PathLike[str]) -> Run:
    """Return what the page shows of a finished run folder.

    Raises
    ------
    RunError
        If the run has not finished, or its record is damaged or of another version.
    """
    where = Path(folder)
    record = read_record_of(where)
    with readable(where):
        claims = tuple(_claim(entry) for entry in _list(record["claims"]))
    plots: tuple[Plot, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes = []
    try:
        with drawing(where):
            plots = read_plots(record.get("plots", []))
            pictures = _pictures(where, record, plots)
    except RunError as error:
        notes.append(str(error))
    description = description_of(where, record["experiment"])
    return Run(where, record, claims, plots, pictures, description, tuple(notes))


def open_run(folder: str | os.PathLike[str]) -> Result:
    """Open a run folder: config, claims, rows, curves, plots. No code that it names is imported.

    Parameters
    ----------
    folder : path
        Of a run, finished or not; or its name in ``runs``.

    Returns
    -------
    Result
        What `percolaw.run` returned. Of a run that is not finished the rows so far, no claims and no
        plots.

    Raises
    ------
    RunError
        If it is no run folder, or damaged, or its config is not the one that was concluded from.

    Examples
    --------
    >>> open_run("nowhere")
    Traceback (most recent call last):
    percolaw.errors.RunError: nowhere is no run folder: there is nothing of that name.
    """
    where = Path(folder)
    if not where.exists() and (Path("runs") / where).is_dir():
        where = Path("runs") / where
    config = open_config(where)
    name, fields = config["experiment"], config["config"]
    if not (where / "record.json").exists():
        return Result(where, name, fields, Claims(), {}, finished=False)
    record = read_record_of(where)
    concluded = {"experiment": record["experiment"], **record["config"]}
    asked = strict_json({"experiment": name, **fields})  # as a record holds it: no infinity
    changed = [key for key, value in asked.items() if concluded.get(key, value) != value]
    if changed:
        raise RunError(
            f"{where}/config.json and record.json are of different runs: {', '.join(changed)} differ. "
            f"Put the config back, or measure anew what it says: percolaw resume {where}."
        )
    with readable(where):
        claims = Claims(_claim(entry) for entry in _list(record["claims"]))
        plots = read_plots(record.get("plots", []))
        reused = {str(k): int(v) for k, v in (record.get("reused") or {}).items()}
    return Result(where, name, fields, claims, record["tables"], plots, reused)


def read_record_of(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the record of a finished run, known to have an experiment, a config and tables.

    Raises
    ------
    RunError
        If the run has not finished, or its record is damaged or of another version.
    """
    where = Path(folder)
    if not (where / "record.json").exists():
        if not (where / "config.json").exists():
            raise RunError(
                f"{where} is neither a run folder nor one of percolaw reproduce. Name one: "
                f"percolaw status --out {where} lists the runs in it."
            )
        raise RunError(
            f"{where} has not finished: it has no record.json. Run the same command again, finished "
            f"units are kept; percolaw status --out {where.parent} shows what is missing."
        )
    with readable(where):
        record = read_record(where)
        if record["status"] != "done":
            raise RunError(
                f"{where} has not finished: its status is {str(record['status'])[:60]!r}. "
                "Run the same command again."
            )
        for field, kind in (("config", dict), ("tables", dict)):
            if not isinstance(record[field], kind):
                raise TypeError(f"{field} is no {kind.__name__}")
    return record


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Say of whatever a record of the wrong shape raises where it was and what helps."""
    with well_formed(
        f"{folder}/record.json does not hold what its experiment writes",
        "It is damaged, or of another version of percolaw: run the same command again, which keeps "
        "finished units and writes it anew.",
    ):
        yield


@contextmanager
def drawing(folder: Path) -> Iterator[None]:
    """Say of whatever figures raise whose they are; whether data or drawing is wrong is not known."""
    with well_formed(
        f"the figures of {folder} cannot be drawn",
        "Its claims stand. Either the code of the figures is wrong, or the record is of another version.",
        DRAWING,
    ):
        yield


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("claims are no list")
    return value


def _claim(entry: Any) -> Claim:
    texts = [entry[key] for key in ("name", "source", "verdict")] + [entry.get("note", "")]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a claim's name, source, verdict and note must be text")
    if entry["verdict"] not in VERDICTS:
        raise ValueError(f"unknown verdict {entry['verdict'][:60]!r}")
    low, high = numbers(entry["interval"], 2)
    value, expected = json_number(entry["measured"]), json_number(entry["predicted"])
    tolerance = json_number(entry["tolerance"])
    if tolerance is None:
        raise ValueError("a claim needs a tolerance")
    return Claim(
        texts[0],
        texts[1],
        from_null(expected),
        from_null(value),
        (from_null(low, -math.inf), from_null(high, math.inf)),
        tolerance,
        entry["verdict"],
        texts[3],
        {str(key): str(value) for key, value in (entry.get("about") or {}).items()},
    )


def figures_of(name: str) -> Any:
    """Return the module that draws what is no curve of an experiment, None if there is none."""
    module = f"percolaw.report.figures.{EXPERIMENTS.get(name, '').split(':')[0].split('.')[-1]}"
    if name not in EXPERIMENTS or importlib.util.find_spec(module) is None:
        return None
    return importlib.import_module(module)


def drawn(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    """Return a record's figures by name: its plots, and what else its experiment draws.

    Parameters
    ----------
    folder : path
        Of the run, for messages.
    record : dict

    Returns
    -------
    dict
        Name to Matplotlib figure.
    """
    from percolaw.report import draw

    module = figures_of(record["experiment"])
    with drawing(folder):
        figures = draw.figures(read_plots(record.get("plots", [])))
        return figures | (dict(module.draw(record)) if module else {})


def _pictures(folder: Path, record: dict[str, Any], plots: Sequence[Plot]) -> tuple[Picture, ...]:
    """Pictures that repeat no plot: kept with the run if they are of this record, else drawn now."""
    written = (folder / "record.json").stat().st_mtime
    shown = {plot.figure or plot.id for plot in plots}
    kept = sorted((folder / "figures").glob("[!.]*.png"), key=lambda p: p.stem)
    here = not any(p.is_symlink() for p in (folder / "figures", *kept))
    if kept and here and all(p.is_file() and p.stat().st_mtime >= written for p in kept):
        others = tuple(Picture(p.stem, p.read_bytes()) for p in kept if p.stem not in shown)
        if all(p.data.startswith(_PNG) and len(p.data) > 24 for p in others):
            return others
    module = figures_of(record["experiment"])
    if module is None:
        return ()
    from percolaw.report.style import styled

    pictures = []
    with styled(), drawing(folder):
        for name, figure in dict(module.draw(record)).items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", metadata={"Software": "percolaw"})
            pictures.append(Picture(name, buffer.getvalue()))
    return tuple(pictures)
