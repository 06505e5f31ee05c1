"""Are unions of parities learned only with their parts? Three curricula for one network."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.experiments import fields, plots
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row, SeedBySeed
from percolaw.experiments.fields import Range, Seeds, Tolerance
from percolaw.experiments.quanta.parity_students import (
    CHANCE,
    FloatArray,
    crossing_steps,
    evaluation_steps,
    stored,
    training,
)
from percolaw.experiments.seeds import seed_mean, seeds_of
from percolaw.neural.config import Student, Training
from percolaw.rng import Streams
from percolaw.scaling.curve import LearningCurve

NARROW = "Michaud et al. (2025)"
#: What is taught beside the unions.
CURRICULA = ("their parts", "nothing", "other parts")


@dataclass(frozen=True)
class QuantaComposite(SeedBySeed, NeedsTorch):
    """Losses of unions of two parities beside those of their parts, of other parts, or of nothing."""

    name: ClassVar[str] = "quanta-composite"
    title: ClassVar[str] = "Is a union of skills learned only together with its parts?"
    source: ClassVar[str] = "docs/quanta.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_parts": 2,
                "part_size": 2,
                "n_bits": 8,
                "width": 64,
                "per_task": 50,
                "n_tests": 8,
                "training": training(learning_rate=0.01, steps=120, batch_size=100),
            },
            "5 s",
            "0.7 GiB",
        ),
        "laptop": Preset({}, "1 min", "0.8 GiB"),
        "gpu": Preset(
            {
                "n_parts": 8,
                "part_size": 4,
                "n_bits": 64,
                "width": 512,
                "training": training(learning_rate=1e-3, steps=100_000, batch_size=10_000),
            },
            "30 min, estimated",
            "8 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent parts, networks and data."""
    n_parts: Annotated[int, Range(2, 12)] = 4
    """Atomic parities; all unions of two are taught, and as many others serve as a control."""
    part_size: Annotated[int, Range(1)] = 3
    """Bits of a part."""
    n_bits: Annotated[int, Range(4)] = 24
    """Bits of a sample, for twice as many parts."""
    width: Annotated[int, Range(1)] = 128
    """Units of a layer."""
    depth: Annotated[int, Range(1)] = 2
    """Hidden layers."""
    per_task: Annotated[int, Range(10)] = 200
    """Test points of each task."""
    n_tests: Annotated[int, Range(3)] = 30
    """Times at which students are tested, in equal ratios."""
    training: Training = training(learning_rate=0.01, steps=2000)  # noqa: RUF009 (frozen)
    """How students are trained."""
    share_tolerance: Tolerance = 0.1
    """Share of unions."""

    def __post_init__(self) -> None:
        fields.check(self)
        need = 2 * self.n_parts * self.part_size
        if need > self.n_bits:
            raise ValueError(
                f"n_bits must be 2 n_parts x part_size = {need} at least; got {self.n_bits}."
            )

    @property
    def unions(self) -> list[tuple[int, int]]:
        """Numbers of the two parts of every union."""
        return list(itertools.combinations(range(self.n_parts), 2))

    def measure(self, cell: Cell) -> list[Row]:
        """Train one student a curriculum, from the same weights; a row each."""
        from percolaw.datasets.parity import ParityStream, ParityTasks
        from percolaw.datasets.parity_tasks import composite_tasks
        from percolaw.neural.parity import ParityNetwork
        from percolaw.neural.tasks import train_tasks

        streams, n, m = Streams(cell["seed"]), self.n_parts, len(self.unions)
        codes = [*((i,) for i in range(2 * n)), *self.unions]
        every = composite_tasks(codes, np.ones(2 * n + m), self.n_bits, self.part_size, streams)
        students = []
        for taught in ([1.0] * n + [0.0] * n, [0.0] * (2 * n), [0.0] * n + [1.0] * n):
            weight = np.array([*taught, *[1.0] * m])
            tasks = ParityTasks(every.subset, weight, every.parts)
            stream = ParityStream(tasks, self.training.batch_size, streams)
            students.append(Student(cell["seed"], stream, [0]))
        test = every.test_set(self.per_task, streams)
        curves = train_tasks(
            ParityNetwork(every.n_tasks, self.n_bits, self.width, self.depth, every.parts),
            test.inputs(),
            test.targets(),
            test.task,
            students,
            self.training,
            evaluation_steps(20, self.training.steps, self.n_tests),
        )
        loss = curves.loss / CHANCE
        return [
            {**cell, "beside": name, "step": curves.step.tolist(), "loss": stored(loss[:, i])}
            for i, name in enumerate(CURRICULA)
        ]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Shares of unions learned by curriculum, and whether parts come first."""
        steps = seeds_of(rows, "step")[0]
        loss = {
            name: seeds_of([r for r in rows if r["beside"] == name], "loss") for name in CURRICULA
        }
        said = []
        for name, share in zip(CURRICULA, (1.0, 0.0, 0.0), strict=True):
            last = loss[name][:, -1, 2 * self.n_parts :]
            said.append(
                seed_mean(
                    f"share of unions learned beside {name}",
                    NARROW,
                    share,
                    (last < 0.5).mean(axis=1),
                    self.share_tolerance,
                    f"loss over chance {last.mean():.2f}",
                    {"learner": "network", "quantity": f"beside {name}"},
                )
            )
        taught = loss[CURRICULA[0]][:, -1]
        said.append(
            seed_mean(
                "share of unions that are learned if both their parts are, and not otherwise",
                NARROW,
                1.0,
                [self._as_parts(each < 0.5) for each in taught],
                self.share_tolerance,
                f"{(taught[:, : self.n_parts] < 0.5).mean():.0%} of the parts are learned",
                {"learner": "network", "quantity": "as parts"},
            )
        )
        after = [self._after(steps, each) for each in loss[CURRICULA[0]]]
        said.append(
            seed_mean(
                "share of unions that are learned after both their parts",
                NARROW,
                1.0,
                after,
                self.share_tolerance,
                "beside their parts",
                {"learner": "network", "quantity": "order"},
            )
        )
        return Conclusion(tuple(said), plots=self._plots(steps, loss))

    def _as_parts(self, learned: npt.NDArray[np.bool_]) -> float:
        """Share of unions that are known where both their parts are, or unknown where one is not.

        NaN if no union has both its parts known: not to be learned shows nothing then.
        """
        both = [learned[a] and learned[b] for a, b in self.unions]
        return float(np.mean(learned[2 * self.n_parts :] == both)) if any(both) else float("nan")

    def _after(self, steps: FloatArray, loss: FloatArray) -> float:
        """Share of the unions learned that come after their parts; NaN if none is learned."""
        time = crossing_steps(steps, loss, 0.5)
        parts, unions = time[: self.n_parts], time[2 * self.n_parts :]
        late = [
            t > parts[list(pair)].max()
            for t, pair in zip(unions, self.unions, strict=True)
            if np.isfinite(t)
        ]
        return float(np.mean(late)) if late else float("nan")

    def _plots(self, steps: FloatArray, loss: dict[str, FloatArray]) -> tuple[plots.Plot, ...]:
        n = self.n_parts
        curves = [(f"unions, beside {name}", loss[name][:, :, 2 * n :]) for name in CURRICULA]
        curves.insert(0, ("parts", loss[CURRICULA[0]][:, :, :n]))
        return (
            plots.log_linear(
                "quanta-composite",
                f"Unions of two of {n} parities of {self.part_size} of {self.n_bits} bits",
                "Loss over chance of parts and of unions against steps, by what else is taught.",
                ("steps", "loss / loss of chance"),
                [
                    plots.curve(text, LearningCurve(steps, each.mean(axis=2)), how="mean")
                    for text, each in curves
                ],
            ),
        )
