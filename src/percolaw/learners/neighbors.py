"""Regression with exact nearest neighbours; the search is `percolaw.numerics.neighbors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.estimator import Regressor, require_fitted
from percolaw.numerics.covariance import row_blocks
from percolaw.numerics.neighbors import checked_points, nearest_neighbors


@dataclass(eq=False)
class NearestNeighbors(Regressor):
    """k-nearest-neighbour regression on points, exact.

    Parameters
    ----------
    k : int
        Neighbours averaged, with equal weights; 1 is 1-NN.

    Attributes
    ----------
    points_, values_ : array
        Those of the fit.

    Examples
    --------
    >>> NearestNeighbors(1).fit([[0.0], [1.0]], [5.0, 7.0]).predict([[0.2], [0.9]]).tolist()
    [5.0, 7.0]
    """

    k: int = 1

    def order_limit(self, dimension: float) -> float | None:
        """Return 2: at best the loss is the mean squared distance to the neighbours."""
        return 2.0

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Store points and values.

        Parameters
        ----------
        X : array, shape (n, d)
        y : array, shape (n,) or (n, n_outputs)

        Returns
        -------
        NearestNeighbors
            Itself.

        Raises
        ------
        ValueError
            If there are fewer than k points.
        """
        x, _ = checked_points(X, X)
        values = checks.target_values("y", y, x.shape[0])
        wanted = checks.integer("k", self.k, minimum=1)
        if wanted > x.shape[0]:
            raise ValueError(f"k = {wanted} needs at least as many points; got {x.shape[0]}.")
        self.points_, self.values_, self.n_features_in_ = x, values, x.shape[1]
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the mean value of the k nearest points of each query: (m,) or (m, n_outputs)."""
        queries = checks.array("X", X)
        require_fitted(self, queries)
        k = checks.integer("k", self.k, minimum=1)
        _, index = nearest_neighbors(self.points_, queries, k)
        mean = np.empty((index.shape[0], *self.values_.shape[1:]))
        width = k * (self.values_.size // self.values_.shape[0])
        for rows in row_blocks(index.shape[0], width):
            mean[rows] = self.values_[index[rows]].mean(axis=1)
        return mean
