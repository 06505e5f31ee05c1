"""What the layers of a trained network say about the dimension of its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.datasets.sources import Cube, FiniteCluster, InfiniteCluster, Source, parse_source
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row, units
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Range, Seeds, Tolerance, check
from percolaw.experiments.networks import convergence, neural
from percolaw.experiments.series import y_limits
from percolaw.neural.activations import layer_activations
from percolaw.neural.config import Training
from percolaw.neural.training import train
from percolaw.rng import Streams
from percolaw.scaling import intervals
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher
from percolaw.targets.teacher import TeacherFamily

FloatArray = npt.NDArray[np.float64]

#: The estimate that stands for a layer in claims: the median of all estimators.
MEDIAN = "median of the estimators"
#: Sharma and Kaplan's (2022) way is the likelihood or ratio of few neighbours.
TWO_NN = "TwoNN"
#: What stands for a teacher where nothing was learned.
UNTRAINED = "untrained"


@dataclass(frozen=True)
class LayerDimension(NeedsTorch):
    """Intrinsic dimension of activations, layer by layer, before and after training."""

    name: ClassVar[str] = "layer-dimension"
    title: ClassVar[str] = (
        "Dimension along the layers of a network, on data whose dimension is known"
    )
    source: ClassVar[str] = "Sharma and Kaplan (2022); docs/neural.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "settings": (Cube(2),),
                "teachers": (MaternTeacher(1.5),),
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

    n_seeds: Seeds = 5
    """Independent samples, teachers and students of each setting."""
    settings: Annotated[tuple[Source, ...], JUDGED] = (
        InfiniteCluster(8),
        InfiniteCluster(16),
        InfiniteCluster(32),
        FiniteCluster(16),
        Cube(2),
        Cube(4),
    )
    """Points; see nn-data-scaling."""
    teachers: tuple[TeacherFamily, ...] = (
        LinearTeacher(),
        ReluTeacher(1, 1000),
        MaternTeacher(1.5),
    )
    """Teachers on every setting."""
    n_train: Annotated[int, Range(10)] = 2000
    """Training points."""
    n_validation: Annotated[int, Range(1)] = 500
    """Points that stop the training and choose the weights kept."""
    n_points: Annotated[int, Range(400)] = 1500
    """Fresh points whose activations are measured."""
    architecture: neural.Architecture = "mlp"
    """mlp, residual (MLP), or transformer."""
    depth: int = 3
    """Hidden layers, or blocks."""
    width: int = 64
    """Units of a layer."""
    training: Training = Training(learning_rate=0.01, steps=3000)  # noqa: RUF009 (frozen)
    """How students are trained."""
    tolerance: Tolerance = 0.15
    """Deviation of a dimension, relative to the truth, that counts as agreement."""

    def __post_init__(self) -> None:
        check(self)
        neural.student_network(self.architecture, self.depth, self.width)
        neural.check_sources("settings", self.settings)
        neural.check_names("teachers", self.teachers)

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed."""
        return units(points=[one.word for one in self.settings], seed=range(self.n_seeds))

    def measure(self, cell: Cell) -> list[Row]:
        """Train a student a teacher; one row a layer, of untrained and trained students."""
        task = neural.problem(
            parse_source(cell["points"]),
            self.teachers,
            cell["seed"],
            n_train=self.n_train,
            n_validation=self.n_validation,
            n_test=self.n_points,
        )
        students = task.students(cell["seed"])
        network = neural.student_network(self.architecture, self.depth, self.width)
        trained, losses = neural.train_and_test(
            network, task.x, task.y, students, self.training, task.test
        )
        still = Training(learning_rate=0.0, steps=1, dtype=self.training.dtype)
        x = np.asarray(task.x, dtype=trained.weights.dtype)
        untrained = train(network, x, task.y, students[:1], still)
        fresh, streams = x[task.test], task.streams
        rows = [{**cell, "teacher": "", "layer": "input", **_estimates(fresh, streams)}]
        for layer, values in layer_activations(untrained, fresh).items():
            rows.append(
                {**cell, "teacher": UNTRAINED, "layer": layer, **_estimates(values, streams)}
            )
        for j, target in enumerate(self.teachers):
            end = {key: losses[j][key] for key in ("loss", "stopped")}
            for layer, values in layer_activations(trained, fresh, j).items():
                at = {**cell, "teacher": target.word, "layer": layer}
                rows.append({**at, **end, **_estimates(values, streams)})
        return rows

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold the last hidden layer before its nonlinearity against the dimension of the data."""
        layers = list(dict.fromkeys(r["layer"] for r in rows))
        last = [name for name in layers if name.endswith("before")][-1]
        every: list[Claim] = []
        table: list[dict[str, Any]] = []
        drawn = []
        for source in self.settings:
            entries = []
            for teacher in ("", UNTRAINED, *(target.word for target in self.teachers)):
                for layer in layers:
                    key = (source.word, teacher, layer)
                    mine = [r for r in rows if (r["points"], r["teacher"], r["layer"]) == key]
                    if not mine:
                        continue
                    if layer in ("input", last):
                        every.append(self._claim(source, teacher, layer, mine))
                    entries += self._entries(teacher, layer, mine)
            table += [{"points": source.word, **entry} for entry in entries]
            drawn.append(self._plot(source, layers, entries))
        return Conclusion(tuple(every), {"table": table}, tuple(drawn))

    def _values(self, rows: list[Row], estimator: str) -> tuple[FloatArray, tuple[float, float]]:
        """Estimates of the seeds that have one, and the interval of their mean."""
        value = [r[estimator] for r in rows if r.get("stopped") != "diverged"]
        known = np.array(value, dtype=np.float64)
        known = known[np.isfinite(known)]
        enough = known.size >= convergence.LEAST_FINITE * self.n_seeds
        return known, intervals.seed_interval(known) if enough else claims.UNKNOWN_INTERVAL

    def _claim(self, source: Source, teacher: str, layer: str, rows: list[Row]) -> Claim:
        """Hold the median of the estimators on a layer against the dimension of the data."""
        value, interval = self._values(rows, MEDIAN)
        dimension, lost = neural.known_dimension(source), len(rows) - value.size
        where = "input" if layer == "input" else f"{teacher}, {layer}"
        return claims.judge(
            f"{source}: dimension of {where}",
            self.source,
            dimension,
            float(value.mean()) if value.size else 0.0,
            interval,
            self.tolerance * dimension,
            f"{lost} of {len(rows)} have none" if lost else "",
            {"source": source.label, "target": teacher, "quantity": f"dimension of {layer}"},
        )

    def _entries(self, teacher: str, layer: str, rows: list[Row]) -> list[dict[str, Any]]:
        """Mean estimates on one layer, with intervals, as plain values."""
        entries = []
        for estimator in (MEDIAN, TWO_NN):
            value, interval = self._values(rows, estimator)
            if value.size:
                known = [*interval] if np.isfinite(interval[1]) else [None, None]
                entry = {"teacher": teacher, "layer": layer, "estimator": estimator}
                entries.append({**entry, "dimension": float(value.mean()), "interval": known})
        return entries

    def _plot(self, source: Source, layers: list[str], entries: list[dict[str, Any]]) -> plots.Plot:
        """Dimension of the input and of all layers, a curve a teacher."""
        series = []
        for teacher in (UNTRAINED, *(target.word for target in self.teachers)):
            mine = [
                e for e in entries if e["estimator"] == MEDIAN and e["teacher"] in ("", teacher)
            ]
            series.append(
                plots.points(
                    teacher,
                    [layers.index(e["layer"]) for e in mine],
                    [e["dimension"] for e in mine],
                    *zip(*(e["interval"] for e in mine), strict=True),
                    interval=plots.CONFIDENCE,
                    n_seeds=self.n_seeds,
                    joined=True,
                )
            )
        truth = [neural.known_dimension(source)] * 2
        ends = [v for e in entries for v in e["interval"] if v is not None]
        limits = y_limits([*(v for one in series for v in one.y), *truth], ends)
        series.append(plots.line("truth", "theory", [0, len(layers) - 1], truth))
        return plots.linear(
            f"layer-dimension-{plots.slug(source.word)}",
            f"{source} (D = {truth[0]:.4g})",
            "Dimension of activations from the input to the last hidden layer.",
            ("hidden layer, before and after its nonlinearity", "intrinsic dimension"),
            series,
            figure="layer-dimension",
            y_limits=limits,
            x_ticks=tuple(name.removeprefix("layer ").replace(" ", "\n") for name in layers),
        )


def _estimates(values: npt.NDArray[Any], streams: Streams) -> Row:
    """Median of the estimators and TwoNN; None where points coincide or too few are left."""
    from percolaw.dimension.estimate import estimate_dimension

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
