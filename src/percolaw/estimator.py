"""The conventions of scikit-learn for dataclasses of this package, without importing it.

An estimator is a dataclass whose fields are its parameters; `fit` returns the estimator itself, and what
it learned stands in attributes whose names end in ``_``. So `sklearn.base.clone`, `cross_val_score`,
`GridSearchCV` and pipelines take it as one of theirs.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from percolaw import checks


class Estimator:
    """A dataclass with parameters that can be read and set by name, and a `fit` that returns itself."""

    n_features_in_: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool
            Whether the fields of parameters that are dataclasses themselves are added, as
            ``kernel__smoothness``.

        Returns
        -------
        dict
        """
        values = {name: getattr(self, name) for name in _fields(self)}
        if deep:
            values |= {
                f"{name}__{inner}": getattr(value, inner)
                for name, value in list(values.items())
                for inner in _fields(value)
            }
        return values

    def set_params(self, **values: Any) -> Self:
        """Set parameters by name, ``kernel__smoothness=1.5`` too, and return the estimator.

        Raises
        ------
        ValueError
            For a name that is no parameter, and for refused values; then nothing is changed.
        """
        before = self.get_params(deep=False)
        unknown = sorted(set(values) - set(self.get_params()))
        if unknown:
            raise ValueError(
                f"{type(self).__name__} has no parameter {unknown[0]!r}; it has "
                f"{', '.join(self.get_params())}."
            )
        try:
            for name, value in sorted(values.items()):  # kernel before kernel__smoothness
                outer, _, inner = name.partition("__")
                if inner:
                    value = dataclasses.replace(getattr(self, outer), **{inner: value})
                setattr(self, outer, value)
            self.__post_init__()
        except Exception:
            vars(self).update(before)
            raise
        return self

    def __post_init__(self) -> None:
        """Refuse parameters that mean nothing."""

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of an estimator before it uses it."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))


class Regressor(Estimator):
    """An estimator that predicts numbers: one or several outputs."""

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return values at points X (n, d), shape (n,) or (n, n_outputs)."""
        raise NotImplementedError

    def score(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: Any = None) -> float:
        """Return 1 - (squared error) / (variance of y), the mean over outputs: R^2.

        Parameters
        ----------
        X : array, shape (n, d)
        y : array, shape (n,) or (n, n_outputs)
        sample_weight : array, shape (n,), optional
            Weights of the points, not negative and not all 0.

        Returns
        -------
        float
            1 for exact predictions, 0 for the mean of y; of an output that does not vary 1 or 0.

        Raises
        ------
        ValueError
            For X without rows, weights that are none, and values or weights whose sums leave float64.
        """
        points = checks.array("X", X)
        if points.ndim < 2 or points.shape[0] == 0:
            raise ValueError(f"X must have shape (n, d), n > 0; got {points.shape}.")
        true = checks.target_values("y", y, points.shape[0])
        weight = np.ones(true.shape[0]) if sample_weight is None else sample_weight
        weight = checks.finite_array("sample_weight", weight, ndim=1, length=true.shape[0])
        if weight.min() < 0.0 or not weight.max() > 0.0:
            raise ValueError("sample_weight must not be negative, and not 0 for all points.")
        weight = weight / weight.max()
        predicted = checks.returned("the predictions", self.predict(X), true.shape)
        true, predicted = (a.reshape(a.shape[0], -1) for a in (true, predicted))
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.average((predicted - true) ** 2, axis=0, weights=weight)
            centre = np.average(true, axis=0, weights=weight)
            variance = np.average((true - centre) ** 2, axis=0, weights=weight)
        if not np.all(np.isfinite(error) & np.isfinite(variance)):
            raise ValueError("the squares of y or of the predictions leave float64. Rescale y.")
        share = np.where(error == 0.0, 0.0, 1.0)
        np.divide(error, variance, out=share, where=variance > 0.0)
        return float(1.0 - share.mean())

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn asks of an estimator before it uses it."""
        from sklearn.utils import RegressorTags, Tags, TargetTags

        target = TargetTags(required=True, multi_output=True)
        return Tags(estimator_type="regressor", target_tags=target, regressor_tags=RegressorTags())


def require_fitted(estimator: Estimator, X: Any) -> None:
    """Refuse to predict before a fit, and points of another number of columns than the fit had.

    Parameters
    ----------
    estimator : Estimator
    X : array, shape (n, d)

    Raises
    ------
    ValueError
        Before a fit it is also an AttributeError: scikit-learn's ``NotFittedError`` where scikit-learn
        is installed.
    """
    name = type(estimator).__name__
    if not hasattr(estimator, "n_features_in_"):
        raise _not_fitted()(f"this {name} is not fitted yet. Call fit(X, y) first.")
    columns = X.shape[1] if X.ndim > 1 else 1
    if X.ndim > 1 and columns != estimator.n_features_in_:
        raise ValueError(
            f"X has {columns} features, but {name} is expecting {estimator.n_features_in_} features "
            "as input."
        )


class _NotFittedError(ValueError, AttributeError):
    """What scikit-learn's error of this name is, where that is not installed."""


def _not_fitted() -> type[Exception]:
    try:
        from sklearn.exceptions import NotFittedError
    except ImportError:
        return _NotFittedError
    return NotFittedError


def _fields(value: Any) -> list[str]:
    """Names of the parameters of a dataclass; none of anything else."""
    if not dataclasses.is_dataclass(value):
        return []
    return [field.name for field in dataclasses.fields(value) if field.init]
