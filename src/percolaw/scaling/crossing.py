"""Where curves of two system sizes cross: the threshold by finite-size scaling."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]


def crossing(x: FloatArray, small: FloatArray, large: FloatArray) -> float:
    """Return where the curve of the large system crosses that of the small one, from below.

    The difference is negative below the threshold and positive above; the crossing taken is the one that
    leaves the least of it on the wrong sides.

    Parameters
    ----------
    x : array, shape (n,), rising
    small, large : array, shape (n,)
        Both curves at x.

    Returns
    -------
    float
        Between the ends of `x`.
    """
    gap = large - small
    wrong = np.concatenate([[0.0], np.cumsum(np.maximum(gap, 0.0))])
    wrong = wrong[:-1] + np.cumsum(np.maximum(-gap, 0.0)[::-1])[::-1]
    i = int(np.clip(np.argmin(wrong), 1, x.size - 1))
    if gap[i] == gap[i - 1]:
        return float(x[i])
    place = x[i - 1] - gap[i - 1] * (x[i] - x[i - 1]) / (gap[i] - gap[i - 1])
    return float(np.clip(place, x[0], x[-1]))


def mean_crossing(
    x: FloatArray, small: FloatArray, large: FloatArray
) -> tuple[float, tuple[float, float]]:
    """Return where the mean curves cross, with the 95% interval of the jackknife over seeds.

    Parameters
    ----------
    x : array, shape (n,), rising
    small, large : array, shape (n_seeds, n)
        Both curves at x, seed by seed.

    Returns
    -------
    float
    (low, high) : tuple of float
        (-inf, inf) below 3 seeds. Not limited to the ends of `x`.
    """
    measured = crossing(x, small.mean(axis=0), large.mean(axis=0))
    n = small.shape[0]
    if n < 3:
        return measured, (-math.inf, math.inf)
    from scipy.special import stdtrit

    kept = [np.arange(n) != i for i in range(n)]
    left = np.array([crossing(x, small[k].mean(axis=0), large[k].mean(axis=0)) for k in kept])
    error = np.sqrt((n - 1) * np.mean((left - left.mean()) ** 2))
    reach = float(stdtrit(n - 1, 0.975) * error)
    return measured, (measured - reach, measured + reach)
