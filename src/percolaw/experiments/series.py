"""A plot and its curves as data: what a record keeps of them, and what is drawn of them.

Whoever renders decides nothing: what is dashed, hollow, or of one colour follows from these fields.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from percolaw import frames
from percolaw.scaling.intervals import widening
from percolaw.shown import Drawable

if TYPE_CHECKING:
    from percolaw.experiments.claims import Claim
    from percolaw.scaling.curve import LearningCurve

Kind: TypeAlias = Literal["measured", "theory", "reference"]
#: Numbers of a record; None where it holds null, NaN or an infinity.
Numbers: TypeAlias = tuple[float | None, ...]


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

    @classmethod
    def of(cls, claim: Claim, window: tuple[float, float] | None = None) -> Stored:
        """Return a claim as it stands beside a curve.

        Parameters
        ----------
        claim : Claim
        window : (low, high), optional
            Sizes on which it was measured.

        Returns
        -------
        Stored
        """
        measured, predicted, low, high = finite((claim.measured, claim.predicted, *claim.interval))
        return cls(claim.name, measured, (low, high), predicted, claim.verdict, window)


@dataclass(frozen=True)
class Series:
    """One curve of a plot.

    Attributes
    ----------
    name : str
    kind : {"measured", "theory", "reference"}
        Drawn with marks and a solid line, dashed, or dotted.
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
        Exponents in the record that belong to this curve: fits, and claims.
    usable : tuple of bool, optional
        Points that are drawn full; the others are hollow, and no exponent is fitted to them.
    joined : bool
        Whether a line joins the points.
    group : str
        Series of one group have one colour: a curve, its limit and its prediction. Own name if empty.
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
    usable: tuple[bool, ...] | None = None
    joined: bool = True
    group: str = ""


@dataclass(frozen=True)
class Plot(Drawable):
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
    figure : str
        File whose panels are all plots of this name; the plot's own id if empty.
    y_limits : tuple of float or None
        Ends of the y axis of pictures; None leaves an end to the data.
    ordered : bool
        Whether the series follow one another, as those of a rising parameter do: shades in pictures.
    hollow : str
        What points that are not usable are, in words.
    x_ticks : tuple of str
        Words at x = 0, 1, 2, ... in place of numbers.
    """

    picture = "plot"

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
    figure: str = ""
    y_limits: tuple[float | None, float | None] = (None, None)
    ordered: bool = False
    hollow: str = ""
    x_ticks: tuple[str, ...] = ()

    def to_frame(self) -> frames.Frame:
        """Return the curves in long form, a line for each point.

        Returns
        -------
        pandas.DataFrame or dict of array
            Columns ``curve``, ``kind``, ``x``, ``y``, ``low`` and ``high`` (``interval`` says what they
            are), ``usable``; see `percolaw.frames.frame`.
        """
        lines = [
            (one.name, one.kind, x, y, low, high, one.interval, usable)
            for one in self.series
            for x, y, low, high, usable in zip(
                one.x,
                one.y,
                one.low or [None] * len(one.x),
                one.high or [None] * len(one.x),
                one.usable or [True] * len(one.x),
                strict=True,
            )
        ]
        names = ("curve", "kind", "x", "y", "low", "high", "interval", "usable")
        return frames.frame({name: [line[i] for line in lines] for i, name in enumerate(names)})

    def __repr__(self) -> str:
        names = ", ".join(one.name for one in self.series)
        return f"Plot({self.id}: {self.y_label} against {self.x_label}; {names})"


def learning_curve(one: Series, beside: Mapping[str, Series]) -> LearningCurve:
    """Return the learning curve of a series that keeps its seeds; `curve` the other way round.

    Parameters
    ----------
    one : Series
    beside : dict of Series
        Those of its plot by name: its prediction is taken where it stands at the same x.

    Returns
    -------
    LearningCurve
    """
    from percolaw.nulls import floats
    from percolaw.scaling.curve import LearningCurve

    by = beside.get(one.prediction or "")
    return LearningCurve(
        floats(one.x),
        np.array([floats(seed) for seed in one.seeds or ()]),
        None if one.usable is None else np.array(one.usable),
        None if by is None or by.x != one.x else floats(by.y),
    )


def widenings(n_seeds: int) -> tuple[float, ...]:
    """Return the factors of `scaling.intervals.widening` for 0 to n seeds; 0 where there is none."""
    return tuple(widening(n) if n >= 2 else 0.0 for n in range(n_seeds + 1))


def finite(values: Any) -> Numbers:
    """Return plain floats, None for what is not finite."""
    array = np.asarray(
        [math.nan if v is None else v for v in values]
        if isinstance(values, (list, tuple))
        else values,
        dtype=np.float64,
    )
    return tuple(float(v) if math.isfinite(v) else None for v in array)


def y_limits(values: Any, ends: Any) -> tuple[float, float]:
    """Return limits that hold all values, and of their intervals no more than leaves them to be seen.

    Parameters
    ----------
    values : array
        What is to be seen; NaN does not count.
    ends : array
        Ends of intervals; infinite ones do not count.

    Returns
    -------
    low, high : float
    """
    shown = np.asarray(values, dtype=np.float64).ravel()
    shown = shown[np.isfinite(shown)]
    span = max(float(np.ptp(shown)), 0.15 * float(np.mean(np.abs(shown))))
    more = np.asarray(ends, dtype=np.float64).ravel()
    more = more[np.isfinite(more)]
    more = np.clip(more, shown.min() - 0.8 * span, shown.max() + 0.8 * span)
    every = np.concatenate([shown, more])
    margin = 0.08 * max(float(np.ptp(every)), 0.3 * span)
    return float(every.min() - margin), float(every.max() + margin)
