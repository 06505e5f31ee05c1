"""Sources: what points can be drawn from, with the dimension they are known to have.

Every source is a frozen dataclass with `sample`. Words such as ``"cluster d = 16"`` name them in configs
and at the command line; `parse_source` is the one place that reads such words.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.make import cluster_description, make_cluster
from percolaw.datasets.manifolds import MANIFOLDS, make_manifold
from percolaw.datasets.provenance import provenance
from percolaw.datasets.source import PointFile, Source, unlabelled
from percolaw.embedding.skeleton import embed_sites
from percolaw.embedding.walk import Steps, embed_tree
from percolaw.laws.hypercubic import critical_exponents, hypercubic_threshold
from percolaw.rng import RandomLike, as_streams
from percolaw.words import changed, read_word

#: Sites of a finite cluster for each point taken of it, unless told.
SITES_PER_POINT = 100
#: Sites of a cluster of a real lattice, at least.
LATTICE_SITES = 300_000


@dataclass(frozen=True)
class InfiniteCluster(Source):
    """The infinite critical cluster of the Bethe lattice, embedded in R^dim.

    Parameters
    ----------
    dim : int
        Embedding dimension d; the dimension is min(4, d).
    """

    dim: int = 16

    def __post_init__(self) -> None:
        checks.set_integer(self, "dim")

    @property
    def dimension(self) -> float:
        return float(min(4, self.dim))

    @property
    def word(self) -> str:
        return f"cluster d = {self.dim}"

    def sample(self, n_samples: int, rng: RandomLike = 0) -> Dataset:
        return make_cluster(n_samples, self.dim, rng, labels="none")


@dataclass(frozen=True)
class FiniteCluster(Source):
    """Different sites of one critical cluster of given size, embedded in R^dim.

    Parameters
    ----------
    dim : int
        Embedding dimension d.
    n_sites : int
        Sites of the cluster; 0 for `SITES_PER_POINT` times the points asked for.
    coordination_number : int
        z of the Bethe lattice.
    steps : {"gaussian", "sphere", "lattice"}
        Law of the embedding's steps.
    """

    dim: int = 16
    n_sites: int = 0
    coordination_number: int = 200
    steps: Steps = "gaussian"

    def __post_init__(self) -> None:
        checks.set_integer(self, "dim")
        checks.set_integer(self, "n_sites", minimum=0)
        z = checks.coordination_number(self.coordination_number)
        object.__setattr__(self, "coordination_number", int(z) if z < np.inf else z)
        checks.choice("steps", self.steps, ("gaussian", "sphere", "lattice"))

    @property
    def dimension(self) -> float:
        return float(min(4, self.dim))

    @property
    def word(self) -> str:
        options = changed(self, "n_sites", "coordination_number", "steps")
        return f"finite cluster d = {self.dim}{options}"

    def sample(self, n_samples: int, rng: RandomLike = 0) -> Dataset:
        """Sites are drawn without replacement.

        Raises
        ------
        ValueError
            If the cluster has fewer sites than points are asked for.
        """
        n = checks.integer("n_samples", n_samples, minimum=1)
        sites = self.n_sites or SITES_PER_POINT * n
        if sites < n:
            raise ValueError(
                f"a cluster of {sites} sites has no {n} different ones. Raise n_sites."
            )
        streams = as_streams(rng)
        tree = conditioned_clusters(sites, self.coordination_number, rng=streams)
        if sites == n:  # every site: in random order, like any part of them
            points = embed_tree(tree, self.dim, streams, self.steps)
            points = points[streams.generator("evaluation").permutation(n)]
        else:
            chosen = streams.generator("evaluation").choice(sites, n, replace=False)
            points = embed_sites(tree, chosen, self.dim, streams, self.steps)[0]
        z = self.coordination_number
        truth, origin = cluster_description(streams, n, self.dim, sites, z, self.steps, "none")
        origin = {**origin, "maker": "FiniteCluster", "n_sites": sites}
        return unlabelled(points, truth, origin, size=sites)

    def sized_for(self, n_samples: int) -> FiniteCluster:
        return dataclasses.replace(self, n_sites=self.n_sites or SITES_PER_POINT * n_samples)


@dataclass(frozen=True)
class Cube(Source):
    """Points uniform in a cube, which may lie in more coordinates that are 0.

    Parameters
    ----------
    side_dim : int
        Dimension D of the cube.
    dim : int
        Coordinates in all; 0 for as many as the cube has. The published experiments have cubes of 20
        coordinates of which D vary (Sharma and Kaplan 2022; there the others are masked in the teacher
        only, and students see them).
    """

    side_dim: int = 4
    dim: int = 0

    def __post_init__(self) -> None:
        checks.set_integer(self, "side_dim")
        checks.set_integer(self, "dim", minimum=0)
        if 0 < self.dim < self.side_dim:
            raise ValueError(f"a cube of dimension {self.side_dim} has no room in {self.dim}.")

    @property
    def dimension(self) -> float:
        return float(self.side_dim)

    @property
    def word(self) -> str:
        if not self.dim:
            return f"cube {self.side_dim}"
        inside = "" if self.dim == MASKED_DIM else f" in {self.dim}"
        return f"masked cube {self.side_dim}{inside}"

    def sample(self, n_samples: int, rng: RandomLike = 0) -> Dataset:
        """Points in [0, 1]^D; in [-1/2, 1/2]^D where other coordinates are 0."""
        data = dataclasses.replace(
            make_manifold("cube", n_samples, self.side_dim, rng=rng), y=np.zeros(n_samples)
        )
        if self.dim:
            checks.memory(
                4.0 * n_samples * self.dim,
                f"{n_samples} points of {self.dim} coordinates",
                "Lower dim or take fewer points.",
            )
            x = np.zeros((n_samples, self.dim), dtype=data.X.dtype)
            x[:, : self.side_dim] = data.X - 0.5
            origin = {**data.provenance, "maker": "Cube", "dim": self.dim}
            data = dataclasses.replace(data, X=x, provenance=origin)
        return data


#: Coordinates of a masked cube of which nothing else is said.
MASKED_DIM = 20


@dataclass(frozen=True)
class Manifold(Source):
    """A product of reference manifolds, each (name, dimension); see `make_manifold`."""

    factors: tuple[tuple[str, int], ...] = (("sphere", 2), ("cube", 1))

    def __post_init__(self) -> None:
        if not self.factors:
            raise ValueError("a manifold needs at least one factor, such as ('sphere', 2).")
        for name, dim in self.factors:
            checks.choice("manifold", name, MANIFOLDS)
            checks.integer("dimension of a factor", dim, minimum=1)

    @property
    def dimension(self) -> float:
        return float(sum(d for _, d in self.factors))

    @property
    def word(self) -> str:
        words = " x ".join(f"{name} {d}" for name, d in self.factors)
        return f"manifold {words}" if len(self.factors) == 1 else words

    def sample(self, n_samples: int, rng: RandomLike = 0) -> Dataset:
        data = make_manifold(self.factors, n_samples, rng=rng)
        return dataclasses.replace(data, y=np.zeros(n_samples))


@dataclass(frozen=True)
class LatticeCluster(Source):
    """Different sites of one cluster of bond percolation on Z^d, at their coordinates.

    Parameters
    ----------
    lattice_dimension : int
        d = 2 .. 8.
    ratio : float
        p / p_c. 1: a ball of the incipient infinite cluster, whose dimension is the fractal one. Above 1:
        the largest cluster of a box with a surface, of dimension d.
    """

    lattice_dimension: int = 3
    ratio: float = 1.0

    def __post_init__(self) -> None:
        checks.set_integer(self, "lattice_dimension", minimum=2, maximum=8)
        checks.set_real(self, "ratio", minimum=1.0)

    @property
    def dimension(self) -> float:
        if self.ratio > 1.0:
            return float(self.lattice_dimension)
        return float(critical_exponents(self.lattice_dimension).fractal_dimension)

    @property
    def word(self) -> str:
        ratio = "" if self.ratio == 1.0 else f"{np.format_float_positional(self.ratio, trim='-')} "
        return f"lattice d = {self.lattice_dimension}, {ratio}p_c"

    def sample(self, n_samples: int, rng: RandomLike = 0) -> Dataset:
        """Sites are drawn without replacement from `LATTICE_SITES` or `SITES_PER_POINT` a point.

        Raises
        ------
        ValueError
            If the largest cluster of the box has fewer sites than points are asked for.
        """
        from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
        from percolaw.clusters.hypercubic.grown import grow_from_origin

        n = checks.integer("n_samples", n_samples, minimum=1)
        streams, d = as_streams(rng), self.lattice_dimension
        sites, threshold = max(LATTICE_SITES, SITES_PER_POINT * n), hypercubic_threshold(d)
        if self.ratio > 1.0:
            box = HypercubicLattice(d, round(sites ** (1.0 / d)))
            cluster: Any = percolate(box, min(1.0, self.ratio * threshold), streams).graph()
        else:
            cluster = grow_from_origin(d, threshold, sites, rng=streams, min_size=sites)
        place = cluster.coordinates
        if place.shape[0] < n:
            raise ValueError(
                f"the largest cluster has {place.shape[0]} sites, fewer than the {n} points asked for. "
                "Take a p further above p_c."
            )
        chosen = streams.generator("evaluation").choice(place.shape[0], n, replace=False)
        origin = provenance(
            "LatticeCluster", streams, n_samples=n, lattice_dimension=d, ratio=self.ratio
        )
        truth = {"dimension": self.dimension, "law": "lattice cluster"}
        return unlabelled(place[chosen].astype(np.float64), truth, origin, size=place.shape[0])


def _product(match: re.Match[str]) -> Source:
    words = [part.rsplit(" ", 1) for part in match[1].lower().split(" x ")]
    return Manifold(tuple((name, int(dim)) for name, dim in words))


_NUMBER = r"(\d+(?:\.\d+)?)"
_FACTOR = rf"(?:{'|'.join(MANIFOLDS)}) \d+"
#: What every word looks like, and what it stands for.
_PATTERNS: dict[str, Callable[[re.Match[str]], Source]] = {
    r"(?i)cluster d = (\d+)": lambda m: InfiniteCluster(int(m[1])),
    r"(?i)finite cluster d = (\d+)": lambda m: FiniteCluster(int(m[1])),
    r"(?i)cube (\d+)": lambda m: Cube(int(m[1])),
    r"(?i)masked cube (\d+)(?: in (\d+))?": lambda m: Cube(int(m[1]), int(m[2] or MASKED_DIM)),
    rf"(?i)lattice d = (\d+), (?:{_NUMBER} )?p_c": lambda m: LatticeCluster(
        int(m[1]), float(m[2] or 1.0)
    ),
    rf"(?i)manifold ({_FACTOR})": _product,
    rf"(?i)({_FACTOR}(?: x {_FACTOR})+)": _product,
    r"file (.+?)(?: sha256:([0-9a-f]{12}))?": lambda m: PointFile(m[1], m[2] or ""),
}


def parse_source(word: str) -> Source:
    """Return the source that a word names; an existing path names its file.

    Raises
    ------
    ValueError
        For other words, with those there are.

    Examples
    --------
    >>> parse_source("cluster d = 16"), parse_source("lattice d = 2, 1.3 p_c").dimension
    (InfiniteCluster(dim=16), 2.0)
    """
    source: Source | None = read_word(word, _PATTERNS, "points")
    if source is not None:
        return source
    if os.path.exists(word):
        return PointFile(word)
    raise ValueError(
        f"unknown points {word!r}; there are 'cluster d = 16' (infinite), 'finite cluster d = 16', "
        f"'cube 4', 'masked cube 4' (in {MASKED_DIM} coordinates), 'lattice d = 3, p_c' (a ball of the "
        "incipient infinite cluster), 'lattice d = 3, 1.3 p_c' (the giant cluster of a box), products "
        f"such as 'sphere 2 x cube 1' and 'manifold sphere 2' (of {', '.join(MANIFOLDS)}), each with "
        "numbers of your choice, and paths of files with points."
    )
