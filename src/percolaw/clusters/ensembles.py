"""Ensembles of clusters: by site, by cluster, and by the Simon/Yule process.

Two ensembles must not be confused. *By site*: a site is drawn and its whole cluster taken; sizes
follow P_s ~ s^(-3/2), the cluster of rank k has size ~ k^-2 and the rank exponent is alpha = 1.
*By cluster*: each cluster counts once; sizes follow n_s ~ s^(-5/2). The Yule process has the tail
of the latter with other amplitudes.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.laws.bethe import BetheLattice
from percolaw.laws.size_law import SizeLaw, yule_size_law
from percolaw.rng import RandomLike, as_streams
from percolaw.tree import Tree

Ensemble: TypeAlias = Literal["site", "cluster", "yule"]


def size_law(ensemble: Ensemble, lattice: BetheLattice | None = None) -> SizeLaw:
    """Return the exact law of cluster sizes in an ensemble.

    Parameters
    ----------
    ensemble : {"site", "cluster", "yule"}
        The cluster of a random site, a random cluster, or the Simon/Yule process with a = 1/3.
    lattice : BetheLattice, optional
        For "site" and "cluster"; the critical lattice with z = 200 if left out. "yule" ignores it.

    Returns
    -------
    SizeLaw

    Raises
    ------
    ValueError
        For another ensemble, and for "cluster" at bond_probability 1.
    """
    checks.choice("ensemble", ensemble, ("site", "cluster", "yule"))
    if ensemble == "yule":
        return yule_size_law()
    lattice = BetheLattice(200) if lattice is None else lattice
    return lattice.site_size_law() if ensemble == "site" else lattice.cluster_size_law()


def sample_sizes(
    ensemble: Ensemble,
    n_clusters: int,
    lattice: BetheLattice | None = None,
    min_size: int = 1,
    max_size: int = 30_000_000,
    rng: RandomLike = 0,
) -> npt.NDArray[np.int64]:
    """Draw independent cluster sizes from the exact law restricted to a window.

    Parameters
    ----------
    ensemble : {"site", "cluster", "yule"}
        As in `size_law`.
    n_clusters : int
        At least 1.
    lattice : BetheLattice, optional
        As in `size_law`.
    min_size, max_size : int
        The window, ends included; at most 2^62.
    rng : int, Generator or Streams
        Stream ``sizes``.

    Returns
    -------
    array of int64, shape (n_clusters,)
        In the order drawn.

    Raises
    ------
    ValueError
        For another ensemble or no window, and if sizes in the window are too rare to draw.

    Notes
    -----
    O(n_clusters) time, see `percolaw.laws.size_law.SizeLaw.sample`.
    """
    law = size_law(ensemble, lattice)
    n_clusters = checks.integer("n_clusters", n_clusters, minimum=1)
    generator = as_streams(rng).generator("sizes")
    return law.sample(n_clusters, min_size, max_size, generator)


def sample_clusters(
    ensemble: Ensemble,
    n_clusters: int,
    lattice: BetheLattice | None = None,
    min_size: int = 1,
    max_size: int = 30_000_000,
    rng: RandomLike = 0,
) -> Tree:
    """Draw clusters of an ensemble, largest first: cluster k of the tree has rank k + 1.

    Sizes come from the exact law and shapes are drawn given the sizes: for "site" the law of
    `grow_clusters`, without growing clusters that are then discarded.

    Parameters
    ----------
    ensemble, n_clusters, lattice, min_size, max_size
        As in `sample_sizes`. For "yule" `lattice` sets the shapes; uniform Cayley trees if left out.
    rng : int, Generator or Streams
        Streams ``sizes`` and ``clusters``.

    Returns
    -------
    Tree

    Raises
    ------
    ValueError
        As `sample_sizes`.
    ResourceError
        If the tree would not fit into memory, see `conditioned_clusters`.
    """
    streams = as_streams(rng)
    sizes = sample_sizes(ensemble, n_clusters, lattice, min_size, max_size, streams)
    default = math.inf if ensemble == "yule" else 200.0
    z = default if lattice is None else lattice.coordination_number
    return conditioned_clusters(np.sort(sizes)[::-1], z, streams)


def yule_process(
    n_sites: int, new_cluster_probability: float = 1.0 / 3.0, rng: RandomLike = 0
) -> npt.NDArray[np.int32]:
    """Assign sites to clusters one by one, by the Simon/Yule process.

    Each site after the first starts a new cluster with probability a, and else joins the cluster
    of an earlier site chosen uniformly. Sizes follow `percolaw.laws.size_law.yule_size_law`.

    Parameters
    ----------
    n_sites : int
        1 to 2^31 - 1.
    new_cluster_probability : float
        a, in [0, 1].
    rng : int, Generator or Streams
        Stream ``sizes``.

    Returns
    -------
    array of int32, shape (n_sites,)
        Cluster of each site, clusters numbered in the order they start. The first m entries are
        the same for every `n_sites`.

    Raises
    ------
    ValueError
        If `n_sites` or `new_cluster_probability` is out of range.
    ResourceError
        If the array would not fit into memory.

    Notes
    -----
    O(n_sites) time, 4 bytes a site. Simon 1955.
    """
    from percolaw.kernels import growth as kernels

    n = checks.integer("n_sites", n_sites, minimum=1, maximum=np.iinfo(np.int32).max)
    a = checks.probability("new_cluster_probability", new_cluster_probability)
    checks.memory(4.0 * n, f"a Yule process of {n} sites", "Ask for fewer sites.")
    cluster = np.empty(n, dtype=np.int32)
    kernels.yule_clusters(cluster, a, as_streams(rng).key("sizes"))
    return cluster
