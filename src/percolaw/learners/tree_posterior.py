"""The exact posterior of a tree random walk: the best any learner can do on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.learners.observations import FittedTreeLearner, Observations, fitted, observe
from percolaw.tree import Tree


@dataclass(frozen=True)
class TreePosterior:
    """Posterior mean of a Gaussian tree walk given exact values at some sites.

    The walk is a Gaussian Markov field with unit conductance per unit length: the mean is the
    harmonic extension of the observed values and the variance 1/(C_up + C_down), the effective
    resistance to the observed sites. The walk's level has a flat prior: that targets were standardised
    per cluster (mean 0) is not used, so with few observed sites the distance-adjusted 1-NN can be
    better. Where nothing is observed the mean is 0 and the variance
    infinite (the walk has no preferred level).

    Examples
    --------
    >>> tree = Tree.from_parent([-1, 0, 1, 2])
    >>> TreePosterior().fit(tree, [0, 3], [0.0, 3.0]).predict().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    def fit(self, tree: Tree, sites: npt.ArrayLike, values: npt.ArrayLike) -> FittedTreeLearner:
        """Store observed sites and values; O(m log m).

        Parameters
        ----------
        tree : Tree
            Of a Graph `predict` raises TypeError.
        sites : array of int, shape (m,)
            A repeated site keeps its first value.
        values : array of float, shape (m,)

        Returns
        -------
        FittedTreeLearner
        """
        return fitted(self, tree, sites, values)

    def estimate(self, observations: Observations) -> npt.NDArray[np.float64]:
        """Return posterior means at the queried sites; O(sites of the part)."""
        return self.mean_and_variance(observations)[0]

    def mean_and_variance(
        self, observations: Observations
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return posterior means and variances at the queried sites.

        The variance is that of a walk with unit variance per unit length, in a row of the same
        shape as the mean: 0 at observed sites, infinity where the cluster has none.

        Raises
        ------
        TypeError
            For observations on a Graph.
        """
        from percolaw.kernels import tree as kernels

        tree = observations.tree
        if not isinstance(tree, Tree):
            raise TypeError(
                "the exact posterior needs a Tree; this Graph may have loops. Use Graph.to_tree if it "
                "has none."
            )
        conductance = np.empty(tree.n_sites)
        mean = np.empty(tree.n_sites)
        kernels.posterior_passes(
            tree.parent, tree.edge, observations.site, observations.value, conductance, mean
        )
        query = observations.query
        if query is not None:
            conductance, mean = conductance[query], mean[query]
        with np.errstate(divide="ignore"):
            return mean, 1.0 / conductance


def posterior_variance(
    tree: Tree, sites: npt.ArrayLike, query: npt.ArrayLike | None = None
) -> npt.NDArray[np.float64]:
    """Return the posterior variance at `query` (all sites if None); it needs no values.

    Parameters
    ----------
    tree : Tree
    sites : array of int, shape (m,)
        Observed sites.
    query : array of int, shape (n_queries,), optional

    Returns
    -------
    array of float64, shape (n_queries,) or (n_sites,)
    """
    ids = checks.site_ids("sites", sites, tree.n_sites)
    observations = observe(tree, ids, np.zeros(ids.size), query)
    return TreePosterior().mean_and_variance(observations)[1]
