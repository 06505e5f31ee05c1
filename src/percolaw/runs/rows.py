"""Rows of runs as one table in long form: one number in a cell, whatever the rows hold.

A row of an experiment holds numbers, texts and lists. In the table every position of its lists has a line
of its own: training sizes and losses, two lists of one row, stand beside each other in two columns.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from percolaw import checks
from percolaw.errors import RunError
from percolaw.experiments.base import Cell, Row
from percolaw.frames import column
from percolaw.runs.files import MALFORMED, replacing

#: What a run has measured: the description of a unit, and its rows.
Units: TypeAlias = list[tuple[Cell, list[Row]]]
#: What a table can be written as.
SUFFIXES = (".csv", ".jsonl", ".parquet")


def long_rows(units: Units) -> dict[str, list[Any]]:
    """Return the rows of units in long form, columns of one length.

    Parameters
    ----------
    units : list of (Cell, list of Row)

    Returns
    -------
    dict
        ``cell`` and ``row``: numbers, from 0, of the unit and of the row in it; ``position``: where in
        the lists of the row the line stands, None if the row has no lists; then every field of cells and
        rows (one of those three names gets an underscore at its end). Lists of equal length in a row
        share their lines, lists of different lengths have lines of their own; single values are repeated
        on all lines of their row. Parts of a dict, and of lists inside a list, are fields of their own:
        ``bins.loops``, ``place.0``. None where a line has no such field.
    """
    lines = [
        {"cell": i, "row": j, **line}
        for i, (cell, rows) in enumerate(sorted(units, key=_order))
        for j, row in enumerate(rows)
        for line in _lines({**cell, **row})
    ]
    names = dict.fromkeys(name for line in lines for name in line)
    return {name: [line.get(name) for line in lines] for name in names}


def _order(unit: tuple[Cell, list[Row]]) -> list[Any]:
    """By the fields of the cell: the order in which units ended does not show."""
    return [
        (key, 0, float(v), "") if type(v) in (int, float) else (key, 1, 0.0, json.dumps(v))
        for key, v in sorted(unit[0].items())
    ]


def _lines(row: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The lines of one row."""
    single: dict[str, Any] = {}
    lists: dict[int, dict[str, list[Any]]] = {}
    for field, value in dotted(row):
        name = f"{field}_" if field in ("cell", "row", "position") else field
        if not isinstance(value, list):
            single[name] = value
            continue
        parts = [_leaves(item, name) for item in value]
        for part in dict.fromkeys(key for item in parts for key in item):
            lists.setdefault(len(value), {})[part] = [item.get(part) for item in parts]
    lists.pop(0, None)
    if not lists:
        yield {"position": None, **single}
    for length, columns in lists.items():
        for i in range(length):
            yield {"position": i, **single, **{name: values[i] for name, values in columns.items()}}


def dotted(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield names and values of nested mappings, the names with dots: ``training.steps``.

    Parameters
    ----------
    fields : dict
    prefix : str
        What stands before all names.
    """
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _leaves(value: Any, name: str) -> dict[str, Any]:
    """What stands at one position of a list, down to single values."""
    if isinstance(value, list):
        inside = {f"{name}.{i}": item for i, item in enumerate(value)}
    elif isinstance(value, Mapping):
        inside = {f"{name}.{key}": item for key, item in value.items()}
    else:
        return {name: value}
    return {leaf: v for key, item in inside.items() for leaf, v in _leaves(item, key).items()}


def write_table(columns: Mapping[str, list[Any]], out: Path) -> None:
    """Write columns as .csv, .jsonl or .parquet, whole or not at all.

    Parameters
    ----------
    columns : dict
        As `long_rows` returns them. None is an empty cell in .csv, left out of lines of .jsonl, and null
        in .parquet.
    out : path
        The suffix is the format. Lines end in a line feed.

    Raises
    ------
    ValueError
        For another suffix.
    RunError
        If a column holds both numbers and texts, which .parquet does not take.
    MissingExtraError
        If .parquet needs the extra ``store``.
    """
    suffix = checks.choice("export suffix", out.suffix.lower(), SUFFIXES)
    lines = zip(*columns.values(), strict=True)
    with replacing(out) as part:
        if suffix == ".parquet":
            _write_parquet(columns, part)
            return
        with open(part, "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
            if suffix == ".csv":
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                writer.writerows(lines)
            else:
                for line in lines:
                    known = zip(columns, line, strict=True)
                    file.write(json.dumps({k: v for k, v in known if v is not None}) + "\n")


def _write_parquet(columns: Mapping[str, list[Any]], part: Path) -> None:
    pyarrow = checks.extra("pyarrow", "store")
    parquet = checks.extra("pyarrow.parquet", "store")
    try:
        arrays = {
            name: pyarrow.array(
                values if (c := column(values)).dtype == object else c, from_pandas=True
            )
            for name, values in columns.items()
        }
        parquet.write_table(pyarrow.table(arrays), part)
    except (pyarrow.ArrowException, *MALFORMED) as error:
        raise RunError(
            f"the rows do not fit into the columns of a .parquet file: {str(error)[:200].rstrip('.')}. "
            "Export them as .jsonl, which takes any rows."
        ) from error
