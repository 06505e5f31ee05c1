"""Write the two files of the published 2026 generator: points, and latents as a sparse matrix.

``NAME.npz`` and ``NAME_gt_features.npz`` are what its readers expect, array by array; they are read by
`percolaw.datasets.formats.foreign`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats.foreign import HEIGHT
from percolaw.datasets.formats.target import checked_target, claimed, suffix_of, write_whole
from percolaw.datasets.latents import latents


def save_published(data: Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write points and their latents as the published 2026 generator does, for programs made for it.

    `path`, NAME.npz, gets X, y, cluster_id, cluster_size (of each point's cluster) and
    latent_tree_height (latents of each point); NAME_gt_features.npz beside it a SciPy CSR matrix with a
    row for each point and a column for each latent, its normal where the point belongs to it (1 where
    normals are not known). `percolaw.load` reads both.

    Parameters
    ----------
    data : Dataset
        With its hierarchy: of `make_hierarchy`, all rows, or with sparse features. Truth, provenance and
        other columns are not kept.
    path : path
        Ends in ``.npz``.
    overwrite : bool
        Replace files that are there.

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        For what is no Dataset.
    FileExistsError, ValueError
        If a target exists or is being written, has another suffix, or the dataset has no hierarchy.
    ResourceError
        If the latents do not fit into memory or on the disk.

    Notes
    -----
    Points of one cluster of n have sqrt(pi n / 2) latents in the mean, 25 bytes each: 10 kB a point at
    100,000 points. `percolaw.save` keeps the same hierarchy in 24 bytes a point.
    """
    if not isinstance(data, Dataset):
        raise TypeError(f"only a Dataset with its latents can be saved so; got {data!r:.60}.")
    kept = data.features
    entries = latents(data).merges.n_ancestors().sum() if kept is None else kept.nnz
    n_bytes = 8.0 * data.X.size + 12.0 * float(entries)
    return make_and_save_published(lambda: data, path, n_bytes, overwrite=overwrite)


def make_and_save_published(
    make: Callable[[], Dataset],
    path: str | os.PathLike[str],
    n_bytes: float,
    *,
    overwrite: bool = False,
) -> Path:
    """Write both files of the dataset that `make` returns, after claiming their names.

    Parameters
    ----------
    make : callable
    path, overwrite
        As in `save_published`.
    n_bytes : float
        Disk space needed, estimated.

    Returns
    -------
    Path

    Raises
    ------
    FileExistsError, ResourceError, ValueError
        As in `save_published`.
    """
    if suffix_of(path) != ".npz":
        raise ValueError(f"the published format is a pair of .npz files; got {Path(path).name}.")
    points = checked_target(path, n_bytes, overwrite)
    matrix = points.with_name(f"{points.name[: -len('.npz')]}_gt_features.npz")
    checked_target(matrix, 0.0, overwrite)
    with claimed(points, False, overwrite) as claim, claimed(matrix, False, overwrite) as beside:
        data = make()
        features = _features(data)

        def write(part: Path) -> None:
            _write_points(data, features, part)
            write_whole(beside, lambda other: _write_features(features, other))

        write_whole(claim, write)
    return Path(path)


def _features(data: Dataset) -> Any:
    """The latents of every row, in the order of their columns: parents before children."""
    from scipy import sparse

    if data.features is not None:
        return sparse.csr_matrix(data.features)
    known = latents(data)
    merges = known.merges
    site = np.empty(len(data), dtype=np.int64)
    site[known.row] = np.arange(len(data))
    inside = merges.membership(np.arange(merges.n_latents), site)
    if np.isnan(known.normal).any():
        return sparse.csr_matrix(inside.astype(np.int64))
    values = (known.normal[inside.indices], inside.indices, inside.indptr)
    return sparse.csr_matrix(values, shape=inside.shape)


def _write_points(data: Dataset, features: Any, part: Path) -> None:
    checks.memory(8.0 * data.X.size, f"{len(data)} points as float64", "Save fewer points.")
    height = data.columns.get(HEIGHT, np.diff(features.indptr))
    with open(part, "wb") as file:
        np.savez_compressed(
            file,
            X=np.asarray(data.X, dtype=np.float64),
            y=data.y,
            cluster_id=data.cluster,
            cluster_size=data.size,
            **{HEIGHT: height.astype(np.int64)},
        )
        file.flush()
        os.fsync(file.fileno())


def _write_features(features: Any, part: Path) -> None:
    from scipy import sparse

    with open(part, "wb") as file:
        sparse.save_npz(file, features)
        file.flush()
        os.fsync(file.fileno())
