"""Exact nearest neighbours of points.

Distances come from a matrix product, which is the fastest exact method in many dimensions, and is
made safe: the data are centred and scaled by medians (a far outlier moves neither), a few more
candidates than asked are kept, and these are ranked again by direct float64 differences. Queries
whose candidates cannot be told apart in float32 (an offset that centring does not remove, many equal
distances) are done again in float64. Measured against faiss and scikit-learn in
benchmarks/bench_neighbors.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks

#: Candidates beyond k that are ranked again in float64.
EXTRA_CANDIDATES = 8
#: Queries and points of one tile of the distance matrix (2 MiB: it stays in the cache).
TILE_ROWS, TILE_COLUMNS = 256, 2048
#: Rows, at most, from which the centre and the scale are taken.
MOST_TYPICAL = 8191
#: Elements of the largest array of differences held at a time.
BLOCK_ELEMENTS = 1 << 22
#: Coordinates beyond, in units of the typical distance from the centre, are clipped in float32.
MOST_ROUGH = 1e15


def nearest_neighbors(
    points: npt.ArrayLike, queries: npt.ArrayLike, k: int = 1
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Find the k nearest of `points` to every query, exactly, nearest first.

    Parameters
    ----------
    points : array, shape (n, d)
        Finite; any offset and scale.
    queries : array, shape (m, d)
    k : int
        At most n.

    Returns
    -------
    distance : array of float64, shape (m, k)
        Euclidean distances, from differences in float64.
    index : array of int64, shape (m, k)
        Rows of `points`; equal distances are ordered by row.

    Raises
    ------
    ValueError
        For fewer than k points, other widths, or non-finite values.

    Notes
    -----
    O(m n d) time in a matrix product; memory one float32 copy of the points, and copies of up to 8191
    of them in float64.
    """
    from percolaw.kernels import neighbors as kernels

    x, q = checked_points(points, queries)
    n = x.shape[0]
    wanted = checks.integer("k", k, minimum=1)
    if wanted > n:
        raise ValueError(f"k = {wanted} neighbours need at least as many points; got {n}.")
    keep = min(n, wanted + EXTRA_CANDIDATES)
    checks.memory(
        16.0 * q.shape[0] * wanted
        + 4.0 * x.size
        + 12.0 * min(n, MOST_TYPICAL) * x.shape[1]
        + TILE_ROWS * (40.0 * keep + 12.0 * x.shape[1])
        + 8.0 * max(BLOCK_ELEMENTS / 8.0, keep * x.shape[1]) * 2.0,
        f"{wanted} neighbours of {q.shape[0]} queries",
        "Lower k, or ask for fewer queries at a time.",
    )
    centre = np.median(_some(x), axis=0)
    scale = _scale(x, centre)
    rough = _rough(x, centre, scale)
    norm = np.einsum("ij,ij->i", rough, rough)
    distance = np.empty((q.shape[0], wanted))
    index = np.empty((q.shape[0], wanted), dtype=np.int64)
    buffer = np.empty(TILE_ROWS * TILE_COLUMNS, dtype=np.float32)
    # float32 rounding of |a|^2 - 2ab: a few units in the last place of the largest terms.
    unit = 4.0 * np.finfo(np.float32).eps * np.sqrt(x.shape[1])
    for low in range(0, q.shape[0], TILE_ROWS):
        part = q[low : low + TILE_ROWS]
        block = _rough(part, centre, scale)
        value = np.full((block.shape[0], keep), np.inf, dtype=np.float32)
        candidate = np.full((block.shape[0], keep), -1, dtype=np.int64)
        worst = np.zeros(block.shape[0], dtype=np.int64)
        for first in range(0, n, TILE_COLUMNS):
            tile = slice(first, first + TILE_COLUMNS)
            product = buffer[: block.shape[0] * (min(first + TILE_COLUMNS, n) - first)]
            product = product.reshape(block.shape[0], -1)
            np.matmul(block, rough[tile].T, out=product)
            kernels.merge_smallest(product, norm[tile], first, value, candidate, worst)
        lost = candidate.min(axis=1) < 0
        candidate[lost] = np.arange(keep)
        exact, order = _rank(x, part, candidate, wanted, scale)
        rows = slice(low, low + TILE_ROWS)
        distance[rows], index[rows] = exact, order
        if keep < n:
            own = np.einsum("ij,ij->i", block, block, dtype=np.float64)
            reach = (exact[:, -1] / scale) ** 2
            # No neighbour is further from the centre than this, so no rounding of further ones matters.
            furthest = 1.001 * (np.sqrt(own) + np.sqrt(reach)) ** 2
            slack = unit * (own + np.minimum(norm.max(), furthest))
            # Safe if the k-th exact distance is clearly inside the edge of the candidates.
            safe = reach + slack < value.max(axis=1) + own - slack
            doubtful = np.flatnonzero(lost | ~safe | (np.abs(block).max(axis=1) >= MOST_ROUGH))
            if doubtful.size:
                exact, order = _brute_force(x, part[doubtful], wanted, scale)
                distance[low + doubtful], index[low + doubtful] = exact, order
    if not np.all(np.isfinite(distance)):
        raise ValueError(
            "points and queries are spread over more than 150 orders of magnitude, whose squares leave "
            "float64. Remove the far ones, or rescale all."
        )
    return distance, index


def checked_points(
    points: npt.ArrayLike, queries: npt.ArrayLike
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return points and queries as float arrays of one width, or raise.

    Parameters
    ----------
    points : array-like, shape (n, d)
    queries : array-like, shape (m, d)

    Returns
    -------
    points, queries : arrays of float32 or float64

    Raises
    ------
    ValueError
        For other shapes, NaN or infinity.
    """
    pair = []
    for name, given in (("points", points), ("queries", queries)):
        found = checks.point_array(name, given)
        if not np.isfinite(found.sum(dtype=np.float64)) and not np.all(np.isfinite(found)):
            raise ValueError(f"{name} holds NaN or infinity. Remove or impute such rows first.")
        pair.append(found)
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ValueError(
            f"points have {pair[0].shape[1]} columns and queries {pair[1].shape[1]}; "
            "they must be equal."
        )
    return pair[0], pair[1]


def _some(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Up to `MOST_TYPICAL` rows, evenly spaced, in float64."""
    return x[:: max(1, x.shape[0] // 4096)].astype(np.float64)


def _scale(x: npt.NDArray[Any], centre: npt.NDArray[np.float64]) -> float:
    """Median distance from the centre of some points that are not there, as a power of two; 1 if 0.

    Dividing by it is exact, and squares of what is left neither over- nor underflow.
    """
    gap = _some(x) - centre
    if not gap.any():
        gap = x - centre
    largest = np.abs(gap).max(axis=1)
    gap, largest = gap[largest > 0.0], largest[largest > 0.0]
    if largest.size == 0:
        return 1.0
    typical = np.median(largest * np.sqrt(np.sum((gap / largest[:, None]) ** 2, axis=1)))
    return float(2.0 ** np.clip(np.rint(np.log2(typical)), -1000, 1000))


def _rough(
    x: npt.NDArray[Any], centre: npt.NDArray[np.float64], scale: float
) -> npt.NDArray[np.float32]:
    """Centred and scaled points in float32. Clipping brings points that are far nearer, never further."""
    rough = np.empty(x.shape, dtype=np.float32)
    rows = max(1, BLOCK_ELEMENTS // (8 * x.shape[1]))
    for low in range(0, x.shape[0], rows):
        moved = (x[low : low + rows] - centre) / scale
        rough[low : low + rows] = np.clip(moved, -MOST_ROUGH, MOST_ROUGH, out=moved)
    return rough


def _rank(
    x: npt.NDArray[Any],
    part: npt.NDArray[Any],
    candidate: npt.NDArray[np.int64],
    k: int,
    scale: float,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Order candidates by exact distance, then by row."""
    candidate = np.sort(candidate, axis=1)
    square = np.empty(candidate.shape)
    rows = max(1, BLOCK_ELEMENTS // (8 * max(1, candidate.shape[1] * x.shape[1])))
    for low in range(0, part.shape[0], rows):
        gap = x[candidate[low : low + rows]].astype(np.float64)
        gap -= part[low : low + rows, None, :]
        gap /= scale
        square[low : low + rows] = np.einsum("ijk,ijk->ij", gap, gap)
    order = np.argsort(square, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(candidate, order, axis=1)
    return np.sqrt(np.take_along_axis(square, order, axis=1)) * scale, nearest


def _brute_force(
    x: npt.NDArray[Any], part: npt.NDArray[Any], k: int, scale: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Direct float64 differences against every point."""
    from percolaw.kernels import neighbors as kernels

    keep = min(x.shape[0], k + EXTRA_CANDIDATES)
    value = np.empty((part.shape[0], keep))
    candidate = np.empty((part.shape[0], keep), dtype=np.int64)
    rows, queries = np.ascontiguousarray(x), part.astype(np.float64, order="C")
    kernels.nearest_directly(rows, queries, 1.0 / scale, value, candidate)
    return _rank(x, part, candidate, k, scale)
