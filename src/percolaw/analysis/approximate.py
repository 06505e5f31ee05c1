"""Neighbours of very many points, some of them missed: an inverted file of faiss, and its recall."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams

#: Points of a cell at most, from which its centre is learned.
PER_CENTRE = 64


def approximate_neighbors(
    points: npt.ArrayLike, k: int, n_probed: int = 16
) -> npt.NDArray[np.int32]:
    """Return the nearest points of every point, itself among them, of which some may be missed.

    Points are sorted into about 2 sqrt(n) cells (k-means); neighbours are looked for in the nearest
    cells of each point.

    Parameters
    ----------
    points : array, shape (n, d)
        Finite; compared in float32, from their mean.
    k : int
        At most n.
    n_probed : int
        Cells that are looked through for each point; all of them miss nothing.

    Returns
    -------
    array of int32, shape (n, k)
        Nearest first.

    Raises
    ------
    ValueError
        If k is more than n, and for points that are not finite.
    MissingExtraError
        If faiss is not installed.

    Notes
    -----
    O(n^1.5 d n_probed) time; 8 d + 12 k bytes a point. Points in clusters lose hardly any neighbours; a
    Gaussian cloud of 50 dimensions loses most (20,000 points in 283 cells: recall .27 with 6, .59 with
    28, .86 with 85). Cells are learned with a fixed seed: the same points
    have the same neighbours, with any number of threads. `recall` measures what is missed.
    """
    faiss = checks.extra("faiss", "analyze")
    x = _centred(points)
    n, dim = x.shape
    wanted = checks.integer("k", k, minimum=1)
    if wanted > n:
        raise ValueError(f"k = {wanted} neighbours were asked for among {n} points; lower k.")
    probed = checks.integer("n_probed", n_probed, minimum=1)
    checks.memory(8.0 * n * dim + 12.0 * n * wanted, f"neighbours of {n} points", "Take fewer.")
    n_cells = max(1, min(n // 40, round(2.0 * math.sqrt(n))))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(dim), dim, n_cells)
    index.cp.seed, index.cp.max_points_per_centroid = 1, PER_CENTRE
    index.cp.min_points_per_centroid = 1
    index.train(x)
    index.add(x)
    index.nprobe = min(n_cells, probed)
    near = index.search(x, wanted)[1]
    lacking = np.flatnonzero((near < 0).any(axis=1))
    if lacking.size:  # fewer than k points in the cells that were looked through
        index.nprobe = n_cells
        near[lacking] = index.search(x[lacking], wanted)[1]
    return np.asarray(near, dtype=np.int32)


def recall(
    points: npt.ArrayLike, table: npt.ArrayLike, n_queries: int = 1000, rng: RandomLike = 0
) -> float:
    """Return the share of the true neighbours of random points that a table holds.

    Parameters
    ----------
    points : array, shape (n, d)
        As compared: directions for the cosine distance (`percolaw.numerics.distances.directions`).
    table : array of int, shape (n, k)
        Neighbours of every point, without itself, from `neighbor_table`.
    n_queries : int
        Points that are drawn; all if there are no more.
    rng : int, Generator or Streams
        Stream ``analysis``.

    Returns
    -------
    float
        Between 0 and 1. A neighbour as near as the k-th true one, within rounding of float32, counts.

    Raises
    ------
    ValueError
        If there is not one row a point.

    Notes
    -----
    O(n_queries n d), by `percolaw.nearest_neighbors`.
    """
    from percolaw.numerics.neighbors import nearest_neighbors, without_self

    x = np.asarray(checks.point_array("points", points), dtype=np.float64)
    near = checks.integer_array("table", table)
    n = x.shape[0]
    if near.ndim != 2 or near.shape[0] != n or not 0 < near.shape[1] < n:
        raise ValueError(
            f"table must have shape (n, k) with n = {n} and k below it; got {near.shape}."
        )
    k, count = near.shape[1], min(n, checks.integer("n_queries", n_queries, minimum=1))
    rows = np.sort(as_streams(rng).generator("analysis").permutation(n)[:count])
    distance, index = nearest_neighbors(x, x[rows], k + 1)
    farthest = distance[without_self(index, rows)].reshape(count, k)[:, -1]
    length = np.linalg.norm(x - x.mean(axis=0), axis=1)
    reach = farthest + 8.0 * float(np.finfo(np.float32).eps) * (length[rows] + farthest)
    hits = 0
    for column in near[rows].T:
        gap: npt.NDArray[Any] = np.linalg.norm(x[rows] - x[column], axis=1)
        hits += int(np.count_nonzero((gap <= reach) & (column != rows)))
    return hits / (count * k)


def _centred(points: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Points from their mean, over their scale, float32: far from the origin digits would be lost."""
    x = checks.finite_array("points", checks.point_array("points", points))
    centred = x - x.mean(axis=0)
    scale = float(np.abs(centred).max()) or 1.0
    return np.ascontiguousarray(centred / scale, dtype=np.float32)
