"""Plots as data: the curves of an experiment, drawn as pictures and in the page from the same values.

`conclude` makes them with `curve`, `points` and `line`; a record keeps them; `percolaw.report.draw` makes
pictures of them and the page draws them anew. Whoever renders decides nothing: what is dashed, hollow, or
of one colour follows from the fields below.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from percolaw import frames, shown
from percolaw.scaling.intervals import widening

if TYPE_CHECKING:
    from percolaw.experiments.claims import Claim
    from percolaw.scaling.curve import LearningCurve
    from percolaw.scaling.fit import Aggregate, PowerLawFit

Kind: TypeAlias = Literal["measured", "theory", "reference"]
#: Numbers of a record; None where it holds null, NaN or an infinity.
Numbers: TypeAlias = tuple[float | None, ...]

PERCENTILES = "16 to 84 percentile over seeds"
CONFIDENCE = "95% interval of the mean over seeds"
INTERVAL = "95% interval"


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
        columns: dict[str, list[Any]] = {
            name: [] for name in ("curve", "kind", "x", "y", "low", "high", "interval", "usable")
        }
        for one in self.series:
            for name, values in (
                ("curve", [one.name] * len(one.x)),
                ("kind", [one.kind] * len(one.x)),
                ("x", one.x),
                ("y", one.y),
                ("low", one.low or [None] * len(one.x)),
                ("high", one.high or [None] * len(one.x)),
                ("interval", [one.interval] * len(one.x)),
                ("usable", one.usable or [True] * len(one.x)),
            ):
                columns[name] += values
        return frames.frame(columns)

    def plot(self, ax: Any = None) -> Any:
        """Draw it as the report does.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Drawn into; a new figure if None.

        Returns
        -------
        matplotlib.axes.Axes
        """
        return shown.draw("plot", self, ax)

    def __repr__(self) -> str:
        names = ", ".join(one.name for one in self.series)
        return f"Plot({self.id}: {self.y_label} against {self.x_label}; {names})"


# --- making them -----------------------------------------------------------------------------------


def curve(
    name: str,
    measured: LearningCurve,
    *,
    how: Aggregate = "geometric",
    claims: Sequence[Claim] = (),
    fitted: PowerLawFit | None = None,
    predicted: float | None = None,
    **more: Any,
) -> Series:
    """Return a learning curve as a series: middle over seeds, 16 to 84 percentiles, each seed.

    Parameters
    ----------
    name : str
    measured : LearningCurve
    how : {"geometric", "mean", "median"}
    claims : sequence of Claim
        Verdicts on this curve's exponent.
    fitted : PowerLawFit, optional
        Its window goes with the claims; without claims the fit itself is kept.
    predicted : float, optional
        Exponent that stands beside a fit without claims.
    more
        Further fields of `Series`.

    Returns
    -------
    Series
    """
    band = measured.band(how)
    window = None if fitted is None else fitted.window
    stored = [beside(claim, window) for claim in claims]
    if not stored and fitted is not None:
        low, high = _finite(fitted.interval)
        stored = [Stored("fit in the record", fitted.exponent, (low, high), predicted, "", window)]
    usable = None if measured.usable is None else tuple(bool(v) for v in measured.usable)
    more.setdefault("seeds", tuple(map(_finite, measured.loss)) if measured.n_seeds > 1 else None)
    return Series(
        name,
        "measured",
        _finite(measured.size),
        _finite(band.middle),
        _finite(band.low),
        _finite(band.high),
        PERCENTILES,
        measured.n_seeds,
        stored=tuple(stored),
        usable=usable,
        **more,
    )


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


def line(name: str, kind: Kind, x: Any, y: Any, **more: Any) -> Series:
    """Return a curve without intervals: a theory, a reference, or something measured once.

    Parameters
    ----------
    name, kind : str
        As in `Series`.
    x, y : array, shape (n,)
    more
        Further fields of `Series`.

    Returns
    -------
    Series
    """
    return Series(name, kind, _finite(x), _finite(y), **more)


def local(name: str, measured: LearningCurve, *, smooth: bool = False, **more: Any) -> Series:
    """Return the local exponents of the curve of all seeds, with the percentiles of those of each seed.

    Parameters
    ----------
    name : str
    measured : LearningCurve
    smooth : bool
        As in `LearningCurve.local`.
    more
        Further fields of `Series`.

    Returns
    -------
    Series
    """
    if measured.n_seeds > 1:
        each = np.array([one.local(smooth=smooth) for one in measured.seeds()])
        low, high = np.quantile(each, (0.16, 0.84), axis=0)
        more |= {"low": _finite(low), "high": _finite(high), "interval": PERCENTILES}
    middle = measured.local(smooth=smooth)
    return line(name, "measured", measured.size, middle, n_seeds=measured.n_seeds, **more)


def slope(name: str, fitted: PowerLawFit, exponent: float, **more: Any) -> Series:
    """Return the power law of a predicted exponent through the middle of a fit, on its window.

    Parameters
    ----------
    name : str
    fitted : PowerLawFit
    exponent : float
        The predicted one; positive where the loss falls.
    more
        Further fields of `Series`.

    Returns
    -------
    Series
    """
    ends = np.array(fitted.window)
    middle = float(np.sqrt(ends[0] * ends[1]))
    loss = fitted.prefactor * middle**-fitted.exponent
    return line(name, "theory", ends, loss * (ends / middle) ** -exponent, **more)


def points(
    name: str, x: Any, y: Any, low: Any, high: Any, *, interval: str = INTERVAL, **more: Any
) -> Series:
    """Return measured points with intervals, not joined; infinite ends are left out.

    Parameters
    ----------
    name, interval : str
        As in `Series`.
    x, y, low, high : array, shape (n,)
    more
        Further fields of `Series`.

    Returns
    -------
    Series
    """
    return Series(
        name,
        "measured",
        _finite(x),
        _finite(y),
        _finite(low),
        _finite(high),
        interval,
        **{"joined": False, **more},
    )


def beside(claim: Claim, window: tuple[float, float] | None = None) -> Stored:
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
    measured, predicted, low, high = _finite((claim.measured, claim.predicted, *claim.interval))
    return Stored(claim.name, measured, (low, high), predicted, claim.verdict, window)


def log_log(
    identity: str,
    title: str,
    alt: str,
    labels: tuple[str, str],
    series: Iterable[Series],
    window: tuple[float, float] | None = None,
    **more: Any,
) -> Plot:
    """Return a plot with two logarithmic axes, on which exponents are slopes.

    Parameters
    ----------
    identity, title, alt : str
        As in `Plot`, where the first is `id`.
    labels : (str, str)
        Of the axes x and y.
    series : iterable of Series
    window : (low, high), optional
        Sizes on which exponents were fitted.
    more
        Further fields of `Plot`.

    Returns
    -------
    Plot
    """
    return Plot(identity, title, alt, *labels, True, True, tuple(series), window, **more)


def log_linear(
    identity: str,
    title: str,
    alt: str,
    labels: tuple[str, str],
    series: Iterable[Series],
    window: tuple[float, float] | None = None,
    **more: Any,
) -> Plot:
    """Return a plot of something like a local exponent against a logarithmic axis.

    Parameters
    ----------
    identity, title, alt, labels, series, window, more
        As in `log_log`.

    Returns
    -------
    Plot
    """
    plot = log_log(identity, title, alt, labels, series, window, fit=False, **more)
    return replace(plot, y_log=False)


def residual(plot: Plot, y_limits: tuple[float | None, float | None] = (None, None)) -> Plot:
    """Return measured over prediction of a plot, as one more panel of its figure.

    Parameters
    ----------
    plot : Plot
        Series without a prediction, or whose prediction is not in the plot, are left out.
    y_limits : (low, high)
        Of the new panel; None where the data decide.

    Returns
    -------
    Plot
    """
    known = {one.name: dict(zip(one.x, one.y, strict=True)) for one in plot.series}
    found = []
    for one in plot.series:
        by = known.get(one.prediction or "")
        if by is None:
            continue
        law = [by.get(x) for x in one.x]
        y, low, high = (
            None if v is None else tuple(map(_over, v, law)) for v in (one.y, one.low, one.high)
        )
        seeds = one.seeds and tuple(tuple(map(_over, each, law)) for each in one.seeds)
        ratio = replace(one, y=y or (), low=low, high=high, seeds=seeds)
        found.append(replace(ratio, prediction=None, stored=()))
    x = sorted({v for one in found for v in one.x if v is not None})
    return replace(
        plot,
        id=f"{plot.id}-residual",
        title=f"{plot.title}, over the prediction",
        alt="Measured over predicted.",
        y_label="measured / predicted",
        y_log=False,
        series=(*found, line("1", "theory", x, [1.0] * len(x))),
        fit=False,
        figure=plot.figure or plot.id,
        y_limits=y_limits,
    )


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


def widenings(n_seeds: int) -> tuple[float, ...]:
    """Return the factors of `scaling.intervals.widening` for 0 to n seeds; 0 where there is none."""
    return tuple(widening(n) if n >= 2 else 0.0 for n in range(n_seeds + 1))


def hull(fits: Iterable[PowerLawFit | None]) -> tuple[float, float] | None:
    """Return the smallest window that holds those of all fits; None if there is no fit."""
    windows = [one.window for one in fits if one is not None]
    return (min(w[0] for w in windows), max(w[1] for w in windows)) if windows else None


def _over(value: float | None, by: float | None) -> float | None:
    return value / by if value is not None and by else None


def _finite(values: Any) -> Numbers:
    """Plain floats, None for what is not finite."""
    array = np.asarray(
        [math.nan if v is None else v for v in values]
        if isinstance(values, (list, tuple))
        else values,
        dtype=np.float64,
    )
    return tuple(float(v) if math.isfinite(v) else None for v in array)


def slug(text: str) -> str:
    """Return letters, digits and hyphens only."""
    parts = "".join(c if c.isascii() and c.isalnum() else " " for c in text).split()
    return "-".join(parts) or "x"
