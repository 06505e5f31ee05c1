"""The script of a session on an accelerator: its parts, their limits, and that one may fail."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from percolaw.experiments.base import preset
from percolaw.experiments.networks.model_scaling_presets import STEP_MS
from percolaw.experiments.networks.neural import student_network
from percolaw.experiments.registry import experiment_class

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "gpu_session.sh"
PARTS = ["tests", "engine", "nn-model-scaling", "precision", "architectures", "in-context"]

pytestmark = pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("timeout") is None, reason="no bash, no timeout"
)


def session(out, python, *arguments, **variables):
    environment = {**os.environ, "OUT": str(out), "PYTHON": str(python), **variables}
    done = subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    rows = [line for line in (out / "table.txt").read_text().splitlines()[1:] if line]
    return done.returncode, {row[:20].strip(): row[21:33].strip() for row in rows}


def stand_in(folder, body):
    """An interpreter that writes its arguments to its output, then does `body`."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\necho "$PYTHONPATH" "$@"\n{body}\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("arguments", "preset", "quick"),
    [((), "gpu-session", ""), (("--dry-run",), "smoke", " --quick")],
)
def test_every_part_is_run_and_kept(tmp_path, arguments, preset, quick):
    code, table = session(tmp_path / "out", stand_in(tmp_path, ""), *arguments)
    assert (code, table) == (0, dict.fromkeys(PARTS, "passed"))
    logs = {name: (tmp_path / "out" / f"{name}.log").read_text() for name in PARTS}
    assert all(log.startswith(str(ROOT / "src")) for log in logs.values())
    assert "-m pytest -m gpu tests/neural" in logs["tests"]
    assert f"benchmarks/bench_neural.py{quick}\n" in logs["engine"]
    for name in ("nn-model-scaling", "architectures", "in-context"):
        assert f"_preset.py {name} {preset} " in logs[name]
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert files == sorted([*(f"{name}.log" for name in PARTS), "runs.tar.gz", "table.txt"])
    assert len(files) <= 8, "more do not come back from a lent machine"


def test_a_part_that_fails_leaves_the_others_alone(tmp_path):
    failing = 'case "$*" in *bench_neural*) exit 3 ;; esac'
    code, table = session(tmp_path / "out", stand_in(tmp_path, failing))
    assert code == 1
    assert table == dict.fromkeys(PARTS, "passed") | {"engine": "failed (3)"}


def test_some_parts_alone_and_larger_presets(tmp_path):
    variables = {"PARTS": "tests in-context", "PRESET": "gpu"}
    code, table = session(tmp_path / "out", stand_in(tmp_path, ""), **variables)
    assert (code, table) == (0, dict.fromkeys(["tests", "in-context"], "passed"))
    assert "_preset.py in-context gpu " in (tmp_path / "out" / "in-context.log").read_text()


def test_without_a_gpu_nothing_begins(tmp_path):
    python = stand_in(tmp_path, 'case "$*" in *is_available*) exit 1 ;; esac')
    environment = {**os.environ, "OUT": str(tmp_path / "out"), "PYTHON": str(python)}
    done = subprocess.run(["bash", str(SCRIPT)], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        2,
        "PyTorch sees no GPU here; --dry-run tries all parts on a CPU\n",
    )


def test_states_of_trainings_are_left_out(tmp_path):
    """The fourth argument of a preset is its folder."""
    made = 'mkdir -p "$4/run/scratch"; echo 1 > "$4/run/scratch/state"; echo 2 > "$4/run/units"'
    body = f'case "$*" in *_preset*) {made} ;; esac'
    session(tmp_path / "out", stand_in(tmp_path, body), PARTS="architectures")
    with tarfile.open(tmp_path / "out" / "runs.tar.gz") as tar:
        assert sorted(m.name for m in tar if m.isfile()) == ["./run/units"]


def test_presets_of_the_session_fit_into_their_parts():
    """Steps of nn-model-scaling by what one takes on a device, beside 40 s to begin and draw points."""
    limits = dict(
        line.split()[1:3] for line in SCRIPT.read_text().splitlines() if line.startswith("part ")
    )
    kind = experiment_class("nn-model-scaling")
    for name, seconds in (
        ("gpu-session", float(limits["nn-model-scaling"])),
        ("gpu", 600),
        ("gpu-wide", 600),
    ):
        experiment = preset(kind, name)
        steps = [
            experiment._training(student_network("mlp", cell["depth"], width), budget).steps
            * STEP_MS[width]
            for cell in experiment.cells()
            for width, budget in experiment._trainings(cell["kind"])
        ]
        assert sum(steps) / 1000 + 40 < seconds, name


def test_when_the_time_is_over_nothing_more_begins(tmp_path):
    code, table = session(tmp_path / "out", stand_in(tmp_path, ""), MINUTES="0")
    assert (code, table) == (1, dict.fromkeys(PARTS, "no time left"))


def test_limits_together_fit_into_the_session():
    """The parts of a session in which nothing fails: the last one may be given less."""
    limits = [
        int(line.split()[2]) for line in SCRIPT.read_text().splitlines() if line.startswith("part ")
    ]
    assert len(limits) == len(PARTS)
    assert sum(limits[:-1]) <= 9 * 60


@pytest.mark.slow
def test_dry_run(tmp_path):
    """On a CPU, as it is: smoke presets in two processes and small benchmarks.

    Packages that machines with accelerators lack are not to be had.
    """
    for name in ("pebble", "tyro", "optuna", "matplotlib"):
        (tmp_path / "lacking" / name).mkdir(parents=True)
        (tmp_path / "lacking" / name / "__init__.py").write_text(
            "raise ModuleNotFoundError(__name__)"
        )
    code, table = session(
        tmp_path / "out", sys.executable, "--dry-run", PYTHONPATH=str(tmp_path / "lacking")
    )
    assert (code, table) == (0, dict.fromkeys(PARTS, "passed")), [
        (tmp_path / "out" / f"{name}.log").read_text()[-2000:]
        for name, result in table.items()
        if result != "passed"
    ]
