"""The additive coalescent on uniform labelled trees, exactly: last merges, and how deep sites lie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from percolaw import checks

FloatArray = npt.NDArray[np.float64]


def root_split(n: int) -> FloatArray:
    """Return the law of the smaller part at the last merge of a uniform labelled tree.

    C(n, k) k^(k-1) (n - k)^(n-k-1) / ((n - 1) n^(n-2)), half of it at k = n/2.

    Parameters
    ----------
    n : int
        Sites, at least 2.

    Returns
    -------
    array of float64, shape (n // 2,)
        Probabilities of k = 1 .. n // 2.

    Raises
    ------
    ValueError
        For n below 2.

    Examples
    --------
    >>> root_split(6) * [216, 27, 8]
    array([125.,   8.,   1.])
    """
    n = checks.integer("n", n, minimum=2)
    k = np.arange(1, n // 2 + 1, dtype=np.float64)
    log = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    log += (k - 1.0) * np.log(k) + (n - k - 1.0) * np.log(n - k)
    probability = np.exp(log - np.log(n - 1.0) - (n - 2.0) * np.log(n))
    if n % 2 == 0:
        probability[-1] /= 2.0
    return np.asarray(probability)


def expected_ancestors(n: int) -> float:
    """Return the expected number of latents that a site of a uniform labelled tree belongs to.

    The latent of an edge contains a site if the edge is the last one on the path from the site to the
    far end of the edge: with probability 1/d, d the length of that path. So it is the sum over the other
    sites of E(1/d) and, with P(d >= k) = (1 - 1/n) ... (1 - k/n), exact. It approaches sqrt(pi n / 2).

    Parameters
    ----------
    n : int
        Sites, at least 1.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For n below 1.

    Notes
    -----
    O(n) time, and no more than O(sqrt(n)) terms that are not 0 in float64.

    Examples
    --------
    >>> expected_ancestors(2), round(expected_ancestors(3), 4)
    (1.0, 1.6667)
    """
    n = checks.integer("n", n, minimum=1)
    terms = min(n, int(40.0 * np.sqrt(n)) + 2)
    longer = np.cumprod(1.0 - np.arange(1, terms + 1) / n)
    exactly = longer - np.append(longer[1:], 0.0)
    return float(n * np.sum(exactly / np.arange(1, terms + 1)))


def unshared_latents(distance: npt.ArrayLike) -> FloatArray:
    """Return how many latents hold one site but not another, in the limit of large critical trees.

    A third random site hangs at place x of the path between the two, at height h, with the density
    (r + h) exp(-(r + h)^2 / 2) of three leaves of the continuum tree; the latent of its last edge holds
    the first site with probability 1/(x + h), both with probability 1/(r + h). So the expected number is

        exp(r^2/2)/r  int_0^inf (r + h) exp(-(r + h)^2/2) (log(1 + r/h) - r/(r + h)) dh,

    which is (r/2) log(1/r) for small r: an approximation order of 2 with a logarithm.

    Parameters
    ----------
    distance : array of float
        r > 0 in units of sqrt(size / offspring variance) steps.

    Returns
    -------
    array of float64
        In units of sqrt(size * offspring variance) latents; a site has sqrt(pi/2) ancestors in them.

    Raises
    ------
    ValueError
        For distances that are not positive.

    Notes
    -----
    By the trapezoidal rule in log h; relative error 1e-6. Derived here.
    """
    r = checks.finite_array("distance", distance)
    if np.any(r <= 0.0):
        raise ValueError(f"distance must be positive; got {r.min():g}.")
    flat = r.reshape(-1, 1)
    log_h, step = np.linspace(np.log(1e-14), np.log(40.0), 4001, retstep=True)
    h = np.exp(log_h)
    out = np.empty(flat.shape[0])
    for low in range(0, out.size, 256):
        x = flat[low : low + 256]
        far = x + h
        weight = far * np.exp(-(h**2) / 2.0 - x * h)
        value = weight * (np.log1p(x / h) - x / far) * h
        out[low : low + 256] = value.sum(axis=1) * step / x[:, 0]
    return out.reshape(r.shape)
