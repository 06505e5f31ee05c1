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
#: Clusters that are looked at, at most.
MOST_CLUSTERS = 300


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
    """

    size: Ids
    broken: FloatArray
    exponent: float

    __repr__ = short_repr


def fragility(
    graph: SiteGraph,
    cluster: npt.ArrayLike,
    rng: RandomLike = 0,
    *,
    least: int = 64,
    n_orders: int = 8,
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
        Sites of the smallest clusters looked at; of these the largest `MOST_CLUSTERS`.
    n_orders : int
        Random orders in which bonds are removed.

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
    exp(t^2/2) erfc(t/sqrt 2) with t = (1 - q) sqrt(S/s2) for large S.
    """
    of_site = classes(graph, cluster)
    if of_site.min() < 0:
        raise ValueError(f"cluster must be numbers from 0; got {of_site.min()}.")
    sizes = np.bincount(of_site)
    chosen = np.argsort(-sizes, kind="stable")[:MOST_CLUSTERS]
    chosen = chosen[sizes[chosen] >= checks.integer("least", least, minimum=2)]
    size = sizes[chosen]
    if not size.size:
        return Fragility(size, np.zeros(0), math.nan)
    number = np.full(sizes.size, -1, dtype=np.int64)
    number[chosen] = np.arange(chosen.size)
    swept = graph_sweep(graph, rng, shares=SHARES, key=number[of_site], n_orders=n_orders)
    broken = _half(swept.whole())
    return Fragility(size, broken, _exponent(size, broken))


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


def _exponent(size: Ids, broken: FloatArray) -> float:
    """-d ln broken / d ln size by least squares; NaN of too few or too equal sizes."""
    at = float(np.exp(np.log(size).mean()))
    log_size, log_broken = np.log(size / at), np.log(broken)
    if size.size < 5 or np.ptp(log_size) < math.log(4.0):
        return math.nan
    x = log_size - log_size.mean()
    return -float(x @ log_broken / (x @ x))
