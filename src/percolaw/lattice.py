"""What is known exactly of the Bethe lattice: threshold, size laws, regimes.

Bond percolation on the Bethe lattice with coordination number z: every site has z neighbours and
each bond is open with probability p. ``z = math.inf`` is the Poisson limit, in which p only enters
through the mean number of children, ``mean_offspring`` = (z - 1) p. Derivations: docs/theory.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks

FloatArray: TypeAlias = npt.NDArray[np.float64]
Regime: TypeAlias = Literal["subcritical", "critical", "supercritical"]

#: Sizes summed one by one by `BetheLattice.survival` before the sum becomes an integral.
_EXACT_SIZES = 1 << 14


@dataclass(frozen=True)
class BetheLattice:
    """Bond percolation on a Bethe lattice and its exact laws.

    Parameters
    ----------
    coordination_number : int or math.inf
        Neighbours z of a site, at least 3; z = 2d models a d-dimensional hypercubic lattice.
    bond_probability : float, optional
        Probability p that a bond is open; the critical 1/(z - 1) if left out.
    mean_offspring : float, optional
        (z - 1) p instead of p; the only way to leave criticality in the Poisson limit.

    Examples
    --------
    >>> lattice = BetheLattice(200)
    >>> lattice.regime, round(lattice.survival(300), 6)
    ('critical', 0.046448)
    """

    coordination_number: float
    bond_probability: float | None = None
    mean_offspring: float | None = None

    def __post_init__(self) -> None:
        z = checks.coordination_number(self.coordination_number)
        p, mean = self.bond_probability, self.mean_offspring
        if p is not None and mean is not None:
            raise ValueError("give bond_probability or mean_offspring, not both.")
        if math.isinf(z):
            if p is not None:
                raise ValueError(
                    "in the Poisson limit bond_probability is 0; give mean_offspring = (z - 1) p."
                )
            mean = 1.0 if mean is None else checks.real("mean_offspring", mean, minimum=0.0)
            p = 0.0
        elif p is not None:
            p = checks.probability("bond_probability", p)
            # p given as 1/(z - 1) is criticality, whatever the rounding.
            mean = 1.0 if p == 1.0 / (z - 1.0) else p * (z - 1.0)
        else:
            mean = 1.0 if mean is None else checks.real("mean_offspring", mean, minimum=0.0)
            p = checks.probability("bond_probability = mean_offspring / (z - 1)", mean / (z - 1.0))
        object.__setattr__(self, "coordination_number", z)
        object.__setattr__(self, "bond_probability", p)
        object.__setattr__(self, "mean_offspring", mean)

    # ---- scalars

    @property
    def is_poisson(self) -> bool:
        """Whether this is the Poisson limit z -> infinity."""
        return math.isinf(self.coordination_number)

    @property
    def p(self) -> float:
        """The bond probability (0 in the Poisson limit)."""
        assert self.bond_probability is not None
        return self.bond_probability

    @property
    def branching(self) -> float:
        """Mean number of children of a site that is not the root, (z - 1) p."""
        assert self.mean_offspring is not None
        return self.mean_offspring

    @property
    def critical_probability(self) -> float:
        """p_c = 1/(z - 1)."""
        return 1.0 / (self.coordination_number - 1.0)

    @property
    def regime(self) -> Regime:
        """Side of the threshold."""
        if self.branching == 1.0:
            return "critical"
        return "subcritical" if self.branching < 1.0 else "supercritical"

    @property
    def offspring_variance(self) -> float:
        """Variance of the number of children, (z - 1) p (1 - p); at p_c (z - 2)/(z - 1)."""
        return self.branching * (1.0 - self.p)

    @property
    def mean_site_cluster_size(self) -> float:
        """Mean size of a given site's cluster, (1 + p)/(1 - (z - 1) p); infinite from p_c on."""
        if self.branching >= 1.0:
            return math.inf
        return (1.0 + self.p) / (1.0 - self.branching)

    @property
    def clusters_per_site(self) -> float:
        """Number of finite clusters per site; 1 - z p / 2 up to p_c."""
        zp = self.branching if self.is_poisson else self.coordination_number * self.p
        if self.branching <= 1.0:
            return 1.0 - zp / 2.0
        # Finite clusters are a subcritical lattice in disguise: sites weigh P(finite), and each
        # open bond inside a finite cluster is counted once: the bond is open with p and both its
        # ends lead nowhere, q^2 of the time.
        return self.finite_probability - zp / 2.0 * self.extinction_probability**2

    @property
    def extinction_probability(self) -> float:
        """Probability q that one branch dies out: the smallest root of q = (1 - p + p q)^(z-1)."""
        return 1.0 - self._branch_survival()

    def _branch_survival(self) -> float:
        """Probability x = 1 - q that a branch is infinite, accurate however close p is to p_c."""
        m = self.branching
        if m <= 1.0:
            return 0.0
        if self.p == 1.0:
            return 1.0
        from scipy.optimize import brentq

        # x = 1 - (1 - p x)^(z-1) divided by x: falls from m - 1 at 0, one root.
        def excess(log_x: float) -> float:
            x = math.exp(log_x)
            return -math.expm1(self._log_all_closed(x)) / x - 1.0

        low = math.log(1e-3 * (m - 1.0) / m)
        return math.exp(float(brentq(excess, low, 0.0, xtol=1e-15, rtol=1e-15)))

    def _log_all_closed(self, x: float) -> float:
        """log of the probability that none of a site's branches is infinite."""
        if self.is_poisson:
            return -self.branching * x
        return (self.coordination_number - 1.0) * math.log1p(-self.p * x)

    @property
    def finite_probability(self) -> float:
        """Probability that a given site's cluster is finite, (1 - p + p q)^z."""
        return 1.0 - self.percolation_probability

    @property
    def percolation_probability(self) -> float:
        """Probability that a given site belongs to an infinite cluster."""
        x = self._branch_survival()
        if self.is_poisson or x in (0.0, 1.0):
            return x
        return -math.expm1(self.coordination_number * math.log1p(-self.p * x))

    @property
    def cutoff_size(self) -> float:
        """Size s_cut of the exponential cutoff of the tail; infinite at p_c."""
        rate = self._cutoff_rate()
        return math.inf if rate <= 0.0 else 1.0 / rate

    @property
    def tail_amplitude(self) -> float:
        """A in P_s ~ A s^(-3/2) exp(-s/s_cut)."""
        if self.is_poisson:
            return 1.0 / (math.sqrt(2.0 * math.pi) * self.branching) if self.branching else 0.0
        z, p = self.coordination_number, self.p
        if not 0.0 < p < 1.0:
            return 0.0
        # Stirling on z Gamma((z-1)s + 1) / (Gamma(s) Gamma((z-2)s + 3)) p^(s-1) (1-p)^((z-2)s+2).
        constant = z * math.sqrt((z - 1.0) / (2.0 * math.pi)) * (z - 2.0) ** -2.5
        return constant * (1.0 - p) ** 2 / p

    def _cutoff_rate(self) -> float:
        """1/s_cut, without cancellation near p_c."""
        mean = self.branching
        if mean == 1.0:
            return 0.0
        if mean == 0.0 or self.p == 1.0:
            return math.inf
        if self.is_poisson:
            return mean - 1.0 - math.log(mean)
        z = self.coordination_number
        # p = p_c (1 + e), 1 - p = (1 - p_c)(1 - e / (z - 2)).
        e = mean - 1.0
        return -(math.log1p(e) + (z - 2.0) * math.log1p(-e / (z - 2.0)))

    # ---- laws

    def log_site_cluster_size(self, size: npt.ArrayLike) -> FloatArray:
        """Return log P_s, the law of the size of a given site's cluster.

        P_s = z ((z-1)s)! / [(s-1)! ((z-2)s+2)!] p^(s-1) (1-p)^((z-2)s+2); in the Poisson limit
        the Borel law exp(-m s) (m s)^(s-1) / s! with m the mean offspring.

        Parameters
        ----------
        size : array of int
            Sizes >= 1.

        Returns
        -------
        array of float64
            Natural logarithms; -inf where the probability is 0. The absolute error stays below
            1e-8 up to size 1e9.
        """
        s = _sizes(size)
        mean, p, z = self.branching, self.p, self.coordination_number
        if mean == 0.0:
            return np.where(s == 1.0, 0.0, -np.inf)
        if p == 1.0:
            return np.full(s.shape, -np.inf)
        rate = self._cutoff_rate()
        if self.is_poisson:
            # s! = sqrt(2 pi s) (s/e)^s e^(mu(s)); the large terms cancel into -s rate.
            correction = _stirling(s)
            return np.asarray(
                -s * rate
                - 1.5 * np.log(s)
                - 0.5 * math.log(2 * math.pi)
                - math.log(mean)
                - correction
            )
        # Gamma(x + 1) = sqrt(2 pi x) (x/e)^x e^(mu(x)); of ((z-1)s)!/(s! ((z-2)s)!) the powers
        # join those of p and 1 - p into exp(-s rate), and the remaining factors are algebraic.
        top, rest = (z - 1.0) * s, (z - 2.0) * s
        logs = (
            0.5 * np.log(top / (2 * math.pi * s * rest))
            + _stirling(top)
            - _stirling(s)
            - _stirling(rest)
        )
        logs += np.log(s) - np.log(rest + 1.0) - np.log(rest + 2.0)
        logs += math.log(z) - math.log(p) + 2.0 * math.log1p(-p)
        return np.asarray(logs - s * rate)

    def log_cluster_number(self, size: npt.ArrayLike) -> FloatArray:
        """Return log n_s, clusters of size s per site: n_s = P_s / s."""
        return self.log_site_cluster_size(size) - np.log(np.asarray(size, dtype=np.float64))

    def survival(self, size: int) -> float:
        """Return P(size <= S < infinity) for a given site's cluster.

        The first 16384 sizes are summed, the rest is an integral (relative error below 1e-9).
        """
        return self.window_probability(size, math.inf)

    def window_probability(self, min_size: int, max_size: float) -> float:
        """Return P(min_size <= S <= max_size) for a given site's cluster, infinite ones aside."""
        return _window(self.log_site_cluster_size, min_size, max_size, self.cutoff_size)

    def site_size_law(self) -> SizeLaw:
        """Return the law of the cluster of a random **site** (P_s)."""
        return SizeLaw("site", self.log_site_cluster_size, 1.5, self.cutoff_size)

    def cluster_size_law(self) -> SizeLaw:
        """Return the law of a random **cluster**, each counted once (n_s, normalised)."""
        if self.clusters_per_site <= 0.0:
            raise ValueError("there are no finite clusters at bond_probability 1; take p < 1.")
        per_site = math.log(self.clusters_per_site)

        def log_probability(size: npt.ArrayLike) -> FloatArray:
            return self.log_cluster_number(size) - per_site

        return SizeLaw("cluster", log_probability, 2.5, self.cutoff_size)


def yule_size_law(new_cluster_probability: float = 1.0 / 3.0) -> SizeLaw:
    """Return the size law of the Simon/Yule process, P(s) = rho B(s, rho + 1).

    Every new site founds a cluster with probability a, or joins a present site's cluster;
    rho = 1/(1 - a). With a = 1/3 the tail exponent is 5/2, as for the Bethe number law, with
    other amplitudes: .6, .171, .0762, ...; mean 3.
    """
    a = checks.real("new_cluster_probability", new_cluster_probability, minimum=0.0, maximum=1.0)
    if not 0.0 < a < 1.0:
        raise ValueError(f"new_cluster_probability must lie strictly between 0 and 1; got {a}.")
    rho = 1.0 / (1.0 - a)

    def log_probability(size: npt.ArrayLike) -> FloatArray:
        from scipy.special import betaln

        return np.asarray(math.log(rho) + betaln(_sizes(size), rho + 1.0))

    return SizeLaw("yule", log_probability, rho + 1.0, math.inf)


@dataclass(frozen=True)
class SizeLaw:
    """A law of cluster sizes with a power-law tail, and an exact sampler of it.

    Attributes
    ----------
    name : str
        "site", "cluster" or "yule".
    log_probability : callable
        Natural logarithm of the probability of each integer size.
    tail_exponent : float
        Exponent of the size law's density, size^-tail_exponent below the cutoff.
    cutoff_size : float
        Size of the exponential cutoff, infinite at criticality.
    """

    name: str
    log_probability: Any
    tail_exponent: float
    cutoff_size: float

    def probability(self, size: npt.ArrayLike) -> FloatArray:
        """Return the probability of each size."""
        return np.exp(self.log_probability(size))

    def window_probability(self, min_size: int, max_size: float) -> float:
        """Return the probability of min_size <= size <= max_size."""
        return _window(self.log_probability, min_size, max_size, self.cutoff_size)

    def sample(
        self, n: int, min_size: int, max_size: int, generator: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """Draw sizes from the law restricted to min_size <= size <= max_size, exactly.

        Rejection from the discrete Pareto law with survival s^(1 - tail_exponent), which is drawn
        by inversion; about one to three tries a size at criticality, O(n) time.
        """
        n = checks.integer("n", n, minimum=0)
        low = checks.integer("min_size", min_size, minimum=1)
        high = checks.integer("max_size", max_size, minimum=low)
        power = self.tail_exponent - 1.0
        # Largest ratio law/proposal over the window: each size up to 4096 above the lower end,
        # then a geometric grid; the ratio is smooth and monotone there.
        grid = np.unique(
            np.concatenate(
                [
                    np.arange(low, min(high, low + 4096) + 1, dtype=np.float64),
                    np.floor(np.geomspace(low, high, 512)),
                ]
            )
        )
        log_ratio = self.log_probability(grid) - _log_pareto(grid, power)
        bound = float(np.max(log_ratio)) + 1e-9
        if not math.isfinite(bound):
            raise ValueError(
                f"sizes {low}..{high} have probability 0 under this law; widen the window."
            )
        u_low = float(low) ** -power
        u_high = float(high + 1) ** -power
        out = np.empty(n, dtype=np.int64)
        filled = 0
        tries = 0
        while filled < n:
            batch = max(64, 2 * (n - filled))
            u = u_high + (u_low - u_high) * generator.random(batch)
            size = np.clip(np.floor(u ** (-1.0 / power)), low, high)
            accept = np.log(generator.random(batch)) < (
                self.log_probability(size) - _log_pareto(size, power) - bound
            )
            kept = size[accept][: n - filled].astype(np.int64)
            out[filled : filled + kept.size] = kept
            filled += kept.size
            tries += batch
            if tries > 10_000 * (n + 100):
                raise ValueError(
                    f"sizes {low}..{high} are too rare under this law to sample "
                    f"(cutoff at {self.cutoff_size:.3g}). Lower min_size or move p towards p_c."
                )
        return out


def _log_pareto(size: FloatArray, power: float) -> FloatArray:
    """log of s^-power - (s + 1)^-power, without cancellation."""
    s = np.asarray(size, dtype=np.float64)
    return np.asarray(-power * np.log(s) + np.log(-np.expm1(-power * np.log1p(1.0 / s))))


def _stirling(x: FloatArray) -> FloatArray:
    """mu(x) = log Gamma(x + 1) - log(sqrt(2 pi x) (x/e)^x), for x >= 1, to 1e-14."""
    from scipy.special import gammaln

    x = np.asarray(x, dtype=np.float64)
    r = 1.0 / (x * x)
    series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r / 1680))) / x
    small = x < 32
    if np.any(small):
        y = np.where(small, x, 1.0)
        exact = gammaln(y + 1.0) - (0.5 * np.log(2 * np.pi * y) + y * np.log(y) - y)
        series = np.where(small, exact, series)
    return np.asarray(series)


def _window(log_probability: Any, min_size: int, max_size: float, cutoff: float) -> float:
    low = checks.integer("min_size", min_size, minimum=1)
    if max_size != math.inf:
        max_size = checks.integer("max_size", max_size, minimum=1)
    if max_size < low:
        return 0.0
    exact_end = min(low + _EXACT_SIZES - 1, max_size)
    total = float(np.sum(np.exp(log_probability(np.arange(low, exact_end + 1)))))
    if exact_end == max_size:
        return total
    # Midpoint rule backwards: the sum over s > a is the integral from a + 1/2, up to O(a^-2).
    from numpy.polynomial.legendre import leggauss

    node, weight = leggauss(40)
    end = min(float(max_size) + 0.5, 60.0 * cutoff + exact_end, 1e18 * exact_end)
    edges = np.geomspace(exact_end + 0.5, end, max(2, int(4 * math.log10(end / exact_end)) + 2))
    log_size = 0.5 * (
        np.log(edges[1:, None] * edges[:-1, None]) + np.log(edges[1:] / edges[:-1])[:, None] * node
    )
    size = np.exp(log_size)
    density = np.exp(_continuous(log_probability, size)) * size
    total += float(np.sum(density * weight * 0.5 * np.log(edges[1:] / edges[:-1])[:, None]))
    return total


def _continuous(log_probability: Any, size: FloatArray) -> FloatArray:
    """Evaluate a size law between integers: its smooth form interpolated by nearest integers."""
    floor = np.floor(size)
    low, high = log_probability(floor), log_probability(floor + 1.0)
    with np.errstate(invalid="ignore"):
        between = low + (high - low) * (size - floor)
    return np.where(np.isfinite(low) & np.isfinite(high), between, -np.inf)


def _sizes(size: npt.ArrayLike) -> FloatArray:
    s = checks.float_array("size", size)
    if not np.all((s >= 1) & (s == np.floor(s)) & np.isfinite(s)):
        raise ValueError("size must hold integers >= 1.")
    return s


def critical_probability(coordination_number: float) -> float:
    """Return p_c = 1/(z - 1) of the Bethe lattice."""
    return 1.0 / (checks.coordination_number(coordination_number) - 1.0)
