"""What is measured of each seed: a field of all rows, and the claim on its mean."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.experiments import claims
from percolaw.experiments.base import Row

FloatArray: TypeAlias = npt.NDArray[np.float64]


def seeds_of(rows: list[Row], key: str) -> FloatArray:
    """Return a field of all rows as an array, the rows first.

    Parameters
    ----------
    rows : list of dict
    key : str

    Returns
    -------
    array of float64
    """
    return np.array([r[key] for r in rows], dtype=np.float64)


def seed_mean(
    name: str,
    source: str,
    predicted: float,
    values: npt.ArrayLike,
    tolerance: float,
    note: str = "",
    about: claims.About = claims.NO_KEYS,
) -> claims.Claim:
    """Judge the mean over seeds as `percolaw.experiments.claims.mean` does; inconclusive if one has none.

    Parameters
    ----------
    name, source, predicted, values, tolerance, note, about
        As in `claims.mean`; NaN where a seed has too few tasks or sizes to measure on.

    Returns
    -------
    Claim
    """
    numbers = np.asarray(values, dtype=np.float64)
    if np.isfinite([*numbers, predicted]).all():
        return claims.mean(name, source, predicted, numbers, tolerance, note, about)
    there = numbers[np.isfinite(numbers)]
    missing, middle = numbers.size - there.size, float(there.mean()) if there.size else math.nan
    said = f"{note}; {missing} of {numbers.size} seeds have too few to measure on".removeprefix(
        "; "
    )
    return claims.judge(
        name, source, predicted, middle, claims.UNKNOWN_INTERVAL, tolerance, said, about
    )
