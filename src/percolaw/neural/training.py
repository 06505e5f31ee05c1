"""The door to training: many independent students of one shape in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from percolaw import checks
from percolaw.errors import ResourceError
from percolaw.neural import ensemble
from percolaw.neural.config import Student, Training
from percolaw.neural.device import (
    gradients_on,
    matrix_products,
    out_of_memory,
    resolve_device,
)
from percolaw.neural.job import TrainingJob, checked_students
from percolaw.neural.losses import LOSSES, Loss
from percolaw.neural.network import Network, checked_inputs, n_parameters
from percolaw.neural.trained import Trained, joined


def train(
    network: Network,
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    students: Sequence[Student],
    training: Training | None = None,
    *,
    n_outputs: int = 1,
    loss: Loss | None = None,
    checkpoint: Path | str | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Callable[[int, int], None] | None = None,
    seconds: float | None = None,
) -> Trained:
    """Train students of one shape, each on its own rows and target, each until it no longer improves.

    Parameters
    ----------
    network : Network
    points : array, shape (n, dim)
        As `percolaw.targets.teacher.standardized_inputs` makes them; or token ids. Training rows are
        taken in random order, each once before any is taken again; with batch_size x steps rows, or with
        a `percolaw.neural.stream.Stream` in their place, every step sees fresh data.
    values : array, shape (n,) or (n, n_columns)
    students : sequence of Student
        With equally many validation rows.
    training : Training, optional
        ``Training()`` if None.
    n_outputs : int
        Columns each student learns, from its ``target`` on.
    loss : Loss, optional
        A loss of your own (`percolaw.neural.losses`) in place of the one that `training` names.
    checkpoint : path of a folder, optional
        State is written there, whole or not at all, and the same call continues from it, on any device.
        It is removed when the training has ended.
    checkpoint_seconds : float
        Least time between two states, in seconds.
    progress : callable, optional
        Called with the step and the number of students still learning after every evaluation but that
        of the initial weights.
    seconds : float, optional
        Longest time that the training may need. Two intervals of steps are timed, and a budget that
        would need longer is refused then, before the time is spent. A budget of one interval is made.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError
        Before training starts: for points or values of another shape or not finite, rows, columns or
        devices that do not exist, rows both learned from and validated on, and a loss that needs more
        outputs. Later: for rows of a stream of another shape, when they are drawn.
    TypeError
        For points or values that are not numbers, token ids that are not integers, and a `loss` that is
        no `Loss`.
    ResourceError
        If not even one student fits in the device's memory. Before that the ensemble is halved.
    TimeoutError
        For a budget of steps that the device cannot make within `seconds`.

    Notes
    -----
    Evaluation draws no random numbers. A student that diverges is stopped and marked; it has no
    influence on the others.

    Examples
    --------
    >>> import numpy as np
    >>> from percolaw.neural.mlp import MLP
    >>> x = np.random.default_rng(0).standard_normal((60, 2))
    >>> half = [Student(seed, np.arange(40), np.arange(40, 60)) for seed in (0, 1)]
    >>> trained = train(MLP(depth=0), x, x @ [1.0, -2.0], half, Training(learning_rate=0.1))
    >>> bool((trained.validation_loss < 1e-3).all())
    True
    """
    checks.extra("torch", "nn")
    job = checked_job(
        network,
        points,
        values,
        students,
        training or Training(),
        n_outputs,
        loss,
        folder=None if checkpoint is None else Path(checkpoint),
        checkpoint_seconds=checks.real("checkpoint_seconds", checkpoint_seconds, minimum=0.0),
        progress=progress or (lambda step, active: None),
        seconds=None if seconds is None else checks.real("seconds", seconds, minimum=0.0),
    )
    with gradients_on(), matrix_products(job.training.dtype, resolve_device(job.training.device)):
        return _train_or_halve(job)


def checked_job(
    network: Network,
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    students: Sequence[Student],
    training: Training,
    n_outputs: int,
    loss: Loss | None,
    folder: Path | None,
    **options: Any,
) -> TrainingJob:
    """Return what `train` is asked for, after checking that it can be done.

    Parameters
    ----------
    network, points, values, students, training, n_outputs, loss
        As in `train`.
    folder : Path, optional
        Of checkpoints.
    **options
        Further fields of the job.

    Returns
    -------
    TrainingJob

    Raises
    ------
    TypeError, ValueError
        As `train` does.
    """
    x = checked_inputs(network, points)
    if x.ndim != 2 or x.shape[0] == 0 or x.shape[1] == 0:
        raise ValueError(f"points must have shape (n, dim), neither 0; got {x.shape}.")
    y = checks.target_values("values", values, x.shape[0]).reshape(x.shape[0], -1)
    if training.dtype != "float64":
        checks.single("values", y)
        if not network.takes_tokens:
            checks.single("points", x)
    n_outputs = checks.integer("n_outputs", n_outputs, minimum=1)
    loss = LOSSES[training.loss] if loss is None else loss
    if not isinstance(loss, Loss):
        raise TypeError(
            f"loss must be a percolaw.neural.losses.Loss; got {loss!r}. Built-in losses are "
            f"named in Training(loss=...): {', '.join(LOSSES)}; another one is a class with value()."
        )
    if n_outputs < loss.least_outputs:
        raise ValueError(
            f"{type(loss).__name__} compares {loss.least_outputs} outputs or more; got n_outputs = "
            f"{n_outputs}. Use the loss mse."
        )
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ValueError(f"checkpoint names a folder; {folder} is a file.")
    checked = checked_students(students, x.shape[0], y.shape[1], n_outputs)
    numbers = n_parameters(network, x.shape[1], n_outputs)
    for i, student in enumerate(checked):
        if student.start is not None:
            checks.finite_array(f"start of student {i}", student.start, ndim=1, length=numbers)
    resolve_device(training.device)
    return TrainingJob(network, x, y, checked, training, n_outputs, loss, folder, **options)


def _train_or_halve(job: TrainingJob) -> Trained:
    """Train together, or where memory is short the two halves one after the other."""
    import torch

    begun = time.monotonic()
    try:
        return ensemble.train_ensemble(job)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        if len(job.students) == 1:
            numbers = n_parameters(job.network, job.dim, job.n_outputs)
            raise ResourceError(
                f"one student of {checks.human_bytes(16.0 * numbers)} with its optimiser does not fit "
                f"in the memory of {job.training.device}. Lower batch_size or the width."
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return joined([_train_or_halve(half) for half in job.halves(time.monotonic() - begun)])
