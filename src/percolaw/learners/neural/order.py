"""Which training rows each step sees: endless random orders, a function of seed and step alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from percolaw.rng import Streams

IntArray = npt.NDArray[np.int64]

#: Row numbers drawn from one generator.
BLOCK_ELEMENTS = 1 << 16


class Order:
    """The rows of one student, batch by batch.

    Permutations of the training rows, one after the other, cut into batches; a student with no more
    rows than a batch holds takes all of them in every step, and weights of 0 fill the rest. Stream
    ``batch``.

    Parameters
    ----------
    seed : int
    rows : array of int64, shape (n,)
    batch_size : int
    """

    def __init__(self, seed: int, rows: IntArray, batch_size: int) -> None:
        self.streams, self.rows, self.batch_size = Streams(seed), rows, batch_size
        self._epochs = max(1, BLOCK_ELEMENTS // rows.size)
        self._block: tuple[int, IntArray] = (-1, rows)

    @property
    def all_rows(self) -> bool:
        """Whether every step sees every row."""
        return self.rows.size <= self.batch_size

    def weights(self) -> npt.NDArray[np.float64]:
        """Return the weights (batch_size,) of a batch's rows in its mean loss; their mean is 1."""
        weight = np.ones(self.batch_size)
        if self.all_rows:
            weight[: self.rows.size] = self.batch_size / self.rows.size
            weight[self.rows.size :] = 0.0
        return weight

    def batches(self, first: int, count: int) -> IntArray:
        """Return the rows (count, batch_size) of steps first .. first + count - 1."""
        if self.all_rows:
            batch = np.full(self.batch_size, self.rows[0])
            batch[: self.rows.size] = self.rows
            return np.broadcast_to(batch, (count, self.batch_size))
        low, high = first * self.batch_size, (first + count) * self.batch_size
        per_block = self._epochs * self.rows.size
        parts = []
        for block in range(low // per_block, (high - 1) // per_block + 1):
            start = block * per_block
            parts.append(self._drawn(block)[max(low - start, 0) : high - start])
        return np.concatenate(parts).reshape(count, self.batch_size)

    def _drawn(self, block: int) -> IntArray:
        """All rows of one block of epochs, in order."""
        if self._block[0] != block:
            generator = self.streams.generator("batch", block)
            orders = generator.permuted(np.tile(self.rows, (self._epochs, 1)), axis=1)
            self._block = (block, orders.reshape(-1))
        return self._block[1]
