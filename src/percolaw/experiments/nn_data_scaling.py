"""Data scaling of trained networks, with tangent kernels of infinitely wide ones beside them.

The reference of every claim is the tangent kernel of an infinitely wide MLP in the NTK parametrisation
with trained unit biases, whatever the architecture. MLPs of ReLU are also held against the limit of
their own parametrisation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.covariance import Covariance
from percolaw.experiments import neural, tasks
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim
from percolaw.learners.neural.config import Student, Training
from percolaw.rng import Streams
from percolaw.scaling import fit

#: Teachers learned on the first setting, and on all of them.
ALL_TEACHERS = (
    "linear",
    "ReLU 1 x 1000",
    "ReLU 8 x 16",
    "ReLU 2 x 600, no biases",
    "Fourier",
    "Matérn 0.5",
    "Matérn 1.5",
)
SOME_TEACHERS = ("ReLU 1 x 1000", "Matérn 0.5", "Matérn 1.5")
SETTINGS = (
    "cluster d = 16",
    "cluster d = 8",
    "cluster d = 32",
    "finite cluster d = 8",
    "finite cluster d = 16",
    "finite cluster d = 32",
    "cube 2",
    "cube 4",
    "sphere 2 x cube 1",
)


@dataclass(frozen=True)
class NnDataScaling:
    """Test loss of networks against the number of training points, on data of known dimension."""

    name: ClassVar[str] = "nn-data-scaling"
    title: ClassVar[str] = "Data scaling of neural networks: exponent c/D, and tangent kernels"
    source: ClassVar[str] = "docs/neural.md; docs/theory.md, 7"
    extra: ClassVar[tuple[str, str]] = ("torch", "nn")
    judged: ClassVar[tuple[str, ...]] = (
        "n_seeds",
        "settings",
        "fit_from",
        "tolerance",
    )
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
                "settings": ("cluster d = 16",),
                "teachers": ("linear", "Matérn 0.5"),
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

    n_seeds: int = 5
    """Independent samples, teachers and students of each setting."""
    smallest: int = 30
    """Smallest number of training points."""
    largest: int = 3000
    """Largest number of training points."""
    n_sizes: int = 5
    """Training sizes, geometric."""
    n_validation: int = 1000
    """Points that stop the training and choose the weights kept."""
    n_test: int = 1000
    """Points on which the loss is measured."""
    settings: tuple[str, ...] = SETTINGS
    """Points: 'cluster d = 16', 'finite cluster d = 16', 'cube 4', 'masked cube 4', ..."""
    teachers: tuple[str, ...] = ALL_TEACHERS
    """Teachers on the first setting."""
    teachers_elsewhere: tuple[str, ...] = SOME_TEACHERS
    """Teachers on the others."""
    architecture: neural.Architecture = "mlp"
    """mlp, residual (MLP), or transformer."""
    depth: int = 3
    """Hidden layers, or blocks."""
    width: int = 64
    """Units of a layer."""
    training: Training = Training(learning_rate=0.01, steps=6000)  # noqa: RUF009 (frozen)
    """How students are trained."""
    fit_from: int = 90
    """Sizes below are left out of the fits."""
    tolerance: float = 0.1
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""

    def __post_init__(self) -> None:
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("smallest", self.smallest, minimum=5)
        checks.integer("largest", self.largest, minimum=10 * self.smallest)
        checks.integer("n_sizes", self.n_sizes, minimum=3)
        checks.integer("n_validation", self.n_validation, minimum=1)
        checks.integer("n_test", self.n_test, minimum=1)
        neural.student_network(self.architecture, self.depth, self.width)
        for name in self.settings:
            tasks.dimension(name)
        for name in (*self.teachers, *self.teachers_elsewhere):
            tasks.matern_smoothness(name)
        neural.check_names("settings", self.settings)
        neural.check_names("teachers", self.teachers)
        neural.check_names("teachers_elsewhere", self.teachers_elsewhere)

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed, or the doubled budget on one."""
        seeds = range(self.n_seeds)
        return [
            {"kind": kind, "points": name, "seed": seed, "teachers": list(self._teachers(name))}
            for name in self.settings
            for kind, some in (("train", seeds), ("doubled", [neural.DOUBLED_SEED]))
            for seed in some
        ]

    def _teachers(self, setting: str) -> tuple[str, ...]:
        return self.teachers if setting == self.settings[0] else self.teachers_elsewhere

    def sizes(self) -> list[int]:
        """Return the training sizes."""
        return fit.geometric(self.smallest, self.largest, self.n_sizes).tolist()

    def doubled_sizes(self) -> list[int]:
        """Return the sizes at which the budget is also doubled: the largest and the middle one."""
        sizes = self.sizes()
        return sorted({sizes[len(sizes) // 2], sizes[-1]})

    def measure(self, cell: Cell) -> list[Row]:
        """Train all sizes and teachers as one batch; one row a teacher and size."""
        streams = Streams(cell["seed"]).child(*cell["points"].encode())
        held = self.n_validation + self.n_test
        x = tasks.points(cell["points"], self.largest + held, streams)
        names = tuple(cell["teachers"])
        y = tasks.values(names, x, streams)
        test, validation, pool = neural.parts(x.shape[0], self.n_test, self.n_validation)
        doubled = cell["kind"] == "doubled"
        sizes = self.doubled_sizes() if doubled else self.sizes()
        students = [
            Student(cell["seed"], pool[:n], validation, target=j)
            for j in range(len(names))
            for n in sizes
        ]
        training = self.training.doubled() if doubled else self.training
        network = neural.student_network(self.architecture, self.depth, self.width)
        _, found = neural.train_and_test(network, x, y, students, training, test)
        beside = {} if doubled else self._references(x, y, pool, test)
        shared = {k: cell[k] for k in ("kind", "points", "seed")}
        for row, (j, i) in zip(found, np.ndindex(len(names), len(sizes)), strict=True):
            row |= shared | {"teacher": names[j], "n": sizes[i]}
            row |= {key: float(loss[i, j]) for key, loss in beside.items()}
        return found

    def _references(
        self, x: Any, y: Any, pool: Any, test: Any
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Losses (n_sizes, n_teachers) on the same data: of the NTK, and of an MLP's own limit."""
        from percolaw.covariance import NeuralTangent
        from percolaw.learners.kernel import nested_curve
        from percolaw.learners.neural.limit import tangent_limit

        kernels: dict[str, Covariance] = {"wide": NeuralTangent(self.depth)}
        if self.architecture == "mlp":
            network = neural.student_network(self.architecture, self.depth, self.width)
            kernels["own"] = tangent_limit(network)
        found = {}
        for key, kernel in kernels.items():
            curve = nested_curve(kernel, x[pool], y[pool], x[test], self.sizes())
            found[key] = np.asarray(np.mean((curve.prediction - y[test]) ** 2, axis=1))
        return found

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold every exponent against c/D, and against the tangent kernels'."""
        sizes, claims, curves = self.sizes(), [], []
        for points in self.settings:
            for teacher in self._teachers(points):
                own = [r for r in rows if (r["points"], r["teacher"]) == (points, teacher)]
                measured = [r for r in own if r["kind"] == "train"]
                doubled = [r for r in own if r["kind"] == "doubled"]
                limit = self._limit(measured, sizes)
                wide = neural.exponent(sizes, limit["loss"], limit["converged"], self.fit_from)
                order, big_d = tasks.approximation_order(teacher), tasks.dimension(points)
                predicted = None if order is None else min(order, big_d + 2.0) / big_d
                shift = self.tolerance * abs(predicted or (wide.exponent if wide else 0.0))
                allowed = neural.allowed_gap(sizes, self.fit_from, shift)
                found = neural.gather(measured, doubled, "n", sizes, allowed)
                line = neural.exponent(sizes, found["loss"], found["converged"], self.fit_from)
                ratio = found["loss"] / limit["loss"]
                apart = neural.exponent(sizes, ratio, found["converged"], self.fit_from)
                curve = neural.summary(found, line, predicted)
                below = neural.summary(limit, wide, predicted)
                curves.append(
                    {"points": points, "teacher": teacher, "dimension": big_d}
                    | curve
                    | {"wide": below}
                )
                lines = (line, wide, apart)
                rough = tuple(neural.rough_exponent(sizes, a) for a in (found["loss"], ratio))
                claims += self._claims(f"{points}, {teacher}", lines, rough, curve, below)
                if measured and all("own" in r for r in measured):
                    own_limit = self._limit(measured, sizes, "own")
                    claim, curves[-1]["own"] = self._against_own(
                        f"{points}, {teacher}", found, own_limit, predicted
                    )
                    claims.append(claim)
        return Conclusion(tuple(claims), {"curves": curves, "n_seeds": self.n_seeds})

    def _against_own(
        self, name: str, found: dict[str, Any], limit: dict[str, Any], predicted: float | None
    ) -> tuple[Claim, dict[str, Any]]:
        """Hold the exponent against that of the students' own limit; the limit's curve."""
        sizes = self.sizes()
        line = neural.exponent(sizes, limit["loss"], limit["converged"], self.fit_from)
        ratio = found["loss"] / limit["loss"]
        apart = neural.exponent(sizes, ratio, found["converged"], self.fit_from)
        claim = neural.claim(
            f"{name}: exponent less that of the {neural.OWN}",
            "docs/neural.md",
            0.0,
            apart,
            self.tolerance * abs(predicted or (line.exponent if line else 1.0)),
            f"which has {line.exponent:.2f} on the same points and teachers" if line else "",
            neural.rough_exponent(sizes, ratio),
        )
        return claim, neural.summary(limit, line, predicted)

    def _limit(self, rows: list[Row], sizes: list[int], key: str = "wide") -> dict[str, Any]:
        """A kernel's losses, in the form of `neural.gather`."""
        seeds = sorted({r["seed"] for r in rows})
        loss = np.array(
            [[r[key] for r in rows if r["seed"] == s and r["n"] == n] for s in seeds for n in sizes]
        ).reshape(len(seeds), len(sizes))
        yes = np.ones(len(sizes), dtype=bool)
        none = np.full(len(sizes), math.nan)
        return {"sizes": sizes, "loss": loss, "converged": yes, "gap": none, "plateau": none}

    def _claims(
        self,
        name: str,
        lines: tuple[fit.PowerLawFit | None, fit.PowerLawFit | None, fit.PowerLawFit | None],
        rough: tuple[float, ...],
        curve: dict[str, Any],
        below: dict[str, Any],
    ) -> list[Claim]:
        line, wide, apart = lines
        found, predicted = [], curve["predicted"]
        tolerance = self.tolerance * abs(predicted or (wide.exponent if wide else 1.0))
        if predicted is not None:
            why = neural.cause(predicted, line, wide, apart, below["local"], tolerance)
            text = f"{name}: exponent c/D"
            found.append(neural.claim(text, self.source, predicted, line, tolerance, why, rough[0]))
        found.append(
            neural.claim(
                f"{name}: exponent less that of the {neural.WIDE}",
                "docs/neural.md",
                0.0,
                apart,
                tolerance,
                f"which has {wide.exponent:.2f} on the same points and teachers" if wide else "",
                rough[1],
            )
        )
        return found
