"""Commands in this process on runs of the toy, and runs that were interrupted."""

from pathlib import Path
from typing import Any

import pytest
from fault_toy import (
    FaultToy,
)

import percolaw
from percolaw.cli import main
from percolaw.experiments.registry import EXPERIMENTS, experiment_class
from percolaw.runs.run import default_folder

OLD = Path(__file__).parent / "data" / "run-schema-1"
QUIET = ("--quiet", "--no-figures", "--workers", "1")


def cli(*words: object) -> int:
    return main([str(word) for word in words])


def known(name: str) -> Any:
    return experiment_class(name) if name in EXPERIMENTS else None


def interrupted_run(experiment: FaultToy, out: Path, n: int) -> Path:
    """A run that was stopped when n units were done."""

    def progress(n_done: int, total: int) -> None:
        if n_done >= n:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        percolaw.run(experiment, out=out, progress=progress)
    return default_folder(experiment, out)
