"""Measure a learning curve: any learner with fit and predict, any data, several sizes and repeats."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.progress import progress as progress_bar
from percolaw.rng import RandomLike, as_streams
from percolaw.scaling.criteria import (
    OF_LABELS,
    OF_NUMBERS,
    Loss,
    checked_values,
    measured,
)
from percolaw.scaling.curve import LearningCurve
from percolaw.scaling.fresh import PointLearner, fit_fresh, fresh_learners

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Roundings of the largest value by which the predictions of an exact learner may be off.
ROUNDING = 100


def scaling_curve(
    learner: PointLearner | Callable[..., Any],
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    sizes: npt.ArrayLike,
    *,
    loss: Loss | None = None,
    groups: npt.ArrayLike | None = None,
    n_test: int = 1000,
    n_repeats: int = 5,
    rng: RandomLike = 0,
    progress: bool = False,
) -> LearningCurve:
    """Train on growing random parts of the data and test on points never trained on.

    Parameters
    ----------
    learner : object with fit(points, values), or function
        `fit` returns something with `predict`, or the learner has it. Every fit is made by a fresh
        copy, so that nothing learned in one is known to the next, and the object given stays as it
        is: `sklearn.base.clone` of what it can clone, `copy.deepcopy` of others. A function of no
        arguments makes a learner; a function of (training points, their values, queries) is one. What
        a learner keeps outside of itself (a global, a file) is not copied.
    points : array, shape (n, d) or (n, ...)
    values : array, shape (n,), (n, 1) or (n, n_outputs)
        Numbers; or class labels, numbers or text, for a loss of labels.
    sizes : array of int
        Training sizes, rising; each repeat draws the largest set and uses its first rows.
    loss : {"squared", "absolute", "0-1", "log"} or function, optional
        ``squared``, also if None: mean((prediction - value)^2) / var(value) over the test points; of
        several outputs the mean over all of them over the mean of their variances. ``absolute``:
        mean|prediction - value| over the mean deviation from the median. ``0-1``: share of wrong
        labels; of rows of 0 and 1, of rows whose largest output is another one. ``log``: mean
        -log p(label) in nats, p from `predict_proba`, 2.2e-16 at least. A function is given (values,
        predictions), a column (n, 1) of either as (n,), else as they are, and returns a number.
    groups : array, shape (n,), optional
        A label of each point, its cluster for instance: no group has points on both sides. A group of
        which training could not spare the points is never tested.
    n_test, n_repeats : int
        Test points of each repeat (at least 2), and repeats, of which an interval needs three. Repeats
        share one dataset, so the interval of a fit does not contain the scatter between datasets.
    rng : int, Generator or Streams
        Streams ``split`` keyed by repeat.
    progress : bool
        Whether a bar shows how far it is.

    Returns
    -------
    LearningCurve
        Loss of shape (n_repeats, n_sizes).

    Raises
    ------
    TypeError
        For what is no learner, cannot be copied, or predicts nothing that the loss takes.
    ValueError
        For fewer points than `sizes` and `n_test` need, sizes that do not rise, predictions of another
        shape or not finite, test values that do not vary (losses of numbers), and groups too large to
        be divided.

    Warns
    -----
    UserWarning
        For values that look like class labels where no loss is named: they are taken as numbers.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((300, 2))
    >>> nearest = lambda x, y, queries: y[((queries[:, None] - x) ** 2).sum(axis=2).argmin(axis=1)]
    >>> curve = scaling_curve(nearest, x, x[:, 0] > 0, [10, 100], loss="0-1", n_test=100)
    >>> bool((curve.mean("mean") < [0.3, 0.1]).all())
    True
    """
    chosen: Loss = "squared" if loss is None else loss
    if callable(getattr(values, "fit", None)):
        raise TypeError(
            f"scaling_curve takes the learner first, scaling_curve(learner, points, values, sizes); got "
            f"{values!r:.60} third. learning_curve(source, target, learner, sizes) takes it third."
        )
    x = _checked_points(points)
    y = checked_values(values, x.shape[0], chosen)
    if loss is None:
        _warn_of_labels(y, learner)
    size = checked_sizes(sizes)
    tests = checks.integer("n_test", n_test, minimum=2)
    repeats = checks.integer("n_repeats", n_repeats, minimum=1)
    largest = int(size[-1])
    if largest + tests > x.shape[0]:
        raise ValueError(
            f"sizes up to {largest} and {tests} test points need {largest + tests} points; "
            f"got {x.shape[0]}. Lower n_test, or the sizes."
        )
    checks.memory(
        8.0 * repeats * (x.shape[0] + size.size + 100),
        f"{repeats} random orders of {x.shape[0]} points",
        "Lower n_repeats.",
    )
    streams = as_streams(rng)
    generators = [streams.generator("split", repeat) for repeat in range(repeats)]
    if groups is None:
        orders = [generator.permutation(x.shape[0]) for generator in generators]
    else:
        label = checks.class_labels("groups", groups, x.shape[0])
        group = np.unique(label, return_inverse=True)[1]
        orders = [_grouped(group, tests, largest, generator) for generator in generators]
    if chosen in OF_NUMBERS:
        for repeat, order in enumerate(orders):
            _refuse_flat(y[order[:tests]], repeat)
    fresh = fresh_learners(learner)
    measured = np.empty((repeats, size.size))
    with progress_bar("learning curve", not progress) as update:
        done = counted(update, measured.size)
        for repeat, order in enumerate(orders):
            test, train = order[:tests], order[tests : tests + largest]
            sets = (x[train], y[train]), (x[test], y[test])
            measured[repeat] = losses(fresh, *sets, size, f"repeat {repeat}", chosen, done)
    return LearningCurve(size, measured, above_rounding(measured, y, chosen))


def above_rounding(measured: FloatArray, values: FloatArray, loss: Loss) -> npt.NDArray[Any] | None:
    """Return the sizes whose losses are more than the rounding of the values: others have no exponent.

    Parameters
    ----------
    measured : array of float64, shape (n_repeats, n_sizes)
    values : array of float64, shape (n,) or (n, n_outputs)
    loss : {"squared", "absolute", "0-1", "log"} or function

    Returns
    -------
    array of bool, shape (n_sizes,), or None
        None if all are, and for losses that are not relative to the values.
    """
    power = {"squared": 2, "absolute": 1}.get(loss if isinstance(loss, str) else "", 0)
    if not power:
        return None
    spread = float(np.sqrt(np.mean(values.var(axis=0))))
    floor = (ROUNDING * np.finfo(np.float64).eps * float(np.abs(values).max()) / spread) ** power
    usable = measured.mean(axis=0) > floor
    return None if usable.all() else usable


def counted(update: Callable[[int, int], None], total: int) -> Callable[[], None]:
    """Return a function that adds one fit to a progress bar with every call.

    Parameters
    ----------
    update : function
        Called with the number of fits done and the number of all.
    total : int
        Number of all fits.

    Returns
    -------
    function
    """
    update(0, total)
    done = itertools.count(1)
    return lambda: update(next(done), total)


def losses(
    fresh: Callable[[], Any],
    train: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    test: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    sizes: npt.NDArray[np.int64],
    what: str,
    loss: Loss = "squared",
    done: Callable[[], None] = lambda: None,
) -> FloatArray:
    """Return the loss after training on the first n rows, for every n: float64, (n_sizes,).

    Parameters
    ----------
    fresh : function
        Makes a learner that has seen no data; see `fresh_learners`.
    train, test : tuple of array
        Points (n, d) and values (n,) or (n, n_outputs).
    sizes : array of int64, rising
    what : str
        Names the training set in errors.
    loss : {"squared", "absolute", "0-1", "log"} or function
        As in `scaling_curve`.
    done : function
        Called after every fit.

    Returns
    -------
    array of float64, shape (n_sizes,)

    Raises
    ------
    TypeError, ValueError
        For what cannot predict, and predictions of another shape or not finite.
    """
    labels = loss in OF_LABELS and train[1].ndim == 1
    classes = np.unique(np.concatenate([train[1], test[1]])) if labels else np.empty(0)
    values = np.empty(sizes.size)
    for j, n in enumerate(sizes):
        name = f"for n = {n}, {what}"
        fitted = fit_fresh(fresh, train[0][:n], train[1][:n], name)
        values[j] = measured(loss, fitted, *test, classes, name)
        done()
    return values


def _grouped(
    group: npt.NDArray[np.int64], n_test: int, n_train: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Rows in random order, the first n_test of groups that are not among the others.

    Groups are dealt in random order to the test side until it has enough points, but for those without
    which the other side would have too few.
    """
    count = np.bincount(group)
    tested = np.zeros(count.size, dtype=bool)
    to_spare, wanted = group.size - n_train, n_test
    for one in generator.permutation(count.size):
        if wanted > 0 and count[one] <= to_spare:
            tested[one] = True
            to_spare, wanted = to_spare - count[one], wanted - count[one]
    if wanted > 0:
        raise ValueError(
            f"{count.size} groups of {count.min()} to {count.max()} points cannot be divided into "
            f"{n_test} test points and {n_train} others. Lower n_test or sizes."
        )
    order = generator.permutation(group.size)
    aside = tested[group[order]]
    return np.concatenate([order[aside][:n_test], order[~aside]])


def _checked_points(points: Any) -> npt.NDArray[Any]:
    """Return points in their own dtype: token ids stay integers."""
    x = checks.array("points", points)
    if x.ndim < 2 or 0 in x.shape:
        raise ValueError(
            f"points must have shape (n, d), neither 0; got {x.shape}. One row a point: "
            "X.reshape(len(X), -1)."
        )
    if x.dtype.kind == "f":
        bad = int(np.count_nonzero(~np.isfinite(x.reshape(x.shape[0], -1)).all(axis=1)))
        if bad:
            raise ValueError(
                f"{bad} of {x.shape[0]} points hold NaN or infinity. Remove or impute them first."
            )
    return x


def _warn_of_labels(y: FloatArray, learner: Any) -> None:
    """Say that what look like class labels are taken as numbers."""
    remedy = "If they are class labels, pass loss='0-1' or loss='log'; if not, loss='squared'."
    if callable(getattr(learner, "predict_proba", None)):
        warnings.warn(
            f"{type(learner).__name__} predicts classes, and the loss of its answers is taken as that of "
            f"numbers, (prediction - value)^2. {remedy}",
            stacklevel=3,
        )
    elif y.ndim == 1 and np.all(y == np.floor(y)):
        kinds = np.unique(y)
        if 3 <= kinds.size <= min(1000, y.size // 10):
            warnings.warn(
                f"values are {kinds.size} different whole numbers and are taken as numbers: "
                f"{kinds[-1]:g} is further from {kinds[0]:g} than {kinds[1]:g} is. {remedy}",
                stacklevel=3,
            )


def checked_sizes(sizes: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Return training sizes as int64; ValueError unless they are positive and rise strictly."""
    size = checks.integer_array("sizes", sizes)
    if size.ndim != 1 or size.size == 0 or size.min() < 1 or np.any(np.diff(size) <= 0):
        raise ValueError("sizes must be positive and rise strictly.")
    return size


def _refuse_flat(target: FloatArray, repeat: int) -> None:
    """Refuse test values whose variance is 0, or leaves the range of float64."""
    if np.all(target == target[0]):
        raise ValueError(
            f"all {target.shape[0]} test values of repeat {repeat} are equal; a loss relative to "
            "their variance means nothing. Raise n_test, or pass values that vary."
        )
    with np.errstate(over="ignore", under="ignore"):
        variance = float(np.mean(target.var(axis=0)))
    if not 1e-280 < variance < 1e280:
        raise ValueError(
            f"the test values vary by {float(np.ptp(target)):.3g}, whose square is outside of "
            "float64. Rescale values: (values - values.mean()) / numpy.ptp(values)."
        )
