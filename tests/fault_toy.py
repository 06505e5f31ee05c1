"""An experiment that can fail, hang, die and eat memory; commands on it, and what they leave behind."""

import dataclasses
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

import percolaw
from percolaw.experiments.base import Conclusion, Preset
from percolaw.experiments.claims import judge
from percolaw.experiments.fields import JUDGED
from percolaw.experiments.registry import EXPERIMENTS
from percolaw.runs.store import read_record

TESTS = Path(__file__).parent


@dataclass(frozen=True)
class FaultToy:
    """Means of random numbers; can fail, hang, die, eat memory, and tells what it measured."""

    name: ClassVar[str] = "fault-toy"
    title: ClassVar[str] = "The mean is 2"
    source: ClassVar[str] = "tests"
    presets: ClassVar[dict[str, Preset]] = {"smoke": Preset({}, "1 s", "0.1 GiB")}

    n_units: Annotated[int, JUDGED] = 12
    """Units."""
    level: float = 2.0
    """Mean; measure reads it."""
    tolerance: Annotated[float, JUDGED] = 0.5
    """Of the claim; measure does not read it."""
    seconds: float = 0.0
    """Time of a unit."""
    log: str = ""
    """File that gets a line `begin unit process` and `end unit process` for every measurement."""
    at: tuple[int, ...] = ()
    """Units that go wrong as long as the file <log>.broken exists."""
    how: str = ""
    """What goes wrong: fail, die, hang, memory."""
    padding: int = 0
    """Bytes of text in every row."""

    def cells(self) -> list[dict[str, Any]]:
        return [{"unit": unit} for unit in range(self.n_units)]

    def tell(self, what: str, unit: int) -> None:
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{what} {unit} {os.getpid()}\n")

    def measure(self, cell: dict[str, Any]) -> list[dict[str, Any]]:
        unit = cell["unit"]
        self.tell("begin", unit)
        if unit in self.at and Path(self.log + ".broken").exists():
            if self.how == "fail":
                raise ArithmeticError(f"unit {unit} is broken")
            if self.how == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            if self.how == "hang":
                time.sleep(600)
            if self.how == "memory":
                np.ones((8 << 30) // 8)
        time.sleep(self.seconds)
        value = self.level + random.Random(unit).gauss(0.0, 0.1)
        row = {"unit": unit, "value": value, "nested": [[value], []], "text": "x" * self.padding}
        self.tell("end", unit)
        return [row, {"unit": unit, "square": value * value}]

    def conclude(self, rows: list[dict[str, Any]]) -> Conclusion:
        mean = float(np.mean([row["value"] for row in rows if "value" in row]))
        claim = judge("mean", "", self.level, mean, (mean - 0.1, mean + 0.1), self.tolerance)
        return Conclusion((claim,), {"mean": mean})


def register(patch: Any = None) -> None:
    """Make the toy an experiment that the command line knows."""
    module = sys.modules[__name__]
    if patch is None:
        EXPERIMENTS["fault-toy"] = "fault_toy:FaultToy"
        sys.modules["percolaw.experiments.fault_toy"] = module
    else:
        patch.setitem(EXPERIMENTS, "fault-toy", "fault_toy:FaultToy")
        patch.setitem(sys.modules, "percolaw.experiments.fault_toy", module)


def command(*arguments: object) -> list[str]:
    """The command line in a process of its own that knows the toy."""
    code = (
        f"import sys; sys.path.insert(0, {str(TESTS)!r}); import fault_toy; "
        "from percolaw.cli import main; fault_toy.register(); sys.exit(main())"
    )
    return [sys.executable, "-c", code, *map(str, arguments)]


def start(*arguments: object, **options: Any) -> subprocess.Popen:
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def flags(toy: FaultToy, out: Path, workers: int = 2) -> list[object]:
    """`percolaw run` of a toy."""
    found: list[object] = ["run", "fault-toy", "--preset", "smoke", "--quiet", "--no-figures"]
    for field in dataclasses.fields(toy):
        value = getattr(toy, field.name)
        if value != field.default:
            values = value if isinstance(value, tuple) else (value,)
            found += [f"--{field.name.replace('_', '-')}", *values]
    return [*found, "--workers", workers, "--out", out]


def toy(tmp_path: Path, **fields: Any) -> FaultToy:
    return FaultToy(log=str(tmp_path / "log"), **fields)


def lines(experiment: FaultToy) -> list[tuple[str, int, int]]:
    """(begin or end, unit, process) of the log."""
    file = Path(experiment.log)
    found = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(what, int(unit), int(pid)) for what, unit, pid in found]


def begun(experiment: FaultToy) -> list[int]:
    return [unit for what, unit, _ in lines(experiment) if what == "begin"]


def kept(folder: Path) -> dict[int, tuple[Any, ...]]:
    """unit -> (status, seconds, finished, place), straight from the file."""
    file = folder / "units.sqlite"
    if not file.exists():
        return {}
    connection = sqlite3.connect(file, timeout=30)
    try:
        found = connection.execute("SELECT cell, status, seconds, finished, place FROM units")
        return {json.loads(cell)["unit"]: tuple(rest) for cell, *rest in found.fetchall()}
    except sqlite3.OperationalError:  # the table is being made
        return {}
    finally:
        connection.close()


def done(folder: Path) -> dict[int, tuple[Any, ...]]:
    return {unit: rest for unit, rest in kept(folder).items() if rest[0] == "done"}


def content(folder: Path) -> tuple[dict[str, Any], bytes]:
    """What must not depend on how a run went."""
    record = read_record(folder)
    names = ("claims", "tables", "units", "status", "experiment")
    return {k: record[k] for k in names}, (folder / "rows.jsonl").read_bytes()


def undisturbed(experiment: FaultToy, tmp_path: Path) -> tuple[dict[str, Any], bytes]:
    """The content of a run of the same experiment in peace, which is made once."""
    quiet = dataclasses.replace(experiment, log="", at=(), how="", seconds=0.0)
    if quiet not in _IN_PEACE:
        _IN_PEACE[quiet] = content(percolaw.run(quiet, out=tmp_path / "undisturbed").folder)
    return _IN_PEACE[quiet]


_IN_PEACE: dict[FaultToy, tuple[dict[str, Any], bytes]] = {}


def until(condition: Any, seconds: float = 60.0) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def workers_of(pid: int) -> list[int]:
    """The worker processes of a command (not Python's resource tracker)."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids = [int(word) for word in task.read_text().split()]
            found += [p for p in pids if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]
        except OSError:
            continue
    return found


def clean(errors: str) -> bool:
    """No traceback of percolaw itself (failed units print theirs by design)."""
    return "Traceback" not in errors


def change(folder: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(folder / "units.sqlite")
    with connection:
        assert connection.execute(statement, values).rowcount >= 1
    connection.close()


def live(**fields: Any) -> str:
    """active.json of this process."""
    import socket

    base = {"pid": os.getpid(), "host": socket.gethostname(), "done": 1, "total": 2, "failed": 0}
    return json.dumps({**base, "seconds_left": 1.0, **fields})
