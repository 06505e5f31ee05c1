"""The tail of cluster sizes: exponent tau by cluster, whether it is a power law, and a log-normal beside.

P(s) = s^-tau / zeta(tau, s_min) for s >= s_min, zeta Hurwitz's. The recipe is Clauset, Shalizi and
Newman's (SIAM Review 51, 661, 2009): tau by maximum likelihood, s_min where the Kolmogorov-Smirnov
distance is smallest, p by a semiparametric bootstrap that repeats both, and a likelihood ratio against a
log-normal that begins at the same s_min. A tail has 50 clusters at least and spans a decade: without the
latter, the recipe calls the last few sizes of any law a power law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]

#: Fewest clusters in a tail.
FEWEST = 50
#: Below this p a log-normal is better (Clauset et al., section 5.1).
LEVEL = 0.1
#: Cut sizes that are tried, spread over the logarithm where there are more.
_CUTS = 60
#: Sizes above s_min of which the bootstrap knows every probability; beyond, the law is rounded.
_TABLE = 20_000
#: 90% point of chi-squared with one degree of freedom.
_NESTED = 2.706


@dataclass(frozen=True)
class SizeTail:
    """A power law fitted to the sizes of clusters, each cluster counted once, from `size_tail`.

    Attributes
    ----------
    exponent : float
        tau; NaN where there is too little to fit.
    interval : tuple of float
        90% interval of tau by the bootstrap, s_min chosen anew each time; infinite without a bootstrap.
    smallest : int
        s_min, the size at which the tail begins.
    decades : float
        log10 of the largest size over s_min.
    p_value : float
        Share of samples of the law that are as far (Kolmogorov-Smirnov) from theirs; NaN without a
        bootstrap.
    beaten_by_lognormal : bool
        A log-normal with the same s_min is better: p of the sign of the likelihood ratio (Vuong 1989)
        below 0.1, and by more than its further parameter gains by chance.
    """

    exponent: float
    interval: tuple[float, float]
    smallest: int
    decades: float
    p_value: float
    beaten_by_lognormal: bool

    @property
    def enough(self) -> bool:
        """Whether there was a tail to fit: 50 clusters over a decade of sizes."""
        return bool(np.isfinite(self.exponent))


def size_tail(sizes: npt.ArrayLike, rng: RandomLike = 0, *, n_bootstrap: int = 100) -> SizeTail:
    """Fit a power law to the tail of cluster sizes and test it.

    Parameters
    ----------
    sizes : array of int, shape (n_clusters,)
        Sites of each cluster, at least 1. Leave out a giant cluster that is not of the law.
    rng : int, Generator or Streams
        Stream ``bootstrap``.
    n_bootstrap : int
        Samples for p and the interval; 0 leaves both out, as for the draws of a null.

    Returns
    -------
    SizeTail

    Raises
    ------
    ValueError
        If sizes are not whole numbers of at least 1.

    Notes
    -----
    Time for 10,000 clusters: about 5 ms, and as much for each sample of the bootstrap. A cut-off by the
    number of sites is not part of the law: samples of critical clusters that feel it may be refused.

    Source: Clauset, Shalizi and Newman, SIAM Review 51, 661 (2009).

    Examples
    --------
    >>> size_tail(np.random.default_rng(0).zipf(2.5, 2000), n_bootstrap=0).exponent > 2.3
    True
    """
    given = checks.integer_array("sizes", sizes)
    if given.ndim != 1 or (given.size and given.min() < 1):
        raise ValueError(
            f"sizes must be (n_clusters,) numbers of sites, at least 1; got shape {given.shape}"
            + (f" and {given.min()}." if given.size else ".")
        )
    n_bootstrap = checks.integer("n_bootstrap", n_bootstrap, minimum=0)
    size, count = np.unique(given, return_counts=True)
    if _cuts(size, count).size == 0:
        return SizeTail(np.nan, (-np.inf, np.inf), 0, 0.0, np.nan, False)
    exponent, smallest, distance = _fit(size, count)
    tail = size >= smallest
    p_value, interval = float("nan"), (-np.inf, np.inf)
    if n_bootstrap:
        generator = as_streams(rng).generator("bootstrap")
        again = _bootstrap(size, count, exponent, smallest, n_bootstrap, generator)
        p_value = float((np.count_nonzero(again[:, 1] >= distance) + 1) / (n_bootstrap + 1))
        low, high = np.quantile(again[:, 0], [0.05, 0.95])
        interval = (float(2.0 * exponent - high), float(2.0 * exponent - low))
    ratio, ratio_p = _against_lognormal(size[tail], count[tail], exponent)
    return SizeTail(
        exponent=exponent,
        interval=interval,
        smallest=smallest,
        decades=float(np.log10(size[-1] / smallest)),
        p_value=p_value,
        beaten_by_lognormal=bool(ratio_p < LEVEL and -2.0 * ratio > _NESTED),
    )


def _cuts(size: Ids, count: Ids) -> Ids:
    """Places in `size` at which a tail may begin."""
    tail = np.cumsum(count[::-1])[::-1]
    allowed = np.flatnonzero((tail >= FEWEST) & (10 * size <= size[-1:]))
    if allowed.size <= _CUTS:
        return allowed
    steps = np.geomspace(size[allowed[0]], size[allowed[-1]], _CUTS)
    return np.unique(np.searchsorted(size[allowed], steps))


def _exponents(mean_log: FloatArray, smallest: FloatArray) -> FloatArray:
    """The tau of maximum likelihood: the minimum of ln zeta(tau, s_min) + tau mean(ln s), by Newton."""
    from scipy.special import zeta

    tau = 1.0 + 1.0 / np.maximum(mean_log - np.log(smallest - 0.5), 1e-3)
    h = 1e-4
    for _ in range(30):
        below, here, above = (np.log(zeta(tau + k * h, smallest)) for k in (-1, 0, 1))
        slope = (above - below) / (2.0 * h) + mean_log
        curvature = np.maximum((above - 2.0 * here + below) / h**2, 1e-9)
        step = np.clip(slope / curvature, -0.5, 0.5)
        tau = np.clip(tau - step, 1.01, 30.0)
        if np.abs(step).max() < 1e-7:
            break
    return np.asarray(tau)


def _fit(size: Ids, count: Ids) -> tuple[float, int, float]:
    """tau, s_min and the Kolmogorov-Smirnov distance, smallest over s_min."""
    from scipy.special import zeta

    cuts = _cuts(size, count)
    x = size.astype(np.float64)
    n_tail = np.cumsum(count[::-1])[::-1]
    mean_log = np.cumsum((count * np.log(x))[::-1])[::-1] / n_tail
    tau = _exponents(mean_log[cuts], x[cuts])
    best = (np.inf, 0)
    for k, cut in enumerate(cuts):
        # Beyond each size and at it; the law moves between sizes that are not in the data, too.
        law = zeta(tau[k], x[cut:]) / zeta(tau[k], x[cut])
        seen = n_tail[cut:] / n_tail[cut]
        beyond = zeta(tau[k], x[cut:-1] + 1.0) / zeta(tau[k], x[cut])
        distance = max(np.abs(law - seen).max(), np.abs(beyond - seen[1:]).max())
        best = min(best, (float(distance), k))
    distance, k = best
    return float(tau[k]), int(size[cuts[k]]), distance


def _bootstrap(
    size: Ids,
    count: Ids,
    exponent: float,
    smallest: int,
    n_samples: int,
    generator: np.random.Generator,
) -> FloatArray:
    """tau and distance, fitted anew to samples of the law above s_min and of the data below it."""
    from scipy.special import zeta

    body = size < smallest
    n, n_tail = int(count.sum()), int(count[~body].sum())
    places = smallest + np.arange(_TABLE)
    survival = zeta(exponent, places.astype(np.float64)) / zeta(exponent, float(smallest))
    law = count[body] / max(1, n - n_tail)
    out = np.full((n_samples, 2), np.nan)
    for i in range(n_samples):
        m = generator.binomial(n, n_tail / n)
        drawn = _power_law(generator.random(m), exponent, places, survival)
        below = np.repeat(size[body], generator.multinomial(n - m, law)) if n > m else size[:0]
        sample = np.unique(np.concatenate([below, drawn]), return_counts=True)
        if _cuts(*sample).size:
            tau, _, distance = _fit(*sample)
            out[i] = tau, distance
    return out[np.isfinite(out[:, 0])]


def _power_law(uniform: FloatArray, exponent: float, places: Ids, survival: FloatArray) -> Ids:
    """Sizes of the law: the largest s whose P(size >= s) is at least the uniform number."""
    uniform = 1.0 - uniform
    rank = np.searchsorted(-survival, -uniform, side="right") - 1
    drawn = places[rank]
    last = rank == places.size - 1
    far = (places[-1] - 0.5) * (uniform[last] / survival[-1]) ** (-1.0 / (exponent - 1.0)) + 0.5
    drawn[last] = np.minimum(far, 2.0**62).astype(np.int64)
    return drawn


def _against_lognormal(size: Ids, count: Ids, exponent: float) -> tuple[float, float]:
    """Log-likelihood ratio of power law over log-normal from s_min on, and Vuong's two-sided p."""
    from scipy.optimize import minimize
    from scipy.special import erfc, log_ndtr, zeta

    x = size.astype(np.float64)
    n = count.sum()
    power = -exponent * np.log(x) - np.log(zeta(exponent, x[0]))
    low, high = np.log(x - 0.5), np.log(x + 0.5)

    def normal(parameters: FloatArray) -> FloatArray:
        mean, scale = parameters[0], np.exp(parameters[1])
        here = log_ndtr((mean - low) / scale)
        beyond = log_ndtr((mean - high) / scale)
        return np.asarray(here + np.log(-np.expm1(beyond - here) + 1e-300) - here[0])

    mean = float(np.average(np.log(x), weights=count))
    spread = float(np.sqrt(np.average((np.log(x) - mean) ** 2, weights=count)))
    # From near the data, and from far below, where a log-normal is nearly a power law.
    starts = ([mean, np.log(spread + 0.1)], [np.log(x[0]) - 5.0, np.log(3.0 * spread + 0.3)])
    fits = [
        minimize(lambda q: -float(count @ normal(q)), start, method="Nelder-Mead")
        for start in starts
    ]
    difference = power - normal(min(fits, key=lambda fit: fit.fun).x)
    ratio = float(count @ difference)
    variance = float(count @ (difference - ratio / n) ** 2)
    if variance <= 0.0:
        return ratio, 1.0
    return ratio, float(erfc(abs(ratio) / np.sqrt(2.0 * variance)))
