"""Where and in which precision students are computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from percolaw import checks


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
    """Return torch's type of weights and inputs; of ``bfloat16`` it is float32."""
    import torch

    return torch.float64 if dtype == "float64" else torch.float32


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
