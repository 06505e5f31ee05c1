"""The predicted model and data scaling laws for several c/D, and where their exponents end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw.experiments import plots
from percolaw.experiments.base import Conclusion, Row, TheoryCheck
from percolaw.experiments.claims import Claim, judge
from percolaw.experiments.fields import Range
from percolaw.experiments.series import Stored
from percolaw.laws import scaling_laws as theory
from percolaw.scaling import fit
from percolaw.scaling.curve import FloatArray, LearningCurve


@dataclass(frozen=True)
class TheoryCurves(TheoryCheck):
    """L(N) and L(T) for several cluster exponents; nothing is simulated."""

    name: ClassVar[str] = "theory-curves"
    title: ClassVar[str] = (
        "Predicted laws: exponents tend to min(alpha, c/D), min(alpha/(1+alpha), c/D)"
    )
    source: ClassVar[str] = "Brill 2024, sections 4.2 and 4.3"

    rank_exponent: Annotated[float, Range(1e-6)] = 1.0
    """alpha."""
    cluster_exponents: Annotated[tuple[float, ...], Range(1e-6)] = (0.1, 0.5, 1.0, 2.0, 20.0)
    """c/D of the curves."""
    largest: Annotated[float, Range(10.0, 1e300)] = 1e8
    """Largest N and T drawn."""
    limit_from: Annotated[float, Range(1.0, 1e300)] = 1e11
    """The decade above this size is held against the limit exponents."""
    tolerance: Annotated[float, Range(0.0)] = 0.03
    """Deviation of an exponent that counts as having reached its limit."""

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Compute the curves, and compare their exponents far out with the limits."""
        n = np.geomspace(1.0, self.largest, 97)
        far = np.geomspace(self.limit_from, 10.0 * self.limit_from, 5)
        laws: dict[str, tuple[Any, Any]] = {
            "model": (theory.model_scaling_loss, theory.model_exponent),
            "data": (theory.data_scaling_loss, theory.data_exponent),
        }
        every, panels = [], []
        for law, (loss, limit) in laws.items():
            symbol, curves, locals_ = {"model": "N", "data": "T"}[law], [], []
            for gamma in self.cluster_exponents:
                curve = LearningCurve(n, loss(n, self.rank_exponent, gamma)[None])
                end = limit(self.rank_exponent, gamma)
                claim = self._claim(law, gamma, end, loss(far, self.rank_exponent, gamma), far)
                every.append(claim)
                name = f"c/D = {gamma:g}"
                stored = (Stored.of(claim),)
                curves.append(
                    plots.line(name, "theory", n, curve.loss[0], stored=stored, group=name)
                )
                locals_ += [
                    plots.line(name, "theory", n, curve.local(), group=name),
                    plots.line(f"{name}, limit", "reference", n, end, group=name),
                ]
            axis = {"N": "degrees of freedom N", "T": "training points T"}[symbol]
            title = f"{law.capitalize()} scaling, alpha = {self.rank_exponent:g}"
            panels.append(
                plots.log_log(
                    f"theory-curves-{law}",
                    title,
                    f"Predicted loss against {symbol}: the larger c/D, the steeper, up to a limit.",
                    (axis, f"loss L({symbol}) / L(1)"),
                    curves,
                    figure="theory-curves",
                )
            )
            panels.append(
                plots.log_linear(
                    f"theory-curves-{law}-local",
                    f"{law.capitalize()} scaling: local exponents and their limits (dotted)",
                    f"Local exponents of the {law} laws tend to their limits, slowly near a boundary.",
                    (axis, "local exponent"),
                    locals_,
                    figure="theory-curves",
                )
            )
        return Conclusion(tuple(every), plots=tuple(panels))

    def _claim(
        self, law: str, gamma: float, limit: float, loss: FloatArray, far: FloatArray
    ) -> Claim:
        """Hold the exponent far out against its limit."""
        slope = fit.fit_power_law(far, loss).exponent
        critical = (
            self.rank_exponent if law == "model" else self.rank_exponent / (1 + self.rank_exponent)
        )
        boundary = abs(critical - gamma) < 1e-12
        return judge(
            f"{law} law at c/D = {gamma:g}: exponent near {self.limit_from:.0e}",
            self.source,
            limit,
            slope,
            (slope, slope),
            self.tolerance,
            "the two exponents coincide here: a logarithm delays the limit" if boundary else "",
            {"source": f"c/D = {gamma:g}", "learner": f"{law} law", "quantity": "exponent"},
        )
