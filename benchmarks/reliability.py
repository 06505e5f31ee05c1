"""The long fault campaign: kills at random moments, and what reliability costs. Prints Markdown.

python benchmarks/reliability.py [--kills 60] [--only kills|overhead|open|scaling]
"""

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from test_faults import FaultToy, register, workers_of

import percolaw
from percolaw.experiments import experiment_class
from percolaw.experiments.base import config_dict, from_config
from percolaw.runs.folders import status
from percolaw.runs.run import default_folder
from percolaw.runs.scheduler import dask_executor
from percolaw.runs.store import Outcome, RunFolder, code_id, read_record
from percolaw.runs.workers import WorkerPool

#: Units of the campaign's run, one setting of one seed each.
CAMPAIGN = (
    *("run", "dof-scan", "--preset", "laptop", "--n-settings", "2000", "--chunk", "1"),
    *("--clusters.n-clusters", "100", "--clusters.max-size", "1000000"),
    *("--no-figures", "--quiet", "--workers", "2"),
)
#: Seconds without a finished unit after which a command counts as stuck.
STALL = 20
BAR = {True: "met", False: "**missed**"}


def table(head: str, rows: list[tuple[object, ...]]) -> None:
    names = head.split(" | ")
    print("| " + head + " |\n|" + " --- |" * len(names))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print(flush=True)


def done(folder: Path) -> dict[str, tuple[object, ...]]:
    """key -> what must not change once a unit is kept."""
    file = folder / "units.sqlite"
    if not file.exists():
        return {}
    connection = sqlite3.connect(file, timeout=60)
    try:
        found = connection.execute(
            "SELECT key, code, rows, seconds, finished, place FROM units WHERE status = 'done'"
        )
        return {(key, code): tuple(rest) for key, code, *rest in found.fetchall()}
    except sqlite3.OperationalError:  # the table is being made
        return {}
    finally:
        connection.close()


def count(folder: Path | None, out: Path) -> int:
    """Units kept, quickly."""
    folder = folder or next(iter(out.glob("dof-scan-*")), None)
    try:
        connection = sqlite3.connect(f"file:{folder}/units.sqlite?mode=ro", uri=True)
        try:
            return connection.execute(
                "SELECT COUNT(*) FROM units WHERE status = 'done'"
            ).fetchone()[0]
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return 0


def content(folder: Path) -> tuple[object, bytes]:
    record = read_record(folder)
    kept = {k: record[k] for k in ("claims", "tables", "config", "id", "units", "status")}
    return kept, (folder / "rows.jsonl").read_bytes()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def campaign(place: Path, n_kills: int, seed: int) -> None:
    """Kill commands and workers at random moments; then finish, and compare with peace."""
    chance, out = random.Random(seed), place / "killed"
    killed = {"main process": 0, "worker": 0}
    lost = remeasured = tracebacks = commands = orphans = broken = refused = busy = stalls = 0
    before: dict = {}
    folder: Path | None = None
    n_units = at_last = 0
    last = ""
    started = time.perf_counter()

    def launch() -> subprocess.Popen:
        nonlocal commands
        commands += 1
        return subprocess.Popen(
            [sys.executable, "-m", "percolaw", *CAMPAIGN, "--out", str(out)],
            stdout=subprocess.DEVNULL,
            stderr=(place / "errors").open("w"),
        )

    def check() -> None:
        """No kept unit is gone or other than it was."""
        nonlocal before, lost, remeasured, folder
        if folder is None:
            folder = next(iter(out.glob("dof-scan-*")), None)
        now = done(folder) if folder else {}
        lost += len(set(before) - set(now))
        remeasured += sum(1 for key in set(before) & set(now) if before[key] != now[key])
        before = now

    def ended(process: subprocess.Popen) -> None:
        nonlocal tracebacks, broken, refused
        text = (place / "errors").read_text()
        own = [part for part in text.split("percolaw: ")[-1:] if "Traceback" in part]
        tracebacks += bool(own)
        if own:
            print(text, file=sys.stderr)
        broken += "a worker process of" in text
        refused += "cannot be used" in text

    process = launch()
    while sum(killed.values()) < n_kills:
        if chance.random() < 0.2:  # whatever it does: start, open the store, start workers
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.5 * chance.random())
        else:  # while it measures
            deadline = time.monotonic() + STALL
            while process.poll() is None and count(folder, out) <= at_last:
                if time.monotonic() > deadline:
                    stalls += 1
                    print(f"stall after a kill of a {last}", file=sys.stderr)
                    break
                time.sleep(0.005)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5 * chance.random())
        check()
        if process.poll() is not None:  # finished, or gave up after a lost worker
            ended(process)
            if process.returncode == 0:
                # All units are there: begin a new run to go on killing; this one was checked.
                for path in out.glob("dof-scan-*"):
                    n_units += len(before)
                    shutil.rmtree(path)
                before, folder, at_last = {}, None, 0
            process = launch()
            continue
        below = workers_of(process.pid)
        busy += len(before) > at_last
        at_last = len(before)
        if below and chance.random() < 0.6:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(below), signal.SIGKILL)
                killed["worker"] += 1
                last = "worker"
        else:
            process.kill()
            process.wait()
            killed["main process"] += 1
            last = "main process"
            deadline = time.monotonic() + 5
            while not all(map(gone, below)) and time.monotonic() < deadline:
                time.sleep(0.02)
            orphans += sum(not gone(pid) for pid in below)
            check()
            process = launch()
    codes = []
    for _ in range(5):
        code = process.wait(900)
        codes.append(code)
        check()
        ended(process)
        if code == 0:
            break
        process = launch()
    assert folder is not None
    n_units += len(before)
    config = json.loads((folder / "config.json").read_text())
    experiment = from_config(experiment_class("dof-scan"), config["config"])
    peace = percolaw.run(experiment, out=place / "peace")
    same = content(peace.folder) == content(folder)
    leftovers = [p.name for p in folder.rglob("*.part")] + (
        ["active.json"] if (folder / "active.json").exists() else []
    )
    failed = RunFolder(folder, config).counts().get("failed", 0)
    seconds = time.perf_counter() - started
    print(
        f"## Kills\n\n`percolaw {' '.join(CAMPAIGN)}`, {len(experiment.cells())} units, killed "
        f"with SIGKILL at random moments and started again, {seconds:.0f} s in all.\n"
    )
    table(
        "what | number | bar",
        [
            ("kills", sum(killed.values()), "at least 50"),
            *((f"kills of a {k}", v, "") for k, v in killed.items()),
            ("kills with new units kept since the one before", busy, ""),
            ("commands started", commands, ""),
            ("units kept", n_units, ""),
            ("kept units lost", lost, f"0, {BAR[not lost]}"),
            ("kept units measured again", remeasured, f"0, {BAR[not remeasured]}"),
            ("units failed at the end", failed, f"0, {BAR[not failed]}"),
            ("workers that outlived their parent by 5 s", orphans, f"0, {BAR[not orphans]}"),
            (
                "commands that ended in a traceback of their own",
                tracebacks,
                f"0, {BAR[not tracebacks]}",
            ),
            ("commands that gave up because the whole pool broke", broken, f"0, {BAR[not broken]}"),
            (
                f"commands that measured nothing for {STALL} s after a kill",
                stalls,
                f"0, {BAR[not stalls]}",
            ),
            ("stores that could not be read", refused, f"0, {BAR[not refused]}"),
            ("leftover files at the end", len(leftovers), f"0, {BAR[not leftovers]}"),
            ("record equal to that of an undisturbed run", "yes" if same else "no", BAR[same]),
        ],
    )


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
    parser.add_argument("--units", type=int, default=10_000, help="of the overhead")
    parser.add_argument("--only", choices=["kills", "overhead", "open", "scaling"])
    options = parser.parse_args()
    register()
    place = Path(tempfile.mkdtemp(prefix="reliability-"))
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, code {code_id()}, load "
        f"{statistics.mean(os.getloadavg()):.1f} at the start.\n"
    )
    parts = {
        "kills": lambda: campaign(place, options.kills, options.seed),
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
