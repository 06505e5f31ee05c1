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
