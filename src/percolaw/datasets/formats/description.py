"""The description that every dataset file carries, and the checks of arrays against it.

It names each array with shape, dtype and, where the format has no checksum of its own, the CRC-32
of its numbers, and ends with the CRC-32 of itself.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.errors import DatasetError

#: Version 1 had no checksums.
FORMAT_VERSION = 2

ARRAYS = ("X", "y", "cluster", "cluster_size")
#: The parts of a sparse matrix in CSR form.
SPARSE = ("data", "indices", "indptr", "shape")
#: What stands before the name of a column of `Dataset.columns`.
COLUMN = "column_"

#: Bytes read at once for a checksum.
_BLOCK = 1 << 26


#: What Zarr writes into the folder of an array: its description and chunks by number.
_OF_ZARR = re.compile(r"[^/]+/(zarr\.json|c(/[0-9]+)*)")


def is_array_name(name: str) -> bool:
    """Return whether a dataset of ours may have an array of that name."""
    sparse = name.startswith("features_") and name[len("features_") :] in SPARSE
    return name in ARRAYS or sparse or (name.startswith(COLUMN) and name.isidentifier())


def crc32(values: npt.NDArray[Any], start: int = 0) -> int:
    """Return the CRC-32 of the numbers of an array in C order, little-endian, continuing `start`.

    Memory maps are read in parts; about 4 GB/s.

    Parameters
    ----------
    values : array
    start : int
        Checksum of the numbers before.

    Returns
    -------
    int
    """
    if values.ndim == 0:
        values = values.reshape(1)
    row = max(1, int(np.prod(values.shape[1:])) * values.dtype.itemsize)
    step = max(1, _BLOCK // row)
    little = values.dtype.newbyteorder("<")
    for low in range(0, values.shape[0], step):
        block = np.ascontiguousarray(values[low : low + step], dtype=little)
        start = zlib.crc32(block.reshape(-1).view(np.uint8).data, start)
    return start


def record(shape: Iterable[int], dtype: npt.DTypeLike, crc: int | None = None) -> dict[str, Any]:
    """Return the description of one array; `crc` None leaves the checksum to the format.

    Parameters
    ----------
    shape : iterable of int
    dtype : dtype
    crc : int or None

    Returns
    -------
    dict
        Plain values, for JSON.
    """
    entry = {"shape": [int(v) for v in shape], "dtype": np.dtype(dtype).newbyteorder("<").str}
    return entry if crc is None else {**entry, "crc32": crc}


def described(
    truth: Mapping[str, Any], provenance: Mapping[str, Any], arrays: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the description of a dataset; `arrays` maps names to what `record` returns.

    Parameters
    ----------
    truth, provenance : dict
        Plain values.
    arrays : dict

    Returns
    -------
    dict
        With the checksum of itself.
    """
    meta = {
        "format": "percolaw dataset",
        "format_version": FORMAT_VERSION,
        "truth": truth,
        "provenance": provenance,
        "arrays": arrays,
    }
    return {**meta, "crc32": _crc(meta)}


def _crc(meta: Mapping[str, Any]) -> int:
    plain = json.loads(json.dumps({k: v for k, v in meta.items() if k != "crc32"}))
    return zlib.crc32(json.dumps(plain, sort_keys=True).encode())


def checked_description(meta: Any) -> dict[str, Any]:
    """Return a description that is ours, of a known version, and undamaged; or raise.

    Raises
    ------
    DatasetError
        If it is another thing, of an unknown version, or does not fit its checksum.
    """
    if not isinstance(meta, dict) or meta.get("format") != "percolaw dataset":
        raise DatasetError("this is no percolaw dataset (its description is missing).")
    version = meta["format_version"]
    if version > FORMAT_VERSION:
        raise DatasetError(
            f"format version {version} is newer than {FORMAT_VERSION}; update percolaw."
        )
    if version not in (1, FORMAT_VERSION) or isinstance(version, bool):
        raise DatasetError(f"there is no format version {version!r}.")
    checked = "crc32" in meta or "arrays" in meta or version > 1
    if checked and _crc(meta) != meta.get("crc32"):
        raise DatasetError("the description does not fit its checksum.")
    if not isinstance(meta["truth"], dict) or not isinstance(meta["provenance"], dict):
        raise DatasetError("truth and provenance must be tables.")
    return meta


def array_names(meta: Mapping[str, Any], available: Iterable[str]) -> list[str]:
    """Return the names of the arrays to read: those described, or (version 1) those known.

    Parameters
    ----------
    meta : dict
        Description of the dataset.
    available : iterable of str
        Names of the arrays that are there.

    Returns
    -------
    list of str

    Raises
    ------
    DatasetError
        If an array described, or one that every dataset has, is missing.
    """
    there = set(available)
    names = [n for n in meta.get("arrays", sorted(there)) if is_array_name(n)]
    missing = [name for name in {*ARRAYS, *names} if name not in there]
    if missing:
        raise DatasetError(f"array {', '.join(sorted(missing))} is missing.")
    return names


def check_array(meta: Mapping[str, Any], name: str, array: Any, *, numbers: bool = True) -> None:
    """Refuse an array whose shape, dtype or (`numbers`) checksum is not the one described.

    Parameters
    ----------
    meta : dict
        Description of the dataset; one of version 1 that lists no arrays checks nothing.
    name : str
    array : array, of NumPy or Zarr
    numbers : bool
        Compare the checksum, which reads the numbers.

    Raises
    ------
    DatasetError
        If it is not the one described.
    """
    if "arrays" not in meta:
        return
    wanted, present = meta["arrays"][name], record(array.shape, array.dtype)
    for key in ("shape", "dtype"):
        if present[key] != wanted[key]:
            raise DatasetError(f"{name} has {key} {present[key]} instead of {wanted[key]}.")
    if numbers and "crc32" in wanted and crc32(array) != wanted["crc32"]:
        raise DatasetError(f"the numbers of {name} do not fit their checksum.")


def assembled(arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> Dataset:
    """Return the dataset of checked arrays, or raise DatasetError if they do not fit each other.

    Parameters
    ----------
    arrays : dict
        By their names in the file.
    meta : dict
        Checked description.

    Returns
    -------
    Dataset
    """
    kinds = {"X": "f", "y": "f", "cluster": "i", "cluster_size": "i"}
    for name, kind in kinds.items():
        if np.dtype(arrays[name].dtype).kind != kind:
            raise DatasetError(f"{name} has dtype {arrays[name].dtype}; it is damaged or not ours.")
    if np.dtype(arrays["X"].dtype) != np.float32:
        raise DatasetError(f"X has dtype {arrays['X'].dtype} instead of float32.")
    cluster, sizes = arrays["cluster"], arrays["cluster_size"]
    if cluster.size and (cluster.min() < 0 or cluster.max() >= sizes.size):
        raise DatasetError("cluster ids do not fit the table of cluster sizes.")
    features = None
    if "features_indptr" in arrays:
        features = sparse_rows(
            {key: arrays[f"features_{key}"] for key in SPARSE}, int(arrays["X"].shape[0])
        )
    return Dataset(
        arrays["X"],
        arrays["y"],
        cluster,
        sizes,
        meta["truth"],
        meta["provenance"],
        features,
        {n[len(COLUMN) :]: a for n, a in arrays.items() if n.startswith(COLUMN)},
    )


def sparse_rows(parts: Mapping[str, npt.NDArray[Any]], n_rows: int, layout: str = "csr") -> Any:
    """Return the CSR matrix of `n_rows` rows whose parts are given ("csr" or "csc"), checked.

    Parameters
    ----------
    parts : dict
        data, indices, indptr and shape.
    n_rows : int
        Rows expected.
    layout : {"csr", "csc"}
        How the parts are laid out.

    Returns
    -------
    scipy.sparse.csr_array

    Raises
    ------
    DatasetError, ValueError
        If it has another number of rows; if the parts do not fit each other.
    """
    from scipy import sparse

    maker = {"csr": sparse.csr_array, "csc": sparse.csc_array}[layout]
    shape = tuple(int(v) for v in parts["shape"])
    matrix = maker((parts["data"], parts["indices"], parts["indptr"]), shape=shape)
    matrix.check_format(full_check=True)
    if matrix.shape[0] != n_rows:
        raise DatasetError(f"the features have {matrix.shape[0]} rows and X has {n_rows}.")
    return sparse.csr_array(matrix)


def side_arrays(data: Dataset) -> dict[str, npt.NDArray[Any]]:
    """Return everything but X as named little-endian arrays of the promised dtypes, or raise.

    Raises
    ------
    ValueError
        If an array has masked entries, is not of numbers or does not fit its dtype, X is not float32,
        or a column has no plain name.
    """
    for name, given in {"X": data.X, "y": data.y, "cluster": data.cluster, **data.columns}.items():
        if np.ma.is_masked(given):
            raise ValueError(
                f"{name} has masked entries, which no format keeps; remove them first."
            )
    arrays = {
        "y": _as("y", data.y, np.float64),
        "cluster": _as("cluster", data.cluster, np.int64),
        "cluster_size": _as("cluster_size", data.cluster_size, np.int64),
    }
    if np.dtype(data.X.dtype).newbyteorder("=") != np.float32:
        raise ValueError(f"X must be float32; got {data.X.dtype}. Pass X.astype(np.float32).")
    if data.features is not None:
        from scipy import sparse

        matrix = sparse.csr_array(data.features)
        for name in SPARSE:
            arrays[f"features_{name}"] = np.asarray(getattr(matrix, name))
    for name, values in data.columns.items():
        if not is_array_name(COLUMN + name):
            raise ValueError(f"a column of a saved dataset needs a plain name; got {name!r}.")
        arrays[COLUMN + name] = np.asarray(values)
    for name, values in arrays.items():
        if values.dtype.kind not in "buif":
            raise ValueError(f"{name} must hold numbers to be saved; got dtype {values.dtype}.")
        arrays[name] = np.asarray(values, dtype=values.dtype.newbyteorder("<"))
    return arrays


def _as(name: str, values: Any, dtype: type) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if not np.can_cast(array.dtype, dtype, "safe") and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be {np.dtype(dtype)} to be saved; got {array.dtype}.")
    out: npt.NDArray[Any] = array.astype(dtype, copy=False)
    if out.dtype != array.dtype and not np.array_equal(out, array):
        raise ValueError(f"{name} of dtype {array.dtype} does not fit into {np.dtype(dtype)}.")
    return out


def is_dataset_folder(folder: Path) -> bool:
    """Return whether a folder is empty, or holds a dataset of ours and nothing else."""
    try:
        names = {entry.name for entry in os.scandir(folder)}
        if not names:
            return True
        meta = read_json(folder / "zarr.json")["attributes"]
        inside = (path.relative_to(folder).as_posix() for path in folder.rglob("*/*"))
        others = sum(not _OF_ZARR.fullmatch(path) for path in inside)
        ours = isinstance(meta, dict) and meta.get("format") == "percolaw dataset"
        return ours and others == 0 and all(is_array_name(name) for name in names - {"zarr.json"})
    except (OSError, ValueError, KeyError, TypeError, MemoryError, RecursionError):
        return False


def read_json(path: Path) -> Any:
    """Return the content of a JSON file of a size that fits into memory.

    Raises
    ------
    DatasetError, ResourceError
        If there is no such file; if it does not fit into memory.
    """
    if not path.is_file():
        raise DatasetError(f"there is no file {path.name}.")
    checks.memory(20.0 * path.stat().st_size, f"reading {path}", "It is no description of ours.")
    return json.loads(path.read_text(encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON beside its name and move it in.

    Parameters
    ----------
    path : Path
    value : plain values
    """
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(part, path)
