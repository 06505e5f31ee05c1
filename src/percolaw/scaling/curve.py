"""Losses over sizes and seeds, beside the curve that was predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks, frames
from percolaw.scaling import fit, minimum
from percolaw.scaling.fit import Aggregate
from percolaw.short import short_repr
from percolaw.shown import Drawable

FloatArray: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Band:
    """A curve over seeds: its middle, and the range in which two thirds of the seeds lie.

    Attributes
    ----------
    middle, low, high : array of float64, shape (n_sizes,)
        Mean or median, and the 16th and 84th percentile over seeds; NaN at sizes without a seed.
    """

    middle: FloatArray
    low: FloatArray
    high: FloatArray

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class LearningCurve(Drawable):
    """Losses over sizes and seeds, and the curve that was predicted.

    Parameters
    ----------
    size : array, shape (n_sizes,), not falling
        Training points, parameters, or what else losses are plotted against; some of them may be equal,
        such as measured degrees of freedom, but exponents need sizes that rise.
    loss : array, shape (n_seeds, n_sizes)
        NaN where nothing was measured.
    usable : array of bool, shape (n_sizes,), optional
        Sizes on which exponents may be fitted (converged, above rounding); all if None.
    predicted : array, shape (n_sizes,), optional
        The theory's curve at the same sizes.
    predicted_exponent : float, optional
        The theory's exponent for large sizes, where it has one.

    Raises
    ------
    TypeError, ValueError
        For what is no array of numbers, masked values, sizes that fall, and shapes that do not
        fit together.

    Examples
    --------
    >>> size = np.array([10, 30, 100, 300, 1000])
    >>> curve = LearningCurve(size, np.stack([size**-0.5, 1.1 * size**-0.5, size**-0.5]))
    >>> round(curve.fit().exponent, 12)
    0.5
    """

    picture = "learning curve"

    size: npt.NDArray[Any]
    loss: FloatArray
    usable: npt.NDArray[np.bool_] | None = None
    predicted: FloatArray | None = None
    predicted_exponent: float | None = None

    def __post_init__(self) -> None:
        size, loss = checks.array("size", self.size), checks.float_array("loss", self.loss)
        checks.float_array("size", size)
        if size.ndim != 1 or not np.all(size[1:] >= size[:-1]):
            raise ValueError(f"size must rise, shape (n_sizes,); got {size!r:.60}.")
        if loss.ndim != 2 or loss.shape[1] != size.size:
            raise ValueError(
                f"loss must have shape (n_seeds, {size.size}), a row a seed; got {loss.shape}."
            )
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "loss", loss)
        for name, dtype in (("usable", np.bool_), ("predicted", np.float64)):
            if getattr(self, name) is None:
                continue
            given = checks.array(name, getattr(self, name)).astype(dtype)
            if given.shape != size.shape:
                raise ValueError(f"{name} must have shape {size.shape}; got {given.shape}.")
            object.__setattr__(self, name, given)

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
            all of them: such an exponent means nothing, and `no_exponent` says why. Seeds not measured at
            all of them are left out.

        Raises
        ------
        ValueError
            If a loss used is 0, negative or infinite.
        """
        if self.no_exponent(window):
            return None
        chosen = self._chosen(window)
        part = self.loss[:, chosen]
        return fit.fit_power_law(self.size[chosen], part[~np.isnan(part).any(axis=1)], how=how)

    def no_exponent(self, window: tuple[float, float] | None = None) -> str:
        """Return why there is no exponent inside a window; empty if there is one."""
        chosen = self._chosen(window)
        used = self.size[chosen]
        if used.size < 3:
            return f"{used.size} of {self.size.size} sizes can be used, and a fit needs three"
        if used[-1] < 10 * used[0] * (1 - 1e-9):
            return f"sizes that can be used, {used[0]:g} to {used[-1]:g}, span less than a decade"
        whole = ~np.isnan(self.loss[:, chosen]).any(axis=1)
        return "" if whole.any() else "no seed was measured at all sizes"

    def seeds(self) -> tuple[LearningCurve, ...]:
        """Return the curve of each seed by itself, usable where it was measured."""
        usable = np.isfinite(self.loss) & (True if self.usable is None else self.usable)
        pairs = zip(self.loss, usable, strict=True)
        return tuple(LearningCurve(self.size, loss[None], good) for loss, good in pairs)

    def beside_power_law(
        self, exponent: float, window: tuple[float, float] | None = None
    ) -> LearningCurve:
        """Return the curve with a power law of a given exponent as its prediction.

        The law runs through the geometric mean of all seeds inside the window; NaN if nothing is there.

        Parameters
        ----------
        exponent : float
            Positive where the loss falls.
        window : (low, high), optional
            All sizes if None.

        Returns
        -------
        LearningCurve
        """
        law = self.size.astype(np.float64) ** -exponent
        chosen = self._chosen(window)
        level = np.log(self.mean()[chosen] / law[chosen])
        level = level[np.isfinite(level)]
        scale = np.exp(level.mean()) if level.size else np.nan
        return LearningCurve(self.size, self.loss, self.usable, np.asarray(scale * law), exponent)

    def within(self, window: tuple[float, float] | None) -> LearningCurve:
        """Return the part of the curve inside a window, at sizes that are usable."""
        chosen = self._chosen(window)
        predicted = None if self.predicted is None else self.predicted[chosen]
        loss = np.ascontiguousarray(self.loss[:, chosen])
        return LearningCurve(self.size[chosen], loss, None, predicted, self.predicted_exponent)

    def upper(self, decades: float) -> tuple[float, float]:
        """Return the window of the largest sizes, so many decades wide or as wide as all of them.

        Raises
        ------
        ValueError
            For decades that are negative or not finite, and a curve without sizes.
        """
        width = checks.real("decades", decades, minimum=0.0, maximum=300.0)
        if not self.size.size:
            raise ValueError("a curve without sizes has no largest ones.")
        last = float(self.size[-1])
        return float(max(self.size[0], last / 10.0**width)), last

    def slopes(self, window: tuple[float, float] | None = None) -> FloatArray:
        """Return the exponent of each seed by itself, shape (n_seeds,).

        NaN below 3 usable sizes inside the window, and for a seed not measured at all of them.

        Raises
        ------
        ValueError
            If a loss used is 0, negative or infinite.
        """
        if window is None and self.usable is None:
            return -fit.log_slopes(self.size, self.loss)
        chosen = self._chosen(window)
        return -fit.log_slopes(self.size[chosen], self.loss[:, chosen])

    def least_at(self) -> FloatArray:
        """Return where the curve of each seed is least; see `minimum.least_at`."""
        return np.array([minimum.least_at(self.size, loss) for loss in self.loss])

    def predicted_slope(self, window: tuple[float, float] | None = None) -> float:
        """Return the exponent of the predicted curve, fitted as that of a seed is.

        Raises
        ------
        ValueError
            If nothing was predicted.
        """
        theory = LearningCurve(self.size, self.as_predicted().loss[:1].copy(), self.usable)
        return float(theory.slopes(window)[0])

    def local(self, how: Aggregate = "geometric", smooth: bool = False) -> FloatArray:
        """Return the local exponents of the curve of all seeds, (n_sizes,); NaN where unmeasured.

        Parameters
        ----------
        how : {"geometric", "mean", "median"}
            How seeds become one curve.
        smooth : bool
            Whether that curve is first averaged with its neighbours; see `minimum.smoothed`.

        Returns
        -------
        array of float64, shape (n_sizes,)
            All NaN if fewer than 3 sizes were measured.
        """
        mean = self.mean(how)
        good = np.isfinite(mean)
        local = np.full(mean.size, np.nan)
        if good.sum() > 2:
            curve = minimum.smoothed(mean[good]) if smooth else mean[good]
            local[good] = fit.local_exponents(self.size[good], curve)
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
        return LearningCurve(
            self.size,
            np.broadcast_to(self.predicted, self.loss.shape),
            self.usable,
            predicted_exponent=self.predicted_exponent,
        )

    def to_frame(self) -> frames.Frame:
        """Return the losses in long form, a line for each seed and size.

        Returns
        -------
        pandas.DataFrame or dict of array
            Columns ``seed`` (from 0), ``size``, ``loss`` (NaN where nothing was measured), ``usable``,
            and ``predicted`` where there is a prediction; see `percolaw.frames.frame`.
        """
        seeds, sizes = self.loss.shape
        usable = np.ones(sizes, dtype=bool) if self.usable is None else self.usable
        columns = {
            "seed": np.repeat(np.arange(seeds), sizes),
            "size": np.tile(self.size, seeds),
            "loss": self.loss.ravel(),
            "usable": np.tile(usable, seeds),
        }
        if self.predicted is not None:
            columns["predicted"] = np.tile(self.predicted, seeds)
        return frames.frame(columns)

    def __repr__(self) -> str:
        text = f"LearningCurve({self.n_seeds} seeds, {self.size.size} sizes"
        if self.size.size:
            size, loss = self.size, self.mean("median")
            text += (
                f" {float(size[0]):g} to {float(size[-1]):g}, loss {loss[0]:.3g} to {loss[-1]:.3g}"
            )
        if self.predicted_exponent is not None:
            text += f", predicted exponent {self.predicted_exponent:.3g}"
        why = self.no_exponent() if self.size.size else ""
        return text + (f", no exponent: {why})" if why else ")")

    def _repr_html_(self) -> str:
        middle = self.band("median")
        header = ["size", "loss", "16%", "84%"]
        values = [self.size, middle.middle, middle.low, middle.high]
        if self.predicted is not None:
            header.append("predicted")
            values.append(self.predicted)
        rows = [[f"{float(v):.4g}" for v in row] for row in zip(*values, strict=True)]
        return frames.html_table(header, rows, repr(self))

    def _chosen(self, window: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
        """Sizes inside the window that are usable."""
        low, high = (-np.inf, np.inf) if window is None else fit.checked_window(window)
        inside = (self.size >= low * (1 - 1e-12)) & (self.size <= high * (1 + 1e-12))
        return inside if self.usable is None else inside & self.usable


def _over_seeds(loss: FloatArray, reduce: Callable[[FloatArray], Any]) -> FloatArray:
    """One number a size from the seeds measured there; NaN where there are none."""
    columns = (column[np.isfinite(column)] for column in loss.T)
    return np.array([float(reduce(c)) if c.size else np.nan for c in columns])
