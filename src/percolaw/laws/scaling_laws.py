"""Predicted learning curves, in closed form or by quadrature; derivations in docs/theory.md.

Symbols: alpha is `rank_exponent` (clusters by rank k weigh k^-(1+alpha)), gamma = c/D is
`cluster_exponent` (one cluster with n degrees of freedom has loss n^-gamma), N and T are
degrees of freedom and training points. "Exponent" is the positive number in loss ~ size^-exponent.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws import ranks

FloatArray: TypeAlias = npt.NDArray[np.float64]
Convention: TypeAlias = Literal["integral", "discrete"]

#: Logarithm of the largest float.
_LARGEST_LOG = 709.0
#: Rate below which the mean distance is expanded: relative error 1e-8, instead of 40/sqrt(rate) steps.
_SMALL_RATE = 1e-8


# ---- one cluster


def single_cluster_loss(
    degrees_of_freedom: npt.ArrayLike, cluster_exponent: float, scale_factor: npt.ArrayLike = 1.0
) -> FloatArray:
    """Return max(n / f, 1)^-gamma, the paper's loss of one cluster (section 4.1).

    Parameters
    ----------
    degrees_of_freedom : array of float
        n >= 0.
    cluster_exponent : float
        gamma >= 0.
    scale_factor : array of float
        f > 0; its shape and that of n are broadcast.

    Returns
    -------
    array of float64

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

    In units of sqrt(size / offspring variance), in the limit of a large critical cluster, for
    exactly m >= 1 independent observed sites. m = 1 gives the Rayleigh mean sqrt(pi/2); large m
    gives sqrt(2/m).

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

    L(n) = 4 exp(-n/2) I_0(n/2) - 3 exp(-n): the loss is 1 with nothing observed, and the mean
    distance over the mean variance (a ratio of means) otherwise. It rises to 1.498 at n = 1.36 (one
    observed site is worth less than none: its loss is 2), is 1 again at n = 5.6, and falls like
    4/sqrt(pi n). The limit holds for n much smaller than the cluster; see `finite_rate_factor`.
    Being a ratio of means it is not the mean loss of targets standardised cluster by cluster, which
    is a mean of ratios and up to E[1/V] E[V] = 1.28 times larger.
    """
    from scipy.special import i0e

    n = _nonnegative("mean_observed", mean_observed)
    return np.asarray(4.0 * i0e(n / 2.0) - 3.0 * np.exp(-n))


#: n in max(n/f, 1)^(-1/2) where 4/sqrt(pi n) reaches 1.
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
        z; infinity for the Poisson limit.

    Returns
    -------
    array of float64, shape (max_distance + 1,)
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

    The sum over r of `nearest_distance_survival`; ~ sqrt(2 / (rate s2)) for small rates.

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
    """Return s2 = (z - 2)/(z - 1) at p_c, 1 in the Poisson limit."""
    z = checks.coordination_number(coordination_number)
    return 1.0 if math.isinf(z) else (z - 2.0) / (z - 1.0)


def finite_rate_factor(rate: npt.ArrayLike, coordination_number: float = math.inf) -> FloatArray:
    """Return the mean distance at a finite rate over its small-rate form sqrt(2/(rate s2)).

    Below 1, and the reason why log-log slopes bend by themselves above a rate of 0.01.

    Parameters
    ----------
    rate : array of float
        In (0, 1].
    coordination_number : float
        z; infinity for the Poisson limit.

    Returns
    -------
    array of float64, of the shape of `rate`
    """
    s2 = offspring_variance(coordination_number)
    rates = checks.finite_array("rate", rate)
    return np.asarray(
        mean_nearest_distance_at_rate(rates, coordination_number) * np.sqrt(rates * s2 / 2.0)
    )


@lru_cache(maxsize=1)
def posterior_constant() -> float:
    """Return the ratio of exact-posterior loss to 1-NN loss on a large critical cluster, 0.7636.

    With unit observation rate, phi(s) = N(1 - exp(-s C)) for the conductance C of a subtree and
    h(s) = E exp(-s C) at a random site solve s phi'' = phi^2/2 - 1, s h'' = phi h with
    phi(0) = 0, phi(inf) = sqrt 2, h(0) = 1, h(inf) = 0. The mean posterior variance is the integral
    of h; 1-NN has sqrt 2.

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


# ---- many clusters


def zipf_weights(rank_exponent: float, n_clusters: int) -> FloatArray:
    """Return k^-(1+alpha) for k = 1..n_clusters, normalised to sum 1.

    Parameters
    ----------
    rank_exponent : float
        alpha, positive.
    n_clusters : int

    Returns
    -------
    array of float64, shape (n_clusters,)
    """
    alpha = _positive("rank_exponent", rank_exponent)
    n = checks.integer("n_clusters", n_clusters, minimum=1)
    checks.memory(24.0 * n, f"weights of {n} clusters", "Lower n_clusters.")
    k = np.arange(1, n + 1, dtype=np.float64)
    with np.errstate(over="ignore"):
        weight = np.exp(-(1.0 + alpha) * np.log(k))
    return np.asarray(weight / weight.sum())


def optimal_break_capacity(cluster_exponent: float) -> float:
    """Return the capacity of the last cluster served at the true optimum, (1 + gamma)^(1/gamma).

    The loss max(n, 1)^-gamma gains nothing from the first unit, so it never pays to leave a
    cluster with n = 1, where the paper puts the break.
    """
    gamma = _positive("cluster_exponent", cluster_exponent)
    return math.exp(math.log1p(gamma) / gamma)


def allocation_shape(rank_exponent: float, cluster_exponent: float) -> float:
    """Return b = 1 - (alpha + 1)/(gamma + 1) of the optimal allocation n_k = a k^(b-1).

    Parameters
    ----------
    rank_exponent, cluster_exponent : float
        alpha and gamma, positive.

    Returns
    -------
    float
    """
    alpha = _positive("rank_exponent", rank_exponent)
    return 1.0 - (alpha + 1.0) / (_positive("cluster_exponent", cluster_exponent) + 1.0)


def model_break_rank(
    degrees_of_freedom: npt.ArrayLike,
    rank_exponent: float,
    cluster_exponent: float,
    break_capacity: float = 1.0,
) -> FloatArray:
    """Return k_br, the rank of the last cluster that receives capacity (integral convention).

    Solves N = n_br k_br^(1-b) (k_br^b - 1)/b with n_br = `break_capacity` >= 1 (1 in the paper).

    Parameters
    ----------
    degrees_of_freedom : array of float
        N >= 0.
    rank_exponent, cluster_exponent : float
        alpha and gamma, positive.
    break_capacity : float

    Returns
    -------
    array of float64
    """
    n = _nonnegative("degrees_of_freedom", degrees_of_freedom)
    b = allocation_shape(rank_exponent, cluster_exponent)
    n_br = checks.real("break_capacity", break_capacity, minimum=1.0)
    return np.exp(ranks.log_break_rank(ranks.log_of(n) - math.log(n_br), b))


def model_scaling_loss(
    degrees_of_freedom: npt.ArrayLike,
    rank_exponent: float,
    cluster_exponent: float,
    *,
    convention: Convention = "integral",
    break_capacity: float = 1.0,
    normalized: bool = True,
) -> FloatArray:
    """Return the model scaling law L(N) of optimally allocated capacity.

    Integral convention (the paper's): p_k = alpha k^-(1+alpha) on k >= 1 and, with
    `break_capacity` n_br = 1, L = alpha (N/k_br + 1/alpha) k_br^-alpha; n_br = 1 is the paper's
    choice, `optimal_break_capacity` the true minimum. Discrete convention: zeta-normalised sums
    over ranks with the same allocation rule.

    Parameters
    ----------
    degrees_of_freedom : array of float, >= 0
    rank_exponent, cluster_exponent : float
        alpha and gamma = c/D.
    convention : {"integral", "discrete"}
    break_capacity : float
        At least 1: with less a cluster has loss 1.
    normalized : bool
        Divide by the value at N = 1, as the paper does.

    Returns
    -------
    array of float64
        The exponent tends to min(alpha, gamma).

    Raises
    ------
    ValueError
        If the loss at N = 1 is too small to divide by, and in the discrete convention if more
        than 131072 ranks are served.
    """
    n = _nonnegative("degrees_of_freedom", degrees_of_freedom)
    n_br = checks.real("break_capacity", break_capacity, minimum=1.0)
    checks.choice("convention", convention, ("integral", "discrete"))
    alpha = _positive("rank_exponent", rank_exponent)
    gamma = _positive("cluster_exponent", cluster_exponent)
    law = ranks.model_integral if convention == "integral" else ranks.model_discrete
    log_loss = law(np.append(n.ravel(), 1.0), alpha, gamma, n_br)
    if normalized:
        log_loss -= log_loss[-1]
    if log_loss.max() > _LARGEST_LOG:
        raise ValueError(
            f"at rank_exponent {alpha:g} the loss at N = 1 is too small to divide by; pass "
            "normalized=False."
        )
    return np.exp(log_loss[:-1]).reshape(n.shape)


def data_break_rank(n_train: npt.ArrayLike, rank_exponent: float) -> FloatArray:
    """Return k_br = max(alpha T, 1)^(1/(1+alpha)), the rank of the last cluster with a training point.

    Parameters
    ----------
    n_train : array of float
        T >= 0.
    rank_exponent : float
        alpha, positive.

    Returns
    -------
    array of float64
    """
    t = _nonnegative("n_train", n_train)
    alpha = _positive("rank_exponent", rank_exponent)
    log_x = np.maximum(math.log(alpha) + ranks.log_of(t), 0.0)
    return np.asarray(np.exp(log_x / (1.0 + alpha)))


def data_scaling_loss(
    n_train: npt.ArrayLike,
    rank_exponent: float,
    cluster_exponent: float,
    *,
    convention: Convention = "integral",
    normalized: bool = True,
) -> FloatArray:
    """Return the data scaling law L(T) of points drawn at random from all clusters.

    n_k = p_k T. Integral convention: with x = max(alpha T, 1) and aa = alpha/(1 + alpha),
    L = x^-aa / (1 - aa/gamma) + x^-gamma / (1 - gamma/aa), or (1 + gamma log x) x^-gamma at
    gamma = aa. Discrete: zeta-normalised sums of max(p_k T, 1)^-gamma.

    Up to T = 1/alpha no cluster has a point and L is 1: for alpha < 1 the curve is flat from T = 1 to
    there. The published curve divides by the formula at x = alpha instead, outside its range where
    alpha < 1: it is this curve over that number, which may be negative. From alpha = 1 on both agree.

    Parameters
    ----------
    n_train : array of float
        T >= 0.
    rank_exponent, cluster_exponent : float
        alpha and gamma = c/D, positive.
    convention : {"integral", "discrete"}
    normalized : bool
        Divide by the value at T = 1.

    Returns
    -------
    array of float64
        The exponent tends to min(alpha/(1 + alpha), gamma); at mean field (alpha = 1,
        gamma = 1/2) the two are equal and a logarithm stays: no finite range shows 1/2.
    """
    t = _nonnegative("n_train", n_train)
    checks.choice("convention", convention, ("integral", "discrete"))
    law = ranks.data_integral if convention == "integral" else ranks.data_discrete
    alpha = _positive("rank_exponent", rank_exponent)
    gamma = _positive("cluster_exponent", cluster_exponent)
    loss = law(np.append(t.ravel(), 1.0), alpha, gamma)
    return np.asarray((loss[:-1] / (loss[-1] if normalized else 1.0)).reshape(t.shape))


def model_exponent(rank_exponent: float, cluster_exponent: float) -> float:
    """Return the asymptotic model exponent min(alpha, gamma).

    Parameters
    ----------
    rank_exponent, cluster_exponent : float
        alpha and gamma, positive.

    Returns
    -------
    float
    """
    gamma = _positive("cluster_exponent", cluster_exponent)
    return min(_positive("rank_exponent", rank_exponent), gamma)


def data_exponent(rank_exponent: float, cluster_exponent: float) -> float:
    """Return the asymptotic data exponent min(alpha/(1 + alpha), gamma).

    Parameters
    ----------
    rank_exponent, cluster_exponent : float
        alpha and gamma, positive.

    Returns
    -------
    float
    """
    alpha = _positive("rank_exponent", rank_exponent)
    return min(alpha / (1.0 + alpha), _positive("cluster_exponent", cluster_exponent))


def quanta_exponents(rank_exponent: float) -> tuple[float, float]:
    """Return (model, data) exponents of the quanta limit: alpha and alpha/(1 + alpha)."""
    alpha = _positive("rank_exponent", rank_exponent)
    return alpha, alpha / (1.0 + alpha)


def manifold_exponents(dimension: float, approximation_order: float = 2.0) -> tuple[float, float]:
    """Return (model, data) exponents of the manifold limit: c/d for both.

    Parameters
    ----------
    dimension : float
        d, positive.
    approximation_order : float
        c, positive.

    Returns
    -------
    model, data : float

    Raises
    ------
    ValueError
        If c/d is beyond float64, or either is not positive.
    """
    order = _positive("approximation_order", approximation_order)
    d = _positive("dimension", dimension)
    gamma = math.exp(min(math.log(order) - math.log(d), _LARGEST_LOG))
    if gamma >= math.exp(_LARGEST_LOG):
        raise ValueError(f"the exponent {order:g}/{d:g} is no finite number; raise dimension.")
    return order / d, order / d


def matern_exponent(smoothness: float, dimension: float) -> float:
    """Return 2 nu / D: a Matérn target of smoothness nu learned by a kernel at least as smooth.

    Parameters
    ----------
    smoothness : float
        nu, positive.
    dimension : float
        D, positive.

    Returns
    -------
    float
    """
    order = 2.0 * checks.real("smoothness", smoothness, maximum=8.9e307)
    return manifold_exponents(dimension, order)[0]


def _nonnegative(name: str, values: npt.ArrayLike) -> FloatArray:
    array = checks.finite_array(name, values)
    if np.any(array < 0):
        raise ValueError(f"{name} must be >= 0; got {float(array.min()):g}.")
    return array


def _positive(name: str, value: float) -> float:
    number = checks.real(name, value, minimum=0.0)
    if number == 0.0:
        raise ValueError(f"{name} must be positive; got 0.")
    return number
