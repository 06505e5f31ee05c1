"""Model scaling of trained networks in the limit of infinite data: every step sees fresh points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

from percolaw import checks
from percolaw.datasets.sources import Cube, FiniteCluster, InfiniteCluster, Source, parse_source
from percolaw.experiments import claims
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.fields import JUDGED, Range, Seeds, Tolerance, check
from percolaw.experiments.networks import convergence, neural, neural_scaling
from percolaw.experiments.networks.neural_scaling import Scaling
from percolaw.experiments.networks.sharma_kaplan import SHARMA_KAPLAN
from percolaw.neural.config import Training
from percolaw.neural.network import Network, n_parameters
from percolaw.rng import Streams
from percolaw.targets.families import standardized_values
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher
from percolaw.targets.teacher import TeacherFamily

#: Order of approximation that piecewise linear functions have at most (Sharma and Kaplan 2022).
PIECEWISE_LINEAR = 4.0
#: Waves that must carry what is not learned yet of a field made of waves.
LEAST_WAVES = 10.0
#: Waves of a Matérn field that is a function on all of space.
N_WAVES = 512
TEACHERS = (
    LinearTeacher(),
    ReluTeacher(1, 1000),
    ReluTeacher(8, 16),
    FourierTeacher(),
    MaternTeacher(0.5),
    MaternTeacher(1.5),
)
SETTINGS = (
    InfiniteCluster(8),
    InfiniteCluster(16),
    InfiniteCluster(32),
    FiniteCluster(8),
    FiniteCluster(16),
    FiniteCluster(32),
    Cube(2),
    Cube(4),
)


@dataclass(frozen=True)
class NnModelScaling:
    """Test loss of networks against their number of parameters, on endless data of known dimension."""

    name: ClassVar[str] = "nn-model-scaling"
    title: ClassVar[str] = (
        "Model scaling of neural networks on endless data: exponent c/D in parameters"
    )
    source: ClassVar[str] = "Sharma and Kaplan (2022); docs/neural.md"
    extra: ClassVar[tuple[str, str]] = ("torch", "nn")
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "settings": (Cube(2),),
                "teachers": (MaternTeacher(1.5),),
                "widths": (4, 8, 16, 32),
                "fit_from": 10,
                "n_validation": 200,
                "n_test": 200,
                "training": Training(learning_rate=0.01, steps=300, patience=1000),
            },
            "10 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "14 min", "1.5 GiB"),
        "sharma-kaplan": Preset(SHARMA_KAPLAN, "5 min", "1.5 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 10,
                "widths": (4, 8, 16, 32, 64, 128, 256, 512),
                "training": Training(
                    learning_rate=0.01, steps=10_000, batch_size=512, patience=100_000
                ),
            },
            "6 h, estimated",
            "32 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent streams of points, teachers and students of each setting."""
    widths: tuple[int, ...] = (4, 6, 8, 12, 16, 24, 32, 48)
    """Units of a layer."""
    depth: int = 3
    """Hidden layers, or blocks."""
    architecture: neural.Architecture = "mlp"
    """mlp, residual (MLP), or transformer."""
    n_validation: Annotated[int, Range(1)] = 1000
    """Points that choose the weights kept."""
    n_test: Annotated[int, Range(1)] = 4000
    """Points on which the loss is measured."""
    settings: Annotated[tuple[Source, ...], JUDGED] = SETTINGS
    """Points: 'cluster d = 16', 'finite cluster d = 16', 'cube 4', 'masked cube 4', ..."""
    teachers: tuple[TeacherFamily, ...] = TEACHERS
    """Teachers on every setting."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01, steps=3000, patience=100_000
    )
    """How students are trained; every step sees points that no step saw before."""
    fit_from: Annotated[int, Range(1), JUDGED] = 40
    """Numbers of inner parameters (all but the weights of coordinates, which grow with the embedding
    dimension and not with D) below which nothing is fitted."""
    tolerance: Tolerance = 0.15
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""

    def __post_init__(self) -> None:
        check(self)
        neural.check_sources("settings", self.settings)
        neural.check_names("teachers", self.teachers)
        for width in self.widths:
            neural.student_network(self.architecture, self.depth, width)
        if len(self.widths) < 3 or list(self.widths) != sorted(set(self.widths)):
            raise ValueError(f"widths must rise, three at least; got {self.widths}.")

    def _n_points(self, doubled: bool) -> int:
        steps = (2 if doubled else 1) * self.training.steps
        return steps * self.training.batch_size + self.n_validation + self.n_test

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed, or the doubled budget on one."""
        return [
            {"kind": kind, "points": source.word, "seed": seed}
            for source in self.settings
            for kind, seeds in neural.budgets(self.n_seeds)
            for seed in seeds
        ]

    def doubled_widths(self) -> list[int]:
        """Return the widths whose budget is also doubled: the largest and the middle one."""
        return sorted({self.widths[len(self.widths) // 2], self.widths[-1]})

    def measure(self, cell: Cell) -> list[Row]:
        """Train all widths, the teachers of each as one batch; one row a teacher and width."""
        source = parse_source(cell["points"])
        streams = Streams(cell["seed"]).child(*source.key)
        doubled = cell["kind"] == "doubled"
        # Always as many points as the doubled budget needs: of a finite cluster, another number would
        # be other points.
        n_points = self._n_points(True)
        checks.memory(
            60.0 * n_points * 40,
            f"{n_points} points, one for every step",
            "Lower --training.steps, --training.batch-size or --workers.",
        )
        x = source.sized_for(self._n_points(False)).inputs(n_points, streams)
        x = x[: self._n_points(doubled)]
        y = standardized_values(self.teachers, x, streams, n_waves=N_WAVES)
        parts = neural.parts(x.shape[0], self.n_test, self.n_validation)
        task = neural.Problem(streams, x, y, *parts)
        training = self.training.doubled() if doubled else self.training
        rows = []
        for width in self.doubled_widths() if doubled else self.widths:
            network = neural.student_network(self.architecture, self.depth, width)
            students = task.students(cell["seed"])
            _, batch = neural.train_and_test(network, x, y, students, training, task.test)
            for row, teacher in zip(batch, self.teachers, strict=True):
                size = {
                    "width": width,
                    "n_parameters": n_parameters(network, x.shape[1]),
                    "n_inner": _n_inner_parameters(network, x.shape[1]),
                }
                rows.append({**cell, "teacher": teacher.word, **size, **row})
        return rows

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold every exponent in the number of parameters against c/D."""
        scalings = [
            self._scaling(source, target, rows)
            for source in self.settings
            for target in self.teachers
        ]
        title = f"Networks, model scaling, {self.n_seeds} seeds"
        drawn = (
            neural_scaling.exponents_plot(self.name, title, scalings),
            *neural_scaling.curves_plots(
                self.name, "parameters P beyond the first weights", scalings
            ),
        )
        every = tuple(claim for one in scalings for claim in one.claims)
        return Conclusion(every, {"gaps": neural_scaling.gap_table(scalings)}, drawn)

    def _scaling(self, source: Source, target: TeacherFamily, rows: list[Row]) -> Scaling:
        """Claims on one curve: c/D, and of ReLU teachers 4/D."""
        measured, doubled = convergence.trained_and_doubled(rows, source, target)
        predicted = neural.predicted_exponent(source, target, PIECEWISE_LINEAR)
        fastest = PIECEWISE_LINEAR / neural.known_dimension(source)
        shift = self.tolerance * (predicted or fastest)
        largest = max(r["n_inner"] for r in measured)
        allowed = convergence.allowed_gap(largest, self.fit_from, shift)
        # Below this a field of waves is a handful of them, and smooth.
        waves = LEAST_WAVES / N_WAVES if isinstance(target, MaternTeacher) else 0.0
        curve = convergence.learning_curve(measured, doubled, "n_inner", allowed, waves)
        line = curve.fit((float(self.fit_from), math.inf))
        local = ", ".join(f"{v:.2f}" for v in curve.local() if math.isfinite(v))
        orders = [] if predicted is None else [("c/D", "docs/theory.md, 9", predicted)]
        if isinstance(target, ReluTeacher):  # their claim is for every teacher of theirs
            orders.append(("4/D", "Sharma and Kaplan (2022)", fastest))
        every = [
            claims.exponent(
                f"{source}, {target}: exponent {text} in parameters",
                origin,
                value,
                line,
                self.tolerance * value,
                convergence.fit_note(line, f"local exponents {local}"),
                {"source": source.label, "target": target.label, "learner": self.architecture},
                rough=convergence.rough_exponent(curve),
            )
            for text, origin, value in orders
        ]
        gap = convergence.gaps(measured, doubled, "n_inner")
        return Scaling(source, target, curve, line, predicted, tuple(every), gap)


def _n_inner_parameters(network: Network, dim: int) -> int:
    """The parameters beside those whose number grows with the columns of the inputs."""
    grow = ("weight 0", "position")
    return sum(p.size for name, p in network.parameters(dim).items() if name not in grow)
