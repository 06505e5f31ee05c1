"""Branching random walks in R^d along a forest, parents first."""

import numpy as np
from numba import njit

from percolaw.kernels.random import bits, normal, uniform


@njit(cache=True)
def gaussian_walk(parent, edge, key, scale, points):
    """x(child) = x(parent) + sqrt(length) scale N(0, I); roots at the origin."""
    width = points.shape[1]
    for i in range(parent.shape[0]):
        p = parent[i]
        if p < 0:
            for c in range(width):
                points[i, c] = 0.0
            continue
        word = bits(key, np.uint64(i))
        spread = np.sqrt(edge[i]) * scale
        for c in range(width):
            points[i, c] = points[p, c] + spread * normal(word, np.uint64(c))


@njit(cache=True)
def sphere_walk(parent, edge, key, points):
    """Steps uniform on the unit sphere, times sqrt(length)."""
    width = points.shape[1]
    step = np.empty(width, np.float64)
    for i in range(parent.shape[0]):
        p = parent[i]
        if p < 0:
            for c in range(width):
                points[i, c] = 0.0
            continue
        word = bits(key, np.uint64(i))
        square = 0.0
        for c in range(width):
            step[c] = normal(word, np.uint64(c))
            square += step[c] * step[c]
        spread = np.sqrt(edge[i] / square)
        for c in range(width):
            points[i, c] = points[p, c] + spread * step[c]


@njit(cache=True)
def lattice_walk(parent, key, direction, points):
    """Unit steps +-e_j, never straight back along the step that led to the parent.

    ``direction`` holds 2 j + (0 for +, 1 for -) of the step into each site.
    """
    width = points.shape[1]
    for i in range(parent.shape[0]):
        p = parent[i]
        if p < 0:
            direction[i] = -1
            for c in range(width):
                points[i, c] = 0.0
            continue
        u = uniform(key, np.uint64(i))
        if direction[p] < 0:
            move = np.int32(u * (2 * width))
        else:
            back = direction[p] ^ 1
            move = np.int32(u * (2 * width - 1))
            if move >= back:
                move += 1
        direction[i] = move
        for c in range(width):
            points[i, c] = points[p, c]
        points[i, move >> 1] += 1.0 - 2.0 * (move & 1)
