"""AdamW and SGD on rows of weights, every student with its own learning rate."""

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
        second = None if self.second is None else self.second[keep]
        return Moments(self.first[keep], second)


def fresh(training: Training, rows: Any) -> Moments:
    """Return the memory of an optimiser that has seen nothing."""
    import torch

    second = torch.zeros_like(rows) if training.optimizer == "adamw" else None
    return Moments(torch.zeros_like(rows), second)


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
        one = self._adamw if self.training.optimizer == "adamw" else self._sgd
        for (low, high, factor, shrinks), g in zip(self.parts, flat, strict=True):
            part = slice(low, high)
            kept = 1.0 - rate * decay if shrinks else 1.0 + 0.0 * rate
            second = None if moments.second is None else moments.second[:, part]
            one(rows[:, part], g, moments.first[:, part], second, step, rate, factor, kept)

    def _sgd(
        self, rows: Any, g: Any, first: Any, _: Any, step: int, rate: Any, factor: float, kept: Any
    ) -> None:
        rows.mul_(_column(kept, rows))
        first.mul_(self.training.momentum).add_(g)
        rows.addcmul_(first, _column(rate * factor, rows), value=-1.0)

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
