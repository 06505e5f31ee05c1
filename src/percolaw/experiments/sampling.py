"""Where to put the labels: random, balanced, optimally allocated, spread out, pruned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments import boxes, tasks, toy
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.learners import designs
from percolaw.rng import Streams
from percolaw.scaling import allocation, fit, theory

FloatArray = toy.FloatArray

#: Designs inside one cluster.
RANDOM, FARTHEST, GREEDY = "random", "farthest", "greedy"
#: Cases: rank exponent, what is learned (tree walk by 1-NN or its posterior, or a Matérn field), gamma.
CASES = (
    ("heavy tail, 1-NN", 0.3, "nearest", 0.5),
    ("heavy tail, posterior", 0.3, "posterior", 0.5),
    ("smooth field on clusters", 1.0, "cluster field", 1.0),
    ("smooth field on squares", 1.0, "square field", 1.0),
    ("mean field, 1-NN", 1.0, "nearest", 0.5),
)
#: Strategies: how a budget is shared among clusters, and the design inside each.
STRATEGIES = {
    "uniform": ("in proportion to weight", RANDOM),
    "balanced": ("equally", RANDOM),
    "optimal allocation": ("optimally", RANDOM),
    "farthest point": ("in proportion to weight", FARTHEST),
    "greedy variance": ("in proportion to weight", GREEDY),
    "optimal + farthest": ("optimally", FARTHEST),
    "optimal + greedy": ("optimally", GREEDY),
}
PRUNED = ("easy kept", "hard kept")
#: How a tree is designed.
TREE_DESIGNS = {
    RANDOM: designs.random_order,
    FARTHEST: designs.farthest_first,
    GREEDY: designs.greedy_variance,
}
#: Of the candidates that pruning sees this share is kept; difficulty is the distance to the nearest of as
#: many pilot points as are kept.
KEPT = 0.25
#: Points and smoothness of the fields: c = 2 nu = D, so gamma = 1 on both.
FIELDS = {"cluster field": ("cluster d = 16", 2.0), "square field": ("cube 2", 1.0)}
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
    judged: ClassVar[tuple[str, ...]] = ("n_seeds", "decades", "tolerance")
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_pruned": 300,
                "largest": 1e5,
                "n_trees": 2,
                "tree_size": 100_000,
                "n_random": 1000,
                "n_design": 200,
                "n_field": 600,
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

    n_clusters: int = 1_000_000
    """Clusters, of weight k^-(1 + alpha) by rank k; beyond rank 1000 they share weights in bins."""
    n_pruned: int = 3000
    """Heaviest clusters that pruning is simulated on; labels on the others teach nothing else."""
    largest: float = 1e7
    """Largest budget on trees; curves at random are continued by n^(-1/2), which is exact there."""
    n_trees: int = 4
    """Critical trees a seed on which learning curves are measured; all clusters share their law."""
    tree_size: int = 1_000_000
    """Sites of each tree with labels at random; designs are made on trees of 100 n_design sites."""
    n_random: int = 10_000
    """Largest number of labels at random on one tree."""
    n_design: int = 1000
    """Largest number of designed labels on one tree or cluster."""
    n_field: int = 4000
    """Largest number of labels at random on one cluster that carries a smooth field."""
    coordination_number: int = 200
    """z of the trees."""
    n_seeds: int = 5
    """Independent repetitions."""
    decades: float = 2.0
    """Exponents are fitted on the upper decades of budgets."""
    tolerance: float = 0.03
    """Deviation of an exponent that counts as agreement."""

    def __post_init__(self) -> None:
        checks.integer("n_pruned", self.n_pruned, minimum=10)
        checks.integer("n_clusters (n_pruned at least)", self.n_clusters, minimum=self.n_pruned)
        checks.real("largest", self.largest, minimum=1e4, maximum=1e12)
        checks.integer("n_trees", self.n_trees, minimum=1)
        checks.integer("n_design", self.n_design, minimum=100)
        checks.integer("n_random", self.n_random, minimum=self.n_design)
        checks.integer("n_field", self.n_field, minimum=self.n_design, maximum=20_000)
        checks.integer(
            "tree_size (10 n_random at least)", self.tree_size, minimum=10 * self.n_random
        )
        checks.coordination_number(self.coordination_number)
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.real("decades", self.decades, minimum=1.0)

    def cells(self) -> list[Cell]:
        """A unit is a seed and one of: curves on trees, curves of the field, pruning at an alpha."""
        pruning = sorted({alpha for _, alpha, learner, _ in CASES if learner == "nearest"})
        kinds = ["tree", *FIELDS, *(f"pruning {alpha:g}" for alpha in pruning)]
        return [{"kind": kind, "seed": seed} for kind in kinds for seed in range(self.n_seeds)]

    def budgets(self, alpha: float, learner: str, design: str) -> FloatArray:
        """Return budgets from 10 on, four a decade, up to the largest for which curves are known."""
        if design == RANDOM and learner not in FIELDS:
            return boxes.grid(10.0, self.largest, 4)
        most = self.n_field if design == RANDOM else self.n_design
        return boxes.grid(10.0, most / binned_weights(alpha, self.n_clusters)[0][0], 4)

    def measure(self, cell: Cell) -> list[Row]:
        """Do one unit."""
        kind = cell["kind"]
        streams = Streams(cell["seed"]).child(*kind.encode())
        if kind == "tree":
            return [{**cell, **self._tree_curves(streams)}]
        if kind in FIELDS:
            return [{**cell, **self._field_curves(kind, streams)}]
        return [{**cell, **self._pruned(float(kind.split()[1]), streams)}]

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
                own = streams.child(i)
                tree = conditioned_clusters(size, self.coordination_number, own)
                variance += mean_variance(tree)[0]
                order = TREE_DESIGNS[design](tree, most, own)
                for j, n in enumerate(grid):
                    nearest[j] += tree.nearest(order[:n], own)[0].mean()
                    posterior[j] += posterior_variance(tree, order[:n]).mean()
            out[f"n {design}"] = grid
            out[f"nearest {design}"] = nearest / variance
            out[f"posterior {design}"] = posterior / variance
        return out

    def _field_curves(self, kind: str, streams: Streams) -> Row:
        """Expected losses of the field's own kernel over all fields."""
        from percolaw.covariance import Matern
        from percolaw.learners.kernel import nested_curve
        from percolaw.neighbors import nearest_neighbors

        n_test, n_pool = 500, max(self.n_field, POOL * self.n_design)
        name, smoothness = FIELDS[kind]
        points = tasks.points(name, n_pool + n_test, streams)
        test, pool = points[:n_test], points[n_test:]
        candidates = pool[: POOL * self.n_design]
        kernel = Matern(smoothness)
        farthest = np.zeros(self.n_design, dtype=np.int64)
        nearest = np.full(candidates.shape[0], np.inf)
        for k in range(1, self.n_design):
            latest = candidates[farthest[k - 1]][None]
            nearest = np.minimum(nearest, nearest_neighbors(latest, candidates)[0][:, 0])
            farthest[k] = int(np.argmax(nearest))
        orders = {
            RANDOM: np.arange(self.n_field),
            FARTHEST: farthest,
            GREEDY: designs.greedy_kernel_variance(kernel, candidates, self.n_design),
        }
        out: Row = {}
        for design, order in orders.items():
            grid = fit.geometric(1, order.size, 36)
            curve = nested_curve(kernel, pool[order], np.zeros(order.size), test, grid)
            out[f"n {design}"], out[f"{kind} {design}"] = grid, curve.variance
        return out

    def _pruned(self, alpha: float, streams: Streams) -> Row:
        """1-NN loss when the easiest or hardest candidates are kept, on all clusters at once."""
        from percolaw.clusters.conditioned import conditioned_clusters

        budgets = self.budgets(alpha, "nearest", FARTHEST)
        weight = binned_weights(alpha, self.n_clusters, self.n_pruned)[0][: self.n_pruned]
        rest = max(0.0, 1.0 - weight.sum())
        sizes = np.maximum(300, 30.0 / KEPT * budgets[-1] * weight).astype(np.int64)
        tree = conditioned_clusters(sizes, self.coordination_number, streams)
        variance = mean_variance(tree)
        loss: dict[str, list[float]] = {name: [] for name in (*PRUNED, "all of them")}
        for i, budget in enumerate(budgets):
            generator = streams.generator("split", i)

            def some(n: int, generator: Any = generator) -> Any:
                # Sites of the clusters simulated, and how many labels fall on the others.
                drawn = generator.multinomial(n, [*weight, rest])
                owner = np.repeat(np.arange(weight.size), drawn[:-1])
                u = generator.random(owner.size)
                return tree.start[owner] + (u * tree.sizes[owner]).astype(np.int64), drawn[-1]

            kept = round(budget)
            (pilot, _), (candidates, elsewhere) = some(kept), some(round(kept / KEPT))
            distance, nearest = tree.nearest(pilot, streams.child(i))
            # A candidate on a cluster without a pilot is as hard as can be; so are those elsewhere.
            hardness = np.where(nearest[candidates] >= 0, distance[candidates], np.inf)
            hardness = np.concatenate([hardness, np.full(elsewhere, np.inf)])
            candidates = np.concatenate([candidates, np.full(elsewhere, -1)])
            order = candidates[np.lexsort((generator.random(candidates.size), hardness))]
            for name, chosen in (
                ("easy kept", order[:kept]),
                ("hard kept", order[-kept:]),
                ("all of them", pilot),
            ):
                distance, nearest = tree.nearest(chosen[chosen >= 0], streams.child(i))
                gap = np.add.reduceat(distance.astype(np.float64), tree.start[:-1]) / tree.sizes
                seen = nearest[tree.start[:-1]] >= 0
                learned = weight @ np.where(seen, gap / variance, 1.0)
                loss[name].append(float(learned + rest))
        return {"t": budgets, **loss}

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Combine curves and weights into losses of every strategy, and compare exponents."""
        claims: list[Claim] = []
        tables = []
        for name, alpha, learner, gamma in CASES:
            mine = [r for r in rows if r["kind"] == (learner if learner in FIELDS else "tree")]
            weight, count = binned_weights(alpha, self.n_clusters)
            curves: dict[str, tuple[FloatArray, FloatArray]] = {}
            for strategy, (_, design) in STRATEGIES.items():
                t = self.budgets(alpha, learner, design)
                losses = [
                    strategy_loss(strategy, t, weight, count, *self._curve(r, learner, design))
                    for r in mine
                ]
                curves[strategy] = t, np.array(losses)
            if learner == "nearest":
                pruned = [r for r in rows if r["kind"] == f"pruning {alpha:g}"]
                for strategy in PRUNED:
                    losses = [r[strategy] for r in pruned]
                    curves[strategy] = np.array(pruned[0]["t"]), np.array(losses)
            t = curves["uniform"][0]
            mean = fit.aggregate([r[f"{learner} {RANDOM}"] for r in mine])
            factor = fit.fit_scale_factor(mine[0][f"n {RANDOM}"], mean, gamma)
            ideal = discrete_laws(t / factor, weight, count, gamma)
            case = _Case(name, alpha, gamma, self.decades, curves, (t, ideal))
            claims += self._claims(case)
            tables.append(
                {
                    "case": name,
                    "alpha": alpha,
                    "gamma": gamma,
                    "learner": learner,
                    "scale_factor": factor,
                    "limits": case.limits,
                    "curves": {s: case.entry(s) for s in curves},
                    "theory": {"t": t, **ideal},
                }
            )
        return Conclusion(tuple(claims), {"cases": tables})

    def _curve(self, row: Row, learner: str, design: str) -> tuple[FloatArray, FloatArray]:
        """Learning curve from no label on; on trees with labels at random continued by n^(-1/2)."""
        n = np.concatenate([[0.0], row[f"n {design}"]])
        loss = np.concatenate([[1.0], row[f"{learner} {design}"]])
        if design == RANDOM and learner not in FIELDS:
            ratio = 10.0 ** (np.arange(1, 121) / 10.0)
            n = np.concatenate([n, n[-1] * ratio])
            loss = np.concatenate([loss, loss[-1] * ratio**-0.5])
        return n, loss

    def _claims(self, case: _Case) -> list[Claim]:
        found = []
        predicted = {s: case.predicted(s) for s in case.limits}
        window = "T = {:.0f}..{:.0f}".format(*case.window("uniform"))
        for s, limit in case.limits.items():
            found.append(
                self._judge(
                    f"{case.name}: exponent of {s}, {window} (same window of the discrete law)",
                    predicted[s],
                    case.slopes(s),
                    f"limit {limit:.3f}; one measured curve, summed over the clusters",
                )
            )
        first, last = case.limits
        found.append(
            self._judge(
                f"{case.name}: exponent gained by the {last}, {window}",
                predicted[last] - predicted[first],
                case.slopes(last) - case.slopes(first),
                f"limit {case.limits[last] - case.limits[first]:.3f}",
            )
        )
        for s, reference in (
            ("farthest point", "uniform"),
            ("greedy variance", "uniform"),
            ("optimal + farthest", "optimal allocation"),
            ("optimal + greedy", "optimal allocation"),
            # "balanced" has no power law: it visits every cluster once before it learns any.
            *((s, "uniform") for s in PRUNED if s in case.curves),
        ):
            low, high = case.window(s)
            found.append(
                self._judge(
                    f"{case.name}: exponent of {s} less that of {reference}, "
                    f"T = {low:.0f}..{high:.0f}",
                    0.0,
                    case.slopes(s) - case.slopes(reference, (low, high)),
                    "no theory: 0 would mean that only constants change",
                )
            )
        return found

    def _judge(self, name: str, predicted: float, values: FloatArray, note: str) -> Claim:
        interval = fit.seed_interval(values)
        mean = float(values.mean())
        return judge(name, "docs/lattices.md", predicted, mean, interval, self.tolerance, note)


@dataclass(frozen=True, eq=False)
class _Case:
    """Losses of every strategy in one case: budgets and (n_seeds, n_budgets)."""

    name: str
    alpha: float
    gamma: float
    decades: float
    curves: dict[str, tuple[FloatArray, FloatArray]]
    ideal: tuple[FloatArray, dict[str, list[float]]]

    @property
    def limits(self) -> dict[str, float]:
        """Exponents of the data law and of the model law."""
        return {
            "uniform": min(self.alpha / (1.0 + self.alpha), self.gamma),
            "optimal allocation": min(self.alpha, self.gamma),
        }

    def window(self, strategy: str) -> tuple[float, float]:
        """Budgets of the fit: the upper decades."""
        t = self.curves[strategy][0]
        return float(max(t[0], t[-1] / 10.0**self.decades)), float(t[-1])

    def slopes(self, strategy: str, window: tuple[float, float] | None = None) -> FloatArray:
        """Exponent of each seed inside a window, its own if None."""
        t, loss = self.curves[strategy]
        return _slopes(t, loss, window or self.window(strategy))

    def predicted(self, strategy: str) -> float:
        """Exponent of the discrete law with one scale factor, in the same window."""
        t, ideal = self.ideal
        return float(_slopes(t, np.array([ideal[strategy]]), self.window(strategy))[0])

    def entry(self, strategy: str) -> dict[str, Any]:
        """What figures need of a strategy."""
        t, loss = self.curves[strategy]
        slopes = self.slopes(strategy)
        return {
            "t": t,
            "loss": fit.aggregate(loss),
            "window": self.window(strategy),
            "exponent": float(slopes.mean()),
            "interval": fit.seed_interval(slopes),
        }


def _slopes(t: FloatArray, loss: FloatArray, window: tuple[float, float]) -> FloatArray:
    use = (t >= window[0] * (1 - 1e-9)) & (t <= window[1] * (1 + 1e-9))
    return -fit.log_slopes(t[use], loss[:, use])


def binned_weights(
    alpha: float, n_clusters: int, exact: int = 1000
) -> tuple[FloatArray, FloatArray]:
    """Return weights k^-(1 + alpha), normalised over all ranks, and how many ranks have each.

    Ranks beyond `exact` are put into bins 2% wide, with the mean weight of each.
    """
    edges = np.arange(1, min(exact, n_clusters) + 1, dtype=np.float64)
    if n_clusters > exact:
        more = np.geomspace(exact + 1, n_clusters + 1, int(50 * np.log(n_clusters / exact)) + 2)
        edges = np.concatenate([edges, np.unique(np.rint(more))])
    else:
        edges = np.append(edges, n_clusters + 1)
    # Sums of k^-(1 + alpha) between the edges, by the Hurwitz zeta function.
    from scipy.special import zeta

    tail = zeta(1.0 + alpha, edges)
    count = np.diff(edges)
    weight = -np.diff(tail) / count
    return weight / float(weight @ count), count


def discrete_laws(
    t: FloatArray, weight: FloatArray, count: FloatArray, gamma: float
) -> dict[str, list[float]]:
    """Return data and model law summed over these clusters, for losses max(n, 1)^-gamma."""
    mass = weight * count
    best = [allocation.weighted_allocation(v, weight, gamma, count) for v in t]
    return {
        "uniform": [float(mass @ theory.single_cluster_loss(v * weight, gamma)) for v in t],
        "optimal allocation": [float(mass @ theory.single_cluster_loss(n, gamma)) for n in best],
    }


def mean_variance(tree: Any) -> FloatArray:
    """Return the expected variance of a tree walk's values in each cluster: half the mean distance.

    Over pairs drawn with replacement: sum over edges of s (S - s) / S^2, s the sites below the edge.
    """
    below = tree.subtree_size().astype(np.float64)
    size = np.repeat(tree.sizes, tree.sizes).astype(np.float64)
    return np.asarray(np.add.reduceat(below * (size - below) / size**2, tree.start[:-1]))


def strategy_loss(
    strategy: str, budgets: FloatArray, weight: FloatArray, count: FloatArray, n: Any, curve: Any
) -> FloatArray:
    """Return the expected weighted loss of each budget, for clusters that all have one learning curve.

    In proportion to weight, the number of labels of a cluster is Poisson; equally, a whole number or the
    next; optimally, as `percolaw.scaling.allocation.shared_curve_losses` finds from the curve.
    """
    how = STRATEGIES[strategy][0]
    if how == "optimally":
        return allocation.shared_curve_losses(budgets, weight, n, curve, count)
    if how == "equally":
        mean = np.asarray(budgets) / count.sum()
        low = np.floor(mean)
        part = mean - low
        return np.asarray((1.0 - part) * _at(low, n, curve) + part * _at(low + 1.0, n, curve))
    mass = weight * count
    return np.array([mass @ poisson_mean(t * weight, n, curve) for t in budgets])


def poisson_mean(mean: FloatArray, n: FloatArray, curve: FloatArray) -> FloatArray:
    """Return the expectation of a learning curve over a Poisson number of labels."""
    from scipy.special import gammaln

    counts = np.arange(101)
    values = _at(counts.astype(np.float64), n, curve)
    few = mean < 50.0
    out = _at(mean, n, curve)
    some = np.maximum(mean[few], 1e-300)[:, None]
    weight = np.exp(counts * np.log(some) - some - gammaln(counts + 1.0))
    out[few] = weight @ values
    return out


def _at(n: Any, grid: FloatArray, curve: FloatArray) -> FloatArray:
    """A curve between its sizes, straight in logarithms; 1 at none."""
    x = np.maximum(np.asarray(n, dtype=np.float64), 1e-12)
    between = np.exp(np.interp(np.log(x), np.log(grid[1:]), np.log(curve[1:])))
    return np.where(np.asarray(n) <= 0.0, 1.0, between)
