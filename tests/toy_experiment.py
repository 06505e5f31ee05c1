"""An experiment of a few lines for tests of the machinery, and the smoke runs that tests share."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from percolaw.experiments.base import Conclusion, Preset
from percolaw.experiments.claims import judge
from percolaw.rng import Streams


@dataclass(frozen=True)
class Shape:
    """A nested part of the config."""

    mean: float = 2.0
    weights: tuple[float, ...] = (0.5, 0.5)


@dataclass(frozen=True)
class ToyExperiment:
    """The mean of normal numbers; can fail, dawdle, die, and tell how often it measured."""

    name: ClassVar[str] = "toy"
    title: ClassVar[str] = "The mean is 2"
    source: ClassVar[str] = "tests"
    presets: ClassVar[dict[str, Preset]] = {"smoke": Preset({}, "1 s", "0.1 GiB")}

    shape: Shape = field(default_factory=Shape)
    n_seeds: int = 6
    """Units."""
    log: str = ""
    """File that gets a line for every measurement."""
    fail_at: tuple[int, ...] = ()
    """Units that fail as long as the file <log>.broken exists."""
    die_at: tuple[int, ...] = ()
    """Units that take their process with them."""

    def cells(self) -> list[dict[str, Any]]:
        return [{"seed": seed, "kind": "toy"} for seed in range(self.n_seeds)]

    def measure(self, cell: dict[str, Any]) -> list[dict[str, Any]]:
        seed = cell["seed"]
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{seed}\n")
        if seed in self.fail_at and Path(self.log + ".broken").exists():
            raise ArithmeticError(f"unit {seed} is broken")
        if seed in self.die_at:
            os._exit(7)
        x = self.shape.mean + Streams(seed).generator("target").standard_normal(100)
        return [{"seed": seed, "mean": x.mean()}, {"seed": seed, "sample": x[:3]}]

    def conclude(self, rows: list[dict[str, Any]]) -> Conclusion:
        mean = np.array([row["mean"] for row in rows if "mean" in row])
        error = 3.0 * mean.std(ddof=1) / np.sqrt(mean.size)
        interval = (mean.mean() - error, mean.mean() + error)
        claim = judge("mean", self.source, self.shape.mean, mean.mean(), interval, 0.3)
        return Conclusion((claim,), {"mean": mean})


def percolaw_command(*arguments: object) -> list[str]:
    """The real command line, in a process of its own."""
    return [sys.executable, "-m", "percolaw", *map(str, arguments)]


@contextmanager
def locked(root: Path, what: str) -> Iterator[None]:
    """One pytest worker at a time makes what several need."""
    with open(root / f"{what}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def shared_root(tmp_path_factory: Any) -> Path:
    """A folder shared by the pytest workers of this session and by nobody else."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "smoke"
    root.mkdir(exist_ok=True)
    return root


#: The paper's experiments that `reproduced` runs: of every kind of verdict and figure, the others' smoke
#: runs are made without a command and without figures.
SHORT = (
    *("dof-scan", "theory-curves", "exponents-by-dimension", "parameters-vs-dof"),
    "cluster-drawings",
)
_REPRODUCE = """
import sys
from percolaw import cli
from percolaw.experiments.reproductions import REPRODUCTIONS
REPRODUCTIONS["brill2024"] = REPRODUCTIONS["brill2024"][0], sys.argv[1].split()
sys.exit(cli.main(["reproduce", "brill2024", *sys.argv[2:]]))
"""


def reproduced(root: Path) -> dict[str, Any]:
    """`percolaw reproduce brill2024 --preset smoke --n-seeds 3`, of `SHORT`, once for all tests."""
    with locked(root, "reproduced"):
        if not (root / "code").exists():
            done = subprocess.run(
                [
                    *(sys.executable, "-c", _REPRODUCE, " ".join(SHORT)),
                    *("--preset", "smoke", "--n-seeds", "3"),
                    *("--out", root / "runs", "--workers", "1"),  # a second would load all again
                ],
                capture_output=True,
                text=True,
                timeout=400,
            )
            (root / "stdout").write_text(done.stdout)
            (root / "stderr").write_text(done.stderr)
            (root / "code").write_text(str(done.returncode))
        return {
            "code": int((root / "code").read_text()),
            "stdout": (root / "stdout").read_text(),
            "stderr": (root / "stderr").read_text(),
            "out": root / "runs",
        }


#: Clusters on which the laws of the 2024 paper are tried.
LIGHT_CLUSTERS = {
    "model-scaling": {"n_clusters": 60, "max_size": 300_000},
    "data-scaling": {"n_clusters": 57},
}


def lighter(experiment: Any) -> Any:
    """A smoke preset without what costs most of its time; of three experiments a claim or two has another
    verdict than in the preset itself.
    """
    if experiment.name in (
        "real-digits",
        "real-vectors",
    ):  # others draw the null of maximum entropy
        return replace(experiment, nulls=("critical", "permuted"))
    if experiment.name == "architectures":  # its exponents are inconclusive either way
        training = replace(experiment.training, steps=20, batch_size=16, evaluate_every=20)
        sizes = {"smallest": 6, "fit_from": 6, "largest": 60, "n_sizes": 3}
        return replace(experiment, **sizes, n_validation=40, n_test=50, training=training)
    if experiment.name in LIGHT_CLUSTERS:
        fewer = replace(experiment.clusters, **LIGHT_CLUSTERS[experiment.name])
        return replace(experiment, n_sizes=12, clusters=fewer)
    return experiment


@cache
def cells(experiment: Any) -> list[dict[str, Any]]:
    """The units of an experiment, asked for once: those of an analysis read its data, in a second."""
    return experiment.cells()


def smoke_run(root: Path, name: str) -> tuple[Any, Path]:
    """Config and finished folder of an experiment's smoke preset; each is run once."""
    import pytest

    import percolaw
    from percolaw.errors import RunError
    from percolaw.experiments.base import missing_extra, preset
    from percolaw.experiments.registry import experiment_class
    from percolaw.runs.code import experiment_code
    from percolaw.runs.run import default_folder
    from percolaw.runs.store import read_record

    if name in SHORT:
        reproduced(root)
    if hasattr(experiment_class(name), "unavailable") and missing_extra(experiment_class(name)):
        pytest.skip(missing_extra(experiment_class(name)))
    experiment = preset(experiment_class(name), "smoke")
    if hasattr(experiment, "n_seeds"):
        experiment = replace(experiment, n_seeds=3)
    experiment = lighter(experiment)
    folder = default_folder(experiment, root / "runs")
    with locked(root, name):
        if (folder / "record.json").exists() and read_record(folder)["code"] == experiment_code(
            type(experiment)
        ):
            return experiment, folder
        try:
            percolaw.run(experiment, out=root / "runs")
        except RunError as error:
            if "MissingExtraError" in str(error):
                pytest.skip(str(error))
            raise
    return experiment, folder
