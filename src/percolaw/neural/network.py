"""What a network is to the rest of this package: named parameters and a forward pass.

Every parameter and every activation has a leading axis of students, so that one tensor program trains
many networks of one shape. A student's weights are drawn from its own seed, so it is the same alone or
among others. `percolaw.neural.mlp` and `percolaw.neural.transformer` are the networks
that come with the package; docs/extend.md shows how to write another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.dropout import drop_units
from percolaw.rng import Streams

#: A torch.Tensor; torch is an extra and is imported where it is used.
Tensor: TypeAlias = Any
Weights: TypeAlias = dict[str, Tensor]
Parametrization: TypeAlias = Literal["standard", "mup"]
Role: TypeAlias = Literal["input", "hidden", "output", "fixed"]

#: Numbers in the activations of one layer that an evaluation holds at a time.
ACTIVATIONS_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Parameter:
    """How one parameter tensor starts and how fast it learns.

    Attributes
    ----------
    shape : tuple of int
        Without the axis of students.
    scale : float
        Standard deviation at the start; 0 for biases.
    role : {"input", "hidden", "output", "fixed"}
        What it connects, of which muP makes its learning rate: ``input`` a fixed number of units to
        `width` of them (and biases of hidden layers), ``output`` the reverse, ``fixed`` neither.
    mean : float
        Mean at the start; 1 for the gains of norms.
    """

    shape: tuple[int, ...]
    scale: float
    role: Role
    mean: float = 0.0

    @property
    def size(self) -> int:
        """Numbers in it."""
        return math.prod(self.shape)


@dataclass
class ForwardPass:
    """Options of one forward pass: its dropout, and where to put the activations if they are wanted.

    Attributes
    ----------
    dropout : float
        Share of units set to 0; 0 where nothing is trained.
    seeds : tensor of int64, shape (students,), optional
        With `step` the key of each student's dropout masks.
    step : int or tensor of int64, shape ()
        Step of training.
    layers : dict of str to tensor, optional
        Filled with activations (students, batch, width) by name, in the order of the network.
    """

    dropout: float = 0.0
    seeds: Tensor = None
    step: Any = 0
    layers: dict[str, Tensor] | None = None
    _places: int = 0

    def keep(self, name: str, x: Tensor) -> None:
        """Record activations if they were asked for.

        Parameters
        ----------
        name : str
        x : tensor, shape (students, batch, width)
        """
        if self.layers is not None:
            self.layers[name] = x

    def drop(self, x: Tensor) -> Tensor:
        """Apply dropout at the next place in the network that has it."""
        if not self.dropout:
            return x
        self._places += 1
        return drop_units(x, self.dropout, self.seeds, self.step, self._places)


class Network(Protocol):
    """A family of networks of one shape; as inherited it takes points, and has no muP."""

    @property
    def takes_tokens(self) -> bool:
        """Whether inputs are token ids (n, length) in place of points (n, dim)."""
        return False

    @property
    def width_ratio(self) -> float:
        """Width over the width at which muP equals the standard parametrisation; 1 for standard."""
        return 1.0

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter.

        Parameters
        ----------
        dim : int
            Columns of the inputs.
        n_outputs : int

        Returns
        -------
        dict of str to Parameter
            In the order in which they stand in a row of weights.
        """
        ...

    def forward(self, weights: Weights, x: Tensor, run: ForwardPass) -> Tensor:
        """Return the outputs of all students.

        Parameters
        ----------
        weights : dict of str to tensor, shapes (students, *shape of the parameter)
        x : tensor, shape (students, batch, dim)
        run : ForwardPass

        Returns
        -------
        tensor, shape (students, batch, n_outputs)
        """
        ...

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return multiplications and additions in the matrix products of one point's forward pass."""
        ...

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return the part of `flops` that multiplies the inputs themselves."""
        ...


def n_parameters(network: Network, dim: int, n_outputs: int = 1) -> int:
    """Return the number of parameters of one student.

    Parameters
    ----------
    network : Network
    dim, n_outputs : int
        Columns of the inputs and of the outputs.

    Returns
    -------
    int

    Examples
    --------
    >>> from percolaw.neural.mlp import MLP
    >>> n_parameters(MLP(depth=1, width=10), dim=3)
    51
    """
    return sum(p.size for p in network.parameters(dim, n_outputs).values())


def training_flops(network: Network, dim: int, n_outputs: int = 1) -> int:
    """Return multiplications and additions in the matrix products of a training step, for one point.

    The backward pass costs twice the forward pass, less the gradient by the inputs, which is not taken.

    Parameters
    ----------
    network : Network
    dim, n_outputs : int
        Columns of the inputs and of the outputs.

    Returns
    -------
    int
    """
    return 3 * network.flops(dim, n_outputs) - network.input_flops(dim, n_outputs)


def initial_weights(
    network: Network, dim: int, n_outputs: int, seeds: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Draw the initial weights of students. Stream ``init``.

    A row depends on its seed alone. `unflatten` makes named tensors of the rows.

    Parameters
    ----------
    network : Network
    dim, n_outputs : int
    seeds : sequence of int
        One for each student.

    Returns
    -------
    array of float64, shape (students, n_parameters)
    """
    rows = np.empty((len(seeds), n_parameters(network, dim, n_outputs)))
    for row, seed in zip(rows, seeds, strict=True):
        low = 0
        for item, p in enumerate(network.parameters(dim, n_outputs).values()):
            values = row[low : low + p.size]
            values[:] = p.mean
            if p.scale:
                generator = Streams(seed).generator("init", item)
                values += p.scale * generator.standard_normal(p.size)
            low += p.size
    return rows


def unflatten(network: Network, dim: int, n_outputs: int, rows: Any) -> Weights:
    """Return rows of weights as named tensors that share their memory.

    Parameters
    ----------
    network : Network
    dim, n_outputs : int
    rows : tensor or array, shape (students, n_parameters)

    Returns
    -------
    dict of str to tensor or array, shapes (students, *shape of the parameter)
    """
    weights, low = {}, 0
    for name, p in network.parameters(dim, n_outputs).items():
        weights[name] = rows[:, low : low + p.size].reshape(rows.shape[0], *p.shape)
        low += p.size
    return weights


def rate_factor(network: Network, role: Role, optimizer: Literal["adamw", "sgd"]) -> float:
    """Return the factor on the learning rate of a parameter (Yang et al. 2022, table 3).

    With r the width ratio: AdamW 1, 1/r, 1/r for input, hidden and output; plain gradient descent r, 1,
    1/r. Students are trained by AdamW; the factors of gradient descent are those of its tangent kernel.

    Parameters
    ----------
    network : Network
    role : {"input", "hidden", "output", "fixed"}
    optimizer : {"adamw", "sgd"}

    Returns
    -------
    float
    """
    r = network.width_ratio
    if optimizer == "sgd":
        return {"input": r, "hidden": 1.0, "output": 1.0 / r, "fixed": 1.0}[role]
    return {"input": 1.0, "hidden": 1.0 / r, "output": 1.0 / r, "fixed": 1.0}[role]


def evaluation_rows(network: Network, dim: int, n_outputs: int, students: int) -> int:
    """Return how many points of each student are evaluated at a time, by `ACTIVATIONS_AT_ONCE`.

    Parameters
    ----------
    network : Network
    dim, n_outputs, students : int

    Returns
    -------
    int
        At least 1.
    """
    widest = max(p.shape[-1] for p in network.parameters(dim, n_outputs).values())
    return max(1, ACTIVATIONS_AT_ONCE // (students * (widest + dim)))


def affine(weights: Weights, layer: int, x: Tensor) -> Tensor:
    """Return x W + b of a layer, for all students.

    Parameters
    ----------
    weights : dict
        With ``weight LAYER`` (students, a, b) and ``bias LAYER`` (students, b).
    layer : int
    x : tensor, shape (students, batch, a)

    Returns
    -------
    tensor, shape (students, batch, b)
    """
    import torch

    return torch.baddbmm(weights[f"bias {layer}"].unsqueeze(1), x, weights[f"weight {layer}"])


def checked_inputs(network: Network, points: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return points as finite floats, or token ids below the vocabulary as int64.

    Parameters
    ----------
    network : Network
    points : array

    Returns
    -------
    array of float32, float64 or int64, of the same shape

    Raises
    ------
    TypeError
        For token ids that are no integers.
    ValueError
        For numbers that are not finite, and ids outside of the vocabulary.
    """
    if not network.takes_tokens:
        array = np.ascontiguousarray(checks.array("points", points))
        if array.dtype == np.float32 and bool(np.isfinite(array).all()):
            return array
        return checks.finite_array("points", array)
    ids = checks.array("points", points)
    vocabulary = getattr(network, "vocabulary", None)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"this network takes integer token ids; got dtype {ids.dtype}.")
    if ids.size and vocabulary is not None and not 0 <= ids.min() <= ids.max() < vocabulary:
        raise ValueError(
            f"token ids must lie in [0, {vocabulary - 1}]; got {ids.min()} to {ids.max()}. Raise "
            "the network's vocabulary."
        )
    return ids.astype(np.int64)
