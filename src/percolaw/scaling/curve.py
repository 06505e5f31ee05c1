"""Measure a learning curve: any learner with fit and predict, any data, several sizes and repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams
from percolaw.scaling import fit

FloatArray: TypeAlias = npt.NDArray[np.float64]


class PointLearner(Protocol):
    """Anything with scikit-learn's fit and predict."""

    def fit(self, points: Any, values: Any) -> Any:
        """Return something with ``predict``."""
        ...


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Losses over training sizes and repeats.

    Attributes
    ----------
    size : array of int64, shape (n_sizes,)
    loss : array of float64, shape (n_repeats, n_sizes)
        Mean squared error over the variance of the test values.
    """

    size: npt.NDArray[np.int64]
    loss: FloatArray

    def fit(self, window: tuple[float, float] | None = None) -> fit.PowerLawFit:
        """Return the power-law fit; see `percolaw.scaling.fit.fit_power_law`."""
        return fit.fit_power_law(self.size, self.loss, window=window)

    def local_exponents(self) -> FloatArray:
        """Return the local exponents of the mean curve."""
        return fit.local_exponents(self.size, fit.aggregate(self.loss))


def scaling_curve(
    learner: PointLearner,
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    sizes: npt.ArrayLike,
    *,
    n_test: int = 1000,
    n_repeats: int = 5,
    rng: RandomLike = 0,
) -> LearningCurve:
    """Train on growing random parts of the data and test on points never trained on.

    Parameters
    ----------
    learner : object with fit(points, values)
        `fit` returns something with `predict` (scikit-learn estimators do).
    points : array, shape (n, d)
    values : array, shape (n,)
    sizes : array of int
        Training sizes, rising; each repeat draws the largest set and uses its first rows.
    n_test, n_repeats : int
        Test points of each repeat, and repeats; repeats share one dataset, so the interval of a
        fit does not contain the scatter between datasets.
    rng : int, Generator or Streams
        Streams ``split`` keyed by repeat.
    """
    x = np.asarray(points)
    y = checks.finite_array("values", values, ndim=1, length=x.shape[0])
    given = checks.finite_array("sizes", sizes)
    if np.any(given != np.floor(given)):
        raise ValueError(
            f"sizes must be integers; got {given[:3]}... Round them (percolaw.geometric)."
        )
    size = given.astype(np.int64)
    largest = int(size.max(initial=0))
    if size.ndim != 1 or size.size == 0 or size.min() < 1 or np.any(np.diff(size) <= 0):
        raise ValueError("sizes must be positive and rise strictly.")
    if largest + n_test > x.shape[0]:
        raise ValueError(
            f"sizes up to {largest} and {n_test} test points need {largest + n_test} points; "
            f"got {x.shape[0]}."
        )
    streams = as_streams(rng)
    loss = np.empty((checks.integer("n_repeats", n_repeats, minimum=1), size.size))
    for repeat in range(n_repeats):
        order = streams.generator("split", repeat).permutation(x.shape[0])
        test, train = order[:n_test], order[n_test : n_test + largest]
        target = y[test]
        for j, n in enumerate(size):
            rows = train[:n]
            predicted = learner.fit(x[rows], y[rows]).predict(x[test])
            loss[repeat, j] = np.mean((predicted - target) ** 2) / target.var()
    return LearningCurve(size, loss)
