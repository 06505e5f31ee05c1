"""Kill commands and their workers at random moments, and count what went wrong."""

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from fault_toy import workers_of

from percolaw.runs.store import read_record


def command(n_settings: int) -> tuple[str, ...]:
    """The campaign's run: a unit is one setting of one of three seeds."""
    return (
        *("run", "dof-scan", "--preset", "laptop", "--n-settings", str(n_settings)),
        *("--chunk", "1", "--clusters.n-clusters", "100", "--clusters.max-size", "1000000"),
        *("--no-figures", "--quiet", "--workers", "2"),
    )


#: Seconds without a finished unit after which a command counts as stuck; of a worker that is young.
STALL, YOUNG = 20, 0.5
BAR = {True: "met", False: "**missed**"}


def table(head: str, rows: list[tuple[object, ...]]) -> None:
    names = head.split(" | ")
    print("| " + head + " |\n|" + " --- |" * len(names))
    for row in rows:
        print("| " + " | ".join(map(str, row)) + " |")
    print(flush=True)


def ask(folder: Path, question: str) -> list[tuple]:
    """The answer of a run's table; nothing while it is being made."""
    try:
        connection = sqlite3.connect(f"file:{folder}/units.sqlite?mode=ro", uri=True, timeout=60)
        try:
            return connection.execute(question + " FROM units WHERE status = 'done'").fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return []


def done(folder: Path) -> dict[tuple[str, str], tuple[object, ...]]:
    """(key, code) -> what must not change once a unit is kept."""
    found = ask(folder, "SELECT key, code, rows, seconds, finished, place")
    return {(key, code): tuple(rest) for key, code, *rest in found}


def kept(folder: Path) -> int:
    """How many units are kept, quickly."""
    return sum(n for (n,) in ask(folder, "SELECT COUNT(*)"))


def damage(before: dict, now: dict) -> tuple[int, int]:
    """How many kept units are gone, and how many are other than they were."""
    again = sum(1 for key in set(before) & set(now) if before[key] != now[key])
    return len(set(before) - set(now)), again


def complaints(text: str) -> dict[str, int]:
    """What a command said when it ended: kinds of end, and units that were lost with a worker.

    tests/runs/test_reliability_counts.py provokes each of them.
    """
    last = text.split("percolaw: ")[-1]  # tracebacks of failed units come before the message
    return {
        "traceback": int("Traceback" in last),
        "broken": int("the workers of" in text and "were lost" in text),
        "store": int("cannot be used" in text),
        "lost": sum(line.startswith("WorkerLost: ") for line in text.splitlines()),
        "other": int(
            "percolaw: " in text
            and not any(k in last for k in ("unit(s) of", "were lost", "cannot be used"))
        ),
    }


def content(folder: Path) -> tuple[dict, bytes]:
    record = read_record(folder)
    kept = {k: record[k] for k in ("claims", "tables", "config", "id", "units", "status")}
    return kept, (folder / "rows.jsonl").read_bytes()


def leftovers(folder: Path) -> list[Path]:
    """What a process that is killed leaves behind, and the next one removes."""
    return [*folder.rglob("*.part"), *folder.rglob("active.json")]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


def age(pid: int) -> float:
    """Seconds since a process was started; infinite if it is gone."""
    try:
        ticks = float(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
        up = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return float("inf")
    return up - ticks / os.sysconf("SC_CLK_TCK")


class Campaign:
    """One run, killed many times; then finished, and compared with an undisturbed one."""

    def __init__(self, place: Path, seed: int, n_settings: int, young: bool = False) -> None:
        self.command = command(n_settings)
        self.out, self.errors = place / "killed", place / "errors"
        place.mkdir(parents=True)
        self.chance, self.young = random.Random(seed), young
        self.killed = {"main process": 0, "worker": 0}
        self.count = dict.fromkeys(("traceback", "broken", "store", "lost", "other"), 0)
        self.gone = self.again = self.commands = self.orphans = self.stalls = self.busy = 0
        self.before: dict = {}
        self.n_units = 0
        # In peace first: for comparison, and so that kernels are compiled before the killing.
        words = [sys.executable, "-m", "percolaw", *self.command, "--out", str(place / "peace")]
        subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
        (peace,) = (place / "peace").iterdir()
        self.undisturbed = content(peace)
        self.launch()

    def launch(self) -> None:
        self.commands += 1
        self.process = subprocess.Popen(
            [sys.executable, "-m", "percolaw", *self.command, "--out", str(self.out)],
            stdout=subprocess.DEVNULL,
            stderr=self.errors.open("w"),
        )

    @property
    def folder(self) -> Path:
        return next(iter(self.out.glob("dof-scan-*")), self.out / "none")

    def check(self) -> None:
        """No kept unit is gone or other than it was."""
        now = done(self.folder)
        gone, again = damage(self.before, now)
        self.busy += len(now) > len(self.before)
        self.gone, self.again, self.before = self.gone + gone, self.again + again, now

    def ended(self) -> None:
        """Count what the command said; begin a new run if it was through."""
        text = self.errors.read_text()
        for name, number in complaints(text).items():
            self.count[name] += number
            if number and name != "lost":
                print(f"{name}: {text}", file=sys.stderr)

    def go(self, n_kills: int) -> None:
        started = time.perf_counter()
        while sum(self.killed.values()) < n_kills:
            self.wait_for_a_moment()
            if self.process.poll() is not None:  # finished, or gave up after a lost worker
                self.check()
                self.ended()
                if self.process.returncode == 0:
                    self.n_units += len(self.before)
                    shutil.rmtree(self.folder)
                    self.before = {}
                self.launch()
                continue
            self.kill()
        for _ in range(5):
            code = self.process.wait(900)
            self.check()
            self.ended()
            if code == 0:
                break
            self.launch()
        self.report(time.perf_counter() - started)

    def wait_for_a_moment(self) -> None:
        """Until it measures, or until a worker is young, or whenever."""
        if self.young:
            self.wait(lambda: any(age(p) < YOUNG for p in workers_of(self.process.pid)), 10.0)
            time.sleep(0.8 * YOUNG * self.chance.random())
            return
        if self.chance.random() < 0.2:  # whatever it does: start, open the store, start workers
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(1.5 * self.chance.random())
            return
        self.progress()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.5 * self.chance.random())

    def wait(self, condition, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.process.poll() is None and not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def progress(self) -> None:
        """Wait for a new unit; a stall is counted."""
        if not self.wait(lambda: kept(self.folder) > len(self.before), STALL):
            self.stalls += 1
            print("a stall", file=sys.stderr)

    def kill(self) -> None:
        below = workers_of(self.process.pid)
        if self.young:
            below = [pid for pid in below if age(pid) < YOUNG]
        self.check()
        if below and (self.young or self.chance.random() < 0.6):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(below), signal.SIGKILL)
                self.killed["worker"] += 1
            if self.young and self.chance.random() < 0.7:
                self.progress()  # or the next young worker at once
            return
        below = workers_of(self.process.pid)
        self.process.kill()
        self.process.wait()
        self.killed["main process"] += not self.young  # of the young, only a new start
        deadline = time.monotonic() + 5
        while not all(map(gone, below)) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.orphans += sum(not gone(pid) for pid in below)
        self.check()
        self.launch()

    def report(self, seconds: float) -> None:
        folder = self.folder
        same = self.undisturbed == content(folder)
        left = leftovers(folder)
        kills, count = sum(self.killed.values()), self.count
        when = "within half a second of a worker's start" if self.young else "at random moments"
        print(
            f"## Kills {when}\n\n`percolaw {' '.join(self.command)}`, "
            f"{self.undisturbed[0]['units']} units, killed with SIGKILL {when} and "
            f"started again, {seconds:.0f} s in all.\n"
        )
        zero = {
            "kept units lost": self.gone,
            "kept units measured again": self.again,
            "workers that outlived their parent by 5 s": self.orphans,
            "commands that ended in a traceback of their own": count["traceback"],
            "commands that gave up because the whole pool broke": count["broken"],
            "commands that ended with another message": count["other"],
            f"times that nothing was measured for {STALL} s after a kill": self.stalls,
            "stores that could not be read": count["store"],
            "leftover files at the end": len(left),
        }
        at_most = self.killed["worker"]
        table(
            "what | number | bar",
            [
                ("kills", kills, ""),
                *((f"kills of a {k}", v, "") for k, v in self.killed.items()),
                ("looks that found new units kept", self.busy, ""),
                ("commands started", self.commands, ""),
                ("units kept", self.n_units + len(self.before), ""),
                (
                    "units reported as failed, all measured by the next command",
                    count["lost"],
                    f"one a killed worker, {BAR[count['lost'] <= at_most]}",
                ),
                *((name, number, f"0, {BAR[not number]}") for name, number in zero.items()),
                ("record equal to that of an undisturbed run", "yes" if same else "no", BAR[same]),
            ],
        )
