"""How the chance of lying in one cluster falls with volume: domains, critical clusters, or less."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from percolaw import checks
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
        dimension D, growing with v below the threshold. At `shared`; NaN where T <= 0.
    interval : tuple of float
        95% interval over blocks at that share; (-inf, inf) below 3 blocks.
    shared : float
        Share of pairs in one cluster that makes T the straightest, among those that are possible.
    extremes : tuple of float
        omega at the largest and at the smallest share that is possible: between them lies what is not
        known without the clusters. NaN where T <= 0.
    bend : float
        Change of omega per decade of v; 0 for a power law.
    p_value : float
        Of a bend so large where T is a power of v: t test on the jackknife over blocks. NaN below 3
        blocks.
    reason : str
        Why omega is NaN; else empty.
    ends : bool
        Whether it is NaN because agreement falls to what chance gives inside the window.
    """

    window: tuple[float, float]
    omega: float
    interval: tuple[float, float]
    shared: float
    extremes: tuple[float, float]
    bend: float
    p_value: float
    reason: str = ""
    ends: bool = False


def agreement_flow(
    by_rank: RankLoss,
    windows: tuple[tuple[float, float], ...] | None = None,
    shared: float | None = None,
) -> tuple[AgreementFlow, ...]:
    """Return omega = -d ln T / d ln v in windows of the volume v = j/n, with intervals over blocks.

    T_j = s + (1 - s) C_j is the chance that a point lies in the cluster of its j-th neighbour, where s
    is the share of pairs of points in one cluster: C compares with the pairs of the data, of which s
    agree because they lie in one cluster. Labels that name clusters have T_j = p_j; labels that many
    clusters share by chance have s near 0 and T_j = C_j. Where s is not known every value that is
    possible is tried: a power of v is refused only if none makes it one.

    omega is the slope of the line through ln T of bins of equal width in ln v, eight a decade, with
    equal weights. A part of the points has the same T at the same v, so that windows of smaller v are
    what larger samples add.

    Parameters
    ----------
    by_rank : RankLoss
        From `label_loss` or `squared_loss`.
    windows : tuple of (low, high), optional
        Ranges of v, declared before the data are looked at; `default_windows` if None.
    shared : float, optional
        s, where it is known; all from 0 to `by_rank.most_shared` if None.

    Returns
    -------
    tuple of AgreementFlow
        One a window; with NaN and a reason where fewer than 4 bins hold a rank or T is not above 0.

    Raises
    ------
    ValueError
        For windows or a share not inside [0, 1], and labels or values that are all equal.

    Notes
    -----
    It tells regimes apart, and is no measurement of 2 (d - D)/d. The edge of the data makes T fall
    faster, and critical clusters reach through all blocks, so that these are not independent. In 40
    boxes each (256^2 and 48^3 sites, 2000 of them seen, cluster as label, 16 and 27 blocks, v from .003
    to .03) omega at p_c was .16 and .48, with 2 (d - D)/d = .10 and .32; a constant omega was refused at
    5% in 15% and 5% of the boxes at p_c, in 5% and 10% at 1.1 and 1.2 p_c, where omega was .00, and in
    68% and 100% at .9 and .8 p_c, where it was 1.0 and 1.8.
    """
    n = by_rank.n_points
    chosen = default_windows(n) if windows is None else windows
    for low, high in chosen:
        if not 0.0 <= low < high <= 1.0:
            raise ValueError(f"windows must be (low, high) inside [0, 1]; got ({low}, {high}).")
    tables = [by_rank]
    if by_rank.n_tests.size >= 3:
        tables += [by_rank.without(block) for block in range(by_rank.n_tests.size)]
    agreement = np.array([table.agreement for table in tables])
    if shared is None:
        most = np.array([table.most_shared for table in tables])
        shares = np.linspace(0.0, 1.0, SHARES_TRIED)[:, None] * most
    else:
        shares = np.full((1, len(tables)), checks.probability("shared", shared))
    return tuple(_window_flow(agreement, shares, one, by_rank.n_tests) for one in chosen)


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
        return _nothing(window, "it holds fewer than 4 bins of ranks")
    width, starts = np.diff(edges), edges[:-1] - edges[0]
    log_v = np.add.reduceat(np.log(np.arange(edges[0], edges[-1]) / n), starts) / width
    mean = np.add.reduceat(agreement[:, edges[0] - 1 : edges[-1] - 1], starts, axis=1) / width
    tried = [_straight(log_v, s + (1.0 - s) * mean, n_tests) for s in shares[:, :, None]]
    if all(math.isnan(one[0]) for one in tried):
        return _nothing(window, "agreement is not above chance in all bins", ends=True)
    # Without blocks the least bend counts, else the least against its error.
    straightest = min(
        (i for i, one in enumerate(tried) if not math.isnan(one[0])),
        key=lambda i: abs(tried[i][2]) if n_tests.size < 3 else -tried[i][3],
    )
    omega, reach, bend, p_value = tried[straightest]
    extremes = (tried[-1][0], tried[0][0])
    interval = (omega - reach, omega + reach)
    return AgreementFlow(
        window, omega, interval, float(shares[straightest, 0]), extremes, bend, p_value
    )


def _nothing(window: tuple[float, float], reason: str, ends: bool = False) -> AgreementFlow:
    nan, nowhere = math.nan, (-math.inf, math.inf)
    return AgreementFlow(window, nan, nowhere, nan, (nan, nan), nan, nan, reason, ends)


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
