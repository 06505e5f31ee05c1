"""Agreement by rank: how often points agree with their j-th neighbour, and what 1-NN makes of it.

The j-th nearest of n - 1 other points is the nearest training point of m drawn at random with probability
C(n-1-j, m-1) / C(n-1, m). So the losses by rank, from one table of neighbours, give the whole learning
curve of 1-NN, averaged exactly over all training sets; and how agreement falls with the volume v = j/n
tells domains (no fall) from a critical cluster (a power of v).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.short import short_repr

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RankLoss:
    """0-1 losses of answering with the j-th nearest of the other points, summed over blocks of points.

    `label_loss` makes it.

    Attributes
    ----------
    total : array of float64, shape (n_blocks, n_points - 1)
        Column j - 1 is the sum of the losses at rank j over the points of a block.
    n_tests : array of int64, shape (n_blocks,)
        Points of each block: all n together, or a random part of them.
    """

    total: FloatArray
    n_tests: IntArray

    __repr__ = short_repr

    @property
    def n_points(self) -> int:
        """Number of points, n: those among which neighbours are ranked and the point itself."""
        return int(self.total.shape[1]) + 1

    @property
    def mean(self) -> FloatArray:
        """Mean loss at each rank, shape (n_points - 1,)."""
        return np.asarray(self.total.sum(axis=0) / self.n_tests.sum())

    @property
    def chance(self) -> float:
        """Loss of a neighbour drawn at random: the mean over all ranks.

        1 - sum f^2 over distinct pairs, f the shares of the classes.
        """
        return float(self.mean.mean())

    @property
    def most_shared(self) -> float:
        """Upper bound on the share of pairs that lie in one cluster: the pairs that agree."""
        return 1.0 - self.chance

    @property
    def agreement(self) -> FloatArray:
        """Agreement corrected for chance, C_j = 1 - loss_j / chance, shape (n_points - 1,).

        (p_j - sum f^2) / (1 - sum f^2), with pairs of distinct points in sum f^2, so that labels in
        random order have C_j = 0 on average, and all C_j sum to 0. Raises ValueError where all labels
        are equal.
        """
        if self.chance <= 0.0:
            raise ValueError(
                "all labels or values are equal, and nothing can agree more than by chance. Pass a "
                "function that varies."
            )
        return np.asarray(1.0 - self.mean / self.chance)

    def without(self, block: int) -> RankLoss:
        """Return the losses over all blocks but one."""
        total = self.total.sum(axis=0) - self.total[block]
        tests = self.n_tests.sum() - self.n_tests[block]
        return RankLoss(np.maximum(total, 0.0)[None], np.array([tests]))


def label_loss(agreement: npt.ArrayLike, n_tests: npt.ArrayLike | None = None) -> RankLoss:
    """Return the 0-1 losses by rank of class labels: the loss at rank j is 1 - p_j.

    Parameters
    ----------
    agreement : array, shape (n_points - 1,) or (n_blocks, n_points - 1)
        How many points have the label of their j-th nearest other point, j = 1, 2, ...; equally near
        points share the mean of their ranks. Rows are sums over blocks of points.
    n_tests : array of int, shape (n_blocks,), optional
        Points of each block; one block of all points if None. Blocks of near points make honest
        intervals, random blocks take points for independent.

    Returns
    -------
    RankLoss

    Raises
    ------
    ValueError
        For sums above the number of points or below 0, and blocks of more points than there are.
    """
    total, tests = _checked(agreement, n_tests)
    if np.any(total > tests[:, None] * (1.0 + 1e-9)):
        raise ValueError(
            "agreement must be sums over points, of 1 where the labels agree: at most n_tests in each "
            f"block; got {float((total / tests[:, None]).max()):.3g} a point."
        )
    return RankLoss(np.maximum(tests[:, None] - total, 0.0), tests)


def _checked(
    agreement: npt.ArrayLike, n_tests: npt.ArrayLike | None
) -> tuple[FloatArray, IntArray]:
    """Sums as (n_blocks, n_ranks), and the points of every block."""
    total = np.atleast_2d(checks.finite_array("agreement", agreement))
    if total.ndim != 2 or total.size == 0 or np.any(total < 0.0):
        raise ValueError(
            "agreement must have shape (n_points - 1,) or (n_blocks, n_points - 1), at least one rank, "
            f"and no number below 0; got shape {np.shape(agreement)}."
        )
    n = total.shape[1] + 1
    if n_tests is None:
        if total.shape[0] > 1:
            raise ValueError(f"{total.shape[0]} blocks need n_tests, the points of each.")
        return total, np.array([n])
    tests = checks.integer_array("n_tests", n_tests)
    if tests.shape != total.shape[:1] or tests.min() < 1 or tests.sum() > n:
        raise ValueError(
            f"n_tests must hold a positive number for each of {total.shape[0]} blocks, at most {n} in "
            f"all; got {tests.tolist()!r:.60}."
        )
    return total, tests


# ---- the learning curve of 1-NN


@dataclass(frozen=True, eq=False)
class NearestNeighborCurve:
    """The learning curve of 1-NN, averaged over all training sets.

    Attributes
    ----------
    size : array of int64, shape (n_sizes,)
        Training points m.
    loss : array of float64, shape (n_sizes,)
    standard_error : array of float64, shape (n_sizes,)
        Over blocks of points, by the jackknife; NaN of a single block.
    exponent : array of float64, shape (n_sizes,)
        -d ln loss / d ln m, from a tenth below to a tenth above; NaN where a loss is 0.
    """

    size: IntArray
    loss: FloatArray
    standard_error: FloatArray
    exponent: FloatArray

    __repr__ = short_repr


def nearest_neighbor_curve(by_rank: RankLoss, sizes: npt.ArrayLike) -> NearestNeighborCurve:
    """Return the mean loss of 1-NN over all training sets of m of the other points, exactly.

    loss(m) = sum_j loss_j C(n-1-j, m-1) / C(n-1, m): a test point is left out, and all sets of m of the
    other n - 1 points are equally likely to be what it is answered from.

    Parameters
    ----------
    by_rank : RankLoss
        From `label_loss`.
    sizes : array of int, shape (n_sizes,)
        m, from 1 to n - 1.

    Returns
    -------
    NearestNeighborCurve
        O(n n_blocks) time and memory a size; rounding adds up to 1e-16 a rank.

    Raises
    ------
    ValueError
        For sizes outside that range.

    Examples
    --------
    >>> agree = [3.0, 1.0, 2.0]  # four points: 3 agree with their nearest, 1 with the next, ...
    >>> nearest_neighbor_curve(label_loss(agree), [1, 2, 3]).loss.round(12).tolist()
    [0.5, 0.416666666667, 0.25]
    """
    size = checks.integer_array("sizes", sizes)
    n = by_rank.n_points
    if size.ndim != 1 or size.size == 0 or size.min() < 1 or size.max() > n - 1:
        raise ValueError(
            f"sizes must lie in 1..{n - 1}, the other points of each of {n}; got {size.tolist()!r:.60}."
        )

    def losses(m: int) -> FloatArray:
        """Loss of every block, summed over its points."""
        weight = rank_weights(n, m)
        return np.asarray(by_rank.total[:, : weight.size] @ weight)

    tests = by_rank.n_tests.sum()
    loss, error, exponent = (np.full(size.size, np.nan) for _ in range(3))
    for i, m in enumerate(size.tolist()):
        block = losses(m)
        loss[i] = block.sum() / tests
        kept = (block.sum() - block, tests - by_rank.n_tests)
        if block.size > 1:
            error[i] = jackknife_error(loss[i], kept[0] / kept[1], by_rank.n_tests)
        low, high = max(1, int(0.9 * m)), min(n - 1, math.ceil(1.1 * m))
        ends = losses(low).sum(), losses(high).sum()
        if min(ends) > 0.0 and high > low:
            exponent[i] = math.log(ends[0] / ends[1]) / math.log(high / low)
    return NearestNeighborCurve(size, loss, error, exponent)


def rank_weights(n_points: int, n_train: int) -> FloatArray:
    """Return the probability that the nearest of m random training points has rank j, j = 1, 2, ...

    C(n-1-j, m-1) / C(n-1, m), by the ratio of one rank to the one before.

    Parameters
    ----------
    n_points, n_train : int
        n and m, 1 <= m <= n - 1.

    Returns
    -------
    array of float64, shape (n - m,)
        Sums to 1; beyond these ranks it is 0.
    """
    n, m = n_points, n_train
    weight = np.empty(n - m)
    weight[0] = m / (n - 1)
    j = np.arange(1, n - m, dtype=np.float64)
    weight[1:] = (n - m - j) / (n - 1 - j)
    with np.errstate(under="ignore"):
        return np.multiply.accumulate(weight, out=weight)


def jackknife_error(whole: float, left: FloatArray, n_tests: IntArray) -> float:
    """Return the standard error from the estimates without one block each; blocks may differ in size.

    Busing, Meijer and van der Leeden 1999, delete-m_j jackknife.

    Parameters
    ----------
    whole : float
        Estimate from all blocks.
    left : array of float64, shape (n_blocks,)
        Without one block each; at least 2.
    n_tests : array of int64, shape (n_blocks,)
        Points of each block.

    Returns
    -------
    float
    """
    share = n_tests / n_tests.sum()
    mean = left.size * whole - np.sum((1.0 - share) * left)
    pseudo = whole / share - (1.0 / share - 1.0) * left
    return float(np.sqrt(np.mean((pseudo - mean) ** 2 / (1.0 / share - 1.0))))
