"""Kernel ridge regression: students without an optimiser.

`KernelRegression` fits and predicts; `nested_curve` gives the whole learning curve of one kernel from
one factorisation, because the leading block of a Cholesky factor is the factor of the leading block.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.estimator import Regressor, require_fitted
from percolaw.numerics.covariance import (
    Covariance,
    Matern,
    NeuralTangent,
    cholesky,
    row_blocks,
)
from percolaw.rng import as_streams
from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]
#: Least ridge, in units of the mean variance, that averages different values of one point: rounding
#: leaves some 1e-16 over the ridge of their difference.
LEAST_AVERAGING = 1e-9


@dataclass(eq=False)
class KernelRegression(Regressor):
    """Minimise sum_i (f(x_i) - y_i)^2 + ridge |f|^2 over the kernel's Hilbert space.

    The posterior mean of a Gaussian process with noise variance `ridge`; for a tangent kernel the mean
    over initialisations of the infinitely wide networks it belongs to, trained to the end.

    Parameters
    ----------
    kernel : Covariance
        From `percolaw.numerics.covariance`; inputs as `percolaw.standardized_inputs` makes them.
    ridge : float or sequence of float
        In the unit of the kernel. 0 interpolates (with the least jitter that rounding needs, see
        ``jitter_``). Of several the one with the least error on a validation set is taken, and the
        fit is done again on all points.
    validation : float
        Share of the points that chooses among several ridges.
    rng : int
        Stream ``split`` (validation set).

    Attributes
    ----------
    kernel_ : Covariance
    points_ : array of float64, shape (n, d)
    weights_ : array of float64, shape (n,) or (n, n_outputs)
        f(x) = sum_i weights_i kernel(x, x_i).
    ridge_, jitter_ : float
        Ridge used, and what rounding needed besides.
    validation_ : tuple of (ridge, error)
        Mean squared error of every ridge tried; empty if only one was given.
    """

    kernel: Covariance = Matern()  # noqa: RUF009
    ridge: float | Sequence[float] = 0.0
    validation: float = 0.2
    rng: int = 0

    def order_limit(self, dimension: float) -> float | None:
        """Return the order that the edge of the data limits; None with a ridge and for other kernels.

        2 nu + D + 1 of Matérn kernels, D + 2 of tangent kernels, whose nu is 1/2.
        """
        if not np.all(np.equal(self.ridge, 0.0)):
            return None
        if isinstance(self.kernel, NeuralTangent):
            return dimension + 2.0
        smoothness = self.kernel.smoothness if isinstance(self.kernel, Matern) else None
        return None if smoothness is None else 2.0 * smoothness + dimension + 1.0

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit the training values; n^3 / 3 multiplications and additions a ridge.

        Parameters
        ----------
        X : array, shape (n, d)
        y : array, shape (n,) or (n, n_outputs)

        Returns
        -------
        KernelRegression
            Itself.

        Raises
        ------
        ResourceError
            If the matrix, 8 n^2 bytes, does not fit in memory. `percolaw.RandomFeatures` takes
            more points.
        TypeError
            If `kernel` is not a covariance function.
        ValueError
            For no ridge or one below 0, too few points to choose among several, equal points of
            different values with a ridge next to 0, and a kernel matrix that no jitter mends.
        """
        if not callable(self.kernel) or isinstance(self.kernel, type):
            raise TypeError(
                f"kernel must be a covariance function; got {self.kernel!r}. For instance "
                "percolaw.numerics.covariance.Matern(0.5)."
            )
        x, values = _checked(X, y, "X", "y")
        ridges = np.atleast_1d(checks.float_array("ridge", self.ridge)).tolist()
        if not ridges:
            raise ValueError("ridge must be a number or several; got none.")
        for r in ridges:
            checks.real("ridge", r, minimum=0.0)
        errors: list[float] = []
        best = ridges[0]
        if len(ridges) > 1:
            share = checks.real("validation", self.validation, minimum=0.01, maximum=0.9)
            order = as_streams(self.rng).generator("split").permutation(x.shape[0])
            held = max(1, round(share * x.shape[0]))
            if held >= x.shape[0]:
                raise ValueError(f"{x.shape[0]} points are too few to choose a ridge; give one.")
            test, train = order[:held], order[held:]
            for r in ridges:
                gap = self._solve(x[train], values[train], r).predict(x[test]) - values[test]
                errors.append(float(np.mean(gap**2)))
            best = ridges[int(np.argmin(errors))]
        self.validation_ = tuple(zip(ridges, errors, strict=False))
        return self._solve(x, values, best)

    def _solve(self, x: FloatArray, y: FloatArray, ridge: float) -> Self:
        from scipy.linalg import cho_solve

        _refuse_contradictions(self.kernel, x, y, ridge)
        factor, self.jitter_ = cholesky(self.kernel, x, ridge)
        self.weights_ = cho_solve((factor, True), y, check_finite=False)
        self.kernel_, self.points_, self.ridge_ = self.kernel, x, ridge
        self.n_features_in_ = x.shape[1]
        return self

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Return values (m,) or (m, n_outputs) at queries X (m, d): O(m n d) time in blocks.

        Raises
        ------
        ValueError
            For queries of another number of columns.
        """
        q = checks.array("X", X)
        require_fitted(self, q)
        q = checks.finite_array("X", q, ndim=2)
        out = np.empty((q.shape[0], *self.weights_.shape[1:]))
        for rows in row_blocks(q.shape[0], self.points_.shape[0]):
            out[rows] = self.kernel_(q[rows], self.points_) @ self.weights_
        return out


@dataclass(frozen=True, eq=False)
class NestedCurve:
    """Predictions of one kernel from growing leading parts of one training set.

    Attributes
    ----------
    size : array of int64, shape (n_sizes,)
    prediction : array of float64, shape (n_sizes, n_test, n_outputs)
    variance : array of float64, shape (n_sizes,)
        Posterior variance, mean over test points: the expected squared error, over all targets drawn
        from the Gaussian process of this kernel. Noise in the test values is not included.
    jitter : float
        What rounding needed on the diagonal besides the ridge.
    """

    size: npt.NDArray[np.int64]
    prediction: FloatArray
    variance: FloatArray
    jitter: float

    __repr__ = short_repr


def nested_curve(
    kernel: Covariance,
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    test: npt.ArrayLike,
    sizes: npt.ArrayLike,
    ridge: float = 0.0,
) -> NestedCurve:
    """Predict the test points from the first n training points, for every n in sizes, exactly.

    With K = L L^T and V = L^-1 K(points, test), the prediction from the first n points is
    V[:n]^T (L^-1 y)[:n] and the posterior variance k(x, x) - sum(V[:n]^2): rows below n do not enter.
    So the whole curve costs one factorisation of the largest size.

    Parameters
    ----------
    kernel : Covariance
    points : array, shape (n, d)
    values : array, shape (n,) or (n, n_outputs)
    test : array, shape (m, d)
    sizes : array of int
        Rising, at most n.
    ridge : float

    Returns
    -------
    NestedCurve
        n^3 / 3 + n^2 m multiplications and additions, 8 n (n + m) bytes, n the largest size.

    Raises
    ------
    ValueError
        For no test points or other columns, sizes that do not rise or have too few points, equal points
        of different values with next to no ridge, and a kernel matrix that no jitter mends.
    ResourceError
        If 8 n (n + m) bytes are not available.
    """
    from scipy.linalg import solve_triangular

    x, y = _checked(points, values)
    q = checks.finite_array("test", test, ndim=2)
    if q.shape[1] != x.shape[1]:
        raise ValueError(f"test points have {q.shape[1]} columns; training points {x.shape[1]}.")
    if q.shape[0] == 0:
        raise ValueError("there are no test points.")
    size = checks.integer_array("sizes", sizes)
    if size.ndim != 1 or not size.size or size[0] < 1 or np.any(np.diff(size) <= 0):
        raise ValueError("sizes must be positive and rise strictly.")
    if size[-1] > x.shape[0]:
        raise ValueError(f"sizes up to {size[-1]} need as many points; got {x.shape[0]}.")
    n = int(size[-1])
    x, y = x[:n], y.reshape(y.shape[0], -1)[:n]
    _refuse_contradictions(kernel, x, y, checks.real("ridge", ridge, minimum=0.0))
    checks.memory(
        8.0 * n * (n + q.shape[0]), f"the kernel of {n} points", "Use fewer training points."
    )
    factor, jitter = cholesky(kernel, x, ridge)
    cross = np.empty((n, q.shape[0]), order="F")
    for rows in row_blocks(n, q.shape[0]):
        cross[rows] = kernel(x[rows], q)
    v = solve_triangular(factor, cross, lower=True, overwrite_b=True, check_finite=False)
    w = solve_triangular(factor, y, lower=True, check_finite=False)
    prediction = np.zeros((size.size, q.shape[0], y.shape[1]))
    variance = np.empty(size.size)
    left = float(kernel.diagonal(q).mean())
    total = np.zeros((q.shape[0], y.shape[1]))
    low = 0
    for i, high in enumerate(size):
        part = v[low:high]
        total = total + part.T @ w[low:high]
        left -= float(np.einsum("ij,ij->", part, part)) / q.shape[0]
        prediction[i], variance[i] = total, left
        low = int(high)
    return NestedCurve(size, prediction, np.maximum(variance, 0.0), jitter)


def _checked(
    points: npt.ArrayLike, values: npt.ArrayLike, first: str = "points", second: str = "values"
) -> tuple[FloatArray, FloatArray]:
    """Return points and values as float64; errors call them by the two names."""
    x = checks.finite_array(first, points, ndim=2)
    if x.shape[0] == 0 or x.shape[1] == 0:
        raise ValueError(f"{first} must have shape (n, d), neither 0; got {x.shape}.")
    return x, checks.target_values(second, values, x.shape[0])


def _refuse_contradictions(kernel: Covariance, x: FloatArray, y: FloatArray, ridge: float) -> None:
    """Refuse points that coincide but have different values where the ridge does not average them.

    Weights are the difference of their values over twice the ridge, and what rounding leaves of these
    would be the prediction.
    """
    least = LEAST_AVERAGING * float(kernel.diagonal(x).mean())
    if ridge >= least:
        return
    _, first, inverse = np.unique(x, axis=0, return_index=True, return_inverse=True)
    other = first[inverse.reshape(-1)]
    bad = np.any((y != y[other]).reshape(x.shape[0], -1), axis=1)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} point(s) coincide with another one of a different value, which nothing "
            f"can interpolate, and a ridge of {ridge:g} averages to rounding only. Give one of at least "
            f"{least:.2g}, or average their values first."
        )
