"""Both regimes on real lattices: clusters met in a box, from far below to far above p_c, and learned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments import claims, fields, labelled
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.experiments.fields import JUDGED, Range, Seeds, Tolerance
from percolaw.experiments.lattices import box_curves, boxes, regime_plots
from percolaw.experiments.lattices.boxes import BETHE, about, common_curve, label
from percolaw.experiments.lattices.regime_plots import FULL, ByRatio
from percolaw.laws.bethe import BetheLattice
from percolaw.laws.hypercubic import critical_exponents
from percolaw.scaling import intervals
from percolaw.scaling.curve import LearningCurve

#: Where the whole box is learned: its data law and its model law.
LAWS = {"random": "data", "placed": "model"}

#: Largest share of the largest cluster that neighbours in space are found among.
SPACE_SHARE = 0.05
#: First items of the random streams of each curve.
_SINGLE, _RANDOM, _PLACED = 0, 1000, 2000


@dataclass(frozen=True)
class Windows:
    """Sizes on which exponents are fitted, fixed before any run; shares are of the sites there are."""

    single_from: Annotated[float, Range(1.0)] = 20.0
    """Smallest number of observed sites on one cluster."""
    single_share: Annotated[float, Range(1e-9, 1.0)] = 0.02
    """Largest share of the cluster observed; beyond it sites lie next to each other."""
    ensemble_from: Annotated[float, Range(1.0)] = 300.0
    """Smallest number of training points on all clusters."""
    ensemble_share: Annotated[float, Range(1e-9, 1.0)] = 0.05
    """Largest share of all sites observed."""
    tau_from: Annotated[int, Range(1)] = 64
    """Smallest cluster in the slope of P(S >= s)."""
    tau_share: Annotated[float, Range(1e-9, 1.0)] = 0.1
    """Largest cluster in that slope, as a share of the largest one."""

    def __post_init__(self) -> None:
        fields.check(self)


@dataclass(frozen=True)
class Regimes:
    """Sizes, data and model exponents of 1-NN on a linear function, against p."""

    name: ClassVar[str] = "regimes"
    title: ClassVar[str] = "Subtasks at p_c, one manifold above: both regimes on real lattices"
    source: ClassVar[str] = "Brill 2024, sections 3 and 4; docs/lattices.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "dimensions": (2, 0),
                "ratios": (0.8, 0.9, 0.95, 1.0, 1.3),
                "boxes": boxes.Boxes(n_sites=60_000, n_draws=200),
            },
            "6 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "2.2 min", "1.2 GiB"),
        "paper": Preset(
            {"n_seeds": 20, "boxes": boxes.Boxes(n_sites=16_000_000, n_draws=10_000)},
            "4 h, estimated",
            "10 GiB",
        ),
    }

    dimensions: Annotated[tuple[int, ...], JUDGED] = (2, 3, 4, 6, BETHE)
    """Hypercubic lattices by dimension; 0 is the Bethe lattice."""
    ratios: Annotated[tuple[float, ...], Range(0.05, 20.0), JUDGED] = (
        *(0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5),
    )
    """p / p_c; must hold 1."""
    boxes: boxes.Boxes = field(default_factory=lambda: boxes.Boxes(n_sites=800_000))
    """The boxes, and what is drawn from them."""
    n_seeds: Seeds = 5
    """Independent boxes and functions."""
    per_decade: Annotated[int, Range(2, 20)] = 4
    """Training sizes a decade."""
    windows: Annotated[Windows, JUDGED] = field(default_factory=Windows)
    """Where exponents are fitted."""
    tolerance: Tolerance = 0.05
    """Deviation of a learning exponent that counts as agreement."""
    tau_tolerance: Tolerance = 0.02
    """Deviation of tau that counts as agreement."""
    cutoff_tolerance: Tolerance = 0.1
    """Relative deviation of 1/sigma that counts as agreement."""
    curve_tolerance: Tolerance = 0.25
    """Relative deviation of a loss from the finite-size prediction that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        boxes.check_dimensions(self.dimensions)
        if 1.0 not in self.ratios:
            raise ValueError(f"ratios must hold 1 (p_c); got {self.ratios}.")

    def cells(self) -> list[Cell]:
        """A unit is a lattice, a p and a seed; each real lattice is also taken whole, at p = 1."""
        return [
            {"dimension": d, "ratio": ratio, "seed": seed}
            for d in self.dimensions
            for ratio in (*self.ratios, *((FULL,) if d != BETHE else ()))
            if ratio * self.boxes.threshold(d) <= 1.0
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Draw a box and learn its largest cluster, and all of them at random and placed."""
        d, ratio = cell["dimension"], cell["ratio"]
        threshold = self.boxes.threshold(d)
        probability = 1.0 if ratio == FULL else min(1.0, ratio * threshold)
        above = ratio == FULL or ratio > 1.0
        data, row, coordinates = boxes.draw(self.boxes, d, probability, cell["seed"])
        sizes = data.tree.sizes
        n = box_curves.grid(10.0, 0.1 * sizes[0], self.per_decade)
        single = box_curves.single_curve(data, n, _SINGLE)
        row |= {**cell, "probability": probability, "n_clusters": int(sizes.size)}
        row |= {"largest": int(sizes[0]), "total": int(sizes.sum()), "n": n, "single": single}
        if d != BETHE:
            inside = n[n <= SPACE_SHARE * sizes[0]]
            row["space"] = box_curves.euclidean_curve(data, coordinates[: sizes[0]], inside)
        if ratio == FULL:
            return [row]
        gamma = boxes.cluster_exponent(d, above)
        factor = box_curves.scale_factor(n, single, gamma)
        total = box_curves.grid(10.0, 0.2 * sizes.sum(), self.per_decade)
        laws: dict[str, list[float]] = {
            name: [] for name in ("random", "placed", "random_predicted", "placed_predicted")
        }
        for i, t in enumerate(total):
            for name, rate, item in (
                ("random", box_curves.random_rates(data, t), _RANDOM + i),
                ("placed", box_curves.placed_rates(data, t, gamma or 0.5, factor), _PLACED + i),
            ):
                loss = labelled.ensemble_loss(data, rate, item, ("nearest",))[0]
                laws[name].append(float(loss))
                laws[f"{name}_predicted"].append(
                    box_curves.predicted_loss(data, rate, gamma, factor)
                )
        return [{**row, "gamma": gamma, "factor": factor, "t": total, **laws}]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold sizes, single clusters and whole curves against theory, lattice by lattice."""
        every: list[Claim] = []
        drawn = []
        diagrams = []
        for d in self.dimensions:
            all_ratios = {
                ratio: [r for r in rows if r["dimension"] == d and r["ratio"] == ratio]
                for ratio in (*self.ratios, FULL)
            }
            by_ratio = {ratio: mine for ratio, mine in all_ratios.items() if mine}
            sizes, single = self._size_claims(d, by_ratio), self._single_claims(d, by_ratio)
            laws = self._law_claims(d, by_ratio[1.0])
            every += [*sizes.values(), *single, *laws.values()]
            drawn += [
                regime_plots.size_plot(d, by_ratio, sizes.get("tau"), self._tau_window(by_ratio)),
                regime_plots.law_plot(d, by_ratio[1.0], laws, self._law_window(by_ratio[1.0])),
                *regime_plots.crossover_plots(d, by_ratio),
            ]
            diagrams.append(regime_plots.diagram(d, by_ratio))
        return Conclusion(tuple(every), {"lattices": diagrams}, tuple(drawn))

    def _tau_window(self, by_ratio: ByRatio) -> tuple[float, float]:
        largest = min(r["largest"] for r in by_ratio[1.0])
        return float(self.windows.tau_from), self.windows.tau_share * largest

    def _law_window(self, rows: list[Row]) -> tuple[float, float]:
        total = min(r["total"] for r in rows)
        return self.windows.ensemble_from, self.windows.ensemble_share * total

    def _size_claims(self, d: int, by_ratio: ByRatio) -> dict[str, Claim]:
        """Exponents of cluster sizes; on the Bethe lattice sizes come from the exact law."""
        if d == BETHE:
            return {}
        known = critical_exponents(d)
        by_quantity = {}
        survival = regime_plots.survival(by_ratio[1.0]).within(self._tau_window(by_ratio))
        if survival.size.size >= 4:
            slopes = survival.slopes()
            by_quantity["tau"] = judge(
                f"{label(d)}, p_c: tau from P(S >= s), {self.windows.tau_from} <= s <= "
                f"{self.windows.tau_share:g} of the largest",
                known.source,
                known.fisher_exponent,
                2.0 + float(slopes.mean()),
                intervals.seed_interval(2.0 + slopes),
                self.tau_tolerance,
                about=about(d, "tau"),
            )
        below = sorted((r for r in by_ratio if 0.0 < r < 1.0), reverse=True)[:2]
        if len(below) == 2:
            by_quantity["1/sigma"] = self._cutoff_claim(d, by_ratio, below)
        return by_quantity

    def _cutoff_claim(self, d: int, by_ratio: ByRatio, below: list[float]) -> Claim:
        """How the cutoff grows between the two largest p below p_c."""
        known = critical_exponents(d)
        gain = np.log((1.0 - below[1]) / (1.0 - below[0]))
        near, far = (np.array([r["cutoff"] for r in by_ratio[ratio]]) for ratio in below)
        z, n_sites = self.boxes.coordination_number, self.boxes.n_sites
        exact = [boxes.bethe_cutoff(BetheLattice(z, mean_offspring=r), n_sites) for r in below]
        bend = np.log(exact[0] / exact[1]) / gain
        return claims.mean(
            f"{label(d)}: 1/sigma from <S^2>/<S> between p = {below[1]:g} and {below[0]:g} p_c",
            known.source,
            1.0 / known.cutoff_exponent,
            np.log(near / far) / gain,
            self.cutoff_tolerance * (1.0 / known.cutoff_exponent),
            f"corrections to scaling: the Bethe lattice, exactly, has {bend:.2f} of 2 here",
            about(d, "1/sigma"),
        )

    def _largest(self, rows: list[Row], name: str = "single") -> LearningCurve | None:
        """The curve of the largest cluster inside the window; None where it spans less than a decade."""
        stop = self.windows.single_share * min(r["largest"] for r in rows)
        part = common_curve(rows, "n", name).within((self.windows.single_from, stop))
        return part if _long_enough(part) else None

    def _exponent(
        self,
        d: int,
        ratio: float,
        name: str,
        predicted: float,
        slopes: labelled.FloatArray,
        note: str = "",
    ) -> Claim:
        """A claim on the exponent of the largest cluster, or on a difference of two."""
        on = about(d, "exponent of the largest cluster", ratio) | {"learner": "1-NN"}
        return claims.mean(name, self.source, predicted, slopes, self.tolerance, note, on)

    def _single_claims(self, d: int, by_ratio: ByRatio) -> list[Claim]:
        below, above = boxes.cluster_exponent(d, False), boxes.cluster_exponent(d, True)
        every = []
        critical = self._largest(by_ratio[1.0])
        if critical is not None:
            name = (
                f"{label(d)}, p_c: exponent of the largest cluster, {_window('n', critical)}: c/D"
            )
            every.append(self._exponent(d, 1.0, name, below, critical.slopes()))
        if d == BETHE:
            return every
        for ratio in sorted(r for r in by_ratio if r > 1.0):
            for key, neighbor in (("single", "along bonds"), ("space", "in space")):
                giant = self._largest(by_ratio[ratio], key)
                if giant is None:
                    continue
                slopes, n = giant.slopes(), giant.size
                full = common_curve(by_ratio[FULL], "n", key).within((n[0], n[-1])).slopes()
                name = (
                    f"{label(d)}, {ratio:g} p_c: exponent of the giant cluster less that of the full "
                    f"box, nearest {neighbor}, {_window('n', giant)}"
                )
                note = f"itself {slopes.mean():.2f}; c/d = {above:.2f}, c/D = {below:.2f}"
                every.append(self._exponent(d, ratio, name, 0.0, slopes - full, note))
        whole = self._largest(by_ratio[FULL])
        if whole is not None:
            name = f"{label(d)}, full box: exponent, {_window('n', whole)}: c/d"
            every.append(self._exponent(d, FULL, name, above, whole.slopes()))
        return every

    def _law_claims(self, d: int, rows: list[Row]) -> dict[str, Claim]:
        """Losses on all clusters over the prediction, and their exponents."""
        laws = {}
        for key, law in LAWS.items():
            loss, theory = (
                common_curve(rows, "t", name).within(self._law_window(rows))
                for name in (key, f"{key}_predicted")
            )
            if not _long_enough(loss):
                continue
            window = f"{loss.size[0]:.0f}..{loss.size[-1]:.0f}"
            laws[f"{key} over prediction"] = claims.ratio(
                f"{label(d)}, p_c: {law} law over the prediction on the clusters drawn, {window}",
                self.source,
                loss.over(theory).loss,
                self.curve_tolerance,
                about=about(d, f"{law} law over prediction"),
            )
            laws[key] = claims.mean(
                f"{label(d)}, p_c: {law} exponent, {window} (prediction in the same window)",
                self.source,
                float(theory.slopes().mean()),
                loss.slopes(),
                self.tolerance,
                about=about(d, f"{law} exponent"),
            )
        return laws


def _long_enough(curve: LearningCurve) -> bool:
    """Whether a curve has four sizes over a decade."""
    n = curve.size
    return n.size >= 4 and bool(n[-1] / n[0] >= 10 * (1 - 1e-9))


def _window(name: str, curve: LearningCurve) -> str:
    return f"{name} = {curve.size[0]:.0f}..{curve.size[-1]:.0f}"
