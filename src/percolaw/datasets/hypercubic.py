"""Points of percolation clusters on the real lattice Z^d."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw import checks
from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.labels import labels_of_structure, target_truth
from percolaw.datasets.manifolds import isometry
from percolaw.datasets.provenance import provenance
from percolaw.laws.hypercubic import Kind, critical_exponents, hypercubic_threshold
from percolaw.rng import RandomLike, as_streams

#: Sites of the box for each point taken of it, if `n_sites` is left out; and the least number.
SITES_PER_POINT, LEAST_SITES = 20, 1_000_000


def make_lattice(
    n_samples: int,
    lattice_dimension: int = 3,
    probability: float | None = None,
    dim: int | None = None,
    rng: RandomLike = 0,
    *,
    kind: Kind = "bond",
    n_sites: int | None = None,
) -> Dataset:
    """Sample random sites of a percolated box, with the clusters they belong to.

    Below p_c many small clusters, at p_c clusters of all sizes, above it one giant cluster that looks
    like a manifold of the lattice's dimension beyond the correlation length.

    Parameters
    ----------
    n_samples : int
        Open sites, drawn without replacement.
    lattice_dimension : int
        d of the lattice, 2 to 8.
    probability : float, optional
        p; the threshold from the literature if left out.
    dim : int, optional
        Embedding dimension: coordinates are turned into R^dim by a random isometry; the lattice's own
        coordinates, from 0 to its length, if None.
    rng : int, Generator or Streams
        Streams ``clusters``, ``split``, ``embedding``, ``target``.
    kind : {"bond", "site"}
    n_sites : int, optional
        Sites of the box, about; 20 for each point and at least 10^6 if left out.

    Returns
    -------
    Dataset
        y is one linear function of the coordinates on all clusters, of mean 0 and variance 1; clusters
        are numbered by size, largest first, those without a point left out. ``truth["dimension"]``
        is that of the points, which fill the box: labels that do not know of clusters are learned
        with 2/d. ``truth["cluster_dimension"]`` is that of one large cluster: take the rows with
        ``data.rank == 1`` to have it alone.

    Raises
    ------
    ValueError
        If fewer than `n_samples` sites are open.

    Examples
    --------
    >>> data = make_lattice(1000, 3, rng=0)
    >>> data.X.shape, data.truth["dimension"], data.truth["cluster_dimension"]
    ((1000, 3), 3, 2.52293)
    """
    n = checks.integer("n_samples", n_samples, minimum=2)
    d = checks.integer("lattice_dimension", lattice_dimension, minimum=2, maximum=8)
    threshold = hypercubic_threshold(d, kind)
    p = threshold if probability is None else checks.probability("probability", probability)
    wanted = max(LEAST_SITES, SITES_PER_POINT * n) if n_sites is None else n_sites
    total = checks.integer("n_sites", wanted, minimum=2**d)
    width = d if dim is None else checks.integer("dim", dim, minimum=d)
    checks.memory(
        n * (24.0 * d + 12.0 * width + 40.0),
        f"{n} points in {width} dimensions",
        "Ask for fewer points or dimensions.",
    )
    streams = as_streams(rng)
    percolation = percolate(
        HypercubicLattice(d, max(2, round(total ** (1.0 / d))), kind), p, streams
    )
    if percolation.n_open < n:
        raise ValueError(
            f"{percolation.n_open} sites of the box are open, fewer than {n}. Raise n_sites "
            "(--sites) or probability."
        )
    open_sites = np.flatnonzero(percolation.cluster >= 0) if kind == "site" else None
    chosen = streams.generator("split").choice(percolation.n_open, n, replace=False)
    sites = chosen if open_sites is None else open_sites[chosen]
    x = percolation.lattice.coordinates(sites).astype(np.float64)
    y = labels_of_structure(x, streams)
    if dim is not None:
        x = x @ isometry(d, width, streams).T
    met, cluster = np.unique(percolation.cluster[sites], return_inverse=True)
    order = np.argsort(-percolation.size[met], kind="stable")
    rank = np.empty(order.size, dtype=np.int64)
    rank[order] = np.arange(order.size)
    return Dataset(
        X=np.ascontiguousarray(x, dtype=np.float32),
        y=y,
        cluster=rank[cluster],
        cluster_size=percolation.size[met][order],
        truth={
            **_structure(d, p / threshold, percolation.lattice.length),
            **target_truth("linear", d),
            "largest_share": percolation.largest_share,
        },
        provenance=provenance(
            "make_lattice",
            streams,
            n_samples=n,
            lattice_dimension=d,
            length=percolation.lattice.length,
            probability=p,
            kind=kind,
            dim=x.shape[1],
            rotated=dim is not None,
        ),
    )


def _structure(d: int, ratio: float, length: int) -> dict[str, Any]:
    """What is known of the points: together they fill the box, whatever the clusters look like.

    At the threshold, where the correlation length exceeds the box (|p/p_c - 1| <= length^(-1/nu)),
    clusters are fractals with a power law of sizes; above it the giant one has the dimension of the
    lattice; below it they have none.
    """
    known = critical_exponents(d)
    critical = abs(ratio - 1.0) <= length ** (-1.0 / known.correlation_exponent)
    above = float(d) if ratio > 1.0 else None
    return {
        "dimension": d,
        "cluster_dimension": known.fractal_dimension if critical else above,
        "fisher_exponent": known.fisher_exponent if critical else None,
        "lattice_dimension": d,
        "probability_over_threshold": ratio,
    }
