"""How many samples tell which bits a parity is of, and what that makes of many tasks."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import interpolate, special

from percolaw import checks
from percolaw.laws.scaling_laws import zipf_weights

FloatArray = npt.NDArray[np.float64]

#: Nodes in the logarithm of the expected samples of a task between which losses are interpolated.
NODES = 2000
#: Samples beyond log2(subsets) after which a wrong subset is left with probability 2^-this.
SURPLUS = 50


def unknown_parity(n_samples: npt.ArrayLike, n_subsets: float) -> FloatArray:
    """Return the probability that m samples leave a wrong subset: 1 - exp(-(C - 1) 2^-m).

    Each of the C - 1 wrong ones agrees with a sample with probability 1/2, whatever the others do, so
    that (C - 1) 2^-m are left on average; their number is nearly Poisson.

    Parameters
    ----------
    n_samples : array of int
        m >= 0.
    n_subsets : float
        C >= 1, all subsets: n over k.

    Returns
    -------
    array of float64, of the shape of `n_samples`

    Raises
    ------
    ValueError
        For numbers out of range.

    Examples
    --------
    >>> unknown_parity([0, 10, 17, 24], 161_700).round(3)
    array([1.   , 1.   , 0.709, 0.01 ])
    """
    subsets = checks.real("n_subsets", n_subsets, minimum=1.0)
    m = checks.finite_array("n_samples", n_samples)
    if np.any(m < 0):
        raise ValueError("n_samples must not be negative.")
    return np.asarray(-np.expm1(-np.exp2(math.log2(max(subsets - 1.0, 1e-300)) - m)))


def parity_samples(n_subsets: float) -> float:
    """Return the mean number of samples that leave one subset: about log2(C - 1) + 1.33.

    The sum over m of `unknown_parity`; ValueError for fewer than one subset.

    Examples
    --------
    >>> round(parity_samples(161_700), 2)  # 3 of 100 bits: log2 is 17.30
    18.64
    """
    top = int(math.log2(max(n_subsets, 1.0))) + SURPLUS
    return float(unknown_parity(np.arange(top + 1), n_subsets).sum())


def elimination_loss(
    n_samples: npt.ArrayLike, rank_exponent: float, n_tasks: int, n_subsets: float
) -> FloatArray:
    """Return the share of use whose task is not known after D samples of all: the exact data law.

    The sum over tasks of p_k times the mean of `unknown_parity` over a Poisson number of samples, of
    mean D p_k.

    Parameters
    ----------
    n_samples : array of float
        D >= 0.
    rank_exponent : float
        alpha.
    n_tasks : int
        K.
    n_subsets : float
        C.

    Returns
    -------
    array of float64, of the shape of `n_samples`

    Raises
    ------
    ValueError
        For numbers out of range.

    Notes
    -----
    Tasks enter by the logarithm of D p_k, between 2000 nodes of which a cubic spline is right to 1e-8.

    Examples
    --------
    >>> elimination_loss([0, 1e4, 1e6], 0.4, 500, 161_700).round(3)
    array([1.   , 0.121, 0.   ])
    """
    weight = zipf_weights(rank_exponent, checks.integer("n_tasks", n_tasks, minimum=1))
    d = checks.finite_array("n_samples", n_samples)
    top = int(math.log2(max(checks.real("n_subsets", n_subsets, minimum=1.0), 1.0))) + SURPLUS
    m = np.arange(top + 1)
    unknown = unknown_parity(m, n_subsets)
    mean = np.geomspace(1e-9, 3.0 * top, NODES)
    chance = np.exp(special.xlogy(m, mean[:, None]) - mean[:, None] - special.gammaln(m + 1.0))
    law = interpolate.CubicSpline(np.log(mean), chance @ unknown)
    if np.any(d < 0):
        raise ValueError("n_samples must not be negative.")
    out = np.empty(d.size)
    for i, moment in enumerate(d.ravel()):
        samples = np.maximum(moment * weight, mean[0])
        left = np.where(samples < mean[-1], law(np.log(np.minimum(samples, mean[-1]))), 0.0)
        out[i] = weight @ left
    return out.reshape(d.shape)
