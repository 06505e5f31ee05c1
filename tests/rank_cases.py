"""Losses by rank the plain way, from a whole matrix of distances: independent of the package."""

import math

import numpy as np

from percolaw.analysis.agreement import label_loss


def rows_by_rank(distance, pair):
    """Number of each pair at each rank, (n, n - 1): equally near points share the mean of theirs."""
    n = len(distance)
    ranked = np.where(np.eye(n, dtype=bool), -1.0, distance)
    order = np.argsort(ranked, axis=1)[:, 1:]
    near, rows = (np.take_along_axis(a, order, axis=1) for a in (ranked, pair))
    for i in np.flatnonzero((near[:, 1:] == near[:, :-1]).any(axis=1)):
        first = np.flatnonzero(np.append(True, near[i, 1:] != near[i, :-1]))
        size = np.diff(np.append(first, n - 1))
        rows[i] = np.repeat(np.add.reduceat(rows[i], first) / size, size)
    return rows


def distances(points):
    x = np.asarray(points, dtype=float)
    return np.sqrt(((x[:, None] - x[None]) ** 2).sum(axis=2))


def torus_distances(points):
    gap = np.abs(points[:, None] - points[None])
    return np.sqrt((np.minimum(gap, 1.0 - gap) ** 2).sum(axis=2))


def of_labels(distance, labels, block=None):
    return label_loss(*in_blocks(distance, np.equal.outer(labels, labels), block))


def smooth_domain_loss(n_train, amplitude, dimension):
    """1-NN on domains with smooth boundaries, a Gamma(1 + 1/D) m^(-1/D).

    A neighbour at volume v disagrees with probability a v^(1/D); the volume of the nearest of m training
    points is exponential of mean 1/m.
    """
    return amplitude * math.gamma(1 + 1 / dimension) * np.asarray(n_train) ** (-1 / dimension)


def in_blocks(distance, pair, block):
    """Sums over the points of each block, and how many these are."""
    rows = rows_by_rank(distance, pair.astype(float))
    member = np.zeros(len(rows), dtype=int) if block is None else np.asarray(block)
    total = np.zeros((member.max() + 1, rows.shape[1]))
    np.add.at(total, member, rows)
    return total, np.bincount(member)
