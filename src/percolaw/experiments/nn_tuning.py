"""The learning rate: found at small width and size, and shown to hold at large ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments import neural, tasks
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.learners.neural.config import Student, Training
from percolaw.rng import Streams
from percolaw.scaling import fit

#: Factor in loss over the least one within which a rate counts as good.
GOOD = 1.1


@dataclass(frozen=True)
class NnTuning:
    """Loss against learning rate for every width (muP and standard) and every training size."""

    name: ClassVar[str] = "nn-tuning"
    title: ClassVar[str] = "One learning rate for every width and size: loss against learning rate"
    source: ClassVar[str] = "Yang et al. (2022); docs/neural.md"
    extra: ClassVar[tuple[str, str]] = ("torch", "nn")
    judged: ClassVar[tuple[str, ...]] = ("n_seeds", "widths", "tolerance")
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "widths": (16, 64),
                "sizes": (100,),
                "rates": (0.001, 0.01, 0.1),
                "n_train": 200,
                "n_validation": 200,
                "n_test": 200,
                "training": Training(learning_rate=0.01, steps=200, patience=1000),
            },
            "10 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "3 min", "1 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 5,
                "widths": (32, 64, 128, 256, 512, 1024),
                "sizes": (100, 1000, 10_000, 30_000),
                "n_train": 10_000,
                "training": Training(learning_rate=0.01, steps=20_000, batch_size=512),
            },
            "1 h, estimated",
            "4 GiB",
        ),
    }

    n_seeds: int = 3
    """Independent samples, teachers and students."""
    points: str = "cluster d = 16"
    """Points; see nn-data-scaling."""
    teacher: str = "Matérn 1.5"
    """What is learned."""
    architecture: neural.Architecture = "mlp"
    """mlp, residual (MLP), or transformer."""
    depth: int = 3
    """Hidden layers, or blocks."""
    width: int = 64
    """Units of a layer where sizes are compared, and in a search."""
    widths: tuple[int, ...] = (16, 32, 64, 128)
    """Widths compared, with muP and the standard parametrisation; none for a search."""
    n_train: int = 1000
    """Training points where widths are compared, and in a search."""
    sizes: tuple[int, ...] = (30, 300, 3000)
    """Training sizes compared; none for a search."""
    rates: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    """Learning rates."""
    n_validation: int = 1000
    """Points that stop the training and choose the weights kept."""
    n_test: int = 1000
    """Points on which the loss is measured."""
    training: Training = Training(learning_rate=0.01, steps=3000)  # noqa: RUF009 (frozen)
    """How students are trained; its learning rate is the one chosen."""
    tolerance: float = 0.4
    """Decades by which the best rate may move from the smallest width to the largest."""

    def __post_init__(self) -> None:
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("n_validation", self.n_validation, minimum=1)
        checks.integer("n_test", self.n_test, minimum=1)
        for rate in self.rates:
            checks.real("rates", rate, minimum=1e-30)
        for field in ("widths", "sizes"):
            if getattr(self, field):
                neural.check_names(field, getattr(self, field))
        tasks.dimension(self.points)
        tasks.matern_smoothness(self.teacher)
        for width in (self.width, *self.widths):
            neural.student_network(self.architecture, self.depth, width)
        for n in (self.n_train, *self.sizes):
            checks.integer("sizes and n_train", n, minimum=5)
        if len(self.rates) < 3 or list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates must rise, three at least; got {self.rates}.")

    def cells(self) -> list[Cell]:
        """A unit is a seed at the chosen rate, or at all rates with a width or all sizes."""
        kinds: list[Cell] = [{"kind": "chosen"}]
        kinds += [
            {"kind": "width", "width": w, "parametrization": p}
            for p in ("mup", "standard")
            for w in self.widths
        ]
        kinds += [{"kind": "sizes"}] if self.sizes else []
        return [{**kind, "seed": seed} for kind in kinds for seed in range(self.n_seeds)]

    def measure(self, cell: Cell) -> list[Row]:
        """Train students of every rate as one batch; one row a student."""
        streams = Streams(cell["seed"]).child(*self.points.encode())
        held = self.n_validation + self.n_test
        most = max(self.n_train, *self.sizes, 1) if self.sizes else self.n_train
        x = tasks.points(self.points, most + held, streams)
        y = tasks.values((self.teacher,), x, streams)
        test, validation, pool = neural.parts(x.shape[0], self.n_test, self.n_validation)
        rates = [self.training.learning_rate] if cell["kind"] == "chosen" else list(self.rates)
        sizes = list(self.sizes) if cell["kind"] == "sizes" else [self.n_train]
        plan = [(n, rate) for n in sizes for rate in rates]
        students = [
            Student(cell["seed"], pool[:n], validation, learning_rate=rate) for n, rate in plan
        ]
        width = cell.get("width", self.width)
        parametrization = cell.get("parametrization", "mup")
        network = neural.student_network(self.architecture, self.depth, width, parametrization)
        _, found = neural.train_and_test(network, x, y, students, self.training, test)
        shared = {**cell, "width": width, "parametrization": parametrization}
        return [
            {
                **shared,
                "n": n,
                "rate": rate,
                "validation": row["validation"],
                "test": row["loss"],
                "stopped": row["stopped"],
            }
            for row, (n, rate) in zip(found, plan, strict=True)
        ]

    def validate(self, rows: list[Row]) -> float:
        """Return the objective of a search: the validation loss at the chosen rate."""
        chosen = [r["validation"] for r in rows if r["kind"] == "chosen"]
        return math.inf if None in chosen else float(np.mean(chosen))

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Say whether the best rate moves with width, and whether the chosen one is good everywhere."""
        claims: list[Claim] = []
        curves: list[dict[str, Any]] = []
        groups = [("mup", w, self.n_train) for w in self.widths]
        groups += [("standard", w, self.n_train) for w in self.widths]
        groups += [("mup", self.width, n) for n in self.sizes]
        best: dict[tuple[str, int], npt.NDArray[np.float64]] = {}
        for i, (kind, width, n) in enumerate(groups):
            of_sizes = i >= 2 * len(self.widths)
            own = [
                r
                for r in rows
                if (r["parametrization"], r["width"], r["n"]) == (kind, width, n)
                and r["kind"] == ("sizes" if of_sizes else "width")
            ]
            loss = self._table(own)
            mean = np.exp(np.log(loss).mean(axis=0))
            curve = {
                "by": "size" if of_sizes else "width",
                "parametrization": kind,
                "width": width,
                "n": n,
                "mean": [float(v) if np.isfinite(v) else None for v in mean],
            }
            curves.append(curve)
            place = (f"width {width}", f"n = {n}")
            name = ", ".join((*(place[::-1] if of_sizes else place), "muP"))
            if not of_sizes:
                best[kind, width] = np.array([best_rate(self.rates, row) for row in loss])
            if kind == "mup":
                claims += self._good(name, loss)
        if len(self.widths) > 1:
            claims += [self._moves(best, kind) for kind in ("mup", "standard")]
        return Conclusion(
            tuple(claims),
            {
                "curves": curves,
                "rates": list(self.rates),
                "chosen": self.training.learning_rate,
                "n_seeds": self.n_seeds,
            },
        )

    def _table(self, rows: list[Row]) -> npt.NDArray[np.float64]:
        """Validation losses (seeds, rates), infinite where a student diverged."""
        loss = np.full((self.n_seeds, len(self.rates)), np.inf)
        for r in rows:
            if r["validation"] is not None:
                loss[r["seed"], self.rates.index(r["rate"])] = r["validation"]
        return loss

    def _good(self, name: str, loss: npt.NDArray[np.float64]) -> list[Claim]:
        """The chosen rate's loss over the least one; noted whether the least is inside the range."""
        if self.training.learning_rate not in self.rates:
            return []
        chosen = loss[:, self.rates.index(self.training.learning_rate)]
        ratio = chosen / loss.min(axis=1)
        place = int(np.argmin(np.log(loss).mean(axis=0)))
        inside = 0 < place < len(self.rates) - 1
        if not np.all(np.isfinite(ratio)):
            ratio = np.full(ratio.size, 1e3)
        return [
            judge(
                f"{name}: validation loss at {self.training.learning_rate:g} over the best",
                self.source,
                1.0,
                float(ratio.mean()),
                fit.seed_interval(ratio),
                GOOD - 1.0,
                f"best at {self.rates[place]:g}, {'inside' if inside else 'at the end of'} the range",
            )
        ]

    def _moves(self, best: dict[tuple[str, int], npt.NDArray[np.float64]], kind: str) -> Claim:
        """Decades by which the best rate moves from the smallest to the largest width."""
        low, high = self.widths[0], self.widths[-1]
        move = best[kind, high] - best[kind, low]
        expected = 0.0 if kind == "mup" else -math.log10(high / low)
        return judge(
            f"{'muP' if kind == 'mup' else kind}: decades the best rate moves, width {low} to {high}",
            self.source,
            expected,
            float(move.mean()),
            fit.seed_interval(move),
            self.tolerance,
            "for the standard parametrisation 1/width is expected of wide networks",
        )


def best_rate(rates: tuple[float, ...], loss: npt.NDArray[np.float64]) -> float:
    """Return log10 of the best rate: the vertex of the parabola through the least loss and the rates
    beside it, in logarithms; the least one itself at the end of the range."""
    i = int(np.argmin(loss))
    x = np.log10(np.array(rates))
    if not 0 < i < len(rates) - 1 or not np.all(np.isfinite(loss[i - 1 : i + 2])):
        return float(x[i])
    a, b, _ = np.polyfit(x[i - 1 : i + 2] - x[i], np.log(loss[i - 1 : i + 2]), 2)
    return float(x[i] - 0.5 * b / a) if a > 0.0 else float(x[i])
