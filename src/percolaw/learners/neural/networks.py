"""What a student is: networks whose every parameter has a leading axis of students.

One tensor program then trains many students of one shape. A student's weights are drawn from its own
seed, so it is the same alone or among others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.learners.neural.dropout import dropped
from percolaw.rng import Streams

Weights: TypeAlias = dict[str, Any]
Parametrization: TypeAlias = Literal["standard", "mup"]
Activation: TypeAlias = Literal["relu", "gelu", "tanh", "identity"]
Role: TypeAlias = Literal["input", "hidden", "output", "fixed"]


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
class Pass:
    """What one forward pass is told and asked beside the inputs.

    Attributes
    ----------
    dropout : float
        Share of units set to 0; 0 where nothing is trained.
    seeds : tensor of int64, shape (students,), optional
        Keys of the students' dropout masks.
    step : int
        Step of training, the other key of the masks.
    layers : dict of str to tensor, optional
        Filled with activations (students, batch, width) by name, in the order of the network.
    """

    dropout: float = 0.0
    seeds: Any = None
    step: int = 0
    layers: dict[str, Any] | None = None
    _sites: int = 0

    def keep(self, name: str, x: Any) -> None:
        """Note activations if they were asked for."""
        if self.layers is not None:
            self.layers[name] = x

    def drop(self, x: Any) -> Any:
        """Apply dropout at the next place in the network that has it."""
        if not self.dropout:
            return x
        self._sites += 1
        return dropped(x, self.dropout, self.seeds, self.step, self._sites)


class Network(Protocol):
    """A family of networks of one shape."""

    @property
    def takes_tokens(self) -> bool:
        """Whether inputs are token ids (n, length) in place of points (n, dim)."""
        ...

    @property
    def width_ratio(self) -> float:
        """Width over the width at which muP equals the standard parametrisation; 1 for standard."""
        ...

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter; `dim` is the number of columns of the inputs."""
        ...

    def forward(self, weights: Weights, x: Any, run: Pass) -> Any:
        """Return outputs (students, batch, n_outputs) at x (students, batch, dim)."""
        ...

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return multiplications and additions in the matrix products of one point's forward pass."""
        ...

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those of the products with the inputs themselves."""
        ...


def n_parameters(network: Network, dim: int, n_outputs: int = 1) -> int:
    """Return the number of parameters of one student.

    >>> n_parameters(MLP(depth=1, width=10), dim=3)
    51
    """
    return sum(p.size for p in network.parameters(dim, n_outputs).values())


def training_flops(network: Network, dim: int, n_outputs: int = 1) -> int:
    """Return multiplications and additions in the matrix products of a step, per point.

    Backwards every product costs twice its forward cost, but for the gradient of the inputs, which
    nobody needs.
    """
    return 3 * network.flops(dim, n_outputs) - network.input_flops(dim, n_outputs)


def draw(
    network: Network, dim: int, n_outputs: int, seeds: Sequence[int]
) -> npt.NDArray[np.float64]:
    """Return the starting weights of students as rows (students, n_parameters). Stream ``init``.

    A row depends on its seed alone. `unflatten` makes named tensors of it.
    """
    found = np.empty((len(seeds), n_parameters(network, dim, n_outputs)))
    for row, seed in zip(found, seeds, strict=True):
        low = 0
        for item, p in enumerate(network.parameters(dim, n_outputs).values()):
            part = row[low : low + p.size]
            part[:] = p.mean
            if p.scale:
                generator = Streams(seed).generator("init", item)
                part += p.scale * generator.standard_normal(p.size)
            low += p.size
    return found


def unflatten(network: Network, dim: int, n_outputs: int, rows: Any) -> Weights:
    """Return rows (students, n_parameters) as named tensors (students, *shape) that share memory."""
    found, low = {}, 0
    for name, p in network.parameters(dim, n_outputs).items():
        found[name] = rows[:, low : low + p.size].reshape(rows.shape[0], *p.shape)
        low += p.size
    return found


def rate_factor(network: Network, role: Role, optimizer: str) -> float:
    """Return the factor on the learning rate of a parameter (Yang et al. 2022, table 3).

    With r the width ratio: Adam 1, 1/r, 1/r for input, hidden and output; SGD r, 1, 1/r.
    """
    r = network.width_ratio
    if optimizer == "sgd":
        return {"input": r, "hidden": 1.0, "output": 1.0 / r, "fixed": 1.0}[role]
    return {"input": 1.0, "hidden": 1.0 / r, "output": 1.0 / r, "fixed": 1.0}[role]


@dataclass(frozen=True)
class MLP:
    """A fully connected network.

    Parameters
    ----------
    depth : int
        Hidden layers; 0 is a linear model.
    width : int
        Units of each.
    activation : {"relu", "gelu", "tanh", "identity"}
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
        checks.set_integer(self, "depth", minimum=0)
        checks.set_integer(self, "width")
        checks.set_integer(self, "base_width")
        checks.choice("activation", self.activation, ("relu", "gelu", "tanh", "identity"))
        checks.choice("parametrization", self.parametrization, ("standard", "mup"))

    @property
    def takes_tokens(self) -> bool:
        """False: inputs are points."""
        return False

    @property
    def width_ratio(self) -> float:
        """Width over base width, or 1."""
        narrow = self.parametrization == "standard" or self.depth == 0
        return 1.0 if narrow else self.width / self.base_width

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter."""
        gain = math.sqrt(2.0) if self.activation == "relu" else 1.0
        found: dict[str, Parameter] = {}
        sizes = [dim, *[self.width] * self.depth]
        for layer, (before, after) in enumerate(pairwise(sizes)):
            role: Role = "hidden" if layer else "input"
            found[f"weight {layer}"] = Parameter((before, after), gain / math.sqrt(before), role)
            found[f"bias {layer}"] = Parameter((after,), 0.0, "input")
        last = sizes[-1]
        found[f"weight {self.depth}"] = Parameter(
            (last, n_outputs),
            1.0 / math.sqrt(last * self.width_ratio),
            "output" if self.depth else "fixed",
        )
        found[f"bias {self.depth}"] = Parameter((n_outputs,), 0.0, "fixed")
        return found

    def forward(self, weights: Weights, x: Any, run: Pass) -> Any:
        """Return outputs (students, batch, n_outputs)."""
        for layer in range(self.depth):
            z = affine(weights, layer, x)
            run.keep(f"layer {layer + 1} before", z)
            after = activate(self.activation, z, in_place=run.layers is None)
            x = x + after / math.sqrt(self.depth) if self.residual and layer else after
            run.keep(f"layer {layer + 1} after", x)
            x = run.drop(x)
        return affine(weights, self.depth, x)

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return 2 (weights, without biases): one multiplication and addition each."""
        sizes = [dim, *[self.width] * self.depth, n_outputs]
        return 2 * sum(before * after for before, after in pairwise(sizes))

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those of the first layer."""
        return 2 * dim * (self.width if self.depth else n_outputs)


@dataclass(frozen=True)
class Transformer:
    """A small transformer: pre-norm blocks, attention over all tokens, the mean read out.

    Parameters
    ----------
    depth : int
        Blocks, each attention and an MLP of 4 widths with GELU.
    width : int
        Of the residual stream; a multiple of `n_heads`.
    n_heads : int
    group : int
        Coordinates that make one token of a point; the last one is filled with zeros.
    vocabulary : int, optional
        Inputs are then integer token ids (n, length) below it, in place of points.
    causal : bool
        Tokens see earlier ones only, and the last one is read out.
    parametrization, base_width
        As in `MLP`; attention logits are scaled by 1/width per head, relative to the base width.
    """

    depth: int = 2
    width: int = 64
    n_heads: int = 4
    group: int = 4
    vocabulary: int | None = None
    causal: bool = False
    parametrization: Parametrization = "mup"
    base_width: int = 64

    def __post_init__(self) -> None:
        for name in ("depth", "width", "n_heads", "group", "base_width"):
            checks.set_integer(self, name)
        if self.vocabulary is not None:
            checks.set_integer(self, "vocabulary")
        checks.choice("parametrization", self.parametrization, ("standard", "mup"))
        if self.width % self.n_heads:
            raise ValueError(
                f"width must be a multiple of n_heads; got width = {self.width} and "
                f"n_heads = {self.n_heads}. Widths of {self.n_heads}, {2 * self.n_heads}, ... do."
            )

    @property
    def takes_tokens(self) -> bool:
        """Whether inputs are token ids."""
        return self.vocabulary is not None

    @property
    def width_ratio(self) -> float:
        """Width over base width, or 1."""
        return 1.0 if self.parametrization == "standard" else self.width / self.base_width

    def n_tokens(self, dim: int) -> int:
        """Return the length of the sequence made of `dim` columns."""
        return dim if self.takes_tokens else -(-dim // self.group)

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter."""
        w = self.width
        found: dict[str, Parameter] = {}
        if self.vocabulary is not None:
            found["embedding"] = Parameter((self.vocabulary, w), 1.0, "input")
        else:
            found["weight 0"] = Parameter((self.group, w), 1.0 / math.sqrt(self.group), "input")
        found["position"] = Parameter((self.n_tokens(dim), w), 1.0, "input")
        for b in range(self.depth):
            found[f"block {b} norm 1"] = Parameter((w,), 0.0, "input", 1.0)
            found[f"block {b} attention"] = Parameter((w, 3 * w), 1.0 / math.sqrt(w), "hidden")
            found[f"block {b} mix"] = Parameter((w, w), 1.0 / math.sqrt(w), "hidden")
            found[f"block {b} norm 2"] = Parameter((w,), 0.0, "input", 1.0)
            found[f"block {b} up"] = Parameter((w, 4 * w), 1.0 / math.sqrt(w), "hidden")
            found[f"block {b} up bias"] = Parameter((4 * w,), 0.0, "input")
            found[f"block {b} down"] = Parameter((4 * w, w), 1.0 / math.sqrt(4 * w), "hidden")
            found[f"block {b} down bias"] = Parameter((w,), 0.0, "input")
        found["norm out"] = Parameter((w,), 0.0, "input", 1.0)
        found["weight out"] = Parameter(
            (w, n_outputs), 1.0 / math.sqrt(w * self.width_ratio), "output"
        )
        found["bias out"] = Parameter((n_outputs,), 0.0, "fixed")
        return found

    def forward(self, weights: Weights, x: Any, run: Pass) -> Any:
        """Return outputs (students, batch, n_outputs)."""
        import torch

        students, batch, dim = x.shape
        tokens, w = self.n_tokens(dim), self.width
        if self.vocabulary is not None:
            which = torch.arange(students, device=x.device)[:, None, None]
            h = weights["embedding"][which, x]
        else:
            short = tokens * self.group - dim
            x = torch.nn.functional.pad(x, (0, short)) if short else x
            h = _rows(x.reshape(students, batch * tokens, self.group), weights["weight 0"])
            h = h.reshape(students, batch, tokens, w)
        h = h + weights["position"][:, None]
        for b in range(self.depth):
            part = self._attention(weights, b, norm(h, weights[f"block {b} norm 1"]))
            h = h + run.drop(part)
            z = _rows(norm(h, weights[f"block {b} norm 2"]), weights[f"block {b} up"])
            z = z + weights[f"block {b} up bias"][:, None, None]
            run.keep(f"layer {b + 1} before", z.flatten(2))
            z = torch.nn.functional.gelu(z)
            run.keep(f"layer {b + 1} after", z.flatten(2))
            part = _rows(z, weights[f"block {b} down"])
            h = h + run.drop(part + weights[f"block {b} down bias"][:, None, None])
        h = norm(h, weights["norm out"])
        h = h[:, :, -1] if self.causal else h.mean(dim=2)
        run.keep("readout", h)
        return torch.matmul(h, weights["weight out"]) + weights["bias out"][:, None]

    def _attention(self, weights: Weights, block: int, h: Any) -> Any:
        import torch

        students, batch, tokens, w = h.shape
        head = w // self.n_heads
        qkv = _rows(h, weights[f"block {block} attention"])
        q, k, v = (
            part.reshape(students * batch, tokens, self.n_heads, head).transpose(1, 2)
            for part in qkv.split(w, dim=-1)
        )
        # 1/sqrt(head) at the base width, 1/head beyond: logits keep their size as they align.
        scale = 1.0 / math.sqrt(head * self.width_ratio)
        logits = torch.matmul(q, k.transpose(2, 3)) * scale
        if self.causal:
            later = torch.ones(tokens, tokens, dtype=torch.bool, device=h.device).triu(1)
            logits = logits.masked_fill(later, -math.inf)
        mixed = torch.matmul(torch.softmax(logits, dim=-1), v)
        mixed = mixed.transpose(1, 2).reshape(students, batch, tokens, w)
        return _rows(mixed, weights[f"block {block} mix"])

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return 2 (weights x tokens + attention's two products)."""
        t, w = self.n_tokens(dim), self.width
        block = t * 12 * w * w + 2 * t * t * w
        return self.input_flops(dim) + 2 * (self.depth * block + w * n_outputs)

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those that make tokens of coordinates; none where tokens are looked up."""
        return 0 if self.takes_tokens else 2 * self.n_tokens(dim) * self.group * self.width


def affine(weights: Weights, layer: int, x: Any) -> Any:
    """Return x W + b of a layer, for all students."""
    import torch

    return torch.baddbmm(weights[f"bias {layer}"].unsqueeze(1), x, weights[f"weight {layer}"])


def activate(name: str, x: Any, in_place: bool = False) -> Any:
    """Return the activation of x, where it can be in the memory of x."""
    import torch

    if name == "identity":
        return x
    if name == "relu":
        return torch.relu_(x) if in_place else torch.relu(x)
    return torch.tanh(x) if name == "tanh" else torch.nn.functional.gelu(x)


def norm(x: Any, gain: Any) -> Any:
    """Return x over its root mean square along the last axis, times a gain (students, width)."""
    shape = (gain.shape[0], *[1] * (x.ndim - 2), gain.shape[-1])
    return x * (x.square().mean(dim=-1, keepdim=True) + 1e-6).rsqrt() * gain.reshape(shape)


def _rows(x: Any, w: Any) -> Any:
    """Return x (students, ..., a) times w (students, a, b), all rows of a student in one product."""
    import torch

    return torch.bmm(x.reshape(x.shape[0], -1, x.shape[-1]), w).reshape(*x.shape[:-1], w.shape[-1])
