"""Parameters against degrees of freedom: how model width grows with size in language models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import judge
from percolaw.scaling import theory

#: Parameters and residual width of the GPT-3 family (Brown et al. 2020, table 2.1).
GPT3_MODELS = (
    (125e6, 768),
    (350e6, 1024),
    (760e6, 1536),
    (1.3e9, 2048),
    (2.7e9, 2560),
    (6.7e9, 4096),
    (13.0e9, 5140),
    (175.0e9, 12288),
)


@dataclass(frozen=True)
class ParametersVsDof:
    """Width against parameters, and what it makes of the model exponent."""

    name: ClassVar[str] = "parameters-vs-dof"
    title: ClassVar[str] = "d_model ~ P^0.387: if N grows like the width, exponents in P shrink so"
    source: ClassVar[str] = "Brill 2024, section 6; Brown et al. 2020, table 2.1"
    presets: ClassVar[dict[str, Preset]] = {
        name: Preset({}, "1 s", "0.3 GiB") for name in ("smoke", "laptop", "paper")
    }

    prefactor: float = 0.57
    """a in the paper's d_model = a P^x."""
    width_exponent: float = 0.387
    """x in the paper's d_model = a P^x; its stated error is 0.004."""
    rank_exponent: float = 1.0
    """alpha of the exponents quoted."""
    cluster_exponent: float = 0.5
    """gamma = c/D of the exponents quoted."""
    tolerance: float = 0.01
    """Deviation of the width exponent that counts as agreement."""

    def cells(self) -> list[Cell]:
        """Nothing to measure."""
        return []

    def measure(self, cell: Cell) -> list[Row]:
        """Return nothing."""
        return []

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Fit the published model sizes and derive the exponents in parameters."""
        size = np.array([p for p, _ in GPT3_MODELS])
        width = np.array([w for _, w in GPT3_MODELS], dtype=np.float64)
        x, y = np.log(size), np.log(width)
        (slope, intercept), covariance = np.polyfit(x, y, 1, cov=True)
        error = 2.447 * float(np.sqrt(covariance[0, 0]))  # t quantile of 6 degrees of freedom
        claim = judge(
            "exponent of width in parameters, GPT-3 family",
            "Brill 2024, section 6: 0.387(4)",
            self.width_exponent,
            float(slope),
            (float(slope) - error, float(slope) + error),
            self.tolerance,
        )
        model = theory.model_exponent(self.rank_exponent, self.cluster_exponent)
        hypotheses = [
            {"name": name, "power": power, "exponent": power * model}
            for name, power in (
                ("N ~ P", 1.0),
                ("N ~ d_model^2", 2 * self.width_exponent),
                ("N ~ d_model", self.width_exponent),
            )
        ]
        tables = {
            "parameters": size,
            "width": width,
            "fit": [float(np.exp(intercept)), float(slope)],
            "paper": [self.prefactor, self.width_exponent],
            "hypotheses": hypotheses,
            "model_exponent": model,
        }
        return Conclusion((claim,), tables)
