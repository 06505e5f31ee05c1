"""Questions about run folders: what they have done, how two differ, what can go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from percolaw import checks
from percolaw.errors import PercolawError, RunError
from percolaw.experiments.base import Experiment, from_config
from percolaw.runs.activity import active
from percolaw.runs.store import RunFolder, read_json, read_record


@dataclass(frozen=True)
class RunStatus:
    """What a run has done.

    Attributes
    ----------
    folder, experiment : str
    state : {"running", "concluded", "outdated", "unfinished", "failed", "damaged"}
        Outdated: concluded by another version of the code.
    done, failed : int
        Units measured by the present code, and failed.
    units : int or None
        Units in all; None of an unknown experiment.
    seconds_left : float or None
        Of a running one, by its own estimate.
    where : str
        Host and process that works on it now.
    note : str
        What is wrong with a damaged one.
    """

    folder: str
    experiment: str
    state: str
    done: int = 0
    failed: int = 0
    units: int | None = None
    seconds_left: float | None = None
    where: str = ""
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def run_folders(out: str | Path) -> Iterator[Path]:
    """Yield the run folders in a folder, by name."""
    place = Path(out)
    if not place.is_dir():
        raise ValueError(f"there is no folder {place}; name one with --out.")
    for path in sorted(place.iterdir()):
        if (path / "config.json").exists() and (path / "units.sqlite").exists():
            yield path


def status(path: Path, experiment_of: Any) -> RunStatus:
    """Return the status of a run folder.

    Parameters
    ----------
    path : path
    experiment_of : callable
        Name of an experiment to its class, or None where it is not known.
    """
    try:
        config = open_config(path)
        counts = RunFolder(path, config).counts()
        cls = experiment_of(config["experiment"])
        units = None if cls is None else len(from_config(cls, config["config"]).cells())
    except (ValueError, KeyError, TypeError, OSError, PercolawError) as error:
        return RunStatus(str(path), "", "damaged", note=str(error))
    now = active(path)
    done, failed = counts.get("done", 0), counts.get("failed", 0)
    if now is not None:
        state = "running"
    elif failed:
        state = "failed"
    elif not (path / "record.json").exists():
        state = "unfinished"
    else:
        state = "concluded" if units is None or done >= units else "outdated"
    return RunStatus(
        str(path),
        config["experiment"],
        state,
        done,
        failed,
        units,
        None if now is None else now.get("seconds_left"),
        "" if now is None else f"{now['host']}:{now['pid']}",
    )


def open_config(path: str | Path) -> dict[str, Any]:
    """Return the config of a run folder, or raise RunError."""
    file = Path(path) / "config.json"
    if not file.exists():
        raise RunError(f"{path} is no run folder: it has no config.json.")
    config = read_json(file)
    if not isinstance(config, dict) or not {"experiment", "config"} <= set(config):
        raise RunError(f"{file} is not the config of a run.")
    if not isinstance(config["config"], dict) or not isinstance(config["experiment"], str):
        raise RunError(f"{file} is not the config of a run.")
    return config


def reopen(path: str | Path, experiment_of: Any) -> Experiment:
    """Return the experiment of a run folder, made again from its config."""
    config = open_config(path)
    cls = experiment_of(config["experiment"])
    if cls is None:
        raise RunError(
            f"{path} is a run of {config['experiment']!r}, which this percolaw does not know. Run it "
            "from Python with percolaw.run(experiment, folder=...)."
        )
    experiment: Experiment = from_config(cls, config["config"])
    return experiment


def difference(first: str | Path, second: str | Path) -> dict[str, Any]:
    """Compare two finished runs: config, claims, code.

    Returns
    -------
    dict
        ``config``: field to pair of values where they differ; ``claims``: name to what differs
        (predicted, measured, interval, verdict, or presence); ``code``: pair of code hashes.
    """
    one, two = (_checked_record(place) for place in (first, second))
    left, right = _flat(one.get("config", {})), _flat(two.get("config", {}))
    config = {
        key: [left.get(key), right.get(key)]
        for key in sorted({*left, *right})
        if left.get(key) != right.get(key)
    }
    claims: dict[str, Any] = {}
    a = {claim["name"]: claim for claim in one.get("claims", [])}
    b = {claim["name"]: claim for claim in two.get("claims", [])}
    for name in dict.fromkeys([*a, *b]):
        if name not in a or name not in b:
            claims[name] = {"only in": str(first if name in a else second)}
            continue
        changed = {
            key: [a[name].get(key), b[name].get(key)]
            for key in ("predicted", "measured", "interval", "tolerance", "verdict")
            if a[name].get(key) != b[name].get(key)
        }
        if changed:
            claims[name] = changed
    return {
        "experiment": [one.get("experiment"), two.get("experiment")],
        "config": config,
        "claims": claims,
        "same_claims": len(set(a) & set(b)) - sum(1 for c in claims.values() if "only in" not in c),
        "code": [one.get("code"), two.get("code")],
    }


def _checked_record(path: str | Path) -> dict[str, Any]:
    record: Any = read_record(path)
    claims = record.get("claims") if isinstance(record, dict) else None
    whole = isinstance(claims, list) and all(isinstance(c, dict) and "name" in c for c in claims)
    if not whole:
        raise RunError(
            f"{path}/record.json is not the record of a run; resume the run to write it."
        )
    return dict(record)


def _flat(fields: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(fields, dict):
        return {prefix.rstrip("."): fields}
    found: dict[str, Any] = {}
    for key, value in fields.items():
        found |= _flat(value, f"{prefix}{key}.")
    return found


def export(path: str | Path, target: str | Path) -> int:
    """Write all rows of a run as .csv, .jsonl or .parquet, atomically; return how many.

    Lists become JSON text in .csv and lists in .parquet. Rows of an unfinished run are exported as
    far as they are.
    """
    import os

    out = Path(target)
    suffix = checks.choice("export suffix", out.suffix.lower(), (".csv", ".jsonl", ".parquet"))
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent} to export to; make it first.")
    rows = [row for _, own in RunFolder(path, open_config(path)).kept() for row in own]
    if not rows:
        raise RunError(f"{path} has no finished units of this code to export.")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        if suffix == ".jsonl":
            part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        elif suffix == ".csv":
            _write_csv(rows, part)
        else:
            pyarrow = checks.extra("pyarrow", "store")
            parquet = checks.extra("pyarrow.parquet", "store")
            parquet.write_table(pyarrow.Table.from_pylist(_one_kind(rows)), part)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return len(rows)


def _columns(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _write_csv(rows: list[dict[str, Any]], part: Path) -> None:
    import csv

    with open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns(rows))
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: json.dumps(v) if isinstance(v, (list, dict)) else v for k, v in row.items()}
            )


def _one_kind(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with all columns; dictionaries, for which Parquet has no one type, as JSON text."""
    names = _columns(rows)
    return [
        {n: json.dumps(v) if isinstance(v := row.get(n), dict) else v for n in names}
        for row in rows
    ]


def garbage(path: Path) -> tuple[int, list[Path]]:
    """Return what a run folder can lose: units of other code, and leftovers of killed writes."""
    units = RunFolder(path, open_config(path)).count_other_code()
    return units, sorted(path.rglob(".*.part"))


def collect_garbage(path: Path) -> int:
    """Remove what `garbage` names; return the bytes won back."""
    folder = RunFolder(path, open_config(path))
    if active(path) is not None:
        raise RunError(f"{path} is being worked on; wait, or cancel it first.")
    won = 0
    for file in sorted(path.rglob(".*.part")):
        won += file.stat().st_size
        file.unlink(missing_ok=True)
    return won + folder.forget_other_code()[1]
