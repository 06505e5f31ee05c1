"""Points of a source with teachers' values, as many as a training asks for, of several seeds at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from percolaw import checks
from percolaw.datasets.sources import Source
from percolaw.experiments.networks import neural
from percolaw.neural.config import Student
from percolaw.rng import Streams
from percolaw.targets.families import standardized_values
from percolaw.targets.teacher import TeacherFamily

#: Waves of a Matérn field that is a function on all of space.
N_WAVES = 512


@dataclass(frozen=True, eq=False)
class EndlessData:
    """Points and values of several seeds, one after the other, and which of them are for what.

    Attributes
    ----------
    x : array of float64, shape (n_seeds x n, d)
    y : array of float64, shape (n_seeds x n, n_teachers)
    seeds : tuple of int
    test, validation, pool : arrays of int64, shape (n_seeds, ...)
        Rows of each seed that are tested on, validated on, and learned from.
    """

    x: neural.FloatArray
    y: neural.FloatArray
    seeds: tuple[int, ...]
    test: neural.Rows
    validation: neural.Rows
    pool: neural.Rows

    def students(
        self, n_train: int, rates: Sequence[float | None] = (None,)
    ) -> tuple[list[Student], neural.Rows]:
        """Return a student of each seed, teacher and learning rate, and the rows each is tested on.

        Parameters
        ----------
        n_train : int
            Points of each seed that are learned from: the first of its pool, all if there are fewer.
        rates : sequence of float or None
            Learning rates; None for that of the training.

        Returns
        -------
        students : list of Student
        test : array of int64, shape (n_students, n_test)
        """
        plan = [
            (i, target, rate)
            for i in range(len(self.seeds))
            for target in range(self.y.shape[1])
            for rate in rates
        ]
        students = [
            Student(
                self.seeds[i],
                self.pool[i, :n_train],
                self.validation[i],
                target=target,
                learning_rate=rate,
            )
            for i, target, rate in plan
        ]
        return students, self.test[[i for i, _, _ in plan]]


def endless_data(
    source: Source,
    teachers: Sequence[TeacherFamily],
    seeds: Sequence[int],
    *,
    n_train: int,
    n_drawn: int,
    n_sized: int,
    n_validation: int,
    n_test: int,
) -> EndlessData:
    """Draw points of every seed, and a teacher of each family on them.

    Parameters
    ----------
    source : Source
    teachers : sequence of TeacherFamily
    seeds : sequence of int
    n_train, n_validation, n_test : int
        Points of each seed.
    n_drawn : int
        Points drawn of each seed, of which the first are used: of a finite cluster, another number would
        be other points.
    n_sized : int
        Points for which clusters are made large enough.

    Returns
    -------
    EndlessData

    Raises
    ------
    ResourceError
        If they would not fit in memory.
    """
    n = n_train + n_validation + n_test
    checks.memory(
        2400.0 * n_drawn + 300.0 * n * (len(seeds) - 1),
        f"{len(seeds)} x {n_drawn} points, one for every step or --most-points,",
        "Lower --training.steps, --training.batch-size, --most-points, --seeds-together or --workers.",
    )
    points, values = [], []
    for seed in seeds:
        streams = Streams(seed).child(*source.key)
        x = source.sized_for(n_sized).inputs(n_drawn, streams)[:n]
        points.append(x)
        values.append(standardized_values(teachers, x, streams, n_waves=N_WAVES))
    offset = n * np.arange(len(seeds))[:, None]
    test, validation, pool = (offset + rows for rows in neural.parts(n, n_test, n_validation))
    x, y = (parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in (points, values))
    return EndlessData(x, y, tuple(seeds), test, validation, pool)
