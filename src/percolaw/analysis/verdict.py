"""The verdict on a data set, by a rule that was fixed before: what must hold, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Every verdict, and what it says.
VERDICTS = {
    "critical": "clusters at their threshold: all conditions hold",
    "supercritical domains": "clusters larger, denser or sturdier than critical ones",
    "subcritical": "clusters smaller than critical ones, and no power law of agreement",
    "label frequencies only": "classes lie as if they were dealt at random",
    "undecided": "none of the others, for the reasons that stand beside it",
}
#: What each means for who has the data, and what to do.
MEANING = {
    "critical": "Clusters of all sizes hang together by single bonds, as at a threshold: expect power "
    "laws of learning. Look at the other k, at other resolutions and at half of the data before you "
    "say so.",
    "supercritical domains": "Classes fill regions that are larger or sturdier than clusters at a "
    "threshold. More data sharpen the boundaries between them and find hardly any new region; laws of "
    "critical clusters do not apply.",
    "subcritical": "Classes come in many small clusters, and more data find new ones: much of the loss "
    "is what was not seen yet. A thin sample of larger clusters looks the same: use more elements if you "
    "have them.",
    "label frequencies only": "Near elements are of one class no more often than chance has it: in this "
    "metric they say nothing of these classes. See first whether labels and elements are in one order; "
    "then try another metric, other coordinates, or coarser classes.",
    "undecided": "The conditions that failed say why. Unknown ones ask for more: the flow for 1667 "
    "elements, the tail for 50 clusters over a decade of sizes, a prediction for a learner and losses "
    "above zero.",
}
#: The conditions of `critical`, in the order in which they are tried, and what each asks.
CONDITIONS = {
    "extent": "the largest and the mean cluster are like those of critical surrogates",
    "shape": "clusters break as those of critical surrogates do",
    "flow": "agreement falls as one power of the volume over a decade",
    "thinning": "clusters of half of the elements are the halves of the clusters",
    "tail": "cluster sizes follow a power law that is neither refused nor beaten by a log-normal",
    "beyond": "clusters are other than permuted and maximum-entropy labels give",
    "prediction": "percolation predicts learning not surely worse than a power law with an offset does",
}
#: Whether a condition holds, in words.
HOLDS = {True: "yes", False: "no", None: "unknown"}
#: Central range of surrogates inside which data count as like them.
RANGE = 0.95
#: Chance below which data count as other than a null.
BEYOND = 0.01
#: Chance below which agreement counts as bent.
BENT = 0.05


@dataclass(frozen=True)
class Condition:
    """One condition of a verdict.

    Attributes
    ----------
    name : str
        Of `CONDITIONS`.
    holds : bool or None
        None where it could not be tested.
    measured : str
        What was measured, in words.
    """

    name: str
    holds: bool | None
    measured: str


@dataclass(frozen=True)
class Verdict:
    """What a data set looks like at one resolution.

    Attributes
    ----------
    word : str
        Of `VERDICTS`.
    conditions : tuple of Condition
        Those tested, in order.
    """

    word: str
    conditions: tuple[Condition, ...]

    @property
    def failed(self) -> tuple[Condition, ...]:
        """Conditions that do not hold, or could not be tested."""
        return tuple(c for c in self.conditions if not c.holds)


def within(value: float, draws: FloatArray) -> tuple[bool | None, int]:
    """Say whether a value lies in the central `RANGE` of draws.

    Parameters
    ----------
    value : float
    draws : array of float64, shape (n_draws,)

    Returns
    -------
    inside : bool or None
        None if the value is NaN, fewer than 20 or than half of the draws are known, or all draws are the
        value: what cannot be otherwise says nothing.
    side : {-1, 0, 1}
        Below, inside (or unknown), above.
    """
    known = draws[np.isfinite(draws)]
    if math.isnan(value) or known.size < max(20, 0.5 * draws.size):
        return None, 0
    if np.all(known == value):
        return None, 0
    low, high = np.quantile(known, [0.5 - RANGE / 2, 0.5 + RANGE / 2])
    side = int(value > high) - int(value < low)
    return side == 0, side


def p_values(value: float, draws: FloatArray) -> tuple[float, float]:
    """Return the one-sided p values of a value among draws of a null.

    p = (rank + 1)/(n + 1), rank the number of draws at least as extreme, ties included: if the data are
    one more draw, p is at most x with probability at most x, whatever the law.

    Parameters
    ----------
    value : float
    draws : array of float64, shape (n_draws,)

    Returns
    -------
    above, below : float
        That the null is at or above the value, at or below.

    Notes
    -----
    Source: Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology 9, 39 (2010).

    Examples
    --------
    >>> p_values(3.0, np.array([1.0, 2.0, 3.0, 4.0]))
    (0.6, 0.8)
    """
    above, below = (int(np.count_nonzero(side)) for side in (draws >= value, draws <= value))
    return (above + 1) / (draws.size + 1), (below + 1) / (draws.size + 1)


def chance(value: float, draws: FloatArray) -> float:
    """Return the two-sided p value of a value among draws of a null.

    Parameters
    ----------
    value : float
    draws : array of float64, shape (n_draws,)

    Returns
    -------
    float
        NaN if the value or all draws are NaN.
    """
    known = draws[np.isfinite(draws)]
    if math.isnan(value) or not known.size:
        return math.nan
    return min(1.0, 2.0 * min(p_values(value, known)))


def above(value: float, draws: FloatArray) -> bool | None:
    """Return whether a value lies above the draws of a null, at the level `BEYOND`.

    Parameters
    ----------
    value : float
    draws : array of float64, shape (n_draws,)

    Returns
    -------
    bool or None
        None if the value or all draws are NaN. Fewer than 99 draws count if all lie below.
    """
    known = draws[np.isfinite(draws)]
    if math.isnan(value) or not known.size:
        return None
    return p_values(value, known)[0] <= max(BEYOND, 1.0 / (known.size + 1))


def least_level(n_draws: int) -> float:
    """Return the level of a two-sided test: `BEYOND`, or the least that so few draws allow."""
    return max(BEYOND, 2.0 / (n_draws + 1))


def decide(
    conditions: list[Condition], sides: dict[str, int], beyond_permuted: bool | None
) -> Verdict:
    """Return the verdict.

    Parameters
    ----------
    conditions : list of Condition
        Tested in the order of `CONDITIONS`; later ones may be left out once one fails.
    sides : dict
        ``size``, ``agreement`` and ``strength`` (bonds lost to break): on which side of critical
        surrogates the data lie (-1, 0, 1).
    beyond_permuted : bool or None
        Whether more bonds agree than with permuted labels; None if not tested.

    Returns
    -------
    Verdict
    """
    kept = tuple(conditions)
    holds = {c.name: c.holds for c in conditions}
    if beyond_permuted is False:
        return Verdict("label frequencies only", kept)
    if all(holds.get(name) for name in CONDITIONS):
        return Verdict("critical", kept)
    if max(sides.values()) > 0:
        return Verdict("supercritical domains", kept)
    if sides["size"] < 0 and holds.get("flow") is False:
        return Verdict("subcritical", kept)
    return Verdict("undecided", kept)


def ranged(name: str, value: float, draws: FloatArray) -> str:
    """Return a measured value beside the range of draws, in words.

    Parameters
    ----------
    name : str
        What was measured.
    value : float
    draws : array of float64, shape (n_draws,)
    """
    known = draws[np.isfinite(draws)]
    measured = "unknown" if math.isnan(value) else f"{value:.3g}"
    if not known.size:
        return f"{name} {measured}, surrogates unknown"
    low, high = np.quantile(known, [0.5 - RANGE / 2, 0.5 + RANGE / 2])
    return f"{name} {measured}, surrogates {low:.3g} to {high:.3g}"
