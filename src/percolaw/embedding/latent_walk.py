"""The walk whose steps follow the hierarchy: sites that merge early step in like directions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.merges import MergeTree
from percolaw.rng import LATENT_STEPS, RandomLike, as_streams
from percolaw.tree import Tree


def embed_latents(
    tree: Tree, merges: MergeTree, dim: int, rng: RandomLike = 0
) -> npt.NDArray[np.float32]:
    """Embed all sites of a tree by unit steps whose directions come from its latents.

    A cluster has a random unit vector v, and each latent a random w orthogonal to its own: its two
    parts have (v + w)/sqrt 2 and (v - w)/sqrt 2, which are orthogonal. A site's step from its parent is
    the unit vector that comes down to it. The law of the 2026 generator.

    Parameters
    ----------
    tree : Tree
    merges : MergeTree
        Of this tree, from `merge_tree`.
    dim : int
        At least 2: on a line nothing is orthogonal.
    rng : int, Generator or Streams
        Stream ``embedding``.

    Returns
    -------
    array of float32, shape (n_sites, dim)
        Each root is at the origin.

    Raises
    ------
    ValueError
        For `dim` below 2, a hierarchy of another tree, and a tree with edge lengths.
    ResourceError
        If it would not fit into memory.

    Notes
    -----
    O(n_sites dim) time; beside the points 16 bytes a site.
    """
    from percolaw.kernels import coalescent as kernels

    d = checks.integer("dim", dim, minimum=2)
    if not np.array_equal(merges.start, tree.start):
        raise ValueError(
            f"the hierarchy has {merges.n_sites} sites, the tree {tree.n_sites}; take merge_tree(tree)."
        )
    if tree.length is not None:
        raise ValueError("steps of latents have length one; this tree has edge lengths.")
    checks.memory(4.0 * tree.n_sites * (d + 4), f"{tree.n_sites} sites in {d} dimensions", _FEWER)
    child = np.empty((merges.nodes.n_sites, 2), dtype=merges.nodes.parent.dtype)
    kernels.children(merges.nodes.parent, child)
    points = np.empty((tree.n_sites, d), dtype=np.float32)
    key = as_streams(rng).key("embedding", LATENT_STEPS)
    kernels.directions(child, merges.start, key, points)
    points[tree.start[:-1]] = 0.0
    kernels.walk(tree.parent, points)
    return points


_FEWER = "Ask for fewer sites or dimensions."
