"""What trained students can be asked: activations of their layers, and their tangent kernel."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.learners.neural.device import gradients_on, resolve_device
from percolaw.learners.neural.networks import Pass, rate_factor, unflatten
from percolaw.learners.neural.trained import Trained, checked_inputs

FloatArray = npt.NDArray[np.float64]


def layer_activations(
    trained: Trained, points: npt.ArrayLike, student: int = 0
) -> dict[str, npt.NDArray[Any]]:
    """Return the activations (n, width) of one student at points, by layer.

    Layers come in the order of the network, each ``before`` and ``after`` its nonlinearity; the last
    ``before`` is where Sharma and Kaplan (2022) measure the dimension of the data.
    """
    blocks: list[dict[str, npt.NDArray[Any]]] = []
    one(trained, student).predict(points, blocks)
    return {name: np.concatenate([b[name][0] for b in blocks]) for name in blocks[0]}


def one(trained: Trained, student: int) -> Trained:
    """Return a batch with one of the students alone."""
    import dataclasses

    i = checks.integer("student", student, minimum=0, maximum=len(trained.stopped) - 1)
    rows = ("weights", "validation_loss", "train_loss", "gradient_norm", "steps")
    part: dict[str, Any] = {name: getattr(trained, name)[i : i + 1] for name in rows}
    for name in ("validation_curve", "train_curve"):
        part[name] = getattr(trained, name)[:, i : i + 1]
    return dataclasses.replace(trained, stopped=(trained.stopped[i],), **part)


def tangent_kernel(
    trained: Trained,
    points: npt.ArrayLike,
    student: int = 0,
    rates: Literal["sgd"] | None = None,
) -> FloatArray:
    """Return K = J R J^T (n, n), J the gradient of a student's output by its weights at every point.

    The empirical tangent kernel: near its end a student moves as kernel regression with it, so
    `percolaw.learners.freedom.smoother_trace` of it, with the ridge that its weight decay amounts to,
    says how many degrees of freedom it uses. For students with one output.

    Parameters
    ----------
    trained : Trained
    points : array, shape (n, dim)
    student : int
    rates : {"sgd"}, optional
        R holds the factors of `percolaw.learners.neural.networks.rate_factor` by which plain gradient
        descent multiplies the rate of every weight, so that K moves the outputs in a step:
        df = -rate K dloss/df. Without it R = 1. AdamW divides each gradient by its own size, which no
        fixed kernel stands for.

    Returns
    -------
    array of float64, shape (n, n)
        8 n (n + n_parameters) bytes and n backward passes.
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
    row = one(trained, student).weights
    checks.memory(
        8.0 * x.shape[0] * (x.shape[0] + row.size),
        f"gradients at {x.shape[0]} points",
        "Use fewer.",
    )
    device = resolve_device(trained.training.device)
    with gradients_on():
        jacobian = _jacobian(trained, row[0], x, device)
        if rates is not None:
            jacobian *= torch.as_tensor(_roots_of_rates(trained, rates), device=device)
        return np.asarray((jacobian @ jacobian.T).cpu().numpy())


def _roots_of_rates(trained: Trained, optimizer: str) -> FloatArray:
    """Square root of the factor on the learning rate, weight by weight."""
    every = trained.network.parameters(trained.dim, trained.n_outputs).values()
    factor = [math.sqrt(rate_factor(trained.network, p.role, optimizer)) for p in every]
    return np.repeat(factor, [p.size for p in every])


def _jacobian(trained: Trained, row: npt.NDArray[Any], x: npt.NDArray[Any], device: str) -> Any:
    """Gradients (n, n_parameters) of the output at every point."""
    import torch

    leaf = torch.as_tensor(row, dtype=torch.float64, device=device)
    inputs: Any = torch.as_tensor(x, device=device)
    inputs = inputs if trained.network.takes_tokens else inputs.to(torch.float64)

    def output(weights: Any, point: Any) -> Any:
        named = unflatten(trained.network, trained.dim, 1, weights[None])
        run = Pass(layers={})  # nothing in place under a transform
        return trained.network.forward(named, point[None, None], run)[0, 0, 0]

    gradient = torch.func.vmap(torch.func.grad(output), in_dims=(None, 0))
    return torch.cat([gradient(leaf, part) for part in inputs.split(256)])
