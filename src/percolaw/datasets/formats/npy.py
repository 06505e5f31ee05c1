"""Datasets as a folder of .npy arrays; X stays on disk as a memory map."""

from __future__ import annotations

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
    read_header,
    write_array,
)
from percolaw.errors import DatasetError


def header_of(file: Path) -> Header:
    """Return shape and dtype of a .npy file that holds an array of numbers, or raise.

    Raises
    ------
    DatasetError
        If it is no file, or holds anything else.
    """
    if not file.is_file():
        raise DatasetError(f"{file.name} is no file.")
    with open(file, "rb") as opened:
        header = read_header(opened, file.stem, file.stat().st_size)
    check_numbers(file.name, header.dtype)
    return header


def write(data: Dataset, part: Path) -> None:
    """Write a dataset as a folder of arrays, a block of rows at a time.

    Parameters
    ----------
    data : Dataset
    part : Path
        Folder to make.
    """
    part.mkdir()
    records = {}
    for name, values in {"X": data.X, **about.side_arrays(data)}.items():
        with open(part / f"{name}.npy", "wb") as file:
            crc = write_array(file, values.shape, values.dtype, blocks(values))
        records[name] = about.record(values.shape, values.dtype, crc)
    about.write_json(part / "meta.json", about.described(data.truth, data.provenance, records))


def read(source: Path, verify: bool) -> Dataset:
    """Read a dataset; `verify` reads X once to compare its checksum.

    Parameters
    ----------
    source : Path
        Folder.
    verify : bool

    Returns
    -------
    Dataset
        X as a memory map.

    Raises
    ------
    DatasetError, ResourceError
        If it is no folder, incomplete or damaged; if all but X does not fit into memory.
    """
    if not source.is_dir():
        raise DatasetError(
            f"{source} is a single array. A dataset in .npy form is a folder of arrays; wrap the array "
            "with percolaw.datasets.dataset.Dataset."
        )
    meta = about.checked_description(about.read_json(source / "meta.json"))
    names = about.array_names(meta, [file.stem for file in source.glob("*.npy")])
    sizes = {name: header_of(source / f"{name}.npy").n_bytes for name in names}
    checks.memory(sum(sizes.values()) - sizes["X"], f"reading {source} without X", REMEDY)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name in names:
        mode: Any = "r" if name == "X" else None
        arrays[name] = np.load(source / f"{name}.npy", mmap_mode=mode, allow_pickle=False)
        about.check_array(meta, name, arrays[name], numbers=verify or name != "X")
    return about.assembled(arrays, meta)
