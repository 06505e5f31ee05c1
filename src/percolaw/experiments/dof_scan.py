"""Scan of allocations: is the predicted split of capacity among clusters the best one?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments import toy
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, judge
from percolaw.rng import Streams
from percolaw.scaling import allocation, fit, theory


@dataclass(frozen=True)
class DofScan:
    """Loss over random allocations n_k = a k^(b-1), k < k_br, at a fixed total."""

    name: ClassVar[str] = "dof-scan"
    title: ClassVar[str] = "The loss over allocations (b, k_br) has its valley where theory says"
    source: ClassVar[str] = "Brill 2024, sections 4.2 and 5.3"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_settings": 60,
                "clusters": toy.Clusters(n_clusters=100, max_size=1_000_000),
            },
            "2 s",
            "0.5 GiB",
        ),
        "laptop": Preset(
            {"n_seeds": 3, "n_settings": 400, "clusters": toy.Clusters(max_size=3_000_000)},
            "20 s",
            "1 GiB",
        ),
        "paper": Preset({}, "4 min", "4 GiB"),
    }

    clusters: toy.Clusters = field(default_factory=toy.Clusters)
    n_seeds: int = 5
    """Independent repetitions of the whole scan."""
    n_settings: int = 2000
    """Random allocations tried on each seed; the predicted ones are always added."""
    degrees_of_freedom: float = 500.0
    """Total N of every allocation, in units of the scale factors."""
    shape_range: float = 5.05
    """b is uniform in +- this."""
    chunk: int = 100
    """Settings in one unit of work."""
    rank_exponent: float = 1.0
    """alpha of the prediction."""
    cluster_exponent: float = 0.5
    """gamma = c/D of the prediction."""
    near: float = 1.5
    """Settings up to this factor above the least loss enter the fit of the valley."""
    loss_tolerance: float = 0.05
    """Excess of the predicted allocation's loss over the fitted valley that still agrees."""
    shape_tolerance: float = 0.15
    """Deviation of the valley's b that counts as agreement."""
    rank_tolerance: float = 0.25
    """Deviation of log k_br of the valley that counts as agreement."""

    def __post_init__(self) -> None:
        checks.integer("n_seeds", self.n_seeds, minimum=1)
        checks.integer("n_settings", self.n_settings, minimum=20)
        checks.integer("chunk", self.chunk, minimum=1)
        checks.real("degrees_of_freedom", self.degrees_of_freedom, minimum=1.0)

    def cells(self) -> list[Cell]:
        """A unit is a seed and a range of settings."""
        return [
            {"seed": seed, "first": first, "last": min(first + self.chunk, self.n_settings)}
            for seed in range(self.n_seeds)
            for first in range(0, self.n_settings, self.chunk)
        ]

    def predicted(self) -> dict[str, tuple[float, float]]:
        """Return (b, k_br) of the paper's allocation and of the true optimum of its loss."""
        b = theory.allocation_shape(self.rank_exponent, self.cluster_exponent)
        n = self.degrees_of_freedom
        found = {}
        for label, capacity in (
            ("paper", 1.0),
            ("optimum", theory.optimal_break_capacity(self.cluster_exponent)),
        ):
            k = theory.model_break_rank(n, self.rank_exponent, self.cluster_exponent, capacity)
            found[label] = (b, float(k))
        return found

    def measure(self, cell: Cell) -> list[Row]:
        """Measure a range of settings; the first range also measures the predicted ones."""
        data = toy.prepare(self.clusters, cell["seed"])
        factor = toy.scale_factors(self.clusters, cell["seed"])
        settings = [("random", i, *self._setting(i)) for i in range(cell["first"], cell["last"])]
        if cell["first"] == 0:
            for index, (label, (b, k_br)) in enumerate(self.predicted().items()):
                settings.append((label, self.n_settings + index, b, k_br))
        rows = []
        for kind, index, b, k_br in settings:
            capacity = allocation.power_law_allocation(
                self.degrees_of_freedom, factor.size, b, k_br
            )
            # The rule is normalised as an integral; rescale so that the sum is N for every (b, k_br).
            if kind == "random":
                capacity *= self.degrees_of_freedom / capacity.sum()
            rate = capacity * factor / data.tree.sizes
            loss = toy.ensemble_loss(data, rate, 30_000 + index, ("adjusted",))[0]
            rows.append(
                {
                    "kind": kind,
                    "seed": cell["seed"],
                    "index": index,
                    "shape": b,
                    "break_rank": k_br,
                    "loss": float(loss),
                }
            )
        return rows

    def _setting(self, index: int) -> tuple[float, float]:
        """b uniform, k_br log-uniform in 1..n_clusters; the same on every seed."""
        u, v = Streams(0).generator("sizes", 30_000, index).random(2)
        b = self.shape_range * (2.0 * u - 1.0)
        return float(b), float(1.001 * (self.clusters.n_clusters / 1.001) ** v)

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Fit the valley of the loss and compare it with the predicted allocation."""
        seeds = sorted({row["seed"] for row in rows})
        scan = [r for r in rows if r["kind"] == "random" and r["seed"] == seeds[0]]
        shape = np.array([r["shape"] for r in scan])
        rank = np.array([r["break_rank"] for r in scan])
        losses = np.array(
            [[r["loss"] for r in rows if r["kind"] == "random" and r["seed"] == s] for s in seeds]
        )
        by_kind = {
            kind: np.array([r["loss"] for r in rows if r["kind"] == kind])
            for kind in ("paper", "optimum")
        }
        valleys = np.array([_valley(shape, np.log(rank), row, self.near) for row in losses])
        excess = by_kind["paper"] / np.exp(valleys[:, 2])
        (b, k_paper), (_, k_best) = (self.predicted()[label] for label in ("paper", "optimum"))
        valley_rank = np.exp(valleys[:, 1])
        claims = (
            judge(
                "loss of the predicted allocation over the fitted least loss of the scan",
                self.source,
                1.0,
                float(excess.mean()),
                fit.seed_interval(excess),
                self.loss_tolerance,
            ),
            judge(
                "b at the valley of the scan",
                self.source,
                b,
                float(valleys[:, 0].mean()),
                fit.seed_interval(valleys[:, 0]),
                self.shape_tolerance,
            ),
            judge(
                "log k_br at the valley of the scan (prediction: true optimum, last capacity 2.25)",
                "docs/theory.md; the paper's k_br is " + f"{k_paper:.0f}",
                float(np.log(k_best)),
                float(valleys[:, 1].mean()),
                fit.seed_interval(valleys[:, 1]),
                self.rank_tolerance,
            ),
        )
        tables = {
            "shape": shape,
            "break_rank": rank,
            "loss": np.exp(np.log(losses).mean(axis=0)),
            "predicted": self.predicted(),
            "valley": [float(valleys[:, 0].mean()), float(np.exp(np.log(valley_rank).mean()))],
            "loss_at": {kind: float(values.mean()) for kind, values in by_kind.items()},
            "n_seeds": len(seeds),
            "degrees_of_freedom": self.degrees_of_freedom,
        }
        return Conclusion(claims, tables)


def _valley(
    shape: toy.FloatArray, log_rank: toy.FloatArray, loss: toy.FloatArray, near: float
) -> tuple[float, float, float]:
    """Minimum of a quadratic surface through log loss near its least values: (b, log k_br, log loss)."""
    log_loss = np.log(loss)
    floor = np.sort(log_loss)[max(2, log_loss.size // 100)]
    keep = log_loss < floor + np.log(near)
    x, y = shape[keep], log_rank[keep]
    design = np.stack([np.ones(x.size), x, y, x * x, x * y, y * y], axis=1)
    c = np.linalg.lstsq(design, log_loss[keep], rcond=None)[0]
    hessian = np.array([[2 * c[3], c[4]], [c[4], 2 * c[5]]])
    if np.any(np.linalg.eigvalsh(hessian) <= 0.0):
        return (np.nan, np.nan, float(log_loss.min()))
    at = np.linalg.solve(hessian, [-c[1], -c[2]])
    return float(at[0]), float(at[1]), float(c[0] + 0.5 * (c[1] * at[0] + c[2] * at[1]))
