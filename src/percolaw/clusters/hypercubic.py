"""Percolation on the real lattice Z^d: all clusters of a box, a sweep over p, and single clusters.

`percolate` labels a whole box, `sweep` opens its bonds one by one, `grow_cluster` and `grow_statistics`
follow the cluster of one site through the infinite lattice without storing it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.critical import Kind, hypercubic_threshold
from percolaw.graph import Graph
from percolaw.rng import RandomLike, as_streams
from percolaw.tree import INT32_SITES, IntArray, Tree, index_dtype

FloatArray = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

#: Largest cluster that `grow_cluster` keeps: its table of visited sites takes 24 bytes a site or more.
LARGEST_GROWN = 1 << 30


@dataclass(frozen=True)
class HypercubicLattice:
    """A box of length L in d dimensions, and what is opened at random in it.

    Site x is number sum_k x_k L^k.

    Parameters
    ----------
    dimension : int
        d, 1 to 8.
    length : int
        L, at least 2 (3 with periodic edges: with 2 every bond would stand twice).
    kind : {"bond", "site"}
    periodic : bool
        Whether the box closes on itself along every axis.

    Examples
    --------
    >>> found = percolate(HypercubicLattice(2, 1000), 0.5, rng=0)
    >>> found.n_clusters, int(found.size.max())
    (98917, 350334)
    """

    dimension: int
    length: int
    kind: Kind = "bond"
    periodic: bool = False

    def __post_init__(self) -> None:
        checks.set_integer(self, "dimension", maximum=8)
        if not isinstance(self.periodic, bool):
            raise TypeError(
                f"periodic must be True (the box closes on itself) or False (free edges); "
                f"got {self.periodic!r}."
            )
        checks.set_integer(self, "length", minimum=3 if self.periodic else 2)
        checks.choice("kind", self.kind, ("bond", "site"))
        if self.length**self.dimension * self.dimension > 2**62:
            raise ValueError(
                f"{self.length}^{self.dimension} sites cannot be numbered; lower length."
            )

    @property
    def n_sites(self) -> int:
        """L^d."""
        return int(self.length**self.dimension)

    @property
    def n_bonds(self) -> int:
        """d L^d with periodic edges, d (L - 1) L^(d - 1) with free ones."""
        across = self.length if self.periodic else self.length - 1
        return int(self.dimension * across * self.length ** (self.dimension - 1))

    @property
    def critical_probability(self) -> float:
        """p_c of the infinite lattice, from the literature."""
        return hypercubic_threshold(self.dimension, self.kind)

    def coordinates(self, sites: npt.ArrayLike) -> Ids:
        """Return the coordinates 0..L - 1 of sites: int64, shape (m, d)."""
        ids = checks.site_ids("sites", sites, self.n_sites)
        strides = self.length ** np.arange(self.dimension)
        return np.asarray(ids[:, None] // strides % self.length)


@dataclass(frozen=True, eq=False)
class Percolation:
    """All clusters of a box, from `percolate`.

    Attributes
    ----------
    lattice : HypercubicLattice
    probability : float
    cluster : array of int32 or int64, shape (n_sites,)
        Cluster of each site, numbered by first site; -1 if the site is closed.
    size : array of int64, shape (n_clusters,)
    n_open_bonds : int
        Open bonds between open sites.
    key : int
        Of the hash that says what is open.
    """

    lattice: HypercubicLattice
    probability: float
    cluster: IntArray
    size: Ids
    n_open_bonds: int
    key: np.uint64

    @property
    def n_clusters(self) -> int:
        """Number of clusters, single open sites included."""
        return int(self.size.shape[0])

    @property
    def n_open(self) -> int:
        """Number of open sites: all of them in bond percolation."""
        return int(self.size.sum())

    @property
    def n_loops(self) -> int:
        """Number of independent loops, bonds - sites + clusters."""
        return self.n_open_bonds - self.n_open + self.n_clusters

    @property
    def largest_share(self) -> float:
        """Share of all sites of the box that the largest cluster holds."""
        return float(self.size.max(initial=0) / self.lattice.n_sites)

    def susceptibility(self, *, largest: bool = True) -> float:
        """Return the mean size of the cluster of a random site of the box (0 for a closed site).

        With ``largest=False`` the largest cluster is left out, as is usual above p_c.
        """
        square = float(np.sum(self.size.astype(np.float64) ** 2))
        if not largest and self.size.size:
            square -= float(self.size.max()) ** 2
        return square / self.lattice.n_sites

    def size_distribution(self) -> tuple[Ids, FloatArray]:
        """Return the sizes that occur and how many clusters of each there are per site, n_s."""
        size, count = np.unique(self.size, return_counts=True)
        return size, count / self.lattice.n_sites

    def clusters_of_random_sites(self, n: int, rng: RandomLike = 0) -> Ids:
        """Return the clusters that n random open sites belong to, each once, largest first.

        The ensemble *by site*: a cluster is met with a probability in proportion to its size. Stream
        ``clusters``.
        """
        count = checks.integer("n", n, minimum=1)
        if not self.n_open:
            raise ValueError(f"no site is open at probability {self.probability:g}; raise it.")
        u = as_streams(rng).generator("clusters", 1).integers(0, self.n_open, count)
        met = np.unique(np.searchsorted(np.cumsum(self.size), u, side="right"))
        return met[np.argsort(-self.size[met], kind="stable")].astype(np.int64)

    def graph(self, clusters: npt.ArrayLike | None = None) -> LatticeClusters:
        """Return clusters as a graph with the sites it is made of.

        Parameters
        ----------
        clusters : array of int, optional
            Their numbers, no repeats; in this order they become clusters 0, 1, ... of the graph. The
            largest one if left out.

        Notes
        -----
        O(n_sites) time; 4 bytes a site of the box and about 16 d a site of the clusters.
        """
        from percolaw.kernels import lattice as kernels

        if not self.n_clusters:
            raise ValueError(f"no site is open at probability {self.probability:g}; raise it.")
        if clusters is None:
            clusters = [int(np.argmax(self.size))]
        asked = checks.site_ids("clusters", clusters, self.n_clusters)
        if asked.size == 0 or np.unique(asked).size < asked.size:
            raise ValueError("clusters must name at least one cluster, and none twice.")
        start = np.concatenate([[0], np.cumsum(self.size[asked])]).astype(np.int64)
        wanted = np.full(self.n_clusters, -1, dtype=index_dtype(asked.size))
        wanted[asked] = np.arange(asked.size)
        n, lattice = int(start[-1]), self.lattice
        checks.memory(
            4.0 * lattice.n_sites + (40.0 + 16.0 * lattice.dimension) * n,
            f"a graph of {n} sites",
            "Ask for fewer clusters.",
        )
        site = np.empty(n, dtype=np.int64)
        kernels.gather(self.cluster, wanted, start[:-1].copy(), site)
        place = np.full(lattice.n_sites, -1, dtype=index_dtype(n))
        place[site] = np.arange(n)
        box = (lattice.length, lattice.dimension, _cut(self.probability))
        how = (lattice.kind == "site", lattice.periodic, self.key)
        low = high = np.zeros(0, dtype=place.dtype)
        n_bonds = int(kernels.edges(site, place, *box, *how, np.zeros(n, np.int32), low, high))
        low, high = np.empty(n_bonds, dtype=place.dtype), np.empty(n_bonds, dtype=place.dtype)
        kernels.edges(site, place, *box, *how, np.zeros(n, np.int32), low, high)
        return LatticeClusters(lattice, Graph.trusted(low, high, start), site)


@dataclass(frozen=True, eq=False)
class LatticeClusters:
    """Clusters as a graph, and where its sites lie.

    Attributes
    ----------
    lattice : HypercubicLattice
    graph : Graph
    site : array of int64, shape (graph.n_sites,)
        Number of each site in the lattice.
    """

    lattice: HypercubicLattice
    graph: Graph
    site: Ids

    @cached_property
    def coordinates(self) -> Ids:
        """Coordinates 0..L - 1 of the sites: int64, shape (graph.n_sites, d)."""
        return self.lattice.coordinates(self.site)


def percolate(lattice: HypercubicLattice, probability: float, rng: RandomLike = 0) -> Percolation:
    """Open bonds or sites with a given probability and find all clusters, by union-find.

    Whether a bond is open depends on the seed and its number alone: a higher probability opens more of
    them and closes none.

    Parameters
    ----------
    lattice : HypercubicLattice
    probability : float
        p in [0, 1].
    rng : int, Generator or Streams
        Stream ``clusters``.

    Raises
    ------
    ResourceError
        If the labels do not fit in memory.

    Notes
    -----
    O(d L^d) time, about 50 ns a site (10^8 sites in 6 s); 4 bytes a site, and 32 a cluster.
    """
    from percolaw.kernels import lattice as kernels

    p = checks.probability("probability", probability)
    n = lattice.n_sites
    width = 4 if n < INT32_SITES else 8
    # Each open bond joins two clusters at most once; at least one cluster remains.
    most = n * (p if lattice.kind == "site" else max(0.0, 1.0 - 0.5 * p))
    checks.memory(
        width * n + 32.0 * most,
        f"percolation on {n} sites",
        "Lower length, or grow single clusters.",
    )
    key = as_streams(rng).key("clusters")
    root: IntArray = np.empty(n, dtype=np.int32 if width == 4 else np.int64)
    n_bonds = kernels.label(
        *(root, lattice.length, lattice.dimension, _cut(p)),
        *(lattice.kind == "site", lattice.periodic, key),
    )
    size = kernels.flatten(root)
    return Percolation(lattice, p, root, size, int(n_bonds), key)


@dataclass(frozen=True, eq=False)
class Sweep:
    """Observables of one box while its bonds (or sites) are opened in random order, from `sweep`.

    Attributes
    ----------
    lattice : HypercubicLattice
    n_open : array of int64, shape (n_records,)
        Bonds (sites) open at each record.
    largest : array of int64, shape (n_records,)
        Size of the largest cluster.
    square : array of float64, shape (n_records,)
        Sum of the squares of all sizes.
    loops : array of int64, shape (n_records,)
        Independent loops.
    wrapped : array of bool, shape (n_records, dimension)
        Whether a cluster winds round the box along each axis.
    """

    lattice: HypercubicLattice
    n_open: Ids
    largest: Ids
    square: FloatArray
    loops: Ids
    wrapped: npt.NDArray[np.bool_]

    def weights(self, probability: npt.ArrayLike) -> FloatArray:
        """Return what each record counts for at each p, by the binomial law of the number open.

        A record stands for the numbers nearest to it; a number halfway between two counts half for each.
        An array (n_p, n_records). Sweeps with the same records have the same weights: their means
        may be weighted instead.
        """
        from scipy.special import bdtr

        p = np.atleast_1d(checks.finite_array("probability", probability))
        for value in p:
            checks.probability("probability", value)
        lattice = self.lattice
        total = lattice.n_sites if lattice.kind == "site" else lattice.n_bonds
        middle = 0.5 * (self.n_open[1:] + self.n_open[:-1])
        nearer = bdtr(np.ceil(middle)[None] - 1.0, total, p[:, None]) + bdtr(
            np.floor(middle)[None], total, p[:, None]
        )
        below = np.concatenate([np.zeros((p.size, 1)), 0.5 * nearer, np.ones((p.size, 1))], 1)
        return np.asarray(np.diff(below, axis=1))

    def at(self, probability: npt.ArrayLike) -> dict[str, FloatArray]:
        """Return expectations at given p: the records weighted by the binomial law of the number open.

        Exact (for this order of opening) where every number was recorded, else records stand for their
        surroundings.

        Returns
        -------
        dict
            ``largest_share``, ``susceptibility`` (mean size seen from a site), ``loops`` per site: shape
            (n_p,); ``wrapped``: shape (n_p, dimension).
        """
        weight, n = self.weights(probability), self.lattice.n_sites
        return {
            "largest_share": weight @ self.largest / n,
            "susceptibility": weight @ self.square / n,
            "loops": weight @ self.loops / n,
            "wrapped": weight @ self.wrapped,
        }


def sweep(
    lattice: HypercubicLattice,
    rng: RandomLike = 0,
    *,
    n_open: npt.ArrayLike | None = None,
    wrapping: bool = True,
) -> Sweep:
    """Open all bonds (or sites) in random order and record observables on the way: all p in one pass.

    Parameters
    ----------
    lattice : HypercubicLattice
        With periodic edges.
    rng : int, Generator or Streams
        Stream ``clusters``.
    n_open : array of int, optional
        Numbers of open bonds (sites) at which to record, rising; 1001 evenly spaced ones if left out.
        Nothing is opened beyond the last.
    wrapping : bool
        Whether to follow displacements, which wrapping needs (a third of the time).

    Returns
    -------
    Sweep

    Notes
    -----
    Newman and Ziff (2001). 10 s for 10^7 sites in two dimensions, 30 s in six; 4 d bytes a site for the
    order and 12 for the clusters.
    """
    from percolaw.kernels import lattice as kernels

    if not lattice.periodic:
        raise ValueError("a sweep needs periodic edges: HypercubicLattice(..., periodic=True).")
    is_site = lattice.kind == "site"
    total = lattice.n_sites if is_site else lattice.n_bonds
    if total > INT32_SITES:
        raise ValueError(
            f"a sweep opens at most 2^31 - 1 bonds or sites; got {total}. Lower length."
        )
    if n_open is None:
        at = np.unique(np.linspace(0, total, 1001).astype(np.int64))
    else:
        at = checks.site_ids("n_open", n_open, total + 1)
        if at.size == 0 or np.any(np.diff(at) <= 0):
            raise ValueError("n_open must hold numbers that rise strictly.")
    checks.memory(
        8.0 * total + 12.0 * lattice.n_sites,
        f"a sweep over {total} bonds or sites",
        "Lower length.",
    )
    order = np.arange(total, dtype=np.int32)
    as_streams(rng).generator("clusters").shuffle(order)
    largest, loops = np.zeros(at.size, np.int64), np.zeros(at.size, np.int64)
    square, wrapped = np.zeros(at.size), np.zeros((at.size, lattice.dimension), np.bool_)
    kernels.sweep(
        *(order, lattice.length, lattice.dimension, is_site, at, bool(wrapping)),
        *(largest, square, loops, wrapped),
    )
    return Sweep(lattice, at, largest, square, loops, wrapped)


# ---- single clusters


@dataclass(frozen=True, eq=False)
class GrownCluster:
    """The cluster of one site of the infinite lattice, from `grow_cluster`.

    Attributes
    ----------
    tree : Tree
        The tree of the breadth-first search from the origin: depths are chemical distances.
    coordinates : array of int16, shape (n_sites, dimension)
        The origin is 0; sites in the order of the tree. int32 in 1 to 3 dimensions.
    low, high : array of int32, shape (n_loops,)
        Ends of the open bonds that are not in the tree, each of which closes a loop.
    whole : bool
        False if growth was stopped at the largest size: then sites at the rim lack bonds.
    """

    tree: Tree
    coordinates: npt.NDArray[np.int16]
    low: npt.NDArray[np.int32]
    high: npt.NDArray[np.int32]
    whole: bool

    @cached_property
    def graph(self) -> Graph:
        """The cluster with its loops; sites in the order of the tree."""
        child = np.arange(1, self.tree.n_sites)
        low = np.concatenate([self.tree.parent[1:], self.low])
        return Graph.trusted(low, np.concatenate([child, self.high]), self.tree.start)


def grow_cluster(
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
    max_size : int
        Growth stops here; the cluster is then not whole.
    kind : {"bond", "site"}
        In site percolation the origin is open.
    rng : int, Generator or Streams
        Stream ``clusters``, keyed by try.
    min_size : int
        Clusters below it are grown again, up to `max_tries` times.

    Raises
    ------
    ValueError
        If no try reached `min_size`, or the cluster left the sites that have a number: 64/d bits a
        coordinate, +-127 in 8 dimensions, +-511 in 6.

    Notes
    -----
    3 to 10 million sites a second; 12 bytes a site, 24 to 48 for the table of visited ones, and 3 for
    loops (where there are more than a third as many of them as sites, the cluster grows twice).
    """
    from percolaw.kernels import lattice as kernels

    memory = _growth_memory(dimension, probability, max_size, kind)
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
    """What many clusters of single sites were like, from `grow_statistics`.

    Attributes
    ----------
    size : array of int64, shape (n,)
        Sizes; `max_size` for stopped clusters.
    radius_squared : array of float64, shape (n,)
        Squared radius of gyration; -1 for stopped clusters.
    depth : array of int64, shape (n,)
        Largest chemical distance from the origin; -1 for stopped clusters.
    loops : array of int64, shape (n,)
        Independent loops; -1 for stopped clusters.
    max_size : int
    """

    size: Ids
    radius_squared: FloatArray
    depth: Ids
    loops: Ids
    max_size: int

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
        As in `grow_cluster`; cluster i depends on the seed and ``first + i`` alone.
    n_clusters : int

    Notes
    -----
    Time in proportion to the sites grown, 3 to 10 million a second; memory of one largest cluster.
    """
    from percolaw.kernels import lattice as kernels

    n = checks.integer("n_clusters", n_clusters, minimum=1)
    checks.integer("first", first, minimum=0)
    memory = _growth_memory(dimension, probability, max_size, kind)
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
class _Growth:
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


def _growth_memory(dimension: int, probability: float, max_size: int, kind: Kind) -> _Growth:
    d = checks.integer("dimension", dimension, minimum=1, maximum=8)
    p = checks.probability("probability", probability)
    most = checks.integer("max_size", max_size, minimum=1, maximum=LARGEST_GROWN)
    checks.choice("kind", kind, ("bond", "site"))
    slots = 1 << (2 * most - 1).bit_length()
    checks.memory(12.0 * most + 12.0 * slots, f"a cluster of {most} sites", "Lower max_size.")
    return _Growth(
        *(d, min(64 // d, 31), _cut(p), kind == "site", most),
        np.empty(most, dtype=np.int32),
        np.empty(most, dtype=np.uint64),
        np.zeros(slots, dtype=np.uint64),
        np.empty(slots, dtype=np.int32),
    )


def _cut(probability: float) -> np.uint64:
    return np.uint64(round(probability * 2.0**53))


def _out_of_range(dimension: int) -> str:
    return (
        f"the cluster left the box of {min(64 // dimension, 31)} bits a coordinate that sites are "
        "numbered in. Lower max_size."
    )
