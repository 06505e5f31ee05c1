"""Plain points from files of any common kind, without loading more than is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.formats import load, npy, npz, parquet, reading, zarr
from percolaw.datasets.formats.arrays import check_numbers
from percolaw.datasets.formats.description import SPARSE
from percolaw.datasets.formats.target import suffix_of
from percolaw.datasets.tables import SEPARATORS, Header, read_parquet, read_text
from percolaw.errors import DatasetError
from percolaw.rng import RandomLike, as_streams

SUFFIXES = (".npy", ".npz", ".zarr", ".parquet", ".csv", ".tsv", ".txt")


def read_points(
    path: str | os.PathLike[str],
    most: int,
    rng: RandomLike = 0,
    array: str | None = None,
    header: Header = "auto",
) -> tuple[npt.NDArray[Any], int]:
    """Read up to `most` random rows of a table of numbers.

    Parameters
    ----------
    path : path
        ``.npy`` (n, d); ``.npz`` with an array X, the one named, or a single 2-D one; ``.zarr``, an
        array or a group with X; ``.parquet``, a percolaw dataset or numeric columns; numbers as text,
        with or without a header line, separated by commas (``.csv``), tabs (``.tsv``) or spaces
        (``.txt``). Capitals in the suffix do not matter.
    most : int
        Rows read; the file may have more (memory maps and Zarr are not loaded whole).
    rng : int, Generator or Streams
        Stream ``evaluation`` chooses the rows.
    array : str, optional
        Name of the array in an ``.npz`` or a Zarr group.
    header : {"auto", "yes", "no"}
        Whether the first line of a text file holds names of columns; see
        `percolaw.datasets.tables.read_text`.

    Returns
    -------
    points : array, shape (m, d)
    n_rows : int
        Rows of the file.

    Raises
    ------
    DatasetError
        If the file is missing, damaged, or holds no table of numbers.
    ResourceError
        If what must be read does not fit into memory.

    Warns
    -----
    UserWarning
        If the nameless index column of a table of text or Parquet is left out.
    """
    source = Path(path)
    suffix = suffix_of(source)
    checks.choice("file suffix", suffix, SUFFIXES)
    checks.choice("header", header, ("auto", "yes", "no"))
    with reading(source) as place:
        if array is not None and suffix not in (".npz", ".zarr"):
            raise DatasetError(f"{source} holds one table; --array is for .npz and .zarr.")
        if header != "auto" and suffix not in SEPARATORS:
            raise DatasetError(f"{source} has no header line; --header is for text files.")
        if suffix not in (".zarr", ".npy") and not place.is_file():
            raise DatasetError(f"{source} is no file.")
        if suffix == ".npy":
            table: Any = _open_npy(place)
        elif suffix == ".npz":
            table = _read_npz(place, array)
        elif suffix == ".zarr":
            table = _open_zarr(place, array)
        elif suffix == ".parquet":
            table = _read_parquet(place)
        else:
            table = read_text(place, suffix, header)
        return _rows(source, table, most, rng)


def _rows(source: Path, table: Any, most: int, rng: RandomLike) -> tuple[npt.NDArray[Any], int]:
    shape = tuple(table.shape)
    if len(shape) != 2:
        raise DatasetError(f"{source} holds an array of shape {shape}; points need shape (n, d).")
    check_numbers(source.name, table.dtype)
    n_bytes = float(min(shape[0], most)) * shape[1] * np.dtype(table.dtype).itemsize
    n_bytes += 8.0 * shape[0] if shape[0] > most else 0.0  # which rows
    if not isinstance(table, np.ndarray) or isinstance(table, np.memmap):
        checks.memory(n_bytes, f"reading {source}", "Read fewer rows (--max-points).")
    if shape[0] <= most:
        return np.asarray(table[:]), shape[0]
    rows = np.sort(as_streams(rng).generator("evaluation").permutation(shape[0])[:most])
    oindex = getattr(table, "oindex", None)
    return np.asarray(table[rows] if oindex is None else oindex[rows, :]), shape[0]


def _open_npy(source: Path) -> Any:
    _, ours = npy.header_of(source)
    return load(source).X if ours else np.load(source, mmap_mode="r", allow_pickle=False)


def _read_npz(source: Path, name: str | None) -> npt.NDArray[Any]:
    with npz.opened(source) as archive:
        chosen = name or ("X" if "X" in archive.names else None)
        if chosen is None and {*SPARSE} <= {*archive.names}:
            raise DatasetError(f"{source} holds a sparse matrix, which is no table of points.")
        if chosen is None:
            headers = {key: archive.header(key) for key in archive.names}
            flat = [
                key for key, h in headers.items() if len(h.shape) == 2 and not h.dtype.hasobject
            ]
            chosen = flat[0] if len(flat) == 1 else None
        if chosen is None or chosen not in archive.names:
            raise DatasetError(f"{source} holds {', '.join(archive.names)}; name one with --array.")
        return archive.read([chosen])[chosen]


def _open_zarr(source: Path, name: str | None) -> Any:
    if name is None and zarr.is_dataset(source):
        return load(source).X  # checks that no chunk is missing
    return zarr.open_table(source, name)


def _read_parquet(source: Path) -> Any:
    return load(source).X if parquet.is_dataset(source) else read_parquet(source)
