"""Free growth: clusters as branching processes, kept or discarded by size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws.bethe import BetheLattice
from percolaw.rng import RandomLike, as_streams
from percolaw.structure import INT32_SITES
from percolaw.tree import Tree

#: `grow_clusters` refuses work of more expected sites than this.
EXPECTED_SITES_LIMIT = 2e10


@dataclass(frozen=True, eq=False)
class Growth:
    """Clusters whose size lies in the window, and how many attempts failed; from `grow_clusters`.

    Attributes
    ----------
    tree : Tree
        The kept clusters, in the order they grew.
    n_attempts, n_too_small, n_too_large : int
        Clusters started; those that ended below the window; those stopped above it.
    """

    tree: Tree
    n_attempts: int
    n_too_small: int
    n_too_large: int


def grow_clusters(
    lattice: BetheLattice,
    n_clusters: int,
    min_size: int = 1,
    max_size: int = 30_000_000,
    rng: RandomLike = 0,
) -> Growth:
    """Grow the clusters of random sites until enough have a size inside the window.

    The root has Binomial(z, p) children and every other site Binomial(z - 1, p), Poisson numbers in
    the limit z = inf, so the kept sizes follow P_s restricted to the window (ensemble *by site*).

    Parameters
    ----------
    lattice : BetheLattice
        Any z and p; above p_c infinite clusters are stopped at `max_size` and counted.
    n_clusters : int
        Number of clusters to keep.
    min_size, max_size : int
        The window, ends included, up to 2^31 - 1; a cluster that would exceed `max_size` is
        stopped and discarded.
    rng : int, Generator or Streams
        Stream ``clusters``, keyed by attempt.

    Returns
    -------
    Growth

    Raises
    ------
    TypeError
        If `lattice` is no `BetheLattice`.
    ValueError
        If sizes in the window have probability 0, or are so improbable that more than 2e10 sites
        would be grown, or the kept clusters would have more than 2^31 - 1 sites together.
    ResourceError
        If the kept clusters would not fit into memory.

    Notes
    -----
    Time O(all sites grown), discarded ones included; for large `min_size`
    `percolaw.sample_clusters` draws the same law without discards.
    """
    from percolaw.kernels import growth as kernels

    if not isinstance(lattice, BetheLattice):
        raise TypeError(f"lattice must be a BetheLattice, e.g. BetheLattice(200); got {lattice!r}.")
    n = checks.integer("n_clusters", n_clusters, minimum=1)
    low = checks.integer("min_size", min_size, minimum=1)
    high = checks.integer("max_size", max_size, minimum=low, maximum=INT32_SITES)
    law = lattice.site_size_law()
    kept = law.window_probability(low, high)
    below = 1.0 - kept - lattice.percolation_probability
    if kept <= 0.0:
        raise ValueError(
            f"a cluster never has {low} to {high} sites at mean offspring {lattice.branching:g}. "
            "Widen the window."
        )
    attempts = n / kept
    mean_kept = float(law.sample(1024, low, high, as_streams(0).generator("sizes")).mean())
    stopped = max(0.0, 1.0 - law.window_probability(1, high))
    expected = n * mean_kept + attempts * (
        1.0 + 2.0 * np.sqrt(float(low)) * max(below, 0.0) + stopped * high
    )
    if n * mean_kept > INT32_SITES:
        raise ValueError(
            f"{n} clusters of about {mean_kept:.3g} sites exceed 2^31 - 1 sites in one tree. "
            "Grow them in parts, one seed each."
        )
    checks.memory(
        8.0 * n * mean_kept, f"{n} clusters of about {mean_kept:.3g} sites", "Grow fewer at a time."
    )
    if not expected < EXPECTED_SITES_LIMIT:
        raise ValueError(
            f"a cluster has {low} to {high} sites with probability {kept:.3g}, so keeping {n} means "
            f"growing about {expected:.3g} sites. Widen the window, move p towards p_c, or draw "
            "the sizes from the exact law (percolaw.sample_clusters)."
        )
    root_cdf, child_cdf = _offspring_cdfs(lattice)
    parent, start, tried, small, large = kernels.grow_clusters(
        root_cdf,
        child_cdf,
        n,
        low,
        high,
        np.iinfo(np.int64).max,
        as_streams(rng).key("clusters"),
    )
    return Growth(Tree(parent.copy(), start), int(tried), int(small), int(large))


def grow_stopped(
    lattice: BetheLattice, n_sites: int, rng: RandomLike = 0, max_tries: int = 100_000
) -> Tree:
    """Grow a cluster of a random site breadth-first and stop it at a number of sites.

    Clusters that end before are grown again. Above p_c the result is the part of an infinite cluster
    within a chemical distance of its origin (its last level in part); the number of sites grows
    exponentially with that distance, so it has no finite dimension.

    Parameters
    ----------
    lattice : BetheLattice
        Any z and p.
    n_sites : int
        1 to 2^31 - 1.
    rng : int, Generator or Streams
        Stream ``clusters``, keyed by try.
    max_tries : int
        Number of clusters grown at most.

    Returns
    -------
    Tree
        One cluster of `n_sites` sites, numbered breadth-first.

    Raises
    ------
    ValueError
        If none of `max_tries` clusters has `n_sites` sites.
    ResourceError
        If it would not fit into memory, 24 bytes a site.
    """
    n = checks.integer("n_sites", n_sites, minimum=1, maximum=INT32_SITES)
    checks.memory(24.0 * n, f"a tree of {n} sites", "Ask for fewer.")
    streams = as_streams(rng)
    for attempt in range(checks.integer("max_tries", max_tries, minimum=1)):
        generator = streams.generator("clusters", 2, attempt)
        parents = [np.array([-1])]
        level, size = np.array([0]), 1
        while level.size and size < n:
            neighbors = lattice.coordination_number - (level[0] > 0)
            if lattice.is_poisson:
                children = generator.poisson(lattice.branching, level.size)
            else:
                children = generator.binomial(int(neighbors), lattice.p, level.size)
            above = np.repeat(level, children)
            parents.append(above)
            level = np.arange(size, size + above.size)
            size += above.size
        if size >= n:
            parent = np.concatenate(parents)[:n].astype(np.int32)
            return Tree(parent, np.array([0, n], dtype=np.int64))
    raise ValueError(
        f"none of {max_tries} clusters reached {n} sites at mean offspring {lattice.branching:g}. "
        "Ask for fewer, or raise p."
    )


def _offspring_cdfs(
    lattice: BetheLattice,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Cumulative laws of the number of children of the root and of the other sites."""
    from scipy.special import bdtr, pdtr

    if lattice.is_poisson:
        counts = np.arange(int(lattice.branching + 12 * np.sqrt(lattice.branching) + 30))
        cdf = np.asarray(pdtr(counts, lattice.branching))
        return cdf, cdf
    z = int(lattice.coordination_number)
    root = np.asarray(bdtr(np.arange(z + 1), z, lattice.p))
    child = np.asarray(bdtr(np.arange(z), z - 1, lattice.p))
    return root, child
