"""The empirical tangent kernel of a trained student."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.device import gradients_on, resolve_device
from percolaw.neural.network import (
    ForwardPass,
    Tensor,
    checked_inputs,
    rate_factor,
    unflatten,
)
from percolaw.neural.trained import Trained

FloatArray = npt.NDArray[np.float64]


def tangent_kernel(
    trained: Trained,
    points: npt.ArrayLike,
    student: int = 0,
    rates: Literal["sgd"] | None = None,
) -> FloatArray:
    """Return K = J R J^T (n, n), J the gradient of a student's output by its weights at every point.

    The empirical tangent kernel: near its end a student moves as kernel regression with it, so
    `percolaw.numerics.degrees_of_freedom.smoother_trace` of it, with the ridge that its weight decay
    amounts to, says how many degrees of freedom it uses. For students with one output.

    Parameters
    ----------
    trained : Trained
    points : array, shape (n, dim)
    student : int
    rates : {"sgd"}, optional
        R holds the factors of `percolaw.neural.network.rate_factor` by which plain gradient
        descent multiplies the rate of every weight, so that K moves the outputs in a step:
        df = -rate K dloss/df. Without it R = 1. AdamW divides each gradient by its own size, which no
        fixed kernel stands for.

    Returns
    -------
    array of float64, shape (n, n)
        8 n (n + n_parameters) bytes and n backward passes.

    Raises
    ------
    ValueError
        For students of several outputs, a student that does not exist, and points of another number of
        columns.
    ResourceError
        If the memory is not available.
    """
    torch = checks.extra("torch", "nn")
    if rates is not None:
        checks.choice("rates", rates, ("sgd",))
    if trained.n_outputs != 1:
        raise ValueError(f"the tangent kernel is of one output; got {trained.n_outputs}.")
    x = (
        checked_inputs(trained.network, points)
        if trained.network.takes_tokens
        else checks.finite_array("points", points)
    )
    if x.ndim != 2 or x.shape[1] != trained.dim:
        raise ValueError(f"points must have shape (n, {trained.dim}); got {x.shape}.")
    row = trained.select(student).weights
    checks.memory(
        8.0 * x.shape[0] * (x.shape[0] + row.size),
        f"gradients at {x.shape[0]} points",
        "Use fewer.",
    )
    device = resolve_device(trained.training.device)
    with gradients_on():
        jacobian = _jacobian(trained, row[0], x, device)
        if rates is not None:
            jacobian *= torch.as_tensor(_rate_roots(trained, rates), device=device)
        return np.asarray((jacobian @ jacobian.T).cpu().numpy())


def _rate_roots(trained: Trained, optimizer: Literal["sgd"]) -> FloatArray:
    """Square root of the factor on the learning rate, weight by weight."""
    every = trained.network.parameters(trained.dim, trained.n_outputs).values()
    factor = [math.sqrt(rate_factor(trained.network, p.role, optimizer)) for p in every]
    return np.repeat(factor, [p.size for p in every])


def _jacobian(trained: Trained, row: npt.NDArray[Any], x: npt.NDArray[Any], device: str) -> Tensor:
    """Gradients (n, n_parameters) of the output at every point."""
    import torch

    leaf = torch.as_tensor(row, dtype=torch.float64, device=device)
    inputs: Any = torch.as_tensor(x, device=device)
    inputs = inputs if trained.network.takes_tokens else inputs.to(torch.float64)

    def output(weights: Any, point: Any) -> Any:
        named = unflatten(trained.network, trained.dim, 1, weights[None])
        run = ForwardPass(layers={})  # nothing in place under a transform
        return trained.network.forward(named, point[None, None], run)[0, 0, 0]

    gradient = torch.func.vmap(torch.func.grad(output), in_dims=(None, 0))
    return torch.cat([gradient(leaf, block) for block in inputs.split(256)])
