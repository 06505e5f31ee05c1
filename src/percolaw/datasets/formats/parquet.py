"""Datasets as Parquet tables: a row a point, with checksums of pages and of columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.formats import arrays as layout
from percolaw.datasets.formats import description as about
from percolaw.errors import DatasetError


def write(data: Dataset, part: Path) -> None:
    """Write a dataset as a table with columns y, cluster, size, rank, x0, x1, ...

    Parameters
    ----------
    data : Dataset
    part : Path
        File to write.

    Raises
    ------
    ValueError
        If it has sparse features, or more than one label a row.
    """
    arrow = checks.extra("pyarrow", "store")
    parquet = checks.extra("pyarrow.parquet", "store")
    side = about.side_arrays(data)
    if data.features is not None:
        raise ValueError("Parquet tables hold no sparse features; save as .npz, .npy or .zarr.")
    for name, values in side.items():
        if values.ndim != 1:
            what = "label" if name == "y" else "number"
            raise ValueError(
                f"Parquet tables hold one {what} a row; {name} has shape {values.shape}."
            )
    sizes = side.pop("cluster_size")
    columns = {
        "y": side.pop("y"), "cluster": side.pop("cluster"), "size": data.size, "rank": data.rank,
        **side,
    }  # fmt: skip
    fields = [(name, arrow.from_numpy_dtype(values.dtype)) for name, values in columns.items()]
    schema = arrow.schema([*fields, *((f"x{j}", arrow.float32()) for j in range(data.dim))])
    crc = dict.fromkeys(("X", "y", "cluster", *side), 0)
    with parquet.ParquetWriter(part, schema, write_page_checksum=True) as writer:
        for index, x in enumerate(layout.blocks(data.X)):
            rows = slice(index * layout.CHUNK_ROWS, (index + 1) * layout.CHUNK_ROWS)
            block = {name: values[rows] for name, values in columns.items()}
            crc = {name: about.crc32({"X": x, **block}[name], c) for name, c in crc.items()}
            cells = [*block.values(), *(np.ascontiguousarray(column) for column in x.T)]
            writer.write_table(arrow.table(cells, schema=schema))
        records = {"X": about.record(data.X.shape, data.X.dtype, crc["X"])}
        for name in ("y", "cluster", *side):
            records[name] = about.record((len(data),), columns[name].dtype, crc[name])
        records["cluster_size"] = about.record(sizes.shape, sizes.dtype, about.crc32(sizes))
        meta = about.described(data.truth, data.provenance, records)
        text = json.dumps({**meta, "cluster_size": sizes.tolist()})
        writer.add_key_value_metadata({"percolaw": text})


def opened(source: Path, dictionaries: Sequence[str] = ()) -> Any:
    """Open a Parquet file: the footer is read, and checked against the memory there is.

    Parameters
    ----------
    source : Path
    dictionaries : sequence of str
        Columns of text that are read as numbers and a table of what they stand for.

    Returns
    -------
    pyarrow.parquet.ParquetFile

    Raises
    ------
    DatasetError
        If it is no Parquet file, or unfolds from next to nothing to gigabytes.
    """
    parquet = checks.extra("pyarrow.parquet", "store")
    arrow = checks.extra("pyarrow", "store")
    if not source.is_file():
        raise DatasetError(f"{source} is no file.")
    try:
        file = parquet.ParquetFile(
            source, page_checksum_verification=True, read_dictionary=[*dictionaries]
        )
    except arrow.ArrowInvalid as error:
        raise DatasetError(f"{source} cannot be read as Parquet: {error}.") from error
    cells = float(file.metadata.num_rows) * len(file.schema_arrow.names)
    layout.check_unfolding(str(source), 4.0 * cells, source.stat().st_size)
    return file


def index_columns(schema: Any) -> set[str]:
    """Return the names of the columns that are the index of a pandas table."""
    try:
        pandas = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        return {name for name in pandas.get("index_columns", ()) if isinstance(name, str)}
    except (ValueError, AttributeError, TypeError):
        return set()


def _description(file: Any) -> bytes | None:
    tables = (file.metadata.metadata, file.schema_arrow.metadata)
    return next((t[b"percolaw"] for t in tables if t and b"percolaw" in t), None)


def is_dataset(source: Path) -> bool:
    """Return whether a Parquet file says that it is a dataset of ours."""
    return _description(opened(source)) is not None


def read(source: Path) -> Dataset:
    """Read a dataset, a group of rows at a time.

    Raises
    ------
    DatasetError, ResourceError
        If it is no dataset of ours, incomplete or damaged; if it does not fit into memory.
    """
    file = opened(source)
    raw = _description(file)
    if raw is None:
        raise DatasetError(
            f"{source} is a table without a dataset's description. Its columns are read where a file of "
            "points is asked for: percolaw.PointFile, percolaw estimate-dimension."
        )
    meta = json.loads(raw)
    sizes = np.array(meta.pop("cluster_size", None), dtype=np.int64)
    meta = about.checked_description(meta)
    types = {field.name: field.type for field in file.schema_arrow}
    n, d = file.metadata.num_rows, sum(1 for name in types if name[:1] == "x")
    if len(types) != len(file.schema_arrow.names) or any(f"x{j}" not in types for j in range(d)):
        raise DatasetError("the columns of the table are not those of a dataset.")
    names = about.array_names(meta, {*types, "X", "cluster_size"})
    side = {name: str(types[name]) for name in names if name not in ("X", "cluster_size")}
    for name in side:
        layout.check_numbers(name, types[name].to_pandas_dtype())
    if any(str(types[f"x{j}"]) != "float" for j in range(d)):
        raise DatasetError("the coordinates of the table are not float32.")
    checks.memory(8.0 * n * (d + len(side)), f"reading {source}", layout.REMEDY)
    x = np.empty((n, d), dtype=np.float32)
    columns = {name: np.empty(n, types[name].to_pandas_dtype()) for name in side}
    done = 0
    for group in range(file.num_row_groups):
        table = file.read_row_group(group, columns=[*side, *(f"x{j}" for j in range(d))])
        rows = slice(done, done + table.num_rows)
        for j in range(d):
            x[rows, j] = _numbers(table, f"x{j}")
        for name, values in columns.items():
            values[rows] = _numbers(table, name)
        done = rows.stop
    if done != n:
        raise DatasetError(f"the table holds {done} of {n} rows.")
    arrays: dict[str, npt.NDArray[Any]] = {"X": x, **columns, "cluster_size": sizes}
    for name, array in arrays.items():
        about.check_array(meta, name, array)
    return about.assembled(arrays, meta)


def _numbers(table: Any, name: str) -> npt.NDArray[Any]:
    column = table.column(name)
    if column.null_count:
        raise DatasetError(f"column {name} has {column.null_count} empty cells.")
    return np.asarray(column.to_numpy())
