"""Kernel students on controlled teachers: the exponent 2 nu / D, and what other teachers give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments import tasks
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.rng import Streams
from percolaw.scaling import fit, theory

FloatArray = npt.NDArray[np.float64]

#: The student whose kernel is `NeuralTangent`: NTK parametrisation, trained unit biases.
NETWORK = "infinitely wide network (NTK parametrisation)"
#: Settings on which all teachers are learned.
TEACHER_SETTINGS = ("cluster d = 16", "cube 4")
#: Outputs drawn of each teacher.
N_DRAWS = 4


@dataclass(frozen=True)
class KernelScaling:
    """Matérn teachers of chosen smoothness on data of known dimension, learned by kernels."""

    name: ClassVar[str] = "kernel-scaling"
    title: ClassVar[str] = "Controlled teachers: kernel students have the exponent 2 nu / D"
    source: ClassVar[str] = "docs/theory.md, 6 and 7"
    judged: ClassVar[tuple[str, ...]] = (
        "n_seeds",
        "cluster_dims",
        "cube_dims",
        "lattices",
        "teacher_settings",
        "floor",
        "tolerance",
        "ratio_tolerance",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "largest": 600,
                "n_test": 200,
                "cluster_dims": (16,),
                "cube_dims": (1, 2),
                "teacher_settings": ("cube 2",),
            },
            "5 s",
            "0.7 GiB",
        ),
        "laptop": Preset({}, "4 min", "1.5 GiB"),
        "paper": Preset(
            {"n_seeds": 10, "largest": 10_000, "n_test": 1000}, "1.5 h, estimated", "4 GiB"
        ),
    }

    n_seeds: int = 5
    """Independent samples and teachers of each setting."""
    smallest: int = 30
    """Smallest number of training points."""
    largest: int = 4000
    """Largest number of training points."""
    n_sizes: int = 18
    """Training sizes, geometric."""
    n_test: int = 500
    """Test points."""
    smoothness: tuple[float, ...] = (0.5, 1.0, 1.5, 2.5)
    """nu of the Matérn teachers."""
    length_scale: float = 1.0
    """Length scale of the Matérn teachers, in units of the root mean square norm of the inputs."""
    cluster_dims: tuple[int, ...] = (8, 16, 32, 64)
    """Embedding dimensions of the infinite cluster."""
    cube_dims: tuple[int, ...] = (1, 2, 3, 4, 5, 6)
    """Dimensions of the cubes."""
    lattices: tuple[str, ...] = ()
    """Clusters of real lattices: 'lattice d = 3, p_c', 'lattice d = 3, 1.3 p_c', ..."""
    teacher_settings: tuple[str, ...] = TEACHER_SETTINGS
    """Settings on which all teachers are learned by the infinitely wide network."""
    network_depth: int = 2
    """Hidden layers of the infinitely wide student (NTK parametrisation, trained unit biases)."""
    floor: float = 1e-9
    """Losses below this are rounding; they are left out of the fits."""
    tolerance: float = 0.1
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""
    ratio_tolerance: float = 0.05
    """Deviation of drawn teachers' loss from the posterior variance that counts as agreement."""

    def __post_init__(self) -> None:
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("smallest", self.smallest, minimum=5)
        checks.integer(
            "largest (10 times smallest at least)", self.largest, minimum=10 * self.smallest
        )
        checks.memory(
            16.0 * self.largest**2, f"kernels of {self.largest} points", "Lower --largest."
        )
        for nu in self.smoothness:
            checks.real("smoothness", nu, minimum=0.01, maximum=100.0)
        for d in (*self.cluster_dims, *self.cube_dims):
            checks.integer("cluster_dims and cube_dims", d, minimum=1)
        if self.teacher_settings == TEACHER_SETTINGS:  # the default follows the settings there are
            known = tuple(name for name in TEACHER_SETTINGS if name in self.settings())
            object.__setattr__(self, "teacher_settings", known)
        if len(set(self.teacher_settings)) < len(self.teacher_settings):
            raise ValueError(f"teacher_settings names one twice: {self.teacher_settings}.")
        for name in self.teacher_settings:
            checks.choice("teacher_settings", name, self.settings())

    def settings(self) -> dict[str, float]:
        """Return every setting and its dimension."""
        found = {f"cluster d = {d}": 4.0 for d in self.cluster_dims}
        found |= {f"cube {d}": float(d) for d in self.cube_dims}
        found |= {name: tasks.dimension(name) for name in self.lattices}
        return found if self.lattices else found | {"sphere 2 x cube 1": 3.0}

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed: expected losses, or losses on drawn teachers."""
        units = [("expected", name) for name in self.settings()]
        units += [("teachers", name) for name in self.teacher_settings]
        return [
            {"kind": kind, "points": name, "seed": seed}
            for kind, name in units
            for seed in range(self.n_seeds)
        ]

    def sizes(self) -> npt.NDArray[np.int64]:
        """Return the training sizes."""
        return fit.geometric(self.smallest, self.largest, self.n_sizes)

    def _points(self, name: str, streams: Streams) -> tuple[FloatArray, FloatArray]:
        """Training and test points, standardised together."""
        points = tasks.points(name, self.largest + self.n_test, streams)
        return points[self.n_test :], points[: self.n_test]

    def measure(self, cell: Cell) -> list[Row]:
        """Measure learning curves; one row a smoothness, or a teacher and student."""
        streams = Streams(cell["seed"]).child(*cell["points"].encode())
        train, test = self._points(cell["points"], streams)
        if cell["kind"] == "expected":
            return [{**cell, "nu": nu, **self._expected(train, test, nu)} for nu in self.smoothness]
        return [{**cell, **row} for row in self._drawn(train, test, streams)]

    def _expected(self, train: FloatArray, test: FloatArray, nu: float) -> Row:
        from percolaw.covariance import Matern
        from percolaw.learners.kernel import nested_curve

        curve = nested_curve(
            Matern(nu, self.length_scale), train, np.zeros(train.shape[0]), test, self.sizes()
        )
        return {"loss": curve.variance.tolist(), "jitter": curve.jitter}

    def _drawn(self, train: FloatArray, test: FloatArray, streams: Streams) -> list[Row]:
        from percolaw.covariance import Matern, NeuralTangent
        from percolaw.learners.kernel import nested_curve

        both = np.concatenate([train, test])
        values = self._targets(both, streams)
        n = train.shape[0]
        students: dict[str, tuple[Any, list[str]]] = {
            NETWORK: (NeuralTangent(self.network_depth), list(values))
        }
        for nu in self.smoothness:
            name = tasks.matern_name(nu)
            students[f"{name} kernel"] = (Matern(nu, self.length_scale), [name])
        rows = []
        for student, (kernel, names) in students.items():
            y = np.concatenate([values[name] for name in names], axis=1)
            curve = nested_curve(kernel, train, y[:n], test, self.sizes())
            square = np.mean((curve.prediction - y[n:]) ** 2, axis=1)
            for i, name in enumerate(names):
                part = square[:, i * N_DRAWS : (i + 1) * N_DRAWS].mean(axis=1)
                rows.append({"teacher": name, "student": student, "loss": part.tolist()})
        return rows

    def _targets(self, points: FloatArray, streams: Streams) -> dict[str, FloatArray]:
        """Values (n, N_DRAWS) of every teacher; all but the Matérn ones of variance 1 on the points."""
        from percolaw.targets.matern import MaternTeacher

        found = {}
        for i, (name, family) in enumerate(tasks.teachers(N_DRAWS).items()):
            y = family.sample(points.shape[1], streams.child(1, i))(points)
            found[name] = (y - y.mean(axis=0)) / y.std(axis=0)
        for i, nu in enumerate(self.smoothness):
            law = MaternTeacher(nu, self.length_scale, n_outputs=N_DRAWS)
            found[tasks.matern_name(nu)] = law.on_points(
                points, streams.child(2, i), method="cholesky"
            ).value
        return found

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold every exponent against 2 nu / D, and drawn teachers against the expected loss."""
        n, dimension = self.sizes(), self.settings()
        claims: list[Claim] = []
        curves, others = [], []
        for name, big_d in dimension.items():
            for nu in self.smoothness:
                found = [
                    r
                    for r in rows
                    if r["kind"] == "expected" and r["points"] == name and r["nu"] == nu
                ]
                curve = self._curve(n, found, theory.matern_exponent(nu, big_d))
                curves.append({"points": name, "dimension": big_d, "nu": nu, **curve})
                claims.append(self._claim(f"{name}, nu = {nu:g}: exponent 2 nu/D", curve))
        drawn = [r for r in rows if r["kind"] == "teachers"]
        for name in self.teacher_settings:
            for teacher, student in dict.fromkeys((r["teacher"], r["student"]) for r in drawn):
                found = [
                    r
                    for r in drawn
                    if r["points"] == name and (r["teacher"], r["student"]) == (teacher, student)
                ]
                order = tasks.approximation_order(teacher)
                if order and student == NETWORK:
                    order = min(order, dimension[name] + 2.0)
                predicted = order / dimension[name] if order else None
                curve = self._curve(n, found, predicted)
                others.append({"points": name, "teacher": teacher, "student": student, **curve})
                if predicted is not None and student == NETWORK:
                    claims.append(
                        self._claim(f"{name}, {teacher}, {student}: exponent {order:g}/D", curve)
                    )
                elif predicted is not None:
                    claims.append(self._ratio(n, name, teacher, found, rows))
        return Conclusion(
            tuple(claims),
            {"n": n.tolist(), "curves": curves, "teachers": others, "n_seeds": self.n_seeds},
        )

    def _curve(
        self, n: npt.NDArray[np.int64], rows: list[Row], predicted: float | None
    ) -> dict[str, Any]:
        """Curve over seeds, with the fit on the last decade above the floor."""
        loss = np.array([r["loss"] for r in rows])
        mean = loss.mean(axis=0)
        usable = mean > max(self.floor, 1e3 * max(r.get("jitter", 0.0) for r in rows))
        last = int(np.argmin(usable)) if not usable.all() else n.size
        exponent: float | None = None
        interval: tuple[float | None, float | None] = (None, None)
        window: tuple[float, float] | None = None
        if last > 2 and n[last - 1] >= 10 * n[0]:
            high = float(n[last - 1])
            # The last decade, from the nearest size below.
            window = (float(n[n <= high / 10.0][-1]), high)
            line = fit.fit_power_law(n[:last], np.maximum(loss[:, :last], 1e-300), window=window)
            exponent, interval = line.exponent, line.interval
        local = fit.local_exponents(n[: max(last, 2)], np.maximum(mean[: max(last, 2)], 1e-300))
        return {
            "mean": mean.tolist(),
            "low": np.quantile(loss, 0.16, axis=0).tolist(),
            "high": np.quantile(loss, 0.84, axis=0).tolist(),
            "local": local.tolist(),
            "exponent": exponent,
            "interval": list(interval),
            "window": window,
            "predicted": predicted,
        }

    def _claim(self, name: str, curve: dict[str, Any]) -> Claim:
        local, predicted = curve["local"], curve["predicted"]
        if curve["exponent"] is None:
            return judge(
                name,
                self.source,
                predicted,
                local[-1],
                (-np.inf, np.inf),
                self.tolerance * predicted,
                f"less than a decade lies above {self.floor:g}, where rounding begins",
            )
        middle = len(local) // 2
        note = f"local exponents: {local[1]:.2f} first, {local[middle]:.2f} middle, {local[-2]:.2f} last"
        return judge(
            name,
            self.source,
            predicted,
            curve["exponent"],
            curve["interval"],
            self.tolerance * predicted,
            note,
        )

    def _ratio(
        self, n: npt.NDArray[np.int64], name: str, teacher: str, found: list[Row], rows: list[Row]
    ) -> Claim:
        """Loss on drawn fields over the posterior variance on the same points: 1 in the mean."""
        nu = float(teacher.split()[-1])
        expected = {
            r["seed"]: np.array(r["loss"])
            for r in rows
            if r["kind"] == "expected" and r["points"] == name and r["nu"] == nu
        }
        ratio = np.array(
            [
                float(np.mean(np.array(r["loss"])[e > self.floor] / e[e > self.floor]))
                for r in found
                for e in (expected[r["seed"]],)
            ]
        )
        return judge(
            f"{name}, {teacher} drawn: loss over posterior variance",
            "Gaussian processes; exact",
            1.0,
            float(ratio.mean()),
            fit.seed_interval(ratio),
            self.ratio_tolerance,
        )
