"""Kernel students on controlled teachers: the exponent 2 nu / D, and what other teachers give.

The exponent 2 nu / D is that of the loss expected over all Matérn fields of smoothness nu, which is the
posterior variance (`_expected`). Teachers that are drawn (`_drawn`) are learned by an infinitely wide
network, and Matérn fields among them also by their own kernel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.sources import Cube, InfiniteCluster, Manifold, Source, parse_source
from percolaw.experiments import claims, fields
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance
from percolaw.experiments.kernels import kernel_curves
from percolaw.experiments.kernels.kernel_curves import Learned, last_decade, local_exponents
from percolaw.rng import Streams
from percolaw.scaling import fit
from percolaw.scaling.curve import LearningCurve
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher, sharma_kaplan_teacher
from percolaw.targets.teacher import TeacherFamily

FloatArray = npt.NDArray[np.float64]
#: Rows by points, and by smoothness or by teacher and student.
RowsByCell: TypeAlias = dict[tuple[Any, ...], list[Row]]

#: The student whose kernel is `NeuralTangent`: NTK parametrisation, trained unit biases.
NETWORK = "infinitely wide network (NTK parametrisation)"
#: Settings on which all teachers are learned.
TEACHER_SETTINGS = (InfiniteCluster(16), Cube(4))
#: Outputs drawn of each teacher.
N_DRAWS = 4
#: The random functions of the write-up; Matérn fields are beside them.
RANDOM_FUNCTIONS = (
    LinearTeacher(N_DRAWS),
    ReluTeacher(1, 1000, n_outputs=N_DRAWS),
    ReluTeacher(8, 16, n_outputs=N_DRAWS),
    sharma_kaplan_teacher(N_DRAWS),
    FourierTeacher(n_outputs=N_DRAWS),
)


@dataclass(frozen=True)
class KernelScaling:
    """Matérn teachers of chosen smoothness on data of known dimension, learned by kernels."""

    name: ClassVar[str] = "kernel-scaling"
    title: ClassVar[str] = "Controlled teachers: kernel students have the exponent 2 nu / D"
    source: ClassVar[str] = "docs/theory.md, 6 and 7"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "largest": 600,
                "n_test": 200,
                "cluster_dims": (16,),
                "cube_dims": (1, 2),
                "teacher_settings": (Cube(2),),
            },
            "5 s",
            "0.7 GiB",
        ),
        "laptop": Preset({}, "4 min", "1.5 GiB"),
        "paper": Preset(
            {"n_seeds": 10, "largest": 10_000, "n_test": 1000}, "1.5 h, estimated", "4 GiB"
        ),
    }

    n_seeds: Seeds = 5
    """Independent samples and teachers of each setting."""
    smallest: Annotated[int, Range(5)] = 30
    """Smallest number of training points."""
    largest: Annotated[int, Range(1), Bytes(16.0, power=2.0)] = 4000
    """Largest number of training points."""
    n_sizes: Annotated[int, Range(3)] = 18
    """Training sizes, geometric."""
    n_test: Annotated[int, Range(1)] = 500
    """Test points."""
    smoothness: Annotated[tuple[float, ...], Range(0.01, 100.0)] = (0.5, 1.0, 1.5, 2.5)
    """nu of the Matérn teachers."""
    length_scale: Annotated[float, Range(1e-6)] = 1.0
    """Length scale of the Matérn teachers, in units of the root mean square norm of the inputs."""
    cluster_dims: Annotated[tuple[int, ...], Range(1), JUDGED] = (8, 16, 32, 64)
    """Embedding dimensions of the infinite cluster."""
    cube_dims: Annotated[tuple[int, ...], Range(1), JUDGED] = (1, 2, 3, 4, 5, 6)
    """Dimensions of the cubes."""
    lattices: Annotated[tuple[Source, ...], JUDGED] = ()
    """Clusters of real lattices: 'lattice d = 3, p_c', 'lattice d = 3, 1.3 p_c', ..."""
    teacher_settings: Annotated[tuple[Source, ...], JUDGED] = TEACHER_SETTINGS
    """Settings on which all teachers are learned by the infinitely wide network."""
    network_depth: Annotated[int, Range(1)] = 2
    """Hidden layers of the infinitely wide student (NTK parametrisation, trained unit biases)."""
    floor: Annotated[float, Range(0.0), JUDGED] = 1e-9
    """Losses below this are rounding; they are left out of the fits."""
    tolerance: Tolerance = 0.1
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""
    ratio_tolerance: Tolerance = 0.05
    """Deviation of drawn teachers' loss from the posterior variance that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        checks.integer(
            "largest (10 times smallest at least)", self.largest, minimum=10 * self.smallest
        )
        if self.teacher_settings == TEACHER_SETTINGS:  # the default follows the settings there are
            known = tuple(one for one in TEACHER_SETTINGS if one in self.settings())
            object.__setattr__(self, "teacher_settings", known)
        for one in self.lattices:
            if one.dimension is None:
                raise ValueError(
                    f"the dimension of {one} is not known, so no exponent is predicted."
                )
        for source in self.teacher_settings:
            checks.choice("teacher_settings", source.word, [one.word for one in self.settings()])

    def settings(self) -> tuple[Source, ...]:
        """Return every source of points."""
        sources: list[Source] = [InfiniteCluster(d) for d in self.cluster_dims]
        sources += [Cube(d) for d in self.cube_dims]
        return (*sources, *self.lattices) if self.lattices else (*sources, Manifold())

    def teachers(self) -> dict[str, TeacherFamily]:
        """Return every teacher by the word that rows have for it, of `N_DRAWS` outputs."""
        families: dict[str, TeacherFamily] = {one.word: one for one in RANDOM_FUNCTIONS}
        for nu in self.smoothness:
            law = MaternTeacher(nu, self.length_scale, n_outputs=N_DRAWS)
            families[MaternTeacher(nu).word] = law
        return families

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed: expected losses, or losses on drawn teachers."""
        units = [("expected", one.word) for one in self.settings()]
        units += [("teachers", one.word) for one in self.teacher_settings]
        return [
            {"kind": kind, "points": name, "seed": seed}
            for kind, name in units
            for seed in range(self.n_seeds)
        ]

    def sizes(self) -> npt.NDArray[np.int64]:
        """Return the training sizes."""
        return fit.geometric(self.smallest, self.largest, self.n_sizes)

    def points(self, source: Source, streams: Streams) -> tuple[FloatArray, FloatArray]:
        """Return training and test points, standardised together.

        Parameters
        ----------
        source : Source
        streams : Streams

        Returns
        -------
        train : array of float64, shape (largest, d)
        test : array of float64, shape (n_test, d)
        """
        points = source.inputs(self.largest + self.n_test, streams)
        return points[self.n_test :], points[: self.n_test]

    def measure(self, cell: Cell) -> list[Row]:
        """Measure learning curves; one row a smoothness, or a teacher and student."""
        source = parse_source(cell["points"])
        streams = Streams(cell["seed"]).child(*source.key)
        train, test = self.points(source, streams)
        cell = {**cell, "n": self.sizes().tolist()}
        if cell["kind"] == "expected":
            return [{**cell, "nu": nu, **self._expected(train, test, nu)} for nu in self.smoothness]
        return [{**cell, **row} for row in self._drawn(train, test, streams)]

    def _expected(self, train: FloatArray, test: FloatArray, nu: float) -> Row:
        from percolaw.learners.kernel import nested_curve
        from percolaw.numerics.covariance import Matern

        curve = nested_curve(
            Matern(nu, self.length_scale), train, np.zeros(train.shape[0]), test, self.sizes()
        )
        return {"loss": curve.variance.tolist(), "jitter": curve.jitter}

    def _drawn(self, train: FloatArray, test: FloatArray, streams: Streams) -> list[Row]:
        from percolaw.learners.kernel import nested_curve
        from percolaw.numerics.covariance import NeuralTangent

        values = self._values(np.concatenate([train, test]), streams)
        n = train.shape[0]
        students: dict[str, tuple[Any, list[str]]] = {
            NETWORK: (NeuralTangent(self.network_depth), list(values))
        }
        for name, teacher in self.teachers().items():
            if isinstance(teacher, MaternTeacher):
                students[matching(name)] = (teacher.covariance, [name])
        rows = []
        for student, (kernel, names) in students.items():
            y = np.concatenate([values[name] for name in names], axis=1)
            curve = nested_curve(kernel, train, y[:n], test, self.sizes())
            square = np.mean((curve.prediction - y[n:]) ** 2, axis=1)
            for i, name in enumerate(names):
                part = square[:, i * N_DRAWS : (i + 1) * N_DRAWS].mean(axis=1)
                rows.append({"teacher": name, "student": student, "loss": part.tolist()})
        return rows

    def _values(self, points: FloatArray, streams: Streams) -> dict[str, FloatArray]:
        """Values (n, N_DRAWS) of every teacher; all but the Matérn ones of variance 1 on the points."""
        values = {}
        for i, teacher in enumerate(RANDOM_FUNCTIONS):
            y = teacher.sample(points.shape[1], streams.child(1, i))(points)
            values[teacher.word] = (y - y.mean(axis=0)) / y.std(axis=0)
        for i, nu in enumerate(self.smoothness):
            law = MaternTeacher(nu, self.length_scale, n_outputs=N_DRAWS)
            field = law.on_points(points, streams.child(2, i), method="cholesky")
            values[MaternTeacher(nu).word] = field.value
        return values

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold every exponent against 2 nu / D, and drawn teachers against the expected loss."""
        cells: RowsByCell = {}
        for row in rows:
            kind = (row["teacher"], row["student"]) if "teacher" in row else (row["nu"],)
            cells.setdefault((row["points"], *kind), []).append(row)
        expected = {
            source: [self._expected_law(source, nu, cells) for nu in self.smoothness]
            for source in self.settings()
        }
        network = {
            source: [self._network_law(source, name, cells) for name in self.teachers()]
            for source in self.teacher_settings
        }
        every = [law.claim for laws in expected.values() for law in laws]
        for source, laws in network.items():
            every += [law.claim for law in laws]
            every += [self._ratio(source, nu, cells) for nu in self.smoothness]
        return Conclusion(
            tuple(claim for claim in every if claim is not None),
            plots=(
                kernel_curves.exponent_plot(expected),
                *kernel_curves.convergence_plots(expected),
                *kernel_curves.curve_plots(expected),
                *kernel_curves.teacher_plots(network, NETWORK),
            ),
        )

    def curve(self, rows: list[Row]) -> LearningCurve:
        """Return the losses of rows, used up to the first size at which they may be rounding."""
        loss = np.array([r["loss"] for r in rows])
        floor = max(self.floor, 1e3 * max(r.get("jitter", 0.0) for r in rows))
        usable = np.logical_and.accumulate(loss.mean(axis=0) > floor)
        return LearningCurve(self.sizes(), np.maximum(loss, 1e-300), usable)

    def _expected_law(self, source: Source, nu: float, cells: RowsByCell) -> Learned:
        curve = self.curve(cells[source.word, nu])
        law = Learned(f"nu = {nu:g}", 2.0 * nu, dimension(source), curve, last_decade(curve))
        about = {"source": source.word, "target": MaternTeacher(nu).word}
        return self._with_claim(law, f"{source}, nu = {nu:g}: exponent 2 nu/D", about)

    def _network_law(self, source: Source, teacher: str, cells: RowsByCell) -> Learned:
        """The tangent kernel is as smooth as a Matérn one of nu = 1/2: at the edge of the data such a
        student has c = 2 nu + D + 1 = D + 2 at most, however smooth the teacher (docs/theory.md).
        """
        order, big_d = self.teachers()[teacher].approximation_order, dimension(source)
        curve = self.curve(cells[source.word, teacher, NETWORK])
        if math.isinf(order):  # smooth, and no power to hold it against
            return Learned(teacher, math.nan, big_d, curve, last_decade(curve))
        order = min(order, big_d + 2.0)
        law = Learned(teacher, order, big_d, curve, last_decade(curve))
        about = {"source": source.word, "target": teacher, "learner": NETWORK}
        return self._with_claim(law, f"{source}, {teacher}, {NETWORK}: exponent {order:g}/D", about)

    def _with_claim(self, law: Learned, name: str, about: dict[str, str]) -> Learned:
        """Return a learning curve with the claim on its exponent."""
        local = local_exponents(law.curve)
        first, middle, last = (f"{local[i]:.2f}" for i in (1, len(local) // 2, -2))
        note = f"local exponents: {first} first, {middle} middle, {last} last"
        if law.line is None:
            usable = kernel_curves.n_used(law.curve)
            note = (
                f"too few sizes: {usable} of {law.curve.size.size} losses lie above {self.floor:g}, or a "
                "thousand times the jitter, and an exponent needs three in their last decade"
            )
        claim = claims.exponent(
            name,
            self.source,
            law.predicted,
            law.line,
            self.tolerance * law.predicted,
            note,
            about,
            rough=float(local[-1]),
        )
        return replace(law, claim=claim)

    def _ratio(self, source: Source, nu: float, cells: RowsByCell) -> Claim:
        """Loss on drawn fields over the posterior variance on the same points: 1 in the mean."""
        teacher = MaternTeacher(nu).word
        of_seed = {r["seed"]: np.array(r["loss"]) for r in cells[source.word, nu]}
        ratio = []
        for row in cells[source.word, teacher, matching(teacher)]:
            variance = of_seed[row["seed"]]
            above = variance > self.floor
            if above.any():
                ratio.append(float(np.mean(np.array(row["loss"])[above] / variance[above])))
        return claims.mean(
            f"{source}, {teacher} drawn: loss over posterior variance",
            "Gaussian processes; exact",
            1.0,
            ratio,
            self.ratio_tolerance,
            "" if ratio else f"too few: no posterior variance lies above {self.floor:g}",
            about={"source": source.word, "target": teacher, "quantity": "loss"},
        )


def matching(teacher: str) -> str:
    """Return the name of the student whose kernel is the teacher's covariance."""
    return f"{teacher} kernel"


def dimension(source: Source) -> float:
    """Return the dimension of a source that has one."""
    return math.nan if source.dimension is None else source.dimension
