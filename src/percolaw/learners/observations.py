"""What a learner on a tree is given: observed sites with values, on the part that matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.graph import Graph
from percolaw.short import short_repr
from percolaw.tree import Tree


@dataclass(frozen=True, eq=False)
class Observations:
    """Clusters with values observed at some of their sites, and the sites to predict at.

    Attributes
    ----------
    tree : Tree or Graph
        The whole, or of a tree the part spanned by observed and queried sites.
    site : array of int64, shape (n_observed,)
        Observed sites, as indices into `tree`, in the order of their original ids; no repeats.
    value : array of float64, shape (n_observed,)
    query : array of int64, shape (n_query,) or None
        Sites to predict at, as indices into `tree`; None for all.
    label : array of int64, shape (tree.n_sites,) or (0,)
        Ids in the original tree (empty: the same ids).
    cluster_size : array of int64, shape (tree.n_clusters,)
        Number of sites of each cluster in the original tree.
    """

    tree: Tree | Graph
    site: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    query: npt.NDArray[np.int64] | None
    label: npt.NDArray[np.int64]
    cluster_size: npt.NDArray[np.int64]

    __repr__ = short_repr


def observe(
    tree: Tree | Graph,
    sites: npt.ArrayLike,
    values: npt.ArrayLike,
    query: npt.ArrayLike | None = None,
) -> Observations:
    """Check observations and cut the tree down to what predictions at `query` depend on.

    Parameters
    ----------
    tree : Tree or Graph
    sites : array of int, shape (n,)
        Observed sites; a repeated site keeps its first value.
    values : array of float, shape (n,)
    query : array of int, optional
        Where predictions will be asked for; None means everywhere, with no cut.

    Returns
    -------
    Observations
        On the spanned subtree if the tree was cut.

    Notes
    -----
    If observed and queried sites together are at most an eighth of a tree, the work is done on the
    subtree they span, which gives the same predictions as the whole tree. A graph is never cut: its
    shortest paths may lead anywhere.
    """
    ids = checks.site_ids("sites", sites, tree.n_sites)
    value = checks.finite_array("values", values, ndim=1, length=ids.size)
    ids, first = np.unique(ids, return_index=True)
    value = value[first]
    asked = None if query is None else checks.site_ids("query", query, tree.n_sites)
    no_label = np.zeros(0, dtype=np.int64)
    if (
        isinstance(tree, Graph)
        or asked is None
        or asked.size == 0
        or 8 * (ids.size + asked.size) > tree.n_sites
    ):
        return Observations(tree, ids, value, asked, no_label, tree.sizes)
    part = tree.span(np.concatenate([ids, asked]))
    return Observations(
        part.tree,
        part.index[: ids.size],
        value,
        part.index[ids.size :],
        part.site,
        tree.sizes[part.cluster],
    )


class TreeEstimator(Protocol):
    """A rule that predicts values at the queried sites of a tree from the observed ones."""

    def estimate(self, observations: Observations) -> npt.NDArray[np.float64]:
        """Return predictions at ``observations.query`` (all sites if None), float64."""
        ...


@dataclass(frozen=True, eq=False)
class FittedTreeLearner:
    """A learner with the observations it was given.

    Attributes
    ----------
    learner : TreeEstimator
    tree : Tree or Graph
    sites : array of int64, shape (m,)
        Observed sites, rising, no repeats.
    values : array of float64, shape (m,)
    """

    learner: TreeEstimator
    tree: Tree | Graph
    sites: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    __repr__ = short_repr

    def predict(self, query: npt.ArrayLike | None = None) -> npt.NDArray[np.float64]:
        """Return predictions at the given sites, or at all of them: float64, (n_query,) or (n_sites,)."""
        seen = observe(self.tree, self.sites, self.values, query)
        n = self.tree.n_sites if seen.query is None else seen.query.size
        what = f"the estimate of {type(self.learner).__name__}"
        return checks.returned(what, self.learner.estimate(seen), (n,), "One number a site asked.")


def fitted(
    learner: TreeEstimator, tree: Tree | Graph, sites: npt.ArrayLike, values: npt.ArrayLike
) -> FittedTreeLearner:
    """Check the observations and bind them to a learner.

    Parameters
    ----------
    learner : TreeEstimator
    tree, sites, values
        As in `observe`.

    Returns
    -------
    FittedTreeLearner
    """
    checked = observe(tree, sites, values)
    return FittedTreeLearner(learner, tree, checked.site, checked.value)
