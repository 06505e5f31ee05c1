"""Named random streams, keyed by item.

One integer seed is enough for a whole experiment. Every use of randomness names its *stream*
(`STREAMS`) and the *items* it is for (cluster 3, block 17, ...); the numbers depend on the seed,
the stream and the items alone, never on threads, chunks, processes or the order of calls.

Inside large arrays there are two ways to be independent of chunking:

* kernels hash ``(key, index)`` themselves (`percolaw.kernels.random`), one key from `Streams.key`;
* normals are drawn with NumPy's ziggurat in fixed blocks of rows, one generator a block
  (`normal_rows`), so that rows ``a..b`` can be made alone and any prefix of an array is the same
  for every final size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

#: Bumped when the numbers drawn for a given seed change (see CHANGELOG, Numerics).
STREAM_VERSION = 1

#: Every stream there is. The position is part of the numbers drawn: append, never reorder.
STREAMS = (
    "clusters",
    "embedding",
    "target",
    "split",
    "init",
    "batch",
    "evaluation",
    "bootstrap",
    "sizes",
    "ties",
    "analysis",
    "hierarchy",
)

#: Items of the stream ``embedding``: what is placed side by side draws under its own. Also part of the
#: numbers drawn. Segments are those of a sampled cluster, steps those along the edges of a tree.
SEGMENT_ENDS, SEGMENT_STARTS, TREE_STEPS, RANDOM_CENTRES, CENTRE_AXES, LATENT_STEPS = range(6)

#: Elements drawn from one generator by `normal_rows`.
BLOCK_ELEMENTS = 1 << 16


@dataclass(frozen=True)
class Streams:
    """The random streams of one seed.

    Parameters
    ----------
    seed : int
        Any integer >= 0.
    path : tuple of int, optional
        Items under which all streams of this object lie (see `child`).

    Examples
    --------
    >>> Streams(0).generator("target", 3).random() == Streams(0).generator("target", 3).random()
    True
    >>> Streams(0).generator("target", 3).random() == Streams(0).generator("target", 4).random()
    False
    """

    seed: int
    path: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or not isinstance(self.seed, (int, np.integer)):
            raise TypeError(f"seed must be an integer; got {self.seed!r}.")
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed must lie in 0..2^64 - 1; got {self.seed}.")
        object.__setattr__(self, "seed", int(self.seed))
        object.__setattr__(self, "path", tuple(_item(item) for item in self.path))

    def child(self, *items: int) -> Streams:
        """Return the streams below these items, independent of all others."""
        return Streams(self.seed, self.path + tuple(_item(item) for item in items))

    def sequence(self, stream: str, *items: int) -> np.random.SeedSequence:
        """Return the seed sequence of a stream and its items.

        Raises
        ------
        ValueError
            For an unknown stream.
        """
        if stream not in STREAMS:
            raise ValueError(f"unknown stream {stream!r}; choose from {', '.join(STREAMS)}.")
        # The length of the path separates child(1).generator(s) from generator(s, 1).
        words = [STREAMS.index(stream), len(self.path)]
        # Two words each, whatever the value: NumPy drops leading zero words, and then 2^32 alone
        # and the pair (0, 1) would be the same key.
        for number in (*self.path, *(_item(item) for item in items)):
            words += [number & 0xFFFFFFFF, number >> 32]
        entropy = (STREAM_VERSION, self.seed & 0xFFFFFFFF, self.seed >> 32)
        return np.random.SeedSequence(entropy=entropy, spawn_key=tuple(words))

    def generator(self, stream: str, *items: int) -> np.random.Generator:
        """Return a NumPy generator for a stream and its items."""
        return np.random.Generator(np.random.SFC64(self.sequence(stream, *items)))

    def key(self, stream: str, *items: int) -> np.uint64:
        """Return the 64-bit key that kernels hash with an index."""
        return np.uint64(self.sequence(stream, *items).generate_state(1, np.uint64)[0])


def _item(value: int) -> int:
    """An item as an int in 0..2^64 - 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"items must be integers; got {value!r}.")
    if not 0 <= value < 1 << 64:
        raise ValueError(f"items must lie in 0..2^64 - 1; got {value}.")
    return int(value)


#: What public functions accept as ``rng``.
RandomLike: TypeAlias = int | np.random.Generator | Streams | None


def as_streams(rng: RandomLike) -> Streams:
    """Return the streams meant by ``rng``.

    An integer is a seed and gives the same result in every call; a NumPy generator is asked for
    one number, so it advances and two calls differ; None takes fresh entropy from the system.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(rng, Streams):
        return rng
    if rng is None:
        return Streams(
            int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> np.uint64(1))
        )
    if isinstance(rng, np.random.Generator):
        return Streams(int(rng.integers(2**63)))
    if isinstance(rng, bool) or not isinstance(rng, (int, np.integer)):
        raise TypeError(
            f"rng must be an integer seed, a numpy Generator or percolaw Streams; got {rng!r}. "
            "Global NumPy state is never used."
        )
    return Streams(int(rng))


def rows_per_block(n_columns: int) -> int:
    """Return how many rows `normal_rows` draws from one generator."""
    return max(1, BLOCK_ELEMENTS // max(1, n_columns))


def normal_rows(
    streams: Streams,
    stream: str,
    out: npt.NDArray[np.floating],
    *items: int,
) -> None:
    """Fill `out` with standard normals that depend only on seed, stream, items and row number.

    Parameters
    ----------
    streams, stream, items
        What the numbers are keyed by.
    out : array, shape (n,) or (n, d), float32 or float64, C-contiguous
        Filled in place, with the first rows of an endless array.

    Raises
    ------
    ValueError
        If `out` is not C-contiguous.
    """
    if not out.flags.c_contiguous:
        raise ValueError("out must be C-contiguous; pass np.ascontiguousarray(out).")
    width = math.prod(out.shape[1:])
    block = rows_per_block(width)
    flat = out.reshape(-1)
    for index in range(-(-out.shape[0] // block)):
        target = flat[index * block * width : (index + 1) * block * width]
        streams.generator(stream, *items, index).standard_normal(out=target, dtype=out.dtype)
