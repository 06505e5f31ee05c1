"""All estimators on one cloud of points, at several scales, and a plain sentence about them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks, frames
from percolaw.dimension.cloud import checked_cloud
from percolaw.dimension.correlation import CorrelationDimension, bytes_needed
from percolaw.dimension.mle import MLE, local_from_distances
from percolaw.dimension.sample import (
    DimensionEstimator,
    Estimate,
    decimate,
    estimate,
    level_counts,
    make_sample,
    varying_columns,
)
from percolaw.dimension.two_nn import TwoNN
from percolaw.nulls import to_null
from percolaw.progress import Wanted, reporting
from percolaw.rng import RandomLike
from percolaw.shown import Drawable

#: The estimators of a report.
ESTIMATORS: dict[str, DimensionEstimator] = {
    "TwoNN": TwoNN(),
    "ratio regression, k = 5": TwoNN(5),
    "MLE, k = 5": MLE(5),
    "MLE, k = 20": MLE(20),
    "MLE, k = 20, mean of dimensions": MLE(20, "dimension"),
    "correlation dimension": CorrelationDimension(),
}
#: Points with more neighbours, for the dependence on their number and the local dimension.
TABLE_QUERIES = 5000
#: Estimates above so many times the number of columns are of neighbours that are equally far.
LARGEST = 100.0
#: All work over that of the searches of all levels.
ESTIMATES_WORK = 1.4
#: Relative change over the scales tested, and relative range of the estimators, up to which there
#: is one dimension, or a rough one.
STEADY, ROUGH = (0.06, 0.12), (0.25, 0.35)


@dataclass(frozen=True, eq=False, repr=False)
class DimensionReport(Drawable):
    """What all estimators say of a cloud of points.

    Attributes
    ----------
    n_points, embedding_dimension : int
    n_constant : int
        Constant columns; they change nothing.
    estimates : dict of str to Estimate
    by_neighbors : dict
        k, and the MLE and ratio regression with k neighbours, on all points.
    local : tuple of float
        5, 25, 50, 75, 95 percentiles of the local dimension (k = 50, or what the points allow).
    expected_local : tuple of float
        5 and 95 percentiles that the same number of neighbours would give if the dimension were the
        median everywhere: estimation noise alone.
    dimension : float
        Median of the estimates.
    interval : tuple of float
        Medians of their lower and upper ends.
    drift : float
        Median over estimators of the relative change of the estimate from the whole to the smallest
        subsets.
    spread : float
        Range of the estimates on all points, over their median.
    trust : {"steady", "rough", "none", "untested"}
        ``untested`` below 400 points: too few to compare scales.
    sentence : str
    """

    picture = "dimension report"

    n_points: int
    embedding_dimension: int
    n_constant: int
    estimates: dict[str, Estimate]
    by_neighbors: dict[str, list[float]]
    local: tuple[float, ...]
    expected_local: tuple[float, float]
    dimension: float
    interval: tuple[float, float]
    drift: float
    spread: float
    trust: str
    sentence: str

    def __str__(self) -> str:
        lines = [f"{name:<34} {estimate}" for name, estimate in self.estimates.items()]
        return "\n".join([*lines, self.sentence])

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"DimensionReport({self.dimension:.3g} [{low:.3g}, {high:.3g}], {self.trust}; "
            f"{self.n_points} points in {self.embedding_dimension} dimensions)"
        )

    def _repr_html_(self) -> str:
        rows = [[name, str(estimate)] for name, estimate in self.estimates.items()]
        return frames.html_table(["estimator", "dimension [95% interval]"], rows, self.sentence)

    def to_frame(self) -> frames.Frame:
        """Return the estimates in long form, a line for each estimator and number of points.

        Returns
        -------
        pandas.DataFrame or dict of array
            Columns ``estimator``, ``n_points``, ``level`` (the estimate with so many points), and, the
            same on every line of an estimator, what it states for all points: ``dimension``, ``low``,
            ``high``, ``standard_error``; see `percolaw.frames.frame`.
        """
        lines = [
            (name, int(n), float(level), e.dimension, *e.interval, e.standard_error)
            for name, e in self.estimates.items()
            for n, level in zip(e.n_points, e.level, strict=True)
        ]
        names = ("estimator", "n_points", "level", "dimension", "low", "high", "standard_error")
        return frames.frame({name: [line[i] for line in lines] for i, name in enumerate(names)})

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values; None for unknown errors and ends of intervals."""
        plain: dict[str, Any] = to_null(
            {
                "n_points": self.n_points,
                "embedding_dimension": self.embedding_dimension,
                "n_constant": self.n_constant,
                "estimates": {
                    name: {
                        "dimension": e.dimension,
                        "standard_error": e.standard_error,
                        "extrapolated": e.extrapolated,
                        "interval": list(e.interval),
                        "n_points": e.n_points.tolist(),
                        "level": e.level.tolist(),
                    }
                    for name, e in self.estimates.items()
                },
                "by_neighbors": self.by_neighbors,
                "local": list(self.local),
                "expected_local": list(self.expected_local),
                "dimension": self.dimension,
                "interval": list(self.interval),
                "drift": self.drift,
                "spread": self.spread,
                "trust": self.trust,
                "sentence": self.sentence,
            }
        )
        return plain


def estimate_dimension(
    points: npt.ArrayLike,
    rng: RandomLike = 0,
    *,
    max_queries: int = 20_000,
    progress: Wanted = False,
) -> DimensionReport:
    """Estimate the intrinsic dimension of points by all methods, with scale dependence.

    Parameters
    ----------
    points : array, shape (n, d)
        At least 100 distinct points; any offset and scale.
    rng : int, Generator or Streams
        Stream ``split``: deals the points into subsets.
    max_queries : int
        Points whose neighbours are searched; neighbours come from all points.
    progress : bool or callable
        True shows a bar; a function is called with work done and in all, in millions of distances.

    Returns
    -------
    DimensionReport
        O(max_queries n d) time; five copies of the points, one for each level, and 24 d + 800 bytes
        a point.

    Raises
    ------
    ValueError
        For points of another shape, fewer than 100 of them, duplicates, NaN or infinity, and
        points on a grid, which have no dimension at this scale.
    ResourceError
        If the copies of the points would not fit.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal((2000, 3)) @ np.ones((3, 10))
    >>> round(estimate_dimension(x + np.eye(10)[0] * 5).dimension)
    1
    """
    if np.ndim(points) == 0:
        raise ValueError(
            f"points must be an array of shape (n, d); got {type(points).__name__}. Of a dataset pass "
            "its X; of a file, percolaw.load(file).X."
        )
    given = checks.array("points", points)
    if given.ndim == 2:
        checks.integer("number of points", given.shape[0], minimum=100)
    x = checked_cloud(given, 22)
    n = x.shape[0]
    ks = [k for k in (2, 3, 5, 10, 20, 50, 100) if k <= n // 8]
    used = {name: e for name, e in ESTIMATORS.items() if e.n_neighbors <= max(ks)}
    most = max(e.n_neighbors for e in used.values())
    checks.memory(
        float(x.nbytes) * len(level_counts(n, most)) + bytes_needed(n, x.shape[1]),
        f"all estimators on {n} points in {x.shape[1]} dimensions",
        "Pass a random part of the points.",
    )
    queries = checks.integer("max_queries", max_queries, minimum=1)
    with reporting("dimension", progress) as update:
        work = _Work(x.shape[0], level_counts(n, most), queries, update)
        levels = decimate(x, most, rng, max_queries=max_queries, progress=work.searched)
        (whole,) = levels[0]
        some = whole.query[: min(whole.query.size, TABLE_QUERIES)]
        table = make_sample(whole.points, max(ks), some, progress=work.searched)
        estimates = {name: estimate(e, levels) for name, e in used.items()}
        work.finished()
    _refuse_lost(estimates, varying_columns(x))
    by_neighbors: dict[str, list[float]] = {
        "k": [float(k) for k in ks],
        "ratio": [TwoNN(k).value(table) for k in ks],
        "likelihood": [MLE(k).value(table) for k in ks],
    }
    quantiles, expected = _local_spread(table.distance[:, : min(50, max(ks))])
    values = list(estimates.values())
    dimension = float(np.median([e.dimension for e in values]))
    interval = (
        float(np.median([e.interval[0] for e in values])),
        float(np.median([e.interval[1] for e in values])),
    )
    drift, spread, trust = _trust(values, dimension, len(levels))
    return DimensionReport(
        n,
        x.shape[1],
        x.shape[1] - varying_columns(x),
        estimates,
        by_neighbors,
        quantiles,
        expected,
        dimension,
        interval,
        drift,
        spread,
        trust,
        _sentence(trust, values, dimension, interval),
    )


def _refuse_lost(estimates: dict[str, Estimate], columns: int) -> None:
    """Refuse points of which an estimator makes no number, or one far above that of the columns."""
    lost = [name for name, e in estimates.items() if not e.dimension <= LARGEST * columns]
    if lost:
        raise ValueError(
            f"{lost[0]} gives no number that means something: too many neighbours are equally far but "
            "for rounding, as on a grid, turned or not. Such points have no dimension at this scale; add "
            "the digits that were rounded off, or points between."
        )


class _Work:
    """Work done and in all: distances of the searches, and as much again as the estimates take."""

    def __init__(
        self, n: int, counts: list[int], max_queries: int, progress: Callable[[int, int], None]
    ) -> None:
        self.done, self.progress = 0, progress
        queries = min(n, max_queries)
        self.total = int(ESTIMATES_WORK * queries * n * sum(1.0 / count for count in counts))

    def searched(self, distances: int) -> None:
        """Count distances of a search."""
        self.done += distances
        self.progress(min(self.done, self.total) // 1_000_000, self.total // 1_000_000)

    def finished(self) -> None:
        """All is done."""
        self.searched(self.total)


def _local_spread(
    distance: npt.NDArray[np.float64],
) -> tuple[tuple[float, ...], tuple[float, float]]:
    """Quantiles of the local dimension; 5% and 95% ones of estimation noise about its median."""
    from scipy.special import gammaincinv

    local = local_from_distances(distance)
    quantiles = tuple(float(q) for q in np.quantile(local, [0.05, 0.25, 0.5, 0.75, 0.95]))
    # (k - 2) / Gamma(k - 1), times the dimension.
    k = distance.shape[1]
    noise = (k - 2) / gammaincinv(k - 1, np.array([0.95, 0.05]))
    expected = quantiles[2] / ((k - 2) / gammaincinv(k - 1, 0.5)) * noise
    return quantiles, (float(expected[0]), float(expected[1]))


def _trust(estimates: list[Estimate], dimension: float, n_levels: int) -> tuple[float, float, str]:
    """Drift with scale, spread over estimators, and the word for how far they can be trusted."""
    drift = float(np.median([abs(e.level[-1] / e.dimension - 1.0) for e in estimates]))
    finest = [e.dimension for e in estimates]
    spread = (max(finest) - min(finest)) / dimension
    trust = "none"
    for word, (most_drift, most_spread) in (("rough", ROUGH), ("steady", STEADY)):
        if drift <= most_drift and spread <= most_spread:
            trust = word
    return drift, spread, trust if n_levels >= 3 else "untested"


def _sentence(
    trust: str, estimates: list[Estimate], dimension: float, interval: tuple[float, float]
) -> str:
    """Say how far to trust the estimates, from those on all points and on the fewest."""
    n, fewest = (int(estimates[0].n_points[level]) for level in (0, -1))
    finest, coarsest = [e.dimension for e in estimates], [e.level[-1] for e in estimates]
    low, high = interval
    if trust == "untested":
        return (
            f"{n} points are too few to compare scales (400 would do): take {dimension:.1f} as a "
            "rough guess."
        )
    if trust == "steady":
        text = (
            f"One dimension fits all scales tested ({fewest} to {n} points): {dimension:.2f}, "
            f"and the truth is probably between {low:.2f} and {high:.2f}."
        )
    elif trust == "rough" and abs(np.median(coarsest) / dimension - 1.0) <= STEADY[0]:
        text = (
            f"The estimate is {dimension:.2f} at all scales tested, but estimators differ, from "
            f"{min(finest):.2f} to {max(finest):.2f}, as they do where the dimension is not the same "
            f"everywhere or density varies: read it as somewhere between {low:.1f} and {high:.1f}."
        )
    elif trust == "rough":
        text = (
            f"The estimate is {dimension:.2f} with all {n} points and {np.median(coarsest):.2f} with "
            f"{fewest}, so it is not settled: read it as somewhere between {low:.1f} and {high:.1f}; "
            "more points would narrow it."
        )
    else:
        text = (
            f"No single dimension: the estimators say {min(finest):.1f} to {max(finest):.1f} with all "
            f"{n} points and {min(coarsest):.1f} to {max(coarsest):.1f} with {fewest}. The finest scale "
            "may be noise, a lattice or the steps of an embedding; look at the plot before quoting one."
        )
    most = 2.0 * math.log10(n)
    if dimension > most:
        text += (
            f" It lies above 2 log10(n) = {most:.1f}, beyond which {n} points cannot tell "
            "dimensions apart (Eckmann and Ruelle 1992): read it as a lower bound."
        )
    return text
