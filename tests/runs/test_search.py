"""Searches: the best of a grid, resumable, the same with several processes, blind to test data."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from toy_experiment import percolaw_command

import percolaw
from percolaw.errors import RunError
from percolaw.experiments.base import Preset, preset
from percolaw.experiments.kernels.kernel_tuning import KernelTuning
from percolaw.runs import search as search_module
from percolaw.runs import store
from percolaw.runs.search import run_search
from percolaw.runs.search_space import Axis, Search, parse_axis

pytest.importorskip("optuna")


@dataclasses.dataclass(frozen=True)
class Inner:
    depth: int = 1


@dataclasses.dataclass(frozen=True)
class Bowl:
    """(x - 0.3)^2 + (depth - 3)^2 on validation data; the test data would say x = 0.9."""

    name = "bowl"
    title = "A bowl"
    source = "tests"
    presets = {"smoke": Preset({}, "1 s", "0.1 GiB")}  # noqa: RUF012

    x: float = 0.0
    inner: Inner = dataclasses.field(default_factory=Inner)
    kind: str = "a"
    log: str = ""
    broken: bool = False

    def cells(self):
        return [{"seed": 0}]

    def measure(self, cell):
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{self.x} {self.inner.depth} {self.kind}\n")
        if self.broken and self.x > 0.5:
            raise ArithmeticError("too far")
        value = (self.x - 0.3) ** 2 + (self.inner.depth - 3) ** 2
        return [{"validation": value, "test": (self.x - 0.9) ** 2, "test_2": 0.0}]

    def validate(self, rows):
        assert not [key for row in rows for key in row if key.startswith("test")]
        return sum(row["validation"] for row in rows)

    def conclude(self, rows):
        from percolaw.experiments.base import Conclusion

        return Conclusion((), {})


GRID = (Axis("x", (0.1, 0.3, 0.9)), Axis("inner.depth", (1, 3)))


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("x=1,2.5,true,abc", Axis("x", (1, 2.5, True, "abc"))),
        ("length-scale=0.1:3", Axis("length_scale", low=0.1, high=3.0)),
        ("a.b=log:1e-4:1", Axis("a.b", low=1e-4, high=1.0, log=True)),
        ("n=int:1:9", Axis("n", low=1.0, high=9.0, integer=True)),
        ("n=int:log:1:9", Axis("n", low=1.0, high=9.0, integer=True, log=True)),
    ],
)
def test_axes(text, axis):
    assert parse_axis(text) == axis


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "must read FIELD"),
        ("=1,2", "must read FIELD"),
        ("x=lin:1:2", "unknown 'lin'"),
        ("x=a:b", "must be numbers"),
        ("x=2:1", "low < high"),
        ("x=log:0:1", "low > 0"),
        ("x=int:0.5:2", "low must be an integer"),
    ],
)
def test_bad_axes(text, message):
    with pytest.raises(ValueError, match=message):
        parse_axis(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axes": ()}, "needs a field"),
        ({"sampler": "grad"}, "unknown sampler 'grad'"),
        ({"n_trials": 0}, "trials must be"),
        ({"axes": (Axis("y", (1,)),)}, "unknown field 'y'"),
        ({"axes": (Axis("x", low=0.0, high=1.0),), "sampler": "grid"}, "a grid needs choices"),
        ({"experiment": 3}, "cannot be tuned|has no attribute"),
    ],
)
def test_bad_searches_are_refused_before_work(change, message):
    with pytest.raises((ValueError, AttributeError), match=message):
        Search(**{"experiment": Bowl(), "axes": GRID, **change})


def test_experiment_without_objective():
    from percolaw.experiments.kernels.kernel_scaling import KernelScaling

    with pytest.raises(ValueError, match=r"kernel-scaling has no validate\(rows\)"):
        Search(KernelScaling(), (Axis("n_seeds", (1, 2)),))


def test_grid_finds_the_best_and_tries_each_point_once(tmp_path):
    search = Search(Bowl(log=str(tmp_path / "log")), GRID, "grid")
    assert search.total == 6
    calls = []
    found = run_search(search, out=tmp_path / "runs", progress=lambda *p: calls.append(p))
    assert (found.best.x, found.best.inner.depth, found.value) == (0.3, 3, 0.0)
    assert sorted((tmp_path / "log").read_text().splitlines()) == sorted(
        f"{x} {d} a" for x in (0.1, 0.3, 0.9) for d in (1, 3)
    )
    assert calls[0] == (0, 6)
    assert calls[-1] == (6, 6)
    objective = [t["objective"] for t in found.trials]
    assert objective == sorted(objective)
    stored = json.loads((found.folder / "best.json").read_text())
    assert stored["config"]["x"] == 0.3
    assert all((found.folder / t["run"] / "record.json").exists() for t in stored["trials"])
    again = run_search(search, out=tmp_path / "runs")
    assert again.trials == found.trials
    assert len((tmp_path / "log").read_text().splitlines()) == 6


def test_objectives_of_other_code_are_said(tmp_path, monkeypatch):
    axes, said = (Axis("x", low=0.0, high=1.0),), []
    first = run_search(Search(Bowl(), axes, "random", 3), out=tmp_path)
    assert first.outdated == 0
    for module in (search_module, store):
        monkeypatch.setattr(module, "experiment_code", lambda cls: "0" * 16)
    more = run_search(Search(Bowl(), axes, "random", 5), out=tmp_path, waiting=said.append)
    assert (more.outdated, len(more.trials)) == (3, 5)
    best = ", the best among them," if more.trials[0]["code"] != "0" * 16 else ""
    assert said[0].startswith(f"3 of 5 objectives{best} were measured by other code")
    # A trial's run that is measured anew meanwhile is no sign of damage.
    percolaw.run(dataclasses.replace(Bowl(), **first.trials[0]["values"]), out=first.folder)
    assert run_search(Search(Bowl(), axes, "random", 5), out=tmp_path).trials == more.trials


def test_a_damaged_journal_is_noticed(tmp_path):
    """Another digit would choose another best, or call it by other values."""
    axes = (Axis("x", (0.1, 0.3)), Axis("inner.depth", (1, 3)))
    search = Search(Bowl(log=str(tmp_path / "log")), axes, "grid")
    found = run_search(search, out=tmp_path / "runs")
    journal = found.folder / "journal.log"
    text = journal.read_text()
    for right, wrong in (
        ('"values":[0.0]', '"values":[-1.0]'),
        ('"x","param_value_internal":1', '"x","param_value_internal":0'),
    ):
        assert right in text, [line[:150] for line in text.splitlines() if '"op_code":5' in line]
        journal.write_text(text.replace(right, wrong))
        with pytest.raises(RunError, match=r"not what its run .* holds: the journal is damaged"):
            run_search(search, out=tmp_path / "runs")
    journal.write_text(text)
    shutil.rmtree(found.folder / found.trials[0]["run"])  # nobody is obliged to keep it
    assert run_search(search, out=tmp_path / "runs").trials == found.trials
    journal.unlink()
    assert run_search(search, out=tmp_path / "runs").value == found.value


@pytest.mark.slow
def test_tpe_goes_on_where_it_stopped_and_is_near_the_best(tmp_path):
    axes = (Axis("x", low=0.0, high=1.0), Axis("inner.depth", low=1.0, high=8.0, integer=True))
    few = run_search(Search(Bowl(), axes, "tpe", 5), out=tmp_path)
    more = run_search(Search(Bowl(), axes, "tpe", 20), out=tmp_path)
    assert more.folder == few.folder
    assert len(more.trials) == 20
    assert {t["number"] for t in few.trials} <= {t["number"] for t in more.trials}
    assert more.value < 0.05
    other = run_search(Search(Bowl(), axes, "tpe", 1, seed=1), out=tmp_path)
    assert other.folder != few.folder
    same = run_search(Search(Bowl(), axes, "tpe", 5), out=tmp_path / "fresh")
    assert [t["values"] for t in same.trials] == [t["values"] for t in few.trials]


def test_failing_trials_are_passed_over_or_end_the_search(tmp_path, monkeypatch):
    monkeypatch.setattr(search_module, "MOST_FAILURES", 5)
    axes = (Axis("x", low=0.0, high=1.0),)
    found = run_search(Search(Bowl(broken=True), axes, "random", 3), out=tmp_path)
    assert found.failed
    assert len(found.trials) == 3
    assert all(t["values"]["x"] <= 0.5 for t in found.trials)
    bad = (Axis("x", low=0.6, high=1.0),)
    with pytest.raises(RunError, match=r"5 trials in a row failed.*too far"):
        run_search(Search(Bowl(broken=True), bad, "random", 6), out=tmp_path)


@pytest.mark.slow
def test_two_processes_share_a_grid_and_a_kill_loses_no_point(tmp_path):
    arguments = (
        *("sweep", "kernel-tuning", "--preset", "smoke", "--sampler", "grid", "--quiet"),
        *("--n-train", 60, "--n-test", 60, "--over", "ridge=0.01,0.1,1"),
        *("--over", "smoothness=0.5,1.5", "--workers", 2, "--out", tmp_path / "runs"),
    )
    process = subprocess.Popen(percolaw_command(*arguments), stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list((tmp_path / "runs").glob("*/*/record.json")):
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(1.0)  # its workers notice
    done = subprocess.run(
        percolaw_command(*arguments, "--json"), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    points = sorted((t["values"]["ridge"], t["values"]["smoothness"]) for t in found["trials"])
    assert points == sorted((r, s) for r in (0.01, 0.1, 1) for s in (0.5, 1.5))
    search = Search(
        dataclasses.replace(preset(KernelTuning, "smoke"), n_train=60, n_test=60),
        (Axis("ridge", (0.01, 0.1, 1)), Axis("smoothness", (0.5, 1.5))),
        "grid",
    )
    alone = run_search(search, out=tmp_path / "alone")
    by_point = {json.dumps(t["values"]): t["objective"] for t in alone.trials}
    assert by_point == {json.dumps(t["values"]): t["objective"] for t in found["trials"]}
    assert Path(found["folder"]).name == alone.folder.name


def test_a_search_that_goes_on_draws_anew_and_random_search_is_one_sequence(tmp_path):
    axes = (Axis("x", low=0.0, high=1.0),)
    for sampler in ("random", "tpe"):
        first = run_search(Search(Bowl(), axes, sampler, 1), out=tmp_path / sampler)
        more = run_search(Search(Bowl(), axes, sampler, 3), out=tmp_path / sampler)
        values = [t["values"]["x"] for t in more.trials]
        assert len(set(values)) == 3, "a trial was repeated"
        assert {t["values"]["x"] for t in first.trials} <= set(values)
        once = run_search(Search(Bowl(), axes, sampler, 3), out=tmp_path / f"{sampler}-once")
        assert [t["values"] for t in once.trials] == [t["values"] for t in more.trials]


@dataclasses.dataclass(frozen=True)
class Own(Bowl):
    """The objective is the trial's own field, or no number."""

    name = "own"

    def validate(self, rows):
        return self.x if self.x >= 0 else float("nan")


def test_objective_is_the_trials_own_and_must_be_a_number(tmp_path, monkeypatch):
    monkeypatch.setattr(search_module, "MOST_FAILURES", 2)
    found = run_search(Search(Own(), (Axis("x", (3.0, 1.0, -1.0)),), "grid"), out=tmp_path)
    assert [t["objective"] for t in found.trials] == [1.0, 3.0]
    assert found.failed == [{"x": -1.0}]
    with pytest.raises(RunError, match=r"trials in a row failed.*is nan"):
        run_search(Search(Own(), (Axis("x", low=-2.0, high=-1.0),), "random", 3), out=tmp_path)


def test_every_choice_is_checked_and_a_field_is_given_once():
    from percolaw.experiments.kernels.kernel_tuning import KernelTuning

    with pytest.raises(ValueError, match="ridge must be"):
        Search(KernelTuning(), (Axis("ridge", (0.1, -1.0)),), "grid")
    with pytest.raises(ValueError, match="names a field twice"):
        Search(Bowl(), (Axis("x", (1,)), Axis("x", (2,))), "grid")


def test_integers_may_be_written_as_1e3():
    from percolaw.experiments.kernels.kernel_tuning import KernelTuning

    search = Search(KernelTuning(), (parse_axis("n_train=100,1e3"),), "grid")
    (few, many) = (search.trial({"n_train": n}) for n in search.axes[0].choices)
    assert (few, many) == (KernelTuning(n_train=100), KernelTuning(n_train=1000))
    assert type(many.n_train) is int, "1000.0 would be another run"
    with pytest.raises(ValueError, match=r"n_train must be an integer; got 100\.5"):
        Search(KernelTuning(), (parse_axis("n_train=100,100.5"),), "grid")


def test_what_only_the_verdict_sees_is_not_searched():
    from percolaw.experiments.kernels.kernel_tuning import KernelTuning

    for field, choices in (("tolerance", (0.1, 0.2)), ("n_seeds", (2, 3))):
        with pytest.raises(ValueError, match=f"--over {field}: measuring does not see it"):
            Search(KernelTuning(), (Axis(field, choices),), "grid")
