"""Fully connected networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

from percolaw import checks
from percolaw.neural.network import (
    ForwardPass,
    Network,
    Parameter,
    Parametrization,
    Role,
    Tensor,
    Weights,
    affine,
)
from percolaw.numerics.covariance import DEEPEST

Activation: TypeAlias = Literal["relu", "gelu", "tanh", "identity"]


@dataclass(frozen=True)
class MLP(Network):
    """A fully connected network.

    Parameters
    ----------
    depth : int
        Hidden layers; 0 is a linear model.
    width : int
        Units of each.
    activation : {"relu", "gelu", "tanh", "identity"}
        Without one (``identity``) the network is linear, and its training is not: the deep linear
        networks of Saxe, McClelland and Ganguli (2014).
    parametrization : {"standard", "mup"}
        Standard: weights N(0, g^2 / fan_in) with g^2 = 2 for ReLU, 1 otherwise and for the last layer.
        Maximal update (Yang and Hu 2021; Yang et al. 2022): equal to it at `base_width`; the last
        layer's standard deviation falls as 1/width, and the factors of `rate_factor` apply, so that one
        learning rate serves every width.
    base_width : int
    residual : bool
        Hidden layers but the first add to their input: x + f(x) / sqrt(depth).
    """

    depth: int = 2
    width: int = 128
    activation: Activation = "relu"
    parametrization: Parametrization = "mup"
    base_width: int = 64
    residual: bool = False

    def __post_init__(self) -> None:
        checks.set_integer(self, "depth", minimum=0, maximum=DEEPEST)
        checks.set_integer(self, "width")
        checks.set_integer(self, "base_width")
        checks.choice("activation", self.activation, ("relu", "gelu", "tanh", "identity"))
        checks.choice("parametrization", self.parametrization, ("standard", "mup"))

    @property
    def width_ratio(self) -> float:
        """Width over base width; 1 for the standard parametrisation and without hidden layers."""
        narrow = self.parametrization == "standard" or self.depth == 0
        return 1.0 if narrow else self.width / self.base_width

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter."""
        gain = math.sqrt(2.0) if self.activation == "relu" else 1.0
        named: dict[str, Parameter] = {}
        sizes = [dim, *[self.width] * self.depth]
        for layer, (before, after) in enumerate(pairwise(sizes)):
            role: Role = "hidden" if layer else "input"
            named[f"weight {layer}"] = Parameter((before, after), gain / math.sqrt(before), role)
            named[f"bias {layer}"] = Parameter((after,), 0.0, "input")
        last = sizes[-1]
        named[f"weight {self.depth}"] = Parameter(
            (last, n_outputs),
            1.0 / math.sqrt(last * self.width_ratio),
            "output" if self.depth else "fixed",
        )
        named[f"bias {self.depth}"] = Parameter((n_outputs,), 0.0, "fixed")
        return named

    def forward(self, weights: Weights, x: Tensor, run: ForwardPass) -> Tensor:
        """Return outputs (students, batch, n_outputs)."""
        for layer in range(self.depth):
            z = affine(weights, layer, x)
            run.keep(f"layer {layer + 1} before", z)
            after = _activate(self.activation, z, in_place=run.layers is None)
            x = x + after / math.sqrt(self.depth) if self.residual and layer else after
            run.keep(f"layer {layer + 1} after", x)
            x = run.drop(x)
        return affine(weights, self.depth, x)

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return twice the number of weights: a multiplication and an addition each; biases are free."""
        sizes = [dim, *[self.width] * self.depth, n_outputs]
        return 2 * sum(before * after for before, after in pairwise(sizes))

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return the multiplications and additions of the first layer."""
        return 2 * dim * (self.width if self.depth else n_outputs)


def _activate(name: str, x: Tensor, in_place: bool = False) -> Tensor:
    """The activation of x."""
    import torch

    if name == "identity":
        return x
    if name == "relu":
        return torch.relu_(x) if in_place else torch.relu(x)
    return torch.tanh(x) if name == "tanh" else torch.nn.functional.gelu(x)
