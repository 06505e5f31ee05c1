"""Datasets as one .npz file; zip keeps a checksum of every member."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Iterator, Mapping
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


def archive_begin(source: Path) -> int:
    """Return where the zip archive at the end of a file begins: 0 in an .npz, the size without one."""
    size = source.stat().st_size
    with open(source, "rb") as file:
        file.seek(max(0, size - _END.size))
        end = file.read(_END.size)
    if len(end) < _END.size or not end.startswith(b"PK\5\6"):
        return size
    try:
        with zipfile.ZipFile(source) as archive:
            return min((info.header_offset for info in archive.infolist()), default=size)
    except zipfile.BadZipFile:
        return size


def write(data: Dataset, part: Path) -> None:
    """Write a dataset as one uncompressed .npz.

    Parameters
    ----------
    data : Dataset
    part : Path
        File to write.
    """
    with zipfile.ZipFile(part, "w", allowZip64=True) as archive:
        write_members(archive, data, {"X": data.X, **about.side_arrays(data)}, {})
    with open(part, "rb") as file:
        os.fsync(file.fileno())


def write_members(
    archive: zipfile.ZipFile,
    data: Dataset,
    arrays: Mapping[str, Any],
    elsewhere: Mapping[str, Any],
) -> None:
    """Write arrays and the description of the dataset they are of.

    Parameters
    ----------
    archive : ZipFile, open for writing
    data : Dataset
    arrays : mapping of str to array
        Written, uncompressed.
    elsewhere : mapping of str to dict
        Records of arrays that are kept outside of the archive.
    """
    records = dict(elsewhere)
    for name, values in arrays.items():
        records[name] = about.record(values.shape, values.dtype)
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            write_array(member, values.shape, values.dtype, blocks(values))
    text = json.dumps(about.described(data.truth, data.provenance, records)).encode()
    with archive.open("meta.npy", "w", force_zip64=True) as member:
        raw = np.frombuffer(text, np.uint8)
        write_array(member, raw.shape, raw.dtype, [raw])


def read(archive: Archive) -> Dataset:
    """Read a dataset of ours."""
    meta, arrays = described_arrays(archive)
    return about.assembled(arrays, meta)


def described_arrays(
    archive: Archive, elsewhere: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Return the description in an archive and the arrays it names, checked against it.

    Parameters
    ----------
    archive : Archive
    elsewhere : tuple of str
        Names of arrays that are kept outside of the archive.

    Returns
    -------
    meta : dict
    arrays : dict of str to array
    """
    text = archive.read(["meta"])["meta"].tobytes().decode()
    meta = about.checked_description(json.loads(text))
    names = about.array_names(meta, [*archive.names, *elsewhere])
    arrays = archive.read([name for name in names if name not in elsewhere])
    for name, array in arrays.items():
        about.check_array(meta, name, array)
    return meta, arrays
