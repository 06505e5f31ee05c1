"""How faithful an embedding is to the tree: neighbours, distances, directions, mass and radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.dimension.mass_radius import fixed_mass_dimension
from percolaw.numerics.neighbors import nearest_neighbors
from percolaw.rng import RandomLike, as_streams
from percolaw.tree import Tree


@dataclass(frozen=True)
class Faithfulness:
    """What an embedding keeps of a tree.

    Attributes
    ----------
    neighbor_fraction : float
        Share of the centres whose nearest site in the embedding is a neighbour in the tree.
    rank_fraction : float
        Share of tree edges (u, v), u a centre, for which v is among the deg(u) nearest sites of u in
        the embedding.
    distance_ratio : float
        Mean of squared embedding distance over tree distance, random pairs; 1 if faithful.
    distortion : float
        Standard deviation of that ratio over pairs; sqrt(2/d) for Gaussian steps.
    anisotropy : float
        Largest over mean eigenvalue of the second moments of steps; 1 + O(sqrt(d/n)) if isotropic.
    mass_radius_dimension : float
        Slope of log number of sites within r of a centre against log r, embedding distances, where
        1% to 20% of all sites lie within r; below the limit 4 of critical trees in small clusters.
    n_sites, dim : int
        Sites of the tree; coordinates of a point.
    """

    neighbor_fraction: float
    rank_fraction: float
    distance_ratio: float
    distortion: float
    anisotropy: float
    mass_radius_dimension: float
    n_sites: int
    dim: int

    @property
    def trusted(self) -> bool:
        """Whether `rank_fraction` is at least 0.99."""
        return self.rank_fraction >= 0.99


def faithfulness(
    tree: Tree,
    points: npt.NDArray[np.floating],
    rng: RandomLike = 0,
    *,
    n_pairs: int = 20_000,
    n_centres: int = 500,
) -> Faithfulness:
    """Measure how faithful an embedding of all sites of one tree is.

    Parameters
    ----------
    tree : Tree
        One cluster of at least 10 sites, unit edges.
    points : array of float, shape (n_sites, d)
        Its embedding.
    rng : int, Generator or Streams
        Chooses pairs and centres (stream ``evaluation``).
    n_pairs : int
        Random pairs whose distances are compared; pairs of a site with itself are left out.
    n_centres : int
        Random sites whose neighbours and surroundings are measured; all sites if there are fewer.

    Returns
    -------
    Faithfulness

    Raises
    ------
    ValueError
        If there is not one cluster of at least 10 sites with a point for each, or points hold NaN
        or infinity.
    ResourceError
        If distances would not fit into memory.

    Notes
    -----
    O(n_centres n_sites d + n_sites d^2) time, and O(path) a pair.
    """
    points = checks.point_array("points", points)
    if tree.n_clusters != 1 or points.ndim != 2 or points.shape[0] != tree.n_sites:
        raise ValueError(
            f"need one cluster and a point for each of its sites; got {tree.n_clusters} clusters, "
            f"{tree.n_sites} sites and points of shape {points.shape}."
        )
    if not np.all(np.isfinite(points)):
        raise ValueError("points holds NaN or infinity; an embedding has none.")
    n, d = points.shape
    checks.integer("sites of the tree", n, minimum=10)
    checks.memory(
        32.0 * n * d + 16.0 * n * min(n_centres, 127),
        f"distances of {n} sites in {d} dimensions",
        "Lower n_centres, or use a smaller tree.",
    )
    generator = as_streams(rng).generator("evaluation")
    u, v = generator.integers(0, n, (2, n_pairs))
    distinct = u != v
    u, v = u[distinct], v[distinct]
    square = np.sum((points[u].astype(np.float64) - points[v]) ** 2, axis=1)
    ratio = square / tree.distance_between(u, v)
    child = np.flatnonzero(tree.parent >= 0)
    steps = points[child].astype(np.float64) - points[tree.parent[child]]
    spectrum = np.linalg.eigvalsh(steps.T @ steps / child.size)
    centres = generator.choice(n, size=min(n, n_centres), replace=False)
    degree = tree.degree()[centres]
    most = int(min(degree.max(), n - 1))
    _, near = nearest_neighbors(points, points[centres], most + 1)
    adjacency = tree.to_sparse()
    itself = near == centres[:, None]
    kept = right = edges = 0
    for row, site in enumerate(centres):
        neighbours = set(adjacency.indices[adjacency.indptr[site] : adjacency.indptr[site + 1]])
        nearest = near[row][~itself[row]]
        kept += int(nearest[0]) in neighbours
        right += len(neighbours.intersection(nearest[: len(neighbours)].tolist()))
        edges += len(neighbours)
    return Faithfulness(
        kept / centres.size,
        right / edges,
        float(ratio.mean()),
        float(ratio.std()),
        float(spectrum[-1] / spectrum.mean()),
        fixed_mass_dimension(points, points[centres]),
        n,
        d,
    )
