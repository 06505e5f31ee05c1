"""Formulas of intrinsic dimension as plain loops from the papers, sharing nothing with the package."""

import functools
import math

import numpy as np
from sklearn.neighbors import NearestNeighbors

from percolaw.dimension.estimate import ESTIMATORS
from percolaw.dimension.sample import Sample, decimate, estimate


def slope_of(x, y):
    """Least squares slope with intercept."""
    mx, my = math.fsum(x) / len(x), math.fsum(y) / len(y)
    top = math.fsum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    return top / math.fsum((a - mx) ** 2 for a in x)


def ratio_regression(distance, k=2, fraction=0.9):
    """Facco et al. 2017 for k = 2; Sharma and Kaplan 2022 for larger k."""
    mu = sorted(row[k - 1] / row[0] for row in distance)
    top = bottom = 0.0
    for i in range(int(fraction * len(mu))):
        empirical = (i + 1) / len(mu)
        height = -math.log(1 - empirical ** (1 / (k - 1)))
        top += math.log(mu[i]) * height
        bottom += math.log(mu[i]) ** 2
    return top / bottom


def likelihood(distance, k, average, numerator=None):
    """Levina and Bickel 2004, and the average of MacKay and Ghahramani 2005."""
    logs = [math.fsum(math.log(row[k - 1] / row[j]) for j in range(k - 1)) for row in distance]
    if average == "inverse":
        inverses = [total / (numerator or k - 1) for total in logs]
        return len(inverses) / math.fsum(inverses)
    return math.fsum((numerator or k - 2) / total for total in logs) / len(logs)


def all_distances(points):
    x = np.asarray(points, dtype=float).tolist()
    return [[math.dist(a, b) for b in x] for a in x]


def neighbour_distances(points, k):
    """By scikit-learn's tree."""
    search = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(np.asarray(points, float))
    return search.kneighbors()[0]


@functools.cache
def small_cloud(n=80, d=3):
    return np.random.default_rng(11).random((n, d)) @ np.diag([1.0, 2.0, 0.5])


def small_sample(k=12):
    x = small_cloud()
    distance = np.array([sorted(row)[1 : k + 1] for row in all_distances(x)])
    return Sample(x, np.arange(len(x)), distance)


@functools.cache
def plain_points():
    x = np.random.default_rng(3).random((600, 3))
    return np.concatenate([x, 0.2 * x[:, :1] ** 2, 0.1 * np.sin(3 * x[:, 1:2])], axis=1)


def numbers(points, rng=0):
    levels = decimate(points, 20, rng)
    return {name: estimate(e, levels) for name, e in ESTIMATORS.items()}


@functools.cache
def plain_numbers():
    return numbers(plain_points())


def padded(x):
    return np.concatenate([x[:, :2], np.full((len(x), 4), 7.25), x[:, 2:]], axis=1)
