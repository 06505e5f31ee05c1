"""What the layers of a trained network say about the dimension of its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments import neural, tasks
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.learners.neural.activations import layer_activations
from percolaw.learners.neural.config import Student, Training
from percolaw.learners.neural.training import train
from percolaw.rng import Streams
from percolaw.scaling import fit

#: The estimate that stands for a layer in claims: the median of all estimators.
MEDIAN = "median of the estimators"
#: Sharma and Kaplan's (2022) way is the likelihood or ratio of few neighbours.
TWO_NN = "TwoNN"


@dataclass(frozen=True)
class LayerDimension:
    """Intrinsic dimension of activations, layer by layer, before and after training."""

    name: ClassVar[str] = "layer-dimension"
    title: ClassVar[str] = (
        "Dimension along the layers of a network, on data whose dimension is known"
    )
    source: ClassVar[str] = "Sharma and Kaplan (2022); docs/neural.md"
    extra: ClassVar[tuple[str, str]] = ("torch", "nn")
    judged: ClassVar[tuple[str, ...]] = ("n_seeds", "settings", "tolerance")
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "settings": ("cube 2",),
                "teachers": ("Matérn 1.5",),
                "n_train": 200,
                "n_points": 400,
                "n_validation": 100,
                "width": 32,
                "training": Training(learning_rate=0.01, steps=200, patience=3),
            },
            "15 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "6 min", "1 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 10,
                "n_train": 30_000,
                "n_points": 10_000,
                "width": 512,
                "training": Training(learning_rate=0.01, steps=40_000, batch_size=512),
            },
            "2 h, estimated",
            "8 GiB",
        ),
    }

    n_seeds: int = 5
    """Independent samples, teachers and students of each setting."""
    settings: tuple[str, ...] = (
        "cluster d = 8",
        "cluster d = 16",
        "cluster d = 32",
        "finite cluster d = 16",
        "cube 2",
        "cube 4",
    )
    """Points; see nn-data-scaling."""
    teachers: tuple[str, ...] = ("linear", "ReLU 1 x 1000", "Matérn 1.5")
    """Teachers on every setting."""
    n_train: int = 2000
    """Training points."""
    n_validation: int = 500
    """Points that stop the training and choose the weights kept."""
    n_points: int = 1500
    """Fresh points whose activations are measured."""
    architecture: neural.Architecture = "mlp"
    """mlp, residual (MLP), or transformer."""
    depth: int = 3
    """Hidden layers, or blocks."""
    width: int = 64
    """Units of a layer."""
    training: Training = Training(learning_rate=0.01, steps=3000)  # noqa: RUF009 (frozen)
    """How students are trained."""
    tolerance: float = 0.15
    """Deviation of a dimension, relative to the truth, that counts as agreement."""

    def __post_init__(self) -> None:
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("n_train", self.n_train, minimum=10)
        checks.integer("n_points", self.n_points, minimum=400)
        neural.student_network(self.architecture, self.depth, self.width)
        checks.integer("n_validation", self.n_validation, minimum=1)
        neural.check_names("settings", self.settings)
        neural.check_names("teachers", self.teachers)
        for name in self.settings:
            tasks.dimension(name)
        for name in self.teachers:
            tasks.matern_smoothness(name)

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed."""
        return [
            {"points": name, "seed": seed} for name in self.settings for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Train a student a teacher; one row a layer, of untrained and trained students."""
        streams = Streams(cell["seed"]).child(*cell["points"].encode())
        held = self.n_validation + self.n_points
        x = tasks.points(cell["points"], self.n_train + held, streams)
        y = tasks.values(self.teachers, x, streams)
        fresh, validation, pool = neural.parts(x.shape[0], self.n_points, self.n_validation)
        students = [
            Student(cell["seed"], pool, validation, target=j) for j in range(len(self.teachers))
        ]
        network = neural.student_network(self.architecture, self.depth, self.width)
        trained, losses = neural.train_and_test(network, x, y, students, self.training, fresh)
        still = Training(learning_rate=0.0, steps=1, dtype=self.training.dtype)
        x = np.asarray(x, dtype=trained.weights.dtype)
        untrained = train(network, x, y, students[:1], still)
        found = [{**cell, "teacher": "", "layer": "input", **_estimates(x[fresh], streams)}]
        for layer, values in layer_activations(untrained, x[fresh]).items():
            found.append(
                {**cell, "teacher": "untrained", "layer": layer, **_estimates(values, streams)}
            )
        for j, teacher in enumerate(self.teachers):
            for layer, values in layer_activations(trained, x[fresh], j).items():
                found.append(
                    {
                        **cell,
                        "teacher": teacher,
                        "layer": layer,
                        "loss": losses[j]["loss"],
                        "stopped": losses[j]["stopped"],
                        **_estimates(values, streams),
                    }
                )
        return found

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold the last hidden layer before its nonlinearity against the dimension of the data."""
        layers = list(dict.fromkeys(r["layer"] for r in rows))
        last = [name for name in layers if name.endswith("before")][-1]
        claims: list[Claim] = []
        table: list[dict[str, Any]] = []
        for points in self.settings:
            big_d = tasks.dimension(points)
            for teacher in ("", "untrained", *self.teachers):
                for layer in layers:
                    own = [
                        r
                        for r in rows
                        if (r["points"], r["teacher"], r["layer"]) == (points, teacher, layer)
                    ]
                    if not own:
                        continue
                    for estimator in (MEDIAN, TWO_NN):
                        value = np.array(
                            [r[estimator] for r in own if r.get("stopped") != "diverged"],
                            dtype=np.float64,
                        )
                        value = value[np.isfinite(value)]
                        enough = value.size >= neural.LEAST_FINITE * self.n_seeds
                        low, high = fit.seed_interval(value) if enough else (-np.inf, np.inf)
                        if value.size:
                            table.append(
                                {
                                    "points": points,
                                    "teacher": teacher,
                                    "layer": layer,
                                    "estimator": estimator,
                                    "dimension": float(value.mean()),
                                    "interval": [low, high] if np.isfinite(high) else [None, None],
                                    "truth": big_d,
                                }
                            )
                        if estimator == MEDIAN and layer in ("input", last):
                            where = "input" if layer == "input" else f"{teacher}, {layer}"
                            claims.append(
                                judge(
                                    f"{points}: dimension of {where}",
                                    self.source,
                                    big_d,
                                    float(value.mean()) if value.size else 0.0,
                                    (low, high),
                                    self.tolerance * big_d,
                                    ""
                                    if value.size == len(own)
                                    else f"{len(own) - value.size} of {len(own)} have none",
                                )
                            )
        return Conclusion(
            tuple(claims),
            {
                "table": table,
                "layers": layers,
                "settings": list(self.settings),
                "teachers": ["untrained", *self.teachers],
                "n_seeds": self.n_seeds,
            },
        )


def _estimates(values: npt.NDArray[Any], streams: Streams) -> Row:
    """Median of the estimators and TwoNN; None where points coincide or too few are left."""
    from percolaw.dimension.report import estimate_dimension

    try:
        report = estimate_dimension(values, streams)
    except ValueError as error:  # a layer that has collapsed
        return {MEDIAN: None, TWO_NN: None, "reason": str(error).split(".")[0]}
    return {
        MEDIAN: _finite(report.dimension),
        TWO_NN: _finite(report.estimates[TWO_NN].dimension),
        "trust": report.trust,
    }


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if np.isfinite(value) else None
