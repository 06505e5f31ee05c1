"""`ClusterStructure`: the questions that clusters answer, whether they are trees or have loops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams

Ids: TypeAlias = npt.NDArray[np.int64]
IntArray: TypeAlias = npt.NDArray[np.signedinteger[Any]]
FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Largest number of sites whose ids are held in int32.
INT32_SITES = np.iinfo(np.int32).max

_NO_LABELS: Ids = np.zeros(0, dtype=np.int64)


def index_dtype(n_sites: int) -> type[np.int32] | type[np.int64]:
    """Return int32 up to 2^31 - 1 sites, else int64."""
    return np.int32 if n_sites <= INT32_SITES else np.int64


class ClusterStructure(ABC):
    """Clusters of consecutive sites among 0..n-1; a `percolaw.Tree` or a `percolaw.Graph`.

    Attributes
    ----------
    start : array of int64, shape (n_clusters + 1,)
        Cluster k holds the sites ``start[k] .. start[k + 1] - 1``.
    """

    start: Ids

    @property
    def n_sites(self) -> int:
        """Number of sites of all clusters together."""
        return int(self.start[-1])

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return int(self.start.shape[0] - 1)

    @property
    def sizes(self) -> Ids:
        """Number of sites of each cluster, int64, shape (n_clusters,)."""
        return np.diff(self.start)

    def cluster_of(self, sites: npt.ArrayLike) -> Ids:
        """Return the cluster of each of m sites, int64 of shape (m,). Cost O(m log n_clusters)."""
        ids = checks.site_ids("sites", sites, self.n_sites)
        return np.searchsorted(self.start, ids, side="right") - 1

    def cluster_sites(self, index: int) -> tuple[int, int]:
        """Return the first site of a cluster and the one after its last."""
        k = checks.integer("index", index, minimum=0, maximum=self.n_clusters - 1)
        return int(self.start[k]), int(self.start[k + 1])

    @abstractmethod
    def cluster(self, index: int) -> ClusterStructure:
        """Return one cluster alone (a copy). Cost O(cluster size)."""

    @abstractmethod
    def degree(self) -> IntArray:
        """Return the number of neighbours of each site, int32 (int64 beyond 2^31 - 1 sites). O(n)."""

    def nearest(
        self, observed: npt.ArrayLike, rng: RandomLike = 0
    ) -> tuple[npt.NDArray[Any], IntArray]:
        """Find the nearest observed site of every site.

        Ties: every observed site has a random rank, a hash of its id under the stream ``ties``;
        of equally near sites the one of smallest rank is taken, each with equal probability. With
        an integer seed the result does not depend on the order of `observed`, of edges or of calls.

        Parameters
        ----------
        observed : array of int, shape (m,)
            Observed sites, in any order, repeats allowed; none is allowed too.
        rng : int, Generator or Streams
            Decides ties; a Generator advances, so that two calls may decide differently.

        Returns
        -------
        distance : array of int32 (float64 for a tree with lengths), shape (n_sites,)
            Path length to the nearest observed site; 0 where none is observed in the cluster.
        nearest : array of int32, shape (n_sites,)
            That site, or -1 if the cluster has no observed site.

        Raises
        ------
        TypeError, ValueError
            If `observed` holds no integers, or ids outside 0..n_sites - 1.

        Notes
        -----
        O(n) time on a tree, O(sites + bonds) on a graph; 8 to 12 bytes a site. Integers are int64
        beyond 2^31 - 1 sites.
        """
        ids = checks.site_ids("observed", observed, self.n_sites)
        return self.nearest_labelled(ids, as_streams(rng).key("ties"), _NO_LABELS)

    @abstractmethod
    def nearest_labelled(
        self, observed: Ids, key: np.uint64, label: Ids
    ) -> tuple[npt.NDArray[Any], IntArray]:
        """Find the nearest observed site of every site, with ties decided by a key and by labels.

        Parameters
        ----------
        observed : array of int64, shape (m,)
            Observed sites.
        key : uint64
            Of equally near sites the one whose label has the smallest hash under `key` is taken.
        label : array of int64, shape (n_sites,) or (0,)
            What is hashed. A part of a larger structure passes the ids that its sites have there,
            and then decides ties as the whole does; empty hashes the site ids themselves.

        Returns
        -------
        distance, nearest : array, shape (n_sites,)
            As `nearest` returns them.
        """

    def distances_from(self, source: int) -> FloatArray:
        """Return the path length from one site to all, float64 of shape (n_sites,).

        Infinity in other clusters. Cost as of `nearest`.
        """
        site = checks.integer("source", source, minimum=0, maximum=self.n_sites - 1)
        distance, nearest = self.nearest([site])
        return np.where(nearest >= 0, distance, np.inf)

    def distance_between(self, first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray:
        """Return path lengths between pairs of sites, infinity between clusters.

        Parameters
        ----------
        first, second : array of int, shape (m,)
            The ends of each pair.

        Returns
        -------
        array of float64, shape (m,)

        Raises
        ------
        TypeError, ValueError
            If the arrays hold no integers, ids outside 0..n_sites - 1, or differ in shape.

        Notes
        -----
        O(path) a pair on a tree. On a graph with loops one search, O(sites + bonds), from each
        distinct site of `first` or of `second`, whichever has fewer of them.
        """
        u = checks.site_ids("first", first, self.n_sites)
        v = checks.site_ids("second", second, self.n_sites)
        if u.shape != v.shape:
            raise ValueError(f"first and second must have one shape; got {u.shape} and {v.shape}.")
        return self._distance_between(u, v)

    @abstractmethod
    def _distance_between(self, first: Ids, second: Ids) -> FloatArray:
        """`distance_between` of sites that were checked."""
