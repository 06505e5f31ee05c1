"""Does a network learn tasks in the order of their use, each at its own time? Parities, endless data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments import claims, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.fields import Range, Tolerance
from percolaw.experiments.quanta.parity_students import (
    CHANCE,
    MICHAUD,
    FloatArray,
    ParityExperiment,
    crossing_steps,
    evaluation_steps,
    first_missing,
    inversions,
    slope,
    stored,
    training,
)
from percolaw.experiments.seeds import seed_mean, seeds_of
from percolaw.neural.config import Student, Training
from percolaw.rng import Streams
from percolaw.scaling import intervals
from percolaw.scaling.curve import LearningCurve

#: What the measured loss is held against.
AS_FIRST = "every task as the first"


@dataclass(frozen=True)
class QuantaTime(ParityExperiment):
    """When every task of multitask sparse parity is learned, and the loss that all of them make."""

    name: ClassVar[str] = "quanta-time"
    title: ClassVar[str] = "Are tasks learned in the order of their use, and when?"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_tasks": 8,
                "n_bits": 10,
                "subset_size": 2,
                "width": 32,
                "per_task": 50,
                "n_tests": 16,
                "training": training(steps=200, batch_size=200),
            },
            "5 s",
            "0.7 GiB",
        ),
        "laptop": Preset({}, "1 min", "0.8 GiB"),
        "gpu": Preset(
            {
                "n_tasks": 500,
                "n_bits": 100,
                "width": 500,
                "per_task": 1000,
                "training": training(learning_rate=1e-3, steps=200_000, batch_size=20_000),
            },
            "1 h, estimated",
            "8 GiB",
        ),
    }

    width: Annotated[int, Range(1)] = 128
    """Units of the hidden layer."""
    n_tests: Annotated[int, Range(8)] = 48
    """Times at which students are tested, in equal ratios."""
    training: Training = training(steps=8000)  # noqa: RUF009 (frozen)
    """How students are trained."""
    order_tolerance: Tolerance = 0.05
    """Share of pairs of tasks out of order."""
    exponent_tolerance: Tolerance = 0.15
    """Of the exponents of times and of the loss."""
    loss_tolerance: Tolerance = 0.15
    """Relative, of the loss against the law."""

    def measure(self, cell: Cell) -> list[Row]:
        """Train one student on endless data; a row of the losses of every task at every test."""
        from percolaw.datasets.parity import ParityStream
        from percolaw.neural.parity import ParityNetwork
        from percolaw.neural.tasks import train_tasks

        streams = Streams(cell["seed"])
        tasks = self.tasks(streams)
        test = tasks.test_set(self.per_task, streams)
        curves = train_tasks(
            ParityNetwork(self.n_tasks, self.n_bits, self.width),
            test.inputs(),
            test.targets(),
            test.task,
            [Student(cell["seed"], ParityStream(tasks, self.training.batch_size, streams), [0])],
            self.training,
            evaluation_steps(10, self.training.steps, self.n_tests),
        )
        loss = stored(curves.loss[:, 0] / CHANCE)
        return [{**cell, "step": curves.step.tolist(), "loss": loss}]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Order and times of learning; the loss against the finite sum, and its exponent."""
        steps = seeds_of(rows, "step")[0]
        loss = seeds_of(rows, "loss")
        times = np.array([crossing_steps(steps, each, 0.5) for each in loss])
        measured = LearningCurve(steps, loss @ self.weight, None, self._from_first(steps, loss))
        return Conclusion(
            (*self._order(times), *self._law(times, measured)), plots=self._plots(times, measured)
        )

    def _order(self, times: FloatArray) -> list[claims.Claim]:
        """Whether frequent tasks are learned first, and times are inverse to frequencies."""
        learned = [first_missing(np.isfinite(t)) for t in times]
        slopes = [slope(1.0 / self.weight[:n], t[:n]) for t, n in zip(times, learned, strict=True)]
        return [
            seed_mean(
                "share of pairs of tasks that are learned against the order of their use",
                MICHAUD,
                0.0,
                [inversions(t) for t in times],
                self.order_tolerance,
                f"{np.isfinite(times).sum(axis=1).mean():.1f} of {self.n_tasks} tasks learned",
                {"learner": "network", "quantity": "inversions"},
            ),
            seed_mean(
                "steps until a task is learned, exponent in 1/frequency",
                MICHAUD,
                1.0,
                slopes,
                self.exponent_tolerance,
                f"the {min(learned)} to {max(learned)} most used tasks, up to the first not learned",
                {"learner": "network", "quantity": "time exponent"},
            ),
        ]

    def _from_first(self, steps: FloatArray, loss: FloatArray) -> FloatArray:
        """Loss if every task were the most used one, slower by the ratio of their frequencies."""
        first = loss[:, :, 0].mean(axis=0)
        scaled = np.outer(steps, self.weight / self.weight[0])
        each = np.interp(np.log(scaled), np.log(steps), first, left=1.0)
        return np.asarray(each @ self.weight)

    def _window(self, times: FloatArray) -> tuple[float, float]:
        """From when the first task is learned to when the last but a few are, or training ends."""
        first = float(np.median(times[:, 0]))
        last = np.sort(np.where(np.isfinite(times), times, np.inf), axis=1)
        late = last[:, int(0.8 * self.n_tasks)]
        end = float(np.median(np.minimum(late, self.training.steps)))
        return first, max(end, first)

    def _law(self, times: FloatArray, measured: LearningCurve) -> list[claims.Claim]:
        """The whole curve from the first task's, and what exponent a line through it has."""
        window = self._window(times)
        inside = (measured.size >= window[0]) & (measured.size <= window[1])
        assert measured.predicted is not None
        law = measured.predicted[inside]
        slopes = [-slope(measured.size[inside], each[inside]) for each in measured.loss]
        limit = self.rank_exponent / (1.0 + self.rank_exponent)
        about = {"learner": "network", "quantity": "loss by steps"}
        text = f"steps {window[0]:.0f} to {window[1]:.0f}"
        each = np.log(measured.loss[:, inside] / law)
        ratio = np.exp(each.mean(axis=1) if inside.any() else np.full(len(each), np.nan))
        return [
            seed_mean(
                "loss over the sum of tasks that all learn as the first one, by their frequency",
                "docs/quanta.md",
                1.0,
                ratio,
                self.loss_tolerance,
                text,
                about,
            ),
            seed_mean(
                f"exponent of the loss in steps, against that of the sum over {self.n_tasks} tasks",
                "docs/quanta.md",
                -slope(measured.size[inside], law),
                slopes,
                self.exponent_tolerance,
                text,
                about,
            ),
            seed_mean(
                "exponent of the loss in steps, against alpha/(1 + alpha) of infinitely many tasks",
                MICHAUD,
                limit,
                slopes,
                self.exponent_tolerance,
                text,
                about,
            ),
        ]

    def _plots(self, times: FloatArray, measured: LearningCurve) -> tuple[plots.Plot, ...]:
        return self._order_plot(times), *self._law_plots(measured, self._window(times))

    def _order_plot(self, times: FloatArray) -> plots.Plot:
        """Times of the tasks that all seeds learn."""
        finite = np.isfinite(times).all(axis=0)
        x = 1.0 / self.weight[finite]
        middle = np.exp(np.log(times[:, finite]).mean(axis=0))
        ends = [np.exp(intervals.seed_interval(np.log(t))) for t in times[:, finite].T]
        low, high = np.array(ends).reshape(-1, 2).T
        return plots.log_log(
            "quanta-time-order",
            f"{self.n_tasks} parities of {self.subset_size} of {self.n_bits} bits",
            "Steps until the loss of a task is half of chance, against 1/frequency.",
            ("1 / frequency of the task", "steps until learned"),
            [
                plots.points(
                    "tasks", x, middle, low, high, interval=plots.CONFIDENCE, n_seeds=len(times)
                ),
                plots.line(
                    "~ 1/frequency, from the first task", "theory", x, middle[:1] * x / x[:1]
                ),
            ],
            growth=True,
            figure="quanta-time",
        )

    def _law_plots(
        self, measured: LearningCurve, window: tuple[float, float]
    ) -> tuple[plots.Plot, plots.Plot]:
        """The loss and its local exponents, beside the sum of tasks that learn as the first."""
        assert measured.predicted is not None
        size, law = measured.size, LearningCurve(measured.size, measured.predicted[None])
        limit = self.rank_exponent / (1.0 + self.rank_exponent)
        loss = plots.log_log(
            "quanta-time-loss",
            f"Loss of {self.n_tasks} tasks, alpha = {self.rank_exponent:g}",
            "Stratified loss over chance against steps, and the sum of tasks that learn as the first.",
            ("steps", "loss / loss of chance"),
            [
                plots.curve("network", measured, prediction=AS_FIRST, how="mean"),
                plots.line(AS_FIRST, "theory", size, law.loss[0], group="network"),
            ],
            window,
            figure="quanta-time",
        )
        local = plots.log_linear(
            "quanta-time-local",
            "Local exponents",
            "Local exponents of the loss, of the finite sum, and of infinitely many tasks.",
            ("steps", "local exponent"),
            [
                plots.local("network", measured, smooth=True),
                plots.line(AS_FIRST, "theory", size, law.local(smooth=True), group="network"),
                plots.line("infinitely many tasks", "reference", size[[0, -1]], limit),
            ],
            window,
            figure="quanta-time",
        )
        return loss, local
