"""Sums and integrals over clusters by rank, in logarithms: what `percolaw.laws.scaling_laws` is made of.

Everything is formed as a logarithm first, so that no size and no exponent over- or underflows on the
way to a result that is a number.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Ranks summed one by one by the discrete convention.
EXACT_RANKS = 1 << 17
#: alpha below which zeta(1 + alpha, q) is taken as 1/alpha - psi(q): the error is of order alpha^2.
_FLAT = 1e-6


def log_of(values: FloatArray) -> FloatArray:
    """Return natural logarithms; -inf of 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values))


def log_integral(log_k: FloatArray, power: float) -> FloatArray:
    """Return log((1 - k^-|b|)/|b|), or log log k at b = 0, without cancellation.

    Parameters
    ----------
    log_k : array of float64
        Logarithms of ranks k >= 1.
    power : float
        b; any real number.

    Returns
    -------
    array of float64, of the shape of `log_k`
    """
    b = abs(power)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        finite = np.log(-np.expm1(-b * log_k)) - np.log(b)
        return np.asarray(np.where(b * log_k > 1e-290, finite, np.log(log_k)))


def log_break_rank(log_size: FloatArray, shape: float) -> FloatArray:
    """Return x = log k_br that solves k_br^(1-b) (k_br^b - 1)/b = size, by bisection.

    Parameters
    ----------
    log_size : array of float64
        Natural logarithms of sizes; -inf gives 0.
    shape : float
        b; any real number.

    Returns
    -------
    array of float64, of the shape of `log_size`
    """
    b = shape

    def log_capacity(x: FloatArray) -> FloatArray:
        return np.asarray((1.0 - min(b, 0.0)) * x + log_integral(x, b))

    low = np.zeros(log_size.shape)
    high = np.full(log_size.shape, 1.0 / (1.0 + abs(b)))
    while np.any(short := log_capacity(high) < log_size):
        high = np.where(short, 2.0 * high, high)
    for _ in range(200):
        middle = 0.5 * (low + high)
        less = log_capacity(middle) < log_size
        low, high = np.where(less, middle, low), np.where(less, high, middle)
    return 0.5 * (low + high)


def model_integral(
    degrees_of_freedom: FloatArray,
    rank_exponent: float,
    cluster_exponent: float,
    break_capacity: float,
) -> FloatArray:
    """Return the log loss of the optimal rule over ranks k >= 1 of weight alpha k^-(1+alpha).

    `percolaw.laws.scaling_laws.model_scaling_loss` in the integral convention, not normalised.

    Parameters
    ----------
    degrees_of_freedom : array of float64
        N >= 0.
    rank_exponent, cluster_exponent : float
        alpha and gamma, positive.
    break_capacity : float
        n_br >= 1.

    Returns
    -------
    array of float64
        Natural logarithms.
    """
    alpha, gamma = rank_exponent, cluster_exponent
    log_n, log_br = log_of(degrees_of_freedom), math.log(break_capacity)
    x = log_break_rank(log_n - log_br, 1.0 - (alpha + 1.0) / (gamma + 1.0))
    # Served part: alpha integral k^-(1+alpha) n_k^-gamma = alpha n_br^-(1+gamma) N k_br^-(1+alpha).
    with np.errstate(over="ignore"):
        served = math.log(alpha) - (1.0 + gamma) * log_br + log_n - (1.0 + alpha) * x
        return np.logaddexp(served, -alpha * x)


def data_integral(n_train: FloatArray, rank_exponent: float, cluster_exponent: float) -> FloatArray:
    """Return the loss of n_k = p_k T over ranks k >= 1 of weight p_k = alpha k^-(1+alpha).

    Parameters
    ----------
    n_train : array of float64
        T >= 0.
    rank_exponent, cluster_exponent : float
        alpha and gamma, positive.

    Returns
    -------
    array of float64
    """
    alpha, gamma = rank_exponent, cluster_exponent
    aa = alpha / (1.0 + alpha)
    log_x = np.maximum(math.log(alpha) + log_of(n_train), 0.0)
    # x^-aa + aa (x^-aa - x^-gamma)/(gamma - aa), the difference by its larger term: stable through
    # gamma = aa, and on either side.
    gap, slow = abs(gamma - aa), min(gamma, aa)
    with np.errstate(over="ignore"):
        between = -np.expm1(-gap * log_x) / gap if gap > 0.0 else log_x
    return np.asarray(np.exp(-aa * log_x) + aa * np.exp(-slow * log_x) * between)


def _tail_weight(rank_exponent: float, first: npt.ArrayLike) -> FloatArray:
    """The share of ranks k >= first where p_k = k^-(1+alpha)/zeta(1+alpha)."""
    return np.asarray(_scaled_zeta(rank_exponent, first) / _scaled_zeta(rank_exponent, 1.0))


def log_weight(rank_exponent: float) -> float:
    """Return -log zeta(1 + alpha)."""
    return float(math.log(rank_exponent) - np.log(_scaled_zeta(rank_exponent, 1.0)))


def _scaled_zeta(alpha: float, first: npt.ArrayLike) -> FloatArray:
    """alpha times the sum of k^-(1+alpha) over k >= first."""
    from scipy.special import digamma, zeta

    if alpha < _FLAT:
        return np.asarray(1.0 - alpha * digamma(first))
    return np.asarray(alpha * zeta(1.0 + alpha, first))


def model_discrete(
    degrees_of_freedom: FloatArray,
    rank_exponent: float,
    cluster_exponent: float,
    break_capacity: float,
) -> FloatArray:
    """Return the log loss of the rule of `model_integral` over integer ranks, capacities summing to N.

    The weights are p_k = k^-(1+alpha)/zeta(1+alpha).

    Parameters
    ----------
    degrees_of_freedom, rank_exponent, cluster_exponent, break_capacity
        As in `model_integral`.

    Returns
    -------
    array of float64
        Natural logarithms.

    Raises
    ------
    ValueError
        If `EXACT_RANKS` ranks or more are served.
    """
    n, alpha, gamma = degrees_of_freedom, rank_exponent, cluster_exponent
    log_k = np.log(np.arange(1, EXACT_RANKS + 1, dtype=np.float64))
    fall = (alpha + 1.0) / (gamma + 1.0)  # n_k = a k^-fall
    with np.errstate(over="ignore"):
        # sum_(k<=m) k^-fall = m exp(-missing); small ones apart, for gamma times them counts.
        if fall > 1e-3:
            missing = log_k - np.log(np.cumsum(np.exp(-fall * log_k)))
        else:
            missing = -np.log1p(np.cumsum(np.expm1(-fall * log_k)) / np.exp(log_k))
        # With m clusters served the last one gets n_br or more: N >= n_br m^fall sum_(k<=m) k^-fall.
        needed = math.log(break_capacity) + fall * log_k + (log_k - missing)
    log_n = log_of(n)
    served = np.searchsorted(needed, log_n, side="right")
    if np.any(served == EXACT_RANKS):
        raise ValueError(_too_many(f"degrees_of_freedom {n[served == EXACT_RANKS].min():g} serves"))
    last = np.maximum(served - 1, 0)
    with np.errstate(over="ignore"):
        log_first = np.maximum((log_n - log_k[last]) + missing[last], 0.0)  # log n_1
        learned = np.exp(log_weight(alpha) - gamma * log_first + (log_k - missing)[last])
    return log_of(np.where(served > 0, learned + _tail_weight(alpha, served + 1.0), 1.0))


def data_discrete(n_train: FloatArray, rank_exponent: float, cluster_exponent: float) -> FloatArray:
    """Return the loss of n_k = p_k T over integer ranks, p_k = k^-(1+alpha)/zeta(1+alpha).

    Parameters
    ----------
    n_train, rank_exponent, cluster_exponent
        As in `data_integral`.

    Returns
    -------
    array of float64

    Raises
    ------
    ValueError
        If `EXACT_RANKS` ranks or more have p_k T > 1.
    """
    alpha, gamma = rank_exponent, cluster_exponent
    log_t, scale = log_of(n_train), log_weight(alpha)
    # p_k T > 1 up to rank m.
    log_rank = np.maximum((scale + log_t) / (1.0 + alpha), -1.0)
    if np.any(log_rank >= math.log(EXACT_RANKS)):
        raise ValueError(
            _too_many(f"n_train {n_train[log_rank >= math.log(EXACT_RANKS)].min():g} reaches")
        )
    last = np.floor(np.exp(log_rank))
    out = _tail_weight(alpha, last + 1.0)
    with np.errstate(over="ignore"):
        log_p = scale - (1.0 + alpha) * np.log(np.arange(1.0, last.max(initial=0.0) + 1.0))
        for i, m in np.ndenumerate(last):
            p = log_p[: int(m)]
            out[i] += np.sum(np.exp(p - gamma * np.maximum(p + log_t[i], 0.0)))
    return out


def _too_many(what: str) -> str:
    return f"{what} more than {EXACT_RANKS} clusters; use the integral convention there."
