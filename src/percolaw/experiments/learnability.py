"""Loss at a fixed number of training points against p: where are data easiest to learn?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments import boxes, toy
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.boxes import BETHE, label
from percolaw.experiments.claims import Claim, judge
from percolaw.scaling import fit

FloatArray = toy.FloatArray

#: Learners compared, by their names in `toy`.
LEARNERS = ("nearest", "adjusted")
#: Largest share of the sites that a budget may be: beyond it the data run out.
LARGEST_SHARE = 0.05


@dataclass(frozen=True)
class Learnability:
    """The best p of several budgets, on real lattices and on the tree."""

    name: ClassVar[str] = "learnability"
    title: ClassVar[str] = "Is there a p at which data are learned best, and is it p_c?"
    source: ClassVar[str] = "Brill 2024, section 6 (open question); docs/lattices.md"
    judged: ClassVar[tuple[str, ...]] = ("n_seeds", "dimensions", "ratios", "tolerance")
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

    dimensions: tuple[int, ...] = (2, 3, 4, BETHE)
    """Hypercubic lattices by dimension; 0 is the Bethe lattice."""
    ratios: tuple[float, ...] = (
        *(0.8, 0.85, 0.9, 0.95, 0.975, 1.0, 1.025, 1.05, 1.075, 1.1, 1.15, 1.2, 1.3, 1.5, 1.75),
        *(2.0, 2.5, 3.0, 4.0, 6.0),
    )
    """p / p_c, as far as p <= 1."""
    budgets: tuple[int, ...] = (100, 1000, 10_000)
    """Training points, drawn at random from all sites kept."""
    boxes: boxes.Boxes = field(default_factory=lambda: boxes.Boxes(n_sites=800_000, n_draws=0))
    """The boxes; of all their clusters, so that the giant one weighs what it does in the box."""
    n_seeds: int = 5
    """Independent boxes and functions."""
    tolerance: float = 0.05
    """Deviation of the best p / p_c that counts as agreement."""

    def __post_init__(self) -> None:
        boxes.check_dimensions(self.dimensions)
        self.boxes.check_memory()
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
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
            rate = boxes.random_rates(data, budget)
            found = toy.ensemble_loss(data, rate, i, LEARNERS)
            for name, loss in zip(LEARNERS, found, strict=True):
                losses[name].append(float(loss))
        return [{**cell, **losses, "total": data.tree.n_sites, "kept_share": info["kept_share"]}]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Find the best p of every budget, seed by seed, and whether it moves towards p_c."""
        claims: list[Claim] = []
        table = []
        for d in self.dimensions:
            mine = [r for r in rows if r["dimension"] == d]
            ratios = np.array(sorted({r["ratio"] for r in mine}))
            seeds = sorted({r["seed"] for r in mine})
            place = {(r["ratio"], r["seed"]): r for r in mine}
            for name in LEARNERS:
                loss = np.array(
                    [
                        [
                            [_number(place[ratio, seed][name][i]) for ratio in ratios]
                            for seed in seeds
                        ]
                        for i in range(len(self.budgets))
                    ]
                )  # (budgets, seeds, ratios)
                best = np.array([[best_ratio(ratios, curve) for curve in part] for part in loss])
                claims += self._claims(d, name, ratios, loss)
                table.append(
                    {
                        "dimension": d,
                        "label": label(d),
                        "learner": name,
                        "ratios": ratios,
                        "loss": [np.exp(np.log(part).mean(axis=0)) for part in loss],
                        "best": best.mean(axis=1),
                        "best_interval": [
                            fit.seed_interval(b) if np.isfinite(b).all() else (-np.inf, np.inf)
                            for b in best
                        ],
                    }
                )
        return Conclusion(tuple(claims), {"budgets": self.budgets, "table": table})

    def _claims(self, d: int, learner: str, ratios: FloatArray, loss: FloatArray) -> list[Claim]:
        """A claim on the smallest and the largest budget that all p around p_c could be learned with."""
        usable = [
            i
            for i in range(len(self.budgets))
            if np.isfinite(loss[i][:, ratios >= 1.0]).all() and (ratios >= 1.0).sum() >= 3
        ]
        found = []
        for i in sorted({usable[0], usable[-1]}) if usable else []:
            best = np.array([best_ratio(ratios, curve) for curve in loss[i]])
            lowest = ratios[np.isfinite(loss[i]).all(axis=0)][0]
            note = f"p from {lowest:g} to {ratios[-1]:g} p_c"
            ends = int(np.sum((best <= lowest) | (best >= ratios[-1])))
            if ends:
                note += f"; {ends} of {best.size} seeds have their best at an end of it"
            found.append(
                judge(
                    f"{label(d)}, {learner} 1-NN, {self.budgets[i]} points: best p / p_c",
                    self.source,
                    1.0,
                    float(best.mean()),
                    fit.seed_interval(best),
                    self.tolerance,
                    note,
                )
            )
        return found


def best_ratio(ratios: FloatArray, loss: FloatArray) -> float:
    """Return where a curve is least: the vertex of the parabola through its lowest point and neighbours.

    Losses that are NaN do not count (NaN if all are); at the ends the end itself.
    """
    usable = np.isfinite(loss)
    if not usable.any():
        return float("nan")
    x, y = np.log(ratios[usable]), np.log(loss[usable])
    i = int(np.argmin(y))
    if i in (0, x.size - 1):
        return float(np.exp(x[i]))
    curve = np.polyfit(x[i - 1 : i + 2], y[i - 1 : i + 2], 2)
    vertex = -curve[1] / (2.0 * curve[0]) if curve[0] > 0.0 else x[i]
    return float(np.exp(np.clip(vertex, x[i - 1], x[i + 1])))


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)
