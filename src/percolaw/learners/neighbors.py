"""Regression with exact nearest neighbours; the search is `percolaw.numerics.neighbors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.numerics.covariance import row_blocks
from percolaw.numerics.neighbors import checked_points, nearest_neighbors


@dataclass(frozen=True)
class NearestNeighbors:
    """k-nearest-neighbour regression on points, exact.

    Parameters
    ----------
    k : int
        Neighbours averaged, with equal weights; 1 is 1-NN.

    Examples
    --------
    >>> NearestNeighbors(1).fit([[0.0], [1.0]], [5.0, 7.0]).predict([[0.2], [0.9]]).tolist()
    [5.0, 7.0]
    """

    k: int = 1

    def fit(self, points: npt.ArrayLike, values: npt.ArrayLike) -> FittedNearestNeighbors:
        """Store points (n, d) and values (n,) or (n, n_outputs).

        Parameters
        ----------
        points : array, shape (n, d)
        values : array, shape (n,) or (n, n_outputs)

        Returns
        -------
        FittedNearestNeighbors

        Raises
        ------
        ValueError
            If there are fewer than k points.
        """
        x, _ = checked_points(points, points)
        y = checks.target_values("values", values, x.shape[0])
        wanted = checks.integer("k", self.k, minimum=1)
        if wanted > x.shape[0]:
            raise ValueError(f"k = {wanted} needs at least as many points; got {x.shape[0]}.")
        return FittedNearestNeighbors(wanted, x, y)


@dataclass(frozen=True, eq=False)
class FittedNearestNeighbors:
    """Neighbour regression with its data."""

    k: int
    points: npt.NDArray[Any]
    values: npt.NDArray[np.float64]

    def predict(self, queries: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the mean value of the k nearest points of each query."""
        _, index = nearest_neighbors(self.points, queries, self.k)
        mean = np.empty((index.shape[0], *self.values.shape[1:]))
        for rows in row_blocks(index.shape[0], self.k * (self.values.size // self.values.shape[0])):
            mean[rows] = self.values[index[rows]].mean(axis=1)
        return mean
