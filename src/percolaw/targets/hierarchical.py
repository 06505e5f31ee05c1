"""The hierarchical function: every latent of a cluster, and every site, adds a normal of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.merges import MergeTree
from percolaw.rng import RandomLike, as_streams, normal_rows
from percolaw.short import short_repr
from percolaw.targets.tree_walk import TreeTarget
from percolaw.tree import Tree

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class HierarchicalTarget(TreeTarget):
    """Values of a hierarchical function on the sites of a tree, and what they are made of.

    Attributes
    ----------
    merges : MergeTree
        The hierarchy.
    latent : array of float64, shape (n_latents,)
        The normal of each latent: what a probe of a network looks for.
    own : array of float64, shape (n_sites,)
        The normal of each site.
    """

    merges: MergeTree
    latent: FloatArray
    own: FloatArray

    __repr__ = short_repr


@dataclass(frozen=True)
class HierarchicalFunction:
    """Sum of the normals of all latents that a site belongs to, and of its own.

    y(u) = (sum over ancestors of z + z_u) / sqrt(number of terms), so that each value has variance 1
    over functions. Two sites at distance r share all but about r log(1/r) of their ancestors.

    Parameters
    ----------
    normalized : bool
        Divide by the root of the number of terms; without it deep sites vary more.
    standardized : bool
        Give each cluster mean 0 and variance 1, so that predicting 0 has loss 1. Raw values of one
        cluster have a variance of about one half: what its large latents add is common to many.

    Examples
    --------
    >>> from percolaw.clusters.conditioned import conditioned_clusters
    >>> target = HierarchicalFunction().sample(conditioned_clusters(1000, 6), rng=0)
    >>> target.latent.size, bool(abs(target.value.var() - 1) < 1e-12)
    (999, True)
    """

    normalized: bool = True
    standardized: bool = True

    @property
    def approximation_order(self) -> float:
        """2, with a logarithm: squared differences grow like r log(1/r), r like squared distance."""
        return 2.0

    def sample(self, tree: Tree, rng: RandomLike = 0) -> HierarchicalTarget:
        """Draw the hierarchy of a tree and the function on every site.

        Parameters
        ----------
        tree : Tree
        rng : int, Generator or Streams
            Streams ``hierarchy`` and ``target``.

        Returns
        -------
        HierarchicalTarget

        Raises
        ------
        ResourceError
            If it would not fit into memory, see `merge_tree`.
        """
        streams = as_streams(rng)
        return self.on(merge_tree(tree, streams), streams)

    def on(self, merges: MergeTree, rng: RandomLike = 0) -> HierarchicalTarget:
        """Draw the function on a given hierarchy. Stream ``target``; O(n_sites), 56 bytes a site.

        Parameters
        ----------
        merges : MergeTree
        rng : int, Generator or Streams

        Returns
        -------
        HierarchicalTarget

        Raises
        ------
        ResourceError
            If it would not fit into memory.
        """
        from percolaw.kernels import tree as kernels

        n = merges.n_sites
        checks.memory(56.0 * n, f"a hierarchical function on {n} sites", "Use fewer sites.")
        total = np.empty(merges.nodes.n_sites)
        normal_rows(as_streams(rng), "target", total)
        latent, own = merges.of_latents(total), merges.of_sites(total)
        kernels.accumulate_down(merges.nodes.parent, total)
        value = merges.of_sites(total)
        del total
        if self.normalized:
            terms = merges.n_ancestors()
            for low in range(0, n, 1 << 20):
                part = slice(low, low + (1 << 20))
                value[part] /= np.sqrt(terms[part] + 1.0)
        spread = value if self.standardized else value.copy()
        variance = kernels.standardize(merges.start, spread)
        return HierarchicalTarget(value, variance, merges, latent, own)

    def expected_difference(
        self, merges: MergeTree, first: npt.ArrayLike, second: npt.ArrayLike
    ) -> FloatArray:
        """Return E (y(u) - y(v))^2 over functions on a given hierarchy, before standardising.

        Averaged over test sites and their nearest observed sites, and divided by `expected_variance`,
        it is the learning curve of one nearest neighbour.

        Parameters
        ----------
        merges : MergeTree
        first, second : array of int, shape (m,)
            Sites u and v.

        Returns
        -------
        array of float64, shape (m,)

        Raises
        ------
        ValueError
            For sites that are not there, and another number of them in `second`.

        Notes
        -----
        O(ancestors) a pair.
        """
        common = merges.common_node(first, second)
        depth = merges.nodes.depth()
        shared = np.where(common < 0, 0, depth[common] + 1.0)
        a, b = (depth[merges.site_node(sites)] + 1.0 for sites in (first, second))
        if self.normalized:
            return np.asarray(2.0 - 2.0 * shared / np.sqrt(a * b))
        return np.asarray(a + b - 2.0 * shared)

    def expected_variance(self, merges: MergeTree) -> FloatArray:
        """Return the expected variance of the function inside each cluster, (n_clusters,). O(n_sites).

        A latent that all sites have in common adds nothing to it, one of k of s sites the variance of
        its indicator.

        Parameters
        ----------
        merges : MergeTree

        Returns
        -------
        array of float64, shape (n_clusters,)
        """
        from percolaw.kernels import tree as kernels

        terms = merges.n_ancestors() + 1.0
        sites = merges.site_node(np.arange(merges.n_sites))
        weight = np.zeros(merges.nodes.n_sites)
        weight[sites] = 1.0 / np.sqrt(terms) if self.normalized else 1.0
        variance = np.ones(terms.size) if self.normalized else terms
        kernels.accumulate_up(merges.nodes.parent, weight)
        size = np.diff(merges.start).astype(np.float64)
        mean = np.add.reduceat(variance, merges.start[:-1]) / size
        common = np.add.reduceat(weight**2, merges.nodes.start[:-1]) / size**2
        return np.asarray(mean - common)
