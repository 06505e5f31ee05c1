"""Fragility: how many of its bonds a cluster can lose before two of its sites are no longer joined."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis.adjacency import Ids, SiteGraph
from percolaw.analysis.sweep import classes, graph_sweep
from percolaw.rng import RandomLike
from percolaw.short import short_repr

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Shares of bonds kept at which a cluster is looked at: 1 - q evenly spaced in its logarithm.
SHARES: FloatArray = 1.0 - np.geomspace(0.999, 1e-4, 60)


@dataclass(frozen=True, eq=False)
class Fragility:
    """The share of bonds at which clusters break, and how it falls with their size.

    Attributes
    ----------
    size : array of int64, shape (n_clusters,)
        Sites of each cluster, largest first.
    broken : array of float64, shape (n_clusters,)
        1 - q_half: the share of bonds that must go until two sites are joined with probability 1/2.
    exponent : float
        Of broken ~ size^-exponent, by least squares of logarithms; NaN below 5 clusters or a factor
        of 4 in size.
    standard_error : float
    level : float
        The fitted line at `reference` sites; the geometric mean of `broken` where no line is fitted.
    reference : float
        Geometric mean of the sizes, or as given.
    """

    size: Ids
    broken: FloatArray
    exponent: float
    standard_error: float
    level: float
    reference: float

    __repr__ = short_repr


def fragility(
    graph: SiteGraph,
    cluster: npt.ArrayLike,
    rng: RandomLike = 0,
    *,
    least: int = 64,
    most_clusters: int = 300,
    n_orders: int = 8,
    reference: float | None = None,
) -> Fragility:
    """Measure at which share of its bonds each cluster breaks.

    Clusters of percolation at its threshold hang together by single bonds and break at
    1 - q ~ S^-sigma; compact ones hold to a share that does not depend on S.

    Parameters
    ----------
    graph : SiteGraph
        Its bonds are those within clusters (`SiteGraph.only`); bonds between clusters play no part.
    cluster : array of int, shape (n_sites,)
        From `SiteGraph.clusters`.
    rng : int, Generator or Streams
        Stream ``analysis``.
    least : int
        Sites of the smallest clusters looked at.
    most_clusters : int
        The largest so many are looked at.
    n_orders : int
        Random orders in which bonds are removed.
    reference : float, optional
        Size at which `level` is read.

    Returns
    -------
    Fragility

    Raises
    ------
    ValueError
        If there is not one cluster a site, numbered from 0.

    Notes
    -----
    F(q) is the mean of the sum of (s/S)^2 over the parts of a cluster when each bond stays with
    probability q. On trees of mean degree 2 and branching variance s2, F = 1 - t sqrt(pi/2)
    exp(t^2/2) erfc(t/sqrt 2) with t = (1 - q) sqrt(S/s2) for large S (`mean_field_whole`).
    """
    of_site = classes(graph, cluster)
    if of_site.min() < 0:
        raise ValueError(f"cluster must be numbers from 0; got {of_site.min()}.")
    sizes = np.bincount(of_site)
    chosen = np.argsort(-sizes, kind="stable")[: checks.integer("most_clusters", most_clusters)]
    chosen = chosen[sizes[chosen] >= checks.integer("least", least, minimum=2)]
    size = sizes[chosen]
    if not size.size:
        nan = math.nan
        return Fragility(size, np.zeros(0), nan, nan, nan, nan if reference is None else reference)
    number = np.full(sizes.size, -1, dtype=np.int64)
    number[chosen] = np.arange(chosen.size)
    swept = graph_sweep(graph, rng, shares=SHARES, key=number[of_site], n_orders=n_orders)
    broken = _half(swept.whole())
    at = float(np.exp(np.log(size).mean())) if reference is None else reference
    exponent, error, level = _line(np.log(size / at), np.log(broken))
    return Fragility(size, broken, exponent, error, level, at)


def mean_field_whole(t: npt.ArrayLike) -> FloatArray:
    """Return F for large critical trees, t = (1 - q) sqrt(S/s2); 1/2 at t = 0.6120.

    Parameters
    ----------
    t : float or array
        At least 0.

    Returns
    -------
    array of float64
        The law of a Brownian tree cut by a Poisson process: 1 - t sqrt(pi/2) exp(t^2/2) erfc(t/sqrt 2).
    """
    from scipy.special import erfcx

    x = checks.finite_array("t", t)
    return np.asarray(1.0 - x * math.sqrt(math.pi / 2.0) * erfcx(x / math.sqrt(2.0)))


def _half(whole: FloatArray) -> FloatArray:
    """1 - q at which each row of F, made monotone, is 1/2; between records in logarithms of 1 - q."""
    rising = np.maximum.accumulate(whole, axis=1)
    after = np.argmax(rising >= 0.5, axis=1)
    never = rising[:, -1] < 0.5
    after[never] = rising.shape[1] - 1
    before = np.maximum(after - 1, 0)
    row = np.arange(rising.shape[0])
    low, high = rising[row, before], rising[row, after]
    part = np.clip((0.5 - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0)
    log_gone = np.log(1.0 - SHARES)
    return np.asarray(np.exp(log_gone[before] + part * (log_gone[after] - log_gone[before])))


def _line(log_size: FloatArray, log_broken: FloatArray) -> tuple[float, float, float]:
    """Exponent, its standard error and the level at log size 0."""
    n = log_size.size
    if n < 5 or np.ptp(log_size) < math.log(4.0):
        return math.nan, math.nan, float(np.exp(log_broken.mean()))
    x = log_size - log_size.mean()
    slope = float(x @ log_broken / (x @ x))
    rest = log_broken - log_broken.mean() - slope * x
    error = math.sqrt(float(rest @ rest) / (n - 2) / float(x @ x))
    return -slope, error, float(np.exp(log_broken.mean() - slope * log_size.mean()))
