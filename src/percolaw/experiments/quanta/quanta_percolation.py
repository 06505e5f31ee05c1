"""Percolation clusters as tasks: when they follow the law of quanta, and when that of manifolds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.fields import JUDGED, Bytes, Range, Rising, Seeds, Tolerance
from percolaw.experiments.quanta import cluster_tasks
from percolaw.experiments.quanta.cluster_tasks import BY_SITE, ONE_VALUE, PARITY, STEPS, Target
from percolaw.experiments.seeds import seed_mean
from percolaw.rng import Streams
from percolaw.scaling.crossing import crossing
from percolaw.scaling.curve import LearningCurve

FloatArray = npt.NDArray[np.float64]

#: Laws held against the measured curve, by the key of a row.
LAWS = {
    "common": "one curve for all clusters",
    "quanta": "quanta, one threshold",
    "power": "clipped power laws (the paper's combined law)",
}


@dataclass(frozen=True)
class QuantaPercolation:
    """Loss of many clusters against samples, for functions from rough fields to parities."""

    name: ClassVar[str] = "quanta-percolation"
    title: ClassVar[str] = "Percolation clusters as tasks: where quanta take over from manifolds"
    source: ClassVar[str] = "docs/quanta.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_clusters": 60,
                "n_sites": 30_000,
                "largest": 600,
                "fit_from": 30,
                "n_test": 60,
                "smoothness": (0.5, 2.0),
            },
            "2 s",
            "0.4 GiB",
        ),
        "laptop": Preset({}, "2 min", "1 GiB"),
        "paper": Preset(
            {
                "n_seeds": 30,
                "n_clusters": 3000,
                "n_sites": 3_000_000,
                "largest": 10_000,
                "smoothness": (0.25, 0.5, 1.0, 1.5, 2.0, 4.0, 8.0),
            },
            "6 h, estimated",
            "6 GiB",
        ),
    }

    n_seeds: Seeds = 10
    """Independent ensembles of clusters."""
    rank_exponents: Annotated[tuple[float, ...], Range(0.05, 10.0), JUDGED] = (0.5, 2.0)
    """Alpha of planted sizes ~ k^-(1 + alpha); the clusters of random sites, alpha = 1, come besides."""
    smoothness: Annotated[tuple[float, ...], Range(0.05, 50.0), Rising()] = (0.5, 1.0, 2.0, 8.0)
    """nu of Matérn fields on the clusters, rising: c/D = 2 nu / 4."""
    n_clusters: Annotated[int, Range(10)] = 600
    """Clusters."""
    n_sites: Annotated[int, Range(1000), Bytes(100.0)] = 500_000
    """Sites of all clusters together; those of random sites have at most so many each."""
    dim: Annotated[int, Range(4)] = 16
    """Embedding dimension."""
    largest: Annotated[int, Range(100), Bytes(16.0, 2.0)] = 3000
    """Largest number of samples of all clusters together."""
    n_sizes: Annotated[int, Range(6)] = 13
    """Numbers of samples, geometric from 1."""
    n_test: Annotated[int, Range(20)] = 200
    """Test sites of a cluster."""
    fit_from: Annotated[int, Range(2), JUDGED] = 100
    """Samples from which exponents are fitted."""
    factor: Annotated[float, Range(1.0)] = 5.0
    """A cluster is one quantum if so many times the samples take its loss from 0.9 to 0.1."""
    curve_tolerance: Tolerance = 0.1
    """Relative deviation from a predicted curve that counts as agreement."""
    exponent_tolerance: Tolerance = 0.05
    """Deviation of an exponent that counts as agreement."""
    crossing_tolerance: Tolerance = 0.15
    """Deviation of the c/D at which one law takes over that counts as agreement."""
    share_tolerance: Tolerance = 0.05
    """Deviation of the monogenic share that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        if self.largest > self.n_sites / 10:
            raise ValueError(
                f"largest must be at most a tenth of n_sites, where sites are rarely drawn twice; got "
                f"{self.largest}."
            )

    def ensembles(self) -> dict[str, float]:
        """Return alpha of every ensemble by its name."""
        planted = {f"alpha = {a:g}": a for a in self.rank_exponents}
        return {BY_SITE: 1.0, **planted}

    def targets(self) -> list[Target]:
        """Return what is learned on a cluster, from gradual to step-like."""
        return [*(Target(f"field nu = {nu:g}", nu) for nu in self.smoothness), *STEPS]

    def sizes(self) -> FloatArray:
        """Return the numbers of samples."""
        return np.geomspace(1.0, self.largest, self.n_sizes)

    def cells(self) -> list[Cell]:
        """A unit is a seed of an ensemble."""
        return [
            {"ensemble": name, "alpha": alpha, "seed": seed}
            for name, alpha in self.ensembles().items()
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Measure every cluster's curve by itself, and add them; one row a target."""
        streams = Streams(cell["seed"]).child(round(1000 * cell["alpha"]))
        by_site = cell["ensemble"] == BY_SITE
        sizes = cluster_tasks.cluster_sizes(
            self.n_clusters, self.n_sites, None if by_site else cell["alpha"], streams
        )
        samples, weight = self.sizes(), sizes / sizes.sum()
        points = cluster_tasks.embedded(
            sizes, self.largest * weight, self.dim, self.n_test, streams
        )
        rows = []
        for target in self.targets():
            curves = [target.curve(p, self.n_test) for p in points]
            laws = cluster_tasks.laws(curves, weight, samples, target.cluster_exponent)
            falls = np.array([cluster_tasks.fall(curve) for curve in curves])
            at = np.unique(np.geomspace(1, curves[0].size - 1, 40).astype(np.int64))
            rows.append(
                {
                    **cell,
                    "target": target.name,
                    "cluster_exponent": target.cluster_exponent,
                    "n": samples.tolist(),
                    **{key: value.tolist() for key, value in laws.items()},
                    "threshold": cluster_tasks.half(curves[0]),
                    "one": [at.tolist(), curves[0][at].tolist()],
                    "monogenic": float(weight[falls <= self.factor].sum()),
                }
            )
        return rows

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold total curves against three laws, and the takeover against alpha/(1 + alpha)."""
        every: list[claims.Claim] = []
        for ensemble, alpha in self.ensembles().items():
            for target in self.targets():
                if target is not ONE_VALUE:  # quanta of threshold 1 by definition
                    every += self._law_claims(ensemble, target, rows)
            every.append(self._takeover(ensemble, alpha, rows))
        every += [claim for target in self.targets() for claim in self._share_claims(target, rows)]
        return Conclusion(tuple(every), plots=self._plots(rows))

    def _share_claims(self, target: Target, rows: list[Row]) -> list[claims.Claim]:
        """Weight of clusters that are one quantum: by convexity, and by the clipped power law."""
        share = [r["monogenic"] for r in _of(rows, BY_SITE, target)]
        about = {"source": BY_SITE, "target": target.name, "quantity": "monogenic share"}
        name = f"{BY_SITE}, {target.name}: weight of clusters that are one quantum"
        convex = (
            f"{name}{'' if target in STEPS else ' (a convex curve never is)'}",
            float(target in STEPS),
            "a convex curve needs 9 times the samples, up to one sample"
            if target not in STEPS
            else "",
        )
        clipped = (f"{name} (the paper's clipped power law)", 1.0, "")
        by_power_law = target not in STEPS and 9.0 ** (1.0 / target.cluster_exponent) <= self.factor
        return [
            claims.mean(text, self.source, predicted, share, self.share_tolerance, note, about)
            for text, predicted, note in (convex, *([clipped] if by_power_law else []))
        ]

    def _law_claims(self, ensemble: str, target: Target, rows: list[Row]) -> list[claims.Claim]:
        mine = _of(rows, ensemble, target)
        about = {"source": ensemble, "target": target.name}
        name = f"{ensemble}, {target.name}"
        slope = {key: self._slopes(mine, key) for key in ("loss", "quanta", "power")}
        threshold = float(np.median([r["threshold"] for r in mine]))
        text = ", ".join(f"{key} {value.mean():.3f}" for key, value in slope.items())
        out = []
        if target not in STEPS:
            ratio = np.array(
                [np.exp(np.mean(np.log(np.array(r["loss"]) / r["common"])[1:])) for r in mine]
            )
            out.append(
                claims.ratio(
                    f"{name}: loss over one curve for all clusters",
                    self.source,
                    ratio,
                    self.curve_tolerance,
                    about={**about, "quantity": "loss"},
                )
            )
        for key in ("power", "quanta"):
            if key == "power" and target in STEPS:
                continue
            out.append(
                claims.difference(
                    f"{name}: exponent less that of {LAWS[key]}",
                    self.source,
                    slope["loss"] - slope[key],
                    self.exponent_tolerance,
                    f"exponents: {text}; the largest cluster's loss is halved by {threshold:.0f} samples",
                    {**about, "quantity": f"exponent, {key}"},
                )
            )
        return out

    def _slopes(self, rows: list[Row], key: str) -> FloatArray:
        curve = LearningCurve(np.array(rows[0]["n"]), np.array([r[key] for r in rows]))
        return curve.slopes((float(self.fit_from), math.inf))

    def _takeover(self, ensemble: str, alpha: float, rows: list[Row]) -> claims.Claim:
        """The c/D at which it and the exponent of quanta are equally far from the measured one."""
        targets = self.targets()[: len(self.smoothness)]
        gamma = np.array([t.cluster_exponent for t in targets])
        slope, quanta = (
            np.array([self._slopes(_of(rows, ensemble, t), key) for t in targets])
            for key in ("loss", "quanta")
        )
        lead = np.abs(slope - gamma[:, None]) - np.abs(slope - quanta)
        inside = (lead[0] < 0.0) & (lead[-1] > 0.0)  # else one of them predicts better throughout
        where = [np.exp(crossing(np.log(gamma), 0.0 * gamma, column)) for column in lead.T]
        return seed_mean(
            f"{ensemble}: c/D from which quanta predict the exponent better than c/D",
            self.source,
            alpha / (1.0 + alpha),
            np.where(inside, where, math.nan),
            self.crossing_tolerance,
            "alpha/(1 + alpha) for infinitely many clusters and samples",
            {"source": ensemble, "quantity": "takeover"},
        )

    def _plots(self, rows: list[Row]) -> tuple[plots.Plot, ...]:
        fields_of = self.targets()[: len(self.smoothness)]
        both = (fields_of[0], fields_of[-1], PARITY)  # in both panels: first, for the same colours
        single = []
        for target in dict.fromkeys((*both, *fields_of)):
            row = _of(rows, BY_SITE, target)[0]
            n, loss = np.array(row["one"])
            single.append(plots.line(target.name, "measured", n / row["threshold"], loss))
        total: list[plots.Series] = []
        for target in dict.fromkeys(both):
            mine = _of(rows, BY_SITE, target)
            n = np.array(mine[0]["n"])
            loss = LearningCurve(n, np.array([r["loss"] for r in mine]))
            total.append(plots.curve(target.name, loss, group=target.name))
            for key, kind in (("quanta", "theory"), ("power", "reference")):
                if math.isinf(target.cluster_exponent) and key == "power":
                    continue
                law = LearningCurve(n, np.array([r[key] for r in mine])).mean()
                text = f"{target.name}, {LAWS[key].split(' (')[0]}"
                total.append(plots.line(text, kind, n, law, group=target.name))  # type: ignore[arg-type]
        return (
            plots.log_linear(
                "quanta-percolation",
                "One cluster",
                "Loss of one cluster of each kind of function, in units of the samples that halve it.",
                ("samples of the cluster / samples of half its loss", "loss"),
                single,
                figure="quanta-percolation",
            ),
            plots.log_log(
                "quanta-percolation-total",
                f"All clusters of random sites, {self.n_seeds} seeds",
                "Loss of all clusters against samples, beside the laws of quanta and of power laws.",
                ("samples of all clusters D", "loss"),
                total,
                figure="quanta-percolation",
            ),
            plots.log_linear(
                "quanta-percolation-exponents",
                "Exponent of all clusters",
                "Exponents of the loss of all clusters against c/D, which is dotted; dashed: quanta.",
                ("c/D of one cluster", "exponent of the loss"),
                self._exponents(rows),
                figure="quanta-percolation",
                y_limits=(0.0, 1.0),
            ),
        )

    def _exponents(self, rows: list[Row]) -> list[plots.Series]:
        targets = self.targets()[: len(self.smoothness)]
        gamma = [t.cluster_exponent for t in targets]
        drawn = [plots.line("c/D (one manifold)", "reference", gamma, gamma)]
        for ensemble in self.ensembles():
            slopes = [self._slopes(_of(rows, ensemble, t), "loss") for t in targets]
            drawn.append(plots.seed_means(ensemble, gamma, slopes, group=ensemble))
            quanta = [float(self._slopes(_of(rows, ensemble, t), "quanta").mean()) for t in targets]
            drawn.append(plots.line(f"{ensemble}, quanta", "theory", gamma, quanta, group=ensemble))
        return drawn


def _of(rows: list[Row], ensemble: str, target: Target) -> list[Any]:
    """Rows of an ensemble and a target, by seed."""
    return [r for r in rows if (r["ensemble"], r["target"]) == (ensemble, target.name)]
