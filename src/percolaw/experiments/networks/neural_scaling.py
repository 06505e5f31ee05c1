"""What data and model scaling of networks share: a curve with its claims, and the plots of many."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from percolaw.datasets.sources import FiniteCluster, InfiniteCluster, LatticeCluster, Source
from percolaw.experiments import plots
from percolaw.experiments.claims import Claim
from percolaw.experiments.networks import neural
from percolaw.experiments.networks.budget_grid import BudgetGrid
from percolaw.experiments.series import y_limits
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import PowerLawFit
from percolaw.targets.teacher import TeacherFamily

#: Sources of points that are percolation clusters.
CLUSTERS = (InfiniteCluster, FiniteCluster, LatticeCluster)


@dataclass(frozen=True, eq=False)
class Scaling:
    """A learning curve of networks, what was predicted of it, and kernels on the same data.

    Attributes
    ----------
    source : Source
    target : TeacherFamily
    curve : LearningCurve
    line : PowerLawFit or None
    predicted : float or None
        Exponent.
    claims : tuple of Claim
        The first of quantity "exponent" stands beside the curve.
    gap : array of float64, shape (n_sizes,)
        Of `convergence.gaps`.
    kernels : mapping of str to LearningCurve
        By the keys of `neural.KERNELS`.
    limit : PowerLawFit or None
        Of the first kernel.
    depth : int
        Hidden layers of the networks; 0 where all have the same number.
    grid : BudgetGrid or None
        Losses at several budgets, of which `curve` is the largest.
    """

    source: Source
    target: TeacherFamily
    curve: LearningCurve
    line: PowerLawFit | None
    predicted: float | None
    claims: tuple[Claim, ...]
    gap: neural.FloatArray
    kernels: Mapping[str, LearningCurve] = field(default_factory=dict)
    limit: PowerLawFit | None = None
    depth: int = 0
    grid: BudgetGrid | None = None

    def about(self, quantity: str) -> list[Claim]:
        """Return the first claim on a quantity, in a list; an empty one without it."""
        return [c for c in self.claims if c.about["quantity"] == quantity][:1]


def gap_table(scalings: Sequence[Scaling]) -> list[dict[str, Any]]:
    """Return what doubled budgets gained, size by size, as plain values."""
    return [
        {
            "source": s.source.label,
            "target": s.target.label,
            **({"depth": s.depth} if s.depth else {}),
            "size": s.curve.size.tolist(),
            "gap": [float(f"{v:.4g}") if math.isfinite(v) else None for v in s.gap],
        }
        for s in scalings
    ]


def curves_plots(experiment: str, x_label: str, scalings: Sequence[Scaling]) -> list[plots.Plot]:
    """Return every curve, a plot for each setting: slopes of the theory dashed, kernels dotted.

    Parameters
    ----------
    experiment, x_label : str
    scalings : sequence of Scaling

    Returns
    -------
    list of Plot
    """
    panels = []
    for source in dict.fromkeys(s.source for s in scalings):
        mine = [s for s in scalings if s.source == source]
        series = []
        for s in mine:
            exponents, name = s.about("exponent"), s.target.label
            series.append(plots.curve(name, s.curve, claims=exponents, fitted=s.line, group=name))
            if s.line is not None and s.predicted is not None:
                slope = f"{name}, slope c/D"
                series.append(plots.slope(slope, s.line, s.predicted, group=name))
            if "wide" in s.kernels:
                kernel, beside = s.kernels["wide"], f"{name}, tangent kernel, unit biases"
                series.append(
                    plots.line(beside, "reference", kernel.size, kernel.mean(), group=name)
                )
        panels.append(
            plots.log_log(
                f"{experiment}-{plots.slug(source.word)}",
                f"{source} (D = {source.dimension:.4g})",
                "Test loss falls as a power of the size; steeper for smoother teachers. Hollow: not "
                "converged.",
                (x_label, "test loss / variance"),
                series,
                plots.hull(s.line for s in mine),
                figure=f"{experiment}-curves",
                hollow="not converged",
            )
        )
    return panels


def ratio_plots(experiment: str, x_label: str, scalings: Sequence[Scaling]) -> list[plots.Plot]:
    """Return losses over those of kernels on the same data, seed by seed: by setting and kernel.

    Parameters
    ----------
    experiment, x_label : str
    scalings : sequence of Scaling

    Returns
    -------
    list of Plot
    """
    panels = []
    for key, name in (("wide", "a tangent kernel"), ("own", "their own limit")):
        for source in dict.fromkeys(s.source for s in scalings if key in s.kernels):
            mine = [s for s in scalings if s.source == source]
            series = [
                plots.curve(
                    s.target.label,
                    s.curve.over(s.kernels[key]),
                    claims=s.about(f"exponent less {key}"),
                )
                for s in mine
            ]
            panels.append(
                plots.log_log(
                    f"{experiment}-{plots.slug(source.word)}-over-{key}",
                    f"{source}: over {name}",
                    f"Loss of networks over that of the {neural.KERNELS[key]}, on the same points and "
                    "teachers: level where both have one exponent.",
                    (x_label, "loss, network / kernel"),
                    series,
                    plots.hull(s.line for s in mine),
                    figure=f"{experiment}-over-{key}",
                    hollow="not converged",
                )
            )
    return panels


def exponents_plot(experiment: str, title: str, scalings: Sequence[Scaling]) -> plots.Plot:
    """Return measured exponents against predicted ones: of clusters full, of other points hollow.

    Parameters
    ----------
    experiment, title : str
    scalings : sequence of Scaling

    Returns
    -------
    Plot
    """
    sources = list(dict.fromkeys(s.source for s in scalings))
    # Settings stand a little beside each other, so that intervals do not cover each other.
    known = [
        (s.predicted * (1.0 + 0.012 * (sources.index(s.source) - len(sources) / 2)), s.line, s)
        for s in scalings
        if s.line is not None and s.predicted is not None
    ]
    series = []
    for target in dict.fromkeys(s.target for *_, s in known):
        mine = [(x, line, s) for x, line, s in known if s.target == target]
        series.append(
            plots.points(
                target.label,
                [x for x, *_ in mine],
                [line.exponent for _, line, _ in mine],
                *np.array([line.interval for _, line, _ in mine]).T,
                usable=tuple(isinstance(s.source, CLUSTERS) for *_, s in mine),
            )
        )
    limits = [(x, s.limit.exponent) for x, _, s in known if s.limit is not None]
    if limits:
        name = "tangent kernel, unit biases (not their limit)"
        series.append(plots.line(name, "reference", *zip(*limits, strict=True), joined=False))
    ends = [v for one in series for v in (*one.x, *one.y) if v is not None]
    intervals = [end for _, line, _ in known for end in line.interval]
    top = max(0.11, 1.1 * max(ends), y_limits(ends, intervals)[1]) if known else 0.11
    series.append(plots.line("measured = predicted", "theory", [0.0, top], [0.0, top]))
    return plots.linear(
        experiment,
        title,
        "Measured exponents of networks against predicted ones, on the diagonal where they agree.",
        ("predicted exponent c/D", "measured exponent, converged points"),
        series,
        y_limits=(0.0, top),
        hollow="cubes and products; full: clusters",
    )
