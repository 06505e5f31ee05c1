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
    text_labels,
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
    ResourceError
        If it does not fit into memory.
    """
    source = Path(path)
    suffix = suffix_of(source)
    checks.choice("suffix of a label file", suffix, SUFFIXES)
    with reading(source) as place:
        if not place.is_file():
            raise DatasetError(f"{source} is no file.")
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
    if len({*names}) < len(names):
        raise DatasetError(f"{source} has two columns of one name: {', '.join(names)}.")
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
        try:
            return label_columns(np.load(source, allow_pickle=False))
        except ValueError as error:
            if "Object arrays" not in str(error):
                raise
            raise DatasetError(
                f"{source} holds Python objects. Save text as text: numpy.save(path, y.astype(str))."
            ) from error
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
    schema = file.schema_arrow
    index = parquet.index_columns(schema)
    listed = [name for name in schema.names if name not in index or name in columns]
    names = _chosen(source, listed, columns)
    text = [name for name in names if _is_text(source, schema.field(name))]
    # As dictionaries, text takes the memory that it has in the file, however often it occurs.
    file = parquet.opened(source, dictionaries=text)
    table = []
    for name in names:
        column = file.read(columns=[name]).column(name)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise DatasetError(
                f"row {row + 1} of {source} has no {name}. Leave out elements without a label."
            )
        if name in text:
            whole = column.unify_dictionaries().combine_chunks()
            numbers = whole.indices.to_numpy(zero_copy_only=False)
            table.append(_text(source, whole.dictionary.to_pylist())[numbers])
        else:
            table.append(np.asarray(column.cast("float64") if _is_decimal(column) else column))
    return table, names


def _is_text(source: Path, field: Any) -> bool:
    """Whether a column of Parquet holds text; one of neither text nor numbers is refused."""
    types = checks.extra("pyarrow.types", "store")
    kind = field.type.value_type if types.is_dictionary(field.type) else field.type
    if types.is_string(kind) or types.is_large_string(kind):
        return True
    plain = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    if types.is_decimal(kind) or (plain and kind == field.type):
        return False
    raise DatasetError(
        f"column {field.name} of {source} holds {field.type}; labels are text or numbers."
    )


def _is_decimal(column: Any) -> bool:
    return bool(checks.extra("pyarrow.types", "store").is_decimal(column.type))


def _text(source: Path, cells: list[str]) -> npt.NDArray[np.str_]:
    try:
        return text_labels(cells)
    except ValueError as error:
        raise DatasetError(f"{source}: {error}") from error


def _read_text(
    source: Path, suffix: str, n: int, columns: Sequence[str]
) -> tuple[list[npt.NDArray[Any]], tuple[str, ...]]:
    rows = _cells(source, SEPARATORS[suffix])
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        row = next(i for i, row in enumerate(rows) if len(row) != len(rows[0]))
        raise DatasetError(
            f"{source} has {len(rows[0])} columns in line 1 and {len(rows[row])} in line {row + 1}. "
            "Labels of several words need commas (.csv) or tabs (.tsv) between columns."
        )
    table = [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]
    names: tuple[str, ...] = ()
    if len(rows) == n > 1 and any(_names_numbers(first, below) for first, *below in table):
        raise DatasetError(
            f"line 1 of {source}, {', '.join(rows[0])!r:.60}, seems to hold names of columns: then "
            f"{n - 1} labels are left for {n} elements. Give a label for each."
        )
    if len(rows) == n + 1 and all(_is_name(first, below) for first, *below in table):
        names, table = tuple(column[0] for column in table), [column[1:] for column in table]
    if len(table) > 1 and names and names[0].lower() in NAMELESS:  # the index that pandas writes
        table, names = table[1:], names[1:]
    chosen = _chosen(source, names, columns)
    if columns:
        table = [table[names.index(name)] for name in chosen]
    numbers = [_numbers_if_all_are(column) for column in table]
    return [
        _text(source, cells) if found is None else found
        for cells, found in zip(table, numbers, strict=True)
    ], chosen


def _cells(source: Path, separator: str | None) -> list[list[str]]:
    """The cells of every line; lines without any may stand at the end alone."""
    checks.memory(
        100.0 * source.stat().st_size, f"reading {source}", "Keep fewer lines or columns."
    )
    with open(source, encoding="utf-8-sig", newline="") as file:
        if separator is None:
            rows = [line.split() for line in file]
        else:
            rows = [[*row] for row in csv.reader(file, delimiter=separator)]
    while rows and not any(map(str.strip, rows[-1])):
        rows.pop()
    if not rows:
        raise DatasetError(f"{source} is empty.")
    blank = next((i for i, row in enumerate(rows) if not row), None)
    if blank is not None:
        raise DatasetError(
            f"line {blank + 1} of {source} is empty. Leave out elements without a label, or the line."
        )
    return rows


def _is_name(first: str, below: list[str]) -> bool:
    """Whether the first cell of a column can be its name: no label is the same, nor all numbers."""
    return first not in below and not all(map(is_number, (first, *below)))


def _names_numbers(first: str, below: list[str]) -> bool:
    """Whether the first cell of a column is the only one that is no number."""
    return not is_number(first) and all(map(is_number, below))


def _numbers_if_all_are(cells: list[str]) -> npt.NDArray[Any] | None:
    """A column as integers or floats if it holds nothing else; names such as 01 and 1 stay two."""
    if not all(map(is_number, cells)):
        return None
    try:
        whole = np.array([np.int64(cell) for cell in cells])
    except (ValueError, OverflowError):
        return np.array([float(cell) for cell in cells])
    return whole if np.unique(whole).size == len({*cells}) else None
