"""The branching random walk: every site of a tree as a point in R^d."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import TREE_STEPS, RandomLike, as_streams
from percolaw.tree import Tree

Steps: TypeAlias = Literal["gaussian", "sphere", "lattice"]

STEPS: tuple[Steps, ...] = ("gaussian", "sphere", "lattice")


def embed_tree(
    tree: Tree, dim: int, rng: RandomLike = 0, steps: Steps = "gaussian"
) -> npt.NDArray[np.float32]:
    """Embed all sites of a tree: x(child) = x(parent) + step with E |step|^2 = 1.

    Parameters
    ----------
    tree : Tree
        Each root is at the origin.
    dim : int
        Embedding dimension d >= 1.
    rng : int, Generator or Streams
        Stream ``embedding``, keyed by site and column.
    steps : {"gaussian", "sphere", "lattice"}
        Independent N(0, I/d) steps; independent uniform unit vectors; or +-e_j that never undo the
        step before (then steps are not independent: along a path of L edges
        E |x|^2 = L (1 + r)/(1 - r) - 2 r (1 - r^L)/(1 - r)^2 with r = 1/(2d - 1), and L^2 for d = 1).
        Edge lengths multiply squared steps; the lattice walk needs unit edges.

    Returns
    -------
    array of float32, shape (n_sites, d)

    Raises
    ------
    ValueError
        For other steps, d < 1, and a lattice walk on a tree with edge lengths.
    ResourceError
        If the points would not fit into memory.

    Notes
    -----
    O(n_sites d) time; no memory beyond the output, 4 bytes a site more for the lattice walk.
    """
    from percolaw.kernels import walk as kernels

    d = checks.integer("dim", dim, minimum=1)
    checks.choice("steps", steps, STEPS)
    checks.memory(
        4.0 * tree.n_sites * d,
        f"{tree.n_sites} sites in {d} dimensions",
        "Embed only the sites you need (percolaw.embedding.skeleton.embed_sites).",
    )
    points = np.empty((tree.n_sites, d), dtype=np.float32)
    key = as_streams(rng).key("embedding", TREE_STEPS)
    if steps == "gaussian":
        kernels.gaussian_walk(tree.parent, tree.edge, key, 1.0 / math.sqrt(d), points)
    elif steps == "sphere":
        kernels.sphere_walk(tree.parent, tree.edge, key, points)
    else:
        if tree.length is not None:
            raise ValueError(
                "the lattice walk needs unit edges; this tree has lengths. Span it without "
                "collapsing, or use Gaussian steps."
            )
        direction = np.empty(tree.n_sites, dtype=np.int32)
        kernels.lattice_walk(tree.parent, key, direction, points)
    return points
