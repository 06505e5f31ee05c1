"""Branching random walks in R^d along a forest, parents first."""

import numpy as np

from percolaw.kernels.compile import compiled
from percolaw.kernels.random import bits, normal, uniform


@compiled
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


@compiled
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


@compiled
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


@compiled
def deal_rows(cluster, start, key):
    """Row of every site: the rows of each cluster, dealt to its sites in random order."""
    row = np.empty(cluster.shape[0], np.int64)
    place = start[:-1].copy()
    for i in range(cluster.shape[0]):
        k = cluster[i]
        row[place[k]] = i
        place[k] += 1
    for k in range(start.shape[0] - 1):
        low = start[k]
        for i in range(start[k + 1] - 1, low, -1):
            j = low + np.int64(uniform(key, np.uint64(i)) * (i - low + 1))
            row[i], row[j] = row[j], row[i]
    return row


@compiled
def uniform_centres(cluster, key, side, centre):
    """Centres uniform in a cube about the origin, keyed by cluster and column."""
    for i in range(cluster.shape[0]):
        word = bits(key, np.uint64(cluster[i]))
        for c in range(centre.shape[1]):
            centre[i, c] = side * (uniform(word, np.uint64(c)) - 0.5)


@compiled
def gaussian_cloud(parent, start, row, key, spread, first, centre, points, label):
    """Walk along unit edges straight into the rows of a cloud, cluster by cluster, then centre it.

    Clusters ``first`` and following, one for each row of ``centre``. Column ``width`` of the walk
    goes to ``label`` if that has rows.
    """
    width = points.shape[1]
    labelled = label.shape[0] > 0
    for k in range(first, first + centre.shape[0]):
        for i in range(start[k], start[k + 1]):
            p = parent[i]
            r = row[i]
            if p < 0:
                for c in range(width):
                    points[r, c] = 0.0
                if labelled:
                    label[r] = 0.0
                continue
            above = row[p]
            word = bits(key, np.uint64(i))
            for c in range(width):
                points[r, c] = points[above, c] + spread * normal(word, np.uint64(c))
            if labelled:
                label[r] = label[above] + spread * normal(word, np.uint64(width))
        # Centred last, so that steps are not rounded as numbers of the cloud's extent.
        for i in range(start[k], start[k + 1]):
            for c in range(width):
                points[row[i], c] += centre[k - first, c]
