"""A graph and the labels of its sites, as the kernels of the nulls need them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks

Ids = npt.NDArray[np.int64]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class LabelledGraph:
    """Bonds, neighbours and labels numbered from 0, from `labelled_graph`.

    Attributes
    ----------
    low, high : arrays of int32, shape (n_bonds,)
        Ends of the bonds.
    indptr : array of int64, shape (n_sites + 1,)
    neighbor : array of int32, shape (2 n_bonds,)
        Site i has neighbours ``neighbor[indptr[i]:indptr[i + 1]]``.
    classes : array of int64, shape (n_classes,)
        The labels there are, rising.
    label : array of int32, shape (n_sites,)
        Class of every site, its place in `classes`.
    first : array of int64, shape (n_classes + 1,)
        Number of sites of all classes before each.
    n_agreeing : int
        Bonds whose ends have the same label.
    """

    low: Int32
    high: Int32
    indptr: Ids
    neighbor: Int32
    classes: Ids
    label: Int32
    first: Ids
    n_agreeing: int

    @property
    def agreement(self) -> float:
        """Share of the bonds whose ends have the same label."""
        return self.n_agreeing / self.low.size


def labelled_graph(n_sites: int, low: Int32, high: Int32, labels: npt.ArrayLike) -> LabelledGraph:
    """Return a graph with labels, checked.

    Parameters
    ----------
    n_sites : int
    low, high : arrays of int32, shape (n_bonds,)
        Ends of the bonds.
    labels : array of int, shape (n_sites,)

    Returns
    -------
    LabelledGraph

    Raises
    ------
    ValueError
        If labels are not one whole number a site, or there is no bond.
    """
    from percolaw.kernels.graph import fill_rows

    given = checks.integer_array("labels", labels)
    if given.shape != (n_sites,):
        raise ValueError(f"labels must have shape ({n_sites},), one a site; got {given.shape}.")
    low, high = np.asarray(low, dtype=np.int32), np.asarray(high, dtype=np.int32)
    if low.size == 0:
        raise ValueError("the graph has no bond, so labels cannot agree along any; raise k.")
    classes, inverse = np.unique(given, return_inverse=True)
    label = inverse.astype(np.int32)
    first = np.concatenate([[0], np.cumsum(np.bincount(label))]).astype(np.int64)
    degree = np.bincount(low, minlength=n_sites) + np.bincount(high, minlength=n_sites)
    indptr = np.concatenate([[0], np.cumsum(degree)]).astype(np.int64)
    neighbor = np.empty(2 * low.size, dtype=np.int32)
    fill_rows(indptr, low, high, neighbor)
    n_agreeing = int(np.count_nonzero(label[low] == label[high]))
    return LabelledGraph(low, high, indptr, neighbor, classes, label, first, n_agreeing)
