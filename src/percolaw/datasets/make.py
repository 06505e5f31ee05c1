"""Make datasets of percolation data: one cluster, or many in one cloud."""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

import percolaw
from percolaw import checks
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.continuum import sample_cluster
from percolaw.clusters.ensembles import Ensemble, sample_sizes, yule_process
from percolaw.datasets.dataset import Dataset
from percolaw.embedding.skeleton import embed_sampled, embed_sites
from percolaw.embedding.walk import Steps
from percolaw.lattice import BetheLattice
from percolaw.rng import STREAM_VERSION, RandomLike, Streams, as_streams

#: Distance between cluster centres over the largest cluster's extent; see `cluster_centres`.
SPACING = 16.0

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

    Returns
    -------
    Dataset
        Points in exchangeable order. For infinite z the first m points are the same for every
        `n_samples` (labels up to their standardisation).

    Notes
    -----
    Cost: see `sample_cluster` and `embed_sampled`; for finite z the cluster's tree (5 bytes a site).

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
    if math.isinf(z) and steps == "gaussian":
        points = embed_sampled(sample_cluster(n, size, streams), d, streams)
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
    truth, provenance = cluster_description(streams, n, d, size, z, steps, labels)
    return Dataset(
        X=points,
        y=_labels(points, labels, streams),
        cluster=np.zeros(n, dtype=np.int64),
        cluster_size=np.array([0 if math.isinf(size) else int(size)], dtype=np.int64),
        truth=truth,
        provenance=provenance,
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
    """Return truth and provenance of `make_cluster`."""
    provenance = _provenance(
        "make_cluster",
        streams,
        n_samples=n_samples,
        dim=dim,
        size=size,
        coordination_number=coordination_number,
        steps=steps,
        labels=labels,
    )
    return _truth(labels, {"law": "critical cluster"}), provenance


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
        (the ensemble of the 2026 generator).
    n_clusters, lattice, min_size, max_size
        Used by "site" and "cluster"; `lattice` sets the size law only, shapes are uniform
        Cayley trees.
    labels : {"walk", "linear", "none"}
        Independent walk on each cluster's tree, standardised over all points (needs twice the
        normals of one more column); one linear function within all clusters; or 0.

    Returns
    -------
    Dataset
        For "site" and "cluster" nested: the first m points are the same for every `n_samples`
        (labels up to standardisation). Centres follow `cluster_centres`, so clusters do not touch.
    """
    n = checks.integer("n_samples", n_samples, minimum=1)
    d = checks.integer("dim", dim, minimum=1)
    checks.choice("ensemble", ensemble, ("site", "cluster", "yule"))
    checks.choice("labels", labels, ("walk", "linear", "none"))
    streams = as_streams(rng)
    checks.memory(4.0 * n * (d + 1) + 60.0 * n, f"{n} points in {d} dimensions", _STREAM)
    if ensemble == "yule":
        cluster = yule_process(n, rng=streams).astype(np.int64)
        sizes = np.bincount(cluster)
        points, walk = _every_site(cluster, sizes, d, streams, labels == "walk")
    else:
        sizes = sample_sizes(ensemble, n_clusters, lattice, min_size, max_size, streams)
        share = np.cumsum(sizes) / float(sizes.sum())
        u = streams.generator("split").random(n)
        cluster = np.minimum(np.searchsorted(share, u, side="right"), sizes.size - 1)
        points, walk = _sampled_sites(cluster, sizes, d, streams, labels == "walk", max_size)
    if labels == "walk":
        y = walk - walk.mean()
        y /= y.std() or 1.0
    else:
        y = _labels(points, labels, streams)
    return Dataset(
        X=points,
        y=y,
        cluster=cluster,
        cluster_size=sizes.astype(np.int64),
        truth=_truth(
            labels, {"law": ensemble, "rank_exponent": 1.0 if ensemble == "site" else None}
        ),
        provenance=_provenance(
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
        ),
    )


def cluster_centres(n_clusters: int, dim: int, spacing: float) -> npt.NDArray[np.float32]:
    """Return centres on a cubic lattice: coordinate j of centre k has the bits j, j + d, ... of k.

    Nested and collision-free for every number of clusters, within twice the least possible side.
    The spacing used is `SPACING` = 16 times (largest size possible)^(1/4): a cluster of s sites
    has root mean square radius (pi s / 2)^(1/4) at most and Gaussian tails, so that two of them
    touch with probability below 1e-9.
    """
    k = np.arange(n_clusters, dtype=np.int64)
    centre = np.zeros((n_clusters, dim), dtype=np.float32)
    bits = max(1, int(n_clusters - 1).bit_length())
    for bit in range(bits):
        centre[:, bit % dim] += ((k >> bit) & 1) * float(1 << (bit // dim))
    return np.asarray(centre * np.float32(spacing))


_STREAM = (
    "Ask for fewer points or dimensions, or stream to disk: percolaw generate ... --out X.zarr."
)


def _every_site(
    cluster: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    dim: int,
    streams: Streams,
    labelled: bool,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Embed every site of every cluster; row i is a site of cluster[i], dealt at random."""
    from percolaw.kernels import walk as kernels

    tree = conditioned_clusters(sizes, math.inf, streams)
    row = kernels.deal_rows(cluster, tree.start, streams.key("split"))
    points = np.empty((cluster.size, dim), dtype=np.float32)
    walk = np.empty(cluster.size if labelled else 0, dtype=np.float64)
    kernels.gaussian_cloud(
        tree.parent,
        tree.start,
        row,
        streams.key("embedding", 2),
        1.0 / math.sqrt(dim),
        SPACING * float(sizes.max()) ** 0.25,
        int(sizes.size - 1).bit_length(),
        points,
        walk,
    )
    return points, walk


def _sampled_sites(
    cluster: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    dim: int,
    streams: Streams,
    labelled: bool,
    max_size: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """Embed sampled sites of huge clusters; the walk that labels is one more column."""
    width = dim + labelled
    points = np.empty((cluster.size, dim), dtype=np.float32)
    walk = np.empty(cluster.size if labelled else 0, dtype=np.float64)
    centres = cluster_centres(int(sizes.size), dim, SPACING * float(max_size) ** 0.25)
    order = np.argsort(cluster, kind="stable")
    bounds = np.searchsorted(cluster[order], np.arange(sizes.size + 1))
    for k in np.flatnonzero(np.diff(bounds)):
        rows = order[bounds[k] : bounds[k + 1]]
        own = streams.child(int(k))
        part = embed_sampled(sample_cluster(rows.size, float(sizes[k]), own), width, own)
        part *= np.float32(math.sqrt(width / dim))
        points[rows] = part[:, :dim] + centres[k]
        if labelled:
            walk[rows] = part[:, dim]
    return points, walk


def _labels(
    points: npt.NDArray[np.float32], labels: str, streams: Streams
) -> npt.NDArray[np.float64]:
    if labels == "none":
        return np.zeros(points.shape[0])
    weights = streams.generator("target").standard_normal(points.shape[1])
    y = np.empty(points.shape[0])
    buffer = np.empty((1 << 12, points.shape[1]))
    for low in range(0, y.size, 1 << 12):
        block = points[low : low + (1 << 12)]
        part = buffer[: block.shape[0]]
        part[...] = block
        np.matmul(part, weights, out=y[low : low + (1 << 12)])
    y -= y.mean()
    return np.asarray(y / (y.std() or 1.0))


def _truth(labels: str, more: dict[str, Any]) -> dict[str, Any]:
    return {
        "dimension": 4,
        "fisher_exponent": 2.5,
        "target": labels,
        "approximation_order": 2.0,
        "cluster_exponent": 0.5,
        **more,
    }


def _provenance(maker: str, streams: Streams, **arguments: Any) -> dict[str, Any]:
    plain = {k: ("inf" if v == math.inf else v) for k, v in arguments.items()}
    return {
        "maker": maker,
        **plain,
        "seed": streams.seed,
        "path": list(streams.path),
        "percolaw": percolaw.__version__,
        "stream_version": STREAM_VERSION,
    }
