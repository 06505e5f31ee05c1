"""Source x target x learner x sizes x seeds = learning curve: the sentence all is built around."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.source import PointFile, Source
from percolaw.progress import progress as progress_bar
from percolaw.rng import RandomLike, as_streams
from percolaw.scaling.criteria import OF_LABELS, Loss, checked_loss
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fresh import fresh_learners
from percolaw.scaling.losses import (
    above_rounding,
    checked_sizes,
    counted,
    losses,
    scaling_curve,
)
from percolaw.targets.families import drawn_values
from percolaw.targets.teacher import TeacherFamily

FloatArray: TypeAlias = npt.NDArray[np.float64]


class Dimension(Protocol):
    """What has a dimension: a source, or a report on points."""

    @property
    def dimension(self) -> float | None:
        """D, or None if it is not known."""
        ...


def learning_curve(
    source: Source | str | os.PathLike[str] | npt.ArrayLike,
    target: TeacherFamily | npt.ArrayLike,
    learner: Any,
    sizes: npt.ArrayLike,
    seeds: int = 5,
    *,
    loss: Loss | None = None,
    groups: npt.ArrayLike | None = None,
    n_test: int = 1000,
    rng: RandomLike = 0,
    progress: bool = False,
) -> LearningCurve:
    """Measure how a learner's loss falls with the number of training points.

    Parameters
    ----------
    source : Source, path or array, shape (n, d)
        A source draws new points for every seed. A file or array is one dataset: seeds are random
        parts of it, and intervals do not contain the scatter between datasets.
    target : family of teachers, or array, shape (n,) or (n, n_outputs)
        A family (`percolaw.MaternTeacher()`, ...) is drawn anew for every seed, with mean 0 and
        variance 1 on the points. An array holds the labels of an array or file of points.
    learner : object with fit(points, values), or function
        Every fit is made by a fresh copy; see `percolaw.scaling_curve`.
    sizes : array of int
        Training sizes, rising; each seed draws the largest set and uses its first rows.
    seeds : int
        Repetitions; an interval needs three.
    loss : {"squared", "absolute", "0-1", "log"} or function, optional
        See `percolaw.scaling_curve`; squared over variance if None. Class labels are an array's.
    groups : array, shape (n,), optional
        Labels of an array's or file's points: no group is on both sides.
    n_test : int
        Test points of each seed, at least 2.
    rng : int, Generator or Streams
        Streams ``child(seed)``, in which each source and target has its own.
    progress : bool
        Whether a bar shows how far it is.

    Returns
    -------
    LearningCurve
        With ``predicted`` where theory has a curve for target and learner (`predicted_losses`), and
        ``predicted_exponent`` min(c, limit of the learner) / D where the dimension D, the order c
        of the target and the learner's limit (`order_limit`) are known; both of the squared loss.

    Raises
    ------
    TypeError, ValueError
        As `percolaw.scaling_curve`; for labels beside a source, which has none of its own; and for
        labels that are not as many as the points.

    Notes
    -----
    Cost: one fit and one prediction a size and seed, and for a predicted curve as much again, or 0.1 s
    a size.

    Examples
    --------
    >>> import percolaw as pl
    >>> sizes = pl.geometric(30, 3000, 8)
    >>> curve = pl.learning_curve(
    ...     pl.InfiniteCluster(16), pl.LinearTeacher(), pl.NearestNeighbors(), sizes, seeds=3
    ... )
    >>> curve.predicted_exponent, abs(curve.fit().exponent - 0.5) < 0.1
    (0.5, True)
    >>> round(curve.predicted_slope(), 1), curve.predicted.shape
    (0.5, (8,))
    """
    if callable(getattr(source, "fit", None)):
        raise TypeError(
            "learning_curve takes the learner third, learning_curve(source, target, learner, sizes); "
            f"got {source!r:.60} first. scaling_curve(learner, points, values, sizes) takes it first."
        )
    if not isinstance(source, Source):
        options: dict[str, Any] = {"loss": loss, "groups": groups, "n_test": n_test, "rng": rng}
        return _of_data(source, target, learner, sizes, seeds, {**options, "progress": progress})
    if not isinstance(target, TeacherFamily):
        raise TypeError(
            f"points of {source.label} are drawn anew for every seed, so their target must be a family "
            f"of teachers such as MaternTeacher(); got {target!r:.60}. Labels of your own go "
            "with points of your own: pass both as arrays."
        )
    if groups is not None or loss in OF_LABELS:
        raise TypeError(
            "groups and class labels are those of points of your own: pass points and labels as arrays. "
            f"{source.label} has none, and a teacher's values are numbers."
        )
    size, chosen = checked_sizes(sizes), "squared" if loss is None else checked_loss(loss)
    n, tests = int(size[-1]), checks.integer("n_test", n_test, minimum=2)
    repeats, streams = checks.integer("seeds", seeds, minimum=1), as_streams(rng)
    fresh = fresh_learners(learner)
    predict = predicted_losses(target, learner) if chosen == "squared" else None
    checks.memory(16.0 * repeats * size.size, f"the losses of {repeats} seeds", "Lower seeds.")
    measured, predicted = np.empty((repeats, size.size)), np.empty((repeats, size.size))
    with progress_bar("learning curve", not progress) as update:
        done = counted(update, measured.size)
        for seed in range(repeats):
            seed_streams = streams.child(seed, *source.key)
            x = source.inputs(n + tests, seed_streams)
            f = drawn_values(target, x, seed_streams)
            variance = f.var(axis=0)  # of each output by itself, as losses are over their mean
            if not np.all(np.isfinite(f)) or not np.mean(variance):
                raise ValueError(
                    f"{target.label} is constant, or not finite, on points of {source.label} (seed "
                    f"{seed}); a loss relative to its variance means nothing. Pass another target."
                )
            y = (f - f.mean(axis=0)) / np.sqrt(np.mean(variance))
            train, test = (x[tests:], y[tests:]), (x[:tests], y[:tests])
            measured[seed] = losses(fresh, train, test, size, f"seed {seed}", chosen, done)
            if predict is not None:
                predicted[seed] = predict(
                    train[0], test[0], size, float(np.mean(f[:tests].var(axis=0)))
                )
    exponent = predicted_exponent(source, target, learner) if chosen == "squared" else None
    theory = None if predict is None else predicted.mean(axis=0)
    usable = above_rounding(measured, y, chosen)
    return LearningCurve(size, measured, usable, theory, exponent)


def predicted_losses(
    target: TeacherFamily, learner: Any
) -> Callable[[FloatArray, FloatArray, npt.NDArray[np.int64], float], FloatArray] | None:
    """Return the function that predicts a learner's squared losses; None where theory has none.

    ============================ ========================================================
    `NearestNeighbors`           `percolaw.learners.expected.neighbors_loss`
    `KernelRegression`           `percolaw.learners.expected.kernel_loss`, of one ridge
    ============================ ========================================================

    on targets with a `covariance`: `LinearTeacher` and `MaternTeacher`. Learners on trees, and many
    clusters: docs/predictions.md.

    Parameters
    ----------
    target : family of teachers
    learner : object

    Returns
    -------
    function or None
        Of training points (n, d), test points (m, d), sizes, and the variance of the function drawn over
        the test points, the mean of its outputs' own; gives the losses expected at these points over all
        functions of the law that vary as much.
    """
    from percolaw.learners import expected
    from percolaw.learners.kernel import KernelRegression
    from percolaw.learners.neighbors import NearestNeighbors

    covariance = target.covariance
    if covariance is None:
        return None
    if isinstance(learner, NearestNeighbors):
        return partial(expected.neighbors_loss, covariance, k=learner.k)
    if isinstance(learner, KernelRegression) and np.size(learner.ridge) == 1:
        ridge = float(np.ravel(learner.ridge)[0])
        return partial(expected.kernel_loss, covariance, learner=(learner.kernel, ridge))
    return None


def predicted_exponent(
    source: Source | Dimension | float, target: TeacherFamily | float, learner: Any
) -> float | None:
    """Return the exponent that theory gives a learning curve; None where it gives none.

    Parameters
    ----------
    source : Source, what `estimate_dimension` returns, or float
        Its dimension D, or D itself.
    target : family of teachers, or float
        Its approximation order c, or c itself: 1 for rough labels, 2 for smooth ones and neighbours.
    learner : object
        With the order beyond which it does not profit from smoothness; see `order_limit`.

    Returns
    -------
    float or None
        min(c, limit) / D.

    Raises
    ------
    TypeError, ValueError
        For a dimension that is no positive number, and an order that is no number >= 0; infinity is one.

    Examples
    --------
    >>> import percolaw as pl
    >>> report = pl.estimate_dimension(np.random.default_rng(0).random((2000, 2)))
    >>> 0.9 < pl.predicted_exponent(report, math.inf, pl.NearestNeighbors()) < 1.2
    True
    >>> pl.predicted_exponent(4.0, pl.MaternTeacher(0.5), pl.KernelRegression())
    0.25
    """
    given: Any = getattr(source, "dimension", source)
    if given is None and source is not None:
        return None
    dimension = checks.real("the dimension", given, minimum=1e-9)
    limit = order_limit(learner, dimension)
    if limit is None:
        return None
    if isinstance(target, TeacherFamily):
        order = target.approximation_order
    else:
        smooth = isinstance(target, float) and target == math.inf
        order = math.inf if smooth else checks.real("the order of the target", target, minimum=0.0)
    order = min(order, limit)
    return order / dimension if math.isfinite(order) else None


def order_limit(learner: Any, dimension: float) -> float | None:
    """Return the order at which a learner stops to profit from a target's smoothness; None if not known.

    ============================= =======================================================
    nearest neighbours            2: the loss is the mean squared distance, at best
    kernel of smoothness nu       2 nu + D + 1, set by the edge of the data (theory, 7)
    tangent kernels, networks     D + 2, as their kernels have smoothness 1/2
    ============================= =======================================================

    Kernels without a ridge; of networks what their tangent kernels do (docs/neural.md), if trained to
    the end.

    Parameters
    ----------
    learner : object
        What its method ``order_limit(dimension)`` says; None without one.
    dimension : float
        D of the points.

    Returns
    -------
    float or None
    """
    limit = getattr(learner, "order_limit", None)
    return limit(dimension) if callable(limit) else None


def _of_data(
    source: Any, target: Any, learner: Any, sizes: Any, seeds: int, options: dict[str, Any]
) -> LearningCurve:
    """The curve of one dataset, over random parts of it."""
    for name, given in (("source", source), ("target", target)):
        if isinstance(given, type):
            raise TypeError(
                f"{name} is the class {given.__name__}; make one: {given.__name__}(...)."
            )
    if isinstance(source, Dataset):
        raise TypeError(
            "a Dataset is learned from its arrays: learning_curve(data.X, data.y, learner, sizes)."
        )
    if isinstance(target, TeacherFamily):
        if isinstance(source, str):
            raise TypeError(
                "a source is an object, such as percolaw.Cube(2), percolaw.InfiniteCluster(16) or, of a "
                f"file, percolaw.PointFile(path); got {source!r:.60}."
            )
        raise TypeError(
            "a target drawn on points of your own needs them as a source: "
            f"percolaw.PointFile(path), or values = family.sample(d)(points); got {target.label}."
        )
    if isinstance(source, (str, os.PathLike)):
        from percolaw.datasets.points import read_points

        rows = checks.as_given("target", target).shape[0]
        source, n_rows = read_points(PointFile(os.fspath(source)).path, rows)
        if n_rows != rows:
            raise ValueError(f"the file has {n_rows} points and there are {rows} labels.")
    return scaling_curve(learner, source, target, sizes, n_repeats=seeds, **options)
