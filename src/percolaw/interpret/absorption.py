"""Absorption: features of a dictionary that fall silent where a feature below them is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.merges import MergeTree
from percolaw.numerics.distances import unit_rows
from percolaw.short import short_repr
from percolaw.structure import Ids

FloatArray = npt.NDArray[np.float64]

#: Least cosine of an absorbing atom with the parent, and its least share of the parent's projection:
#: the defaults of SAEBench (Karvonen et al. 2025).
LEAST_COSINE, LEAST_SHARE = 0.025, 0.4


@dataclass(frozen=True, eq=False)
class Absorption:
    """What becomes of parents where their children are there; a row for each edge that has points.

    Attributes
    ----------
    parent, child : array of int64, shape (m,)
        Features of the edge.
    main : array of int64, shape (m,)
        Atom of the parent: the one in use whose direction is nearest to it.
    missed : array of float64, shape (m,)
        Share of the points with both features at which the main atom is silent.
    absorbed : array of float64, shape (m,)
        Share of them at which, besides, one other atom holds the parent: it adds more to the
        parent's direction than any other, and a large part of the whole.
    """

    parent: Ids
    child: Ids
    main: Ids
    missed: FloatArray
    absorbed: FloatArray

    __repr__ = short_repr


def latent_parents(merges: MergeTree, latents: npt.ArrayLike) -> Ids:
    """Return the edges of a hierarchy of chosen latents: which of them each lies in directly.

    Parameters
    ----------
    merges : MergeTree
    latents : array of int, shape (m,)

    Returns
    -------
    array of int64, shape (m,)
        Place in `latents` of the smallest one that holds all sites of this one, -1 for none.

    Raises
    ------
    ValueError
        For latents that are not there or named twice.

    Notes
    -----
    O(m log m), as latents are intervals.

    Examples
    --------
    >>> from percolaw.clusters.coalescent import merge_tree
    >>> from percolaw.clusters.conditioned import conditioned_clusters
    >>> merges = merge_tree(conditioned_clusters(100, 3), rng=0)
    >>> latent_parents(merges, [0, 3, 5]).tolist()[0]
    -1
    """
    ids = checks.site_ids("latents", latents, merges.n_latents)
    if np.unique(ids).size != ids.size:
        raise ValueError("latents are named twice; pass np.unique(latents).")
    first, stop = merges.first[ids].astype(np.int64), merges.stop[ids].astype(np.int64)
    parent = np.full(ids.size, -1, dtype=np.int64)
    above: list[int] = []
    for i in np.lexsort((-stop, first)):
        while above and stop[above[-1]] <= first[i]:
            above.pop()
        parent[i] = above[-1] if above else -1
        above.append(int(i))
    return parent


def absorption(
    points: npt.ArrayLike,
    codes: npt.ArrayLike,
    atoms: npt.ArrayLike,
    features: npt.ArrayLike,
    present: Any,
    parent: npt.ArrayLike,
) -> Absorption:
    """Return how often parents are absorbed by their children (Chanin et al. 2024, by SAEBench's rule).

    At a point with parent and child, the parent counts as absorbed if its main atom is silent and the
    atom that adds most to the parent's direction f, codes times cosine, has a cosine of at least 0.025
    with f and adds at least 0.4 of the point's own projection on f. The true directions stand in the
    place of trained probes.

    Parameters
    ----------
    points : array of float, shape (n, dim)
        What the dictionary was given.
    codes : array of float, shape (n, n_atoms)
        Each times the norm of its atom, as `Dictionaries.codes` returns them.
    atoms : array of float, shape (n_atoms, dim)
    features : array of float, shape (m, dim)
        True directions.
    present : array or sparse matrix of bool, shape (n, m)
        Which features are there, as `MergeTree.membership` returns it.
    parent : array of int, shape (m,)
        Parent of each feature, -1 for none, see `latent_parents`.

    Returns
    -------
    Absorption

    Raises
    ------
    ValueError
        For arrays whose shapes do not fit, codes that are all 0, and if no point has a parent and child.

    Notes
    -----
    O(n n_atoms) for each edge, at points that have it.
    """
    from scipy import sparse

    x, a, c, f = (
        checks.finite_array(name, values, ndim=2)
        for name, values in (
            ("points", points),
            ("codes", codes),
            ("atoms", atoms),
            ("features", features),
        )
    )
    there = present.toarray() if sparse.issparse(present) else checks.array("present", present)
    if not np.isin(there, (0, 1)).all():
        raise ValueError("present must be true and false, or 1 and 0: which features are there.")
    there = there.astype(bool)
    up = checks.integer_array("parent", parent)
    _fit(x, a, c, f, there, up)
    alive = np.any(a > 0.0, axis=0)
    if not alive.any():
        raise ValueError(
            "all codes are 0: every atom is dead. Lower the penalty or train longer with another rate."
        )
    cosine = unit_rows(f) @ unit_rows(c).T
    main = np.where(alive, cosine, -np.inf).argmax(axis=1)
    rows = []
    for child in np.flatnonzero(up >= 0):
        over = int(up[child])
        both = np.flatnonzero(there[:, child] & there[:, over])
        if not both.size:
            continue
        added = a[both] * cosine[over]
        silent = a[both, main[over]] <= 0.0
        best = added.argmax(axis=1)
        projection = x[both] @ unit_rows(f[[over]])[0]
        held = added[np.arange(both.size), best] >= LEAST_SHARE * projection
        held &= (cosine[over, best] >= LEAST_COSINE) & (projection > 0.0)
        rows.append((over, child, main[over], silent.mean(), (silent & held).mean()))
    if not rows:
        raise ValueError("no point has a feature and its parent; pass edges whose features meet.")
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    above, below, atom = (column.astype(np.int64) for column in columns[:3])
    return Absorption(above, below, atom, *columns[3:])


def _fit(x: FloatArray, a: FloatArray, c: FloatArray, f: FloatArray, there: Any, up: Ids) -> None:
    """Refuse arrays that do not belong together."""
    if a.shape[0] != x.shape[0] or there.shape != (x.shape[0], f.shape[0]):
        raise ValueError(
            f"points, codes and present must have a row for each point; got {x.shape}, {a.shape} and "
            f"{there.shape} with {f.shape[0]} features."
        )
    if a.shape[1] != c.shape[0] or not x.shape[1] == c.shape[1] == f.shape[1]:
        raise ValueError(
            f"codes must have a column for each atom, and atoms and features the {x.shape[1]} "
            f"coordinates of points; got {a.shape}, {c.shape} and {f.shape}."
        )
    if up.shape != (f.shape[0],) or np.any((up < -1) | (up >= f.shape[0])):
        raise ValueError(
            f"parent must name one of {f.shape[0]} features for each of them, or -1; got shape {up.shape}"
            f" with numbers from {up.min(initial=0)} to {up.max(initial=0)}."
        )
    above = up
    for _ in range(up.size):  # a chain of parents ends after so many steps, a circle does not
        above = np.where(above >= 0, up[above], -1)
        if np.all(above < 0):
            return
    raise ValueError("parent runs in circles: a feature is among its own ancestors.")
