"""The least loss that a given amount of compute buys, from losses at several sizes and budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike
from percolaw.scaling.budget import LEVEL, _means, _seed_draws, _slopes, checked_grid
from percolaw.scaling.intervals import interval_of_samples
from percolaw.short import short_repr

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Values of the compute in a decade at which sizes are compared.
PER_DECADE = 20


@dataclass(frozen=True, eq=False)
class Frontier:
    """The least loss over sizes at given compute, where neither the smallest nor the largest size has it.

    Attributes
    ----------
    compute, loss, size : array of float64, shape (n,)
        Compute, the least loss, and the size that has it (between the sizes measured, by a parabola).
    exponent, size_exponent : float
        Of loss ~ compute^-exponent and size ~ compute^size_exponent.
    interval, size_interval : tuple of float
        95%, seeds resampled; infinite below 3 seeds.
    resampled : array of float64, shape (n_draws,)
        Exponents of the loss of seeds drawn again, in the order of `AdditiveFit.resampled`.
    n_seeds : int
    """

    compute: FloatArray
    loss: FloatArray
    size: FloatArray
    exponent: float
    size_exponent: float
    interval: tuple[float, float]
    size_interval: tuple[float, float]
    resampled: FloatArray
    n_seeds: int

    __repr__ = short_repr


def compute_frontier(
    size: npt.ArrayLike,
    steps: npt.ArrayLike,
    loss: npt.ArrayLike,
    compute: npt.ArrayLike,
    *,
    rng: RandomLike = 0,
) -> Frontier | None:
    """Find the least loss at given compute, its exponent and that of the best size.

    Losses between two budgets of one size are interpolated in logarithms; no size is carried beyond its
    budgets. Seeds are averaged geometrically.

    Parameters
    ----------
    size, steps, loss, rng
        As in `percolaw.scaling.budget.extrapolate`; two budgets are enough.
    compute : array, shape (n_sizes, n_budgets), rising along its second axis
        Of each training, in whatever unit.

    Returns
    -------
    Frontier or None
        None if less than a decade of compute has its least loss at a size with neighbours on both sides.

    Raises
    ------
    ValueError
        As `percolaw.scaling.budget.extrapolate`.
    """
    sizes, budgets, kept = checked_grid(size, steps, loss, least_budgets=2)
    log_compute = np.log(checks.finite_array("compute", compute, ndim=2))
    if log_compute.shape != budgets.shape:
        raise ValueError(f"compute must have shape {budgets.shape}; got {log_compute.shape}.")
    first, last = log_compute.min(), log_compute.max()
    at = np.linspace(first, last, max(3, int(PER_DECADE * (last - first) / np.log(10.0))))
    log_loss, x = np.log(kept), np.log(sizes)
    centre = _at_compute(at, log_compute, log_loss.mean(axis=0)[None])
    inside = _best_inside(centre[0])
    if not inside.any() or np.ptp(at[inside]) < np.log(10.0) * (1 - 1e-9):
        return None
    used = at[inside]
    _, distinct, place = _seed_draws(kept.shape[0], rng)
    resampled = _at_compute(used, log_compute, _means(log_loss, distinct))
    every = np.concatenate([centre[:, :, inside], resampled])
    slope = -_slopes(used, every.min(axis=1))
    best = _best_size(x, every)
    size_slope = _slopes(used, best)
    intervals = [
        interval_of_samples(float(one[0]), one[1:][place], kept.shape[0], LEVEL)
        for one in (slope, size_slope)
    ]
    return Frontier(
        compute=np.exp(used),
        loss=np.exp(every[0].min(axis=0)),
        size=np.exp(best[0]),
        exponent=float(slope[0]),
        size_exponent=float(size_slope[0]),
        interval=intervals[0],
        size_interval=intervals[1],
        resampled=slope[1:][place],
        n_seeds=int(kept.shape[0]),
    )


def _at_compute(at: FloatArray, log_compute: FloatArray, log_loss: FloatArray) -> FloatArray:
    """Log losses (n_curves, n_sizes, n_at) at given compute; infinite outside of a size's budgets."""
    out = np.full((log_loss.shape[0], log_compute.shape[0], at.size), np.inf)
    for j, own in enumerate(log_compute):
        inside = (at >= own[0]) & (at <= own[-1])
        left = np.clip(np.searchsorted(own, at[inside], side="right") - 1, 0, own.size - 2)
        share = (at[inside] - own[left]) / (own[left + 1] - own[left])
        out[:, j, inside] = (1 - share) * log_loss[:, j, left] + share * log_loss[:, j, left + 1]
    return out


def _best_inside(log_loss: FloatArray) -> npt.NDArray[np.bool_]:
    """Where the least loss over sizes (n_sizes, n_at) has a measured, worse size on both sides."""
    best = log_loss.argmin(axis=0)
    inner = (best > 0) & (best < log_loss.shape[0] - 1)
    middle = np.clip(best, 1, log_loss.shape[0] - 2)
    columns = np.arange(log_loss.shape[1])
    beside = np.isfinite(log_loss[middle - 1, columns]) & np.isfinite(log_loss[middle + 1, columns])
    return np.asarray(inner & beside)


def _best_size(x: FloatArray, log_loss: FloatArray) -> FloatArray:
    """Log size of the least loss, (n_curves, n_at): vertex of the parabola through it and its two
    neighbours."""
    best = log_loss.argmin(axis=1)
    middle = np.clip(best, 1, x.size - 2)
    low, at, high = (
        np.take_along_axis(log_loss, (middle + k)[:, None], axis=1)[:, 0] for k in (-1, 0, 1)
    )
    left, right = x[middle] - x[middle - 1], x[middle + 1] - x[middle]
    with np.errstate(invalid="ignore", divide="ignore"):
        before, after = (at - low) / left, (high - at) / right
        bend = (after - before) / (left + right)
        move = -0.5 * (before * right + after * left) / (left + right) / bend
    whole = (best == middle) & np.isfinite(low) & np.isfinite(high) & (bend > 0.0)
    return np.asarray(x[best] + np.where(whole, move, 0.0))
