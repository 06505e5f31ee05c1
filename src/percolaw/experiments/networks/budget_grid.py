"""Losses of networks at every width and budget, and what is fitted to them together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from percolaw.experiments.base import Row
from percolaw.experiments.networks import neural
from percolaw.experiments.networks.convergence import LEAST_FINITE, log_slope
from percolaw.experiments.seeds import pivot
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
    axes = ("n_inner", "budget")
    loss, compute = pivot(rows, "loss", "seed", *axes), pivot(rows, "flops", *axes)
    width = pivot(rows, "width", "n_inner").astype(np.int64)
    # Steps of a student that did not diverge.
    steps = np.maximum(pivot(rows, "steps", "seed", *axes), 1.0).max(axis=0)
    # A width at which more diverged is shown with the largest budget's curve, and enters no fit.
    steady = np.isfinite(loss).all(axis=2).mean(axis=0) >= LEAST_FINITE
    loss, steps, compute, width = loss[:, steady], steps[steady], compute[steady], width[steady]
    size = pivot(rows, "n_inner", "n_inner")[steady]
    budget = np.array(sorted({r["budget"] for r in rows}))
    limits = additive = frontier = None
    if size.size > 2 and np.isfinite(loss).all(axis=(1, 2)).any():
        late = slice(-n_extrapolated, None)
        limits = extrapolate(size, steps[:, late], loss[:, :, late])
        limits = replace(limits, determined=limits.determined & (limits.loss > least))
        additive = fit_additive(size, steps, loss)
        frontier = compute_frontier(size, steps, loss, compute)
    return BudgetGrid(budget, width, size, steps, compute, loss, limits, additive, frontier)
