"""What clusters of a graph look like in a few numbers, the same for data, parts of them and nulls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.analysis.adjacency import SiteGraph
from percolaw.analysis.fragility import fragility
from percolaw.numerics.partitions import adjusted_rand
from percolaw.rng import RandomLike

#: The numbers, and what each says.
STATISTICS = {
    "agreement": "share of the bonds that join elements of one class",
    "largest": "share of the elements in the largest cluster",
    "log_size": "mean logarithm of the size of an element's cluster",
    "broken": "share of its bonds that a cluster must lose to break; mean of logarithms over elements",
    "fragility": "exponent of that share in the size of clusters",
    "thinned": "adjusted Rand index of the clusters of half of the elements, found again in that half",
}


def cluster_statistics(
    graph: SiteGraph,
    half: SiteGraph,
    label: npt.NDArray[np.integer[Any]],
    rng: RandomLike = 0,
    *,
    n_orders: int = 4,
    names: Sequence[str] = tuple(STATISTICS),
) -> dict[str, float]:
    """Return the `STATISTICS` of the clusters of adjacent elements of one class.

    Parameters
    ----------
    graph : SiteGraph
    half : SiteGraph
        Adjacency among the first sites alone.
    label : array of int, shape (n_sites,)
        Class of each site.
    rng : int, Generator or Streams
        Stream ``analysis``.
    n_orders : int
        Of `fragility`.
    names : sequence of str
        Which of them; ``broken`` and ``fragility`` take nine tenths of the time.

    Returns
    -------
    dict of str to float
        NaN where no cluster is large enough to tell.
    """
    is_open = label[graph.low] == label[graph.high]
    bonds = graph.only(is_open)
    cluster = bonds.clusters()
    size = np.bincount(cluster).astype(np.float64)
    values = {
        "agreement": float(is_open.mean()) if is_open.size else math.nan,
        "largest": float(size.max() / size.sum()),
        "log_size": float(size @ np.log(size) / size.sum()),
    }
    if "broken" in names or "fragility" in names:
        pieces = fragility(bonds, cluster, rng, least=32, n_orders=n_orders)
        weight = pieces.size / max(pieces.size.sum(), 1)
        values["broken"] = (
            math.exp(float(weight @ np.log(pieces.broken))) if pieces.size.size else math.nan
        )
        values["fragility"] = pieces.exponent
    if "thinned" in names:
        again = half.clusters(label[half.low] == label[half.high])
        values["thinned"] = adjusted_rand(cluster[: half.n_sites], again)
    return {name: values[name] for name in names}


def critical_bonds(graph: SiteGraph, rng: RandomLike = 0, n_orders: int = 16) -> float:
    """Return the share of bonds, opened at random, at which the largest cluster of a graph forms.

    Parameters
    ----------
    graph : SiteGraph
    rng : int, Generator or Streams
        Stream ``analysis``.
    n_orders : int
        Orders over which the susceptibility, whose peak is the threshold, is averaged.

    Returns
    -------
    float
        At most 1.
    """
    from percolaw.analysis.dilution import dilution

    number = dilution(graph, rng=rng, least=2, n_orders=n_orders).number[0]
    return 1.0 if math.isnan(number) else min(1.0, 1.0 / float(number))
