"""What transformers are made of: parameters of a block, its norm, its attention and its MLP."""

from __future__ import annotations

import math
from collections.abc import Callable

from percolaw.neural.network import Parameter, Tensor, Weights


def block_parameters(name: str, w: int) -> dict[str, Parameter]:
    """Return the parameters of a block: attention and MLP, each behind its norm.

    Parameters
    ----------
    name : str
        Begins the name of each parameter.
    w : int
        Width of the residual stream.

    Returns
    -------
    dict of str to Parameter
    """
    return {
        f"{name} norm 1": Parameter((w,), 0.0, "input", 1.0),
        f"{name} attention": Parameter((w, 3 * w), 1.0 / math.sqrt(w), "hidden"),
        f"{name} mix": Parameter((w, w), 1.0 / math.sqrt(w), "hidden"),
        f"{name} norm 2": Parameter((w,), 0.0, "input", 1.0),
        **mlp_parameters(name, w),
    }


def mlp_parameters(name: str, w: int) -> dict[str, Parameter]:
    """Return the parameters of an MLP of width w with 4 w hidden units.

    Parameters
    ----------
    name : str
        Begins the name of each parameter.
    w : int

    Returns
    -------
    dict of str to Parameter
    """
    return {
        f"{name} up": Parameter((w, 4 * w), 1.0 / math.sqrt(w), "hidden"),
        f"{name} up bias": Parameter((4 * w,), 0.0, "input"),
        f"{name} down": Parameter((4 * w, w), 1.0 / math.sqrt(4 * w), "hidden"),
        f"{name} down bias": Parameter((w,), 0.0, "input"),
    }


def rows(x: Tensor, w: Tensor) -> Tensor:
    """Return x times w, all rows of a student in one product.

    Parameters
    ----------
    x : tensor, shape (students, ..., a)
    w : tensor, shape (students, a, b)

    Returns
    -------
    tensor, shape (students, ..., b)
    """
    import torch

    return torch.bmm(x.reshape(x.shape[0], -1, x.shape[-1]), w).reshape(*x.shape[:-1], w.shape[-1])


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


def attention(
    weights: Weights,
    name: str,
    h: Tensor,
    n_heads: int,
    width_ratio: float,
    mix: Callable[[Tensor, Tensor, Tensor, float], Tensor],
) -> Tensor:
    """Return what attention adds to each token.

    Logits are scaled by 1/sqrt(h r), h the width of a head and r the width ratio: by 1/sqrt(h) at the
    base width, like 1/h beyond, so that they keep their size as queries and keys align.

    Parameters
    ----------
    weights : dict of str to tensor
        Those of `block_parameters`.
    name : str
        Of the block.
    h : tensor, shape (students, batch, tokens, width)
    n_heads : int
    width_ratio : float
        Width over base width.
    mix : callable
        Given queries, keys and values, each (students x batch, heads, tokens, width of a head), and the
        scale of the logits, returns the values mixed, of the same shape.

    Returns
    -------
    tensor of the shape of h
    """
    students, batch, tokens, width = h.shape
    q, k, v = (
        part.reshape(students * batch, tokens, n_heads, width // n_heads).transpose(1, 2)
        for part in rows(h, weights[f"{name} attention"]).chunk(3, dim=-1)
    )
    mixed = mix(q, k, v, 1.0 / math.sqrt(q.shape[-1] * width_ratio))
    return rows(mixed.transpose(1, 2).reshape(h.shape), weights[f"{name} mix"])


def mlp(
    weights: Weights, name: str, h: Tensor, keep: Callable[[str, Tensor], None] | None = None
) -> Tensor:
    """Return an MLP with one hidden layer of 4 widths and GELU, at each token.

    Parameters
    ----------
    weights : dict of str to tensor
        Those of `mlp_parameters`.
    name : str
        As given to `mlp_parameters`.
    h : tensor, shape (students, batch, tokens, width)
    keep : callable, optional
        Given "before" and "after" with the hidden units before and after their nonlinearity.

    Returns
    -------
    tensor of the shape of h
    """
    import torch

    before = rows(h, weights[f"{name} up"]) + weights[f"{name} up bias"][:, None, None]
    after = torch.nn.functional.gelu(before)
    if keep is not None:
        keep("before", before)
        keep("after", after)
    return rows(after, weights[f"{name} down"]) + weights[f"{name} down bias"][:, None, None]
