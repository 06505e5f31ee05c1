"""Null models: what the data's clusters are held against, drawn through the same statistics.

| | null | keeps | replaces |
|---|---|---|---|
| N0 | `GaussianPoints` | mean and covariance | points |
| N0 | `ShuffledComponents` | the law of each principal component | points |
| N1 | `RandomBonds` | the graph and the number of open bonds | open bonds |
| N2 | `PermutedLabels` | class counts | labels |
| N3 | `PottsNull` (`potts.py`) | class counts and agreement | labels |
| N4 | `PositionMarginals` | the letters of each position | strings |
| N4 | `MarkovStrings` | pairs of letters at each two positions in a row | strings |
| N5 | `CompactDomains` (`domains.py`) | class counts; agreement by number of domains | labels |

Each has `draw(index, rng)`: a draw is a function of index and seed alone, whatever else is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]

#: Batches of strings after which a space is too small for as many distinct ones.
_BATCHES = 200


class Null(Protocol):
    """What every null answers."""

    def draw(self, index: int, rng: RandomLike = 0) -> npt.NDArray[Any]:
        """Return draw number `index` of what the null replaces, shaped as in the data.

        Parameters
        ----------
        index : int
            From 0.
        rng : int, Generator or Streams

        Returns
        -------
        array
        """
        ...


@dataclass(frozen=True, eq=False)
class GaussianPoints:
    """N0: independent points of a Gaussian with the mean and covariance of the data.

    Parameters
    ----------
    points : array of float64, shape (n, d)
    """

    points: FloatArray = field(repr=False)

    @cached_property
    def _parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return _components(self.points)

    def draw(self, index: int, rng: RandomLike = 0) -> FloatArray:
        """Return new points, float64 of shape (n, d); stream ``embedding``."""
        mean, axes, scores = self._parts
        normal = as_streams(rng).generator("embedding", 0, index).standard_normal(scores.shape)
        return np.asarray(mean + (normal * scores.std(axis=0, ddof=1)) @ axes)


@dataclass(frozen=True, eq=False)
class ShuffledComponents:
    """N0: the principal components of the data, each shuffled over the points.

    Keeps the law of every component, heavy tails and modes along axes included, and no dependence
    between them.

    Parameters
    ----------
    points : array of float64, shape (n, d)
    """

    points: FloatArray = field(repr=False)

    @cached_property
    def _parts(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return _components(self.points)

    def draw(self, index: int, rng: RandomLike = 0) -> FloatArray:
        """Return new points, float64 of shape (n, d); stream ``embedding``."""
        mean, axes, scores = self._parts
        generator = as_streams(rng).generator("embedding", 1, index)
        return np.asarray(mean + generator.permuted(scores, axis=0) @ axes)


@dataclass(frozen=True, eq=False)
class RandomBonds:
    """N1: as many open bonds as in the data, any of them.

    Parameters
    ----------
    is_open : array of bool, shape (n_bonds,)
    """

    is_open: npt.NDArray[np.bool_] = field(repr=False)

    def draw(self, index: int, rng: RandomLike = 0) -> npt.NDArray[np.bool_]:
        """Return which bonds are open, bool of shape (n_bonds,); stream ``clusters``."""
        return as_streams(rng).generator("clusters", 1, index).permutation(self.is_open)


@dataclass(frozen=True, eq=False)
class PermutedLabels:
    """N2: the labels (or values) of the data in random order.

    Parameters
    ----------
    labels : array, shape (n,)
    """

    labels: npt.NDArray[Any] = field(repr=False)

    def draw(self, index: int, rng: RandomLike = 0) -> npt.NDArray[Any]:
        """Return new labels, shape (n,); stream ``target``."""
        return as_streams(rng).generator("target", 2, index).permutation(self.labels)


@dataclass(frozen=True, eq=False)
class PositionMarginals:
    """N4: distinct strings whose letters are independent, with the frequencies of each position.

    Parameters
    ----------
    codes : array of uint8, shape (n, length)
        Distinct rows.
    """

    codes: Codes = field(repr=False)

    def draw(self, index: int, rng: RandomLike = 0) -> Codes:
        """Return new strings, all distinct; stream ``embedding``; ValueError if hardly so many exist."""
        generator = as_streams(rng).generator("embedding", 4, index)
        return _distinct(self.codes, lambda: generator.permuted(self.codes, axis=0))


@dataclass(frozen=True, eq=False)
class MarkovStrings:
    """N4: distinct strings of a first-order Markov chain with a transition matrix for each position.

    It is the chain of maximum likelihood: the next letter is that of a random string of the data that has
    the same letter at this position.

    Parameters
    ----------
    codes : array of uint8, shape (n, length)
        Distinct rows.
    """

    codes: Codes = field(repr=False)

    def draw(self, index: int, rng: RandomLike = 0) -> Codes:
        """Return new strings, all distinct; stream ``embedding``; ValueError if hardly so many come."""
        generator = as_streams(rng).generator("embedding", 5, index)
        return _distinct(self.codes, lambda: _chain(self.codes, generator))


def _components(points: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean (d,), principal axes as rows (d, d), and scores (n, d)."""
    mean = points.mean(axis=0)
    centred = points - mean
    axes = np.linalg.eigh(centred.T @ centred)[1].T
    return mean, axes, centred @ axes.T


def _distinct(codes: Codes, batch: Callable[[], Codes]) -> Codes:
    """The first n distinct rows that batches give, in the order in which they come."""
    n = codes.shape[0]
    kept = np.empty((0, codes.shape[1]), dtype=np.uint8)
    for _ in range(_BATCHES):
        both = np.concatenate([kept, batch()])
        kept = both[np.sort(np.unique(both, axis=0, return_index=True)[1])]
        if kept.shape[0] >= n:
            return kept[:n]
    raise ValueError(
        f"only {kept.shape[0]} of {n} distinct strings came in {_BATCHES} batches: the data fill the "
        "space of strings with their letters, where a null of strings says nothing. Use one of labels."
    )


def _chain(codes: Codes, generator: np.random.Generator) -> Codes:
    """As many strings as there are data, letter by letter."""
    n, length = codes.shape
    new = np.empty_like(codes)
    new[:, 0] = codes[generator.integers(n, size=n), 0]
    for k in range(1, length):
        order = np.argsort(codes[:, k - 1], kind="stable")
        before = codes[order, k - 1]
        first = np.searchsorted(before, new[:, k - 1], side="left")
        beyond = np.searchsorted(before, new[:, k - 1], side="right")
        new[:, k] = codes[order[generator.integers(first, beyond)], k]
    return new
