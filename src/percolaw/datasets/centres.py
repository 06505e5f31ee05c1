"""Where the clusters of one cloud stand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.resolution import check_resolution
from percolaw.rng import CENTRE_AXES, RANDOM_CENTRES, Streams

Centres: TypeAlias = Literal["random", "grid", "rotated"]

#: The kinds of centres.
CENTRES = ("random", "grid", "rotated")

#: Default distance of clusters, in extents of the largest; in many dimensions they are apart.
SPACING = 2.0

#: Distance at which clusters on a grid touch with probability below 1e-9 in every dimension.
SAFE_SPACING = 16.0


def cluster_extent(size: int) -> float:
    """Return S^(1/4), the length scale of a cluster of S sites with steps of mean square 1.

    Its root mean square radius about its centre of mass is (pi S/8)^(1/4) = 0.79 S^(1/4).
    """
    return float(size) ** 0.25


@dataclass(frozen=True, eq=False)
class ClusterCentres:
    """The centres of the clusters of one cloud.

    Parameters
    ----------
    kind : {"random", "grid", "rotated"}
        Independent and uniform in a cube; a cubic lattice; that lattice in a random orientation.
    n_clusters, dim : int
    distance : float
        Root mean square distance between two random centres, or the lattice constant of the grid.
    streams : Streams
        Stream ``embedding``, items 3 (random) and 4 (orientation).

    Notes
    -----
    On the grid coordinate j of centre k has the bits j, j + d, ... of k: nested and free of
    collisions for every number of clusters, within twice the least possible side. Random centres
    are nested too.
    """

    kind: Centres
    n_clusters: int
    dim: int
    distance: float
    streams: Streams

    def __post_init__(self) -> None:
        checks.choice("centres", self.kind, CENTRES)

    @property
    def n_bits(self) -> int:
        """Binary digits of the largest cluster number."""
        return max(1, int(self.n_clusters - 1).bit_length())

    @property
    def side(self) -> float:
        """Side of the cube of random centres: two of its points differ by side^2 d/6 in the mean."""
        return self.distance * math.sqrt(6.0 / self.dim)

    @property
    def largest_coordinate(self) -> float:
        """Size of the largest coordinates (of the grid before it is turned)."""
        if self.kind == "random":
            return self.side / 2.0
        return self.distance * float((1 << -(-self.n_bits // self.dim)) - 1)

    @cached_property
    def _axes(self) -> npt.NDArray[np.float64]:
        """Random orthonormal directions of the grid's axes in use, (n_axes, d), nested."""
        shape = (min(self.dim, self.n_bits), self.dim)
        directions = self.streams.generator("embedding", CENTRE_AXES).standard_normal(shape)
        return np.asarray(np.linalg.qr(directions.T)[0].T)

    def of(self, clusters: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return the centres of the given clusters: float64, shape (n, d)."""
        k = np.asarray(clusters, dtype=np.int64)
        if self.kind == "random":
            from percolaw.kernels import walk as kernels

            centre = np.empty((k.size, self.dim))
            kernels.uniform_centres(
                k, self.streams.key("embedding", RANDOM_CENTRES), self.side, centre
            )
            return centre
        centre = np.zeros((k.size, self.dim))
        for bit in range(self.n_bits):
            centre[:, bit % self.dim] += ((k >> bit) & 1) * float(1 << (bit // self.dim))
        centre *= self.distance
        if self.kind == "grid":
            return centre
        return np.asarray(centre[:, : self._axes.shape[0]] @ self._axes)

    def check(self, largest: int, n_points: int) -> None:
        """Refuse a cloud whose points float32 would blur.

        Parameters
        ----------
        largest : int
            Sites of the largest cluster.
        n_points : int
            Points of all clusters; below 4 dimensions they fill space, and so do those of a cluster.
        """
        extent = cluster_extent(largest) / math.sqrt(self.dim)
        reach = self.largest_coordinate + extent
        filled = -1.0 / min(self.dim, 4)
        gap = min(extent * min(n_points, largest) ** filled, reach * n_points**filled)
        other = "" if self.kind == "random" else ", or take centres='random'"
        check_resolution(reach, gap, f"Lower spacing, raise dim or ask for fewer points{other}.")
