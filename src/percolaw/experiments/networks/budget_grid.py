"""Losses of networks at every width and budget: extrapolated in the budget, and against compute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from percolaw.experiments import claims, plots
from percolaw.experiments.base import Row
from percolaw.experiments.claims import UNKNOWN_INTERVAL, Claim
from percolaw.experiments.networks import neural
from percolaw.experiments.networks.convergence import fit_note, log_slope
from percolaw.experiments.networks.neural_scaling import Scaling
from percolaw.experiments.series import Series
from percolaw.scaling.budget import AdditiveFit, BudgetLimits, extrapolate, fit_additive
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.frontier import Frontier, compute_frontier
from percolaw.scaling.intervals import interval_of_samples

THEORY = "docs/theory.md, 9"


@dataclass(frozen=True, eq=False)
class BudgetGrid:
    """Losses of one setting and teacher at every width and budget, and what they say together.

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
        Extrapolated losses; None, as the next two, if no seed went through everywhere.
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
    size, budget = np.array(sizes, dtype=np.float64), np.array(budgets)
    limits = additive = frontier = None
    if np.isfinite(loss).all(axis=(1, 2)).any():
        late = slice(-n_extrapolated, None)
        limits = extrapolate(size, steps[:, late], loss[:, :, late])
        limits = replace(limits, determined=limits.determined & (limits.loss > least))
        additive = fit_additive(size, steps, loss)
        frontier = compute_frontier(size, steps, loss, compute)
    return BudgetGrid(budget, width, size, steps, compute, loss, limits, additive, frontier)


def grid_claims(
    scaling: Scaling,
    place: str,
    orders: Sequence[tuple[str, str, float]],
    about: Mapping[str, str],
    window: tuple[float, float],
    tolerance: float,
    fastest: float,
) -> list[Claim]:
    """Return the claims on extrapolated losses and on compute.

    Parameters
    ----------
    scaling : Scaling
        With its grid.
    place : str
        Beginning of their names.
    orders : sequence of (str, str, float)
        Name, origin and value of every predicted exponent.
    about : mapping of str
    window : (low, high)
        Sizes that are fitted.
    tolerance : float
        Relative.
    fastest : float
        4/D, for the tolerance where nothing is predicted.

    Returns
    -------
    list of Claim
    """
    grid = scaling.grid
    if grid is None:
        return []
    limits = grid.limits
    line = None if limits is None else limits.fit(window)
    note = "no seed went through all budgets"
    difference = None
    if limits is not None:
        n, b = int(limits.determined.sum()), np.median(limits.exponent)
        note = fit_note(line, f"determined at {n} of {limits.size.size} widths; median b {b:.2f}")
        inside = (limits.size >= window[0]) & (limits.size <= window[1])
        if scaling.curve.usable is not None:
            inside &= scaling.curve.usable
        difference = limits.less_last(inside)
    every = [
        claims.exponent(
            f"{place}: exponent {text} in parameters, extrapolated in the budget",
            origin,
            value,
            line,
            tolerance * value,
            note,
            {**about, "quantity": "extrapolated exponent"},
        )
        for text, origin, value in orders
    ]
    value, interval = (math.nan, UNKNOWN_INTERVAL) if difference is None else difference
    every.append(
        claims.judge(
            f"{place}: extrapolated exponent less that of the largest budget",
            THEORY,
            0.0,
            value,
            interval,
            tolerance * (scaling.predicted or fastest),
            "at widths that converged and whose limit is determined",
            {**about, "quantity": "extrapolated less largest budget"},
        )
    )
    return [*every, _compute_claim(grid, place, about, tolerance)]


def _compute_claim(
    grid: BudgetGrid, place: str, about: Mapping[str, str], tolerance: float
) -> Claim:
    """The frontier's exponent less that which the sum of two powers implies, seed by seed."""
    value, interval, allowed = math.nan, UNKNOWN_INTERVAL, 0.0
    note = "less than a decade of compute has its best width inside of those tried"
    if grid.additive is not None and grid.frontier is not None:
        front, sum_ = grid.frontier, grid.additive
        g = grid.cost_exponent()
        predicted, resampled = sum_.frontier_exponent(g)
        value = front.exponent - predicted
        interval = interval_of_samples(value, front.resampled - resampled, front.n_seeds)
        allowed = tolerance * predicted
        a, b = sum_.size_exponent, sum_.step_exponent
        (low, high), decades = front.interval, math.log10(front.compute[-1] / front.compute[0])
        note = (
            f"measured {front.exponent:.3f} [{low:.3f}, {high:.3f}] over {decades:.1f} decades; "
            f"predicted {predicted:.3f} of a = {a:.2f}, b = {b:.2f}, g = {g:.2f}, residual "
            f"{sum_.residual:.1%}; best P ~ C^{front.size_exponent:.2f} "
            f"[{front.size_interval[0]:.2f}, {front.size_interval[1]:.2f}], predicted "
            f"{b / max(a + g * b, 1e-12):.2f}"
        )
    return claims.judge(
        f"{place}: exponent in compute less ab/(a + gb)",
        THEORY,
        0.0,
        value,
        interval,
        allowed,
        note,
        {**about, "quantity": "exponent in compute"},
    )


def depth_claim(
    base: Scaling, other: Scaling, window: tuple[float, float], tolerance: float
) -> Claim:
    """Return the claim that networks of another depth have the same exponent, seed by seed.

    Parameters
    ----------
    base, other : Scaling
        Of one setting and teacher.
    window : (low, high)
        Sizes that are fitted.
    tolerance : float
        Relative to the predicted exponent, or to the base's if there is none.

    Returns
    -------
    Claim
    """
    name = (
        f"{base.source}, {base.target}: exponent at depth {other.depth} less that at {base.depth}"
    )
    about = {**base.about("exponent")[0].about} if base.about("exponent") else {}
    about["quantity"] = "exponent by depth"
    each = other.curve.slopes(window) - base.curve.slopes(window)
    if base.line is None or other.line is None or not np.isfinite(each).all():
        note = "less than a decade of converged points"
        return claims.judge(name, THEORY, 0.0, math.nan, UNKNOWN_INTERVAL, 0.0, note, about)
    unit = base.predicted or base.line.exponent
    return claims.difference(name, THEORY, each, tolerance * unit, "", about)


# --- figures ---------------------------------------------------------------------------------------


def budget_plots(experiment: str, scalings: Sequence[Scaling]) -> list[plots.Plot]:
    """Return three figures a depth: losses by budget, their local exponents, and losses against compute.

    Parameters
    ----------
    experiment : str
    scalings : sequence of Scaling
        Those without a grid are left out.

    Returns
    -------
    list of Plot
    """
    panels = []
    depths = list(dict.fromkeys(s.depth for s in scalings))
    for s in scalings:
        if s.grid is None:
            continue
        end = "" if s.depth == depths[0] else f"-depth-{s.depth}"
        key = f"{experiment}-{plots.slug(s.source.word)}-{plots.slug(s.target.word)}{end}"
        title = f"{s.source}, {s.target}"
        panels += [
            _loss_panel(s, s.grid, f"{key}-budgets", title, f"{experiment}-budgets{end}"),
            _local_panel(s, s.grid, f"{key}-local", title, f"{experiment}-local{end}"),
            _compute_panel(s.grid, f"{key}-compute", title, f"{experiment}-compute{end}"),
        ]
    return panels


def _by_budget(grid: BudgetGrid) -> list[tuple[str, LearningCurve]]:
    """A curve for every budget that is extrapolated."""
    n = 5
    return [
        (f"budget {budget:.4g}", LearningCurve(grid.size, grid.loss[:, :, k]))
        for k, budget in list(enumerate(grid.budget))[-n:]
    ]


def _loss_panel(s: Scaling, grid: BudgetGrid, key: str, title: str, figure: str) -> plots.Plot:
    series: list[Series] = [plots.curve(name, curve) for name, curve in _by_budget(grid)]
    if grid.limits is not None and grid.limits.determined.any():
        limits, known = grid.limits, grid.limits.determined
        shown = [one[known] for one in (grid.size, limits.loss, limits.low, limits.high)]
        series.append(plots.points("extrapolated", *shown))
    if s.line is not None and s.predicted is not None:
        series.append(plots.slope("slope c/D", s.line, s.predicted))
    return plots.log_log(
        key,
        title,
        "Losses fall with the budget at every width, the more the wider the network; extrapolated "
        "ones are shown where the budgets determine them.",
        ("parameters P beyond the first weights", "test loss / variance"),
        series,
        None if s.line is None else s.line.window,
        figure=figure,
        ordered=True,
    )


def _local_panel(s: Scaling, grid: BudgetGrid, key: str, title: str, figure: str) -> plots.Plot:
    curves = _by_budget(grid)
    series = [plots.local(name, curve) for name, curve in curves]
    values = [curve.local() for _, curve in curves]
    if grid.limits is not None and grid.limits.determined.sum() > 2:
        limit = np.where(grid.limits.determined, grid.limits.loss, np.nan)
        values.append(LearningCurve(grid.size, limit[None]).local())
        series.append(plots.line("extrapolated", "measured", grid.size, values[-1]))
    if s.predicted is not None:
        values.append(np.array([s.predicted]))
        series.append(plots.line("c/D", "theory", grid.size[[0, -1]], [s.predicted] * 2))
    return plots.log_linear(
        key,
        title,
        "Local exponents in P by budget; c/D dashed.",
        ("parameters P beyond the first weights", "local exponent in P"),
        series,
        figure=figure,
        ordered=True,
        y_limits=plots.y_limits(np.concatenate(values), []),
    )


def _compute_panel(grid: BudgetGrid, key: str, title: str, figure: str) -> plots.Plot:
    series = [
        plots.curve(f"width {width}", LearningCurve(grid.compute[j], grid.loss[:, j]))
        for j, width in enumerate(grid.width)
    ]
    if grid.frontier is not None:
        front = grid.frontier
        series.append(plots.line("frontier", "reference", front.compute, front.loss))
        if grid.additive is not None:
            slope, _ = grid.additive.frontier_exponent(grid.cost_exponent())
            middle = front.loss[front.loss.size // 2], front.compute[front.loss.size // 2]
            ends = front.compute[[0, -1]]
            law = middle[0] * (ends / middle[1]) ** -slope
            series.append(plots.line("slope ab/(a + gb)", "theory", ends, law))
    return plots.log_log(
        key,
        title,
        "At given compute one width has the least loss; it grows with compute.",
        ("training operations C", "test loss / variance"),
        series,
        None if grid.frontier is None else (grid.frontier.compute[0], grid.frontier.compute[-1]),
        figure=figure,
        ordered=True,
    )
