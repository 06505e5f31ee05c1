"""Through the transition on one lattice: cluster sizes, the two laws at p_c, and the largest cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from percolaw.experiments import plots
from percolaw.experiments.base import Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.lattices import boxes
from percolaw.experiments.lattices.boxes import BETHE, common_curve, label
from percolaw.experiments.series import Series
from percolaw.scaling.curve import LearningCurve

#: Rows of one lattice by p / p_c.
ByRatio: TypeAlias = Mapping[float, list[Row]]

#: The whole box as one cluster (p = 1): the manifold that the giant cluster is held against.
FULL = 0.0


def survival(rows: list[Row]) -> LearningCurve:
    """Return P(S >= s) of the cluster of a random site, usable where no seed is without such clusters."""
    share = np.array([r["survival"] for r in rows])
    return LearningCurve(boxes.SURVIVAL_SIZES, share, np.all(share > 0.0, axis=0))


def size_plot(
    dimension: int, by_ratio: ByRatio, tau: Claim | None, window: tuple[float, float]
) -> plots.Plot:
    """Return cluster sizes at every p.

    Parameters
    ----------
    dimension : int
    by_ratio : mapping
        Rows by p / p_c.
    tau : Claim, optional
        On the slope at p_c.
    window : (low, high)
        Sizes of that slope.

    Returns
    -------
    Plot
    """
    series = []
    for ratio, rows in sorted(by_ratio.items()):
        if ratio == FULL:
            continue
        name, curve = _name(ratio), survival(rows).within(None)
        on_slope = tau if ratio == 1.0 else None
        said = [] if on_slope is None else [on_slope]
        series.append(plots.curve(name, curve, how="mean", claims=said, group=name))
        if on_slope is not None:
            law = curve.beside_power_law(on_slope.predicted - 2.0, window)
            power = f"{name}, the literature's power law"
            series.append(plots.line(power, "theory", law.size, law.predicted, group=name))
    return plots.log_log(
        f"regimes-sizes-{dimension}",
        f"{label(dimension)}: cluster of a random site",
        "Share of sites whose cluster has at least s sites, from far below to far above p_c.",
        ("size s", "P(S >= s)"),
        series,
        None if tau is None else window,
        fit=False,
        figure="regimes-sizes",
        y_limits=(1e-4, 1.5),
        ordered=True,
    )


def law_plot(
    dimension: int, rows: list[Row], claims: Mapping[str, Claim], window: tuple[float, float]
) -> plots.Plot:
    """Return data and model law at p_c with the prediction on the same clusters.

    Parameters
    ----------
    dimension : int
    rows : list of Row
        Of p_c.
    claims : mapping of Claim
        On the exponents, by "random" and "placed"; may lack them.
    window : (low, high)
        Points on which exponents are fitted.

    Returns
    -------
    Plot
    """
    series = []
    for key, name in (("random", "data law"), ("placed", "model law")):
        curve, theory = (common_curve(rows, "t", k) for k in (key, f"{key}_predicted"))
        law = f"{name}, predicted on the clusters drawn"
        stored = [claims[key]] if key in claims else []
        series += [
            plots.curve(name, curve, claims=stored, prediction=law, group=name),
            plots.line(law, "theory", theory.size, theory.mean(), group=name),
        ]
    return plots.log_log(
        f"regimes-{dimension}",
        f"{label(dimension)} at p_c: points at random, and placed",
        "Loss on all clusters met by random sites against the number of points, at random (data law) and "
        "placed optimally (model law), with the prediction on the same clusters.",
        ("training points T", "loss"),
        series,
        window if claims else None,
        figure="regimes-laws",
    )


def crossover_plots(dimension: int, by_ratio: ByRatio) -> tuple[plots.Plot, ...]:
    """Return local exponents on the largest cluster from p_c on: nearest along bonds, and in space.

    Parameters
    ----------
    dimension : int
    by_ratio : mapping
        Rows by p / p_c.

    Returns
    -------
    tuple of Plot
        One on the Bethe lattice, which lies in no space.
    """
    nearest = {"single": "along bonds"} | ({} if dimension == BETHE else {"space": "in space"})
    return tuple(_crossover(dimension, by_ratio, key, words) for key, words in nearest.items())


def _crossover(dimension: int, by_ratio: ByRatio, key: str, words: str) -> plots.Plot:
    series: list[Series] = []
    for ratio, rows in sorted(by_ratio.items(), key=lambda item: item[0] or np.inf):
        if ratio == FULL or ratio >= 1.0:
            series.append(plots.local(_name(ratio), common_curve(rows, "n", key), smooth=True))
    below, above = (boxes.cluster_exponent(dimension, side) for side in (False, True))
    ends = [10.0, max(x for one in series for x in one.x if x is not None)]
    series.append(plots.line("c/D", "theory", ends, [below, below]))
    if above:
        series.append(plots.line("c/d", "reference", ends, [above, above]))
    return plots.log_linear(
        f"regimes-crossover-{dimension}-{key}",
        f"{label(dimension)}, nearest {words}",
        "Local exponents on the largest cluster: the fractal's c/D at p_c and inside the correlation "
        "length, the manifold's c/d beyond it.",
        ("observed sites n", "local exponent"),
        series,
        figure="regimes-crossover",
        y_limits=(0.0, 2.0 * below),
        ordered=True,
    )


def diagram(dimension: int, by_ratio: ByRatio) -> dict[str, Any]:
    """Return local exponents of the data law at every p, and what the boxes are like.

    Parameters
    ----------
    dimension : int
    by_ratio : mapping
        Rows by p / p_c.

    Returns
    -------
    dict
        ``label``; ``below`` and ``above``: the exponents c/D and c/d; ``table``: a dict for
        every p.
    """
    table = []
    for ratio, rows in by_ratio.items():
        keys = ("largest_share", "cutoff", "loops_per_site", "largest", "total", "kept_share")
        entry: dict[str, Any] = {key: float(np.mean([r[key] for r in rows])) for key in keys}
        entry |= {"ratio": ratio, "probability": rows[0]["probability"], "n_seeds": len(rows)}
        if ratio != FULL:
            curve = common_curve(rows, "t", "random")
            entry |= {"t": curve.size, "local": curve.local(smooth=True)}
        table.append(entry)
    return {
        "label": label(dimension),
        "below": boxes.cluster_exponent(dimension, False),
        "above": boxes.cluster_exponent(dimension, True),
        "table": table,
    }


def _name(ratio: float) -> str:
    return "p = 1" if ratio == FULL else "p_c" if ratio == 1.0 else f"{ratio:g} p_c"
