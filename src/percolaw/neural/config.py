"""How an ensemble of networks is trained, and what each of them, a student, is to learn: plain values."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy.typing as npt

from percolaw import checks
from percolaw.neural.losses import LOSSES
from percolaw.neural.stream import Stream
from percolaw.short import short_repr

#: Patience of a training that is never stopped early.
NEVER_STOP = 10**9


@dataclass(frozen=True)
class Training:
    """How students are trained.

    Parameters
    ----------
    learning_rate, weight_decay : float
        Of AdamW, for students that do not say otherwise. Weights, not biases, shrink by rate x decay in
        a step, the same for every parameter and width.
    steps : int
        Budget. A student that improves until the end of it is marked ``budget``.
    batch_size : int
        Training points in a step; students with fewer use all of theirs in every step.
    schedule : {"trapezoid", "cosine", "constant"}
        After a warm-up: constant until the validation loss no longer improves or the budget nears
        its end, then falling to 0 in a straight line; or half a cosine over the budget; or constant.
    warmup : float
        Share of the budget in which the rate rises.
    cooldown : float
        Trapezoid: share of the steps made so far in which the rate falls.
    momentum : float
        AdamW's beta_1: how much of the average gradient is kept in a step.
    second_moment : float
        AdamW's beta_2: the same of the average squared gradient.
    clip : float
        Largest norm of a student's gradient; infinity for none.
    dropout : float
        Share of hidden units dropped.
    evaluate_every : int
        Steps between evaluations of the validation loss. They do not change what is learned, except by
        where it stops.
    patience : int
        Evaluations within which the validation loss must fall by `least_gain` (relative, all of them
        together); else the student has converged (``plateau``).
    least_gain : float
        Relative fall of the validation loss, since the last such fall, that counts as a gain.
    keep : {"best", "last"}
        Weights kept: those of the least validation loss, or the last ones.
    loss : {"mse", "kl", "cross_entropy"}
        Mean squared error; the divergence from softmax(y) to softmax(prediction); or the cross-entropy of
        class probabilities y. See `percolaw.neural.losses`; a loss of your own is handed to
        `percolaw.train`.
    dtype : {"float32", "float64", "bfloat16", "tfloat32"}
        ``bfloat16`` multiplies matrices in it and keeps weights and sums in float32. ``tfloat32`` is
        float32 whose products may be made in TF32 (10 bits of mantissa in the factors) on
        accelerators; on a CPU it is float32. docs/neural.md says at which loss each of them bends.
    device : str
        ``cpu``, ``cuda`` or ``cuda:0``; ``auto`` is ``cuda`` where PyTorch can use it, else ``cpu``.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    steps: int = 5000
    batch_size: int = 128
    schedule: Literal["trapezoid", "cosine", "constant"] = "trapezoid"
    warmup: float = 0.02
    cooldown: float = 0.25
    momentum: float = 0.9
    second_moment: float = 0.999
    clip: float = math.inf
    dropout: float = 0.0
    evaluate_every: int = 100
    patience: int = 10
    least_gain: float = 0.01
    keep: Literal["best", "last"] = "best"
    loss: Literal["mse", "kl", "cross_entropy"] = "mse"
    dtype: Literal["float32", "float64", "bfloat16", "tfloat32"] = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "evaluate_every", "patience"):
            checks.set_integer(self, name)
        checks.set_real(self, "learning_rate", minimum=0.0)
        checks.set_real(self, "weight_decay", minimum=0.0)
        for name in ("warmup", "cooldown", "momentum", "second_moment", "dropout"):
            checks.set_real(self, name, minimum=0.0, maximum=0.9999)
        checks.set_real(self, "least_gain", minimum=0.0, maximum=1.0)
        if isinstance(self.clip, Real) and not self.clip > 0.0:
            raise ValueError(f"clip must be above 0 (math.inf for none); got {self.clip!r}.")
        if self.clip != math.inf:
            checks.set_real(self, "clip")
        checks.choice("schedule", self.schedule, ("trapezoid", "cosine", "constant"))
        checks.choice("keep", self.keep, ("best", "last"))
        checks.choice("loss", self.loss, tuple(LOSSES))
        checks.choice("dtype", self.dtype, ("float32", "float64", "bfloat16", "tfloat32"))

    def doubled(self) -> Training:
        """Return the same with twice the budget, all of it used, and as many warm-up steps."""
        return dataclasses.replace(
            self, steps=2 * self.steps, patience=NEVER_STOP, warmup=self.warmup / 2.0
        )


@dataclass(frozen=True, eq=False)
class Student:
    """One network of an ensemble: its seed, the points it learns from, and what it is to learn of them.

    Parameters
    ----------
    seed : int
        Of its initial weights (stream ``init``), the order of its data (``batch``) and its dropout.
    train : array of int, or Stream
        Rows of the points; or an endless stream of minibatches in their place.
    validation : array of int
        Rows that stop the training and choose the weights kept.
    target : int
        First column of the values it learns.
    learning_rate, weight_decay : float, optional
        In place of those in `Training`.
    start : array of float, shape (n_parameters,), optional
        Weights to begin with, in the order of `Trained.weights`, in place of those drawn from the seed.
    """

    seed: int
    train: npt.ArrayLike | Stream
    validation: npt.ArrayLike
    target: int = 0
    learning_rate: float | None = None
    weight_decay: float | None = None
    start: npt.ArrayLike | None = None

    __repr__ = short_repr
