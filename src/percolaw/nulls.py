"""Numbers that JSON has no word for: infinities and NaN are null in files and None in records."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def to_null(value: Any) -> Any:
    """Return plain values with None for every number that is not finite.

    Parameters
    ----------
    value : float, list, dict or any other plain value
        Lists and dicts are walked; NumPy arrays and scalars are not (see `tolist`).

    Examples
    --------
    >>> to_null({"interval": [1.5, float("inf")]})
    {'interval': [1.5, None]}
    """
    if isinstance(value, dict):
        return {key: to_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_null(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def from_null(value: float | None, instead: float = math.nan) -> float:
    """Return a number, and for None what stands for it: NaN, or a given end of an interval.

    Parameters
    ----------
    value : float or None
    instead : float
        What stands for None.

    Returns
    -------
    float
    """
    return instead if value is None else float(value)


def floats(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    """Return numbers as float64, shape (n,), NaN for None."""
    return np.array([from_null(value) for value in values], dtype=np.float64)
