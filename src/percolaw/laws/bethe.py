"""What is known exactly of the Bethe lattice: threshold, size laws, regimes.

Bond percolation on the Bethe lattice with coordination number z: every site has z neighbours and
each bond is open with probability p. ``z = math.inf`` is the Poisson limit, in which p only enters
through the mean number of children, ``mean_offspring`` = (z - 1) p. Derivations: docs/theory.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws.size_law import SizeLaw, checked_sizes

FloatArray: TypeAlias = npt.NDArray[np.float64]
Regime: TypeAlias = Literal["subcritical", "critical", "supercritical"]

#: Probabilities below are not taken as 1 less their complement, which has rounded.
_ROUNDED = 1e-6
#: Smallest mean offspring but 0.
_LEAST_OFFSPRING = 1e-280


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
        (z - 1) p instead of p; the only way to leave criticality in the Poisson limit. 0, or from
        1e-280 on.

    Raises
    ------
    ValueError
        If z or a probability is out of range, both p and `mean_offspring` are given, or p is given in
        the Poisson limit.

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
        if 0.0 < mean < _LEAST_OFFSPRING:
            raise ValueError(
                f"a mean offspring of {mean:g} is next to none; pass 0, or {_LEAST_OFFSPRING:g} and more."
            )
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
        """p_c = 1/(z - 1); 0 in the Poisson limit, where `mean_offspring` is 1."""
        return 1.0 / (self.coordination_number - 1.0)

    @property
    def regime(self) -> Regime:
        """Side of the threshold: "subcritical", "critical" or "supercritical"."""
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
        """Number of finite clusters per site; 1 - z p / 2 up to p_c, 1 - m/2 in the Poisson limit."""
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
        q = 1.0 - self._branch_survival()
        return q if q > _ROUNDED or self.branching <= 1.0 else self._small_extinction()

    def _small_extinction(self) -> float:
        """Solve for q where it is far below 1, so that 1 - x would round: by iteration from 0."""
        q = 0.0
        for _ in range(100):
            q = math.exp(self._log_dead(q))
        return q

    def _log_dead(self, q: float) -> float:
        """log of the probability that all branches but one of a site die out, if one does with q."""
        if self.is_poisson:
            return -self.branching * (1.0 - q)
        closed = 1.0 - self.p + self.p * q
        return (self.coordination_number - 1.0) * math.log(closed) if closed > 0.0 else -math.inf

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
        finite = 1.0 - self.percolation_probability
        if finite > _ROUNDED or self.branching <= 1.0:
            return finite
        power = 1.0 if self.is_poisson else 1.0 + 1.0 / (self.coordination_number - 1.0)
        return math.exp(power * self._log_dead(self.extinction_probability))

    @property
    def percolation_probability(self) -> float:
        """Probability that a given site belongs to an infinite cluster."""
        x = self._branch_survival()
        if self.is_poisson or x in (0.0, 1.0):
            return x
        return -math.expm1(self.coordination_number * math.log1p(-self.p * x))

    @property
    def cutoff_size(self) -> float:
        """Size s_cut of the exponential cutoff of the tail; infinite at p_c, 0 at p = 0 and 1."""
        rate = self._cutoff_rate()
        return math.inf if rate <= 0.0 else 1.0 / rate

    @property
    def tail_amplitude(self) -> float:
        """A in P_s ~ A s^(-3/2) exp(-s/s_cut) for large s; 0 at p = 0 and 1."""
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
        e = mean - 1.0
        if self.is_poisson:
            return -_log_remainder(e, mean)
        z = self.coordination_number
        # p = p_c (1 + e), 1 - p = (1 - p_c)(1 - e / (z - 2)).
        closed = (1.0 - self.p) * ((z - 1.0) / (z - 2.0))
        return -(_log_remainder(e, mean) + (z - 2.0) * _log_remainder(-e / (z - 2.0), closed))

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
        array of float64, of the shape of `size`
            Natural logarithms; -inf where the probability is 0. The absolute error stays below
            1e-8 up to size 1e9.

        Raises
        ------
        ValueError
            For sizes that are not whole or below 1.
        """
        s = checked_sizes(size)
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
        with np.errstate(over="ignore"):
            top, rest = (z - 1.0) * s, (z - 2.0) * s
        log_rest = math.log(z - 2.0) + np.log(s)
        logs = (
            0.5 * (math.log((z - 1.0) / (2.0 * math.pi * (z - 2.0))) - np.log(s))
            + _stirling(top)
            - _stirling(s)
            - _stirling(rest)
        )
        logs += np.log(s) - 2.0 * log_rest - np.log1p(1.0 / rest) - np.log1p(2.0 / rest)
        logs += math.log(z) - math.log(p) + 2.0 * math.log1p(-p)
        return np.asarray(logs - s * rate)

    def log_cluster_number(self, size: npt.ArrayLike) -> FloatArray:
        """Return log n_s of the number n_s = P_s / s of clusters of size s per site.

        float64, of the shape of `size`; raises as `log_site_cluster_size`.
        """
        return self.log_site_cluster_size(size) - np.log(np.asarray(size, dtype=np.float64))

    def survival(self, size: int) -> float:
        """Return P(size <= S < infinity) for a given site's cluster.

        The first 16384 sizes are summed, the rest is an integral (relative error below 1e-9).
        """
        return self.site_size_law().window_probability(size, math.inf)

    def site_size_law(self) -> SizeLaw:
        """Return the law of the cluster of a random **site** (P_s).

        Above p_c its probabilities sum to `finite_probability`, not to 1.
        """
        return SizeLaw("site", self.log_site_cluster_size, 1.5, self.cutoff_size)

    def cluster_size_law(self) -> SizeLaw:
        """Return the law of a random finite **cluster**, each counted once (n_s, normalised to 1).

        Raises
        ------
        ValueError
            At bond_probability 1, where there are no finite clusters.
        """
        if self.clusters_per_site <= 0.0:
            raise ValueError("there are no finite clusters at bond_probability 1; take p < 1.")
        per_site = math.log(self.clusters_per_site)

        def log_probability(size: npt.ArrayLike) -> FloatArray:
            return self.log_cluster_number(size) - per_site

        return SizeLaw("cluster", log_probability, 2.5, self.cutoff_size)


def _log_remainder(x: float, one_more: float) -> float:
    """log(1 + x) - x without cancellation near 0; `one_more` is 1 + x, exact where x is near -1."""
    if abs(x) > 0.02:
        return math.log(one_more) - x
    return -x * x * sum((-x) ** k / (k + 2.0) for k in range(12))


def _stirling(x: FloatArray) -> FloatArray:
    """mu(x) = log Gamma(x + 1) - log(sqrt(2 pi x) (x/e)^x), for x >= 1, to 1e-14."""
    from scipy.special import gammaln

    x = np.asarray(x, dtype=np.float64)
    r = (1.0 / x) ** 2
    series = (1 / 12 - r * (1 / 360 - r * (1 / 1260 - r / 1680))) / x
    small = x < 32
    if np.any(small):
        y = np.where(small, x, 1.0)
        exact = gammaln(y + 1.0) - (0.5 * np.log(2 * np.pi * y) + y * np.log(y) - y)
        series = np.where(small, exact, series)
    return np.asarray(series)


def bethe_threshold(coordination_number: float) -> float:
    """Return p_c = 1/(z - 1) of the Bethe lattice: z an integer >= 3, or infinity, where it is 0."""
    return 1.0 / (checks.coordination_number(coordination_number) - 1.0)
