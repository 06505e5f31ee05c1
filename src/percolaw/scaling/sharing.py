"""A budget of labels shared among very many clusters that all have one learning curve."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.laws import allocation, single_cluster

FloatArray: TypeAlias = npt.NDArray[np.float64]


def binned_weights(
    rank_exponent: float, n_clusters: int, exact: int = 1000
) -> tuple[FloatArray, FloatArray]:
    """Return weights k^-(1 + alpha) of clusters by rank k, those of high ranks in bins.

    Parameters
    ----------
    rank_exponent : float
        alpha.
    n_clusters : int
    exact : int
        Ranks beyond it are put into bins 2% wide, with the mean weight of each.

    Returns
    -------
    weight, count : array of float64, shape (n_bins,)
        Weight of one cluster, normalised over all ranks, and how many clusters have it.
    """
    edges = np.arange(1, min(exact, n_clusters) + 1, dtype=np.float64)
    if n_clusters > exact:
        more = np.geomspace(exact + 1, n_clusters + 1, int(50 * np.log(n_clusters / exact)) + 2)
        edges = np.concatenate([edges, np.unique(np.rint(more))])
    else:
        edges = np.append(edges, n_clusters + 1)
    # Sums of k^-(1 + alpha) between the edges, by the Hurwitz zeta function.
    from scipy.special import zeta

    tail = zeta(1.0 + rank_exponent, edges)
    count = np.diff(edges)
    weight = -np.diff(tail) / count
    return weight / float(weight @ count), count


def discrete_laws(
    budgets: FloatArray, weight: FloatArray, count: FloatArray, cluster_exponent: float
) -> tuple[FloatArray, FloatArray]:
    """Return data and model law summed over clusters, for single losses max(n, 1)^-gamma.

    Parameters
    ----------
    budgets : array, shape (n_budgets,)
    weight, count : array, shape (n_bins,)
        As from `binned_weights`.
    cluster_exponent : float
        gamma.

    Returns
    -------
    data, model : array of float64, shape (n_budgets,)
        Labels in proportion to weight, and by the optimal allocation.
    """
    gamma, mass = cluster_exponent, weight * count
    data = [float(mass @ single_cluster.single_cluster_loss(t * weight, gamma)) for t in budgets]
    best = [allocation.weighted_allocation(t, weight, gamma, count) for t in budgets]
    model = [float(mass @ single_cluster.single_cluster_loss(n, gamma)) for n in best]
    return np.array(data), np.array(model)


def proportional_losses(
    budgets: FloatArray, weight: FloatArray, count: FloatArray, size: FloatArray, loss: FloatArray
) -> FloatArray:
    """Return the weighted loss of each budget where a cluster has a Poisson number of labels.

    Parameters
    ----------
    budgets : array, shape (n_budgets,)
    weight, count : array, shape (n_bins,)
        As from `binned_weights`.
    size, loss : array, shape (n_sizes,)
        Learning curve of a cluster; sizes rise from 0.

    Returns
    -------
    array of float64, shape (n_budgets,)
    """
    mass = weight * count
    return np.array([mass @ poisson_mean(t * weight, size, loss) for t in budgets])


def equal_losses(
    budgets: FloatArray, count: FloatArray, size: FloatArray, loss: FloatArray
) -> FloatArray:
    """Return the loss of each budget where all clusters have equally many labels, or one more.

    Parameters
    ----------
    budgets : array, shape (n_budgets,)
    count : array, shape (n_bins,)
        As from `binned_weights`.
    size, loss : array, shape (n_sizes,)
        Learning curve of a cluster; sizes rise from 0.

    Returns
    -------
    array of float64, shape (n_budgets,)
    """
    mean = np.asarray(budgets) / count.sum()
    low = np.floor(mean)
    part = mean - low
    return np.asarray(
        (1.0 - part) * loss_at(low, size, loss) + part * loss_at(low + 1.0, size, loss)
    )


def poisson_mean(mean: FloatArray, size: FloatArray, loss: FloatArray) -> FloatArray:
    """Return the expectation of a learning curve over a Poisson number of labels.

    Parameters
    ----------
    mean : array, shape (n,)
        Mean numbers of labels; from 50 on the loss at the mean is taken, to which the expectation is
        close.
    size, loss : array, shape (n_sizes,)
        The curve; sizes rise from 0.

    Returns
    -------
    array of float64, shape (n,)
    """
    from scipy.special import gammaln

    counts = np.arange(101)
    values = loss_at(counts.astype(np.float64), size, loss)
    few = mean < 50.0
    out = loss_at(mean, size, loss)
    some = np.maximum(mean[few], 1e-300)[:, None]
    weight = np.exp(counts * np.log(some) - some - gammaln(counts + 1.0))
    out[few] = weight @ values
    return out


def loss_at(n: npt.ArrayLike, size: FloatArray, loss: FloatArray) -> FloatArray:
    """Return a learning curve between its sizes, straight in logarithms; 1 without any label.

    Below the least positive size and above the largest it is constant.

    Parameters
    ----------
    n : array
        Numbers of labels.
    size, loss : array, shape (n_sizes,)
        The curve; sizes rise from 0.

    Returns
    -------
    array of float64, of the shape of `n`
    """
    x = np.maximum(np.asarray(n, dtype=np.float64), 1e-12)
    between = np.exp(np.interp(np.log(x), np.log(size[1:]), np.log(loss[1:])))
    return np.where(np.asarray(n) <= 0.0, 1.0, between)
