"""Plain points from files of any common kind, without loading more than is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.formats import DatasetError, load
from percolaw.errors import MissingExtraError
from percolaw.rng import RandomLike, as_streams

SUFFIXES = (".npy", ".npz", ".zarr", ".parquet", ".csv", ".tsv", ".txt")
#: What separates the numbers of text files; None is white space.
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}


def read_points(
    path: str | os.PathLike[str], most: int, rng: RandomLike = 0, array: str | None = None
) -> tuple[npt.NDArray[Any], int]:
    """Read up to `most` random rows of a table of numbers.

    Parameters
    ----------
    path : path
        ``.npy`` (n, d); ``.npz`` with an array X, the one named, or a single 2-D one; ``.zarr``, an
        array or a group with X; ``.parquet`` of a percolaw dataset; numbers as text, with or without
        a header line, separated by commas (``.csv``), tabs (``.tsv``) or spaces (``.txt``).
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
    if array is not None and source.suffix not in (".npz", ".zarr"):
        raise DatasetError(f"{source} holds one table; --array is for .npz and .zarr.")
    try:
        table = _open(source, array)
        shape = tuple(table.shape)
        if len(shape) != 2:
            raise DatasetError(
                f"{source} holds an array of shape {shape}; points need shape (n, d)."
            )
        if np.dtype(table.dtype).kind not in "buif":
            raise DatasetError(f"{source} holds {table.dtype}, not numbers.")
        if shape[0] <= most:
            return np.asarray(table[:]), shape[0]
        rows = np.sort(as_streams(rng).generator("evaluation").permutation(shape[0])[:most])
        oindex = getattr(table, "oindex", None)
        return np.asarray(table[rows] if oindex is None else oindex[rows, :]), shape[0]
    except (DatasetError, MissingExtraError):
        raise
    except Exception as error:  # damaged files make readers fail in every way
        raise DatasetError(
            f"{source} cannot be read: {error}. It may be truncated or damaged."
        ) from error


def _open(source: Path, name: str | None) -> Any:
    if source.suffix == ".parquet" or (source.suffix == ".npy" and source.is_dir()):
        return load(source).X
    if source.suffix == ".npy":
        return np.load(source, mmap_mode="r", allow_pickle=False)
    if source.suffix in SEPARATORS:
        with open(source, encoding="utf-8-sig") as lines:
            first = lines.readline()
        # A header has no numbers at all; one bad cell among numbers is an error, not a header.
        separator = SEPARATORS[source.suffix]
        skip = int(not any(_is_number(word) for word in first.split(separator)))
        try:
            return np.loadtxt(
                source, delimiter=separator, skiprows=skip, ndmin=2, encoding="utf-8-sig"
            )
        except ValueError as error:
            between = {",": "commas", "\t": "tabs", None: "spaces"}[separator]
            raise DatasetError(
                f"{source} is no table of numbers separated by {between}: "
                f"{str(error).split('; use')[0].rstrip('.')}. Remove columns of text and fill blanks."
            ) from error
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
        raise DatasetError(f"{source} holds {', '.join(sorted(node))}; name one with --array.")
    if name is None and node.attrs.get("format") == "percolaw dataset":
        return load(source).X  # checks that no chunk is missing
    return node[name or "X"]


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
