"""Labels of elements from files: arrays, text with one element a line, Parquet."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.element_labels import (
    ElementLabels,
    Kind,
    label_columns,
    labels_of_columns,
)
from percolaw.datasets.formats import npz, parquet, reading
from percolaw.datasets.formats.target import suffix_of
from percolaw.datasets.tables import NAMELESS, SEPARATORS, is_number
from percolaw.errors import DatasetError

SUFFIXES = (".npy", ".npz", ".parquet", *SEPARATORS)


def read_labels(
    path: str | os.PathLike[str], n: int, kind: Kind = "auto", columns: Sequence[str] = ()
) -> ElementLabels:
    """Read a label for each of n elements: classes, numbers or a hierarchy.

    Parameters
    ----------
    path : path
        ``.npy`` (n,) or (n, n_levels); ``.npz`` with an array y, the one named, or a single one;
        ``.parquet``; text of one element a line, columns separated by commas (``.csv``), tabs
        (``.tsv``) or spaces (``.txt``). If there is a line more than elements and
        its words are no labels, it holds the names of the columns.
    n : int
        Number of elements.
    kind : {"auto", "classes", "numbers"}
        As in `percolaw.datasets.element_labels.element_labels`.
    columns : sequence of str
        Which columns to read, coarsest first; all if empty.

    Returns
    -------
    ElementLabels

    Raises
    ------
    DatasetError
        If the file is missing or damaged, or its labels do not fit the elements.
    """
    source = Path(path)
    suffix = suffix_of(source)
    checks.choice("suffix of a label file", suffix, SUFFIXES)
    with reading(source) as place:
        names: tuple[str, ...] = ()
        if suffix == ".parquet":
            table, names = _read_parquet(place, columns)
        elif suffix in SEPARATORS:
            table, names = _read_text(place, suffix, n, columns)
        else:
            table = _read_array(place, suffix, columns)
    try:
        return labels_of_columns(table, n, kind, names)
    except ValueError as error:
        raise DatasetError(f"{source}: {error}") from error


def _chosen(source: Path, names: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    """The names of the columns that are asked for, in that order; all if none are."""
    missing = [column for column in columns if column not in names]
    if missing:
        listed = f"its columns are {', '.join(names)}" if names else "its columns have no names"
        raise DatasetError(f"{source} has no column {missing[0]}; {listed}.")
    return tuple(columns or names)


def _read_array(source: Path, suffix: str, names: Sequence[str]) -> list[npt.NDArray[Any]]:
    """The columns of an array file; `names` may name one of several arrays."""
    if suffix == ".npy":
        if names:
            raise DatasetError(f"{source} holds one array, whose columns have no names.")
        return label_columns(np.load(source, allow_pickle=False))
    with npz.opened(source) as archive:
        chosen = [*names] or (["y"] if "y" in archive.names else archive.names)
        if len(chosen) != 1 or chosen[0] not in archive.names:
            raise DatasetError(
                f"{source} holds {', '.join(archive.names)}; name one that holds labels."
            )
        return label_columns(archive.read(chosen, kinds="buifU")[chosen[0]])


def _read_parquet(
    source: Path, columns: Sequence[str]
) -> tuple[list[npt.NDArray[Any]], tuple[str, ...]]:
    file = parquet.opened(source)
    listed = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]
    names = _chosen(source, listed, columns)
    table = []
    for name in names:
        column = file.read(columns=[name]).column(name)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise DatasetError(
                f"row {row + 1} of {source} has no {name}. Leave out elements without a label."
            )
        values = np.asarray(column.to_numpy())
        table.append(values.astype(np.str_) if values.dtype.kind == "O" else values)
    return table, names


def _read_text(
    source: Path, suffix: str, n: int, columns: Sequence[str]
) -> tuple[list[npt.NDArray[Any]], tuple[str, ...]]:
    separator = SEPARATORS[suffix]
    with open(source, encoding="utf-8-sig", newline="") as file:
        if separator is None:
            rows = [line.split() for line in file if line.strip()]
        else:
            rows = [row for row in csv.reader(file, delimiter=separator) if row]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        row = next(i for i, row in enumerate(rows) if len(row) != len(rows[0]))
        raise DatasetError(
            f"{source} has {len(rows[0])} columns in line 1 and {len(rows[row])} in line {row + 1}. "
            "Labels of several words need commas (.csv) or tabs (.tsv) between columns."
        )
    if not rows:
        raise DatasetError(f"{source} is empty.")
    table = [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]
    names: tuple[str, ...] = ()
    if len(rows) == n + 1 and all(_is_name(first, below) for first, *below in table):
        names, table = tuple(column[0] for column in table), [column[1:] for column in table]
    if len(table) > 1 and names and names[0].lower() in NAMELESS:  # the index that pandas writes
        table, names = table[1:], names[1:]
    chosen = _chosen(source, names, columns)
    if columns:
        table = [table[names.index(name)] for name in chosen]
    return [_numbers_if_all_are(column) for column in table], chosen


def _is_name(first: str, below: list[str]) -> bool:
    """Whether the first cell of a column can be its name: no label is the same, nor all numbers."""
    return first not in below and not all(map(is_number, (first, *below)))


def _numbers_if_all_are(cells: list[str]) -> npt.NDArray[Any]:
    for dtype in (np.int64, np.float64):
        try:
            return np.array([dtype(cell) for cell in cells])
        except (ValueError, OverflowError):
            continue
    return np.array(cells)
