"""Principal components of points, in whichever of the two spaces is smaller."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def principal_components(points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return mean, principal axes and the coordinates along them, of rising variance.

    Parameters
    ----------
    points : array of float64, shape (n, d)

    Returns
    -------
    mean : array of float64, shape (d,)
    axes : array of float64, shape (r, d)
        Orthonormal rows; r = d, or with more columns than points as many as vary, n - 1 at most.
    scores : array of float64, shape (n, r)

    Notes
    -----
    O(n d m) time and m^2 numbers, m the smaller of n and d.
    """
    mean = points.mean(axis=0)
    centred = points - mean
    n, d = centred.shape
    if d <= n:
        axes = np.linalg.eigh(centred.T @ centred)[1].T
        return mean, axes, centred @ axes.T
    square, vectors = np.linalg.eigh(centred @ centred.T)
    varies = square > 1e-12 * max(square[-1], 0.0)
    length = np.sqrt(square[varies])
    axes = (vectors[:, varies].T @ centred) / length[:, None]
    return mean, axes, vectors[:, varies] * length
