"""Save and load datasets: .npz, a folder of .npy memory maps, Zarr, Parquet. Never pickle.

Everything is written beside its final name and renamed when whole, so an interrupted save leaves
nothing that looks finished. Loading checks that all parts are there and fit each other.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.errors import MissingExtraError, PercolawError, ResourceError
from percolaw.rng import RandomLike, as_streams

FORMAT_VERSION = 1
SUFFIXES = (".npz", ".npy", ".zarr", ".parquet")

#: Rows of one Zarr chunk.
CHUNK_ROWS = 1 << 17

_ARRAYS = ("y", "cluster", "cluster_size")
_FEATURES = ("data", "indices", "indptr", "shape")
#: Plain chunks, zeros written too, so that a missing or short chunk can be seen.
_ZARR: dict[str, Any] = {
    "compressors": None,
    "config": {"write_empty_chunks": True},
    "overwrite": True,
}


class DatasetError(PercolawError, ValueError):
    """A dataset file that is missing, incomplete, damaged or of another kind."""


def save(data: Dataset, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a dataset; the suffix chooses the format.

    Parameters
    ----------
    data : Dataset
    path : path
        ``.npz`` (one file), ``.npy`` (a folder of memory maps), ``.zarr`` (chunked), ``.parquet``
        (a table with columns y, cluster, size, rank, x0, x1, ...).
    overwrite : bool
        Replace what is there.

    Raises
    ------
    FileExistsError, ResourceError, ValueError
        If the target exists, the disk is too small, or the suffix is unknown; before any work.
    """
    target = checked_target(path, _n_bytes(len(data), data.dim), overwrite)
    writers: dict[str, Callable[[Dataset, Path], None]] = {
        ".npz": _write_npz,
        ".npy": _write_npy,
        ".zarr": _write_zarr,
        ".parquet": _write_parquet,
    }
    with _whole(target) as part:
        writers[target.suffix](data, part)
    return target


def load(path: str | os.PathLike[str]) -> Dataset:
    """Read a dataset of any of the formats, or an .npz of the published 2026 generator.

    X of .npy and .zarr datasets stays on disk and is read in parts.

    Raises
    ------
    DatasetError
        If the file is missing, truncated, damaged, unfinished, or holds something else.
    """
    source = Path(path)
    readers: dict[str, Callable[[Path], Dataset]] = {
        ".npz": _read_npz,
        ".npy": _read_npy,
        ".zarr": _read_zarr,
        ".parquet": _read_parquet,
    }
    if source.suffix not in readers:
        raise DatasetError(
            f"{source} has suffix {source.suffix!r}; known are {', '.join(SUFFIXES)}."
        )
    if not source.exists():
        part = _part(source)
        more = (
            f" An unfinished {part.name} lies there; generate again to complete it."
            if (part.exists())
            else ""
        )
        raise DatasetError(f"there is no {source}.{more}")
    try:
        return readers[source.suffix](source)
    except (DatasetError, MissingExtraError):
        raise
    except Exception as error:  # damaged files make readers fail in every way
        raise DatasetError(
            f"{source} cannot be read as a dataset: {error}. It may be truncated or damaged."
        ) from error


def stream_cluster(
    path: str | os.PathLike[str],
    n_samples: int,
    dim: int,
    rng: RandomLike = 0,
    *,
    size: float = np.inf,
    memory: float = 2 * 2**30,
    overwrite: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write points of one cluster to Zarr in bounded memory; an interrupted call continues.

    The coordinates are made a block of columns at a time (each number is keyed by point and column),
    so memory is that of the tree (32 bytes a point), the labels (8 bytes) and one block.

    Parameters
    ----------
    path : path
        Ends in ``.zarr``.
    n_samples, dim, rng, size
        As in `percolaw.make_cluster` (infinite z, Gaussian steps, linear labels); the data are equal.
    memory : float
        Bytes of one block of columns.
    progress : callable
        Called with blocks done and in all.
    """
    from percolaw.clusters.continuum import sample_cluster
    from percolaw.datasets.make import cluster_description
    from percolaw.embedding.skeleton import column_blocks, embed_sampled

    zarr = checks.extra("zarr", "store")
    n = checks.integer("n_samples", n_samples, minimum=1)
    d = checks.integer("dim", dim, minimum=1)
    target = checked_target(path, _n_bytes(n, d), overwrite)
    if target.suffix != ".zarr":
        raise ValueError(f"streaming writes Zarr; name a folder ending in .zarr, not {target}.")
    blocks = list(column_blocks(n, d, memory))
    width = blocks[0][1] - blocks[0][0]
    checks.memory(
        44.0 * n + 4.0 * n * width, f"streaming {n} points", "Lower memory= or n_samples."
    )
    streams = as_streams(rng)
    truth, provenance = cluster_description(streams, n, d, size)
    plan = {"provenance": provenance, "block": width, "format_version": FORMAT_VERSION}
    part = _part(target)
    progress_file = part / "progress.json"
    done = 0
    sums = np.zeros(n)
    if part.exists():
        try:
            state = _json(progress_file)
            if state["plan"] == json.loads(json.dumps(plan)):
                sums = np.load(part / f"labels-{state['done']}.npy")
                done = int(state["done"])
        except (OSError, ValueError, KeyError):
            pass  # nothing usable: start anew
        if done == 0:
            shutil.rmtree(part)
    group = zarr.open_group(part, mode="a")
    chunk = min(n, CHUNK_ROWS)
    if done == 0:
        points = group.create_array(
            "X",
            shape=(n, d),
            chunks=(chunk, width),
            dtype="float32",
            **_ZARR,
        )
    else:
        points = group["X"]
    weights = streams.generator("target").standard_normal(d)
    cluster = sample_cluster(n, size, streams)
    block = np.empty((n, width), dtype=np.float32)
    progress(done, len(blocks))
    for index in range(done, len(blocks)):
        low, high = blocks[index]
        out = block if high - low == width else np.empty((n, high - low), dtype=np.float32)
        embed_sampled(cluster, d, streams, out=out, first_column=low)
        points[:, low:high] = out  # Zarr writes the chunks of one assignment concurrently
        for row in range(0, n, chunk):
            rows = slice(row, min(row + chunk, n))
            sums[rows] += out[rows].astype(np.float64) @ weights[low:high]
        # Labels first, under their own number, then the mark that counts them, then the old ones go.
        np.save(part / f"labels-{index + 1}.npy", sums)
        _write_json(progress_file, {"plan": plan, "done": index + 1})
        (part / f"labels-{index}.npy").unlink(missing_ok=True)
        progress(index + 1, len(blocks))
    sums -= sums.mean()
    sums /= sums.std() or 1.0
    _zarr_array(group, "y", sums)
    _zarr_array(group, "cluster", np.zeros(n, dtype=np.int64))
    sites = 0 if np.isinf(size) else int(size)
    _zarr_array(group, "cluster_size", np.array([sites], dtype=np.int64))
    group.attrs.update(_meta(truth, provenance))
    progress_file.unlink()
    for labels in part.glob("labels-*.npy"):
        labels.unlink()
    _replace(part, target)
    return target


def checked_target(path: str | os.PathLike[str], n_bytes: float, overwrite: bool) -> Path:
    """Check suffix, existence and disk space of a dataset to be written."""
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise ValueError(
            f"{target} needs one of the suffixes {', '.join(SUFFIXES)}; got {target.suffix!r}."
        )
    if target.exists() and not overwrite:
        raise FileExistsError(
            f"{target} exists; choose another name or pass overwrite (--overwrite)."
        )
    folder = target.resolve().parent
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}; make it first.")
    free = shutil.disk_usage(folder).free
    if n_bytes > 0.98 * free:
        raise ResourceError(
            f"{target} needs {checks.human_bytes(n_bytes)} of disk and {checks.human_bytes(free)} are "
            "free there. Choose another disk, fewer points or fewer dimensions."
        )
    return target


def _n_bytes(n: int, d: int) -> float:
    return 4.0 * n * d + 16.0 * n


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _replace(part: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    os.replace(part, target)


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    """A name to write under; it becomes the target only if nothing went wrong."""
    part = _part(target)
    if part.is_dir():
        shutil.rmtree(part)
    try:
        yield part
        _replace(part, target)
    except BaseException:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
        raise


def _meta(truth: dict[str, Any], provenance: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": "percolaw dataset",
        "format_version": FORMAT_VERSION,
        "truth": truth,
        "provenance": provenance,
    }


def _checked_meta(meta: Any) -> dict[str, Any]:
    if not isinstance(meta, dict) or meta.get("format") != "percolaw dataset":
        raise DatasetError("this is no percolaw dataset (its description is missing).")
    if meta["format_version"] > FORMAT_VERSION:
        raise DatasetError(
            f"format version {meta['format_version']} is newer than {FORMAT_VERSION}; update percolaw."
        )
    return meta


def _dataset(arrays: dict[str, Any], meta: dict[str, Any]) -> Dataset:
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
        features = _sparse(arrays, int(arrays["X"].shape[0]))
    return Dataset(
        arrays["X"], arrays["y"], cluster, sizes, meta["truth"], meta["provenance"], features
    )


def _side_arrays(data: Dataset) -> dict[str, npt.NDArray[Any]]:
    """Everything but X, as named arrays; sparse features in CSR parts."""
    arrays = {name: np.asarray(getattr(data, name)) for name in _ARRAYS}
    if data.features is not None:
        from scipy import sparse

        matrix = sparse.csr_array(data.features)
        for name in _FEATURES:
            arrays[f"features_{name}"] = np.asarray(getattr(matrix, name))
    return arrays


def _write_npz(data: Dataset, part: Path) -> None:
    meta = json.dumps(_meta(data.truth, data.provenance))
    arrays: dict[str, Any] = dict(_side_arrays(data))
    with open(part, "wb") as file:
        np.savez(file, X=np.asarray(data.X), meta=np.frombuffer(meta.encode(), np.uint8), **arrays)
        file.flush()
        os.fsync(file.fileno())


def _read_npz(source: Path) -> Dataset:
    with np.load(source, allow_pickle=False) as file:
        if "meta" not in file.files:
            return _foreign(source, {name: file[name] for name in file.files})
        meta = _checked_meta(json.loads(file["meta"].tobytes().decode()))
        return _dataset({name: file[name] for name in file.files if name != "meta"}, meta)


def _foreign(source: Path, arrays: dict[str, npt.NDArray[Any]]) -> Dataset:
    """An .npz of another generator: X and y, perhaps cluster ids and sizes, perhaps sparse features."""
    if "X" not in arrays or "y" not in arrays:
        raise DatasetError(f"{source} has no arrays X and y; it has {', '.join(arrays) or 'none'}.")
    x = np.asarray(arrays["X"], dtype=np.float32)
    if x.ndim != 2 or not np.all(np.isfinite(x)):
        raise DatasetError(
            f"X in {source} must be two-dimensional and finite; got shape {x.shape}."
        )
    y = np.asarray(arrays["y"], dtype=np.float64)
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y

    def first(*names: str) -> npt.NDArray[Any] | None:
        return next((arrays[name] for name in names if name in arrays), None)

    ids = first("cluster_ids", "cluster_id", "cluster", "clusters")
    sizes = first("cluster_sizes", "cluster_size", "sizes")
    if ids is None:
        cluster = np.zeros(x.shape[0], dtype=np.int64)
    else:
        _, cluster = np.unique(np.asarray(ids).ravel(), return_inverse=True)
    count = np.bincount(cluster)
    if sizes is not None and np.asarray(sizes).size == count.size:
        count = np.asarray(sizes).ravel()
    elif sizes is not None and np.asarray(sizes).size == x.shape[0]:
        count = np.zeros(count.size, dtype=np.int64)
        count[cluster] = np.asarray(sizes).ravel()
    return Dataset(
        x,
        y,
        cluster.astype(np.int64),
        count.astype(np.int64),
        truth={},
        provenance={"maker": "file", "file": source.name},
        features=_sparse(arrays, x.shape[0]),
    )


def _sparse(arrays: dict[str, npt.NDArray[Any]], n_rows: int) -> Any:
    """A CSR matrix stored as *data, *indices, *indptr and *shape, if there is one."""
    from scipy import sparse

    for name in arrays:
        if not name.endswith("indptr"):
            continue
        stem = name[: -len("indptr")]
        try:
            parts = [arrays[stem + key] for key in ("data", "indices", "indptr", "shape")]
        except KeyError:
            continue
        shape = tuple(int(v) for v in parts[3])
        matrix = sparse.csr_array((parts[0], parts[1], parts[2]), shape=shape)
        matrix.check_format(full_check=True)
        if matrix.shape[0] == n_rows:
            return matrix
    return None


def _write_npy(data: Dataset, part: Path) -> None:
    part.mkdir()
    np.save(part / "X.npy", np.asarray(data.X))
    for name, values in _side_arrays(data).items():
        np.save(part / f"{name}.npy", values)
    _write_json(part / "meta.json", _meta(data.truth, data.provenance))


def _read_npy(source: Path) -> Dataset:
    if not source.is_dir():
        raise DatasetError(
            f"{source} is a single array. A dataset in .npy form is a folder of arrays; wrap the array "
            "with percolaw.datasets.dataset.Dataset."
        )
    meta = _checked_meta(_json(source / "meta.json"))
    names = [file.stem for file in source.glob("*.npy") if file.stem != "X"]
    arrays = {name: np.load(source / f"{name}.npy", allow_pickle=False) for name in names}
    arrays["X"] = np.load(source / "X.npy", mmap_mode="r", allow_pickle=False)
    return _dataset(arrays, meta)


def _zarr_array(group: Any, name: str, values: npt.NDArray[Any]) -> None:
    chunks = (min(max(1, values.shape[0]), 8 * CHUNK_ROWS), *values.shape[1:])
    array = group.create_array(
        name, shape=values.shape, chunks=chunks, dtype=str(values.dtype), **_ZARR
    )
    array[...] = values


def _write_zarr(data: Dataset, part: Path) -> None:
    zarr = checks.extra("zarr", "store")
    group = zarr.open_group(part, mode="w")
    chunk = (min(len(data), CHUNK_ROWS), data.dim)
    points = group.create_array("X", shape=data.X.shape, chunks=chunk, dtype="float32", **_ZARR)
    for low in range(0, len(data), chunk[0]):
        points[low : low + chunk[0]] = data.X[low : low + chunk[0]]
    for name, values in _side_arrays(data).items():
        _zarr_array(group, name, values)
    group.attrs.update(_meta(data.truth, data.provenance))


def _read_zarr(source: Path) -> Dataset:
    zarr = checks.extra("zarr", "store")
    try:
        group = zarr.open_group(source, mode="r")
    except FileNotFoundError as error:
        raise DatasetError(f"{source} is no Zarr group.") from error
    meta = _checked_meta(dict(group.attrs))
    for name, array in group.arrays():
        _check_chunks(source / name, array)
    arrays = {name: array[...] for name, array in group.arrays() if name != "X"}
    return _dataset({**arrays, "X": group["X"]}, meta)


def _check_chunks(folder: Path, array: Any) -> None:
    """Refuse an array of which a chunk is missing or short (chunks are stored plain)."""
    size = int(np.prod(array.chunks)) * np.dtype(array.dtype).itemsize
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != "zarr.json"]
    if len(files) != array.nchunks or any(file.stat().st_size != size for file in files):
        raise DatasetError(
            f"{folder} holds {len(files)} of {array.nchunks} chunks, or some are truncated."
        )


def _write_parquet(data: Dataset, part: Path) -> None:
    arrow = checks.extra("pyarrow", "store")
    parquet = checks.extra("pyarrow.parquet", "store")
    if data.features is not None:
        raise ValueError("Parquet tables hold no sparse features; save as .npz, .npy or .zarr.")
    if data.y.ndim != 1:
        raise ValueError(f"Parquet tables hold one label a row; y has shape {data.y.shape}.")
    names = ["y", "cluster", "size", "rank", *(f"x{j}" for j in range(data.dim))]
    types = [arrow.float64(), *[arrow.int64()] * 3, *[arrow.float32()] * data.dim]
    meta = _meta(data.truth, data.provenance)
    meta["cluster_size"] = data.cluster_size.tolist()
    schema = arrow.schema(
        list(zip(names, types, strict=True)), metadata={"percolaw": json.dumps(meta)}
    )
    size, rank = data.size, data.rank
    with parquet.ParquetWriter(part, schema) as writer:
        for low in range(0, len(data), CHUNK_ROWS):
            rows = slice(low, low + CHUNK_ROWS)
            x = np.asarray(data.X[rows])
            columns = [data.y[rows], data.cluster[rows], size[rows], rank[rows], *x.T]
            writer.write_table(
                arrow.table([np.ascontiguousarray(c) for c in columns], schema=schema)
            )


def _read_parquet(source: Path) -> Dataset:
    parquet = checks.extra("pyarrow.parquet", "store")
    arrow = checks.extra("pyarrow", "store")
    try:
        table = parquet.read_table(source)
    except arrow.ArrowInvalid as error:
        raise DatasetError(f"{source} cannot be read as Parquet: {error}.") from error
    raw = (table.schema.metadata or {}).get(b"percolaw")
    if raw is None:
        raise DatasetError(f"{source} is a table without a dataset's description.")
    meta = _checked_meta(json.loads(raw))
    names = [name for name in table.column_names if name[0] == "x"]
    x = np.empty((table.num_rows, len(names)), dtype=np.float32)
    for j in range(len(names)):
        x[:, j] = table.column(f"x{j}").to_numpy()
    arrays = {
        "X": x,
        "y": table.column("y").to_numpy(),
        "cluster": table.column("cluster").to_numpy(),
        "cluster_size": np.array(meta["cluster_size"], dtype=np.int64),
    }
    return _dataset(arrays, meta)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _write_json(path: Path, value: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value, indent=1), encoding="utf-8")
    os.replace(part, path)
