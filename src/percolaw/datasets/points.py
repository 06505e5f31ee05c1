"""Plain points from files of any common kind, without loading more than is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.formats import DatasetError
from percolaw.rng import RandomLike, as_streams

SUFFIXES = (".npy", ".npz", ".zarr", ".parquet", ".csv")


def read_points(
    path: str | os.PathLike[str], most: int, rng: RandomLike = 0, array: str | None = None
) -> tuple[npt.NDArray[Any], int]:
    """Read up to `most` random rows of a table of numbers.

    Parameters
    ----------
    path : path
        ``.npy`` (n, d); ``.npz`` with an array X, the one named, or a single 2-D one; ``.zarr``, an
        array or a group with X; ``.parquet`` of a percolaw dataset; ``.csv`` of numbers separated by
        commas, with or without a header line.
    most : int
        Rows read; the file may have more (memory maps and Zarr are not loaded whole).
    rng : int, Generator or Streams
        Stream ``evaluation`` chooses the rows.
    array : str, optional
        Name of the array in an ``.npz`` or a Zarr group.

    Returns
    -------
    points : array, shape (m, d)
    n_rows : int
        Rows of the file.

    Raises
    ------
    DatasetError
        If the file is missing, damaged, or holds no table of numbers.
    """
    source = Path(path)
    checks.choice("file suffix", source.suffix, SUFFIXES)
    if not source.exists():
        raise DatasetError(f"there is no {source}.")
    try:
        table = _open(source, array)
    except DatasetError:
        raise
    except Exception as error:  # damaged files make readers fail in every way
        raise DatasetError(
            f"{source} cannot be read: {error}. It may be truncated or damaged."
        ) from error
    shape = tuple(table.shape)
    if len(shape) != 2:
        raise DatasetError(f"{source} holds an array of shape {shape}; points need shape (n, d).")
    if np.dtype(table.dtype).kind not in "buif":
        raise DatasetError(f"{source} holds {table.dtype}, not numbers.")
    if shape[0] <= most:
        return np.asarray(table[:]), shape[0]
    rows = np.sort(as_streams(rng).generator("evaluation").permutation(shape[0])[:most])
    oindex = getattr(table, "oindex", None)
    return np.asarray(table[rows] if oindex is None else oindex[rows, :]), shape[0]


def _open(source: Path, name: str | None) -> Any:
    if source.suffix == ".npy":
        return np.load(source, mmap_mode="r", allow_pickle=False)
    if source.suffix == ".csv":
        with open(source, encoding="utf-8") as lines:
            first = lines.readline()
        try:
            [float(word) for word in first.split(",")]
            skip = 0
        except ValueError:
            skip = 1
        return np.loadtxt(source, delimiter=",", skiprows=skip, ndmin=2)
    if source.suffix == ".parquet":
        from percolaw.datasets.formats import load

        return load(source).X
    if source.suffix == ".npz":
        with np.load(source, allow_pickle=False) as arrays:
            chosen = name or ("X" if "X" in arrays.files else None)
            if chosen is None:
                flat = [key for key in arrays.files if arrays[key].ndim == 2]
                chosen = flat[0] if len(flat) == 1 else None
            if chosen is None or chosen not in arrays.files:
                raise DatasetError(
                    f"{source} holds {', '.join(arrays.files)}; name one with --array."
                )
            return arrays[chosen]
    zarr = checks.extra("zarr", "store")
    node = zarr.open(str(source), mode="r")
    if hasattr(node, "shape"):
        return node
    if (name or "X") not in node:
        raise DatasetError(f"{source} holds {', '.join(node)}; name one with --array.")
    return node[name or "X"]
