"""Large clusters as points on a line, many at a time and read slowly without the package."""

import itertools
import math

import numpy as np

from percolaw.kernels import continuum as kernel
from percolaw.rng import Streams


def keys(n, item=0):
    """Independent uint64 keys."""
    return Streams(21).generator("evaluation", item).integers(2**64, size=n, dtype=np.uint64)


def many(n_clusters, n_points, size=math.inf, item=0):
    """Ends and glue points of independent clusters, shape (n_clusters, n_points)."""
    ends = np.empty((n_clusters, n_points))
    glue = np.empty((n_clusters, n_points))
    pairs = keys(2 * n_clusters, item).reshape(-1, 2)
    for i in range(n_clusters):
        if math.isinf(size):
            kernel.line_breaking(n_points, *pairs[i], ends[i], glue[i])
        else:
            kernel.birthday_process(n_points, float(size), *pairs[i], ends[i], glue[i])
    return ends, glue


def chain_of(ends, glue, segment, position):
    """Segments from a position up to the root, each with the position at which it is left."""
    chain = []
    while True:
        chain.append((segment, position))
        if segment <= 1:
            return chain
        position = glue[segment]
        segment = next(j for j in range(1, len(ends)) if ends[j] >= position)


def height(ends, chain):
    return sum(at - ends[segment - 1] for segment, at in chain if segment > 0)


def meeting(ends, first, second):
    """Height at which the ways of two places to the root meet."""
    leave = dict(first)
    for index, (segment, at) in enumerate(second):
        if segment in leave:
            rest = second[index + 1 :]
            return min(at, leave[segment]) - ends[segment - 1] + height(ends, rest)
    return 0.0


def chains(ends, glue):
    """The way to the root of every point; point 0 is the start of segment 1."""
    ends, glue = list(ends), list(glue)
    if len(ends) == 1:
        return [[(1, 0.0)]]
    points = [[(1, 0.0)], *(chain_of(ends, glue, k, ends[k]) for k in range(1, len(ends)))]
    return points


def distances(ends, glue):
    """All pair distances of the points."""
    ends = [*ends, math.inf] if len(ends) == 1 else list(ends)
    ways = chains(ends, glue) if len(ends) == len(glue) else [[(1, 0.0)]]
    n = len(ways)
    out = np.zeros((n, n))
    tall = [height(ends, way) for way in ways]
    for i, j in itertools.combinations(range(n), 2):
        out[i, j] = out[j, i] = tall[i] + tall[j] - 2 * meeting(ends, ways[i], ways[j])
    return out


def three_distances(ends, glue):
    """d01, d02, d12 of many clusters: point 2 leaves the way 0-1 at glue[2]."""
    branch = ends[:, 2] - ends[:, 1]
    return ends[:, 1], glue[:, 2] + branch, ends[:, 1] - glue[:, 2] + branch
