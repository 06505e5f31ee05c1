"""What is found in gradients, held against quanta that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.experiments.base import Row
from percolaw.rng import Streams

IntArray = npt.NDArray[np.int64]


def with_direction(gradients: Any, *truths: IntArray) -> tuple[Any, ...]:
    """Leave out samples that are known to the last digit: their gradients have no direction.

    Parameters
    ----------
    gradients : array, shape (n, n_directions)
    *truths : array of int, shape (n,)

    Returns
    -------
    gradients, *truths
        Rows of the others.
    """
    kept = np.abs(gradients).max(axis=1) > 0.0
    return gradients[kept], *(t[kept] for t in truths)


def scores(
    gradients: Any,
    truth: IntArray,
    other: IntArray,
    number: float | None,
    signed: bool,
    streams: Streams,
) -> Row:
    """Return what is found at a number of clusters, beside what is true.

    Parameters
    ----------
    gradients : array, shape (n, n_directions)
    truth, other : array of int, shape (n,)
        The quantum of each sample, and another partition to hold clusters against.
    number : float or None
        In units of the true number of clusters; None counts them.
    signed : bool
        As in `percolaw.discover_quanta`.
    streams : Streams

    Returns
    -------
    dict
    """
    from percolaw.interpret.quanta import discover_quanta, rank_slope
    from percolaw.numerics.partitions import adjusted_rand

    size = np.sort(np.unique(truth, return_counts=True)[1])[::-1]
    asked = None if number is None else max(1, round(number * size.size))
    found = discover_quanta(gradients, asked, signed=signed, rng=streams)
    return {
        "score": adjusted_rand(found.label, truth),
        "finer": adjusted_rand(found.label, other),
        "n_quanta": found.n_quanta,
        "n_true": int(size.size),
        "slope": found.slope(),
        "true_slope": rank_slope(truth),
        "largest": float(found.size[0] / truth.size),
        "true_largest": float(size[0] / truth.size),
        "sizes": found.size.tolist(),
        "true_sizes": size.tolist(),
    }
