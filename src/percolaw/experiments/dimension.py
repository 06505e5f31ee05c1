"""The truth table of intrinsic dimension: every estimator on every shape whose dimension is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.rng import Streams
from percolaw.scaling import fit

#: Reference manifolds: name, factors, dimension.
MANIFOLDS: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (
    *((f"cube {d}", (("cube", d),)) for d in (1, 2, 4, 6, 8)),
    *((f"ball {d}", (("ball", d),)) for d in (3, 6)),
    *((f"sphere {d}", (("sphere", d),)) for d in (2, 4, 8)),
    *((f"torus {d}", (("torus", d),)) for d in (1, 2, 4)),
    ("swiss roll", (("swiss-roll", 2),)),
    *((f"graph {d}", (("graph", d),)) for d in (2, 4)),
    ("sphere 2 x cube 2", (("sphere", 2), ("cube", 2))),
    ("torus 2 x ball 3", (("torus", 2), ("ball", 3))),
)
#: Sites of the finite clusters, as a multiple of the points taken.
PARTS = {"all sites": 1, "10% of the sites": 10, "1% of the sites": 100}


@dataclass(frozen=True)
class Dimension:
    """Estimates and intervals on manifolds, finite clusters in part and whole, and the infinite one."""

    name: ClassVar[str] = "dimension"
    title: ClassVar[str] = "Truth table of intrinsic dimension: manifolds and percolation clusters"
    source: ClassVar[str] = "docs/theory.md, 8"
    judged: ClassVar[tuple[str, ...]] = (
        "n_seeds",
        "sizes",
        "shapes",
        "cluster_dims",
        "steps",
        "tolerance",
        "coverage",
        "coverage_tolerance",
    )
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

    n_seeds: int = 5
    """Independent samples of each setting."""
    sizes: tuple[int, ...] = (1000, 4000)
    """Points in a sample."""
    shapes: tuple[str, ...] = tuple(name for name, _ in MANIFOLDS)
    """Reference manifolds."""
    cluster_dims: tuple[int, ...] = (8, 16, 32, 100)
    """Embedding dimensions of the clusters."""
    steps: tuple[str, ...] = ("gaussian", "sphere")
    """Steps of the embedding of whole clusters; parts and the infinite cluster have Gaussian ones."""
    coordination_number: int = 200
    """z of the finite clusters."""
    tolerance: float = 0.1
    """Deviation of the mean estimate, relative to the truth, that counts as agreement."""
    coverage: float = 0.95
    """Share of intervals that should contain the truth."""
    coverage_tolerance: float = 0.05
    """Deviation of that share that counts as agreement."""

    def __post_init__(self) -> None:
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.coordination_number(self.coordination_number)
        for n in self.sizes:
            checks.integer("sizes", n, minimum=400)
        known = dict(MANIFOLDS)
        for name in self.shapes:
            checks.choice("shapes", name, known)
        for d in self.cluster_dims:
            checks.integer("cluster_dims", d, minimum=1)
        for kind in self.steps:
            checks.choice("steps", kind, ("gaussian", "sphere", "lattice"))

    def settings(self) -> dict[str, float | None]:
        """Return every shape and its dimension; None where steps rule the finest scale."""
        known = dict(MANIFOLDS)
        found: dict[str, float | None] = {
            name: float(sum(d for _, d in known[name])) for name in self.shapes
        }
        for d in self.cluster_dims:
            for kind in self.steps:
                found[f"all sites, {kind} steps, d = {d}"] = None
            for part in list(PARTS)[1:]:
                found[f"{part}, d = {d}"] = 4.0
            found[f"infinite cluster, d = {d}"] = 4.0
        return found

    def cells(self) -> list[Cell]:
        """A unit is a shape, a number of points and a seed."""
        return [
            {"shape": name, "n": n, "seed": seed}
            for name in self.settings()
            for n in self.sizes
            for seed in range(self.n_seeds)
        ]

    def _points(self, shape: str, n: int, streams: Streams) -> npt.NDArray[np.float32]:
        from percolaw.clusters.conditioned import conditioned_clusters
        from percolaw.datasets.make import make_cluster
        from percolaw.datasets.manifolds import make_manifold
        from percolaw.embedding.skeleton import embed_sites
        from percolaw.embedding.walk import embed_tree

        known = dict(MANIFOLDS)
        if shape in known:
            return np.asarray(make_manifold(known[shape], n, rng=streams).X)
        d = int(shape.split()[-1])
        if shape.startswith("infinite"):
            return np.asarray(make_cluster(n, d, streams, labels="none").X)
        part = shape.split(",")[0]
        tree = conditioned_clusters(PARTS[part] * n, self.coordination_number, rng=streams)
        if PARTS[part] == 1:
            kind: Any = shape.split(", ")[1].split()[0]
            return embed_tree(tree, d, streams, kind)
        sites = streams.generator("evaluation").choice(tree.n_sites, n, replace=False)
        return embed_sites(tree, sites, d, streams)[0]

    def measure(self, cell: Cell) -> list[Row]:
        """Estimate by all methods; one row an estimator."""
        from percolaw.dimension.report import estimate_dimension

        streams = Streams(cell["seed"]).child(*cell["shape"].encode())
        points = self._points(cell["shape"], cell["n"], streams)
        report = estimate_dimension(points, streams).as_dict()
        shared = {"by_neighbors": report["by_neighbors"], "trust": report["trust"]}
        return [
            {
                **cell,
                "estimator": name,
                **found,
                **(shared if i == 0 else {}),
            }
            for i, (name, found) in enumerate(report["estimates"].items())
        ]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold mean estimates against the truth, and count intervals that contain it."""
        truth = self.settings()
        estimators = list(dict.fromkeys(r["estimator"] for r in rows))
        largest = max(self.sizes)
        table: list[dict[str, Any]] = []
        for shape, big_d in truth.items():
            for n in self.sizes:
                for name in estimators:
                    found = [
                        r for r in rows if (r["shape"], r["n"], r["estimator"]) == (shape, n, name)
                    ]
                    if found:
                        table.append(_entry(shape, n, name, big_d, found))
        claims: list[Claim] = []
        for shape, big_d in truth.items():
            entries = [e for e in table if e["shape"] == shape and e["n"] == largest]
            value = np.array([e["values"] for e in entries])
            middle = np.median(value, axis=0)
            wide = [e["mean_interval"] for e in entries]
            if big_d is None:
                continue
            claims.append(
                judge(
                    f"{shape}, {largest} points: median of the estimators",
                    self.source,
                    big_d,
                    float(middle.mean()),
                    fit.seed_interval(middle),
                    self.tolerance * big_d,
                    f"stated interval {np.median([w[0] for w in wide]):.2f} to "
                    f"{np.median([w[1] for w in wide]):.2f}",
                )
            )
        claims += [self._coverage(rows, name, False) for name in estimators]
        claims += [self._coverage(rows, name, True) for name in estimators]
        return Conclusion(
            tuple(claims),
            {
                "table": table,
                "estimators": estimators,
                "sizes": list(self.sizes),
                "shapes": list(truth),
                "n_seeds": self.n_seeds,
                "neighbors": self._neighbors(rows),
            },
        )

    def _coverage(self, rows: list[Row], name: str, parts: bool) -> Claim:
        """Share of intervals that contain the truth: shapes without a smallest scale, or samples of
        finite clusters, whose steps bend the finest scale."""
        truth = {s: d for s, d in self.settings().items() if ("of the sites" in s) == parts}
        inside: dict[int, list[bool]] = {}
        for r in rows:
            big_d = truth.get(r["shape"])
            if r["estimator"] == name and big_d is not None and None not in r["interval"]:
                low, high = r["interval"]
                inside.setdefault(r["seed"], []).append(low <= big_d <= high)
        share = np.array([np.mean(v) for v in inside.values()])
        return judge(
            f"{name}: share of stated intervals that contain the truth, "
            + ("parts of finite clusters" if parts else "manifolds and infinite cluster"),
            "docs/theory.md",
            self.coverage,
            float(share.mean()) if share.size else math.nan,
            fit.seed_interval(share) if share.size else (-math.inf, math.inf),
            self.coverage_tolerance,
        )

    def _neighbors(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Estimates against the number of neighbours, mean over seeds, largest samples."""
        found = []
        for shape in self.settings():
            own = [
                r["by_neighbors"]
                for r in rows
                if r["shape"] == shape and r["n"] == max(self.sizes) and "by_neighbors" in r
            ]
            if own:
                found.append(
                    {
                        "shape": shape,
                        "k": own[0]["k"],
                        "ratio": np.mean([o["ratio"] for o in own], axis=0).tolist(),
                        "likelihood": np.mean([o["likelihood"] for o in own], axis=0).tolist(),
                    }
                )
        return found


def _entry(
    shape: str, n: int, estimator: str, truth: float | None, rows: list[Row]
) -> dict[str, Any]:
    values = np.array([r["dimension"] for r in rows])
    known = [r["interval"] for r in rows if None not in r["interval"]]
    levels = np.array([r["level"] for r in rows])
    return {
        "shape": shape,
        "n": n,
        "estimator": estimator,
        "truth": truth,
        "dimension": float(values.mean()),
        "values": values.tolist(),
        "interval": list(fit.seed_interval(values)),
        "mean_interval": np.mean(known, axis=0).tolist() if known else [None, None],
        "inside": None
        if truth is None or not known
        else float(np.mean([low <= truth <= high for low, high in known])),
        "n_points": rows[0]["n_points"],
        "level": levels.mean(axis=0).tolist(),
    }
