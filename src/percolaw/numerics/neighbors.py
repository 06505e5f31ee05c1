"""Exact nearest neighbours of points.

Distances come from a matrix product, which is the fastest exact method in many dimensions, and is
made safe: the data are centred and scaled by medians (a far outlier moves neither), a few more
candidates than asked are kept, and these are ranked again by direct float64 differences. Of equal points
only the first k take part. Queries whose candidates cannot be told apart in float32 (an offset that
centring does not remove, many equal distances) are done again: a product in float64 tells which points
can be near, and those are measured.
Compared with faiss and scikit-learn in benchmarks/bench_neighbors.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.numerics.copies import copy_number

#: Candidates beyond k that are ranked again in float64.
EXTRA_CANDIDATES = 8
#: Queries and points of one tile of the distance matrix: 4 MiB stay in the cache, and give the threads
#: of BLAS something to do.
TILE_ROWS, TILE_COLUMNS = 2048, 512
#: Rows, at most, from which the centre and the scale are taken.
MOST_TYPICAL = 2047
#: Elements of the largest array of differences held at a time.
BLOCK_ELEMENTS = 1 << 22
#: Coordinates beyond, in units of the typical distance from the centre, are clipped in float32.
MOST_ROUGH = 1e15
#: The same in float64.
MOST_MOVED = 1e150


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
        For fewer than k points, unequal numbers of columns, values that are not finite, and points over
        more than 150 orders of magnitude.
    ResourceError
        If the result and its working memory do not fit.

    Notes
    -----
    O(m n d) time in a matrix product, which uses the threads of NumPy's BLAS; the rest is a few percent
    of it. No result depends on their number. Memory one float32 copy of the points, and copies of up to
    2047 of them in float64.
    """
    x, q = checked_points(points, queries)
    n, dim = x.shape
    wanted = checks.integer("k", k, minimum=1)
    if wanted > n:
        raise ValueError(f"k = {wanted} neighbours need at least as many points; got {n}.")
    keep = min(n, wanted + EXTRA_CANDIDATES)
    checks.memory(
        16.0 * q.shape[0] * wanted
        + 4.0 * x.size
        + 12.0 * min(n, MOST_TYPICAL) * dim
        + min(q.shape[0], TILE_ROWS) * (40.0 * keep + 24.0 * dim + 8.0 * TILE_COLUMNS)
        + 24.0 * min(n, TILE_COLUMNS) * dim
        + 40.0 * n
        + 8.0 * max(BLOCK_ELEMENTS / 8.0, keep * dim) * 2.0,
        f"{wanted} neighbours of {q.shape[0]} queries",
        "Lower k, or ask for fewer queries at a time.",
    )
    frame = _Frame(*centre_and_scale(x))
    distance = np.empty((q.shape[0], wanted))
    index = np.empty((q.shape[0], wanted), dtype=np.int64)
    # Later copies of a point come after all that are wanted.
    rows = np.flatnonzero(copy_number(x) < wanted)
    doubtful = _search_in_single(x, rows, q, frame, distance, index)
    if doubtful.size:
        _search_in_double(x, rows, q, frame, doubtful, distance, index)
    if not np.all(np.isfinite(distance)):
        raise ValueError(
            "points and queries are spread over more than 150 orders of magnitude, whose squares leave "
            "float64. Remove the far ones, or rescale all."
        )
    return distance, index


def checked_points(
    points: npt.ArrayLike, queries: npt.ArrayLike
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return points and queries as finite float arrays with equal numbers of columns.

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
        For other shapes, unequal numbers of columns, NaN or infinity.
    """
    pair = []
    for name, given in (("points", points), ("queries", queries)):
        rows = checks.point_array(name, given)
        if not np.isfinite(rows.sum(dtype=np.float64)) and not np.all(np.isfinite(rows)):
            raise ValueError(f"{name} holds NaN or infinity. Remove or impute such rows first.")
        pair.append(rows)
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ValueError(
            f"points have {pair[0].shape[1]} columns and queries {pair[1].shape[1]}; "
            "they must be equal."
        )
    return pair[0], pair[1]


def _some(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Up to `MOST_TYPICAL` rows, evenly spaced, in float64."""
    return x[:: max(1, x.shape[0] // (MOST_TYPICAL // 2))].astype(np.float64)


def centre_and_scale(x: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], float]:
    """Return the median point, and the median distance from it as a power of two.

    The distance is of some points that are not there, 1 if there are none. Dividing by it is exact, and
    squares of what is left neither over- nor underflow.

    Parameters
    ----------
    x : array, shape (n, d)
        Finite.

    Returns
    -------
    centre : array of float64, shape (d,)
    scale : float
    """
    centre = np.median(_some(x), axis=0)
    gap = _some(x) - centre
    if not gap.any():
        gap = x - centre
    largest = np.abs(gap).max(axis=1)
    gap, largest = gap[largest > 0.0], largest[largest > 0.0]
    if largest.size == 0:
        return centre, 1.0
    typical = np.median(largest * np.sqrt(np.sum((gap / largest[:, None]) ** 2, axis=1)))
    return centre, float(2.0 ** np.clip(np.rint(np.log2(typical)), -1000, 1000))


@dataclass(frozen=True)
class _Frame:
    """Where products are taken: about a centre, in units of the typical distance from it."""

    centre: npt.NDArray[np.float64]
    scale: float

    def moved(self, x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Points in the frame. Clipping brings points that are far nearer, never further."""
        moved = (x - self.centre) / self.scale
        return np.clip(moved, -MOST_MOVED, MOST_MOVED, out=moved)

    def rough(
        self, x: npt.NDArray[Any], rows: npt.NDArray[np.int64] | slice = slice(None)
    ) -> npt.NDArray[np.float32]:
        """Chosen points in the frame, in float32."""
        chosen = np.arange(x.shape[0])[rows]
        rough = np.empty((chosen.size, x.shape[1]), dtype=np.float32)
        step = max(1, BLOCK_ELEMENTS // (64 * x.shape[1]))
        for low in range(0, chosen.size, step):
            moved = x[chosen[low : low + step]] - self.centre
            moved /= self.scale
            rough[low : low + step] = np.clip(moved, -MOST_ROUGH, MOST_ROUGH, out=moved)
        return rough


def _search_in_single(
    x: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    q: npt.NDArray[Any],
    frame: _Frame,
    distance: npt.NDArray[np.float64],
    index: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Fill distances to the nearest of `rows` by products in float32; return queries it may get wrong.

    Theirs are distances of some points all the same, no less than those of the nearest.
    """
    from percolaw.kernels import neighbors as kernels

    n, k = rows.size, distance.shape[1]
    keep = min(n, k + EXTRA_CANDIDATES)
    rough = frame.rough(x, rows)
    norm = np.einsum("ij,ij->i", rough, rough)
    buffer = np.empty(min(TILE_ROWS, q.shape[0]) * TILE_COLUMNS, dtype=np.float32)
    unit = _rounding(np.float32, x.shape[1])
    doubtful = []
    for low in range(0, q.shape[0], TILE_ROWS):
        part = q[low : low + TILE_ROWS]
        block = frame.rough(part)
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
        here = slice(low, low + TILE_ROWS)
        distance[here], index[here] = _rank(x, part, rows[candidate], k, frame.scale)
        if keep < n:
            square = np.einsum("ij,ij->i", block, block, dtype=np.float64)
            reach = (distance[here, -1] / frame.scale) ** 2
            # No neighbour is further from the centre than this, so no rounding of further ones matters.
            furthest = 1.001 * (np.sqrt(square) + np.sqrt(reach)) ** 2
            slack = unit * (square + np.minimum(norm.max(), furthest))
            # Safe if the k-th exact distance is clearly inside the edge of the candidates.
            safe = reach + slack < value.max(axis=1) + square - slack
            unsafe = lost | ~safe | (np.abs(block).max(axis=1) >= MOST_ROUGH)
            doubtful.append(low + np.flatnonzero(unsafe))
    return np.concatenate(doubtful) if doubtful else np.empty(0, dtype=np.int64)


def _search_in_double(
    x: npt.NDArray[Any],
    rows: npt.NDArray[np.int64],
    q: npt.NDArray[Any],
    frame: _Frame,
    queries: npt.NDArray[np.int64],
    distance: npt.NDArray[np.float64],
    index: npt.NDArray[np.int64],
) -> None:
    """Replace distances and indices of some queries by direct differences to the points of `rows`.

    Measured is what a product in float64 does not show to be further than the k points that are known.
    """
    from percolaw.kernels import neighbors as kernels

    k = distance.shape[1]
    keep = min(rows.size, k + EXTRA_CANDIDATES)
    unit = _rounding(np.float64, x.shape[1])
    for low in range(0, queries.size, TILE_ROWS):
        some = queries[low : low + TILE_ROWS]
        part = q[some].astype(np.float64)
        block = frame.moved(part)
        square = np.einsum("ij,ij->i", block, block)
        reach = (distance[some, -1] / frame.scale) ** 2
        bound = (1.0 + unit) * reach - (1.0 - unit) * square
        value = np.full((some.size, keep), np.inf)
        candidate = np.full((some.size, keep), -1, dtype=np.int64)
        for first in range(0, rows.size, TILE_COLUMNS):
            here = rows[first : first + TILE_COLUMNS]
            tile = x[here].astype(np.float64)
            moved = frame.moved(tile)
            least = (1.0 - unit) * np.einsum("ij,ij->i", moved, moved)
            kernels.measure_near(
                block @ moved.T, least, bound, here, tile, part, 1.0 / frame.scale, value, candidate
            )
        distance[some], index[some] = _rank(x, part, candidate, k, frame.scale)


def _rounding(dtype: type[np.floating[Any]], dim: int) -> float:
    """Rounding of |a|^2 - 2ab + |b|^2 over |a|^2 + |b|^2: a few units in the last place of its terms."""
    return float(4.0 * np.finfo(dtype).eps * np.sqrt(dim))


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
    rows = max(1, BLOCK_ELEMENTS // (64 * candidate.shape[1] * x.shape[1]))
    for low in range(0, part.shape[0], rows):
        gap = np.subtract(
            x[candidate[low : low + rows]], part[low : low + rows, None], dtype=np.float64
        )
        gap *= 1.0 / scale
        np.einsum("ijk,ijk->ij", gap, gap, out=square[low : low + rows])
    square[candidate < 0] = np.inf  # no candidate
    order = np.argsort(square, axis=1, kind="stable")[:, :k]
    nearest = np.take_along_axis(candidate, order, axis=1)
    return np.sqrt(np.take_along_axis(square, order, axis=1)) * scale, nearest


def without_self(
    index: npt.NDArray[np.integer[Any]], rows: npt.NDArray[Any]
) -> npt.NDArray[np.bool_]:
    """Return which neighbours are other points than those they are neighbours of, all but one a row.

    Parameters
    ----------
    index : array of int, shape (n, k + 1)
        Neighbours of the points, nearest first, themselves among them unless copies fill the row.
    rows : array of int, shape (n,)
        Numbers of the points.

    Returns
    -------
    array of bool, shape (n, k + 1)
        False once in each row: at the point itself, or at the last of the copies that stand for it.
    """
    other = np.asarray(index != rows[:, None])
    other[other.all(axis=1), -1] = False
    return other
