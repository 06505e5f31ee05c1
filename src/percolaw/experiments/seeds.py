"""What is measured of each seed: a field of all rows, and the claim on its mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


def pivot(rows: Sequence[Row], key: str, *axes: str, missing: float = math.nan) -> FloatArray:
    """Return a field of all rows as an array with an axis for each of some other fields.

    Parameters
    ----------
    rows : sequence of dict
        In any order; of several at one place the last counts.
    key : str
    axes : str
        Fields whose values, rising, are the places along each axis.
    missing : float
        What stands where there is no row, or None in it.

    Returns
    -------
    array of float64
    """
    values = [sorted({r[axis] for r in rows}) for axis in axes]
    table = np.full([len(v) for v in values], missing)
    for r in rows:
        if r[key] is not None:
            table[tuple(v.index(r[a]) for a, v in zip(axes, values, strict=True))] = r[key]
    return table


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
