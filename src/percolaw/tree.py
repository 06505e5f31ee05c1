"""`Tree`: the one structure everything rests on.

A forest is an array of parents in which **a parent comes before its children**. With that order
every question about a tree is an upward pass, a downward pass or both: linear time, no recursion,
no graph library.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import adjacency as matrices
from percolaw import checks
from percolaw.short import short_repr
from percolaw.structure import ClusterStructure, FloatArray, Ids, IntArray, index_dtype


@dataclass(frozen=True, eq=False)
class Tree(ClusterStructure):
    """One or several rooted trees over sites 0..n-1, parents before children.

    Parameters
    ----------
    parent : array of int32 or int64, shape (n_sites,)
        Parent of each site, smaller than the site's own index; -1 at the first site of each
        cluster, its root.
    start : array of int64, shape (n_clusters + 1,)
        Cluster k holds the sites ``start[k] .. start[k + 1] - 1``; no cluster is empty.
    length : array of float64, shape (n_sites,), optional
        Length of the edge to the parent, positive (ignored at roots). None means one everywhere.

    Notes
    -----
    The constructor trusts its arguments; use `Tree.from_parent` for arrays from elsewhere.
    Memory: 4 bytes a site up to 2^31 - 1 sites, 8 beyond, and 8 more with lengths.

    Examples
    --------
    >>> tree = Tree.from_parent([-1, 0, 0, 1])
    >>> tree.depth().tolist(), tree.subtree_size().tolist()
    ([0, 1, 1, 2], [4, 2, 1, 1])
    """

    parent: IntArray
    start: Ids
    length: FloatArray | None = None

    @classmethod
    def from_parent(
        cls,
        parent: npt.ArrayLike,
        start: npt.ArrayLike | None = None,
        length: npt.ArrayLike | None = None,
    ) -> Tree:
        """Check arrays and return the tree they describe.

        Parameters
        ----------
        parent : array-like of int, shape (n_sites,)
            Parent of each site, an earlier one; -1 at a root.
        start : array-like of int, shape (n_clusters + 1,), optional
            First site of each cluster, then the number of sites. If left out, each root (-1)
            starts a cluster.
        length : array-like of float, shape (n_sites,), optional
            Length of the edge to the parent, positive; at roots any finite number.

        Returns
        -------
        Tree

        Raises
        ------
        TypeError
            If `parent` or `start` holds no integers, or `parent` is empty or not one-dimensional.
        ValueError
            If a parent does not come before its child or lies in another cluster, `start` does not
            rise from 0 to n_sites, or a length is not positive and finite.

        Notes
        -----
        O(n_sites) time; a `parent` of the right dtype and layout is not copied.
        """
        from percolaw.kernels import tree as kernels

        array = checks.array("parent", parent)
        if array.dtype.kind not in "iu" or array.ndim != 1 or array.size == 0:
            raise TypeError(
                "parent must be a non-empty one-dimensional integer array; got "
                f"dtype {array.dtype}, shape {array.shape}."
            )
        low, high = int(array.min()), int(array.max())
        if low < -1 or high >= array.size:
            raise ValueError(
                f"parent must lie in -1..{array.size - 1}; got values from {low} to {high}."
            )
        array = np.require(array, index_dtype(array.size), ["C", "W"])  # one layout to compile for
        if start is None:
            bounds = np.append(np.flatnonzero(array < 0), array.size).astype(np.int64)
        else:
            given = checks.array("start", start)
            if given.dtype.kind not in "iu":
                raise TypeError(f"start must hold integers; got dtype {given.dtype}.")
            bounds = given.astype(np.int64)
        if (
            bounds.ndim != 1
            or bounds.size < 2
            or bounds[0] != 0
            or bounds[-1] != array.size
            or np.any(np.diff(bounds) < 1)
        ):
            raise ValueError(
                f"start must rise strictly from 0 to the number of sites ({array.size}) and the "
                f"first site must be a root (parent -1); got start {bounds.ravel()[:5]}..."
            )
        bad = int(kernels.first_bad_parent(array, bounds))
        if bad >= 0:
            raise ValueError(
                f"site {bad} has parent {array[bad]}; a root (first site of its cluster) needs -1, "
                "any other site an earlier site of the same cluster. "
                "Renumber the sites breadth-first or depth-first."
            )
        if length is None:
            return cls(array, bounds)
        lengths = np.ascontiguousarray(
            checks.finite_array("length", length, ndim=1, length=array.size)
        )
        if np.any(lengths[array >= 0] <= 0):
            raise ValueError("length must be positive at every site that has a parent.")
        return cls(array, bounds, lengths)

    @property
    def edge(self) -> npt.NDArray[Any]:
        """Edge lengths as an array; a zero-stride view of int32 ones when all are one."""
        if self.length is not None:
            return self.length
        return np.broadcast_to(np.ones((), dtype=np.int32), (self.n_sites,))

    def cluster(self, index: int) -> Tree:
        """Return one cluster as a tree of its sites 0, 1, ... (a copy). Cost O(cluster size)."""
        low, high = self.cluster_sites(index)
        parent = self.parent[low:high] - self.parent.dtype.type(low)
        parent[0] = -1
        length = None if self.length is None else self.length[low:high].copy()
        return Tree(
            parent.astype(index_dtype(high - low), copy=False),
            np.array([0, high - low], dtype=np.int64),
            length,
        )

    # ---- passes

    def depth(self) -> npt.NDArray[Any]:
        """Return the distance of each site from its root, shape (n_sites,). O(n).

        float64 with lengths, else int32 (int64 beyond 2^31 - 1 sites).
        """
        from percolaw.kernels import tree as kernels

        out = np.empty(self.n_sites, dtype=self._distance_dtype)
        kernels.depth_down(self.parent, self.edge, out)
        return out

    def subtree_size(self) -> IntArray:
        """Return the number of sites of the subtree below each site, itself included. O(n).

        Of the dtype of `parent`, shape (n_sites,).
        """
        from percolaw.kernels import tree as kernels

        out = np.zeros(self.n_sites, dtype=self.parent.dtype)
        kernels.sizes_up(self.parent, out)
        return out

    def child_count(self) -> IntArray:
        """Return the number of children of each site, int32 (int64 beyond 2^31 - 1 sites). O(n)."""
        from percolaw.kernels import tree as kernels

        out = np.zeros(self.n_sites, dtype=index_dtype(self.n_sites))
        kernels.count_children(self.parent, out)
        return out

    def degree(self) -> IntArray:
        """Return the number of neighbours of each site, int32 (int64 beyond 2^31 - 1 sites). O(n)."""
        return self.child_count() + (self.parent >= 0)

    def accumulate(self, steps: npt.ArrayLike) -> FloatArray:
        """Return sums of `steps` along the path from the root to each site: a walk on the tree. O(n).

        Parameters
        ----------
        steps : array of float, shape (n_sites,)
            Step from the parent to each site; at a root, the walk's starting value.

        Returns
        -------
        array of float64, shape (n_sites,)

        Raises
        ------
        ValueError
            For another shape, NaN or infinity.
        """
        from percolaw.kernels import tree as kernels

        out = checks.finite_array("steps", steps, ndim=1, length=self.n_sites).copy()
        kernels.accumulate_down(self.parent, out)
        return out

    def _distance_between(self, first: Ids, second: Ids) -> FloatArray:
        from percolaw.kernels import tree as kernels

        out = np.empty(first.shape[0], dtype=np.float64)
        kernels.distances(self.parent, self.edge, first, second, out)
        return out

    def nearest_labelled(
        self, observed: Ids, key: np.uint64, label: Ids
    ) -> tuple[npt.NDArray[Any], IntArray]:
        from percolaw.kernels import tree as kernels

        distance = np.empty(self.n_sites, dtype=self._distance_dtype)
        nearest = np.empty(self.n_sites, dtype=self.parent.dtype)
        kernels.nearest_passes(self.parent, self.edge, observed, label, key, distance, nearest)
        return distance, nearest

    # ---- parts

    def span(self, sites: npt.ArrayLike, *, collapse: bool = False) -> Span:
        """Return the part of the tree spanned by given sites and their roots.

        Parameters
        ----------
        sites : array of int, shape (m,)
            Sites to keep, in any order, repeats allowed.
        collapse : bool
            Merge every unbranched run into one edge of the summed length, and drop the stem above
            the topmost site or branch point: at most 2m - 1 sites remain, and edges have lengths.

        Returns
        -------
        Span
            The smaller tree, which sites it holds and where the given ones are. Clusters without
            a given site are left out.

        Raises
        ------
        TypeError, ValueError
            If `sites` is empty, holds no integers, or ids outside 0..n_sites - 1.
        ResourceError
            If it would not fit into memory.

        Notes
        -----
        Time O(m log m + spanned sites). Of m random sites of a critical tree of n sites and
        offspring variance s2 about sqrt(2 n m / s2) are spanned. Memory: 32 bytes a spanned site,
        40 a given one, and a table of 4 a site of the whole tree, which is kept for later calls.
        """
        from percolaw.kernels import tree as kernels

        ids = checks.site_ids("sites", sites, self.n_sites)
        if ids.size == 0:
            raise ValueError("sites is empty; give at least one site to span.")
        # Of critical trees: the least offspring variance of a lattice is 1/2, at z = 3.
        spanned = min(self.n_sites, ids.size + 2.0 * math.sqrt(self.n_sites * ids.size))
        checks.memory(
            40.0 * ids.size + self.parent.itemsize * self.n_sites + 32.0 * spanned,
            f"the tree that {ids.size} sites span",
            "Ask for fewer sites.",
        )
        wanted, back = np.unique(ids, return_inverse=True)
        # The scratch array is taken away while in use, so a second thread makes its own.
        slot = self.__dict__.pop("_scratch", None)
        if slot is None:
            slot = np.full(self.n_sites, -1, dtype=self.parent.dtype)
        nodes, above, position = kernels.span_paths(self.parent, wanted, slot)
        self.__dict__["_scratch"] = slot
        roots = np.flatnonzero(above < 0)
        clusters = np.searchsorted(self.start, nodes[roots], side="right") - 1
        length = None if self.length is None else self.length[nodes]
        part = Tree(
            above.astype(index_dtype(nodes.size), copy=False),
            np.append(roots, nodes.size).astype(np.int64),
            length,
        )
        if not collapse:
            return Span(part, nodes, position[back], clusters)
        keep = np.zeros(nodes.size, dtype=np.bool_)
        keep[position] = True
        kept, parent, merged, new = kernels.collapse(part.parent, part.edge, keep)
        part = Tree(
            parent.astype(index_dtype(kept.size), copy=False),
            np.append(np.flatnonzero(parent < 0), kept.size).astype(np.int64),
            merged,
        )
        return Span(part, nodes[kept], new[position[back]], clusters)

    # ---- other libraries

    def to_sparse(self) -> Any:
        """Return the symmetric adjacency matrix (scipy.sparse CSR, float64 edge lengths)."""
        from scipy import sparse

        child = np.flatnonzero(self.parent >= 0)
        parent = self.parent[child]
        weight = self.edge[child].astype(np.float64)
        upper = sparse.coo_array((weight, (parent, child)), shape=(self.n_sites, self.n_sites))
        return (upper + upper.T).tocsr()

    @classmethod
    def from_sparse(cls, adjacency: Any) -> tuple[Tree, Ids]:
        """Return the tree of an adjacency matrix, and the row that each of its sites was.

        Entries are edge lengths; the matrix is symmetric, or holds each edge once. Each connected
        part is rooted at its smallest row and numbered breadth-first. The rows are int64, shape (n,).

        Raises
        ------
        ValueError
            If the matrix is not square or is empty, joins a site to itself, gives one edge two
            lengths or a length that is not positive, or the graph has a cycle.
        """
        parent, length, old = matrices.rooted_forest(matrices.checked_adjacency(adjacency))
        return cls.from_parent(parent, length=None if np.all(length == 1.0) else length), old

    def to_networkx(self) -> Any:
        """Return a networkx Graph of nodes 0..n_sites - 1 with edge attribute ``length``."""
        networkx = checks.extra("networkx", "dev")
        graph = networkx.Graph()
        graph.add_nodes_from(range(self.n_sites))
        child = np.flatnonzero(self.parent >= 0)
        graph.add_weighted_edges_from(
            zip(
                self.parent[child].tolist(),
                child.tolist(),
                self.edge[child].tolist(),
                strict=True,
            ),
            weight="length",
        )
        return graph

    @classmethod
    def from_networkx(cls, graph: Any) -> tuple[Tree, list[Any]]:
        """Return the tree of a networkx forest, and the node that each of its sites was.

        The edge attribute ``length`` is read, 1 where it is missing. Raises as `from_sparse` does.
        """
        networkx = checks.extra("networkx", "dev")
        nodes = list(graph.nodes)
        matrix = networkx.to_scipy_sparse_array(graph, nodelist=nodes, weight="length")
        tree, old = cls.from_sparse(matrix)
        return tree, [nodes[i] for i in old]

    @property
    def _distance_dtype(self) -> type[np.int32] | type[np.int64] | type[np.float64]:
        return index_dtype(self.n_sites) if self.length is None else np.float64

    def __repr__(self) -> str:
        lengths = "unit edges" if self.length is None else "edge lengths"
        return f"Tree({self.n_sites} sites, {self.n_clusters} clusters, {lengths})"


@dataclass(frozen=True, eq=False)
class Span:
    """A part of a larger tree or graph, from `Tree.span` or `Graph.span`.

    Attributes
    ----------
    tree : Tree
        The part.
    site : array of int64, shape (tree.n_sites,)
        Site of the larger structure that each site of the part is.
    index : array of int64, shape (m,)
        Site of the part that each given site is, in the order given.
    cluster : array of int64, shape (tree.n_clusters,)
        Cluster of the larger structure that each cluster of the part comes from.
    """

    tree: Tree
    site: Ids
    index: Ids
    cluster: Ids

    __repr__ = short_repr
