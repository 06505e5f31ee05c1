"""`MergeTree`: the hierarchy of latents in the clusters of a tree, as intervals of sites."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.structure import Ids, IntArray
from percolaw.tree import Tree


@dataclass(frozen=True, eq=False)
class MergeTree:
    """The binary hierarchy in which the sites of each cluster hang together; from
    `percolaw.clusters.coalescent.merge_tree`.

    Every edge of the clusters makes one *latent*: the connected set of sites that it completes. A
    cluster of s sites has s - 1 latents, numbered from the last one made, which is the whole cluster,
    to the first ones, which are pairs; latents of cluster k begin at ``start[k] - k``.

    Attributes
    ----------
    nodes : Tree
        A tree of 2s - 1 nodes for each cluster: its latents in their order, then its sites.
    start : array of int64, shape (n_clusters + 1,)
        First site of each cluster, then the number of sites.
    site : array of int, shape (n_latents,)
        Site whose edge (to its parent in the clusters) made the latent.

    Notes
    -----
    12 bytes a site, and 12 more once sites of latents are asked for; never a membership matrix.

    Examples
    --------
    >>> from percolaw.clusters.coalescent import merge_tree
    >>> from percolaw.clusters.conditioned import conditioned_clusters
    >>> merges = merge_tree(conditioned_clusters(1000, 3), rng=0)
    >>> merges
    MergeTree(999 latents of 1000 sites in 1 clusters)
    >>> merges.members(0).size, merges.sizes()[0], merges.sizes().min()
    (1000, np.int64(1000), np.int64(2))
    """

    nodes: Tree
    start: Ids
    site: IntArray

    @property
    def n_sites(self) -> int:
        """Number of sites of all clusters together."""
        return int(self.start[-1])

    @property
    def n_latents(self) -> int:
        """Number of latents of all clusters together: sites less clusters."""
        return int(self.site.shape[0])

    def latent_node(self, latents: npt.ArrayLike) -> Ids:
        """Return the nodes of m latents, int64 of shape (m,); ValueError for one that is not there."""
        ids = checks.site_ids("latents", latents, self.n_latents)
        first = self.start[:-1] - np.arange(self.start.size - 1)
        return ids + self.start[np.searchsorted(first, ids, side="right") - 1]

    def site_node(self, sites: npt.ArrayLike) -> Ids:
        """Return the nodes of m sites, int64 of shape (m,); ValueError for one that is not there."""
        ids = checks.site_ids("sites", sites, self.n_sites)
        k = np.searchsorted(self.start, ids, side="right") - 1
        return ids + self.start[k + 1] - k - 1

    def of_latents(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return those of values of all nodes, (2 n_sites - n_clusters,), that belong to latents."""
        from percolaw.kernels import coalescent as kernels

        out = np.empty(self.n_latents, dtype=values.dtype)
        kernels.of_latents(values, self.start, out)
        return out

    def of_sites(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return those of values of all nodes, (2 n_sites - n_clusters,), that belong to sites."""
        from percolaw.kernels import coalescent as kernels

        out = np.empty(self.n_sites, dtype=values.dtype)
        kernels.of_sites(values, self.start, out)
        return out

    # ---- sites of latents

    @cached_property
    def _intervals(self) -> tuple[IntArray, IntArray, IntArray]:
        """Sites in depth-first order; of every latent, where its own begin and end among them."""
        from percolaw.kernels import coalescent as kernels

        dtype = self.nodes.parent.dtype
        checks.memory(
            7.0 * dtype.itemsize * self.n_sites,
            f"the sites of {self.n_latents} latents",
            "Use fewer sites.",
        )
        order = np.empty(self.n_sites, dtype=dtype)
        first, stop = np.empty((2, self.n_latents), dtype=dtype)
        kernels.intervals(self.nodes.parent, self.start, order, first, stop)
        return order, first, stop

    @property
    def order(self) -> IntArray:
        """Sites in depth-first order, shape (n_sites,): those of a latent stand side by side."""
        return self._intervals[0]

    @property
    def first(self) -> IntArray:
        """Place in `order` of the first site of each latent, shape (n_latents,)."""
        return self._intervals[1]

    @property
    def stop(self) -> IntArray:
        """Place in `order` behind the last site of each latent, shape (n_latents,)."""
        return self._intervals[2]

    def sizes(self) -> Ids:
        """Return the number of sites of each latent, int64, shape (n_latents,)."""
        return (self.stop - self.first).astype(np.int64)

    def octaves(self) -> Ids:
        """Return floor(log2(size)) of each latent, from 1 on; int64, shape (n_latents,)."""
        return np.frexp(self.sizes())[1].astype(np.int64) - 1

    def parent_sizes(self) -> Ids:
        """Return the size of the next larger latent around each; 0 of whole clusters; (n_latents,)."""
        by_node = np.zeros(self.nodes.n_sites, dtype=np.int64)
        by_node[self.latent_node(np.arange(self.n_latents))] = self.sizes()
        above = self.of_latents(self.nodes.parent)
        return np.where(above < 0, 0, by_node[np.maximum(above, 0)])

    def members(self, latent: int) -> Ids:
        """Return the sites of a latent, int64; ValueError if there is no latent of this number."""
        i = checks.integer("latent", latent, minimum=0, maximum=self.n_latents - 1)
        return self.order[self.first[i] : self.stop[i]].astype(np.int64)

    def membership(self, latents: npt.ArrayLike, sites: npt.ArrayLike | None = None) -> Any:
        """Return which sites belong to which latents, as a sparse matrix.

        Parameters
        ----------
        latents : array of int, shape (m,)
        sites : array of int, shape (n,), optional
            All of them if left out.

        Returns
        -------
        scipy.sparse.csr_array of bool, shape (n, m)

        Raises
        ------
        ValueError
            For latents or sites that are not there.
        ResourceError
            If it would not fit into memory: 5 bytes an entry, of which there are as many as latents have
            sites among those asked for.
        """
        from scipy import sparse

        columns = checks.site_ids("latents", latents, self.n_latents)
        rows = np.arange(self.n_sites) if sites is None else sites
        rows = checks.site_ids("sites", rows, self.n_sites)
        place = np.empty(self.n_sites, dtype=np.int64)
        place[self.order] = np.arange(self.n_sites)
        by_place = np.argsort(place[rows], kind="stable")
        at = place[rows][by_place]
        low, high = (
            np.searchsorted(at, self.first[columns]),
            np.searchsorted(at, self.stop[columns]),
        )
        count = high - low
        total = int(count.sum())
        checks.memory(
            25.0 * total, f"{total} memberships of {rows.size} sites", "Ask for fewer latents."
        )
        ends = np.cumsum(count)
        inside = np.arange(total) - np.repeat(ends - count, count) + np.repeat(low, count)
        matrix = sparse.csc_array(
            (np.ones(total, dtype=bool), by_place[inside], np.concatenate([[0], ends])),
            shape=(rows.size, columns.size),
        )
        return matrix.tocsr()

    def restrict(self, sites: npt.ArrayLike) -> MergeTree:
        """Return the hierarchy of some sites: latents that join two of them, less all other sites.

        Parameters
        ----------
        sites : array of int, shape (m,)
            Strictly rising; the first one is site 0 of the result, and so on.

        Returns
        -------
        MergeTree
            `site` counts the sites of the whole, as before.

        Raises
        ------
        ValueError
            For sites that are not there, not rising, or none.

        Notes
        -----
        O(m log m + ancestors of the sites).
        """
        ids = checks.site_ids("sites", sites, self.n_sites)
        if np.any(np.diff(ids) <= 0):
            raise ValueError("sites must rise strictly; pass np.unique(sites).")
        span = self.nodes.span(self.site_node(ids), collapse=True)
        order = np.argsort(span.site)
        rank = np.empty_like(order)
        rank[order] = np.arange(order.size)
        above = span.tree.parent[order]
        dtype = self.nodes.parent.dtype
        up = np.where(above < 0, -1, rank[above]).astype(dtype)
        bounds = np.append(np.flatnonzero(up < 0), up.size)
        start = (bounds + np.arange(bounds.size)) // 2
        kept = span.site[order]
        cluster = np.searchsorted(self.nodes.start, kept, side="right") - 1
        latent = kept - self.start[cluster]
        is_latent = latent < self.start[cluster + 1] - cluster - 1
        return MergeTree(Tree(up, bounds), start, self.site[latent[is_latent]])

    # ---- latents of sites

    def n_ancestors(self) -> IntArray:
        """Return the number of latents that each site belongs to, shape (n_sites,). O(n_sites)."""
        return self.of_sites(self.nodes.depth())

    def ancestors(self, site: int) -> Ids:
        """Return the latents that a site belongs to, smallest first; int64.

        Raises
        ------
        ValueError
            If there is no such site.
        """
        i = checks.integer("site", site, minimum=0, maximum=self.n_sites - 1)
        first = int(self.start[np.searchsorted(self.start, i, side="right") - 1])
        up, chain = self.nodes.parent, []
        node = int(up[int(self.site_node([i])[0])])
        while node >= 0:
            chain.append(node - first)
            node = int(up[node])
        return np.array(chain, dtype=np.int64)

    def common_node(self, first: npt.ArrayLike, second: npt.ArrayLike) -> Ids:
        """Return the node of the smallest latent with both sites of each pair; a site's own if equal.

        Parameters
        ----------
        first, second : array of int, shape (m,)
            Sites.

        Returns
        -------
        array of int64, shape (m,)
            -1 for sites of two clusters.

        Raises
        ------
        ValueError
            For sites that are not there, and another number of them in `second`.

        Notes
        -----
        O(ancestors) a pair.
        """
        from percolaw.kernels import coalescent as kernels

        a, b = self.site_node(first), self.site_node(second)
        if a.shape != b.shape:
            raise ValueError(f"first and second must be equally many; got {a.size} and {b.size}.")
        out = np.full(a.shape, -1, dtype=np.int64)
        cluster = [np.searchsorted(self.nodes.start, nodes, side="right") for nodes in (a, b)]
        same = cluster[0] == cluster[1]
        joint = np.empty(int(same.sum()), dtype=np.int64)
        kernels.common_ancestor(self.nodes.parent, a[same], b[same], joint)
        out[same] = joint
        return out

    def __repr__(self) -> str:
        return (
            f"MergeTree({self.n_latents} latents of {self.n_sites} sites in "
            f"{self.start.size - 1} clusters)"
        )
