"""Model scaling: capacity allocated optimally among clusters, loss against degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments import fields, labelled
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.brill2024 import scaling_law
from percolaw.experiments.fields import JUDGED, Range, Seeds
from percolaw.laws import allocation
from percolaw.laws import scaling_laws as theory


@dataclass(frozen=True)
class ModelScaling:
    """Loss against degrees of freedom N, shared among clusters by the optimal allocation."""

    name: ClassVar[str] = "model-scaling"
    title: ClassVar[str] = "Loss against model size follows L(N) of the optimal allocation"
    source: ClassVar[str] = "Brill 2024, sections 4.2 and 5.3"
    presets: ClassVar[dict[str, Preset]] = scaling_law.PRESETS

    clusters: labelled.Clusters = field(default_factory=labelled.Clusters)
    n_seeds: Seeds = 50
    """Independent repetitions."""
    n_sizes: int = 50
    """Points on the curve, geometric from N = 1."""
    largest: float = 3e4
    """Largest number of degrees of freedom N."""
    rank_exponent: Annotated[float, Range(1e-6)] = 1.0
    """alpha of the prediction; 1 in mean field."""
    cluster_exponent: Annotated[float, Range(1e-6)] = 0.5
    """gamma = c/D of the prediction; 2/4 in mean field."""
    tolerance: Annotated[scaling_law.Tolerance, JUDGED] = field(
        default_factory=scaling_law.Tolerance
    )

    def __post_init__(self) -> None:
        fields.check(self)
        scaling_law.check_grid(self.n_seeds, self.n_sizes, self.largest)

    def cells(self) -> list[Cell]:
        """One unit a seed."""
        return [{"seed": seed} for seed in range(self.n_seeds)]

    def measure(self, cell: Cell) -> list[Row]:
        """Measure the whole curve of a seed; cluster k observes a share n_k f_k / S_k of its sites."""
        data = labelled.prepare(self.clusters, cell["seed"])
        factor = labelled.scale_factors(self.clusters, cell["seed"])
        sizes = data.tree.sizes

        def rates(n: float) -> labelled.FloatArray:
            capacity = allocation.optimal_allocation(
                n, sizes.size, self.rank_exponent, self.cluster_exponent
            )
            return np.asarray(capacity * factor / sizes)

        grid = np.geomspace(1.0, self.largest, self.n_sizes)
        rows = scaling_law.measure_losses(data, factor, grid, rates, cell["seed"], 10_000)
        # The rule is normalised as an integral over ranks; its sum over the clusters is not N.
        for index, (n, row) in enumerate(zip(grid, rows, strict=True)):
            rate = rates(float(n))
            spent = float((rate * sizes / factor).sum())
            exact = rate * (n / spent) if spent > 0.0 else rate
            row["spent"] = spent / float(n)
            row["exact_budget"] = float(
                labelled.ensemble_loss(data, exact, 15_000 + index, ("adjusted",))[0]
            )
        return rows

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold the measured curve against theory, with nothing fitted."""

        def curve(n: labelled.FloatArray) -> labelled.FloatArray:
            return theory.model_scaling_loss(n, self.rank_exponent, self.cluster_exponent)

        served = theory.model_break_rank(self.largest, self.rank_exponent, self.cluster_exponent)
        note = ""
        if served > self.clusters.n_clusters:
            note = (
                f"the paper's curve would serve {float(served):.0f} clusters at N = "
                f"{self.largest:.0f}, and only {self.clusters.n_clusters} exist"
            )
        start = theory.model_scaling_loss(
            1.0, self.rank_exponent, self.cluster_exponent, normalized=False
        )
        return scaling_law.conclude_law(
            rows, "model", curve, self.source, self.tolerance, note, float(start)
        )
