"""Model scaling: capacity allocated optimally among clusters, loss against degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from percolaw.experiments import claims, labelled
from percolaw.experiments.base import Cell, Row
from percolaw.experiments.brill2024.scaling_law import ScalingLaw, measure_losses
from percolaw.experiments.claims import Claim
from percolaw.laws import allocation
from percolaw.laws.scaling_laws import model_break_rank, model_scaling_loss
from percolaw.scaling.curve import LearningCurve


@dataclass(frozen=True)
class ModelScaling(ScalingLaw):
    """Loss against degrees of freedom N, shared among clusters by the optimal allocation."""

    name: ClassVar[str] = "model-scaling"
    title: ClassVar[str] = "Loss against model size follows L(N) of the optimal allocation"
    source: ClassVar[str] = "Brill 2024, sections 4.2 and 5.3"
    law: ClassVar[str] = "model"
    symbol: ClassVar[str] = "N"
    axis: ClassVar[str] = "degrees of freedom N"

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

        rows = measure_losses(data, factor, self.sizes(), rates, cell["seed"], 10_000)
        # The rule is normalised as an integral over ranks; its sum over the clusters is not N.
        for index, row in enumerate(rows):
            rate = rates(row["n"])
            spent = float((rate * sizes / factor).sum())
            exact = rate * (row["n"] / spent) if spent > 0.0 else rate
            row["spent"] = spent / row["n"]
            row["exact_budget"] = float(
                labelled.ensemble_loss(data, exact, 15_000 + index, ("adjusted",))[0]
            )
        return rows

    def theory(self, n: labelled.FloatArray) -> labelled.FloatArray:
        """Return L(N) of the paper, divided so that it is 1 at N = 1."""
        return model_scaling_loss(n, self.rank_exponent, self.cluster_exponent)

    def _note(self) -> str:
        served = model_break_rank(self.largest, self.rank_exponent, self.cluster_exponent)
        if served <= self.clusters.n_clusters:
            return ""
        return (
            f"the paper's curve would serve {float(served):.0f} clusters at N = "
            f"{self.largest:.0f}, and only {self.clusters.n_clusters} exist"
        )

    def _further_claims(self, curves: dict[str, LearningCurve], rows: list[Row]) -> list[Claim]:
        """Against the curve as derived, and with capacities that sum to N."""
        paper, exact = curves["adjusted"], curves["exact_budget"]
        start = float(
            model_scaling_loss(1.0, self.rank_exponent, self.cluster_exponent, normalized=False)
        )
        compared = [r["spent"] for r in rows if r["n"] >= self.tolerance.curve_from]
        return [
            claims.ratio(
                f"model scaling: loss over the same curve as derived ({start:.3f} at N = 1)",
                self.source + "; docs/theory.md",
                self._mean_ratio(paper, paper.as_predicted()) / start,
                self.tolerance.curve,
            ),
            claims.ratio(
                "model scaling with capacities that sum to N: loss over the paper's curve",
                self.source,
                self._mean_ratio(exact, exact.as_predicted()),
                self.tolerance.curve,
                "the paper's rule, an integral over ranks, spends "
                f"{float(np.mean(compared)):.2f} N on average",
            ),
        ]
