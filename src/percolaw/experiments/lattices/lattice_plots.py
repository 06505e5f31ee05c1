"""How exponents and curves of real lattices at p_c are drawn beside the literature's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.experiments import plots
from percolaw.experiments.claims import Claim
from percolaw.experiments.lattices.lattice_exponents import (
    FIELD,
    LINEAR,
    MEAN_FIELD_DIMENSION,
    LatticeCurves,
    Window,
)
from percolaw.experiments.series import Series, y_limits

#: Claims on one dimension, by quantity.
Claims: TypeAlias = Mapping[str, Claim]

#: Quantity -> title of its panel.
PANELS = {
    "tau": "Fisher exponent",
    "D": "Fractal dimension",
    "1/sigma": "Cutoff exponent",
    "d_min": "Shortest paths",
    "c/D": "1-NN on a linear function",
    "2/d_s - 1": "1-NN on the free field",
}


def exponent_plots(claims_of: Mapping[int, Claims], windows: Mapping[str, str]) -> list[plots.Plot]:
    """Return one panel a quantity: measured and in the literature, by dimension.

    Parameters
    ----------
    claims_of : mapping of int
        Claims by quantity, by dimension.
    windows : mapping of str
        By quantity, where it was fitted, in words.

    Returns
    -------
    list of Plot
    """
    drawn = []
    for number, (quantity, title) in enumerate(PANELS.items(), 1):
        claims = [claims[quantity] for claims in claims_of.values()]
        known = [c.predicted for c in claims]
        measured = [c.measured for c in claims]
        low, high = np.array([c.interval for c in claims]).T
        drawn.append(
            plots.linear(
                f"dimension-table-{number}",
                f"{title}, {windows[quantity]}",
                f"{quantity} measured on hypercubic lattices at p_c beside the literature's, by "
                "dimension.",
                ("lattice dimension d", quantity),
                (
                    plots.points(
                        "measured", list(claims_of), measured, low, high, interval=plots.CONFIDENCE
                    ),
                    plots.line("literature", "theory", list(claims_of), known),
                ),
                figure="dimension-table",
                y_limits=y_limits([*known, *measured], [low, high]),
            )
        )
    return drawn


def law_boundaries(rank_exponents: npt.ArrayLike) -> list[Series]:
    """Return where the two laws change sides, as c/D against alpha around the alphas given."""
    alpha = np.asarray(rank_exponents, dtype=np.float64)
    line = np.geomspace(alpha.min() / 2, alpha.max() * 2, 50)
    return [
        plots.line("c/D = alpha: the model law changes sides", "theory", line, line),
        plots.line("c/D = alpha/(1 + alpha): the data law", "reference", line, line / (1 + line)),
    ]


def comparison_plot(claims_of: Mapping[int, Claims]) -> plots.Plot:
    """Return c/D against alpha, measured and in the literature, with the boundaries of both laws."""
    series = law_boundaries([claims["alpha"].predicted for claims in claims_of.values()])
    for d, claims in claims_of.items():
        alpha, gamma = claims["alpha"], claims["c/D"]
        name, place = f"d = {d}", [gamma.measured, gamma.measured]
        reach = [v if math.isfinite(v) else alpha.measured for v in alpha.interval]
        low, high = gamma.interval
        series += [
            plots.points(name, [alpha.measured], [gamma.measured], [low], [high], group=name),
            plots.line(
                f"{name}, literature",
                "theory",
                [alpha.predicted],
                [gamma.predicted],
                joined=False,
                group=name,
            ),
            plots.line(f"{name}, 95% interval of alpha", "reference", reach, place, group=name),
        ]
    return plots.log_log(
        "dimension-table-comparison",
        "Where real lattices lie at p_c, measured",
        "Cluster exponent c/D from learning curves against the rank exponent alpha from cluster sizes.",
        ("rank exponent alpha = (3 - tau)/(tau - 2)", "cluster exponent c/D, from learning curves"),
        series,
        fit=False,
        y_limits=(0.25, 2.0),
    )


class Panel(NamedTuple):
    """Curves beside the literature's power laws: whose exponent is drawn, in which picture."""

    quantity: str
    title: str
    alt: str
    labels: tuple[str, str]
    picture: str


POWER_LAWS = {
    "sizes": Panel(
        "tau",
        "Cluster of a random site at p_c: tau",
        "Share of sites whose cluster has at least s sites; it falls like s^(2 - tau).",
        ("cluster size s", "P(S >= s)"),
        "sizes",
    ),
    "ball-radius": Panel(
        "D",
        "Radius of growing balls: D",
        "Squared radius of gyration of balls of the incipient infinite cluster; it grows like s^(2/D).",
        ("sites of the ball s", "squared radius of gyration"),
        "balls",
    ),
    "ball-depth": Panel(
        "d_min",
        "Depth of growing balls: d_min",
        "Shortest path to the rim of balls of the incipient infinite cluster; it grows like s^(d_min/D).",
        ("sites of the ball s", "shortest path to the rim"),
        "balls",
    ),
    LINEAR: Panel(
        "c/D",
        "Linear function of the coordinates: c/D",
        "Loss of 1-NN on one large cluster at p_c, a linear function; the exponent is c/D.",
        ("mean number of observed sites n", "1-NN loss / variance"),
        "learning",
    ),
    FIELD: Panel(
        "2/d_s - 1",
        "Gaussian free field: 2/d_s - 1",
        "Loss of 1-NN on one large cluster at p_c, the Gaussian free field; the exponent is 2/d_s - 1.",
        ("mean number of observed sites n", "1-NN loss / variance"),
        "learning",
    ),
}


def power_law_plots(
    lattices: Iterable[LatticeCurves],
    claims_of: Mapping[int, Claims],
    size: Window,
    learning: Window,
) -> list[plots.Plot]:
    """Return sizes, growing balls and losses, each also over the literature's power law.

    Parameters
    ----------
    lattices : iterable of LatticeCurves
    claims_of : mapping of int
        Claims by quantity, by dimension.
    size, learning : (low, high)
        Windows of the fits, in sites and in observed sites.

    Returns
    -------
    list of Plot
    """
    series: dict[str, list[Series]] = {key: [] for key in POWER_LAWS}
    windows = {"sizes": (size[0], math.inf), "balls": size, "learning": learning}
    for lattice in lattices:
        name = f"d = {lattice.dimension}"
        law = f"{name}, the literature's power law"
        for key, (measured, exponent) in lattice.power_laws().items():
            panel = POWER_LAWS[key]
            curve = measured.beside_power_law(exponent, windows[panel.picture])
            series[key] += [
                plots.curve(
                    name,
                    curve,
                    claims=[claims_of[lattice.dimension][panel.quantity]],
                    prediction=law,
                    group=name,
                ),
                plots.line(law, "theory", curve.size, curve.predicted, group=name),
            ]
    drawn: dict[str, list[plots.Plot]] = {picture: [] for picture in windows}
    for key, panel in POWER_LAWS.items():
        last = max(x for one in series[key] for x in one.x if x is not None)
        low, high = windows[panel.picture]
        drawn[panel.picture].append(
            plots.log_log(
                f"dimension-table-{plots.slug(key)}",
                panel.title,
                panel.alt,
                panel.labels,
                series[key],
                (low, max(low, min(high, last))),
                growth=panel.picture == "balls",
                figure=f"dimension-table-{panel.picture}",
            )
        )
    return [
        plot
        for panels in drawn.values()
        for plot in (*panels, *(plots.residual(one, (0.5, 2.0)) for one in panels))
    ]


def torus_plot(lattice: LatticeCurves, claim: Claim) -> plots.Plot:
    """Return what crosses at p_c of bond percolation on two tori, where that of the small one rises.

    Parameters
    ----------
    lattice : LatticeCurves
    claim : Claim
        On p_c of bond percolation.

    Returns
    -------
    Plot
    """
    words, curves = lattice.crossing_words, lattice.crossing_curves("bond")
    small = curves[0].mean("mean")
    p = curves[0].size
    if lattice.dimension < MEAN_FIELD_DIMENSION and np.any((small > 0.02) & (small < 0.98)):
        p = p[(small > 0.02) & (small < 0.98)]
    near = [curve.within((float(p[0]), float(p[-1]))) for curve in curves]
    level = float(np.interp(claim.measured, curves[0].size, small))
    top = max(float(curve.mean("mean").max()) for curve in near)
    return plots.linear(
        f"dimension-table-wrapping-{lattice.dimension}",
        f"d = {lattice.dimension}: bond percolation on two tori",
        f"{words} against p; those of a small and a large torus cross at p_c.",
        ("p", "share that wraps" if words.startswith("wrapping") else "largest / V^(2/3)"),
        (
            *(
                plots.curve(f"L = {length}", curve, how="mean")
                for length, curve in zip(lattice.lengths, near, strict=True)
            ),
            plots.line(
                *("crossing", "measured", [claim.measured], level),
                joined=False,
                group="crossing",
            ),
            plots.line(
                "crossing, 95% interval", "reference", claim.interval, level, group="crossing"
            ),
            plots.line("p_c of the literature", "theory", 2 * [claim.predicted], [0.0, top]),
        ),
        figure="dimension-table-wrapping",
    )
