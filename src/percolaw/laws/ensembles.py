"""Predicted losses of finite ensembles: clusters of known sizes."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws import single_cluster

FloatArray: TypeAlias = npt.NDArray[np.float64]


def ensemble_nearest_neighbor_loss(
    rate: npt.ArrayLike, cluster_size: npt.ArrayLike, coordination_number: float = math.inf
) -> FloatArray:
    """Return the predicted loss of 1-NN on clusters of given sizes, for each setting of the rates.

    Each cluster contributes its share of sites times `nearest_neighbor_loss` at its mean number of
    observed sites n, all but the exp(-n) of no observed site multiplied by `finite_rate_factor`. A
    ratio of means: it predicts mean error over mean variance, not the mean of losses standardised
    cluster by cluster.

    Parameters
    ----------
    rate : array, shape (n_settings, n_clusters)
        Probability that a site of each cluster is observed; one setting may be one-dimensional.
    cluster_size : array of int, shape (n_clusters,)
        Sites of each cluster.
    coordination_number : float
        z; infinity for the Poisson limit.

    Returns
    -------
    array of float64, shape (n_settings,)

    Raises
    ------
    ValueError
        For rates outside [0, 1], sizes outside [1, 1e300], and numbers of clusters that differ.
    """
    rho = np.atleast_2d(checks.finite_array("rate", rate))
    size = checks.finite_array("cluster_size", cluster_size, ndim=1)
    if np.any(rho < 0) or np.any(rho > 1) or np.any(size < 1) or np.any(size > 1e300):
        raise ValueError("rate must lie in [0, 1] and cluster_size in [1, 1e300].")
    if rho.ndim != 2 or rho.shape[1] != size.size:
        raise ValueError(
            f"rate must have a column for each of {size.size} clusters; got shape {np.shape(rate)}."
        )
    n = rho * size
    grid = np.geomspace(1e-9, 1.0, 200)
    factor = np.interp(
        np.log(np.maximum(rho, 1e-9)), np.log(grid), _factor_table(coordination_number)
    )
    from scipy.special import i0e

    nothing = np.exp(-n)
    loss = nothing + factor * 4.0 * (i0e(n / 2.0) - nothing)
    return np.asarray(loss @ (size / size.sum()))


@lru_cache(maxsize=8)
def _factor_table(coordination_number: float) -> FloatArray:
    """`finite_rate_factor` on a fixed grid, by its small-rate expansion below 1e-5."""
    grid = np.geomspace(1e-9, 1.0, 200)
    out = np.ones(grid.size)
    usable = (grid >= 1e-6) & (grid < 1.0)
    out[usable] = single_cluster.finite_rate_factor(grid[usable], coordination_number)
    out[grid >= 1.0] = 0.0
    # 1 - factor is proportional to sqrt(rate) for small rates.
    first = int(np.argmax(usable))
    out[:first] = 1.0 - (1.0 - out[first]) * np.sqrt(grid[:first] / grid[first])
    return out
