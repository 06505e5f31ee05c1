"""Dictionaries on manifolds, exactly: the least loss of sparse codes, and how atoms are shared out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.laws.scaling_laws import _nonnegative

FloatArray = npt.NDArray[np.float64]


def circle_sparse_loss(n_atoms: int, penalty: float) -> float:
    """Return the least mean of |x - x^|^2 / 2 + penalty * sum(codes) on the unit circle.

    Atoms are n unit vectors at equal angles, codes not negative, x uniform on the circle. Between two
    atoms both are in use; within asin(penalty tan(pi/n)) of one it is alone. Away from there the loss
    is penalty tan(pi/n)/(pi/n) - penalty^2 / (2 cos^2(pi/n)): its excess over many atoms falls as n^-2.

    Parameters
    ----------
    n_atoms : int
        At least 3.
    penalty : float
        Below cos(pi/n), from where on atoms are never used in pairs.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For numbers out of range.

    Examples
    --------
    >>> round(circle_sparse_loss(8, 0.1), 5), round(circle_sparse_loss(1000, 0.1), 5)
    (0.09965, 0.095)
    """
    n = checks.integer("n_atoms", n_atoms, minimum=3)
    lam = checks.real("penalty", penalty, minimum=0.0)
    half = math.pi / n
    c = math.cos(half)
    if lam >= c:
        raise ValueError(f"penalty must be below cos(pi/n) = {c:.4g}; got {lam:g}.")
    alone = math.asin(lam * math.tan(half))
    pair = lam * math.sin(half - alone) / c - lam**2 * (half - alone) / (2.0 * c**2)
    one = alone / 4.0 - math.sin(2.0 * alone) / 8.0 + lam * math.sin(alone) - lam**2 * alone / 2.0
    return (pair + one) / half


def circle_top_loss(n_atoms: npt.ArrayLike) -> FloatArray:
    """Return the mean squared error of one atom, of n at equal angles, on the unit circle.

    1/2 - sin(2 pi/n) / (4 pi/n), which tends to (pi/n)^2 / 3; codes are not negative.

    Parameters
    ----------
    n_atoms : array of int
        From 2 on.

    Returns
    -------
    array of float64

    Raises
    ------
    ValueError
        For fewer than 2.

    Examples
    --------
    >>> circle_top_loss([3, 4, 8]).round(5)
    array([0.29325, 0.18169, 0.04984])
    """
    n = _nonnegative("n_atoms", n_atoms)
    if np.any(n < 2):
        raise ValueError(f"n_atoms must be at least 2; got {n.min():g}.")
    return np.asarray(0.5 - np.sin(2.0 * np.pi / n) / (4.0 * np.pi / n))


def sphere_top_loss(n_atoms: int, dim: int) -> float:
    """Return the mean squared error of one atom, of n uniform random ones, on the unit sphere in R^dim.

    The error is sin^2 of the angle to the nearest atom, and 1 beyond a right angle, where its code is 0;
    the nearest is farther than a with probability (1 - cap(a))^n. It falls as n^(-2/(dim - 1)).

    Parameters
    ----------
    n_atoms : int
        At least 1.
    dim : int
        At least 2.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For numbers out of range.
    """
    from scipy.integrate import quad
    from scipy.special import betainc

    n = checks.integer("n_atoms", n_atoms, minimum=1)
    d = checks.integer("dim", dim, minimum=2)

    def farther(angle: float) -> float:
        cap = 0.5 * float(betainc((d - 1) / 2.0, 0.5, math.sin(angle) ** 2))
        return float(math.sin(2.0 * angle) * math.exp(n * math.log1p(-cap)))

    width = min(math.pi / 2.0, 8.0 * n ** (-1.0 / (d - 1)))
    first = quad(farther, 0.0, width, limit=200)[0]
    return float(first + quad(farther, width, math.pi / 2.0, limit=200)[0])


def dictionary_exponents(rank_exponent: float, cluster_exponent: float) -> tuple[float, float]:
    """Return the exponents of the loss and of the number of features found, in the number of atoms N.

    Features have weights p_i ~ i^-(1 + alpha) and each alone a loss n^-beta with n atoms. At the best
    split of N atoms: where alpha < beta the loss falls as N^-alpha and atoms go to new features, ~ N of
    them; where alpha > beta it falls as N^-beta, and atoms tile the features that are known: only
    N^((1 + beta)/(1 + alpha)) are found.

    Parameters
    ----------
    rank_exponent : float
        alpha > 0.
    cluster_exponent : float
        beta > 0.

    Returns
    -------
    loss, features : float

    Raises
    ------
    ValueError
        For exponents that are not positive.

    Examples
    --------
    >>> dictionary_exponents(1.0, 0.5), dictionary_exponents(0.5, 1.0)
    ((0.5, 0.75), (0.5, 1.0))
    """
    alpha = checks.real("rank_exponent", rank_exponent, minimum=0.0)
    beta = checks.real("cluster_exponent", cluster_exponent, minimum=0.0)
    if alpha <= 0.0 or beta <= 0.0:
        raise ValueError(f"both exponents must be positive; got {alpha:g} and {beta:g}.")
    return min(alpha, beta), min(1.0, (1.0 + beta) / (1.0 + alpha))
