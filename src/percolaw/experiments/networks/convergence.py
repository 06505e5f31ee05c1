"""Whether students converged: doubled budgets, what they gain, and what that could do to an exponent."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from percolaw.datasets.sources import Source
from percolaw.experiments.base import Row
from percolaw.experiments.networks.neural import REFERENCE
from percolaw.experiments.seeds import pivot
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fit import PowerLawFit
from percolaw.targets.teacher import TeacherFamily

FloatArray = npt.NDArray[np.float64]


#: Share of students that must not diverge for a point to count.
LEAST_FINITE = 0.8


def allowed_gap(largest: float, first: float, shift: float) -> float:
    """Return the relative change in loss at one end of the sizes from `first` on that moves an exponent
    by half of `shift`: what a doubled budget may gain at most where training has converged.

    Parameters
    ----------
    largest, first : float
        Ends of the sizes.
    shift : float
        Of the exponent.

    Returns
    -------
    float
    """
    return float((largest / first) ** (0.5 * shift) - 1.0)


def trained_and_doubled(
    rows: list[Row], source: Source, target: TeacherFamily
) -> tuple[list[Row], list[Row]]:
    """Return the rows of a setting and teacher: of all seeds, and of doubled budgets.

    Parameters
    ----------
    rows : list of dict
    source : Source
    target : TeacherFamily

    Returns
    -------
    measured, doubled : list of dict
    """
    mine = [r for r in rows if (r["points"], r["teacher"]) == (source.word, target.word)]
    measured, doubled = ([r for r in mine if r["kind"] == k] for k in ("train", "doubled"))
    return measured, doubled


def losses(rows: list[Row], size: str, loss: str = "loss") -> LearningCurve:
    """Return one number a row as a curve over sizes and seeds; NaN where students diverged.

    Parameters
    ----------
    rows : list of dict
        Rows of one setting and teacher, in any order.
    size, loss : str
        What sizes and losses are called in them.

    Returns
    -------
    LearningCurve
    """
    sizes = np.array(sorted({r[size] for r in rows}))
    return LearningCurve(sizes, pivot(rows, loss, "seed", size))


def gaps(rows: list[Row], doubled: list[Row], size: str) -> FloatArray:
    """Return what a doubled budget gains in validation loss, (n_sizes,); NaN where it is not known.

    It is the mean over the seeds that were trained with both budgets.

    Parameters
    ----------
    rows, doubled : list of dict
        Rows of one setting and teacher.
    size : str
        What sizes are called in them.

    Returns
    -------
    array of float64, shape (n_sizes,)
    """
    place = {(r["seed"], r[size]): r["validation"] for r in rows}
    sizes = sorted({r[size] for r in rows})
    gained: list[list[float]] = [[] for _ in sizes]
    for row in doubled:
        before = place.get((row["seed"], row[size]))
        if before and row["validation"]:
            gained[sizes.index(row[size])].append(before / row["validation"] - 1.0)
    return np.array([float(np.mean(one)) if one else np.nan for one in gained])


def learning_curve(
    rows: list[Row], doubled: list[Row], size: str, allowed: float, least: float = 0.0
) -> LearningCurve:
    """Return the test losses of students; usable are the sizes at which training converged.

    A size has converged if at least `LEAST_FINITE` of its students did not diverge, and a doubled
    budget improved the validation loss by no more than `allowed` (relative), at this size or at
    the next larger one that was tried. Students that diverged are left out.

    Parameters
    ----------
    rows, doubled : list of dict
        Rows of one setting and teacher, with ``seed``, ``loss``, ``validation`` and the size under the
        name `size`.
    size : str
        What sizes are called in the rows.
    allowed : float
    least : float
        Mean loss at and below which a size is not usable either.

    Returns
    -------
    LearningCurve
    """
    return steady_part(losses(rows, size), gaps(rows, doubled, size), allowed, least)


def steady_part(
    curve: LearningCurve, gap: FloatArray, allowed: float, least: float = 0.0
) -> LearningCurve:
    """Return the curve, usable where training converged by the rule of `learning_curve`.

    Parameters
    ----------
    curve : LearningCurve
    gap : array of float64, shape (n_sizes,)
        What doubled budgets gained, as `gaps` returns it.
    allowed, least : float
        As in `learning_curve`.

    Returns
    -------
    LearningCurve
    """
    known = np.flatnonzero(np.isfinite(gap))
    steady = [
        bool(np.any(known >= j)) and gap[known[known >= j][0]] <= allowed for j in range(gap.size)
    ]
    finite = np.isfinite(curve.loss).mean(axis=0) >= LEAST_FINITE
    usable = finite & np.array(steady) & (curve.mean() > least)
    return LearningCurve(curve.size, curve.loss, usable)


def rough_exponent(curve: LearningCurve) -> float:
    """Return the slope over all sizes, converged or not, for claims that nothing can decide; 0 for
    fewer than two."""
    mean = curve.mean()
    good = np.isfinite(mean) & (mean > 0.0)
    if good.sum() < 2:
        return 0.0
    return -log_slope(curve.size[good], mean[good])


def log_slope(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Return d log y / d log x by least squares, through two points or more.

    Parameters
    ----------
    x, y : array, shape (n,), positive

    Returns
    -------
    float
    """
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def fit_note(line: PowerLawFit | None, more: str = "", curve: LearningCurve | None = None) -> str:
    """Say on how much an exponent rests, `more`, and at which sizes of a curve students diverged.

    Parameters
    ----------
    line : PowerLawFit or None
    more : str
    curve : LearningCurve, optional
        As of `losses`.
    """
    if line is None:
        text = "less than a decade of converged points"
    else:
        decades = math.log10(line.window[1] / line.window[0])
        text = f"{decades:.1f} decades, {line.n_seeds} seeds"
    lost = "" if curve is None else diverged(curve)
    return "; ".join(part for part in (text, more, lost) if part)


def diverged(curve: LearningCurve) -> str:
    """Say at which sizes students diverged, and how many; nothing if none did.

    Parameters
    ----------
    curve : LearningCurve
        As of `losses`: NaN where one did.
    """
    lost = np.isnan(curve.loss).sum(axis=0)
    places = [
        f"{size:g} ({n} of {curve.n_seeds})" for size, n in zip(curve.size, lost, strict=True) if n
    ]
    return f"students diverged at {', '.join(places)}" if places else ""


def cause(
    predicted: float,
    line: PowerLawFit | None,
    kernel: PowerLawFit | None,
    ratio: PowerLawFit | None,
    kernel_local: FloatArray,
    tolerance: float,
) -> str:
    """Say what the evidence supports where a network misses the prediction.

    The tangent kernel of an infinitely wide MLP (NTK parametrisation, trained unit biases), on the
    same data, has no optimiser, no width and learns no features: what it shares is due to teacher, sizes
    or theory, the rest to these three or to the students' own parametrisation and architecture.

    Parameters
    ----------
    predicted, tolerance : float
        Exponent, and what counts as equal.
    line, kernel, ratio : PowerLawFit or None
        Of the network, of the tangent kernel, and of the ratio of their losses, seed by seed.
    kernel_local : array, shape (n_sizes,)
        Local exponents of the tangent kernel, NaN where they are not known.
    """
    if line is None:
        return "optimisation: too few points converged"
    if _near(line.interval, predicted, tolerance):
        return ""
    if kernel is None or ratio is None:
        return "open: no limit to compare with"
    if not _near(ratio.interval, 0.0, tolerance):
        return (
            f"width, training, features or parametrisation: the {REFERENCE} has {kernel.exponent:.2f} on "
            "the same data, and these points converged"
        )
    if _near(kernel.interval, predicted, tolerance):
        return f"small: the {REFERENCE} has {kernel.exponent:.2f}, which agrees with both"
    local = kernel_local[np.isfinite(kernel_local)]
    as_much = f"the {REFERENCE} misses it as much ({kernel.exponent:.2f})"
    if local.size < 4:
        return f"open: {as_much}; too few sizes to say more"
    first, last = local[1], local[-2]
    seen = f"(local {first:.2f}, then {last:.2f})"
    # Moving means by a tenth of what is missing, at least.
    if abs(first - predicted) - abs(last - predicted) > 0.1 * abs(first - predicted):
        return f"sizes: {as_much} and moves towards it {seen}"
    return f"teacher or theory: {as_much} and does not move towards it {seen}"


def _near(interval: tuple[float, float], value: float, tolerance: float) -> bool:
    return interval[0] <= value + tolerance and interval[1] >= value - tolerance
