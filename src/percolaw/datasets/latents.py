"""Datasets with a hierarchy of latents: made, kept in three columns, and read from sparse features."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.ensembles import yule_process
from percolaw.clusters.merges import MergeTree
from percolaw.datasets.centres import SPACING, ClusterCentres, cluster_extent
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.provenance import provenance
from percolaw.embedding.latent_walk import embed_latents
from percolaw.embedding.walk import embed_tree
from percolaw.rng import RandomLike, as_streams
from percolaw.structure import Ids, index_dtype
from percolaw.targets.hierarchical import HierarchicalFunction
from percolaw.tree import Tree

FloatArray = npt.NDArray[np.float64]
LatentSteps: TypeAlias = Literal["gaussian", "latents"]

#: Columns in which the hierarchy of a dataset is kept.
PLACE, LATENT, NORMAL = "latent_place", "latent_after", "latent_normal"


@dataclass(frozen=True, eq=False)
class Latents:
    """The hierarchy of a dataset's points.

    Attributes
    ----------
    merges : MergeTree
        Its sites are the points in depth-first order: the points of a latent stand side by side.
    row : array of int64, shape (n,)
        Row of the dataset that each site is: ``data.X[row]`` has the order of the sites.
    normal : array of float64, shape (n_latents,)
        The normal of each latent; NaN where only the hierarchy is known.
    """

    merges: MergeTree
    row: Ids
    normal: FloatArray

    def __repr__(self) -> str:
        normals = "no normals" if np.isnan(self.normal).any() else "with normals"
        return f"Latents({self.merges}, {normals})"

    def batches(
        self, data: Dataset, latents: npt.ArrayLike, batch_size: int, rng: RandomLike = 0
    ) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]]:
        """Yield shuffled batches of points and of who belongs to which of some latents.

        Parameters
        ----------
        data : Dataset
            The dataset of this hierarchy.
        latents : array of int, shape (m,)
        batch_size : int
        rng : int, Generator or Streams
            Stream ``batch``.

        Yields
        ------
        X : array, shape (b, dim)
        member : array of bool, shape (b, m)

        Raises
        ------
        ValueError
            For latents that are not there, and a dataset of another length.
        """
        size = checks.integer("batch_size", batch_size, minimum=1)
        ids = checks.site_ids("latents", latents, self.merges.n_latents)
        if len(data) != self.row.size:
            raise ValueError(f"this hierarchy has {self.row.size} points and data {len(data)}.")
        first, stop = self.merges.first[ids], self.merges.stop[ids]
        order = as_streams(rng).generator("batch").permutation(self.row.size)
        for low in range(0, order.size, size):
            place = order[low : low + size]  # sites are in depth-first order
            inside = (place[:, None] >= first) & (place[:, None] < stop)
            yield np.asarray(data.X[self.row[place]]), inside


def make_hierarchy(
    n_samples: int,
    dim: int = 64,
    rng: RandomLike = 0,
    *,
    ensemble: Literal["one", "yule"] = "one",
    steps: LatentSteps = "gaussian",
    normalized: bool = True,
    standardized: bool = True,
    spacing: float = SPACING,
) -> Dataset:
    """Make clusters whose every site is a point, with a hierarchical function and all their latents.

    Parameters
    ----------
    n_samples : int
        Points: sites of uniform labelled trees.
    dim : int
        Embedding dimension d; at least 2 for steps of latents.
    rng : int, Generator or Streams
    ensemble : {"one", "yule"}
        One cluster, or clusters of the Simon process with founding probability 1/3, with random centres
        as in `make_distribution`.
    steps : {"gaussian", "latents"}
        Independent Gaussian steps, or those of `embed_latents` (the 2026 generator).
    normalized, standardized : bool
        Of the labels, see `HierarchicalFunction`.
    spacing : float
        Of the centres, see `make_distribution`.

    Returns
    -------
    Dataset
        Rows in random order. Columns `latent_place`, `latent_after` and `latent_normal` hold the
        hierarchy in 24 bytes a point, in every format; `latents` reads it.

    Raises
    ------
    ValueError
        For `dim` below 2 with steps of latents, and other words.
    ResourceError
        If it would not fit into memory.

    Examples
    --------
    >>> data = make_hierarchy(2000, dim=16, rng=0)
    >>> known = latents(data)
    >>> known.merges, bool(np.isfinite(known.normal).all())
    (MergeTree(1999 latents of 2000 sites in 1 clusters), True)
    """
    n = checks.integer("n_samples", n_samples, minimum=1)
    d = checks.integer("dim", dim, minimum=1)
    checks.choice("ensemble", ensemble, ("one", "yule"))
    checks.choice("steps", steps, ("gaussian", "latents"))
    apart = checks.real("spacing", spacing, minimum=0.0, maximum=1e6)
    streams = as_streams(rng)
    checks.memory(hierarchy_bytes(n, d), f"{n} points in {d} dimensions", "Ask for fewer points.")
    sizes = np.array([n])
    if ensemble == "yule":
        sizes = np.bincount(yule_process(n, rng=streams))
        sizes = sizes[np.argsort(-sizes, kind="stable")]
    tree = conditioned_clusters(sizes, math.inf, streams)
    target = HierarchicalFunction(normalized, standardized).sample(tree, streams)
    if steps == "latents":
        points = embed_latents(tree, target.merges, d, streams)
    else:
        points = embed_tree(tree, d, streams)
    cluster = np.repeat(np.arange(sizes.size), sizes)
    if ensemble == "yule":
        distance = apart * cluster_extent(int(sizes[0]))
        centres = ClusterCentres("random", sizes.size, d, distance, streams)
        centres.check(int(sizes[0]), n)
        for low in range(0, n, 1 << 14):
            part = slice(low, low + (1 << 14))
            points[part] += centres.of(cluster[part]).astype(np.float32)
    site = streams.generator("split").permutation(n)
    columns = hierarchy_columns(target.merges, target.latent)
    return Dataset(
        X=points[site],
        y=target.value[site],
        cluster=cluster[site],
        cluster_size=sizes.astype(np.int64),
        truth={
            "dimension": min(4, d),
            "fisher_exponent": 2.5,
            "law": "critical cluster" if ensemble == "one" else "Simon process",
            "target": "hierarchical",
            "approximation_order": 2.0,
            "cluster_exponent": None,  # (log m) m^-(2/D): no power
        },
        provenance=provenance(
            "make_hierarchy",
            streams,
            n_samples=n,
            dim=d,
            ensemble=ensemble,
            steps=steps,
            normalized=bool(normalized),
            standardized=bool(standardized),
            spacing=apart,
        ),
        columns={name: values[site] for name, values in columns.items()},
    )


def hierarchy_bytes(n_samples: int, dim: int) -> float:
    """Return the memory that `make_hierarchy` takes at most.

    Parameters
    ----------
    n_samples, dim : int
        Points, and their dimension.

    Returns
    -------
    float
        Bytes.
    """
    return 8.0 * n_samples * dim + 170.0 * n_samples


def hierarchy_columns(merges: MergeTree, normal: FloatArray) -> dict[str, npt.NDArray[Any]]:
    """Return the hierarchy as three numbers a site, of which `latents` makes it again.

    Parameters
    ----------
    merges : MergeTree
    normal : array of float64, shape (n_latents,)

    Returns
    -------
    dict of str to array, shape (n_sites,)
        Place in depth-first order; latent that joins the site with the one at the next place, -1 at
        the end of a cluster; the normal of that latent, NaN there.
    """
    n = merges.n_sites
    place = np.empty(n, dtype=np.int64)
    place[merges.order] = np.arange(n)
    number = np.arange(merges.n_latents)
    above = merges.of_latents(merges.nodes.parent) - (merges.latent_node(number) - number)
    # The first part of a latent is a site, or the latent that begins where it does.
    end = merges.first + 1
    inner = np.flatnonzero(above >= 0)
    inner = inner[merges.first[inner] == merges.first[above[inner]]]
    end[above[inner]] = merges.stop[inner]
    after = np.full(n, -1, dtype=np.int64)
    after[end - 1] = number
    value = np.where(after >= 0, normal[after], np.nan) if normal.size else np.full(n, np.nan)
    return {PLACE: place, LATENT: after[place], NORMAL: value[place]}


def latents(data: Dataset) -> Latents:
    """Return the hierarchy of a dataset: from the columns of `make_hierarchy`, or from sparse features.

    Features are those of the published 2026 generator: one column a latent, nested in pairs; if they are
    no such hierarchy, that is said.

    Parameters
    ----------
    data : Dataset

    Returns
    -------
    Latents

    Raises
    ------
    TypeError
        For what is no Dataset.
    ValueError
        If the dataset has neither, has lost rows since it was made, or its features are not nested in
        pairs.
    """
    if not isinstance(data, Dataset):
        raise TypeError(
            f"latents are those of a Dataset, pl.load(path) of a file; got {data!r:.60}."
        )
    if all(name in data.columns for name in (PLACE, LATENT, NORMAL)):
        return _of_columns(data)
    if data.features is not None:
        return _of_features(data.features)
    raise ValueError(
        "this dataset has no hierarchy: neither the columns of make_hierarchy nor sparse features of "
        "latents. Make one with make_hierarchy, or load NAME.npz beside its NAME_gt_features.npz."
    )


def _of_columns(data: Dataset) -> Latents:
    from percolaw.kernels import coalescent as kernels

    place, after = (np.asarray(data.columns[name]).astype(np.int64) for name in (PLACE, LATENT))
    n = len(data)
    row = np.argsort(place, kind="stable")
    if not np.array_equal(place[row], np.arange(n)):
        raise ValueError(
            "rows of the hierarchy are missing. Take latents(data) of all rows first, and restrict its "
            "merges to the sites that you keep."
        )
    cluster = data.cluster[row]
    start = np.append(np.flatnonzero(np.diff(cluster, prepend=-1)), n)
    after, normal = after[row], np.asarray(data.columns[NORMAL], dtype=np.float64)[row]
    ends = np.zeros(n, dtype=bool)
    ends[start[1:] - 1] = True
    joined = np.flatnonzero(~ends)
    ids = after[joined]
    if not np.array_equal(np.sort(ids), np.arange(ids.size)) or np.any(after[ends] != -1):
        raise ValueError(f"column {LATENT} is damaged: every latent must join two places, once.")
    dtype = index_dtype(2 * n)
    nodes = 2 * start - np.arange(start.size)
    up = np.empty(int(nodes[-1]), dtype=dtype)
    kernels.nest(after, start, up)
    known = np.empty(ids.size)
    known[ids] = normal[joined]
    # The edges of the tree are not kept, so no site stands for a latent.
    merges = MergeTree(Tree(up, nodes), start, np.full(ids.size, -1, dtype=dtype))
    return Latents(merges, row, known)


def _of_features(features: Any) -> Latents:
    """Sites and latents of nested sets: the columns of a sparse matrix."""
    from scipy import sparse

    matrix = sparse.csr_array(features)
    matrix.eliminate_zeros()
    n, m = matrix.shape
    rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
    size = np.bincount(matrix.indices, minlength=m)
    order = np.lexsort((matrix.indices, -size[matrix.indices], rows))
    column, row = matrix.indices[order].astype(np.int64), rows[order]
    value = matrix.data[order].astype(np.float64)
    top = np.full(n, -1, dtype=np.int64)
    first = np.flatnonzero(np.diff(row, prepend=-1))
    top[row[first]] = column[first]
    inner = np.diff(row) == 0
    above = np.full(m, -1, dtype=np.int64)
    above[column[1:][inner]] = column[:-1][inner]
    last = np.append(~inner, True) if column.size else np.zeros(0, dtype=bool)
    smallest = np.full(n, -1, dtype=np.int64)
    smallest[row[last]] = column[last]
    parts = np.bincount(above[above >= 0], minlength=m) + np.bincount(
        smallest[smallest >= 0], minlength=m
    )
    nested = np.array_equal(above[column[1:][inner]], column[:-1][inner])
    if not nested or np.any(parts != 2) or np.any(above[column[first]] >= 0):
        raise ValueError(
            "the features are no hierarchy of latents: each column must be a set of points that falls "
            "into two columns or points, and no set may cross another."
        )
    normal = np.full(m, np.nan)
    normal[column] = value
    if np.all(normal[size > 0] == 1.0):
        normal[:] = np.nan  # membership alone
    # A cluster is a largest set or a point without any; sites stand cluster by cluster.
    group = np.where(top < 0, m + np.arange(n), top)
    site = np.argsort(group, kind="stable")
    start = np.append(np.flatnonzero(np.diff(group[site], prepend=-1)), n)
    of_row = np.empty(n, dtype=np.int64)
    of_row[site] = np.searchsorted(start, np.arange(n), side="right") - 1
    cluster = np.empty(m, dtype=np.int64)
    cluster[column] = of_row[row]
    # Columns of the generator come in the order of merges, the last one first; others by size.
    in_order = np.all(above < np.arange(m))
    latent = np.lexsort((np.arange(m), np.zeros(m) if in_order else -size, cluster))
    number = np.empty(m, dtype=np.int64)
    number[latent] = np.arange(m)
    dtype = index_dtype(2 * n)
    nodes = 2 * start - np.arange(start.size)
    up = np.full(int(nodes[-1]), -1, dtype=dtype)
    node = number + start[cluster]
    up[node] = np.where(above < 0, -1, node[above])
    leaf = np.arange(n) + start[of_row[site] + 1] - of_row[site] - 1
    up[leaf] = np.where(smallest[site] < 0, -1, node[smallest[site]])
    merges = MergeTree(Tree(up, nodes), start, np.full(m, -1, dtype=dtype))
    ordered = merges.order.astype(np.int64)
    by_place = Latents(merges, site, normal[latent])
    return _in_order(by_place, ordered)


def _in_order(known: Latents, order: Ids) -> Latents:
    """The same hierarchy with its sites renumbered to their depth-first places."""
    merges = known.merges
    up = merges.nodes.parent.copy()
    leaf = merges.site_node(np.arange(merges.n_sites))
    up[leaf] = merges.nodes.parent[leaf[order]]
    return Latents(
        MergeTree(Tree(up, merges.nodes.start), merges.start, merges.site),
        known.row[order],
        known.normal,
    )
