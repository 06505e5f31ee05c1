"""Thinning: clusters found in a part of the points must be the parts of the clusters of all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks


@dataclass(frozen=True)
class Thinning:
    """How two partitions of the same points agree, over pairs of points.

    Attributes
    ----------
    kept : float
        Of the pairs in one cluster of all points, the share that is in one cluster of the part too.
    true : float
        Of the pairs in one cluster of the part, the share that is in one cluster of all points.
    agreement : float
        Adjusted Rand index: 1 for equal partitions, 0 for what chance gives.
    """

    kept: float
    true: float
    agreement: float


def thinning(whole: npt.ArrayLike, part: npt.ArrayLike) -> Thinning:
    """Compare the clusters of all points with those found again in a part of them.

    Parameters
    ----------
    whole : array of int, shape (m,)
        Cluster, among all points, of each point of the part.
    part : array of int, shape (m,)
        Its cluster in the part alone.

    Returns
    -------
    Thinning
        NaN where there are no pairs.

    Raises
    ------
    ValueError
        If the two are not of the same points.

    Examples
    --------
    >>> compared = thinning([0, 0, 1, 1], [0, 0, 1, 2])
    >>> compared.kept, compared.true, round(compared.agreement, 4)
    (0.5, 1.0, 0.5714)
    """
    a, b = checks.integer_array("whole", whole), checks.integer_array("part", part)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"whole and part must have one shape (m,); got {a.shape} and {b.shape}.")
    one = np.unique(a, return_inverse=True)[1].astype(np.int64)
    other = np.unique(b, return_inverse=True)[1].astype(np.int64)
    together = np.unique(one * (int(other.max(initial=0)) + 1) + other, return_counts=True)[1]
    both, in_whole, in_part = (
        _pairs(counts) for counts in (together, np.bincount(one), np.bincount(other))
    )
    pairs = _pairs(np.array([a.size]))
    by_chance = in_whole * in_part / pairs if pairs else 0.0
    middle = 0.5 * (in_whole + in_part)
    return Thinning(
        both / in_whole if in_whole else np.nan,
        both / in_part if in_part else np.nan,
        (both - by_chance) / (middle - by_chance) if middle != by_chance else 1.0,
    )


def _pairs(counts: npt.NDArray[Any]) -> float:
    n = counts.astype(np.float64)
    return float((n * (n - 1.0) / 2.0).sum())
