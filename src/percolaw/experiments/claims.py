"""Claims: one statement held against data, with a verdict by a rule that was fixed before the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks, frames
from percolaw.scaling import fit, intervals
from percolaw.shown import Drawable

FloatArray = npt.NDArray[np.float64]
Verdict: TypeAlias = Literal["agrees", "disagrees", "inconclusive"]
About: TypeAlias = Mapping[str, Any]
NO_KEYS: About = {}
#: Interval of a value of which nothing is known.
UNKNOWN_INTERVAL = (-math.inf, math.inf)


@dataclass(frozen=True)
class Claim:
    """One statement held against data.

    Attributes
    ----------
    name : str
        What is claimed, in a line.
    source : str
        Where the prediction comes from.
    predicted, measured : float
    interval : tuple of float
        Interval of the measured value (95% unless the name says otherwise).
    tolerance : float
        Deviation within which prediction and measurement count as equal, fixed in the config.
    verdict : {"agrees", "disagrees", "inconclusive"}
    note : str
        What a reader should know, for instance the cause of a disagreement.
    about : mapping of str
        What it speaks of, by key: ``source``, ``target``, ``learner``, ``quantity``, as far as they
        apply.
    """

    name: str
    source: str
    predicted: float
    measured: float
    interval: tuple[float, float]
    tolerance: float
    verdict: Verdict
    note: str = ""
    about: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        low, high = self.interval
        return (
            f"Claim({self.name}: {self.verdict}, measured {self.measured:.4g} "
            f"[{low:.4g}, {high:.4g}], predicted {self.predicted:.4g} +- {self.tolerance:.3g})"
        )


class Claims(tuple[Claim, ...], Drawable):
    """Claims in their order, as a tuple that can be looked at: a table, a picture."""

    picture = "claims"

    def __repr__(self) -> str:
        return "\n".join(map(repr, self)) or "no claims"

    def _repr_html_(self) -> str:
        rows = [
            [
                claim.verdict,
                claim.name,
                f"{claim.predicted:.4g} \u00b1 {claim.tolerance:.3g}",
                f"{claim.measured:.4g} [{claim.interval[0]:.4g}, {claim.interval[1]:.4g}]",
            ]
            for claim in self
        ]
        return frames.html_table(["verdict", "claim", "predicted", "measured [interval]"], rows)

    def to_frame(self) -> frames.Frame:
        """Return a table, a line for each claim.

        Returns
        -------
        pandas.DataFrame or dict of array
            Columns ``name``, ``verdict``, ``predicted``, ``tolerance``, ``measured``, ``low`` and
            ``high`` (the interval), ``source``, ``note``, and those of ``about`` that any claim has; see
            `percolaw.frames.frame`.
        """
        texts = ("name", "verdict", "predicted", "tolerance", "measured")
        columns: dict[str, list[Any]] = {key: [getattr(c, key) for c in self] for key in texts}
        columns |= {key: [c.interval[i] for c in self] for i, key in enumerate(("low", "high"))}
        columns |= {key: [getattr(c, key) for c in self] for key in ("source", "note")}
        about = dict.fromkeys(f"about {key}" for claim in self for key in claim.about)
        columns |= {key: [c.about.get(key.removeprefix("about ")) for c in self] for key in about}
        return frames.frame(columns)


#: A claim agrees only if its interval stays within this many tolerances of the prediction.
INTERVAL_TOLERANCES = 3.0


def judge(
    name: str,
    source: str,
    predicted: float,
    measured: float,
    interval: tuple[float, float],
    tolerance: float,
    note: str = "",
    about: About = NO_KEYS,
) -> Claim:
    """Return a claim with its verdict.

    - *agrees*: the measured value lies within `tolerance` of the prediction, and its whole interval
      within three tolerances: what is further off is excluded.
    - *disagrees*: the whole interval lies further from the prediction than `tolerance`.
    - *inconclusive*: anything else. The interval reaches both sides of the tolerance, or is too wide,
      is not finite, or does not contain the measured value.

    Parameters
    ----------
    name, source, note, about
        As in `Claim`.
    predicted, measured : float
        NaN and infinity are inconclusive.
    interval : (low, high)
        Interval of the measured value.
    tolerance : float
        Finite and not negative; fixed before the run.

    Returns
    -------
    Claim

    Raises
    ------
    ValueError
        If the tolerance is negative or not finite, or the interval is reversed.
    """
    low, high = float(interval[0]), float(interval[1])
    tolerance = checks.real("tolerance", tolerance, minimum=0.0)
    if low > high:
        raise ValueError(f"the interval of {name!r} must rise; got [{low:g}, {high:g}].")
    rounding = 1e-9 * max(abs(predicted), abs(measured))  # equality up to rounding counts
    least = tolerance + rounding
    verdict: Verdict
    if not all(map(math.isfinite, (predicted, measured, low, high))):
        verdict = "inconclusive"
    elif high < predicted - least or low > predicted + least:
        verdict = "disagrees"
    elif (
        low - rounding <= measured <= high + rounding
        and abs(measured - predicted) <= least
        and max(predicted - low, high - predicted) <= INTERVAL_TOLERANCES * least
    ):
        verdict = "agrees"
    else:
        verdict = "inconclusive"
    return Claim(
        name,
        source,
        float(predicted),
        float(measured),
        (low, high),
        tolerance,
        verdict,
        note,
        {key: str(value) for key, value in about.items()},
    )


def mean(
    name: str,
    source: str,
    predicted: float,
    values: npt.ArrayLike,
    tolerance: float,
    note: str = "",
    about: About = NO_KEYS,
) -> Claim:
    """Judge the mean of one number a seed, with its 95% bootstrap interval (infinite below 3 seeds).

    Parameters
    ----------
    name, source, note, about
        As in `Claim`.
    predicted, tolerance : float
    values : array, shape (n_seeds,)
        With none the claim is inconclusive.

    Returns
    -------
    Claim
    """
    x = np.asarray(values, dtype=np.float64)
    measured = float(x.mean()) if x.size else math.nan
    interval = intervals.seed_interval(x) if x.size else UNKNOWN_INTERVAL
    return judge(name, source, predicted, measured, interval, tolerance, note, about)


def difference(
    name: str,
    source: str,
    values: npt.ArrayLike,
    tolerance: float,
    note: str = "",
    about: About = NO_KEYS,
) -> Claim:
    """Judge the mean of a difference, one number a seed, against 0.

    Parameters
    ----------
    name, source, note, about
        As in `Claim`.
    values : array, shape (n_seeds,)
    tolerance : float

    Returns
    -------
    Claim
    """
    return mean(name, source, 0.0, values, tolerance, note, about)


def ratio(
    name: str,
    source: str,
    values: npt.ArrayLike,
    tolerance: float,
    note: str = "",
    about: About = NO_KEYS,
    *,
    predicted: float = 1.0,
    by_logs: bool = False,
) -> Claim:
    """Judge the geometric mean of a ratio, one number a seed.

    Parameters
    ----------
    name, source, note, about
        As in `Claim`.
    values : array, shape (n_seeds,) or (n_seeds, n_sizes), positive
        Of several a seed the geometric mean is taken.
    tolerance : float
        Absolute.
    predicted : float
    by_logs : bool
        Whether the bootstrap is over the logarithms; over the ratios themselves if False.

    Returns
    -------
    Claim
    """
    x = np.asarray(values, dtype=np.float64)
    x = np.exp(np.log(x).mean(axis=1)) if x.ndim == 2 else x
    low, high = (
        np.exp(intervals.seed_interval(np.log(x))) if by_logs else intervals.seed_interval(x)
    )
    centre = float(np.exp(np.log(x).mean()))
    return judge(name, source, predicted, centre, (low, high), tolerance, note, about)


def exponent(
    name: str,
    source: str,
    predicted: float,
    line: fit.PowerLawFit | None,
    tolerance: float,
    note: str = "",
    about: About = NO_KEYS,
    *,
    rough: float = math.nan,
) -> Claim:
    """Judge the exponent of a fit; without one the `rough` value, which is inconclusive.

    Parameters
    ----------
    name, source, note, about
        As in `Claim`.
    predicted, tolerance : float
    line : PowerLawFit or None
    rough : float
        Slope where no fit is allowed.

    Returns
    -------
    Claim
    """
    value, interval = (rough, UNKNOWN_INTERVAL) if line is None else (line.exponent, line.interval)
    return judge(
        name, source, predicted, value, interval, tolerance, note, {"quantity": "exponent", **about}
    )


def coverage(
    name: str,
    source: str,
    hits: int,
    n: int,
    tolerance: float,
    note: str = "",
    about: About = NO_KEYS,
    *,
    predicted: float = 0.95,
) -> Claim:
    """Judge a share of `n` trials, with its exact 95% interval (Clopper and Pearson 1934).

    Parameters
    ----------
    name, source, note, about, tolerance, predicted
        As in `ratio`.
    hits, n : int
        Trials that hit, and all; n is at least 1.

    Returns
    -------
    Claim
    """
    from scipy.special import betaincinv

    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, 0.025))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 0.975))
    return judge(name, source, predicted, hits / n, (low, high), tolerance, note, about)
