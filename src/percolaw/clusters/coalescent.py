"""The hierarchy of latents in a tree: its edges added one by one in random order, merge by merge."""

from __future__ import annotations

import numpy as np

from percolaw import checks
from percolaw.clusters.brownian import SampledCluster
from percolaw.clusters.merges import MergeTree
from percolaw.rng import RandomLike, as_streams
from percolaw.structure import Ids, IntArray, index_dtype
from percolaw.tree import Tree


def merge_tree(tree: Tree, rng: RandomLike = 0) -> MergeTree:
    """Add the edges of a forest one by one in random order, and return the hierarchy of merges.

    Backwards in time it is a fragmentation: every edge is cut at an exponential time of rate its
    length (one, without lengths: a uniformly random order). Of uniform labelled trees
    (`conditioned_clusters` with an infinite coordination number) it is the additive coalescent; of
    others it is another random fragmentation. On a spanned and collapsed tree it has the law of the
    whole tree's hierarchy, restricted to the sites that were kept.

    Parameters
    ----------
    tree : Tree
    rng : int, Generator or Streams
        Stream ``hierarchy``; the time of an edge depends on the number of its site alone.

    Returns
    -------
    MergeTree

    Raises
    ------
    ResourceError
        If it would not fit into memory: about 40 bytes a site while it is made.

    Notes
    -----
    O(n log n) for the order and nearly O(n) for the merges. Aldous and Pitman (1998).

    Examples
    --------
    >>> chain = Tree.from_parent([-1, 0, 1, 2])
    >>> merge_tree(chain, rng=0).sizes().tolist()
    [4, 2, 2]
    """
    from percolaw.kernels import coalescent as kernels

    n = tree.n_sites
    checks.memory(40.0 * n, f"a hierarchy of {n} sites", "Use fewer sites.")
    key = as_streams(rng).key("hierarchy")
    if tree.length is None:
        order = np.empty(n - tree.n_clusters, dtype=index_dtype(2 * n))
        kernels.edge_order(key, tree.parent, order)
        return _merged(tree, order)
    time = np.empty(n)
    kernels.cut_times(key, tree.length, time)
    return _merged(tree, _without_roots(tree, np.argsort(-time)))  # the last cut is the first merge


def _without_roots(tree: Tree, order: Ids) -> Ids:
    return np.asarray(order[tree.parent[order] >= 0])


def merge_points(cluster: SampledCluster, rng: RandomLike = 0) -> MergeTree:
    """Return the hierarchy of points sampled from a huge or infinite cluster.

    The law is that of `merge_tree` on the whole cluster, restricted to the points. It is nested: what
    the latents hold of the first m points is the same for every number of points.

    Parameters
    ----------
    cluster : SampledCluster
    rng : int, Generator or Streams
        Stream ``hierarchy``.

    Returns
    -------
    MergeTree
        Its sites are the points; `site` counts the nodes of the spanned tree.

    Raises
    ------
    ResourceError
        If it would not fit into memory: about 200 bytes a point while it is made.

    Notes
    -----
    A new point splits an edge of the spanned tree. The edge's first cut stays on one of the parts, with
    probability its share of the length; the other part is cut later, by an exponential time.

    Examples
    --------
    >>> from percolaw.clusters.brownian import sample_large_cluster
    >>> few, many = (merge_points(sample_large_cluster(n, rng=1), rng=1) for n in (10, 500))
    >>> bool(np.array_equal(many.restrict(np.arange(10)).nodes.parent, few.nodes.parent))
    True
    """
    from percolaw.kernels import continuum as kernels

    n = cluster.n_points
    checks.memory(200.0 * n, f"a hierarchy of {n} points", "Ask for fewer points.")
    spanned, (first, child) = cluster.spanned_tree(), cluster.children
    n_nodes = spanned.tree.n_sites
    time = np.full(n_nodes + n, np.inf)
    keys = [as_streams(rng).key("hierarchy", item) for item in range(3)]
    kernels.first_cuts(
        *(cluster.ends, cluster.glue, first, child, spanned.point, spanned.branch, *keys, time)
    )
    # A leaf for each point: points that share a node are never cut apart.
    parent: IntArray = np.concatenate([spanned.tree.parent, spanned.point])
    parent = parent.astype(index_dtype(4 * n))
    tree = Tree(parent, np.array([0, n_nodes + n]))
    order = _without_roots(tree, np.argsort(-time, kind="stable"))
    merged = _merged(tree, order)
    return merged.restrict(np.arange(n_nodes, n_nodes + n))


def _merged(tree: Tree, order: IntArray) -> MergeTree:
    """The hierarchy by edges added in an order of the sites that are no roots."""
    from percolaw.kernels import coalescent as kernels

    n, dtype = tree.n_sites, index_dtype(2 * tree.n_sites)
    order = order.astype(dtype, copy=False)
    cluster: IntArray = np.broadcast_to(np.zeros((), dtype=np.int64), (n,))
    if tree.n_clusters > 1:
        cluster = np.repeat(np.arange(tree.n_clusters), tree.sizes)
    nodes = 2 * tree.start - np.arange(tree.n_clusters + 1)
    up = np.empty(int(nodes[-1]), dtype=dtype)
    site = np.empty(n - tree.n_clusters, dtype=dtype)
    parent = tree.parent.astype(dtype, copy=False)
    kernels.merge(parent, tree.start, cluster, order, up, site)
    return MergeTree(Tree(up, nodes), tree.start, site)
