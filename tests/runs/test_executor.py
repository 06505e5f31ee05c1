"""Units on executors: states of long ones, and signals that leave no lock taken."""

import contextvars
import dataclasses
import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

pytest.importorskip("torch")

import percolaw
from percolaw.errors import RunError
from percolaw.experiments.base import (
    SCRATCH,
    Conclusion,
    Preset,
)
from percolaw.runs.code import experiment_code
from percolaw.runs.executor import measure_unit
from percolaw.runs.signals import Terminated, terminable, undivided


@dataclasses.dataclass(frozen=True)
class Stateful:
    """Keeps a state where it is told to, and says where that was; fails as long as it is told to."""

    name: ClassVar[str] = "stateful"
    title: ClassVar[str] = "States"
    source: ClassVar[str] = "tests"
    presets: ClassVar[dict[str, Preset]] = {"smoke": Preset({}, "1 s", "0.1 GiB")}

    fail_while: str = ""
    """File whose existence makes units fail."""

    def cells(self) -> list[dict[str, Any]]:
        return [{"seed": 0}, {"seed": 1}]

    def measure(self, cell: dict[str, Any]) -> list[dict[str, Any]]:
        folder = SCRATCH.get()
        if folder is None:
            return [{**cell, "scratch": None, "resumed": False}]
        resumed = (folder / f"state{cell['seed']}").exists()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"state{cell['seed']}").write_text("half way")
        if self.fail_while and Path(self.fail_while).exists():
            raise ArithmeticError("interrupted")
        return [{**cell, "scratch": str(folder), "resumed": resumed}]

    def conclude(self, rows: list[dict[str, Any]]) -> Conclusion:
        return Conclusion((), {"rows": rows})


def unit(scratch):
    """One unit measured as a worker does, and what SCRATCH is afterwards does not leave here."""
    context = contextvars.copy_context()
    return context.run(
        measure_unit,
        *(Stateful.__module__, "Stateful", {}, experiment_code(Stateful), {"seed": 0}),
        *scratch,
    )


def test_a_unit_is_told_where_its_states_go(tmp_path):
    own = tmp_path / "run" / "scratch" / "code"
    (tmp_path / "run").mkdir()
    outcome = unit((str(own),))
    assert outcome.error == ""
    assert outcome.rows == [{"seed": 0, "scratch": str(own), "resumed": False}]
    assert (own / "state0").exists()
    assert unit((str(own),)).rows[0]["resumed"]
    assert not unit((str(own.parent / "other code"),)).rows[0]["resumed"]


@pytest.mark.parametrize("scratch", [(), ("",), ("/nowhere/run/scratch/code",)])
def test_a_unit_out_of_reach_of_the_run_keeps_no_state(scratch):
    outcome = unit(scratch)
    assert outcome.error == ""
    assert outcome.rows[0]["scratch"] is None


def test_a_folder_of_an_earlier_unit_is_not_used_again(tmp_path):
    def both():
        args = (Stateful.__module__, "Stateful", {}, experiment_code(Stateful), {"seed": 0})
        return measure_unit(*args, str(tmp_path / "scratch" / "code")), measure_unit(*args)

    first, second = contextvars.copy_context().run(both)
    assert first.rows[0]["scratch"] is not None
    assert second.rows[0]["scratch"] is None


def test_a_run_removes_its_states_at_the_end_and_not_before(tmp_path, capsys):
    context = contextvars.copy_context()
    broken = tmp_path / "broken"
    broken.touch()
    experiment = Stateful(fail_while=str(broken))
    with pytest.raises(RunError, match="2 unit"):
        context.run(percolaw.run, experiment, out=tmp_path / "runs")
    (folder,) = (tmp_path / "runs").glob("stateful-*")
    own = folder / "scratch" / experiment_code(Stateful)
    assert list((folder / "scratch").iterdir()) == [own]
    assert {p.name for p in own.iterdir()} == {"state0", "state1"}
    broken.unlink()
    result = context.run(percolaw.run, experiment, out=tmp_path / "runs")
    assert result.folder == folder
    assert [r["resumed"] for r in result.tables["rows"]] == [True, True]
    assert {r["scratch"] for r in result.tables["rows"]} == {str(own)}
    assert not (folder / "scratch").exists()
    assert (folder / "record.json").exists()


class Failing(Stateful):
    def measure(self, cell):
        raise ArithmeticError(str(SCRATCH.get()))


class Needy(Stateful):
    extra: ClassVar[tuple[str, str]] = ("json.tool", "nn")

    def measure(self, cell):
        return [{"loaded": "json.tool" in sys.modules}]


class Lacking(Stateful):
    extra: ClassVar[tuple[str, str]] = ("no_module_of_this_name", "nn")


@pytest.mark.parametrize(
    "cls",
    [
        Stateful,
        Failing,
        Lacking,
    ],
)
def test_a_unit_sets_the_folder_for_states_back(cls, tmp_path):
    """Whether it ends or fails."""
    context = contextvars.copy_context()
    context.run(SCRATCH.set, None)
    job = (cls.__module__, cls.__name__, {}, experiment_code(cls), {"seed": 0})
    outcome = context.run(measure_unit, *job, str(tmp_path / "scratch" / "code"))
    assert bool(outcome.error) == (cls is not Stateful)
    assert context[SCRATCH] is None


def test_what_a_unit_needs_is_loaded_before_it_starts(monkeypatch):
    """Threads of libraries that are loaded later would not be limited."""
    monkeypatch.delitem(sys.modules, "json.tool", raising=False)
    job = (Needy.__module__, "Needy", {}, experiment_code(Needy), {"seed": 0})
    outcome = measure_unit(*job)
    assert outcome.error == ""
    assert outcome.rows == [{"loaded": True}]


def test_a_run_leaves_no_folder_for_states_behind(tmp_path):
    """After a run in this process, `measure` in a notebook must not write into that run."""
    context = contextvars.copy_context()
    context.run(SCRATCH.set, None)
    context.run(percolaw.run, Stateful(), out=tmp_path / "runs")
    assert context[SCRATCH] is None


class Interrupting(threading.Condition):
    """The lock of a future; a signal arrives in the instant in which the main thread has taken it."""

    def __enter__(self) -> bool:
        taken = super().__enter__()
        if INTERRUPT and threading.current_thread() is threading.main_thread():
            INTERRUPT.clear()
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)  # where Python looks for signals
        return taken


INTERRUPT: list[bool] = []


class OneThread(ThreadPoolExecutor):
    """Futures whose locks are watched; the first unit ends when the test says so."""

    def __init__(self) -> None:
        super().__init__(1)
        self.futures: list[Any] = []

    def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Any:
        future = super().submit(function, *arguments, **keywords)
        future._condition.__class__ = Interrupting
        self.futures.append(future)
        INTERRUPT[:] = [True] if len(self.futures) == 2 else []
        return future


def test_a_signal_leaves_no_lock_taken_that_workers_wait_for(tmp_path):
    pool = OneThread()
    with terminable(), pytest.raises(Terminated):
        percolaw.run(Stateful(), out=tmp_path, executor=pool)
    taken = [f for f in pool.futures if f._condition._is_owned()]
    for future in taken:
        future._condition.release()
    pool.shutdown()
    assert len(pool.futures) == 2
    assert not taken


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_in_what_is_undivided_is_raised_at_its_end_by_its_handler(number, error):
    seen = []

    def work() -> None:
        with undivided(), undivided():
            os.kill(os.getpid(), number)
            time.sleep(0.01)
            seen.append("whole")

    with terminable(), pytest.raises(error):
        work()
    assert seen == ["whole"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
