"""One step of training: the losses and gradients of some students, and AdamW's update of their weights.

Gradients come from torch's autograd, or for plain ReLU networks from a backward pass written out here: it
allocates nothing and starts fewer kernels, and on a CPU a few students at a time go through all layers so
that their activations stay in the cache, about twice as fast. Autograd is its oracle in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from percolaw.neural.config import Training
from percolaw.neural.device import autocast
from percolaw.neural.losses import Loss
from percolaw.neural.mlp import MLP
from percolaw.neural.network import ForwardPass, Network, Tensor, Weights, rate_factor
from percolaw.neural.parity import ParityNetwork
from percolaw.neural.parity_gradient import ParityGradient

FloatArray = npt.NDArray[np.float64]

#: Bytes of activations, weights and gradients of the students that are worked on together.
CACHE = 1 << 24
#: Outputs below which a CPU takes products the other way round, which is up to eight times as fast.
FEW = 12
#: Added to AdamW's root mean square gradient.
EPSILON = 1e-8


@dataclass
class Minibatch:
    """Rows that some students learn from in one step.

    Attributes
    ----------
    x : tensor, shape (students, batch, dim)
    y : tensor, shape (students, batch, n_outputs)
    weight : tensor, shape (students, batch)
        Share of each row in the mean loss of its student.
    run : ForwardPass
        Options of the forward pass.
    """

    x: Tensor
    y: Tensor
    weight: Tensor
    run: ForwardPass


@dataclass
class AutogradGradient:
    """Gradients by torch's autograd, of any network."""

    network: Network
    loss: Loss
    dtype: str
    #: Whether weights must be leaves of autograd that require gradients.
    by_autograd: ClassVar[bool] = True

    def students_together(self, weights: Weights, batch_size: int) -> int | None:
        return None

    def __call__(
        self, weights: Weights, minibatch: Minibatch, into: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the losses and the gradients of their sum, as `Gradient` says."""
        import torch

        with autocast(self.dtype, minibatch.x.device.type):
            output = self.network.forward(weights, minibatch.x, minibatch.run)
        value = self.loss.value(output.to(minibatch.y.dtype), minibatch.y)
        loss = (value * minibatch.weight).sum(dim=1)
        gradients = torch.autograd.grad(loss.sum(), list(weights.values()))
        if into is None:
            return loss.detach(), gradients
        torch._foreach_copy_(list(into), gradients)
        return loss.detach(), into


@dataclass
class ReluGradient:
    """Gradients of ReLU networks by hand, in memory that is used again in every step.

    Attributes
    ----------
    depth : int
        Hidden layers.
    loss : Loss
    """

    depth: int
    loss: Loss
    by_autograd: ClassVar[bool] = False
    _memory: dict[tuple[Any, ...], Tensor] = field(default_factory=dict)

    def students_together(self, weights: Weights, batch_size: int) -> int | None:
        """Return how many students fit into the cache, at least 1."""
        numbers = sum(2 * w[0].numel() + batch_size * w.shape[-1] for w in weights.values())
        size = next(iter(weights.values())).element_size()
        return max(1, CACHE // (size * numbers))

    def __call__(
        self, weights: Weights, minibatch: Minibatch, into: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return losses and gradients as autograd does; the next call overwrites the gradients.

        Parameters
        ----------
        weights, minibatch, into
            As of `AutogradGradient`.
        """
        import torch

        h, hidden = minibatch.x, [minibatch.x]
        for layer in range(self.depth + 1):
            w, b = weights[f"weight {layer}"], weights[f"bias {layer}"]
            z = self._buffer("z", layer, (*h.shape[:2], w.shape[-1]), w)
            _add_product(b, h, w, z)
            h = z.relu_() if layer < self.depth else z
            hidden.append(h)
        value, g = self.loss.value_and_gradient(hidden.pop(), minibatch.y, minibatch.weight)
        loss = (value * minibatch.weight).sum(dim=1)
        gradients: list[Tensor] = []
        for layer in range(self.depth, -1, -1):
            w, b = weights[f"weight {layer}"], weights[f"bias {layer}"]
            h = hidden[layer]
            if into is None:
                to_bias = self._buffer("b", layer, b.shape, b)
                to_weight = self._buffer("w", layer, w.shape, w)
            else:
                to_weight, to_bias = into[2 * layer], into[2 * layer + 1]
            torch.sum(g, dim=1, out=to_bias)
            _product_of_rows(h, g, to_weight)
            gradients += [to_bias, to_weight]
            if layer:
                below = self._buffer("g", layer, h.shape, w)
                if (
                    g.shape[-1] == 1
                ):  # of one output: the same numbers, 15 times as fast as a product
                    torch.mul(g, w.transpose(1, 2), out=below)
                else:
                    torch.bmm(g, w.transpose(1, 2), out=below)
                g = torch.ops.aten.threshold_backward.grad_input(below, h, 0.0, grad_input=below)
        return loss, gradients[::-1]

    def _buffer(self, kind: str, layer: int, shape: Any, like: Tensor) -> Tensor:
        """Memory of a shape, the same at every call; of fewer students the beginning of it."""
        key = (kind, layer, *shape[1:])
        if key not in self._memory or self._memory[key].shape[0] < shape[0]:
            self._memory[key] = like.new_empty(shape)
        return self._memory[key][: shape[0]]


def _add_product(b: Tensor, h: Tensor, w: Tensor, out: Tensor) -> None:
    """Write b + h w, of every student, into `out`: (students, rows, columns)."""
    import torch

    if not _turned(out):
        torch.baddbmm(b.unsqueeze(1), h, w, out=out)
    elif out.shape[-1] == 1:
        turned = out.view(len(out), 1, -1)
        torch.baddbmm(b.unsqueeze(2), w.transpose(1, 2), h.transpose(1, 2), out=turned)
    else:
        turned = torch.baddbmm(b.unsqueeze(2), w.transpose(1, 2), h.transpose(1, 2))
        out.copy_(turned.transpose(1, 2))


def _product_of_rows(h: Tensor, g: Tensor, out: Tensor) -> None:
    """Write the sum over rows of h times g, of every student, into `out`: (students, units, columns)."""
    import torch

    if not _turned(out):
        torch.bmm(h.transpose(1, 2), g, out=out)
    elif out.shape[-1] == 1:
        torch.bmm(g.transpose(1, 2), h, out=out.view(len(out), 1, -1))
    else:
        out.copy_(torch.bmm(g.transpose(1, 2), h).transpose(1, 2))


def _turned(out: Tensor) -> bool:
    """Whether a product with few columns is taken the other way round; one vector is fast as it is."""
    return out.device.type == "cpu" and out.shape[-1] < FEW and len(out) * out.shape[-1] > 1


class Gradient(Protocol):
    """What takes the gradients of a step."""

    @property
    def by_autograd(self) -> bool:
        """Whether weights must be leaves of autograd that require gradients."""
        ...

    def students_together(self, weights: Weights, batch_size: int) -> int | None:
        """Return how many students are worked on at a time: None, all of them.

        Parameters
        ----------
        weights : dict of str to tensor
        batch_size : int

        Returns
        -------
        int or None
        """
        ...

    def __call__(
        self, weights: Weights, minibatch: Minibatch, into: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the losses and the gradients of their sum.

        Parameters
        ----------
        weights : dict of str to tensor
        minibatch : Minibatch
        into : sequence of tensor, optional
            Where to write the gradients, one for each parameter.

        Returns
        -------
        loss : tensor, shape (students,)
        gradients : sequence of tensor
            One for each parameter; `into` if it is given.
        """
        ...


def gradient_method(network: Network, training: Training, loss: Loss) -> Gradient:
    """Return a backward pass that is written out where one applies, else autograd.

    They apply to an `MLP` of ReLU without residual connections, and to a `ParityNetwork` of one hidden
    layer; without dropout, not in bfloat16.

    Parameters
    ----------
    network : Network
    training : Training
    loss : Loss

    Returns
    -------
    ReluGradient, ParityGradient or AutogradGradient
    """
    without = not training.dropout and training.dtype != "bfloat16"
    if isinstance(network, ParityNetwork) and network.depth == 1 and without:
        return ParityGradient(network, loss)
    plain = isinstance(network, MLP) and network.activation == "relu" and not network.residual
    if plain and without:
        return ReluGradient(network.depth, loss)  # type: ignore[attr-defined]
    return AutogradGradient(network, loss, training.dtype)


@dataclass
class Moments:
    """AdamW's averages of gradients and of their squares: (students, n_parameters), 0 at the start."""

    first: Tensor
    second: Tensor

    @classmethod
    def start(cls, rows: Tensor) -> Moments:
        """Return those of weights (students, n_parameters) that have not moved."""
        import torch

        return cls(torch.zeros_like(rows), torch.zeros_like(rows))

    def take(self, students: Any) -> Moments:
        """Return those of some students: a view for a slice, a copy for row numbers."""
        return Moments(self.first[students], self.second[students])


class ParameterColumns(NamedTuple):
    """Where one parameter is in a row of weights, and how it is updated."""

    columns: slice
    rate_factor: float
    decays: bool


@dataclass
class AdamW:
    """One step of AdamW (Loshchilov and Hutter 2019), every student with its own rate and decay.

    By one pass over memory on a CPU; what accelerators do is `percolaw.neural.flat_update`.

    Attributes
    ----------
    training : Training
        Its momentum, second_moment and clip.
    parameters : list of ParameterColumns
    """

    training: Training
    parameters: Sequence[ParameterColumns]

    @classmethod
    def of(cls, network: Network, dim: int, n_outputs: int, training: Training) -> AdamW:
        """Return the optimiser of a network; biases and gains of norms do not decay.

        Parameters
        ----------
        network : Network
        dim, n_outputs : int
        training : Training

        Returns
        -------
        AdamW
        """
        parameters, low = [], 0
        for p in network.parameters(dim, n_outputs).values():
            factor = rate_factor(network, p.role, "adamw")
            columns = slice(low, low + p.size)
            parameters.append(ParameterColumns(columns, factor, len(p.shape) > 1))
            low += p.size
        return cls(training, parameters)

    def __call__(
        self,
        rows: Tensor,
        gradients: Sequence[Tensor],
        moments: Moments,
        step: int,
        rate: FloatArray,
        decay: FloatArray,
    ) -> None:
        """Update weights and moments in place.

        Parameters
        ----------
        rows : tensor, shape (students, n_parameters)
        gradients : sequence of tensor, shape (students, ...)
            One for each parameter; overwritten.
        moments : Moments
        step : int
            Steps made before this one.
        rate, decay : array of float64, shape (students,)
            Learning rate at this step, and the weight decay.
        """
        from percolaw.kernels.optimize import adamw  # Numba is loaded when a step is made

        flat = [g.reshape(g.shape[0], -1) for g in gradients]
        if math.isfinite(self.training.clip):
            clip_gradients(flat, self.training.clip)
        beta, gamma = self.training.momentum, self.training.second_moment
        for p, g in zip(self.parameters, flat, strict=True):
            remaining = 1.0 - rate * decay if p.decays else 1.0 + 0.0 * rate
            parts = (
                rows[:, p.columns],
                g,
                moments.first[:, p.columns],
                moments.second[:, p.columns],
            )
            arrays = [part.numpy() for part in parts]
            adamw(*arrays, rate, p.rate_factor, remaining, beta, gamma, step, EPSILON)  # type: ignore[call-arg]


def clip_gradients(gradients: Sequence[Tensor], largest_norm: float) -> None:
    """Scale the gradients of every student to a norm of at most `largest_norm`, in place.

    Parameters
    ----------
    gradients : sequence of tensor, shape (students, n)
        One for each parameter; the norm is that of all together.
    largest_norm : float
    """
    square = sum(g.square().sum(dim=1, keepdim=True) for g in gradients)
    factor = (largest_norm / square.sqrt().clamp_min(1e-30)).clamp_max(1.0)  # type: ignore[union-attr]
    for g in gradients:
        g.mul_(factor)
