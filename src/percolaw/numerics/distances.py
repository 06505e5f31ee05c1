"""Squared distances between points, precise for near pairs among far ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks

FloatArray = npt.NDArray[np.float64]

#: Bytes from which memory is looked at before a matrix is made.
LARGE = 1 << 26
#: Squared norms from here on are refused: sums of a few of them overflow.
LARGEST = 1e300


def squared_distances(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return |x_i - y_j|^2, with small relative errors however near or far the points are.

    A matrix product about the mean of y; pairs that are near each other, where it cancels, are summed
    from their differences.

    Parameters
    ----------
    x : array, shape (n, d)
    y : array, shape (m, d)

    Returns
    -------
    array of float64, shape (n, m)

    Raises
    ------
    ValueError
        For points of other shapes, and if squares of the coordinates overflow.
    ResourceError
        If the matrix does not fit into memory.
    """
    from percolaw.kernels import covariance as kernels

    x, y = matrix_inputs(x, y)
    centre = y.mean(axis=0)
    a, b = x - centre, y - centre
    norm_a, norm_b = squared_norms(a), squared_norms(b)
    square = a @ (-2.0 * b.T)
    kernels.finish_distances(x, y, norm_a, norm_b, square)
    return np.asarray(square)


def matrix_inputs(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return points (n, d) and (m, d) as float64, if a matrix (n, m) fits into memory.

    Parameters
    ----------
    x : array-like, shape (n, d)
    y : array-like, shape (m, d)

    Returns
    -------
    x, y : arrays of float64
        Contiguous and writable, copied where they are not: kernels are compiled for one layout.

    Raises
    ------
    ValueError
        For other shapes.
    ResourceError
        If the matrix does not fit into memory.
    """
    given = (checks.float_array("inputs of a kernel", z) for z in (x, y))
    x, y = (np.require(z, requirements=["C", "W"]) for z in given)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1:] != y.shape[1:] or x.shape[1] == 0:
        raise ValueError(
            f"a kernel needs points of shapes (n, d) and (m, d), d > 0; got {x.shape} and {y.shape}."
        )
    n_bytes = 8.0 * x.shape[0] * y.shape[0]
    if n_bytes > LARGE:
        checks.memory(
            n_bytes, f"a matrix of {x.shape[0]} x {y.shape[0]} points", "Pass fewer rows at a time."
        )
    return x, y


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


def directions(points: npt.NDArray[Any]) -> FloatArray:
    """Return points over their lengths.

    Parameters
    ----------
    points : array, shape (n, d)

    Returns
    -------
    array of float64, shape (n, d)

    Raises
    ------
    ValueError
        For a point at the origin.
    """
    x = np.asarray(points, dtype=np.float64)
    scale = np.abs(x).max(axis=1, keepdims=True)
    if np.any(scale == 0.0):
        raise ValueError(
            f"point {int(np.flatnonzero(scale[:, 0] == 0.0)[0])} is zero and has no direction; leave it "
            "out, or take the Euclidean distance."
        )
    scaled = x / scale
    return np.asarray(scaled / np.linalg.norm(scaled, axis=1, keepdims=True))


def unit_rows(rows: FloatArray) -> FloatArray:
    """Return rows over their lengths, those of length 0 as they are; `directions` refuses them.

    Parameters
    ----------
    rows : array of float64, shape (n, d)

    Returns
    -------
    array of float64, shape (n, d)
    """
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(norm > 0.0, norm, 1.0))
