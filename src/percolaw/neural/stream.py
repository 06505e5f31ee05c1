"""What an endless source of training points is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy.typing as npt


@runtime_checkable
class Stream(Protocol):
    """Endless minibatches of training points, made as they are needed.

    In the place of a student's training rows (`Student.train`): with it fresh points can be drawn in
    every step, and only those between two evaluations are held.
    """

    def rows(self, step: int) -> tuple[npt.ArrayLike, npt.ArrayLike]:
        """Return the points and values of one step.

        Parameters
        ----------
        step : int
            From 0. The same step must give the same rows whenever it is asked for: draw them from a
            generator that is made of a seed and the step. On accelerators they are asked for in a
            thread, in order, while earlier steps are made.

        Returns
        -------
        points : array, shape (batch_size, dim)
            ``Training.batch_size`` of them; token ids for a network of tokens.
        values : array, shape (batch_size,) or (batch_size, n_columns)
            Columns as in the values given to `percolaw.train`.
        """
        ...
