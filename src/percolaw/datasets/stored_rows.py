"""Single rows of a Zarr array on disk, without reading the chunks that hold them whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.errors import DatasetError


def plain_codecs(array: Any) -> list[str] | None:
    """Return the codecs of a Zarr array whose chunks hold its numbers as they are; None of others.

    Parameters
    ----------
    array : zarr.Array

    Returns
    -------
    list of str or None
        ``["bytes", "crc32c"]``, or ``["bytes"]`` where nothing tells of damage.
    """
    codecs = array.metadata.to_dict().get("codecs", ())
    names = [codec["name"] for codec in codecs]
    if names not in (["bytes", "crc32c"], ["bytes"]):
        return None
    little = codecs[0].get("configuration", {}).get("endian", "little") == "little"
    return names if little else None


def stored_rows(array: Any) -> StoredRows | None:
    """Return a reader of rows for a Zarr array of plain chunks in a local folder; None for others.

    Parameters
    ----------
    array : array-like
        Of any kind.

    Returns
    -------
    StoredRows or None
    """
    root = getattr(getattr(getattr(array, "store_path", None), "store", None), "root", None)
    if not isinstance(root, Path) or len(array.shape) != 2 or plain_codecs(array) is None:
        return None
    return StoredRows(root / array.store_path.path, array)


class StoredRows:
    """Rows of an array (n, d) of plain chunks.

    Whole chunks are read once, to hold them against their checksum, when they are first needed; then
    only the rows that are asked for. Copies of the object, as in workers, check for themselves.
    """

    def __init__(self, folder: Path, array: Any) -> None:
        self.folder = folder.resolve()
        self.shape: tuple[int, int] = tuple(array.shape)
        self.chunks: tuple[int, int] = tuple(array.chunks)
        self.dtype = np.dtype(array.dtype).newbyteorder("<")
        self.has_checksum = plain_codecs(array) == ["bytes", "crc32c"]
        self.file_of = array.metadata.chunk_key_encoding.encode_chunk_key
        self.checked: set[str] = set()

    def take(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the rows of these numbers, shape (m, d); negative ones count from the end.

        Raises
        ------
        IndexError
            For rows that do not exist.
        DatasetError
            If a chunk is missing, short, or does not fit its checksum.
        """
        n, dim = self.shape
        if rows.size and not (-n <= rows.min() and rows.max() < n):
            raise IndexError(f"rows must be in [{-n}, {n - 1}]; got {rows.min()} to {rows.max()}.")
        place, within = np.divmod(np.where(rows < 0, rows + n, rows), self.chunks[0])
        out = np.empty((rows.size, dim), dtype=self.dtype.newbyteorder("="))
        for block in np.unique(place):
            here = np.flatnonzero(place == block)
            for column in range(-(-dim // self.chunks[1])):
                low = column * self.chunks[1]
                chunk = self._chunk(self.file_of((int(block), column)))
                out[here, low : low + self.chunks[1]] = chunk[within[here], : dim - low]
        return out

    def _chunk(self, name: str) -> npt.NDArray[Any]:
        """The numbers of a chunk, mapped; checked at its first use."""
        size = self.chunks[0] * self.chunks[1] * self.dtype.itemsize
        try:
            stored = np.memmap(self.folder / name, dtype=np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise DatasetError(f"chunk {name} of {self.folder} cannot be read: {error}.") from error
        if stored.size != size + 4 * self.has_checksum:
            raise DatasetError(f"chunk {name} of {self.folder} is truncated.")
        if self.has_checksum and name not in self.checked:
            crc32c = checks.extra("google_crc32c", "store")
            if crc32c.value(stored[:size]) != int(stored[size:].view("<u4")[0]):
                raise DatasetError(
                    f"chunk {name} of {self.folder} is damaged: its checksum differs."
                )
            self.checked.add(name)
        return stored[:size].view(self.dtype).reshape(self.chunks)
