"""Gaussian random fields of chosen smoothness: the controlled teachers.

Learned by a kernel student at least as smooth, a field of smoothness nu on data of dimension D has
loss ~ n^(-2 nu / D): the approximation order c = 2 nu is chosen, not hoped for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.numerics.copies import copy_number
from percolaw.numerics.covariance import Matern, cholesky
from percolaw.numerics.matern import matern
from percolaw.rng import RandomLike, as_streams, normal_rows
from percolaw.short import short_repr
from percolaw.targets.teacher import Teacher, TeacherFamily, describe
from percolaw.words import changed

FloatArray = npt.NDArray[np.float64]
#: Rows: all of them, or some.
Index: TypeAlias = slice | npt.NDArray[np.int64]

#: Points up to which `MaternTeacher.on_points` factorises the covariance.
CHOLESKY_LIMIT = 8000
#: Points that a sum of waves is evaluated at together.
_BLOCK = 64
#: Root mean square error of a covariance beyond which a field is refused.
WORST_ERROR = 0.3


@dataclass(frozen=True, eq=False)
class Field:
    """A Gaussian field on given points.

    Attributes
    ----------
    value : array of float64, shape (n,) or (n, n_outputs)
    method : {"cholesky", "neighbors"}
    jitter : float
        Variance added to make the factorisation succeed (the field has variance 1).
    covariance_error : float
        Root mean square deviation of the covariance of `value` from the exact one; 0 for Cholesky,
        whose only error is the jitter.
    increment_error : float
        Mean relative deviation of the variance of increments to the nearest earlier point: below 0
        what is lost at the smallest scale, above 0 what is added.
    """

    value: FloatArray
    method: str
    jitter: float
    covariance_error: float
    increment_error: float

    __repr__ = short_repr


@dataclass(frozen=True)
class MaternTeacher(TeacherFamily):
    """Gaussian random field with Matérn covariance, variance 1.

    Parameters
    ----------
    smoothness : float
        nu in [0.001, 100]: 1/2 is rough (Brownian), 3/2 once differentiable; c = 2 nu.
    length_scale : float
        In units of sqrt(d), for inputs of `percolaw.standardized_inputs`.
    n_features : int
        Waves of the function `sample` draws.
    n_outputs : int
    """

    smoothness: float = 0.5
    length_scale: float = 1.0
    n_features: int = 4096
    n_outputs: int = 1

    def __post_init__(self) -> None:
        covariance = Matern(self.smoothness, self.length_scale)
        object.__setattr__(self, "smoothness", covariance.smoothness)
        object.__setattr__(self, "length_scale", covariance.length_scale)
        checks.set_integer(self, "n_features")
        checks.set_integer(self, "n_outputs")

    @property
    def word(self) -> str:
        number = np.format_float_positional(self.smoothness, trim="-")
        return f"Matérn {number}" + changed(self, "length_scale", "n_features")

    @property
    def approximation_order(self) -> float:
        return 2.0 * self.smoothness

    @property
    def covariance(self) -> Matern:
        """Covariance of the field."""
        return Matern(self.smoothness, self.length_scale)

    def sample(self, dim: int, rng: RandomLike = 0) -> Teacher:
        """Draw a function on all of R^dim as a sum of random waves. Stream ``target``.

        y = sqrt(2/m) sum_j a_j cos(k_j.x + phase_j), k_j from the field's spectrum (a multivariate t
        with 2 nu degrees of freedom), a_j ~ N(0, 1). Averaged over draws its covariance is exact;
        one draw deviates by about 1/sqrt(m) and has no scale below its shortest wave, so for
        exponents use `on_points`, which has neither limit.
        """
        d = checks.integer("dim", dim, minimum=1)
        m = self.n_features
        checks.memory(
            8.0 * m * (d + 2.0) * self.n_outputs,
            f"{m} waves in {d} dimensions",
            "Lower n_features.",
        )
        streams = as_streams(rng)
        parts = []
        for output in range(self.n_outputs):
            generator = streams.generator("target", output)
            waves, phases = self._waves(d, generator)
            parts.append((waves, phases, math.sqrt(2.0 / m) * generator.standard_normal(m)))

        description = describe("matern", self, d, streams)
        return Teacher(d, len(parts), description, partial(_sum_of_waves, parts))

    def _waves(self, d: int, generator: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Wave vectors (d, m) from the spectrum, a multivariate t, and uniform phases (m,)."""
        m, nu = self.n_features, self.covariance.smoothness
        waves = generator.standard_normal((d, m))
        chi = np.maximum(generator.chisquare(2.0 * nu, m), 1e-300)
        waves *= np.sqrt(2.0 * nu / (chi * d)) / self.length_scale
        return waves, generator.uniform(0.0, 2.0 * math.pi, m)

    def on_points(
        self,
        points: npt.ArrayLike,
        rng: RandomLike = 0,
        *,
        method: Literal["auto", "cholesky", "neighbors"] = "auto",
        n_neighbors: int = 40,
    ) -> Field:
        """Draw the field on given points. Stream ``target``, keyed by row.

        The first rows are the same for every number of points, to the last bit with ``neighbors``, to
        rounding with ``cholesky``.

        Parameters
        ----------
        points : array, shape (n, d)
            Standardised inputs; equal points have equal values.
        rng : int, Generator or Streams
        method : {"auto", "cholesky", "neighbors"}
            ``cholesky`` is exact: O(n^3) time, 8 n^2 bytes. ``neighbors`` draws each point given its
            n_neighbors nearest earlier ones (Vecchia 1988): O(n^2 d) for the search, O(n k^3) for the
            weights; points should come in random order. ``auto`` changes at 8000 points.
        n_neighbors : int
            Earlier points conditioned on.

        Returns
        -------
        Field
            With its error against the exact covariance, of ``neighbors`` measured on 16 rows.

        Raises
        ------
        ValueError
            For points of another shape, a covariance that no jitter mends (``cholesky``), and a field
            whose covariance is more than `WORST_ERROR` from the exact one (``neighbors``).
        ResourceError
            If the covariance or the neighbours do not fit in memory.
        """
        x = checks.finite_array("points", points, ndim=2)
        if x.shape[0] == 0 or x.shape[1] == 0:
            raise ValueError(f"points must have shape (n, d), neither 0; got {x.shape}.")
        checks.choice("method", method, ("auto", "cholesky", "neighbors"))
        streams = as_streams(rng)
        n = x.shape[0]
        checks.memory(8.0 * n * self.n_outputs, f"a field on {n} points", "Use fewer points.")
        noise = np.empty((n, self.n_outputs))
        normal_rows(streams, "target", noise)
        rows, back = _distinct(x)
        x, noise = x[rows], noise[rows]
        if method == "cholesky" or (method == "auto" and x.shape[0] <= CHOLESKY_LIMIT):
            factor, jitter = cholesky(self.covariance, x)
            field = Field(_lower_times(factor, noise), "cholesky", jitter, 0.0, 0.0)
        else:
            field = _by_neighbors(self.covariance, x, noise, n_neighbors)
        value = field.value[back]
        return replace(field, value=value[:, 0] if self.n_outputs == 1 else value)


def _distinct(x: FloatArray) -> tuple[Index, Index]:
    """First rows of distinct points in their order, and for every row the place of its point in them."""
    if not copy_number(x).any():
        return slice(None), slice(None)
    _, first, back = np.unique(x, axis=0, return_index=True, return_inverse=True)
    rows = np.sort(first)
    return rows, np.searchsorted(rows, first[back.reshape(-1)])


def _lower_times(factor: FloatArray, noise: FloatArray) -> FloatArray:
    from scipy.linalg import blas

    return np.asarray(blas.dtrmm(1.0, factor, noise, lower=1))


def _by_neighbors(kernel: Matern, x: FloatArray, noise: FloatArray, k: int) -> Field:
    from percolaw.kernels import covariance as kernels

    n, k = x.shape[0], checks.integer("n_neighbors", k, minimum=1)
    checks.memory(24.0 * n * k, f"neighbours of {n} points", "Use fewer points or neighbours.")
    neighbor = earlier_neighbors(x, k)
    count = (neighbor >= 0).sum(axis=1)
    weight, deviation = np.zeros((n, k)), np.empty(n)
    rows = max(1, (1 << 22) // (k * max(k, x.shape[1])))
    for low in range(0, n, rows):
        part = slice(low, min(low + rows, n))
        near = x[np.maximum(neighbor[part], 0)]
        gap = near - x[part, None, :]
        covariance = _values(kernel, np.einsum("ijk,ijk->ij", gap, gap), x.shape[1])
        square = np.einsum("ijk,ijk->ij", gap, gap)
        between = square[:, :, None] + square[:, None, :] - 2.0 * gap @ gap.transpose(0, 2, 1)
        matrix = _values(kernel, np.maximum(between, 0.0), x.shape[1])
        matrix[:, np.arange(k), np.arange(k)] = 1.0
        variance = np.ones(gap.shape[0])
        kernels.conditional_weights(
            count[part], variance, matrix, covariance, weight[part], deviation[part]
        )
    value = noise * deviation[:, None]
    kernels.conditional_forward(neighbor, weight, value)
    errors = _field_errors(kernel, x, neighbor, weight, deviation)
    if not errors[0] <= WORST_ERROR:
        raise ValueError(
            f"the field drawn from {k} neighbours has a covariance {errors[0]:.1g} away from the exact "
            f"one: smoothness {kernel.smoothness:g} leaves these {n} points too dependent for it. Use "
            "method='cholesky', more neighbours, or the waves of `sample`."
        )
    return Field(value, "neighbors", 0.0, *errors)


def _values(kernel: Matern, square: FloatArray, dim: int) -> FloatArray:
    scale = math.sqrt(2.0 * kernel.smoothness / dim) / kernel.length_scale
    return matern(np.ascontiguousarray(np.sqrt(square) * scale), kernel.smoothness)


def earlier_neighbors(x: FloatArray, k: int) -> npt.NDArray[np.int64]:
    """Return the k nearest earlier rows of every row, nearest first, -1 where there are fewer.

    Parameters
    ----------
    x : array of float64, shape (n, d)
    k : int

    Returns
    -------
    array of int64, shape (n, k)
    """
    from percolaw.numerics.neighbors import nearest_neighbors

    n = x.shape[0]
    neighbor = np.full((n, k), -1, dtype=np.int64)
    low = 1
    while low < n:
        high = min(n, max(low + 2 * k, low + low // 8))
        ask = min(high, k + max(8, k // 2))
        rows = np.arange(low, high)
        while rows.size:
            _, index = nearest_neighbors(x[:high], x[rows], ask)
            earlier = index < rows[:, None]
            enough = (earlier.sum(axis=1) >= np.minimum(k, rows)) | (ask == high)
            order = np.argsort(~earlier, axis=1, kind="stable")[:, :k]
            best = np.take_along_axis(index, order, axis=1)
            best[~np.take_along_axis(earlier, order, axis=1)] = -1
            neighbor[rows[enough], : best.shape[1]] = best[enough]
            rows, ask = rows[~enough], min(high, 2 * ask)
        low = high
    return neighbor


def _field_errors(
    kernel: Matern,
    x: FloatArray,
    neighbor: npt.NDArray[np.int64],
    weight: FloatArray,
    deviation: FloatArray,
) -> tuple[float, float]:
    """Covariance of the field as drawn against the exact one, from 16 columns and their nearest."""
    from percolaw.kernels import covariance as kernels

    n = x.shape[0]
    probes = np.unique(np.linspace(1, n - 1, 16).astype(np.int64)) if n > 1 else np.zeros(1, int)
    nearest = np.maximum(neighbor[probes, 0], 0)
    columns = np.zeros((n, 2 * probes.size))
    columns[probes, np.arange(probes.size)] = 1.0
    columns[nearest, probes.size + np.arange(probes.size)] = 1.0
    kernels.conditional_backward(neighbor, weight, columns)
    columns *= deviation[:, None] ** 2
    kernels.conditional_forward(neighbor, weight, columns)
    first, second = columns[:, : probes.size], columns[:, probes.size :]
    exact = kernel(x, x[probes])
    exact[probes, np.arange(probes.size)] = 1.0
    error = float(np.sqrt(np.mean((first - exact) ** 2)))
    place = np.arange(probes.size)
    increment = first[probes, place] - 2.0 * first[nearest, place] + second[nearest, place]
    wanted = 2.0 * (1.0 - exact[nearest, place])
    usable = wanted > 0.0
    return error, float(np.mean(increment[usable] / wanted[usable])) - 1.0 if usable.any() else 0.0


def _sum_of_waves(
    parts: list[tuple[FloatArray, FloatArray, FloatArray]], x: FloatArray
) -> FloatArray:
    # In blocks that a cache holds. None has a single row: NumPy sums one in another order.
    values = np.empty((x.shape[0], len(parts)))
    starts = range(0, max(1, x.shape[0] - 1), _BLOCK)
    for low, high in zip(starts, [*starts[1:], x.shape[0]], strict=True):
        for j, (waves, phases, a) in enumerate(parts):
            angle = x[low:high] @ waves
            angle += phases
            values[low:high, j] = np.cos(angle, out=angle) @ a
    return values
