"""Read .npz files of other programs, those of the published 2026 generator among them.

That generator writes ``NAME.npz`` (X, y, cluster_id, cluster_size, latent_tree_height) and, beside
it, ``NAME_gt_features.npz``, a SciPy sparse matrix of latent features.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import npz
from percolaw.datasets.formats.description import SPARSE, sparse_rows
from percolaw.datasets.formats.float32 import float32_points
from percolaw.errors import DatasetError

_IDS = ("cluster_ids", "cluster_id", "cluster", "clusters")
_SIZES = ("cluster_sizes", "cluster_size", "sizes")
#: The published generator's name for the number of latent ancestors of a point.
HEIGHT = "latent_tree_height"


def read(source: Path, archive: npz.Archive) -> Dataset:
    """Read X and y, cluster ids and sizes, sparse features and further columns, where they are.

    Columns are one-dimensional arrays of numbers with an entry for each point. Nothing else is read.

    Parameters
    ----------
    source : Path
        Its name, for messages and provenance; a file of features is looked for beside it.
    archive : Archive
        The same, opened.

    Returns
    -------
    Dataset
        X as float32; clusters numbered from 0.

    Raises
    ------
    DatasetError, ResourceError
        If X or y is missing, an array is not of the form its name promises or fits no dataset; if
        the arrays do not fit into memory.
    """
    names = archive.names
    if "X" not in names or "y" not in names:
        raise _no_points(source, names)
    shape = archive.header("X").shape
    if len(shape) != 2:
        raise DatasetError(f"X in {source} must be two-dimensional; got shape {shape}.")
    ids = next((name for name in _IDS if name in names), None)
    sizes = next((name for name in _SIZES if name in names), None)
    stem = _sparse_stem(archive, shape[0])
    parts = [] if stem is None else [stem + key for key in SPARSE]
    known = {"X", "y", *_IDS, *_SIZES, *parts}
    extra = [name for name in names if name not in known and _is_column(archive, name, shape[0])]
    arrays = archive.read([name for name in ("X", "y", sizes, *parts, *extra) if name is not None])
    if ids is not None:
        arrays |= archive.read([ids], kinds="buifSU")
    x, note = float32_points(arrays["X"], f"X in {source}")
    cluster, count = _clusters(arrays, ids, sizes, shape[0])
    features = None
    if stem is not None:
        features = sparse_rows({key: arrays[stem + key] for key in SPARSE}, shape[0])
    data = Dataset(
        x,
        _labels(arrays["y"], source),
        cluster,
        count,
        truth={},
        provenance={"maker": "file", "file": source.name, **note},
        features=features,
        columns={name: arrays[name] for name in extra},
    )
    if HEIGHT in extra or source.name.startswith("percolation_dataset_"):
        data = dataclasses.replace(data, truth=_published_truth(data, ids is not None))
    beside = _features_beside(source)
    return with_features(data, beside) if features is None and beside is not None else data


def with_features(data: Dataset, path: Path) -> Dataset:
    """Return the dataset with the ground-truth features of a file of SciPy's ``save_npz``.

    Parameters
    ----------
    data : Dataset
    path : Path

    Returns
    -------
    Dataset

    Raises
    ------
    DatasetError, ResourceError
        If the file holds no CSR or CSC matrix with a row for each point; if memory does not suffice.
    """
    with npz.opened(path) as archive:
        missing = {*SPARSE, "format"} - {*archive.names}
        if missing:
            raise DatasetError(f"{path} holds no sparse matrix ({', '.join(sorted(missing))}).")
        layout = archive.read(["format"], kinds="SU")["format"].item()
        layout = layout.decode() if isinstance(layout, bytes) else layout
        if layout not in ("csr", "csc"):
            raise DatasetError(f"{path} holds a matrix in format {layout!r}; save it as CSR.")
        parts = archive.read(list(SPARSE))
    try:
        matrix = sparse_rows(parts, len(data), layout)
    except ValueError as error:
        raise DatasetError(f"{path} does not fit: {error}") from error
    return dataclasses.replace(
        data, features=matrix, provenance={**data.provenance, "features": path.name}
    )


def _features_beside(source: Path) -> Path | None:
    """The published generator's second file, if it lies beside the first (or where a link leads)."""
    for first in dict.fromkeys([source, source.resolve()]):
        stem = first.name[: -len(first.suffix)]
        names = [f"{stem}_gt_features", stem.replace("_filtered_", "_gt_features_filtered_")]
        for name in dict.fromkeys(names):
            features = first.with_name(name + first.suffix)
            if features.name != first.name and features.exists():
                return features
    return None


def _no_points(source: Path, names: list[str]) -> DatasetError:
    if {"data", "indices", "indptr", "shape"} <= {*names}:
        return DatasetError(
            f"{source} holds a sparse matrix (ground-truth features, say) and no points. Load the "
            "file with X and y: NAME_gt_features.npz is found beside NAME.npz, any other matrix is "
            "named by load(..., features=)."
        )
    return DatasetError(f"{source} has no arrays X and y; it has {', '.join(names) or 'none'}.")


def _sparse_stem(archive: npz.Archive, n_rows: int) -> str | None:
    """What stands before data, indices, indptr and shape of a CSR matrix, if there is one."""
    for name in archive.names:
        stem = name[: -len("indptr")]
        if not name.endswith("indptr") or any(stem + key not in archive.names for key in SPARSE):
            continue
        if archive.header(stem + "shape").shape != (2,):
            raise DatasetError(f"{stem}shape does not hold the shape of a matrix.")
        if int(archive.read([stem + "shape"])[stem + "shape"][0]) == n_rows:
            return stem
    return None


def _is_column(archive: npz.Archive, name: str, n_rows: int) -> bool:
    if not name.isidentifier():
        return False
    try:
        header = archive.header(name)
    except ValueError:  # of no kind that could be a column
        return False
    return header.shape == (n_rows,) and header.dtype.kind in "buif"


def _labels(values: npt.NDArray[Any], source: Path) -> npt.NDArray[np.float64]:
    y = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    out = np.asarray(y, dtype=np.float64)
    if y.dtype.kind in "iu" and y.size and max(-int(y.min()), int(y.max())) > 2**53:
        raise DatasetError(f"y in {source} has integers beyond 2^53, which float64 does not hold.")
    return out


def _clusters(
    arrays: dict[str, npt.NDArray[Any]], ids: str | None, sizes: str | None, n: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Clusters numbered from 0 and their sizes, given per point, per cluster, or counted."""
    if ids is None:
        cluster = np.zeros(n, dtype=np.int64)
    else:
        label = arrays[ids].ravel()
        if label.dtype.kind == "f" and np.any(np.isnan(label)):
            raise DatasetError(
                f"{ids} holds NaN; give points without a cluster a number of their own."
            )
        cluster = np.unique(label, return_inverse=True)[1].astype(np.int64)
    count = np.bincount(cluster).astype(np.int64)
    given = np.zeros(0) if sizes is None else arrays[str(sizes)].ravel()
    if given.size not in (n, count.size):
        return cluster, count
    if np.any(given < 0) or np.any(given != np.floor(given)) or np.any(given >= 2.0**63):
        raise DatasetError(f"{sizes} must hold whole numbers from 0 (infinite) on.")
    whole = given.astype(np.int64)
    if given.size == n:  # one a point
        count[cluster] = whole
        if not np.array_equal(count[cluster], whole):
            raise DatasetError(f"{sizes} differs between points of one cluster.")
        return cluster, count
    return cluster, whole


def _published_truth(data: Dataset, has_ids: bool) -> dict[str, Any]:
    """What is known of data of the published generator, and no more.

    Clusters have dimension 4. Sizes have the Fisher exponent 5/2 where the generator founds clusters
    with probability 1/3, its default for many; other shares (one cluster, a selection) do not.
    """
    truth: dict[str, Any] = {"dimension": 4}
    n = len(data)
    if has_ids and abs(data.cluster_size.size - n / 3) < 5 * math.sqrt(2 * n / 9):
        truth["fisher_exponent"] = 2.5
    return truth
