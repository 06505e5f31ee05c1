"""The dilution number: how far the bonds of a class are above the threshold of its own graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis.adjacency import Ids, SiteGraph
from percolaw.analysis.sweep import classes, graph_sweep, opened
from percolaw.rng import RandomLike
from percolaw.short import short_repr

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Numbers of open bonds at which a class is looked at, as parts of all bonds of the largest class.
RECORDS = 400


@dataclass(frozen=True, eq=False)
class Dilution:
    """The dilution number of each class.

    Attributes
    ----------
    n_sites : array of int64, shape (n_classes,)
    number : array of float64, shape (n_classes,)
        Open bonds over those at the threshold, where the susceptibility peaks: p/p_c for independent
        bonds. NaN for classes too small to tell.
    """

    n_sites: Ids
    number: FloatArray

    __repr__ = short_repr


def dilution(
    graph: SiteGraph,
    is_open: npt.NDArray[np.bool_] | None = None,
    key: npt.ArrayLike | None = None,
    rng: RandomLike = 0,
    *,
    least: int = 200,
    n_orders: int = 8,
) -> Dilution:
    """Find, class by class, at which share of its open bonds the largest cluster forms.

    The open bonds of a class are opened in random order, then its closed ones: the threshold may lie
    beyond what is open.

    Parameters
    ----------
    graph : SiteGraph
    is_open : array of bool, shape (n_bonds,), optional
        All if None: then no number is below 1.
    key : array of int, shape (n_sites,), optional
        Class of each site; one class if None. A threshold of bonds in several classes means nothing.
    rng : int, Generator or Streams
        Stream ``analysis``.
    least : int
        Sites below which a class is too small.
    n_orders : int
        Random orders over which the susceptibility is averaged.

    Returns
    -------
    Dilution

    Raises
    ------
    ValueError
        If there is not one class a site, or one value a bond.

    Notes
    -----
    Susceptibility: the sum of s^2 without the largest cluster, a site. Its peak in finite graphs is
    that of a parabola through the highest record and its neighbours, in the logarithm.
    """
    group, joins = classes(graph, key), opened(graph, is_open)
    sizes = np.bincount(group[group >= 0])
    large = np.flatnonzero(sizes >= checks.integer("least", least, minimum=2))
    number = np.full(sizes.size, np.nan)
    if not large.size:
        return Dilution(sizes, number)
    for label in large:
        inside = group == label
        sites = np.flatnonzero(inside)
        bonds = inside[graph.low] & inside[graph.high]
        if not np.any(bonds & joins):
            continue
        number[label] = _number(graph.only(bonds).part(sites), joins[bonds], rng, n_orders)
    return Dilution(sizes, number)


def _number(
    graph: SiteGraph, is_open: npt.NDArray[np.bool_], rng: RandomLike, n_orders: int
) -> float:
    at = np.unique(np.linspace(0, graph.n_bonds, RECORDS).astype(np.int64))
    swept = graph_sweep(graph, rng, n_open=at, is_open=is_open, n_orders=n_orders)
    height = swept.susceptibility()[0]
    top = int(np.argmax(height))
    place = float(at[top])
    if 0 < top < at.size - 1 and min(height[top - 1], height[top + 1]) > 0.0:
        left, middle, right = np.log(height[top - 1 : top + 2])
        bend = left - 2.0 * middle + right
        shift = 0.5 * (left - right) / bend if bend < 0.0 else 0.0
        place += shift * float(at[top + 1] - at[top])
    return float(np.count_nonzero(is_open)) / max(place, 1.0)
