"""Tables of all ranks: how often elements agree with their j-th neighbour, for every j."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis.adjacency import directions
from percolaw.analysis.agreement import FloatArray, RankLoss, label_loss
from percolaw.analysis.sample import Sample

#: Elements of the largest block of distances held at a time.
BLOCK_ELEMENTS = 1 << 22


def rank_losses(sample: Sample, level: int, n_blocks: int) -> RankLoss:
    """Return the losses by rank of classes, in blocks of near elements.

    Parameters
    ----------
    sample : Sample
        Points or strings.
    level : int
        Resolution of the function.
    n_blocks : int
        Blocks of elements that follow one another along the direction of largest variance, over which
        errors are taken.

    Returns
    -------
    RankLoss
        Equally near elements share the mean of their ranks.

    Raises
    ------
    ResourceError
        If one row of distances and the sums do not fit into memory.

    Notes
    -----
    O(n^2 (d + log n)) time; 60 MiB, and 8 n_blocks n bytes for the sums.
    """
    n = sample.n
    checks.memory(8.0 * n * n_blocks + 16.0 * BLOCK_ELEMENTS, f"ranks of {n} elements", "Take fewer.")
    label = sample.classes[:, level]
    x = _coordinates(sample)
    total = np.zeros((n_blocks, n - 1))
    tests = np.zeros(n_blocks, dtype=np.int64)
    for block, members in enumerate(np.array_split(np.argsort(_direction(x)), n_blocks)):
        tests[block] = members.size
        for first in range(0, members.size, max(1, BLOCK_ELEMENTS // n)):
            rows = members[first : first + max(1, BLOCK_ELEMENTS // n)]
            total[block] += _agreeing(sample, x, rows, label)
    return label_loss(total, tests)


def _coordinates(sample: Sample) -> FloatArray:
    """Points whose Euclidean distances order as the distances of the sample do."""
    if sample.metric == "hamming":
        return np.asarray(sample.elements, dtype=np.float64)
    x = directions(sample.elements) if sample.metric == "cosine" else sample.elements
    return np.asarray(x - x.mean(axis=0), dtype=np.float64)


def _direction(x: FloatArray) -> FloatArray:
    """Coordinate of every point along the direction of largest variance."""
    centred = x - x.mean(axis=0)
    return np.asarray(centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1])


def _agreeing(
    sample: Sample, x: FloatArray, rows: npt.NDArray[Any], label: npt.NDArray[Any]
) -> FloatArray:
    """How many of some elements agree with their j-th neighbour, j = 1, 2, ..."""
    if sample.metric == "hamming":
        return _agreeing_strings(np.asarray(sample.elements), rows, label)
    square = np.einsum("ij,ij->i", x, x)
    distance = square - 2.0 * (x[rows] @ x.T)
    distance[np.arange(rows.size), rows] = -np.inf
    order = np.argsort(distance, axis=1)[:, 1:]
    return np.asarray((label[order] == label[rows, None]).sum(axis=0, dtype=np.float64))


def _agreeing_strings(
    codes: npt.NDArray[np.uint8], rows: npt.NDArray[Any], label: npt.NDArray[Any]
) -> FloatArray:
    """The same of strings, whose distances are whole numbers: all of one distance share their ranks."""
    length = codes.shape[1]
    total = np.zeros(codes.shape[0] - 1)
    for row in rows:
        distance = np.zeros(codes.shape[0], dtype=np.uint8 if length < 256 else np.int64)
        for position in range(length):
            distance += codes[:, position] != codes[row, position]
        count = np.bincount(distance, minlength=length + 1)
        agree = np.bincount(distance[label == label[row]], minlength=length + 1)
        count[0], agree[0] = count[0] - 1, agree[0] - 1
        total += np.repeat(agree / np.maximum(count, 1), count)
    return total
