"""c/D against alpha by lattice dimension: which regime real lattices fall into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from percolaw.experiments import plots
from percolaw.experiments.base import Conclusion, Row, TheoryCheck
from percolaw.experiments.claims import judge
from percolaw.experiments.fields import Range
from percolaw.experiments.lattices.lattice_plots import law_boundaries
from percolaw.laws import scaling_laws as theory
from percolaw.laws.hypercubic import critical_exponents


@dataclass(frozen=True)
class ExponentsByDimension(TheoryCheck):
    """Scaling exponents that follow from the literature's percolation exponents."""

    name: ClassVar[str] = "exponents-by-dimension"
    title: ClassVar[str] = "alpha and c/D by dimension, and the scaling exponents they imply"
    source: ClassVar[str] = "Brill 2024, section 4.4; exponents: percolaw.laws.hypercubic"

    dimensions: Annotated[tuple[int, ...], Range(2)] = (2, 3, 4, 5, 6, 7, 8)
    """Lattice dimensions d."""
    approximation_order: Annotated[float, Range(1e-6)] = 2.0
    """c of the learner."""
    tolerance: Annotated[float, Range(0.0)] = 0.02
    """Deviation of D from the hyperscaling relation that counts as agreement."""

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Tabulate exponents; check tau and D against hyperscaling, tau = 1 + d/D, up to d = 6."""
        every = []
        for d in self.dimensions:
            known = critical_exponents(d)
            if d <= 6:
                every.append(
                    judge(
                        f"d = {d}: D from tau by hyperscaling",
                        "scaling theory; " + known.source,
                        d / (known.fisher_exponent - 1.0),
                        known.fractal_dimension,
                        (known.fractal_dimension, known.fractal_dimension),
                        self.tolerance,
                        about={"source": f"lattice d = {d}, p_c", "quantity": "D"},
                    )
                )
        return Conclusion(tuple(every), {"table": self.table()}, self._plots())

    def table(self) -> list[dict[str, Any]]:
        """Return the exponents of every dimension, those of the literature and those they imply."""
        table = []
        for d in self.dimensions:
            known = critical_exponents(d)
            alpha, gamma = known.rank_exponent, known.cluster_exponent(self.approximation_order)
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
        return table

    def _plots(self) -> tuple[plots.Plot, ...]:
        """Where lattices lie against the boundaries of the two laws, and the exponents implied."""
        table = self.table()
        lattices = [  # from six dimensions on all are the same
            plots.line(
                f"d = {row['dimension']}" + (" and above" if row["dimension"] == 6 else ""),
                "measured",
                [row["rank_exponent"]],
                [row["cluster_exponent"]],
                joined=False,
            )
            for row in table
            if row["dimension"] <= 6
        ]
        where = plots.log_log(
            "exponents-by-dimension",
            "Where real lattices lie at p_c",
            "Cluster exponent c/D against rank exponent alpha, with the boundaries of both laws.",
            ("rank exponent alpha = (3 - tau)/(tau - 2)", "cluster exponent c/D"),
            [
                *law_boundaries([row["rank_exponent"] for row in table]),
                *lattices,
            ],
            fit=False,
            y_limits=(0.15, 2.5),
        )
        d = [row["dimension"] for row in table]
        implied = plots.linear(
            "exponents-by-dimension-implied",
            "Implied exponents",
            "Exponents of the model and the data law that follow from the literature's, by dimension.",
            ("lattice dimension d", "scaling exponent"),
            (
                plots.line(law, "theory", d, [row[f"{law}_exponent"] for row in table])
                for law in ("model", "data")
            ),
            figure="exponents-by-dimension",
        )
        return where, implied
