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
        Share of the loss that doubling takes off, by the winner of the contest; NaN without one.
    interval : tuple of float
        Of `fall`: the 95% interval over repeats, and with it the misses of the winner in the contest, as
        if twice the data were missed by as much as the sizes of the contest. It held the truth in 314 of
        317 contests on losses of known laws.
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
    last, loss, name = float(size[-1]), float(rows[0, -1]), contest.winner
    now = f"the loss, {loss:.3g} at {last:g} training points"
    if name is None:
        sentence = (
            f"No prediction of {contest.size[0]:g} to {contest.size[-1]:g} training points was surely "
            f"better than that nothing changes, so nothing is promised of twice the data: {now}."
        )
        return Expectation(last, loss, math.nan, _NOWHERE, sentence)
    form = predictors(evidence, size, np.array([last, 2.0 * last]))[name]
    ratio = np.array([np.subtract(*np.log(form(row)[::-1])) for row in rows])
    reach = math.hypot(_reach(float(ratio[0]), ratio[1:]), MEAN_TO_95 * contest.score[name])
    fall, low, high = (-math.expm1(float(ratio[0]) + sign * reach) for sign in (0, 1, -1))
    sentence = (
        f"Doubling the data will take {fall:.0%} [{low:.0%}, {high:.0%}] off {now}, says the form "
        f"'{name}', which missed by {math.expm1(contest.score[name]):.0%} on average when it predicted "
        f"{contest.size[0]:g} to {contest.size[-1]:g} training points from fewer."
    )
    return Expectation(last, loss, fall, (low, high), sentence)
