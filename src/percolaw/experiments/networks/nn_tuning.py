"""The learning rate: found at small width and size, and shown to hold at large ones."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np

from percolaw.datasets.sources import InfiniteCluster, Source
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Range, Seeds, Tolerance, check
from percolaw.experiments.networks import neural
from percolaw.experiments.seeds import pivot
from percolaw.experiments.series import Series
from percolaw.neural.config import Student, Training
from percolaw.scaling.curve import LearningCurve
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.teacher import TeacherFamily

#: Factor in loss over the least one within which a rate counts as good.
GOOD = 1.1


@dataclass(frozen=True)
class NnTuning(NeedsTorch):
    """Loss against learning rate for every width (muP and standard) and every training size."""

    name: ClassVar[str] = "nn-tuning"
    title: ClassVar[str] = "One learning rate for every width and size: loss against learning rate"
    source: ClassVar[str] = "Yang et al. (2022); docs/neural.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "widths": (16, 64),
                "sizes": (100,),
                "rates": (0.003, 0.01, 0.03),
                "n_train": 200,
                "n_validation": 200,
                "n_test": 200,
                "training": Training(
                    learning_rate=0.01, steps=100, evaluate_every=50, patience=1000
                ),
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

    n_seeds: Seeds = 3
    """Independent samples, teachers and students."""
    points: Source = InfiniteCluster(16)
    """Points; see nn-data-scaling."""
    teacher: TeacherFamily = MaternTeacher(1.5)
    """What is learned."""
    architecture: neural.Architecture = "mlp"
    """mlp, residual (MLP), or transformer."""
    depth: int = 3
    """Hidden layers, or blocks."""
    width: int = 64
    """Units of a layer where sizes are compared, and in a search."""
    widths: Annotated[tuple[int, ...], JUDGED] = (16, 32, 64, 128)
    """Widths compared, with muP and the standard parametrisation; none for a search."""
    n_train: Annotated[int, Range(5)] = 1000
    """Training points where widths are compared, and in a search."""
    sizes: Annotated[tuple[int, ...], Range(5)] = (30, 300, 3000)
    """Training sizes compared; none for a search."""
    rates: Annotated[tuple[float, ...], Range(1e-30)] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
    """Learning rates."""
    n_validation: Annotated[int, Range(1)] = 1000
    """Points that stop the training and choose the weights kept."""
    n_test: Annotated[int, Range(1)] = 1000
    """Points on which the loss is measured."""
    training: Training = Training(learning_rate=0.01, steps=3000)  # noqa: RUF009 (frozen)
    """How students are trained; its learning rate is the one chosen."""
    tolerance: Tolerance = 0.4
    """Decades by which the best rate may move from the smallest width to the largest."""

    def __post_init__(self) -> None:
        check(self)
        for field in ("widths", "sizes"):
            if getattr(self, field):
                neural.check_names(field, getattr(self, field))
        for width in (self.width, *self.widths):
            neural.student_network(self.architecture, self.depth, width)
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
        task = neural.problem(
            self.points,
            (self.teacher,),
            cell["seed"],
            n_train=max((self.n_train, *self.sizes)),
            n_validation=self.n_validation,
            n_test=self.n_test,
        )
        rates = [self.training.learning_rate] if cell["kind"] == "chosen" else list(self.rates)
        sizes = list(self.sizes) if cell["kind"] == "sizes" else [self.n_train]
        plan = [(n, rate) for n in sizes for rate in rates]
        students = [
            Student(cell["seed"], task.pool[:n], task.validation, learning_rate=rate)
            for n, rate in plan
        ]
        width = cell.get("width", self.width)
        parametrization = cell.get("parametrization", "mup")
        network = neural.student_network(self.architecture, self.depth, width, parametrization)
        _, rows = neural.train_and_test(network, task.x, task.y, students, self.training, task.test)
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
            for row, (n, rate) in zip(rows, plan, strict=True)
        ]

    def validate(self, rows: list[Row]) -> float:
        """Return the objective of a search: the validation loss at the chosen rate."""
        chosen = [r["validation"] for r in rows if r["kind"] == "chosen"]
        return math.inf if None in chosen else float(np.mean(chosen))

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Say whether the best rate moves with width, and whether the chosen one is good everywhere."""
        every: list[Claim] = []
        best: dict[tuple[str, int], neural.FloatArray] = {}
        shown: dict[str, list[Series]] = {}
        for kind, width, n, varied in self._groups():
            key = (kind, width, n, "sizes" if varied == "n" else "width")
            names = ("parametrization", "width", "n", "kind")
            mine = [r for r in rows if tuple(r[k] for k in names) == key]
            loss = pivot(mine, "validation", "seed", "rate", missing=math.inf)  # of what diverged
            if varied == "width":
                best[kind, width] = np.array([best_rate(self.rates, row) for row in loss])
            if kind == "mup":
                place = (f"width {width}", f"n = {n}")
                name = ", ".join((*(place if varied == "width" else place[::-1]), "muP"))
                every += self._good(name, loss)
            label = f"n = {n}" if varied == "n" else f"width {width}"
            shown.setdefault(f"{kind}, by {varied}", []).append(self._series(label, loss))
        if len(self.widths) > 1:
            every += [self._moves(best, kind) for kind in ("mup", "standard")]
        return Conclusion(tuple(every), plots=tuple(self._plots(shown)))

    def _groups(self) -> list[tuple[str, int, int, str]]:
        """Parametrisation, width and training points of every curve, and which of them varies."""
        widths = [(p, w, self.n_train, "width") for p in ("mup", "standard") for w in self.widths]
        return widths + [("mup", self.width, n, "n") for n in self.sizes]

    def _series(self, name: str, loss: neural.FloatArray) -> Series:
        """One curve of losses (seeds, rates): full at its best rate, nothing where any diverged."""
        whole = np.isfinite(loss).all(axis=0)
        curve = LearningCurve(np.array(self.rates), np.where(whole, loss, np.nan))
        mean = np.where(whole, curve.mean(), np.inf)
        return plots.curve(name, replace(curve, usable=whole & (mean == mean.min())))

    def _plots(self, shown: dict[str, list[Series]]) -> list[plots.Plot]:
        """Losses against rates by width, with muP and without, and by training points."""
        titles = {
            "mup, by width": "muP: the best rate (full) stays",
            "standard, by width": "standard: it falls with width",
            "mup, by n": "muP, by training points",
        }
        panels = []
        for i, (key, title) in enumerate(titles.items()):
            heights = [v for one in shown.get(key, []) for v in one.y if v is not None]
            if key not in shown:
                continue
            chosen = [self.training.learning_rate] * 2
            ends = [min(heights), max(heights)] if heights else [1.0, 1.0]
            panels.append(
                plots.log_log(
                    f"nn-tuning-{i}",
                    title,
                    "Validation loss has one minimum in the learning rate.",
                    ("learning rate", "validation loss / variance"),
                    [*shown[key], plots.line("chosen", "reference", chosen, ends)],
                    fit=False,
                    figure="nn-tuning",
                    hollow="other rates; full: the best one",
                )
            )
        return panels

    def _good(self, name: str, loss: neural.FloatArray) -> list[Claim]:
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
            claims.mean(
                f"{name}: validation loss at {self.training.learning_rate:g} over the best",
                self.source,
                1.0,
                ratio,
                GOOD - 1.0,
                f"best at {self.rates[place]:g}, {'inside' if inside else 'at the end of'} the range",
                self._about("loss over the best"),
            )
        ]

    def _about(self, quantity: str) -> dict[str, str]:
        """Keys of a claim."""
        return {
            "source": self.points.label,
            "target": self.teacher.label,
            "learner": self.architecture,
            "quantity": quantity,
        }

    def _moves(self, best: dict[tuple[str, int], neural.FloatArray], kind: str) -> Claim:
        """Decades by which the best rate moves from the smallest to the largest width."""
        low, high = self.widths[0], self.widths[-1]
        move = best[kind, high] - best[kind, low]
        expected = 0.0 if kind == "mup" else -math.log10(high / low)
        return claims.mean(
            f"{'muP' if kind == 'mup' else kind}: decades the best rate moves, width {low} to {high}",
            self.source,
            expected,
            move,
            self.tolerance,
            "for the standard parametrisation 1/width is expected of wide networks",
            self._about(f"best rate, {kind}"),
        )


def best_rate(rates: tuple[float, ...], loss: neural.FloatArray) -> float:
    """Return log10 of the best rate: the vertex of the parabola through the least loss and the rates
    beside it, in logarithms; the least one itself at the end of the range.

    Parameters
    ----------
    rates : tuple of float
        Rising.
    loss : array, shape (n_rates,)

    Returns
    -------
    float
    """
    i = int(np.argmin(loss))
    x = np.log10(np.array(rates))
    if not 0 < i < len(rates) - 1 or not np.all(np.isfinite(loss[i - 1 : i + 2])):
        return float(x[i])
    a, b, _ = np.polyfit(x[i - 1 : i + 2] - x[i], np.log(loss[i - 1 : i + 2]), 2)
    return float(x[i] - 0.5 * b / a) if a > 0.0 else float(x[i])
