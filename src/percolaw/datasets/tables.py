"""Tables of numbers as other programs write them: text with separators, and Parquet.

A column that only counts the rows is no coordinate: it is left out where its name says so (nameless,
as pandas and R write their index), and refused otherwise, since it would rule every distance.
"""

from __future__ import annotations

import itertools
import json
import re
import warnings
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.formats import parquet
from percolaw.datasets.formats.arrays import REMEDY
from percolaw.datasets.formats.description import DatasetError

Header: TypeAlias = Literal["auto", "yes", "no"]

#: What separates the numbers of text files; None is white space.
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}
#: Lines looked at to tell names of columns from numbers.
_LINES = 100
#: Rows from which whole numbers, all different, are no accident.
FEW_ROWS = 10
#: First columns of these names are an index.
_NAMELESS = ("", "unnamed: 0")


def read_text(source: Path, suffix: str, header: Header = "auto") -> npt.NDArray[np.float64]:
    """Read numbers as text: one line a row.

    Parameters
    ----------
    source : path
    suffix : {".csv", ".tsv", ".txt"}
        Says what separates the numbers.
    header : {"auto", "yes", "no"}
        Whether the first line holds names. "auto" takes a line without numbers for names, and whole
        numbers that count up (0, 1, 2, ...) over columns that are not whole numbers too; what could
        be either is refused.

    Raises
    ------
    DatasetError
        If cells are no finite numbers, the first line could be names or numbers, or an unnamed
        column counts the rows.
    """
    separator = SEPARATORS[suffix]
    with open(source, encoding="utf-8-sig") as lines:
        content = ((i, line) for i, line in enumerate(lines) if _has_content(line))
        top = list(itertools.islice(content, _LINES + 1))
    cells = [[word.strip() for word in line.strip("\r\n").split(separator)] for _, line in top]
    named = header == "yes"
    if header == "auto" and cells:
        found = _has_names(cells[0], cells[1:])
        if found is None:
            raise DatasetError(
                f"the first line of {source}, {_short(cells[0])}, may be names of columns or a point; "
                "say which with --header yes or --header no (header= in Python)."
            )
        named = found
    if top:
        share = len(cells[-1]) / max(1, len(top[-1][1]))
        checks.memory(8.0 * share * source.stat().st_size, f"reading {source}", REMEDY)
    try:
        table = np.loadtxt(
            source,
            delimiter=separator,
            skiprows=top[0][0] + 1 if named else 0,
            ndmin=2,
            encoding="utf-8-sig",
        )
    except ValueError as error:
        between = {",": "commas", "\t": "tabs", None: "spaces"}[separator]
        raise DatasetError(
            f"{source} is no table of numbers separated by {between}: "
            f"{str(error).split('; use')[0].rstrip('.')}. Remove columns of text and fill blanks."
        ) from error
    names = [word.strip("\"'") for word in cells[0]] if named else []
    if len(names) == table.shape[1] - 1:  # R names its rows without naming that column
        names = ["", *names]
    return _points(source, table, names)


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _short(words: list[str]) -> str:
    return ", ".join(words[:6]) + (", ..." if len(words) > 6 else "")


def _has_names(first: list[str], below: list[list[str]]) -> bool | None:
    """Whether the first line holds names; None if it can be read both ways."""
    if not any(_is_number(word) for word in first):
        return True
    if not below:
        return False
    index = first[0] == "" and len(first) > 1
    words = first[1:] if index else first
    if not all(re.fullmatch(r"\d+", word) for word in words) or len({*words}) < len(words):
        return False  # one bad cell among numbers is an error, not a header
    numbers = [int(word) for word in words]
    counts_up = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    columns = list(zip(*(row[index:] for row in below), strict=False))
    # Whoever writes 1.0 writes no 1: whole numbers over a column that has none are names.
    fractional = any(not any(re.fullmatch(r"[+-]?\d+", c) for c in column) for column in columns)
    if index:
        return counts_up or fractional
    if fractional:
        return True if counts_up and len(words) > 2 else None
    return None if counts_up and numbers[0] == 0 and len(words) > 1 else False


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def read_parquet(source: Path) -> npt.NDArray[Any]:
    """Read the numeric columns of a Parquet table of any program; the index of pandas is left out.

    Raises
    ------
    DatasetError
        If columns hold no numbers (they are named), cells are empty, or a column counts the rows.
    """
    types = checks.extra("pyarrow.types", "store")
    file = parquet.opened(source)
    schema = file.schema_arrow
    if len({*schema.names}) < len(schema.names):
        raise DatasetError(f"{source} has two columns of one name.")
    try:
        pandas = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        index = {name for name in pandas.get("index_columns", ()) if isinstance(name, str)}
    except (ValueError, AttributeError, TypeError):
        index = set()
    fields = [field for field in schema if field.name not in index]
    other = [
        f"{field.name} ({field.type})"
        for field in fields
        if not (
            types.is_integer(field.type)
            or types.is_floating(field.type)
            or types.is_boolean(field.type)
        )
    ]
    if other or not fields:
        what = f"columns that hold no numbers: {_short(other)}" if other else "no columns"
        lists = [field.name for field in fields if types.is_nested(field.type)]
        remedy = (
            f"Save the lists as an array: numpy.save('X.npy', table['{lists[0]}'].to_pylist())."
            if lists
            else "Leave them out."
        )
        raise DatasetError(f"{source} has {what}. {remedy}")
    n, names = file.metadata.num_rows, [field.name for field in fields]
    dtype = np.result_type(*(field.type.to_pandas_dtype() for field in fields))
    checks.memory((dtype.itemsize + 8.0) * n * len(names), f"reading {source}", REMEDY)
    table = np.empty((n, len(names)), dtype=dtype)
    for j, name in enumerate(names):
        column = file.read(columns=[name]).column(name)
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy()))
            raise DatasetError(_bad_cell(source, row, j, names, "an empty cell"))
        values = np.asarray(column.to_numpy())
        table[:, j] = values
        if values.dtype.kind in "iu" and dtype.kind == "f" and not _exact(values, dtype):
            raise DatasetError(f"column {name} of {source} has integers that {dtype} cannot hold.")
    return _points(source, table, names)


def _exact(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> bool:
    return not values.size or max(-int(values.min()), int(values.max())) <= 2 ** (
        np.finfo(dtype).nmant + 1
    )


def _bad_cell(source: Path, row: int, column: int, names: list[str], what: str) -> str:
    name = f" ({names[column]})" if column < len(names) and names[column] else ""
    return (
        f"{source} has {what} in row {row + 1} of the table, column {column + 1}{name}. Remove or "
        "fill it first."
    )


def _points(source: Path, table: npt.NDArray[Any], names: list[str]) -> npt.NDArray[Any]:
    """The table without an index column, if all that is left are finite numbers."""
    n, d = table.shape
    named = names if len(names) == d else []
    first = named[0].strip().lower() if named else None
    if d > 1 and (first in _NAMELESS or (first == "index" and _counts_rows(table, 0))):
        warnings.warn(
            f"the first column of {source.name} is left out: it is an index"
            + (f" ({named[0]})." if named[0] else " (it has no name)."),
            stacklevel=4,
        )
        table, named, d = table[:, 1:], named[1:], d - 1
    for j in range(d):
        if d > 1 and n > 2 and _counts_rows(table, j):
            name = f" ({named[j]})" if named else ""
            raise DatasetError(
                f"column {j + 1}{name} of {source} counts the rows, which is an index and no "
                "coordinate. Remove it; if it is a coordinate, save the table as .npy, where nothing "
                "is guessed."
            )
    _note_identifiers(source, table, named)
    finite = np.isfinite(table)
    if not finite.all():
        row, j = (int(v) for v in np.argwhere(~finite)[0])
        raise DatasetError(_bad_cell(source, row, j, named, str(table[row, j])))
    return table


def _note_identifiers(source: Path, table: npt.NDArray[Any], named: list[str]) -> None:
    """Warn of columns in which every row has a whole number of its own, beside others that have not."""
    n, d = table.shape
    alike = [n >= FEW_ROWS and _are_distinct_integers(table[:, j]) for j in range(d)]
    if any(alike) and not all(alike):
        which = [f"{j + 1} ({named[j]})" if named else f"{j + 1}" for j in range(d) if alike[j]]
        warnings.warn(
            f"column {_short(which)} of {source.name} has a whole number of its own in every row. If "
            "these are names of the rows and no coordinates, remove them.",
            stacklevel=5,
        )


def _counts_rows(table: npt.NDArray[Any], j: int) -> bool:
    """Whether column j counts the rows: 0, 1, 2, ... or from 1.

    Beside columns of fractions whole numbers of equal distance, each once, are a count in whatever order.
    """
    column = table[:, j]
    if not column.size or not _are_distinct_integers(column):
        return False
    if column[0] in (0, 1) and bool(np.all(column - column[0] == np.arange(column.size))):
        return True
    steps = np.diff(np.sort(column))
    return (
        column.size >= FEW_ROWS
        and bool(np.all(steps == steps[0]))
        and not all(_are_integers(table[:, i]) for i in range(table.shape[1]))
    )


def _are_integers(column: npt.NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):
        return column.dtype.kind in "biu" or bool(np.all(column == np.floor(column)))


def _are_distinct_integers(column: npt.NDArray[Any]) -> bool:
    if column.dtype.kind == "b" or not _are_integers(column):
        return False
    return np.unique(column).size == column.size
