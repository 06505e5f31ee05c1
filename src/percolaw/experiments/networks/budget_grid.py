"""Losses of networks at every width and budget, and what is fitted to them together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from percolaw.experiments.base import Row
from percolaw.experiments.networks import neural
from percolaw.experiments.networks.convergence import LEAST_FINITE, log_slope
from percolaw.scaling.budget import AdditiveFit, BudgetLimits, extrapolate, fit_additive
from percolaw.scaling.frontier import Frontier, compute_frontier


@dataclass(frozen=True, eq=False)
class BudgetGrid:
    """Losses of one setting and teacher at widths and budgets, and what they say together.

    Widths at which more than a fifth of the students diverged at any budget are left out.

    Attributes
    ----------
    budget : array of float64, shape (n_budgets,)
    width : array of int64, shape (n_sizes,)
    size : array of float64, shape (n_sizes,)
        Inner parameters.
    steps, compute : array of float64, shape (n_sizes, n_budgets)
        Of each training; compute in floating-point operations.
    loss : array of float64, shape (n_seeds, n_sizes, n_budgets)
        NaN where a student diverged.
    limits : BudgetLimits or None
        Extrapolated losses; None, as the next two, if no seed went through everywhere, or at fewer
        than 3 widths.
    additive : AdditiveFit or None
    frontier : Frontier or None
        Also None if less than a decade of compute has its best width inside.
    """

    budget: neural.FloatArray
    width: neural.Rows
    size: neural.FloatArray
    steps: neural.FloatArray
    compute: neural.FloatArray
    loss: neural.FloatArray
    limits: BudgetLimits | None
    additive: AdditiveFit | None
    frontier: Frontier | None

    def cost_exponent(self) -> float:
        """Return g of operations in a step ~ size^g; below 1, for size leaves out first weights."""
        return log_slope(self.size, self.compute[:, -1] / self.steps[:, -1])


def budget_grid(rows: Sequence[Row], n_extrapolated: int, least: float) -> BudgetGrid:
    """Put the rows of a setting and teacher into a grid, and fit what can be fitted.

    Parameters
    ----------
    rows : sequence of dict
        One for each seed, width and budget, in any order.
    n_extrapolated : int
        Budgets, the largest ones, from which losses are extrapolated.
    least : float
        Limits at and below this loss do not count as determined.

    Returns
    -------
    BudgetGrid
    """
    seeds, sizes, budgets = (sorted({r[k] for r in rows}) for k in ("seed", "n_inner", "budget"))
    loss = np.full((len(seeds), len(sizes), len(budgets)), np.nan)
    steps, compute = np.ones((2, len(sizes), len(budgets)))
    width = np.zeros(len(sizes), dtype=np.int64)
    for r in rows:
        i, j, k = seeds.index(r["seed"]), sizes.index(r["n_inner"]), budgets.index(r["budget"])
        loss[i, j, k] = math.nan if r["loss"] is None else r["loss"]
        compute[j, k], width[j] = r["flops"], r["width"]
        steps[j, k] = max(steps[j, k], r["steps"])  # of a student that did not diverge
    # A width at which more diverged is shown with the largest budget's curve, and enters no fit.
    steady = np.isfinite(loss).all(axis=2).mean(axis=0) >= LEAST_FINITE
    loss, steps, compute, width = loss[:, steady], steps[steady], compute[steady], width[steady]
    size, budget = np.array(sizes, dtype=np.float64)[steady], np.array(budgets)
    limits = additive = frontier = None
    if size.size > 2 and np.isfinite(loss).all(axis=(1, 2)).any():
        late = slice(-n_extrapolated, None)
        limits = extrapolate(size, steps[:, late], loss[:, :, late])
        limits = replace(limits, determined=limits.determined & (limits.loss > least))
        additive = fit_additive(size, steps, loss)
        frontier = compute_frontier(size, steps, loss, compute)
    return BudgetGrid(budget, width, size, steps, compute, loss, limits, additive, frontier)
