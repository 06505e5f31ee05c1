"""Clusters met in a box, learned: losses on one and on all, placed and random labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments import labelled
from percolaw.experiments.labelled import LabelledClusters
from percolaw.laws import allocation, single_cluster
from percolaw.scaling import fit

FloatArray = labelled.FloatArray


def single_curve(
    data: LabelledClusters, n: FloatArray, item: int, n_test: int = 2000
) -> FloatArray:
    """Return the 1-NN loss on the first (largest) cluster with n observed sites in the mean.

    Parameters
    ----------
    data : LabelledClusters
    n : array, shape (n_sizes,)
        Mean numbers of observed sites.
    item : int
        First of the streams' items, one a size.
    n_test : int
        Test sites at each size.

    Returns
    -------
    array of float64, shape (n_sizes,)
    """
    out = np.empty(n.size)
    rate, count = np.zeros(data.tree.n_clusters), np.zeros(data.tree.n_clusters, dtype=np.int64)
    count[0] = n_test
    for i, value in enumerate(n):
        rate[0] = value / data.tree.sizes[0]
        out[i] = labelled.cluster_losses(data, rate, count, item + i, ("nearest",))[0, 0]
    return out


def euclidean_curve(
    data: LabelledClusters, coordinates: Any, n: FloatArray, n_test: int = 2000
) -> FloatArray:
    """Return the loss on the first cluster of 1-NN in space, blind to bonds, with n sites drawn.

    Parameters
    ----------
    data : LabelledClusters
    coordinates : array, shape (n_sites, d)
        Of all sites, those of the first cluster first.
    n : array, shape (n_sizes,)
        Numbers of sites drawn; each is rounded.
    n_test : int
        Test sites, the same at each size.

    Returns
    -------
    array of float64, shape (n_sizes,)
    """
    from percolaw.numerics.neighbors import nearest_neighbors

    size = int(data.tree.sizes[0])
    test = data.streams.generator("evaluation").integers(0, size, n_test)
    order = data.streams.generator("split").permutation(size)
    out = np.empty(n.size)
    for i, count in enumerate(n):
        train = order[: round(count)]
        near = nearest_neighbors(coordinates[train], coordinates[test])[1][:, 0]
        out[i] = np.mean((data.value[train[near]] - data.value[test]) ** 2)
    return out


def placed_rates(data: LabelledClusters, total: float, gamma: float, factor: float) -> FloatArray:
    """Return the rates at which clusters are observed with points placed by the optimal allocation.

    Parameters
    ----------
    data : LabelledClusters
    total : float
        Points.
    gamma, factor : float
        Exponent and scale factor of a cluster's curve.

    Returns
    -------
    array of float64, shape (n_clusters,)
    """
    capacity = allocation.weighted_allocation(total / factor, data.share, gamma)
    return np.asarray(np.minimum(capacity * factor / data.tree.sizes, labelled.RATE_CAP))


def random_rates(data: LabelledClusters, total: float) -> FloatArray:
    """Return the rates of points drawn at random from all sites kept.

    Parameters
    ----------
    data : LabelledClusters
    total : float
        Points.

    Returns
    -------
    array of float64, shape (n_clusters,)
    """
    return np.full(data.tree.n_clusters, min(total / data.tree.n_sites, labelled.RATE_CAP))


def predicted_loss(data: LabelledClusters, rate: FloatArray, gamma: float, factor: float) -> float:
    """Return the finite-size prediction: sum over the clusters drawn of share max(n_k / f, 1)^-gamma.

    Parameters
    ----------
    data : LabelledClusters
    rate : array, shape (n_clusters,)
        Probability that a site is observed.
    gamma, factor : float
        Exponent and scale factor of a cluster's curve.

    Returns
    -------
    float
    """
    loss = single_cluster.single_cluster_loss(rate * data.tree.sizes, gamma, factor)
    return float(loss @ data.share)


def scale_factor(n: FloatArray, loss: FloatArray, gamma: float) -> float:
    """Return f of max(n / f, 1)^-gamma fitted to a cluster's curve; 1 where gamma is 0.

    Parameters
    ----------
    n, loss : array, shape (n_sizes,)
        Sizes, and losses >= 0.
    gamma : float

    Returns
    -------
    float
    """
    return fit.fit_scale_factor(n, loss, gamma) if gamma > 0.0 and n.size else 1.0


def grid(start: float, stop: float, per_decade: int) -> FloatArray:
    """Return sizes start * 10^(j / per_decade) up to stop, the same ones whatever stop is.

    Parameters
    ----------
    start, stop : float
    per_decade : int

    Returns
    -------
    array of float64
        Empty if stop is below start.
    """
    if stop < start:
        return np.zeros(0)
    j = np.arange(int(np.floor(per_decade * np.log10(stop / start) + 1e-9)) + 1)
    return np.asarray(start * 10.0 ** (j / per_decade))
