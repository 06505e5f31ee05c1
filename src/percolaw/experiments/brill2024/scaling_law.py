"""What the model and data scaling experiments share: losses over seeds, held against theory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments import claims, labelled, plots
from percolaw.experiments.base import Conclusion, Preset, Row, SeedBySeed
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Range, Seeds
from percolaw.scaling import diagnose, fit
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.forms import compare_forms


@dataclass(frozen=True)
class Tolerance:
    """What counts as agreement, and on which sizes; fixed before any run."""

    curve: float = 0.15
    """Relative deviation from a predicted curve."""
    exponent: float = 0.02
    """Deviation of an exponent."""
    curve_from: float = 30.0
    """Smallest size on which curves are compared."""
    exponent_from: float = 1000.0
    """Smallest size on which exponents are fitted."""


@dataclass(frozen=True)
class ScalingLaw(SeedBySeed):
    """Losses of learners on labelled clusters against a size, N or T, and the paper's curve."""

    law: ClassVar[str]
    """model or data."""
    symbol: ClassVar[str]
    """Of the size: N or T."""
    axis: ClassVar[str]
    """What the size is, on axes."""
    source: ClassVar[str]
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_sizes": 16,
                "clusters": labelled.Clusters(n_clusters=100, max_size=1_000_000),
            },
            "2 s",
            "0.5 GiB",
        ),
        "laptop": Preset({"n_seeds": 6, "n_sizes": 30}, "34 s", "2 GiB"),
        "paper": Preset({"n_seeds": 50}, "10 min", "4 GiB"),
    }

    clusters: labelled.Clusters = field(default_factory=labelled.Clusters)
    n_seeds: Seeds = 50
    """Independent repetitions."""
    n_sizes: Annotated[int, Range(8)] = 50
    """Sizes of the curve, geometric from 1."""
    largest: Annotated[float, Range(1e4, 1e8)] = 3e4
    """Largest size: degrees of freedom N, or training points T."""
    rank_exponent: Annotated[float, Range(1e-6)] = 1.0
    """alpha of the prediction; 1 in mean field."""
    cluster_exponent: Annotated[float, Range(1e-6)] = 0.5
    """gamma = c/D of the prediction; 2/4 in mean field."""
    tolerance: Annotated[Tolerance, JUDGED] = field(default_factory=Tolerance)

    def sizes(self) -> labelled.FloatArray:
        """Return the sizes of the curve."""
        return np.geomspace(1.0, self.largest, self.n_sizes)

    def theory(self, n: labelled.FloatArray) -> labelled.FloatArray:
        """Return the paper's curve at some sizes."""
        raise NotImplementedError

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold the measured curve against theory, with nothing fitted."""
        seeds = sorted({row["seed"] for row in rows})
        n = np.array([row["n"] for row in rows if row["seed"] == seeds[0]])
        predicted = self.theory(n)
        curves = {
            name: LearningCurve(
                n,
                np.array([[r[name] for r in rows if r["seed"] == s] for s in seeds]),
                predicted=predicted,
            )
            for name in (*labelled.LEARNERS, "finite_ensemble", "exact_budget")
            if name in rows[0]
        }
        paper = curves["adjusted"]
        line = paper.fit((self.tolerance.exponent_from, float(n[-1])))
        exponents = self._exponent_claims(curves, line)
        every = [*self._curve_claims(curves), *exponents, *self._further_claims(curves, rows)]
        compared = n >= self.tolerance.curve_from
        forms = compare_forms(n[compared], paper.loss[:, compared], predicted[compared])
        tables = {
            "forms": {"best": forms.best, "aicc": forms.aicc, "residual": forms.residual},
            "diagnosis": [
                {"signature": f.signature, "meaning": f.meaning, "evidence": f.evidence}
                for f in diagnose.diagnose(n, paper.loss)
            ],
        }
        drawn = (
            self._loss_plot(curves, line, exponents),
            self._local_plot(paper, line),
            self._residual_plot(curves),
        )
        return Conclusion(tuple(every), tables, drawn)

    def _mean_ratio(self, curve: LearningCurve, by: LearningCurve) -> labelled.FloatArray:
        """Geometric mean over the compared sizes of one loss over another, one number a seed."""
        compared = curve.size >= self.tolerance.curve_from
        return np.asarray(np.exp(np.log(curve.loss / by.loss)[:, compared].mean(axis=1)))

    def _curve_claims(self, curves: dict[str, LearningCurve]) -> list[Claim]:
        paper = curves["adjusted"]
        return [
            claims.ratio(
                f"{self.law} scaling: loss over the paper's curve (set to 1 at {self.symbol} = 1), "
                f"{self.symbol} >= {self.tolerance.curve_from:.0f}",
                self.source,
                self._mean_ratio(paper, paper.as_predicted()),
                self.tolerance.curve,
            ),
            claims.ratio(
                f"{self.law} scaling: loss over the theory summed on the clusters drawn",
                self.source + "; docs/theory.md",
                self._mean_ratio(paper, curves["finite_ensemble"]),
                self.tolerance.curve,
            ),
        ]

    def _exponent_claims(
        self, curves: dict[str, LearningCurve], line: fit.PowerLawFit | None
    ) -> list[Claim]:
        """On the upper decades, against the exponents of both theories on the same window."""
        paper = curves["adjusted"]
        low, high = window = (self.tolerance.exponent_from, float(paper.size[-1]))
        theories = (
            ("the paper's curve", paper.as_predicted(), self._note()),
            ("theory on the clusters drawn", curves["finite_ensemble"], ""),
        )
        lines = [(name, curve.fit(window), note) for name, curve, note in theories]
        return [
            claims.exponent(
                f"{self.law} exponent on {self.symbol} = {low:.0f}..{high:.0f} "
                f"(prediction: same window of {name}; limit 1/2)",
                self.source,
                math.nan if expected is None else expected.exponent,
                line,
                self.tolerance.exponent,
                note,
                {"target": "tree walk", "learner": "adjusted 1-NN"},
            )
            for name, expected, note in lines
        ]

    def _note(self) -> str:
        """On the claim that the exponent of the paper's curve is held to."""
        return ""

    def _further_claims(self, curves: dict[str, LearningCurve], rows: list[Row]) -> Sequence[Claim]:
        return ()

    def _loss_plot(
        self,
        curves: dict[str, LearningCurve],
        line: fit.PowerLawFit | None,
        exponents: list[Claim],
    ) -> plots.Plot:
        paper = curves["adjusted"]
        labels = {
            "adjusted": "adjusted 1-NN (the paper's learner)",
            "nearest": "plain 1-NN",
            "posterior": "exact posterior",
        }
        series = [
            plots.curve(
                label,
                curves[key],
                how="median",
                claims=exponents if key == "adjusted" else (),
                fitted=line if key == "adjusted" else None,
                prediction="theory",
            )
            for key, label in labels.items()
        ]
        drawn = plots.curve(
            "theory on the clusters drawn",
            curves["finite_ensemble"],
            how="median",
            prediction="theory",
        )
        return plots.log_log(
            f"{self.law}-scaling",
            f"{self.law.capitalize()} scaling, {paper.n_seeds} seeds",
            f"Loss of three learners, median over seeds, falls with {self.symbol} along the theory, "
            "which is set to 1 at the start with nothing fitted.",
            (self.axis, "mean squared error"),
            [
                *series,
                plots.line("theory", "theory", paper.size, paper.predicted),
                dataclasses.replace(drawn, kind="theory"),
            ],
            plots.hull([line]),
        )

    def _local_plot(self, paper: LearningCurve, line: fit.PowerLawFit | None) -> plots.Plot:
        n = paper.size
        return plots.log_linear(
            f"{self.law}-scaling-local",
            "Local exponents",
            f"Local exponents of measurement and theory against {self.symbol}; both drift towards 1/2.",
            (self.axis, f"local exponent, -d log L / d log {self.symbol}"),
            [
                plots.local("measured", paper, prediction="theory"),
                plots.line("theory", "theory", n, paper.as_predicted().local()),
                plots.line("limit 1/2", "reference", n, 0.5),
            ],
            plots.hull([line]),
            figure=f"{self.law}-scaling",
            y_limits=(0.0, 0.75),
        )

    def _residual_plot(self, curves: dict[str, LearningCurve]) -> plots.Plot:
        paper = curves["adjusted"]
        theory, drawn = paper.as_predicted(), curves["finite_ensemble"]
        return plots.log_log(
            f"{self.law}-scaling-residual",
            f"{self.law.capitalize()} scaling: over the paper's theory",
            "Measured loss over the theory, and the theory summed on the clusters drawn over the theory.",
            (self.axis, "ratio"),
            [
                plots.curve("measured", paper.over(theory), how="median"),
                plots.curve("theory on the clusters drawn", drawn.over(theory), how="median"),
                plots.line("1", "theory", paper.size, 1.0),
            ],
            (self.tolerance.curve_from, float(paper.size[-1])),
            fit=False,
            y_limits=(0.4, 2.5),
        )


def measure_losses(
    data: labelled.LabelledClusters,
    factor: labelled.FloatArray,
    sizes: labelled.FloatArray,
    rates: Callable[[float], labelled.FloatArray],
    seed: int,
    first_item: int,
) -> list[Row]:
    """Return one row a size: every learner's loss and the finite-ensemble prediction.

    Parameters
    ----------
    data : LabelledClusters
    factor : array, shape (n_clusters,)
        Scale factor of each cluster's curve.
    sizes : array, shape (n_sizes,)
    rates : callable
        Size to the rates at which sites are observed, shape (n_clusters,).
    seed : int
        Goes into the rows.
    first_item : int
        First of the streams' items, one a size.

    Returns
    -------
    list of dict
    """
    rows = []
    for index, n in enumerate(sizes):
        rate = np.minimum(rates(float(n)), labelled.RATE_CAP)
        losses = labelled.ensemble_loss(data, rate, first_item + index)
        predicted = labelled.finite_ensemble_loss(rate[None], data.tree.sizes, factor)
        rows.append(
            {
                "seed": seed,
                "index": index,
                "n": float(n),
                **dict(zip(labelled.LEARNERS, losses.tolist(), strict=True)),
                "finite_ensemble": float(predicted[0]),
                "n_sites": data.tree.n_sites,
            }
        )
    return rows
