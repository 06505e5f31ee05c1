"""Questions about run folders: what they have done, how two differ, what can go."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from percolaw import checks
from percolaw.errors import RunError
from percolaw.experiments.base import Experiment, from_config
from percolaw.runs.activity import idle
from percolaw.runs.description import continuing
from percolaw.runs.files import check_writable, read_json, well_formed
from percolaw.runs.rows import SUFFIXES, Units, dotted, long_rows, write_table
from percolaw.runs.store import RunFolder, read_record

#: What looks up an experiment's class by its name: None where it is not known.
Lookup: TypeAlias = Callable[[str], "type[Any] | None"]

#: What helps where a config does not fit.
OTHER_CONFIG = (
    "It is damaged, or of another version of percolaw: use that one, or move the folder aside."
)


def run_folders(out: str | Path) -> Iterator[Path]:
    """Yield the run folders in a folder, by name.

    Raises
    ------
    ValueError
        If there is no such folder.
    """
    place = Path(out)
    if not place.is_dir():
        raise ValueError(f"there is no folder {place}; name one with --out.")
    for path in sorted(place.iterdir()):
        if (path / "config.json").exists() and (path / "units.sqlite").exists():
            yield path


def sweep_folders(out: str | Path) -> Iterator[Path]:
    """Yield the folders of sweeps in a folder, by name."""
    for path in sorted(Path(out).iterdir()):
        if (path / "sweep.json").exists():
            yield path


def open_config(path: str | Path) -> dict[str, Any]:
    """Return the config of a run folder, or raise RunError."""
    file = Path(path) / "config.json"
    if not file.exists():
        why = "it has no config.json" if Path(path).exists() else "there is nothing of that name"
        raise RunError(f"{path} is no run folder: {why}.")
    config = read_json(file)
    if not isinstance(config, dict) or not {"experiment", "config"} <= set(config):
        raise RunError(f"{file} is not the config of a run.")
    if not isinstance(config["config"], dict) or not isinstance(config["experiment"], str):
        raise RunError(f"{file} is not the config of a run.")
    return config


def opened(
    path: str | Path, experiment_of: Lookup = lambda name: None
) -> tuple[RunFolder, Experiment | None]:
    """Open a run folder by its path alone, and make its experiment again.

    Parameters
    ----------
    path : path
    experiment_of : callable
        Name of an experiment to its class. Without it, and where the class is not known, there is no
        experiment.

    Returns
    -------
    RunFolder, Experiment or None

    Raises
    ------
    RunError
        If it is no run folder, is damaged, or its config does not fit the experiment.
    """
    config = open_config(path)
    with well_formed(f"{path}/config.json does not fit its experiment", OTHER_CONFIG):
        cls = experiment_of(config["experiment"])
        experiment = None if cls is None else from_config(cls, config["config"])
        return RunFolder(path, config, cls), experiment


def reopen(path: str | Path, experiment_of: Lookup) -> Experiment:
    """Return the experiment of a run folder, made again from its config.

    Parameters
    ----------
    path : path
    experiment_of : callable
        Name of an experiment to its class, or None where it is not known.

    Returns
    -------
    Experiment

    Raises
    ------
    RunError
        If the experiment is not known, or the folder is no whole run folder.
    """
    folder, experiment = opened(path, experiment_of)
    if experiment is None:
        raise RunError(
            f"{path} is a run of {folder.config['experiment']!r}, an experiment of a user's. Code that "
            f"a run folder names is never imported. {continuing(Path(path), folder.config)}"
        )
    return experiment


def damaged_units(path: str | Path) -> int:
    """Return how many units of a run are no longer as they were written; 0 without a store."""
    if not (Path(path) / "units.sqlite").exists():
        return 0
    return opened(path)[0].counts().get("damaged", 0)


def difference(first: str | Path, second: str | Path) -> dict[str, Any]:
    """Compare two finished runs: config, claims, code.

    Parameters
    ----------
    first, second : path
        Run folders with a record.

    Returns
    -------
    dict
        ``experiment``: both names; ``config``: field to the two values where they differ; ``claims``:
        name to what differs (predicted, measured, interval, tolerance, verdict: the two values), or
        ``{"only in": folder}``; ``same_claims``: number of claims that do not differ; ``code``: both
        hashes. The two values are lists [first, second].

    Raises
    ------
    RunError
        If a folder has no record, or its record is not one of a run.
    """
    one, two = (_checked_record(place) for place in (first, second))
    left, right = dict(dotted(one["config"])), dict(dotted(two["config"]))
    config = {
        key: [left.get(key), right.get(key)]
        for key in sorted({*left, *right})
        if left.get(key) != right.get(key)
    }
    claims: dict[str, Any] = {}
    a = {claim["name"]: claim for claim in one["claims"]}
    b = {claim["name"]: claim for claim in two["claims"]}
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
    record = read_record(path)
    claims, config = record.get("claims"), record.get("config")
    whole = isinstance(claims, list) and all(
        isinstance(claim, dict) and isinstance(claim.get("name"), str) for claim in claims
    )
    if not whole or not isinstance(config, dict):
        raise RunError(
            f"{path}/record.json is not the record of a run; resume the run to write it."
        )
    return record


def kept_units(path: str | Path) -> Units:
    """Return what a run has measured: of a finished one by the code of its record, else by the present.

    Damaged units are left out, see `damaged_units`. RunError if the folder cannot be read.
    """
    code = read_record(path).get("code") if (Path(path) / "record.json").exists() else ""
    return opened(path)[0].kept(code if isinstance(code, str) else "")


def export(path: str | Path, target: str | Path, *, overwrite: bool = False) -> int:
    """Write all rows of a run in long form, see `rows.long_rows`; return how many lines.

    Rows of an unfinished run are exported as far as they are, without damaged units (see
    `damaged_units`).

    Parameters
    ----------
    path : path
        A run folder.
    target : path
        The file to write, .csv, .jsonl or .parquet, in a folder that exists.
    overwrite : bool
        Whether a file of that name is replaced.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        For another suffix, a folder that does not exist, a file that does, and a run's rows.jsonl.
    RunError
        If the run has no finished units of its code, its rows do not fit a .parquet file, or the folder
        of the file is not writable.
    MissingExtraError
        If .parquet needs the extra ``store``.
    """
    out = Path(target)
    checks.choice("export suffix", out.suffix.lower(), SUFFIXES)
    if not out.parent.is_dir():
        raise ValueError(f"there is no folder {out.parent} to export to; make it first.")
    if out.name == "rows.jsonl" and (out.parent / "config.json").exists():
        raise ValueError(f"{out} belongs to a run; name another file.")
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists; name another file, or replace it with --overwrite.")
    check_writable(out.parent, "Name a file in another folder with --out.")
    columns = long_rows(kept_units(path))
    if not columns:
        raise RunError(f"{path} has no finished units of this code to export.")
    write_table(columns, out)
    return len(columns["cell"])


def garbage(path: Path) -> tuple[int, list[Path]]:
    """Return what a run folder can lose: units of other code, and leftovers of killed writes.

    Raises
    ------
    RunError
        If the folder is a link: what it leads to belongs to another place. If its name is that of a run
        of another experiment than its config tells: then all units would pass for those of other code.
    """
    if path.is_symlink():
        raise RunError(f"it is a link to {path.resolve()}. Collect garbage there with --out.")
    store = opened(path)[0]
    named = re.fullmatch(r"(.+)-[0-9a-f]{12}", path.name)
    if named and named[1] != store.config["experiment"]:
        raise RunError(
            f"its name is of a run of {named[1]}, its config.json of {store.config['experiment']}. "
            "Restore the config, or rename the folder."
        )
    units = store.count_other_code()
    left = (file for file in path.rglob(".*.part") if file.is_symlink() or file.is_file())
    return units, sorted(left)


def collect_garbage(path: Path) -> int:
    """Remove what `garbage` names; return the bytes won back.

    Raises
    ------
    RunError
        If the folder is a link, cannot be written, or a process works on the run.
    """
    check_writable(path, "Copy the folder of runs to where you may write, or ask its owner.")
    with idle(path):
        won = 0
        for file in garbage(path)[1]:
            won += file.lstat().st_size
            file.unlink(missing_ok=True)
        return won + opened(path)[0].forget_other_code()[1]
