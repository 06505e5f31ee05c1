"""Adjacency matrices of other libraries, checked and numbered as `Tree` and `Graph` need it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]


def checked_adjacency(adjacency: Any) -> Any:
    """Return an adjacency matrix, dense or sparse, as scipy.sparse CSR of shape (n, n).

    Raises
    ------
    ValueError
        If it is not square, is empty, or joins a site to itself.
    """
    from scipy import sparse

    matrix = sparse.csr_array(adjacency)
    if matrix.shape[0] == 0 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"adjacency must be square and non-empty; got shape {matrix.shape}.")
    if np.any(matrix.diagonal() != 0):
        raise ValueError("the graph has self-loops; remove them (set the diagonal to 0).")
    return matrix


def rooted_forest(matrix: Any) -> tuple[Ids, npt.NDArray[np.float64], Ids]:
    """Root each connected part at its smallest site and number it breadth-first.

    Parameters
    ----------
    matrix : scipy.sparse CSR, shape (n, n)
        From `checked_adjacency`; one of the two entries of an edge is enough.

    Returns
    -------
    parent : array of int64, shape (n,)
        -1 at roots.
    length : array of float64, shape (n,)
        Of the edge to the parent; 1 at roots.
    old : array of int64, shape (n,)
        Row of the matrix that each new site was; parts are in order of their smallest rows.

    Raises
    ------
    ValueError
        If both entries of an edge are given and differ, or there is a cycle.
    """
    from scipy import sparse
    from scipy.sparse import csgraph

    n = matrix.shape[0]
    both = (matrix != 0).multiply((matrix != 0).T)
    if abs(both.multiply(matrix) - both.multiply(matrix).T).sum() != 0:
        raise ValueError(
            "adjacency gives two lengths to one edge; make it symmetric, or keep one triangle."
        )
    n_parts, part = csgraph.connected_components(matrix, directed=False)
    n_edges = sparse.triu(matrix + matrix.T, k=1).nnz
    if n_edges != n - n_parts:
        raise ValueError(
            f"the graph is not a forest: {n_edges} edges, {n} sites, {n_parts} parts. "
            "Take a spanning tree first, e.g. scipy.sparse.csgraph.minimum_spanning_tree."
        )
    order: list[Ids] = []
    parents: list[Ids] = []
    new = np.empty(n, dtype=np.int64)
    offset = 0
    for root in np.sort(np.unique(part, return_index=True)[1]):
        nodes, before = csgraph.breadth_first_order(matrix, int(root), directed=False)
        new[nodes] = np.arange(offset, offset + nodes.size)
        above = np.full(nodes.size, -1, dtype=np.int64)
        above[1:] = new[before[nodes[1:]]]
        order.append(nodes.astype(np.int64))
        parents.append(above)
        offset += nodes.size
    old, parent = np.concatenate(order), np.concatenate(parents)
    length = np.ones(n)
    child = np.flatnonzero(parent >= 0)
    symmetric = matrix.maximum(matrix.T)
    length[child] = np.asarray(symmetric[old[parent[child]], old[child]]).ravel()
    return parent, length, old


def connected_clusters(matrix: Any) -> tuple[Ids, Ids, Ids, Ids]:
    """Renumber sites so that each connected part holds consecutive ones, parts by their first row.

    Parameters
    ----------
    matrix : scipy.sparse CSR, shape (n, n)
        From `checked_adjacency`; sites i and j have a bond if entry (i, j) or (j, i) is not 0.

    Returns
    -------
    low, high : arrays of int64, shape (n_bonds,)
        New numbers of the ends of each bond.
    start : array of int64, shape (n_parts + 1,)
        First new site of each part, then the number of sites.
    old : array of int64, shape (n,)
        Row of the matrix that each new site was.
    """
    from scipy import sparse
    from scipy.sparse import csgraph

    n = matrix.shape[0]
    bond = (matrix != 0).maximum((matrix != 0).T)
    part = csgraph.connected_components(bond, directed=False)[1]
    old = np.argsort(part, kind="stable")
    new = np.empty(n, dtype=np.int64)
    new[old] = np.arange(n)
    upper = sparse.triu(bond, k=1).tocoo()
    start = np.concatenate([[0], np.cumsum(np.bincount(part))]).astype(np.int64)
    return new[upper.row], new[upper.col], start, old
