"""Points whose dimension can be estimated: finite, enough of them, none twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.numerics.copies import copy_number


def checked_cloud(points: npt.ArrayLike, k: int) -> npt.NDArray[Any]:
    """Return points (n, d) as floats, fit for k neighbours, or raise with the remedy.

    Parameters
    ----------
    points : array, shape (n, d)
    k : int
        Neighbours that each point must have: n is at least k + 2.

    Returns
    -------
    array of float32 or float64, shape (n, d)
        float32 stays; all else becomes float64.

    Raises
    ------
    ValueError
        For another shape, NaN or infinity, too few points, and points that all coincide.
    """
    x = checks.array("points", points)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(
            f"points must have shape (n, d); got {x.shape}. One row a point: X.reshape(len(X), -1)."
        )
    if x.dtype != np.float32:
        x = checks.float_array("points", x)
    if not np.isfinite(x.sum(dtype=np.float64)) and not np.all(np.isfinite(x)):
        bad = int(np.sum(~np.isfinite(x).all(axis=1)))
        raise ValueError(
            f"{bad} of {x.shape[0]} points hold NaN or infinity. Remove them: "
            "X[np.isfinite(X).all(axis=1)]."
        )
    if x.shape[0] < k + 2:
        raise ValueError(
            f"{k} neighbours need at least {k + 2} points; got {x.shape[0]}. Use fewer neighbours."
        )
    if np.all(x == x[0]):
        raise ValueError(f"all {x.shape[0]} points coincide; they have no dimension to estimate.")
    return x


def refuse_copies(points: npt.NDArray[Any]) -> None:
    """Refuse points of which some coincide: their distance 0 has no logarithm.

    Raises
    ------
    ValueError
        With their number and the remedy.
    """
    number = copy_number(points)
    coinciding = int(np.sum(number > 0) + np.sum(number == 1))  # each second one stands for a first
    if coinciding:
        raise copies_refused(coinciding, points.shape[0])


def copies_refused(n_coinciding: int, n_points: int) -> ValueError:
    """Return the error that says how many points coincide with another one.

    Parameters
    ----------
    n_coinciding, n_points : int

    Returns
    -------
    ValueError
    """
    return ValueError(
        f"{n_coinciding} of {n_points} points coincide with another one, at distance 0. "
        "Remove duplicates first: np.unique(X, axis=0), or --drop-duplicates of the command."
    )
