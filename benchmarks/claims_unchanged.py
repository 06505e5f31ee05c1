"""Hold what today's code concludes against what was written down before a change.

    python benchmarks/claims_unchanged.py record BASELINE [RUN ...]   # before: smoke presets, kept runs
    python benchmarks/claims_unchanged.py compare BASELINE            # after: everything equal, or exit 1
    python benchmarks/claims_unchanged.py compare BASELINE --only NAME ...    # of these; `record` alike

``record`` measures the smoke preset of every experiment in this process, and concludes from the rows of
the run folders named. It writes one JSON file an experiment: config label, rows, claims. ``compare``
measures the smoke presets again and concludes from all rows again. Rows and claims must be equal to the
last digit: name, predicted, measured, interval, tolerance, verdict. Claims that were given other names on
purpose are listed in `RENAMED`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

from percolaw.cli.experiments import member_config
from percolaw.experiments.base import missing_extra, plain, preset, run_id
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.runs.code import experiment_code
from percolaw.runs.executor import measure_unit
from percolaw.runs.folders import open_config
from percolaw.runs.store import RunFolder

#: (experiment, old name) -> new name of claims renamed on purpose.
RENAMED: dict[tuple[str, str], str] = {}
COMPARED = ("name", "predicted", "measured", "interval", "tolerance", "verdict")


def as_json(value: Any) -> Any:
    """Plain values, as they come back from a file."""
    return json.loads(json.dumps(plain(value)))


def claims_of(experiment: Any, rows: list[Any]) -> list[dict[str, Any]]:
    """What an experiment concludes, without what is only told."""
    found = [as_json(dataclasses.asdict(c)) for c in experiment.conclude(rows).claims]
    return [{key: claim[key] for key in COMPARED} for claim in found]


def measured(experiment: Any) -> list[Any]:
    """All rows, unit by unit, with one thread as everywhere."""
    cls = type(experiment)
    code = experiment_code(cls)
    rows = []
    fields = as_json(experiment)
    for cell in experiment.cells():
        outcome = measure_unit(cls.__module__, cls.__name__, fields, code, cell)
        if outcome.rows is None:
            raise RuntimeError(outcome.error)
        rows += as_json(outcome.rows)
    return rows


def labels(name: str) -> list[tuple[str, Any]]:
    """The configs that are measured anew: the smoke preset, where there is one."""
    cls = experiment_class(name)
    return [("smoke", preset(cls, "smoke"))] if "smoke" in cls.presets else []


def record(folder: Path, runs: list[Path], only: list[str]) -> int:
    """Write the baseline, of all experiments or of some."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in only or EXPERIMENTS:
        if missing_extra(experiment_class(name)):
            continue
        for label, experiment in labels(name):
            started = time.perf_counter()
            write(folder, name, label, experiment, measured(experiment))
            print(f"{name} {label}: {time.perf_counter() - started:.1f} s", flush=True)
    for run in runs:
        config = open_config(run)
        name = config["experiment"]
        label = next((text for text, known in kept_configs(name) if run_id(known) in run.name), "")
        if not label:
            print(f"{run} is no preset and is passed over", file=sys.stderr)
            continue
        experiment = dict(kept_configs(name))[label]
        rows = RunFolder(run, config).rows(experiment.cells())
        write(folder, name, label, experiment, as_json(rows))
        print(f"{name} {label}: {len(rows)} kept rows", flush=True)
    return 0


def kept_configs(name: str) -> list[tuple[str, Any]]:
    """The configs of which rows may be kept: presets, and members of reproductions."""
    from percolaw.experiments.reproductions import REPRODUCTIONS

    cls = experiment_class(name)
    found = [(label, preset(cls, label)) for label in cls.presets if label != "smoke"]
    for paper, (_, members) in REPRODUCTIONS.items():
        if name in members:
            found += [
                (f"{paper} {label}", member_config(paper, name, label))
                for label in ("smoke", "laptop", "paper")
                if label in cls.presets
            ]
    return found


def write(folder: Path, name: str, label: str, experiment: Any, rows: list[Any]) -> None:
    """One file an experiment and config."""
    text = json.dumps({"label": label, "rows": rows, "claims": claims_of(experiment, rows)})
    (folder / f"{name}.{label.replace(' ', '.')}.json").write_text(text, encoding="utf-8")


def same(one: Any, two: Any) -> bool:
    """Equal to the last digit; NaN equals NaN."""
    if isinstance(one, float) and isinstance(two, float):
        return one == two or (math.isnan(one) and math.isnan(two))
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k]) for k in one)
    return bool(one == two)


def compare(folder: Path, only: list[str]) -> int:
    """Say what is not as it was, of all experiments or of some; return 1 if anything."""
    wrong = n_claims = 0
    files = [f for f in sorted(folder.glob("*.json")) if not only or f.name.split(".")[0] in only]
    if not files:
        raise SystemExit(f"{folder} holds no baseline of {' '.join(only) or 'any experiment'}.")
    for file in files:
        name = file.name.split(".")[0]
        before = json.loads(file.read_text(encoding="utf-8"))
        label = before["label"]
        if label == "smoke":
            experiment = dict(labels(name))[label]
            rows = measured(experiment)
            if not same(rows, before["rows"]):
                wrong += 1
                print(f"{name} {label}: measures other rows")
        else:
            experiment = dict(kept_configs(name))[label]
        now = claims_of(experiment, before["rows"])
        then = [{**c, "name": RENAMED.get((name, c["name"]), c["name"])} for c in before["claims"]]
        n_claims += len(then)
        if len(now) != len(then):
            wrong += 1
            print(f"{name} {label}: {len(now)} claims, {len(then)} before")
        for new, old in zip(now, then, strict=False):
            if not same(new, old):
                wrong += 1
                changed = [key for key in COMPARED if not same(new[key], old[key])]
                print(f"{name} {label}: {old['name']}: {', '.join(changed)} changed")
    smoke = {file.name.split(".")[0] for file in files if ".smoke." in file.name}
    without = [] if only else sorted({n for n in EXPERIMENTS if labels(n)} - smoke)
    if without:
        print(f"not compared, for want of a smoke baseline: {', '.join(without)}")
    print(f"{n_claims} claims of {len(files)} configs, {wrong} differences")
    return int(wrong > 0)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["record", "compare"])
    parser.add_argument("baseline", type=Path)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME")
    options = parser.parse_args()
    if options.command == "record":
        return record(options.baseline, options.runs, options.only)
    return compare(options.baseline, options.only)


if __name__ == "__main__":
    sys.exit(main())
