"""Kernel regression written out with dense matrices, and normal points for it."""

import numpy as np


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def dense(kernel, x, ridge=0.0):
    """kernel(x, x) + ridge with its exact diagonal."""
    matrix = kernel(x, x)
    matrix[np.diag_indices(x.shape[0])] = kernel.diagonal(x) + ridge
    return matrix


def by_hand(kernel, x, y, q, ridge=0.0):
    """Prediction and posterior variance from plain linear algebra."""
    matrix, cross = dense(kernel, x, ridge), kernel(q, x)
    inverse = np.linalg.inv(matrix)
    return cross @ np.linalg.solve(matrix, y), kernel.diagonal(q) - np.einsum(
        "ij,jk,ik->i", cross, inverse, cross
    )
