"""What the experiments with neural students share: problems, students, convergence, causes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.sources import Source
from percolaw.experiments.base import SCRATCH, Row
from percolaw.neural.config import Student, Training
from percolaw.neural.mlp import MLP
from percolaw.neural.network import Network
from percolaw.neural.trained import Trained
from percolaw.neural.training import train
from percolaw.neural.transformer import Transformer
from percolaw.rng import Streams
from percolaw.targets.families import standardized_values
from percolaw.targets.teacher import TeacherFamily

FloatArray = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Architecture: TypeAlias = Literal["mlp", "residual", "transformer"]

#: Seed whose students are also trained with a doubled budget.
DOUBLED_SEED = 0
#: What the reference is called: one kernel for every architecture, that of an infinitely wide MLP which
#: does not learn features and has trained unit biases, without optimiser. It is not the students' limit.
REFERENCE = "tangent kernel (NTK parametrisation, unit biases)"
#: Kernels by the name of their losses in rows: the reference, and the one with which a student begins to
#: learn as its width grows, under gradient descent.
KERNELS = {"wide": REFERENCE, "own": "tangent kernel of their own limit"}


def student_network(
    architecture: str, depth: int, width: int, parametrization: Any = "mup"
) -> Network:
    """Return a network by the words of a config.

    Parameters
    ----------
    architecture : {"mlp", "residual", "transformer"}
    depth, width : int
    parametrization : str

    Returns
    -------
    Network
    """
    checks.choice("architecture", architecture, ("mlp", "residual", "transformer"))
    if architecture == "transformer":
        return Transformer(depth, width, parametrization=parametrization)
    return MLP(depth, width, parametrization=parametrization, residual=architecture == "residual")


def check_names(field: str, names: Sequence[Any]) -> None:
    """Raise ValueError for an empty list.

    Parameters
    ----------
    field : str
        For the message.
    names : sequence
    """
    if not names:
        raise ValueError(f"{field} must name one at least.")


def check_sources(field: str, sources: Sequence[Source]) -> None:
    """Refuse an empty list, and points of unknown dimension.

    Parameters
    ----------
    field : str
        For the message.
    sources : sequence of Source

    Raises
    ------
    ValueError
        In both cases.
    """
    check_names(field, sources)
    for source in sources:
        if source.dimension is None:
            raise ValueError(
                f"{field}: the dimension of {source} is not known, and exponents are held against it. "
                "Take points of known dimension; of a file, percolaw analyze says what can be said."
            )


def predicted_exponent(source: Source, target: TeacherFamily, most: float) -> float | None:
    """Return c/D with an order c of at most `most`; None of analytic targets, which have none.

    Parameters
    ----------
    source : Source
        Of known dimension D.
    target : TeacherFamily
    most : float
        Largest order that the students can use.

    Returns
    -------
    float or None
    """
    order, dimension = target.approximation_order, known_dimension(source)
    return min(order, most) / dimension if math.isfinite(order) else None


def known_dimension(source: Source) -> float:
    """Return the dimension of a source that `check_sources` has seen."""
    return float(source.dimension or math.nan)


def budgets(n_seeds: int) -> tuple[tuple[str, range | list[int]], ...]:
    """Return what is trained, and by which seeds: all as planned, one with a doubled budget."""
    return ("train", range(n_seeds)), ("doubled", [DOUBLED_SEED])


@dataclass(frozen=True, eq=False)
class Problem:
    """Points and teachers that students learn.

    Attributes
    ----------
    streams : Streams
        Of the points; what else is random comes from its children.
    x : array of float64, shape (n, d)
        Standardised points.
    y : array of float64, shape (n, n_teachers)
    test, validation, pool : array of int64
        Rows that are tested on, validated on, and learned from.
    """

    streams: Streams
    x: FloatArray
    y: FloatArray
    test: Rows
    validation: Rows
    pool: Rows

    def students(self, seed: int, sizes: Sequence[int] = ()) -> list[Student]:
        """Return a student for each teacher and number of training points (all if none is given).

        Parameters
        ----------
        seed : int
        sizes : sequence of int
            Numbers of training points, the first ones of the pool.

        Returns
        -------
        list of Student
            All sizes of the first teacher, then of the next.
        """
        return [
            Student(seed, self.pool[:n], self.validation, target=j)
            for j in range(self.y.shape[1])
            for n in sizes or (self.pool.size,)
        ]


def problem(
    source: Source,
    targets: Sequence[TeacherFamily],
    seed: int,
    *,
    n_train: int,
    n_validation: int,
    n_test: int,
) -> Problem:
    """Draw points and a teacher of each family.

    Parameters
    ----------
    source : Source
    targets : sequence of TeacherFamily
    seed : int
    n_train, n_validation, n_test : int
        Points.

    Returns
    -------
    Problem
    """
    streams = Streams(seed).child(*source.key)
    x = source.inputs(n_train + n_validation + n_test, streams)
    y = standardized_values(targets, x, streams)
    return Problem(streams, x, y, *parts(x.shape[0], n_test, n_validation))


def parts(n: int, n_test: int, n_validation: int) -> tuple[Rows, Rows, Rows]:
    """Return the rows of n points that are tested on, validated on, and learned from.

    Parameters
    ----------
    n, n_test, n_validation : int

    Returns
    -------
    test, validation, pool : arrays of int64
    """
    rows = np.arange(n)
    held = n_test + n_validation
    return rows[:n_test], rows[n_test:held], rows[held:]


def train_and_test(
    network: Network,
    x: npt.NDArray[Any],
    y: FloatArray,
    students: list[Student],
    training: Training,
    test: npt.NDArray[np.int64],
) -> tuple[Trained, list[Row]]:
    """Train students and return them with a row for each: its losses, and how it came to its end.

    Parameters
    ----------
    network : Network
    x : array, shape (n, d)
        Points, or token ids for networks of tokens.
    y : array, shape (n, n_teachers)
    students : list of Student
    training : Training
    test : array of int64, shape (n_test,) or (students, n_test)
        Rows that all students are tested on, or those of each.

    Returns
    -------
    trained : Trained
    rows : list of dict
        ``loss`` is None where a student diverged.
    """
    if not network.takes_tokens:
        x = np.asarray(x, dtype=np.float64 if training.dtype == "float64" else np.float32)
    trained = train(network, x, y, students, training, checkpoint=SCRATCH.get())
    rows = []
    for i, student in enumerate(students):
        rows.append(
            {
                "validation": _number(trained.validation_loss[i]),
                "train": _number(trained.train_loss[i]),
                "gradient_norm": _number(trained.gradient_norm[i]),
                "steps": int(trained.steps[i]),
                "stopped": trained.stopped[i],
                "curve": [_number(v) for v in trained.validation_curve[:, i] if not math.isnan(v)],
                "target": student.target,
            }
        )
    tested = np.broadcast_to(test, (len(students), np.shape(test)[-1]))
    for shared in np.unique(tested[:, 0]):
        group = np.flatnonzero(tested[:, 0] == shared).tolist()
        predicted = trained.predict(x[tested[group[0]]])[:, :, 0]
        for i in group:
            loss = float(np.mean((predicted[i] - y[tested[i], students[i].target]) ** 2))
            rows[i]["loss"] = None if rows[i]["stopped"] == "diverged" else _number(loss)
    return trained, rows


def _number(value: float) -> float | None:
    """Six digits are all that is kept of a loss; None for what is not a number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
