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
    """Return the size law of an ensemble; `lattice` (critical z = 200 if None) for the first two.

    Parameters
    ----------
    ensemble : Ensemble
    lattice : BetheLattice or None

    Returns
    -------
    SizeLaw
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
    """Draw independent cluster sizes inside a window, exactly.

    Parameters
    ----------
    ensemble : {"site", "cluster", "yule"}
    n_clusters : int
    lattice : BetheLattice, optional
        For "site" and "cluster"; the critical lattice with z = 200 if left out.
    min_size, max_size : int
        Window of sizes kept, ends included.
    rng : int, Generator or Streams
        Stream ``sizes``.

    Returns
    -------
    array of int64, shape (n_clusters,)
        In the order drawn. O(n_clusters) time.
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

    The same law as growing clusters and keeping those inside the window, without the discards:
    sizes from the exact law, shapes conditioned on them. Parameters as in `sample_sizes`.
    Yule clusters are uniform Cayley trees unless `lattice` says otherwise.

    Parameters
    ----------
    ensemble, n_clusters, lattice, min_size, max_size, rng
        As in `sample_sizes`.

    Returns
    -------
    Tree
    """
    streams = as_streams(rng)
    sizes = sample_sizes(ensemble, n_clusters, lattice, min_size, max_size, streams)
    default = math.inf if ensemble == "yule" else 200.0
    z = default if lattice is None else lattice.coordination_number
    return conditioned_clusters(np.sort(sizes)[::-1], z, streams)


def yule_process(
    n_sites: int, new_cluster_probability: float = 1.0 / 3.0, rng: RandomLike = 0
) -> npt.NDArray[np.int32]:
    """Grow clusters site by site: found one with the given probability, or join a random site's.

    Parameters
    ----------
    n_sites : int
    new_cluster_probability : float
    rng : int, Generator or Streams

    Returns
    -------
    array of int32, shape (n_sites,)
        Cluster of each site, clusters numbered by age. The first m entries are the same for every
        `n_sites`. Cost O(n_sites).
    """
    from percolaw.kernels import growth as kernels

    n = checks.integer("n_sites", n_sites, minimum=1, maximum=np.iinfo(np.int32).max)
    a = checks.probability("new_cluster_probability", new_cluster_probability)
    checks.memory(4.0 * n, f"a Yule process of {n} sites", "Ask for fewer sites.")
    cluster = np.empty(n, dtype=np.int32)
    kernels.yule_clusters(cluster, a, as_streams(rng).key("sizes"))
    return cluster
