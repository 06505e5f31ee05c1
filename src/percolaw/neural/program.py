"""The steps between two evaluations as one program over fixed tensors, without a return to Python.

What changes from step to step lies in tables on the device: minibatches, rates, bias corrections. A
counter on the device says which entry is next. One step gathers its minibatch, runs forward and backward
into one row of gradients for each student, and updates all weights at once; nothing in it waits for the
host, so that an accelerator can record steps and replay them (`percolaw.neural.graph`). On a CPU the same
steps are plain calls; there `Ensemble` takes its loop, which is faster, and tests hold the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.neural.config import Training
from percolaw.neural.feed import Feed, Table
from percolaw.neural.flat_update import FlatAdamW
from percolaw.neural.graph import Repeated
from percolaw.neural.network import ForwardPass, Tensor, Weights
from percolaw.neural.prefetch import Ahead
from percolaw.neural.step import Gradient, Minibatch, Moments

FloatArray = npt.NDArray[np.float64]

#: Bytes of the largest table: what is drawn and sent to the device at a time.
TABLE_BYTES = 1 << 26


class StepProgram:
    """Steps of training of the active students; another set of them needs another program.

    Parameters
    ----------
    training : Training
    weights : dict of str to tensor
        Views of rows of weights (students, n_parameters), which are updated in place.
    rows : tensor, shape (students, n_parameters)
    moments : Moments
    gradient : Gradient
    optimizer : FlatAdamW
    feed : RowFeed or PointFeed
    shares : tensor, shape (students, batch_size)
    seeds : tensor of int64, shape (students,)
    record : bool
        Whether to record CUDA graphs.
    """

    def __init__(
        self,
        training: Training,
        weights: Weights,
        rows: Tensor,
        moments: Moments,
        gradient: Gradient,
        optimizer: FlatAdamW,
        feed: Feed,
        shares: Tensor,
        seeds: Tensor,
        record: bool,
    ) -> None:
        import torch

        self.training, self.rows, self.moments = training, rows, moments
        self.gradient, self.optimizer, self.feed = gradient, optimizer, feed
        self.shares, self.seeds = shares, seeds
        self.leaves = {name: w.detach() for name, w in weights.items()}
        for leaf in self.leaves.values():
            leaf.requires_grad_(gradient.by_autograd)
        self.flat = torch.zeros_like(rows)
        self.into = views(self.flat, list(weights.values()))
        students = rows.shape[0]
        numbers = Table((FlatAdamW.NUMBERS, students, 1), rows.dtype)
        step_bytes = max(8 * int(np.prod(table.shape)) for table in (*feed.tables, numbers))
        self.capacity = min(training.evaluate_every, max(1, TABLE_BYTES // step_bytes))
        self.tables = [
            torch.zeros((self.capacity, *table.shape), dtype=table.dtype, device=rows.device)
            for table in (*feed.tables, numbers)
        ]
        self.at = torch.zeros(1, dtype=torch.int64, device=rows.device)
        self.step = torch.zeros((), dtype=torch.int64, device=rows.device)
        self.loss = torch.zeros(students, dtype=rows.dtype, device=rows.device)
        self.ahead = Ahead(self._drawn)
        self.repeated = Repeated(self.one_step, str(rows.device), record, self.ahead.settle)

    def run(self, first: int, rates: FloatArray, decay: FloatArray) -> Tensor:
        """Make steps, and return the sum of their losses.

        Parameters
        ----------
        first : int
            Steps made before.
        rates : array of float64, shape (count, students)
            Learning rates of every step.
        decay : array of float64, shape (students,)

        Returns
        -------
        tensor, shape (students,)
            Overwritten by the next call.
        """
        end = first + len(rates)
        self.loss.zero_()
        self.step.fill_(first)
        for low in range(first, end, self.capacity):
            high = min(low + self.capacity, end)
            drawn = self.ahead.take((low, high - low), self._following(high, end))
            numbers = self.optimizer.numbers(low, rates[low - first : high - first], decay)
            entries = (*drawn, self._sent(numbers, self.rows.dtype))
            for table, new in zip(self.tables, entries, strict=True):
                table[: high - low].copy_(new, non_blocking=True)
            self.at.zero_()
            self.repeated(high - low)
        return self.loss

    def one_step(self) -> None:
        """Make the step that the counter names, and move the counter on."""
        entries = [table.index_select(0, self.at)[0] for table in self.tables]
        x, y = self.feed.minibatch(entries[:-1])
        run = ForwardPass(self.training.dropout, self.seeds, self.step)
        loss, _ = self.gradient(self.leaves, Minibatch(x, y, self.shares, run), self.into)
        self.loss.add_(loss)
        self.optimizer(self.rows, self.flat, self.moments, entries[-1])
        self.at.add_(1)
        self.step.add_(1)

    def close(self) -> None:
        """End the thread that draws ahead, and let go of what is recorded."""
        self.ahead.close()
        del self.ahead, self.repeated  # they know the program: without them it is freed at once

    def _following(self, low: int, end: int) -> tuple[int, int]:
        """The block after one that ends before step `low`, of this run or of the next one."""
        if low >= end:
            end = min(low + self.training.evaluate_every, self.training.steps)
        return low, min(self.capacity, end - low)

    def _drawn(self, first: int, count: int) -> tuple[Tensor, ...]:
        arrays = self.feed.arrays(first, count)
        return tuple(
            self._sent(array, table.dtype)
            for array, table in zip(arrays, self.feed.tables, strict=True)
        )

    def _sent(self, array: npt.NDArray[Any], dtype: Any) -> Tensor:
        """An array as a tensor of the host, in memory from which an accelerator copies by itself."""
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
        return tensor.pin_memory() if self.rows.device.type == "cuda" else tensor


def views(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """Return the parts of rows that belong to parameters, in their shapes.

    Parameters
    ----------
    flat : tensor, shape (students, n_parameters)
    like : sequence of tensor, shapes (students, ...)
        The parameters, in their order in a row.

    Returns
    -------
    list of tensor
        Views of `flat`.
    """
    sizes = [w[0].numel() for w in like]
    return [part.view(w.shape) for part, w in zip(flat.split(sizes, dim=1), like, strict=True)]
