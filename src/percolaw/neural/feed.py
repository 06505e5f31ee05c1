"""Minibatches of many steps as tables on a device, from which a step takes its own by a counter.

Of points that lie on the device a table holds row numbers; of endless streams, and of points that have
no room there, it holds the points themselves. Either way the contents come from the host, where they are
drawn as for every other device, so that students see the same points everywhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from percolaw.neural.data import (
    DeviceData,
    Minibatches,
    RowMinibatches,
    RowOrder,
    StreamMinibatches,
)
from percolaw.neural.network import Tensor

IntArray = npt.NDArray[np.int64]
Item = TypeVar("Item")


class Table(NamedTuple):
    """Shape of one step, and torch's type."""

    shape: tuple[int, ...]
    dtype: Any


class RowFeed:
    """Row numbers for students whose points are on the device.

    Parameters
    ----------
    minibatches : RowMinibatches
    students : array of int64
    """

    def __init__(self, minibatches: RowMinibatches, students: IntArray) -> None:
        import torch

        self.data = minibatches.data
        self.orders, self.which = _distinct([minibatches.orders[s] for s in students], self.data)
        self.columns = self.data.columns[torch.as_tensor(students, device=self.which.device)]
        shape = (len(self.orders), minibatches.batch_size)
        self.tables = (Table(shape, torch.int64),)

    def arrays(self, first: int, count: int) -> tuple[npt.NDArray[Any], ...]:
        """Return what the tables hold for some steps.

        Parameters
        ----------
        first, count : int
            Steps first .. first + count - 1.

        Returns
        -------
        tuple of array, shapes (count, *shape of the table)
        """
        return (_rows(self.orders, first, count),)

    def minibatch(self, entries: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the minibatches of one step, from its entries in the tables.

        Parameters
        ----------
        entries : sequence of tensor

        Returns
        -------
        x : tensor, shape (students, batch_size, dim)
        y : tensor, shape (students, batch_size, n_outputs)
        """
        (rows,) = entries
        x = self.data.x.index_select(0, rows.reshape(-1)).reshape(*rows.shape, -1)
        rows = _of_students(rows, self.which)
        y = self.data.y[rows[:, :, None], self.columns[:, None, :]]
        return _of_students(x, self.which), y


class PointFeed:
    """Points and values for students of streams, and of points that stay on the host.

    Parameters
    ----------
    minibatches : RowMinibatches or StreamMinibatches
    students : array of int64
    """

    def __init__(self, minibatches: Minibatches, students: IntArray) -> None:
        import torch

        self.minibatches, self.data = minibatches, minibatches.data
        streams = isinstance(minibatches, StreamMinibatches)
        every: Sequence[Any] = minibatches.streams if streams else minibatches.orders  # type: ignore[union-attr]
        self.drawn, self.which = _distinct([every[s] for s in students], self.data)
        self.columns = self.data.columns[torch.as_tensor(students, device=self.which.device)]
        shape = (len(self.drawn), minibatches.batch_size)
        x, y = self.data.x, self.data.y
        self.tables = (Table((*shape, x.shape[1]), x.dtype), Table((*shape, y.shape[1]), y.dtype))

    def arrays(self, first: int, count: int) -> tuple[npt.NDArray[Any], ...]:
        """Return what the tables hold for some steps.

        Parameters
        ----------
        first, count : int
            Steps first .. first + count - 1.

        Returns
        -------
        tuple of array, shapes (count, *shape of the table)
        """
        if isinstance(self.minibatches, StreamMinibatches):
            steps = [
                [self.minibatches.host_rows(stream, step) for stream in self.drawn]
                for step in range(first, first + count)
            ]
            x, y = ([[each[i] for each in step] for step in steps] for i in (0, 1))
            return np.array(x), np.array(y)
        rows = _rows(self.drawn, first, count)
        return self.data.x.numpy()[rows], self.data.y.numpy()[rows]

    def minibatch(self, entries: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the minibatches of one step, as `RowFeed.minibatch` does."""
        x, y = (_of_students(entry, self.which) for entry in entries)
        shape = (*y.shape[:2], self.columns.shape[1])
        return x, y.gather(2, self.columns[:, None, :].expand(shape))


Feed: TypeAlias = RowFeed | PointFeed


def feed_of(minibatches: Minibatches, students: IntArray) -> Feed:
    """Return the feed of some students: of row numbers wherever their points are on the device.

    Parameters
    ----------
    minibatches : RowMinibatches or StreamMinibatches
    students : array of int64

    Returns
    -------
    RowFeed or PointFeed
    """
    if isinstance(minibatches, RowMinibatches) and minibatches.data.resident:
        return RowFeed(minibatches, students)
    return PointFeed(minibatches, students)


def _rows(orders: Sequence[RowOrder], first: int, count: int) -> IntArray:
    """Rows of several orders, (count, orders, batch_size), each by one thread: NumPy shuffles without
    Python's lock, and a thousand students would otherwise take longer to shuffle than to train.
    """
    with ThreadPoolExecutor(min(len(orders), os.cpu_count() or 1)) as threads:
        rows = list(threads.map(lambda order: order.minibatches(first, count), orders))
    return np.stack(rows, axis=1)


def _distinct(items: Sequence[Item], data: DeviceData) -> tuple[list[Item], Tensor]:
    """The different ones of some objects, and for each its place among them, (n,) on the device."""
    import torch

    place: dict[int, int] = {}
    which = [place.setdefault(id(item), len(place)) for item in items]
    different = list({id(item): item for item in items}.values())
    return different, torch.as_tensor(which, device=data.columns.device)


def _of_students(x: Tensor, which: Tensor) -> Tensor:
    """Rows of different minibatches (m, ...) handed to the students that share them."""
    if x.shape[0] == 1:
        return x.expand(which.shape[0], *x.shape[1:])
    return x if x.shape[0] == which.shape[0] else x.index_select(0, which)
