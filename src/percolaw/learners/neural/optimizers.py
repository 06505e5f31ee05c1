"""AdamW on rows of weights, every student with its own learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from percolaw.kernels.optimize import adamw
from percolaw.learners.neural.config import Training

#: Added to Adam's root mean square gradient.
EPSILON = 1e-8


@dataclass
class Moments:
    """What the optimiser remembers: rows (students, n_parameters), zero at the start."""

    first: Any
    second: Any

    def take(self, keep: Any) -> Moments:
        """Return those of some students."""
        return Moments(self.first[keep], self.second[keep])


def fresh(rows: Any) -> Moments:
    """Return the memory of an optimiser that has seen nothing."""
    import torch

    return Moments(torch.zeros_like(rows), torch.zeros_like(rows))


@dataclass
class Update:
    """One step of an optimiser on rows of weights.

    Attributes
    ----------
    training : Training
    parts : list of (low, high, factor, shrinks)
        Columns of every parameter, the factor on its learning rate, and whether weight decay acts.
    """

    training: Training
    parts: list[tuple[int, int, float, bool]]

    def __call__(
        self, rows: Any, gradients: Any, moments: Moments, step: int, rate: Any, decay: Any
    ) -> None:
        """Update rows (students, n_parameters) in place.

        Parameters
        ----------
        rows : tensor
        gradients : sequence of tensor, shape (students, ...)
            One a parameter; overwritten.
        moments : Moments
        step : int
            Steps made before this one.
        rate, decay : array of float64, shape (students,)
            Learning rate now, and the weight decay; tensors on an accelerator.
        """
        flat = [g.reshape(g.shape[0], -1) for g in gradients]
        if math.isfinite(self.training.clip):
            _clip(flat, self.training.clip)
        for (low, high, factor, shrinks), g in zip(self.parts, flat, strict=True):
            part = slice(low, high)
            kept = 1.0 - rate * decay if shrinks else 1.0 + 0.0 * rate
            first, second = moments.first[:, part], moments.second[:, part]
            self._adamw(rows[:, part], g, first, second, step, rate, factor, kept)

    def _adamw(
        self,
        rows: Any,
        g: Any,
        first: Any,
        second: Any,
        step: int,
        rate: Any,
        factor: float,
        kept: Any,
    ) -> None:
        beta, gamma = self.training.momentum, self.training.second_moment
        if rows.device.type == "cpu":
            arrays = [t.numpy() for t in (rows, g, first, second)]
            adamw(*arrays, rate, factor, kept, beta, gamma, step, EPSILON)  # type: ignore[call-arg]
            return
        rows.mul_(_column(kept, rows))
        first.lerp_(g, 1.0 - beta)
        second.mul_(gamma).addcmul_(g, g, value=1.0 - gamma)
        scale = g.copy_(second).div_(1.0 - gamma ** (step + 1)).sqrt_().add_(EPSILON)
        scale.reciprocal_().mul_(first)
        rate = _column(rate * (factor / (1.0 - beta ** (step + 1))), rows)
        rows.addcmul_(scale, rate, value=-1.0)


def _clip(gradients: list[Any], most: float) -> None:
    """Scale every student's gradient to a norm of at most `most`."""
    square = sum(g.square().sum(dim=1, keepdim=True) for g in gradients)
    factor = (most / square.sqrt().clamp_min(1e-30)).clamp_max(1.0)
    for g in gradients:
        g.mul_(factor)


def _column(numbers: Any, like: Any) -> Any:
    import torch

    return torch.as_tensor(numbers, device=like.device, dtype=like.dtype)[:, None]
