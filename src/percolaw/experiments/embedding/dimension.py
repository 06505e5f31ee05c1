"""The truth table of intrinsic dimension: every estimator on every shape whose dimension is known."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from percolaw import checks, words
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.datasets.sources import FiniteCluster, InfiniteCluster, Manifold, Source
from percolaw.dimension.estimate import estimate_dimension
from percolaw.embedding.walk import Steps, embed_tree
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, units
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance, check
from percolaw.rng import Streams
from percolaw.scaling import intervals
from percolaw.scaling.curve import LearningCurve

#: Reference manifolds by name.
MANIFOLDS: dict[str, Manifold] = {
    **{f"cube {d}": Manifold((("cube", d),)) for d in (1, 2, 4, 6, 8)},
    **{f"ball {d}": Manifold((("ball", d),)) for d in (3, 6)},
    **{f"sphere {d}": Manifold((("sphere", d),)) for d in (2, 4, 8)},
    **{f"torus {d}": Manifold((("torus", d),)) for d in (1, 2, 4)},
    "swiss roll": Manifold((("swiss-roll", 2),)),
    **{f"graph {d}": Manifold((("graph", d),)) for d in (2, 4)},
    "sphere 2 x cube 2": Manifold((("sphere", 2), ("cube", 2))),
    "torus 2 x ball 3": Manifold((("torus", 2), ("ball", 3))),
}


#: Names of clusters of d dimensions, and how many sites they have for each point taken: in the infinite
#: one, 0.
CLUSTERS = {
    r"all sites, (?P<steps>\w+) steps, d = (?P<dim>\d+)": 1,
    r"10% of the sites, d = (?P<dim>\d+)": 10,
    r"1% of the sites, d = (?P<dim>\d+)": 100,
    r"infinite cluster, d = (?P<dim>\d+)": 0,
}


@dataclass(frozen=True)
class Shape:
    """Points whose dimension is estimated.

    Attributes
    ----------
    name : str
        In rows and claims; its bytes key the random stream.
    source : Source
    share : int
        Sites of the finite cluster for each point taken; 0 for other sources.
    """

    name: str
    source: Source
    share: int = 0

    @property
    def truth(self) -> float | None:
        """Dimension; None of whole clusters, where the steps rule the finest scale."""
        return None if self.share == 1 else self.source.dimension

    def points(self, n: int, streams: Streams) -> npt.NDArray[Any]:
        """Return n points: of a whole cluster, every site in its order.

        Parameters
        ----------
        n : int
        streams : Streams

        Returns
        -------
        array, shape (n, d)
        """
        source = self.source
        if not isinstance(source, FiniteCluster):
            return source.sample(n, streams).X
        if self.share > 1:
            return replace(source, n_sites=self.share * n).sample(n, streams).X
        tree = conditioned_clusters(n, source.coordination_number, rng=streams)
        return embed_tree(tree, source.dim, streams, source.steps)


def _shape_of(name: str, coordination_number: int) -> Shape:
    """The shape of a name; its finite clusters have this z."""
    if name in MANIFOLDS:
        return Shape(name, MANIFOLDS[name])
    for pattern, share in CLUSTERS.items():
        match = re.fullmatch(pattern, name)
        if match is None:
            continue
        dim, steps = int(match["dim"]), cast(Steps, match.groupdict().get("steps", "gaussian"))
        if not share:
            return Shape(name, InfiniteCluster(dim))
        z = coordination_number
        return Shape(name, FiniteCluster(dim, coordination_number=z, steps=steps), share)
    raise ValueError(f"unknown shape {name!r}.")


@dataclass(frozen=True)
class Dimension:
    """Estimates and intervals on manifolds, finite clusters in part and whole, and the infinite one."""

    name: ClassVar[str] = "dimension"
    title: ClassVar[str] = "Truth table of intrinsic dimension: manifolds and percolation clusters"
    source: ClassVar[str] = "docs/theory.md, 8"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {"n_seeds": 3, "sizes": (500,), "cluster_dims": (16,), "shapes": ("cube 2", "torus 2")},
            "5 s",
            "0.6 GiB",
        ),
        "laptop": Preset({}, "2.5 min", "1 GiB"),
        "paper": Preset(
            {"n_seeds": 10, "sizes": (1000, 4000, 16_000)}, "40 min, estimated", "1 GiB"
        ),
    }

    n_seeds: Seeds = 5
    """Independent samples of each setting."""
    sizes: Annotated[tuple[int, ...], Range(400), Bytes(44.0), JUDGED] = (1000, 4000)
    """Points in a sample."""
    shapes: Annotated[tuple[str, ...], JUDGED] = tuple(MANIFOLDS)
    """Reference manifolds."""
    cluster_dims: Annotated[tuple[int, ...], Range(1), JUDGED] = (8, 16, 32, 100)
    """Embedding dimensions of the clusters."""
    steps: Annotated[tuple[str, ...], JUDGED] = ("gaussian", "sphere")
    """Steps of the embedding of whole clusters; parts and the infinite cluster have Gaussian ones."""
    coordination_number: int = 200
    """z of the finite clusters."""
    tolerance: Tolerance = 0.1
    """Deviation of the mean estimate, relative to the truth, that counts as agreement."""
    coverage: Annotated[float, Range(0.0, 1.0), JUDGED] = 0.95
    """Share of intervals that should contain the truth."""
    coverage_tolerance: Tolerance = 0.05
    """Deviation of that share that counts as agreement."""

    def __post_init__(self) -> None:
        check(self)
        checks.coordination_number(self.coordination_number)
        for name in self.shapes:
            checks.choice("shapes", name, MANIFOLDS)
        for kind in self.steps:
            checks.choice("steps", kind, ("gaussian", "sphere", "lattice"))

    def settings(self) -> list[Shape]:
        """Return every shape."""
        names = [*self.shapes]
        for d in self.cluster_dims:
            names += [f"all sites, {kind} steps, d = {d}" for kind in self.steps]
            names += [f"10% of the sites, d = {d}", f"1% of the sites, d = {d}"]
            names.append(f"infinite cluster, d = {d}")
        return [_shape_of(name, self.coordination_number) for name in names]

    def cells(self) -> list[Cell]:
        """A unit is a shape, a number of points and a seed."""
        shapes = [shape.name for shape in self.settings()]
        return units(shape=shapes, n=self.sizes, seed=range(self.n_seeds))

    def measure(self, cell: Cell) -> list[Row]:
        """Estimate by all methods; one row an estimator."""
        shape = _shape_of(cell["shape"], self.coordination_number)
        streams = Streams(cell["seed"]).child(*words.key(shape.name))
        report = estimate_dimension(shape.points(cell["n"], streams), streams).as_dict()
        shared = {"by_neighbors": report["by_neighbors"], "trust": report["trust"]}
        return [
            {**cell, "estimator": name, **estimate, **(shared if i == 0 else {})}
            for i, (name, estimate) in enumerate(report["estimates"].items())
        ]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold mean estimates against the truth, and count intervals that contain it."""
        estimators = list(dict.fromkeys(r["estimator"] for r in rows))
        rows_of: dict[tuple[str, int, str], list[Row]] = {}
        for r in rows:
            rows_of.setdefault((r["shape"], r["n"], r["estimator"]), []).append(r)
        table = [
            _entry(shape, n, name, rows_of[shape.name, n, name])
            for shape in self.settings()
            for n in self.sizes
            for name in estimators
            if (shape.name, n, name) in rows_of
        ]
        every = [
            self._median(shape, [e for e in table if e["shape"] == shape.name])
            for shape in self.settings()
            if shape.truth is not None
        ]
        every += [self._coverage(rows, n, parts) for parts in (False, True) for n in estimators]
        tables = {
            "table": table,
            "estimators": estimators,
            "sizes": list(self.sizes),
            "shapes": [shape.name for shape in self.settings()],
            "n_seeds": self.n_seeds,
        }
        return Conclusion(tuple(every), tables, tuple(self._plots(rows_of, estimators)))

    def _median(self, shape: Shape, entries: list[dict[str, Any]]) -> Claim:
        """Hold the median of the estimators on the largest samples against the truth."""
        largest, truth = max(self.sizes), float(shape.truth or math.nan)
        entries = [e for e in entries if e["n"] == largest]
        stated = np.median([e["mean_interval"] for e in entries], axis=0)
        return claims.mean(
            f"{shape.name}, {largest} points: median of the estimators",
            self.source,
            truth,
            np.median([e["values"] for e in entries], axis=0),
            self.tolerance * truth,
            f"stated interval {stated[0]:.2f} to {stated[1]:.2f}",
            {"source": shape.name, "quantity": "dimension"},
        )

    def _coverage(self, rows: list[Row], name: str, parts: bool) -> Claim:
        """Share of intervals that contain the truth: shapes without a smallest scale, or samples of
        finite clusters, whose steps bend the finest scale."""
        truth = {s.name: s.truth for s in self.settings() if (s.share > 1) == parts}
        inside: dict[int, list[bool]] = {}
        for r in rows:
            big_d = truth.get(r["shape"])
            if r["estimator"] == name and big_d is not None and None not in r["interval"]:
                low, high = r["interval"]
                inside.setdefault(r["seed"], []).append(low <= big_d <= high)
        share = np.array([np.mean(v) for v in inside.values()])
        which = "parts of finite clusters" if parts else "manifolds and infinite cluster"
        return claims.judge(
            f"{name}: share of stated intervals that contain the truth, {which}",
            "docs/theory.md",
            self.coverage,
            float(share.mean()) if share.size else math.nan,
            intervals.seed_interval(share) if share.size else claims.UNKNOWN_INTERVAL,
            self.coverage_tolerance,
            about={"source": which, "learner": name, "quantity": "coverage"},
        )

    def _plots(
        self, rows_of: dict[tuple[str, int, str], list[Row]], estimators: list[str]
    ) -> list[plots.Plot]:
        """Estimates by the number of points, a plot a shape, and by the number of neighbours."""
        last = self.cluster_dims[-1:]
        clusters = [
            s
            for s in self.settings()
            if isinstance(s.source, (FiniteCluster, InfiniteCluster)) and s.source.dim in last
        ]
        manifolds = [s for s in self.settings() if s.name in MANIFOLDS]
        drawn, neighbors = [], []
        truths: dict[str, float | None] = {}
        for shape in (*clusters[:5], *manifolds[-1:]):
            mine = {
                name: rows_of.get((shape.name, max(self.sizes), name), []) for name in estimators
            }
            mine = {name: part for name, part in mine.items() if part}
            if not mine:
                continue
            series = [plots.curve(name, by_size(part), how="mean") for name, part in mine.items()]
            n, truth = series[0].x, shape.truth or shape.source.dimension
            series.append(plots.line("D", "theory", n, truth))
            alt = f"Estimates of the dimension of {shape.name} against the number of points."
            labels = ("points (subsets of one sample)", "estimated dimension")
            name = f"dimension-{plots.slug(shape.name)}"
            drawn.append(
                plots.log_linear(name, shape.name, alt, labels, series, figure="dimension-scale")
            )
            readings = [r["by_neighbors"] for r in next(iter(mine.values()))]
            likelihood = LearningCurve(
                np.array(readings[0]["k"]), np.array([t["likelihood"] for t in readings])
            )
            neighbors.append(plots.curve(shape.name, likelihood, how="mean"))
            truths.setdefault(f"D = {truth:g}", truth)
        if neighbors:
            k = neighbors[0].x
            neighbors += [plots.line(d, "theory", k, v) for d, v in truths.items()]
            drawn.append(
                plots.log_linear(
                    "dimension-neighbors",
                    "Maximum likelihood by number of neighbours",
                    "Maximum likelihood estimates against the number of neighbours used.",
                    ("neighbours k", "estimated dimension"),
                    neighbors,
                )
            )
        return drawn


def by_size(rows: list[Row]) -> LearningCurve:
    """Return estimates on growing subsets of each sample."""
    level = np.array([r["level"] for r in rows])
    order = np.argsort(rows[0]["n_points"])
    return LearningCurve(np.array(rows[0]["n_points"])[order], level[:, order])


def _entry(shape: Shape, n: int, estimator: str, rows: list[Row]) -> dict[str, Any]:
    """One cell of the truth table, as plain values."""
    values = np.array([r["dimension"] for r in rows])
    known = [r["interval"] for r in rows if None not in r["interval"]]
    truth = shape.truth
    return {
        "shape": shape.name,
        "n": n,
        "estimator": estimator,
        "truth": truth,
        "dimension": float(values.mean()),
        "values": values.tolist(),
        "interval": list(intervals.seed_interval(values)),
        "mean_interval": np.mean(known, axis=0).tolist() if known else [None, None],
        "inside": None
        if truth is None or not known
        else float(np.mean([low <= truth <= high for low, high in known])),
    }
