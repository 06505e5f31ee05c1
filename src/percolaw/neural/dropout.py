"""Dropout whose masks depend on a student's seed, the step, the place and the unit alone.

A student then drops the same units alone, among others, after a resume and on every device.
"""

from __future__ import annotations

from typing import Any

#: Odd multipliers of the 64-bit finaliser (Stafford's mix 13), as signed integers.
_FIRST, _SECOND = -4658895280553007687, -7723592293110705685
_STEP, _PLACE = -7046029254386353131, 2862933555777941757


def drop_units(x: Any, share: float, seeds: Any, step: Any, place: int) -> Any:
    """Return x (students, ...) with a share of its numbers set to 0 and the rest scaled up.

    Parameters
    ----------
    x : tensor, shape (students, ...)
    share : float
        In [0, 1).
    seeds : tensor of int64, shape (students,)
    step : int or tensor of int64, shape ()
        Step of training; a tensor where steps are made without a return to Python.
    place : int
        In the network.

    Returns
    -------
    tensor of the shape of x
    """
    import torch

    count = x[0].numel()
    index = torch.arange(count, device=x.device, dtype=torch.int64)
    # Products of tensors wrap by themselves.
    turn = _wrapped(_STEP * (step + 1)) if isinstance(step, int) else (step + 1) * _STEP
    key = _mix(seeds + turn) + _wrapped(_PLACE * place)
    bits = _mix(_mix(key)[:, None] + index[None, :])
    uniform = ((bits >> 40) & 0xFFFFFF).to(torch.float32) * 2.0**-24
    keep = (uniform >= share).reshape(x.shape)
    return torch.where(keep, x / (1.0 - share), torch.zeros((), dtype=x.dtype, device=x.device))


def _wrapped(number: int) -> int:
    """An integer modulo 2^64, signed."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)


def _mix(z: Any) -> Any:
    """Stafford's mix 13 on int64 tensors; overflow wraps."""
    z = (z ^ ((z >> 30) & ((1 << 34) - 1))) * _FIRST
    z = (z ^ ((z >> 27) & ((1 << 37) - 1))) * _SECOND
    return z ^ ((z >> 31) & ((1 << 33) - 1))
