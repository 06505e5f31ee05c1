"""The long fault campaign: kills at random moments, and what reliability costs. Prints Markdown.

python benchmarks/reliability.py [--kills 60] [--only kills|young|overhead|open|scaling]
"""

import argparse
import dataclasses
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from _kills import BAR, Campaign, table
from fault_toy import FaultToy, register

import percolaw
from percolaw.experiments.base import config_dict
from percolaw.runs.code import experiment_code
from percolaw.runs.run import default_folder
from percolaw.runs.scheduler import dask_executor
from percolaw.runs.status import status
from percolaw.runs.store import Outcome, RunFolder
from percolaw.runs.workers import WorkerPool


def timed(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def overhead(place: Path, n: int) -> None:
    """Wall time of trivial units over their number."""
    toy = FaultToy(n_units=n)
    rows = []

    def go(name: str, executor, bar: float, count: int = n) -> None:
        experiment = dataclasses.replace(toy, n_units=count)
        seconds = timed(lambda: percolaw.run(experiment, out=place / name, executor=executor))
        again = timed(lambda: percolaw.run(experiment, out=place / name, executor=executor))
        each = seconds / count * 1e3
        rows.append(
            (name, count, f"{each:.2f} ms", f"{again:.2f} s", f"{bar:g} ms, {BAR[each < bar]}")
        )

    go("this process", None, 3.0, n // 5)
    with WorkerPool(2) as pool:
        go("WorkerPool(2)", pool, 3.0)
    with dask_executor("local", 2) as executor:
        go("Dask, local, 2 workers", executor, 10.0)
    print(
        "## Overhead per unit\n\nUnits that do nothing, wall time over their number; `again` is "
        "the same command when all are kept.\n"
    )
    table("where | units | overhead | again | bar", rows)


def bulk(folder: RunFolder, experiment, n_rows: int) -> None:
    """Fill a run as if it had been measured."""
    outcomes = []
    for cell in experiment.cells():
        rows = [{"unit": cell["unit"], "value": 2.0 + i, "kind": "a"} for i in range(n_rows)]
        outcomes.append((cell, Outcome(rows, "", 0.5, "host:1")))
        if len(outcomes) == 10_000:
            folder.keep(outcomes, "2026-01-01T00:00:00+00:00")
            outcomes.clear()
    folder.keep(outcomes, "2026-01-01T00:00:00+00:00")


def opening(place: Path) -> None:
    """Runs of a million rows."""
    rows = []
    for n_units, n_rows in ((1000, 1000), (100_000, 10), (1_000_000, 1)):
        experiment = FaultToy(n_units=n_units)
        path = default_folder(experiment, place / f"open{n_units}")
        folder = RunFolder(path, config_dict(experiment))
        bulk(folder, experiment, n_rows)
        best = min(timed(lambda p=path: status(p, lambda name: FaultToy)) for _ in range(3))
        cells = experiment.cells()
        kept = timed(lambda f=folder: f.kept())
        in_order = timed(lambda f=folder, c=cells: f.rows(c))
        size = (path / "units.sqlite").stat().st_size / 1e6
        rows.append(
            (
                f"{n_units:,} x {n_rows}",
                f"{size:.0f} MB",
                f"{best:.2f} s",
                f"{kept:.1f} s",
                f"{in_order:.1f} s",
                f"1 s, {BAR[best < 1.0]}",
            )
        )
        shutil.rmtree(path.parent)
    print(
        "## Opening a run of 10^6 rows\n\nUnits x rows of each; `status` is what `percolaw status` "
        "does, the bar is its. Reading is all rows as Python objects, by finish (export) and in "
        "the order of the cells (conclusion).\n"
    )
    table("units x rows | file | status | read for export | read in order | bar", rows)


@dataclasses.dataclass(frozen=True)
class SpinToy(FaultToy):
    """Units that compute instead of sleeping."""

    name = "spin-toy"

    def measure(self, cell):
        started = time.process_time()
        while time.process_time() < started + 1.0:
            pass
        return [{"unit": cell["unit"], "value": 2.0}]


def scaling(place: Path, n: int) -> None:
    """Ratio of the ideal to the real time of units of one second."""
    rows = []
    sleepy = FaultToy(n_units=n, seconds=1.0)
    busy = SpinToy(n_units=n)

    def go(name: str, kind: str, experiment, executor, workers: int) -> float:
        seconds = timed(
            lambda: percolaw.run(experiment, out=place / f"{name}{kind}", executor=executor)
        )
        return n * 1.0 / workers / seconds

    # What two processes of pure computing get of this machine, without percolaw.
    code = "import time\nend = time.process_time() + 8\nwhile time.process_time() < end: pass"
    alone = timed(lambda: subprocess.run([sys.executable, "-c", code], check=True))

    def both() -> None:
        two = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
        for process in two:
            process.wait()

    machine = alone / timed(both)
    for name, open_executor in (
        ("WorkerPool(2)", lambda: WorkerPool(2)),
        ("Dask, local, 2 workers", lambda: dask_executor("local", 2)),
    ):
        with open_executor() as executor:
            for kind, experiment in (("sleeping", sleepy), ("computing", busy)):
                ratio = go(name, kind, experiment, executor, 2)
                rows.append((name, kind, n, f"{ratio:.2f}", f"0.85, {BAR[ratio > 0.85]}"))
    print(
        f"## Efficiency at two workers\n\nUnits of one second; ideal wall time over real wall "
        f"time. Two bare processes that compute get {machine:.2f} of two cores here.\n"
    )
    table("where | units | number | efficiency | bar", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--settings", type=int, default=2000, help="a third of the units killed")
    parser.add_argument("--units", type=int, default=10_000, help="of the overhead")
    parser.add_argument("--only", choices=["kills", "young", "overhead", "open", "scaling"])
    options = parser.parse_args()
    register()
    place = Path(tempfile.mkdtemp(prefix="reliability-"))
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, code {experiment_code(FaultToy)}, "
        f"load {statistics.mean(os.getloadavg()):.1f} at the start.\n"
    )

    def kills(name: str, number: int) -> None:
        young = name == "young"
        Campaign(place / name, options.seed, options.settings, young).go(number)

    parts = {
        "kills": lambda: kills("kills", options.kills),
        "young": lambda: kills("young", options.kills // 2),
        "overhead": lambda: overhead(place, options.units),
        "open": lambda: opening(place),
        "scaling": lambda: scaling(place, 20),
    }
    try:
        for name, work in parts.items():
            if options.only in (None, name):
                work()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
