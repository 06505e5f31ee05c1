"""Linear teachers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.numerics.covariance import Linear
from percolaw.rng import RandomLike, as_streams
from percolaw.targets.teacher import Teacher, TeacherFamily, describe


@dataclass(frozen=True)
class LinearTeacher(TeacherFamily):
    """y = w.x with w ~ N(0, I/d): on an embedded tree again a tree random walk."""

    n_outputs: int = 1

    def __post_init__(self) -> None:
        checks.set_integer(self, "n_outputs")

    @property
    def word(self) -> str:
        return "linear"

    @property
    def approximation_order(self) -> float:
        return math.inf

    @property
    def covariance(self) -> Linear:
        """Covariance x.y / d."""
        return Linear()

    def sample(self, dim: int, rng: RandomLike = 0) -> Teacher:
        """Draw the weights. Stream ``target``."""
        d = checks.integer("dim", dim, minimum=1)
        k = self.n_outputs
        checks.memory(8.0 * d * k, f"{k} linear functions of {d} numbers", "Lower n_outputs.")
        streams = as_streams(rng)
        weights = streams.generator("target").standard_normal((d, k)) / math.sqrt(d)

        return Teacher(d, k, describe("linear", self, d, streams), partial(_values, weights))


def _values(
    weights: npt.NDArray[np.float64], x: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return np.asarray(x @ weights)
