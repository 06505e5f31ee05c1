"""Loss against size and training steps: what endless training leaves, and the sum of two powers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike
from percolaw.scaling.fit import PowerLawFit, _line, checked_window, exponential
from percolaw.scaling.intervals import _resampled, interval_of_samples
from percolaw.short import short_repr

FloatArray: TypeAlias = npt.NDArray[np.float64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

#: A limit is determined if its share of the largest budget's loss is known within this factor (ends of
#: its interval; teachers that are harder at all budgets do not count), ...
WIDEST_INTERVAL = 2.0
#: ... and if the largest budget's loss is above it by no more than this share: what is further off is
#: a guess about training that was not done.
FURTHEST_LIMIT = 0.5
#: Exponents in the steps that are tried; a smaller one would put the limit far below the losses.
STEP_EXPONENTS = (0.02, 3.0)
#: Exponents in the size that are tried, in the sum of two powers.
SIZE_EXPONENTS = (0.0, 3.0)
LEVEL = 0.95
N_BOOTSTRAP = 2000


@dataclass(frozen=True, eq=False)
class BudgetLimits:
    """Losses after endless training, each extrapolated from several budgets at one size.

    Attributes
    ----------
    size : array, shape (n_sizes,)
    loss : array of float64, shape (n_sizes,)
        L_inf of loss = L_inf + B steps^-b.
    low, high : array of float64, shape (n_sizes,)
        Ends of its 95% interval, seeds resampled; 0 and infinity below 3 seeds.
    exponent : array of float64, shape (n_sizes,)
        b.
    last : array of float64, shape (n_seeds, n_sizes)
        Losses at the largest budget.
    determined : array of bool, shape (n_sizes,)
        Whether the budgets determine L_inf, by `WIDEST_INTERVAL` and `FURTHEST_LIMIT`.
    resampled : array of float64, shape (n_draws, n_sizes)
        L_inf of seeds drawn again, the same seeds at every size.
    draws : array of int64, shape (n_draws, n_seeds)
        Which seeds those are.
    """

    size: npt.NDArray[np.float64]
    loss: FloatArray
    low: FloatArray
    high: FloatArray
    exponent: FloatArray
    last: FloatArray
    determined: BoolArray
    resampled: FloatArray
    draws: npt.NDArray[np.int64]

    __repr__ = short_repr

    def fit(self, window: tuple[float, float]) -> PowerLawFit | None:
        """Return the power law of the limits that are determined inside a window of sizes, or None.

        Its interval resamples seeds at all sizes together and extrapolates each sample anew. None for
        fewer than 3 seeds or sizes, or less than a decade of them.
        """
        low, high = checked_window(window)
        chosen = self.determined & (self.size >= low) & (self.size <= high)
        used = self.size[chosen]
        if not _long_enough(used):
            return None
        x, y = np.log(used), np.log(self.loss[chosen])
        (slope, level), bend = _line(x, y)
        each = -_slopes(x, self._log_resampled(chosen))
        return PowerLawFit(
            exponent=-slope,
            interval=interval_of_samples(-slope, each, self.last.shape[0], LEVEL),
            prefactor=exponential("prefactor", level),
            window=(float(used[0]), float(used[-1])),
            n_seeds=int(self.last.shape[0]),
            n_sizes=int(used.size),
            curvature=float(-2.0 * bend * np.log(10.0)),
            level=LEVEL,
        )

    def less_last(self, chosen: BoolArray) -> tuple[float, tuple[float, float]] | None:
        """Return the limits' exponent less that of the largest budget at the same sizes.

        Parameters
        ----------
        chosen : array of bool, shape (n_sizes,)
            Sizes compared; of these, those at which the limit is determined.

        Returns
        -------
        (difference, (low, high)) or None
            None where `fit` would be None.
        """
        chosen = chosen & self.determined
        if not _long_enough(self.size[chosen]):
            return None
        x, last = np.log(self.size[chosen]), np.log(self.last[:, chosen])
        log_limit = np.log(self.loss[chosen])
        centre = float(_slopes(x, (last.mean(axis=0) - log_limit)[None])[0])
        each = _slopes(x, last[self.draws].mean(axis=1) - self._log_resampled(chosen))
        return centre, interval_of_samples(centre, each, self.last.shape[0], LEVEL)

    def _log_resampled(self, chosen: BoolArray) -> FloatArray:
        """Logarithms of resampled limits; of one that is 0, of a hundredth of the loss."""
        least = 0.01 * self.last[:, chosen].min(axis=0)
        return np.asarray(np.log(np.maximum(self.resampled[:, chosen], least)))


def extrapolate(
    size: npt.ArrayLike, steps: npt.ArrayLike, loss: npt.ArrayLike, *, rng: RandomLike = 0
) -> BudgetLimits:
    """Extrapolate losses at several budgets to endless training, size by size.

    At every size loss = L_inf + B steps^-b, with L_inf and B at least 0, is fitted to the geometric mean
    over seeds by least squares of relative residuals.

    Parameters
    ----------
    size : array, shape (n_sizes,), rising
    steps : array, shape (n_sizes, n_budgets), rising along its second axis
        At least 4 budgets: the form has 3 parameters.
    loss : array, shape (n_seeds, n_sizes, n_budgets), positive
        Seeds with NaN anywhere are left out.
    rng : int, Generator or Streams
        Draws the replicates.

    Returns
    -------
    BudgetLimits

    Raises
    ------
    ValueError
        For fewer than 4 budgets, no seed that was measured throughout, and values that are not positive.

    Notes
    -----
    The interval holds the scatter of seeds alone. That the form itself goes on beyond the largest budget
    is an assumption, for which `FURTHEST_LIMIT` bounds how far it is used.
    """
    sizes, budgets, kept = checked_grid(size, steps, loss, least_budgets=4)
    n_seeds = kept.shape[0]
    draws, distinct, place = _seed_draws(n_seeds, rng)
    log_loss = np.log(kept)
    limit, rate = np.empty((2, sizes.size))
    resampled = np.empty((draws.shape[0], sizes.size))
    for j in range(sizes.size):
        curves = np.exp(np.vstack([log_loss[:, j].mean(axis=0), *_means(log_loss[:, j], distinct)]))
        z = np.log(budgets[j] / budgets[j, -1])
        fitted = _two_powers(np.zeros_like(z), z, curves, (0.0, 0.0))
        limit[j], rate[j] = fitted.first[0], fitted.exponents[0, 1]
        resampled[:, j] = fitted.first[1:][place]
    low, high = np.zeros(sizes.size), np.full(sizes.size, np.inf)
    known = np.full(sizes.size, np.inf)
    last = log_loss[:, :, -1]
    for j in range(sizes.size):
        if limit[j] > 0.0 and n_seeds >= 3:
            centre, logs = math.log(limit[j]), np.log(np.maximum(resampled[:, j], 1e-300))
            low[j], high[j] = np.exp(interval_of_samples(centre, logs, n_seeds, LEVEL))
            share = centre - last[:, j].mean(), logs - last[draws, j].mean(axis=1)
            known[j] = np.ptp(interval_of_samples(*share, n_seeds, LEVEL))
    further = np.exp(last.mean(axis=0)) > (1.0 + FURTHEST_LIMIT) * limit
    determined = (known <= math.log(WIDEST_INTERVAL)) & ~further
    return BudgetLimits(sizes, limit, low, high, rate, kept[:, :, -1], determined, resampled, draws)


@dataclass(frozen=True, eq=False)
class AdditiveFit:
    """The sum of two powers, loss = A size^-a + B steps^-b, through all sizes and budgets.

    Attributes
    ----------
    size_exponent, step_exponent : float
        a and b.
    residual : float
        Root mean square of relative residuals.
    resampled : array of float64, shape (n_draws, 2)
        a and b of seeds drawn again, in the order of `BudgetLimits.draws` of the same seeds.
    """

    size_exponent: float
    step_exponent: float
    residual: float
    resampled: FloatArray

    __repr__ = short_repr

    def frontier_exponent(self, cost_exponent: float = 1.0) -> tuple[float, FloatArray]:
        """Return the exponent of the least loss in compute, and that of every sample of seeds.

        With compute ~ size^g steps the least A size^-a + B steps^-b at given compute falls with
        exponent a b/(a + g b).

        Parameters
        ----------
        cost_exponent : float
            g.

        Returns
        -------
        exponent : float
        resampled : array of float64, shape (n_draws,)
        """
        every = np.array([[self.size_exponent, self.step_exponent]])
        return (
            float(_frontier_exponent(every[:1, 0], every[:1, 1], cost_exponent)[0]),
            _frontier_exponent(self.resampled[:, 0], self.resampled[:, 1], cost_exponent),
        )


def fit_additive(
    size: npt.ArrayLike, steps: npt.ArrayLike, loss: npt.ArrayLike, *, rng: RandomLike = 0
) -> AdditiveFit:
    """Fit loss = A size^-a + B steps^-b to all sizes and budgets at once.

    Parameters
    ----------
    size, steps, loss, rng
        As in `extrapolate`; two budgets are enough.

    Returns
    -------
    AdditiveFit

    Raises
    ------
    ValueError
        As `extrapolate`.
    """
    sizes, budgets, kept = checked_grid(size, steps, loss, least_budgets=2)
    _, distinct, place = _seed_draws(kept.shape[0], rng)
    log_loss = np.log(kept).reshape(kept.shape[0], -1)
    curves = np.exp(np.vstack([log_loss.mean(axis=0), *_means(log_loss, distinct)]))
    x = np.repeat(np.log(sizes / sizes[-1]), budgets.shape[1])
    z = np.log(budgets / budgets[-1, -1]).ravel()
    fitted = _two_powers(x, z, curves, SIZE_EXPONENTS)
    a, b = fitted.exponents[0]
    residual = math.sqrt(fitted.cost[0] / x.size)
    return AdditiveFit(float(a), float(b), residual, fitted.exponents[1:][place])


def checked_grid(
    size: npt.ArrayLike, steps: npt.ArrayLike, loss: npt.ArrayLike, least_budgets: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return sizes, steps and the losses of seeds that were measured everywhere, or raise.

    Parameters
    ----------
    size, steps, loss
        As in `extrapolate`.
    least_budgets : int

    Returns
    -------
    size, steps, loss : arrays of float64

    Raises
    ------
    ValueError
        As `extrapolate`.
    """
    sizes = checks.finite_array("size", size, ndim=1)
    budgets = checks.finite_array("steps", steps, ndim=2)
    losses = checks.float_array("loss", loss)
    if losses.ndim != 3 or losses.shape[1:] != budgets.shape or len(sizes) != len(budgets):
        raise ValueError(
            "loss must have shape (n_seeds, n_sizes, n_budgets) and steps (n_sizes, n_budgets); got "
            f"{losses.shape} and {budgets.shape} with {sizes.size} sizes."
        )
    if budgets.shape[1] < least_budgets:
        raise ValueError(
            f"this form needs at least {least_budgets} budgets at every size; got "
            f"{budgets.shape[1]}. Train with more budgets."
        )
    rising = np.all(np.diff(sizes) > 0.0) and np.all(np.diff(budgets, axis=1) > 0.0)
    if not rising or sizes[0] <= 0.0 or np.any(budgets <= 0.0):
        raise ValueError("sizes, and the steps of each size, must be positive and rise.")
    kept = losses[np.isfinite(losses).all(axis=(1, 2))]
    if not kept.shape[0] or np.any(kept <= 0.0):
        raise ValueError(
            f"losses must be positive, of one seed at least at all sizes and budgets; {kept.shape[0]} "
            f"of {losses.shape[0]} seeds are whole. Leave out sizes at which students diverged."
        )
    return sizes, budgets, kept


@dataclass(frozen=True, eq=False)
class _TwoPowers:
    """A x^-a + B z^-b of many curves: (n_curves, 2), (n_curves,), (n_curves,)."""

    exponents: FloatArray
    first: FloatArray
    cost: FloatArray


def _two_powers(
    x: FloatArray, z: FloatArray, curves: FloatArray, size_exponents: tuple[float, float]
) -> _TwoPowers:
    """Fit exp(-a x) A + exp(-b z) B to curves (n_curves, n) on a grid of (a, b) that closes in.

    Given a and b the best A and B are two linear equations; an end of `size_exponents` that equals the
    other holds a there.
    """
    bounds = np.array([size_exponents, STEP_EXPONENTS])
    free = bounds[:, 1] > bounds[:, 0]
    parts = []
    for some in np.array_split(curves, max(1, curves.shape[0] // 32)):
        low, high = (np.tile(bounds[:, i], (some.shape[0], 1)) for i in (0, 1))
        for round_ in range(10):
            count = (24 if free.all() else 60) if round_ == 0 else 7
            axes = [np.linspace(0.0, 1.0, count) if one else np.zeros(1) for one in free]
            grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
            tried = low[:, None] + (high - low)[:, None] * grid
            first, cost = _amplitudes(tried, x, z, some)
            best = cost.argmin(axis=1)
            at = np.arange(some.shape[0])
            centre, step = tried[at, best], (high - low) / (count - 1)
            low, high = (
                np.maximum(centre - step, bounds[:, 0]),
                np.minimum(centre + step, bounds[:, 1]),
            )
        parts.append((centre, first[at, best], cost[at, best]))
    return _TwoPowers(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _amplitudes(
    exponents: FloatArray, x: FloatArray, z: FloatArray, curves: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The best A >= 0 (with the best B >= 0), and the sum of squared relative residuals."""
    p = np.exp(-exponents[..., :1] * x) / curves[:, None]
    q = np.exp(-exponents[..., 1:] * z) / curves[:, None]
    pp, pq, qq = (p * p).sum(-1), (p * q).sum(-1), (q * q).sum(-1)
    p1, q1 = p.sum(-1), q.sum(-1)
    determinant = np.maximum(pp * qq - pq * pq, 1e-300)
    a, b = (p1 * qq - q1 * pq) / determinant, (q1 * pp - p1 * pq) / determinant
    alone_a, alone_b = p1 / pp, q1 / qq
    a, b = (
        np.where(a < 0.0, 0.0, np.where(b < 0.0, alone_a, a)),
        np.where(a < 0.0, alone_b, np.where(b < 0.0, 0.0, b)),
    )
    cost = ((a[..., None] * p + b[..., None] * q - 1.0) ** 2).sum(-1)
    return a, cost


def _frontier_exponent(a: FloatArray, b: FloatArray, cost: float) -> FloatArray:
    return np.asarray(a * b / np.maximum(a + cost * b, 1e-12))


def _seed_draws(
    n_seeds: int, rng: RandomLike
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Samples of seeds; the distinct ones among them, order aside; and which of these each one is."""
    draws = _resampled(n_seeds, N_BOOTSTRAP, rng)
    distinct, place = np.unique(np.sort(draws, axis=1), axis=0, return_inverse=True)
    return draws, distinct, place.ravel()


def _means(log_loss: FloatArray, draws: npt.NDArray[np.int64]) -> FloatArray:
    return np.asarray(log_loss[draws].mean(axis=1))


def _slopes(x: FloatArray, y: FloatArray) -> FloatArray:
    """Slopes of the rows of y (n, n_sizes) against x."""
    centred = x - x.mean()
    return np.asarray(y @ centred / (centred @ centred))


def _long_enough(size: FloatArray) -> bool:
    return size.size >= 3 and bool(size[-1] >= 10.0 * size[0] * (1.0 - 1e-9))
