"""Gradients of the loss of single samples by all weights, one backward pass each, projected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.device import evaluating, gradients_on, resolve_device
from percolaw.neural.losses import LOSSES, Loss
from percolaw.neural.network import ForwardPass, Tensor, checked_inputs, unflatten
from percolaw.neural.trained import Trained
from percolaw.rng import RandomLike, as_streams

Gradients = npt.NDArray[np.float32]

#: Directions of the projection: inner products are right to 1/sqrt(4096) = 1.6% of the norms.
N_DIRECTIONS = 4096
#: Numbers in the gradients that are held at a time.
GRADIENTS_AT_ONCE = 1 << 22


def sample_gradients(
    trained: Trained,
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    student: int = 0,
    *,
    loss: Loss | None = None,
    n_directions: int = N_DIRECTIONS,
    rng: RandomLike = 0,
) -> Gradients:
    """Return the gradient of every sample's loss by a student's weights, projected at random.

    Each weight adds, with a random sign, to a random direction: inner products of two gradients g and h
    keep their mean, with variance at most (|g|^2 |h|^2 + (g.h)^2) / n_directions.

    Parameters
    ----------
    trained : Trained
    points : array, shape (n, dim)
        Points, or token ids.
    values : array, shape (n,) or (n, n_outputs)
    student : int
        Its number, from 0.
    loss : Loss, optional
        That of the training if left out.
    n_directions : int
        No projection where the student has no more weights.
    rng : int, Generator or Streams
        Stream ``analysis``: directions and signs.

    Returns
    -------
    array of float32, shape (n, n_directions) or (n, n_parameters)

    Raises
    ------
    ValueError
        For a student that does not exist, and points and values that do not fit it or each other.
    ResourceError
        If the memory is not available.

    Notes
    -----
    A forward and a backward pass a sample, in blocks of `GRADIENTS_AT_ONCE` numbers (16 MiB in
    float32, three times), and 4 n n_directions bytes. The projection is that of Charikar, Chen and
    Farach-Colton (2002); it has the variance of one with a sign for every weight and direction, which
    would take n_directions times as long. Runs of n_directions weights share a random turn, so that no
    two weights meet in a direction with a probability above 1/n_directions.
    """
    import torch

    one = trained.select(student)
    x = checked_inputs(one.network, points)
    if x.ndim != 2 or x.shape[1] != one.dim:
        raise ValueError(f"points must have shape (n, {one.dim}), as in training; got {x.shape}.")
    y = checks.target_values("values", values, x.shape[0]).reshape(x.shape[0], -1)
    if y.shape[1] != one.n_outputs:
        raise ValueError(
            f"values must have {one.n_outputs} columns, as in training; got {y.shape[1]}."
        )
    measure = LOSSES[one.training.loss] if loss is None else loss
    device = resolve_device(one.training.device)
    row = torch.as_tensor(one.weights, device=device)

    def gradients(low: int, high: int) -> Tensor:
        # Each sample is a student of its own, so that one pass gives all of their gradients.
        leaf = row.expand(high - low, -1).clone().requires_grad_()
        inputs = torch.as_tensor(x[low:high, None].copy(), device=device)
        inputs = inputs if one.network.takes_tokens else inputs.to(row.dtype)
        target = torch.as_tensor(y[low:high, None], dtype=row.dtype, device=device)
        weights = unflatten(one.network, one.dim, one.n_outputs, leaf)
        output = one.network.forward(weights, inputs, ForwardPass())
        return torch.autograd.grad(measure.value(output, target).sum(), leaf)[0]

    with gradients_on():
        return _projected(gradients, x.shape[0], row.shape[1], device, n_directions, rng)


def module_gradients(
    module: Any,
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    n_directions: int = N_DIRECTIONS,
    rng: RandomLike = 0,
) -> Gradients:
    """Return the gradient of every sample's loss by the weights of a PyTorch module, projected at random.

    The module is used in evaluation mode and left in the mode in which it was; weights that do not
    require gradients are left out. The projection is that of `sample_gradients`.

    Parameters
    ----------
    module : torch.nn.Module
        Maps points (n, ...), in the dtype of its parameters, or int64 ids; each sample by itself.
    points : array, shape (n, ...)
    values : array, shape (n, ...)
        Integers are handed on as int64, as classes are, others in the dtype of the parameters.
    loss : callable
        Of outputs and values with an axis of one sample, such as
        ``torch.nn.functional.cross_entropy``.
    n_directions : int
        No projection where the module has no more weights.
    rng : int, Generator or Streams
        Stream ``analysis``: directions and signs.

    Returns
    -------
    array of float32, shape (n, n_directions) or (n, n_parameters)

    Raises
    ------
    TypeError
        For points or values that are not numbers.
    ValueError
        For a module without weights to learn, and another number of values than of points.
    ResourceError
        If the memory is not available.

    Notes
    -----
    Cost as `sample_gradients`.

    Examples
    --------
    >>> import torch
    >>> module = torch.nn.Linear(2, 1, bias=False)
    >>> loss = torch.nn.functional.mse_loss
    >>> gradient = module_gradients(module, [[1.0, 0.0], [0.0, 2.0]], [[9.0], [9.0]], loss)
    >>> bool((gradient != 0.0).tolist() == [[True, False], [False, True]])
    True
    """
    torch = checks.extra("torch", "nn")
    named = {k: p.detach() for k, p in module.named_parameters() if p.requires_grad}
    if not named:
        raise ValueError("the module has no parameter that requires gradients; nothing is learned.")
    fixed = {k: p.detach() for k, p in module.named_parameters() if not p.requires_grad}
    fixed |= {k: b.detach() for k, b in module.named_buffers()}
    first = next(iter(named.values()))
    x, y = (_tensor(name, a, first) for name, a in (("points", points), ("values", values)))
    if x.shape[0] != y.shape[0]:
        raise ValueError(f"{x.shape[0]} points need as many values; got {y.shape[0]}.")

    def of_sample(weights: Any, point: Any, value: Any) -> Any:
        output = torch.func.functional_call(module, {**fixed, **weights}, (point[None],))
        return loss(output, value[None])

    every = torch.func.vmap(torch.func.grad(of_sample), in_dims=(None, 0, 0))

    def gradients(low: int, high: int) -> Tensor:
        parts = every(named, x[low:high], y[low:high])
        return torch.cat([parts[k].flatten(1) for k in named], dim=1)

    size = sum(p.numel() for p in named.values())
    with evaluating(module), gradients_on():
        return _projected(gradients, x.shape[0], size, first.device, n_directions, rng)


def _tensor(name: str, array: npt.ArrayLike, like: Tensor) -> Tensor:
    """Integers as int64, real numbers in the dtype of the parameters, on their device."""
    import torch

    values = checks.array(name, array)
    if values.dtype.kind not in "iuf" or values.ndim < 1:
        raise TypeError(
            f"{name} must be numbers of shape (n, ...); got {values.dtype}, {values.shape}."
        )
    tensor = torch.as_tensor(np.ascontiguousarray(values), device=like.device)
    return tensor.to(like.dtype) if tensor.is_floating_point() else tensor.to(torch.int64)


def _projected(
    gradients: Callable[[int, int], Tensor],
    n: int,
    size: int,
    device: Any,
    n_directions: int,
    rng: RandomLike,
) -> Gradients:
    """Gradients of samples low..high - 1, block by block, each summed with signs into the directions."""
    import torch

    if n == 0:
        raise ValueError("there are no points.")
    columns = min(size, checks.integer("n_directions", n_directions, minimum=1))
    rows = max(1, min(n, GRADIENTS_AT_ONCE // size))
    need = 4.0 * n * columns + 12.0 * rows * size
    checks.memory(
        need, f"gradients of {n} samples by {size} weights", "Use fewer directions or samples."
    )
    out = np.empty((n, columns), dtype=np.float32)
    generator = as_streams(rng).generator("analysis")
    sign = torch.as_tensor(generator.choice(np.array([-1.0, 1.0], np.float32), size), device=device)
    shift = generator.integers(0, columns, -(-size // columns)).tolist()
    for low in range(0, n, rows):
        high = min(low + rows, n)
        block = gradients(low, high).detach().to(torch.float32)
        out[low:high] = (_summed(block * sign, columns, shift) if columns < size else block).cpu()
    return out


def _summed(signed: Tensor, columns: int, shift: list[int]) -> Tensor:
    """Sum of as many weights after the others as there are directions, each part turned by its shift."""
    import torch

    total = torch.zeros((signed.shape[0], columns), device=signed.device)
    for part, turn in zip(signed.split(columns, dim=1), shift, strict=True):
        head = min(columns - turn, part.shape[1])
        total[:, turn : turn + head] += part[:, :head]
        total[:, : part.shape[1] - head] += part[:, head:]
    return total
