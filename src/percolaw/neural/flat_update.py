"""AdamW on whole rows of weights, in a few passes of tensor operations: the update of `StepProgram`.

On CPUs `percolaw.neural.step.AdamW` does the same in one compiled pass.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.neural.config import Training
from percolaw.neural.network import Tensor
from percolaw.neural.step import EPSILON, AdamW, Moments, clip_gradients

FloatArray = npt.NDArray[np.float64]


@dataclass
class FlatAdamW:
    """One step of AdamW of all parameters at once, every student with its own rate and decay.

    Attributes
    ----------
    training : Training
        Its momentum, second_moment and clip.
    factor : tensor, shape (n_parameters,), or None
        On the rates of the parameters; None where it is 1 for all.
    decays : tensor, shape (n_parameters,), or None
        1 for parameters that shrink, else 0; None if no student has weight decay.
    """

    training: Training
    factor: Tensor | None
    decays: Tensor | None
    #: Numbers of a step and student that change from step to step.
    NUMBERS: ClassVar[int] = 3

    @classmethod
    def like(cls, optimizer: AdamW, decay: FloatArray, rows: Tensor) -> FlatAdamW:
        """Return the same optimiser for rows on a device.

        Parameters
        ----------
        optimizer : AdamW
        decay : array of float64, shape (students,)
        rows : tensor, shape (students, n_parameters)

        Returns
        -------
        FlatAdamW
        """
        factor, decays = rows.new_ones(rows.shape[1]), rows.new_zeros(rows.shape[1])
        for p in optimizer.parameters:
            factor[p.columns], decays[p.columns] = p.rate_factor, float(p.decays)
        plain = all(p.rate_factor == 1.0 for p in optimizer.parameters)
        return cls(
            optimizer.training, None if plain else factor, decays if (decay != 0.0).any() else None
        )

    def numbers(self, first: int, rates: FloatArray, decay: FloatArray) -> FloatArray:
        """Return what the steps need besides gradients: the rate, the shrinking, and epsilon.

        With beta and gamma the decays of the moments, c = 1 - beta^t and e = 1 - gamma^t at the t-th
        step, (m / c) / (sqrt(v / e) + epsilon) is m / (sqrt(v) + epsilon sqrt(e)) times sqrt(e) / c. The
        last factor goes into the rate, so that no pass over memory corrects a moment.

        Parameters
        ----------
        first : int
            Steps made before.
        rates : array of float64, shape (count, students)
        decay : array of float64, shape (students,)

        Returns
        -------
        array of float64, shape (count, 3, students, 1)
        """
        t = np.arange(first + 1, first + 1 + len(rates), dtype=np.float64)[:, None]
        root = np.sqrt(1.0 - self.training.second_moment**t)
        corrected = rates * root / (1.0 - self.training.momentum**t)
        epsilon = np.broadcast_to(EPSILON * root, rates.shape)
        return np.stack([corrected, rates * decay, epsilon], axis=1)[..., None]

    def __call__(self, rows: Tensor, gradient: Tensor, moments: Moments, numbers: Tensor) -> None:
        """Update weights and moments in place.

        Parameters
        ----------
        rows : tensor, shape (students, n_parameters)
        gradient : tensor, shape (students, n_parameters)
            Overwritten.
        moments : Moments
        numbers : tensor, shape (3, students, 1)
            One step of `numbers`.
        """
        import torch

        rate, shrink, epsilon = numbers
        first, second, gamma = moments.first, moments.second, self.training.second_moment
        if math.isfinite(self.training.clip):
            clip_gradients([gradient], self.training.clip)
        first.lerp_(gradient, 1.0 - self.training.momentum)
        second.mul_(gamma).addcmul_(gradient, gradient, value=1.0 - gamma)
        change = torch.sqrt(second, out=gradient).add_(epsilon)
        torch.div(first, change, out=change)
        if self.factor is not None:
            change.mul_(self.factor)
        if self.decays is not None:
            rows.addcmul_(rows * self.decays, shrink, value=-1.0)
        rows.addcmul_(change, rate, value=-1.0)
