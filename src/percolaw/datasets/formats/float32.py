"""Points of others as float32, without losing what tells them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.errors import DatasetError

#: Share of points that may come to coincide with others by rounding.
_LOST = 0.01
#: Rounding error of a column, in its standard deviations, above which its origin is moved.
_BLURRED = 1e-4
#: Rows looked at together.
_ROWS = 1 << 12


def float32_points(
    values: npt.NDArray[Any], name: str
) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Return points as float32 and what was done to them, for the provenance.

    Parameters
    ----------
    values : array of real numbers, shape (n, d)
    name : str
        What errors call it.

    Returns
    -------
    points : array of float32, shape (n, d)
        The values, rounded; if distinct points would then coincide, or a column would be blurred by
        more than 1e-4 of its standard deviation, the values minus `origin`.
    note : dict
        ``origin``, a list of d numbers, if that was subtracted; ``merged_by_rounding``, how many
        distinct points were lost, if any (at most 1%).

    Raises
    ------
    DatasetError
        If numbers are not finite, beyond the range of float32, or more distinct points would be lost.
    """
    if not np.all(np.isfinite(values)):
        raise DatasetError(f"{name} must be finite; it has NaN or infinite entries.")
    points = _rounded(values, name)
    if np.can_cast(values.dtype, np.float32) or values.size == 0:
        return points, {}
    distinct = _n_distinct(values)
    note: dict[str, Any] = {}
    kept = _n_distinct(points)
    blurred = _is_blurred(values, points)
    if kept < distinct or blurred:
        shifted, origin = _shifted(values)
        closer = _rounded(shifted, name)
        if (now := _n_distinct(closer)) > kept or blurred:
            points, kept, note = closer, now, {"origin": origin}
    if kept < distinct:
        note["merged_by_rounding"] = distinct - kept
    if distinct - kept > _LOST * distinct:
        raise DatasetError(
            f"{name}: {distinct - kept} of {distinct} distinct points would coincide in float32, also "
            "after their origin is moved. Scale the coordinates, or subtract what they share."
        )
    return points, note


def _rounded(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", under="ignore"):
        points = values.astype(np.float32)
    if not np.all(np.isfinite(points)):
        raise DatasetError(f"{name} has numbers beyond 3.4e38, the range of float32. Scale them.")
    return points


def _is_blurred(values: npt.NDArray[Any], points: npt.NDArray[np.float32]) -> bool:
    """Whether rounding changes some column by more than a small part of how far it varies."""
    largest = np.maximum(np.abs(points.max(axis=0)), np.abs(points.min(axis=0)))
    # An error is at most 2^-24 of the number: most columns need no closer look.
    near = 2.0**-24 * largest > _BLURRED * points.std(axis=0, dtype=np.float64)
    for j in np.flatnonzero(near):
        exact = values[:, j].astype(np.longdouble)
        error = np.sqrt(np.mean((exact - points[:, j]) ** 2))
        if error > _BLURRED * exact.std() > 0:
            return True
    return False


def _shifted(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[float]]:
    """Values minus an origin, exact for integers of any size."""
    if values.dtype.kind in "iu":
        # The least value; differences fit into 64 bits without a sign.
        origin = values.min(axis=0)
        return values.astype(np.uint64) - origin.astype(np.uint64), origin.tolist()
    origin = np.median(values, axis=0).astype(np.float64)
    return values - origin, origin.tolist()


def _n_distinct(points: npt.NDArray[Any]) -> int:
    """How many rows differ, by a 64-bit hash of each (two of 10^7 collide with probability 3e-6)."""
    keys = [_hashed(points[low : low + _ROWS].T) for low in range(0, points.shape[0], _ROWS)]
    return int(np.unique(np.concatenate(keys)).size)


def _hashed(columns: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each point, given coordinate by coordinate."""
    word = np.uint64
    key = np.zeros(columns.shape[1], dtype=np.uint64)
    for column in columns:
        plain = np.ascontiguousarray(column + 0 if column.dtype.kind == "f" else column)
        if plain.dtype.itemsize > 8:  # long doubles: what float64 leaves out counts too
            high = plain.astype(np.float64)
            parts = [high, (plain - high).astype(np.float64)]
        else:
            parts = [plain]
        for part in parts:
            key = (key ^ part.view(f"u{part.dtype.itemsize}")) * word(0x9E3779B97F4A7C15)
            key ^= key >> word(29)
    return key
