"""Intervals of what is measured once a seed: bootstrap over seeds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]

#: Largest size, loss or other value here: sums of a few stay below the largest float64.
LARGEST = 1e300


def bootstrap_interval(
    values: npt.ArrayLike,
    statistic: str = "mean",
    *,
    level: float = 0.95,
    n_bootstrap: int = 2000,
    rng: RandomLike = 0,
) -> tuple[float, float]:
    """Return a bootstrap interval over seeds for the mean or median of scalars.

    The percentile interval is widened about the estimate by sqrt(n/(n-1)) t_(n-1)/z, which
    corrects its known shortness for few seeds. `level` lies strictly between 0 and 1.

    Parameters
    ----------
    values : array, shape (n_seeds,)
        At least 2, finite.
    statistic : {"mean", "median"}
    level : float
        Strictly between 0 and 1.
    n_bootstrap : int
        Replicates, at least 1.
    rng : int, Generator or Streams

    Returns
    -------
    low, high : float

    Raises
    ------
    ValueError
        With fewer than 2 seeds, for another statistic, a level outside (0, 1), and values that are not
        finite or beyond 1e300.
    """
    x = checks.finite_array("values", values, ndim=1)
    _refuse_huge("values", x)
    checks.choice("statistic", statistic, ("mean", "median"))
    _level(level)
    if x.size < 2:
        raise ValueError(f"an interval needs at least 2 seeds; got {x.size}.")
    draw = _resampled(x.size, n_bootstrap, rng)
    reduce = np.mean if statistic == "mean" else np.median
    return _interval(float(reduce(x)), reduce(x[draw], axis=1), x.size, level)


def seed_interval(values: npt.ArrayLike) -> tuple[float, float]:
    """Return the 95% bootstrap interval of a mean over seeds; (-inf, inf) below 3 seeds."""
    x = checks.finite_array("values", values, ndim=1)
    return bootstrap_interval(x) if x.size >= 3 else (-np.inf, np.inf)


def interval_of_samples(
    centre: float, samples: npt.ArrayLike, n_seeds: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the bootstrap interval of an estimate from those of seeds drawn again, widened as above.

    Parameters
    ----------
    centre : float
        Estimate of all seeds.
    samples : array, shape (n_draws,)
        Estimates of seeds drawn again.
    n_seeds : int
        Seeds; below 3 the interval is (-inf, inf).
    level : float
        Strictly between 0 and 1.

    Returns
    -------
    low, high : float
    """
    if n_seeds < 3:
        return -np.inf, np.inf
    return _interval(centre, np.asarray(samples, dtype=np.float64), n_seeds, _level(level))


def _level(level: float) -> float:
    """Return the level of an interval, strictly between 0 and 1, or raise."""
    number = checks.real("level", level)
    if not 1e-9 <= number <= 1.0 - 1e-9:
        raise ValueError(
            f"level must lie between 0 and 1, ends excluded; got {level!r}. 0.95 is a 95% interval."
        )
    return number


def _resampled(n_seeds: int, n_bootstrap: int, rng: RandomLike) -> npt.NDArray[np.int64]:
    """Draw the seeds of every replicate, (n_bootstrap, n_seeds). Stream ``bootstrap``."""
    n = checks.integer("n_bootstrap", n_bootstrap, minimum=1, maximum=1 << 40)
    checks.memory(24.0 * n * n_seeds + 32.0 * n, f"{n} bootstrap replicates", "Lower n_bootstrap.")
    return as_streams(rng).generator("bootstrap").integers(0, n_seeds, (n, n_seeds))


def _interval(
    centre: float, replicate: FloatArray, n_seeds: int, level: float
) -> tuple[float, float]:
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(replicate, [tail, 1.0 - tail])
    widen = widening(n_seeds, level)
    return float(centre - widen * (centre - low)), float(centre + widen * (high - centre))


def widening(n_seeds: int, level: float = 0.95) -> float:
    """Return by how much a percentile interval over seeds is widened about its estimate.

    The factor sqrt(n/(n-1)) t_(n-1)/z corrects the shortness of the percentile interval for few seeds.

    Parameters
    ----------
    n_seeds : int
        At least 2.
    level : float
        Of the interval, strictly between 0 and 1.

    Returns
    -------
    float
        At least 1.
    """
    from scipy.special import ndtri, stdtrit

    above = 1.0 - 0.5 * (1.0 - level)
    return float(np.sqrt(n_seeds / (n_seeds - 1)) * stdtrit(n_seeds - 1, above) / ndtri(above))


def _refuse_huge(name: str, values: FloatArray) -> None:
    """Refuse values of which sums are beyond float64; NaN passes."""
    if np.any(np.abs(values) > LARGEST):
        raise ValueError(
            f"{name} must be at most {LARGEST:g}; got {np.nanmax(np.abs(values)):.3g}. Rescale it."
        )
