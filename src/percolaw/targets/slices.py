"""Plane slices of functions on R^d: what a target or a learner looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams
from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Slice:
    """A square piece of a plane in R^d.

    Attributes
    ----------
    points : array of float64, shape (n_pixels^2, d)
        Row by row, from the lower left.
    axis : array of float64, shape (n_pixels,)
        Position along each side, in units of the coordinates.
    marks : array of float64, shape (k, 2)
        Data points through which the plane goes, in plane coordinates; none for the origin.
    """

    points: FloatArray
    axis: FloatArray
    marks: FloatArray

    __repr__ = short_repr

    def image(self, function: Callable[[Any], Any]) -> FloatArray:
        """Return values of a function (n, d) -> (n,) on the slice, shape (n_pixels, n_pixels).

        Pass a teacher, or the ``predict`` of a learner.

        Raises
        ------
        ValueError
            If the function returns another shape, NaN or infinity.
        """
        value = checks.float_array("what the function returned", function(self.points.copy()))
        value = value[:, 0] if value.shape[1:] == (1,) else value
        if value.shape != (self.points.shape[0],):
            raise ValueError(
                f"the function must return one number a point, shape ({self.points.shape[0]},); got "
                f"{value.shape}. Pick one output: lambda x: function(x)[:, 0]."
            )
        if not np.all(np.isfinite(value)):
            raise ValueError("the function returned NaN or infinity on the slice.")
        return value.reshape(self.axis.size, self.axis.size)


def origin_slice(
    dim: int, half_width: float = 1.0, n_pixels: int = 64, rng: RandomLike = 0
) -> Slice:
    """Return a random plane through the origin. Stream ``evaluation``.

    Parameters
    ----------
    dim : int
    half_width : float
        Half the side of the square.
    n_pixels : int
        Pixels a side.
    rng : int, Generator or Streams

    Returns
    -------
    Slice
    """
    d = checks.integer("dim", dim, minimum=2)
    width = checks.real("half_width", half_width, minimum=1e-300)
    basis = np.linalg.qr(as_streams(rng).generator("evaluation").standard_normal((d, 2)))[0]
    return _plane(np.zeros(d), basis.T, width, n_pixels, np.empty((0, 2)))


def data_slice(points: npt.ArrayLike, n_pixels: int = 64, margin: float = 0.25) -> Slice:
    """Return the plane through three data points, centred on their circumscribed square.

    Parameters
    ----------
    points : array, shape (3, d)
        Not on one line.
    n_pixels : int
        Pixels on a side.
    margin : float
        Room around them, as a share of the side.

    Returns
    -------
    Slice

    Raises
    ------
    ValueError
        If the points lie on one line.
    """
    x = checks.finite_array("points", points, ndim=2, length=3)
    checks.integer("dim", x.shape[1], minimum=2)
    first, second = x[1] - x[0], x[2] - x[0]
    e1 = first / max(float(np.linalg.norm(first)), 1e-300)
    rest = second - (second @ e1) * e1
    if np.linalg.norm(rest) <= 1e-9 * np.linalg.norm(second) or not first.any():
        raise ValueError("the three points lie on one line; choose others.")
    basis = np.stack([e1, rest / np.linalg.norm(rest)])
    marks = (x - x[0]) @ basis.T
    middle = 0.5 * (marks.min(axis=0) + marks.max(axis=0))
    room = checks.real("margin", margin, minimum=0.0)
    half = 0.5 * float(np.ptp(marks, axis=0).max()) * (1.0 + 2.0 * room)
    return _plane(x[0] + middle @ basis, basis, half, n_pixels, marks - middle)


def _plane(
    centre: FloatArray, basis: FloatArray, half: float, n_pixels: int, marks: FloatArray
) -> Slice:
    axis = np.linspace(-half, half, checks.integer("n_pixels", n_pixels, minimum=2))
    grid = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1).reshape(-1, 2)
    return Slice(centre + grid @ basis, axis, marks)
