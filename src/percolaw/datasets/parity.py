"""Multitask sparse parity: many tasks, each the parity of a few of the same bits, some used more often.

A sample is the number of its task, and fair bits; its label is the parity of the bits that belong to the
task (Michaud et al. 2023). One task tells nothing of another: each is a quantum. Tasks are drawn by
`percolaw.datasets.parity_tasks`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.bits import Words, binary, packed, unpacked
from percolaw.rng import RandomLike, Streams, as_streams
from percolaw.short import short_repr

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]

#: Items of the streams ``batch`` and ``evaluation``.
TASKS, BITS = range(2)


@dataclass(frozen=True, eq=False)
class ParityTasks:
    """Tasks, the bits each is the parity of, and how often they are used.

    Parameters
    ----------
    subset : array of bool, shape (n_tasks, n_bits)
        Bits of which the label is the parity.
    weight : array of float64, shape (n_tasks,)
        Frequencies, divided by their sum; 0 of tasks that are tested only.
    parts : sequence of tuple of int, optional
        Numbers of the atomic parities that each task is made of; itself if left out.

    Raises
    ------
    ValueError
        For arrays that do not fit each other, a task without bits, and frequencies below 0.
    """

    subset: npt.NDArray[np.bool_]
    weight: FloatArray
    parts: tuple[tuple[int, ...], ...] = ()

    __repr__ = short_repr

    def __post_init__(self) -> None:
        subset = binary("subset", self.subset, 2).astype(bool)
        weight = checks.finite_array("weight", self.weight, ndim=1, length=subset.shape[0])
        if not subset.any(axis=1).all():
            empty = np.flatnonzero(~subset.any(axis=1))[:5].tolist()
            raise ValueError(f"each task needs one bit at least; tasks {empty} have none.")
        if weight.size == 0 or weight.min() < 0.0 or weight.max() <= 0.0:
            raise ValueError(
                "weight must hold a frequency for each task, none below 0 and not all 0."
            )
        parts = tuple(self.parts) or tuple((i,) for i in range(weight.size))
        if len(parts) != weight.size:
            raise ValueError(f"parts must be of {weight.size} tasks; got those of {len(parts)}.")
        object.__setattr__(self, "subset", subset)
        object.__setattr__(self, "weight", weight / weight.sum())
        object.__setattr__(self, "parts", parts)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return int(self.subset.shape[0])

    @property
    def n_bits(self) -> int:
        """Bits of a sample."""
        return int(self.subset.shape[1])

    @cached_property
    def mask(self) -> Words:
        """Subsets as words of 64 bits: uint64, (n_tasks, n_words)."""
        return packed(self.subset)

    @cached_property
    def _cumulative(self) -> FloatArray:
        return np.cumsum(self.weight)

    @cached_property
    def _existing(self) -> Words:
        return packed(np.ones((1, self.n_bits), dtype=bool))[0]

    def sample(self, n_samples: int, rng: RandomLike = 0, first: int = 0) -> ParitySamples:
        """Return samples number `first` on of an endless sequence. Stream ``batch``.

        Parameters
        ----------
        n_samples : int
        rng : int, Generator or Streams
        first : int
            Number of the first one: parts of the sequence are the same however it is cut.

        Returns
        -------
        ParitySamples

        Notes
        -----
        About 0.1 us a sample.
        """
        n = checks.integer("n_samples", n_samples, minimum=1)
        start = checks.integer("first", first, minimum=0, maximum=1 << 56)
        checks.memory(8.0 * n * (2 + self.mask.shape[1]), f"{n} samples", "Draw them in parts.")
        return self._drawn(n, _keys(as_streams(rng)), start)

    def test_set(self, per_task: int, rng: RandomLike = 0) -> ParitySamples:
        """Return equally many samples of every task, however rare, in their order. Stream ``evaluation``.

        `ParitySamples.mean` gives tasks their frequencies back.

        Parameters
        ----------
        per_task : int
        rng : int, Generator or Streams
            Nothing of the training samples of the same streams is drawn or changed.

        Returns
        -------
        ParitySamples
        """
        each = checks.integer("per_task", per_task, minimum=1)
        size = 8.0 * each * self.n_tasks * (2 + self.mask.shape[1])
        checks.memory(size, f"{each} samples of {self.n_tasks} tasks", "Lower per_task.")
        task = np.repeat(np.arange(self.n_tasks), each)
        return self._with_bits(task, as_streams(rng).key("evaluation", BITS), 0)

    def labelled(self, task: npt.ArrayLike, bits: npt.ArrayLike) -> ParitySamples:
        """Return samples of given bits, with the labels that tasks give them.

        Parameters
        ----------
        task : array of int, shape (n,)
        bits : array of 0 and 1, shape (n, n_bits)

        Returns
        -------
        ParitySamples

        Raises
        ------
        ValueError
            For bits that are not 0 and 1, or not `n_bits` of them.
        """
        given = binary("bits", bits, 2)
        if given.shape[1] != self.n_bits:
            raise ValueError(f"bits must have {self.n_bits} columns; got {given.shape[1]}.")
        tasks = checks.site_ids("task", task, self.n_tasks)
        if tasks.size != given.shape[0]:
            raise ValueError(f"task must name {given.shape[0]} tasks; got {tasks.size}.")
        return self._with_labels(tasks, packed(given))

    def _drawn(self, n: int, keys: tuple[np.uint64, np.uint64], first: int) -> ParitySamples:
        from percolaw.kernels import parity

        task = np.empty(n, dtype=np.int64)
        parity.draw_tasks(keys[0], first, self._cumulative, task)
        return self._with_bits(task, keys[1], first)

    def _with_bits(self, task: IntArray, key: np.uint64, first: int) -> ParitySamples:
        from percolaw.kernels import parity

        words = np.empty((task.size, self.mask.shape[1]), dtype=np.uint64)
        parity.draw_bits(key, first, self._existing, words)
        return self._with_labels(task, words)

    def _with_labels(self, task: IntArray, words: Words) -> ParitySamples:
        from percolaw.kernels import parity

        label = np.empty(task.size, dtype=np.int64)
        parity.parities(words, self.mask, task, label)
        return ParitySamples(self, task, words, label)


@dataclass(frozen=True, eq=False)
class ParitySamples:
    """Samples of tasks, 8 bytes for every 64 bits.

    Attributes
    ----------
    tasks : ParityTasks
    task : array of int64, shape (n,)
        Which one each sample is of.
    words : array of uint64, shape (n, n_words)
        Bits, 64 in a word, the first in its lowest place.
    label : array of int64, shape (n,)
        0 or 1.
    """

    tasks: ParityTasks
    task: IntArray
    words: Words
    label: IntArray

    __repr__ = short_repr

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return int(self.task.size)

    def bits(self) -> npt.NDArray[np.uint8]:
        """Return the bits one by one: uint8, (n, n_bits)."""
        return unpacked(self.words, self.tasks.n_bits)

    def inputs(self) -> IntArray:
        """Return what networks are given: task and words, int64, (n, 1 + n_words)."""
        return np.concatenate([self.task[:, None], self.words.view(np.int64)], axis=1)

    def targets(self) -> FloatArray:
        """Return labels as probabilities of the classes 0 and 1: float64, (n, 2)."""
        return np.eye(2)[self.label]

    def per_task(self, values: npt.ArrayLike) -> FloatArray:
        """Return the mean of a number of each sample over the samples of every task.

        Parameters
        ----------
        values : array, shape (..., n)

        Returns
        -------
        array of float64, shape (..., n_tasks)

        Raises
        ------
        ValueError
            If a task has no samples here.
        """
        numbers = checks.float_array("values", values)
        if numbers.ndim == 0 or numbers.shape[-1] != self.n_samples:
            raise ValueError(f"values must be of {self.n_samples} samples; got {numbers.shape}.")
        count = np.bincount(self.task, minlength=self.tasks.n_tasks)
        if not count.all():
            without = np.flatnonzero(count == 0)
            raise ValueError(
                f"{without.size} of {self.tasks.n_tasks} tasks have no samples here, the first is task "
                f"{without[0]}: their loss is not known. Take tasks.test_set(per_task)."
            )
        flat = numbers.reshape(-1, self.n_samples)
        sums = [np.bincount(self.task, row, self.tasks.n_tasks) for row in flat]
        return (np.array(sums) / count).reshape(*numbers.shape[:-1], self.tasks.n_tasks)

    def mean(self, values: npt.ArrayLike) -> FloatArray:
        """Return the stratified mean: that of every task (see `per_task`) times its exact frequency.

        Parameters
        ----------
        values : array, shape (..., n)

        Returns
        -------
        array of float64, shape (...)
        """
        return np.asarray(self.per_task(values) @ self.tasks.weight)


@dataclass(frozen=True, eq=False)
class ParityStream:
    """Endless minibatches of samples for `percolaw.train`, in the place of a student's training rows.

    Attributes
    ----------
    tasks : ParityTasks
    batch_size : int
        ``Training.batch_size``.
    rng : int or Streams
        Step t has samples t x batch_size on of ``tasks.sample(n, rng)``.
    """

    tasks: ParityTasks
    batch_size: int
    rng: RandomLike = 0

    def __post_init__(self) -> None:
        checks.set_integer(self, "batch_size")
        object.__setattr__(self, "rng", as_streams(self.rng))

    @cached_property
    def _keys(self) -> tuple[np.uint64, np.uint64]:
        return _keys(as_streams(self.rng))

    def rows(self, step: int) -> tuple[IntArray, FloatArray]:
        """Return the inputs and targets of one step.

        Parameters
        ----------
        step : int
            From 0.

        Returns
        -------
        inputs : array of int64, shape (batch_size, 1 + n_words)
        targets : array of float64, shape (batch_size, 2)
        """
        drawn = self.tasks._drawn(self.batch_size, self._keys, step * self.batch_size)
        return drawn.inputs(), drawn.targets()


def _keys(streams: Streams) -> tuple[np.uint64, np.uint64]:
    """Of the tasks and of the bits of training samples."""
    return streams.key("batch", TASKS), streams.key("batch", BITS)
