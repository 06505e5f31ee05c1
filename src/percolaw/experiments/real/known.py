"""Data whose state is known, on which the analysis of real data is tried."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws.hypercubic import hypercubic_threshold
from percolaw.rng import Streams
from percolaw.words import Worded

State: TypeAlias = Literal["critical", "thin", "near", "other"]
Labelled: TypeAlias = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

#: Distance of the points of a lattice from their sites, so that no two neighbours are equally far.
JITTER = 1e-3
#: p over p_c between which data are neither critical nor clearly not: counted for themselves.
NEAR = (0.9, 1.1)


class Known(Worded):
    """Data of a known state; `sample` draws them."""

    @property
    @abstractmethod
    def state(self) -> State:
        """``critical``; ``thin``: critical, and not all sites drawn; ``near``; or ``other``."""

    def fields(self) -> dict[str, Any]:
        """Return ``dim``, ``ratio`` and ``percent`` of a lattice; None of others."""
        return {name: getattr(self, name, None) for name in ("dim", "ratio", "percent")}

    @abstractmethod
    def sample(self, n: int, streams: Streams) -> Labelled:
        """Return about n points, (n, d), and their classes, (n,)."""


@dataclass(frozen=True)
class KnownLattice(Known):
    """Bond percolation in a cubic box with free edges; a class is a cluster.

    Parameters
    ----------
    dim : int
    ratio : float
        p over p_c.
    percent : float
        Of the sites that are drawn.
    """

    dim: int
    ratio: float
    percent: float

    @property
    def word(self) -> str:
        return f"lattice d = {self.dim}, {self.ratio:g} p_c, {self.percent:g}%"

    @property
    def state(self) -> State:
        """By p, and by whether all sites are drawn."""
        if self.ratio != 1.0:
            return "near" if NEAR[0] <= self.ratio <= NEAR[1] else "other"
        return "critical" if self.percent == 100.0 else "thin"

    @property
    def p(self) -> float:
        """Probability of a bond."""
        return self.ratio * float(hypercubic_threshold(self.dim, "bond"))

    def sample(self, n: int, streams: Streams) -> Labelled:
        return _lattice(self.dim, self.p, self.percent / 100.0, n, streams)


@dataclass(frozen=True)
class KnownCloud(Known):
    """Points that are no lattice, of `OTHERS`."""

    name: str

    def __post_init__(self) -> None:
        checks.choice("data", self.name, OTHERS)

    @property
    def word(self) -> str:
        return self.name

    @property
    def state(self) -> State:
        """Never critical."""
        return "other"

    def sample(self, n: int, streams: Streams) -> Labelled:
        return OTHERS[self.name](n, streams)


def _infinite_cluster(n: int, streams: Streams) -> Labelled:
    from percolaw.datasets.make import make_cluster

    data = make_cluster(n, 8, streams, labels="linear")
    return np.asarray(data.X, dtype=np.float64), _intervals(np.asarray(data.y), 8)


def _distribution(n: int, streams: Streams) -> Labelled:
    from percolaw.datasets.make import make_distribution

    data = make_distribution(n, 8, rng=streams)
    return np.asarray(data.X, dtype=np.float64), np.asarray(data.cluster)


def _lattice(d: int, p: float, share: float, n: int, streams: Streams) -> Labelled:
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
    random = streams.generator("clusters")
    is_open = random.random(ends[0].size) < p
    graph = SiteGraph(n_sites, *(e[is_open].astype(np.int32) for e in ends))
    rows = random.permutation(n_sites)[: min(n, n_sites)]
    place = np.stack([rows // length**axis % length for axis in range(d)], axis=1)
    points = place + JITTER * random.random(place.shape)
    return points, graph.clusters()[rows]


def _mixture(n: int, d: int, streams: Streams) -> Labelled:
    random = streams.generator("clusters")
    weight = np.arange(1.0, 201.0) ** -2.0
    label = random.choice(weight.size, n, p=weight / weight.sum())
    centre = 3.0 * random.standard_normal((weight.size, d))
    return centre[label] + random.standard_normal((n, d)), label


def _field(n: int, d: int, streams: Streams) -> Labelled:
    random = streams.generator("clusters")
    x = random.random((n, d))
    wave = random.standard_normal((d, 300)) * 5.0 / np.sqrt(d)
    field = np.cos(x @ wave + 2.0 * np.pi * random.random(300)) @ random.standard_normal(300)
    return x, _intervals(field, 4)


def _hierarchy(n: int, streams: Streams) -> Labelled:
    random = streams.generator("clusters")
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


def _random_labels(n: int, streams: Streams) -> Labelled:
    random = streams.generator("clusters")
    return random.random((n, 3)), random.integers(10, size=n)


#: Data that are no lattice: a critical cluster of infinite size whose classes are intervals of a linear
#: function; critical tree clusters far apart, of the Yule law of sizes; Gaussian clouds of weights k^-2;
#: intervals of a smooth random field on a cube; a mixture of mixtures of Gaussians, four by four by four,
#: a class being one of the middle level; ten classes dealt at random.
OTHERS: dict[str, Callable[[int, Streams], Labelled]] = {
    "infinite cluster": _infinite_cluster,
    "cluster distribution": _distribution,
    "Zipf mixture, d = 2": lambda n, streams: _mixture(n, 2, streams),
    "Zipf mixture, d = 6": lambda n, streams: _mixture(n, 6, streams),
    "smooth field, d = 2": lambda n, streams: _field(n, 2, streams),
    "smooth field, d = 6": lambda n, streams: _field(n, 6, streams),
    "hierarchy": _hierarchy,
    "random labels": _random_labels,
}
