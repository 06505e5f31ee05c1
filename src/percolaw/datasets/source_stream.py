"""Fresh points of a source in every step of a training: a stream for `percolaw.train`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.source import Source
from percolaw.datasets.sources import Cube, Manifold
from percolaw.rng import RandomLike, Streams, as_streams
from percolaw.short import short_repr
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.teacher import Teacher, TeacherFamily

FloatArray = npt.NDArray[np.float64]

#: Sources whose points know nothing of each other.
INDEPENDENT = (Cube, Manifold)
#: Points whose mean and spread stand for those of the whole stream.
N_REFERENCE = 20_000
#: First items of the streams of minibatches.
MINIBATCHES, HELD_OUT = 0x6D696E69, 0x68656C64
#: Waves of a Matérn field that is a function on all of space.
N_WAVES = 512


@dataclass(frozen=True, eq=False)
class SourceStream:
    """Endless minibatches of one source with the values of functions drawn once: `rows` gives a step.

    The same step gives the same rows whenever it is asked for, and only one minibatch is held. In the
    place of training rows: ``Student(seed, SourceStream.of(source, families, batch_size), validation)``.

    Attributes
    ----------
    source : Source
    teachers : tuple of Teacher
        One column of values each.
    batch_size : int
    streams : Streams
        Step t draws from ``streams.child(MINIBATCHES, t)``, step -t from ``child(HELD_OUT, t)``.
    centre, scale : array of float64, shape (1, dim), and float
        Points are shifted and scaled by, as `standardized_inputs` does it.
    mean, spread : array of float64, shape (n_teachers,)
        Values are shifted and scaled by.
    """

    source: Source
    teachers: tuple[Teacher, ...]
    batch_size: int
    streams: Streams
    centre: FloatArray
    scale: float
    mean: FloatArray
    spread: FloatArray

    __repr__ = short_repr

    @classmethod
    def of(
        cls,
        source: Source,
        families: Sequence[TeacherFamily],
        batch_size: int,
        rng: RandomLike = 0,
    ) -> SourceStream:
        """Draw the functions, and a reference of `N_REFERENCE` points by which all are standardised.

        Parameters
        ----------
        source : Source
            A cube or a product of manifolds, whose points are independent.
        families : sequence of TeacherFamily
            Each draws from ``child(*family.key)`` of the streams; Matérn fields are sums of `N_WAVES`
            waves.
        batch_size : int
            ``Training.batch_size``.
        rng : int, Generator or Streams

        Returns
        -------
        SourceStream

        Raises
        ------
        TypeError
            For another source. Points of one cluster hang on branches that others share, so where the
            next one lies depends on all before it, and no block of them can be drawn by itself.
        """
        if not isinstance(source, INDEPENDENT):
            raise TypeError(
                f"points of {source.label} are not independent of each other: those of a cluster hang "
                "on common branches, and the next one depends on all before it. Draw as many as the "
                "training needs with source.inputs(n), and train on their rows. Cubes and manifolds "
                "can be streamed."
            )
        size = checks.integer("batch_size", batch_size, minimum=1)
        streams = as_streams(rng)
        points = source.sample(N_REFERENCE, streams).X.astype(np.float64)
        centre = points.mean(axis=0, keepdims=True)
        scale = float(np.sqrt(np.mean((points - centre) ** 2)))
        teachers = tuple(_drawn(family, points.shape[1], streams) for family in families)
        values = _values(teachers, (points - centre) / scale)
        return cls(
            source, teachers, size, streams, centre, scale, values.mean(axis=0), values.std(axis=0)
        )

    def rows(self, step: int) -> tuple[FloatArray, FloatArray]:
        """Return the points and values of one step.

        Parameters
        ----------
        step : int
            From 0; -1 and below are never asked for in training: points for validation and tests.

        Returns
        -------
        points : array of float64, shape (batch_size, dim)
        values : array of float64, shape (batch_size, n_teachers)
        """
        item = (MINIBATCHES, step) if step >= 0 else (HELD_OUT, -step)
        points = self.source.sample(self.batch_size, self.streams.child(*item)).X
        x = (points.astype(np.float64) - self.centre) / self.scale
        return x, (_values(self.teachers, x) - self.mean) / self.spread


def _drawn(family: TeacherFamily, dim: int, streams: Streams) -> Teacher:
    mine = streams.child(*family.key)
    if isinstance(family, MaternTeacher):
        family = dataclasses.replace(family, n_features=N_WAVES)
    return family.sample(dim, mine)


def _values(teachers: Sequence[Teacher], points: FloatArray) -> FloatArray:
    return np.stack([teacher(points) for teacher in teachers], axis=1)
