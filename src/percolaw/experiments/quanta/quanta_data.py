"""Samples that a task takes, and whether all take the same: a network, a kernel, elimination."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np

from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.fields import Range, Rising, Tolerance
from percolaw.experiments.quanta import data_conclusions
from percolaw.experiments.quanta.parity_students import (
    CHANCE,
    LEARNED,
    FloatArray,
    ParityExperiment,
    evaluation_steps,
    stored,
    training,
)
from percolaw.neural.config import Student, Training
from percolaw.rng import Streams

if TYPE_CHECKING:
    from percolaw.datasets.parity import ParitySamples, ParityTasks

#: Samples of the rarest task beyond log2(subsets): that some subset is left has probability 2^-this.
ENOUGH = 20


@dataclass(frozen=True)
class QuantaData(ParityExperiment):
    """Errors of every task by the number of samples of all, for learners of three kinds."""

    name: ClassVar[str] = "quanta-data"
    title: ClassVar[str] = "Does every task take the same number of samples?"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_tasks": 6,
                "n_bits": 8,
                "subset_size": 2,
                "sizes": (60, 120, 250, 500, 1000),
                "kernel_sizes": (10, 30, 100),
                "n_repeats": 20,
                "width": 32,
                "per_task": 50,
                "n_tests": 4,
                "training": training(steps=160, batch_size=100),
            },
            "5 s",
            "0.7 GiB",
        ),
        "laptop": Preset({}, "2 min", "0.9 GiB"),
        "gpu": Preset(
            {
                "n_tasks": 500,
                "n_bits": 100,
                "sizes": (10_000, 40_000, 160_000, 640_000, 2_500_000),
                "kernel_sizes": (100, 1000, 10_000),
                "width": 500,
                "per_task": 1000,
                "training": training(learning_rate=1e-3, steps=100_000, batch_size=20_000),
            },
            "5 h, estimated",
            "24 GiB",
        ),
    }

    n_tasks: Annotated[int, Range(3)] = 16
    """K."""
    sizes: Annotated[tuple[int, ...], Range(10), Rising(3)] = (500, 1000, 2000, 4000, 8000, 16_000)
    """Training samples of all tasks together, rising; the smaller sets are parts of the larger ones."""
    kernel_sizes: Annotated[tuple[int, ...], Range(2), Rising(3)] = (
        50,
        100,
        200,
        300,
        450,
        700,
        1000,
        1500,
        2000,
    )
    """Samples of one task that the kernel is given, rising."""
    n_repeats: Annotated[int, Range(1)] = 40
    """Sets of samples on which elimination is tried."""
    width: Annotated[int, Range(1)] = 128
    """Units of the hidden layer."""
    n_tests: Annotated[int, Range(2)] = 14
    """Times at which networks are tested, in equal ratios; the one of least loss counts."""
    training: Training = training(  # noqa: RUF009 (frozen)
        steps=16_000, batch_size=250, weight_decay=0.1
    )
    """How networks are trained."""
    exponent_tolerance: Tolerance = 0.15
    """Of the exponents of thresholds and of the loss."""
    loss_tolerance: Tolerance = 0.2
    """Relative, of the losses of networks against the law."""
    exact_tolerance: Tolerance = 0.1
    """Relative, of elimination against its law."""
    sample_tolerance: Tolerance = 0.5
    """Samples, of the mean that elimination takes."""

    def measure(self, cell: Cell) -> list[Row]:
        """Teach all learners; a row of each learner and size, with errors task by task."""
        streams = Streams(cell["seed"])
        tasks = self.tasks(streams)
        drawn = tasks.sample(self.sizes[-1], streams)
        network = self._network(cell["seed"], tasks, drawn, streams)
        kernel = self._kernel(tasks, streams)
        rows = []
        for i, size in enumerate(self.sizes):
            count = np.bincount(drawn.task[:size], minlength=self.n_tasks)
            log_size = np.log(self.kernel_sizes)
            by_kernel = np.interp(np.log(np.maximum(count, 1)), log_size, kernel, left=0.5)
            for learner, error in (("network", network[i]), ("kernel", by_kernel)):
                rows.append({**cell, "learner": learner, "n_train": size, "error": stored(error)})
        known, needed = self._elimination(tasks, streams)
        least = self._kernel_threshold(kernel)
        exact = {"known": known.tolist(), "needed": needed.tolist(), "kernel": least}
        return [*rows, {**cell, "learner": "elimination", **exact}]

    def _network(
        self, seed: int, tasks: ParityTasks, drawn: ParitySamples, streams: Streams
    ) -> FloatArray:
        """Errors (n_sizes, n_tasks) of networks when their loss on other test samples was least."""
        from percolaw.neural.parity import ParityNetwork
        from percolaw.neural.tasks import train_tasks

        test = tasks.test_set(2 * self.per_task, streams)
        second = np.arange(test.n_samples) % 2  # of two test points one chooses and one counts
        curves = train_tasks(
            ParityNetwork(self.n_tasks, self.n_bits, self.width),
            np.concatenate([test.inputs(), drawn.inputs()]),
            np.concatenate([test.targets(), drawn.targets()]),
            test.task + self.n_tasks * second,
            [Student(seed, test.n_samples + np.arange(size), [0]) for size in self.sizes],
            self.training,
            evaluation_steps(50, self.training.steps, self.n_tests),
        )
        total = curves.loss[..., : self.n_tasks] / CHANCE @ tasks.weight
        best = np.nan_to_num(total, nan=np.inf).argmin(axis=0)
        return curves.error[best, np.arange(len(self.sizes)), self.n_tasks :]

    def _kernel_threshold(self, error: FloatArray) -> float | None:
        """Samples at which the kernel knows a task, between two sizes; None if that is not in them."""
        falling = np.minimum.accumulate(error)
        if not falling[-1] < LEARNED <= falling[0]:
            return None
        return float(np.interp(-LEARNED, -falling, self.kernel_sizes))

    def _kernel(self, tasks: ParityTasks, streams: Streams) -> FloatArray:
        """Errors (n_kernel_sizes,) of the tangent kernel of a ReLU network on samples of one task.

        Tasks have nothing in common for a kernel that is 0 between them, so one stands for all.
        """
        from percolaw.learners.kernel import nested_curve
        from percolaw.numerics.covariance import NeuralTangent

        bits = streams.generator("analysis").integers(
            0, 2, (self.kernel_sizes[-1] + 1000, self.n_bits)
        )
        label = tasks.labelled(np.zeros(len(bits), dtype=np.int64), bits).label
        x, y = 1.0 - 2.0 * bits, 1.0 - 2.0 * label
        n = self.kernel_sizes[-1]
        curve = nested_curve(NeuralTangent(depth=1), x[:n], y[:n], x[n:], self.kernel_sizes)
        wrong = np.sign(curve.prediction[..., 0]) != y[n:]
        return np.asarray(wrong.mean(axis=1))

    def _elimination(self, tasks: ParityTasks, streams: Streams) -> tuple[FloatArray, FloatArray]:
        """Samples of all, and of itself, after which each task is known: (n_repeats, n_tasks) each."""
        from percolaw.learners.subset_elimination import eliminate

        shape = (self.n_repeats, self.n_tasks)
        known, needed = np.empty(shape), np.empty(shape)
        subsets = math.comb(self.n_bits, self.subset_size)
        each = int(math.log2(subsets)) + ENOUGH
        n_samples = int(2 * each / tasks.weight.min())
        for repeat in range(self.n_repeats):
            drawn = tasks.sample(n_samples, streams.child(repeat))
            bits = drawn.bits()
            for task in range(self.n_tasks):
                place = np.flatnonzero(drawn.task == task)[: 2 * each]
                result = eliminate(bits[place], drawn.label[place], self.subset_size)
                n = result.n_needed
                needed[repeat, task] = math.nan if n is None else n
                known[repeat, task] = math.nan if n is None else place[max(n, 1) - 1] + 1
        return known, needed

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Thresholds of frequent and rare tasks; losses against finite sums and their exponents."""
        return data_conclusions.conclude(self, rows)
