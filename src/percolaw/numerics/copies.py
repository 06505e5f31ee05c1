"""Points that occur more than once, exactly or within the rounding of their numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks

#: Elements of the largest array of rows held at a time.
BLOCK_ELEMENTS = 1 << 20
#: Neighbours along a line with which a point is compared at a time.
MOST_STEPS = 64
#: Units in the last place, of the length of a point, within which two points count as one.
ROUNDING = 4.0


def copy_number(points: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return how many earlier rows hold the same point: 0 for points that are new.

    Parameters
    ----------
    points : array, shape (n, d)
        Finite.

    Returns
    -------
    array of int64, shape (n,)

    Notes
    -----
    O(n d + n log n) time: rows are sorted by a projection, and only rows of equal projections are
    compared.
    """
    x = checks.point_array("points", points)
    first = _first_equal(x, _projection(x))
    order = np.argsort(first, kind="stable")
    start = np.flatnonzero(np.append(True, first[order[1:]] != first[order[:-1]]))
    number = np.empty(order.size, dtype=np.int64)
    number[order] = np.arange(order.size) - np.repeat(start, np.diff(start, append=order.size))
    return number


def near_copies(points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which points lie within rounding of an earlier one, such as one text embedded twice.

    Parameters
    ----------
    points : array, shape (n, d)
        Finite. float64 that float32 holds exactly counts as float32.

    Returns
    -------
    array of bool, shape (n,)
        True for a row that has another as its original, see `originals`.
    """
    original = originals(points)
    return np.asarray(original != np.arange(original.size))


def originals(points: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return the earlier row of which each point is a copy, or the row itself where it is new.

    Parameters
    ----------
    points : array, shape (n, d)
        Finite. float64 that float32 holds exactly counts as float32.

    Returns
    -------
    array of int64, shape (n,)
        A copy equals an earlier point, or its distance to one is at most 4 eps times the length of the
        longer of the two. If that is a copy itself, its original counts: rows named are their own.

    Notes
    -----
    O(n d + n log n) time where few points are near. Points of one dimension in float32 may be this near
    by chance.
    """
    x = checks.point_array("points", points)
    single = x.dtype == np.float32 or all(
        np.array_equal(b, b.astype(np.float32)) for b in _blocks(x)
    )
    unit = ROUNDING * float(np.finfo(np.float32 if single else np.float64).eps)
    key = _projection(x)
    limit = np.concatenate([unit * np.linalg.norm(b, axis=1) for b in _blocks(x)])
    original = _first_equal(x, key)
    kept = np.flatnonzero(original == np.arange(original.size))
    while True:
        order = kept[np.argsort(key[kept], kind="stable")]
        for step in range(1, min(MOST_STEPS, order.size)):
            a, b = order[:-step], order[step:]
            reach = np.maximum(limit[a], limit[b])
            beside = np.flatnonzero(key[b] - key[a] <= reach)
            if not beside.size:
                break
            a, b, reach = a[beside], b[beside], reach[beside]
            close = _distances(x, a, b) <= reach
            original[np.maximum(a, b)[close]] = np.minimum(a, b)[close]
        new = kept[original[kept] == kept]
        if new.size == kept.size:
            break
        kept = new
    while not np.array_equal(further := original[original], original):
        original = further
    return original


def _first_equal(x: npt.NDArray[Any], key: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The first row that equals each; equal rows have equal keys."""
    order = np.argsort(key, kind="stable")
    start = np.flatnonzero(np.append(True, key[order[1:]] != key[order[:-1]]))
    end = np.append(start[1:], order.size)
    first = np.empty(order.size, dtype=np.int64)
    first[order] = np.repeat(order[start], end - start)
    same = _equal_rows(x, order[:-1], order[1:], key[order[1:]] == key[order[:-1]])
    for run in np.unique(np.searchsorted(start, np.flatnonzero(~same) + 1, side="right") - 1):
        rows = order[start[run] : end[run]]  # different points of one key: rare
        at, group = np.unique(x[rows], axis=0, return_index=True, return_inverse=True)[1:]
        first[rows] = rows[at][group.reshape(-1)]
    return first


def _blocks(x: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    rows = max(1, BLOCK_ELEMENTS // x.shape[1])
    return [x[low : low + rows] for low in range(0, x.shape[0], rows)]


def _projection(x: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A coordinate along one direction of length 1, the same for equal points."""
    direction = np.cos(np.arange(x.shape[1], dtype=np.float64))
    direction /= np.linalg.norm(direction)
    parts = [np.einsum("ij,j->i", b.astype(np.float64), direction) for b in _blocks(x)]
    return np.asarray(np.concatenate(parts))


def _equal_rows(
    x: npt.NDArray[Any],
    a: npt.NDArray[np.int64],
    b: npt.NDArray[np.int64],
    ask: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Whether the rows a and b of x are equal where asked, True elsewhere."""
    equal = np.ones(a.size, dtype=np.bool_)
    asked = np.flatnonzero(ask)
    for some in np.array_split(asked, 1 + asked.size * x.shape[1] // BLOCK_ELEMENTS):
        equal[some] = (x[a[some]] == x[b[some]]).all(axis=1)
    return equal


def _distances(
    x: npt.NDArray[Any], a: npt.NDArray[np.int64], b: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Distances between the rows a and b of x."""
    distance = np.empty(a.size)
    for some in np.array_split(np.arange(a.size), 1 + a.size * x.shape[1] // BLOCK_ELEMENTS):
        distance[some] = np.linalg.norm(x[a[some]].astype(np.float64) - x[b[some]], axis=1)
    return distance
