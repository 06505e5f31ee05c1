"""Small transformers on points cut into tokens, or on token ids."""

from __future__ import annotations

import math
from dataclasses import dataclass

from percolaw import checks
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
            named |= _block_parameters(f"block {b}", w)
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
            h = _rows(x.reshape(students, batch * tokens, self.group), weights["weight 0"])
            h = h.reshape(students, batch, tokens, w)
        h = h + weights["position"][:, None]
        for b in range(self.depth):
            h = h + run.drop(self._attention(weights, b, norm(h, weights[f"block {b} norm 1"])))
            z = _rows(norm(h, weights[f"block {b} norm 2"]), weights[f"block {b} up"])
            z = z + weights[f"block {b} up bias"][:, None, None]
            run.keep(f"layer {b + 1} before", z.flatten(2))
            z = torch.nn.functional.gelu(z)
            run.keep(f"layer {b + 1} after", z.flatten(2))
            z = _rows(z, weights[f"block {b} down"])
            h = h + run.drop(z + weights[f"block {b} down bias"][:, None, None])
        h = norm(h, weights["norm out"])
        h = h[:, :, -1] if self.causal else h.mean(dim=2)
        run.keep("readout", h)
        return torch.matmul(h, weights["weight out"]) + weights["bias out"][:, None]

    def _attention(self, weights: Weights, block: int, h: Tensor) -> Tensor:
        import torch

        tokens = h.shape[2]
        q, k, v = _by_head(_rows(h, weights[f"block {block} attention"]), self.n_heads)
        # 1/sqrt(head) at the base width, 1/head beyond: logits keep their size as they align.
        scale = 1.0 / math.sqrt(q.shape[-1] * self.width_ratio)
        logits = torch.matmul(q, k.transpose(2, 3)) * scale
        if self.causal:
            later = torch.ones(tokens, tokens, dtype=torch.bool, device=h.device).triu(1)
            logits = logits.masked_fill(later, -math.inf)
        mixed = torch.matmul(torch.softmax(logits, dim=-1), v)
        return _rows(mixed.transpose(1, 2).reshape(h.shape), weights[f"block {block} mix"])

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return twice the weights used at every token, and the two products of attention."""
        t, w = self.n_tokens(dim), self.width
        block = t * 12 * w * w + 2 * t * t * w
        return self.input_flops(dim) + 2 * (self.depth * block + w * n_outputs)

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those of the map from coordinates to tokens; 0 for token ids, which are looked up."""
        return 0 if self.takes_tokens else 2 * self.n_tokens(dim) * self.group * self.width


def _block_parameters(name: str, w: int) -> dict[str, Parameter]:
    """Return the parameters of a block: attention and MLP, each behind its norm, of width w."""
    return {
        f"{name} norm 1": Parameter((w,), 0.0, "input", 1.0),
        f"{name} attention": Parameter((w, 3 * w), 1.0 / math.sqrt(w), "hidden"),
        f"{name} mix": Parameter((w, w), 1.0 / math.sqrt(w), "hidden"),
        f"{name} norm 2": Parameter((w,), 0.0, "input", 1.0),
        **_mlp_parameters(name, w),
    }


def _mlp_parameters(name: str, w: int) -> dict[str, Parameter]:
    """Return the parameters of an MLP of width w with 4 w hidden units."""
    return {
        f"{name} up": Parameter((w, 4 * w), 1.0 / math.sqrt(w), "hidden"),
        f"{name} up bias": Parameter((4 * w,), 0.0, "input"),
        f"{name} down": Parameter((4 * w, w), 1.0 / math.sqrt(4 * w), "hidden"),
        f"{name} down bias": Parameter((w,), 0.0, "input"),
    }


def _by_head(qkv: Tensor, n_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values, each (students x batch, heads, tokens, width of a head)."""
    students, batch, tokens, width = qkv.shape
    q, k, v = (
        part.reshape(students * batch, tokens, n_heads, width // (3 * n_heads)).transpose(1, 2)
        for part in qkv.chunk(3, dim=-1)
    )
    return q, k, v


def norm(x: Tensor, gain: Tensor) -> Tensor:
    """Return x over its root mean square along the last axis, times a gain; 1e-6 is added to the square.

    Parameters
    ----------
    x : tensor, shape (students, ..., width)
    gain : tensor, shape (students, width)

    Returns
    -------
    tensor of the shape of x
    """
    shape = (gain.shape[0], *[1] * (x.ndim - 2), gain.shape[-1])
    return x * (x.square().mean(dim=-1, keepdim=True) + 1e-6).rsqrt() * gain.reshape(shape)


def _rows(x: Tensor, w: Tensor) -> Tensor:
    """Return x (students, ..., a) times w (students, a, b), all rows of a student in one product."""
    import torch

    return torch.bmm(x.reshape(x.shape[0], -1, x.shape[-1]), w).reshape(*x.shape[:-1], w.shape[-1])
