"""Data scaling: points drawn at random from all clusters, loss against their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from percolaw.experiments import labelled
from percolaw.experiments.base import Cell, Row
from percolaw.experiments.brill2024.scaling_law import ScalingLaw, measure_losses
from percolaw.laws.scaling_laws import data_scaling_loss


@dataclass(frozen=True)
class DataScaling(ScalingLaw):
    """Loss against the number T of training points, in units of the scale factors."""

    name: ClassVar[str] = "data-scaling"
    title: ClassVar[str] = "Loss against data size follows L(T), logarithm at the boundary included"
    source: ClassVar[str] = "Brill 2024, sections 4.3 and 5.3"
    law: ClassVar[str] = "data"
    symbol: ClassVar[str] = "T"
    axis: ClassVar[str] = "training points T (in units of f)"

    def measure(self, cell: Cell) -> list[Row]:
        """Measure the whole curve of a seed; cluster k observes a share T f_k / S of its sites."""
        data = labelled.prepare(self.clusters, cell["seed"])
        factor = labelled.scale_factors(self.clusters, cell["seed"])

        def rates(n: float) -> labelled.FloatArray:
            return np.asarray(n * factor / data.tree.n_sites)

        return measure_losses(data, factor, self.sizes(), rates, cell["seed"], 20_000)

    def theory(self, n: labelled.FloatArray) -> labelled.FloatArray:
        """Return L(T) of the paper."""
        return data_scaling_loss(n, self.rank_exponent, self.cluster_exponent)
