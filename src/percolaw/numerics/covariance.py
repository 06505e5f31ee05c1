"""Covariance functions of points: the laws of random teachers and the kernels of kernel students.

Inputs are in the convention of `percolaw.targets.teacher.standardized_inputs`: coordinates vary by
about 1, so distances grow as sqrt(d). Length scales are therefore in units of sqrt(d): the scaled
distance is r / (length_scale sqrt(d)).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.numerics.distances import matrix_inputs, squared_distances, squared_norms
from percolaw.numerics.matern import matern

FloatArray = npt.NDArray[np.float64]
#: How a network kernel T is made of the covariances K of its layers: T_1 = w_0 K_1 + w_1,
#: T_(l+1) = (s_w^2/2) k_0 T_l + w_2 K_(l+1) + w_1, and at the output w_3 k_0 T + w_4 K + w_5.
Weights: TypeAlias = tuple[float, float, float, float, float, float]

#: Elements of one block of a covariance matrix: temporaries stay in the cache.
BLOCK_ELEMENTS = 1 << 17
#: Added to the mean variance where rounding makes a covariance indefinite, smallest first.
JITTERS = (0.0, 1e-14, 1e-12, 1e-10, 1e-8)
#: Most layers.
DEEPEST = 10_000
#: Largest length scale or rate, scale of weights or biases, and variance of a layer.
LARGEST, LARGEST_SCALE, LARGEST_VARIANCE = 1e100, 1e50, 1e100


class Covariance(Protocol):
    """A positive definite function of pairs of points."""

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the matrix of x (n, d) against y (m, d): shape (n, m)."""
        ...

    def diagonal(self, x: FloatArray) -> FloatArray:
        """Return the covariance of every point with itself, exactly: shape (n,)."""
        ...


@dataclass(frozen=True)
class Matern:
    """2^(1-nu)/Gamma(nu) s^nu K_nu(s) with s = sqrt(2 nu) r / (length_scale sqrt(d)).

    Parameters
    ----------
    smoothness : float
        nu in [0.001, 100]: sample paths have nu derivatives in the mean square. 1/2, 3/2 and 5/2 are
        closed forms, others a table with error below 1e-12.
    length_scale : float
        In units of sqrt(d).
    """

    smoothness: float = 0.5
    length_scale: float = 1.0

    def __post_init__(self) -> None:
        checks.set_real(self, "smoothness", minimum=1e-3, maximum=100.0)
        checks.set_real(self, "length_scale", minimum=1e-12, maximum=LARGEST)

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the matrix of x against y."""
        square = squared_distances(x, y)
        s = np.sqrt(square, out=square)
        s *= math.sqrt(2.0 * self.smoothness / np.shape(x)[1]) / self.length_scale
        return matern(s, self.smoothness)

    def diagonal(self, x: FloatArray) -> FloatArray:
        """Return ones."""
        return np.ones(x.shape[0])


@dataclass(frozen=True)
class Linear:
    """x.y / d: the law of random linear functions, `percolaw.LinearTeacher`."""

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the matrix of x against y."""
        return np.asarray(x @ y.T / x.shape[1])

    def diagonal(self, x: FloatArray) -> FloatArray:
        """Return squared norms over d."""
        return squared_norms(x) / x.shape[1]


@dataclass(frozen=True)
class Gaussian:
    """exp(-r^2 / (2 length_scale^2 d)): the limit of Matérn for infinite smoothness.

    Parameters
    ----------
    length_scale : float
        In units of sqrt(d).
    """

    length_scale: float = 1.0

    def __post_init__(self) -> None:
        checks.set_real(self, "length_scale", minimum=1e-12, maximum=LARGEST)

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the matrix of x against y."""
        square = squared_distances(x, y)
        with np.errstate(over="ignore"):
            square *= -0.5 / (self.length_scale**2 * np.shape(x)[1])
        return np.asarray(np.exp(square, out=square))

    def diagonal(self, x: FloatArray) -> FloatArray:
        """Return ones."""
        return np.ones(x.shape[0])


@dataclass(frozen=True)
class NetworkGaussianProcess:
    """Covariance of an infinitely wide random ReLU network's output (NNGP).

    K_1 = s_b^2 + s_w^2 x.y/d; K_(l+1) = s_b^2 + (s_w^2 / 2) sqrt(K_xx K_yy) k_1(angle) with the
    arc-cosine function k_1 (Cho and Saul 2009; Lee et al. 2018). The law of
    `percolaw.targets.relu.ReluTeacher` as its width grows.

    Parameters
    ----------
    depth : int
        Hidden layers, at least 1.
    weight_scale, bias_scale : float
        Weights are N(0, weight_scale^2 / fan_in), biases N(0, bias_scale^2).
    """

    depth: int = 2
    weight_scale: float = math.sqrt(2.0)
    bias_scale: float = 1.0

    def __post_init__(self) -> None:
        _checked_network(self)

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the matrix of x against y."""
        return _network(self, x, y, (0.0, 0.0, 0.0, 0.0, 1.0, 0.0))

    def diagonal(self, x: FloatArray) -> FloatArray:
        """Return the variance of the output at each point."""
        return _network_diagonal(self, x, (0.0, 0.0, 0.0, 0.0, 1.0, 0.0))


@dataclass(frozen=True)
class NeuralTangent:
    """Tangent kernel of an infinitely wide ReLU network in the NTK parametrisation, biases trained.

    T_1 = K_1; T_(l+1) = K_(l+1) + (s_w^2 / 2) k_0(angle) T_l (Jacot et al. 2018), in the
    parametrisation in which weights are s_w w / sqrt(fan_in) and biases s_b b with w, b ~ N(0, 1).
    `percolaw.neural.mlp.MLP` has another parametrisation and another limit:
    `percolaw.neural.limit.tangent_limit`.

    Parameters
    ----------
    depth, weight_scale, bias_scale
        As in `NetworkGaussianProcess`.
    """

    depth: int = 2
    weight_scale: float = math.sqrt(2.0)
    bias_scale: float = 1.0

    def __post_init__(self) -> None:
        _checked_network(self)

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the matrix of x against y."""
        return _network(self, x, y, self._weight())

    def diagonal(self, x: FloatArray) -> FloatArray:
        """Return the squared norm of the output's gradient at each point."""
        return _network_diagonal(self, x, self._weight())

    def _weight(self) -> Weights:
        return (1.0, 0.0, 1.0, 0.5 * self.weight_scale**2, 1.0, 0.0)


@dataclass(frozen=True)
class LayerTangent:
    """Tangent kernel of an infinitely wide ReLU network whose layers learn at different rates.

    Weights start at N(0, 2 / fan_in), those of the output at N(0, 1 / fan_in), biases at 0. With
    K_1 = 2 x.y / d, S_l = K_(l+1) / 2 = sqrt(K_xx K_yy) k_1(angle_l) / 2 and
    D_l = k_0(angle_l) ... k_0(angle_(depth - 1)) k_0(angle_depth) / 2 it is

        output_weights S_depth + hidden_weights sum_(l = 2..depth) S_(l-1) D_l
        + input_weights x.y D_1 + biases sum_(l = 1..depth) D_l + output_bias.

    Parameters
    ----------
    depth : int
        Hidden layers, at least 1.
    output_weights, hidden_weights, input_weights, biases, output_bias : float
        Rate of every role times the number of its units that add up; 0 for what is not trained. With
        both bias terms 0 the kernel is homogeneous: K(a x, b y) = a b K(x, y) for a, b > 0.

    Notes
    -----
    Derived in docs/neural.md, "Which kernel is whose limit". Cost as `NeuralTangent`.
    """

    depth: int = 2
    output_weights: float = 1.0
    hidden_weights: float = 1.0
    input_weights: float = 0.0
    biases: float = 0.0
    output_bias: float = 0.0
    weight_scale: ClassVar[float] = math.sqrt(2.0)
    bias_scale: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        checks.set_integer(self, "depth", maximum=DEEPEST)
        names = ("output_weights", "hidden_weights", "input_weights", "biases", "output_bias")
        for name in names:
            checks.set_real(self, name, minimum=0.0, maximum=LARGEST)
        if not any(getattr(self, name) for name in names):
            raise ValueError("a network of which nothing learns has no kernel; all rates are 0.")

    def __call__(self, x: FloatArray, y: FloatArray) -> FloatArray:
        """Return the matrix of x against y."""
        return _network(self, x, y, self._weight(x.shape[1]))

    def diagonal(self, x: FloatArray) -> FloatArray:
        """Return the squared norm of the output's gradient, weighted by the rates, at each point."""
        return _network_diagonal(self, x, self._weight(x.shape[1]))

    def _weight(self, dim: int) -> Weights:
        return (
            0.5 * dim * self.input_weights,
            self.biases,
            0.5 * self.hidden_weights,
            0.5,
            0.5 * self.output_weights,
            self.output_bias,
        )


def gram(kernel: Covariance, x: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Return the lower triangle of kernel(x, x), with its exact diagonal, block by block.

    Parameters
    ----------
    kernel : Covariance
    x : array of float64, shape (n, d)
    out : array of float64, shape (n, n), Fortran order, optional

    Returns
    -------
    array of float64, shape (n, n), Fortran order
        Above the diagonal of the blocks it holds zeros or whatever `out` held.
    """
    n, low = x.shape[0], 0
    matrix = np.zeros((n, n), order="F") if out is None else out
    transposed = matrix.T  # C order: row i of it is column i of the matrix
    while low < n:
        high = min(n, low + max(1, BLOCK_ELEMENTS // (n - low)))
        transposed[low:high, low:] = kernel(x[low:high], x[low:])
        low = high
    matrix[np.diag_indices(n)] = kernel.diagonal(x)
    return matrix


def cholesky(kernel: Covariance, x: FloatArray, ridge: float = 0.0) -> tuple[FloatArray, float]:
    """Return the lower Cholesky factor of kernel(x, x) + ridge I, and the jitter that rounding needed.

    Parameters
    ----------
    kernel : Covariance
    x : array of float64, shape (n, d)
    ridge : float
        Added to the diagonal, in the unit of the kernel.

    Returns
    -------
    factor : array of float64, shape (n, n), Fortran order
        Zero above the diagonal.
    jitter : float
        Least of `JITTERS`, times the mean variance, with which LAPACK's blocked factorisation works;
        already added.

    Raises
    ------
    ResourceError
        If 8 n^2 bytes are not available.
    ValueError
        If the matrix is singular beyond the largest jitter.

    Notes
    -----
    n^3 / 3 multiplications and additions, 8 n^2 bytes.
    """
    from scipy.linalg import lapack

    n = x.shape[0]
    checks.memory(8.0 * n * n, f"the covariance of {n} points", "Use fewer points.")
    matrix = np.zeros((n, n), order="F")
    mean = float(kernel.diagonal(x).mean())
    for jitter in JITTERS:
        gram(kernel, x, matrix)
        matrix[np.diag_indices(n)] += ridge + jitter * mean
        matrix, info = lapack.dpotrf(matrix, lower=1, clean=1, overwrite_a=1)
        if info == 0:
            return matrix, jitter * mean
    raise ValueError(
        f"the covariance of these {n} points is singular beyond a jitter of {JITTERS[-1]:g}. Remove "
        "duplicate points, add a ridge, or use a shorter length scale or less smoothness."
    )


def row_blocks(n_rows: int, n_columns: int) -> list[slice]:
    """Return slices of rows whose blocks of a covariance matrix stay in the cache.

    Parameters
    ----------
    n_rows, n_columns : int
        Shape of the matrix.

    Returns
    -------
    list of slice
    """
    rows = max(1, BLOCK_ELEMENTS // max(1, n_columns))
    return [slice(low, min(low + rows, n_rows)) for low in range(0, n_rows, rows)]


def _checked_network(kernel: Any) -> None:
    checks.set_integer(kernel, "depth", maximum=DEEPEST)
    checks.set_real(kernel, "weight_scale", minimum=1e-12, maximum=LARGEST_SCALE)
    checks.set_real(kernel, "bias_scale", minimum=0.0, maximum=LARGEST_SCALE)


def _checked_variance(k: FloatArray) -> FloatArray:
    """Return the variances of a layer, or refuse those of which products leave float64."""
    if not (most := float(np.max(k, initial=0.0))) <= LARGEST_VARIANCE:
        raise ValueError(
            f"a layer's variance is {most:.3g}; {LARGEST_VARIANCE:g} is the most. Scale the inputs "
            "(percolaw.standardized_inputs), or lower weight_scale, bias_scale, depth or rates."
        )
    return k


def _network_diagonal(kernel: Any, x: FloatArray, weight: Weights) -> FloatArray:
    w2, b2 = kernel.weight_scale**2, kernel.bias_scale**2
    first, itself, hidden, back, output, itself_output = weight
    with np.errstate(over="ignore"):
        k = _checked_variance(b2 + w2 / x.shape[1] * squared_norms(x))
    t = first * k + itself
    for layer in range(kernel.depth):
        k = _checked_variance(b2 + 0.5 * w2 * k)
        last = layer == kernel.depth - 1
        t = back * t + output * k + itself_output if last else 0.5 * w2 * t + hidden * k + itself
    return np.asarray(t)


def _network(kernel: Any, x: FloatArray, y: FloatArray, weight: Weights) -> FloatArray:
    from percolaw.kernels import covariance as kernels

    x, y = matrix_inputs(x, y)
    (u, radius_u), (v, radius_v) = (_directions(kernel, points) for points in (x, y))
    value = u @ v.T
    gain, bias = 0.5 * kernel.weight_scale**2, kernel.bias_scale**2
    kernels.network(u, v, radius_u, radius_v, gain, bias, weight, value)
    return np.asarray(value)


def _directions(kernel: Any, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unit vectors whose product is the first layer's correlation, and every layer's deviation."""
    w2, b2 = kernel.weight_scale**2, kernel.bias_scale**2
    a = np.empty((x.shape[0], x.shape[1] + 1))
    a[:, :-1], a[:, -1] = math.sqrt(w2 / x.shape[1]) * x, kernel.bias_scale
    k = squared_norms(a)
    radius = np.empty((kernel.depth + 1, x.shape[0]))
    for layer in range(kernel.depth + 1):
        radius[layer] = np.sqrt(_checked_variance(k))
        k = b2 + 0.5 * w2 * k
    return a / np.where(radius[0] > 0.0, radius[0], 1.0)[:, None], radius
