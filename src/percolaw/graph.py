"""`Graph`: clusters with loops, the one structure beside `Tree`.

Where a cluster is a tree, `Tree` answers the same questions faster; `Graph.to_tree` goes there and
`Graph.from_tree` back. Bonds have length one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import adjacency as matrices
from percolaw import checks
from percolaw.short import short_repr
from percolaw.structure import ClusterStructure, FloatArray, Ids, IntArray, index_dtype
from percolaw.tree import Span, Tree


@dataclass(frozen=True, eq=False)
class Graph(ClusterStructure):
    """One or several connected clusters over sites 0..n-1, in compressed sparse rows.

    Parameters
    ----------
    indptr : array of int64, shape (n_sites + 1,)
        The neighbours of site i are ``neighbor[indptr[i]:indptr[i + 1]]``.
    neighbor : array of int32 or int64, shape (2 n_bonds,)
        Each bond stands once at each of its ends.
    start : array of int64, shape (n_clusters + 1,)
        Cluster k holds the sites ``start[k] .. start[k + 1] - 1``; every cluster is connected.

    Notes
    -----
    The constructor trusts its arguments; use `Graph.from_bonds` for arrays from elsewhere.
    Memory: 8 bytes a site and 8 a bond up to 2^31 - 1 sites.

    Examples
    --------
    >>> square = Graph.from_bonds(4, [0, 1, 2, 3], [1, 2, 3, 0])
    >>> square.n_loops, square.nearest([0])[0].tolist()
    (1, [0, 1, 2, 1])
    """

    indptr: Ids
    neighbor: IntArray
    start: Ids

    __repr__ = short_repr

    @classmethod
    def from_bonds(
        cls,
        n_sites: int,
        low: npt.ArrayLike,
        high: npt.ArrayLike,
        start: npt.ArrayLike | None = None,
    ) -> Graph:
        """Check bonds low[i] - high[i] and return the graph they make.

        Parameters
        ----------
        n_sites : int
            At least 1.
        low, high : array-like of int, shape (n_bonds,)
            Ends of each bond, in either order.
        start : array-like of int, shape (n_clusters + 1,), optional
            First site of each cluster, then the number of sites; one cluster if left out.

        Returns
        -------
        Graph

        Raises
        ------
        TypeError, ValueError
            If `low` or `high` holds no integers, or ids outside 0..n_sites - 1.
        ValueError
            For a bond of a site with itself, a bond given twice or between two clusters, a cluster
            that is not connected, and a `start` that does not rise from 0 to n_sites.
        ResourceError
            If the graph would not fit into memory.

        Notes
        -----
        O(n_sites + n_bonds log n_bonds) time.
        """
        n = checks.integer("n_sites", n_sites, minimum=1)
        a, b = checks.site_ids("low", low, n), checks.site_ids("high", high, n)
        if a.shape != b.shape:
            raise ValueError(f"low and high must have one shape; got {a.shape} and {b.shape}.")
        if np.any(a == b):
            raise ValueError(f"site {int(a[a == b][0])} has a bond with itself; leave it out.")
        checks.memory(32.0 * n + 60.0 * a.size, f"a graph of {n} sites", "Take fewer sites.")
        lower, upper = np.minimum(a, b), np.maximum(a, b)
        order = np.lexsort((upper, lower))
        if np.any((np.diff(lower[order]) == 0) & (np.diff(upper[order]) == 0)):
            raise ValueError("a bond is given twice; give each once, in either direction.")
        bounds = np.array([0, n]) if start is None else checks.array("start", start)
        if bounds.size < 2 or bounds.dtype.kind not in "iu" or bounds.ndim != 1:
            raise ValueError(f"start must be a row of integers from 0 to {n}; got {start!r}.")
        if bounds[0] != 0 or bounds[-1] != n or np.any(np.diff(bounds) < 1):
            raise ValueError(f"start must rise strictly from 0 to {n}; got {bounds[:5]}...")
        if np.any(np.searchsorted(bounds, a, "right") != np.searchsorted(bounds, b, "right")):
            raise ValueError(
                "a bond joins two clusters; join them in start, or leave the bond out."
            )
        graph = cls.trusted(a, b, bounds.astype(np.int64))
        _ = graph._search  # refuses clusters that are not connected
        return graph

    @classmethod
    def trusted(cls, low: IntArray, high: IntArray, start: Ids) -> Graph:
        """Return the graph of bonds without checking them. O(n_sites + n_bonds).

        Parameters
        ----------
        low, high : array of int, shape (n_bonds,)
            Ends of each bond, each bond once.
        start : array of int64, shape (n_clusters + 1,)
            First site of each cluster, then the number of sites.

        Returns
        -------
        Graph
        """
        from percolaw.kernels import graph as kernels

        n = int(start[-1])
        indptr = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.bincount(low, minlength=n) + np.bincount(high, minlength=n), out=indptr[1:])
        neighbor = np.empty(indptr[-1], dtype=index_dtype(n))
        kernels.fill_rows(indptr, low, high, neighbor)
        return cls(indptr, neighbor, start)

    @classmethod
    def from_tree(cls, tree: Tree) -> Graph:
        """Return the graph of a tree with edges of length one; sites keep their numbers.

        Raises
        ------
        ValueError
            If the tree has edge lengths.
        """
        if tree.length is not None:
            raise ValueError("a Graph has bonds of length one; this tree has lengths.")
        child = np.flatnonzero(tree.parent >= 0)
        return cls.trusted(tree.parent[child], child, tree.start)

    # ---- sizes

    @property
    def n_bonds(self) -> int:
        """Number of bonds."""
        return int(self.neighbor.shape[0] // 2)

    @property
    def n_loops(self) -> int:
        """Number of independent loops, bonds - sites + clusters; 0 if every cluster is a tree."""
        return self.n_bonds - self.n_sites + self.n_clusters

    def cluster(self, index: int) -> Graph:
        """Return one cluster as a graph of its sites 0, 1, ... (a copy). O(its sites and bonds)."""
        low, high = self.cluster_sites(index)
        first, last = int(self.indptr[low]), int(self.indptr[high])
        neighbor = self.neighbor[first:last] - self.neighbor.dtype.type(low)
        return Graph(
            self.indptr[low : high + 1] - first,
            neighbor.astype(index_dtype(high - low), copy=False),
            np.array([0, high - low], dtype=np.int64),
        )

    def degree(self) -> IntArray:
        """Return the number of neighbours of each site, int32 (int64 beyond 2^31 - 1 sites). O(n)."""
        return np.diff(self.indptr).astype(index_dtype(self.n_sites))

    def bonds(self) -> tuple[Ids, Ids]:
        """Return the smaller and the larger end of every bond: two arrays of int64, shape (n_bonds,)."""
        low = np.repeat(np.arange(self.n_sites), self.degree())
        once = low < self.neighbor
        return low[once], self.neighbor[once].astype(np.int64)

    # ---- searches

    def nearest_labelled(
        self, observed: Ids, key: np.uint64, label: Ids
    ) -> tuple[npt.NDArray[Any], IntArray]:
        from percolaw.kernels import graph as kernels

        distance = np.empty(self.n_sites, dtype=index_dtype(self.n_sites))
        nearest = np.empty(self.n_sites, dtype=self.neighbor.dtype)
        kernels.nearest_search(self.indptr, self.neighbor, observed, label, key, distance, nearest)
        return distance, nearest

    def _distance_between(self, first: Ids, second: Ids) -> FloatArray:
        if not self.n_loops:
            order, tree = self._search
            place = _inverse(order)
            return tree.distance_between(place[first], place[second])
        if np.unique(second).size < np.unique(first).size:
            first, second = second, first
        out = np.empty(first.shape[0], dtype=np.float64)
        for source in np.unique(first):
            pairs = first == source
            out[pairs] = self.distances_from(int(source))[second[pairs]]
        return out

    @cached_property
    def _search(self) -> tuple[IntArray, Tree]:
        """Sites breadth-first from the first of each cluster, and the tree of that search."""
        from percolaw.kernels import graph as kernels

        order = np.empty(self.n_sites, dtype=self.neighbor.dtype)
        parent = np.empty(self.n_sites, dtype=self.neighbor.dtype)
        bad = int(kernels.breadth_first(self.indptr, self.neighbor, self.start, order, parent))
        if bad >= 0:
            raise ValueError(
                f"cluster {bad} is not connected, or has a bond to another one. Renumber the sites so "
                "that each cluster is a run of them (scipy.sparse.csgraph.connected_components)."
            )
        return order, Tree(parent, self.start)

    def spanning_tree(self) -> tuple[Tree, IntArray]:
        """Return the tree of a breadth-first search, and the site of this graph that each node is.

        The search starts at the first site of each cluster, so depths are chemical distances from
        there. O(sites + bonds) at the first call; the result is kept.
        """
        order, tree = self._search
        return tree, order

    def to_tree(self) -> tuple[Tree, IntArray]:
        """Return a graph without loops as a tree, and the site of this graph that each node is.

        Raises
        ------
        ValueError
            If there are loops; `spanning_tree` is a tree of any graph.
        """
        if self.n_loops:
            raise ValueError(
                f"the clusters have {self.n_loops} loops, so they are no trees. Use spanning_tree()."
            )
        return self.spanning_tree()

    def span(self, sites: npt.ArrayLike, *, collapse: bool = False) -> Span:
        """Return the union of shortest paths from the first site of each cluster to the given ones.

        `Tree.span` of the spanning tree, with ``site`` in this graph's numbers. Where there are
        loops, two of the sites can be nearer to each other in the graph than in the part.

        Parameters
        ----------
        sites : array-like of int, shape (m,)
            Sites to keep, in any order, repeats allowed.
        collapse : bool
            Merge every unbranched run into one edge, as `Tree.span` does.

        Returns
        -------
        Span

        Raises
        ------
        TypeError, ValueError
            If `sites` is empty, holds no integers, or ids outside 0..n_sites - 1.
        """
        order, tree = self._search
        ids = checks.site_ids("sites", sites, self.n_sites)
        part = tree.span(_inverse(order)[ids], collapse=collapse)
        return Span(part.tree, order[part.site].astype(np.int64), part.index, part.cluster)

    def core(self) -> npt.NDArray[np.bool_]:
        """Return which sites lie on a loop or between two, bool of shape (n_sites,).

        They are left when sites with one neighbour are removed again and again. O(sites + bonds).
        """
        return self.pruned()[1] == -1

    def pruned(self) -> tuple[IntArray, IntArray]:
        """Remove sites with one neighbour until none is left; return them in that order, and more.

        The second array, of shape (n_sites,), holds the last neighbour that each removed site had:
        -2 at the last site of a cluster without loops, -1 in the core. O(sites + bonds).
        """
        from percolaw.kernels import graph as kernels

        removed = np.empty(self.n_sites, dtype=self.neighbor.dtype)
        above = np.empty(self.n_sites, dtype=self.neighbor.dtype)
        n = int(kernels.prune(self.indptr, self.neighbor, removed, above))
        return removed[:n], above

    # ---- other libraries

    def to_sparse(self) -> Any:
        """Return the symmetric adjacency matrix (scipy.sparse CSR, float64 ones)."""
        from scipy import sparse

        shape = (self.n_sites, self.n_sites)
        return sparse.csr_array((np.ones(self.neighbor.size), self.neighbor, self.indptr), shape)

    def laplacian(self) -> Any:
        """Return degrees minus adjacency (scipy.sparse CSR, float64)."""
        from scipy import sparse

        return (sparse.diags_array(self.degree().astype(np.float64)) - self.to_sparse()).tocsr()

    @classmethod
    def from_sparse(cls, adjacency: Any) -> tuple[Graph, Ids]:
        """Return the graph of an adjacency matrix, and the row that each of its sites was.

        Two sites have a bond, of length one, if either entry of the pair is not 0. Connected parts
        become clusters, in order of their first rows. The rows are int64, shape (n,).

        Raises
        ------
        ValueError
            If the matrix is not square or is empty, or joins a site to itself.
        """
        low, high, start, old = matrices.connected_clusters(matrices.checked_adjacency(adjacency))
        return cls.trusted(low, high, start), old


def _inverse(order: IntArray) -> Ids:
    """Where each site stands in an order of all sites."""
    place = np.empty(order.size, dtype=np.int64)
    place[order] = np.arange(order.size)
    return place
