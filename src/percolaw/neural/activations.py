"""Activations of the layers of a trained student, and of any PyTorch module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.device import evaluating
from percolaw.neural.trained import Trained

#: Rows of one forward pass.
ROWS = 4096


def layer_activations(
    trained: Trained, points: npt.ArrayLike, student: int = 0
) -> dict[str, npt.NDArray[Any]]:
    """Return the activations of one student at points, by layer.

    Layers come in the order of the network, ``layer 1 before`` and ``layer 1 after`` its nonlinearity
    and so on; the last ``before`` is where Sharma and Kaplan (2022) measure the dimension of the data.

    Parameters
    ----------
    trained : Trained
    points : array, shape (n, dim)
        Points, or token ids.
    student : int
        Its number, from 0.

    Returns
    -------
    dict of str to array, shape (n, width)
        In the type of the weights. Of a transformer the shape is (n, tokens x 4 width), the layers
        are those inside its MLPs, and ``readout``, shape (n, width), is what the last weights see.

    Raises
    ------
    ValueError
        For a student that does not exist, and points of another shape.
    """
    blocks: list[dict[str, npt.NDArray[Any]]] = []
    trained.select(student).predict(points, blocks)
    return {name: np.concatenate([b[name][0] for b in blocks]) for name in blocks[0]}


def module_activations(
    module: Any, points: npt.ArrayLike, layers: Sequence[str]
) -> dict[str, npt.NDArray[Any]]:
    """Return what chosen submodules of a PyTorch module give out at points, by hooks.

    The module is used as it is, in evaluation mode and without gradients, and left in the mode in which
    it was.

    Parameters
    ----------
    module : torch.nn.Module
        Maps points (n, ...), in the dtype of its parameters, or int64 ids.
    points : array, shape (n, ...)
    layers : sequence of str
        Names as ``module.named_modules()`` gives them.

    Returns
    -------
    dict of str to array, shape (n, width)
        In the order of `layers`; what is not a vector for each point is flattened.

    Raises
    ------
    ValueError
        For a layer that does not exist, one that is not used, and one that gives no tensor with a row
        for each point.
    TypeError
        For points that are not numbers.
    """
    torch = checks.extra("torch", "nn")
    modules = dict(module.named_modules())
    unknown = [name for name in layers if name not in modules]
    if unknown or not layers:
        raise ValueError(
            f"there is no layer {unknown[0]!r}" if unknown else "layers is empty"
        ) from None
    x = checks.array("points", points)
    if x.dtype.kind not in "iuf" or x.ndim < 2:
        raise TypeError(f"points must be numbers of shape (n, ...); got {x.dtype}, {x.shape}.")
    parameter = next(module.parameters(), None)
    device = "cpu" if parameter is None else parameter.device
    dtype = torch.float32 if parameter is None else parameter.dtype
    kept: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in layers}
    size = [0]

    def hook(name: str) -> Any:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            if not torch.is_tensor(output) or output.shape[:1] != (size[0],):
                raise ValueError(f"layer {name!r} gives no tensor with a row for each point.")
            kept[name].append(output.detach().flatten(1).float().cpu().numpy())

        return keep

    handles = [modules[name].register_forward_hook(hook(name)) for name in layers]
    try:
        with evaluating(module), torch.no_grad():
            for low in range(0, x.shape[0], ROWS):
                block = torch.as_tensor(np.ascontiguousarray(x[low : low + ROWS]), device=device)
                size[0] = block.shape[0]
                module(block.to(dtype) if block.is_floating_point() else block)
    finally:
        for handle in handles:
            handle.remove()
    for name, blocks in kept.items():
        if sum(b.shape[0] for b in blocks) != x.shape[0]:
            raise ValueError(f"layer {name!r} is not used once in a forward pass.")
    return {name: np.concatenate(blocks) for name, blocks in kept.items()}
