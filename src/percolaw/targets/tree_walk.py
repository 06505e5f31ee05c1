"""The tree random walk: the target whose differences vary like chemical distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams, normal_rows
from percolaw.short import short_repr
from percolaw.tree import Tree


@dataclass(frozen=True, eq=False)
class TreeTarget:
    """Target values on the sites of a tree.

    Attributes
    ----------
    value : array of float64, shape (n_sites,)
    variance : array of float64, shape (n_clusters,)
        Variance over the sites of each cluster before standardising (0 for a single site).
    """

    value: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]

    __repr__ = short_repr


@dataclass(frozen=True)
class TreeWalk:
    """Random walk from the root of each cluster along its edges.

    f(child) = f(parent) + sqrt(length) * step with independent steps of mean 0 and variance 1, so
    Var(f(u) - f(v)) is the path length between u and v.

    Parameters
    ----------
    steps : {"gaussian", "sign"}
        Standard normal steps, or +-1 with equal probability.
    standardized : bool
        Give each cluster mean 0 and variance 1, so that predicting 0 has loss 1. Raw walks start
        at 0 at the root.

    Examples
    --------
    >>> from percolaw.clusters.conditioned import conditioned_clusters
    >>> target = TreeWalk().sample(conditioned_clusters(1000, 6), rng=0)
    >>> bool(abs(target.value.mean()) < 1e-12), bool(abs(target.value.var() - 1) < 1e-12)
    (True, True)
    """

    steps: Literal["gaussian", "sign"] = "gaussian"
    standardized: bool = True

    def __post_init__(self) -> None:
        checks.choice("steps", self.steps, ("gaussian", "sign"))

    @property
    def approximation_order(self) -> float:
        """2: squared differences grow like path length, which grows like squared distance in space."""
        return 2.0

    def sample(self, tree: Tree, rng: RandomLike = 0) -> TreeTarget:
        """Draw the walk on every site. Stream ``target``; O(n_sites) time, 8 bytes a site."""
        from percolaw.kernels import tree as kernels

        checks.memory(8.0 * tree.n_sites, f"a target on {tree.n_sites} sites", "Use fewer sites.")
        value = np.empty(tree.n_sites, dtype=np.float64)
        normal_rows(as_streams(rng), "target", value)
        if self.steps == "sign":
            np.copysign(1.0, value, out=value)
        if tree.length is not None:
            value *= np.sqrt(tree.length)
        value[tree.start[:-1]] = 0.0
        kernels.accumulate_down(tree.parent, value)
        if self.standardized:
            return TreeTarget(value, kernels.standardize(tree.start, value))
        copy = value.copy()
        return TreeTarget(value, kernels.standardize(tree.start, copy))


def expected_variance(tree: Tree) -> npt.NDArray[np.float64]:
    """Return the expected variance of a walk in each cluster, (n_clusters,), before standardising.

    It is half the mean distance of pairs drawn with replacement: the sum over edges of
    length s (S - s) / S^2, s the sites below the edge and S all of the cluster. O(n_sites) time.
    """
    below = tree.subtree_size().astype(np.float64)
    size = np.repeat(tree.sizes, tree.sizes).astype(np.float64)
    share = below * (size - below) / size**2
    if tree.length is not None:
        share *= tree.length
    return np.asarray(np.add.reduceat(share, tree.start[:-1]))
