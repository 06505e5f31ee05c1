"""Data scaling: points drawn at random from all clusters, loss against their number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments import fields, labelled
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.brill2024 import scaling_law
from percolaw.experiments.fields import JUDGED, Range, Seeds
from percolaw.laws import scaling_laws as theory


@dataclass(frozen=True)
class DataScaling:
    """Loss against the number T of training points, in units of the scale factors."""

    name: ClassVar[str] = "data-scaling"
    title: ClassVar[str] = "Loss against data size follows L(T), logarithm at the boundary included"
    source: ClassVar[str] = "Brill 2024, sections 4.3 and 5.3"
    presets: ClassVar[dict[str, Preset]] = scaling_law.PRESETS

    clusters: labelled.Clusters = field(default_factory=labelled.Clusters)
    n_seeds: Seeds = 50
    """Independent repetitions."""
    n_sizes: int = 50
    """Points on the curve, geometric from T = 1."""
    largest: float = 3e4
    """Largest number of training points T."""
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
        """Measure the whole curve of a seed; cluster k observes a share T f_k / S of its sites."""
        data = labelled.prepare(self.clusters, cell["seed"])
        factor = labelled.scale_factors(self.clusters, cell["seed"])

        def rates(n: float) -> labelled.FloatArray:
            return np.asarray(n * factor / data.tree.n_sites)

        grid = np.geomspace(1.0, self.largest, self.n_sizes)
        return scaling_law.measure_losses(data, factor, grid, rates, cell["seed"], 20_000)

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold the measured curve against theory, with nothing fitted."""

        def curve(n: labelled.FloatArray) -> labelled.FloatArray:
            return theory.data_scaling_loss(n, self.rank_exponent, self.cluster_exponent)

        return scaling_law.conclude_law(rows, "data", curve, self.source, self.tolerance)
