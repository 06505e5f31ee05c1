"""All p of one box in one pass: its bonds (or sites) opened in random order (Newman and Ziff 2001)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.hypercubic.box import FloatArray, HypercubicLattice, Ids
from percolaw.rng import RandomLike, as_streams
from percolaw.short import short_repr
from percolaw.structure import INT32_SITES


@dataclass(frozen=True, eq=False)
class Sweep:
    """Observables of one box while its bonds (or sites) are opened in random order, from `sweep`.

    Attributes
    ----------
    lattice : HypercubicLattice
    n_open : array of int64, shape (n_records,)
        Number of bonds (sites) open at each record.
    largest : array of int64, shape (n_records,)
        Size of the largest cluster.
    square : array of float64, shape (n_records,)
        Sum of the squares of all cluster sizes.
    loops : array of int64, shape (n_records,)
        Number of independent loops.
    wrapped : array of bool, shape (n_records, dimension)
        Whether a cluster winds round the box along each axis; False throughout if not followed.
    """

    lattice: HypercubicLattice
    n_open: Ids
    largest: Ids
    square: FloatArray
    loops: Ids
    wrapped: npt.NDArray[np.bool_]

    __repr__ = short_repr

    def weights(self, probability: npt.ArrayLike) -> FloatArray:
        """Return the weight of each record at each p, by the binomial law of the number open.

        A record stands for the numbers nearest to it; a number halfway between two counts half for each.
        Sweeps with the same records have the same weights: their mean may be weighted instead.

        Parameters
        ----------
        probability : float or array, shape (n_p,)
            In [0, 1].

        Returns
        -------
        array of float64, shape (n_p, n_records)
            Each row sums to 1.

        Raises
        ------
        ValueError
            For a probability outside [0, 1].
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

        Exact for this order of opening where every number was recorded; else each record stands for
        the numbers nearest to it.

        Parameters
        ----------
        probability : float or array, shape (n_p,)
            In [0, 1].

        Returns
        -------
        dict
            ``largest_share`` of the sites, ``susceptibility`` (mean size of the cluster of a random
            site) and ``loops`` per site, float64 of shape (n_p,); ``wrapped``, the probability to wind
            round the box along each axis, float64 of shape (n_p, dimension).
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
        Numbers of open bonds (sites) at which to record, strictly rising; if left out, up to 1001
        evenly spaced ones from none to all. Nothing is opened beyond the last.
    wrapping : bool
        Whether to follow displacements, without which ``wrapped`` stays False (a third of the time).

    Returns
    -------
    Sweep

    Raises
    ------
    ValueError
        If edges are not periodic, there are 2^31 bonds (sites) or more, or `n_open` does not rise
        strictly.
    ResourceError
        If the arrays would not fit into memory.

    Notes
    -----
    Newman and Ziff (2001). 10 s for 10^7 sites in two dimensions, 30 s in six; 4 d bytes a site for the
    order and 12 for the clusters.
    """
    from percolaw.kernels import newman_ziff as kernels

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
