"""Measure a learning curve: any learner with fit and predict, any data, several sizes and repeats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams
from percolaw.scaling import fit
from percolaw.scaling.fit import Aggregate

FloatArray: TypeAlias = npt.NDArray[np.float64]


class PointLearner(Protocol):
    """Anything with scikit-learn's fit and predict."""

    def fit(self, points: Any, values: Any) -> Any:
        """Return something with ``predict``."""
        ...


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over seeds: what lies in the middle, and where most seeds lie.

    Attributes
    ----------
    middle, low, high : array of float64, shape (n_sizes,)
        Mean or median, and the 16th and 84th percentile over seeds; NaN at sizes without a seed.
    """

    middle: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """Losses over sizes and seeds, and what was predicted: what every learner returns.

    Parameters
    ----------
    size : array, shape (n_sizes,), rising
        Training points, parameters, or whatever the loss falls with.
    loss : array, shape (n_seeds, n_sizes)
        NaN where nothing was measured.
    usable : array of bool, shape (n_sizes,), optional
        Sizes on which exponents may be fitted (converged, above rounding); all if None.
    predicted : array, shape (n_sizes,), optional
        The theory's curve at the same sizes.

    Examples
    --------
    >>> size = np.array([10, 30, 100, 300, 1000])
    >>> curve = LearningCurve(size, np.stack([size**-0.5, 1.1 * size**-0.5, size**-0.5]))
    >>> round(curve.fit().exponent, 12)
    0.5
    """

    size: npt.NDArray[Any]
    loss: FloatArray
    usable: npt.NDArray[np.bool_] | None = None
    predicted: FloatArray | None = None

    @property
    def n_seeds(self) -> int:
        """Number of seeds, or repeats."""
        return int(self.loss.shape[0])

    def fit(
        self, window: tuple[float, float] | None = None, how: Aggregate = "geometric"
    ) -> fit.PowerLawFit | None:
        """Return the power law through the usable sizes inside a window, or None.

        Parameters
        ----------
        window : (low, high), optional
            All sizes if None.
        how : {"geometric", "mean", "median"}
            How seeds become one curve.

        Returns
        -------
        PowerLawFit or None
            None if fewer than 3 sizes or less than a decade can be used, or no seed was measured at
            all of them: such an exponent means nothing.
        """
        chosen = self._chosen(window)
        used = self.size[chosen]
        part = self.loss[:, chosen]
        part = part[np.isfinite(part).all(axis=1)]
        if not part.shape[0] or used.size < 3 or used[-1] < 10 * used[0] * (1 - 1e-9):
            return None
        return fit.fit_power_law(used, part, how=how)

    def within(self, window: tuple[float, float] | None) -> LearningCurve:
        """Return the part of the curve inside a window, at sizes that are usable."""
        chosen = self._chosen(window)
        predicted = None if self.predicted is None else self.predicted[chosen]
        return LearningCurve(
            self.size[chosen], np.ascontiguousarray(self.loss[:, chosen]), predicted=predicted
        )

    def slopes(self, window: tuple[float, float] | None = None) -> FloatArray:
        """Return the exponent of each seed by itself, shape (n_seeds,); NaN below 3 sizes."""
        chosen = self._chosen(window)
        loss = self.loss if chosen.all() else self.loss[:, chosen]
        return -fit.log_slopes(self.size[chosen], loss)

    def local(self, how: Aggregate = "geometric") -> FloatArray:
        """Return the local exponents of the curve of all seeds, (n_sizes,); NaN where unmeasured."""
        mean = self.mean(how)
        good = np.isfinite(mean)
        local = np.full(mean.size, np.nan)
        if good.sum() > 2:
            local[good] = fit.local_exponents(self.size[good], mean[good])
        return local

    def mean(self, how: Aggregate = "geometric") -> FloatArray:
        """Return one curve from all seeds measured at each size, shape (n_sizes,)."""
        return _over_seeds(self.loss, lambda values: fit.aggregate(values[:, None], how)[0])

    def band(self, how: Aggregate = "geometric") -> Band:
        """Return the middle curve and the 16 to 84 percentiles over seeds."""
        low = _over_seeds(self.loss, lambda values: np.quantile(values, 0.16))
        high = _over_seeds(self.loss, lambda values: np.quantile(values, 0.84))
        return Band(self.mean(how), low, high)

    def over(self, other: LearningCurve) -> LearningCurve:
        """Return the ratio to another curve of the same sizes and seeds, seed by seed.

        Raises
        ------
        ValueError
            If the two were not measured at the same sizes, by as many seeds.
        """
        if self.loss.shape != other.loss.shape or not np.array_equal(self.size, other.size):
            raise ValueError(
                f"curves of {self.loss.shape} and {other.loss.shape} losses are not of the same seeds "
                "and sizes. Measure both on the same ones."
            )
        usable = None
        if self.usable is not None or other.usable is not None:
            both = [u for u in (self.usable, other.usable) if u is not None]
            usable = np.logical_and.reduce(both)
        return LearningCurve(self.size, self.loss / other.loss, usable)

    def against(self) -> FloatArray:
        """Return measured over predicted, (n_seeds, n_sizes).

        Raises
        ------
        ValueError
            If nothing was predicted.
        """
        return np.asarray(self.loss / self.as_predicted().loss)

    def as_predicted(self) -> LearningCurve:
        """Return the predicted curve in place of the measured one, the same for every seed.

        Raises
        ------
        ValueError
            If nothing was predicted.
        """
        if self.predicted is None:
            raise ValueError("this curve has no prediction; give one with predicted=.")
        return LearningCurve(self.size, np.broadcast_to(self.predicted, self.loss.shape))

    def _chosen(self, window: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
        """Sizes inside the window that are usable."""
        low, high = (-np.inf, np.inf) if window is None else window
        inside = (self.size >= low * (1 - 1e-12)) & (self.size <= high * (1 + 1e-12))
        return inside if self.usable is None else inside & self.usable


def _over_seeds(loss: FloatArray, reduce: Callable[[FloatArray], Any]) -> FloatArray:
    """One number a size from the seeds measured there; NaN where there are none."""
    columns = (column[np.isfinite(column)] for column in loss.T)
    return np.array([float(reduce(c)) if c.size else np.nan for c in columns])


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
