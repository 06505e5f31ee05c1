"""Labels of made points, and what is known about them."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.rng import Streams

FloatArray: TypeAlias = npt.NDArray[np.float64]
Standardize: TypeAlias = Literal["cluster", "all"]

#: Random sites of a huge cluster from which mean and variance of its labels are taken.
REFERENCE_SITES = 1024


def linear_weights(dim: int, streams: Streams) -> FloatArray:
    """Return the direction of a linear label: standard normal, shape (d,). Stream ``target``.

    Parameters
    ----------
    dim : int
    streams : Streams

    Returns
    -------
    array of float64, shape (d,)
    """
    return streams.generator("target").standard_normal(dim)


def linear_values(points: npt.NDArray[np.float32], weights: FloatArray) -> FloatArray:
    """Return w.x of every point in float64, in blocks, so that no second copy of X is made.

    Parameters
    ----------
    points : array of float32, shape (n, d)
    weights : array of float64, shape (d,)

    Returns
    -------
    array of float64, shape (n,)
    """
    y = np.empty(points.shape[0])
    rows = max(1, min(1 << 12, y.size, (1 << 27) // points.shape[1]))
    buffer = np.empty((rows, points.shape[1]))
    for low in range(0, y.size, rows):
        block = points[low : low + rows]
        part = buffer[: block.shape[0]]
        part[...] = block
        np.matmul(part, weights, out=y[low : low + rows])
    return y


def standardized(values: FloatArray, reference: int | None = None) -> FloatArray:
    """Return values shifted and scaled to mean 0 and variance 1 over the first `reference`, or all.

    Values without variance become 0.

    Parameters
    ----------
    values : array of float64, shape (n,)
    reference : int or None

    Returns
    -------
    array of float64, shape (n,)
    """
    known = values[:reference]
    y = values - known.mean()
    return np.asarray(y / (y[:reference].std() or 1.0))


def standardized_by_cluster(values: FloatArray, cluster: npt.NDArray[np.int64]) -> FloatArray:
    """Return values of mean 0 and variance 1 over the points of each cluster; 0 without variance.

    Parameters
    ----------
    values : array of float64, shape (n,)
    cluster : array of int64, shape (n,)
        Cluster of each point.

    Returns
    -------
    array of float64, shape (n,)
    """
    count = np.maximum(np.bincount(cluster), 1)
    y = values - (np.bincount(cluster, values) / count)[cluster]
    scale = np.sqrt(np.bincount(cluster, y * y) / count)
    scale[count == 1] = 0.0
    return np.asarray(y / np.where(scale > 0.0, scale, 1.0)[cluster])


def labels_over_all(points: npt.NDArray[np.float32], labels: str, streams: Streams) -> FloatArray:
    """Return linear labels of mean 0 and variance 1 over all points, or zeros.

    Parameters
    ----------
    points : array of float32, shape (n, d)
    labels : str
    streams : Streams

    Returns
    -------
    array of float64, shape (n,)
    """
    if labels == "none":
        return np.zeros(points.shape[0])
    return standardized(linear_values(points, linear_weights(points.shape[1], streams)))


def labels_of_structure(points: FloatArray, streams: Streams) -> FloatArray:
    """Return linear labels of variance 1 of points in float64, shape (n, d), about their mean.

    Parameters
    ----------
    points : array of float64, shape (n, d)
    streams : Streams

    Returns
    -------
    array of float64, shape (n,)
    """
    y = (points - points.mean(axis=0)) @ linear_weights(points.shape[1], streams)
    return np.asarray(y / (y.std() or 1.0))


def target_truth(target: str, dimension: float) -> dict[str, Any]:
    """Return what is known of one structure of the given dimension with linear labels, or with none.

    A linear function is learned by nearest neighbours with c = 2, as squared distances shrink:
    loss ~ n^(-2/D).

    Parameters
    ----------
    target : str
    dimension : float

    Returns
    -------
    dict
    """
    if target == "none":
        return {"target": target}
    return {
        "target": target,
        "approximation_order": 2.0,
        "cluster_exponent": 2.0 / dimension,
    }
