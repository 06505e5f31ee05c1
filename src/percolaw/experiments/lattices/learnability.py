"""Loss at a fixed number of training points against p: where are data easiest to learn?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments import claims, fields, labelled, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Seeds, Tolerance
from percolaw.experiments.lattices import box_curves, boxes
from percolaw.experiments.lattices.boxes import BETHE, about, label
from percolaw.experiments.series import Series
from percolaw.scaling import intervals
from percolaw.scaling.curve import LearningCurve

#: Learners compared, by their names in `toy`, and what they are called.
LEARNERS = {"nearest": "plain 1-NN", "adjusted": "distance-adjusted 1-NN"}
#: Largest share of the sites that a budget may be: beyond it the data run out.
LARGEST_SHARE = 0.05


@dataclass(frozen=True)
class Learnability:
    """The best p of several budgets, on real lattices and on the tree."""

    name: ClassVar[str] = "learnability"
    title: ClassVar[str] = "Is there a p at which data are learned best, and is it p_c?"
    source: ClassVar[str] = "Brill 2024, section 6 (open question); docs/lattices.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "dimensions": (2, 0),
                "ratios": (0.9, 1.0, 1.05, 1.1, 1.2, 1.4, 1.7),
                "budgets": (100, 1000),
                "boxes": boxes.Boxes(n_sites=60_000, n_draws=0),
            },
            "5 s",
            "0.4 GiB",
        ),
        "laptop": Preset({}, "55 s", "1 GiB"),
        "paper": Preset(
            {
                "n_seeds": 20,
                "budgets": (100, 1000, 10_000, 100_000, 1_000_000),
                "boxes": boxes.Boxes(n_sites=32_000_000, n_draws=0),
            },
            "3 h, estimated",
            "10 GiB",
        ),
    }

    dimensions: Annotated[tuple[int, ...], JUDGED] = (2, 3, 4, BETHE)
    """Hypercubic lattices by dimension; 0 is the Bethe lattice."""
    ratios: Annotated[tuple[float, ...], JUDGED] = (
        *(0.8, 0.85, 0.9, 0.95, 0.975, 1.0, 1.025, 1.05, 1.075, 1.1, 1.15, 1.2, 1.3, 1.5, 1.75),
        *(2.0, 2.5, 3.0, 4.0, 6.0),
    )
    """p / p_c, as far as p <= 1."""
    budgets: tuple[int, ...] = (100, 1000, 10_000)
    """Training points, drawn at random from all sites kept."""
    boxes: boxes.Boxes = field(default_factory=lambda: boxes.Boxes(n_sites=800_000, n_draws=0))
    """The boxes; of all their clusters, so that the giant one weighs what it does in the box."""
    n_seeds: Seeds = 5
    """Independent boxes and functions."""
    tolerance: Tolerance = 0.05
    """Deviation of the best p / p_c that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        boxes.check_dimensions(self.dimensions)
        if len(self.ratios) < 5 or np.any(np.diff(self.ratios) <= 0) or self.ratios[0] <= 0:
            raise ValueError(
                f"ratios must hold at least 5 rising p/p_c above 0; got {self.ratios}."
            )
        if not self.budgets or np.any(np.diff(self.budgets) <= 0) or self.budgets[0] < 1:
            raise ValueError(f"budgets must rise from 1 or more; got {self.budgets}.")

    def cells(self) -> list[Cell]:
        """A unit is a lattice, a p and a seed."""
        return [
            {"dimension": d, "ratio": ratio, "seed": seed}
            for d in self.dimensions
            for ratio in self.ratios
            if ratio * self.boxes.threshold(d) <= 1.0
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Draw a box and learn it with every budget that leaves most of its sites unseen."""
        d = cell["dimension"]
        p = min(1.0, cell["ratio"] * self.boxes.threshold(d))
        data, info, _ = boxes.draw(self.boxes, d, p, cell["seed"])
        losses: dict[str, list[float | None]] = {name: [] for name in LEARNERS}
        for i, budget in enumerate(self.budgets):
            if budget > LARGEST_SHARE * data.tree.n_sites:
                for name in LEARNERS:
                    losses[name].append(None)
                continue
            rate = box_curves.random_rates(data, budget)
            learned = labelled.ensemble_loss(data, rate, i, tuple(LEARNERS))
            for name, loss in zip(LEARNERS, learned, strict=True):
                losses[name].append(float(loss))
        losses["n"] = list(self.budgets)
        return [{**cell, **losses, "total": data.tree.n_sites, "kept_share": info["kept_share"]}]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Find the best p of every budget, lattice by lattice."""
        every: list[Claim] = []
        drawn: list[plots.Plot] = []
        best: dict[str, list[Series]] = {name: [] for name in LEARNERS}
        for j, d in enumerate(self.dimensions):
            scans = {name: self._scans(d, name, rows) for name in LEARNERS}
            for name, curves in scans.items():
                every += self._claims(d, name, curves)
                best[name].append(self._best_series(d, j, curves))
            drawn.append(self._loss_plot(d, scans["nearest"], scans["adjusted"]))
        drawn += [self._best_plot(name, series) for name, series in best.items()]
        return Conclusion(tuple(every), plots=tuple(drawn))

    def _scans(self, d: int, learner: str, rows: list[Row]) -> list[LearningCurve]:
        """Losses of every budget against p / p_c, NaN where the budget was too large."""
        mine = [r for r in rows if r["dimension"] == d]
        ratios = np.array(sorted({r["ratio"] for r in mine}))
        by_ratio = [[r[learner] for r in mine if r["ratio"] == ratio] for ratio in ratios]
        loss = np.array(by_ratio, dtype=np.float64).transpose(2, 1, 0)
        return [LearningCurve(ratios, np.array(one)) for one in loss]

    def _claims(self, d: int, learner: str, scans: list[LearningCurve]) -> list[Claim]:
        """A claim on the smallest and the largest budget that all p around p_c could be learned with."""
        usable = []
        for i, scan in enumerate(scans):
            above = scan.size >= 1.0
            if np.isfinite(scan.loss[:, above]).all() and above.sum() >= 3:
                usable.append(i)
        every = []
        for i in sorted({usable[0], usable[-1]}) if usable else []:
            best, scan = scans[i].least_at(), scans[i]
            lowest, highest = scan.size[np.isfinite(scan.loss).all(axis=0)][0], scan.size[-1]
            note = f"p from {lowest:g} to {highest:g} p_c"
            ends = int(np.sum((best <= lowest) | (best >= highest)))
            if ends:
                note += f"; {ends} of {best.size} seeds have their best at an end of it"
            every.append(
                claims.mean(
                    f"{label(d)}, {learner} 1-NN, {self.budgets[i]} points: best p / p_c",
                    self.source,
                    1.0,
                    best,
                    self.tolerance,
                    note,
                    about(d, f"best p / p_c, {self.budgets[i]} points")
                    | {"learner": LEARNERS[learner]},
                )
            )
        return every

    def _loss_plot(
        self, d: int, nearest: list[LearningCurve], adjusted: list[LearningCurve]
    ) -> plots.Plot:
        """Loss against p, one curve a budget, and where it is least."""
        series = []
        for budget, plain, other in zip(self.budgets, nearest, adjusted, strict=True):
            name = f"{budget:,} points"
            scan, more = _everywhere(plain), _everywhere(other)
            if not scan.size.size:
                continue
            place = float(plain.least_at().mean())
            height = np.exp(np.interp(place, scan.size, np.log(scan.mean())))
            series += [
                plots.curve(name, scan, group=name),
                plots.line(
                    f"{name}, {LEARNERS['adjusted']}",
                    "reference",
                    more.size,
                    more.mean(),
                    group=name,
                ),
                plots.line(
                    f"{name}, best p", "measured", [place], [height], joined=False, group=name
                ),
            ]
        values = [y for one in series for y in one.y if y is not None]
        ends = [min(values, default=0.1), max(values, default=1.0)]
        return plots.Plot(
            f"learnability-{d}",
            label(d),
            "Loss of 1-NN with a fixed number of points drawn at random against p over p_c, one curve a "
            "number.",
            "p / p_c",
            "mean squared error / variance",
            False,
            True,
            (*series, plots.line("p_c", "theory", [1.0, 1.0], ends)),
            fit=False,
            figure="learnability",
        )

    def _best_series(self, d: int, turn: int, scans: list[LearningCurve]) -> Series:
        """The best p of one lattice against the budget; lattices stand side by side."""
        best = [scan.least_at() for scan in scans]
        ends = np.array(
            [
                intervals.seed_interval(b) if np.isfinite(b).all() else claims.UNKNOWN_INTERVAL
                for b in best
            ]
        ).T
        # The best p lies between the ends of what was scanned.
        inside = np.clip(ends, scans[0].size[0], scans[0].size[-1])
        low, high = np.where(np.isfinite(ends), inside, np.nan)
        side = 1.06 ** (turn - 0.5 * (len(self.dimensions) - 1))
        x = [budget * side for budget in self.budgets]
        y = [one.mean() for one in best]
        return plots.points(label(d), x, y, low, high, interval=plots.CONFIDENCE, joined=True)

    def _best_plot(self, learner: str, series: list[Series]) -> plots.Plot:
        """The best p of all lattices, by one learner."""
        ends = [float(self.budgets[0]), float(self.budgets[-1])]
        largest = max(cell["ratio"] for cell in self.cells())
        return plots.log_linear(
            f"learnability-best-{learner}",
            f"Best p, {LEARNERS[learner]}",
            "The p at which the loss is least, over p_c, by lattice; 1 would be p_c.",
            ("training points", "best p / p_c"),
            [
                *series,
                plots.line("p_c", "theory", ends, [1.0, 1.0]),
                plots.line("largest p scanned", "reference", ends, [largest, largest]),
            ],
            figure="learnability-best",
            y_limits=(None, 1.55 * largest),
        )


def _everywhere(scan: LearningCurve) -> LearningCurve:
    """The part of a scan that all seeds could learn."""
    return LearningCurve(scan.size, scan.loss, np.all(np.isfinite(scan.loss), axis=0)).within(None)
