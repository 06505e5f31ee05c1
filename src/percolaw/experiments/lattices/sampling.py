"""Where to put the labels: random, balanced, optimally allocated, spread out, pruned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw import checks, words
from percolaw.datasets.sources import Cube, InfiniteCluster, Source
from percolaw.experiments import claims, fields, labelled, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, units
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance
from percolaw.experiments.lattices import box_curves
from percolaw.experiments.lattices.pruning import pruned_losses
from percolaw.experiments.lattices.strategies import (
    CASES,
    FARTHEST,
    GREEDY,
    OPTIMAL,
    PRUNED,
    RANDOM,
    REFERENCES,
    STRATEGIES,
    UNIFORM,
    Case,
    Estimate,
    design_plot,
    exponent_plot,
    gain_plot,
    loss_plot,
    shared_losses,
)
from percolaw.learners import designs
from percolaw.rng import Streams
from percolaw.scaling import fit, intervals, sharing
from percolaw.scaling.curve import LearningCurve
from percolaw.targets.tree_walk import expected_variance

FloatArray = labelled.FloatArray

#: How a tree is designed.
TREE_DESIGNS = {
    RANDOM: designs.random_order,
    FARTHEST: designs.farthest_first,
    GREEDY: designs.greedy_variance,
}
#: Points and smoothness of the fields: c = 2 nu = D, so gamma = 1 on both.
FIELDS: dict[str, tuple[Source, float]] = {
    "cluster field": (InfiniteCluster(16), 2.0),
    "square field": (Cube(2), 1.0),
}
#: What cells and rows call pruning -> rank exponent of the weights.
PRUNING = {
    f"pruning {alpha:g}": alpha
    for alpha in sorted({case.rank_exponent for case in CASES if case.learner == "nearest"})
}
#: Points that a design on the field chooses from, for each that it takes.
POOL = 3


@dataclass(frozen=True)
class Sampling:
    """Seven ways to sample and two to prune, where data and model law differ and where they do not."""

    name: ClassVar[str] = "sampling"
    title: ClassVar[str] = (
        "Labels placed by the optimal allocation turn the data law into the model law"
    )
    source: ClassVar[str] = "Brill 2024, section 6 (open question); docs/lattices.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_pruned": 200,
                "largest": 1e5,
                "n_trees": 2,
                "tree_size": 50_000,
                "n_random": 600,
                "n_design": 200,
                "n_field": 400,
            },
            "5 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "35 s", "1 GiB"),
        "paper": Preset(
            {
                "n_seeds": 20,
                "n_clusters": 100_000_000,
                "n_pruned": 20_000,
                "largest": 1e9,
                "tree_size": 100_000_000,
                "n_random": 1_000_000,
                "n_design": 3000,
                "n_field": 10_000,
            },
            "5 h, estimated",
            "8 GiB",
        ),
    }

    n_clusters: Annotated[int, Range(10)] = 1_000_000
    """Clusters, of weight k^-(1 + alpha) by rank k; beyond rank 1000 they share weights in bins."""
    n_pruned: Annotated[int, Range(10)] = 3000
    """Heaviest clusters that pruning is simulated on; labels on the others teach nothing else."""
    largest: Annotated[float, Range(1e4, 1e12)] = 1e7
    """Largest budget on trees; curves at random are continued by n^(-1/2), which is exact there."""
    n_trees: Annotated[int, Range(1)] = 4
    """Critical trees a seed on which learning curves are measured; all clusters share their law."""
    tree_size: Annotated[int, Range(1), Bytes(9.0)] = 1_000_000
    """Sites of each tree with labels at random; designs are made on trees of 100 n_design sites."""
    n_random: Annotated[int, Range(1)] = 10_000
    """Largest number of labels at random on one tree."""
    n_design: Annotated[int, Range(100)] = 1000
    """Largest number of designed labels on one tree or cluster."""
    n_field: Annotated[int, Range(100, 20_000)] = 4000
    """Largest number of labels at random on one cluster that carries a smooth field."""
    coordination_number: int = 200
    """z of the trees."""
    n_seeds: Seeds = 5
    """Independent repetitions."""
    decades: Annotated[float, Range(1.0), JUDGED] = 2.0
    """Exponents are fitted on the upper decades of budgets."""
    tolerance: Tolerance = 0.03
    """Deviation of an exponent that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        checks.integer("n_clusters (n_pruned at least)", self.n_clusters, minimum=self.n_pruned)
        checks.integer("n_random", self.n_random, minimum=self.n_design)
        checks.integer("n_field", self.n_field, minimum=self.n_design, maximum=20_000)
        checks.integer(
            "tree_size (10 n_random at least)", self.tree_size, minimum=10 * self.n_random
        )
        checks.coordination_number(self.coordination_number)

    def cells(self) -> list[Cell]:
        """A unit is a seed and one of: curves on trees, curves of the field, pruning at an alpha."""
        kinds = ["tree", *FIELDS, *PRUNING]
        return units(kind=kinds, seed=range(self.n_seeds))

    def budgets(self, alpha: float, learner: str, design: str) -> FloatArray:
        """Return budgets from 10 on, four a decade, up to the largest for which curves are known.

        Parameters
        ----------
        alpha : float
        learner, design : str

        Returns
        -------
        array of float64, shape (n_budgets,)
        """
        if design == RANDOM and learner not in FIELDS:
            return box_curves.grid(10.0, self.largest, 4)
        most = self.n_field if design == RANDOM else self.n_design
        return box_curves.grid(10.0, most / sharing.binned_weights(alpha, self.n_clusters)[0][0], 4)

    def measure(self, cell: Cell) -> list[Row]:
        """Do one unit."""
        kind = cell["kind"]
        streams = Streams(cell["seed"]).child(*words.key(kind))
        if kind == "tree":
            return [{**cell, **self._tree_curves(streams)}]
        if kind in FIELDS:
            return [{**cell, **self._field_curves(kind, streams)}]
        alpha = PRUNING[kind]
        budgets = self.budgets(alpha, "nearest", FARTHEST)
        weight = sharing.binned_weights(alpha, self.n_clusters, self.n_pruned)[0][: self.n_pruned]
        losses = pruned_losses(budgets, weight, self.coordination_number, streams)
        return [{**cell, "t": budgets, **losses}]

    def _tree_curves(self, streams: Streams) -> Row:
        """Expected losses over all walks: distances and variances over the walk's own variance."""
        from percolaw.clusters.conditioned import conditioned_clusters
        from percolaw.learners.tree_posterior import posterior_variance

        out: Row = {}
        for design in TREE_DESIGNS:
            most, size = self.n_design, 100 * self.n_design
            if design == RANDOM:
                most, size = self.n_random, self.tree_size
            grid = fit.geometric(1, most, 36)
            variance, nearest, posterior = 0.0, np.zeros(grid.size), np.zeros(grid.size)
            for i in range(self.n_trees):
                child = streams.child(i)
                tree = conditioned_clusters(size, self.coordination_number, child)
                variance += expected_variance(tree)[0]
                order = TREE_DESIGNS[design](tree, most, child)
                for j, n in enumerate(grid):
                    nearest[j] += tree.nearest(order[:n], child)[0].mean()
                    posterior[j] += posterior_variance(tree, order[:n]).mean()
            out[f"n {design}"] = grid
            out[f"nearest {design}"] = nearest / variance
            out[f"posterior {design}"] = posterior / variance
        return out

    def _field_curves(self, kind: str, streams: Streams) -> Row:
        """Expected losses of the field's own kernel over all fields."""
        from percolaw.learners.kernel import nested_curve
        from percolaw.numerics.covariance import Matern

        n_test, n_pool = 500, max(self.n_field, POOL * self.n_design)
        source, smoothness = FIELDS[kind]
        points = source.inputs(n_pool + n_test, streams)
        test, pool = points[:n_test], points[n_test:]
        candidates = pool[: POOL * self.n_design]
        kernel = Matern(smoothness)
        orders = {
            RANDOM: np.arange(self.n_field),
            FARTHEST: designs.farthest_points(candidates, self.n_design),
            GREEDY: designs.greedy_kernel_variance(kernel, candidates, self.n_design),
        }
        out: Row = {}
        for design, order in orders.items():
            grid = fit.geometric(1, order.size, 36)
            curve = nested_curve(kernel, pool[order], np.zeros(order.size), test, grid)
            out[f"n {design}"], out[f"{kind} {design}"] = grid, curve.variance
        return out

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Combine curves and weights into losses of every strategy, and compare exponents."""
        conclusions: list[Claim] = []
        drawn: list[plots.Plot] = []
        factors = {}
        exponents: dict[str, list[Estimate]] = {}
        gained: dict[str, list[Estimate]] = {}
        for number, case in enumerate(CASES, 1):
            factors[case.name], curves = self._curves(case, rows)
            laws, gains = self._law_claims(case, curves), self._gain_claims(case, curves)
            conclusions += [*laws.values(), *gains.values()]
            drawn.append(loss_plot(case, curves, laws, self.decades))
            drawn.append(design_plot(case, curves, gains, self.decades))
            for s, curve in curves.items():
                slopes = curve.slopes(curve.upper(self.decades))
                estimate = number, float(slopes.mean()), intervals.seed_interval(slopes)
                exponents.setdefault(s, []).append(estimate)
            for s, claim in {OPTIMAL: laws["gained"], **gains}.items():
                gained.setdefault(s, []).append((number, claim.measured, claim.interval))
        drawn += [exponent_plot(CASES, exponents), gain_plot(CASES, gained)]
        return Conclusion(tuple(conclusions), {"scale_factors": factors}, tuple(drawn))

    def _curves(self, case: Case, rows: list[Row]) -> tuple[float, dict[str, LearningCurve]]:
        """The scale factor of the single clusters, and the losses of every strategy."""
        _, alpha, learner, gamma = case
        mine = [r for r in rows if r["kind"] == (learner if learner in FIELDS else "tree")]
        weight, count = sharing.binned_weights(alpha, self.n_clusters)
        mean = fit.aggregate([r[f"{learner} {RANDOM}"] for r in mine])
        factor = fit.fit_scale_factor(mine[0][f"n {RANDOM}"], mean, gamma)
        budgets = self.budgets(alpha, learner, RANDOM)
        laws = sharing.discrete_laws(budgets / factor, weight, count, gamma)
        predicted = dict(zip(case.limits, laws, strict=True))
        pruned = [r for r in rows if PRUNING.get(r["kind"]) == alpha and learner == "nearest"]
        curves = {}
        for strategy, (how, design) in STRATEGIES.items():
            if how == PRUNED and not pruned:
                continue
            if how == PRUNED:
                t, losses = np.array(pruned[0]["t"]), [r[strategy] for r in pruned]
            else:
                t = self.budgets(alpha, learner, design)
                single = [self._single_curve(r, learner, design) for r in mine]
                losses = [shared_losses(how, t, weight, count, *curve) for curve in single]
            curves[strategy] = LearningCurve(t, np.array(losses), predicted=predicted.get(strategy))
        return factor, curves

    def _single_curve(self, row: Row, learner: str, design: str) -> tuple[FloatArray, FloatArray]:
        """Learning curve from no label on; on trees with labels at random continued by n^(-1/2)."""
        n = np.concatenate([[0.0], row[f"n {design}"]])
        loss = np.concatenate([[1.0], row[f"{learner} {design}"]])
        if design == RANDOM and learner not in FIELDS:
            ratio = 10.0 ** (np.arange(1, 121) / 10.0)
            n = np.concatenate([n, n[-1] * ratio])
            loss = np.concatenate([loss, loss[-1] * ratio**-0.5])
        return n, loss

    def _law_claims(self, case: Case, curves: Mapping[str, LearningCurve]) -> dict[str, Claim]:
        """Exponents of the two strategies that theory is about, beside the discrete laws'."""
        window = curves[UNIFORM].upper(self.decades)
        text = "T = {:.0f}..{:.0f}".format(*window)
        slopes = {s: curves[s].slopes(window) for s in case.limits}
        predicted = {s: curves[s].predicted_slope(window) for s in case.limits}
        claimed = {
            s: self._claim(
                case,
                f"exponent of {s}, {text} (same window of the discrete law)",
                predicted[s],
                slopes[s],
                f"limit {limit:.3f}; one measured curve, summed over the clusters",
                f"exponent of {s}",
            )
            for s, limit in case.limits.items()
        }
        claimed["gained"] = self._claim(
            case,
            f"exponent gained by the {OPTIMAL}, {text}",
            predicted[OPTIMAL] - predicted[UNIFORM],
            slopes[OPTIMAL] - slopes[UNIFORM],
            f"limit {case.limits[OPTIMAL] - case.limits[UNIFORM]:.3f}",
            "exponent gained",
        )
        return claimed

    def _gain_claims(self, case: Case, curves: Mapping[str, LearningCurve]) -> dict[str, Claim]:
        """Exponents of designs and of pruning less those of what they are held against."""
        claimed = {}
        for s, reference in REFERENCES.items():
            if s not in curves:
                continue
            window = curves[s].upper(self.decades)
            name = f"exponent of {s} less that of {reference}"
            claimed[s] = self._claim(
                case,
                name + ", T = {:.0f}..{:.0f}".format(*window),
                0.0,
                curves[s].slopes(window) - curves[reference].slopes(window),
                "no theory: 0 would mean that only constants change",
                name,
            )
        return claimed

    def _claim(
        self, case: Case, name: str, predicted: float, values: FloatArray, note: str, quantity: str
    ) -> Claim:
        about = {"source": f"weights k^-{1 + case.rank_exponent:g}", "target": case.name}
        return claims.mean(
            f"{case.name}: {name}",
            "docs/lattices.md",
            predicted,
            values,
            self.tolerance,
            note,
            {**about, "quantity": quantity},
        )
