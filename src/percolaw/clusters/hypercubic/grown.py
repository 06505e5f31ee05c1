"""The cluster of one site of the infinite lattice Z^d, grown outwards (Leath 1976)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.hypercubic.box import FloatArray, Ids, hash_threshold
from percolaw.graph import Graph
from percolaw.laws.hypercubic import Kind
from percolaw.rng import RandomLike, as_streams
from percolaw.short import short_repr
from percolaw.tree import Tree

#: Largest cluster that `grow_from_origin` keeps: its table of visited sites takes 24 bytes a site up.
LARGEST_GROWN = 1 << 30


@dataclass(frozen=True, eq=False)
class GrownCluster:
    """The cluster of one site of the infinite lattice, from `grow_from_origin`.

    Attributes
    ----------
    tree : Tree
        The tree of the breadth-first search from the origin: depths are chemical distances.
    coordinates : array of int16 (int32 in 1 to 3 dimensions), shape (n_sites, dimension)
        Of the sites in the order of the tree; row 0 is the origin, 0.
    low, high : array of int32, shape (n_loops,)
        Ends of the open bonds that are not in the tree, each of which closes a loop.
    whole : bool
        False if growth was stopped at `max_size`: then sites and bonds at the rim are missing.
    """

    tree: Tree
    coordinates: npt.NDArray[np.int16]
    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]
    whole: bool

    __repr__ = short_repr

    @cached_property
    def graph(self) -> Graph:
        """The cluster with its loops; sites in the order of the tree."""
        child = np.arange(1, self.tree.n_sites)
        low = np.concatenate([self.tree.parent[1:], self.low])
        return Graph.trusted(low, np.concatenate([child, self.high]), self.tree.start)


def grow_from_origin(
    dimension: int,
    probability: float,
    max_size: int = 10_000_000,
    kind: Kind = "bond",
    rng: RandomLike = 0,
    *,
    min_size: int = 1,
    max_tries: int = 100_000,
) -> GrownCluster:
    """Grow the cluster of a site of the infinite lattice, visiting only sites it reaches (Leath 1976).

    Parameters
    ----------
    dimension : int
        d, 1 to 8.
    probability : float
        p, of a bond or site to be open.
    max_size : int
        Number of sites at which growth stops, at most 2^30; the cluster is then not whole.
    kind : {"bond", "site"}
        In site percolation the origin is open.
    rng : int, Generator or Streams
        Stream ``clusters``, keyed by try.
    min_size, max_tries : int
        A cluster below `min_size` is discarded and another grown; `max_tries` are grown at most.

    Returns
    -------
    GrownCluster

    Raises
    ------
    ValueError
        If no cluster reached `min_size`, or one left the range of coordinates, which have 64/d bits,
        at most 31: +-127 in 8 dimensions, +-511 in 6.
    ResourceError
        If the arrays would not fit into memory.

    Notes
    -----
    3 to 10 million sites a second. Memory, in bytes a site of `max_size`: 12 for sites, 24 to 48 for
    the table of visited ones, 3 for loops. Where loops are more than a third of `max_size`, the
    cluster is grown twice.
    """
    from percolaw.kernels import leath as kernels

    memory = _workspace(dimension, probability, max_size, kind)
    least = checks.integer("min_size", min_size, minimum=1, maximum=memory.max_size)
    streams = as_streams(rng)
    room = memory.max_size // 3 + 64  # loops beyond it are counted; then the cluster grows again
    low, high = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.int32)
    for attempt in range(checks.integer("max_tries", max_tries, minimum=1)):
        key = streams.key("clusters", attempt)
        size, n_loops, code = kernels.grow(*memory.arguments(key, low, high))
        if code == 2 or size >= least:
            break
        kernels.clear(memory.table, memory.site, size)
    else:
        raise ValueError(
            f"none of {max_tries} clusters reached {least} sites at probability {probability:g}. Raise "
            "it, lower min_size, or raise max_tries."
        )
    if code == 2:
        raise ValueError(_out_of_range(memory.dimension))
    if n_loops > room:
        kernels.clear(memory.table, memory.site, size)
        low, high = np.empty(n_loops, dtype=np.int32), np.empty(n_loops, dtype=np.int32)
        kernels.grow(*memory.arguments(key, low, high))
    size = int(size)
    d = memory.dimension
    coordinates = np.empty((size, d), dtype=np.int16 if d > 3 else np.int32)
    kernels.unpack(memory.site[:size], d, memory.width, coordinates)
    low, high = low[:n_loops].copy(), high[:n_loops].copy()
    tree = Tree(memory.parent[:size].copy(), np.array([0, size], dtype=np.int64))
    return GrownCluster(tree, coordinates, low, high, code == 0)


@dataclass(frozen=True, eq=False)
class GrowthStatistics:
    """Sizes, radii, depths and loops of many independent clusters, from `grow_statistics`.

    Attributes
    ----------
    size : array of int64, shape (n,)
        Number of sites; `max_size` for stopped clusters.
    radius_squared : array of float64, shape (n,)
        Squared radius of gyration; -1 for stopped clusters.
    depth : array of int64, shape (n,)
        Largest chemical distance from the origin; -1 for stopped clusters.
    loops : array of int64, shape (n,)
        Independent loops; -1 for stopped clusters.
    max_size : int
        Number of sites at which growth was stopped.
    """

    size: Ids
    radius_squared: FloatArray
    depth: Ids
    loops: Ids
    max_size: int

    __repr__ = short_repr

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """Which clusters were not stopped."""
        return self.depth >= 0


def grow_statistics(
    dimension: int,
    probability: float,
    n_clusters: int,
    max_size: int,
    kind: Kind = "bond",
    rng: RandomLike = 0,
    *,
    first: int = 0,
) -> GrowthStatistics:
    """Grow the clusters of many independent sites and keep sizes, radii, depths and loops.

    Sizes follow P_s, the law of the cluster of a random site, with no edge anywhere; what exceeds
    `max_size` is stopped and counted, so P(S >= s) is unbiased up to it.

    Parameters
    ----------
    dimension, probability, max_size, kind, rng
        As in `grow_from_origin`.
    n_clusters : int
        Number of clusters, at least 1.
    first : int
        Number of the first cluster; cluster i depends on the seed and ``first + i`` alone, so that a
        long run can be split.

    Returns
    -------
    GrowthStatistics

    Raises
    ------
    ValueError
        If a cluster left the range of coordinates, see `grow_from_origin`.
    ResourceError
        If the arrays would not fit into memory.

    Notes
    -----
    Time in proportion to the sites grown, 3 to 10 million a second. Memory: 32 bytes a cluster, and
    40 to 64 a site of `max_size`.
    """
    from percolaw.kernels import leath as kernels

    n = checks.integer("n_clusters", n_clusters, minimum=1)
    checks.integer("first", first, minimum=0)
    memory = _workspace(dimension, probability, max_size, kind)
    checks.memory(
        32.0 * n + 4.0 * memory.max_size, f"statistics of {n} clusters", "Grow fewer at a time."
    )
    size, depth, loops = (np.empty(n, dtype=np.int64) for _ in range(3))
    radius = np.empty(n)
    code = kernels.grow_many(
        *memory.arguments(as_streams(rng).key("clusters"), first, size, radius, depth, loops)
    )
    if code == 2:
        raise ValueError(_out_of_range(dimension))
    return GrowthStatistics(size, radius, depth, loops, memory.max_size)


@dataclass(frozen=True, eq=False)
class _Workspace:
    """Arrays that one cluster grows in, used again for the next."""

    dimension: int
    width: int
    cut: np.uint64
    is_site: bool
    max_size: int
    parent: npt.NDArray[np.int32]
    site: npt.NDArray[np.uint64]
    table: npt.NDArray[np.uint64]
    index: npt.NDArray[np.int32]

    def arguments(self, key: np.uint64, *rest: Any) -> list[Any]:
        """What `kernels.grow` and `kernels.grow_many` take first, and the rest."""
        box = [self.dimension, self.width, self.cut, self.is_site, self.max_size, key]
        return [*box, self.parent, self.site, self.table, self.index, *rest]


def _workspace(dimension: int, probability: float, max_size: int, kind: Kind) -> _Workspace:
    d = checks.integer("dimension", dimension, minimum=1, maximum=8)
    p = checks.probability("probability", probability)
    most = checks.integer("max_size", max_size, minimum=1, maximum=LARGEST_GROWN)
    checks.choice("kind", kind, ("bond", "site"))
    slots = 1 << (2 * most - 1).bit_length()
    checks.memory(12.0 * most + 12.0 * slots, f"a cluster of {most} sites", "Lower max_size.")
    return _Workspace(
        *(d, min(64 // d, 31), hash_threshold(p), kind == "site", most),
        np.empty(most, dtype=np.int32),
        np.empty(most, dtype=np.uint64),
        np.zeros(slots, dtype=np.uint64),
        np.empty(slots, dtype=np.int32),
    )


def _out_of_range(dimension: int) -> str:
    return (
        f"the cluster left the box of {min(64 // dimension, 31)} bits a coordinate that sites are "
        "numbered in. Lower max_size."
    )
