"""Tables of numbers as other programs write them: text with separators, and Parquet.

A column that only counts the rows is no coordinate: it is left out where its name says so (nameless,
as pandas and R write their index), and refused otherwise, since it would rule every distance.
"""

from __future__ import annotations

import itertools
import re
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.formats import parquet
from percolaw.datasets.formats.arrays import REMEDY
from percolaw.errors import DatasetError
from percolaw.text import printable

Header: TypeAlias = Literal["auto", "yes", "no"]

#: What separates the numbers of text files; None is white space.
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": None}
#: Lines looked at to tell names of columns from numbers, and characters at most.
_LINES, _CHARACTERS = 100, 1 << 26
#: First columns of these names are an index, and any column of a name that pandas gives to one.
NAMELESS, _OF_PANDAS = ("", "unnamed: 0"), r"__index_level_\d+__"
#: Rows from which on a column of whole numbers at equal steps can be no chance, whatever their order.
_MANY_ROWS = 20
_WHOLE = r"[+-]?\d+"
#: Rows from which whole numbers, all different, are no accident.
FEW_ROWS = 10


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
        be either is refused. Numbers in quotation marks over numbers without are names.

    Returns
    -------
    array of float64

    Raises
    ------
    DatasetError
        If cells are no finite numbers, the first line could be names or numbers, or a column
        counts the rows.
    """
    separator = SEPARATORS[suffix]
    top = first_lines(source)
    cells = [[word.strip() for word in line.strip("\r\n").split(separator)] for _, line in top]
    if cells:
        cells[0] = [_unquoted(word, j, cells[1:]) for j, word in enumerate(cells[0])]
    named = header == "yes"
    if header == "auto" and cells:
        with_names = _has_names(cells[0], cells[1:])
        if with_names is None:
            raise DatasetError(
                f"the first line of {source}, {_short(cells[0])}, may be names of columns or a point; "
                "say which with --header yes or --header no (header= in Python)."
            )
        if with_names and _has_second_names(cells[1:]):
            raise DatasetError(
                f"the second line of {source}, {_short(cells[1])}, may be names of columns too. Keep one "
                "line of names; if it is a point, say so by --header yes (header= in Python)."
            )
        named = with_names
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
            quotechar='"',
        )
    except ValueError as error:
        between = {",": "commas", "\t": "tabs", None: "spaces"}[separator]
        remedy = "Remove columns of text and fill blanks."
        if any(";" in line for _, line in top):
            remedy = (
                "Semicolons are not read: write commas between numbers, and points inside. With pandas: "
                "read_csv(file, sep=';', decimal=',').to_csv(new_file, index=False)."
            )
        raise DatasetError(
            f"{source} is no table of numbers separated by {between}: "
            f"{_placed(str(error).split('; use')[0].rstrip('.'))}. {remedy}"
        ) from error
    names = [word.strip("\"'") for word in cells[0]] if named else []
    if len(names) == table.shape[1] - 1:  # R names its rows without naming that column
        names = ["", *names]
    return _points(source, table, names)


def _placed(message: str) -> str:
    """What NumPy says; of what it cannot convert it counts rows from 0, all else from 1."""
    start = int(message.startswith("could not convert"))
    return re.sub(r"at row (\d+)", lambda row: f"in row {int(row[1]) + start} of numbers", message)


def first_lines(source: Path) -> list[tuple[int, str]]:
    """Return the first lines that hold something, with their numbers.

    Raises DatasetError for what is no text in UTF-8.
    """
    top: list[tuple[int, str]] = []
    left = _CHARACTERS
    try:
        with open(source, encoding="utf-8-sig") as file:
            for i in itertools.count():
                line = file.readline(left + 1)
                left -= len(line)
                if not line or left < 0 or len(top) > _LINES:
                    break
                if _has_content(line):
                    top.append((i, line))
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{source} cannot be read: it is no text in UTF-8. Save it so."
        ) from error
    if left < 0 and not top:
        raise DatasetError(f"the first line of {source} is longer than {_CHARACTERS} characters.")
    return top


def _unquoted(word: str, column: int, below: list[list[str]]) -> str:
    """A cell of the first line, without quotation marks where the numbers below have some too."""
    quoted = any(column < len(row) and row[column].startswith('"') for row in below)
    return word.strip('"') if quoted else word


def _has_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _short(words: list[str]) -> str:
    return ", ".join(words[:6]) + (", ..." if len(words) > 6 else "")


def _has_names(first: list[str], below: list[list[str]]) -> bool | None:
    """Whether the first line holds names; None if it can be read both ways."""
    if not any(is_number(word) for word in first):
        return True
    if not below:
        return False
    index = first[0] == "" and len(first) > 1
    words = first[1:] if index else first
    if not all(re.fullmatch(r"\d+", word) for word in words) or len({*words}) < len(words):
        # Wavelengths, say; but one bad cell among numbers is an error, not a header.
        even = _is_even(words) and not any(_is_even(row[index:]) for row in below)
        return None if even else False
    numbers = [int(word) for word in words]
    counts_up = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    columns = list(zip(*(row[index:] for row in below), strict=False))
    # Whoever writes 1.0 writes no 1: whole numbers over a column that has none are names.
    fractional = any(not any(re.fullmatch(_WHOLE, c) for c in column) for column in columns)
    if index:
        return counts_up or fractional
    if fractional:
        return True if counts_up and len(words) > 2 else None
    return None if counts_up and numbers[0] == 0 and len(words) > 1 else False


def _has_second_names(rows: list[list[str]]) -> bool:
    """Whether the line under the names is of whole numbers, and none is below it."""
    whole = [[bool(re.fullmatch(_WHOLE, word)) for word in row] for row in rows]
    return len(rows) > 1 and len(rows[0]) > 1 and all(whole[0]) and not any(map(any, whole[1:]))


def _is_even(words: list[str]) -> bool:
    """Whether four numbers or more, as they are written, rise or fall by equal steps."""
    if len(words) < 4 or not all(re.fullmatch(r"[+-]?\d*\.?\d+", word) for word in words):
        return False
    numbers = [Decimal(word) for word in words]
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    return len(steps) == 1 and steps != {0}


def is_number(word: str) -> bool:
    """Return whether a cell of text is a number, NaN and infinity among them.

    Python reads 1_10 and 11_0 as 110 too; here they are names.
    """
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


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
    index = parquet.index_columns(schema)
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
    named = names if len(names) == table.shape[1] else []
    index = _index_columns(table, named)
    if index:
        place = "the first column" if index == [0] else f"column {index[0] + 1}"
        name = named[index[0]]
        warnings.warn(
            f"{place} of {printable(source.name)} is left out: it is an index"
            + (f" ({printable(name)})." if name else " (it has no name)."),
            stacklevel=4,
        )
        table = np.delete(table, index, axis=1)
        named = [name for j, name in enumerate(named) if j not in index]
    d = table.shape[1]
    counting = [j for j in range(d) if _counts_rows(table[:, j])]
    numbering = [j for j in range(d) if _numbers_rows(table[:, j])]
    if len(numbering) == d:  # ranks of every coordinate
        numbering = []
    if d > 1 and (counting or numbering):
        j, how = (counting[0], "counts") if counting else (numbering[0], "numbers")
        name = f" ({named[j]})" if named else ""
        raise DatasetError(
            f"column {j + 1}{name} of {source} {how} the rows, which is an index and no coordinate. "
            "Remove it; if it is a coordinate, save the table as .npy, where nothing is guessed."
        )
    _note_identifiers(source, table, named)
    finite = np.isfinite(table)
    if not finite.all():
        row, j = (int(v) for v in np.argwhere(~finite)[0])
        raise DatasetError(_bad_cell(source, row, j, named, str(table[row, j])))
    return table


def _index_columns(table: npt.NDArray[Any], names: list[str]) -> list[int]:
    """The columns that are an index by their names."""
    if not names or table.shape[1] < 2:
        return []
    first = names[0].strip().lower()
    ids = table[:, 0]
    if first in NAMELESS or (first == "index" and (_counts_rows(ids) or _numbers_rows(ids))):
        return [0]
    columns = [j for j, name in enumerate(names) if re.fullmatch(_OF_PANDAS, name)]
    return columns if len(columns) < len(names) else []


def _counts_rows(column: npt.NDArray[Any]) -> bool:
    """Whether a column counts up by ones from 0 or 1; a long one, from anywhere by any equal steps."""
    n = column.size
    if column.dtype.kind == "b" or n < 3 or not np.all(column == np.floor(column)):
        return False
    steps = np.diff(column)
    if steps[0] == 0 or np.any(steps != steps[0]):
        return False
    return n >= _MANY_ROWS or bool(steps[0] == 1 and column[0] in (0, 1))


def _numbers_rows(column: npt.NDArray[Any]) -> bool:
    """Whether a long column holds as many whole numbers in a row, each once, in any order."""
    if column.dtype.kind == "b" or column.size < _MANY_ROWS:
        return False
    return bool(np.all(column == np.floor(column)) and np.all(np.diff(np.sort(column)) == 1))


def _note_identifiers(source: Path, table: npt.NDArray[Any], named: list[str]) -> None:
    """Warn of columns in which every row has a whole number of its own, beside others that have not."""
    n, d = table.shape
    alike = [n >= FEW_ROWS and _are_distinct_integers(table[:, j]) for j in range(d)]
    if any(alike) and not all(alike):
        which = [f"{j + 1} ({named[j]})" if named else f"{j + 1}" for j in range(d) if alike[j]]
        warnings.warn(
            f"column {printable(_short(which))} of {printable(source.name)} has a whole number of its "
            "own in every row. If these are names of the rows and no coordinates, remove them.",
            stacklevel=5,
        )


def _are_integers(column: npt.NDArray[Any]) -> bool:
    with np.errstate(invalid="ignore"):
        return column.dtype.kind in "biu" or bool(np.all(column == np.floor(column)))


def _are_distinct_integers(column: npt.NDArray[Any]) -> bool:
    if column.dtype.kind == "b" or not _are_integers(column):
        return False
    return np.unique(column).size == column.size
