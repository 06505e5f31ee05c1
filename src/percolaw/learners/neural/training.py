"""Train many independent students of one shape as one tensor program."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.errors import ResourceError
from percolaw.learners.neural import loop
from percolaw.learners.neural.config import Student, Training
from percolaw.learners.neural.device import gradients_on, resolve_device
from percolaw.learners.neural.networks import Network, n_parameters
from percolaw.learners.neural.trained import Trained, checked_inputs, joined

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


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

    try:
        return loop.train_batch(
            network, x, y, students, training, n_outputs, folder, seconds, progress
        )
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
