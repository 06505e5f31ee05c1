"""Parameters, effective degrees of freedom and loss, with weight decay and dropout as knobs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments import neural, tasks
from percolaw.experiments.base import SCRATCH, Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.learners.degrees_of_freedom import divergence, random_signs
from percolaw.learners.neural.config import Student, Training
from percolaw.learners.neural.network import n_parameters
from percolaw.learners.neural.tangent_kernel import tangent_kernel
from percolaw.learners.neural.training import train
from percolaw.rng import Streams
from percolaw.scaling import fit

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EffectiveDof:
    """Divergence of the fit, trace of the tangent smoother, and test loss of regularised networks."""

    name: ClassVar[str] = "effective-dof"
    title: ClassVar[str] = "Regularisation, effective degrees of freedom and loss"
    source: ClassVar[str] = "Ye (1998); docs/neural.md"
    extra: ClassVar[tuple[str, str]] = ("torch", "nn")
    judged: ClassVar[tuple[str, ...]] = ("n_seeds", "settings", "tolerance", "trace_tolerance")
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "settings": ("cluster d = 16",),
                "sizes": (20, 60, 200),
                "widths": (8, 32),
                "decays": (0.0, 1.0),
                "dropouts": (0.0,),
                "n_test": 200,
                "training": Training(
                    learning_rate=0.01, steps=200, schedule="cosine", patience=1000, keep="last"
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

    n_seeds: int = 5
    """Independent samples, teachers and students of each setting."""
    settings: tuple[str, ...] = ("cluster d = 16", "cube 2")
    """Points; see nn-data-scaling."""
    teacher: str = "Matérn 0.5"
    """What is learned."""
    sizes: tuple[int, ...] = (30, 100, 300, 1000)
    """Training points, at the chosen width, for every weight decay and dropout."""
    widths: tuple[int, ...] = (4, 8, 16, 32, 64)
    """Widths at `n_width` points, without regularisation."""
    n_width: int = 300
    """Training points where widths are compared."""
    depth: int = 3
    """Hidden layers."""
    width: int = 32
    """Units of a layer where sizes are compared."""
    decays: tuple[float, ...] = (0.0, 1.0, 3.0)
    """Weight decays."""
    dropouts: tuple[float, ...] = (0.0, 0.1)
    """Shares of units dropped."""
    n_probes: int = 3
    """Random directions of the divergence."""
    amplitude: float = 0.03
    """Size of the change in the training values, in units of their standard deviation."""
    n_test: int = 1000
    """Points on which the loss is measured."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01, steps=2000, schedule="cosine", patience=10**6, keep="last"
    )
    """How students are trained: to the end of the budget, for a stop at the least validation loss
    would jump as values change."""
    tolerance: float = 0.15
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""
    trace_tolerance: float = 0.2
    """Deviation of the ratio of trace and divergence from 1 that counts as agreement."""

    def __post_init__(self) -> None:
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("n_probes", self.n_probes, minimum=1)
        checks.real("amplitude", self.amplitude, minimum=1e-9)
        checks.integer("n_test", self.n_test, minimum=1)
        for field in ("settings", "sizes", "widths", "decays", "dropouts"):
            neural.check_names(field, getattr(self, field))
        for name in self.settings:
            tasks.dimension(name)
        tasks.matern_smoothness(self.teacher)
        for n in (*self.sizes, self.n_width):
            checks.integer("sizes and n_width", n, minimum=5, maximum=5000)
        for decay in self.decays:
            checks.real("decays", decay, minimum=0.0)
        for share in self.dropouts:
            checks.real("dropouts", share, minimum=0.0, maximum=0.99)
        if self.training.keep != "last":
            raise ValueError("training.keep must be last here: see the help of --training.")

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed, with a dropout or a width."""
        kinds: list[Cell] = [{"kind": "sizes", "dropout": share} for share in self.dropouts]
        kinds += [{"kind": "width", "width": w} for w in self.widths]
        return [
            {**kind, "points": name, "seed": seed}
            for name in self.settings
            for kind in kinds
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Train students and their copies on changed values as one batch; one row a student."""
        streams = Streams(cell["seed"]).child(*cell["points"].encode())
        most = max(*self.sizes, self.n_width)
        x = tasks.points(cell["points"], most + 2 * self.n_test, streams)
        y = tasks.values((self.teacher,), x, streams)[:, 0]
        test, validation, pool = neural.parts(x.shape[0], self.n_test, self.n_test)
        by_size = cell["kind"] == "sizes"
        plan = [(n, decay) for n in self.sizes for decay in self.decays]
        plan = plan if by_size else [(self.n_width, 0.0)]
        width = self.width if by_size else cell["width"]
        network = neural.student_network("mlp", self.depth, width)
        training = replace(self.training, dropout=cell.get("dropout", 0.0))
        # One column as it is, and two for every probe; all students share the probes.
        signs = random_signs(pool.size, self.n_probes, streams.child(1))
        step = self.amplitude * float(y[pool].std())
        columns = np.repeat(y[:, None], 1 + 2 * self.n_probes, axis=1)
        columns[pool, 1:] += step * np.concatenate([signs, -signs], axis=1)
        students = [
            Student(cell["seed"], pool[:n], validation, target=j, weight_decay=decay)
            for n, decay in plan
            for j in range(columns.shape[1])
        ]
        x = np.asarray(x, dtype=np.float64 if training.dtype == "float64" else np.float32)
        trained = train(network, x, columns, students, training, checkpoint=SCRATCH.get())
        out = trained.predict(x[np.concatenate([test, pool])])[:, :, 0].astype(np.float64)
        out = out.reshape(len(plan), columns.shape[1], -1)
        rows_found: list[Row] = []
        for i, (n, decay) in enumerate(plan):
            own = slice(self.n_test, self.n_test + n)
            residual = float(np.mean((y[pool[:n]] - out[i, 0, own]) ** 2))
            each = range(i * columns.shape[1], (i + 1) * columns.shape[1])
            row = {
                **cell,
                "width": width,
                "n": n,
                "decay": decay,
                "n_parameters": n_parameters(network, x.shape[1]),
                "diverged": any(trained.stopped[j] == "diverged" for j in each),
            }
            rows_found.append(row)
            if row["diverged"]:  # one copy of them spoils the difference
                continue
            kernel = tangent_kernel(trained, x[pool[:n]], each[0])
            ridge, trace = matched_smoother(kernel, y[pool[:n]], residual)
            probes = divergence(signs[:n], out[i, 1:, own].T, step)
            row |= {
                "loss": float(np.mean((out[i, 0, : self.n_test] - y[test]) ** 2)),
                "train": residual,
                "divergence": float(probes.mean()),
                "probes": probes.tolist(),
                "trace": trace,
                "ridge": ridge,
            }
        return rows_found

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold loss against degrees of freedom, and the trace against the divergence."""
        claims: list[Claim] = []
        curves: list[dict[str, Any]] = []
        order = tasks.approximation_order(self.teacher)
        for points in self.settings:
            own = [r for r in rows if r["points"] == points]
            for share in self.dropouts:
                for decay in self.decays:
                    part = [
                        r
                        for r in own
                        if r["kind"] == "sizes" and (r["dropout"], r["decay"]) == (share, decay)
                    ]
                    curve = self._curve(part, "n", list(self.sizes))
                    curves.append(
                        {"points": points, "by": "n", "dropout": share, "decay": decay, **curve}
                    )
                    if order is not None:
                        claims.append(self._exponent(points, share, decay, curve, order))
            part = [r for r in own if r["kind"] == "width"]
            curve = self._curve(part, "width", list(self.widths))
            curves.append({"points": points, "by": "width", "dropout": 0.0, "decay": 0.0, **curve})
            claims.append(self._trace(points, own))
        return Conclusion(
            tuple(claims), {"curves": curves, "n_seeds": self.n_seeds, "n_width": self.n_width}
        )

    def _curve(self, rows: list[Row], key: str, values: list[int]) -> dict[str, Any]:
        """Means and single values of everything measured, by size or width."""
        found: dict[str, Any] = {"x": values}
        for name in ("loss", "train", "divergence", "trace", "n_parameters"):
            single = [
                [
                    float(r[name])
                    for r in rows
                    if (r[key], r["seed"]) == (value, seed) and not r["diverged"]
                ]
                for value in values
                for seed in range(self.n_seeds)
            ]
            array = np.array([t[0] if t else math.nan for t in single])
            table = array.reshape(len(values), self.n_seeds).T
            found[name] = table[np.isfinite(table).all(axis=1)].tolist()
        return found

    def _exponent(
        self, points: str, share: float, decay: float, curve: dict[str, Any], order: float
    ) -> Claim:
        """Slope of loss against divergence, seed by seed, over the sizes."""
        loss, freedom = np.array(curve["loss"]), np.array(curve["divergence"])
        big_d = tasks.dimension(points)
        predicted = min(order, big_d + 2.0) / big_d
        name = f"{points}, decay {decay:g}, dropout {share:g}: loss against degrees of freedom"
        if loss.shape[0] < neural.LEAST_FINITE * self.n_seeds:
            return judge(
                name,
                self.source,
                predicted,
                0.0,
                (-math.inf, math.inf),
                self.tolerance * predicted,
                f"{self.n_seeds - loss.shape[0]} of {self.n_seeds} seeds diverged",
            )
        mean = freedom.mean(axis=0)
        spans = bool(np.all(mean > 0)) and mean.max() >= 10.0 * mean.min()
        if not spans or np.any(freedom <= 0):
            rough = np.polyfit(np.log(np.maximum(mean, 1e-3)), np.log(loss.mean(axis=0)), 1)[0]
            return judge(
                name,
                self.source,
                predicted,
                float(-rough),
                (-math.inf, math.inf),
                self.tolerance * predicted,
                f"degrees of freedom from {mean.min():.0f} to {mean.max():.0f}, not a decade above 0",
            )
        slope = np.array(
            [-np.polyfit(np.log(f), np.log(v), 1)[0] for f, v in zip(freedom, loss, strict=True)]
        )
        return judge(
            name,
            self.source,
            predicted,
            float(slope.mean()),
            fit.seed_interval(slope),
            self.tolerance * predicted,
            f"degrees of freedom from {mean.min():.0f} to {mean.max():.0f}",
        )

    def _trace(self, points: str, rows: list[Row]) -> Claim:
        """Trace of the tangent smoother over the divergence, without dropout."""
        ratio = []
        for seed in range(self.n_seeds):
            own = [
                r
                for r in rows
                if r["seed"] == seed and not r.get("dropout", 0.0) and not r["diverged"]
            ]
            total = sum(r["divergence"] for r in own)
            if total > 0.0:
                ratio.append(sum(r["trace"] for r in own) / total)
        enough = len(ratio) >= neural.LEAST_FINITE * self.n_seeds
        return judge(
            f"{points}: trace of the tangent smoother over the divergence, no dropout",
            self.source,
            1.0,
            float(np.mean(ratio)) if ratio else 0.0,
            fit.seed_interval(ratio) if enough else (-math.inf, math.inf),
            self.trace_tolerance,
            "ridge such that the kernel fit has the network's training loss",
        )


def matched_smoother(
    kernel: FloatArray, values: FloatArray, train_loss: float
) -> tuple[float, float]:
    """Return the ridge at which kernel ridge regression leaves a given mean squared residual, and
    trace K (K + ridge)^-1 there.

    The residual ridge (K + ridge)^-1 y rises with the ridge; it is 0 if even interpolation leaves more,
    and 1e12 times the kernel's scale if no ridge leaves as much.
    """
    from scipy.optimize import brentq

    value, vectors = np.linalg.eigh(kernel)
    value = np.maximum(value, 0.0)
    share = (vectors.T @ values) ** 2 / values.size
    scale = max(float(value.max()), 1e-300)

    def excess(log_ridge: float) -> float:
        ridge = scale * math.exp(log_ridge)
        return float(np.sum(share * (ridge / (value + ridge)) ** 2)) - train_loss

    low, high = math.log(1e-13), math.log(1e12)
    if excess(low) >= 0.0:
        return 0.0, float(np.sum(value > 1e-13 * scale))
    log_ridge = high if excess(high) <= 0.0 else float(brentq(excess, low, high, xtol=1e-6))
    ridge = scale * math.exp(log_ridge)
    return ridge, float(np.sum(value / (value + ridge)))
