"""Where the data stand among the draws of a null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks


@dataclass(frozen=True)
class Percentile:
    """Where the data stand among the draws of a null, from `percentile`.

    Attributes
    ----------
    data : float
    middle : float
        Median of the draws.
    n_draws : int
    percent : float
        Share of the draws below the data, in percent, ties counted half.
    above, below : float
        One-sided p values: that the null is at or above the data, at or below.
    two_sided : float
        Twice the smaller of them, at most 1.
    """

    data: float
    middle: float
    n_draws: int
    percent: float
    above: float
    below: float
    two_sided: float


def percentile(data: float, draws: npt.ArrayLike) -> Percentile:
    """Hold a statistic of the data against its values in draws of a null.

    p = (rank + 1)/(n + 1), rank the number of draws at least as extreme, ties included: if the data are
    one more draw, p is at most x with probability at most x, whatever the law.

    Parameters
    ----------
    data : float
    draws : array of float, shape (n_draws,)

    Returns
    -------
    Percentile

    Raises
    ------
    ValueError
        If there is no draw, or a number is not finite.

    Notes
    -----
    Source: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 39 (2010).

    Examples
    --------
    >>> percentile(3.0, [1.0, 2.0, 3.0, 4.0]).above
    0.6
    """
    value = checks.real("data", data)
    drawn = checks.finite_array("draws", draws, ndim=1)
    if drawn.size == 0:
        raise ValueError("draws is empty; a percentile needs at least one draw (199 for p = .005).")
    above = (np.count_nonzero(drawn >= value) + 1) / (drawn.size + 1)
    below = (np.count_nonzero(drawn <= value) + 1) / (drawn.size + 1)
    ranks = np.count_nonzero(drawn < value) + 0.5 * np.count_nonzero(drawn == value)
    return Percentile(
        data=value,
        middle=float(np.median(drawn)),
        n_draws=drawn.size,
        percent=float(100.0 * ranks / drawn.size),
        above=float(above),
        below=float(below),
        two_sided=float(min(1.0, 2.0 * min(above, below))),
    )
