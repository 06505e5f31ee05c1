"""Measure a learning curve: any learner with fit and predict, any data, several sizes and repeats."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams
from percolaw.scaling.curve import LearningCurve

FloatArray: TypeAlias = npt.NDArray[np.float64]


class PointLearner(Protocol):
    """Anything with scikit-learn's fit and predict."""

    def fit(self, points: Any, values: Any) -> Any:
        """Return something with ``predict``, or None if the learner itself has it.

        Parameters
        ----------
        points : array, shape (n, d) or (n, ...)
        values : array, shape (n,) or (n, n_outputs)

        Returns
        -------
        object
        """
        ...


def scaling_curve(
    learner: PointLearner | Callable[[], PointLearner],
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    sizes: npt.ArrayLike,
    *,
    n_test: int = 1000,
    n_repeats: int = 5,
    rng: RandomLike = 0,
) -> LearningCurve:
    """Train on growing random parts of the data and test on points never trained on.

    The loss is mean((prediction - value)^2) / var(value) over the test points; of several outputs,
    the mean over all of them over the mean of their variances.

    Parameters
    ----------
    learner : object with fit(points, values), or function that makes one
        `fit` returns something with `predict`, or the learner has it. Every fit is made by a fresh
        copy, so that nothing learned in one is known to the next, and the object given stays as it
        is: `sklearn.base.clone` of what it can clone, `copy.deepcopy` of others, a call of a
        function. What a learner keeps outside of itself (a global, a file) is not copied.
    points : array, shape (n, d) or (n, ...)
    values : array, shape (n,), (n, 1) or (n, n_outputs)
        Numbers; class labels as rows of 0 and 1.
    sizes : array of int
        Training sizes, rising; each repeat draws the largest set and uses its first rows.
    n_test, n_repeats : int
        Test points of each repeat (at least 2), and repeats; repeats share one dataset, so the
        interval of a fit does not contain the scatter between datasets.
    rng : int, Generator or Streams
        Streams ``split`` keyed by repeat.

    Returns
    -------
    LearningCurve
        Loss of shape (n_repeats, n_sizes).

    Raises
    ------
    TypeError
        For what is no learner, cannot be copied, or predicts no numbers.
    ValueError
        For predictions of another shape or not finite, and for test values that do not vary.

    Warns
    -----
    UserWarning
        For values that look like class labels: they are taken as numbers.
    """
    x, y = _checked_data(points, values)
    size = checked_sizes(sizes)
    tests = checks.integer("n_test", n_test, minimum=2)
    repeats = checks.integer("n_repeats", n_repeats, minimum=1)
    largest = int(size[-1])
    if largest + tests > x.shape[0]:
        raise ValueError(
            f"sizes up to {largest} and {tests} test points need {largest + tests} points; "
            f"got {x.shape[0]}."
        )
    streams = as_streams(rng)
    orders = [streams.generator("split", r).permutation(x.shape[0]) for r in range(repeats)]
    for repeat, order in enumerate(orders):
        _refuse_flat(y[order[:tests]], repeat)
    fresh = fresh_learners(learner)
    loss = np.empty((repeats, size.size))
    for repeat, order in enumerate(orders):
        test, train = order[:tests], order[tests : tests + largest]
        loss[repeat] = losses(fresh, x[train], y[train], x[test], y[test], size, f"repeat {repeat}")
    return LearningCurve(size, loss)


def losses(
    fresh: Callable[[], Any],
    points: npt.NDArray[Any],
    values: FloatArray,
    test_points: npt.NDArray[Any],
    test_values: FloatArray,
    sizes: npt.NDArray[np.int64],
    what: str,
) -> FloatArray:
    """Return the loss after training on the first n rows, for every n: float64, (n_sizes,).

    Parameters
    ----------
    fresh : function
        Makes a learner that has seen no data; see `fresh_learners`.
    points, values : array, shapes (n, d) and (n,) or (n, n_outputs)
        Training set.
    test_points, test_values : array, shapes (m, d) and (m,) or (m, n_outputs)
    sizes : array of int64, rising
    what : str
        Names the training set in errors.

    Returns
    -------
    array of float64, shape (n_sizes,)
        mean((prediction - value)^2) over the variance of the test values.

    Raises
    ------
    TypeError, ValueError
        For what cannot predict, and predictions of another shape or not finite.
    """
    variance = float(np.mean(test_values.var(axis=0)))
    loss = np.empty(sizes.size)
    for j, n in enumerate(sizes):
        predict = _fit(fresh(), points[:n], values[:n])
        predicted = checks.returned(
            f"the predictions for n = {n}, {what},",
            predict(test_points),
            test_values.shape,
            "One a test point.",
        )
        loss[j] = np.mean((predicted - test_values) ** 2) / variance
    return loss


def _checked_data(points: Any, values: Any) -> tuple[npt.NDArray[Any], FloatArray]:
    """Return points in their own dtype (token ids stay integers), and values (n,) or (n, k >= 2)."""
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
    y = checks.target_values("values", values, x.shape[0])
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim == 1 and np.all(y == np.floor(y)):
        kinds = np.unique(y)
        if 3 <= kinds.size <= min(1000, y.size // 10):
            warnings.warn(
                f"values are {kinds.size} different whole numbers and are taken as numbers: "
                f"{kinds[-1]:g} is further from {kinds[0]:g} than {kinds[1]:g} is. Of class labels "
                "pass rows of 0 and 1: numpy.eye(n_classes)[labels].",
                stacklevel=3,
            )
    return x, y


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


def fresh_learners(learner: Any) -> Callable[[], Any]:
    """Return a function that gives a learner which has seen no data, a new one with every call.

    Raises
    ------
    TypeError
        For what is neither a learner nor a function that makes one. The function returned
        raises it for a learner that cannot be copied.
    """
    kind = type(learner).__name__
    if isinstance(learner, type):
        raise TypeError(
            f"learner must be an object with fit and predict; got the class {learner.__name__}. "
            f"Pass {learner.__name__}(...), or a function that makes one."
        )
    if not callable(getattr(learner, "fit", None)):
        if not callable(learner):
            raise TypeError(
                f"learner must have fit(points, values) and predict(points), as scikit-learn's; got "
                f"{learner!r:.60} ({kind})."
            )
        seen: list[Any] = []
        return lambda: _made(learner, seen)
    if callable(getattr(learner, "get_params", None)):
        try:
            from sklearn.base import clone
        except ImportError:
            pass
        else:
            try:
                clone(learner)
            except (TypeError, RuntimeError):
                pass  # its get_params is not scikit-learn's
            else:
                return lambda: clone(learner)

    def copied() -> Any:
        try:
            fresh = copy.deepcopy(learner)
        except Exception as error:
            raise TypeError(
                f"every fit needs a fresh copy of the learner, and this {kind} cannot be copied "
                f"({error}). Pass a function that makes one: lambda: {kind}(...)."
            ) from error
        if fresh is learner:
            raise TypeError(
                f"every fit needs a fresh copy of the learner, and copying this {kind} gives itself. "
                f"Pass a function that makes one: lambda: {kind}(...)."
            )
        return fresh

    return copied


def _made(make: Callable[[], Any], seen: list[Any]) -> Any:
    """Return what a user's function makes, a new object with every call."""
    name = getattr(make, "__name__", type(make).__name__)
    try:
        made = make()
    except TypeError as error:
        raise TypeError(
            "learner must have fit(points, values) and predict(points), or be a function of no "
            f"arguments that makes such an object; {name} is neither ({error})."
        ) from error
    if isinstance(made, type) or not callable(getattr(made, "fit", None)):
        raise TypeError(
            f"{name}() must make an object with fit(points, values) and predict(points); it gave "
            f"{made!r:.60} ({type(made).__name__})."
        )
    if any(made is one for one in seen):
        raise ValueError(
            f"{name}() gave the same object again, which knows what it learned before. Make a new "
            "one with every call."
        )
    seen[:] = [made]
    return made


def _fit(learner: Any, points: npt.NDArray[Any], values: FloatArray) -> Callable[[Any], Any]:
    """Fit a fresh learner and return the ``predict`` of what fit returns, or else its own."""
    fitted = learner.fit(points, values)
    for one in (fitted, learner):
        if not isinstance(one, type) and callable(getattr(one, "predict", None)):
            found: Callable[[Any], Any] = one.predict
            return found
    raise TypeError(
        f"fit must return something with predict(points), or the learner must have it; "
        f"{type(learner).__name__}.fit returned {fitted!r:.60} ({type(fitted).__name__})."
    )
