"""How good the tree picture is: real lattices in 5 to 7 dimensions against the Bethe lattice z = 2d."""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw.experiments import claims, fields, labelled, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, units
from percolaw.experiments.claims import Claim, judge
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance
from percolaw.experiments.lattices import box_curves
from percolaw.experiments.lattices.boxes import about
from percolaw.experiments.series import Series
from percolaw.laws.bethe import BetheLattice
from percolaw.laws.hypercubic import hypercubic_threshold, threshold_source
from percolaw.rng import Streams
from percolaw.scaling import fit
from percolaw.scaling.curve import LearningCurve
from percolaw.targets.tree_walk import expected_variance

FloatArray = labelled.FloatArray

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

    dimensions: Annotated[tuple[int, ...], Range(2, 8), JUDGED] = (5, 6, 7)
    """Lattice dimensions d; the tree has z = 2d."""
    n_seeds: Seeds = 5
    """Independent repetitions."""
    budget: Annotated[int, Range(10_000)] = 20_000_000
    """Sites grown for the sizes of a dimension and seed, about."""
    max_size: Annotated[int, Range(10_000)] = 1_000_000
    """Clusters are stopped at this size and counted."""
    field_size: Annotated[int, Range(10_000), Bytes(8.0)] = 300_000
    """Sites of the balls that are learned, on the lattice and on the tree."""
    n_balls: Annotated[int, Range(1)] = 6
    """Balls of each kind learned a seed."""
    size_window: Annotated[tuple[float, float], JUDGED] = (300.0, 30_000.0)
    """Sizes on which both are compared."""
    learn_from: Annotated[float, Range(1.0), JUDGED] = 30.0
    """Smallest number of observed sites compared."""
    learn_share: Annotated[float, Range(1e-9, 1.0), JUDGED] = 0.02
    """Largest share of sites observed compared."""
    tolerance: Tolerance = 0.05
    """Relative deviation from the tree that counts as agreement."""
    exponent_tolerance: Tolerance = 0.02
    """Deviation of an exponent from the tree's that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        window = self.size_window
        if len(window) != 2 or not 1.0 <= 4.0 * window[0] <= window[1] <= self.max_size:
            raise ValueError(
                f"size_window must be two sizes, the second at least 4 times the first and at most "
                f"max_size; got {window}."
            )

    def cells(self) -> list[Cell]:
        """A unit is a dimension and a seed."""
        return units(dimension=self.dimensions, seed=range(self.n_seeds))

    def measure(self, cell: Cell) -> list[Row]:
        """Grow clusters of the real lattice, and learn balls of both at criticality."""
        d = cell["dimension"]
        streams = Streams(cell["seed"]).child(d)
        return [{**cell, **self._sizes(d, streams), **self._learning(d, streams)}]

    def _sizes(self, d: int, streams: Streams) -> Row:
        from percolaw.clusters.conditioned import conditioned_clusters
        from percolaw.clusters.hypercubic.grown import grow_statistics

        n = max(100, int(0.5 * self.budget / math.sqrt(self.max_size)))  # P(S >= s) ~ s^(-1/2)
        statistics = grow_statistics(d, hypercubic_threshold(d), n, self.max_size, rng=streams)
        s = 2 ** np.arange(int(np.log2(self.max_size)) + 1)
        bins = []
        for low in s[2:]:
            size = statistics.size
            inside = np.flatnonzero(statistics.whole & (size >= low) & (size < 2 * low))
            if inside.size < LEAST_IN_BIN:
                continue
            size = statistics.size[inside]
            # Trees of the same sizes: half the mean distance is the squared radius of a tree in space.
            few = size[:MOST_TREES]
            tree = conditioned_clusters(few, 2 * d, streams.child(int(low)))
            bins.append(
                {
                    "low": int(low),
                    "size": float(np.exp(np.log(few).mean())),
                    "radius": float(statistics.radius_squared[inside[:MOST_TREES]].mean()),
                    "tree_radius": float(expected_variance(tree).mean()),
                    "loops": float((statistics.loops[inside] / size).mean()),
                }
            )
        return {
            "s": s,
            "survival": [(statistics.size >= v).mean() for v in s],
            "bins": bins,
            "n": n,
        }

    def _learning(self, d: int, streams: Streams) -> Row:
        """1-NN losses of balls of both: linear functions over all directions, walks over all walks."""
        from percolaw.clusters.growth import grow_stopped
        from percolaw.clusters.hypercubic.grown import grow_from_origin

        grid = box_curves.grid(10.0, 0.1 * self.field_size, 4).astype(np.int64)
        total = {name: np.zeros(grid.size) for name in ("lattice", "tree")}
        variance = dict.fromkeys(total, 0.0)
        for i in range(self.n_balls):
            child = streams.child(i)
            ball = grow_from_origin(
                d, hypercubic_threshold(d), self.field_size, rng=child, min_size=self.field_size
            )
            x = ball.coordinates.astype(np.float64)
            variance["lattice"] += float(x.var(axis=0).sum())
            bethe = grow_stopped(BetheLattice(2 * d), self.field_size, child)
            variance["tree"] += float(expected_variance(bethe)[0])
            order = child.generator("split").permutation(self.field_size)
            for j, n in enumerate(grid):
                nearest = ball.graph.nearest(order[:n], child)[1]
                total["lattice"][j] += float(np.mean(np.sum((x - x[nearest]) ** 2, axis=1)))
                total["tree"][j] += float(bethe.nearest(order[:n], child)[0].mean())
        return {"grid": grid, **{name: total[name] / variance[name] for name in total}}

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Compare lattice and tree, dimension by dimension."""
        every: list[Claim] = []
        series: dict[str, list[Series]] = {name: [] for name in PANELS}
        for d in self.dimensions:
            mine = [r for r in rows if r["dimension"] == d]
            new = self._size_claims(d, mine) + self._learning_claims(d, mine)
            by_quantity = {c.about["quantity"]: c for c in new}
            for name, curves in self._series(d, mine, by_quantity).items():
                series[name] += curves
            every += new
        return Conclusion(tuple(every), plots=self._plots(series))

    def _size_claims(self, d: int, rows: list[Row]) -> list[Claim]:
        low, high = self.size_window
        threshold = hypercubic_threshold(d) * (2 * d - 1)
        every = [
            judge(
                f"d = {d}: p_c of bond percolation over the tree's 1/(2d - 1)",
                threshold_source(d),
                1.0,
                threshold,
                (threshold, threshold),
                self.tolerance,
                "from the literature; nothing measured",
                about(d, "threshold"),
            )
        ]
        s = np.array(rows[0]["s"], dtype=np.float64)
        inside = (s >= low) & (s <= high)
        bethe = BetheLattice(2 * d)
        tree = np.array([bethe.survival(int(v)) for v in s])
        ratio = np.array([np.array(r["survival"]) / tree for r in rows])
        over = LearningCurve(s[inside], np.maximum(ratio[:, inside], 1e-12))
        every.append(
            self._ratio(
                f"d = {d}: P(S >= s) over the tree's exact one, s = {low:.0f}..{high:.0f}",
                over.loss,
                about(d, "survival"),
            )
        )
        name = f"d = {d}: tau less the tree's 5/2, same sizes"
        every.append(self._difference(name, over.slopes(), about(d, "tau")))
        bins = [[b for b in r["bins"] if low <= b["size"] <= high] for r in rows]
        if all(len(part) >= 3 for part in bins):
            every += self._radius_claims(d, bins)
        return every

    def _radius_claims(self, d: int, bins: list[list[dict[str, float]]]) -> list[Claim]:
        ratios = [np.array([relative_radius(b) for b in part]) for part in bins]
        slope = [
            fit.log_slopes([b["size"] for b in part], r)[0]
            for part, r in zip(bins, ratios, strict=True)
        ]
        loops = np.array([np.mean([b["loops"] for b in part]) for part in bins])
        return [
            # On a lattice a way never turns back on itself at once: squared distances grow by d/(d - 1).
            self._ratio(
                f"d = {d}: squared radius over that of trees of the same sizes: d/(d - 1)",
                [np.exp(np.log(r).mean()) for r in ratios],
                about(d, "squared radius"),
                d / (d - 1.0),
            ),
            self._difference(
                f"d = {d}: 2/D less that of trees of the same sizes", slope, about(d, "2/D")
            ),
            self._difference(
                f"d = {d}: loops per site (none on a tree), same sizes", loops, about(d, "loops")
            ),
        ]

    def _learning_claims(self, d: int, rows: list[Row]) -> list[Claim]:
        lattice, tree = learning_curves(rows)
        over = lattice.over(tree).within(self._learn_window())
        if over.size.size < 3:
            return []
        text = f"n = {over.size[0]:.0f}..{over.size[-1]:.0f}"
        return [
            self._ratio(
                f"d = {d}: 1-NN loss over the tree's, {text}",
                over.loss,
                about(d, "loss"),
            ),
            self._difference(
                f"d = {d}: 1-NN exponent less the tree's, {text}",
                over.slopes(),
                about(d, "exponent"),
            ),
        ]

    def _learn_window(self) -> tuple[float, float]:
        return self.learn_from, self.learn_share * self.field_size

    def _ratio(self, name: str, values: Any, on: dict[str, str], predicted: float = 1.0) -> Claim:
        tolerance = self.tolerance * predicted
        return claims.ratio(
            name, self.source, values, tolerance, about=on, predicted=predicted, by_logs=True
        )

    def _difference(self, name: str, values: Any, on: dict[str, str]) -> Claim:
        return claims.difference(name, self.source, values, self.exponent_tolerance, about=on)

    def _series(
        self, d: int, rows: list[Row], by_quantity: dict[str, Claim]
    ) -> dict[str, list[Series]]:
        """What is drawn of one dimension, by panel; the tree is dashed in the same colour."""
        name, bethe = f"d = {d}", BetheLattice(2 * d)
        s = np.array(rows[0]["s"], dtype=np.float64)
        survival = LearningCurve(s, np.array([r["survival"] for r in rows]) * np.sqrt(s))
        exact = np.array([bethe.survival(int(v)) for v in s]) * np.sqrt(s)
        common = set.intersection(*({b["low"] for b in r["bins"]} for r in rows))
        bins = [[b for b in r["bins"] if b["low"] in common] for r in rows]
        size = np.mean([[b["size"] for b in part] for part in bins], axis=0)
        radius, loops = (
            LearningCurve(size, np.array([[value(b) for b in part] for part in bins]))
            for value in (relative_radius, itemgetter("loops"))
        )
        lattice, tree = learning_curves(rows)

        def stored(quantity: str) -> list[Claim]:
            return [by_quantity[quantity]] if quantity in by_quantity else []

        panels = {
            "sizes": [
                plots.curve(name, survival, how="mean", claims=stored("survival"), group=name),
                plots.line(f"{name}, tree, z = 2d, exact", "theory", s, exact, group=name),
            ],
            "radius": [
                plots.curve(name, radius, claims=stored("squared radius"), group=name),
                plots.line(f"{name}, d/(d - 1)", "theory", size, d / (d - 1), group=name),
            ],
            "loops": [plots.curve(name, loops, how="mean", claims=stored("loops"))],
            "learning": [
                plots.curve(name, lattice, group=name),
                plots.line(
                    f"{name}, tree, z = 2d", "reference", tree.size, tree.mean(), group=name
                ),
            ],
            "ratio": [plots.curve(name, lattice.over(tree), claims=stored("loss"))],
        }
        return (
            panels
            if size.size
            else {k: v for k, v in panels.items() if k not in ("radius", "loops")}
        )

    def _plots(self, series: dict[str, list[Series]]) -> tuple[plots.Plot, ...]:
        """Sizes, radii and loops in one picture, learning curves in another."""
        size, n = "cluster size s", "mean number of observed sites n"
        sizes, learned = self.size_window, self._learn_window()
        one, two = "mean-field-check", "mean-field-check-learning"
        if series["ratio"]:
            x = series["ratio"][0].x
            series["ratio"].append(plots.line("tree", "theory", x, 1.0))
        panels = {
            "sizes": (plots.log_linear, (size, "P(S >= s) s^(1/2)"), sizes, one),
            "radius": (plots.log_linear, (size, "R^2 lattice / R^2 tree"), sizes, one),
            "loops": (plots.log_linear, (size, "loops per site"), sizes, one),
            "learning": (plots.log_log, (n, "1-NN loss / variance"), learned, two),
            "ratio": (plots.log_linear, (n, "loss, lattice / tree"), learned, two),
        }
        return tuple(
            make(f"{one}-{key}", *PANELS[key], labels, series[key], window, figure=figure)
            for key, (make, labels, window, figure) in panels.items()
            if series[key]
        )


#: Title of every panel, and what is to be seen.
PANELS = {
    "sizes": (
        "Clusters of random sites at p_c",
        "Share of sites whose cluster has at least s sites, on real lattices and on the tree.",
    ),
    "radius": (
        "Squared radius of gyration over the tree's",
        "Squared radius of lattice clusters over that of trees of the same size.",
    ),
    "loops": ("Loops (none on a tree)", "Loops per site of clusters of real lattices."),
    "learning": (
        "1-NN on large balls at criticality",
        "Loss of 1-NN on balls of real lattices and of trees against the number of observed sites.",
    ),
    "ratio": ("Ratio of the losses", "Loss of 1-NN on lattices over that on trees."),
}


def relative_radius(part: dict[str, float]) -> float:
    """Return the squared radius of a bin over that of trees of the same sizes."""
    return part["radius"] / part["tree_radius"]


def learning_curves(rows: list[Row]) -> tuple[LearningCurve, LearningCurve]:
    """Return the losses on balls of the lattice and of the tree."""
    n = np.array(rows[0]["grid"])
    lattice, tree = (LearningCurve(n, np.array([r[k] for r in rows])) for k in ("lattice", "tree"))
    return lattice, tree
