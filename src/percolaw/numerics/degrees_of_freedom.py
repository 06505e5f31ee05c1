"""Effective degrees of freedom: how many numbers of the training values a fit follows.

Of a linear smoother y -> H y it is trace(H). Of any other fit it is the divergence
sum_i d fitted_i / d y_i (Ye 1998; Stein 1981), of which the trace is a special case.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]


def smoother_trace(kernel: npt.ArrayLike, ridge: float | npt.ArrayLike) -> FloatArray:
    """Return trace(K (K + ridge)^-1), exactly.

    Parameters
    ----------
    kernel : array, shape (n, n)
        Symmetric, positive semi-definite. Eigenvalues below 1e-12 n times the largest count as 0.
    ridge : float or array of float
        In the unit of the kernel, each at least 0; of 0 the trace is the rank.

    Returns
    -------
    array of float64, of the shape of `ridge`
        Costs one decomposition for all ridges, O(n^3).

    Raises
    ------
    ValueError
        If the kernel is not square or a ridge is below 0.

    Examples
    --------
    >>> smoother_trace(np.diag([1.0, 3.0]), [0.0, 1.0]).tolist()
    [2.0, 1.25]
    """
    k = checks.finite_array("kernel", kernel, ndim=2)
    if k.shape[0] != k.shape[1]:
        raise ValueError(f"kernel must be square; got {k.shape}.")
    ridges = checks.finite_array("ridge", ridge)
    if np.any(ridges < 0.0):
        raise ValueError(f"ridge must be at least 0; got {float(ridges.min()):g}.")
    checks.memory(8.0 * k.size, f"the spectrum of {len(k)} points", "Use fewer points.")
    value = np.linalg.eigvalsh(k)
    floor = 1e-12 * k.shape[0] * max(float(value[-1]), 0.0) if value.size else 0.0
    value = np.where(value > floor, value, 0.0)
    share = value / np.maximum(value + ridges[..., None], 1e-300)
    return np.asarray(share.sum(axis=-1))


def stein_divergence(
    fit: Callable[[FloatArray], npt.ArrayLike],
    values: npt.ArrayLike,
    *,
    n_probes: int = 8,
    amplitude: float = 1e-2,
    rng: RandomLike = 0,
) -> FloatArray:
    """Estimate sum_i d fitted_i / d y_i of any fit with random signs (Hutchinson). Stream ``evaluation``.

    For every probe z of random signs, z . (fit(y + e z) - fit(y - e z)) / (2 e); the mean over probes is
    unbiased for a linear fit, with variance 2 (|H|^2 - sum H_ii^2) / n_probes for a symmetric one.

    Parameters
    ----------
    fit : callable
        Given values (n, 2 n_probes), one column a data set, returns fitted values of that shape: columns
        are trained together.
    values : array, shape (n,)
    n_probes : int
    amplitude : float
        e, in units of the values' standard deviation, or of 1 if that is 0.
    rng : int, Generator or Streams

    Returns
    -------
    array of float64, shape (n_probes,)
        One estimate a probe; their scatter gives the error.

    Raises
    ------
    ValueError
        If `fit` returns another shape.
    """
    y = checks.finite_array("values", values, ndim=1)
    step = checks.real("amplitude", amplitude, minimum=1e-12) * (float(y.std()) or 1.0)
    signs = random_signs(y.size, n_probes, rng)
    moved = np.concatenate([y[:, None] + step * signs, y[:, None] - step * signs], axis=1)
    fitted = checks.float_array("what fit returned", fit(moved.copy()))
    if fitted.shape != moved.shape:
        raise ValueError(f"fit must return values of shape {moved.shape}; got {fitted.shape}.")
    return divergence(signs, fitted, step)


def random_signs(n: int, n_probes: int, rng: RandomLike = 0) -> FloatArray:
    """Return random signs. Stream ``evaluation``.

    Parameters
    ----------
    n, n_probes : int
    rng : int, Generator or Streams

    Returns
    -------
    array of float64, shape (n, n_probes)
        Each 1 or -1.
    """
    n_probes = checks.integer("n_probes", n_probes, minimum=1)
    generator = as_streams(rng).generator("evaluation")
    return np.asarray(2.0 * generator.integers(0, 2, (n, n_probes)) - 1.0)


def divergence(signs: FloatArray, fitted: FloatArray, step: float) -> FloatArray:
    """Return signs . (fit(y + step signs) - fit(y - step signs)) / (2 step), one number a probe.

    Parameters
    ----------
    signs : array, shape (n, n_probes)
    fitted : array, shape (n, 2 n_probes)
        First the fits to values moved up, then to values moved down.
    step : float
        By how much they were moved, in the unit of the values.

    Returns
    -------
    array of float64, shape (n_probes,)
    """
    above, below = np.split(fitted, 2, axis=1)
    return np.asarray((signs * (above - below)).sum(axis=0) / (2.0 * step))


def matched_smoother(
    kernel: FloatArray, values: FloatArray, train_loss: float
) -> tuple[float, float]:
    """Return the ridge at which kernel ridge regression leaves a given mean squared residual, and
    trace K (K + ridge)^-1 there.

    The residual ridge (K + ridge)^-1 y rises with the ridge; it is 0 if even interpolation leaves more,
    and 1e12 times the kernel's scale if no ridge leaves as much.

    Parameters
    ----------
    kernel : array, shape (n, n)
        Symmetric, positive semidefinite.
    values : array, shape (n,)
    train_loss : float
        Mean squared residual.

    Returns
    -------
    ridge, trace : float
    """
    from scipy.optimize import brentq

    value, vectors = np.linalg.eigh(kernel)
    value = np.maximum(value, 0.0)
    share = (vectors.T @ values) ** 2 / values.size
    scale = max(float(value.max()), 1e-300)

    def excess(log_ridge: float) -> float:
        ridge = scale * math.exp(log_ridge)
        return float(np.sum(share * (ridge / (value + ridge)) ** 2)) - train_loss

    low, high = math.log(1e-13), math.log(1e12)
    if excess(low) >= 0.0:
        return 0.0, float(np.sum(value > 1e-13 * scale))
    log_ridge = high if excess(high) <= 0.0 else float(brentq(excess, low, high, xtol=1e-6))
    ridge = scale * math.exp(log_ridge)
    return ridge, float(np.sum(value / (value + ridge)))
