"""What a learning curve counts as loss: of numbers, of class labels, or as a function says."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks

FloatArray: TypeAlias = npt.NDArray[np.float64]
Loss: TypeAlias = Literal["squared", "absolute", "0-1", "log"] | Callable[[Any, Any], float]

#: Losses of numbers, relative to the best constant, and of class labels.
OF_NUMBERS, OF_LABELS = ("squared", "absolute"), ("0-1", "log")
#: Least probability in a logarithm, as in scikit-learn's log_loss.
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)


def checked_loss(loss: Loss) -> Loss:
    """Return a loss; ValueError for a name that is none."""
    if isinstance(loss, type):
        raise TypeError(f"loss must be a name or a function; got the class {loss.__name__}.")
    if not callable(loss):
        checks.choice("loss", loss, (*OF_NUMBERS, *OF_LABELS))
    elif not _takes_two(loss):
        raise TypeError(
            "a loss of your own is called as loss(values, predictions) and gives a number; "
            f"{loss!r:.60} does not take two arguments."
        )
    return loss


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True  # it does not say
    try:
        signature.bind(None, None)
    except TypeError:
        return False
    return True


def _is_text(values: Any) -> bool:
    """Whether values are text, as class labels may be."""
    if isinstance(values, (list, tuple)):
        return any(isinstance(value, str) for value in values)
    return getattr(getattr(values, "dtype", None), "kind", "") in ("U", "S")


def checked_values(values: Any, n: int, loss: Loss) -> npt.NDArray[Any]:
    """Return the values of n points as a loss needs them.

    Parameters
    ----------
    values : array, shape (n,), (n, 1) or (n, n_outputs)
    n : int
    loss : {"squared", "absolute", "0-1", "log"} or function

    Returns
    -------
    array, shape (n,) or (n, n_outputs >= 2)
        float64 for losses of numbers and rows of 0 and 1, else of the kind given: numbers or text.

    Raises
    ------
    TypeError
        For text where the loss is of numbers.
    ValueError
        For another length, NaN, and rows that name no class.
    """
    checked_loss(loss)
    if loss in OF_NUMBERS:
        try:
            y: npt.NDArray[Any] = checks.target_values("values", values, n)
        except TypeError as error:
            if _is_text(values):
                raise TypeError(
                    "values must be numbers; got text. Class labels need loss='0-1' or "
                    "loss='log'; numbers that are written as text, values.astype(float)."
                ) from error
            raise
    else:
        y = checks.as_given("values", values)
        if y.ndim not in (1, 2) or y.shape[0] != n or 0 in y.shape[1:]:
            raise ValueError(
                f"values must have shape ({n},) or ({n}, n_outputs), a row for each point; got {y.shape}."
            )
        if y.dtype.kind == "f" and not np.all(np.isfinite(y)):
            raise ValueError("values hold NaN or infinity. Leave out such points first.")
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if loss in OF_LABELS and y.ndim == 2:
        hot = np.isin(y, (0, 1)).all() and np.all(y.sum(axis=1) == 1)
        if loss == "log" or not hot:
            raise ValueError(
                f"loss={loss!r} takes one label a point, of numbers or text"
                + (", or rows of 0 and a single 1" if loss == "0-1" else "")
                + f"; got values of shape {y.shape}."
            )
        y = y.astype(np.float64)
    return y


def measured(
    loss: Loss,
    fitted: Any,
    points: npt.NDArray[Any],
    values: npt.NDArray[Any],
    classes: npt.NDArray[Any],
    what: str,
) -> float:
    """Return the loss of a fitted learner on test points.

    Parameters
    ----------
    loss : {"squared", "absolute", "0-1", "log"} or function
    fitted : object with predict
        Of loss ``log`` also with predict_proba.
    points, values : array, shapes (m, d) and (m,) or (m, n_outputs)
        Test points, and their values as `checked_values` gives them.
    classes : array, shape (n_classes,)
        All labels there are, sorted; used by losses of labels only.
    what : str
        Names the fit in errors.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        For predictions of another kind or shape, or not finite, and a function's loss that is no
        finite number.
    """
    if callable(loss):
        predicted = checks.as_given(f"the predictions {what},", fitted.predict(points.copy()))
        if predicted.shape == (*values.shape, 1):  # beside values (n,) it would broadcast to n x n
            predicted = predicted.reshape(values.shape)
        return checks.real(f"the loss {what}", loss(values.copy(), predicted))
    if loss in OF_NUMBERS:
        predicted = checks.returned(
            f"the predictions {what},",
            fitted.predict(points.copy()),
            values.shape,
            "They must be finite, one for each test point.",
        )
        with np.errstate(over="ignore"):
            if loss == "squared":
                share = np.mean((predicted - values) ** 2) / np.mean(values.var(axis=0))
            else:
                scale = np.mean(np.abs(values - np.median(values, axis=0)))
                share = np.mean(np.abs(predicted - values)) / scale
        return checks.real(f"the loss {what}", share)
    if loss == "log":
        return _log_loss(fitted, points, values, classes, what)
    if values.ndim == 2:
        predicted = checks.returned(
            f"the predictions {what},",
            fitted.predict(points.copy()),
            values.shape,
            "A row a test point.",
        )
        return float(np.mean(predicted.argmax(axis=1) != values.argmax(axis=1)))
    predicted = checks.as_given(f"the predictions {what},", fitted.predict(points.copy()))
    if predicted.shape not in (values.shape, (*values.shape, 1)):
        raise ValueError(
            f"the predictions {what}, must be one label a test point, shape {values.shape}; got "
            f"{predicted.shape}."
        )
    predicted = predicted.reshape(values.shape)
    other = predicted[~np.isin(predicted, classes)]
    if other.size:
        raise ValueError(
            f"the predictions {what}, hold {other[0]!r}, which is no label. A learner that predicts "
            "numbers takes rows of 0 and 1: values = numpy.eye(n_classes)[labels]."
        )
    return float(np.mean(predicted != values))


def _log_loss(
    fitted: Any,
    points: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    classes: npt.NDArray[Any],
    what: str,
) -> float:
    """Mean -log of the probability given to the label; of labels not seen in training the least."""
    if not callable(getattr(fitted, "predict_proba", None)):
        raise TypeError(
            f"loss='log' needs predict_proba(points), which {type(fitted).__name__} does not have. Take "
            "loss='0-1', or a learner that gives probabilities."
        )
    known = np.asarray(getattr(fitted, "classes_", classes))
    order = np.argsort(known)
    probability = checks.returned(
        f"the probabilities {what},",
        fitted.predict_proba(points.copy()),
        (labels.size, known.size),
        f"They must be finite, one for each test point and class: {known.tolist()!r:.60}.",
    )
    if np.any(probability < 0.0) or np.any(np.abs(probability.sum(axis=1) - 1.0) > 1e-3):
        raise ValueError(f"the probabilities {what}, must be >= 0 and sum to 1 over the classes.")
    column = order[np.searchsorted(known[order], labels).clip(max=known.size - 1)]
    given = probability[np.arange(labels.size), column]
    given = np.where(known[column] == labels, given, 0.0)
    return float(-np.log(np.clip(given, LEAST_PROBABILITY, 1.0)).mean())
