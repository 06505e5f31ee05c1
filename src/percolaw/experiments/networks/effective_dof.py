"""Parameters, effective degrees of freedom and loss, with weight decay and dropout as knobs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.datasets.sources import Cube, InfiniteCluster, Source, parse_source
from percolaw.experiments import claims, plots
from percolaw.experiments.base import SCRATCH, Cell, Conclusion, NeedsTorch, Preset, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Range, Seeds, Tolerance, check
from percolaw.experiments.networks import convergence, neural
from percolaw.experiments.series import Series
from percolaw.neural.config import Student, Training
from percolaw.neural.network import n_parameters
from percolaw.neural.tangent_kernel import tangent_kernel
from percolaw.neural.training import train
from percolaw.numerics.degrees_of_freedom import divergence, matched_smoother, random_signs
from percolaw.scaling import intervals
from percolaw.scaling.curve import LearningCurve
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.teacher import TeacherFamily

FloatArray = npt.NDArray[np.float64]

#: Two measures of the degrees of freedom.
MEASURES = ("divergence", "trace")
#: End of the name, title, what is to be seen, and axes of every panel.
PANELS = {
    "loss": (
        "",
        "loss against degrees of freedom",
        "Loss falls with the effective degrees of freedom until noise in fitting undoes it.",
        ("effective degrees of freedom", "test loss / variance"),
    ),
    "trace": (
        "-trace",
        "two measures of degrees of freedom",
        "Trace of the tangent smoother against the divergence of the fit, a point a student.",
        ("divergence (changed values, trained again)", "trace (tangent kernel, ridge matched)"),
    ),
    "width": (
        "-width",
        "parameters, no regularisation",
        "Both measures of degrees of freedom against the number of parameters.",
        ("parameters", "effective degrees of freedom"),
    ),
}


@dataclass(frozen=True)
class EffectiveDof(NeedsTorch):
    """Divergence of the fit, trace of the tangent smoother, and test loss of regularised networks."""

    name: ClassVar[str] = "effective-dof"
    title: ClassVar[str] = "Regularisation, effective degrees of freedom and loss"
    source: ClassVar[str] = "Ye (1998); docs/neural.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "settings": (InfiniteCluster(16),),
                "sizes": (20, 60, 200),
                "widths": (8, 16),
                "width": 16,
                "n_width": 120,
                "decays": (0.0, 1.0),
                "dropouts": (0.0,),
                "n_test": 200,
                "training": Training(
                    learning_rate=0.01,
                    steps=150,
                    batch_size=64,
                    schedule="cosine",
                    patience=1000,
                    keep="last",
                ),
            },
            "10 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "14 min", "1.5 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 10,
                "sizes": (30, 100, 300, 1000, 3000),
                "n_width": 1000,
                "widths": (4, 8, 16, 32, 64, 128, 256),
                "n_probes": 8,
                "training": Training(
                    learning_rate=0.01, steps=20_000, schedule="cosine", patience=10**6, keep="last"
                ),
            },
            "3 h, estimated",
            "8 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent samples, teachers and students of each setting."""
    settings: Annotated[tuple[Source, ...], JUDGED] = (InfiniteCluster(16), Cube(2))
    """Points; see nn-data-scaling."""
    teacher: TeacherFamily = MaternTeacher(0.5)
    """What is learned."""
    sizes: Annotated[tuple[int, ...], Range(5, 5000)] = (30, 100, 300, 1000)
    """Training points, at the chosen width, for every weight decay and dropout."""
    widths: tuple[int, ...] = (4, 8, 16, 32, 64)
    """Widths at `n_width` points, without regularisation."""
    n_width: Annotated[int, Range(5, 5000)] = 300
    """Training points where widths are compared."""
    depth: int = 3
    """Hidden layers."""
    width: int = 32
    """Units of a layer where sizes are compared."""
    decays: Annotated[tuple[float, ...], Range(0.0)] = (0.0, 1.0, 3.0)
    """Weight decays."""
    dropouts: Annotated[tuple[float, ...], Range(0.0, 0.99)] = (0.0, 0.1)
    """Shares of units dropped."""
    n_probes: Annotated[int, Range(1)] = 3
    """Random directions of the divergence."""
    amplitude: Annotated[float, Range(1e-9)] = 0.03
    """Size of the change in the training values, in units of their standard deviation."""
    n_test: Annotated[int, Range(1)] = 1000
    """Points on which the loss is measured."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01, steps=2000, schedule="cosine", patience=10**6, keep="last"
    )
    """How students are trained: to the end of the budget, for a stop at the least validation loss
    would jump as values change."""
    tolerance: Tolerance = 0.15
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""
    trace_tolerance: Tolerance = 0.2
    """Deviation of the ratio of trace and divergence from 1 that counts as agreement."""

    def __post_init__(self) -> None:
        check(self)
        neural.check_sources("settings", self.settings)
        for field in ("sizes", "widths", "decays", "dropouts"):
            neural.check_names(field, getattr(self, field))
        for width in (self.width, *self.widths):
            neural.student_network("mlp", self.depth, width)
        if self.training.keep != "last":
            raise ValueError("training.keep must be last here: see the help of --training.")

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed, with a dropout or a width."""
        kinds: list[Cell] = [{"kind": "sizes", "dropout": share} for share in self.dropouts]
        kinds += [{"kind": "width", "width": w} for w in self.widths]
        return [
            {**kind, "points": source.word, "seed": seed}
            for source in self.settings
            for kind in kinds
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Train students and their copies on changed values as one batch; one row a student."""
        task = neural.problem(
            parse_source(cell["points"]),
            (self.teacher,),
            cell["seed"],
            n_train=max(*self.sizes, self.n_width),
            n_validation=self.n_test,
            n_test=self.n_test,
        )
        y, pool = task.y[:, 0], task.pool
        by_size = cell["kind"] == "sizes"
        plan = [(n, decay) for n in self.sizes for decay in self.decays]
        plan = plan if by_size else [(self.n_width, 0.0)]
        width = self.width if by_size else cell["width"]
        network = neural.student_network("mlp", self.depth, width)
        training = replace(self.training, dropout=cell.get("dropout", 0.0))
        # One column as it is, and two for every probe; all students share the probes.
        signs = random_signs(pool.size, self.n_probes, task.streams.child(1))
        step = self.amplitude * float(y[pool].std())
        columns = np.repeat(y[:, None], 1 + 2 * self.n_probes, axis=1)
        columns[pool, 1:] += step * np.concatenate([signs, -signs], axis=1)
        students = [
            Student(cell["seed"], pool[:n], task.validation, target=j, weight_decay=decay)
            for n, decay in plan
            for j in range(columns.shape[1])
        ]
        x = np.asarray(task.x, dtype=np.float64 if training.dtype == "float64" else np.float32)
        trained = train(network, x, columns, students, training, checkpoint=SCRATCH.get())
        out = trained.predict(x[np.concatenate([task.test, pool])])[:, :, 0].astype(np.float64)
        out = out.reshape(len(plan), columns.shape[1], -1)
        rows: list[Row] = []
        for i, (n, decay) in enumerate(plan):
            each = range(i * columns.shape[1], (i + 1) * columns.shape[1])
            row = {
                **cell,
                "width": width,
                "n": n,
                "decay": decay,
                "n_parameters": n_parameters(network, x.shape[1]),
                "diverged": any(trained.stopped[j] == "diverged" for j in each),
            }
            rows.append(row)
            if row["diverged"]:  # one copy of them spoils the difference
                continue
            learned = slice(self.n_test, self.n_test + n)
            residual = float(np.mean((y[pool[:n]] - out[i, 0, learned]) ** 2))
            kernel = tangent_kernel(trained, x[pool[:n]], each[0])
            ridge, trace = matched_smoother(kernel, y[pool[:n]], residual)
            probes = divergence(signs[:n], out[i, 1:, learned].T, step)
            row |= {
                "loss": float(np.mean((out[i, 0, : self.n_test] - y[task.test]) ** 2)),
                "train": residual,
                "divergence": float(probes.mean()),
                "probes": probes.tolist(),
                "trace": trace,
                "ridge": ridge,
            }
        return rows

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold loss against degrees of freedom, and the trace against the divergence."""
        every: list[Claim] = []
        drawn: list[plots.Plot] = []
        for source in self.settings:
            most = neural.known_dimension(source) + 2.0
            predicted = neural.predicted_exponent(source, self.teacher, most)
            mine = [r for r in rows if r["points"] == source.word]
            series: list[Series] = []
            for share, decay in itertools.product(self.dropouts, self.decays):
                part = [
                    r
                    for r in mine
                    if r["kind"] == "sizes" and (r["dropout"], r["decay"]) == (share, decay)
                ]
                measured = self._measured(part, "n", self.sizes)
                name, exponents = f"decay {decay:g}, dropout {share:g}", []
                if predicted is not None:
                    exponents = [self._exponent(source, name, measured, predicted)]
                every += exponents
                freedom = (
                    measured["divergence"].mean(axis=0) if measured["loss"].size else np.zeros(0)
                )
                if np.any(freedom > 0.0):
                    rising = np.argsort(freedom)[np.sum(freedom <= 0.0) :]
                    curve = LearningCurve(freedom[rising], measured["loss"][:, rising])
                    series.append(plots.curve(name, curve, claims=exponents))
            every.append(self._trace(source, mine))
            drawn += self._plots(source, mine, series, predicted)
        return Conclusion(tuple(every), plots=tuple(drawn))

    def _plots(
        self, source: Source, rows: list[Row], loss: list[Series], predicted: float | None
    ) -> list[plots.Plot]:
        """Loss against degrees of freedom, two measures of them, and what width gives."""
        if predicted is not None and loss:
            x = np.array(ends_of(loss))
            top = max(v for one in loss for v in one.y if v is not None)
            loss = [*loss, plots.line("slope c/D", "theory", x, top * (x / x[0]) ** -predicted)]
        good = [r for r in rows if not r["diverged"] and min(r["divergence"], r["trace"]) > 0.0]
        traces = []
        for name, dropped in (("no dropout", False), ("dropout", True)):
            part = [r for r in good if bool(r.get("dropout", 0.0)) == dropped]
            if part:
                both = ([r[key] for r in part] for key in MEASURES)
                traces.append(plots.line(name, "measured", *both, joined=False))
        if traces:
            traces.append(plots.line("equal", "theory", ends_of(traces), ends_of(traces)))
        by_width = [r for r in rows if r["kind"] == "width"]
        measured, widths = self._measured(by_width, "width", self.widths), []
        if measured["loss"].size:
            n = measured["n_parameters"][0]
            widths = [
                *(plots.curve(m, LearningCurve(n, measured[m]), how="mean") for m in MEASURES),
                plots.line("min(parameters, points)", "theory", n, np.minimum(n, self.n_width)),
            ]
        shown = (PANELS["loss"], loss), (PANELS["trace"], traces), (PANELS["width"], widths)
        return [
            plots.log_log(
                f"effective-dof-{plots.slug(source.word)}{end}",
                f"{source}: {title}",
                alt,
                labels,
                series,
                fit=False,
                figure="effective-dof",
            )
            for (end, title, alt, labels), series in shown
            if series
        ]

    def _measured(
        self, rows: list[Row], key: str, values: tuple[int, ...]
    ) -> dict[str, FloatArray]:
        """Everything measured by size or width, (n_seeds, n_values), of seeds that never diverged."""
        whole = [
            seed
            for seed in range(self.n_seeds)
            if {r[key] for r in rows if r["seed"] == seed and not r["diverged"]} >= set(values)
        ]
        place = {(r["seed"], r[key]): r for r in rows}
        return {
            name: np.array([[place[s, v][name] for v in values] for s in whole], dtype=np.float64)
            for name in ("loss", "divergence", "trace", "n_parameters")
        }

    def _exponent(
        self, source: Source, setting: str, measured: dict[str, FloatArray], predicted: float
    ) -> Claim:
        """Slope of loss against divergence, seed by seed, over the sizes."""
        loss, freedom = measured["loss"], measured["divergence"]
        name = f"{source}, {setting}: loss against degrees of freedom"
        about = self._about(source, f"exponent in degrees of freedom, {setting}")
        tolerance = self.tolerance * predicted

        def undecided(note: str, rough: float) -> Claim:
            return claims.exponent(
                name, self.source, predicted, None, tolerance, note, about, rough=rough
            )

        if loss.shape[0] < convergence.LEAST_FINITE * self.n_seeds:
            lost = self.n_seeds - loss.shape[0]
            return undecided(f"{lost} of {self.n_seeds} seeds diverged", 0.0)
        mean = freedom.mean(axis=0)
        note = f"degrees of freedom from {mean.min():.0f} to {mean.max():.0f}"
        if np.any(freedom <= 0) or mean.max() < 10.0 * mean.min():
            rough = -convergence.log_slope(np.maximum(mean, 1e-3), loss.mean(axis=0))
            return undecided(f"{note}, not a decade above 0", rough)
        slope = [-convergence.log_slope(f, v) for f, v in zip(freedom, loss, strict=True)]
        return claims.mean(name, self.source, predicted, slope, tolerance, note, about)

    def _trace(self, source: Source, rows: list[Row]) -> Claim:
        """Trace of the tangent smoother over the divergence, without dropout."""
        ratio = []
        for seed in range(self.n_seeds):
            part = [
                r
                for r in rows
                if r["seed"] == seed and not r.get("dropout", 0.0) and not r["diverged"]
            ]
            total = sum(r["divergence"] for r in part)
            if total > 0.0:
                ratio.append(sum(r["trace"] for r in part) / total)
        enough = len(ratio) >= convergence.LEAST_FINITE * self.n_seeds
        return claims.judge(
            f"{source}: trace of the tangent smoother over the divergence, no dropout",
            self.source,
            1.0,
            float(np.mean(ratio)) if ratio else 0.0,
            intervals.seed_interval(ratio) if enough else claims.UNKNOWN_INTERVAL,
            self.trace_tolerance,
            "ridge such that the kernel fit has the network's training loss",
            self._about(source, "trace over divergence"),
        )

    def _about(self, source: Source, quantity: str) -> dict[str, str]:
        """Keys of a claim."""
        return {
            "source": source.label,
            "target": self.teacher.label,
            "learner": "mlp",
            "quantity": quantity,
        }


def ends_of(series: list[Series]) -> tuple[float, float]:
    """Return the smallest and the largest x of some curves."""
    x = [v for one in series for v in one.x if v is not None]
    return min(x), max(x)
