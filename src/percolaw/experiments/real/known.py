"""Data whose state is known, on which the analysis of real data is tried."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws.hypercubic import hypercubic_threshold
from percolaw.rng import Streams

Labelled: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

#: Distance of the points of a lattice from their sites, so that no two neighbours are equally far.
JITTER = 1e-3
#: Data that are no lattice, and what they are.
OTHERS = {
    "infinite cluster": "points of one infinite critical cluster in 8 dimensions; classes are intervals "
    "of a linear function",
    "cluster distribution": "critical tree clusters far apart, sizes of the Yule law (alpha = 1) in 8 "
    "dimensions; a class is a cluster",
    "Zipf mixture, d = 2": "Gaussian clouds of weights k^-2 that overlap, in the plane",
    "Zipf mixture, d = 6": "the same in 6 dimensions",
    "smooth field, d = 2": "four intervals of a smooth random field on a square",
    "smooth field, d = 6": "the same on a 6-cube",
    "hierarchy": "a mixture of mixtures of Gaussians, four by four by four in 5 dimensions; a class is a "
    "mixture of the middle level",
    "random labels": "ten classes dealt at random to points of a 3-cube",
}


def known_data(word: str, n: int, streams: Streams) -> Labelled:
    """Return points and classes of a known state.

    Parameters
    ----------
    word : str
        ``lattice d = 3, 1.3 p_c, 10%``: sites of a cubic box of bond percolation, of which the share is
        drawn; a class is a cluster. Or of `OTHERS`.
    n : int
        Points, as nearly as a box allows.
    streams : Streams

    Returns
    -------
    points : array of float64, shape (n, d)
    classes : array of int64, shape (n,)

    Raises
    ------
    ValueError
        For other words.
    """
    if word.startswith("lattice"):
        d, ratio, share = word.removeprefix("lattice d = ").split(", ")
        return _lattice(
            int(d),
            float(ratio.removesuffix(" p_c")),
            float(share.removesuffix("%")) / 100,
            n,
            streams,
        )
    checks.choice("data", word, OTHERS)
    random = streams.generator("clusters")
    kind, _, dim = word.partition(", d = ")
    if kind == "infinite cluster":
        from percolaw.datasets.make import make_cluster

        data = make_cluster(n, 8, streams, labels="linear")
        return np.asarray(data.X, dtype=np.float64), _intervals(np.asarray(data.y), 8)
    if kind == "cluster distribution":
        from percolaw.datasets.make import make_distribution

        data = make_distribution(n, 8, rng=streams)
        return np.asarray(data.X, dtype=np.float64), np.asarray(data.cluster)
    if kind == "Zipf mixture":
        return _mixture(n, int(dim), random)
    if kind == "smooth field":
        return _field(n, int(dim), random)
    if kind == "hierarchy":
        return _hierarchy(n, random)
    return random.random((n, 3)), random.integers(10, size=n)


def _lattice(d: int, ratio: float, share: float, n: int, streams: Streams) -> Labelled:
    """Sites of a box with free edges, drawn at random; a class is a cluster of open bonds."""
    from percolaw.analysis.adjacency import SiteGraph

    length = max(2, round((n / share) ** (1.0 / d)))
    n_sites = length**d
    checks.memory(40.0 * d * n_sites, f"a box of {n_sites} sites", "Draw a larger share, or fewer.")
    site = np.arange(n_sites, dtype=np.int64)
    low, high = [], []
    for axis in range(d):
        inner = site[(site // length**axis) % length < length - 1]
        low.append(inner)
        high.append(inner + length**axis)
    ends = np.concatenate(low), np.concatenate(high)
    p = min(1.0, ratio * float(hypercubic_threshold(d, "bond")))
    random = streams.generator("clusters")
    is_open = random.random(ends[0].size) < p
    graph = SiteGraph(n_sites, *(e[is_open].astype(np.int32) for e in ends))
    rows = random.permutation(n_sites)[: min(n, n_sites)]
    place = np.stack([rows // length**axis % length for axis in range(d)], axis=1)
    points = place + JITTER * random.random(place.shape)
    return points, graph.clusters()[rows]


def _mixture(n: int, d: int, random: np.random.Generator) -> Labelled:
    weight = np.arange(1.0, 201.0) ** -2.0
    label = random.choice(weight.size, n, p=weight / weight.sum())
    centre = 3.0 * random.standard_normal((weight.size, d))
    return centre[label] + random.standard_normal((n, d)), label


def _field(n: int, d: int, random: np.random.Generator) -> Labelled:
    x = random.random((n, d))
    wave = random.standard_normal((d, 300)) * 5.0 / np.sqrt(d)
    field = np.cos(x @ wave + 2.0 * np.pi * random.random(300)) @ random.standard_normal(300)
    return x, _intervals(field, 4)


def _hierarchy(n: int, random: np.random.Generator) -> Labelled:
    centre = np.zeros((1, 5))
    for scale in (4.0, 2.0, 1.0):
        centre = np.repeat(centre, 4, axis=0)
        centre = centre + scale * random.standard_normal(centre.shape)
    leaf = random.integers(centre.shape[0], size=n)
    return centre[leaf] + 0.5 * random.standard_normal((n, 5)), leaf // 4


def _intervals(values: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """Classes of equal size by rank."""
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(rank * count // values.size, dtype=np.int64)
