"""Losses that linear learners are expected to have on random functions of known covariance, exactly.

A learner is linear if its predictions are A y for the values y of its training points, with A made of
the points alone: neighbours and kernels are. On a function f of mean 0 and covariance C its error at a
query q has the mean square E (f(q) - sum_i A_i f(x_i))^2, which C alone gives. It is divided by the
expected variance of f over the queries: a ratio of means, where a measured loss is a mean of ratios.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from percolaw.numerics.covariance import Covariance, cholesky, row_blocks
from percolaw.numerics.neighbors import nearest_neighbors

FloatArray = npt.NDArray[np.float64]

#: Queries over which is averaged, at most.
MOST_QUERIES = 1000


def neighbors_loss(
    covariance: Covariance,
    points: FloatArray,
    queries: FloatArray,
    sizes: npt.NDArray[np.int64],
    k: int,
) -> FloatArray:
    """Return the expected loss of k nearest neighbours among the first n points, for every n.

    Parameters
    ----------
    covariance : Covariance
        Of the random functions.
    points, queries : array of float64, shapes (n, d) and (m, d)
    sizes : array of int64
    k : int

    Returns
    -------
    array of float64, shape (n_sizes,)

    Notes
    -----
    A search a size, and O(m k^2) covariances.
    """
    q = queries[:MOST_QUERIES]
    step = max(1, 64 // (k + 1))
    loss = np.empty(len(sizes))
    for j, n in enumerate(sizes):
        index = nearest_neighbors(points[:n], q, k)[1]
        total = 0.0
        for low in range(0, q.shape[0], step):
            near = points[index[low : low + step]]
            ends = np.concatenate([q[low : low + step, None], near], axis=1)
            count = ends.shape[0]
            flat = ends.reshape(count * (k + 1), -1)
            matrix = covariance(flat, flat)
            matrix[np.diag_indices(flat.shape[0])] = covariance.diagonal(flat)
            own = matrix.reshape(count, k + 1, count, k + 1)[np.arange(count), :, np.arange(count)]
            weight = np.full(k + 1, -1.0 / k)
            weight[0] = 1.0
            total += float(np.einsum("iab,a,b->", own, weight, weight))
        loss[j] = total / q.shape[0]
    return loss / _variance(covariance, q)


def kernel_loss(
    covariance: Covariance,
    points: FloatArray,
    queries: FloatArray,
    sizes: npt.NDArray[np.int64],
    kernel: Covariance,
    ridge: float,
) -> FloatArray:
    """Return the expected loss of a kernel regression on the first n points, for every n.

    The functions are centred: their mean over all points and queries is 0, as of standardised values.

    Parameters
    ----------
    covariance : Covariance
        Of the random functions.
    points, queries : array of float64, shapes (n, d) and (m, d)
    sizes : array of int64
    kernel : Covariance
        Of the learner.
    ridge : float

    Returns
    -------
    array of float64, shape (n_sizes,)

    Raises
    ------
    ResourceError
        If the matrix, 8 n^2 bytes, does not fit in memory.

    Notes
    -----
    A factorisation, and for every size n^2 m multiplications and n^2 covariances.
    """
    from scipy.linalg import cho_solve

    q, largest = queries[:MOST_QUERIES], int(sizes[-1])
    x = points[:largest]
    everything = np.concatenate([x, queries])
    mean_x, mean_q = (_means(covariance, part, everything) for part in (x, q))
    mean = float(_means(covariance, everything, everything).mean())
    factor, _ = cholesky(kernel, x, ridge)
    loss = np.empty(len(sizes))
    for j, n in enumerate(sizes):
        known = x[:n]
        weight = cho_solve((factor[:n, :n], True), kernel(known, q), check_finite=False)
        rest = 1.0 - weight.sum(axis=0)
        square = covariance.diagonal(q) - 2.0 * rest * mean_q + rest**2 * mean
        square += 2.0 * rest * (mean_x[:n] @ weight)
        for rows in row_blocks(int(n), int(n)):
            part = weight[rows]
            square += np.einsum("ij,ij->j", part, covariance(known[rows], known) @ weight)
            square -= 2.0 * np.einsum("ij,ij->j", part, covariance(known[rows], q))
        loss[j] = square.mean()
    return loss / _variance(covariance, q)


def _variance(covariance: Covariance, q: FloatArray) -> float:
    """Expected variance over the queries."""
    return float(covariance.diagonal(q).mean() - _means(covariance, q, q).mean())


def _means(covariance: Covariance, x: FloatArray, y: FloatArray) -> FloatArray:
    """Mean covariance of each x with all y."""
    out = np.empty(x.shape[0])
    for rows in row_blocks(x.shape[0], y.shape[0]):
        out[rows] = covariance(x[rows], y).mean(axis=1)
    return out
