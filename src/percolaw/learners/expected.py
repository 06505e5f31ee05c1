"""Losses that linear learners are expected to have on random functions of known covariance.

A learner is linear if its predictions are A y for the values y of its training points, with A made of
the points alone: neighbours and kernels are. On a Gaussian function f of mean 0 and covariance C its
error at a query q has the mean square E (f(q) - sum_i A_i f(x_i))^2, which C alone gives.

A loss is that error over the variance V of f among the queries, and of few functions V scatters. So the
mean square is taken given V, to first order: E[error] + slope (V - E[V]), slope = Cov(error, V) / Var(V),
where both follow from C: Cov(a^2, b^2) = 2 Cov(a, b)^2. Where nothing is learned the slope is 1 and the
loss too, and where only the finest scales are left it is 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from percolaw.numerics.covariance import Covariance, cholesky, row_blocks
from percolaw.numerics.neighbors import nearest_neighbors

FloatArray = npt.NDArray[np.float64]

#: Queries over which is averaged, at most: a few per cent of scatter, and less work than the fits.
MOST_QUERIES = 300


def neighbors_loss(
    covariance: Covariance,
    points: FloatArray,
    queries: FloatArray,
    sizes: npt.NDArray[np.int64],
    variance: float,
    k: int,
) -> FloatArray:
    """Return the expected loss of k nearest neighbours among the first n points, for every n.

    Parameters
    ----------
    covariance : Covariance
        Of the random functions.
    points, queries : array of float64, shapes (n, d) and (m, d)
    sizes : array of int64
    variance : float
        Of the function drawn, over the queries.
    k : int

    Returns
    -------
    array of float64, shape (n_sizes,)

    Notes
    -----
    A search a size, and O(m k^2 + m^2 k) covariances; of m = 300 queries at most.
    """
    q, weight = queries[:MOST_QUERIES], np.full(k + 1, -1.0 / k)
    weight[0] = 1.0
    step = max(1, 64 // (k + 1))
    error, slope = np.empty(len(sizes)), np.empty(len(sizes))
    for j, n in enumerate(sizes):
        index = nearest_neighbors(points[:n], q, k)[1]
        total, common = 0.0, np.empty((q.shape[0], q.shape[0]))
        for low in range(0, q.shape[0], step):
            near = points[index[low : low + step]]
            ends = np.concatenate([q[low : low + step, None], near], axis=1)
            count = ends.shape[0]
            flat = ends.reshape(count * (k + 1), -1)
            matrix = covariance(flat, flat)
            matrix[np.diag_indices(flat.shape[0])] = covariance.diagonal(flat)
            itself = matrix.reshape(count, k + 1, count, k + 1)[
                np.arange(count), :, np.arange(count)
            ]
            total += float(np.einsum("iab,a,b->", itself, weight, weight))
            beside = covariance(flat, q).reshape(count, k + 1, -1)
            common[low : low + step] = np.einsum("iaj,a->ij", beside, weight)
        error[j], slope[j] = total / q.shape[0], _square(common)
    return _given_variance(covariance, q, error, slope, variance)


def kernel_loss(
    covariance: Covariance,
    points: FloatArray,
    queries: FloatArray,
    sizes: npt.NDArray[np.int64],
    variance: float,
    learner: tuple[Covariance, float],
) -> FloatArray:
    """Return the expected loss of a kernel regression on the first n points, for every n.

    The functions are centred, as standardised values are: their mean over the points used and all
    queries is 0.

    Parameters
    ----------
    covariance, points, queries, variance
        As in `neighbors_loss`.
    sizes : array of int64
        Rising.
    learner : tuple of Covariance and float
        Its kernel and its ridge.

    Returns
    -------
    array of float64, shape (n_sizes,)

    Raises
    ------
    ResourceError
        If the matrix, 8 n^2 bytes, does not fit in memory.

    Notes
    -----
    A factorisation, and for every size 2 n^2 m multiplications and n^2 covariances, of m = 300 queries
    at most.
    """
    from scipy.linalg import cho_solve

    (kernel, ridge), q = learner, queries[:MOST_QUERIES]
    x = points[: int(sizes[-1])]
    everything = np.concatenate([x, queries])
    mean_x, mean_q = (_means(covariance, part, everything) for part in (x, q))
    mean = float(_means(covariance, everything, everything).mean())
    factor, _ = cholesky(kernel, x, ridge)
    across, at_queries = covariance(x, q), covariance(q, q)
    error, slope = np.empty(len(sizes)), np.empty(len(sizes))
    for j, n in enumerate(sizes):
        known, beside = x[:n], across[:n]
        weight = cho_solve((factor[:n, :n], True), kernel(known, q), check_finite=False)
        rest = 1.0 - weight.sum(axis=0)
        square = covariance.diagonal(q) - 2.0 * rest * mean_q + rest**2 * mean
        square += 2.0 * rest * (mean_x[:n] @ weight)
        square -= 2.0 * np.einsum("ij,ij->j", weight, beside)
        for rows in row_blocks(int(n), int(n)):
            part = weight[rows]
            square += np.einsum("ij,ij->j", part, covariance(known[rows], known) @ weight)
        common = at_queries - weight.T @ beside - rest[:, None] * mean_q
        error[j], slope[j] = square.mean(), _square(common)
    return _given_variance(covariance, q, error, slope, variance)


def _given_variance(
    covariance: Covariance, q: FloatArray, error: FloatArray, square: FloatArray, variance: float
) -> FloatArray:
    """Errors given the variance, over it; `square` is half of their covariance with it."""
    at_queries = covariance(q, q)
    slope = square / _square(at_queries - at_queries.mean(axis=0))
    expected = float(covariance.diagonal(q).mean() - _means(covariance, q, q).mean())
    return np.asarray(np.maximum(error + slope * (variance - expected), 0.0) / variance)


def _square(common: FloatArray) -> float:
    """Mean square of covariances with values, after these were centred."""
    return float(np.mean((common - common.mean(axis=1, keepdims=True)) ** 2))


def _means(covariance: Covariance, x: FloatArray, y: FloatArray) -> FloatArray:
    """Mean covariance of each x with all y."""
    out = np.empty(x.shape[0])
    for rows in row_blocks(x.shape[0], y.shape[0]):
        out[rows] = covariance(x[rows], y).mean(axis=1)
    return out
