"""What every estimator measures: points, some of them as queries, and their nearest neighbours.

Intervals and the dependence on scale come from one construction. The points are dealt out at random
into 2, 4, 8, 16 disjoint subsets; the scatter of the estimates among the subsets of the last level
gives the standard error, and the means of the levels show how the estimate changes as neighbours
move apart. All correlations between overlapping neighbourhoods are inside the scatter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.dimension.cloud import checked_cloud, copies_refused, refuse_copies
from percolaw.estimator import Estimator
from percolaw.numerics.neighbors import nearest_neighbors, without_self
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]

#: Subsets of the finest decimation.
MOST_SUBSETS = 16
#: Points of the smallest subset.
FEWEST_POINTS = 100
#: Queries between two calls of `progress`.
QUERIES_AT_ONCE = 2048

Progress = Callable[[int], None]


def silent(work: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Points and the distances from some of them to their nearest neighbours.

    Attributes
    ----------
    points : array, shape (n, d)
    query : array of int64, shape (m,)
        Rows whose neighbours are known.
    distance : array of float64, shape (m, k)
        Distances to the k nearest other points, rising, all positive.
    share : float
        One over the number of subsets of its level: what an estimator limits is limited a level, so
        that the scatter of the subsets tells the error of the whole.
    """

    points: npt.NDArray[Any]
    query: npt.NDArray[np.int64]
    distance: FloatArray
    share: float = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class Estimate:
    """An estimated dimension, its interval, and how it depends on scale.

    Attributes
    ----------
    dimension : float
        On all points: at the finest scale there is.
    standard_error : float
        Sampling error alone; infinity where the points are too few to tell.
    extrapolated : float
        Where the levels point to for infinitely many points, with a bias ~ n^(-1/dimension) (edges
        of a manifold); useful for smooth manifolds, meaningless where noise or steps rule the
        finest scale.
    interval : tuple of float
        From the least to the largest of the 95% ends of `dimension` and `extrapolated`, and of where a
        parabola points to if it differs from the line by more than its error; and further by the
        change in the last doubling of the points: sampling error and drift with scale.
        Where the levels have turned, as on curved manifolds of uneven density, it also reaches as far
        to either side as the levels range, in proportion to how flat the last doubling was.
    n_points, level : arrays, shape (n_levels,)
        Points of the subsets of each level, and the mean estimate there.
    """

    dimension: float
    standard_error: float
    extrapolated: float
    interval: tuple[float, float]
    n_points: npt.NDArray[np.int64]
    level: FloatArray

    def __repr__(self) -> str:
        return f"Estimate({self})"

    def __str__(self) -> str:
        low, high = self.interval
        if not math.isfinite(high):
            return f"dimension {self.dimension:.2f} (an interval needs {4 * FEWEST_POINTS} points)"
        return f"dimension {self.dimension:.2f} [{low:.2f}, {high:.2f}]"


def make_sample(
    points: npt.NDArray[Any],
    k: int,
    query: npt.NDArray[np.int64] | None = None,
    share: float = 1.0,
    progress: Progress = silent,
) -> Sample:
    """Find the k nearest other points of the queries (of all points if None), exactly.

    Parameters
    ----------
    points : array, shape (n, d)
    k : int
        Neighbours of each query.
    query : array of int64, shape (m,), optional
        Rows of `points`.
    share : float
        As in `Sample`.
    progress : callable
        Called with the number of distances that were compared since the last call.

    Returns
    -------
    Sample

    Raises
    ------
    ValueError
        If some points coincide: their distance 0 has no logarithm.
    """
    x = checked_cloud(points, k)
    rows = np.arange(x.shape[0]) if query is None else query
    checks.memory(
        28.0 * rows.size * (k + 1), f"{k} neighbours of {rows.size} points", "Use fewer neighbours."
    )
    distance = np.empty((rows.size, k + 1))
    index = np.empty((rows.size, k + 1), dtype=np.int64)
    for low in range(0, rows.size, QUERIES_AT_ONCE):
        some = slice(low, low + QUERIES_AT_ONCE)
        distance[some], index[some] = nearest_neighbors(x, x[rows[some]], k + 1)
        progress(x.shape[0] * distance[some].shape[0])
    others = distance[without_self(index, rows)].reshape(rows.size, k)
    zero = int(np.sum(others[:, 0] <= 0.0))
    if zero:
        raise copies_refused(zero, rows.size)
    if k > 1 and np.mean(others[:, -1] <= (1.0 + 1e-6) * others[:, 0]) > 0.95:
        raise ValueError(
            f"for most points the nearest {k} neighbours are equally far: a lattice, one-hot codes or "
            "the like. Such points have no dimension at this scale; add neighbours or drop the grid."
        )
    return Sample(x, rows, others, share)


def decimate(
    points: npt.ArrayLike,
    k: int,
    rng: RandomLike = 0,
    *,
    max_queries: int = 20_000,
    progress: Progress = silent,
) -> list[list[Sample]]:
    """Return the samples of all levels: the whole, then 2, 4, 8, 16 disjoint random subsets.

    Parameters
    ----------
    points : array, shape (n, d)
    k : int
        Neighbours.
    rng : int, Generator or Streams
        Stream ``split``.
    max_queries : int
        Points of each level whose neighbours are searched.
    progress : callable
        Called with the number of distances that were compared since the last call.

    Returns
    -------
    list of list of Sample
        One list a level, of 1, 2, 4, 8, 16 samples as far as the points suffice.

    Raises
    ------
    ValueError
        If some points coincide, before any search.

    Notes
    -----
    O(max_queries n d) time; the levels together cost twice the first. Each level holds its points.
    """
    x = checked_cloud(points, k)
    n = x.shape[0]
    limit = checks.integer("max_queries", max_queries, minimum=FEWEST_POINTS)
    counts = level_counts(n, k)
    checks.memory(
        (float(x.nbytes) + 8.0 * min(limit, n) * k) * len(counts),
        f"{n} points and {len(counts) - 1} decimations of them",
        "Use fewer points.",
    )
    refuse_copies(x)
    order = as_streams(rng).generator("split").permutation(n)
    levels = []
    for count in counts:
        queries = np.arange(max(min(limit, n) // count, min(k + 2, n // count)))
        subsets = [order[j::count] for j in range(count)]
        levels.append([make_sample(x[rows], k, queries, 1.0 / count, progress) for rows in subsets])
    return levels


def level_counts(n: int, k: int) -> list[int]:
    """Return the numbers of subsets of n points into which `decimate` deals them, for k neighbours.

    Parameters
    ----------
    n, k : int
        Points, and neighbours of each.

    Returns
    -------
    list of int
    """
    smallest = max(FEWEST_POINTS, 4 * k)
    counts = [2**j for j in range(MOST_SUBSETS.bit_length())]
    return [count for count in counts if count == 1 or n // count >= smallest]


def estimate(estimator: DimensionEstimator, levels: list[list[Sample]]) -> Estimate:
    """Return an estimate with its interval from the samples of all levels.

    The standard error is the scatter among the subsets of the last level over the root of their
    number (the subsets are disjoint, so the variance falls with their number as with the points). No
    interval reaches beyond the number of columns that vary and the estimate itself.

    Parameters
    ----------
    estimator : DimensionEstimator
    levels : list of list of Sample
        As `decimate` returns them.

    Returns
    -------
    Estimate
    """
    values = [np.array([estimator.value(sample) for sample in level]) for level in levels]
    found = summarize(values, [level[0].points.shape[0] for level in levels])
    most = max(float(varying_columns(levels[0][0].points)), found.dimension)
    low, high = (min(end, most) if math.isfinite(end) else end for end in found.interval)
    return replace(found, interval=(min(low, found.dimension), high))


def varying_columns(points: npt.NDArray[Any]) -> int:
    """Return how many columns of points (n, d) are not constant."""
    return int(np.sum(np.ptp(points, axis=0) > 0))


def summarize(values: list[FloatArray], n_points: list[int]) -> Estimate:
    """Return the estimate from its values on the subsets of every level.

    Parameters
    ----------
    values : list of array of float64
        One array a level, one number a subset.
    n_points : list of int
        Points of one subset of each level, falling.

    Returns
    -------
    Estimate
    """
    from scipy.special import stdtrit

    mean = np.array([v.mean() for v in values])
    last = values[-1]
    if last.size >= 4 and np.all(np.isfinite(last)):
        error = float(last.std(ddof=1) / math.sqrt(last.size))
        quantile = float(stdtrit(last.size - 1, 0.975))
    else:
        error, quantile = math.inf, 1.0
    top = float(mean[0])
    drift = abs(float(mean[0] - mean[1])) if mean.size > 1 else 0.0
    extrapolated, ends = top, [top - quantile * error, top + quantile * error]
    if mean.size >= 3 and top > 0.0 and np.all(np.isfinite(mean)):
        x = (np.array(n_points) / n_points[0]) ** (-1.0 / top)
        if np.ptp(x) > 1e-6:
            extrapolated, factor = _at_infinity(x, mean, 1)
            half_width = quantile * error * factor
            ends += [extrapolated - half_width, extrapolated + half_width]
            if mean.size >= 4:
                bent, factor = _at_infinity(x, mean, 2)
                ends.append(bent if abs(bent - extrapolated) > factor * error else top)
            # Once the levels turn, what is left of the bias may have either sign.
            open_sign = _turning(x, mean) * max(float(np.ptp(mean)), abs(extrapolated - top))
            open_sign += quantile * error - drift
            ends += [top - open_sign, top + open_sign]
    return Estimate(
        top,
        error,
        extrapolated,
        (max(0.0, min(ends) - drift), max(ends) + drift),
        np.array(n_points, dtype=np.int64),
        mean,
    )


def _at_infinity(x: FloatArray, mean: FloatArray, degree: int) -> tuple[float, float]:
    """Value at x = 0 of the polynomial through the levels, and its error over that of a level."""
    row = np.linalg.pinv(np.vander(x, degree + 1, increasing=True))[0]
    return float(row @ mean), float(np.linalg.norm(row))


def _turning(x: FloatArray, mean: FloatArray) -> float:
    """How far the last slope of the levels stays behind their steepest one: 0 not at all, 1 flat."""
    slope = np.diff(mean) / np.diff(x)
    steepest = float(slope[np.argmax(np.abs(slope))])
    return float(np.clip(1.0 - slope[0] / steepest, 0.0, 1.0)) if steepest != 0.0 else 0.0


class DimensionEstimator(Estimator):
    """What the estimators of a dimension share: `fit`, as scikit-learn's estimators have it.

    Attributes
    ----------
    dimension_ : float
    estimate_ : Estimate
        With interval and scale dependence.
    """

    rng: RandomLike

    @property
    def n_neighbors(self) -> int:
        """Neighbours needed of every query."""
        raise NotImplementedError

    def value(self, sample: Sample) -> float:
        """Return the estimate on one sample."""
        raise NotImplementedError

    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Estimate the dimension of points.

        Parameters
        ----------
        X : array, shape (n, d)
            Distinct, finite.
        y : Any
            Not used: pipelines pass it.

        Returns
        -------
        DimensionEstimator
            Itself.
        """
        self.estimate_ = estimate(self, decimate(X, self.n_neighbors, self.rng))
        self.dimension_ = self.estimate_.dimension
        self.n_features_in_ = checks.array("X", X).shape[1]
        return self
