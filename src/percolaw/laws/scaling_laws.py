"""Predicted learning curves, in closed form or by sums; derivations in docs/theory.md.

Symbols: alpha is `rank_exponent` (clusters by rank k weigh k^-(1+alpha)), gamma = c/D is
`cluster_exponent` (one cluster with n degrees of freedom has loss n^-gamma), N and T are
degrees of freedom and training points. *The paper* is Brill 2024. "Exponent" is the positive number
in loss ~ size^-exponent.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws import ranks

FloatArray: TypeAlias = npt.NDArray[np.float64]
Convention: TypeAlias = Literal["integral", "discrete"]

#: Logarithm of the largest float.
_LARGEST_LOG = 709.0


def zipf_weights(rank_exponent: float, n_ranks: int) -> FloatArray:
    """Return k^-(1 + alpha), k = 1..K, divided by their sum: weights of clusters, frequencies of skills.

    Parameters
    ----------
    rank_exponent : float
        alpha, of any sign: -1 gives equal weights.
    n_ranks : int
        K, at least 1.

    Returns
    -------
    array of float64, shape (n_ranks,)

    Raises
    ------
    ValueError
        If alpha is not finite or `n_ranks` no integer from 1 on.
    ResourceError
        If the array would not fit into memory.

    Examples
    --------
    >>> zipf_weights(1.0, 3).round(3), zipf_weights(-1.0, 4)
    (array([0.735, 0.184, 0.082]), array([0.25, 0.25, 0.25, 0.25]))
    """
    alpha = checks.real("rank_exponent", rank_exponent)
    n = checks.integer("n_ranks", n_ranks, minimum=1)
    checks.memory(24.0 * n, f"weights of {n} ranks", "Ask for fewer.")
    with np.errstate(over="ignore"):
        log = -(1.0 + alpha) * np.log(np.arange(1, n + 1, dtype=np.float64))
    weight = np.exp(log - log.max())
    return np.asarray(weight / weight.sum())


def optimal_break_capacity(cluster_exponent: float) -> float:
    """Return the capacity of the last cluster served at the true optimum, (1 + gamma)^(1/gamma).

    The loss max(n, 1)^-gamma is 1 up to n = 1, where the paper puts the break: a cluster with n = 1
    would waste its capacity. Raises ValueError unless gamma is positive.
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
        n_br, at least 1.

    Returns
    -------
    array of float64, of the shape of `degrees_of_freedom`
        1 at N = 0.

    Raises
    ------
    ValueError
        For arguments outside these ranges.
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

    Integral convention (the paper's): p_k = alpha k^-(1+alpha) on k >= 1 and, at n_br = 1,
    L = alpha (N/k_br + 1/alpha) k_br^-alpha. Discrete convention: sums over ranks of
    p_k = k^-(1+alpha)/zeta(1+alpha), with the same allocation rule.

    Parameters
    ----------
    degrees_of_freedom : array of float
        N >= 0.
    rank_exponent, cluster_exponent : float
        alpha and gamma = c/D, positive.
    convention : {"integral", "discrete"}
    break_capacity : float
        n_br, at least 1, the paper's choice; `optimal_break_capacity` gives the least loss.
    normalized : bool
        Divide by the value at N = 1, as the paper does.

    Returns
    -------
    array of float64, of the shape of `degrees_of_freedom`
        The exponent tends to min(alpha, gamma).

    Raises
    ------
    ValueError
        For arguments outside these ranges, if the loss at N = 1 is too small to divide by, and in
        the discrete convention if 131072 ranks or more are served.
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
    gamma = aa. Discrete: sums of p_k max(p_k T, 1)^-gamma, p_k = k^-(1+alpha)/zeta(1+alpha).

    In the integral convention L is 1 up to T = 1/alpha, where no cluster has a point: for alpha < 1 the
    curve is flat from T = 1 to there. The paper divides by the formula at x = alpha instead, which is
    outside the range of the formula where alpha < 1: its curve is this one over that number, which may
    be negative. From alpha = 1 on both agree.

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
    array of float64, of the shape of `n_train`
        The exponent tends to min(alpha/(1 + alpha), gamma); at mean field (alpha = 1,
        gamma = 1/2) the two are equal and a logarithm stays: no finite range shows 1/2.

    Raises
    ------
    ValueError
        For arguments outside these ranges, and in the discrete convention if 131072 ranks or more
        have p_k T > 1.
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
    """Return the model and data exponents of the quanta limit gamma -> inf: alpha, alpha/(1 + alpha)."""
    alpha = _positive("rank_exponent", rank_exponent)
    return alpha, alpha / (1.0 + alpha)


def manifold_exponents(dimension: float, approximation_order: float = 2.0) -> tuple[float, float]:
    """Return the model and data exponents of the manifold limit, one cluster: c/d for both.

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
