"""All clusters of a box of the lattice Z^d, labelled at once, and the graph of some of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.graph import Graph
from percolaw.laws.hypercubic import Kind, hypercubic_threshold
from percolaw.rng import RandomLike, as_streams
from percolaw.short import short_repr
from percolaw.structure import INT32_SITES, IntArray, index_dtype

FloatArray = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


def hash_threshold(probability: float) -> np.uint64:
    """Return p 2^53 as uint64: a bond (or site) is open if 53 bits of its hash are below it."""
    return np.uint64(round(probability * 2.0**53))


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
        What is opened at random.
    periodic : bool
        Whether the box closes on itself along every axis; else its edges are free.

    Raises
    ------
    TypeError, ValueError
        For values outside these, and if d L^d exceeds 2^62.

    Examples
    --------
    >>> percolation = percolate(HypercubicLattice(2, 1000), 0.5, rng=0)
    >>> percolation.n_clusters, int(percolation.size.max())
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
        """Number of sites, L^d."""
        return int(self.length**self.dimension)

    @property
    def n_bonds(self) -> int:
        """Number of bonds, d L^d with periodic edges, d (L - 1) L^(d - 1) with free ones."""
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
        p, of a bond or site to be open.
    cluster : array of int32 or int64, shape (n_sites,)
        Cluster of each site, clusters in the order of their first sites; -1 if the site is closed.
    size : array of int64, shape (n_clusters,)
        Number of sites of each cluster.
    n_open_bonds : int
        Open bonds between open sites; in site percolation every bond between open sites counts.
    key : uint64
        Of the hash that says what is open.
    """

    lattice: HypercubicLattice
    probability: float
    cluster: IntArray
    size: Ids
    n_open_bonds: int
    key: np.uint64

    __repr__ = short_repr

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

    def clusters_of_random_sites(self, n: int, rng: RandomLike = 0) -> Ids:
        """Return the clusters that n random open sites belong to, each once, largest first.

        The ensemble *by site*: each draw meets a cluster with probability in proportion to its size.

        Parameters
        ----------
        n : int
            Sites drawn, with replacement; at least 1.
        rng : int, Generator or Streams
            Stream ``clusters``.

        Returns
        -------
        array of int64
            Numbers of the clusters, at most n of them.

        Raises
        ------
        ValueError
            If no site is open.
        """
        count = checks.integer("n", n, minimum=1)
        if not self.n_open:
            raise ValueError(f"no site is open at probability {self.probability:g}; raise it.")
        u = as_streams(rng).generator("clusters", 1).integers(0, self.n_open, count)
        met = np.unique(np.searchsorted(np.cumsum(self.size), u, side="right"))
        return met[np.argsort(-self.size[met], kind="stable")].astype(np.int64)

    def graph(self, clusters: npt.ArrayLike | None = None) -> LatticeClusters:
        """Return some of the clusters as a graph, with the sites of the box that its sites are.

        Parameters
        ----------
        clusters : array of int, shape (n,), optional
            Their numbers, no repeats; in this order they become clusters 0, 1, ... of the graph. The
            largest one if left out.

        Returns
        -------
        LatticeClusters
            The sites of each cluster are in rising order.

        Raises
        ------
        TypeError, ValueError
            If no site is open, or `clusters` is empty, names one twice or one that there is not.
        ResourceError
            If it would not fit into memory.

        Notes
        -----
        O(n_sites) time; 4 bytes a site of the box and at most 40 + 16 d a site of the clusters.
        """
        from percolaw.kernels import hypercubic as kernels

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
        box = (lattice.length, lattice.dimension, hash_threshold(self.probability))
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

    __repr__ = short_repr

    @cached_property
    def coordinates(self) -> Ids:
        """Coordinates 0..L - 1 of the sites: int64, shape (graph.n_sites, d)."""
        return self.lattice.coordinates(self.site)


def percolate(lattice: HypercubicLattice, probability: float, rng: RandomLike = 0) -> Percolation:
    """Open bonds or sites with a given probability and find all clusters, by union-find.

    Whether a bond (or site) is open depends on the seed, its number and p alone: with the same seed a
    higher p opens more of them and closes none.

    Parameters
    ----------
    lattice : HypercubicLattice
    probability : float
        p in [0, 1].
    rng : int, Generator or Streams
        Stream ``clusters``.

    Returns
    -------
    Percolation

    Raises
    ------
    ValueError
        If `probability` lies outside [0, 1].
    ResourceError
        If the labels do not fit into memory.

    Notes
    -----
    O(d L^d) time, about 50 ns a site (10^8 sites in 6 s); 4 bytes a site, and 32 a cluster.
    """
    from percolaw.kernels import hypercubic as kernels

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
        *(root, lattice.length, lattice.dimension, hash_threshold(p)),
        *(lattice.kind == "site", lattice.periodic, key),
    )
    size = kernels.flatten(root)
    return Percolation(lattice, p, root, size, int(n_bonds), key)
