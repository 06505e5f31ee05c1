"""Squared distances between points, precise for near pairs among far ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Squared norms from here on are refused: sums of a few of them overflow.
LARGEST = 1e300


def squared_distances(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return |x_i - y_j|^2, with small relative errors however near or far the points are.

    A matrix product about the mean of y; pairs that are near each other, where it cancels, are summed
    from their differences.

    Raises
    ------
    ValueError
        If squares of the coordinates overflow.
    """
    from percolaw.kernels import covariance as kernels

    x, y = _contiguous(x), _contiguous(y)
    centre = y.mean(axis=0)
    a, b = x - centre, y - centre
    norm_a, norm_b = squared_norms(a), squared_norms(b)
    square = a @ (-2.0 * b.T)
    kernels.finish_distances(x, y, norm_a, norm_b, square)
    return np.asarray(square)


def _contiguous(x: FloatArray) -> FloatArray:
    return np.ascontiguousarray(x, dtype=np.float64)


def squared_norms(x: FloatArray) -> FloatArray:
    """Return |x_i|^2, or raise ValueError where squares of the coordinates overflow."""
    square = np.einsum("ij,ij->i", x, x)
    most = float(np.max(square, initial=0.0))
    if not most < LARGEST:
        raise ValueError(
            f"kernels need inputs whose squares are finite; got coordinates up to "
            f"{float(np.abs(x).max()):.3g}. Scale the inputs (percolaw.standardized_inputs)."
        )
    return np.asarray(square)
