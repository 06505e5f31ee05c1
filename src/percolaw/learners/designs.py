"""Where to observe a cluster: orders of its sites in which every beginning is a design."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.graph import Graph
from percolaw.numerics.covariance import Covariance
from percolaw.rng import RandomLike, as_streams
from percolaw.tree import Tree

Ids = npt.NDArray[np.int64]

#: Share of the largest prior variance below which a posterior variance is rounding.
ROUNDING = 1e-13


def random_order(cluster: Tree | Graph, n: int, rng: RandomLike = 0) -> Ids:
    """Return n sites drawn without replacement, int64. Stream ``split``.

    Parameters
    ----------
    cluster : Tree or Graph
    n : int
        Between 1 and the number of sites.
    rng : int, Generator or Streams

    Returns
    -------
    array of int64, shape (n,)
    """
    count = _count(cluster, n)
    drawn = as_streams(rng).generator("split").choice(cluster.n_sites, count, replace=False)
    return drawn.astype(np.int64)


def farthest_first(cluster: Tree | Graph, n: int, rng: RandomLike = 0) -> Ids:
    """Return n sites, each farthest in chemical distance from all before it; the first is random.

    Gonzalez's 2-approximation of the k-centre problem (1985). About O(n_sites log n) time.

    Parameters
    ----------
    cluster : Tree or Graph
        Of one cluster.
    n : int
        Between 1 and the number of sites.
    rng : int, Generator or Streams
        Stream ``split``: draws the first.

    Returns
    -------
    array of int64, shape (n,)

    Raises
    ------
    ValueError
        For several clusters, and n outside of its range.
    """
    from percolaw.kernels import graph as kernels

    count = _count(cluster, n)
    _one_cluster(cluster)
    graph = Graph.from_tree(cluster) if isinstance(cluster, Tree) else cluster
    order = np.empty(count, dtype=np.int64)
    first = int(random_order(cluster, 1, rng)[0])
    kernels.farthest_first(graph.indptr, graph.neighbor, first, order)
    return order


def greedy_variance(tree: Tree, n: int, rng: RandomLike = 0) -> Ids:
    """Return n sites, each with the largest posterior variance of the tree walk given all before it.

    Exact, from the resistance to the sites observed so far; the first is random. O(n n_sites) time.

    Parameters
    ----------
    tree : Tree
        Of one cluster.
    n, rng
        As in `farthest_first`.

    Returns
    -------
    array of int64, shape (n,)

    Raises
    ------
    TypeError
        For a Graph: the design is exact on a Tree only.
    ValueError
        For several clusters, and n outside of its range.
    """
    from percolaw.kernels import tree as kernels

    if not isinstance(tree, Tree):
        raise TypeError(f"greedy_variance is exact on a Tree only; got {type(tree).__name__}.")
    count = _count(tree, n)
    _one_cluster(tree)
    order = np.empty(count, dtype=np.int64)
    kernels.greedy_variance(tree.parent, tree.edge, int(random_order(tree, 1, rng)[0]), order)
    return order


def greedy_kernel_variance(kernel: Covariance, points: npt.ArrayLike, n: int) -> Ids:
    """Return n rows of points, each with the largest posterior variance given all before it.

    They are the pivots of a pivoted Cholesky factorisation: O(n^2 m) time and 8 n m bytes for m points.
    When the variance left is rounding, the first rows not yet taken follow.

    Parameters
    ----------
    kernel : Covariance
    points : array, shape (m, d)
    n : int
        Between 1 and m.

    Returns
    -------
    array of int64, shape (n,)

    Raises
    ------
    ResourceError
        If 8 n m bytes are not available.
    """
    x = checks.finite_array("points", points, ndim=2)
    count = checks.integer("n", n, minimum=1, maximum=x.shape[0])
    checks.memory(
        8.0 * (count + 4.0) * x.shape[0],
        f"a design of {count} of {x.shape[0]} points",
        "Ask for fewer.",
    )
    factor = np.empty((count, x.shape[0]))
    variance = kernel.diagonal(x).astype(np.float64)
    least = ROUNDING * float(variance.max())
    order = np.empty(count, dtype=np.int64)
    for k in range(count):
        i = int(np.argmax(variance))
        if not variance[i] > least:
            order[k:] = np.setdiff1d(np.arange(x.shape[0]), order[:k])[: count - k]
            break
        order[k] = i
        row = kernel(x[i : i + 1], x)[0] - factor[:k, i] @ factor[:k]
        factor[k] = row / np.sqrt(variance[i])
        variance -= factor[k] ** 2
        variance[order[: k + 1]] = -np.inf
    return order


def farthest_points(points: npt.ArrayLike, n: int) -> Ids:
    """Return n rows of points, each farthest from all before it; the first is row 0.

    Gonzalez's 2-approximation of the k-centre problem (1985) in O(n m d) time for m points.

    Parameters
    ----------
    points : array, shape (m, d)
    n : int
        At most m.

    Returns
    -------
    array of int64, shape (n,)
    """
    from percolaw.numerics.neighbors import nearest_neighbors

    x = checks.point_array("points", points)
    count = checks.integer("n", n, minimum=1, maximum=x.shape[0])
    order = np.zeros(count, dtype=np.int64)
    nearest = np.full(x.shape[0], np.inf)
    for k in range(1, count):
        latest = x[order[k - 1]][None]
        nearest = np.minimum(nearest, nearest_neighbors(latest, x)[0][:, 0])
        order[k] = int(np.argmax(nearest))
    return order


def _count(cluster: Tree | Graph, n: int) -> int:
    return checks.integer("n", n, minimum=1, maximum=cluster.n_sites)


def _one_cluster(cluster: Tree | Graph) -> None:
    if cluster.n_clusters != 1:
        raise ValueError(
            f"a design is for one cluster; got {cluster.n_clusters}. Take one with .cluster(k), and "
            "share a budget with percolaw.laws.allocation."
        )
