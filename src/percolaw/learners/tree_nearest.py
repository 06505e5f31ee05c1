"""Nearest-neighbour regression on clusters, plain and with the paper's distance adjustment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw.graph import Graph
from percolaw.learners.observations import FittedTreeLearner, Observations, fitted
from percolaw.rng import RandomLike, as_streams
from percolaw.tree import Tree


@dataclass(frozen=True)
class TreeNearest:
    """Predict the value at the nearest observed site; 0 in a cluster with none.

    Parameters
    ----------
    adjusted : bool
        Shrink with distance, y_nearest / (1 + distance / sqrt(cluster size)): the "Bayesian
        adjustment" of the 2024 paper's program. Meant for standardised targets.
    rng : int, Generator or Streams
        Decides between equally near sites, see `Tree.nearest`.

    Examples
    --------
    >>> tree = Tree.from_parent([-1, 0, 1, 2])
    >>> TreeNearest().fit(tree, [0, 3], [5.0, 7.0]).predict().tolist()
    [5.0, 5.0, 7.0, 7.0]
    """

    adjusted: bool = False
    rng: RandomLike = 0

    def fit(
        self, tree: Tree | Graph, sites: npt.ArrayLike, values: npt.ArrayLike
    ) -> FittedTreeLearner:
        """Store observed sites and values; O(m log m).

        Parameters
        ----------
        tree : Tree or Graph
        sites : array of int, shape (m,)
            A repeated site keeps its first value.
        values : array of float, shape (m,)

        Returns
        -------
        FittedTreeLearner
        """
        return fitted(self, tree, sites, values)

    def estimate(self, observations: Observations) -> npt.NDArray[np.float64]:
        """Return predictions at the queried sites; O(sites of the part), of a graph all of it."""
        tree = observations.tree
        distance, nearest = tree.nearest_labelled(
            observations.site, as_streams(self.rng).key("ties"), observations.label
        )
        value = np.zeros(tree.n_sites)
        value[observations.site] = observations.value
        query = observations.query
        if query is None:
            query = np.arange(tree.n_sites)
        site = nearest[query]
        prediction = np.where(site >= 0, value[site], 0.0)
        if self.adjusted:
            scale = np.sqrt(observations.cluster_size[tree.cluster_of(query)])
            prediction /= 1.0 + distance[query] / scale
        return prediction
