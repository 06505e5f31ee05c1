"""Exponents with honest intervals, scale factors and local slopes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike
from percolaw.scaling.intervals import _interval, _level, _refuse_huge, _resampled

FloatArray: TypeAlias = npt.NDArray[np.float64]
Aggregate: TypeAlias = Literal["geometric", "mean", "median"]


def geometric(start: float, stop: float, n: int = 20) -> npt.NDArray[np.int64]:
    """Return up to n distinct integer sizes spaced geometrically from start to stop.

    Parameters
    ----------
    start, stop : float
        At least 1, `stop` not below `start`; sizes between them are rounded.
    n : int
        Sizes before those that round to the same are merged.

    Returns
    -------
    array of int64, rising

    Raises
    ------
    ValueError
        For ends below 1 or falling, and n below 1.
    """
    low = checks.real("start", start, minimum=1.0)
    high = checks.real("stop", stop, minimum=low, maximum=2.0**62)
    count = checks.integer("n", n, minimum=1)
    checks.memory(40.0 * count, f"{count} sizes", "Ask for fewer.")
    return np.unique(np.rint(np.geomspace(low, high, count)).astype(np.int64))


def local_exponents(size: npt.ArrayLike, loss: npt.ArrayLike) -> FloatArray:
    """Return -d log loss / d log size at every size, by centred differences.

    Parameters
    ----------
    size : array, shape (n,), rising
    loss : array, shape (n,) or (n_seeds, n), positive

    Returns
    -------
    array of float64, of the shape of `loss`
        Second-order accurate inside, first-order at both ends.

    Raises
    ------
    ValueError
        For sizes that are not positive and rising, and losses that are not positive and finite.
    """
    x = np.log(_sizes(size))
    y = np.log(_losses(loss, x.size))
    slope = -np.gradient(y, x, axis=1)
    return np.asarray(slope[0] if np.ndim(loss) == 1 else slope)


def log_slopes(size: npt.ArrayLike, curves: npt.ArrayLike) -> FloatArray:
    """Return d log curve / d log size of each curve by least squares: one a seed, before any average.

    Parameters
    ----------
    size : array, shape (n_sizes,), positive
    curves : array, shape (n_seeds, n_sizes), positive
        NaN where nothing was measured.

    Returns
    -------
    array of float64, shape (n_seeds,)
        NaN with fewer than 3 sizes, and for curves that hold NaN.

    Raises
    ------
    ValueError
        If a size or a value is 0, negative or infinite, or all sizes are equal.
    """
    x = checks.finite_array("size", size, ndim=1)
    y = np.atleast_2d(checks.float_array("curves", curves))
    if y.ndim != 2 or y.shape[1] != x.size:
        raise ValueError(
            f"curves must have shape (n_seeds, n_sizes) with n_sizes = {x.size}; got {y.shape}."
        )
    if np.any(x <= 0) or np.any((y <= 0) | np.isinf(y)):
        raise ValueError(
            "sizes and curves must be positive and finite for logarithms; leave out sizes at which a "
            "curve is not."
        )
    if x.size < 3:
        return np.full(y.shape[0], np.nan)
    x, y = np.log(x), np.log(y)
    x = x - x.mean()
    if not np.any(x):
        raise ValueError("all sizes are equal; a slope needs sizes that differ.")
    return np.asarray((y - y.mean(axis=1, keepdims=True)) @ x / (x @ x))


def aggregate(loss: npt.ArrayLike, how: Aggregate = "geometric") -> FloatArray:
    """Return one curve from seeds: geometric mean (default), mean or median over axis 0.

    Parameters
    ----------
    loss : array, shape (n_seeds, ...)
        NaN makes NaN. A geometric mean takes values >= 0, and is 0 if one of them is.
    how : {"geometric", "mean", "median"}

    Returns
    -------
    array of float64, of the shape of `loss` without its first axis

    Raises
    ------
    ValueError
        For negative values in a geometric mean, no seeds, and values beyond 1e300.
    """
    checks.choice("how", how, ("geometric", "mean", "median"))
    y = checks.float_array("loss", loss)
    if y.ndim == 0 or y.shape[0] == 0:
        raise ValueError(f"loss must have shape (n_seeds, ...), a seed at least; got {y.shape}.")
    _refuse_huge("loss", y)
    if how == "geometric":
        if np.any(y < 0):
            raise ValueError(
                f"a geometric mean needs losses >= 0; the least is {np.nanmin(y):.3g}. Take "
                "how='mean' or 'median'."
            )
        with np.errstate(divide="ignore"):  # a loss of 0 makes the mean 0
            return np.asarray(np.exp(np.log(y).mean(axis=0)))
    return np.asarray(y.mean(axis=0) if how == "mean" else np.median(y, axis=0))


@dataclass(frozen=True, repr=False)
class PowerLawFit:
    """A straight line through log loss against log size inside a window.

    Attributes
    ----------
    exponent : float
        Positive number in loss ~ size^-exponent.
    interval : tuple of float
        Bootstrap interval over seeds at `level`; (-inf, inf) with fewer than 3 seeds.
    prefactor : float
        Loss at size 1 on the line.
    window : tuple of float
        Smallest and largest size used.
    n_seeds, n_sizes : int
    curvature : float
        Change of the local exponent per decade (quadratic term); a straight line has 0.
    level : float
    """

    exponent: float
    interval: tuple[float, float]
    prefactor: float
    window: tuple[float, float]
    n_seeds: int
    n_sizes: int
    curvature: float
    level: float = 0.95

    def __repr__(self) -> str:
        return f"PowerLawFit({self})"

    def __str__(self) -> str:
        low, high = self.interval
        interval = f"[{low:.3f}, {high:.3f}]"
        if self.n_seeds < 3:
            interval = "(an interval needs 3 or more repeats)"
        return (
            f"exponent {self.exponent:.3f} {interval} "
            f"({self.n_seeds} seeds, sizes {self.window[0]:.3g}..{self.window[1]:.3g})"
        )


def fit_power_law(
    size: npt.ArrayLike,
    loss: npt.ArrayLike,
    *,
    window: tuple[float, float] | None = None,
    how: Aggregate = "geometric",
    level: float = 0.95,
    n_bootstrap: int = 2000,
    rng: RandomLike = 0,
) -> PowerLawFit:
    """Fit loss ~ size^-exponent by least squares on logarithms, with a bootstrap over seeds.

    Parameters
    ----------
    size : array, shape (n_sizes,), rising, positive
    loss : array, shape (n_sizes,) or (n_seeds, n_sizes), positive
        Of single seeds also 0, where `how` is no mean of logarithms.
    window : (low, high), optional
        Sizes used; all by default. Must span at least a decade and hold 3 sizes.
    how : {"geometric", "mean", "median"}
        How seeds become one curve, inside every bootstrap replicate.
    level : float
        Of the interval, strictly between 0 and 1.
    n_bootstrap : int
        Replicates, at least 1; 24 bytes each a seed.
    rng : int, Generator or Streams
        Draws the replicates.

    Returns
    -------
    PowerLawFit
        Its interval is infinite with fewer than 3 seeds, and where more than 2% of the replicates have
        a loss of 0.

    Raises
    ------
    ValueError
        If the window spans less than a decade or holds fewer than 3 sizes: such an exponent means
        nothing. For sizes that are not positive and rising, losses that are not positive and finite, a
        level outside (0, 1), and a line whose loss at size 1 is beyond float64.
    """
    x = _sizes(size)
    y = _losses(loss, x.size, zero=how != "geometric")
    level = _level(level)
    checks.integer("n_bootstrap", n_bootstrap, minimum=1)
    low, high = (float(x[0]), float(x[-1])) if window is None else checked_window(window)
    inside = (x >= low * (1 - 1e-12)) & (x <= high * (1 + 1e-12))
    used = x[inside]
    if used.size < 3 or used[-1] < 10 * used[0] * (1 - 1e-9):
        span = f"{used[0]:g}..{used[-1]:g}" if used.size else "nothing"
        raise ValueError(
            f"a fit needs at least 3 sizes over at least a decade; the window {low:g}..{high:g} "
            f"holds {used.size} ({span}). Widen the window or measure more sizes."
        )
    log_x = np.log(used)
    part = y[:, inside]
    curve = aggregate(part, how)
    if np.any(curve <= 0):
        raise ValueError(
            f"the {how} loss is 0 at {int(np.sum(curve <= 0))} of {used.size} sizes, where it has no "
            "logarithm. Leave out sizes at which the learner is exact, or test on more points."
        )
    line, bend = _line(log_x, np.log(curve))
    interval = (-np.inf, np.inf)
    if part.shape[0] >= 3:
        draw = _resampled(part.shape[0], n_bootstrap, rng)
        if how == "geometric":  # the slope of a mean of logs is the mean of the slopes
            slopes = np.array([-_line(log_x, row)[0][0] for row in np.log(part)])
            replicate = slopes[draw].mean(axis=1)
        else:
            drawn = (aggregate(part[rows], how) for rows in draw)
            positive = (one for one in drawn if np.all(one > 0))
            replicate = np.array([-_line(log_x, np.log(one))[0][0] for one in positive])
        if replicate.size > 0.98 * n_bootstrap:  # else seeds without an error decide
            interval = _interval(-line[0], replicate, part.shape[0], level)
    return PowerLawFit(
        exponent=float(-line[0]),
        interval=interval,
        prefactor=exponential("prefactor", line[1]),
        window=(float(used[0]), float(used[-1])),
        n_seeds=part.shape[0],
        n_sizes=int(used.size),
        curvature=float(-2.0 * bend * np.log(10.0)),
        level=level,
    )


def checked_window(window: tuple[float, float]) -> tuple[float, float]:
    """Return the ends of a window of sizes, infinity allowed, or raise.

    Raises
    ------
    ValueError
        For what is not a pair of numbers.
    """
    try:
        low, high = (v if abs(v) == math.inf else checks.real("window", v) for v in window)
    except (TypeError, ValueError):
        raise ValueError(
            f"window must be (low, high), two sizes between which to fit; got {window!r:.60}."
        ) from None
    return low, high


def exponential(name: str, logarithm: float) -> float:
    """Return exp(logarithm), or raise ValueError where that is no ordinary float64.

    Parameters
    ----------
    name : str
        What the message calls the number.
    logarithm : float
        Natural; of absolute value below 700.

    Returns
    -------
    float
    """
    if not abs(logarithm) < 700.0:
        raise ValueError(
            f"the {name} of this fit is 10^{logarithm / math.log(10.0):.0f}, beyond float64. Divide "
            "sizes and losses by their largest first."
        )
    return float(np.exp(logarithm))


def _line(log_x: FloatArray, log_y: FloatArray) -> tuple[tuple[float, float], float]:
    """Slope and intercept of the least-squares line, and the quadratic coefficient beside it."""
    centred = log_x - log_x.mean()
    slope = float(centred @ (log_y - log_y.mean()) / (centred @ centred))
    square = centred**2
    square -= square.mean()
    square -= centred * (centred @ square) / (centred @ centred)
    norm = square @ square
    bend = float(square @ log_y / norm) if norm > 0 else 0.0
    return (slope, float(log_y.mean() - slope * log_x.mean())), bend


def fit_scale_factor(
    size: npt.ArrayLike, loss: npt.ArrayLike, exponent: float = 0.5, delta: float = 1.0
) -> float:
    """Fit f >= 1 in max(size/f, 1)^-exponent to one curve: Huber loss on logarithms.

    Parameters
    ----------
    size, loss : array, shape (n,)
        Positive sizes, and losses of at least 0; those that are 0 are left out.
    exponent : float
        Held fixed (1/2 for the tree walk).
    delta : float
        Residual (in log loss) beyond which the penalty is linear.

    Returns
    -------
    float
        f >= 1.

    Raises
    ------
    ValueError
        For sizes not positive, negative losses, and if every loss is 0.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import huber

    power = checks.real("exponent", exponent, minimum=1e-9, maximum=1e9)
    knee = checks.real("delta", delta, minimum=1e-9)
    x = checks.finite_array("size", size, ndim=1)
    y = checks.finite_array("loss", loss, ndim=1, length=x.size)
    if np.any(x <= 0) or np.any(y < 0):
        raise ValueError("size must be positive and loss >= 0.")
    _refuse_huge("size", x)
    keep = y > 0
    if not np.any(keep):
        raise ValueError("every loss is zero; nothing to fit.")
    log_x, log_y = np.log(x[keep]), np.log(y[keep])

    def cost(log_f: float) -> float:
        return float(np.sum(huber(knee, log_y + power * np.maximum(log_x - log_f, 0.0))))

    # The cost is piecewise smooth: bracket the least value on a grid, then refine.
    top = max(float(log_x.max()), 1.0) + 1.0
    grid = np.linspace(0.0, top, 60)
    best = int(np.argmin([cost(g) for g in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    refined = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(refined.x if refined.fun <= cost(grid[best]) else grid[best]))


def _sizes(size: npt.ArrayLike) -> FloatArray:
    x = checks.finite_array("size", size, ndim=1)
    if x.size < 2 or np.any(x <= 0) or np.any(np.diff(x) <= 0):
        raise ValueError("size must hold at least 2 positive values in rising order.")
    _refuse_huge("size", x)
    if np.any(np.diff(np.log(x)) <= 0):
        raise ValueError("sizes are too close to each other to tell their logarithms apart.")
    return x


def _losses(loss: npt.ArrayLike, n_sizes: int, zero: bool = False) -> FloatArray:
    y = np.atleast_2d(checks.finite_array("loss", loss))
    if y.ndim != 2 or y.shape[1] != n_sizes:
        raise ValueError(
            f"loss must have shape (n_sizes,) or (n_seeds, n_sizes) with n_sizes = {n_sizes}; "
            f"got {np.shape(loss)}."
        )
    bad = y < 0 if zero else y <= 0
    if np.any(bad):
        raise ValueError(
            f"loss must be positive for logarithms; {int(np.sum(bad))} value(s) are not. Leave out sizes "
            "at which the learner is exact"
            + ("." if zero else "; for single seeds, how='mean' does.")
        )
    _refuse_huge("loss", y)
    return y
