"""Superposition of features as frequent as percolation clusters are large: loss against dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row, units
from percolaw.experiments.fields import Bytes, Range, Rising, Seeds, Tolerance
from percolaw.experiments.networks.convergence import log_slope
from percolaw.experiments.seeds import pivot
from percolaw.neural.config import NEVER_STOP, Student, Training
from percolaw.rng import Streams
from percolaw.scaling.curve import LearningCurve

FloatArray = npt.NDArray[np.float64]

#: The trained toys: frequencies of cluster sizes with weight decay, without it and with rows of norm 1,
#: and equal frequencies with rows of norm 1.
WEAK, STRONG, EQUAL = "weak", "strong", "strong, equal frequencies"
#: Norm of a row of W from which its feature counts as represented.
REPRESENTED = 0.5
#: Exponent a of the sizes of percolation clusters met by site: the k-th has size ~ k^-a.
CLUSTER_SIZES = 2.0
#: Cluster sizes drawn: those of the 2024 paper.
SIZES = (300, 30_000_000)


@dataclass(frozen=True)
class Superposition(NeedsTorch):
    """The toy y = max(W W' x + b, 0) with frequencies from cluster sizes, weak and strong."""

    name: ClassVar[str] = "superposition"
    title: ClassVar[str] = (
        "Superposition: loss against dimensions, features as frequent as clusters"
    )
    source: ClassVar[str] = "Liu, Liu, Gore 2025 (Superposition Yields Robust Neural Scaling)"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_features": 24,
                "hidden": (3, 5, 8),
                "n_test": 10,
                "training": Training(
                    learning_rate=0.03,
                    steps=60,
                    batch_size=64,
                    schedule="cosine",
                    keep="last",
                    patience=NEVER_STOP,
                ),
            },
            "3 s",
            "0.6 GiB",
        ),
        "laptop": Preset({}, "5 min", "1 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 10,
                "n_features": 2000,
                "hidden": (10, 16, 25, 40, 63, 100, 160),
                "n_test": 4,
                "training": Training(
                    learning_rate=0.01,
                    steps=20_000,
                    batch_size=2048,
                    schedule="cosine",
                    warmup=0.1,
                    keep="last",
                    patience=NEVER_STOP,
                ),
            },
            "5 h, estimated (210 students of 20,000 steps at 4 ms)",
            "8 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent draws of cluster sizes, each with toys of its own."""
    n_features: Annotated[int, Range(8), Bytes(4000.0)] = 256
    """Features n."""
    hidden: Annotated[tuple[int, ...], Range(2), Rising(3)] = (5, 9, 16, 28, 50)
    """Hidden dimensions m."""
    n_present: Annotated[float, Range(0.01, 2.0)] = 1.0
    """Features that are there at once, in the mean."""
    weak_decay: Annotated[float, Range(0.0)] = 1.0
    """Weight decay of weak superposition; the published largest one."""
    n_test: Annotated[int, Range(1)] = 16
    """Test points of each feature, weighted by how often it is the rarest one there."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01,
        steps=2000,
        batch_size=256,
        schedule="cosine",
        warmup=0.1,
        keep="last",
        patience=NEVER_STOP,
    )
    """How toys are trained, on fresh points in every step."""
    ratio_tolerance: Tolerance = 0.15
    """Deviation of a ratio from 1 that counts as agreement."""
    tolerance: Tolerance = 0.2
    """Deviation of an exponent that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        if max(self.hidden) > self.n_features:
            raise ValueError(
                f"hidden must be at most n_features = {self.n_features}: more dimensions than features "
                f"superpose nothing; got {max(self.hidden)}."
            )

    def cells(self) -> list[Cell]:
        """A unit is a number of dimensions and a seed."""
        return units(n_hidden=self.hidden, seed=range(self.n_seeds))

    def activities(self, seed: int) -> dict[str, FloatArray]:
        """Return the probabilities of the features for each toy, falling."""
        from percolaw.clusters.ensembles import sample_sizes

        size = sample_sizes("site", self.n_features, None, *SIZES, Streams(seed))
        falling = np.sort(size)[::-1].astype(np.float64)
        by_size = np.minimum(self.n_present * falling / falling.sum(), 1.0)
        equal = np.full(self.n_features, min(1.0, self.n_present / self.n_features))
        return {WEAK: by_size, STRONG: by_size, EQUAL: equal}

    def measure(self, cell: Cell) -> list[Row]:
        """Train the three toys; a row each: its loss, what laws say, and what is represented."""
        from percolaw.laws import superposition as laws
        from percolaw.neural.superposition import stratified_features

        m, seed = cell["n_hidden"], cell["seed"]
        rows = []
        for number, (toy, activity) in enumerate(self.activities(seed).items()):
            generator = Streams(seed).generator("evaluation", number)
            x, weight = stratified_features(activity, self.n_test, generator)
            output, directions = self._trained(toy, activity, m, seed, x)
            norm = np.linalg.norm(directions, axis=1)
            unit = directions / np.maximum(norm, 1e-12)[:, None]
            overlap = (np.sum((unit @ unit.T) ** 2) - norm.size) / (norm.size * (norm.size - 1))
            rows.append(
                {
                    **cell,
                    "toy": toy,
                    "loss": float(weight @ np.sum((output - x) ** 2, axis=1)),
                    "left_out": laws.unrepresented_loss(activity, m),
                    "pairs": laws.paired_loss(activity, m),
                    "random": laws.random_directions_loss(activity, m),
                    "represented": int(np.count_nonzero(norm > REPRESENTED)),
                    "overlap": float(overlap),
                }
            )
        return rows

    def _trained(
        self, toy: str, activity: FloatArray, n_hidden: int, seed: int, x: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Outputs at points, and the directions of the features."""
        from percolaw.neural.network import unflatten
        from percolaw.neural.superposition import SparseFeatures, SuperpositionToy
        from percolaw.neural.training import train

        network = SuperpositionToy(n_hidden, unit=toy != WEAK)
        held = SparseFeatures(activity, 1000, seed).rows(self.training.steps)[0]
        stream = SparseFeatures(activity, self.training.batch_size, seed)
        decay = self.weak_decay if toy == WEAK else 0.0
        student = Student(seed, stream, np.arange(1000), weight_decay=decay)
        n = activity.size
        trained = train(network, held, held, [student], self.training, n_outputs=n)
        weight = unflatten(network, n, n, trained.weights.astype(np.float64))["weight"][0]
        if network.unit:
            weight = weight / np.linalg.norm(weight, axis=1, keepdims=True)
        return trained.predict(x)[0].astype(np.float64), weight

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold losses, exponents, represented features and overlaps against what is published."""
        from percolaw.laws.superposition import superposition_exponents

        weak, strong = superposition_exponents(CLUSTER_SIZES)
        m = np.array(self.hidden, dtype=np.float64)
        loss, left_out = self._table(rows, WEAK, "loss"), self._table(rows, WEAK, "left_out")
        overlap = self._table(rows, STRONG, "overlap")
        about = {"learner": WEAK}
        every = [
            claims.mean(
                "weak: features represented per dimension",
                self.source,
                1.0,
                (self._table(rows, WEAK, "represented") / m).mean(axis=1),
                self.ratio_tolerance,
                about={**about, "quantity": "represented"},
            ),
            claims.ratio(
                "weak: loss over the variance of all features but m",
                self.source,
                loss / left_out,
                self.ratio_tolerance,
                about={**about, "quantity": "loss over prediction"},
                by_logs=True,
            ),
            claims.difference(
                "weak: exponent in dimensions, less that of its law",
                self.source,
                self._exponents(loss) - self._exponents(left_out),
                self.tolerance,
                f"measured {self._exponents(loss).mean():.2f}; {weak:g} for many features",
                {**about, "quantity": "exponent"},
            ),
            claims.mean(
                "strong: exponent in dimensions",
                self.source,
                strong,
                self._exponents(self._table(rows, STRONG, "loss")),
                self.tolerance,
                "2 (a - 1) of cluster sizes, a = 2",
                {"learner": STRONG, "quantity": "exponent"},
            ),
            claims.mean(
                "strong: mean squared overlap of directions times m",
                self.source,
                1.0,
                (overlap * m).mean(axis=1),
                self.ratio_tolerance,
                about={"learner": STRONG, "quantity": "overlap"},
            ),
            claims.mean(
                "strong, equal frequencies: exponent in dimensions",
                self.source,
                1.0,
                self._exponents(self._table(rows, EQUAL, "loss")),
                self.tolerance,
                f"random directions: {self._exponents(self._table(rows, EQUAL, 'random')).mean():.2f}",
                {"learner": EQUAL, "quantity": "exponent"},
            ),
        ]
        return Conclusion(tuple(every), plots=self._plots(rows))

    def _table(self, rows: list[Row], toy: str, key: str) -> FloatArray:
        """One number a seed and number of dimensions."""
        return pivot([r for r in rows if r["toy"] == toy], key, "seed", "n_hidden")

    def _exponents(self, loss: FloatArray) -> FloatArray:
        """Exponents in m, seed by seed."""
        return np.array([-log_slope(self.hidden, row) for row in loss])

    def _plots(self, rows: list[Row]) -> tuple[plots.Plot, ...]:
        from percolaw.laws.superposition import welch_bound

        m = np.array(self.hidden)
        laws = {STRONG: "random", EQUAL: "random", WEAK: "left_out"}  # colours as of overlaps
        losses: list[Any] = []
        for toy, law in laws.items():
            name = f"{toy}, law"
            curve = LearningCurve(
                m,
                self._table(rows, toy, "loss"),
                predicted=self._table(rows, toy, law).mean(axis=0),
            )
            losses += [
                plots.curve(toy, curve, how="mean", prediction=name, group=toy),
                plots.line(name, "theory", m, curve.predicted, group=toy),
            ]
        pairs = self._table(rows, WEAK, "pairs").mean(axis=0)
        losses.append(plots.line("two features a dimension", "reference", m, pairs))
        overlaps = [
            plots.curve(toy, LearningCurve(m, self._table(rows, toy, "overlap")), how="mean")
            for toy in (STRONG, EQUAL)
        ]
        least = [welch_bound(self.n_features, k) for k in self.hidden]
        overlaps += [
            plots.line("1/m", "theory", m, 1.0 / m),
            plots.line("least (Welch)", "reference", m, least),
        ]
        return (
            plots.log_log(
                "superposition",
                f"{self.n_features} features, {self.n_seeds} draws of cluster sizes",
                "Loss of toys of superposition against hidden dimensions, beside laws: all features "
                "but m left out (weak), random directions (strong).",
                ("hidden dimensions m", "squared error, summed over features"),
                losses,
                figure="superposition",
            ),
            plots.log_log(
                "superposition-overlap",
                "Squared overlaps of directions",
                "Mean squared overlap of the directions of features against hidden dimensions.",
                ("hidden dimensions m", "mean squared overlap"),
                overlaps,
                figure="superposition",
            ),
        )
