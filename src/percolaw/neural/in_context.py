"""Networks that learn from the pairs before: a causal transformer, and one layer of linear attention.

Their inputs are pairs x_1 y_1 x_2 y_2 ... x_T y_T in T (d + 1) columns, as
`percolaw.datasets.contexts.Sequences.inputs` makes them, and they have T outputs, all at once: number t
predicts y_t from x_t and the pairs before it. What comes later, and y_t itself, has no influence on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from percolaw import checks
from percolaw.neural.blocks import (
    attention,
    block_parameters,
    mlp,
    mlp_parameters,
    norm,
    rows,
)
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
class InContextTransformer(Network):
    """A transformer with two tokens a pair: the pair itself, and its point as a question.

    Both begin with the same map of the point to the residual stream, one hidden layer of 4 widths. Pairs
    attend to pairs up to themselves; the question x_t to the pairs before it and to itself, and its token
    is read out. There are no positions: the order of the pairs tells nothing of a function. That x and y
    stand in one token spares the layer that brings them together (von Oswald et al. 2023).

    Parameters
    ----------
    depth : int
        Blocks, each attention and an MLP of 4 widths with GELU.
    width : int
        Of the residual stream; a multiple of `n_heads`.
    n_heads : int
    parametrization, base_width
        As in `percolaw.neural.transformer.Transformer`.
    """

    depth: int = 2
    width: int = 32
    n_heads: int = 2
    parametrization: Parametrization = "mup"
    base_width: int = 32

    def __post_init__(self) -> None:
        checks.set_integer(self, "depth", maximum=DEEPEST)
        for name in ("width", "n_heads", "base_width"):
            checks.set_integer(self, name)
        checks.choice("parametrization", self.parametrization, ("standard", "mup"))
        if self.width % self.n_heads:
            raise ValueError(
                f"width must be a multiple of n_heads; got width = {self.width} and n_heads = "
                f"{self.n_heads}."
            )

    @property
    def width_ratio(self) -> float:
        """Width over base width; 1 for the standard parametrisation."""
        return 1.0 if self.parametrization == "standard" else self.width / self.base_width

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter; ValueError unless `dim` holds `n_outputs` pairs."""
        d, w = point_dim(dim, n_outputs), self.width
        named = {
            "point": Parameter((d, w), 1.0 / math.sqrt(d), "input"),
            "point bias": Parameter((w,), 0.0, "input"),
            "value": Parameter((1, w), 1.0, "input"),
            "question": Parameter((w,), 1.0, "input"),
            **mlp_parameters("point", w),
        }
        for b in range(self.depth):
            named |= block_parameters(f"block {b}", w)
        named["norm out"] = Parameter((w,), 0.0, "input", 1.0)
        named["weight out"] = Parameter((w, 1), 1.0 / math.sqrt(w * self.width_ratio), "output")
        named["bias out"] = Parameter((1,), 0.0, "fixed")
        return named

    def forward(self, weights: Weights, x: Tensor, run: ForwardPass) -> Tensor:
        """Return predictions (students, batch, T)."""
        import torch

        length = x.shape[-1] // (weights["point"].shape[1] + 1)
        points, values = pairs(x, length)
        e = rows(points, weights["point"]) + weights["point bias"][:, None, None]
        e = e + mlp(weights, "point", e)
        question = e + weights["question"][:, None, None]
        h = torch.cat([e + rows(values, weights["value"]), question], dim=2)
        mask = _seen(length, x.device)

        def mix(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
            attend = torch.nn.functional.scaled_dot_product_attention
            return attend(q, k, v, attn_mask=mask, scale=scale)

        for b in range(self.depth):
            z = norm(h, weights[f"block {b} norm 1"])
            h = h + run.drop(
                attention(weights, f"block {b}", z, self.n_heads, self.width_ratio, mix)
            )
            z = norm(h, weights[f"block {b} norm 2"])
            h = h + run.drop(mlp(weights, f"block {b}", z))
            run.keep(f"layer {b + 1} after", h.flatten(2))
        h = norm(h[:, :, length:], weights["norm out"])
        run.keep("readout", h.flatten(2))
        return rows(h, weights["weight out"])[..., 0] + weights["bias out"][:, None]

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return twice the weights used at every token, and the two products of attention."""
        t, w = n_outputs, self.width
        tokens = 2 * t
        block = tokens * 12 * w * w + 2 * tokens * tokens * w
        return self.input_flops(dim, t) + 2 * (t * 8 * w * w + self.depth * block + t * w)

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those of the maps from points and values to the residual stream."""
        return 2 * dim * self.width


@dataclass(frozen=True)
class LinearAttention(Network):
    """One layer of linear attention: y_t is predicted as x_t^T P sum_(s<t) y_s x_s / (t - 1).

    One step of gradient descent from 0 on the mean squared error of a linear function of the pairs
    before, with the matrix P (the product of query and key maps, which is all of them that counts) as
    learning rate (von Oswald et al. 2023). `percolaw.learners.in_context.best_gradient_step` gives the P
    of least loss.
    """

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return P, 0 at the start: the loss is a quadratic form in it."""
        d = point_dim(dim, n_outputs)
        return {"rate": Parameter((d, d), 0.0, "fixed")}

    def forward(self, weights: Weights, x: Tensor, run: ForwardPass) -> Tensor:
        """Return predictions (students, batch, T)."""
        import torch

        length = x.shape[-1] // (weights["rate"].shape[1] + 1)
        points, values = pairs(x, length)
        moment = (points * values).cumsum(dim=2)[:, :, :-1]
        seen = torch.arange(1, length, device=x.device, dtype=x.dtype)[:, None]
        question = rows(points[:, :, 1:], weights["rate"])
        later = (question * moment / seen).sum(dim=-1)
        return torch.nn.functional.pad(later, (1, 0))

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those of the products of the points, but the first, with P."""
        return 2 * (n_outputs - 1) * point_dim(dim, n_outputs) ** 2

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return all of `flops`."""
        return self.flops(dim, n_outputs)


def point_dim(dim: int, length: int) -> int:
    """Return the coordinates d of the points in inputs of T pairs.

    Parameters
    ----------
    dim : int
        Columns of the inputs, T (d + 1).
    length : int
        T, the outputs; at least 2.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If the columns are no T pairs.
    """
    if length < 2 or dim % length or dim < 2 * length:
        raise ValueError(
            f"a network in context takes T pairs in T (d + 1) columns and has T outputs, T >= 2; got "
            f"{dim} columns and {length} outputs. Pass n_outputs = T."
        )
    return dim // length - 1


def pairs(x: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Return points and values of inputs.

    Parameters
    ----------
    x : tensor, shape (students, batch, T (d + 1))
    length : int
        T.

    Returns
    -------
    points : tensor, shape (students, batch, T, d)
    values : tensor, shape (students, batch, T, 1)
    """
    by_pair = x.unflatten(2, (length, -1))
    return by_pair[..., :-1], by_pair[..., -1:]


def _seen(length: int, device: object) -> Tensor:
    """Which tokens (columns) each one attends to: pairs first, then questions."""
    import torch

    place = torch.arange(length, device=device)  # type: ignore[call-overload]
    before, itself = place[:, None] > place, place[:, None] == place
    never = torch.zeros_like(before)
    return torch.cat(
        [torch.cat([before | itself, never], dim=1), torch.cat([before, itself], dim=1)]
    )
