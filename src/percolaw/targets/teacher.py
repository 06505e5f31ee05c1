"""What a target on points is: `TeacherFamily`, a law of functions, and `Teacher`, one of them.

A teacher is called with points, and has a description that can be stored and from which it is made again.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.numerics.covariance import Covariance
from percolaw.rng import RandomLike, Streams
from percolaw.words import Worded

Function = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False, repr=False)
class Teacher:
    """A function on R^d, drawn once.

    Attributes
    ----------
    dim : int
        Dimension of its inputs.
    n_outputs : int
    description : dict
        Family, parameters, dim, seed and path as plain values;
        `percolaw.targets.families.from_description` makes the same function again.
    function : callable
        Maps (n, d) float64 to (n, n_outputs) float64. If it is a function of a module (not one inside
        of another function), or `functools.partial` of one, the teacher can be pickled.
    """

    dim: int
    n_outputs: int
    description: dict[str, Any]
    function: Function

    def __repr__(self) -> str:
        family, seed = self.description.get("family", "teacher"), self.description.get("seed")
        return f"Teacher({family}, R^{self.dim} to R^{self.n_outputs}, seed {seed})"

    def __call__(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return values at points (n, d): shape (n,), or (n, n_outputs) for several outputs.

        Evaluated in blocks of rows, so that memory stays bounded.
        """
        x = checks.array("points", points)
        if x.ndim != 2 or x.shape[1] != self.dim:
            raise ValueError(
                f"this teacher takes points of shape (n, {self.dim}); got {x.shape}. "
                "Sample it with the dimension of your data."
            )
        out = np.empty((x.shape[0], self.n_outputs))
        for low in range(0, x.shape[0], 8192):
            block = checks.finite_array("points", x[low : low + 8192])
            out[low : low + 8192] = self.evaluate(block)
        return out[:, 0] if self.n_outputs == 1 else out

    def evaluate(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return values (n, n_outputs) at points (n, dim), what the function gives being checked.

        It is given a copy, so that it may write into its argument.
        """
        what = f"the {self.description.get('family', 'teacher')} function's result"
        value = self.function(points.copy(order="K"))
        return checks.returned(what, value, (points.shape[0], self.n_outputs))


class TeacherFamily(Worded):
    """A law of random functions on R^d: `sample` draws one."""

    @property
    @abstractmethod
    def approximation_order(self) -> float:
        """c: the loss of a learner that can use all of the smoothness falls like n^(-c/D).

        Infinite for analytic functions, NaN if no power is known. A learner that stops at some order,
        as nearest neighbours do at 2, has the smaller of both.
        """

    @property
    def covariance(self) -> Covariance | None:
        """Covariance of the functions, up to a factor, where it is known; their mean is 0."""
        return None

    @abstractmethod
    def sample(self, dim: int, rng: RandomLike = 0) -> Teacher:
        """Return a function on R^dim, fixed by the seed."""


def describe(family: str, parameters: Any, dim: int, streams: Streams) -> dict[str, Any]:
    """Return the description of a teacher: plain values that make it again.

    Parameters
    ----------
    family : str
        Its name.
    parameters : Any
        Its parameters.
    dim : int
        Input dimension.
    streams : Streams
        Draws the teacher.

    Returns
    -------
    dict
    """
    return {
        "family": family,
        "parameters": asdict(parameters),
        "dim": dim,
        "seed": streams.seed,
        "path": list(streams.path),
    }


def standardized_inputs(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return points shifted to mean 0 and scaled by one factor to mean squared norm d.

    The rule for inputs of all teachers here: coordinates then vary by about 1, and distances keep
    their proportions (no coordinate is stretched against another).

    Raises
    ------
    ValueError
        If all points coincide.
    """
    x = checks.finite_array("points", points, ndim=2)
    checks.memory(16.0 * x.size, f"two copies of {x.shape[0]} points", "Pass fewer points.")
    largest = float(np.max(np.abs(x), initial=0.0))
    if largest and not 1e-140 < largest < 1e140:  # their squares would leave float64
        x = np.ldexp(x, -math.frexp(largest)[1])
    centred = x - x.mean(axis=0)
    scale = float(np.sqrt(np.mean(centred**2)))
    if scale == 0.0:
        raise ValueError("all points coincide; there is nothing to standardise.")
    return np.asarray(centred / scale)
