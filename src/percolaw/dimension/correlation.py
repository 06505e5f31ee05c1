"""Correlation dimension: how the number of pairs within a distance grows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.dimension.sample import DimensionEstimator, Sample
from percolaw.numerics.distances import squared_distances
from percolaw.rng import RandomLike

FloatArray = npt.NDArray[np.float64]


#: Points that find the window.
PILOT = 100


@dataclass(eq=False)
class CorrelationDimension(DimensionEstimator):
    """Slope of log C(r) against log r (Grassberger and Procaccia 1983).

    C(r) is the mean number of other points within r of a point. The window is set by C, so that it
    follows the data whatever their scale.

    Parameters
    ----------
    lowest, highest : float
        Mean numbers of neighbours between which the slope is taken.
    n_radii : int
        Radii in the window, geometric.
    max_centres : int
        Points of each level whose neighbours are counted.
    rng : int, Generator or Streams
        Stream ``split``: deals the points of a fit into subsets.
    """

    lowest: float = 0.5
    highest: float = 20.0
    n_radii: int = 12
    max_centres: int = 2000
    rng: RandomLike = 0

    def __post_init__(self) -> None:
        checks.set_real(self, "lowest", minimum=1e-3)
        checks.set_real(self, "highest", minimum=4.0 * self.lowest, maximum=1e15)
        checks.set_integer(self, "n_radii", minimum=3, maximum=10_000)
        checks.set_integer(self, "max_centres", minimum=10)

    @property
    def n_neighbors(self) -> int:
        """Neighbours needed: pairs are counted apart, but a subset must hold as many points."""
        return math.ceil(self.highest)

    def value(self, sample: Sample) -> float:
        """Return the estimate on one sample."""
        radius, count = self.curve(sample)
        return float(np.polyfit(np.log(radius), np.log(count), 1)[0])

    def curve(self, sample: Sample) -> tuple[FloatArray, FloatArray]:
        """Return radii of the window and the mean number of neighbours within each.

        Returns
        -------
        radius : array of float64, shape (n_radii,)
        neighbours : array of float64, shape (n_radii,)
            Mean number over the centres.

        Raises
        ------
        ValueError
            If `highest` is half of the points or more.
        ResourceError
            If the distances would not fit; see `bytes_needed`.
        """
        n = sample.points.shape[0]
        if self.highest >= 0.5 * n:
            raise ValueError(
                f"{self.highest:g} neighbours are too many for {n} points; lower `highest`."
            )
        centres = sample.query[
            : max(min(20, self.max_centres), int(self.max_centres * sample.share))
        ]
        checks.memory(
            bytes_needed(*sample.points.shape), f"distances of {n} points", "Use fewer points."
        )
        x = np.asarray(sample.points, dtype=np.float64)
        x = x - x.mean(axis=0)
        scale = 2.0 ** np.rint(np.log2(np.abs(x).max()))
        x /= scale
        pilot = _squares(x, centres[:PILOT]).reshape(-1)
        pilot.sort()
        quantile = np.array([self.lowest, self.highest]) * min(PILOT, centres.size)
        ends = pilot[np.clip(quantile.astype(np.int64), 0, pilot.size - 1)]
        # With few centres the lower end may hold no pair: never below the pilot's nearest.
        low, high = np.sqrt(np.maximum(ends, pilot[0]))
        # A hair apart from the distances of the pilot, so that rounding decides nothing.
        edges = np.geomspace(low * (1.0 + 1e-9), high * (1.0 + 1e-9), self.n_radii) ** 2
        count = np.zeros(self.n_radii)
        step = max(1, (1 << 21) // n)
        for first in range(0, centres.size, step):
            square = _squares(x, centres[first : first + step])
            near = square[square <= edges[-1]]
            count += np.searchsorted(np.sort(near), edges, side="right")
        return np.sqrt(edges) * scale, count / centres.size


def bytes_needed(n: int, d: int) -> float:
    """Bytes that the counting takes of n points in d dimensions: copies of them, and the pilot.

    Parameters
    ----------
    n, d : int

    Returns
    -------
    float
    """
    return 24.0 * n * d + 8.0 * PILOT * n


def _squares(x: FloatArray, rows: npt.NDArray[np.int64]) -> FloatArray:
    """Squared distances from some rows to all, infinite to themselves."""
    square = squared_distances(x[rows], x)
    square[np.arange(rows.size), rows] = np.inf
    return square
