"""The Matérn function 2^(1-nu)/Gamma(nu) s^nu K_nu(s): closed forms, and a table for other nu."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
#: Nodes of the table for smoothness other than 1/2, 3/2, 5/2; and the range it covers.
TABLE_NODES, TABLE_LOW, TABLE_HIGH = 1 << 16, 1e-10, 800.0


def matern(s: FloatArray, smoothness: float) -> FloatArray:
    """Return the Matérn function of scaled distances s = sqrt(2 nu) r / length, overwriting s.

    Parameters
    ----------
    s : array of float64
        At least 0.
    smoothness : float
        nu; 1/2, 3/2 and 5/2 are closed forms, others a table.

    Returns
    -------
    array of float64, the shape of `s`
    """
    if smoothness in (0.5, 1.5, 2.5):
        if smoothness == 0.5:
            return np.asarray(np.exp(np.negative(s, out=s), out=s))
        np.minimum(s, 1e3, out=s)  # beyond it the function is 0, and its factor may overflow
        factor = 1.0 + s if smoothness == 1.5 else 1.0 + s * (1.0 + s / 3.0)
        np.exp(np.negative(s, out=s), out=s)
        s *= factor
        return s
    from percolaw.kernels import covariance as kernels

    flat = np.ascontiguousarray(s).reshape(-1)
    value, slope = _table(smoothness)
    step = math.log(TABLE_HIGH / TABLE_LOW) / (TABLE_NODES - 1)
    # Below the table 1 - M = c s^(2 nu) for nu < 1, and below rounding otherwise.
    c = 0.0
    if smoothness < 1.0:
        c = math.gamma(1.0 - smoothness) / (math.gamma(1.0 + smoothness) * 4.0**smoothness)
    kernels.hermite(flat, math.log(TABLE_LOW), step, value, slope, c, 2.0 * smoothness)
    return flat.reshape(s.shape)


@lru_cache(maxsize=32)
def _table(smoothness: float) -> tuple[FloatArray, FloatArray]:
    """Matérn function and its slope times the step, on a grid uniform in log s."""
    from scipy.special import gammaln, kve

    log_s = np.linspace(math.log(TABLE_LOW), math.log(TABLE_HIGH), TABLE_NODES)
    s = np.exp(log_s)
    with np.errstate(all="ignore"):
        front = (1.0 - smoothness) * math.log(2.0) - gammaln(smoothness) + smoothness * log_s - s
        value = np.exp(front + np.log(kve(smoothness, s)))
        slope = -s * np.exp(front + np.log(kve(abs(smoothness - 1.0), s)))
    # Where the Bessel function overflows, the series sum_k (s/2)^(2k) / (k! prod_(j<=k) (j - nu)).
    lost = ~np.isfinite(value) | ~np.isfinite(slope)
    value[lost], slope[lost], term = 1.0, 0.0, np.ones(int(lost.sum()))
    for k in range(1, min(8, math.ceil(smoothness))):
        term = term * 0.25 * s[lost] ** 2 / (k * (k - smoothness))
        value[lost] += term
        slope[lost] += 2 * k * term
    return value, slope * (log_s[1] - log_s[0])
