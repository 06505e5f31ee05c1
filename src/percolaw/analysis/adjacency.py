"""Which elements are adjacent: neighbours of points, strings that differ in one letter, a given graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.adjacency import checked_adjacency
from percolaw.numerics.distances import directions
from percolaw.structure import INT32_SITES

Sites: TypeAlias = npt.NDArray[np.int32]
Ids: TypeAlias = npt.NDArray[np.int64]
METRICS = ("euclidean", "cosine")
#: Share of the true neighbours that must be there, and cells looked through at first.
LEAST_RECALL, FIRST_PROBED = 0.99, 16
#: Points whose true neighbours are looked up.
N_QUERIES = 500


@dataclass(frozen=True, eq=False)
class SiteGraph:
    """Elements and which pairs of them are adjacent.

    Parameters
    ----------
    n_sites : int
        At most 2^31 - 1.
    low, high : array of int32, shape (n_bonds,)
        Ends of each bond, low < high, in rising order of (low, high); each bond once.
    """

    n_sites: int
    low: Sites
    high: Sites

    @property
    def n_bonds(self) -> int:
        """Number of bonds."""
        return int(self.low.size)

    @property
    def mean_degree(self) -> float:
        """Mean number of neighbours of a site."""
        return 2.0 * self.n_bonds / self.n_sites

    def only(self, is_open: npt.NDArray[np.bool_]) -> SiteGraph:
        """Return the graph of the bonds chosen by a mask of shape (n_bonds,)."""
        return SiteGraph(self.n_sites, self.low[is_open], self.high[is_open])

    def part(self, sites: npt.ArrayLike) -> SiteGraph:
        """Return the bonds among some sites, which are numbered anew in the order given.

        Parameters
        ----------
        sites : array-like of int, shape (m,)
            Each at most once.

        Returns
        -------
        SiteGraph

        Raises
        ------
        ValueError
            For a site that is named twice.
        """
        chosen = checks.site_ids("sites", sites, self.n_sites)
        new = np.full(self.n_sites, -1, dtype=np.int32)
        new[chosen] = np.arange(chosen.size, dtype=np.int32)
        if np.count_nonzero(new >= 0) != chosen.size:
            raise ValueError("sites names one site twice; give each once.")
        low, high = new[self.low], new[self.high]
        inside = (low >= 0) & (high >= 0)
        return _sorted_graph(chosen.size, low[inside], high[inside])

    def clusters(self, is_open: npt.NDArray[np.bool_] | None = None) -> Ids:
        """Return the number of each site's cluster, counted by first sites.

        Parameters
        ----------
        is_open : array of bool, shape (n_bonds,), optional
            Bonds that join; all if None.

        Returns
        -------
        array of int64, shape (n_sites,)
        """
        from percolaw.kernels import graph_sweep as kernels

        joins = np.ones(self.n_bonds, dtype=np.bool_) if is_open is None else is_open
        root = np.full(self.n_sites, -1, dtype=np.int32)
        cluster = np.empty(self.n_sites, dtype=np.int64)
        kernels.number_clusters(self.low, self.high, joins, root, cluster)
        return cluster

    @property
    def largest_component(self) -> float:
        """Share of the sites in the largest connected part.

        At a fixed number of neighbours it falls with the number of points on an infinite critical cluster
        (which is thin: its neighbourhoods come apart) and stays near 1 on cubes and Gaussian clouds.
        """
        return float(np.bincount(self.clusters()).max() / self.n_sites)

    def __repr__(self) -> str:
        return f"SiteGraph({self.n_sites} sites, {self.n_bonds} bonds)"


def neighbor_table(
    points: npt.ArrayLike, k: int, metric: str = "euclidean", n_probed: int | None = None
) -> Sites:
    """Return the k nearest other points of every point, nearest first.

    Parameters
    ----------
    points : array, shape (n, d)
        Finite.
    k : int
        Below n.
    metric : {"euclidean", "cosine"}
        The cosine distance orders points as the Euclidean one of their directions does.
    n_probed : int, optional
        Cells that `percolaw.analysis.approximate.approximate_neighbors` looks through (needs faiss), so
        that some neighbours may be missed: for some 10^5 points and more. Exact if None.

    Returns
    -------
    array of int32, shape (n, k)

    Raises
    ------
    ValueError
        If k is not below n, and for points without a direction (all zeros) with the cosine distance.
    MissingExtraError
        If `n_probed` is given and faiss is not installed.

    Notes
    -----
    Exact: `percolaw.nearest_neighbors`, O(n^2 d).
    """
    x = checks.point_array("points", points)
    wanted = checks.integer("k", k, minimum=1)
    if wanted >= x.shape[0]:
        raise ValueError(f"k = {wanted} neighbours need more than k points; got {x.shape[0]}.")
    x = directions(x) if checks.choice("metric", metric, METRICS) == "cosine" else x
    from percolaw.numerics.neighbors import nearest_neighbors, without_self

    index: npt.NDArray[np.integer[Any]]
    if n_probed is not None:
        from percolaw.analysis.approximate import approximate_neighbors

        index = approximate_neighbors(x, wanted + 1, n_probed)
    else:
        index = nearest_neighbors(x, x, wanted + 1)[1]
    other = without_self(index, np.arange(x.shape[0]))
    return index[other].reshape(-1, wanted).astype(np.int32)


def enough_neighbors(
    points: npt.ArrayLike, k: int, metric: str = "euclidean"
) -> tuple[Sites, float]:
    """Return the nearest other points of every point, hardly any of them missed, and the measured recall.

    Four times as many cells are looked through until 99% of the true neighbours are there, at the most
    all of them.

    Parameters
    ----------
    points : array, shape (n, d)
    k : int
        Below n.
    metric : {"euclidean", "cosine"}

    Returns
    -------
    table : array of int32, shape (n, k)
    recall : float
        Of 500 random points.

    Raises
    ------
    ValueError
        As `neighbor_table`.
    MissingExtraError
        If faiss is not installed.

    Notes
    -----
    Points without structure end with all cells, which takes longer than exact neighbours.
    """
    from percolaw.analysis.approximate import recall

    x = checks.point_array("points", points)
    x = directions(x) if metric == "cosine" else x
    probed = FIRST_PROBED
    while True:
        table = neighbor_table(x, k, n_probed=probed)
        share = recall(x, table, N_QUERIES)
        if share >= LEAST_RECALL or probed >= x.shape[0]:
            return table, share
        probed *= 4


def table_graph(table: npt.NDArray[np.integer[Any]]) -> SiteGraph:
    """Return the graph in which two points are adjacent if one is in the other's row.

    Parameters
    ----------
    table : array of int, shape (n, k)
        Neighbours of every point, from `neighbor_table`; its first columns give fewer.

    Returns
    -------
    SiteGraph
        Of k/2 to k bonds a site.
    """
    n, k = table.shape
    site = np.repeat(np.arange(n, dtype=np.int64), k)
    other = table.ravel().astype(np.int64)
    bond = np.unique(np.minimum(site, other) * n + np.maximum(site, other))
    return SiteGraph(n, (bond // n).astype(np.int32), (bond % n).astype(np.int32))


def neighbor_graph(points: npt.ArrayLike, k: int, metric: str = "euclidean") -> SiteGraph:
    """Return the graph of points in which one of two adjacent ones is among the other's k nearest.

    Parameters
    ----------
    points : array, shape (n, d)
    k : int
    metric : {"euclidean", "cosine"}

    Returns
    -------
    SiteGraph

    Raises
    ------
    ValueError
        As `neighbor_table`.
    """
    return table_graph(neighbor_table(points, k, metric))


def hamming_graph(codes: npt.ArrayLike) -> SiteGraph:
    """Return the graph of strings in which adjacent ones differ at one position.

    Parameters
    ----------
    codes : array of uint8, shape (n, length)
        Letters as numbers; no string twice.

    Returns
    -------
    SiteGraph

    Raises
    ------
    TypeError, ValueError
        For another dtype or shape, and for strings that occur twice.

    Notes
    -----
    For each position the strings are sorted by a hash of the others, and pairs of equal hash compared:
    O(length n log n), and as much again for every bond.
    """
    x = checked_codes(codes)
    n, length = x.shape
    checks.memory(40.0 * n + 16.0 * n * length, f"adjacent strings among {n}", "Take fewer.")
    weight = np.random.Generator(np.random.PCG64(0)).integers(
        1, 2**63, size=(length, 256), dtype=np.uint64
    )
    parts = [weight[j][x[:, j]] for j in range(length)]
    whole = np.sum(parts, axis=0, dtype=np.uint64)
    if np.unique(whole).size < n and np.unique(x, axis=0).shape[0] < n:
        raise ValueError("a string occurs twice; keep each once.")
    low, high = [], []
    for part in parts:
        key = whole - part
        order = np.argsort(key)
        step = np.arange(n)
        ahead = 1
        while True:
            step = step[: np.searchsorted(step, n - ahead)]
            step = step[key[order[step]] == key[order[step + ahead]]]
            if not step.size:
                break
            a, b = order[step], order[step + ahead]
            near = np.count_nonzero(x[a] != x[b], axis=1) == 1
            low.append(np.minimum(a, b)[near])
            high.append(np.maximum(a, b)[near])
            ahead += 1
    return _sorted_graph(n, np.concatenate([*low, _NONE]), np.concatenate([*high, _NONE]))


def checked_codes(codes: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """Return strings as uint8, (n, length).

    Raises
    ------
    TypeError, ValueError
        For another dtype, another number of axes, and no strings at all.
    """
    x = checks.array("codes", codes)
    if x.dtype != np.uint8:
        raise TypeError(
            f"codes must be uint8, one number a letter; got {x.dtype}. Letters numbered from 0 to 255: "
            "pass codes.astype(numpy.uint8). Points in space: the metric euclidean or cosine."
        )
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"codes must have shape (n, length), none of them 0; got {x.shape}.")
    return np.ascontiguousarray(x)


def given_graph(adjacency: Any) -> SiteGraph:
    """Return the graph of an adjacency matrix.

    Parameters
    ----------
    adjacency : array or scipy.sparse, shape (n, n)
        Sites i and j are adjacent if entry (i, j) or (j, i) is not 0.

    Returns
    -------
    SiteGraph

    Raises
    ------
    ValueError
        If it is not square, is empty, joins a site to itself, or holds NaN.
    """
    from scipy import sparse

    matrix = checked_adjacency(adjacency)
    if np.isnan(matrix.data).any():
        raise ValueError("adjacency holds NaN; say 0 where two sites are not adjacent.")
    if matrix.shape[0] > INT32_SITES:
        raise ValueError(f"a graph has at most 2^31 - 1 sites; got {matrix.shape[0]}.")
    upper = sparse.triu((matrix != 0).maximum((matrix != 0).T), k=1).tocoo()
    return _sorted_graph(matrix.shape[0], upper.row, upper.col)


_NONE: Ids = np.zeros(0, dtype=np.int64)


def _sorted_graph(
    n: int, one: npt.NDArray[np.integer[Any]], other: npt.NDArray[np.integer[Any]]
) -> SiteGraph:
    """The graph of bonds in any order and direction, each once."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    bond = np.sort(low.astype(np.int64) * n + high)
    return SiteGraph(n, (bond // n).astype(np.int32), (bond % n).astype(np.int32))
