"""Null models: what the data's clusters are held against, drawn through the same statistics.

| | null | keeps | replaces |
|---|---|---|---|
| N0 | `gaussian_points` | mean and covariance | points |
| N0 | `shuffled_components` | the law of each principal component | points |
| N1 | `random_bonds` | the graph and the number of open bonds | open bonds |
| N2 | `permuted_labels` | class counts | labels |
| N3 | `potts_null` (`potts.py`) | class counts and agreement | labels |
| N4 | `position_marginals` | the letters of each position | strings |
| N4 | `markov_strings` | pairs of letters at each two positions in a row | strings |
| N5 | `compact_domains` (`domains.py`) | class counts; agreement by number of domains | labels |

A draw is a function of its index and the seed alone, whatever else is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.numerics.components import principal_components
from percolaw.rng import RandomLike, as_streams

FloatArray = npt.NDArray[np.float64]
Codes = npt.NDArray[np.uint8]

#: Batches of strings after which a space is too small for as many distinct ones.
_BATCHES = 200


def gaussian_points(points: FloatArray, index: int, rng: RandomLike = 0) -> FloatArray:
    """Draw independent points of a Gaussian with the mean and covariance of the data.

    Parameters
    ----------
    points : array of float64, shape (n, d)
    index : int
        Number of the draw, from 0.
    rng : int, Generator or Streams
        Stream ``embedding``.

    Returns
    -------
    array of float64, shape (n, d)
    """
    mean, axes, scores = principal_components(points)
    normal = as_streams(rng).generator("embedding", 0, index).standard_normal(scores.shape)
    return np.asarray(mean + (normal * scores.std(axis=0, ddof=1)) @ axes)


def shuffled_components(points: FloatArray, index: int, rng: RandomLike = 0) -> FloatArray:
    """Draw points whose principal components are those of the data, each shuffled over the points.

    Keeps the law of every component, heavy tails and modes along axes included, and no dependence
    between them.

    Parameters
    ----------
    points, index, rng
        As in `gaussian_points`.

    Returns
    -------
    array of float64, shape (n, d)
    """
    mean, axes, scores = principal_components(points)
    generator = as_streams(rng).generator("embedding", 1, index)
    return np.asarray(mean + generator.permuted(scores, axis=0) @ axes)


def random_bonds(
    is_open: npt.NDArray[np.bool_], index: int, rng: RandomLike = 0
) -> npt.NDArray[np.bool_]:
    """Draw as many open bonds as in the data, any of them.

    Parameters
    ----------
    is_open : array of bool, shape (n_bonds,)
    index, rng
        As in `gaussian_points`; stream ``clusters``.

    Returns
    -------
    array of bool, shape (n_bonds,)
    """
    return as_streams(rng).generator("clusters", 1, index).permutation(is_open)


def permuted_labels(labels: npt.NDArray[Any], index: int, rng: RandomLike = 0) -> npt.NDArray[Any]:
    """Draw the labels of the data in random order.

    Parameters
    ----------
    labels : array, shape (n,)
    index, rng
        As in `gaussian_points`; stream ``target``.

    Returns
    -------
    array, shape (n,)
    """
    return as_streams(rng).generator("target", 2, index).permutation(labels)


def position_marginals(codes: Codes, index: int, rng: RandomLike = 0) -> Codes:
    """Draw distinct strings whose letters are independent, with the frequencies of each position.

    Parameters
    ----------
    codes : array of uint8, shape (n, length)
        Distinct rows.
    index, rng
        As in `gaussian_points`.

    Returns
    -------
    array of uint8, shape (n, length)

    Raises
    ------
    ValueError
        If hardly so many distinct strings exist.
    """
    generator = as_streams(rng).generator("embedding", 4, index)
    return _distinct(codes, lambda: generator.permuted(codes, axis=0))


def markov_strings(codes: Codes, index: int, rng: RandomLike = 0) -> Codes:
    """Draw distinct strings of a first-order Markov chain with a transition matrix for each position.

    It is the chain of maximum likelihood: the next letter is that of a random string of the data that has
    the same letter at this position.

    Parameters
    ----------
    codes, index, rng
        As in `position_marginals`.

    Returns
    -------
    array of uint8, shape (n, length)

    Raises
    ------
    ValueError
        If hardly so many distinct strings come.
    """
    generator = as_streams(rng).generator("embedding", 5, index)
    return _distinct(codes, lambda: _chain(codes, generator))


#: Nulls of the elements themselves, by name.
OF_ELEMENTS: dict[str, Callable[..., npt.NDArray[Any]]] = {
    "gaussian": gaussian_points,
    "shuffled components": shuffled_components,
    "position marginals": position_marginals,
    "markov strings": markov_strings,
}


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
