"""Embedding commutes with sampling: coordinates of chosen sites need only the tree they span.

A Gaussian walk along an unbranched run of L edges moves by N(0, L/d) in each coordinate, so the run
is one edge of length L. Nothing else of the cluster matters; see docs/theory.md.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.brownian import SampledCluster
from percolaw.embedding.walk import Steps, embed_tree
from percolaw.rng import SEGMENT_ENDS, SEGMENT_STARTS, RandomLike, as_streams
from percolaw.tree import Span, Tree


def embed_sites(
    tree: Tree, sites: npt.ArrayLike, dim: int, rng: RandomLike = 0, steps: Steps = "gaussian"
) -> tuple[npt.NDArray[np.float32], Span]:
    """Embed chosen sites of a large tree, exactly in law, without coordinates for the others.

    Parameters
    ----------
    tree : Tree
    sites : array of int, shape (m,)
        Sites to embed, in any order, repeats allowed.
    dim : int
        Embedding dimension d >= 1.
    rng : int, Generator or Streams
        Stream ``embedding``.
    steps : {"gaussian", "sphere", "lattice"}
        As in `embed_tree`. Gaussian steps need the collapsed tree (at most 2m nodes); the others
        need all spanned sites.

    Returns
    -------
    points : array of float32, shape (m, d)
        In the order of `sites`.
    span : Span
        The spanned tree whose nodes were embedded, roots (at the origin) included.

    Raises
    ------
    TypeError, ValueError
        If `sites` is empty or holds no site ids, and for a lattice walk on a tree with lengths.
    ResourceError
        If the points would not fit into memory.

    Notes
    -----
    Equal in law to embedding all sites and taking `sites` of them, but other numbers: random steps
    are keyed by node of the spanned tree. Time O(spanned sites) to span, then O(m d) for Gaussian
    steps and O(spanned sites d) for the others.
    """
    wanted = checks.site_ids("sites", sites, tree.n_sites)
    # The roots belong to it: they are the origin, and collapsing would drop the stem below them.
    roots = tree.start[np.unique(tree.cluster_of(wanted))]
    span = tree.span(np.concatenate([wanted, roots]), collapse=steps == "gaussian")
    d = checks.integer("dim", dim, minimum=1)
    checks.memory(
        4.0 * d * (span.tree.n_sites + wanted.size),
        f"{wanted.size} of {tree.n_sites} sites in {d} dimensions",
        "Ask for fewer sites or dimensions.",
    )
    points = embed_tree(span.tree, d, rng, steps)
    span = dataclasses.replace(span, index=span.index[: wanted.size])
    return points[span.index], span


def embed_sampled(
    cluster: SampledCluster,
    dim: int,
    rng: RandomLike = 0,
    *,
    out: npt.NDArray[np.float32] | None = None,
    first_column: int = 0,
    branch_points: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """Embed the points of a sampled cluster by a Gaussian walk along the tree that spans them.

    E |x_u - x_v|^2 is the tree distance of u and v in the unit of `cluster`, each coordinate of
    variance distance / d; point 0 is at the origin.

    Parameters
    ----------
    cluster : SampledCluster
        From `percolaw.clusters.brownian.sample_large_cluster`.
    dim : int
        Embedding dimension d >= 1.
    rng : int, Generator or Streams
        Stream ``embedding``; each number hashes (point, column), so the first m points have the same
        coordinates for every number of points, and columns can be computed in separate calls.
    out : array of float32, shape (n_points, w), optional
        Where to write columns ``first_column .. first_column + w - 1``; a new array of all d columns
        if left out.
    first_column : int
        The first column written to `out`.
    branch_points : array of float32, shape (n_points, w), optional
        Filled with the same columns of the starts of the segments; rows 0 and 1 are the origin.

    Returns
    -------
    array of float32, shape (n_points, d)
        Or `out`, where it is given.

    Raises
    ------
    ValueError
        If `out` has another dtype or number of rows, its columns do not lie within the d, or
        `branch_points` is of another shape.
    ResourceError
        If no `out` is given and the points would not fit into memory.

    Notes
    -----
    O(n d) time, two normals a coordinate; besides the output it holds 20 bytes a point and the
    vertices on one path of segments, O(sqrt(n) d) bytes.
    """
    from percolaw.kernels import continuum as kernels

    d = checks.integer("dim", dim, minimum=1)
    if out is None:
        checks.memory(
            (4.0 * d + 20.0) * cluster.n_points,
            f"{cluster.n_points} points in {d} dimensions",
            "Stream them to disk (percolaw generate ... --out FILE.zarr).",
        )
        out = np.empty((cluster.n_points, d), dtype=np.float32)
    elif out.shape[0] != cluster.n_points or out.dtype != np.float32 or out.ndim != 2:
        raise ValueError(
            f"out must be float32 with {cluster.n_points} rows; got {out.dtype}, {out.shape}."
        )
    column = checks.integer("first_column", first_column, minimum=0, maximum=d - out.shape[1])
    first, child = cluster.children
    streams = as_streams(rng)
    starts = np.empty((0, out.shape[1]), np.float32) if branch_points is None else branch_points
    if branch_points is not None:
        if starts.shape != out.shape or starts.dtype != np.float32:
            raise ValueError(
                f"branch_points must be float32 of shape {out.shape}, as out; got {starts.dtype}, "
                f"{starts.shape}."
            )
        starts[:2] = 0.0
    kernels.walk_segments(
        cluster.ends,
        cluster.glue,
        first,
        child,
        streams.key("embedding", SEGMENT_ENDS),
        streams.key("embedding", SEGMENT_STARTS),
        1.0 / math.sqrt(d),
        column,
        out,
        starts,
    )
    return out


def column_blocks(n_points: int, dim: int, n_bytes: float) -> Iterator[tuple[int, int]]:
    """Split the columns of float32 points into blocks of at most `n_bytes` each.

    Parameters
    ----------
    n_points, dim : int
        Rows and columns.
    n_bytes : float
        Largest size of a block of all rows; a single column may exceed it.

    Yields
    ------
    low, high : int
        Columns ``low .. high - 1``.
    """
    width = max(1, min(dim, int(n_bytes // (4 * max(1, n_points)))))
    for low in range(0, dim, width):
        yield low, min(low + width, dim)
