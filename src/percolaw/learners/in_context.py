"""Learners that see the pairs of a sequence one after another: their expected losses by position.

A sequence is y_1 .. y_T at points of a cluster, values of a Gaussian function of covariance C there. A
learner that predicts y_t linearly from those before it, as kernels and neighbours do, has a mean square
error that C alone gives, over all functions; here it is averaged over sequences of points. One
factorisation K = L L^T gives all positions of a kernel: its errors are diag(L) L^-1 y.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.numerics.neighbors import nearest_neighbors

FloatArray: TypeAlias = npt.NDArray[np.float64]
Ids: TypeAlias = npt.NDArray[np.int64]

#: Added to the diagonal of covariances of mean diagonal 1: functions of mean 0 have one that is singular.
JITTER = 1e-9


def posterior_losses(covariance: FloatArray, sequences: Ids) -> FloatArray:
    """Return the variance of y_t given y_1 .. y_(t-1), the least error there is: (T,).

    Parameters
    ----------
    covariance : array of float64, shape (n_points, n_points)
        Of the functions, at all points.
    sequences : array of int64, shape (n, T)
        Points of each sequence.

    Returns
    -------
    array of float64, shape (T,)
        Mean over sequences; O(n T^3) time.
    """
    factor = _factor(covariance, sequences, JITTER)
    return np.asarray(np.square(np.diagonal(factor, axis1=1, axis2=2)).mean(axis=0))


def posterior_means(covariance: FloatArray, sequences: Ids, y: FloatArray) -> FloatArray:
    """Return the mean of y_t given y_1 .. y_(t-1) of every sequence.

    Parameters
    ----------
    covariance, sequences
        As of `posterior_losses`.
    y : array of float64, shape (n, T)

    Returns
    -------
    array of float64, shape (n, T)
    """
    factor = _factor(covariance, sequences, JITTER)
    news = np.linalg.solve(factor, y[..., None])[..., 0]
    return np.asarray(y - np.diagonal(factor, axis1=1, axis2=2) * news)


def kernel_losses(
    covariance: FloatArray, sequences: Ids, kernel: FloatArray, ridge: float
) -> FloatArray:
    """Return the expected losses of kernel ridge regression on the pairs before each position.

    Parameters
    ----------
    covariance, sequences
        As of `posterior_losses`.
    kernel : array of float64, shape (n_points, n_points)
        The learner's, at the points.
    ridge : float
        In the unit of the kernel.

    Returns
    -------
    array of float64, shape (T,)
    """
    factor = _factor(kernel, sequences, max(ridge, JITTER))
    diagonal = np.diagonal(factor, axis1=1, axis2=2)
    # errors e = diag(L) L^-1 y, so E e e^T = diag(L) L^-1 C L^-T diag(L)
    half = np.linalg.solve(factor, _blocks(covariance, sequences))
    square = np.linalg.solve(factor, half.transpose(0, 2, 1))
    variance = np.diagonal(square, axis1=1, axis2=2)
    return np.asarray((diagonal**2 * variance).mean(axis=0))


def nearest_losses(covariance: FloatArray, sequences: Ids, points: FloatArray) -> FloatArray:
    """Return the expected losses of the nearest neighbour in space among the pairs before.

    Parameters
    ----------
    covariance, sequences
        As of `posterior_losses`.
    points : array of float64, shape (n_points, d)

    Returns
    -------
    array of float64, shape (T,)
        At the first position it predicts 0.
    """
    ranks = nearest_neighbors(points, points, points.shape[0])[1].argsort(axis=1)
    variance = covariance.diagonal()
    out = np.empty(sequences.shape[1])
    out[0] = variance[sequences[:, 0]].mean()
    for t in range(1, sequences.shape[1]):
        query, before = sequences[:, t], sequences[:, :t]
        nearest = ranks[query[:, None], before].argmin(axis=1)
        known = before[np.arange(before.shape[0]), nearest]
        error = variance[query] + variance[known] - 2.0 * covariance[query, known]
        out[t] = error.mean()
    return out


def best_gradient_step(covariance: FloatArray, sequences: Ids, points: FloatArray) -> FloatArray:
    """Return the matrix P of the best single step of gradient descent, over positions from the second on.

    A linear function that starts at 0 and makes one step on the mean squared error of the pairs before,
    with a matrix P as learning rate, predicts y_t = x_t^T P sum_(s<t) y_s x_s / (t - 1). That is what one
    layer of linear attention computes (von Oswald et al. 2023), and P is what it learns at best; for
    independent Gaussian points it is known in closed form (Ahn et al. 2023).

    Parameters
    ----------
    covariance, sequences
        As of `posterior_losses`.
    points : array of float64, shape (n_points, d)

    Returns
    -------
    array of float64, shape (d, d)
        Of the least mean loss over positions: a linear system of d^2 unknowns.
    """
    d = points.shape[1]
    hessian, gradient = np.zeros((d, d, d, d)), np.zeros((d, d))
    blocks, x = _blocks(covariance, sequences), points[sequences]
    for t in range(1, sequences.shape[1]):
        query, before = x[:, t], x[:, :t] / t
        # E of moment a moment b: the moments are sum_s y_s x_s / (t - 1)
        square = np.einsum("nsa,nsr,nrb->nab", before, blocks[:, :t, :t], before, optimize=True)
        hessian += np.einsum("ni,nj,nab->iajb", query, query, square, optimize=True)
        gradient += np.einsum("ni,nsa,ns->ia", query, before, blocks[:, :t, t], optimize=True)
    flat = np.linalg.lstsq(hessian.reshape(d * d, d * d), gradient.ravel(), rcond=None)[0]
    return np.asarray(flat.reshape(d, d))


def gradient_step_losses(
    covariance: FloatArray, sequences: Ids, points: FloatArray, rate: FloatArray
) -> FloatArray:
    """Return the expected losses of one step of gradient descent with a matrix as learning rate.

    Parameters
    ----------
    covariance, sequences
        As of `posterior_losses`.
    points : array of float64, shape (n_points, d)
    rate : array of float64, shape (d, d)
        P of `best_gradient_step`.

    Returns
    -------
    array of float64, shape (T,)
    """
    blocks, x = _blocks(covariance, sequences), points[sequences]
    out = np.empty(sequences.shape[1])
    out[0] = blocks[:, 0, 0].mean()
    for t in range(1, out.size):
        weight = np.einsum("ni,ij,nsj->ns", x[:, t], rate, x[:, :t], optimize=True) / t
        square = np.einsum("ns,nsr,nr->n", weight, blocks[:, :t, :t], weight, optimize=True)
        cross = np.einsum("ns,ns->n", weight, blocks[:, :t, t])
        out[t] = (blocks[:, t, t] - 2.0 * cross + square).mean()
    return out


def _blocks(matrix: FloatArray, sequences: Ids) -> FloatArray:
    """The matrix at the points of each sequence, (n, T, T)."""
    return matrix[sequences[:, :, None], sequences[:, None, :]]


def _factor(matrix: FloatArray, sequences: Ids, ridge: float) -> FloatArray:
    block = _blocks(matrix, sequences)
    diagonal = np.arange(sequences.shape[1])
    block[:, diagonal, diagonal] += ridge
    return np.asarray(np.linalg.cholesky(block), dtype=np.float64)
