"""Maximum likelihood from the distances to k neighbours, averaged in both ways, and locally."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.dimension.sample import DimensionEstimator, Sample, make_sample
from percolaw.rng import RandomLike

FloatArray = npt.NDArray[np.float64]

#: Probability of a D_i, if there is one dimension, from which on the mean of dimensions bounds it.
RARE = 1e-18


@dataclass(eq=False)
class MLE(DimensionEstimator):
    """Levina and Bickel's (2004) estimator: D_i = (k - 2) / sum_{j<k} log(r_k / r_j), averaged.

    Parameters
    ----------
    k : int
        Neighbours, at least 3 for the mean of dimensions and 2 for the mean of inverses.
    average : {"inverse", "dimension"}
        ``inverse`` averages 1/D_i, with k - 1 in place of k - 2 (MacKay and Ghahramani 2005): the
        likelihood of one dimension for all points. ``dimension`` averages D_i as first published:
        heavier tails for small k. Each normalisation is unbiased for uniform density. A D_i so far above
        their median that one dimension gives such a one once in 10^18 points (20 times the median for
        k = 20) counts as that bound: a point whose neighbours are all equally far, as from a text
        without a known word, has D_i of any size and would alone decide the mean.
    rng : int, Generator or Streams
        Stream ``split``: deals the points of a fit into subsets.
    """

    k: int = 20
    average: Literal["inverse", "dimension"] = "inverse"
    rng: RandomLike = 0

    def __post_init__(self) -> None:
        checks.choice("average", self.average, ("inverse", "dimension"))
        checks.set_integer(self, "k", minimum=2 if self.average == "inverse" else 3)

    @property
    def n_neighbors(self) -> int:
        """Neighbours needed."""
        return self.k

    def value(self, sample: Sample) -> float:
        """Return the estimate on one sample."""
        total = _log_sums(sample.distance, self.k)
        if self.average == "inverse":
            mean = float(total.mean()) / (self.k - 1)
            return 1.0 / mean if mean > 0.0 else np.inf
        with np.errstate(divide="ignore"):
            local = (self.k - 2) / total
        return float(np.mean(np.minimum(local, np.median(local) * _largest(self.k))))


def local_dimension(
    points: npt.ArrayLike, k: int = 50, query: npt.ArrayLike | None = None
) -> FloatArray:
    """Return the dimension around each point (or each of `query`), from its k neighbours.

    (k - 2) / sum_{j<k} log(r_k / r_j): unbiased for uniform density, with relative standard
    deviation 1/sqrt(k - 3).

    Parameters
    ----------
    points : array, shape (n, d)
    k : int
        At least 4, so that the variance exists.
    query : array of int64, optional
        Rows at which to estimate.

    Returns
    -------
    array of float64, shape (n,) or (len(query),)
    """
    count = checks.integer("k", k, minimum=4)
    x = checks.point_array("points", points)
    rows = None if query is None else checks.site_ids("query", query, x.shape[0])
    return local_from_distances(make_sample(x, count, rows).distance)


def local_from_distances(distance: FloatArray) -> FloatArray:
    """Return the dimension around each point from the distances to its neighbours, as `local_dimension`.

    Parameters
    ----------
    distance : array of float64, shape (m, k)
        Rising along the rows.

    Returns
    -------
    array of float64, shape (m,)
    """
    k = distance.shape[1]
    with np.errstate(divide="ignore"):
        return np.asarray((k - 2) / _log_sums(distance, k))


def _largest(k: int) -> float:
    """Bound of D_i, over their median: where the sum of logs, Gamma(k - 1) / D, is below with `RARE`."""
    from scipy.special import gammaincinv

    return float(gammaincinv(k - 1, 0.5) / gammaincinv(k - 1, RARE))


def _log_sums(distance: FloatArray, k: int) -> FloatArray:
    return np.asarray(np.log(distance[:, k - 1 : k] / distance[:, : k - 1]).sum(axis=1))
