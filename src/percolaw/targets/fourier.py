"""Random Fourier series as teachers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams
from percolaw.targets.teacher import Teacher, TeacherFamily, describe
from percolaw.words import changed

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FourierTeacher(TeacherFamily):
    """y = sqrt(2/m) sum_j cos(k_j.x + phase_j): a sum of m waves, of variance 1 on average over draws.

    Parameters
    ----------
    n_waves : int
        Basis elements m.
    low, high : float
        Wave numbers |k_j| are uniform in this band, directions uniform.
    n_outputs : int
    """

    n_waves: int = 100
    low: float = 0.5
    high: float = 2.0
    n_outputs: int = 1

    def __post_init__(self) -> None:
        checks.set_integer(self, "n_waves")
        checks.set_integer(self, "n_outputs")
        checks.set_real(self, "low", minimum=0.0)
        checks.set_real(self, "high", minimum=self.low)

    @property
    def word(self) -> str:
        return "Fourier" + changed(self, "n_waves", "low", "high")

    @property
    def approximation_order(self) -> float:
        return math.inf

    def sample(self, dim: int, rng: RandomLike = 0) -> Teacher:
        """Draw waves and phases. Stream ``target``, keyed by output."""
        d = checks.integer("dim", dim, minimum=1)
        m = self.n_waves
        checks.memory(
            8.0 * m * (d * (self.n_outputs + 1.0) + self.n_outputs),
            f"{self.n_outputs} x {m} waves in {d} dimensions",
            "Lower n_waves.",
        )
        streams = as_streams(rng)
        waves, phases = [], []
        for output in range(self.n_outputs):
            generator = streams.generator("target", output)
            k = generator.standard_normal((d, m))
            k *= generator.uniform(self.low, self.high, m) / np.linalg.norm(k, axis=0)
            waves.append(k)
            phases.append(generator.uniform(0.0, 2.0 * math.pi, m))

        description = describe("fourier", self, d, streams)
        return Teacher(d, len(waves), description, partial(_sum_of_waves, waves, phases))


def _sum_of_waves(waves: list[FloatArray], phases: list[FloatArray], x: FloatArray) -> FloatArray:
    columns = [np.cos(x @ k + phase).sum(axis=1) for k, phase in zip(waves, phases, strict=True)]
    return np.asarray(math.sqrt(2.0 / phases[0].size) * np.stack(columns, axis=1))
