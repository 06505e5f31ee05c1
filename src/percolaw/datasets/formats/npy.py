"""Datasets as one .npy file: X as NumPy reads it, and behind it a zip archive with all the rest.

`numpy.load` reads as many numbers as the header declares and passes over what follows; a zip archive is
read from its end. So the points are a plain array for every program, and stay on disk as a memory map.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np

from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import description as about
from percolaw.datasets.formats import npz
from percolaw.datasets.formats.arrays import (
    Header,
    blocks,
    check_numbers,
    read_header,
    write_array,
)
from percolaw.errors import DatasetError


def header_of(file: Path) -> tuple[Header, bool]:
    """Return shape and dtype of a .npy file that holds an array of numbers, or raise.

    Parameters
    ----------
    file : Path

    Returns
    -------
    header : Header
    more : bool
        Whether an archive follows the array, as in a dataset of ours.

    Raises
    ------
    DatasetError
        If it is no file, or holds anything else.
    """
    if file.is_dir():
        raise DatasetError(
            f"{file.name} is a folder, as percolaw wrote datasets before 0.2. Its parts are plain "
            f"arrays: numpy.load('{file.name}/X.npy')."
        )
    if not file.is_file():
        raise DatasetError(f"{file.name} is no file.")
    begin = npz.archive_begin(file)
    with open(file, "rb") as opened:
        header = read_header(opened, file.stem, begin)
    check_numbers(file.name, header.dtype)
    return header, begin < file.stat().st_size


def write(data: Dataset, part: Path) -> None:
    """Write a dataset: the points, a block of rows at a time, then the archive.

    Parameters
    ----------
    data : Dataset
    part : Path
        File to write.
    """
    with open(part, "wb") as file:
        crc = write_array(file, data.X.shape, data.X.dtype, blocks(data.X))
        described = {"X": about.record(data.X.shape, data.X.dtype, crc)}
        with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
            npz.write_members(archive, data, about.side_arrays(data), described)
        file.flush()
        os.fsync(file.fileno())


def read(source: Path, verify: bool) -> Dataset:
    """Read a dataset; `verify` reads X once to compare its checksum.

    Parameters
    ----------
    source : Path
    verify : bool

    Returns
    -------
    Dataset
        X as a memory map.

    Raises
    ------
    DatasetError, ResourceError
        If it is no file, a lone array, incomplete or damaged; if all but X does not fit into memory.
    """
    _, more = header_of(source)
    if not more:
        raise DatasetError(
            f"{source} is a single array and no dataset. Wrap it with percolaw.datasets.dataset.Dataset, "
            "or name it where points are asked for."
        )
    with npz.opened(source) as archive:
        meta, arrays = npz.described_arrays(archive, elsewhere=("X",))
    arrays["X"] = np.load(source, mmap_mode="r", allow_pickle=False)
    about.check_array(meta, "X", arrays["X"], numbers=verify)
    return about.assembled(arrays, meta)
