"""Laws of discrete skills by training time, and by the compute that size and samples share."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import integrate, special

from percolaw import checks
from percolaw.laws.scaling_laws import zipf_weights

FloatArray = npt.NDArray[np.float64]

#: Sizes among which the one of least loss is sought.
SIZES = 400


def training_loss(
    time: npt.ArrayLike,
    rank_exponent: float,
    n_skills: int,
    *,
    strength: float = 1.0,
    start: float = 1e-3,
) -> FloatArray:
    """Return the loss of decoupled skills under gradient flow: (S^2/2) sum p_k (1 - R_k/S)^2.

    R_k rises as a logistic function from `start` to S at rate p_k S, frequent skills first; for many
    skills the loss falls as t^(-alpha/(1 + alpha)).

    Parameters
    ----------
    time : array of float
        t >= 0.
    rank_exponent : float
        alpha.
    n_skills : int
    strength, start : float
        S, and R_k at the beginning: 0 < start < strength.

    Returns
    -------
    array of float64, of the shape of `time`

    Raises
    ------
    ValueError
        For numbers out of range.
    """
    alpha = checks.real("rank_exponent", rank_exponent)
    weight = zipf_weights(alpha, checks.integer("n_skills", n_skills, minimum=1))
    s, lag = _strength(strength, start)
    t = checks.finite_array("time", time)
    if np.any(t < 0):
        raise ValueError("time must not be negative.")
    out = np.empty(t.size)
    for i, moment in enumerate(t.ravel()):
        missing = special.expit(lag - weight * s * moment)  # 1 - R/S
        out[i] = 0.5 * s**2 * np.sum(weight * missing**2)
    return out.reshape(t.shape)


def training_loss_limit(
    time: npt.ArrayLike, rank_exponent: float, *, strength: float = 1.0, start: float = 1e-3
) -> FloatArray:
    """Return what `training_loss` of infinitely many skills tends to, ~ t^(-alpha/(1 + alpha)).

    (S^2/2) b C^b (S t)^(b-1) times the integral over x from 0 of x^-b / (1 + e^(x - a))^2, where
    a = log(S/R_0 - 1), b = 1/(1 + alpha) and C = 1/zeta(1 + alpha).

    Parameters
    ----------
    time : array of float
        t > 0.
    rank_exponent : float
        alpha > 0.
    strength, start : float
        As in `training_loss`.

    Returns
    -------
    array of float64, of the shape of `time`

    Raises
    ------
    ValueError
        For numbers out of range.
    """
    alpha = checks.real("rank_exponent", rank_exponent)
    if alpha <= 0.0:
        raise ValueError(f"rank_exponent must be positive; got {alpha:g}.")
    s, lag = _strength(strength, start)
    t = checks.finite_array("time", time)
    if np.any(t <= 0):
        raise ValueError("time must be positive.")
    b = 1.0 / (1.0 + alpha)

    def integrand(v: float) -> float:  # x = v^(1/(1 - b)), in which the end at 0 is regular
        return float(special.expit(lag - v ** (1.0 / (1.0 - b))) ** 2 / (1.0 - b))

    middle, top = ((max(lag, 0.0) + width) ** (1.0 - b) for width in (5.0, 60.0))
    total = sum(
        integrate.quad(integrand, *ends, limit=200)[0] for ends in ((0, middle), (middle, top))
    )
    constant = 0.5 * s**2 * b * float(special.zeta(1.0 + alpha)) ** -b
    return np.asarray(constant * total * (s * t) ** (b - 1.0))


def compute_loss(
    compute: npt.ArrayLike, rank_exponent: float, n_skills: int, threshold: int = 1
) -> tuple[FloatArray, FloatArray]:
    """Return the least loss of a compute budget and the size it is reached with.

    A model of n skills that sees D samples costs n D, and does not know a skill that is not among the n
    most used or of which fewer than T samples were seen. For many skills n grows as
    compute^(1/(2 + alpha)) and the loss falls as compute^(-alpha/(2 + alpha)).

    Parameters
    ----------
    compute : array of float
        Above 0, in skills times samples.
    rank_exponent : float
        alpha.
    n_skills : int
        K.
    threshold : int
        T.

    Returns
    -------
    loss, n : array of float64, of the shape of `compute`

    Raises
    ------
    ValueError
        For numbers out of range.
    """
    weight = zipf_weights(rank_exponent, checks.integer("n_skills", n_skills, minimum=1))
    needed = checks.integer("threshold", threshold, minimum=1)
    budget = checks.finite_array("compute", compute)
    if np.any(budget <= 0):
        raise ValueError("compute must be positive.")
    beyond = np.append(np.cumsum(weight[::-1])[::-1], 0.0)
    sizes = np.unique(np.geomspace(1, weight.size, SIZES).astype(np.int64))
    best = np.empty((2, budget.size))
    for i, each in enumerate(budget.ravel()):
        loss = [
            weight[:n] @ special.gammaincc(needed, each / n * weight[:n]) + beyond[n] for n in sizes
        ]
        least = int(np.argmin(loss))
        best[:, i] = loss[least], sizes[least]
    return best[0].reshape(budget.shape), best[1].reshape(budget.shape)


def _strength(strength: float, start: float) -> tuple[float, float]:
    """S, and log(S/R_0 - 1)."""
    s = checks.real("strength", strength, minimum=0.0)
    first = checks.real("start", start, minimum=0.0)
    if not 0.0 < first < s:
        raise ValueError(f"start must lie between 0 and strength = {s:g}; got {first:g}.")
    return s, math.log(s / first - 1.0)
