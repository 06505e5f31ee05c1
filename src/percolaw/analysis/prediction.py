"""Losses at more data, predicted from the first points: by clusters and their weights, and by rivals.

The percolation form is loss(m) = level sum_k p_k max(p_k m / f, 1)^-gamma: clusters of weight p_k, each
learned from its share of the m training points, as in the data law of `percolaw.laws.scaling_laws` but
with the weights that the first points show in place of a power of the rank. `percolaw.analysis.contest`
holds the forms against what is measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis.agreement import RankLoss, nearest_neighbor_curve
from percolaw.scaling.fit import log_slopes
from percolaw.scaling.forms import compare_forms

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
#: From losses at the sizes measured to losses at the sizes asked for.
Predictor: TypeAlias = Callable[[FloatArray], FloatArray]

#: The forms, in the order of `predictors`.
PERCOLATION, OFFSET, ONE_CLUSTER, MISSING_MASS, BY_RANK, NO_CHANGE = FORMS = (
    "percolation",
    "power law + offset",
    "one cluster",
    "missing mass",
    "agreement by rank",
    "no change",
)

#: Measured sizes that a power law with an offset needs at least.
LEAST_SIZES = 6
#: Weights that stand for those a cluster of s points may have, over sqrt(s + 1); and of unseen ones.
WEIGHTS_TRIED, UNSEEN_WEIGHTS = 24, 96
#: Scale factors that are tried, and exponents, from 0.02 to 4.
SCALES_TRIED, EXPONENTS_TRIED = 81, 30


@dataclass(frozen=True, eq=False)
class ClusterWeights:
    """Weights of the cluster of a random point, and how likely each is.

    Attributes
    ----------
    weight : array of float64, shape (n_weights,)
        Share of all data that lies in that cluster.
    mass : array of float64, shape (n_weights,)
        Probability of that weight; they sum to 1.
    """

    weight: FloatArray
    mass: FloatArray


def cluster_weights(cluster: npt.ArrayLike) -> ClusterWeights:
    """Return the weights of clusters from how many points of a sample lie in each (Good and Turing).

    N_1 of K clusters hold a single one of the n points. Unseen clusters then hold the share N_1/n, and
    a cluster of s points the share (s - beta)/n, with beta = N_1/K. That is what clusters whose number
    of weight p falls like p^(-1-beta) dp leave in a sample; a random point that lies in a cluster of s
    seen points then is in one whose weight has the law Gamma(s + 1 - beta)/n, also for s = 0. Each s
    stands here as a few of its quantiles.

    Parameters
    ----------
    cluster : array of int, shape (n,)
        Number of the cluster of each point, from 0.

    Returns
    -------
    ClusterWeights

    Raises
    ------
    ValueError
        If every point is a cluster of its own: nothing then tells how large clusters are.
    """
    from scipy.special import gammaincinv

    ids = checks.site_ids("cluster", cluster, 1 << 40)
    if ids.size == 0:
        raise ValueError("cluster must hold the cluster of one point at least.")
    sizes, count = np.unique(np.unique(ids, return_counts=True)[1], return_counts=True)
    n, n_clusters = ids.size, int(count.sum())
    if sizes[-1] == 1:
        raise ValueError(
            f"each of the {n} points is a cluster of its own; nothing tells how large clusters are. Take "
            "more points, more neighbours, or a coarser function."
        )
    single = int(count[0]) if sizes[0] == 1 else 0
    beta = single / n_clusters
    weights, masses = [], []
    for s, share in [(0, single / n), *zip(sizes, count * (sizes - beta) / n, strict=True)]:
        tried = UNSEEN_WEIGHTS if s == 0 else math.ceil(WEIGHTS_TRIED / math.sqrt(s + 1.0))
        middle = (np.arange(tried) + 0.5) / tried
        weights.append(gammaincinv(s + 1.0 - beta, middle) / n)
        masses.append(np.full(tried, share / tried))
    return ClusterWeights(np.concatenate(weights), np.concatenate(masses))


def missing_mass(weights: ClusterWeights, n_train: npt.ArrayLike) -> FloatArray:
    """Return the expected share of clusters of which m random points hold none.

    The sum of p_k exp(-p_k m) over clusters.

    Parameters
    ----------
    weights : ClusterWeights
    n_train : array of float, shape (n_sizes,)
        m.

    Returns
    -------
    array of float64, shape (n_sizes,)
    """
    m = checks.finite_array("n_train", n_train, ndim=1)
    with np.errstate(under="ignore"):
        return np.asarray(np.exp(-np.outer(m, weights.weight)) @ weights.mass)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of some points beside the losses measured with them.

    Parameters
    ----------
    cluster : array of int, shape (n,)
        Number of the cluster of each point, from 0.
    by_rank : RankLoss, optional
        Losses by rank among these points; without it there is no prediction by rank.
    """

    cluster: IntArray
    by_rank: RankLoss | None = None


def mean_losses(loss: FloatArray) -> FloatArray:
    """Return the mean loss over all repeats (first row) and over all but one: (1 + n_repeats, n_sizes).

    A single repeat gives one row. Raises ValueError where one of these is not positive and finite.
    """
    y = checks.finite_array("loss", loss, ndim=2)
    rows = y.mean(axis=0, keepdims=True)
    if y.shape[0] > 1:
        rows = np.concatenate([rows, (y.sum(axis=0) - y) / (y.shape[0] - 1)])
    if np.any(rows <= 0.0):
        raise ValueError(
            "the mean loss is 0 at some sizes, and has no logarithm. Leave these sizes out, or take more "
            "test points."
        )
    return rows


def predictors(evidence: Evidence, measured: FloatArray, asked: FloatArray) -> dict[str, Predictor]:
    """Return six forms as functions of the losses at the sizes that were measured.

    ``percolation``: the sum over clusters above; level, f and gamma by least squares on logarithms.
    ``power law + offset``: a m^-e + b, by the same. ``one cluster``: m^-gamma through the last loss, with
    gamma from the upper half of the sizes. ``missing mass``: `missing_mass`, through the last loss.
    ``agreement by rank``: the power of `nearest_neighbor_curve` over the last doubling, through the last
    loss. ``no change``: the last loss.

    Parameters
    ----------
    evidence : Evidence
    measured, asked : array of float64, shapes (n_measured,) and (n_sizes,)
        Sizes at which losses are given, rising, at least 6; and at which they are predicted.

    Returns
    -------
    dict of function
        By the names in `FORMS`; from losses (n_measured,) to losses (n_sizes,), NaN where a form says
        nothing.

    Raises
    ------
    ValueError
        For fewer than 6 sizes, and clusters of one point each.
    """
    if measured.size < LEAST_SIZES:
        raise ValueError(
            f"predictions need losses at {LEAST_SIZES} sizes or more; got {measured.size}."
        )
    weights = cluster_weights(evidence.cluster)
    return {
        PERCOLATION: _percolation(weights, measured, asked),
        OFFSET: _offset(measured, asked),
        ONE_CLUSTER: _one_cluster(measured, asked),
        MISSING_MASS: _through_last(missing_mass(weights, np.append(measured[-1], asked))),
        BY_RANK: _by_rank(evidence.by_rank, measured[-1], asked),
        NO_CHANGE: _through_last(np.ones(asked.size + 1)),
    }


def _percolation(weights: ClusterWeights, measured: FloatArray, asked: FloatArray) -> Predictor:
    """Fit by the best of a grid of scale factors and exponents, the level by least squares."""
    size = np.concatenate([measured, asked])
    # Down from where nothing would be learned at any size, so that flat losses are continued flat.
    points = weights.weight.max() * size
    scales = np.geomspace(points.max(), 0.1 * points.min(), SCALES_TRIED)
    exponents = np.geomspace(0.02, 4.0, EXPONENTS_TRIED)
    with np.errstate(divide="ignore"):
        log_points = np.log(np.outer(size, weights.weight))
    log_points = np.maximum(log_points - np.log(scales)[:, None, None], 0.0)
    shape = np.stack([np.exp(-gamma * log_points) @ weights.mass for gamma in exponents])
    shape = np.log(shape.reshape(-1, size.size))
    known, wanted = shape[:, : measured.size], shape[:, measured.size :]

    def predict(loss: FloatArray) -> FloatArray:
        gap = np.log(loss) - known
        level = gap.mean(axis=1)
        # To rounding, so that among equals the first is taken.
        misfit = np.round(np.sum((gap - level[:, None]) ** 2, axis=1), 12)
        best = int(np.argmin(misfit))
        return np.asarray(np.exp(level[best] + wanted[best]))

    return predict


def _offset(measured: FloatArray, asked: FloatArray) -> Predictor:
    def predict(loss: FloatArray) -> FloatArray:
        exponent, factor, offset = compare_forms(measured, loss).parameters[OFFSET]
        return np.asarray(factor * asked**-exponent + offset)

    return predict


def _one_cluster(measured: FloatArray, asked: FloatArray) -> Predictor:
    upper = slice(measured.size // 2, None)

    def predict(loss: FloatArray) -> FloatArray:
        slope = float(log_slopes(measured[upper], loss[None, upper])[0])
        return np.asarray(loss[-1] * (asked / measured[-1]) ** slope)

    return predict


def _by_rank(by_rank: RankLoss | None, last: float, asked: FloatArray) -> Predictor:
    shape = np.full(asked.size + 1, np.nan)
    if by_rank is not None and by_rank.n_points >= 4:
        m = min(int(last), by_rank.n_points - 1)
        ends = nearest_neighbor_curve(by_rank, [m // 2, m]).loss
        if ends.min() > 0.0:
            shape = np.append(last, asked) ** (np.log(ends[1] / ends[0]) / np.log(m / (m // 2)))
    return _through_last(shape)


def _through_last(shape: FloatArray) -> Predictor:
    """A shape at the last size measured and at those asked for, through the last loss."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = shape[1:] / shape[0]
    return lambda loss: np.asarray(loss[-1] * np.where(ratio > 0.0, ratio, np.nan))
