"""Source x target x learner x sizes x seeds = learning curve: the sentence all is built around."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.source import PointFile, Source
from percolaw.rng import RandomLike, as_streams
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.losses import checked_sizes, fresh_learners, losses, scaling_curve
from percolaw.targets.families import standardized_values
from percolaw.targets.teacher import TeacherFamily


def learning_curve(
    source: Source | str | os.PathLike[str] | npt.ArrayLike,
    target: TeacherFamily | npt.ArrayLike,
    learner: Any,
    sizes: npt.ArrayLike,
    seeds: int = 5,
    *,
    n_test: int = 1000,
    rng: RandomLike = 0,
) -> LearningCurve:
    """Measure how a learner's loss falls with the number of training points.

    The loss is mean((prediction - value)^2) / var(value) over test points never trained on.

    Parameters
    ----------
    source : Source, path or array, shape (n, d)
        A source draws new points for every seed. A file or array is one dataset: seeds are random
        parts of it, and intervals do not contain the scatter between datasets.
    target : family of teachers, or array, shape (n,) or (n, n_outputs)
        A family (`percolaw.MaternTeacher()`, ...) is drawn anew for every seed, with mean 0 and
        variance 1 on the points. An array holds the labels of an array or file of points.
    learner : object with fit(points, values), or function that makes one
        Every fit is made by a fresh copy; see `percolaw.scaling_curve`.
    sizes : array of int
        Training sizes, rising; each seed draws the largest set and uses its first rows.
    seeds : int
        Repetitions; an interval needs three.
    n_test : int
        Test points of each seed, at least 2.
    rng : int, Generator or Streams
        Streams ``child(seed)``, in which each source and target has its own.

    Returns
    -------
    LearningCurve
        With ``predicted_exponent`` min(c, limit of the learner) / D where the dimension D, the order c
        of the target and the learner's limit (`order_limit`) are known.

    Raises
    ------
    TypeError, ValueError
        As `percolaw.scaling_curve`; for labels beside a source, which has none of its own; and for
        labels that are not as many as the points.

    Notes
    -----
    Cost: one fit and one prediction a size and seed.

    Examples
    --------
    >>> import percolaw as pl
    >>> sizes = pl.geometric(30, 3000, 8)
    >>> curve = pl.learning_curve(
    ...     pl.InfiniteCluster(16), pl.LinearTeacher(), pl.NearestNeighbors(), sizes, seeds=3
    ... )
    >>> curve.predicted_exponent, abs(curve.fit().exponent - 0.5) < 0.1
    (0.5, True)
    """
    if not isinstance(source, Source):
        return _of_data(source, target, learner, sizes, seeds, n_test, rng)
    if not isinstance(target, TeacherFamily):
        raise TypeError(
            f"points of {source.label} are drawn anew for every seed, so their target must be a family "
            f"of teachers such as MaternTeacher(); got {type(target).__name__}. Labels of your own go "
            "with points of your own: pass both as arrays."
        )
    size = checked_sizes(sizes)
    n, tests = int(size[-1]), checks.integer("n_test", n_test, minimum=2)
    repeats, streams = checks.integer("seeds", seeds, minimum=1), as_streams(rng)
    fresh = fresh_learners(learner)
    loss = np.empty((repeats, size.size))
    for seed in range(repeats):
        own = streams.child(seed, *source.key)
        x = source.inputs(n + tests, own)
        y = standardized_values([target], x, own)[:, 0]
        loss[seed] = losses(fresh, x[tests:], y[tests:], x[:tests], y[:tests], size, f"seed {seed}")
    return LearningCurve(size, loss, predicted_exponent=predicted_exponent(source, target, learner))


def predicted_exponent(source: Source, target: TeacherFamily, learner: Any) -> float | None:
    """Return the exponent that theory gives a learning curve; None where it gives none.

    Parameters
    ----------
    source : Source
        With its dimension D.
    target : family of teachers
        With its approximation order c.
    learner : object
        With the order beyond which it does not profit from smoothness; see `order_limit`.

    Returns
    -------
    float or None
        min(c, limit) / D.
    """
    if source.dimension is None:
        return None
    limit = order_limit(learner, source.dimension)
    if limit is None:
        return None
    order = min(target.approximation_order, limit)
    return order / source.dimension if math.isfinite(order) else None


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
        A learner of this package; of others None.
    dimension : float
        D of the points.

    Returns
    -------
    float or None
    """
    from percolaw.learners.kernel import KernelRegression
    from percolaw.learners.neighbors import NearestNeighbors
    from percolaw.neural.regression import NeuralRegression
    from percolaw.numerics.covariance import Matern, NeuralTangent

    if isinstance(learner, NearestNeighbors):
        return 2.0
    interpolates = isinstance(learner, KernelRegression) and learner.ridge == 0.0
    kernel = learner.kernel if interpolates else None
    if isinstance(kernel, Matern):
        return 2.0 * kernel.smoothness + dimension + 1.0
    if isinstance(kernel, NeuralTangent) or isinstance(learner, NeuralRegression):
        return dimension + 2.0
    return None


def _of_data(
    source: Any, target: Any, learner: Any, sizes: Any, seeds: int, n_test: int, rng: RandomLike
) -> LearningCurve:
    """The curve of one dataset, over random parts of it."""
    if isinstance(target, TeacherFamily):
        raise TypeError(
            "a target drawn on points of your own needs them as a source: "
            f"percolaw.PointFile(path), or values = family.sample(d)(points); got {target.label}."
        )
    if isinstance(source, (str, os.PathLike)):
        from percolaw.datasets.points import read_points

        rows = checks.array("target", target).shape[0]
        source, n_rows = read_points(PointFile(os.fspath(source)).path, rows)
        if n_rows != rows:
            raise ValueError(f"the file has {n_rows} points and there are {rows} labels.")
    return scaling_curve(learner, source, target, sizes, n_test=n_test, n_repeats=seeds, rng=rng)
