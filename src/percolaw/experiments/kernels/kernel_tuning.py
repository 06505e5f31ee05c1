"""A kernel student on noisy data: its ridge, length and smoothness tuned on validation points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments import claims, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, SeedBySeed
from percolaw.experiments.fields import Bytes, Range, Seeds, Tolerance
from percolaw.rng import Streams


@dataclass(frozen=True)
class KernelTuning(SeedBySeed):
    """Loss of a Matérn student on noisy values of a Matérn field, on the infinite cluster.

    The field's own kernel with a ridge equal to the noise is the best student in the mean, and its
    loss is the posterior variance; a search on validation data should come near it.
    """

    name: ClassVar[str] = "kernel-tuning"
    title: ClassVar[str] = "A tuned kernel student reaches the posterior variance"
    source: ClassVar[str] = "Gaussian processes; docs/theory.md, 7"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset({"n_seeds": 3, "n_train": 300, "n_test": 300}, "2 s", "0.4 GiB"),
        "laptop": Preset({}, "12 s", "0.5 GiB"),
        "paper": Preset({"n_seeds": 20, "n_train": 4000}, "3 min, estimated", "1 GiB"),
    }

    n_seeds: Seeds = 5
    """Independent clusters, fields and noise."""
    n_train: Annotated[int, Range(10), Bytes(16.0, power=2.0)] = 1000
    """Training points."""
    n_test: Annotated[int, Range(10)] = 1000
    """Validation points, and as many test points."""
    dim: Annotated[int, Range(1)] = 16
    """Embedding dimension of the cluster."""
    noise: Annotated[float, Range(0.0)] = 0.3
    """Standard deviation of the noise in the values; the field has 1."""
    teacher_smoothness: Annotated[float, Range(0.01, 100.0)] = 0.5
    """nu of the field."""
    smoothness: Annotated[float, Range(0.01, 100.0)] = 0.5
    """nu of the student."""
    length_scale: Annotated[float, Range(1e-6)] = 1.0
    """Length scale of the student; the field's is 1."""
    ridge: Annotated[float, Range(0.0)] = 0.09
    """Ridge of the student; noise^2 is the best."""
    tolerance: Tolerance = 0.05
    """Relative deviation from the posterior variance that counts as agreement."""

    def measure(self, cell: Cell) -> list[Row]:
        """Fit on noisy values; losses on noiseless validation and test values."""
        from percolaw.datasets.make import make_cluster
        from percolaw.learners.kernel import nested_curve
        from percolaw.numerics.covariance import Matern
        from percolaw.targets.matern import MaternTeacher
        from percolaw.targets.teacher import standardized_inputs

        streams = Streams(cell["seed"])
        n, m = self.n_train, self.n_test
        x = standardized_inputs(make_cluster(n + 2 * m, self.dim, streams, labels="none").X)
        y = MaternTeacher(self.teacher_smoothness).on_points(x, streams, method="cholesky").value
        noisy = y[:n] + self.noise * streams.generator("evaluation").standard_normal(n)
        student = Matern(self.smoothness, self.length_scale)
        best = Matern(self.teacher_smoothness)
        square = []
        for kernel, ridge in ((student, self.ridge), (best, self.noise**2)):
            curve = nested_curve(kernel, x[:n], noisy, x[n:], [n], ridge)
            square.append((curve.prediction[0, :, 0] - y[n:]) ** 2)
        return [
            {
                "seed": cell["seed"],
                "validation": float(square[0][:m].mean()),
                "test": float(square[0][m:].mean()),
                "test_best": float(square[1][m:].mean()),
                "posterior_variance": float(curve.variance[0]),
            }
        ]

    def validate(self, rows: list[Row]) -> float:
        """Return the objective of a search: the validation loss."""
        return float(np.mean([row["validation"] for row in rows]))

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold the test loss against that of the field's own kernel, and that against theory."""
        seed, test, best, exact = (
            np.array([row[key] for row in rows])
            for key in ("seed", "test", "test_best", "posterior_variance")
        )
        every = [
            claims.mean(name, self.source, 1.0, values, self.tolerance, about=about)
            for name, values, about in (
                (
                    "test loss of the student over that of the field's own kernel",
                    test / best,
                    {"learner": "student", "quantity": "loss"},
                ),
                (
                    "test loss of the field's own kernel over the posterior variance",
                    best / exact,
                    {"learner": "the field's own kernel", "quantity": "loss"},
                ),
            )
        ]
        series = [
            plots.line("student", "measured", seed, test, joined=False),
            plots.line("the field's own kernel", "reference", seed, best, joined=False),
            plots.line("posterior variance", "theory", seed, exact, joined=False),
        ]
        plot = plots.linear(
            "kernel-tuning",
            "Kernel student on noisy data",
            "Test loss of the student, of the field's own kernel, and the best possible, seed by seed.",
            ("seed", "test loss"),
            series,
            y_limits=(0.0, 1.1 * float(max(test.max(), best.max(), exact.max()))),
        )
        return Conclusion(tuple(every), plots=(plot,))
