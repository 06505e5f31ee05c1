"""Train many independent students of one shape as one tensor program."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.errors import ResourceError
from percolaw.learners.neural.device import gradients_on, resolve_device
from percolaw.learners.neural.networks import Network, n_parameters
from percolaw.learners.neural.trained import Trained, checked_inputs, joined

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Patience that no training exhausts.
NEVER = 10**9


@dataclass(frozen=True)
class Training:
    """How students are trained.

    Parameters
    ----------
    learning_rate, weight_decay : float
        Of students that do not say otherwise. The decay is AdamW's: weights, not biases, shrink by
        rate x decay in a step, the same for every parameter and width.
    steps : int
        Budget. A student that improves until the end of it is marked ``budget``.
    batch_size : int
        Training points in a step; students with fewer use all of theirs in every step.
    optimizer : {"adamw", "sgd", "lbfgs"}
        ``lbfgs`` takes all points in every step, one student at a time, for small problems; rates,
        schedules, clipping, dropout and weight decay do not apply to it.
    schedule : {"trapezoid", "cosine", "constant"}
        After a warm-up: constant until the validation loss no longer improves or the budget nears
        its end, then falling to 0 in a straight line; or half a cosine over the budget; or constant.
    warmup : float
        Share of the budget in which the rate rises.
    cooldown : float
        Trapezoid: share of the steps made so far in which the rate falls.
    momentum : float
        First-moment average (Adam's beta_1, SGD's momentum).
    second_moment : float
        Adam's beta_2.
    clip : float
        Largest norm of a student's gradient; infinity for none.
    dropout : float
        Share of hidden units dropped.
    evaluate_every : int
        Steps between validations. How often one looks does not change what is learned, except by
        where it stops.
    patience : int
        Looks within which the validation loss must fall by `least_gain` (relative, all of them together);
        else the student has converged (``plateau``).
    least_gain : float
        Relative fall of the validation loss, since the last such fall, that counts as a gain.
    keep : {"best", "last"}
        Weights kept: those of the least validation loss, or the last ones.
    loss : {"mse", "kl"}
        Mean squared error, or the divergence from softmax(y) to softmax(prediction).
    dtype : {"float32", "float64", "bfloat16"}
        ``bfloat16`` multiplies matrices in it and keeps weights and sums in float32.
    device : str
        ``auto`` is an accelerator where there is one.
    """

    learning_rate: float = 3e-3
    weight_decay: float = 0.0
    steps: int = 5000
    batch_size: int = 128
    optimizer: Literal["adamw", "sgd", "lbfgs"] = "adamw"
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
    loss: Literal["mse", "kl"] = "mse"
    dtype: Literal["float32", "float64", "bfloat16"] = "float32"
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "evaluate_every", "patience"):
            checks.set_integer(self, name)
        checks.set_real(self, "learning_rate", minimum=0.0)
        checks.set_real(self, "weight_decay", minimum=0.0)
        for name in ("warmup", "cooldown", "momentum", "second_moment", "dropout"):
            checks.set_real(self, name, minimum=0.0, maximum=0.9999)
        checks.set_real(self, "least_gain", minimum=0.0, maximum=1.0)
        object.__setattr__(self, "clip", float(self.clip))
        if not self.clip > 0.0:
            raise ValueError(f"clip must be above 0 (math.inf for none); got {self.clip!r}.")
        checks.choice("optimizer", self.optimizer, ("adamw", "sgd", "lbfgs"))
        checks.choice("schedule", self.schedule, ("trapezoid", "cosine", "constant"))
        checks.choice("keep", self.keep, ("best", "last"))
        checks.choice("loss", self.loss, ("mse", "kl"))
        checks.choice("dtype", self.dtype, ("float32", "float64", "bfloat16"))

    def doubled(self) -> Training:
        """Return the same with twice the budget, all of it used, and as many warm-up steps."""
        return dataclasses.replace(
            self, steps=2 * self.steps, patience=NEVER, warmup=self.warmup / 2.0
        )


@dataclass(frozen=True, eq=False)
class Student:
    """One student of a batch: its seed, the rows it learns from, and what it is to learn.

    Parameters
    ----------
    seed : int
        Weights (stream ``init``), order of the data (``batch``), dropout.
    train, validation : array of int
        Rows of the points. Validation rows stop the training and choose the weights kept.
    target : int
        First column of the values it learns.
    learning_rate, weight_decay : float, optional
        In place of the batch's.
    """

    seed: int
    train: npt.ArrayLike
    validation: npt.ArrayLike
    target: int = 0
    learning_rate: float | None = None
    weight_decay: float | None = None


def train(
    network: Network,
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    students: Sequence[Student],
    training: Training | None = None,
    *,
    n_outputs: int = 1,
    checkpoint: Path | str | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Callable[[int, int], None] = lambda step, active: None,
) -> Trained:
    """Train students of one shape, each on its own rows and target, each until it no longer improves.

    Parameters
    ----------
    network : Network
    points : array, shape (n, dim)
        As `percolaw.targets.teacher.standardized_inputs` makes them; or token ids. Training rows are
        taken in random order, each once before any is taken again; with batch_size x steps rows every
        step sees fresh data.
    values : array, shape (n,) or (n, n_columns)
    students : sequence of Student
        With equally many validation rows.
    training : Training, optional
    n_outputs : int
        Columns each student learns, from its ``target`` on.
    checkpoint : path of a folder, optional
        State is written there every `checkpoint_seconds`, whole or not at all, and the same call
        continues from it, on any device.
    progress : callable
        Called after every evaluation with the step and the number of students still learning.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        For rows, columns or devices that do not exist, before work starts.
    ResourceError
        If not even one student fits in the device's memory. Before that the batch is halved.

    Notes
    -----
    Evaluation draws no random numbers. A student that diverges is stopped and marked; it has no
    influence on the others.

    Examples
    --------
    >>> from percolaw.learners.neural.networks import MLP
    >>> x = np.random.default_rng(0).standard_normal((60, 2))
    >>> half = [Student(seed, np.arange(40), np.arange(40, 60)) for seed in (0, 1)]
    >>> found = train(MLP(depth=0), x, x @ [1.0, -2.0], half, Training(learning_rate=0.1))
    >>> bool((found.validation_loss < 1e-3).all())
    True
    """
    checks.extra("torch", "nn")
    training = training or Training()
    x = checked_inputs(network, points)
    if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] == 0:
        raise ValueError(f"points must have shape (n, dim), neither 0; got {x.shape}.")
    y = checks.target_values("values", values, x.shape[0]).reshape(x.shape[0], -1)
    if training.dtype != "float64":
        checks.single("values", y)
        if not network.takes_tokens:
            checks.single("points", x)
    n_outputs = checks.integer("n_outputs", n_outputs, minimum=1)
    if training.optimizer == "lbfgs" and training.dtype == "bfloat16":
        raise ValueError("L-BFGS needs float32 or float64; got dtype = 'bfloat16'.")
    if training.loss == "kl" and n_outputs == 1:
        raise ValueError("the kl loss compares 2 outputs or more; got n_outputs = 1. Use mse.")
    found = _checked_students(students, x.shape[0], y.shape[1], n_outputs)
    resolve_device(training.device)
    folder = None if checkpoint is None else Path(checkpoint)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ValueError(f"checkpoint names a folder; {folder} is a file.")
    with gradients_on():
        return _split_until_it_fits(
            network, x, y, found, training, n_outputs, folder, checkpoint_seconds, progress
        )


def _split_until_it_fits(
    network: Network,
    x: npt.NDArray[Any],
    y: FloatArray,
    students: list[Student],
    training: Training,
    n_outputs: int,
    folder: Path | None,
    seconds: float,
    progress: Callable[[int, int], None],
) -> Trained:
    """Train together, or where memory is short the two halves one after the other."""
    import torch

    from percolaw.learners.neural.lbfgs import train_lbfgs
    from percolaw.learners.neural.loop import train_batch

    whole = train_lbfgs if training.optimizer == "lbfgs" else train_batch
    try:
        return whole(network, x, y, students, training, n_outputs, folder, seconds, progress)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        if len(students) == 1:
            need = checks.human_bytes(16.0 * n_parameters(network, x.shape[1], n_outputs))
            raise ResourceError(
                f"one student of {need} with its optimiser does not fit in the memory of "
                f"{training.device}. Lower batch_size or the width."
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(students) // 2
    halves = [
        _split_until_it_fits(network, x, y, part, training, n_outputs, folder, seconds, progress)
        for part in (students[:middle], students[middle:])
    ]
    return joined(halves)


def _out_of_memory(error: BaseException) -> bool:
    import torch

    text = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text
    )


def _checked_students(
    students: Sequence[Student], n_rows: int, n_columns: int, n_outputs: int
) -> list[Student]:
    """Students with int64 rows, rates filled in; or the reason why not."""
    if not students:
        raise ValueError("there are no students; give at least one.")
    found = []
    for i, s in enumerate(students):
        train_rows = checks.site_ids(f"train of student {i}", s.train, n_rows)
        validation = checks.site_ids(f"validation of student {i}", s.validation, n_rows)
        if not train_rows.size or not validation.size:
            raise ValueError(f"student {i} needs training rows and validation rows; one is empty.")
        held = np.zeros(n_rows, dtype=bool)
        held[validation] = True
        if held[train_rows].any():
            raise ValueError(
                f"student {i} has rows in both train and validation; its stopping rule would look "
                "at what it has learned by heart. Make them disjoint."
            )
        target = checks.integer("target", s.target, minimum=0)
        if target + n_outputs > n_columns:
            raise ValueError(
                f"student {i} learns columns {target}..{target + n_outputs - 1}; values have "
                f"{n_columns}."
            )
        for name in ("learning_rate", "weight_decay"):
            value = getattr(s, name)
            if value is not None:
                checks.real(name, value, minimum=0.0)
        train_rows, validation = np.ascontiguousarray(train_rows), np.ascontiguousarray(validation)
        found.append(dataclasses.replace(s, train=train_rows, validation=validation, target=target))
    if len({np.size(s.validation) for s in found}) > 1:
        counts = sorted({np.size(s.validation) for s in found})
        raise ValueError(f"students of one batch need equally many validation rows; got {counts}.")
    return found
