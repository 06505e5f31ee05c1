"""Empirical tangent kernels: of a trained student, and of a network before it learns anything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.device import gradients_on, resolve_device
from percolaw.neural.network import (
    ForwardPass,
    Network,
    Tensor,
    checked_inputs,
    initial_weights,
    n_parameters,
    rate_factor,
    unflatten,
)
from percolaw.neural.trained import Trained

FloatArray = npt.NDArray[np.float64]

#: Gradients that `initial_tangent` holds at a time, twice.
GRADIENTS_AT_ONCE = 1 << 25


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
        jacobian = _jacobian(trained.network, row[0], x, device)
        if rates is not None:
            roots = _rate_roots(trained.network, x.shape[1], rates)
            jacobian *= torch.as_tensor(roots, device=device)
        return np.asarray((jacobian @ jacobian.T).cpu().numpy())


def initial_tangent(
    network: Network, points: npt.ArrayLike, seeds: Sequence[int], device: str = "auto"
) -> FloatArray:
    """Return the tangent kernel with which students begin to learn, the mean over their seeds.

    K = J R J^T of `tangent_kernel` with ``rates="sgd"`` at `initial_weights`: what a network prefers of
    which no limit of infinite width is known. `percolaw.numerics.tabulated.Tabulated` makes a kernel of
    it that kernel learners take. Its distance from the limit falls as 1/sqrt(width n_seeds), down to a
    bias of order 1/width that more seeds do not lower.

    Parameters
    ----------
    network : Network
        Of one output.
    points : array, shape (n, dim)
        Training points and queries together; token ids for networks of tokens.
    seeds : sequence of int
        One at least; a student of `percolaw.train` with the same seed starts with the same weights.
    device : str
        As in `Training`.

    Returns
    -------
    array of float64, shape (n, n)
        In the unit of `tangent_kernel`: for MLPs the width (standard) or the base width (muP) times
        `percolaw.neural.limit.tangent_limit`.

    Raises
    ------
    ValueError
        For no seed and points of another shape.
    ResourceError
        If the memory is not available.

    Notes
    -----
    8 n^2 bytes and twice 8 `GRADIENTS_AT_ONCE` bytes for gradients. For every seed n^2 n_parameters
    multiplications and additions, and n backward passes for every pair of blocks of
    `GRADIENTS_AT_ONCE` / n_parameters points.

    Examples
    --------
    >>> from percolaw.neural.mlp import MLP
    >>> kernel = initial_tangent(MLP(0), [[1.0, 2.0], [0.0, 3.0]], seeds=[0])
    >>> kernel.tolist()  # of a linear model x.x' + 1
    [[6.0, 7.0], [7.0, 10.0]]
    """
    torch = checks.extra("torch", "nn")
    x = checked_inputs(network, points)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"points must have shape (n, dim), neither 0; got {x.shape}.")
    if not len(seeds):
        raise ValueError("seeds must name one student at least; got none.")
    n, size = x.shape[0], n_parameters(network, x.shape[1])
    rows = max(1, GRADIENTS_AT_ONCE // size)
    checks.memory(
        8.0 * n * n + 16.0 * min(n, rows) * size, f"a tangent kernel of {n} points", "Use fewer."
    )
    blocks = [slice(low, low + rows) for low in range(0, n, rows)]
    kernel, place = np.zeros((n, n)), resolve_device(device)
    with gradients_on():
        roots = torch.as_tensor(_rate_roots(network, x.shape[1], "sgd"), device=place)
        for weights in initial_weights(network, x.shape[1], 1, seeds):
            for i, first in enumerate(blocks):
                left = _jacobian(network, weights, x[first], place) * roots.square()
                for second in blocks[i:]:
                    right = _jacobian(network, weights, x[second], place)
                    kernel[first, second] += (left @ right.T).cpu().numpy() / len(seeds)
    for i, first in enumerate(blocks):
        for second in blocks[i + 1 :]:
            kernel[second, first] = kernel[first, second].T
    return kernel


def _rate_roots(network: Network, dim: int, optimizer: Literal["sgd"]) -> FloatArray:
    """Square root of the factor on the learning rate, weight by weight."""
    every = network.parameters(dim, 1).values()
    factor = [math.sqrt(rate_factor(network, p.role, optimizer)) for p in every]
    return np.repeat(factor, [p.size for p in every])


def _jacobian(network: Network, row: npt.NDArray[Any], x: npt.NDArray[Any], device: str) -> Tensor:
    """Gradients (n, n_parameters) of the output at every point."""
    import torch

    leaf = torch.as_tensor(row, dtype=torch.float64, device=device)
    inputs: Any = torch.as_tensor(x, device=device)
    inputs = inputs if network.takes_tokens else inputs.to(torch.float64)

    def output(weights: Any, point: Any) -> Any:
        named = unflatten(network, x.shape[1], 1, weights[None])
        run = ForwardPass(layers={})  # nothing in place under a transform
        return network.forward(named, point[None, None], run)[0, 0, 0]

    gradient = torch.func.vmap(torch.func.grad(output), in_dims=(None, 0))
    return torch.cat([gradient(leaf, block) for block in inputs.split(256)])
