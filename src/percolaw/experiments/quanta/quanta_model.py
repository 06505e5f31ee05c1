"""How many tasks a network of a given width learns, and the loss that the others leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.experiments import claims, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, units
from percolaw.experiments.fields import Range, Rising, Tolerance
from percolaw.experiments.quanta.parity_students import (
    CHANCE,
    LEARNED,
    MICHAUD,
    FloatArray,
    ParityExperiment,
    slope,
    stored,
    training,
)
from percolaw.experiments.seeds import seed_mean, seeds_of
from percolaw.neural.config import Student, Training
from percolaw.rng import Streams
from percolaw.scaling.curve import LearningCurve


@dataclass(frozen=True)
class QuantaModel(ParityExperiment):
    """Tasks learned, and loss, by width: endless data, a fixed budget of steps."""

    name: ClassVar[str] = "quanta-model"
    title: ClassVar[str] = "Does a network learn tasks in proportion to its size?"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_tasks": 12,
                "n_bits": 8,
                "subset_size": 2,
                "widths": (4, 8, 16),
                "per_task": 50,
                "training": training(steps=200, batch_size=100),
            },
            "5 s",
            "0.7 GiB",
        ),
        "laptop": Preset({}, "3 min", "0.8 GiB"),
        "gpu": Preset(
            {
                "n_tasks": 500,
                "n_bits": 100,
                "widths": (10, 20, 40, 80, 150, 300, 500),
                "per_task": 1000,
                "training": training(learning_rate=1e-3, steps=200_000, batch_size=20_000),
            },
            "4 h, estimated",
            "8 GiB",
        ),
    }

    widths: Annotated[tuple[int, ...], Range(1), Rising(3)] = (4, 8, 16, 32, 64)
    """Units of the hidden layer, rising."""
    training: Training = training(steps=16_000)  # noqa: RUF009 (frozen)
    """How students are trained."""
    exponent_tolerance: Tolerance = 0.15
    """Of the exponents of tasks learned and of the loss."""
    loss_tolerance: Tolerance = 0.15
    """Relative, of the loss against the law, and of tasks learned in the second half of training."""
    order_tolerance: Tolerance = 0.1
    """Share of the tasks learned that are not the most used."""

    def cells(self) -> list[Cell]:
        """A unit is a seed and a width."""
        return units(seed=range(self.n_seeds), width=self.widths)

    def measure(self, cell: Cell) -> list[Row]:
        """Train one student; losses and errors of every task, at half the budget and at its end."""
        from percolaw.datasets.parity import ParityStream
        from percolaw.neural.parity import ParityNetwork
        from percolaw.neural.tasks import train_tasks

        streams = Streams(cell["seed"])
        tasks = self.tasks(streams)
        test = tasks.test_set(self.per_task, streams)
        curves = train_tasks(
            ParityNetwork(self.n_tasks, self.n_bits, cell["width"]),
            test.inputs(),
            test.targets(),
            test.task,
            [Student(cell["seed"], ParityStream(tasks, self.training.batch_size, streams), [0])],
            self.training,
            [max(1, self.training.steps // 2), max(2, self.training.steps)],
        )
        loss, error = stored(curves.loss[:, 0] / CHANCE), stored(curves.error[:, 0])
        return [{**cell, "step": curves.step.tolist(), "loss": loss, "error": error}]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Whether n(N) is linear, whether n is all that counts, and what exponent a finite K gives."""
        shape = (-1, len(self.widths))
        learned = seeds_of(rows, "error") < LEARNED  # (units, 2, K)
        n = learned.sum(axis=2).astype(np.float64)
        half, full = n[:, 0].reshape(shape), n[:, 1].reshape(shape)
        loss = (seeds_of(rows, "loss")[:, 1] @ self.weight).reshape(shape)
        top = learned[:, 1].reshape(*shape, self.n_tasks)
        return Conclusion(
            (*self._count(half, full, top), *self._losses(full, loss)),
            {"learned": [[float(v) for v in row] for row in full]},
            self._plots(full, loss),
        )

    def _partly(self, n: FloatArray) -> FloatArray:
        """Widths at which some tasks are learned, but not nearly all, and of no seed all."""
        middle, most = n.mean(axis=0), n.max(axis=0)
        return np.asarray((middle >= 1.0) & (middle <= 0.9 * self.n_tasks) & (most < self.n_tasks))

    def _per_unit(self, n: FloatArray) -> float:
        """Tasks learned per unit of width: geometric mean where some are and others are not."""
        use = self._partly(n)
        each = n.mean(axis=0)[use] / np.array(self.widths)[use]
        return float(np.exp(np.log(each).mean())) if use.any() else 0.0

    def _count(
        self, half: FloatArray, full: FloatArray, top: npt.NDArray[np.bool_]
    ) -> list[claims.Claim]:
        use, width = self._partly(full), np.array(self.widths, dtype=np.float64)
        slopes = [slope(width[use], np.maximum(row[use], 0.5)) for row in full]
        about = {"learner": "network", "quantity": "tasks learned"}
        ranks = np.arange(self.n_tasks)
        among = [
            float(np.sum(t & (ranks < t.sum(axis=1, keepdims=True))) / max(t.sum(), 1)) for t in top
        ]
        return [
            seed_mean(
                "tasks learned, exponent in the width",
                MICHAUD,
                1.0,
                slopes,
                self.exponent_tolerance,
                f"{self._per_unit(full):.3g} tasks a unit, widths {width[use].tolist()}",
                about,
            ),
            seed_mean(
                "share of the tasks learned that are the most used ones",
                MICHAUD,
                1.0,
                among,
                self.order_tolerance,
                about=about,
            ),
            seed_mean(
                "tasks learned at half the budget, over those at its end",
                "docs/quanta.md",
                1.0,
                half.sum(axis=1) / np.maximum(full.sum(axis=1), 1.0),
                self.loss_tolerance,
                "whether width was what limited students",
                about,
            ),
        ]

    def _finite(self, n: FloatArray) -> FloatArray:
        """Loss of the n most used tasks of K being known, n between whole numbers too."""
        from percolaw.laws.quanta import skill_loss

        law = skill_loss(np.arange(self.n_tasks + 1), self.rank_exponent, self.n_tasks)
        return np.interp(n, np.arange(self.n_tasks + 1), law)

    def _losses(self, n: FloatArray, loss: FloatArray) -> list[claims.Claim]:
        use, width = self._partly(n), np.array(self.widths, dtype=np.float64)
        slopes = [-slope(width[use], row[use]) for row in loss]
        count = np.minimum(self._per_unit(n) * width, self.n_tasks - 1.0)
        linear = -slope(width[use], self._finite(count)[use])
        ratio = np.exp(np.log(loss[:, use] / self._finite(n)[:, use]).mean(axis=1))
        about = {"learner": "network", "quantity": "loss by width"}
        return [
            seed_mean(
                "loss over the frequency of all but the n most used tasks, n as many as are learned",
                MICHAUD,
                1.0,
                ratio,
                self.loss_tolerance,
                about=about,
            ),
            seed_mean(
                f"exponent of the loss in the width, against the sum over {self.n_tasks} tasks, n linear",
                "docs/quanta.md",
                linear,
                slopes,
                self.exponent_tolerance,
                about=about,
            ),
            seed_mean(
                "exponent of the loss in the width, against alpha of infinitely many tasks",
                MICHAUD,
                self.rank_exponent,
                slopes,
                self.exponent_tolerance,
                about=about,
            ),
        ]

    def _plots(self, n: FloatArray, loss: FloatArray) -> tuple[plots.Plot, ...]:
        width, use = np.array(self.widths), self._partly(n)
        window = (float(width[use][0]), float(width[use][-1])) if use.any() else None
        linear = np.minimum(self._per_unit(n) * width, self.n_tasks)
        count = plots.log_log(
            "quanta-model-learned",
            f"{self.n_tasks} parities of {self.subset_size} of {self.n_bits} bits",
            "Tasks learned against width, and a line through them of exponent 1.",
            ("width", "tasks learned"),
            [
                plots.curve(
                    "network", LearningCurve(width, np.where(n > 0, n, np.nan)), how="mean"
                ),
                plots.line("~ width", "theory", width, linear, group="network"),
            ],
            window,
            growth=True,
            figure="quanta-model",
        )
        measured = LearningCurve(width, loss)
        law = plots.log_log(
            "quanta-model-loss",
            f"Loss of {self.n_tasks} tasks, alpha = {self.rank_exponent:g}",
            "Stratified loss over chance against width, and finite sums.",
            ("width", "loss / loss of chance"),
            [
                plots.curve("network", measured, prediction="n most used of K known"),
                plots.line(
                    "n most used of K known",
                    "theory",
                    width,
                    np.exp(np.log(np.maximum(self._finite(n), 1e-3)).mean(axis=0)),
                    group="network",
                ),
                plots.line("n ~ width, of K", "reference", width, self._finite(linear)),
            ],
            window,
            figure="quanta-model",
        )
        return count, law
