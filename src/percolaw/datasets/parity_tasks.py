"""Drawing tasks of `percolaw.datasets.parity`: different subsets of bits, and unions of parts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.parity import ParityTasks
from percolaw.laws.scaling_laws import zipf_weights
from percolaw.rng import RandomLike, as_streams

#: Rows of random numbers that are sorted at a time.
ROWS_AT_ONCE = 1 << 14


def parity_tasks(
    n_tasks: int = 100,
    n_bits: int = 32,
    subset_size: int = 3,
    rank_exponent: float = 0.4,
    rng: RandomLike = 0,
) -> ParityTasks:
    """Draw tasks of different subsets of bits, task k = 1, 2, ... used with frequency ~ k^-(1 + alpha).

    Parameters
    ----------
    n_tasks : int
        K.
    n_bits : int
        n.
    subset_size : int
        Bits of each task, from 1 to n.
    rank_exponent : float
        alpha, of any sign: -1 gives equal frequencies.
    rng : int, Generator or Streams
        Stream ``target``.

    Returns
    -------
    ParityTasks
        Tasks in the order of their use; numbers begin with 0.

    Raises
    ------
    ValueError
        For infinitely many tasks, more bits in a subset than there are, and more tasks than subsets.
    ResourceError
        For more tasks than fit into memory.

    Examples
    --------
    >>> tasks = parity_tasks(n_tasks=3, n_bits=8)
    >>> tasks.subset.sum(axis=1), tasks.weight.round(2)
    (array([3, 3, 3]), array([0.63, 0.24, 0.13]))
    >>> samples = tasks.sample(1000)
    >>> bool(np.all(samples.bits()[samples.task == 0][:, tasks.subset[0]].sum(axis=1) % 2
    ...             == samples.label[samples.task == 0]))
    True
    """
    if n_tasks == math.inf:
        raise ValueError(
            "n_tasks must be finite: infinitely many have laws (percolaw.laws.quanta) and no samples."
        )
    weight = zipf_weights(rank_exponent, checks.integer("n_tasks", n_tasks, minimum=1))
    bits = checks.integer("n_bits", n_bits, minimum=1)
    size = checks.integer("subset_size", subset_size, minimum=1)
    if size > bits:
        raise ValueError(f"subset_size must be at most n_bits = {bits}; got {size}. Raise n_bits.")
    if weight.size > math.comb(bits, size):
        raise ValueError(
            f"{weight.size} tasks cannot differ: there are {math.comb(bits, size)} subsets of {size} of "
            f"{bits} bits. Raise n_bits or lower n_tasks."
        )
    need = weight.size * (3.0 * bits + 40.0 * size)
    checks.memory(need, f"{weight.size} tasks of {bits} bits", "Lower n_tasks or n_bits.")
    chosen = _different_subsets(weight.size, bits, size, as_streams(rng).generator("target"))
    subset = np.zeros((weight.size, bits), dtype=bool)
    np.put_along_axis(subset, chosen, True, axis=1)
    return ParityTasks(subset, weight)


def composite_tasks(
    codes: Sequence[Sequence[int]],
    weight: npt.ArrayLike,
    n_bits: int = 64,
    part_size: int = 4,
    rng: RandomLike = 0,
) -> ParityTasks:
    """Draw atomic parities of bits that no other has, and return tasks that are unions of them.

    The parity of a union is the sum of the parities of its parts, modulo 2.

    Parameters
    ----------
    codes : sequence of sequence of int
        Numbers of the parts of each task, from 0.
    weight : array, shape (n_tasks,)
        Frequencies of tasks, in any unit.
    n_bits : int
    part_size : int
        Bits of each part.
    rng : int, Generator or Streams
        Stream ``target``.

    Returns
    -------
    ParityTasks

    Raises
    ------
    ValueError
        If the parts have more bits together than there are, or a task has no part or one part twice.

    Examples
    --------
    >>> tasks = composite_tasks([(0,), (1,), (0, 1)], [2, 2, 1], n_bits=8, part_size=2)
    >>> bool((tasks.subset[2] == (tasks.subset[0] | tasks.subset[1])).all())
    True
    """
    bits = checks.integer("n_bits", n_bits, minimum=1)
    size = checks.integer("part_size", part_size, minimum=1)
    parts = [tuple(checks.integer("part", p, minimum=0) for p in code) for code in codes]
    if not parts or any(not code or len(set(code)) < len(code) for code in parts):
        raise ValueError(f"each code must name parts, none of them twice; got {codes!r:.80}.")
    n_parts = 1 + max(max(code) for code in parts)
    if n_parts * size > bits:
        raise ValueError(
            f"{n_parts} parts of {size} bits need n_bits = {n_parts * size} at least; got {bits}."
        )
    order = as_streams(rng).generator("target").permutation(bits)
    subset = np.zeros((len(parts), bits), dtype=bool)
    for row, code in zip(subset, parts, strict=True):
        for part in code:
            row[order[part * size : (part + 1) * size]] = True
    return ParityTasks(subset, checks.finite_array("weight", weight), tuple(parts))


def _different_subsets(
    n_tasks: int, n_bits: int, size: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Subsets of bits, no two the same, in the order in which they were drawn."""
    chosen = np.empty((0, size), dtype=np.int64)
    while chosen.shape[0] < n_tasks:
        parts = [chosen]
        for low in range(chosen.shape[0], n_tasks, ROWS_AT_ONCE):
            shape = (min(ROWS_AT_ONCE, n_tasks - low), n_bits)
            drawn = generator.random(shape).argpartition(size - 1, axis=1)[:, :size]
            parts.append(np.sort(drawn, axis=1))
        chosen = np.concatenate(parts)
        _, first = np.unique(chosen, axis=0, return_index=True)
        chosen = chosen[np.sort(first)]
    return chosen
