"""Arrays in NumPy's own layout, in a file or a zip member: headers before bodies, never pickle."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.errors import DatasetError

#: Rows written at once, and rows of one Zarr chunk.
CHUNK_ROWS = 1 << 17

#: A table that unfolds to more than this many bytes, and more than this many times what is stored,
#: is taken for an attack on the memory.
UNFOLDED, FOLD = 1 << 30, 100

REMEDY = "Larger data stay on disk as .npy or .zarr."


@dataclass(frozen=True)
class Header:
    """What the head of an array in NumPy's layout declares; `start` is where its numbers begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int

    @property
    def n_bytes(self) -> int:
        """Bytes of the numbers."""
        n = self.dtype.itemsize
        for length in self.shape:
            n *= length
        return n


def read_header(file: IO[bytes], name: str, n_stored: int) -> Header:
    """Read the header of an array and hold it against the bytes that are there.

    Parameters
    ----------
    file : binary file
        Open where the array begins.
    name : str
        What the message calls it.
    n_stored : int
        Bytes of the array with its header.

    Returns
    -------
    Header

    Raises
    ------
    DatasetError
        If it is no array in NumPy's layout, or the file is not as long as the header says.
    """
    layout = np.lib.format
    version = layout.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = layout.read_array_header_1_0(file)
    elif version == (2, 0):
        shape, _, dtype = layout.read_array_header_2_0(file)
    else:
        raise DatasetError(f"{name} is a table of records, not an array of numbers.")
    header = Header(tuple(int(v) for v in shape), np.dtype(dtype), file.tell())
    if min(header.shape, default=0) < 0:
        raise DatasetError(f"{name} declares shape {header.shape}.")
    if not header.dtype.hasobject and header.start + header.n_bytes != n_stored:
        raise DatasetError(
            f"{name} declares {header.n_bytes} bytes of numbers (shape {header.shape}, "
            f"{header.dtype}) and holds {n_stored - header.start}; it is truncated or damaged."
        )
    return header


def check_numbers(name: str, dtype: npt.DTypeLike, kinds: str = "buif") -> None:
    """Refuse what is no array of real numbers, saying what it is.

    Parameters
    ----------
    name : str
        What the message calls it.
    dtype : dtype
    kinds : str
        Kinds of dtype allowed, in NumPy's letters.

    Raises
    ------
    DatasetError
        If it holds objects or is of another kind.
    """
    given = np.dtype(dtype)
    if given.hasobject:
        raise DatasetError(
            f"{name} holds Python objects. Convert first: .astype(float), or text with .astype(str)."
        )
    if given.kind not in kinds:
        hint = (
            " (bfloat16 is stored without its name: save it as float32)"
            if given.kind == "V" and given.names is None
            else ""
        )
        raise DatasetError(f"{name} holds {given}, not numbers{hint}.")


def check_unfolding(name: str, n_bytes: float, n_stored: float) -> None:
    """Refuse content that a small file promises to unfold to an unlikely size.

    Parameters
    ----------
    name : str
        What the message calls it.
    n_bytes, n_stored : float
        Bytes unfolded and bytes in the file.

    Raises
    ------
    DatasetError
        If it takes more than `UNFOLDED` bytes and `FOLD` times what is stored.
    """
    if n_bytes > UNFOLDED and n_bytes > FOLD * max(1.0, n_stored):
        raise DatasetError(
            f"{name} would unfold from {checks.human_bytes(n_stored)} to "
            f"{checks.human_bytes(n_bytes)}, which no table of points does. If you trust it, save it "
            "uncompressed."
        )


def blocks(values: Any) -> Iterator[npt.NDArray[Any]]:
    """Yield an array, of NumPy or Zarr, as C-ordered little-endian blocks of `CHUNK_ROWS` rows."""
    little = np.dtype(values.dtype).newbyteorder("<")
    for low in range(0, values.shape[0], CHUNK_ROWS):
        yield np.ascontiguousarray(values[low : low + CHUNK_ROWS], dtype=little)


def write_array(
    file: IO[bytes], shape: Iterable[int], dtype: npt.DTypeLike, parts: Iterable[npt.NDArray[Any]]
) -> int:
    """Write an array given in blocks; return the CRC-32 of its numbers.

    Parameters
    ----------
    file : binary file, open for writing
    shape : iterable of int
    dtype : dtype
        Written little-endian.
    parts : iterable of array
        C-ordered, little-endian blocks of rows, in order.

    Returns
    -------
    int
    """
    header = {
        "shape": tuple(int(v) for v in shape),
        "fortran_order": False,
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype).newbyteorder("<")),
    }
    np.lib.format.write_array_header_1_0(file, header)
    crc = 0
    for part in parts:
        raw = part.reshape(-1).view(np.uint8).data
        crc = zlib.crc32(raw, crc)
        file.write(raw)
    return crc
