"""What the experiments on parities share: when a task counts as learned, and what follows from that."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.experiments.base import NeedsTorch, SeedBySeed
from percolaw.experiments.fields import Range, Seeds
from percolaw.experiments.networks.convergence import log_slope
from percolaw.neural.config import NEVER_STOP, Training
from percolaw.rng import Streams

if TYPE_CHECKING:
    from percolaw.datasets.parity import ParityTasks

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Share of errors below which a task counts as learned; 1/2 is chance.
LEARNED = 0.1
#: Cross-entropy of chance, in nats.
CHANCE = math.log(2.0)
MICHAUD = "Michaud et al. (2023)"


@dataclass(frozen=True)
class ParityExperiment(SeedBySeed, NeedsTorch):
    """Tasks of multitask sparse parity, and how many points of each students are tested on."""

    source: ClassVar[str] = "docs/quanta.md"

    n_seeds: Seeds = 5
    """Independent tasks, networks and data."""
    n_tasks: Annotated[int, Range(3)] = 24
    """K."""
    n_bits: Annotated[int, Range(3)] = 16
    """Bits of a sample."""
    subset_size: Annotated[int, Range(1)] = 3
    """Bits of each task."""
    rank_exponent: Annotated[float, Range(-1.0, 5.0)] = 0.4
    """alpha: task k is used with frequency ~ k^-(1 + alpha)."""
    per_task: Annotated[int, Range(10)] = 200
    """Test points of each task."""

    def tasks(self, streams: Streams) -> ParityTasks:
        """Draw the tasks of a seed."""
        from percolaw.datasets.parity_tasks import parity_tasks

        return parity_tasks(
            self.n_tasks, self.n_bits, self.subset_size, self.rank_exponent, streams
        )

    @property
    def weight(self) -> FloatArray:
        """Frequencies of the tasks."""
        from percolaw.laws.scaling_laws import zipf_weights

        return zipf_weights(self.rank_exponent, self.n_tasks)


def training(**changes: Any) -> Training:
    """Return how parity students are trained: Adam at a constant rate, as in the published program."""
    base: dict[str, Any] = {
        "learning_rate": 0.03,
        "batch_size": 500,
        "schedule": "constant",
        "loss": "cross_entropy",
        "patience": NEVER_STOP,
        "keep": "last",
        "steps": 10_000,
    }
    return Training(**{**base, **changes})


def stored(values: FloatArray) -> list[Any]:
    """Return numbers as a row keeps them: four digits are more than a test set tells."""
    return np.round(values, 4).tolist()  # type: ignore[no-any-return]


def crossing_steps(steps: FloatArray, loss: FloatArray, level: float) -> FloatArray:
    """Return the steps at which the losses of tasks first fall below a level; infinity if they do not.

    Parameters
    ----------
    steps : array, shape (n_evaluations,)
    loss : array, shape (n_evaluations, n_tasks)
    level : float
        Between two evaluations the loss is a line in the logarithm of the steps.

    Returns
    -------
    array of float64, shape (n_tasks,)
    """
    out = np.full(loss.shape[1], math.inf)
    log = np.log(np.maximum(steps, 0.5))
    for k, curve in enumerate(loss.T):
        below = np.flatnonzero(curve < level)
        if below.size:
            i = int(below[0])
            share = 1.0 if i == 0 else (curve[i - 1] - level) / (curve[i - 1] - curve[i])
            out[k] = math.exp(log[max(i - 1, 0)] + share * (log[i] - log[max(i - 1, 0)]))
    return out


def inversions(values: FloatArray) -> float:
    """Return the share of pairs of which the later is smaller: 0 in order, 1/2 by chance, 1 reversed.

    Pairs of which neither is finite do not count; NaN if fewer than two values are finite.
    """
    there = np.isfinite(values)
    if there.sum() < 2:
        return math.nan
    later = values[None, :] < values[:, None]
    counted = there[None, :] | there[:, None]
    return float(np.triu(later, 1).sum() / np.triu(counted, 1).sum())


def first_missing(learned: npt.NDArray[np.bool_]) -> int:
    """Return how many tasks are learned before the first one that is not."""
    return int(learned.size if learned.all() else np.argmin(learned))


def slope(x: FloatArray, y: FloatArray) -> float:
    """Return the slope of log y against log x; NaN of fewer than three points.

    Parameters
    ----------
    x, y : array, shape (n,)

    Returns
    -------
    float
    """
    return math.nan if x.size < 3 else log_slope(x, y)


def evaluation_steps(first: int, last: int, number: int) -> npt.NDArray[np.int64]:
    """Return steps at which students are tested, in equal ratios, rising.

    Parameters
    ----------
    first, last : int
        Of the steps; the last ends training, and the first is half of it at most.
    number : int
        At most so many: those that are equal are one.

    Returns
    -------
    array of int64
    """
    steps = np.geomspace(min(first, max(1, last // 2)), last, number)
    return np.unique(np.round(steps).astype(np.int64))
