"""Figures of losses at several budgets: against parameters and compute, and local exponents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from percolaw.experiments import plots
from percolaw.experiments.networks.budget_grid import BudgetGrid
from percolaw.experiments.networks.neural_scaling import Scaling
from percolaw.experiments.series import Series, y_limits
from percolaw.scaling.curve import LearningCurve

#: Budgets, the largest ones, whose losses are drawn against parameters.
DRAWN = 5


def budget_plots(experiment: str, scalings: Sequence[Scaling]) -> list[plots.Plot]:
    """Return three figures a depth: losses by budget, their local exponents, and losses against compute.

    Parameters
    ----------
    experiment : str
    scalings : sequence of Scaling
        Those without a grid of 3 widths or more are left out.

    Returns
    -------
    list of Plot
    """
    panels = []
    depths = list(dict.fromkeys(s.depth for s in scalings))
    for s in scalings:
        if s.grid is None or s.grid.size.size < 3:
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
    """A curve for each of the largest budgets."""
    return [
        (f"budget {budget:.4g}", LearningCurve(grid.size, grid.loss[:, :, k]))
        for k, budget in list(enumerate(grid.budget))[-DRAWN:]
    ]


def _loss_panel(s: Scaling, grid: BudgetGrid, key: str, title: str, figure: str) -> plots.Plot:
    series: list[Series] = [plots.curve(name, curve) for name, curve in _by_budget(grid)]
    if grid.limits is not None:
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
    if grid.limits is not None:  # also where none is known: panels of one figure have one legend
        limit = np.where(grid.limits.determined, grid.limits.loss, np.nan)
        values.append(LearningCurve(grid.size, limit[None]).local())
        series.append(plots.line("extrapolated", "measured", grid.size, values[-1]))
    if s.predicted is not None:
        values.append(np.array([s.predicted]))
        series.append(plots.line("c/D", "theory", grid.size[[0, -1]], s.predicted))
    return plots.log_linear(
        key,
        title,
        "Local exponents in P by budget; c/D dashed.",
        ("parameters P beyond the first weights", "local exponent in P"),
        series,
        figure=figure,
        ordered=True,
        y_limits=y_limits(np.concatenate(values), []),
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
