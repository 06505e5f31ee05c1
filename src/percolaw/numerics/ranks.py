"""Statistics over all neighbours: what a point has in common with its nearest, its second nearest, ...

The table of n (n - 1) neighbours is never held: points are sorted in blocks, and each block is summed.

Ties share. Points equally far from a point have no order, so each of them counts at every rank that they
take together, with equal weights: the mean over all ways to order them. Without that the order of the
rows would decide, and in the Hamming metric it would decide nearly everything. Equal are squared
distances that agree when float64 sums are rounded to float32, six parts in 10^8: distances that are
equal but for rounding are ties, and the order of others so near to each other carries nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.numerics.distances import directions
from percolaw.numerics.neighbors import centre_and_scale, checked_points

Metric = Literal["euclidean", "cosine", "hamming"]

#: Entries of the table that are held at a time, 9 bytes each.
BLOCK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class RankedBlock:
    """All neighbours of some consecutive points, nearest first.

    Attributes
    ----------
    first : int
        Row of the first of these points.
    order : array of int32, shape (n_rows, n - 1)
        Rows of the other points by distance, equally far ones by row.
    tied : array of bool, shape (n_rows, n - 1)
        Whether a neighbour is as far as the one before.
    """

    first: int
    order: npt.NDArray[np.int32]
    tied: npt.NDArray[np.bool_]


def neighbors_by_rank(points: npt.ArrayLike, metric: Metric = "euclidean") -> Iterator[RankedBlock]:
    """Return all other points of every point by distance, a block of points at a time.

    Parameters
    ----------
    points : array, shape (n, d)
        At least 2, finite. For ``"hamming"`` integers from 0 to 255 (or int8), one a letter.
    metric : {"euclidean", "cosine", "hamming"}
        Cosine orders by the angle between rows, hamming by the number of places that differ.

    Returns
    -------
    iterator of RankedBlock
        In the order of the rows.

    Raises
    ------
    ValueError
        For fewer than 2 points, values that are not finite, rows of length 0 with ``"cosine"``, and
        codes that are no bytes with ``"hamming"``.
    ResourceError
        If a block does not fit into memory.

    Notes
    -----
    O(n^2 d + n^2) time, on as many threads as NumPy's BLAS is allowed; memory 9 bytes for each of four
    million entries, and the points in float64. The number of threads and the size of blocks change
    nothing.
    """
    columns, fill = _prepared(points, metric)
    n = columns.shape[1]
    block = max(1, min(n, BLOCK_ELEMENTS // n))
    checks.memory(
        9.0 * block * n + 32.0 * n * _threads(),
        f"a block of {block} x {n} neighbours",
        "Pass fewer points.",
    )
    return _blocks(columns, fill, block)


def _prepared(
    points: npt.ArrayLike, metric: Metric
) -> tuple[npt.NDArray[Any], Callable[..., None]]:
    """Points as columns (d, n), and the kernel that fills rows with their distances."""
    from percolaw.kernels import ranks as kernels

    checks.choice("metric", metric, ("euclidean", "cosine", "hamming"))
    x: npt.NDArray[Any]
    if metric == "hamming":
        x, fill = _codes(points), kernels.mismatches
    else:
        x, _ = checked_points(points, points)
        x = directions(x) if metric == "cosine" else x / np.float64(centre_and_scale(x)[1])
        fill = kernels.squared_distances
    if x.shape[0] < 2:
        raise ValueError(f"neighbours need at least 2 points; got {x.shape[0]}.")
    return np.ascontiguousarray(x.T), fill


def _codes(points: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Rows of letters as bytes."""
    letters = checks.array("points", points)
    if letters.ndim != 2 or letters.shape[1] == 0 or letters.dtype.kind not in "iub":
        raise ValueError(
            f"metric='hamming' needs integers of shape (n, length); got {letters.dtype} of shape "
            f"{letters.shape}. Number the letters from 0."
        )
    if letters.dtype.itemsize == 1:
        return np.ascontiguousarray(letters).view(np.uint8)
    if letters.size and (letters.min() < 0 or letters.max() > 255):
        raise ValueError(
            f"metric='hamming' needs letters from 0 to 255; got {letters.min()} to {letters.max()}. "
            "Number them anew: numpy.unique(points, return_inverse=True)."
        )
    return letters.astype(np.uint8)


def _blocks(
    columns: npt.NDArray[Any], fill: Callable[..., None], block: int
) -> Iterator[RankedBlock]:
    from percolaw.kernels import ranks as kernels

    n = columns.shape[1]
    threads = _threads()

    def rank(part: range) -> None:
        rows = slice(part.start - first, part.stop - first)
        queries = np.ascontiguousarray(columns[:, part.start : part.stop].T)
        distance = np.empty((len(part), n), kind)
        fill(queries, columns, distance)
        kernels.rank_rows(distance.view(np.uint32), part.start, order[rows], tied[rows])

    kind = np.uint32 if columns.dtype == np.uint8 else np.float32
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, n, block):
            last = min(n, first + block)
            order = np.empty((last - first, n - 1), np.int32)
            tied = np.empty(order.shape, np.bool_)
            step = -(-(last - first) // threads)
            parts = [range(low, min(low + step, last)) for low in range(first, last, step)]
            list(pool.map(rank, parts))
            yield RankedBlock(first, order, tied)


def _threads() -> int:
    """As many threads as NumPy's BLAS may use: one inside a unit of a run."""
    from threadpoolctl import threadpool_info

    blas = [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]
    return max(blas, default=1)
