"""Small transformers on points cut into tokens, or on token ids."""

from __future__ import annotations

import math
from dataclasses import dataclass

from percolaw import checks
from percolaw.neural.blocks import attention, block_parameters, mlp, norm, rows
from percolaw.neural.network import (
    ForwardPass,
    Network,
    Parameter,
    Parametrization,
    Tensor,
    Weights,
)
from percolaw.numerics.covariance import DEEPEST


@dataclass(frozen=True)
class Transformer(Network):
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
        As in `MLP`. Attention logits are divided by sqrt(h r), h the width of a head and r width over
        base width (1 if standard): under muP they are scaled by 1/width.
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
        checks.set_integer(self, "depth", maximum=DEEPEST)
        for name in ("width", "n_heads", "group", "base_width"):
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
        """Width over base width; 1 for the standard parametrisation."""
        return 1.0 if self.parametrization == "standard" else self.width / self.base_width

    def n_tokens(self, dim: int) -> int:
        """Return the length of the sequence made of `dim` columns."""
        return dim if self.takes_tokens else -(-dim // self.group)

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter."""
        w = self.width
        named: dict[str, Parameter] = {}
        if self.vocabulary is not None:
            named["embedding"] = Parameter((self.vocabulary, w), 1.0, "input")
        else:
            named["weight 0"] = Parameter((self.group, w), 1.0 / math.sqrt(self.group), "input")
        named["position"] = Parameter((self.n_tokens(dim), w), 1.0, "input")
        for b in range(self.depth):
            named |= block_parameters(f"block {b}", w)
        named["norm out"] = Parameter((w,), 0.0, "input", 1.0)
        named["weight out"] = Parameter(
            (w, n_outputs), 1.0 / math.sqrt(w * self.width_ratio), "output"
        )
        named["bias out"] = Parameter((n_outputs,), 0.0, "fixed")
        return named

    def forward(self, weights: Weights, x: Tensor, run: ForwardPass) -> Tensor:
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
            h = rows(x.reshape(students, batch * tokens, self.group), weights["weight 0"])
            h = h.reshape(students, batch, tokens, w)
        h = h + weights["position"][:, None]
        for b in range(self.depth):

            def keep(when: str, z: Tensor, layer: int = b + 1) -> None:
                run.keep(f"layer {layer} {when}", z.flatten(2))

            z = norm(h, weights[f"block {b} norm 1"])
            h = h + run.drop(
                attention(weights, f"block {b}", z, self.n_heads, self.width_ratio, self._mix)
            )
            z = norm(h, weights[f"block {b} norm 2"])
            h = h + run.drop(mlp(weights, f"block {b}", z, keep))
        h = norm(h, weights["norm out"])
        h = h[:, :, -1] if self.causal else h.mean(dim=2)
        run.keep("readout", h)
        return torch.matmul(h, weights["weight out"]) + weights["bias out"][:, None]

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        import torch

        logits = torch.matmul(q, k.transpose(2, 3)) * scale
        if self.causal:
            tokens = q.shape[2]
            later = torch.ones(tokens, tokens, dtype=torch.bool, device=q.device).triu(1)
            logits = logits.masked_fill(later, -math.inf)
        return torch.matmul(torch.softmax(logits, dim=-1), v)

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return twice the weights used at every token, and the two products of attention."""
        t, w = self.n_tokens(dim), self.width
        block = t * 12 * w * w + 2 * t * t * w
        return self.input_flops(dim) + 2 * (self.depth * block + w * n_outputs)

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those of the map from coordinates to tokens; 0 for token ids, which are looked up."""
        return 0 if self.takes_tokens else 2 * self.n_tokens(dim) * self.group * self.width
