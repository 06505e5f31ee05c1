"""Random points of a huge or infinite cluster, without the cluster.

As the size of a critical cluster grows, the tree spanned by m of its sites tends to the Brownian
continuum random tree cut at m leaves (Aldous 1991). It is built by line breaking; for a finite
uniform Cayley tree the same is done by the birthday process (Camarri and Pitman 2000), whose
cost does not depend on the number of sites. Both are **nested**: the first m points are the
same for every final number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, Streams, as_streams
from percolaw.short import short_repr
from percolaw.structure import IntArray, index_dtype
from percolaw.tree import Tree

#: Positions must be exact integers in float64.
LARGEST_SIZE = 10**15


@dataclass(frozen=True, eq=False)
class SampledCluster:
    """Random points of one cluster and the segments by which they are joined.

    Attributes
    ----------
    ends : array of float64, shape (n_points,)
        Segment k (k >= 1) ends in point k; laid out one after the other, it covers the positions
        ends[k-1] .. ends[k].
    glue : array of float64, shape (n_points,)
        Position on earlier segments at which segment k starts; 0, which is point 0, for k = 1.
    owner : array of int32, shape (n_points,)
        Segment on which that position lies (int64 beyond 2^31 - 1 points); entries 0 and 1 are 0.
    size : float
        Sites of the cluster, and lengths are steps; or infinity, the limit of large clusters, and
        the unit of length is sqrt(size / offspring variance) steps.
    """

    ends: npt.NDArray[np.float64]
    glue: npt.NDArray[np.float64]
    owner: IntArray
    size: float

    __repr__ = short_repr

    @property
    def n_points(self) -> int:
        """Number of points."""
        return int(self.ends.shape[0])

    def beginning(self, n_points: int) -> SampledCluster:
        """Return the first points alone, the same as a draw of so many; the arrays are views."""
        n = n_points
        return SampledCluster(self.ends[:n], self.glue[:n], self.owner[:n], self.size)

    @cached_property
    def children(self) -> tuple[npt.NDArray[np.int64], IntArray]:
        """Segments that start on each segment j, in rising order: child[first[j]:first[j + 1]].

        The arrays first, int64 of shape (n_points + 1,), and child, of shape (n_points - 2,).
        """
        from percolaw.kernels import continuum as kernels

        first = np.zeros(self.n_points + 1, dtype=np.int64)
        child = np.empty(max(0, self.n_points - 2), dtype=self.owner.dtype)
        kernels.children_of(self.owner, first, child)
        return first, child

    def spanned_tree(self) -> SpannedTree:
        """Return the tree of the points and the branch points between them, rooted at point 0.

        At most 2 n_points - 2 nodes, or 1; edge lengths are in the unit of `ends`. O(n log n) time.
        """
        from percolaw.kernels import continuum as kernels

        n = self.n_points
        first, child = self.children
        dtype = index_dtype(2 * n)
        parent = np.empty(2 * n, dtype=dtype)
        length = np.empty(2 * n, dtype=np.float64)
        point = np.empty(n, dtype=dtype)
        branch = np.zeros(max(n, 2), dtype=dtype)
        m = kernels.spanned_tree(self.ends, self.glue, first, child, parent, length, point, branch)
        start = np.array([0, m], dtype=np.int64)
        return SpannedTree(Tree(parent[:m].copy(), start, length[:m].copy()), point, branch[:n])


@dataclass(frozen=True, eq=False)
class SpannedTree:
    """The tree spanned by sampled points.

    Attributes
    ----------
    tree : Tree
        Nodes are points and branch points; edges have lengths.
    point : array of int, shape (n_points,)
        Node of each point; points of a finite cluster may share one.
    branch : array of int, shape (n_points,)
        Node at which the segment that ends in each point starts; 0 for point 0.
    """

    tree: Tree
    point: IntArray
    branch: IntArray

    __repr__ = short_repr


def sample_large_cluster(
    n_points: int, size: float = math.inf, rng: RandomLike = 0
) -> SampledCluster:
    """Draw uniform random points of one critical cluster and the tree that spans them, exactly.

    Parameters
    ----------
    n_points : int
        At least 1; the first m points are the same for every `n_points`.
    size : float
        Sites of the cluster. Infinity (default) is the limit of large critical clusters of any
        coordination number, with lengths in units of sqrt(size / s2) steps, s2 the offspring
        variance. A whole number from 1 to 10^15 gives a uniform Cayley tree (Poisson limit,
        s2 = 1) with lengths in steps; its points are drawn with replacement.
    rng : int, Generator or Streams
        Stream ``clusters``.

    Returns
    -------
    SampledCluster

    Raises
    ------
    TypeError, ValueError
        If `n_points` or `size` is no number, not whole or out of range.
    ResourceError
        If the arrays would not fit into memory.

    Notes
    -----
    O(n log n) time and 20 to 24 bytes a point, whatever the size. Sources: Aldous 1991 (line
    breaking); Camarri and Pitman 2000 (birthday process).

    Examples
    --------
    >>> small, large = sample_large_cluster(10, rng=3), sample_large_cluster(1000, rng=3)
    >>> bool(np.array_equal(small.ends, large.ends[:10]))
    True
    """
    n = checks.integer("n_points", n_points, minimum=1)
    checks.memory(24.0 * n, f"the tree of {n} points", "Ask for fewer points.")
    return draw_cluster(n, _size(size), as_streams(rng))


def draw_cluster(n: int, sites: float, streams: Streams) -> SampledCluster:
    """Draw as `sample_large_cluster` does, without checking arguments or memory.

    Parameters
    ----------
    n : int
        Number of points, at least 1.
    sites : float
        Sites of the cluster: infinity, or a whole number up to 10^15.
    streams : Streams
        Of which ``clusters`` is used.

    Returns
    -------
    SampledCluster
    """
    from percolaw.kernels import continuum as kernels

    keys: tuple[Any, Any] = (streams.key("clusters", 0), streams.key("clusters", 1))
    ends = np.empty(n, dtype=np.float64)
    glue = np.empty(n, dtype=np.float64)
    if math.isinf(sites):
        kernels.line_breaking(n, *keys, ends, glue)
    else:
        kernels.birthday_process(n, sites, *keys, ends, glue)
    owner = np.empty(n, dtype=index_dtype(n))
    kernels.find_owners(ends, glue, owner)
    return SampledCluster(ends, glue, owner, sites)


def _size(size: float) -> float:
    if isinstance(size, float) and math.isinf(size) and size > 0:
        return math.inf
    return float(checks.integer("size", size, minimum=1, maximum=LARGEST_SIZE))
