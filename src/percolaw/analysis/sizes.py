"""Sizes of clusters by weight, and whether those of the data are beyond those of a null."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw.analysis.percentile import Percentile, percentile

FloatArray = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClusterSizes:
    """How the sites are shared out among clusters, from `cluster_sizes`.

    Attributes
    ----------
    at_least : array of int64, shape (n_sizes,)
        1, 2, 4, ..., the largest power of two up to the number of sites.
    weight : array of float64, shape (n_sizes,)
        Share of the sites that lie in clusters of at least so many sites.
    n_clusters : int
    largest, second : float
        Share of the sites in the largest cluster and in the second largest.
    mean_without_largest : float
        Mean size of the cluster of a random site, the largest cluster counted as 0: (sum s^2 - S_1^2)/n.
    """

    at_least: Ids
    weight: FloatArray
    n_clusters: int
    largest: float
    second: float
    mean_without_largest: float


def cluster_sizes(cluster: npt.NDArray[np.integer]) -> ClusterSizes:
    """Summarise the sizes of clusters, each counted by its sites.

    Parameters
    ----------
    cluster : array of int, shape (n_sites,)
        Number of each site's cluster, from 0; numbers that do not occur are no clusters.

    Returns
    -------
    ClusterSizes

    Raises
    ------
    ValueError
        If there is no site.

    Examples
    --------
    >>> cluster_sizes(np.array([0, 0, 0, 1, 1, 2])).weight
    array([1.        , 0.83333333, 0.        ])
    """
    if cluster.size == 0:
        raise ValueError("cluster is empty; sizes of clusters need at least one site.")
    size = np.bincount(cluster)
    size = np.sort(size[size > 0])
    n = cluster.size
    at_least = 2 ** np.arange(int(np.log2(n)) + 1)
    beyond = np.append(np.cumsum(size[::-1])[::-1], 0)
    square = size.astype(np.float64) ** 2
    return ClusterSizes(
        at_least=at_least,
        weight=beyond[np.searchsorted(size, at_least)] / n,
        n_clusters=size.size,
        largest=float(size[-1] / n),
        second=float(size[-2] / n) if size.size > 1 else 0.0,
        mean_without_largest=float(square[:-1].sum() / n),
    )


@dataclass(frozen=True, eq=False)
class Beyond:
    """The sizes of the data's clusters among those of a null, from `beyond`.

    Attributes
    ----------
    p_value : float
        That the whole curve of weights is one of the null's.
    at_size : int
        The size at which it is farthest from them.
    sign : int
        1 if the data have more weight above that size, -1 if less, 0 if nothing differs.
    weights : tuple of Percentile
        Of the weight above each size, 1, 2, 4, ...; each for itself, so look at `p_value` first.
    largest, mean_without_largest : Percentile
    """

    p_value: float
    at_size: int
    sign: int
    weights: tuple[Percentile, ...]
    largest: Percentile
    mean_without_largest: Percentile


def beyond(data: ClusterSizes, draws: Sequence[ClusterSizes]) -> Beyond:
    """Hold the sizes of the data's clusters against those of draws of a null.

    The curve of weights is judged as a whole by T = max |w - mean|/sd over sizes, mean and sd over draws
    and data together, so that the data are one more draw: p is at most x with probability at most x.

    Parameters
    ----------
    data : ClusterSizes
    draws : sequence of ClusterSizes
        On graphs of as many sites.

    Returns
    -------
    Beyond

    Raises
    ------
    ValueError
        If there is no draw, or draws have another number of sizes.
    """
    if not draws or any(draw.weight.shape != data.weight.shape for draw in draws):
        raise ValueError(
            f"draws must be one or more ClusterSizes at {data.weight.size} sizes, as the data; got "
            f"{sorted({draw.weight.size for draw in draws})}. Draw with the number of sites of the data."
        )
    every = np.array([data.weight, *(draw.weight for draw in draws)])
    # Weights are sums of whole sites: what differs less than that does not differ.
    spread = np.maximum(every.std(axis=0), 1e-12)
    far = (every - every.mean(axis=0)) / spread
    far[:, np.ptp(every, axis=0) < 1e-12] = 0.0
    extreme = np.abs(far).max(axis=1)
    place = int(np.abs(far[0]).argmax())
    return Beyond(
        p_value=percentile(extreme[0], extreme[1:]).above,
        at_size=int(data.at_least[place]),
        sign=int(np.sign(far[0, place])),
        weights=tuple(percentile(w[0], w[1:]) for w in every.T),
        largest=percentile(data.largest, [draw.largest for draw in draws]),
        mean_without_largest=percentile(
            data.mean_without_largest, [draw.mean_without_largest for draw in draws]
        ),
    )
