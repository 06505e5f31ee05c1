"""A covariance whose values are known at given points only, as a kernel that learners take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tabulated:
    """A kernel by its matrix: points are their numbers in it, shape (n, 1).

    For kernels that are measured on all points at once, such as
    `percolaw.neural.tangent_kernel.initial_tangent`.

    Parameters
    ----------
    matrix : array of float64, shape (n, n)
        Symmetric and positive semidefinite; not copied.

    Raises
    ------
    ValueError
        If it is not square or not symmetric.

    Examples
    --------
    >>> from percolaw.learners.kernel import KernelRegression
    >>> kernel = Tabulated(np.array([[1.0, 0.5], [0.5, 1.0]]))
    >>> KernelRegression(kernel).fit([[0]], [2.0]).predict([[0], [1]]).tolist()
    [2.0, 1.0]
    """

    matrix: FloatArray

    __repr__ = short_repr

    def __post_init__(self) -> None:
        k = checks.finite_array("matrix", self.matrix, ndim=2)
        if k.shape[0] != k.shape[1]:
            raise ValueError(f"matrix must be square; got shape {k.shape}.")
        if not np.allclose(k, k.T, rtol=1e-9, atol=1e-9 * float(np.abs(k).max(initial=0.0))):
            raise ValueError("matrix must be symmetric; this one is not. Take (K + K.T) / 2.")
        object.__setattr__(self, "matrix", k)

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the entries of points x (n, 1) against y (m, 1)."""
        return self.matrix[np.ix_(self._rows(x), self._rows(y))]

    def diagonal(self, x: FloatArray) -> FloatArray:
        """Return the entry of every point with itself."""
        rows = self._rows(x)
        return np.asarray(self.matrix[rows, rows])

    def _rows(self, x: FloatArray) -> npt.NDArray[np.int64]:
        numbers = np.asarray(x)
        rows = numbers.reshape(-1).astype(np.int64)
        inside = numbers.ndim == 2 and numbers.shape[1] == 1 and np.all(rows == numbers[:, 0])
        if not inside or (rows.size and not 0 <= rows.min() <= rows.max() < len(self.matrix)):
            raise ValueError(
                f"points of a tabulated kernel are their numbers, shape (n, 1), in [0, "
                f"{len(self.matrix) - 1}]; got {numbers!r:.60}."
            )
        return rows
