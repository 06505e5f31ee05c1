"""Claims on losses at several budgets: extrapolated in the budget, against compute, and by depth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from percolaw.experiments import claims
from percolaw.experiments.claims import UNKNOWN_INTERVAL, Claim
from percolaw.experiments.networks.budget_grid import BudgetGrid
from percolaw.experiments.networks.convergence import fit_note, rough_exponent
from percolaw.experiments.networks.neural_scaling import Scaling
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.intervals import interval_of_samples

THEORY = "docs/theory.md, 9"


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
    note, rough = "no seed went through all budgets at 3 widths", 0.0
    difference = None
    if limits is not None:
        rough = rough_exponent(LearningCurve(limits.size, limits.loss[None]))
        n, b = int(limits.determined.sum()), np.median(limits.exponent)
        note = fit_note(line, f"determined at {n} of {limits.size.size} widths; median b {b:.2f}")
        inside = (limits.size >= window[0]) & (limits.size <= window[1])
        if scaling.curve.usable is not None:
            inside &= np.isin(limits.size, scaling.curve.size[scaling.curve.usable])
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
            rough=rough,
        )
        for text, origin, value in orders
    ]
    value, interval = difference or (rough - rough_exponent(scaling.curve), UNKNOWN_INTERVAL)
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
    value, interval, allowed = 0.0, UNKNOWN_INTERVAL, 0.0
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
        rough = rough_exponent(other.curve) - rough_exponent(base.curve)
        return claims.judge(name, THEORY, 0.0, rough, UNKNOWN_INTERVAL, 0.0, note, about)
    unit = base.predicted or base.line.exponent
    return claims.difference(name, THEORY, each, tolerance * unit, "", about)
