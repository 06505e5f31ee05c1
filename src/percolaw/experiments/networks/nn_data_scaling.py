"""Data scaling of trained networks, with tangent kernels of infinitely wide ones beside them.

The reference of every claim is the tangent kernel of an infinitely wide MLP in the NTK parametrisation
with trained unit biases, whatever the architecture. MLPs of ReLU are also held against the limit of
their own parametrisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw import checks
from percolaw.datasets.sources import (
    Cube,
    FiniteCluster,
    InfiniteCluster,
    Manifold,
    Source,
    parse_source,
)
from percolaw.experiments import claims
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance, check
from percolaw.experiments.networks import convergence, neural, neural_scaling
from percolaw.experiments.networks.neural_scaling import Scaling
from percolaw.neural.config import Training
from percolaw.numerics.covariance import Covariance
from percolaw.scaling import fit
from percolaw.scaling.curve import LearningCurve
from percolaw.targets.families import parse_target
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher, sharma_kaplan_teacher
from percolaw.targets.teacher import TeacherFamily

#: Teachers learned on the first setting, and on all of them.
ALL_TEACHERS = (
    LinearTeacher(),
    ReluTeacher(1, 1000),
    ReluTeacher(8, 16),
    sharma_kaplan_teacher(),
    FourierTeacher(),
    MaternTeacher(0.5),
    MaternTeacher(1.5),
)
SOME_TEACHERS = (ReluTeacher(1, 1000), MaternTeacher(0.5), MaternTeacher(1.5))
SETTINGS = (
    InfiniteCluster(16),
    InfiniteCluster(8),
    InfiniteCluster(32),
    FiniteCluster(8),
    FiniteCluster(16),
    FiniteCluster(32),
    Cube(2),
    Cube(4),
    Manifold((("sphere", 2), ("cube", 1))),
)


@dataclass(frozen=True)
class NnDataScaling(NeedsTorch):
    """Test loss of networks against the number of training points, on data of known dimension."""

    name: ClassVar[str] = "nn-data-scaling"
    title: ClassVar[str] = "Data scaling of neural networks: exponent c/D, and tangent kernels"
    source: ClassVar[str] = "docs/neural.md; docs/theory.md, 7"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "smallest": 20,
                "largest": 250,
                "n_sizes": 4,
                "fit_from": 20,
                "n_test": 200,
                "n_validation": 200,
                "settings": (InfiniteCluster(16),),
                "teachers": (LinearTeacher(), MaternTeacher(0.5)),
                "width": 32,
                "training": Training(learning_rate=0.01, steps=300, patience=3),
            },
            "10 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "10 min", "1.5 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 10,
                "largest": 10_000,
                "n_sizes": 8,
                "width": 512,
                "teachers_elsewhere": ALL_TEACHERS,
                "training": Training(learning_rate=0.01, steps=40_000, batch_size=512),
            },
            "6 h, estimated",
            "8 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent samples, teachers and students of each setting."""
    smallest: Annotated[int, Range(5)] = 30
    """Smallest number of training points."""
    largest: Annotated[int, Range(1), Bytes(44.0)] = 3000
    """Largest number of training points."""
    n_sizes: Annotated[int, Range(3)] = 5
    """Training sizes, geometric."""
    n_validation: Annotated[int, Range(1)] = 1000
    """Points that stop the training and choose the weights kept."""
    n_test: Annotated[int, Range(1)] = 1000
    """Points on which the loss is measured."""
    settings: Annotated[tuple[Source, ...], JUDGED] = SETTINGS
    """Points: 'cluster d = 16', 'finite cluster d = 16', 'cube 4', 'masked cube 4', ..."""
    teachers: tuple[TeacherFamily, ...] = ALL_TEACHERS
    """Teachers on the first setting."""
    teachers_elsewhere: tuple[TeacherFamily, ...] = SOME_TEACHERS
    """Teachers on the others."""
    architecture: neural.Architecture = "mlp"
    """mlp, residual (MLP), or transformer."""
    depth: int = 3
    """Hidden layers, or blocks."""
    width: int = 64
    """Units of a layer."""
    training: Training = Training(learning_rate=0.01, steps=6000)  # noqa: RUF009 (frozen)
    """How students are trained."""
    fit_from: Annotated[int, Range(1), JUDGED] = 90
    """Sizes below are left out of the fits."""
    tolerance: Tolerance = 0.1
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""

    def __post_init__(self) -> None:
        check(self)
        checks.integer("largest", self.largest, minimum=10 * self.smallest)
        neural.student_network(self.architecture, self.depth, self.width)
        neural.check_sources("settings", self.settings)
        neural.check_names("teachers", self.teachers)
        neural.check_names("teachers_elsewhere", self.teachers_elsewhere)

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed, or the doubled budget on one."""
        return [
            {"kind": kind, "points": source.word, "seed": seed}
            | {"teachers": [target.word for target in self._teachers(source)]}
            for source in self.settings
            for kind, seeds in neural.budgets(self.n_seeds)
            for seed in seeds
        ]

    def _teachers(self, source: Source) -> tuple[TeacherFamily, ...]:
        return self.teachers if source == self.settings[0] else self.teachers_elsewhere

    def sizes(self) -> list[int]:
        """Return the training sizes."""
        return fit.geometric(self.smallest, self.largest, self.n_sizes).tolist()

    def doubled_sizes(self) -> list[int]:
        """Return the sizes at which the budget is also doubled: the largest and the middle one."""
        sizes = self.sizes()
        return sorted({sizes[len(sizes) // 2], sizes[-1]})

    def measure(self, cell: Cell) -> list[Row]:
        """Train all sizes and teachers as one batch; one row a teacher and size."""
        names, doubled = cell["teachers"], cell["kind"] == "doubled"
        task = neural.problem(
            parse_source(cell["points"]),
            [parse_target(name) for name in names],
            cell["seed"],
            n_train=self.largest,
            n_validation=self.n_validation,
            n_test=self.n_test,
        )
        sizes = self.doubled_sizes() if doubled else self.sizes()
        training = self.training.doubled() if doubled else self.training
        network = neural.student_network(self.architecture, self.depth, self.width)
        students = task.students(cell["seed"], sizes)
        _, rows = neural.train_and_test(network, task.x, task.y, students, training, task.test)
        beside = {} if doubled else self._kernels(task)
        shared = {k: cell[k] for k in ("kind", "points", "seed")}
        for row, (j, i) in zip(rows, np.ndindex(len(names), len(sizes)), strict=True):
            row |= shared | {"teacher": names[j], "n": sizes[i]}
            row |= {key: float(loss[i, j]) for key, loss in beside.items()}
        return rows

    def _kernels(self, task: neural.Problem) -> dict[str, neural.FloatArray]:
        """Losses (n_sizes, n_teachers) on the same data: of the NTK, and of an MLP's own limit."""
        from percolaw.learners.kernel import nested_curve
        from percolaw.neural.limit import tangent_limit
        from percolaw.numerics.covariance import NeuralTangent

        kernels: dict[str, Covariance] = {"wide": NeuralTangent(self.depth)}
        if self.architecture == "mlp":
            network = neural.student_network(self.architecture, self.depth, self.width)
            kernels["own"] = tangent_limit(network)
        x, y, pool, test = task.x, task.y, task.pool, task.test
        losses = {}
        for key, kernel in kernels.items():
            curve = nested_curve(kernel, x[pool], y[pool], x[test], self.sizes())
            losses[key] = np.asarray(np.mean((curve.prediction - y[test]) ** 2, axis=1))
        return losses

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold every exponent against c/D, and against the tangent kernels'."""
        scalings = [
            self._scaling(source, target, rows)
            for source in self.settings
            for target in self._teachers(source)
        ]
        title = f"Networks, data scaling, {self.n_seeds} seeds"
        drawn = (
            neural_scaling.exponents_plot(self.name, title, scalings),
            *neural_scaling.curves_plots(self.name, "training points n", scalings),
            *neural_scaling.ratio_plots(self.name, "training points n", scalings),
        )
        every = tuple(claim for one in scalings for claim in one.claims)
        return Conclusion(every, {"gaps": neural_scaling.gap_table(scalings)}, drawn)

    def _scaling(self, source: Source, target: TeacherFamily, rows: list[Row]) -> Scaling:
        """Claims on one curve: its exponent, and what it is less those of the kernels."""
        measured, doubled = convergence.trained_and_doubled(rows, source, target)
        window = (float(self.fit_from), math.inf)
        kernels = {
            key: convergence.losses(measured, "n", key)
            for key in neural.KERNELS
            if all(key in r for r in measured)
        }
        limit = kernels["wide"].fit(window)
        # The edge of the data gives a student of finite smoothness D + 2 at most.
        most = neural.known_dimension(source) + 2.0
        predicted = neural.predicted_exponent(source, target, most)
        shift = self.tolerance * abs(predicted or (limit.exponent if limit else 0.0))
        allowed = convergence.allowed_gap(self.sizes()[-1], self.fit_from, shift)
        curve = convergence.learning_curve(measured, doubled, "n", allowed)
        line = curve.fit(window)
        about = {"source": source.label, "target": target.label, "learner": self.architecture}
        every = []
        if predicted is not None:
            over = curve.over(kernels["wide"]).fit(window)
            tolerance, local = self.tolerance * predicted, kernels["wide"].local()
            every.append(
                claims.exponent(
                    f"{source}, {target}: exponent c/D",
                    self.source,
                    predicted,
                    line,
                    tolerance,
                    convergence.fit_note(
                        line,
                        convergence.cause(predicted, line, limit, over, local, tolerance),
                        curve,
                    ),
                    about,
                    rough=convergence.rough_exponent(curve),
                )
            )
        every += [
            self._against_kernel(key, curve, kernel, predicted, about)
            for key, kernel in kernels.items()
        ]
        return Scaling(
            *(source, target, curve, line, predicted, tuple(every)),
            gap=convergence.gaps(measured, doubled, "n"),
            kernels=kernels,
            limit=limit,
        )

    def _kernel(self, key: str) -> str:
        """Name of a reference kernel, which says so where it is not one of the students."""
        other = " of an MLP, no transformer" if self.architecture == "transformer" else ""
        return neural.KERNELS[key] + other

    def _against_kernel(
        self,
        key: str,
        curve: LearningCurve,
        kernel: LearningCurve,
        predicted: float | None,
        about: dict[str, str],
    ) -> claims.Claim:
        """Hold the exponent of the ratio to a kernel's loss, seed by seed, against 0."""
        window = (float(self.fit_from), math.inf)
        line, ratio = kernel.fit(window), curve.over(kernel)
        over = ratio.fit(window)
        more = f"which has {line.exponent:.2f} on the same points and teachers" if line else ""
        return claims.exponent(
            f"{about['source']}, {about['target']}: exponent less that of the {self._kernel(key)}",
            "docs/neural.md",
            0.0,
            over,
            self.tolerance * abs(predicted or (line.exponent if line else 1.0)),
            convergence.fit_note(over, more),
            {**about, "quantity": f"exponent less {key}"},
            rough=convergence.rough_exponent(ratio),
        )
