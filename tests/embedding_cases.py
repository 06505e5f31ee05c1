"""Squared distances between points, and forests of chains."""

import numpy as np

from percolaw.tree import Tree


def squares(points, others):
    return np.sum((points.astype(np.float64) - others) ** 2, axis=1)


def paths(length, n):
    """A forest of n chains of `length` edges."""
    parent = np.arange(-1, (length + 1) * n - 1)
    start = np.arange(n + 1) * (length + 1)
    parent[start[:-1]] = -1
    return Tree.from_parent(parent, start)
