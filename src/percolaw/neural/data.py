"""What students learn from, step by step: shuffled rows of points that are given, or an endless stream.

Either way a minibatch is a function of the step alone, so that a student sees the same points alone,
among others and after a resumption.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural import device as device_module
from percolaw.neural.network import Network, Tensor, checked_inputs
from percolaw.neural.stream import Stream
from percolaw.rng import Streams

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Row numbers drawn from one generator.
SHUFFLED_AT_ONCE = 1 << 16
#: Row numbers sent to the device at a time.
INDEX_ELEMENTS = 1 << 22


class RowOrder:
    """The training rows of one student, minibatch by minibatch.

    Permutations of the rows, one after the other, cut into minibatches; a student with no more rows
    than a minibatch holds takes all of them in every step, and rows of weight 0 fill the rest. Stream
    ``batch``.

    Parameters
    ----------
    seed : int
    rows : array of int64, shape (n,)
    batch_size : int
    """

    def __init__(self, seed: int, rows: IntArray, batch_size: int) -> None:
        self.streams, self.rows, self.batch_size = Streams(seed), rows, batch_size
        self._epochs = max(1, SHUFFLED_AT_ONCE // rows.size)
        self._block: tuple[int, IntArray] = (-1, rows)

    @property
    def all_rows(self) -> bool:
        """Whether every step sees every row."""
        return self.rows.size <= self.batch_size

    def weights(self) -> FloatArray:
        """Return the weights (batch_size,) of a minibatch's rows in its mean loss; their mean is 1."""
        weight = np.ones(self.batch_size)
        if self.all_rows:
            weight[: self.rows.size] = self.batch_size / self.rows.size
            weight[self.rows.size :] = 0.0
        return weight

    def minibatches(self, first: int, count: int) -> IntArray:
        """Return the rows of some steps.

        Parameters
        ----------
        first, count : int
            Steps first .. first + count - 1.

        Returns
        -------
        array of int64, shape (count, batch_size)
        """
        if self.all_rows:
            filled = np.full(self.batch_size, self.rows[0])
            filled[: self.rows.size] = self.rows
            return np.broadcast_to(filled, (count, self.batch_size))
        low, high = first * self.batch_size, (first + count) * self.batch_size
        per_block = self._epochs * self.rows.size
        pieces = []
        for block in range(low // per_block, (high - 1) // per_block + 1):
            start = block * per_block
            pieces.append(self._shuffled(block)[max(low - start, 0) : high - start])
        return np.concatenate(pieces).reshape(count, self.batch_size)

    def _shuffled(self, block: int) -> IntArray:
        """All rows of one block of epochs, in order."""
        if self._block[0] != block:
            generator = self.streams.generator("batch", block)
            orders = generator.permuted(np.tile(self.rows, (self._epochs, 1)), axis=1)
            self._block = (block, orders.reshape(-1))
        return self._block[1]


@dataclass(frozen=True, eq=False)
class DeviceData:
    """Points and values on a device.

    Attributes
    ----------
    x : tensor, shape (n, dim)
    y : tensor, shape (n, n_columns)
    columns : tensor of int64, shape (students, n_outputs)
        Columns of `y` that each student learns; always on the device.
    resident : bool
        Whether `x` and `y` are there too. Those that would fill it stay on the host.
    """

    x: Tensor
    y: Tensor
    columns: Tensor
    resident: bool = True

    @classmethod
    def of(
        cls,
        network: Network,
        x: npt.NDArray[Any],
        y: FloatArray,
        targets: Sequence[int],
        n_outputs: int,
        like: Tensor,
    ) -> DeviceData:
        """Place points and values where `like` is and in its type; token ids stay integers.

        Parameters
        ----------
        network : Network
        x : array, shape (n, dim)
        y : array, shape (n, n_columns)
        targets : sequence of int
            First column of each student.
        n_outputs : int
        like : tensor

        Returns
        -------
        DeviceData
        """
        import torch

        dtype = torch.int64 if network.takes_tokens else like.dtype
        columns = np.array(targets)[:, None] + np.arange(n_outputs)
        size = x.size * dtype.itemsize + y.size * like.element_size()
        resident = size <= device_module.resident_bytes(str(like.device))
        place = like.device if resident else torch.device("cpu")
        return cls(
            torch.as_tensor(x, device=place, dtype=dtype),
            torch.as_tensor(y, device=place, dtype=like.dtype),
            torch.as_tensor(columns, device=like.device),
            resident,
        )

    def select(self, index: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """Return the points and values of some students at some rows.

        Parameters
        ----------
        index : tensor of int64, shape (students, m)
        columns : tensor of int64, shape (students, n_outputs)
            Those of `columns` that belong to these students.

        Returns
        -------
        x : tensor, shape (students, m, dim)
        y : tensor, shape (students, m, n_outputs)
        """
        place = self.x.device
        index, which = index.to(place), columns.to(place)
        x, y = self.x[index], self.y[index[:, :, None], which[:, None, :]]
        return x.to(columns.device), y.to(columns.device)


class RowMinibatches:
    """Minibatches of given rows; students with equal seeds and equal training rows share one order.

    Parameters
    ----------
    data : DeviceData
    seeds : sequence of int
        One for each student.
    train : sequence of array of int64
        Training rows of each student.
    batch_size : int

    Attributes
    ----------
    orders : list of RowOrder
    weight : tensor, shape (students, batch_size)
        Share of every row of a minibatch in the mean loss of its student.
    """

    def __init__(
        self, data: DeviceData, seeds: Sequence[int], train: Sequence[IntArray], batch_size: int
    ) -> None:
        self.data, self.train, self.batch_size = data, train, batch_size
        names = [(seed, rows.tobytes()) for seed, rows in zip(seeds, train, strict=True)]
        shared: dict[tuple[int, bytes], RowOrder] = {}
        for (seed, name), rows in zip(names, train, strict=True):
            if (seed, name) not in shared:
                shared[seed, name] = RowOrder(seed, rows, batch_size)
        self.orders = [shared[name] for name in names]
        self.weight = self._on_device(
            np.stack([order.weights() for order in self.orders]) / batch_size
        ).to(data.y.dtype)

    def steps(self, students: IntArray, first: int, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the minibatches of some students; row numbers are sent many steps at a time.

        Parameters
        ----------
        students : array of int64
        first, count : int
            Steps first .. first + count - 1.

        Yields
        ------
        x : tensor, shape (students, batch_size, dim)
        y : tensor, shape (students, batch_size, n_outputs)
        """
        columns = self.data.columns[self._on_device(students)]
        at_once = max(1, INDEX_ELEMENTS // (students.size * self.batch_size))
        for low in range(first, first + count, at_once):
            number = min(at_once, first + count - low)
            rows = [self.orders[s].minibatches(low, number) for s in students]
            index = self._on_device(np.stack(rows, axis=1))
            values = self.data.y[index[..., None], columns[None, :, None, :]]
            for i in range(number):
                x = self.data.x.index_select(0, index[i].reshape(-1))
                yield x.reshape(-1, self.batch_size, x.shape[-1]), values[i]

    def first_rows(self, student: int, most: int) -> tuple[Tensor, Tensor]:
        """Return the rows on which the final training loss of a student is taken: the first as given.

        Parameters
        ----------
        student, most : int
            Number of the student, and of the rows at most.

        Returns
        -------
        x : tensor, shape (1, m, dim)
        y : tensor, shape (1, m, n_outputs)
        """
        index = self._on_device(self.train[student][:most])[None]
        return self.data.select(index, self.data.columns[student : student + 1])

    def _on_device(self, array: npt.NDArray[Any]) -> Tensor:
        import torch

        return torch.as_tensor(array, device=self.data.columns.device)


@dataclass
class StreamMinibatches:
    """Minibatches of endless streams; students of one stream see the same points.

    Attributes
    ----------
    data : DeviceData
        Of the validation rows; its device, types and columns hold for the streams too.
    streams : list of Stream
        One for each student.
    batch_size : int
    network : Network
        Its kind of inputs, points or token ids, is checked.
    """

    data: DeviceData
    streams: Sequence[Stream]
    batch_size: int
    network: Network
    _drawn: dict[tuple[int, int], tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def weight(self) -> Tensor:
        """Every row counts the same: (students, batch_size)."""
        shape = (len(self.streams), self.batch_size)
        return self.data.y.new_full(shape, 1.0 / self.batch_size, device=self.data.columns.device)

    def steps(self, students: IntArray, first: int, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the minibatches of some students; those of steps before `first` are forgotten.

        Parameters
        ----------
        students, first, count
            As in `RowMinibatches.steps`.

        Yields
        ------
        x, y : tensor
            As in `RowMinibatches.steps`.

        Raises
        ------
        ValueError
            If a stream gives points or values of another shape.
        """
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if key[1] >= first}
        for step in range(first, first + count):
            yield self._minibatch(students.tolist(), step)

    def first_rows(self, student: int, most: int) -> tuple[Tensor, Tensor]:
        """Return the first rows of a student's stream, on which its final training loss is taken.

        Parameters
        ----------
        student, most
            As in `RowMinibatches.first_rows`.

        Returns
        -------
        x : tensor, shape (1, m, dim)
        y : tensor, shape (1, m, n_outputs)
        """
        count = max(1, most // self.batch_size)
        drawn = [self._minibatch([student], step) for step in range(count)]
        self._drawn = {}
        x, y = (_joined(tensors) for tensors in zip(*drawn, strict=True))
        return x[:, :most], y[:, :most]

    def _minibatch(self, students: list[int], step: int) -> tuple[Tensor, Tensor]:
        import torch

        points, values = [], []
        for s in students:
            x, y = self._rows(self.streams[s], step)
            points.append(x)
            values.append(y[:, self.data.columns[s]])
        return torch.stack(points), torch.stack(values)

    def _rows(self, stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        """Points (batch_size, dim) and values (batch_size, n_columns) of one stream, drawn once."""
        import torch

        key = (id(stream), step)
        if key not in self._drawn:
            x, y = self.host_rows(stream, step)
            device = self.data.columns.device
            self._drawn[key] = (
                torch.as_tensor(x, device=device, dtype=self.data.x.dtype),
                torch.as_tensor(y, device=device, dtype=self.data.y.dtype),
            )
        return self._drawn[key]

    def host_rows(self, stream: Stream, step: int) -> tuple[npt.NDArray[Any], FloatArray]:
        """Draw the rows of one stream, and check them.

        Parameters
        ----------
        stream : Stream
        step : int

        Returns
        -------
        points : array, shape (batch_size, dim)
        values : array of float64, shape (batch_size, n_columns)

        Raises
        ------
        ValueError
            If they have another shape.
        """
        points, values = stream.rows(step)
        x = checked_inputs(self.network, points)
        expected = (self.batch_size, self.data.x.shape[1])
        if x.shape != expected:
            raise ValueError(
                f"rows of a stream must have points of shape (batch_size, dim) = {expected}; "
                f"got {x.shape} at step {step}. Give as many rows as Training.batch_size says."
            )
        y = checks.target_values("values", values, self.batch_size).reshape(x.shape[0], -1)
        if y.shape[1] != self.data.y.shape[1]:
            raise ValueError(
                f"rows of a stream must have values of {self.data.y.shape[1]} column(s), as the "
                f"validation values; got {y.shape[1]} at step {step}."
            )
        return x, y


#: Where an ensemble takes its minibatches from.
Minibatches: TypeAlias = RowMinibatches | StreamMinibatches


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.cat(list(tensors), dim=1)
