"""How capacity is shared among clusters: the rule of Brill 2024, and the exact optimum of any curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws.ranks import log_integral
from percolaw.laws.scaling_laws import allocation_shape, model_break_rank
from percolaw.short import short_repr

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Weights, counts, sizes and losses up to here, and sizes and the largest loss from its inverse on:
#: products of three of them, and quotients by differences of sizes, stay inside float64.
LARGEST = 1e90
#: Largest budget.
LARGEST_TOTAL = 1e200
_BINS = "Put clusters of like weight together (count=)."


def power_law_allocation(
    degrees_of_freedom: float, n_clusters: int, shape: float, break_rank: float
) -> FloatArray:
    """Return n_k = a k^(b-1) for k < k_br and 0 beyond, with a = b N/(k_br^b - 1).

    Parameters
    ----------
    degrees_of_freedom : float
        N >= 0: the integral of n_k over 1..k_br, not the sum over ranks.
    n_clusters : int
        Ranks k = 1..n_clusters.
    shape : float
        b; any real number. At b = 0, a = N/log k_br.
    break_rank : float
        k_br, at least 1; at 1 every capacity is 0.

    Returns
    -------
    array of float64, shape (n_clusters,)

    Raises
    ------
    ValueError
        If N is negative, `break_rank` is below 1, or the first capacities are beyond float64.
    ResourceError
        If the array would not fit into memory.
    """
    total = checks.real("degrees_of_freedom", degrees_of_freedom, minimum=0.0)
    b = checks.real("shape", shape)
    k_br = checks.real("break_rank", break_rank)
    n = checks.integer("n_clusters", n_clusters, minimum=1)
    checks.memory(56.0 * n, f"capacities of {n} clusters", "Lower n_clusters.")
    if k_br < 1.0:
        raise ValueError(f"break_rank must be at least 1; got {k_br}.")
    if k_br == 1.0 or total == 0.0:
        return np.zeros(n)
    log_k, x = np.log(np.arange(1, n + 1, dtype=np.float64)), np.log(k_br)
    log_k = log_k[log_k < x]
    # a k^(b-1) with the larger power taken out, so that large |b| overflows on neither side.
    log_first = np.log(total) - float(log_integral(x, b)) - (x if b > 0.0 else 0.0)
    with np.errstate(over="ignore"):
        log_n = log_first + (b - 1.0) * (log_k - (x if b > 0.0 else 0.0))
    if log_n.max() > 709.0:
        raise ValueError(
            f"the first clusters would get more than 1e308 each of {total:g} degrees of freedom at shape "
            f"{b:g}: the rule is normalised as an integral. Lower degrees_of_freedom or |shape|."
        )
    out = np.zeros(n)
    out[: log_k.size] = np.exp(log_n)
    return out


def optimal_allocation(
    degrees_of_freedom: float,
    n_clusters: int,
    rank_exponent: float,
    cluster_exponent: float,
    break_capacity: float = 1.0,
) -> FloatArray:
    """Return the capacities that Brill 2024, section 4.2, takes as optimal.

    `power_law_allocation` at b = `allocation_shape` and k_br = `model_break_rank`.

    Parameters
    ----------
    degrees_of_freedom : float
        N >= 0.
    n_clusters : int
        Ranks k = 1..n_clusters.
    rank_exponent, cluster_exponent : float
        alpha and gamma = c/D, positive.
    break_capacity : float
        n_br, at least 1.

    Returns
    -------
    array of float64, shape (n_clusters,)
    """
    b = allocation_shape(rank_exponent, cluster_exponent)
    k_br = float(
        model_break_rank(degrees_of_freedom, rank_exponent, cluster_exponent, break_capacity)
    )
    return power_law_allocation(degrees_of_freedom, n_clusters, b, k_br)


def weighted_allocation(
    total: float,
    weight: npt.ArrayLike,
    cluster_exponent: float,
    count: npt.ArrayLike | None = None,
) -> FloatArray:
    """Return the capacities n_k that minimise sum_k w_k max(n_k, 1)^-gamma at sum n_k <= total, exactly.

    The m clusters of largest weight get n_k in proportion to w_k^(1/(1+gamma)), the others nothing,
    with the m of least loss. For weights k^-(1+alpha) this is the discrete form of
    `optimal_allocation`, without its convention that a served cluster may have n_k = 1.

    Parameters
    ----------
    total : float
        Budget, 0 to 1e200; below 1 it serves no cluster.
    weight : array, shape (n_clusters,)
        Weights >= 0 of one cluster each, in any order.
    cluster_exponent : float
        gamma, at least 1e-9.
    count : array, shape (n_clusters,), optional
        How many clusters there are of each weight, >= 1 (all served or none); 1 if left out.

    Returns
    -------
    array of float64, shape (n_clusters,)
        Capacity of one cluster of each weight. O(n_clusters log n_clusters) time.

    Raises
    ------
    ValueError
        For arguments outside these ranges, no positive weight, and the largest weight or count
        outside [1e-90, 1e90].
    """
    budget = _checked_budget(total)
    gamma = checks.real("cluster_exponent", cluster_exponent, minimum=1e-9)
    w, m = _weights(weight, count)
    checks.memory(72.0 * w.size, f"capacities of {w.size} clusters", _BINS)
    order = np.argsort(-w, kind="stable")
    share = w[order] ** (1.0 / (1.0 + gamma))
    spent = np.cumsum(m[order] * share)
    mass = m[order] * w[order]
    left = mass.sum() - np.cumsum(mass)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        served = (budget / spent) ** -gamma * spent
        # A cluster with less than 1 has loss 1: such numbers served are never the best.
        loss = np.where((budget * share >= spent) & (share > 0.0), served + left, np.inf)
    out = np.zeros(w.size)
    if np.isfinite(loss.min()):
        last = int(np.argmin(loss))
        out[order[: last + 1]] = budget * share[: last + 1] / spent[last]
    return out


def _checked_budget(total: float) -> float:
    budget = checks.real("total", total, minimum=0.0)
    if budget > LARGEST_TOTAL:
        raise ValueError(f"total must be at most {LARGEST_TOTAL:g}; got {budget:g}.")
    return budget


def _weights(weight: npt.ArrayLike, count: npt.ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    w = checks.finite_array("weight", weight, ndim=1)
    if w.size == 0 or np.any(w < 0) or not np.any(w > 0):
        raise ValueError("weight must hold at least one positive number and none below 0.")
    m = np.ones(w.size) if count is None else checks.finite_array("count", count, length=w.size)
    if np.any(m < 1):
        raise ValueError(f"count must be at least 1 everywhere; got {m.min():g}.")
    _check_range("weight", w)
    _check_range("count", m)
    return w, m


def _check_range(name: str, values: FloatArray) -> None:
    """Refuse an array whose largest number would leave float64 in products, or vanish in them."""
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest and not 1.0 / LARGEST <= largest <= LARGEST:
        raise ValueError(
            f"{name} must be 0 everywhere or have its largest number in [{1 / LARGEST:g}, {LARGEST:g}]; "
            f"got {largest:g}. Rescale it: divide by the largest."
        )


def _check_curve(size: FloatArray, loss: FloatArray) -> None:
    """Refuse sizes and losses that would leave float64 in products and quotients."""
    if np.any((size > 0) & (size < 1.0 / LARGEST)):
        raise ValueError(
            f"size must be 0 or at least {1 / LARGEST:g}; got {size[size > 0].min():g}."
        )
    _check_range("size", size)
    _check_range("loss", loss)


@dataclass(frozen=True, eq=False)
class Allocation:
    """The best split of a budget over clusters.

    Attributes
    ----------
    degrees_of_freedom : array of float64, shape (n_clusters,)
        Capacity of each cluster; their sum is below the budget where more would not lower a loss.
    loss : float
        Weighted loss of the convex hulls at that split; at most one cluster (or group of equal ones)
        lies between two given sizes, the others on one.
    """

    degrees_of_freedom: FloatArray
    loss: float

    __repr__ = short_repr


def numerical_allocation(
    total: float, weight: npt.ArrayLike, size: npt.ArrayLike, loss: npt.ArrayLike
) -> Allocation:
    """Split a budget over clusters so that the weighted loss is least, for any learning curves.

    Each curve is replaced by its lower convex hull (time-sharing between two sizes reaches every
    point of it); then the steepest segments are bought first, which is optimal for convex curves.

    Parameters
    ----------
    total : float
        Budget, 0 to 1e200.
    weight : array, shape (n_clusters,)
        Weight p_k >= 0 of each cluster's loss.
    size : array, shape (n_sizes,) or (n_clusters, n_sizes)
        Sizes at which the curves are known, rising from 0.
    loss : array, shape (n_clusters, n_sizes)
        Loss of each cluster at each size.

    Returns
    -------
    Allocation
        In O(n log n) time, n = n_clusters n_sizes.

    Raises
    ------
    ValueError
        For arrays of other shapes, negative weights, sizes that do not rise strictly from 0,
        and numbers whose products would leave float64.
    """
    budget = _checked_budget(total)
    p = checks.finite_array("weight", weight, ndim=1)
    curve = checks.finite_array("loss", loss, ndim=2, length=p.size)
    given = checks.finite_array("size", size)
    if given.shape not in (curve.shape, curve.shape[1:]) or curve.size == 0:
        raise ValueError(
            f"size must have shape {curve.shape[1:]} or {curve.shape}, as loss has, with at least "
            f"one cluster and one size; got {given.shape}."
        )
    checks.memory(90.0 * curve.size, f"curves of {p.size} clusters", "Use fewer sizes.")
    grid = np.broadcast_to(given, curve.shape)
    if np.any(p < 0) or np.any(grid[:, 0] != 0) or np.any(np.diff(grid, axis=1) <= 0):
        raise ValueError("weight must be >= 0 and each row of size must rise strictly from 0.")
    _check_range("weight", p)
    _check_curve(grid, curve)
    slopes, widths, owners = [], [], []
    for k in range(p.size):
        hull = _lower_hull(grid[k], p[k] * curve[k])
        rise = np.diff(p[k] * curve[k][hull])
        run = np.diff(grid[k][hull])
        falling = rise < 0
        slopes.append(rise[falling] / run[falling])
        widths.append(run[falling])
        owners.append(np.full(int(falling.sum()), k))
    slope, width, owner = (np.concatenate(x) for x in (slopes, widths, owners))
    order = np.lexsort((np.arange(slope.size), slope))
    spent = np.minimum(np.cumsum(width[order]), budget)
    bought = np.diff(spent, prepend=0.0)
    n = np.bincount(owner[order], weights=bought, minlength=p.size).astype(np.float64)
    least = float(p @ curve[:, 0] + np.sum(bought * slope[order]))
    return Allocation(n, least)


def shared_curve_allocation(
    total: float,
    weight: npt.ArrayLike,
    size: npt.ArrayLike,
    loss: npt.ArrayLike,
    count: npt.ArrayLike | None = None,
) -> Allocation:
    """Split a budget as `numerical_allocation` does, over clusters that have one learning curve.

    Parameters
    ----------
    total : float
        Budget, 0 to 1e200.
    weight : array, shape (n_clusters,)
        Weight >= 0 of one cluster each.
    size, loss : array, shape (n_sizes,)
        The curve; sizes rise strictly from 0.
    count : array, shape (n_clusters,), optional
        How many clusters there are of each weight, >= 1; 1 if left out.

    Returns
    -------
    Allocation
        Capacities of one cluster of each weight. O(n log n) time, n = n_clusters n_sizes.

    Raises
    ------
    ValueError
        As `numerical_allocation`, and for counts below 1.
    """
    budget = _checked_budget(total)
    w, m = _weights(weight, count)
    slope, width, run, start = _segments(w, m, size, loss)
    order = np.argsort(slope, kind="stable")
    bought = np.zeros(slope.size)
    bought[order] = np.diff(np.minimum(np.cumsum(width[order]), budget), prepend=0.0)
    n = bought.reshape(w.size, run.size).sum(axis=1) / m
    return Allocation(n, float(start + bought @ slope))


def shared_curve_losses(
    totals: npt.ArrayLike,
    weight: npt.ArrayLike,
    size: npt.ArrayLike,
    loss: npt.ArrayLike,
    count: npt.ArrayLike | None = None,
) -> FloatArray:
    """Return the least losses of several budgets, those of `shared_curve_allocation`, in one pass.

    The best loss is a convex, piecewise linear function of the budget, steepest segments first.

    Parameters
    ----------
    totals : array, shape (n_budgets,)
        Budgets, 0 to 1e200.
    weight, size, loss, count
        As in `shared_curve_allocation`.

    Returns
    -------
    array of float64, shape (n_budgets,)

    Raises
    ------
    ValueError
        For a budget outside its range, and for weights, counts or a curve that
        `shared_curve_allocation` refuses.
    """
    budgets = checks.finite_array("totals", totals, ndim=1)
    if np.any(budgets < 0):
        raise ValueError(f"totals must be >= 0; got {budgets.min():g}.")
    if np.any(budgets > LARGEST_TOTAL):
        raise ValueError(f"totals must be at most {LARGEST_TOTAL:g}; got {budgets.max():g}.")
    w, m = _weights(weight, count)
    slope, width, _, start = _segments(w, m, size, loss)
    order = np.argsort(slope, kind="stable")
    spent = np.concatenate([[0.0], np.cumsum(width[order])])
    gained = np.concatenate([[0.0], np.cumsum(width[order] * slope[order])])
    return np.asarray(start + np.interp(budgets, spent, gained))


def _segments(
    w: FloatArray, m: FloatArray, size: npt.ArrayLike, loss: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Slopes and widths of every cluster's hull, the hull's runs, and the loss of nothing."""
    y = checks.finite_array("loss", loss, ndim=1)
    x = checks.finite_array("size", size, ndim=1, length=y.size)
    if x.size == 0:
        raise ValueError("size and loss must hold at least one number: the loss at size 0.")
    if x[0] != 0 or np.any(np.diff(x) <= 0):
        raise ValueError("size must rise strictly from 0.")
    _check_curve(x, y)
    hull = _lower_hull(x, y)
    run, rise = np.diff(x[hull]), np.diff(y[hull])
    run, rise = run[rise < 0], rise[rise < 0]
    checks.memory(56.0 * w.size * run.size, f"curves of {w.size} clusters", _BINS)
    slope = (w[:, None] * (rise / run)).ravel()
    width = (m[:, None] * run).ravel()
    return slope, width, run, float((m * w).sum() * y[0])


def _lower_hull(x: FloatArray, y: FloatArray) -> npt.NDArray[np.int64]:
    """Indices of the lower convex hull of points with rising x."""
    hull: list[int] = []
    for i in range(x.size):
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[i] - x[a]) < (y[i] - y[a]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return np.array(hull, dtype=np.int64)
