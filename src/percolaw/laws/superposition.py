"""Superposition: what n sparse features cost in m < n dimensions, represented or not (the toy of
Elhage et al. 2022, y = max(W W' x + b, 0), squared errors summed over features).

Features are there independently with probabilities p_i, and then uniform on [0, 2]: mean square 4/3.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from percolaw import checks

FloatArray = npt.NDArray[np.float64]

#: Mean square of a feature that is there.
MEAN_SQUARE = 4.0 / 3.0
#: Width and number of the bins in which sums of squares are held; biases tried; nodes of quadratures.
BIN, N_BINS, N_BIASES, N_NODES = 1.0 / 32.0, 512, 41, 24


def unrepresented_loss(activity: npt.ArrayLike, n_represented: int) -> float:
    """Return the loss when the most frequent features are exact and all others get their mean.

    The sum of variances 4 p_i / 3 - p_i^2 of the rest. With m features in m dimensions this is weak
    superposition; for p_i ~ i^-a it falls as m^-(a - 1).

    Parameters
    ----------
    activity : array of float, shape (n,)
        Probabilities p_i.
    n_represented : int
        0 to n.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For no probabilities, and more features than there are.

    Examples
    --------
    >>> round(unrepresented_loss([0.5, 0.3, 0.1], 2), 4)
    0.1233
    """
    p = _frequent_first(activity)
    r = checks.integer("n_represented", n_represented, minimum=0, maximum=p.size)
    return float(np.sum(MEAN_SQUARE * p[r:] - p[r:] ** 2))


def paired_loss(activity: npt.ArrayLike, n_hidden: int) -> float:
    """Return the loss when every dimension holds two features, in opposite directions.

    Each is exact while the other is not there; both together lose 2 min(x_i, x_j)^2, whose mean is 4/3.
    The most frequent feature is paired with the rarest one represented, and so on.

    Parameters
    ----------
    activity : array of float, shape (n,)
        Probabilities p_i.
    n_hidden : int
        Dimensions m, at most n.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For no probabilities, and more dimensions than features.

    Examples
    --------
    >>> round(paired_loss([0.5, 0.3, 0.1], 1), 4)  # 0.2 of the pair, 0.1233 of the third
    0.3233
    """
    p = _frequent_first(activity)
    m = _hidden(n_hidden, p)
    r = min(2 * m, p.size)
    pairs = r - m
    together = MEAN_SQUARE * np.sum(p[m - pairs : m] * p[m:r][::-1])
    return float(together) + unrepresented_loss(p, r)


def random_directions_loss(activity: npt.ArrayLike, n_hidden: int) -> float:
    """Return the loss of random unit directions, all features represented, with the best bias of each.

    A feature reads x_i - c + t sqrt(R): R is the sum of squares of the others that are there, t the
    overlap of random directions, of variance 1/m, and c >= 0 its bias. (The others' own overlaps change
    R by a share 1/sqrt(m), which is left out.) For large m the loss falls as 1/m, whatever the
    frequencies: strong superposition without any choice of angles.

    Parameters
    ----------
    activity : array of float, shape (n,)
        Probabilities p_i; their sum must be at most 2.
    n_hidden : int
        Dimensions m, 2 to n.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For no probabilities, more dimensions than features, one, and sums of probabilities above 2.

    Notes
    -----
    The law of R by Fourier transforms on `N_BINS` bins. O(n N_BINS + N_BIASES N_BINS N_NODES).
    """
    from scipy.special import roots_jacobi

    p = _frequent_first(activity)
    m = _hidden(n_hidden, p, least=2)
    if p.sum() > 2.0 + 1e-9:
        raise ValueError(
            f"features must be sparse: probabilities may sum to 2 at most; got {p.sum():.3g}."
        )
    law = _laws_of_rest(p)
    overlap, share = roots_jacobi(N_NODES, (m - 3) / 2.0, (m - 3) / 2.0)
    noise = overlap[:, None] * np.sqrt(BIN * np.arange(N_BINS))
    bias = np.linspace(0.0, min(2.0, 10.0 / math.sqrt(m)), N_BIASES)

    def error(x: float) -> FloatArray:
        """Mean squared error of a feature of this value, by bias and R."""
        squares = [(np.maximum(x - c + noise, 0.0) - x) ** 2 for c in bias]
        return np.array([share @ square for square in squares]) / share.sum()

    nodes, weight = np.polynomial.legendre.leggauss(8)
    there = sum(0.5 * w * error(1.0 + x) for x, w in zip(nodes, weight, strict=True))
    loss = ((1.0 - p) * (error(0.0) @ law) + p * (there @ law)).min(axis=0)
    return float(np.sum(np.minimum(loss, MEAN_SQUARE * p - p**2)))


def welch_bound(n_features: int, n_hidden: int) -> float:
    """Return the least mean squared overlap of n unit vectors in m dimensions, (n - m) / (m (n - 1)).

    Random directions have 1/m (Welch 1974).

    Parameters
    ----------
    n_features : int
        n, at least 2.
    n_hidden : int
        m, at most n.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        For fewer than two features, and more dimensions than features.

    Examples
    --------
    >>> round(welch_bound(3, 2), 4)  # three vectors at 120 degrees
    0.25
    """
    n = checks.integer("n_features", n_features, minimum=2)
    m = checks.integer("n_hidden", n_hidden, minimum=1, maximum=n)
    return (n - m) / (m * (n - 1))


def superposition_exponents(activity_exponent: float) -> tuple[float, float]:
    """Return the exponents of the loss in m: weak and strong superposition, for p_i ~ i^-a.

    Weak: a - 1, the mass that is not represented. Strong: 1 from overlaps 1/m, and 2 (a - 1) where the
    frequencies are so uneven that this is more (Liu, Liu and Gore 2025). Sizes of percolation clusters,
    met by site, have a = 2.

    Parameters
    ----------
    activity_exponent : float
        a above 1.

    Returns
    -------
    weak, strong : float

    Raises
    ------
    ValueError
        For a at most 1.

    Examples
    --------
    >>> superposition_exponents(2.0), superposition_exponents(1.25)
    ((1.0, 2.0), (0.25, 1.0))
    """
    a = checks.real("activity_exponent", activity_exponent, minimum=0.0)
    if a <= 1.0:
        raise ValueError(f"activity_exponent must be above 1; got {a:g}.")
    return a - 1.0, max(1.0, 2.0 * (a - 1.0))


def _frequent_first(activity: npt.ArrayLike) -> FloatArray:
    p = checks.finite_array("activity", activity, ndim=1)
    if not p.size or p.min() < 0.0 or p.max() > 1.0:
        raise ValueError(f"activity must be probabilities, one at least; got {activity!r:.80}.")
    return np.sort(p)[::-1]


def _hidden(n_hidden: int, p: FloatArray, least: int = 1) -> int:
    m = checks.integer("n_hidden", n_hidden, minimum=least)
    if m > p.size:
        raise ValueError(
            f"n_hidden must be at most the number of features, {p.size}; got {m}. With more dimensions "
            "nothing is superposed."
        )
    return m


def _laws_of_rest(p: FloatArray) -> FloatArray:
    """Of every feature, the law of the sum of squares of all others: (N_BINS, n)."""
    ends = np.sqrt(np.minimum(BIN * (np.arange(N_BINS + 1) - 0.5).clip(min=0.0), 4.0)) / 2.0
    one = np.fft.rfft(np.diff(ends))
    factor = 1.0 + p[:, None] * (one - 1.0)
    # Products over all others, from both ends: no division by a factor that may vanish.
    before = np.cumprod(np.vstack([np.ones_like(one), factor[:-1]]), axis=0)
    after = np.cumprod(np.vstack([np.ones_like(one), factor[:0:-1]]), axis=0)[::-1]
    return np.fft.irfft(before * after, N_BINS, axis=1).T
