"""Save and load datasets: .npz, .npy, Zarr, Parquet. Never pickle.

Everything is written beside its final name and moved in when whole, by one process at a time: at any
moment the old one or the new one lies there. Loading looks at the headers first, checks that all
parts are there and fit each other, and compares checksums.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import foreign, npy, npz, parquet, zarr
from percolaw.datasets.formats.arrays import CHUNK_ROWS
from percolaw.datasets.formats.description import FORMAT_VERSION, side_arrays
from percolaw.datasets.formats.published import make_and_save_published, save_published
from percolaw.datasets.formats.stream import stream_cluster
from percolaw.datasets.formats.target import (
    FOLDERS,
    SUFFIXES,
    checked_target,
    claimed,
    present,
    suffix_of,
    unfinished,
    write_whole,
)
from percolaw.errors import DatasetError, PercolawError, ResourceError
from percolaw.text import printable

__all__ = [
    "CHUNK_ROWS",
    "FORMAT_VERSION",
    "SUFFIXES",
    "DatasetError",
    "checked_target",
    "load",
    "make_and_save",
    "make_and_save_published",
    "save",
    "save_published",
    "stream_cluster",
]

_WRITERS: dict[str, Callable[[Dataset, Path], None]] = {
    ".npz": npz.write,
    ".npy": npy.write,
    ".zarr": zarr.write,
    ".parquet": parquet.write,
}


def save(data: Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a dataset; the suffix chooses the format.

    Parameters
    ----------
    data : Dataset
    path : path
        ``.npz`` (one file), ``.npy`` (X for every program, behind it all the rest), ``.zarr``
        (chunked), ``.parquet`` (a table with columns y, cluster, size, rank, x0, x1, ...). A link is
        followed.
    overwrite : bool
        Replace a file, or a folder that holds a dataset and nothing else. The old one is removed
        when the new one is in its place.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError, ResourceError, ValueError
        If the target exists, holds other things or is being written by another process, the disk is
        too small, the suffix is unknown, or the dataset holds what the format cannot; before any
        work.
    """
    n_bytes = 4.0 * len(data) * data.dim + sum(a.nbytes for a in side_arrays(data).values())
    return make_and_save(lambda: data, path, n_bytes, overwrite=overwrite)


def make_and_save(
    make: Callable[[], Dataset],
    path: str | os.PathLike[str],
    n_bytes: float,
    *,
    overwrite: bool = False,
) -> Path:
    """Write the dataset that `make` returns, after claiming the target: no work is done in vain.

    Parameters
    ----------
    make : callable
    path, overwrite
        As in `save`.
    n_bytes : float
        Disk space needed, estimated.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If truth or provenance hold other than plain values.
    """
    place, suffix = checked_target(path, n_bytes, overwrite), suffix_of(path)
    with claimed(place, suffix in FOLDERS, overwrite) as claim:
        data = make()
        try:
            json.dumps([data.truth, data.provenance])
        except TypeError as error:
            raise ValueError(f"truth and provenance must hold plain values: {error}.") from error
        write_whole(claim, lambda part: _WRITERS[suffix](data, part))
    return Path(path)


def load(
    path: str | os.PathLike[str],
    *,
    features: str | os.PathLike[str] | None = None,
    verify: bool = True,
) -> Dataset:
    """Read a dataset of any of the formats, or an .npz of another program.

    Parameters
    ----------
    path : path
        X of .npy and .zarr datasets stays on disk and is read in parts.
    features : path, optional
        A sparse matrix with a row for each point, written by ``scipy.sparse.save_npz``: the
        ground-truth features. For an .npz of the published 2026 generator, NAME.npz,
        NAME_gt_features.npz is found beside it.
    verify : bool
        Compare the checksum of X of an .npy dataset, which reads X once (about 4 GB/s from memory,
        else as fast as the disk). All other arrays and formats are always checked: .zarr a chunk at
        a time when it is read (then a damaged one raises ValueError), the others here. Datasets
        written before there were checksums are checked for shape and completeness; only their .npz
        notices a changed number.

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetError
        If the file is missing, truncated, damaged, unfinished, or holds something else.
    ResourceError
        If what must be read does not fit into memory.
    """
    source = Path(path)
    suffix = suffix_of(source)
    if suffix not in SUFFIXES:
        raise DatasetError(
            f"{source} has suffix {source.suffix!r}; known are {', '.join(SUFFIXES)}."
        )
    with reading(source) as place:
        if suffix == ".npz":
            with npz.opened(place) as archive:
                ours = "meta" in archive.names
                data = npz.read(archive) if ours else foreign.read(source, archive)
        elif suffix == ".npy":
            data = npy.read(place, verify)
        else:
            data = zarr.read(place) if suffix == ".zarr" else parquet.read(place)
        if features is not None:
            with reading(Path(features)) as beside:
                data = foreign.with_features(data, beside)
        return data


@contextmanager
def reading(source: Path) -> Iterator[Path]:
    """Find what is to be read, and turn whatever goes wrong into a sentence.

    Yields
    ------
    Path
        The file, or where an interrupted replacement has left it.

    Raises
    ------
    DatasetError
        If there is no such file, or it cannot be read.
    ResourceError
        If memory does not suffice.
    """
    real = Path(os.path.realpath(source))
    place = present(real)
    if place != real:
        warnings.warn(
            f"{printable(source)} was being replaced when its writer was killed; the old one, "
            f"{printable(place.name)}, is read.",
            stacklevel=4,
        )
    if not place.exists():
        parts = [part.name for part in unfinished(real)]
        more = (
            f" An unfinished {parts[0]} lies there; generate again to complete it." if parts else ""
        )
        raise DatasetError(f"there is no {source}.{more}")
    try:
        yield source if place == real else place
    except MemoryError as error:
        if isinstance(error, ResourceError):
            raise
        raise ResourceError(f"{source} needs more memory than there is.") from error
    except DatasetError as error:
        if source.name in str(error):
            raise
        raise DatasetError(f"{source} cannot be read: {error}") from error
    except PercolawError:
        raise
    except Exception as error:  # damaged files make readers fail in every way
        raise DatasetError(
            f"{source} cannot be read: {str(error).rstrip('.')}. It may be truncated or damaged."
        ) from error
