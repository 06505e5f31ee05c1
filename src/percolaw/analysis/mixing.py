"""How well Markov chains mixed: whether they met, and how long they remember."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

#: The window of the sum of autocorrelations, in autocorrelation times (Sokal 1997, section 3).
_WINDOW = 5.0


def split_r_hat(chains: npt.NDArray[np.float64]) -> float:
    """Return the split R-hat of one observable: 1 where all halves of all chains have the same mean.

    R-hat^2 = (n-1)/n + V/W: n values in each half, W the mean variance within halves, V that of their
    means.

    Parameters
    ----------
    chains : array of float64, shape (n_chains, n_steps)
        At least one chain of four steps.

    Returns
    -------
    float
        Infinite where halves are constant and differ; 1 where nothing ever moves.

    Notes
    -----
    Source: Gelman et al., Bayesian Data Analysis, 3rd edition (2013), section 11.4.
    """
    n = chains.shape[1] // 2
    halves = np.concatenate([chains[:, :n], chains[:, n : 2 * n]])
    within = float(halves.var(axis=1, ddof=1).mean())
    between = float(halves.mean(axis=1).var(ddof=1))
    if within == 0.0:
        return 1.0 if between == 0.0 else float("inf")
    return float(np.sqrt((n - 1) / n + between / within))


def autocorrelation_time(chain: npt.NDArray[np.float64]) -> float:
    """Return the integrated autocorrelation time of one observable, 1 + 2 sum rho_t, in steps.

    The sum ends at the first t above five times itself. The mean of n steps is as uncertain as that of
    n over this many independent values; memory fades about as e^(-2 t / time).

    Parameters
    ----------
    chain : array of float64, shape (n_steps,)

    Returns
    -------
    float
        At least 1; 1 where nothing ever moves. Biased down for chains below 50 such times.

    Notes
    -----
    Source: Sokal, Monte Carlo methods in statistical mechanics (1997), section 3.
    """
    n = chain.size
    x = chain - chain.mean()
    power = np.abs(np.fft.rfft(x, 2 * n)) ** 2
    covariance = np.fft.irfft(power)[:n]
    if covariance[0] <= 0.0:
        return 1.0
    time = 2.0 * np.cumsum(covariance / covariance[0]) - 1.0
    ends = np.flatnonzero(np.arange(n) >= _WINDOW * time)
    return max(1.0, float(time[ends[0] if ends.size else n - 1]))
