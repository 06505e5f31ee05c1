"""Strategies to choose labels: what they are, what they lose on many clusters, and how that is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from percolaw.experiments import plots
from percolaw.experiments.claims import Claim
from percolaw.experiments.labelled import FloatArray
from percolaw.experiments.lattices.pruning import EASY, HARD
from percolaw.experiments.series import Series
from percolaw.laws import allocation
from percolaw.scaling import sharing
from percolaw.scaling.curve import LearningCurve

#: Designs inside one cluster.
RANDOM, FARTHEST, GREEDY = "random", "farthest", "greedy"


class Case(NamedTuple):
    """Weights of clusters, and what is learned on each: a tree walk (1-NN, posterior) or a field."""

    name: str
    rank_exponent: float
    learner: str
    cluster_exponent: float

    @property
    def limits(self) -> dict[str, float]:
        """Exponents of the data law and of the model law, by the strategy that has them."""
        alpha, gamma = self.rank_exponent, self.cluster_exponent
        return {UNIFORM: min(alpha / (1.0 + alpha), gamma), OPTIMAL: min(alpha, gamma)}


CASES = (
    Case("heavy tail, 1-NN", 0.3, "nearest", 0.5),
    Case("heavy tail, posterior", 0.3, "posterior", 0.5),
    Case("smooth field on clusters", 1.0, "cluster field", 1.0),
    Case("smooth field on squares", 1.0, "square field", 1.0),
    Case("mean field, 1-NN", 1.0, "nearest", 0.5),
)
UNIFORM, BALANCED, OPTIMAL = "uniform", "balanced", "optimal allocation"
PRUNED = "pruned"
#: Strategies: how a budget is shared among clusters, and the design inside each; or which candidates are
#: kept.
STRATEGIES = {
    UNIFORM: ("in proportion to weight", RANDOM),
    OPTIMAL: ("optimally", RANDOM),
    "farthest point": ("in proportion to weight", FARTHEST),
    "greedy variance": ("in proportion to weight", GREEDY),
    "optimal + farthest": ("optimally", FARTHEST),
    "optimal + greedy": ("optimally", GREEDY),
    EASY: (PRUNED, EASY),
    HARD: (PRUNED, HARD),
    BALANCED: ("equally", RANDOM),
}
#: What an exponent is held against; "balanced" has none: it visits every cluster before it learns any.
REFERENCES = {
    "farthest point": UNIFORM,
    "greedy variance": UNIFORM,
    "optimal + farthest": OPTIMAL,
    "optimal + greedy": OPTIMAL,
    EASY: UNIFORM,
    HARD: UNIFORM,
}
#: Strategies that differ from their reference by the design inside a cluster alone.
DESIGNED = [s for s, (how, design) in STRATEGIES.items() if how != PRUNED and design != RANDOM]
#: What a strategy is, where its name does not say it.
LABELS = {
    UNIFORM: "uniform (in proportion to weight)",
    BALANCED: "balanced (equal shares)",
    "farthest point": "farthest point, by weight",
    "greedy variance": "greedy variance, by weight",
    EASY: "pruned, easy kept",
    HARD: "pruned, hard kept",
}
#: Number of a case, an exponent or a difference of two, and its interval.
Estimate: TypeAlias = tuple[int, float, tuple[float, float]]


def shared_losses(
    how: str, budgets: FloatArray, weight: FloatArray, count: FloatArray, n: Any, curve: Any
) -> FloatArray:
    """Return the expected weighted loss of each budget, for clusters that all have one learning curve.

    In proportion to weight, the number of labels of a cluster is Poisson; equally, a whole number or the
    next; optimally, as `percolaw.scaling.allocation.shared_curve_losses` finds from the curve.

    Parameters
    ----------
    how : {"in proportion to weight", "equally", "optimally"}
    budgets : array, shape (n_budgets,)
    weight, count : array, shape (n_bins,)
        As from `percolaw.scaling.sharing.binned_weights`.
    n, curve : array, shape (n_sizes,)
        Learning curve of a cluster; sizes rise from 0.

    Returns
    -------
    array of float64, shape (n_budgets,)
    """
    if how == "optimally":
        return allocation.shared_curve_losses(budgets, weight, n, curve, count)
    if how == "equally":
        return sharing.equal_losses(budgets, count, n, curve)
    return sharing.proportional_losses(budgets, weight, count, n, curve)


def loss_plot(
    case: Case, curves: Mapping[str, LearningCurve], laws: Mapping[str, Claim], decades: float
) -> plots.Plot:
    """Return the losses by what is shared among clusters, or kept, fitted on the upper decades of each.

    Parameters
    ----------
    case : Case
    curves : mapping of LearningCurve
        By strategy.
    laws : mapping of Claim
        On exponents, by strategy; some may lack.
    decades : float
        How many upper ones are fitted.

    Returns
    -------
    Plot
    """
    series = []
    for strategy, curve in curves.items():
        if strategy in DESIGNED:
            continue
        name = LABELS.get(strategy, strategy)
        law = f"{name}, discrete law, one scale factor a case"
        series.append(
            plots.curve(
                name,
                curve,
                claims=[laws[strategy]] if strategy in laws else [],
                fitted=curve.fit(curve.upper(decades)),
                prediction=law if curve.predicted is not None else None,
                group=name,
            )
        )
        if curve.predicted is not None:
            series.append(plots.line(law, "theory", curve.size, curve.predicted, group=name))
    return plots.log_log(
        f"sampling-{plots.slug(case.name)}",
        f"{case.name}: alpha = {case.rank_exponent:g}, gamma = {case.cluster_exponent:g}",
        "Loss against the number of labels by sampling strategy; dashed the discrete data and "
        "model law with one scale factor.",
        ("labels T", "loss / variance"),
        series,
        curves[UNIFORM].upper(decades),
        figure="sampling",
    )


def design_plot(
    case: Case, curves: Mapping[str, LearningCurve], gains: Mapping[str, Claim], decades: float
) -> plots.Plot:
    """Return what designs inside clusters lose over labels at random, shared out in the same way.

    Parameters
    ----------
    case, curves, decades
        As in `loss_plot`.
    gains : mapping of Claim
        Exponents less those of the reference, by strategy.

    Returns
    -------
    Plot
    """
    series = []
    for strategy in DESIGNED:
        curve = curves[strategy]
        n = curve.size.size
        reference = curves[REFERENCES[strategy]]
        over = curve.over(LearningCurve(reference.size[:n], reference.loss[:, :n]))
        name = f"{strategy}, over {REFERENCES[strategy]}"
        series.append(plots.curve(name, over, claims=[gains[strategy]]))
    window = curve.upper(decades)
    size = curve.size
    return plots.log_log(
        f"sampling-designs-{plots.slug(case.name)}",
        case.name,
        "Loss of designs inside clusters over that of labels at random, with as many labels a cluster: "
        "level where only the constant changes.",
        ("labels T", "loss, design / random"),
        [*series, plots.line("1", "theory", size, 1.0)],
        window,
        figure="sampling-designs",
    )


def exponent_plot(cases: Sequence[Case], estimates: Mapping[str, list[Estimate]]) -> plots.Plot:
    """Return the exponents of all strategies, case by case, beside the limits of the two laws.

    Parameters
    ----------
    cases : sequence of Case
    estimates : mapping of list of Estimate
        By strategy.

    Returns
    -------
    Plot
    """
    series = by_case(estimates)
    for strategy in cases[0].limits:
        beside = next(one for one in series if one.name == LABELS.get(strategy, strategy))
        limits = [case.limits[strategy] for case in cases]
        name = f"{beside.name}, limit of its law"
        series.append(
            plots.line(name, "reference", beside.x, limits, joined=False, group=beside.name)
        )
    return plots.linear(
        "sampling-exponents",
        "Exponents, each on its own upper decades",
        "Exponents of every strategy beside the limits of data and model law, by case.",
        (case_label(cases), "exponent of the loss"),
        series,
    )


def gain_plot(cases: Sequence[Case], estimates: Mapping[str, list[Estimate]]) -> plots.Plot:
    """Return what allocation, designs and pruning add to the exponent, case by case.

    Parameters
    ----------
    cases : sequence of Case
    estimates : mapping of list of Estimate
        By what is added.

    Returns
    -------
    Plot
    """
    ends = [0.5, len(cases) + 0.5]
    zero = plots.line(LABELS[UNIFORM], "theory", ends, 0.0, group=LABELS[UNIFORM])
    return plots.linear(
        "sampling-gains",
        "Exponents less those of uniform (optimal + ...: of the optimal allocation), same budgets",
        "Exponents of the optimal allocation, of designs inside clusters and of pruning, less that of "
        "what each is held against, by case.",
        (case_label(cases), "difference of exponents"),
        (zero, *by_case(estimates)),
        figure="sampling-exponents",
    )


def case_label(cases: Sequence[Case]) -> str:
    """Return what the numbers on an axis stand for."""
    return "case: " + ", ".join(f"{i} {case.name}" for i, case in enumerate(cases, 1))


def by_case(estimates: Mapping[str, list[Estimate]]) -> list[Series]:
    """Return one series a strategy, side by side at the number of each case."""
    series = []
    for turn, (strategy, numbers) in enumerate(estimates.items()):
        name = LABELS.get(strategy, strategy)
        x = [number + 0.08 * (turn - 0.5 * (len(estimates) - 1)) for number, _, _ in numbers]
        y = [value for _, value, _ in numbers]
        low, high = np.array([interval for _, _, interval in numbers]).T
        series.append(plots.points(name, x, y, low, high, interval=plots.CONFIDENCE, group=name))
    return series
