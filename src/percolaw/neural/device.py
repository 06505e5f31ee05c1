"""Where and in which precision students are computed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from percolaw import checks

#: Share of an accelerator's memory that points and values may take; the rest is for training.
RESIDENT_SHARE = 0.4


def resolve_device(name: str) -> str:
    """Return the device meant by a name: ``auto`` is ``cuda`` where PyTorch can use it, else ``cpu``.

    Raises
    ------
    ValueError
        For a device that does not exist here, naming those that do.
    """
    torch = checks.extra("torch", "nn")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    there = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if name in there or (name == "cuda" and len(there) > 1):
        return name
    raise ValueError(f"there is no device {name!r} here; there are {', '.join(there)} (or auto).")


def autocast(dtype: str, device: str) -> Any:
    """Return the context in which forward passes are made.

    Parameters
    ----------
    dtype, device : str
        As in `Training`, the device resolved.

    Returns
    -------
    context manager
    """
    import torch

    return torch.autocast(device.split(":")[0], dtype=torch.bfloat16, enabled=dtype == "bfloat16")


def tensor_dtype(dtype: str) -> Any:
    """Return torch's type of weights and inputs; of ``bfloat16`` and ``tfloat32`` it is float32."""
    import torch

    return torch.float64 if dtype == "float64" else torch.float32


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Set a PyTorch module to evaluation inside the block, and each part to what it was after it."""
    modes = {part: part.training for part in module.modules()}
    try:
        module.eval()
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


@contextmanager
def matrix_products(dtype: str, device: str) -> Iterator[None]:
    """Let an accelerator round the factors of float32 products to TF32, or forbid it, inside the block.

    TF32 keeps 10 bits of the mantissa, float32 keeps 23; sums are float32 in both. On a CPU products are
    float32 either way. The caller's setting is restored.

    Parameters
    ----------
    dtype, device : str
        As in `Training`, the device resolved.
    """
    import torch

    if device == "cpu":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if dtype == "tfloat32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that a device's memory does not suffice."""
    import torch

    text = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text
    )


def resident_bytes(device: str) -> float:
    """Return how many bytes of points and values may lie on a device; more stay on the host."""
    import torch

    if device == "cpu":
        return math.inf
    return RESIDENT_SHARE * float(torch.cuda.mem_get_info(device)[1])


@contextmanager
def gradients_on() -> Iterator[None]:
    """Record gradients in full precision inside the block, and restore the caller's modes after it."""
    import torch

    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        # Without its cache: inside of an outer context it would keep weights that have changed since.
        torch.autocast("cpu", enabled=False, cache_enabled=False),
        torch.autocast("cuda", enabled=False, cache_enabled=False),
    ):
        yield
