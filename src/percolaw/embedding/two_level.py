"""The two-level scheme, a baseline: embed a tree, sample sites, graft a new tree on each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.embedding.skeleton import embed_sites
from percolaw.rng import RandomLike, as_streams
from percolaw.short import short_repr


@dataclass(frozen=True, eq=False)
class TwoLevelCloud:
    """Points of the two-level scheme, from `two_level_cloud`.

    Attributes
    ----------
    points : array of float32, shape (n_coarse_points * n_fine_points, d)
        The points of one graft are consecutive rows.
    graft : array of int64, shape (n_coarse_points * n_fine_points,)
        Number of the coarse point on which each point's fine tree was grafted.
    """

    points: npt.NDArray[np.float32]
    graft: npt.NDArray[np.int64]

    __repr__ = short_repr


def two_level_cloud(
    n_coarse_points: int,
    n_fine_points: int,
    level_size: int,
    dim: int,
    rng: RandomLike = 0,
    *,
    rescaled: bool = False,
) -> TwoLevelCloud:
    """Draw points by the two-level scheme of the 2025 write-up.

    A critical tree of `level_size` sites (of the Poisson limit) is embedded by Gaussian steps, and
    `n_coarse_points` of its sites are sampled; on each another tree of that size is embedded with its
    root there, and `n_fine_points` of its sites are sampled. Sites are sampled with replacement.

    Parameters
    ----------
    n_coarse_points, n_fine_points : int
        The cloud has their product as its number of points.
    level_size : int
        Sites N of each tree; the scheme is meant to stand for one tree of N^2 sites.
    dim : int
        Embedding dimension d >= 1.
    rng : int, Generator or Streams
        Streams ``clusters``, ``split`` and ``embedding``, keyed by tree.
    rescaled : bool
        Stretch the coarse level by N^(1/4), the extent of the fine trees, so that the whole has the
        radius of a tree of N^2 sites; the published scheme uses one step size.

    Returns
    -------
    TwoLevelCloud

    Raises
    ------
    ValueError
        If a number of points, sites or dimensions is below 1.
    ResourceError
        If the points would not fit into memory.

    Notes
    -----
    It is not a sample of one tree: whatever hangs below a sampled site is ignored, and fine trees do
    not compete for sites. Without rescaling, for large N in the Poisson limit, the mean squared
    distance of a point from the root is 2 sqrt(pi N/2), of two points of different grafts
    3 sqrt(pi N/2); one tree of N^2 sites has sqrt(pi/2) N for both.
    O(n_coarse_points (N + n_fine_points d)) time for Gaussian steps.
    """
    checks.integer("n_coarse_points", n_coarse_points, minimum=1)
    checks.integer("n_fine_points", n_fine_points, minimum=1)
    size = checks.integer("level_size", level_size, minimum=1)
    checks.memory(
        (4.0 * checks.integer("dim", dim, minimum=1) + 8.0) * n_coarse_points * n_fine_points,
        f"{n_coarse_points * n_fine_points} points in {dim} dimensions",
        "Ask for fewer points or dimensions.",
    )
    streams = as_streams(rng)

    def level(item: int, n: int) -> npt.NDArray[np.float32]:
        level_streams = streams.child(item)
        tree = conditioned_clusters(size, rng=level_streams)
        sites = level_streams.generator("split").integers(0, size, n)
        return embed_sites(tree, sites, dim, level_streams)[0]

    coarse = level(0, n_coarse_points)
    if rescaled:
        coarse *= np.float32(size**0.25)
    points = np.empty((n_coarse_points * n_fine_points, dim), dtype=np.float32)
    for k in range(n_coarse_points):
        rows = slice(k * n_fine_points, (k + 1) * n_fine_points)
        points[rows] = level(k + 1, n_fine_points) + coarse[k]
    return TwoLevelCloud(points, np.repeat(np.arange(n_coarse_points), n_fine_points))
