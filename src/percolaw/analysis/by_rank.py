"""Losses by rank of the classes of a sample, in blocks of near elements."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.analysis.agreement import FloatArray, RankLoss, label_loss
from percolaw.analysis.sample import Sample
from percolaw.numerics.components import principal_components


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
        If a block of neighbours and the sums do not fit into memory.

    Notes
    -----
    O(n^2 d + n^2) time; 8 n_blocks n bytes for the sums, and `percolaw.numerics.ranks`.
    """
    from percolaw.kernels.ranks import add_agreement
    from percolaw.numerics.ranks import neighbors_by_rank

    n = sample.n
    checks.memory(8.0 * n * n_blocks, f"sums by rank of {n} elements", "Take fewer.")
    order = np.argsort(_direction(np.asarray(sample.elements)), kind="stable")
    label = sample.classes[order, level].astype(np.int32)
    total = np.zeros((n_blocks, n - 1))
    edges = np.array([part[0] for part in np.array_split(np.arange(n), n_blocks)] + [n])
    metric: Any = sample.metric
    for block in neighbors_by_rank(np.asarray(sample.elements)[order], metric):
        last = block.first + block.order.shape[0]
        cuts = np.unique(np.clip(np.append(edges, [block.first, last]), block.first, last))
        for low, high in itertools.pairwise(cuts):
            rows = slice(low - block.first, high - block.first)
            group = np.searchsorted(edges, low, side="right") - 1
            add_agreement(block.order[rows], block.tied[rows], low, label, total[group])
    return label_loss(total, np.diff(edges))


def _direction(elements: Any) -> FloatArray:
    """Coordinate of every element along the direction of largest variance."""
    scores = principal_components(np.asarray(elements, dtype=np.float64))[2]
    return scores[:, -1] if scores.shape[1] else np.zeros(scores.shape[0])
