"""What a user knows of each element: its class, a number, or its classes in a hierarchy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from percolaw import checks

Kind: TypeAlias = Literal["auto", "classes", "numbers"]
KINDS: tuple[str, ...] = get_args(Kind)
#: Characters of a label that is text; an array gives each label the room of the longest.
LONGEST = 1000


@dataclass(frozen=True, eq=False)
class ElementLabels:
    """One of labels, values and levels; the other two are None.

    Parameters
    ----------
    labels : array of int64, shape (n,), optional
        Class of each element, numbered from 0.
    values : array of float64, shape (n,), optional
        Number of each element.
    levels : array of int64, shape (n, n_levels), optional
        Classes of a hierarchy, coarsest first: who shares a class shares all before it.
    names : tuple of str
        Of each class, or of each level.
    """

    labels: npt.NDArray[np.int64] | None = None
    values: npt.NDArray[np.float64] | None = None
    levels: npt.NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()


def element_labels(
    values: Any, n: int, kind: Kind = "auto", names: Sequence[str] = ()
) -> ElementLabels:
    """Check the labels of n elements and say whether they are classes, numbers or a hierarchy.

    Parameters
    ----------
    values : array-like, shape (n,) or (n, n_levels)
        Text, integers, booleans or floats; the columns of a hierarchy coarsest first.
    n, kind, names
        As in `labels_of_columns`.

    Returns
    -------
    ElementLabels

    Raises
    ------
    ValueError
        As `labels_of_columns`.
    TypeError
        For objects that are no text.
    """
    return labels_of_columns(label_columns(values), n, kind, names)


def label_columns(values: Any) -> list[npt.NDArray[Any]]:
    """Return the columns of labels as arrays of numbers or text.

    Raises ValueError for another shape than (n,) or (n, n_levels), and for labels that are missing.
    """
    try:
        table = checks.array("labels", values)
    except TypeError:
        table = np.asarray(values, dtype=object)
    if table.ndim not in (1, 2) or 0 in table.shape:
        raise ValueError(
            f"labels must have shape (n,), or (n, n_levels) for a hierarchy; got {table.shape}."
        )
    return [_plain(column) for column in np.atleast_2d(table.T)]


def labels_of_columns(
    columns: Sequence[npt.NDArray[Any]], n: int, kind: Kind = "auto", names: Sequence[str] = ()
) -> ElementLabels:
    """Return the labels that columns of text or numbers hold: several are a hierarchy, coarsest first.

    A class of a later column belongs to those of the columns before it: equal names under two of them
    are two classes.

    Parameters
    ----------
    columns : sequence of arrays, shape (n,)
    n : int
        Number of elements.
    kind : {"auto", "classes", "numbers"}
        What one column holds. "auto" takes text, booleans and whole numbers for classes, other numbers
        for numbers.
    names : sequence of str
        Names of the columns; counted if there are none.

    Returns
    -------
    ElementLabels

    Raises
    ------
    ValueError
        If there is not one label for each element; one is missing; all are equal; a class holds fewer
        than two elements on average; or the columns are no hierarchy.
    """
    checks.choice("kind", kind, KINDS)
    for column in columns:
        _check_complete(column, n)
    if len(columns) > 1:
        return _hierarchy(columns, names, kind)
    column = columns[0]
    if kind == "numbers" or (kind == "auto" and _is_fractional(column)):
        return _values(column)
    distinct, labels = np.unique(column, return_inverse=True)
    if distinct.size == 1:
        raise ValueError(
            f"all {n} labels are {distinct[0]}; two classes are the least. Without labels the geometry "
            "alone is analysed."
        )
    if 2 * distinct.size > n:
        text = column.dtype.kind == "U"
        numbers = "" if text else " If they are numbers and no classes, say kind 'numbers'."
        raise ValueError(
            f"labels hold {distinct.size} classes for {n} elements, fewer than two elements a class: "
            f"hardly any two can agree.{numbers} Take coarser classes."
        )
    return ElementLabels(
        labels=labels.astype(np.int64),
        names=tuple(f"{name:.12g}" if column.dtype.kind == "f" else str(name) for name in distinct),
    )


def _values(column: npt.NDArray[Any]) -> ElementLabels:
    """One column of numbers."""
    if column.dtype.kind == "U":
        raise ValueError(f"labels must be numbers; got text, {str(column[0])!r:.60}.")
    if column.min() == column.max():
        raise ValueError(
            f"all {column.size} labels are {column[0]}; a constant function says nothing. Without labels "
            "the geometry alone is analysed."
        )
    return ElementLabels(values=checks.float_array("labels", column))


def _is_fractional(column: npt.NDArray[Any]) -> bool:
    return column.dtype.kind == "f" and bool(np.any(column != np.floor(column)))


def text_labels(cells: Sequence[str]) -> npt.NDArray[np.str_]:
    """Return labels that are text as an array, which takes the memory of the longest for each.

    Raises ValueError for one of more than `LONGEST` characters.
    """
    row = max(range(len(cells)), key=lambda at: len(cells[at]), default=0)
    if len(cells) and len(cells[row]) > LONGEST:
        raise ValueError(
            f"label {row} has {len(cells[row])} characters, {cells[row]!r:.40}...; {LONGEST} are the "
            "most. Labels are short names of classes."
        )
    return np.array(cells, dtype=np.str_)


def _plain(column: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column of labels as numbers if they are, else as text."""
    try:
        return checks.array("labels", column.tolist() if column.dtype == object else column)
    except TypeError:
        cells = column.tolist()
    for row, cell in enumerate(cells):
        if not isinstance(cell, str):
            missing = cell is None or (isinstance(cell, float) and np.isnan(cell))
            what = "is missing" if missing else f"is {cell!r:.60} ({type(cell).__name__})"
            error = ValueError if missing else TypeError
            raise error(
                f"label {row} {what}; labels must be all text or all numbers. Leave out elements "
                "without a label."
            )
    return text_labels(cells)


def _check_complete(column: npt.NDArray[Any], n: int) -> None:
    """Refuse a column without a label for each of n elements."""
    if column.shape != (n,):
        raise ValueError(
            f"there are {n} elements and {column.shape[0]} labels; give one for each, in the order of "
            "the elements."
        )
    missing = column == "" if column.dtype.kind == "U" else ~np.isfinite(column)
    if missing.any():
        row = int(np.argmax(missing))
        what = "empty" if column.dtype.kind == "U" else f"{column[row]}"
        raise ValueError(
            f"label {row} is {what}, and {int(missing.sum())} such are among {n}. Leave out elements "
            "without a label."
        )


def _hierarchy(
    columns: Sequence[npt.NDArray[Any]], names: Sequence[str], kind: Kind
) -> ElementLabels:
    """The classes of every column among those of the columns before it."""
    n_levels = len(columns)
    labelled = tuple(names) or tuple(f"level {level + 1}" for level in range(n_levels))
    levels = np.empty((columns[0].size, n_levels), dtype=np.int64)
    above = np.zeros(columns[0].size, dtype=np.int64)
    for level, column in enumerate(columns):
        if kind == "numbers" or _is_fractional(column):
            what = (
                "kind 'numbers' is of one"
                if kind == "numbers"
                else f"{labelled[level]} holds numbers"
            )
            raise ValueError(
                f"{n_levels} columns of labels are a hierarchy of classes, and {what}. Choose one column "
                "of numbers, or columns of classes."
            )
        distinct, number = np.unique(column, return_inverse=True)
        above = np.unique(above * distinct.size + number, return_inverse=True)[1].astype(np.int64)
        levels[:, level] = above
    n_classes = levels.max(axis=0) + 1
    if n_classes[0] == 1:
        raise ValueError(
            f"all labels of {labelled[0]}, the first column, are equal; leave it out. Without labels the "
            "geometry alone is analysed."
        )
    if n_classes[-1] == columns[0].size:
        level = int(np.argmax(n_classes))
        raise ValueError(
            f"every element has a class of its own in column {labelled[level]}, and so no two can agree. "
            "A column that names the rows is no class; leave it out (--columns)."
        )
    if n_classes[0] == n_classes[-1]:
        raise ValueError(
            f"no column splits the {n_classes[0]} classes of the first, {labelled[0]}. Order the columns "
            "from the coarsest to the finest; a column that names the rows is no class."
        )
    return ElementLabels(levels=levels, names=labelled)
