"""Quanta: discrete skills used with Zipf's frequencies, and their laws exactly, of few and of all."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import integrate, special

from percolaw import checks
from percolaw.laws.scaling_laws import zipf_weights

FloatArray = npt.NDArray[np.float64]
#: What a skill of frequency p adds after D samples.
Term: TypeAlias = Callable[[float, FloatArray], FloatArray]

#: Skills that are summed one by one where there are infinitely many; the rest is an integral.
SUMMED = 200_000


def skill_loss(
    n_learned: npt.ArrayLike, rank_exponent: float, n_skills: float = math.inf
) -> FloatArray:
    """Return the loss of knowing the n most used skills: the frequency of all others (the model law).

    zeta(1 + alpha, n + 1)/zeta(1 + alpha), or 1 less the sum of the first n of `n_skills` frequencies.
    Its exponent is alpha for few of infinitely many; of finitely many it grows without bound as n does.

    Parameters
    ----------
    n_learned : array of int
        n >= 0.
    rank_exponent : float
        alpha: skill k is used with frequency ~ k^-(1 + alpha). Above 0 if there are infinitely many.
    n_skills : float
        Skills there are.

    Returns
    -------
    array of float64, of the shape of `n_learned`

    Raises
    ------
    ValueError
        For numbers out of range.

    Examples
    --------
    >>> skill_loss([0, 1, 10], 1.0).round(4)
    array([1.    , 0.3921, 0.0579])
    """
    alpha = checks.real("rank_exponent", rank_exponent)
    n = checks.finite_array("n_learned", n_learned)
    if np.any(n < 0) or np.any(n != np.floor(n)):
        raise ValueError(f"n_learned must be whole numbers from 0 on; got {n.min():g}.")
    if math.isinf(n_skills):
        _check_infinite(alpha)
        return np.asarray(special.zeta(1.0 + alpha, n + 1.0) / special.zeta(1.0 + alpha))
    weight = zipf_weights(alpha, checks.integer("n_skills", n_skills, minimum=1))
    left = np.append(np.cumsum(weight[::-1])[::-1], 0.0)
    return np.asarray(left[np.minimum(n, weight.size).astype(np.int64)])


def sample_loss(
    n_samples: npt.ArrayLike,
    rank_exponent: float,
    threshold: int = 1,
    n_skills: float = math.inf,
) -> FloatArray:
    """Return the expected loss after D samples if a skill is learned once T of its own were seen.

    The sum over skills of p_k P(Poisson(D p_k) < T): the data law. T = 1 is the missing mass.

    Parameters
    ----------
    n_samples : array of float
        D >= 0.
    rank_exponent : float
        alpha; above 0 if there are infinitely many skills.
    threshold : int
        T >= 1.
    n_skills : float
        Skills there are.

    Returns
    -------
    array of float64, of the shape of `n_samples`

    Raises
    ------
    ValueError
        For numbers out of range.

    Notes
    -----
    O(n_skills) time for each number of samples; 200,000 terms and an integral for infinitely many.

    Examples
    --------
    >>> sample_loss([1e3, 1e5], 1.0).round(5), sample_loss([1e3, 1e5], 0.3).round(5)
    (array([0.02185, 0.00219]), array([0.21503, 0.07429]))
    """
    needed = checks.integer("threshold", threshold, minimum=1)
    return _over_skills(
        n_samples,
        rank_exponent,
        n_skills,
        lambda d, p: p * special.gammaincc(needed, d * p),
    )


def sample_loss_limit(
    n_samples: npt.ArrayLike, rank_exponent: float, threshold: int = 1
) -> FloatArray:
    """Return what `sample_loss` tends to: b C^b D^(b-1) Gamma(T + 1 - b) / (Gamma(T) (1 - b)).

    b = 1/(1 + alpha), C = 1/zeta(1 + alpha); the exponent is alpha/(1 + alpha).

    Parameters
    ----------
    n_samples : array of float
        D > 0.
    rank_exponent : float
        alpha > 0.
    threshold : int
        T >= 1.

    Returns
    -------
    array of float64, of the shape of `n_samples`

    Raises
    ------
    ValueError
        For numbers out of range.
    """
    alpha = checks.real("rank_exponent", rank_exponent)
    _check_infinite(alpha)
    t = checks.integer("threshold", threshold, minimum=1)
    d = checks.finite_array("n_samples", n_samples)
    if np.any(d <= 0):
        raise ValueError("n_samples must be positive.")
    b = 1.0 / (1.0 + alpha)
    log_c = -math.log(special.zeta(1.0 + alpha))
    log = math.log(b / (1.0 - b)) + b * log_c + math.lgamma(t + 1.0 - b) - math.lgamma(t)
    return np.asarray(np.exp(log + (b - 1.0) * np.log(d)))


def skills_met(
    n_samples: npt.ArrayLike, rank_exponent: float, n_skills: float = math.inf
) -> FloatArray:
    """Return the expected number of skills of which D samples hold one at least (see `skills_met_limit`).

    The sum of 1 - exp(-D p_k).

    Parameters
    ----------
    n_samples : array of float
        D >= 0.
    rank_exponent : float
        alpha; above 0 if there are infinitely many skills.
    n_skills : float

    Returns
    -------
    array of float64, of the shape of `n_samples`

    Raises
    ------
    ValueError
        For numbers out of range.
    """
    return _over_skills(
        n_samples,
        rank_exponent,
        n_skills,
        lambda d, p: -np.expm1(-d * p),
    )


def skills_met_limit(n_samples: npt.ArrayLike, rank_exponent: float) -> FloatArray:
    """Return what `skills_met` of infinitely many skills tends to: Gamma(1 - b) (C D)^b.

    Parameters
    ----------
    n_samples : array of float
        D > 0.
    rank_exponent : float
        alpha > 0; b = 1/(1 + alpha), C = 1/zeta(1 + alpha).

    Returns
    -------
    array of float64, of the shape of `n_samples`

    Raises
    ------
    ValueError
        For numbers out of range.
    """
    alpha = checks.real("rank_exponent", rank_exponent)
    _check_infinite(alpha)
    d = checks.finite_array("n_samples", n_samples)
    if np.any(d <= 0):
        raise ValueError("n_samples must be positive.")
    b = 1.0 / (1.0 + alpha)
    return np.asarray(math.gamma(1.0 - b) * (d / special.zeta(1.0 + alpha)) ** b)


def _over_skills(
    n_samples: npt.ArrayLike, rank_exponent: float, n_skills: float, term: Term
) -> FloatArray:
    """Sums over skills of term(D, p_k); for infinitely many the tail is an integral."""
    alpha = checks.real("rank_exponent", rank_exponent)
    d = checks.finite_array("n_samples", n_samples)
    if np.any(d < 0):
        raise ValueError("n_samples must not be negative.")
    if math.isinf(n_skills):
        _check_infinite(alpha)
        count, total = SUMMED, float(special.zeta(1.0 + alpha))
        weight = np.arange(1.0, count + 1.0) ** -(1.0 + alpha) / total
    else:
        weight = zipf_weights(alpha, checks.integer("n_skills", n_skills, minimum=1))
    out = np.array([float(np.sum(term(moment, weight))) for moment in d.ravel()])
    if math.isinf(n_skills):
        for i, moment in enumerate(d.ravel()):
            out[i] += _tail(moment, alpha, total, count + 0.5, term)
    return out.reshape(d.shape)


def _tail(d: float, alpha: float, total: float, first: float, term: Term) -> float:
    """Integral of term(D, p(k)) over k from `first` on, in log p; below all that matters term is ~ p."""
    b = 1.0 / (1.0 + alpha)
    top = -(1.0 + alpha) * math.log(first) - math.log(total)

    def integrand(x: float) -> float:
        p = np.array([math.exp(x)])
        return float(term(d, p)[0] / p[0]) * b * math.exp((1.0 - b) * x - b * math.log(total))

    low = min(top, -math.log(max(d, 1.0))) - 40.0
    edges = [low, min(top, -math.log(max(d, 1.0)) - 5.0), top]
    parts = [(a, z) for a, z in pairwise(edges) if z > a]
    rest = integrand(low) / (1.0 - b)
    return rest + float(sum(integrate.quad(integrand, a, z, limit=200)[0] for a, z in parts))


def _check_infinite(alpha: float) -> None:
    if alpha <= 0.0:
        raise ValueError(
            f"infinitely many skills need rank_exponent > 0, for their frequencies to have a sum; got "
            f"{alpha:g}. Give n_skills."
        )
