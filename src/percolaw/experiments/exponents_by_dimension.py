"""c/D against alpha by lattice dimension: which regime real lattices fall into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from percolaw import checks
from percolaw.critical import critical_exponents
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import judge
from percolaw.scaling import theory


@dataclass(frozen=True)
class ExponentsByDimension:
    """Scaling exponents that follow from the literature's percolation exponents."""

    name: ClassVar[str] = "exponents-by-dimension"
    title: ClassVar[str] = "alpha and c/D by dimension, and the scaling exponents they imply"
    source: ClassVar[str] = "Brill 2024, section 4.4; exponents: percolaw.lattice"
    presets: ClassVar[dict[str, Preset]] = {
        name: Preset({}, "1 s", "0.3 GiB") for name in ("smoke", "laptop", "paper")
    }

    dimensions: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    """Lattice dimensions d."""
    approximation_order: float = 2.0
    """c of the learner."""
    tolerance: float = 0.02
    """Deviation of D from the hyperscaling relation that counts as agreement."""

    def __post_init__(self) -> None:
        for d in self.dimensions:
            checks.integer("dimensions", d, minimum=2)

    def cells(self) -> list[Cell]:
        """Nothing to measure."""
        return []

    def measure(self, cell: Cell) -> list[Row]:
        """Return nothing."""
        return []

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Tabulate exponents; check tau and D against hyperscaling, tau = 1 + d/D, up to d = 6."""
        claims, table = [], []
        for d in self.dimensions:
            known = critical_exponents(d)
            alpha = known.rank_exponent
            gamma = known.cluster_exponent(self.approximation_order)
            table.append(
                {
                    "dimension": d,
                    "fisher_exponent": known.fisher_exponent,
                    "fractal_dimension": known.fractal_dimension,
                    "rank_exponent": alpha,
                    "cluster_exponent": gamma,
                    "model_exponent": theory.model_exponent(alpha, gamma),
                    "data_exponent": theory.data_exponent(alpha, gamma),
                    "source": known.source,
                }
            )
            if d <= 6:
                implied = d / (known.fisher_exponent - 1.0)
                claims.append(
                    judge(
                        f"d = {d}: D from tau by hyperscaling",
                        "scaling theory; " + known.source,
                        implied,
                        known.fractal_dimension,
                        (known.fractal_dimension, known.fractal_dimension),
                        self.tolerance,
                    )
                )
        return Conclusion(
            tuple(claims), {"table": table, "approximation_order": self.approximation_order}
        )
