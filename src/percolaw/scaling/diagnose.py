"""Name the known ways in which a learning curve fails to be a power law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw.scaling.fit import FloatArray, _line, _losses, _sizes, aggregate, local_exponents
from percolaw.scaling.forms import compare_forms


@dataclass(frozen=True)
class Finding:
    """One failure signature seen in a curve.

    Attributes
    ----------
    signature : {"uniform loss", "exponential", "jumps", "rise", "floor", "bend"}
    meaning : str
        What it points to.
    evidence : str
        The numbers behind it.
    """

    signature: str
    meaning: str
    evidence: str


def diagnose(size: npt.ArrayLike, loss: npt.ArrayLike) -> list[Finding]:
    """Return the failure signature of a learning curve; an empty list if it has none of these.

    These are looked for in this order, and only the first one is returned:

    * **uniform loss**: less than 5% down per decade: no structure to learn at these sizes
      (far below the threshold, or a learner that does not learn);
    * **exponential**: log loss is straight against size, not against log size: the wrong
      threshold, a cutoff, or a target with few degrees of freedom;
    * **jumps**: one step falls much more than its neighbours allow, also in the median over seeds:
      capacity switching on cluster by cluster, or a bad allocation;
    * **rise**: the loss clearly rises in the larger half of the sizes: noise that is learned;
    * **floor**: the exponent of the larger half of the sizes is clearly less, by 30% at least: noise that
      no learner removes, what this one cannot learn, or another regime. The exponent of all sizes is
      that of neither half;
    * **bend**: it is clearly more, by a factor 2.5 at least: two regimes. Up to 2.2 is how the exact
      curves of many clusters begin (`percolaw.laws.scaling_laws`), which is no failure.

    Parameters
    ----------
    size, loss
        As in `percolaw.scaling.fit.fit_power_law`; at least 5 sizes, 6 for floors and bends. Seeds are
        averaged geometrically.

    Returns
    -------
    list of Finding
        Of one at most.

    Raises
    ------
    ValueError
        With fewer than 5 sizes, and for sizes or losses that `fit_power_law` refuses.
    """
    x = _sizes(size)
    every = _losses(loss, x.size)
    y = aggregate(every)
    if x.size < 5:
        raise ValueError(f"a diagnosis needs at least 5 sizes; got {x.size}.")
    log_x, log_y = np.log(x), np.log(y)
    decades = (log_x[-1] - log_x[0]) / np.log(10.0)
    findings = []
    fall = -float(np.polyfit(log_x, log_y, 1)[0]) * np.log(10.0)
    if fall < 0.05:
        change = 100.0 * abs(np.expm1(min(-fall, 700.0)))  # beyond 10^300 it is all the same
        findings.append(
            Finding(
                "uniform loss",
                "no criticality: nothing at these scales is being learned",
                f"loss {'rises' if fall < 0.0 else 'falls'} by {change:.1f}% per decade over "
                f"{decades:.1f} decades",
            )
        )
        return findings
    straight = _misfit(log_x, log_y)
    exponential = _misfit(x / x[-1], log_y)
    slopes = local_exponents(x, y)
    if exponential < 0.5 * straight and slopes[-1] > 2.0 * max(slopes[0], 1e-12):
        findings.append(
            Finding(
                "exponential",
                "wrong threshold or a cutoff: there is a largest structure, and it is learned",
                f"log loss deviates by {exponential:.3f} from a line in size, by {straight:.3f} "
                f"from a line in log size; local exponent grows from {slopes[0]:.2f} "
                f"to {slopes[-1]:.2f}",
            )
        )
        return findings
    typical, drop, jump = _jumps(log_x, log_y)
    jump &= _jumps(log_x, np.median(np.log(every), axis=0))[2]  # one seed that failed once is none
    if np.any(jump):
        where = ", ".join(
            f"{a:.3g}..{b:.3g}" for a, b in zip(x[:-1][jump], x[1:][jump], strict=True)
        )
        findings.append(
            Finding(
                "jumps",
                "capacity reaches whole clusters at once: a bad or integer allocation",
                f"loss falls by a factor {_factor(drop[jump].max())} in one step at size {where}; "
                f"the typical local exponent is {typical:.2f}",
            )
        )
        return findings
    return _bends(x, y, log_x, log_y)


def _jumps(log_x: FloatArray, log_y: FloatArray) -> tuple[float, FloatArray, npt.NDArray[np.bool_]]:
    """The typical local exponent, the fall of every step, and which of them are jumps."""
    rate = -np.diff(log_y) / np.diff(log_x)
    typical = float(np.median(np.abs(rate)))
    spread = float(np.median(np.abs(rate - np.median(rate)))) + 0.1 * typical
    drop = -np.diff(log_y)
    neighbours = np.maximum(
        np.abs(np.concatenate([[rate[1]], rate[:-1]])),
        np.abs(np.concatenate([rate[1:], [rate[-2]]])),
    )
    return typical, drop, (drop > 0.2) & (rate - neighbours > 6.0 * spread) & (rate > 3.0 * typical)


def _bends(x: FloatArray, y: FloatArray, log_x: FloatArray, log_y: FloatArray) -> list[Finding]:
    """A floor, or a bend, if the exponents of the two halves of the sizes differ clearly."""
    if x.size < 6:
        return []
    half = (x.size + 1) // 2
    (small, one), (large, other) = (
        _slope(log_x[part], log_y[part]) for part in (slice(0, half), slice(-half, None))
    )
    if abs(large - small) < 4.0 * np.hypot(one, other):
        return []
    halves = (
        f"exponent {small:.2f} up to size {x[half - 1]:.3g}, {large:.2f} from {x[-half]:.3g} on"
    )
    if large < -4.0 * other:
        return [Finding("rise", "the loss rises again: what is learned late does harm", halves)]
    if large < 0.7 * small:
        exponent, _, floor = compare_forms(x, y).parameters["power law + offset"]
        return [
            Finding(
                "floor",
                "the loss flattens: noise, what this learner cannot learn, or another regime",
                f"{halves}; beside a constant {floor:.3g} that stays, {exponent:.2f}",
            )
        ]
    if large > 2.5 * small > 0.0:
        return [
            Finding("bend", "two regimes: fit each by itself, or compare with a full curve", halves)
        ]
    return []


def _slope(log_x: FloatArray, log_y: FloatArray) -> tuple[float, float]:
    """The exponent of least squares, and its standard error by the scatter about the line."""
    (slope, intercept), _ = _line(log_x, log_y)
    rest = log_y - slope * log_x - intercept
    error = np.sqrt(rest @ rest / max(log_x.size - 2, 1) / np.sum((log_x - log_x.mean()) ** 2))
    return -slope, float(error)


def _factor(logarithm: float) -> str:
    return f"{np.exp(logarithm):.2f}" if logarithm < 700 else f"10^{logarithm / np.log(10.0):.0f}"


def _misfit(x: npt.NDArray[np.float64], log_y: npt.NDArray[np.float64]) -> float:
    line = np.polyval(np.polyfit(x, log_y, 1), x)
    return float(np.sqrt(np.mean((log_y - line) ** 2)))
