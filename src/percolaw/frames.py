"""Results as tables: a `pandas.DataFrame` where pandas is installed, else a dict of arrays."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

#: A `pandas.DataFrame`, or without pandas a dict of arrays of one length by name.
Frame: TypeAlias = Any


def frame(columns: Mapping[str, Iterable[Any]]) -> Frame:
    """Return columns as a `pandas.DataFrame` if pandas is installed, else as a dict of arrays.

    Parameters
    ----------
    columns : dict
        Name to values, all of one length. None stands for no value: NaN among numbers.

    Returns
    -------
    pandas.DataFrame or dict of array, shape (n,)
        float64 where a number is missing or not whole, int64 and bool where all are such, object for
        texts. The same columns and values either way, so that ``frame["loss"]`` works for both.

    Examples
    --------
    >>> table = frame({"n": [10, 20], "loss": [0.5, None]})
    >>> [float(loss) for loss in table["loss"]]
    [0.5, nan]
    """
    arrays = {name: column(values) for name, values in columns.items()}
    try:
        pandas = importlib.import_module("pandas")
    except ImportError:
        return arrays
    return pandas.DataFrame(arrays)


def column(values: Iterable[Any]) -> npt.NDArray[Any]:
    """Return values as a column: whole numbers, numbers, truths, or objects, None among numbers NaN."""
    given = values.tolist() if isinstance(values, np.ndarray) else list(values)
    kinds = {type(value) for value in given}
    if kinds <= {int} and all(-(1 << 63) <= value < 1 << 63 for value in given):
        return np.array(given, dtype=np.int64)
    if kinds == {bool}:
        return np.array(given, dtype=np.bool_)
    if kinds <= {int, float, type(None)} and kinds != {type(None)}:
        return np.array([np.nan if value is None else value for value in given], dtype=np.float64)
    objects = np.empty(len(given), dtype=object)
    objects[:] = given
    return objects


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Return a small table of texts as HTML, for notebooks.

    Parameters
    ----------
    header : sequence of str
        Names of columns.
    rows : iterable of sequences of str
    caption : str

    Returns
    -------
    str
    """

    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(line(row, "td") for row in rows)
    return f"<table>{title}<thead>{line(header, 'th')}</thead><tbody>{body}</tbody></table>"
