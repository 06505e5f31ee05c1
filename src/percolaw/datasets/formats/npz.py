"""Datasets as one .npz file; zip keeps a checksum of every member."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import description as about
from percolaw.datasets.formats.arrays import (
    REMEDY,
    Header,
    blocks,
    check_numbers,
    check_unfolding,
    read_header,
    write_array,
)
from percolaw.errors import DatasetError

#: The end of a zip file: signature, disks, members here and in all, table of contents, comment.
_END = struct.Struct("<4sHHHHIIH")


class Archive:
    """The arrays of an .npz file; headers are read at once, numbers when asked for."""

    def __init__(self, source: Path, file: zipfile.ZipFile) -> None:
        self.source, self._file = source, file
        self.names = [
            info.filename.removesuffix(".npy")
            for info in file.infolist()
            if info.filename.endswith(".npy")
        ]

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self.names:
            raise DatasetError(f"array {name} is missing.")
        return self._file.getinfo(f"{name}.npy")

    def header(self, name: str) -> Header:
        """Return shape and dtype of an array, not decompressing its numbers."""
        info = self._info(name)
        with self._file.open(info) as member:
            return read_header(member, name, info.file_size)

    def read(self, names: list[str], kinds: str = "buif") -> dict[str, npt.NDArray[Any]]:
        """Read arrays of numbers, after a look at how much memory all of them take.

        Parameters
        ----------
        names : list of str
        kinds : str
            Kinds of dtype allowed, in NumPy's letters.

        Returns
        -------
        dict of str to array

        Raises
        ------
        DatasetError
            If one is missing, damaged, no array of numbers (dtype kinds `kinds`), or unfolds from
            next to nothing to gigabytes.
        ResourceError
            If they do not fit into memory.
        """
        total = 0
        for name in names:
            header, info = self.header(name), self._info(name)
            check_numbers(name, header.dtype, kinds)
            check_unfolding(name, header.n_bytes, info.compress_size)
            total += header.n_bytes
        checks.memory(total, f"reading {', '.join(names)} of {self.source}", REMEDY)
        return {name: self._read(name) for name in names}

    def _read(self, name: str) -> npt.NDArray[Any]:
        with self._file.open(self._info(name)) as member:
            array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            member.read(1)  # to the end, where the checksum is compared
        return array


@contextmanager
def opened(source: Path) -> Iterator[Archive]:
    """Open an .npz file.

    Yields
    ------
    Archive

    Raises
    ------
    DatasetError
        If it is no file, or its table of contents lacks a member.
    """
    if not source.is_file():
        raise DatasetError(f"{source} is no file.")
    with zipfile.ZipFile(source) as file:
        # A damaged table of contents would make a member look absent.
        if file.infolist() and _entries(source) not in (None, len(file.infolist())):
            raise DatasetError("its table of contents lacks a member.")
        for info in file.infolist():
            file.open(info).close()
        yield Archive(source, file)


def _entries(source: Path) -> int | None:
    """The number of members that the end of a zip file tells; None where a comment hides it."""
    with open(source, "rb") as file:
        file.seek(-_END.size, os.SEEK_END)
        signature, *_, total, _, _, comment = _END.unpack(file.read(_END.size))
    plain = signature == b"PK\5\6" and comment == 0 and total != 0xFFFF
    return total if plain else None


def write(data: Dataset, part: Path) -> None:
    """Write a dataset as one uncompressed .npz.

    Parameters
    ----------
    data : Dataset
    part : Path
        File to write.
    """
    side, records = about.side_arrays(data), {}
    with zipfile.ZipFile(part, "w", allowZip64=True) as archive:
        for name, values in {"X": data.X, **side}.items():
            records[name] = about.record(values.shape, values.dtype)
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_array(member, values.shape, values.dtype, blocks(values))
        text = json.dumps(about.described(data.truth, data.provenance, records)).encode()
        with archive.open("meta.npy", "w", force_zip64=True) as member:
            raw = np.frombuffer(text, np.uint8)
            write_array(member, raw.shape, raw.dtype, [raw])
    with open(part, "rb") as file:
        os.fsync(file.fileno())


def read(archive: Archive) -> Dataset:
    """Read a dataset of ours."""
    text = archive.read(["meta"])["meta"].tobytes().decode()
    meta = about.checked_description(json.loads(text))
    arrays = archive.read(about.array_names(meta, archive.names))
    for name, array in arrays.items():
        about.check_array(meta, name, array)
    return about.assembled(arrays, meta)
