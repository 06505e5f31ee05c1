"""How good the tree picture is: real lattices in 5 to 7 dimensions against the Bethe lattice z = 2d."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from percolaw import checks
from percolaw.critical import hypercubic_threshold, threshold_source
from percolaw.experiments import boxes, toy
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.experiments.sampling import mean_variance
from percolaw.lattice import BetheLattice
from percolaw.rng import Streams
from percolaw.scaling import fit

FloatArray = toy.FloatArray

#: Clusters in a bin of sizes below which the bin is left out.
LEAST_IN_BIN = 20
#: Clusters of a bin that are compared with trees of the same size, at most.
MOST_TREES = 200


@dataclass(frozen=True)
class MeanFieldCheck:
    """Sizes, loops, radii and learning curves of both, each at its own threshold."""

    name: ClassVar[str] = "mean-field-check"
    title: ClassVar[str] = (
        "The tree picture at z = 2d: what is right from d = 6 on, and by how much"
    )
    source: ClassVar[str] = "Brill 2024, section 3.2; docs/lattices.md"
    judged: ClassVar[tuple[str, ...]] = (
        *("n_seeds", "dimensions", "size_window", "learn_from", "learn_share"),
        *("tolerance", "exponent_tolerance"),
    )
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "dimensions": (6,),
                "budget": 500_000,
                "max_size": 50_000,
                "field_size": 30_000,
                "size_window": (30.0, 3000.0),
            },
            "3 s",
            "0.4 GiB",
        ),
        "laptop": Preset({}, "70 s", "1 GiB"),
        "paper": Preset(
            {
                "n_seeds": 20,
                "dimensions": (5, 6, 7, 8),
                "budget": 1_000_000_000,
                "max_size": 10_000_000,
                "field_size": 3_000_000,
                "size_window": (1000.0, 1_000_000.0),
            },
            "2 h, estimated",
            "4 GiB",
        ),
    }

    dimensions: tuple[int, ...] = (5, 6, 7)
    """Lattice dimensions d; the tree has z = 2d."""
    n_seeds: int = 5
    """Independent repetitions."""
    budget: int = 20_000_000
    """Sites grown for the sizes of a dimension and seed, about."""
    max_size: int = 1_000_000
    """Clusters are stopped at this size and counted."""
    field_size: int = 300_000
    """Sites of the balls that are learned, on the lattice and on the tree."""
    n_balls: int = 6
    """Balls of each kind learned a seed."""
    size_window: tuple[float, float] = (300.0, 30_000.0)
    """Sizes on which both are compared."""
    learn_from: float = 30.0
    """Smallest number of observed sites compared."""
    learn_share: float = 0.02
    """Largest share of sites observed compared."""
    tolerance: float = 0.05
    """Relative deviation from the tree that counts as agreement."""
    exponent_tolerance: float = 0.02
    """Deviation of an exponent from the tree's that counts as agreement."""

    def __post_init__(self) -> None:
        for d in self.dimensions:
            checks.integer("dimensions", d, minimum=2, maximum=8)
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("budget", self.budget, minimum=10_000)
        checks.integer("max_size", self.max_size, minimum=10_000)
        checks.integer("field_size", self.field_size, minimum=10_000)
        checks.integer("n_balls", self.n_balls, minimum=1)
        window = self.size_window
        if len(window) != 2 or not 1.0 <= 4.0 * window[0] <= window[1] <= self.max_size:
            raise ValueError(
                f"size_window must be two sizes, the second at least 4 times the first and at most "
                f"max_size; got {window}."
            )

    def cells(self) -> list[Cell]:
        """A unit is a dimension and a seed."""
        return [
            {"dimension": d, "seed": seed} for d in self.dimensions for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Grow clusters of the real lattice, and learn balls of both at criticality."""
        d = cell["dimension"]
        streams = Streams(cell["seed"]).child(d)
        return [{**cell, **self._sizes(d, streams), **self._learning(d, streams)}]

    def _sizes(self, d: int, streams: Streams) -> Row:
        from percolaw.clusters.conditioned import conditioned_clusters
        from percolaw.clusters.hypercubic import grow_statistics

        n = max(100, int(0.5 * self.budget / math.sqrt(self.max_size)))  # P(S >= s) ~ s^(-1/2)
        found = grow_statistics(d, hypercubic_threshold(d), n, self.max_size, rng=streams)
        s = 2 ** np.arange(int(np.log2(self.max_size)) + 1)
        bins = []
        for low in s[2:]:
            inside = np.flatnonzero(found.whole & (found.size >= low) & (found.size < 2 * low))
            if inside.size < LEAST_IN_BIN:
                continue
            size = found.size[inside]
            # Trees of the same sizes: half the mean distance is the squared radius of a tree in space.
            few = size[:MOST_TREES]
            tree = conditioned_clusters(few, 2 * d, streams.child(int(low)))
            bins.append(
                {
                    "low": int(low),
                    "size": float(np.exp(np.log(few).mean())),
                    "radius": float(found.radius_squared[inside[:MOST_TREES]].mean()),
                    "tree_radius": float(mean_variance(tree).mean()),
                    "loops": float((found.loops[inside] / size).mean()),
                }
            )
        return {"s": s, "survival": [(found.size >= v).mean() for v in s], "bins": bins, "n": n}

    def _learning(self, d: int, streams: Streams) -> Row:
        """1-NN losses of balls of both: linear functions over all directions, walks over all walks."""
        from percolaw.clusters.growth import grow_stopped
        from percolaw.clusters.hypercubic import grow_cluster

        grid = boxes.grid(10.0, 0.1 * self.field_size, 4).astype(np.int64)
        total = {name: np.zeros(grid.size) for name in ("lattice", "tree")}
        variance = dict.fromkeys(total, 0.0)
        for i in range(self.n_balls):
            own = streams.child(i)
            ball = grow_cluster(
                d, hypercubic_threshold(d), self.field_size, rng=own, min_size=self.field_size
            )
            x = ball.coordinates.astype(np.float64)
            variance["lattice"] += float(x.var(axis=0).sum())
            bethe = grow_stopped(BetheLattice(2 * d), self.field_size, own)
            variance["tree"] += float(mean_variance(bethe)[0])
            order = own.generator("split").permutation(self.field_size)
            for j, n in enumerate(grid):
                nearest = ball.graph.nearest(order[:n], own)[1]
                total["lattice"][j] += float(np.mean(np.sum((x - x[nearest]) ** 2, axis=1)))
                total["tree"][j] += float(bethe.nearest(order[:n], own)[0].mean())
        return {"grid": grid, **{name: total[name] / variance[name] for name in total}}

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Compare lattice and tree, dimension by dimension."""
        claims: list[Claim] = []
        table = []
        for d in self.dimensions:
            mine = [r for r in rows if r["dimension"] == d]
            claims += self._size_claims(d, mine) + self._learning_claims(d, mine)
            s = np.array(mine[0]["s"])
            bethe = BetheLattice(2 * d)
            common = [
                [
                    b
                    for b in r["bins"]
                    if all(b["low"] in {o["low"] for o in q["bins"]} for q in mine)
                ]
                for r in mine
            ]
            table.append(
                {
                    "dimension": d,
                    "threshold": hypercubic_threshold(d),
                    "tree_threshold": 1.0 / (2 * d - 1),
                    "s": s,
                    "survival": np.mean([r["survival"] for r in mine], axis=0),
                    "tree_survival": [bethe.survival(int(v)) for v in s],
                    **{
                        key: np.mean([[b[key] for b in part] for part in common], axis=0)
                        for key in ("size", "loops")
                    },
                    "radius": fit.aggregate(
                        np.array([[b["radius"] / b["tree_radius"] for b in p] for p in common])
                    ),
                    "grid": mine[0]["grid"],
                    "lattice": fit.aggregate(np.array([r["lattice"] for r in mine])),
                    "tree": fit.aggregate(np.array([r["tree"] for r in mine])),
                }
            )
        return Conclusion(tuple(claims), {"table": table, "size_window": self.size_window})

    def _size_claims(self, d: int, rows: list[Row]) -> list[Claim]:
        low, high = self.size_window
        threshold = hypercubic_threshold(d) * (2 * d - 1)
        found = [
            judge(
                f"d = {d}: p_c of bond percolation over the tree's 1/(2d - 1)",
                threshold_source(d),
                1.0,
                threshold,
                (threshold, threshold),
                self.tolerance,
                "from the literature; nothing measured",
            )
        ]
        s = np.array(rows[0]["s"], dtype=np.float64)
        inside = (s >= low) & (s <= high)
        bethe = BetheLattice(2 * d)
        tree = np.array([bethe.survival(int(v)) for v in s])
        ratio = np.array([np.array(r["survival"]) / tree for r in rows])
        found.append(
            self._ratio(
                f"d = {d}: P(S >= s) over the tree's exact one, s = {low:.0f}..{high:.0f}",
                np.exp(np.log(np.maximum(ratio[:, inside], 1e-12)).mean(axis=1)),
            )
        )
        slopes = fit.log_slopes(s[inside], np.maximum(ratio[:, inside], 1e-12))
        found.append(self._difference(f"d = {d}: tau less the tree's 5/2, same sizes", -slopes))
        bins = [[b for b in r["bins"] if low <= b["size"] <= high] for r in rows]
        if all(len(part) >= 3 for part in bins):
            ratios = [np.array([b["radius"] / b["tree_radius"] for b in part]) for part in bins]
            # On a lattice a way never turns back on itself at once: squared distances grow by d/(d - 1).
            values = np.array([np.exp(np.log(r).mean()) for r in ratios])
            found.append(
                self._ratio(
                    f"d = {d}: squared radius over that of trees of the same sizes: d/(d - 1)",
                    values,
                    d / (d - 1.0),
                )
            )
            slope = [
                fit.log_slopes([b["size"] for b in part], r)[0]
                for part, r in zip(bins, ratios, strict=True)
            ]
            name = f"d = {d}: 2/D less that of trees of the same sizes"
            found.append(self._difference(name, slope))
            loops = np.array([np.mean([b["loops"] for b in part]) for part in bins])
            found.append(
                self._difference(f"d = {d}: loops per site (none on a tree), same sizes", loops)
            )
        return found

    def _learning_claims(self, d: int, rows: list[Row]) -> list[Claim]:
        n = np.array(rows[0]["grid"])
        inside = (n >= self.learn_from) & (n <= self.learn_share * self.field_size)
        if inside.sum() < 3:
            return []
        window = f"n = {n[inside][0]:.0f}..{n[inside][-1]:.0f}"
        ratio = np.array(
            [np.array(r["lattice"])[inside] / np.array(r["tree"])[inside] for r in rows]
        )
        slope = fit.log_slopes(n[inside], ratio)
        return [
            self._ratio(
                f"d = {d}: 1-NN loss over the tree's, {window}", np.exp(np.log(ratio).mean(axis=1))
            ),
            self._difference(f"d = {d}: 1-NN exponent less the tree's, {window}", -slope),
        ]

    def _ratio(self, name: str, values: FloatArray, predicted: float = 1.0) -> Claim:
        logs = np.log(values)
        low, high = np.exp(fit.seed_interval(logs))
        mean = float(np.exp(logs.mean()))
        tolerance = self.tolerance * predicted
        return judge(name, self.source, predicted, mean, (low, high), tolerance)

    def _difference(self, name: str, values: Any) -> Claim:
        return judge(
            name,
            self.source,
            0.0,
            float(np.mean(values)),
            fit.seed_interval(values),
            self.exponent_tolerance,
        )
