"""Plots as data: the curves of a record as they stand, for pages that draw and for tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["measured", "theory", "reference"]
#: Numbers of a record; None where it holds null, NaN or an infinity.
Numbers: TypeAlias = tuple[float | None, ...]

PERCENTILES = "16 to 84 percentile over seeds"
CONFIDENCE = "95% interval of the mean over seeds"


@dataclass(frozen=True)
class Stored:
    """A result of the record that stands beside an exponent recomputed from the same curve.

    Attributes
    ----------
    name : str
        The claim's name, or what else was stored.
    measured, predicted : float or None
    interval : tuple
        Ends, None where infinite.
    verdict : str
        Empty if it is no claim.
    window : tuple of float, optional
        Sizes it was fitted on, where the record tells.
    """

    name: str
    measured: float | None
    interval: tuple[float | None, float | None] = (None, None)
    predicted: float | None = None
    verdict: str = ""
    window: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """One curve of a plot.

    Attributes
    ----------
    name : str
    kind : {"measured", "theory", "reference"}
    x, y : tuple of float or None
    low, high : tuple of float or None, optional
        Ends of the interval at each point.
    interval : str
        What low and high are, in words.
    n_seeds : int, optional
    seeds : tuple of curves, optional
        One curve a seed, at the same x.
    prediction : str, optional
        Name of the series that measured / prediction divides by.
    stored : tuple of Stored
        Exponents in the record that belong to this curve.
    """

    name: str
    kind: Kind
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    interval: str = ""
    n_seeds: int | None = None
    seeds: tuple[Numbers, ...] | None = None
    prediction: str | None = None
    stored: tuple[Stored, ...] = ()


@dataclass(frozen=True)
class Plot:
    """One plot of an experiment.

    Attributes
    ----------
    id : str
        Unique inside its experiment; letters, digits and hyphens.
    title : str
    alt : str
        What is to be seen, in a sentence.
    x_label, y_label : str
    x_log, y_log : bool
    series : tuple of Series
    window : tuple of float, optional
        Sizes on which the record's fit was made.
    growth : bool
        Exponents are stated as d log y / d log x; as its negative if False.
    fit : bool
        Whether an exponent of these curves means something (log-log plots only).
    """

    id: str
    title: str
    alt: str
    x_label: str
    y_label: str
    x_log: bool
    y_log: bool
    series: tuple[Series, ...]
    window: tuple[float, float] | None = None
    growth: bool = False
    fit: bool = True


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
        found = float(value)
    except OverflowError:
        raise ValueError("a number is too large") from None
    return found if math.isfinite(found) else None


def numbers(values: Any, length: int | None = None) -> Numbers:
    """Return a list of a record as numbers, of a given length."""
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"expected a list of numbers; got {str(values)[:60]!r}")
    if length is not None and len(values) != length:
        raise ValueError(f"expected {length} numbers; got {len(values)}")
    return tuple(number(value) for value in values)


def fit_window(value: Any) -> tuple[float, float] | None:
    """Return a fit window of a record: two positive numbers that rise, or None for null."""
    if value is None:
        return None
    low, high = numbers(value, 2)
    if low is None or high is None or not 0.0 < low <= high:
        raise ValueError(f"expected a window of two rising positive numbers; got {low}, {high}")
    return low, high


def count(value: Any) -> int:
    """Return a number of seeds."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**53:
        raise ValueError(f"expected a count; got {str(value)[:60]!r}")
    return value


def series(
    name: str,
    kind: Kind,
    x: Any,
    y: Any,
    *,
    low: Any = None,
    high: Any = None,
    interval: str = "",
    n_seeds: Any = None,
    seeds: Any = None,
    prediction: str | None = None,
    stored: Iterable[Stored] = (),
) -> Series:
    """Return a series from lists of a record; raises ValueError if they are not alike."""
    place = numbers(x)
    n = len(place)
    if (low is None) != (high is None):
        raise ValueError("an interval needs both ends")
    return Series(
        name,
        kind,
        place,
        numbers(y, n),
        None if low is None else numbers(low, n),
        None if high is None else numbers(high, n),
        interval if low is not None else "",
        None if n_seeds is None else count(n_seeds),
        None if seeds is None else tuple(numbers(curve, n) for curve in seeds),
        prediction,
        tuple(stored),
    )


def claims_beside(
    record: Mapping[str, Any],
    belongs: Callable[[str], bool],
    window: tuple[float, float] | None = None,
) -> tuple[Stored, ...]:
    """Return the record's claims whose names belong to a curve."""
    found = []
    for claim in record["claims"]:
        if belongs(claim["name"]):
            low, high = numbers(claim["interval"], 2)
            found.append(
                Stored(
                    claim["name"],
                    number(claim["measured"]),
                    (low, high),
                    number(claim["predicted"]),
                    claim["verdict"],
                    window,
                )
            )
    return tuple(found)


def stored_fit(curve: Mapping[str, Any]) -> tuple[Stored, ...]:
    """Return the fit kept with a curve (exponent, interval, window); nothing if there is none."""
    exponent = number(curve["exponent"])
    if exponent is None:
        return ()
    low, high = numbers(curve["interval"], 2)
    return (
        Stored(
            "fit in the record",
            exponent,
            (low, high),
            number(curve.get("predicted")),
            window=fit_window(curve["window"]),
        ),
    )


def slug(text: str) -> str:
    """Return letters, digits and hyphens only."""
    parts = "".join(c if c.isascii() and c.isalnum() else " " for c in text).split()
    return "-".join(parts) or "x"
