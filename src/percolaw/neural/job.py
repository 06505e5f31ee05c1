"""Everything that one call of `percolaw.train` asks for, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.config import Student, Training
from percolaw.neural.losses import Loss
from percolaw.neural.network import Network
from percolaw.neural.stream import Stream

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """An ensemble of students, the data they learn from, and how they are trained.

    Attributes
    ----------
    network : Network
    x : array, shape (n, dim)
        Points, or token ids.
    y : array of float64, shape (n, n_columns)
    students : sequence of Student
        Checked by `checked_students`.
    training : Training
    n_outputs : int
        Columns of `y` that each student learns.
    loss : Loss
    folder : Path, optional
        Where checkpoints are written.
    checkpoint_seconds : float
    progress : callable
        Called after every evaluation with the step and the number of students still learning.
    seconds : float, optional
        Time within which the budget must be made.
    """

    network: Network
    x: npt.NDArray[Any]
    y: FloatArray
    students: Sequence[Student]
    training: Training
    n_outputs: int
    loss: Loss
    folder: Path | None = None
    checkpoint_seconds: float = 60.0
    progress: Callable[[int, int], None] = lambda step, active: None
    seconds: float | None = None

    @property
    def dim(self) -> int:
        """Columns of the points."""
        return int(self.x.shape[1])

    def halves(self, spent: float = 0.0) -> tuple[TrainingJob, TrainingJob]:
        """Return two jobs, of the first and of the second half of the students, each in half the time.

        Parameters
        ----------
        spent : float
            Seconds of the time that are gone.
        """
        middle, seconds = len(self.students) // 2, self.seconds
        if seconds is not None:
            seconds = max(0.0, seconds - spent) / 2.0
        first, second = (
            dataclasses.replace(self, students=students, seconds=seconds)
            for students in (self.students[:middle], self.students[middle:])
        )
        return first, second


def checked_students(
    students: Sequence[Student], n_rows: int, n_columns: int, n_outputs: int
) -> list[Student]:
    """Return the students with int64 rows, after checking that they can be trained.

    Parameters
    ----------
    students : sequence of Student
    n_rows, n_columns : int
        Of the values.
    n_outputs : int
        Columns each student learns.

    Returns
    -------
    list of Student

    Raises
    ------
    ValueError
        For no students, students without rows, rows or columns that do not exist, rows that are both
        learned from and validated on, unequal numbers of validation rows, rates below 0, and streams
        beside rows.
    """
    if not students:
        raise ValueError("there are no students; give at least one.")
    checked = [
        _checked_student(i, student, n_rows, n_columns, n_outputs)
        for i, student in enumerate(students)
    ]
    counts = sorted({np.size(s.validation) for s in checked})
    if len(counts) > 1:
        raise ValueError(f"students of one batch need equally many validation rows; got {counts}.")
    n_streams = sum(isinstance(s.train, Stream) for s in checked)
    if n_streams not in (0, len(checked)):
        raise ValueError(
            f"{n_streams} of {len(checked)} students learn from a stream and the others from rows; "
            "train them in two calls."
        )
    return checked


def _checked_student(
    i: int, student: Student, n_rows: int, n_columns: int, n_outputs: int
) -> Student:
    train: Any = student.train
    if not isinstance(train, Stream):
        train = np.ascontiguousarray(checks.site_ids(f"train of student {i}", train, n_rows))
    validation = checks.site_ids(f"validation of student {i}", student.validation, n_rows)
    empty = not isinstance(train, Stream) and not train.size
    if empty or not validation.size:
        raise ValueError(f"student {i} needs training rows and validation rows; one is empty.")
    held = np.zeros(n_rows, dtype=bool)
    held[validation] = True
    if not isinstance(train, Stream) and held[train].any():
        raise ValueError(
            f"student {i} has rows in both train and validation; its stopping rule would look "
            "at what it has learned by heart. Make them disjoint."
        )
    target = checks.integer("target", student.target, minimum=0)
    if target + n_outputs > n_columns:
        raise ValueError(
            f"student {i} learns columns {target}..{target + n_outputs - 1}; values have {n_columns}."
        )
    for name in ("learning_rate", "weight_decay"):
        value = getattr(student, name)
        if value is not None:
            checks.real(name, value, minimum=0.0)
    validation = np.ascontiguousarray(validation)
    return dataclasses.replace(student, train=train, validation=validation, target=target)
