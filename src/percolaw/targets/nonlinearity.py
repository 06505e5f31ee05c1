"""How nonlinear a function is: the published score, and vetting by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.rng import RandomLike, as_streams
from percolaw.targets.teacher import Teacher, TeacherFamily


@dataclass(frozen=True)
class Nonlinearity:
    """The score of a function and its standard error over repeats.

    Attributes
    ----------
    score : float
        Mean R^2 of straight lines along the axes; 1 for linear functions, low for nonlinear ones.
    standard_error : float
    n_constant : int
        Slices on which the function is constant; they count as linear.
    """

    score: float
    standard_error: float
    n_constant: int


def nonlinearity(
    function: Callable[[Any], Any],
    dim: int,
    rng: RandomLike = 0,
    *,
    n_repeats: int = 200,
    n_points: int = 100,
    low: float = -0.5,
    high: float = 0.5,
) -> Nonlinearity:
    """Score how nonlinear a function is (Sharma and Kaplan 2022).

    For each input axis a random slice is taken along it, the other coordinates uniform; the score is
    the R^2 of a linear regression on the slice, averaged over axes and repeats.

    Parameters
    ----------
    function : callable
        Maps (n, dim) to (n,); several outputs are averaged.
    dim : int
    rng : int, Generator or Streams
        Stream ``evaluation``.
    n_repeats, n_points : int
        Slices of every axis, and points on each.
    low, high : float
        Range of the coordinates.

    Returns
    -------
    Nonlinearity
        One evaluation of n_repeats * dim * n_points points, in blocks of one repeat.

    Raises
    ------
    ValueError
        If `high` is not above `low`, or the function returns another number of values, NaN or
        infinity.
    """
    d = checks.integer("dim", dim, minimum=1)
    repeats = checks.integer("n_repeats", n_repeats, minimum=2)
    points = checks.integer("n_points", n_points, minimum=3)
    low, high = checks.real("low", low), checks.real("high", high)
    if high <= low:
        raise ValueError(f"high must be above low; got {low:g} and {high:g}.")
    checks.memory(
        16.0 * d * d * points + 8.0 * repeats,
        f"{repeats} slices of {points} points along each of {d} axes",
        "Lower dim, n_points or n_repeats.",
    )
    generator = as_streams(rng).generator("evaluation")
    t = np.linspace(low, high, points)
    centred = t - t.mean()
    scores = np.empty(repeats)
    constant = 0
    for repeat in range(repeats):
        base = generator.uniform(low, high, (d, d))
        x = np.repeat(base, points, axis=0)
        for axis in range(d):
            x[axis * points : (axis + 1) * points, axis] = t
        y = checks.float_array("what the function returned", function(x))
        if y.shape[:1] != (d * points,):
            raise ValueError(
                f"the function must return a value for each of {d * points} points; got {y.shape}."
            )
        y = y.reshape(d, points, -1)
        if not np.all(np.isfinite(y)):
            raise ValueError("the function returned NaN or infinity on the unit slices.")
        gap = y - y.mean(axis=1, keepdims=True)
        total = np.sum(gap**2, axis=1)
        explained = np.einsum("p,dpk->dk", centred, gap) ** 2 / (centred @ centred)
        flat = total <= points * (1e-13 * np.max(np.abs(y), axis=1)) ** 2
        constant += int(flat.sum())
        ratio = np.where(flat, 1.0, explained / np.where(flat, 1.0, total))
        scores[repeat] = ratio.mean()
    return Nonlinearity(
        float(scores.mean()), float(scores.std(ddof=1) / np.sqrt(repeats)), constant
    )


@dataclass(frozen=True, eq=False)
class Vetted:
    """A teacher that passed, its score, and how many were refused before it."""

    teacher: Teacher
    score: Nonlinearity
    n_refused: int


def vet(
    family: TeacherFamily,
    dim: int,
    threshold: float,
    rng: RandomLike = 0,
    *,
    most: int = 1000,
    n_repeats: int = 200,
) -> Vetted:
    """Sample teachers until one scores at most `threshold` (nonlinear enough).

    Teacher i is keyed by i: the result does not depend on how many are looked at afterwards.

    Parameters
    ----------
    family : TeacherFamily
    dim : int
    threshold : float
        Largest score accepted.
    rng : int, Generator or Streams
    most, n_repeats : int
        Teachers at most, and slices of every axis.

    Returns
    -------
    Vetted

    Raises
    ------
    TypeError
        If `family` is no family of teachers.
    ValueError
        If none of `most` teachers passes; the message names the least score seen.
    """
    if not isinstance(family, TeacherFamily):
        raise TypeError(
            f"family must be a family of teachers, such as ReluTeacher(2, 100); got {family!r:.60} "
            f"({type(family).__name__})."
        )
    limit = checks.probability("threshold", threshold)
    streams = as_streams(rng)
    least = np.inf
    for i in range(checks.integer("most", most, minimum=1)):
        # A seed of its own, so that the description makes the teacher again.
        seed = int(streams.key("target", 1, i) >> np.uint64(1))
        teacher = family.sample(dim, seed)
        score = nonlinearity(teacher, dim, streams.child(i), n_repeats=n_repeats)
        if score.score <= limit:
            return Vetted(teacher, score, i)
        least = min(least, score.score)
    raise ValueError(
        f"none of {most} teachers scored at most {limit:g}; the least was {least:.3f}. Raise the "
        "threshold or make the family more nonlinear (deeper, wider biases, higher waves)."
    )
