"""What a record holds, read with every doubt: numbers, windows, claims, plots and readings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from percolaw.experiments.series import Numbers, Plot, Series, Stored
from percolaw.nulls import to_null


@dataclass(frozen=True)
class Reading:
    """What an experiment says in words, with a table or without.

    Attributes
    ----------
    title, text : str
    header : tuple of str
    rows : tuple of tuple of str
        Each as long as the header.
    """

    title: str
    text: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def readings(tables: Mapping[str, Any]) -> tuple[Reading, ...]:
    """Return what the tables of a record say in words, under the key ``readings``.

    Experiments of others may keep anything under this key: what is not a list of objects with a title, a
    text, a header and rows as long as it says nothing in words.

    Parameters
    ----------
    tables : mapping

    Returns
    -------
    tuple of Reading
    """
    try:
        return tuple(_read_reading(entry) for entry in tables.get("readings", ()))
    except (TypeError, ValueError, LookupError, AttributeError):
        return ()


def _read_reading(entry: Any) -> Reading:
    header = _texts(entry["header"])
    rows = tuple(_texts(row) for row in entry["rows"])
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"expected rows of {len(header)} cells")
    return Reading(_text(entry["title"]), _text(entry["text"]), header, rows)


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"expected a list of texts; got {str(values)[:60]!r}")
    return tuple(map(_text, values))


def read_plots(entries: Any) -> tuple[Plot, ...]:
    """Return the plots that a record holds.

    Raises
    ------
    ValueError, TypeError, LookupError
        If they are not as `Plot` and its parts say.
    """
    if not isinstance(entries, list):
        raise TypeError("plots are no list")
    return tuple(_read_plot(entry) for entry in entries)


def _read_plot(entry: Any) -> Plot:
    limits = numbers(entry.get("y_limits", [None, None]), 2)
    return Plot(
        _text(entry["id"]),
        _text(entry["title"]),
        _text(entry["alt"]),
        _text(entry["x_label"]),
        _text(entry["y_label"]),
        entry["x_log"] is True,
        entry["y_log"] is True,
        tuple(read_series(one) for one in entry["series"]),
        fit_window(entry.get("window")),
        entry.get("growth") is True,
        entry.get("fit", True) is True,
        _text(entry.get("figure", "")),
        (limits[0], limits[1]),
        entry.get("ordered") is True,
        _text(entry.get("hollow", "")),
        tuple(map(_text, entry.get("x_ticks", ()))),
    )


def read_series(entry: Any) -> Series:
    """Return a series of a record's plot.

    Raises
    ------
    ValueError, TypeError, LookupError
        If it is not as `Series` says.
    """
    if entry["kind"] not in ("measured", "theory", "reference"):
        raise ValueError(f"unknown kind of series {str(entry['kind'])[:60]!r}")
    x = numbers(entry["x"])
    low, high = entry.get("low"), entry.get("high")
    if (low is None) != (high is None):
        raise ValueError("an interval needs both ends")
    n_seeds, seeds, usable = entry.get("n_seeds"), entry.get("seeds"), entry.get("usable")
    prediction = entry.get("prediction")
    if usable is not None and len(usable) != len(x):
        raise ValueError(f"expected {len(x)} marks of use; got {len(usable)}")
    return Series(
        _text(entry["name"]),
        entry["kind"],
        x,
        numbers(entry["y"], len(x)),
        None if low is None else numbers(low, len(x)),
        None if high is None else numbers(high, len(x)),
        "" if low is None else _text(entry.get("interval", "")),
        None if n_seeds is None else count(n_seeds),
        None if seeds is None else tuple(numbers(seed, len(x)) for seed in seeds),
        None if prediction is None else _text(prediction),
        tuple(_read_stored(one) for one in entry.get("stored", [])),
        None if usable is None else tuple(v is True for v in usable),
        entry.get("joined", True) is True,
        _text(entry.get("group", "")),
    )


def _read_stored(entry: Any) -> Stored:
    low, high = numbers(entry["interval"], 2)
    return Stored(
        _text(entry["name"]),
        number(entry["measured"]),
        (low, high),
        number(entry["predicted"]),
        _text(entry["verdict"]),
        fit_window(entry.get("window")),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text; got {str(value)[:60]!r}")
    return value


def number(value: Any) -> float | None:
    """Return a number of a record as a float, None for null, NaN and infinities.

    Raises
    ------
    ValueError
        If it is no number, or too large for one.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number; got {str(value)[:60]!r}")
    try:
        plain = float(value)
    except OverflowError:
        raise ValueError("a number is too large") from None
    return to_null(plain)


def numbers(values: Any, length: int | None = None) -> Numbers:
    """Return a list of a record as numbers, of a given length.

    Parameters
    ----------
    values : list
        Numbers; null stands for none.
    length : int, optional

    Returns
    -------
    tuple of float or None

    Raises
    ------
    ValueError
        For what is no list, and for another length.
    """
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"expected a list of numbers; got {str(values)[:60]!r}")
    if length is not None and len(values) != length:
        raise ValueError(f"expected {length} numbers; got {len(values)}")
    return tuple(number(value) for value in values)


def fit_window(value: Any) -> tuple[float, float] | None:
    """Return a fit window of a record: two positive numbers that rise, or None for null.

    Raises
    ------
    ValueError
        For a window that does not rise or is not positive.
    """
    if value is None:
        return None
    low, high = numbers(value, 2)
    if low is None or high is None or not 0.0 < low <= high:
        raise ValueError(f"expected a window of two rising positive numbers; got {low}, {high}")
    return low, high


def count(value: Any) -> int:
    """Return a number of seeds.

    Raises
    ------
    ValueError
        For what is no whole number from 0 to 2^53.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"expected a count; got {str(value)[:60]!r}")
    return value
