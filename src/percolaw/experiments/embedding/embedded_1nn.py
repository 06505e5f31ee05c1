"""Nearest neighbours on embedded clusters: the exponent 2/D = 1/2, whatever d and z."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks, words
from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance
from percolaw.laws import single_cluster
from percolaw.rng import Streams
from percolaw.scaling import fit
from percolaw.scaling.curve import LearningCurve

FloatArray = npt.NDArray[np.float64]

#: Points, embedding dimension, neighbours.
Key: TypeAlias = tuple[str, int, int]
#: Names of the baselines beside the exact samplers.
TWO_LEVEL = ("two-level", "two-level rescaled")


@dataclass(frozen=True)
class Embedded1nn:
    """Linear teacher, k-NN, many embedding dimensions and coordination numbers."""

    name: ClassVar[str] = "embedded-1nn"
    title: ClassVar[str] = "1-NN on embedded clusters: exponent 2/D = 1/2, independent of d and z"
    source: ClassVar[str] = "2025 write-up, first scaling figure; Brill 2024"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "largest": 3000,
                "n_test": 300,
                "neighbors": (1, 5),
                "dims": (8, 32),
                "coordination_numbers": (3, 0),
                "tree_size": 100_000,
            },
            "5 s",
            "0.6 GiB",
        ),
        "laptop": Preset({"n_seeds": 6}, "45 s", "1.5 GiB"),
        "paper": Preset({"n_seeds": 20}, "7 min", "1.5 GiB"),
    }

    n_seeds: Seeds = 6
    """Independent clusters, teachers and samples of each setting."""
    smallest: Annotated[int, Range(1)] = 100
    """Smallest number of training points."""
    largest: Annotated[int, Range(1), Bytes(44.0)] = 40_000
    """Largest number of training points."""
    n_sizes: Annotated[int, Range(3)] = 14
    """Training sizes, geometric."""
    n_test: Annotated[int, Range(2), Bytes(44.0)] = 2000
    """Test points."""
    neighbors: Annotated[tuple[int, ...], Range(1)] = (1, 5, 20)
    """k of the learners."""
    dims: Annotated[tuple[int, ...], Range(1), JUDGED] = (4, 6, 8, 16, 32, 64, 128)
    """Embedding dimensions, on the infinite cluster."""
    coordination_numbers: Annotated[tuple[int, ...], JUDGED] = (3, 6, 12, 200, 0)
    """z of finite clusters, at `ablation_dim`; 0 stands for the Poisson limit."""
    ablation_dim: Annotated[int, Range(1), JUDGED] = 32
    """d at which z is varied."""
    tree_size: Annotated[int, Range(1), Bytes(9.0)] = 10_000_000
    """Sites of the finite clusters."""
    level_size: Annotated[int, Range(1), Bytes(9.0)] = 100_000
    """Sites of each tree of the two-level scheme."""
    fit_from_per_neighbor: Annotated[int, Range(1), JUDGED] = 30
    """Fits start at this many training points per neighbour (and at `smallest`)."""
    tolerance: Tolerance = 0.03
    """Deviation of an exponent from 1/2 that counts as agreement."""
    curve_tolerance: Tolerance = 0.1
    """Relative deviation from the predicted curve that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        checks.integer("smallest", self.smallest, minimum=max(self.neighbors))
        start = max(self.smallest, self.fit_from_per_neighbor * max(self.neighbors))
        checks.integer(
            "largest (a decade above the start of the fits)", self.largest, minimum=10 * start
        )
        for z in self.coordination_numbers:
            if z:
                checks.coordination_number(z)

    def settings(self) -> list[tuple[str, int, int]]:
        """Return (points, embedding dimension, coordination number or 0) of every setting."""
        d = self.ablation_dim
        return [
            *(("infinite", dim, 0) for dim in self.dims),
            *((f"z = {z}" if z else "Poisson", d, z) for z in self.coordination_numbers),
            *((name, d, 0) for name in TWO_LEVEL),
        ]

    def cells(self) -> list[Cell]:
        """A unit is a setting and a seed."""
        return [
            {"points": source, "dim": dim, "seed": seed, "coordination_number": z}
            for source, dim, z in self.settings()
            for seed in range(self.n_seeds)
        ]

    def _points(self, cell: Cell, n: int, streams: Streams) -> npt.NDArray[np.float32]:
        from percolaw.datasets.make import make_cluster
        from percolaw.embedding.two_level import two_level_cloud

        source, dim = cell["points"], cell["dim"]
        if source == "infinite":
            return np.asarray(make_cluster(n, dim, streams, labels="none").X)
        if source in TWO_LEVEL:
            side = math.isqrt(n - 1) + 1
            cloud = two_level_cloud(
                side, side, self.level_size, dim, streams, rescaled=source == TWO_LEVEL[1]
            )
            keep = streams.generator("evaluation", 1).permutation(side * side)[:n]
            return cloud.points[keep]
        z = cell["coordination_number"] or math.inf
        data = make_cluster(
            n, dim, streams, size=self.tree_size, coordination_number=z, labels="none"
        )
        return np.asarray(data.X)

    def sizes(self) -> npt.NDArray[np.int64]:
        """Return the training sizes."""
        return fit.geometric(self.smallest, self.largest, self.n_sizes)

    def measure(self, cell: Cell) -> list[Row]:
        """Measure k-NN losses on growing parts of one sample; one row a number of neighbours."""
        from percolaw.numerics.neighbors import nearest_neighbors

        source, dim = cell["points"], cell["dim"]
        streams = Streams(cell["seed"]).child(dim, *words.key(source))
        sizes = self.sizes()
        x = self._points(cell, self.largest + self.n_test, streams)
        weights: FloatArray = np.asarray(streams.generator("target").standard_normal(dim))
        y = x.astype(np.float64) @ weights
        test, train = x[: self.n_test], x[self.n_test :]
        target, value = y[: self.n_test], y[self.n_test :]
        loss: dict[int, list[float]] = {k: [] for k in self.neighbors}
        square = []
        for n in sizes:
            distance, index = nearest_neighbors(train[:n], test, max(self.neighbors))
            square.append(float(np.mean(distance[:, 0] ** 2)))
            for k in self.neighbors:
                error = value[index[:, :k]].mean(axis=1) - target
                loss[k].append(float(np.mean(error**2)))
        # One unit of squared length moves y by |w|^2 / d in the mean.
        unit = float(np.sum(weights**2)) / dim
        half = self.n_test // 2
        pair = float(np.mean(np.sum((test[:half] - test[half : 2 * half]) ** 2, axis=1)))
        return [
            {
                "points": source,
                "dim": dim,
                "seed": cell["seed"],
                "k": k,
                "n": [int(n) for n in sizes],
                "loss": losses,
                "variance": float(target.var()),
                "unit": unit,
                "nearest_square": square,
                "pair_square": pair,
            }
            for k, losses in loss.items()
        ]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Fit every setting's exponent; compare the largest d with the d = infinity curve."""
        curves: dict[Key, LearningCurve] = {}
        lines: dict[Key, fit.PowerLawFit | None] = {}
        exponents: dict[Key, Claim] = {}
        for source, dim, _ in self.settings():
            for k in self.neighbors:
                key = source, dim, k
                loss = [np.array(r["loss"]) / r["variance"] for r in rows if of(r) == key]
                curves[key] = LearningCurve(self.sizes(), np.array(loss))
                start = max(self.smallest, self.fit_from_per_neighbor * k)
                lines[key] = curves[key].fit((float(start), math.inf))
                if k == 1 or (source == "infinite" and dim == self.ablation_dim):
                    exponents[key] = self._exponent(key, lines[key])
        limit = self._limit(rows)
        claimed = (*exponents.values(), *self._limit_claims(limit), *self._radius_claims(rows))
        return Conclusion(
            claimed, plots=(*self._panels(curves, lines, exponents), limit_plot(limit))
        )

    def _exponent(self, key: Key, line: fit.PowerLawFit | None) -> Claim:
        source, dim, k = key
        note = ""
        if source in TWO_LEVEL:
            note = "the published scheme is no sample of one tree"
        elif dim < 8:
            note = "branches cross below d = 8, logarithms at d = 4"
        return claims.exponent(
            f"{k}-NN exponent, {source}, d = {dim}",
            "2025 write-up: 2/D with D = 4",
            0.5,
            line,
            self.tolerance,
            note,
            {"source": f"{source}, d = {dim}", "target": "linear", "learner": f"{k}-NN"},
        )

    def _limit(self, rows: list[Row]) -> LearningCurve:
        """1-NN in the largest dimension in units in which the limit d = infinity is known."""
        key = "infinite", max(self.dims), 1
        loss = np.array([np.array(r["loss"]) / r["unit"] for r in rows if of(r) == key])
        n = self.sizes()
        return LearningCurve(
            n, loss, predicted=single_cluster.mean_nearest_distance(n.astype(np.float64))
        )

    def _limit_claims(self, limit: LearningCurve) -> list[Claim]:
        values = limit.against().mean(axis=1)
        return [
            claims.mean(
                f"1-NN error at d = {max(self.dims)} over the exact d = infinity curve "
                "sqrt(2 pi) C(2n,n)/4^n",
                "docs/theory.md (derived here)",
                1.0,
                values,
                self.curve_tolerance,
                about={"quantity": "loss over prediction"},
            )
        ]

    def _radius_claims(self, rows: list[Row]) -> list[Claim]:
        """Mean squared distance of two points against that of one tree of level_size^2 sites."""
        one_tree = math.sqrt(math.pi / 2.0) * self.level_size
        return [
            claims.mean(
                f"{source}: mean squared distance over that of one tree of {self.level_size:.0e}^2 sites",
                "docs/theory.md",
                1.0,
                [r["pair_square"] / one_tree for r in rows if (r["points"], r["k"]) == (source, 1)],
                self.curve_tolerance,
                note,
                {"source": source, "quantity": "squared distance"},
            )
            for source, note in zip(
                TWO_LEVEL,
                ("two levels of one step size give 3 sqrt(pi N / 2), one tree N sqrt(pi / 2)", ""),
                strict=True,
            )
        ]

    def _panels(
        self,
        curves: dict[Key, LearningCurve],
        lines: dict[Key, fit.PowerLawFit | None],
        exponents: dict[Key, Claim],
    ) -> list[plots.Plot]:
        """By dimension, by coordination number, by number of neighbours, and the two-level scheme."""
        d = self.ablation_dim
        here = ("infinite", d, 1)
        others = [key for key in curves if key[2] == 1 and key[0] != "infinite"]
        by_dim = [key for key in curves if (key[0], key[2]) == ("infinite", 1)]
        shown: list[tuple[str, str, list[Key], Callable[[Key], str]]] = [
            (
                "dimension",
                "Infinite cluster, by embedding dimension",
                by_dim,
                lambda key: f"d = {key[1]}",
            ),
            (
                "coordination",
                f"d = {d}, by coordination number",
                [*(key for key in others if key[0] not in TWO_LEVEL), here],
                lambda key: key[0],
            ),
            (
                "neighbors",
                f"k-NN, infinite cluster, d = {d}",
                [key for key in curves if key[:2] == here[:2]],
                lambda key: f"k = {key[2]}",
            ),
            (
                "levels",
                "The two-level scheme and the exact sampler",
                [*(key for key in others if key[0] in TWO_LEVEL), here],
                lambda key: key[0],
            ),
        ]
        panels = []
        for name, title, keys, label in shown:
            labels = {key: label(key) for key in keys if key in curves}
            panels.append(_losses_plot(name, title, labels, curves, lines, exponents))
        return [*panels, self._local_plot({key: curves[key] for key in by_dim})]

    def _local_plot(self, curves: dict[Key, LearningCurve]) -> plots.Plot:
        n = self.sizes()
        return plots.log_linear(
            "embedded-1nn-local",
            f"Local exponents, infinite cluster, {self.n_seeds} seeds",
            "Local exponents of 1-NN by embedding dimension, around 1/2 from d = 6 on.",
            ("training points n", "local exponent"),
            [
                *(
                    plots.line(f"d = {dim}", "measured", curve.size, curve.local())
                    for (_, dim, _), curve in curves.items()
                ),
                plots.line("2/D", "theory", n, 0.5),
            ],
            y_limits=(0.2, 0.8),
        )


def of(row: Row) -> Key:
    """Return which curve a row belongs to."""
    return row["points"], row["dim"], row["k"]


def _losses_plot(
    name: str,
    title: str,
    labels: dict[Key, str],
    curves: dict[Key, LearningCurve],
    lines: dict[Key, fit.PowerLawFit | None],
    exponents: dict[Key, Claim],
) -> plots.Plot:
    """Some curves, each beside a power law of exponent 1/2 through its fit."""
    series = []
    for key, label in labels.items():
        line, claim = lines[key], exponents.get(key)
        series.append(
            plots.curve(
                label,
                curves[key],
                how="median",
                claims=[] if claim is None else [claim],
                fitted=line,
                predicted=0.5,
                group=label,
            )
        )
        if line is not None:
            series.append(plots.slope(f"{label}, slope 1/2", line, 0.5, group=label))
    windows = {line.window for key in labels if (line := lines[key]) is not None}
    return plots.log_log(
        f"embedded-1nn-{name}",
        title,
        "Loss against training points, median over seeds, beside power laws of exponent 1/2.",
        ("training points n", "mean squared error / variance"),
        series,
        windows.pop() if len(windows) == 1 else None,
        figure="embedded-1nn",
    )


def limit_plot(limit: LearningCurve) -> plots.Plot:
    """Return the largest dimension beside the exact curve of infinitely many."""
    exact = "exact at d = infinity"
    return plots.log_log(
        "embedded-1nn-limit",
        "The largest d against the exact curve",
        "Mean loss of 1-NN in the largest dimension lies on the exact curve of infinitely many.",
        ("training points n", "mean squared error / unit"),
        [
            plots.curve("1-NN, mean over seeds", limit, how="mean", prediction=exact),
            plots.line(exact, "theory", limit.size, limit.predicted),
        ],
    )
