"""Which prediction of larger sizes comes true, and what that lets a user expect of more data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis.agreement import jackknife_error
from percolaw.analysis.prediction import FORMS, NO_CHANGE, Evidence, mean_losses, predictors
from percolaw.scaling.curve import LearningCurve

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: From the mean size of normal misses to the size that 95% of them stay below.
MEAN_TO_95 = 1.96 * math.sqrt(math.pi / 2.0)
_NOWHERE = (-math.inf, math.inf)


@dataclass(frozen=True, eq=False)
class Contest:
    """Predictions of the larger sizes, made from the smaller ones, beside what was measured.

    Attributes
    ----------
    size, measured : array of float64, shape (n_sizes,)
        The larger sizes, and the mean loss over repeats there.
    predicted : dict of array of float64, shape (n_sizes,)
        By the names in `percolaw.analysis.prediction.FORMS`.
    score : dict of float
        Mean |ln(measured / predicted)| of each form; NaN of one that says nothing.
    left : dict of array of float64, shape (n_repeats,)
        The scores without one repeat each, in what is predicted from and in what is measured.
    """

    size: FloatArray
    measured: FloatArray
    predicted: dict[str, FloatArray]
    score: dict[str, float]
    left: dict[str, FloatArray]

    def margin(self, name: str, other: str) -> tuple[float, tuple[float, float]]:
        """Return by how much the score of one form is better than that of another.

        Parameters
        ----------
        name, other : str
            Forms.

        Returns
        -------
        float
            Score of `other` less that of `name`.
        (low, high) : tuple of float
            95% interval over repeats, by the jackknife, paired; (-inf, inf) below 3 repeats. Repeats
            share the points and their clusters, whose scatter it does not contain.
        """
        difference = self.score[other] - self.score[name]
        reach = _reach(difference, self.left[other] - self.left[name])
        return difference, (difference - reach, difference + reach)

    @property
    def best(self) -> str:
        """The form of least score."""
        return min(FORMS, key=lambda name: np.nan_to_num(self.score[name], nan=np.inf))

    @property
    def winner(self) -> str | None:
        """The best form, if the interval of its margin over no change at all is above 0."""
        return self.best if self.margin(self.best, NO_CHANGE)[1][0] > 0.0 else None

    @property
    def in_the_running(self) -> tuple[str, ...]:
        """The best form, and those whose score is not surely worse: the 95% interval reaches 0."""
        scored = [name for name in FORMS if math.isfinite(self.score[name])]
        return tuple(n for n in scored if self.margin(self.best, n)[1][0] <= 0.0)


def hold_contest(evidence: Evidence, curve: LearningCurve, n_first: float) -> Contest:
    """Predict the losses at sizes above `n_first` from those at sizes up to it, and score them.

    Parameters
    ----------
    evidence : Evidence
        Of the first points alone.
    curve : LearningCurve
        At 6 sizes or more up to `n_first` and one above; of 3 repeats or more, else there are no
        intervals and nobody wins.
    n_first : float
        Largest size that is predicted from.

    Returns
    -------
    Contest

    Raises
    ------
    ValueError
        For too few sizes on either side, mean losses that are not positive, and clusters of one point
        each.
    """
    size = np.asarray(curve.size, dtype=np.float64)
    first = size <= checks.real("n_first", n_first, minimum=1.0)
    if first.all():
        raise ValueError(f"no size is above n_first = {n_first:g}; nothing is left to predict.")
    rows = mean_losses(curve.loss)
    forms = predictors(evidence, size[first], size[~first])
    predicted, score, left = {}, {}, {}
    for name, form in forms.items():
        each = np.array([form(row[first]) for row in rows])
        misses = np.abs(np.log(rows[:, ~first] / each)).mean(axis=1)
        predicted[name], score[name], left[name] = each[0], float(misses[0]), misses[1:]
    return Contest(size[~first], rows[0, ~first], predicted, score, left)


def _reach(whole: float, left: FloatArray) -> float:
    """Half the width of the 95% interval over repeats; infinite below 3."""
    from scipy.special import stdtrit

    if left.size < 3:
        return math.inf
    error = jackknife_error(whole, left, np.ones(left.size, dtype=np.int64))
    return float(stdtrit(left.size - 1, 0.975)) * error


@dataclass(frozen=True)
class Expectation:
    """What twice the data are expected to do.

    Attributes
    ----------
    size, loss : float
        Largest size measured, and the mean loss there.
    fall : float
        Share of the loss that doubling takes off: the mean, on logarithms, of the winner of the contest
        and of the forms that are not surely worse; NaN without a winner.
    interval : tuple of float
        Of `fall`: from the least to the largest that these forms say, and further by the winner's 95%
        interval over repeats with its misses in the contest, as if twice the data were missed by as much
        as the sizes of the contest. It held the truth in 100 of 102 promises on points of three laws
        (benchmarks/doubling_coverage.py).
    sentence : str
    """

    size: float
    loss: float
    fall: float
    interval: tuple[float, float]
    sentence: str


def expectation(evidence: Evidence, curve: LearningCurve, contest: Contest) -> Expectation:
    """Say what doubling the data will take off the loss, by the form that predicted best so far.

    Parameters
    ----------
    evidence : Evidence
        Of all points.
    curve : LearningCurve
        At all sizes, those of the contest included.
    contest : Contest
        From `hold_contest`.

    Returns
    -------
    Expectation

    Raises
    ------
    ValueError
        As `hold_contest`.
    """
    size = np.asarray(curve.size, dtype=np.float64)
    rows = mean_losses(curve.loss)
    last, loss, best = float(size[-1]), float(rows[0, -1]), contest.winner
    now = f"the loss (the share of wrong classes), {loss:.3g} at {last:g} training points"
    tried = f"{contest.size[0]:g} to {contest.size[-1]:g} training points"
    said = {} if best is None else _said(evidence, size, rows, contest)
    if best not in said:
        why = f"no prediction of {tried} was surely better than that nothing changes"
        if best is not None:
            why = f"the form that predicted {tried} best, '{best}', says nothing of larger sizes"
        sentence = f"Nothing is promised of twice the data, for {why}: {now}."
        return Expectation(last, loss, math.nan, _NOWHERE, sentence)
    ratios = [float(ratio[0]) for ratio in said.values()]
    own = _reach(float(said[best][0]), said[best][1:])
    reach = math.hypot(own, MEAN_TO_95 * contest.score[best])
    logs = (float(np.mean(ratios)), max(ratios) + reach, min(ratios) - reach)
    fall, low, high = (-math.expm1(log) for log in logs)
    falls = {name: f"{-math.expm1(ratio[0]):.0%}" for name, ratio in said.items()}
    others = ", ".join(f"'{name}' {falls[name]}" for name in said if name != best)
    sentence = (
        f"Doubling the data will take {fall:.0%} [{low:.0%}, {high:.0%}] off {now}. The form '{best}' "
        f"says {falls[best]}; it missed by {math.expm1(contest.score[best]):.0%} on average when it "
        f"predicted {tried} from fewer." + (f" Not surely worse: {others}." if others else "")
    )
    return Expectation(last, loss, fall, (low, high), sentence)


def _said(
    evidence: Evidence, size: FloatArray, rows: FloatArray, contest: Contest
) -> dict[str, FloatArray]:
    """Change of ln loss with twice the data, by form in the running: of all repeats, then without one."""
    forms = predictors(evidence, size, np.array([size[-1], 2.0 * size[-1]]))
    said = {
        name: np.array([np.subtract(*np.log(forms[name](row)[::-1])) for row in rows])
        for name in contest.in_the_running
    }
    return {name: ratio for name, ratio in said.items() if math.isfinite(ratio[0])}
