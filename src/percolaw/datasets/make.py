"""Make datasets of percolation data: one cluster, or many in one cloud."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np

from percolaw import checks
from percolaw.clusters.brownian import sample_large_cluster
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.ensembles import Ensemble, sample_sizes, yule_process
from percolaw.datasets.centres import (
    CENTRES,
    SPACING,
    Centres,
    ClusterCentres,
    cluster_extent,
)
from percolaw.datasets.cloud import Cloud, cloud_truth
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.labels import REFERENCE_SITES, Standardize, labels_over_all, target_truth
from percolaw.datasets.provenance import provenance
from percolaw.datasets.resolution import check_resolution
from percolaw.embedding.skeleton import embed_sampled, embed_sites
from percolaw.embedding.walk import Steps
from percolaw.laws.bethe import BetheLattice
from percolaw.rng import RandomLike, Streams, as_streams

Labels: TypeAlias = Literal["linear", "none"]


def make_cluster(
    n_samples: int,
    dim: int = 64,
    rng: RandomLike = 0,
    *,
    size: float = math.inf,
    coordination_number: float = math.inf,
    steps: Steps = "gaussian",
    labels: Labels = "linear",
) -> Dataset:
    """Sample points of one critical percolation cluster embedded in R^dim, exactly.

    Parameters
    ----------
    n_samples : int
        Points, drawn uniformly from the cluster's sites.
    dim : int
        Embedding dimension d.
    rng : int, Generator or Streams
    size : float
        Sites of the cluster; infinity (default) for the infinite cluster, with no step scale.
    coordination_number : float
        z >= 3 or infinity. A finite z needs a finite size (at most what fits in memory); for
        infinite z any size up to 10^15 costs the same.
    steps : {"gaussian", "sphere", "lattice"}
        Law of the embedding's steps; other than Gaussian needs a finite size and z.
    labels : {"linear", "none"}
        y = w.(x - mean), w standard normal and scaled to unit variance of y over the points; or 0.
        Its nearest-neighbour loss falls like n^(-2/D), D = min(4, d), n well below `size`, if d > 1.

    Returns
    -------
    Dataset
        Points in exchangeable order. For infinite z the first m points are the same for every
        `n_samples` (labels up to their standardisation).

    Raises
    ------
    ValueError
        If a finite z or other than Gaussian steps come without a finite size.

    Notes
    -----
    Cost: as `sample_large_cluster` and `embed_sampled`; for finite z the tree (5 bytes a site) as well.

    Examples
    --------
    >>> data = make_cluster(1000, dim=16, rng=0)
    >>> data, data.truth["dimension"]
    (Dataset(1000 points, 16 dimensions, 1 clusters), 4)
    """
    n = checks.integer("n_samples", n_samples, minimum=1)
    d = checks.integer("dim", dim, minimum=1)
    z = checks.coordination_number(coordination_number)
    checks.choice("labels", labels, ("linear", "none"))
    streams = as_streams(rng)
    checks.memory(4.0 * n * d + 40.0 * n, f"{n} points in {d} dimensions", _STREAM)
    truth, origin = cluster_description(streams, n, d, size, z, steps, labels)
    if math.isinf(z) and steps == "gaussian":
        points = embed_sampled(sample_large_cluster(n, size, streams), d, streams)
    elif math.isinf(size):
        raise ValueError(
            "a finite coordination_number or other than Gaussian steps need a finite size; the "
            "infinite cluster has neither. Pass size=, e.g. 10**7."
        )
    else:
        sites_total = checks.integer("size", size, minimum=1)
        tree = conditioned_clusters(sites_total, z, streams)
        sites = streams.generator("split").integers(0, sites_total, n)
        points = embed_sites(tree, sites, d, streams, steps)[0]
    return Dataset(
        X=points,
        y=labels_over_all(points, labels, streams),
        cluster=np.zeros(n, dtype=np.int64),
        cluster_size=np.array([0 if math.isinf(size) else int(size)], dtype=np.int64),
        truth=truth,
        provenance=origin,
    )


def cluster_description(
    streams: Streams,
    n_samples: int,
    dim: int,
    size: float = math.inf,
    coordination_number: float = math.inf,
    steps: Steps = "gaussian",
    labels: Labels = "linear",
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return truth and provenance of `make_cluster`; ValueError if float32 would blur the points.

    Parameters
    ----------
    streams : Streams
    n_samples, dim, size, coordination_number, steps, labels
        As in `make_cluster`.

    Returns
    -------
    tuple of dict
        Truth and provenance.
    """
    dimension = min(4, dim)
    # In units of the cluster's extent, of which the points fill some three.
    gap = max(1.0, min(n_samples, size)) ** (-1.0 / dimension)
    check_resolution(3.0, gap, "Raise dim or ask for fewer points.")
    origin = provenance(
        "make_cluster",
        streams,
        n_samples=n_samples,
        dim=dim,
        size=size,
        coordination_number=coordination_number,
        steps=steps,
        labels=labels,
    )
    truth = {
        "dimension": dimension,
        "fisher_exponent": 2.5,
        "law": "critical cluster",
        **target_truth(labels, dimension),
    }
    if dim == 1 and labels == "linear":  # the thin ends of the line decide, by no known power
        truth["cluster_exponent"] = None
    return truth, origin


def make_distribution(
    n_samples: int,
    dim: int = 64,
    rng: RandomLike = 0,
    *,
    ensemble: Ensemble = "site",
    n_clusters: int = 316,
    lattice: BetheLattice | None = None,
    min_size: int = 300,
    max_size: int = 30_000_000,
    labels: Literal["walk", "linear", "none"] = "walk",
    standardize: Standardize = "cluster",
    centres: Centres = "random",
    spacing: float = SPACING,
) -> Dataset:
    """Sample points from many embedded clusters in one cloud.

    Parameters
    ----------
    n_samples : int
    dim : int
    rng : int, Generator or Streams
    ensemble : {"site", "cluster", "yule"}
        For "site" and "cluster", `n_clusters` cluster sizes are drawn from the exact law inside the
        window; each point picks a uniform site of all clusters. For "yule", every one of the
        `n_samples` sites is a point, founding a cluster with probability 1/3 or joining one by size
        (the ensemble of the 2026 generator); rows are in the order of growth, oldest clusters first,
        so do not take the first ones for training (`Dataset.split` deals rows at random).
    n_clusters, lattice, min_size, max_size
        Used by "site" and "cluster"; `lattice` sets the size law only, shapes are uniform
        Cayley trees.
    labels : {"walk", "linear", "none"}
        An independent walk along each cluster's tree (one more column of normals); w.x with one
        direction w for all clusters; or 0.
    standardize : {"cluster", "all"}
        Where labels have mean 0 and variance 1. "cluster": over the *sites* of each cluster, so
        that predicting 0 costs 1 everywhere and a cluster weighs in the loss what it has of the
        points (the 2024 paper). Clusters of a single site get 0. "all": one shift and scale for all
        points: clusters then weigh as their own variance too, and part of every label is
        which cluster it is in.
    centres : {"random", "grid", "rotated"}
        Where clusters start. "random": independent and uniform in a cube, as in the 2026 generator,
        so that all columns are alike and a place tells nothing of a size. "grid": centre k has the
        binary digits of k as coordinates; clusters stay apart in every dimension, but few columns
        tell them apart. "rotated": the grid in a random orientation.
    spacing : float
        Distance of the centres (see `ClusterCentres`) in units of S^(1/4), S being the sites of
        the largest cluster drawn, whose root mean square radius is 0.79 in this unit.

    Returns
    -------
    Dataset
        For "site" and "cluster" nested: the first m points and, with `standardize` "cluster", their
        labels are the same for every `n_samples` (with "all" up to the standardisation). `truth`
        gives the exponents that the labels have, None where there is none; see `Dataset`.

    Raises
    ------
    ValueError
        If float32 would blur the points, as those of many clusters on a grid in one or two dimensions.

    Notes
    -----
    **Standardisation.** Mean and variance over the few points of a small cluster would fit the
    labels to the sample: a lone point would always be 0 and a pair +-1, and labels would change with
    `n_samples`. They are taken over all sites where every site is a point ("yule"), else over
    the first 1024 random sites that the cluster has for every `n_samples`: right to 1/32 of a standard
    deviation, and 5% of the variance. Before it a walk on S sites has variance sqrt(pi S/8) in the
    mean. Cost: up to 1024 more rows for each cluster with a point (one column for "walk").

    **Spacing.** Share of the variance of X inside clusters at d = 64 (20,000 points, 3 clouds):

    ========= ====== ====== ====== ====== ======= ==============
    ensemble  random random random random grid    grid
    spacing   1      2      4      8      4       16
    ========= ====== ====== ====== ====== ======= ==============
    site      .46    .22    .074   .020   .020    .0013
    cluster   .22    .081   .023   .006   .006    .0004
    yule      .13    .041   .011   .003   .002    .0001
    ========= ====== ====== ====== ====== ======= ==============

    The default shows kernels and networks the inside of clusters and keeps them apart from 16 dimensions
    on: the nearest of 5000 points is in another cluster, though there is one in the own, for under
    0.03% of points (d = 8: up to 0.7%). Below 8 dimensions clusters run into each other, and into
    themselves; only "linear" labels on a grid (rotated or not) of spacing 16 have known exponents there.
    None are told either on a line, or for a spacing below 2. The 2026
    generator has spacing sqrt(d/6) (n/S)^(1/4).

    Examples
    --------
    >>> data = make_distribution(2000, dim=32, rng=0)
    >>> data, data.truth["rank_exponent"], data.truth["cluster_exponent"]
    (Dataset(2000 points, 32 dimensions, 316 clusters), 1.0, 0.5)
    """
    n = checks.integer("n_samples", n_samples, minimum=1)
    d = checks.integer("dim", dim, minimum=1)
    checks.choice("ensemble", ensemble, ("site", "cluster", "yule"))
    checks.choice("labels", labels, ("walk", "linear", "none"))
    checks.choice("standardize", standardize, ("cluster", "all"))
    checks.choice("centres", centres, CENTRES)
    separation = checks.real("spacing", spacing, minimum=0.0, maximum=1e6)
    streams = as_streams(rng)
    needed = 4.0 * (n + REFERENCE_SITES) * (d + 1) + 60.0 * n
    checks.memory(needed, f"{n} points in {d} dimensions", _STREAM)
    if ensemble == "yule":
        cluster = yule_process(n, rng=streams).astype(np.int64)
        sizes = np.bincount(cluster)
    else:
        sizes = sample_sizes(ensemble, n_clusters, lattice, min_size, max_size, streams)
        share = np.cumsum(sizes) / float(sizes.sum())
        u = streams.generator("split").random(n)
        cluster = np.minimum(np.searchsorted(share, u, side="right"), sizes.size - 1)
        needed += 4.0 * int(np.bincount(cluster).max()) * (d + 1)  # one cluster is made at a time
        checks.memory(needed, f"{n} points in {d} dimensions", _STREAM)
    largest = int(sizes.max())
    distance = separation * cluster_extent(largest)
    if ensemble != "yule":  # sampled clusters are shifted in float32, whole ones in float64
        distance = float(np.float32(distance))
    place = ClusterCentres(centres, int(sizes.size), d, distance, streams)
    place.check(largest, n)
    cloud = Cloud(cluster, sizes, d, streams, labels, standardize, place)
    points, y = cloud.every_site() if ensemble == "yule" else cloud.sampled_sites()
    return Dataset(
        X=points,
        y=y,
        cluster=cluster,
        cluster_size=sizes.astype(np.int64),
        truth=cloud_truth(ensemble, lattice, d, labels, standardize, centres, separation),
        provenance=provenance(
            "make_distribution",
            streams,
            n_samples=n,
            dim=d,
            ensemble=ensemble,
            n_clusters=n_clusters,
            min_size=min_size,
            max_size=max_size,
            coordination_number=None if lattice is None else lattice.coordination_number,
            mean_offspring=None if lattice is None else lattice.mean_offspring,
            labels=labels,
            standardize=standardize,
            centres=centres,
            spacing=separation,
        ),
    )


_STREAM = (
    "Ask for fewer points or dimensions, or stream to disk: percolaw generate ... --out X.zarr."
)
