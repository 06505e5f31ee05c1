"""Many clusters in one cloud of points, with their labels and what is known of both."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.clusters.brownian import draw_cluster
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.ensembles import Ensemble
from percolaw.datasets.centres import SAFE_SPACING, SPACING, Centres, ClusterCentres
from percolaw.datasets.labels import (
    REFERENCE_SITES,
    FloatArray,
    Standardize,
    labels_over_all,
    linear_values,
    linear_weights,
    standardized,
    standardized_by_cluster,
    target_truth,
)
from percolaw.embedding.skeleton import embed_sampled
from percolaw.laws.bethe import BetheLattice
from percolaw.rng import TREE_STEPS, Streams
from percolaw.short import short_repr

#: Coordinates of centres held at once.
_BLOCK_ELEMENTS = 1 << 20

#: Largest dimension of space in which branches cross: sets of dimension 4 meet in 8 - d dimensions.
CROSSING_DIM = 7


@dataclass(frozen=True, eq=False)
class Cloud:
    """Clusters of given sizes in one cloud; row i is a site of cluster[i]."""

    cluster: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    dim: int
    streams: Streams
    labels: str
    standardize: Standardize
    centres: ClusterCentres

    __repr__ = short_repr

    def every_site(self) -> tuple[npt.NDArray[np.float32], FloatArray]:
        """Embed every site of every cluster, dealt to the rows at random."""
        from percolaw.kernels import walk as kernels

        n = self.cluster.size
        tree = conditioned_clusters(self.sizes, math.inf, self.streams)
        row = kernels.deal_rows(self.cluster, tree.start, self.streams.key("split"))
        points = np.empty((n, self.dim), dtype=np.float32)
        walk = np.empty(n if self.labels == "walk" else 0, dtype=np.float64)
        key, spread = self.streams.key("embedding", TREE_STEPS), 1.0 / math.sqrt(self.dim)
        block = max(1, _BLOCK_ELEMENTS // self.dim)
        for low in range(0, self.sizes.size, block):
            centre = self.centres.of(np.arange(low, min(low + block, self.sizes.size)))
            kernels.gaussian_cloud(
                tree.parent, tree.start, row, key, spread, low, centre, points, walk
            )
        if self.standardize == "all" or self.labels == "none":
            return points, self._over_all(points, walk)
        if self.labels == "linear":
            walk = linear_values(points, linear_weights(self.dim, self.streams))
        return points, standardized_by_cluster(walk, self.cluster)

    def sampled_sites(self) -> tuple[npt.NDArray[np.float32], FloatArray]:
        """Embed sampled sites of huge clusters."""
        n = self.cluster.size
        points = np.empty((n, self.dim), dtype=np.float32)
        walk = np.zeros(n)
        order = np.argsort(self.cluster, kind="stable")
        bounds = np.searchsorted(self.cluster[order], np.arange(self.sizes.size + 1))
        weights = linear_weights(self.dim, self.streams)
        for k in np.flatnonzero(np.diff(bounds)):
            rows = order[bounds[k] : bounds[k + 1]]
            part, walk[rows] = self._sampled_cluster(
                rows.size, float(self.sizes[k]), self.streams.child(int(k)), weights
            )
            part += self.centres.of([k]).astype(np.float32)
            points[rows] = part
        if self.standardize == "all" or self.labels == "none":
            return points, self._over_all(points, walk)
        return points, walk

    def _sampled_cluster(
        self, n: int, size: float, streams: Streams, weights: FloatArray
    ) -> tuple[npt.NDArray[np.float32], FloatArray]:
        """Points of one cluster about its root and their labels, standardised if by cluster."""
        labelled = self.labels == "walk"
        width = self.dim + labelled  # the walk that labels is one more column
        by_cluster = self.standardize == "cluster" and self.labels != "none"
        known = max(n, REFERENCE_SITES) if by_cluster else n
        tree = draw_cluster(known, size, streams)
        few = tree.beginning(n) if labelled else tree
        stretch = np.float32(math.sqrt(width / self.dim))
        points = np.empty((few.n_points, self.dim), dtype=np.float32)
        embed_sampled(few, width, streams, out=points)
        points *= stretch
        value = np.zeros(n)
        if labelled:
            column = np.empty((known, 1), dtype=np.float32)
            embed_sampled(tree, width, streams, out=column, first_column=self.dim)
            column *= stretch
            value = column[:, 0].astype(np.float64)
        elif by_cluster:
            value = linear_values(points, weights)
        if by_cluster:
            value = standardized(value, REFERENCE_SITES)
        return points[:n], value[:n]

    def _over_all(self, points: npt.NDArray[np.float32], walk: FloatArray) -> FloatArray:
        """Labels of mean 0 and variance 1 over all points."""
        if self.labels == "walk":
            return standardized(walk)
        return labels_over_all(points, self.labels, self.streams)


def cloud_truth(
    ensemble: Ensemble,
    lattice: BetheLattice | None,
    dim: int,
    labels: str,
    standardize: Standardize,
    centres: Centres,
    spacing: float,
) -> dict[str, Any]:
    """Return what is known of a cloud; of exponents, those that its labels have.

    Parameters
    ----------
    ensemble : str
        Law of the cluster sizes.
    lattice : BetheLattice or None
        Lattice that the sizes are of, if any.
    dim : int
        Dimension of the space.
    labels, standardize, centres, spacing
        As in `percolaw.datasets.make`.

    Returns
    -------
    dict
        Plain values; None where an exponent is not known.
    """
    truth: dict[str, Any] = {
        "dimension": min(4, dim),
        "fisher_exponent": 2.5,
        "law": ensemble,
        **target_truth(labels, min(4, dim)),
    }
    critical = ensemble == "yule" or lattice is None or lattice.regime == "critical"
    if not critical and lattice is not None:
        truth["cutoff_size"] = lattice.cutoff_size
    if labels == "none":
        return truth
    # The variance of a walk grows like the root of the cluster's size.
    weight = 1.0 if standardize == "cluster" else 1.5 if labels == "walk" else None
    # Sizes of clusters drawn by site fall like rank^-2; the others' weights have no finite sum.
    rank = 2.0 * weight - 1.0 if weight and ensemble == "site" and critical else None
    if dim > CROSSING_DIM:
        separated = spacing >= SPACING
    else:
        # On a line the thin ends of clusters decide, by no known power.
        grid = centres != "random" and spacing >= SAFE_SPACING
        separated = labels == "linear" and grid and dim > 1
    if not separated or weight is None:
        truth["cluster_exponent"] = None
    return {**truth, "standardized": standardize, "weight_exponent": weight, "rank_exponent": rank}
