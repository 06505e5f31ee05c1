"""Random-feature ridge regression: a network of which the last layer alone learns.

f(x) = sum_j a_j relu(w_j . x + b_j) / sqrt(m) with fixed random w, b. As m grows it becomes kernel
regression with E[relu(w . x + b) relu(w . x' + b)], the covariance of a hidden layer in
`percolaw.numerics.covariance.NetworkGaussianProcess`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.estimator import Regressor, require_fitted
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]

#: Squares of larger features, summed, leave float64.
LARGEST_FEATURE = 1e140


@dataclass(eq=False)
class RandomFeatures(Regressor):
    """Ridge regression on random ReLU features.

    Minimises sum_i (f(x_i) - y_i)^2 + ridge |a|^2.

    Parameters
    ----------
    n_features : int
    ridge : float
        0 takes the solution of least norm.
    weight_scale, bias_scale : float
        w ~ N(0, weight_scale^2 / d), b ~ N(0, bias_scale^2).
    rng : int
        Stream ``init``.

    Attributes
    ----------
    weights_, biases_ : array of float64, shape (d, m) and (m,)
    readout_ : array of float64, shape (m,) or (m, n_outputs)
    degrees_of_freedom_ : float
        Trace of the smoother, sum s^2 / (s^2 + ridge).
    """

    n_features: int = 1000
    ridge: float = 1e-6
    weight_scale: float = math.sqrt(2.0)
    bias_scale: float = 1.0
    rng: RandomLike = 0

    def __post_init__(self) -> None:
        checks.set_integer(self, "n_features")
        checks.real("ridge", self.ridge, minimum=0.0)
        checks.real("weight_scale", self.weight_scale, minimum=1e-12)
        checks.real("bias_scale", self.bias_scale, minimum=0.0)

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit points and values: O(n m min(n, m)).

        Parameters
        ----------
        X : array, shape (n, d)
            Neither n nor d is 0.
        y : array, shape (n,) or (n, n_outputs)

        Returns
        -------
        RandomFeatures
            Itself.

        Raises
        ------
        ValueError
            For inputs whose features are too large to be squared, and for no points or columns.
        ResourceError
            If the features do not fit in memory.
        """
        x = checks.finite_array("X", X, ndim=2)
        values = checks.target_values("y", y, x.shape[0])
        n, d = x.shape
        if n == 0 or d == 0:
            raise ValueError(f"X must have shape (n, d), neither 0; got {x.shape}.")
        m = self.n_features
        least = min(n, m)
        checks.memory(
            8.0 * m * d + 32.0 * n * m + 40.0 * least * least, f"{m} features", "Lower n_features."
        )
        generator = as_streams(self.rng).generator("init")
        weights = generator.standard_normal((d, m)) * (self.weight_scale / math.sqrt(d))
        biases = generator.standard_normal(m) * self.bias_scale
        u, s, vt = np.linalg.svd(_features(x, weights, biases), full_matrices=False)
        live = s > np.finfo(float).eps * max(n, m) * s[0]
        u, s, vt = u[:, live], s[live], vt[live]
        shrunk = s / (s * s + self.ridge)
        projected = u.T @ values.reshape(n, -1)
        readout = vt.T @ (shrunk[:, None] * projected)
        self.degrees_of_freedom_ = float(np.sum(s * shrunk))
        self.weights_, self.biases_ = weights, biases
        self.readout_, self.n_features_in_ = readout.reshape(m, *values.shape[1:]), d
        return self

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Return values (n,) or (n, n_outputs) at queries X (n, d).

        Raises
        ------
        ValueError
            If the queries have another number of columns than the points of the fit.
        """
        q = checks.array("X", X)
        require_fitted(self, q)
        q = checks.finite_array("X", q, ndim=2)
        n, m = q.shape[0], self.biases_.size
        checks.memory(16.0 * n * m, f"{m} features of {n} queries", "Pass fewer queries at a time.")
        return np.asarray(_features(q, self.weights_, self.biases_) @ self.readout_)


def _features(x: FloatArray, weights: FloatArray, biases: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        features = np.maximum(x @ weights + biases, 0.0) * math.sqrt(1.0 / biases.size)
    largest = float(np.max(features, initial=0.0))
    if not largest <= LARGEST_FEATURE:
        raise ValueError(
            f"features reach {largest:.3g}; {LARGEST_FEATURE:g} is the most. Scale the inputs "
            "(percolaw.standardized_inputs), or lower weight_scale or bias_scale."
        )
    return np.asarray(features)
