"""Datasets as Zarr groups: chunked, each chunk with a CRC-32C; X stays on disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import arrays as layout
from percolaw.datasets.formats import description as about
from percolaw.datasets.stored_rows import plain_codecs
from percolaw.errors import DatasetError

#: Codecs that arrays of others may use: numbers in, numbers out, no code.
_CODECS = {"bytes", "crc32c", "zstd", "gzip", "blosc", "transpose", "sharding_indexed"}
_COMPRESSORS = {None, "zstd", "gzip", "zlib", "blosc", "lz4", "bz2", "lzma"}


def create(group: Any, name: str, shape: tuple[int, ...], chunks: Any, dtype: Any) -> Any:
    """Make an array of plain checksummed chunks, zeros written too, so that none can be missed.

    Parameters
    ----------
    group : zarr.Group
    name : str
    shape, chunks : tuple of int
    dtype : dtype

    Returns
    -------
    zarr.Array
    """
    codecs = checks.extra("zarr.codecs", "store")
    return group.create_array(
        name,
        shape=shape,
        chunks=chunks,
        dtype=str(np.dtype(dtype)),
        compressors=codecs.Crc32cCodec(),
        config={"write_empty_chunks": True},
        overwrite=True,
    )


def write_side(group: Any, name: str, values: npt.NDArray[Any]) -> None:
    """Write an array that is small beside X.

    Parameters
    ----------
    group : zarr.Group
    name : str
    values : array
    """
    chunks = (min(max(1, values.shape[0]), 8 * layout.CHUNK_ROWS), *values.shape[1:])
    create(group, name, values.shape, chunks, values.dtype)[...] = values


def describe(
    group: Any, names: Iterable[str], truth: dict[str, Any], provenance: dict[str, Any]
) -> None:
    """Write the description of a group whose arrays are complete; the last thing to be written.

    Parameters
    ----------
    group : zarr.Group
    names : iterable of str
        Its arrays.
    truth, provenance : dict
        Plain values.
    """
    records = {name: about.record(group[name].shape, group[name].dtype) for name in names}
    group.attrs.update(about.described(truth, provenance, records))


def write(data: Dataset, part: Path) -> None:
    """Write a dataset as a Zarr group.

    Parameters
    ----------
    data : Dataset
    part : Path
        Folder to write.
    """
    zarr = checks.extra("zarr", "store")
    side = about.side_arrays(data)
    group = zarr.open_group(part, mode="w")
    rows = min(len(data), layout.CHUNK_ROWS)
    points = create(group, "X", data.X.shape, (rows, data.dim), np.float32)
    for index, block in enumerate(layout.blocks(data.X)):
        low = index * layout.CHUNK_ROWS
        points[low : low + block.shape[0]] = block
    for name, values in side.items():
        write_side(group, name, values)
    describe(group, ["X", *side], data.truth, data.provenance)


def read(source: Path) -> Dataset:
    """Read a dataset; chunks of X are checked when they are read.

    Raises
    ------
    DatasetError
        If it is no Zarr group.
    """
    zarr = checks.extra("zarr", "store")
    try:
        group = zarr.open_group(source, mode="r")
    except FileNotFoundError as error:
        raise DatasetError(f"{source} is no Zarr group.") from error
    meta = about.checked_description(dict(group.attrs))
    names = about.array_names(meta, [entry.name for entry in source.iterdir() if entry.is_dir()])
    stored = {name: group[name] for name in names}
    for name in names:
        about.check_array(meta, name, stored[name], numbers=False)
        _check_chunks(source / name, stored[name], checksums="arrays" in meta)
    total = sum(_n_bytes(stored[name]) for name in names if name != "X")
    checks.memory(total, f"reading {source} without X", layout.REMEDY)
    arrays = {name: stored[name] if name == "X" else stored[name][...] for name in names}
    return about.assembled(arrays, meta)


def _n_bytes(array: Any) -> int:
    n = int(np.dtype(array.dtype).itemsize)
    for length in array.shape:
        n *= int(length)
    return n


def _check_chunks(folder: Path, array: Any, checksums: bool) -> None:
    """Refuse an array that is not stored as ours are, or of which a chunk is missing or short."""
    layout.check_numbers(folder.name, array.dtype)
    codecs = plain_codecs(array)
    if codecs is None or (checksums and "crc32c" not in codecs):
        names = [codec["name"] for codec in array.metadata.to_dict().get("codecs", ())]
        raise DatasetError(f"{folder} is stored with codecs {names}, which our datasets are not.")
    if any(c > max(1, n) for c, n in zip(array.chunks, array.shape, strict=True)):
        raise DatasetError(f"{folder} has chunks {array.chunks} larger than shape {array.shape}.")
    size = int(np.prod(array.chunks)) * np.dtype(array.dtype).itemsize + 4 * (len(codecs) - 1)
    name = array.metadata.chunk_key_encoding.encode_chunk_key
    counts = [-(-n // c) for n, c in zip(array.shape, array.chunks, strict=True)]
    good = sum(
        1 for place in itertools.product(*map(range, counts)) if _size(folder / name(place)) == size
    )
    total = int(np.prod(counts))
    if good != total:
        raise DatasetError(f"{folder} holds {good} of {total} chunks, or some are truncated.")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1


def is_dataset(source: Path) -> bool:
    """Return whether a Zarr folder says that it is a dataset of ours."""
    zarr = checks.extra("zarr", "store")
    return bool(zarr.open(str(source), mode="r").attrs.get("format") == "percolaw dataset")


def open_table(source: Path, name: str | None) -> Any:
    """Return a Zarr array of numbers of any maker: the root, the one named, or X.

    Parameters
    ----------
    source : Path
        File or folder that Zarr opens.
    name : str or None
        Array of a group; None takes X.

    Returns
    -------
    zarr.Array

    Raises
    ------
    DatasetError, ResourceError
        If there is no such array of numbers, or it needs codecs that are not known; if a chunk does
        not fit into memory.
    """
    zarr = checks.extra("zarr", "store")
    node = zarr.open(str(source), mode="r")
    if isinstance(node, zarr.Group):
        if (name or "X") not in node:
            raise DatasetError(f"{source} holds {', '.join(sorted(node))}; name one with --array.")
        node = node[name or "X"]
    if not isinstance(node, zarr.Array):
        raise DatasetError(f"{name or 'X'} in {source} is a group, not an array.")
    layout.check_numbers(name or source.name, node.dtype)
    used = _codecs_of(node.metadata.to_dict())
    if not used <= _CODECS | _COMPRESSORS:
        raise DatasetError(
            f"{source} is stored with {', '.join(sorted(map(str, used)))}; known codecs are "
            f"{', '.join(sorted(_CODECS))}."
        )
    chunk = int(np.dtype(node.dtype).itemsize) * int(np.prod(node.chunks, dtype=np.float64))
    checks.memory(2.0 * chunk, f"a chunk of {source}", "Store it in smaller chunks.")
    return node


def _codecs_of(metadata: Any) -> set[Any]:
    """The names of all codecs of an array, those inside shards too."""
    if metadata.get("zarr_format") == 2:
        compressor = metadata.get("compressor") or {}
        filters = metadata.get("filters") or ()
        return {compressor.get("id"), *(f"filter {f.get('id')}" for f in filters)}
    used: set[Any] = set()
    for codec in metadata["codecs"]:
        used.add(codec["name"])
        inner = codec.get("configuration", {})
        for key in ("codecs", "index_codecs"):
            used |= _codecs_of({"codecs": inner.get(key, ())})
    return used
