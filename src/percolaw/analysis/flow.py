"""How the chance of lying in one cluster falls with volume: domains, critical clusters, or less."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from percolaw.analysis.agreement import FloatArray, IntArray, RankLoss, jackknife_error

#: Ranks below this are left out of default windows: the volume of so near a neighbour scatters.
FIRST_RANK = 5
#: Upper end of the first default window: beyond, the finite extent of the data is felt.
LARGEST_VOLUME = 0.03
#: Elements below which the first default window has no decade.
FEWEST = math.ceil(10.0 * FIRST_RANK / LARGEST_VOLUME)
#: Bins of equal width in log v, per decade.
BINS_PER_DECADE = 8
#: Shares of pairs in one cluster that are tried, from 0 to the largest.
SHARES_TRIED = 11


@dataclass(frozen=True)
class AgreementFlow:
    """How the chance of lying in one cluster falls with volume, inside one window.

    Attributes
    ----------
    window : tuple of float
        Smallest and largest volume v = j/n.
    omega : float
        -d ln T / d ln v: 0 inside domains, 2 (d - D)/d in d dimensions for critical clusters of
        dimension D, growing with v below the threshold. At the share of pairs in one cluster that makes T
        the straightest, among those that are possible; NaN where T <= 0.
    interval : tuple of float
        95% interval over blocks at that share; (-inf, inf) below 3 blocks.
    p_value : float
        Of so large a change of omega with ln v where T is a power of v: t test on the jackknife over
        blocks. NaN below 3 blocks.
    ends : bool
        Whether omega is NaN because agreement falls to what chance gives inside the window.
    """

    window: tuple[float, float]
    omega: float
    interval: tuple[float, float]
    p_value: float
    ends: bool = False


def agreement_flow(by_rank: RankLoss) -> tuple[AgreementFlow, ...]:
    """Return omega = -d ln T / d ln v in `default_windows` of v = j/n, with intervals over blocks.

    T_j = s + (1 - s) C_j is the chance that a point lies in the cluster of its j-th neighbour, where s
    is the share of pairs of points in one cluster: C compares with the pairs of the data, of which s
    agree because they lie in one cluster. Labels that name clusters have T_j = p_j; labels that many
    clusters share by chance have s near 0 and T_j = C_j. As s is not known, values from 0 to
    `RankLoss.most_shared` are tried: a power of v is refused only if none makes it one.

    omega is the slope of the line through ln T of bins of equal width in ln v, eight a decade, with
    equal weights. A part of the points has the same T at the same v, so that windows of smaller v are
    what larger samples add.

    Parameters
    ----------
    by_rank : RankLoss
        From `label_loss`.

    Returns
    -------
    tuple of AgreementFlow
        One a window; with NaN where fewer than 4 bins hold a rank or T is not above 0.

    Raises
    ------
    ValueError
        For labels that are all equal.

    Notes
    -----
    It tells regimes apart, and is no measurement of 2 (d - D)/d. The edge of the data makes T fall
    faster, and critical clusters reach through all blocks, so that these are not independent. In 40
    boxes each (256^2 and 48^3 sites, 2000 of them seen, cluster as label, 16 and 27 blocks, v from .003
    to .03) omega at p_c was .16 and .48, with 2 (d - D)/d = .10 and .32; a constant omega was refused at
    5% in 15% and 5% of the boxes at p_c, in 5% and 10% at 1.1 and 1.2 p_c, where omega was .00, and in
    68% and 100% at .9 and .8 p_c, where it was 1.0 and 1.8.
    """
    tables = [by_rank]
    if by_rank.n_tests.size >= 3:
        tables += [by_rank.without(block) for block in range(by_rank.n_tests.size)]
    agreement = np.array([table.agreement for table in tables])
    most = np.array([table.most_shared for table in tables])
    shares = np.linspace(0.0, 1.0, SHARES_TRIED)[:, None] * most
    windows = default_windows(by_rank.n_points)
    return tuple(_window_flow(agreement, shares, window, by_rank.n_tests) for window in windows)


def default_windows(n_points: int) -> tuple[tuple[float, float], ...]:
    """Return the decades of v below 0.03, largest first, whose lower end is at rank 5 or above."""
    high, windows = LARGEST_VOLUME, []
    while 0.1 * high * n_points >= FIRST_RANK * (1.0 - 1e-9):
        windows.append((0.1 * high, high))
        high = 0.1 * high
    return tuple(windows)


def _window_flow(
    agreement: FloatArray, shares: FloatArray, window: tuple[float, float], n_tests: IntArray
) -> AgreementFlow:
    """Flow in one window, from C of the whole (first row) and of all blocks but one (other rows)."""
    n = agreement.shape[1] + 1
    first = max(1, math.ceil(window[0] * n * (1.0 - 1e-12)))
    stop = min(n, math.floor(window[1] * n * (1.0 + 1e-12)) + 1)
    count = math.ceil(BINS_PER_DECADE * math.log10(max(stop / first, 1.0)))
    edges = np.unique(np.rint(np.geomspace(first, max(stop, first), count + 1)).astype(np.int64))
    if edges.size < 5:
        return _nothing(window)
    width, starts = np.diff(edges), edges[:-1] - edges[0]
    log_v = np.add.reduceat(np.log(np.arange(edges[0], edges[-1]) / n), starts) / width
    mean = np.add.reduceat(agreement[:, edges[0] - 1 : edges[-1] - 1], starts, axis=1) / width
    tried = [_straight(log_v, s + (1.0 - s) * mean, n_tests) for s in shares[:, :, None]]
    if all(math.isnan(one[0]) for one in tried):
        return _nothing(window, ends=True)
    # Without blocks the least bend counts, else the least against its error.
    straightest = min(
        (i for i, one in enumerate(tried) if not math.isnan(one[0])),
        key=lambda i: abs(tried[i][2]) if n_tests.size < 3 else -tried[i][3],
    )
    omega, reach, _, p_value = tried[straightest]
    return AgreementFlow(window, omega, (omega - reach, omega + reach), p_value)


def _nothing(window: tuple[float, float], ends: bool = False) -> AgreementFlow:
    return AgreementFlow(window, math.nan, (-math.inf, math.inf), math.nan, ends)


def _straight(
    log_v: FloatArray, together: FloatArray, n_tests: IntArray
) -> tuple[float, float, float, float]:
    """omega with the half-width of its interval, bend with its p value; NaN where T <= 0."""
    from scipy.special import stdtr, stdtrit

    if np.any(together <= 0.0):
        return math.nan, math.inf, math.nan, math.nan
    x = log_v - log_v.mean()
    square = x**2 - np.mean(x**2)
    square -= x * (x @ square) / (x @ x)
    log_t = np.log(together)
    omega = -(log_t @ x) / (x @ x)
    bend = -2.0 * math.log(10.0) * (log_t @ square) / (square @ square)
    if omega.size == 1:
        return float(omega[0]), math.inf, float(bend[0]), math.nan
    freedom = n_tests.size - 1
    reach = stdtrit(freedom, 0.975) * jackknife_error(omega[0], omega[1:], n_tests)
    error = jackknife_error(bend[0], bend[1:], n_tests)
    t = abs(bend[0]) / error if error > 0.0 else math.inf if bend[0] != 0.0 else 0.0
    p_value = 2.0 * stdtr(freedom, -t)
    return float(omega[0]), float(reach), float(bend[0]), float(p_value)
