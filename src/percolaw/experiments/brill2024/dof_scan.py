"""Scan of allocations: is the predicted split of capacity among clusters the best one?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments import claims, labelled
from percolaw.experiments.base import Cell, Checked, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Range, Seeds, Tolerance
from percolaw.laws import allocation
from percolaw.laws import scaling_laws as theory
from percolaw.rng import Streams
from percolaw.scaling import intervals


@dataclass(frozen=True)
class DofScan(Checked):
    """Loss over random allocations n_k = a k^(b-1), k < k_br, at a fixed total."""

    name: ClassVar[str] = "dof-scan"
    title: ClassVar[str] = "The loss over allocations (b, k_br) has its valley where theory says"
    source: ClassVar[str] = "Brill 2024, sections 4.2 and 5.3"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_settings": 40,
                "clusters": labelled.Clusters(n_clusters=100, max_size=300_000),
            },
            "2 s",
            "0.5 GiB",
        ),
        "laptop": Preset(
            {"n_seeds": 3, "n_settings": 400, "clusters": labelled.Clusters(max_size=3_000_000)},
            "18 s",
            "1 GiB",
        ),
        "paper": Preset({}, "8 min", "4 GiB"),
    }

    clusters: labelled.Clusters = field(default_factory=labelled.Clusters)
    n_seeds: Seeds = 5
    """Independent repetitions of the whole scan."""
    n_settings: Annotated[int, Range(20)] = 2000
    """Random allocations tried on each seed; the predicted ones are always added."""
    degrees_of_freedom: Annotated[float, Range(1.0)] = 500.0
    """Total N of every allocation, in units of the scale factors."""
    shape_range: Annotated[float, Range(1e-6)] = 5.05
    """b is uniform in +- this."""
    chunk: Annotated[int, Range(1), JUDGED] = 100
    """Settings in one unit of work."""
    rank_exponent: Annotated[float, Range(1e-6)] = 1.0
    """alpha of the prediction."""
    cluster_exponent: Annotated[float, Range(1e-6)] = 0.5
    """gamma = c/D of the prediction."""
    valley_width: Annotated[float, Range(1e-6), JUDGED] = 0.1
    """Settings weigh exp(-log(loss / least loss) / this) in the position of the valley."""
    share_tolerance: Tolerance = 0.02
    """Share of random settings that may beat the predicted one by chance."""
    surface_tolerance: Tolerance = 0.1
    """Relative deviation of the whole surface from theory that counts as agreement."""
    position_tolerance: Tolerance = 0.15
    """Deviation of the valley's b and log k_br that counts as agreement."""

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
        places = {}
        for label, capacity in (
            ("paper", 1.0),
            ("optimum", theory.optimal_break_capacity(self.cluster_exponent)),
        ):
            k = theory.model_break_rank(n, self.rank_exponent, self.cluster_exponent, capacity)
            places[label] = (b, float(k))
        return places

    def measure(self, cell: Cell) -> list[Row]:
        """Measure a range of settings; the first range also measures the predicted ones."""
        data = labelled.prepare(self.clusters, cell["seed"])
        factor = labelled.scale_factors(self.clusters, cell["seed"])
        settings = [("random", i, *self._setting(i)) for i in range(cell["first"], cell["last"])]
        if cell["first"] == 0:
            for index, (label, (b, k_br)) in enumerate(self.predicted().items()):
                settings.append((label, self.n_settings + index, b, k_br))
        rows = []
        for kind, index, b, k_br in settings:
            capacity = allocation.power_law_allocation(
                self.degrees_of_freedom, factor.size, b, k_br
            )
            # The rule is normalised as an integral, whose sum over ranks differs from N (by a
            # factor of 10 at b = -5). Every setting gets exactly N, or the scan rewards spending.
            capacity *= self.degrees_of_freedom / capacity.sum()
            rate = capacity * factor / data.tree.sizes
            loss = labelled.ensemble_loss(data, rate, 30_000 + index, ("adjusted",))[0]
            theory_loss = labelled.finite_ensemble_loss(rate[None], data.tree.sizes, factor)[0]
            rows.append(
                {
                    "kind": kind,
                    "seed": cell["seed"],
                    "index": index,
                    "shape": b,
                    "break_rank": k_br,
                    "loss": float(loss),
                    "theory": float(theory_loss),
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
        losses, predicted = (
            np.array(
                [[r[key] for r in rows if r["kind"] == "random" and r["seed"] == s] for s in seeds]
            )
            for key in ("loss", "theory")
        )
        at = {
            kind: np.array([r["loss"] for r in rows if r["kind"] == kind])
            for kind in ("paper", "optimum")
        }
        better = (losses < at["paper"][:, None]).mean(axis=1)
        surface = np.exp(np.log(losses / predicted).mean(axis=1))
        position = np.stack([shape, np.log(rank)], axis=1)
        measured = np.array([self._valley(position, row) for row in losses])
        expected = np.array([self._valley(position, row) for row in predicted])
        every = [
            claims.mean(
                "share of random allocations with less loss than the predicted one",
                self.source,
                0.0,
                better,
                self.share_tolerance,
                about={"learner": "adjusted", "quantity": "share of better allocations"},
            ),
            claims.ratio(
                "loss over the theory summed on the clusters drawn, all allocations",
                self.source + "; docs/theory.md",
                surface,
                self.surface_tolerance,
                about={"learner": "adjusted", "quantity": "loss over prediction"},
            ),
            *self._valley_claims(measured, expected),
        ]
        valley = measured.mean(axis=0)
        tables = {
            "shape": shape,
            "break_rank": rank,
            "loss": np.exp(np.log(losses).mean(axis=0)),
            "theory": np.exp(np.log(predicted).mean(axis=0)),
            "predicted": self.predicted(),
            "valley": [float(valley[0]), float(np.exp(valley[1]))],
            "loss_at": {kind: float(values.mean()) for kind, values in at.items()},
            "n_seeds": len(seeds),
            "degrees_of_freedom": self.degrees_of_freedom,
        }
        return Conclusion(tuple(every), tables)

    def _valley_claims(
        self, measured: labelled.FloatArray, expected: labelled.FloatArray
    ) -> list[Claim]:
        """Position of the valley of each seed, (n_seeds, 2), against that of the theory."""
        every = []
        for axis, label in enumerate(("b", "log k_br")):
            predicted = expected[:, axis].mean()
            every.append(
                claims.judge(
                    f"{label} of the valley (prediction: the theory's valley on the same settings)",
                    self.source + "; docs/theory.md",
                    float(predicted),
                    float(measured[:, axis].mean()),
                    intervals.seed_interval(measured[:, axis] - expected[:, axis] + predicted),
                    self.position_tolerance,
                    about={"learner": "adjusted", "quantity": f"{label} of the valley"},
                )
            )
        return every

    def _valley(
        self, position: labelled.FloatArray, loss: labelled.FloatArray
    ) -> labelled.FloatArray:
        """Position of the valley: settings averaged with weights that fall with their excess loss."""
        weight = (loss.min() / loss) ** (1.0 / self.valley_width)
        return np.asarray(weight @ position / weight.sum())
