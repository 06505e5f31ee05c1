"""Making plots: the curves of an experiment, drawn as pictures and in the page from the same values.

`conclude` makes them with `curve`, `points` and `line`; a record keeps them; `percolaw.report.draw` makes
pictures of them and the page draws them anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from percolaw.experiments.series import Kind, Numbers, Plot, Series, Stored, finite
from percolaw.scaling.intervals import seed_interval

if TYPE_CHECKING:
    from percolaw.experiments.claims import Claim
    from percolaw.scaling.curve import LearningCurve
    from percolaw.scaling.fit import Aggregate, PowerLawFit

PERCENTILES = "16 to 84 percentile over seeds"
CONFIDENCE = "95% interval of the mean over seeds"
INTERVAL = "95% interval"


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
    stored = [Stored.of(claim, window) for claim in claims]
    if not stored and fitted is not None:
        low, high = finite(fitted.interval)
        stored = [Stored("fit in the record", fitted.exponent, (low, high), predicted, "", window)]
    usable = None if measured.usable is None else tuple(bool(v) for v in measured.usable)
    more.setdefault("seeds", tuple(map(finite, measured.loss)) if measured.n_seeds > 1 else None)
    return Series(
        name,
        "measured",
        finite(measured.size),
        finite(band.middle),
        finite(band.low),
        finite(band.high),
        PERCENTILES,
        measured.n_seeds,
        stored=tuple(stored),
        usable=usable,
        **more,
    )


def line(name: str, kind: Kind, x: Any, y: Any, **more: Any) -> Series:
    """Return a curve without intervals: a theory, a reference, or something measured once.

    Parameters
    ----------
    name, kind : str
        As in `Series`.
    x, y : array, shape (n,)
        A number as y stands for all x.
    more
        Further fields of `Series`.

    Returns
    -------
    Series
    """
    return Series(name, kind, finite(x), finite(y if np.ndim(y) else [y] * len(x)), **more)


def local(name: str, measured: LearningCurve, *, smooth: bool = False, **more: Any) -> Series:
    """Return the local exponents of the curve of all seeds, with the percentiles of those of each seed.

    Parameters
    ----------
    name, measured, more
        As in `curve`.
    smooth : bool
        As in `LearningCurve.local`.

    Returns
    -------
    Series
    """
    if measured.n_seeds > 1:
        each = np.array([one.local(smooth=smooth) for one in measured.seeds()])
        low, high = np.quantile(each, (0.16, 0.84), axis=0)
        more |= {"low": finite(low), "high": finite(high), "interval": PERCENTILES}
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
        finite(x),
        finite(y),
        finite(low),
        finite(high),
        interval,
        **{"joined": False, **more},
    )


def seed_means(name: str, x: Any, values: Sequence[Any], **more: Any) -> Series:
    """Return means over seeds with their 95% intervals, joined.

    Parameters
    ----------
    name : str
    x : array, shape (n,)
    values : sequence of n arrays, shape (n_seeds,)
        A number of each seed, place by place.
    more
        Further fields of `Series`.

    Returns
    -------
    Series
    """
    means = [float(np.mean(v)) for v in values]
    ends = zip(*map(seed_interval, values), strict=True)
    whole = {"interval": CONFIDENCE, "n_seeds": len(values[0]), "joined": True, **more}
    return points(name, x, means, *ends, **whole)


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


def linear(
    identity: str,
    title: str,
    alt: str,
    labels: tuple[str, str],
    series: Iterable[Series],
    **more: Any,
) -> Plot:
    """Return a plot with two linear axes, on which no exponent means anything.

    Parameters
    ----------
    identity, title, alt, labels, series, more
        As in `log_log`.

    Returns
    -------
    Plot
    """
    return Plot(identity, title, alt, *labels, False, False, tuple(series), fit=False, **more)


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
    laws = {one.name: dict(zip(one.x, one.y, strict=True)) for one in plot.series}
    ratios = [_ratio(one, laws[one.prediction]) for one in plot.series if one.prediction in laws]
    x = sorted({v for one in ratios for v in one.x if v is not None})
    return replace(
        plot,
        id=f"{plot.id}-residual",
        title=f"{plot.title}, over the prediction",
        alt="Measured over predicted.",
        y_label="measured / predicted",
        y_log=False,
        series=(*ratios, line("1", "theory", x, 1.0)),
        fit=False,
        figure=plot.figure or plot.id,
        y_limits=y_limits,
    )


def _ratio(one: Series, law: Mapping[float | None, float | None]) -> Series:
    """A series over the values of its prediction at the same x; None where there is none."""

    def over(values: Numbers) -> Numbers:
        pairs = zip(values, map(law.get, one.x), strict=True)
        return tuple(v / by if v is not None and by else None for v, by in pairs)

    return replace(
        one,
        y=over(one.y),
        low=one.low and over(one.low),
        high=one.high and over(one.high),
        seeds=one.seeds and tuple(map(over, one.seeds)),
        prediction=None,
        stored=(),
    )


def hull(fits: Iterable[PowerLawFit | None]) -> tuple[float, float] | None:
    """Return the smallest window that holds those of all fits; None if there is no fit."""
    windows = [one.window for one in fits if one is not None]
    return (min(w[0] for w in windows), max(w[1] for w in windows)) if windows else None


def slug(text: str) -> str:
    """Return letters, digits and hyphens only."""
    parts = "".join(c if c.isascii() and c.isalnum() else " " for c in text).split()
    return "-".join(parts) or "x"
