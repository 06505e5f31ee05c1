"""A learner that has seen no data, for every fit, made of whatever a user has."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy.typing as npt


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


def fresh_learners(learner: Any) -> Callable[[], Any]:
    """Return a function that gives a learner which has seen no data, a new one with every call.

    Raises
    ------
    TypeError
        For what is neither a learner nor a function that makes one or is one. The function returned
        raises it for a learner that cannot be copied, and ValueError if a user's function gives the
        same learner twice in a row.
    """
    kind = type(learner).__name__
    if isinstance(learner, type):
        raise TypeError(
            f"learner must be an object with fit and predict; got the class {learner.__name__}. "
            f"Pass {learner.__name__}(...), or a function that makes one."
        )
    if not callable(getattr(learner, "fit", None)):
        if callable(getattr(learner, "forward", None)):
            raise TypeError(
                f"{kind} is a torch module, which has no fit. Pass percolaw.ModuleLearner(module), or "
                "an object of your own with fit and predict."
            )
        if not callable(learner):
            raise TypeError(
                f"learner must have fit(points, values) and predict(points), as scikit-learn's; got "
                f"{learner!r:.60} ({kind})."
            )
        if _required(learner) == 3:
            return lambda: FunctionLearner(learner)
        seen: list[Any] = []
        return lambda: _new_learner(learner, seen)
    # Whoever has an estimator of scikit-learn has imported it.
    if callable(getattr(learner, "get_params", None)) and "sklearn.base" in sys.modules:
        from sklearn.base import clone

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


class FunctionLearner:
    """A function of (training points, their values, queries) as a learner."""

    def __init__(self, function: Callable[[Any, Any, Any], Any]) -> None:
        self.function = function

    def fit(self, points: Any, values: Any) -> FunctionLearner:
        """Keep the training set.

        Parameters
        ----------
        points : array, shape (n, d)
        values : array, shape (n,) or (n, n_outputs)

        Returns
        -------
        FunctionLearner
            Itself.
        """
        self.points, self.values = points, values
        return self

    def predict(self, queries: Any) -> Any:
        """Return what the function gives for the training set and these queries."""
        return self.function(self.points, self.values, queries)


def fit_fresh(
    fresh: Callable[[], Any], points: npt.NDArray[Any], values: npt.NDArray[Any], what: str
) -> Any:
    """Fit a fresh learner on copies of the data, and return what predicts: what fit returns, or it.

    Parameters
    ----------
    fresh : function
        As `fresh_learners` returns it.
    points, values : array
        Training set.
    what : str
        Names the training set in notes on errors.

    Returns
    -------
    object with predict

    Raises
    ------
    TypeError
        For a learner that has no `predict` after its fit.
    """
    learner = fresh()
    try:
        fitted = learner.fit(points.copy(), values.copy())
    except Exception as error:
        error.add_note(f"This was {type(learner).__name__}.fit, {what}.")
        raise
    for one in (fitted, learner):
        if not isinstance(one, type) and callable(getattr(one, "predict", None)):
            return one
    raise TypeError(
        f"fit must return something with predict(points), or the learner must have it; "
        f"{type(learner).__name__}.fit returned {fitted!r:.60} ({type(fitted).__name__})."
    )


def _required(function: Any) -> int | None:
    """How many arguments a function must be given by position; None if it does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in by_position and p.default is p.empty for p in parameters)


def _new_learner(make: Callable[[], Any], seen: list[Any]) -> Any:
    """Return what a user's function makes, a new object with every call."""
    name = getattr(make, "__name__", type(make).__name__)
    try:
        learner = make()
    except TypeError as error:
        raise TypeError(
            "learner must have fit(points, values) and predict(points), or be a function of no "
            "arguments that makes such an object, or a function of (training points, their values, "
            f"queries) that predicts; {name} is neither ({error})."
        ) from error
    if isinstance(learner, type) or not callable(getattr(learner, "fit", None)):
        raise TypeError(
            f"{name}() must make an object with fit(points, values) and predict(points); it gave "
            f"{learner!r:.60} ({type(learner).__name__})."
        )
    if any(learner is one for one in seen):
        raise ValueError(
            f"{name}() gave the same object again, which knows what it learned before. Make a new "
            "one with every call."
        )
    seen[:] = [learner]
    return learner
