"""The predicted model and data scaling laws for several c/D, and where their exponents end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import judge
from percolaw.scaling import fit, theory


@dataclass(frozen=True)
class TheoryCurves:
    """L(N) and L(T) for several cluster exponents; nothing is simulated."""

    name: ClassVar[str] = "theory-curves"
    title: ClassVar[str] = (
        "Predicted laws: exponents tend to min(alpha, c/D), min(alpha/(1+alpha), c/D)"
    )
    source: ClassVar[str] = "Brill 2024, sections 4.2 and 4.3"
    presets: ClassVar[dict[str, Preset]] = {
        name: Preset({}, "1 s", "0.3 GiB") for name in ("smoke", "laptop", "paper")
    }

    rank_exponent: float = 1.0
    """alpha."""
    cluster_exponents: tuple[float, ...] = (0.1, 0.5, 1.0, 2.0, 20.0)
    """c/D of the curves."""
    largest: float = 1e8
    """Largest N and T drawn."""
    limit_from: float = 1e11
    """The decade above this size is held against the limit exponents."""
    tolerance: float = 0.03
    """Deviation of an exponent that counts as having reached its limit."""

    def cells(self) -> list[Cell]:
        """Nothing to measure."""
        return []

    def measure(self, cell: Cell) -> list[Row]:
        """Return nothing."""
        return []

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Compute the curves, and compare their exponents far out with the limits."""
        n = np.geomspace(1.0, self.largest, 97)
        far = np.geomspace(self.limit_from, 10.0 * self.limit_from, 5)
        laws: dict[str, tuple[Any, Any]] = {
            "model": (theory.model_scaling_loss, theory.model_exponent),
            "data": (theory.data_scaling_loss, theory.data_exponent),
        }
        claims, curves = [], []
        for law, (loss, limit) in laws.items():
            for gamma in self.cluster_exponents:
                curve = loss(n, self.rank_exponent, gamma)
                slope = fit.fit_power_law(far, loss(far, self.rank_exponent, gamma)).exponent
                end = limit(self.rank_exponent, gamma)
                boundary = abs(end - gamma) < 1e-12 and (
                    gamma == self.rank_exponent
                    if law == "model"
                    else gamma == end
                    and abs(self.rank_exponent / (1 + self.rank_exponent) - gamma) < 1e-12
                )
                claims.append(
                    judge(
                        f"{law} law at c/D = {gamma:g}: exponent near {self.limit_from:.0e}",
                        self.source,
                        end,
                        slope,
                        (slope, slope),
                        self.tolerance,
                        "the two exponents coincide here: a logarithm delays the limit"
                        if boundary
                        else "",
                    )
                )
                curves.append(
                    {
                        "law": law,
                        "cluster_exponent": gamma,
                        "loss": curve,
                        "local": fit.local_exponents(n, curve),
                        "limit": end,
                    }
                )
        return Conclusion(
            tuple(claims), {"n": n, "curves": curves, "rank_exponent": self.rank_exponent}
        )
