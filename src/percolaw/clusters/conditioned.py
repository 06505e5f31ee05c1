"""Clusters of a given size, drawn exactly and in linear time."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams
from percolaw.structure import index_dtype
from percolaw.tree import Tree


def conditioned_clusters(
    sizes: int | npt.ArrayLike,
    coordination_number: float = math.inf,
    rng: RandomLike = 0,
) -> Tree:
    """Draw Bethe-lattice clusters of given sizes; their shape does not depend on p.

    The numbers of children given their total are the counts of a uniform subset of all bond slots
    (z - 1 a site, z at the root), drawn by throwing; the cycle lemma turns them into a uniform
    tree, numbered depth first. The root is a uniformly random site of the cluster.

    Parameters
    ----------
    sizes : int or array of int, shape (n_clusters,)
        Sites of each cluster, at least 1; floats that are whole count as integers.
    coordination_number : int or math.inf
        z >= 3; infinity (the default) gives uniform Cayley trees.
    rng : int, Generator or Streams
        Stream ``clusters``, keyed by the cluster's position in `sizes`: cluster k is the same
        whatever the other sizes are.

    Returns
    -------
    Tree
        One cluster per entry of `sizes`, in that order.

    Raises
    ------
    TypeError
        For sizes that are not whole numbers.
    ValueError
        For z < 3 or not whole, a size < 1, and no sizes at all.
    ResourceError
        If the arrays would not fit into memory.

    Notes
    -----
    Expected O(total size) time; 4 bytes a site for the tree and 1 byte a site of the largest
    cluster while it is built (8 instead of 4 beyond 2^31 - 1 sites in all).
    Source: Otter-Dwass formula and cycle lemma (Pitman 2006, chapter 6); compare Devroye (2012).

    Examples
    --------
    >>> conditioned_clusters([5, 1, 3], coordination_number=3, rng=1)
    Tree(9 sites, 3 clusters, unit edges)
    """
    from percolaw.kernels import conditioned as kernels

    z = checks.coordination_number(coordination_number)
    array = np.atleast_1d(checks.array("sizes", sizes))
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"sizes must be a number or a non-empty list; got shape {array.shape}.")
    if array.dtype.kind == "f":
        if not np.all(np.isfinite(array)):
            raise TypeError(f"sizes must be integers; got {array[~np.isfinite(array)][0]}.")
        if np.any(array != np.floor(array)):
            raise TypeError(f"sizes must be integers; got {array[:3]}..., dtype {array.dtype}.")
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"sizes must be integers; got dtype {array.dtype}.")
    if int(array.min()) < 1:
        raise ValueError(f"sizes must be at least 1; got {int(array.min())}.")
    n_sites = int(array.sum(dtype=object))
    dtype = index_dtype(n_sites)
    checks.memory(
        n_sites * np.dtype(dtype).itemsize + int(array.max()) + 8.0 * array.size,
        f"a tree of {n_sites} sites",
        "Ask for fewer sites, or for points of a huge cluster without its tree "
        "(percolaw.make_cluster).",
    )
    start = np.zeros(array.size + 1, dtype=np.int64)
    np.cumsum(array, out=start[1:])
    parent = np.empty(n_sites, dtype=dtype)
    slots = 0 if math.isinf(z) else int(z) - 1
    kernels.conditioned_forest(start, slots, as_streams(rng).key("clusters"), parent)
    return Tree(parent, start)
