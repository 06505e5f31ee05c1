"""When a student is done: the rule that looks at its validation losses, and the state of that rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from percolaw.neural.config import Training

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Stop = Literal["plateau", "budget", "diverged"]

#: Multiple of its first validation loss above which a student counts as diverged.
EXPLOSION = 1e3
#: How a student can end; `StoppingRule.code` counts from 1, and 0 is a student that still learns.
STOPS: tuple[Stop, ...] = ("plateau", "budget", "diverged")


@dataclass
class StoppingRule:
    """The stopping rule and where each student is by it; arrays of shape (students,).

    A student whose validation loss has not fallen by `least_gain` within `patience` evaluations is on a
    plateau: its rate then falls to 0 (trapezoid) or it ends at once. One that is not ends with the
    budget; one whose loss is not finite, or `EXPLOSION` times the first one, has diverged.

    Attributes
    ----------
    first_loss, last_loss, least_loss : array of float64
        Of the validation losses so far; the last finite one.
    gain_loss : array of float64
        Loss at the last gain.
    evaluations_since_gain : array of int64
    plateau : array of bool
        Whether the student has stopped improving.
    cooling_start, end : array of int64
        Steps at which its learning rate begins to fall, and at which it ends.
    code : array of int64
        0 while it learns, then 1 + its place in `STOPS`.
    steps : array of int64
        Steps made.
    """

    first_loss: FloatArray
    last_loss: FloatArray
    least_loss: FloatArray
    gain_loss: FloatArray
    evaluations_since_gain: IntArray
    plateau: BoolArray
    cooling_start: IntArray
    end: IntArray
    code: IntArray
    steps: IntArray

    @classmethod
    def start(cls, students: int, training: Training) -> StoppingRule:
        """Return the rule before the first evaluation.

        Parameters
        ----------
        students : int
        training : Training

        Returns
        -------
        StoppingRule
        """
        cooling = training.cooldown * training.steps if training.schedule == "trapezoid" else 0.0
        return cls(
            first_loss=np.full(students, math.nan),
            last_loss=np.full(students, math.nan),
            least_loss=np.full(students, math.inf),
            gain_loss=np.full(students, math.inf),
            evaluations_since_gain=np.zeros(students, dtype=np.int64),
            plateau=np.zeros(students, dtype=bool),
            cooling_start=np.full(students, training.steps - round(cooling)),
            end=np.full(students, training.steps),
            code=np.zeros(students, dtype=np.int64),
            steps=np.zeros(students, dtype=np.int64),
        )

    @property
    def learning(self) -> BoolArray:
        """Which students still learn."""
        return self.code == 0

    def evaluated(self, training: Training, step: int, loss: FloatArray) -> BoolArray:
        """Take in the validation losses at a step, and decide who goes on.

        Parameters
        ----------
        training : Training
        step : int
            Steps made.
        loss : array of float64, shape (students,)
            NaN for students that ended before.

        Returns
        -------
        array of bool, shape (students,)
            Students whose weights at this step are to be kept.
        """
        learning = self.learning
        self.steps[learning] = step
        self.first_loss = np.where(np.isnan(self.first_loss), loss, self.first_loss)
        diverged = learning & (~np.isfinite(loss) | (loss > EXPLOSION * self.first_loss))
        # Against the loss at the last gain, not the least one: many small steps down make one gain.
        gain = loss < self.gain_loss * (1.0 - training.least_gain)
        better = loss < self.least_loss
        self.least_loss = np.where(better, loss, self.least_loss)
        self.last_loss = np.where(np.isfinite(loss), loss, self.last_loss)
        self.gain_loss = np.where(gain, loss, self.gain_loss)
        self.evaluations_since_gain = np.where(gain, 0, self.evaluations_since_gain + 1)
        self._end_plateaus(training, step, learning & ~diverged)
        over = learning & (step >= self.end) & ~diverged
        self.code[over] = np.where(self.plateau[over], 1, 2)
        self.code[diverged] = 3
        return better | (training.keep == "last") & np.isfinite(loss)

    def _end_plateaus(self, training: Training, step: int, learning: BoolArray) -> None:
        """Let students that no longer improve cool down, or end."""
        patient = self.evaluations_since_gain >= training.patience
        flat = learning & patient & (step < self.cooling_start)
        if training.schedule == "trapezoid":
            every = training.evaluate_every
            cooling = max(every, round(training.cooldown * step / every) * every)
            self.cooling_start[flat], self.end[flat] = step, min(step + cooling, training.steps)
        else:
            self.end[flat] = step
        self.plateau |= flat
