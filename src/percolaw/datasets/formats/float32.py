"""Points of others as float32, without losing what tells them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.datasets.formats.description import DatasetError

#: Share of points that may come to coincide with others by rounding.
_LOST = 0.01


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
        The values, rounded; if distinct points would then coincide, the values minus `origin`.
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
    if kept < distinct:
        shifted, origin = _shifted(values)
        closer = _rounded(shifted, name)
        if (now := _n_distinct(closer)) > kept:
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


def _shifted(values: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], list[float]]:
    """Values minus an origin, exact for integers of any size."""
    if values.dtype.kind in "iu":
        # The least value; differences fit into 64 bits without a sign.
        origin = values.min(axis=0)
        return values.astype(np.uint64) - origin.astype(np.uint64), origin.tolist()
    origin = np.median(values, axis=0)
    return values - origin, [float(v) for v in origin]


def _n_distinct(points: npt.NDArray[Any]) -> int:
    """How many rows differ, by a 64-bit hash of each (two of 10^7 collide with probability 3e-6)."""
    word = np.uint64
    key = np.zeros(points.shape[0], dtype=np.uint64)
    for column in points.T:
        plain = np.ascontiguousarray(column + 0 if column.dtype.kind == "f" else column)
        if plain.dtype.itemsize > 8:  # long doubles: what float64 leaves out counts too
            high = plain.astype(np.float64)
            parts = [high, (plain - high).astype(np.float64)]
        else:
            parts = [plain]
        for part in parts:
            bits = part.view(f"u{part.dtype.itemsize}").astype(np.uint64)
            key = (key ^ bits) * word(0x9E3779B97F4A7C15)
            key ^= key >> word(29)
    return int(np.unique(key).size)
