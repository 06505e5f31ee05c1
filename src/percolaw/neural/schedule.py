"""Learning rates over the steps of a training."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from percolaw.neural.config import Training

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def rate_multipliers(
    training: Training, first: int, count: int, cooling_start: IntArray, end: IntArray
) -> FloatArray:
    """Return the factors by which the schedule multiplies the learning rates.

    At step t, with T steps and w = max(1, warmup x T): min(1, (t + 1) / w) for ``constant``, times
    (1 + cos(pi t / T)) / 2 for ``cosine``; for ``trapezoid`` it is no more than (end - t) /
    (end - cooling start) from the student's start of cooling on.

    Parameters
    ----------
    training : Training
    first, count : int
        Steps first .. first + count - 1.
    cooling_start, end : array of int64, shape (students,)
        Steps at which the rate of each student begins to fall, and at which it is 0.

    Returns
    -------
    array of float64, shape (count, students)
    """
    t = np.arange(first, first + count, dtype=np.float64)[:, None]
    warm = max(1.0, training.warmup * training.steps)
    factor = np.minimum(1.0, (t + 1.0) / warm)
    if training.schedule == "cosine":
        factor = factor * 0.5 * (1.0 + np.cos(math.pi * t / training.steps))
    factor = np.repeat(factor, end.size, axis=1)
    if training.schedule == "trapezoid":
        falling = (end - t) / np.maximum(end - cooling_start, 1)
        factor = np.where(t >= cooling_start, np.minimum(factor, falling), factor)
    return factor
