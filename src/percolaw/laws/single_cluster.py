"""Losses on one cluster, exactly: of nearest neighbours and of the best estimator (docs/theory.md)."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws import ranks
from percolaw.laws.scaling_laws import FloatArray, _nonnegative

#: Rate below which the mean distance is expanded: relative error 1e-8, instead of 40/sqrt(rate) steps.
_SMALL_RATE = 1e-8


def single_cluster_loss(
    degrees_of_freedom: npt.ArrayLike, cluster_exponent: float, scale_factor: npt.ArrayLike = 1.0
) -> FloatArray:
    """Return max(n / f, 1)^-gamma, the loss of one cluster in Brill 2024, section 4.1.

    Parameters
    ----------
    degrees_of_freedom : array of float
        n >= 0.
    cluster_exponent : float
        gamma >= 0.
    scale_factor : array of float
        f > 0.

    Returns
    -------
    array of float64, of the shape to which n and f are broadcast

    Raises
    ------
    ValueError
        For a negative n or gamma, and f not positive.
    """
    n = _nonnegative("degrees_of_freedom", degrees_of_freedom)
    f = checks.finite_array("scale_factor", scale_factor)
    if np.any(f <= 0):
        raise ValueError("scale_factor must be positive.")
    gamma = checks.real("cluster_exponent", cluster_exponent, minimum=0.0)
    log_ratio = np.maximum(ranks.log_of(n) - np.log(f), 0.0)
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-gamma * log_ratio))


def mean_nearest_distance(n_observed: npt.ArrayLike) -> FloatArray:
    """Return the mean distance from a random site to the nearest of m others: sqrt(2 pi) C(2m, m)/4^m.

    In units of sqrt(size / offspring variance) steps, in the limit of a large critical cluster, for
    exactly m >= 1 independent observed sites; float64, of the shape of `n_observed`. m = 1 gives the
    Rayleigh mean sqrt(pi/2), large m sqrt(2/m).

    Raises
    ------
    ValueError
        If an m is below 1.
    """
    from scipy.special import poch

    m = checks.finite_array("n_observed", n_observed)
    if np.any(m < 1):
        raise ValueError(f"n_observed must be at least 1; got {m.min():g}.")
    return np.asarray(math.sqrt(2.0) / poch(m + 0.5, 0.5))


def nearest_neighbor_loss(mean_observed: npt.ArrayLike) -> FloatArray:
    """Return the loss of 1-NN on a large critical cluster with Poisson(n) observed sites.

    L(n) = 4 exp(-n/2) I_0(n/2) - 3 exp(-n) for a target that is a random walk along the edges: the
    loss is 1 with nothing observed, else the mean distance over the mean variance. It rises to 1.498
    at n = 1.36 (one observed site is worse than none: its loss is 2), is 1 again at n = 5.6, and falls
    like 4/sqrt(pi n). The limit holds for n much smaller than the cluster; see `finite_rate_factor`.
    Being a ratio of means it is not the mean loss of targets standardised cluster by cluster, which
    is a mean of ratios and up to E[1/V] E[V] = 1.28 times larger. float64, of the shape of n.

    Raises
    ------
    ValueError
        If an n is negative.
    """
    from scipy.special import i0e

    n = _nonnegative("mean_observed", mean_observed)
    return np.asarray(4.0 * i0e(n / 2.0) - 3.0 * np.exp(-n))


#: The f for which (n/f)^(-1/2) is 4/sqrt(pi n), what `nearest_neighbor_loss` tends to.
ASYMPTOTIC_SCALE_FACTOR = 16.0 / math.pi


def nearest_distance_survival(
    rate: float, max_distance: int, coordination_number: float = math.inf
) -> FloatArray:
    """Return P(distance to the nearest observed site > r), r = 0..max_distance, exactly.

    Each site of the infinite critical cluster, seen from a random site of it, is observed with
    probability `rate`. With q_0 = t_0 = 1 - rate and
    q_k = (1 - rate) (1 - p_c (1 - q_(k-1)))^(z-1), t_k the same with power z - 2, the probability is
    q_r t_0 ... t_(r-1) (Poisson limit: t = q, exponential instead of the power).
    For small rates it tends to sech^2(r sqrt(rate s2 / 2)) with s2 the offspring variance.

    Parameters
    ----------
    rate : float
        In [0, 1].
    max_distance : int
        Largest r, in bonds.
    coordination_number : float
        z, an integer >= 3; infinity for the Poisson limit.

    Returns
    -------
    array of float64, shape (max_distance + 1,)

    Raises
    ------
    ValueError
        If an argument is outside its range.
    ResourceError
        If the array would not fit into memory.
    """
    rho = checks.probability("rate", rate)
    top = checks.integer("max_distance", max_distance, minimum=0)
    checks.memory(8.0 * top, f"{top} distances", "Lower max_distance.")
    z = checks.coordination_number(coordination_number)
    out = np.empty(top + 1)
    q = t = 1.0 - rho
    product = 1.0
    for r in range(top + 1):
        out[r] = q * product
        product *= t
        if math.isinf(z):
            q = t = (1.0 - rho) * math.exp(-(1.0 - q))
        else:
            log_keep = math.log1p(-(1.0 - q) / (z - 1.0))
            t = (1.0 - rho) * math.exp((z - 2.0) * log_keep)
            q = t * math.exp(log_keep)
    return out


def mean_nearest_distance_at_rate(
    rate: npt.ArrayLike, coordination_number: float = math.inf
) -> FloatArray:
    """Return the mean distance to the nearest observed site in an infinite critical cluster.

    The sum over r of `nearest_distance_survival`, from 1e-8 on in 40/sqrt(rate) steps a rate; below, an
    expansion. Tends to sqrt(2 / (rate s2)) for small rates, s2 the offspring variance.

    Parameters
    ----------
    rate : array of float
        In (0, 1].
    coordination_number : float
        z; infinity for the Poisson limit.

    Returns
    -------
    array of float64, of the shape of `rate`
        In bonds.

    Raises
    ------
    ValueError
        For a rate outside (0, 1].
    """
    rates = np.atleast_1d(checks.finite_array("rate", rate))
    z = checks.coordination_number(coordination_number)
    out = np.empty(rates.shape)
    for i, rho in np.ndenumerate(rates):
        if not 0.0 < rho <= 1.0:
            raise ValueError(f"rate must lie in (0, 1]; got {rho}.")
        out[i] = _mean_distance(float(rho), z)
    return out.reshape(np.shape(rate))


def _mean_distance(rho: float, z: float) -> float:
    """Mean distance at one rate; below `_SMALL_RATE` by its expansion, 1 - factor ~ sqrt(rate)."""
    if rho < _SMALL_RATE:
        lost = 1.0 - _mean_distance(_SMALL_RATE, z) * math.sqrt(
            _SMALL_RATE * offspring_variance(z) / 2.0
        )
        factor = 1.0 - lost * math.sqrt(rho / _SMALL_RATE)
        return factor * math.sqrt(2.0 / offspring_variance(z)) / math.sqrt(rho)
    return float(np.sum(nearest_distance_survival(rho, int(40.0 / math.sqrt(rho)) + 10, z)))


def offspring_variance(coordination_number: float = math.inf) -> float:
    """Return s2 = (z - 2)/(z - 1), the variance of the number of children at p_c; 1 for infinite z."""
    z = checks.coordination_number(coordination_number)
    return 1.0 if math.isinf(z) else (z - 2.0) / (z - 1.0)


def finite_rate_factor(rate: npt.ArrayLike, coordination_number: float = math.inf) -> FloatArray:
    """Return the mean distance at a finite rate over its small-rate form sqrt(2/(rate s2)).

    It is below 1 and falls to 0 at rate 1, so log-log slopes of losses steepen above a rate of 0.01
    whatever the exponent.

    Parameters
    ----------
    rate, coordination_number
        As in `mean_nearest_distance_at_rate`.

    Returns
    -------
    array of float64, of the shape of `rate`

    Raises
    ------
    ValueError
        For a rate outside (0, 1].
    """
    s2 = offspring_variance(coordination_number)
    rates = checks.finite_array("rate", rate)
    return np.asarray(
        mean_nearest_distance_at_rate(rates, coordination_number) * np.sqrt(rates * s2 / 2.0)
    )


@lru_cache(maxsize=1)
def posterior_constant() -> float:
    """Return the ratio of exact-posterior loss to 1-NN loss on a large critical cluster, 0.7636.

    For a random walk along the edges. With unit observation rate, phi(s) = N(1 - exp(-s C)) for the
    conductance C of a subtree to observed sites and h(s) = E exp(-s C) at a random site solve
    s phi'' = phi^2/2 - 1, s h'' = phi h with phi(0) = 0, phi(inf) = sqrt 2, h(0) = 1, h(inf) = 0. The
    mean posterior variance is the integral of h; 1-NN has sqrt 2. Computed at the first call, then kept.

    Raises
    ------
    RuntimeError
        If the boundary-value solver does not converge.
    """
    from scipy.integrate import solve_bvp

    # In t = log s the singularity at 0 disappears: y_tt = y_t + s * (right-hand side).
    def slope(t: FloatArray, y: FloatArray) -> FloatArray:
        s = np.exp(t)
        phi, phi_t, h, h_t, _ = y
        return np.vstack([phi_t, phi_t + s * (phi * phi / 2 - 1), h_t, h_t + s * phi * h, s * h])

    def ends(left: FloatArray, right: FloatArray) -> FloatArray:
        return np.array([left[0], right[0] - math.sqrt(2.0), left[2] - 1.0, right[2], left[4]])

    t = np.linspace(-18.0, 5.5, 400)
    s = np.exp(t)
    decay = np.exp(-1.2 * np.sqrt(s) - s / (1 + s))
    guess = np.vstack([math.sqrt(2.0) * (1 - decay), 0 * s, decay, 0 * s, np.minimum(s, 1.0)])
    solution = solve_bvp(slope, ends, t, guess, tol=1e-8, max_nodes=200_000)
    if not solution.success:
        raise RuntimeError(f"posterior_constant: {solution.message}")
    return float(solution.y[4, -1] / math.sqrt(2.0))
