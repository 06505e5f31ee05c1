"""Linear probes of latents: what of their normals, and of who belongs to them, a representation holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.merges import MergeTree
from percolaw.interpret.scores import LatentScores, _thresholds, checked_activations
from percolaw.rng import RandomLike, as_streams
from percolaw.short import short_repr
from percolaw.structure import Ids

FloatArray = npt.NDArray[np.float64]
Split: TypeAlias = Literal["latent", "subtree", "point"]

#: Ridges tried, in units of the mean square singular value of the inputs.
RIDGES = np.logspace(-6.0, 6.0, 49)


@dataclass(frozen=True, eq=False)
class ProbeScore:
    """How well a linear probe guesses the normals of latents that it has not seen.

    Attributes
    ----------
    r2 : float
        1 less the mean squared error over the mean square of the normals, held out.
    interval : tuple of float
        95%, by resampling latents.
    latent : array of int64, shape (m,)
    truth, guess : array of float64, shape (m,)
        The normals and what the probe said of them while they were held out.
    """

    r2: float
    interval: tuple[float, float]
    latent: Ids
    truth: FloatArray
    guess: FloatArray

    __repr__ = short_repr


def octave_latents(merges: MergeTree, octave: int) -> Ids:
    """Return the latents of 2^octave to 2^(octave+1) - 1 sites that lie in no other of them.

    They share no site: nested latents of one octave would let a probe see its test set.

    Parameters
    ----------
    merges : MergeTree
    octave : int
        From 1 on.

    Returns
    -------
    array of int64

    Raises
    ------
    ValueError
        If there is none.
    """
    o = checks.integer("octave", octave, minimum=1)
    size = merges.octaves()
    latents = np.flatnonzero((size == o) & ((merges.parent_sizes() >> o) != 1))
    if not latents.size:
        raise ValueError(
            f"no latent has {2**o} to {2 ** (o + 1) - 1} sites; the largest octave is {size.max()}."
        )
    return latents


def value_probe(
    activations: npt.ArrayLike,
    merges: MergeTree,
    normals: npt.ArrayLike,
    latents: npt.ArrayLike,
    *,
    split: Split = "latent",
    n_folds: int = 5,
    rng: RandomLike = 0,
) -> ProbeScore:
    """Guess the normals of latents from activations, linearly, and score the guesses held out.

    A latent is seen by three mean activations: of the two parts of which it was made, the smaller one
    first, and of what it was joined with next. What is known of a normal lies in small parts: the rest of
    the sites share it with other latents. Ridge regression on the latents of all folds but one, its
    strength by the marginal likelihood there, guesses those of that fold.

    Parameters
    ----------
    activations : array of float, shape (n_sites, width)
        Of every site of the hierarchy; take `MergeTree.restrict` for a sample of sites.
    merges : MergeTree
    normals : array of float, shape (n_latents,)
        `HierarchicalTarget.latent`; of a restriction those of its latents.
    latents : array of int, shape (m,)
        Best of `octave_latents`; nested latents share sites.
    split : {"latent", "subtree", "point"}
        ``latent``: folds are of latents. ``subtree``: of large parts of the hierarchy, so that held out
        latents are also far away. ``point``: the mean of one half of a latent's sites is learned, and
        the normal guessed from that of the other, so that a probe that knows places has seen the answer:
        optimistic, for comparison.
    n_folds : int
    rng : int, Generator or Streams
        Stream ``split``.

    Returns
    -------
    ProbeScore

    Raises
    ------
    ValueError
        For arrays of another length or not finite, latents that are not there, and fewer than four a
        fold.
    ResourceError
        If it would not fit into memory.
    """
    x, ids = checked_activations(activations, merges, latents)
    z = checks.finite_array("normals", normals, ndim=1, length=merges.n_latents)[ids]
    generator = as_streams(rng).generator("split")
    guess = held_out_guesses(x, merges, ids, z, (split, n_folds, generator), _ridge)
    square, error = z**2, (z - guess) ** 2
    interval = gain_interval(error, square, generator)
    return ProbeScore(float(1.0 - error.mean() / square.mean()), interval, ids, z, guess)


def gain_interval(
    lost: FloatArray, least: FloatArray, generator: np.random.Generator
) -> tuple[float, float]:
    """Return the 95% interval of 1 - mean(lost)/mean(least) over latents drawn again.

    Parameters
    ----------
    lost, least : array of float64, shape (m,)
        What a probe loses, and what one loses that is told nothing.
    generator : numpy.random.Generator

    Returns
    -------
    low, high : float
    """
    draws = generator.integers(0, lost.size, (999, lost.size))
    spread = 1.0 - lost[draws].mean(axis=1) / least[draws].mean(axis=1)
    low, high = np.quantile(spread, [0.025, 0.975])
    return float(low), float(high)


def membership_probe(
    activations: npt.ArrayLike, merges: MergeTree, latents: npt.ArrayLike
) -> LatentScores:
    """Tell who belongs to each latent by a linear map of activations, scored on sites held out.

    Least squares for all latents at once, with a slight ridge, on every other site in depth-first order;
    F1 and Matthews correlation at the best threshold on the other half. `unit_scores` asks the same of
    single units.

    Parameters
    ----------
    activations : array of float, shape (n_sites, width)
        Of every site of the hierarchy; take `MergeTree.restrict` for a sample of sites.
    merges : MergeTree
    latents : array of int, shape (m,)
        Of four sites or more.

    Returns
    -------
    LatentScores
        `unit` is -1.

    Raises
    ------
    ValueError
        For activations of another length or not finite, latents that are not there or have fewer than
        four sites.
    ResourceError
        If it would not fit into memory.

    Notes
    -----
    O(n_sites width (width + m)).
    """
    x, ids = checked_activations(activations, merges, latents)
    x = x[merges.order]
    train = np.arange(x.shape[0]) % 2 == 0
    before = np.concatenate([[0], np.cumsum(train)])
    first, stop = merges.first[ids].astype(np.int64), merges.stop[ids].astype(np.int64)
    if np.any(stop - first < 4):
        raise ValueError(
            f"latents need four sites, two in each half; the smallest has {(stop - first).min()}."
        )
    seen = x[train]
    mean = seen.mean(axis=0)
    sums = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(seen - mean, axis=0)])
    # Membership less its mean, times the inputs, is the sum of the inputs of the members.
    moment = (sums[before[stop]] - sums[before[first]]).T
    u, s, _ = np.linalg.svd((seen - mean).T @ (seen - mean))
    weight = u @ ((u.T @ moment) / (s + 1e-6 * s.mean())[:, None])
    held, place = ~train, np.concatenate([[0], np.cumsum(~train)])
    f1, mcc = np.empty((2, ids.size))
    test = x[held] - mean
    step = max(1, (1 << 24) // test.shape[0])
    for low in range(0, ids.size, step):
        part = slice(low, low + step)
        columns = np.arange(weight[:, part].shape[1])
        score = test @ weight[:, part]
        f1[part], mcc[part] = _thresholds(
            score, columns, np.ones(columns.size), place[first[part]], place[stop[part]]
        )
    return LatentScores(ids, f1, mcc, np.full(ids.size, -1))


def held_out_guesses(
    x: FloatArray,
    merges: MergeTree,
    ids: Ids,
    truth: npt.NDArray[Any],
    how: tuple[Split, int, np.random.Generator],
    fit: Callable[[FloatArray, npt.NDArray[Any], FloatArray], FloatArray],
) -> FloatArray:
    """Return what a fit says of each latent while it is held out.

    Parameters
    ----------
    x : array of float64, shape (n_sites, width)
    merges : MergeTree
    ids : array of int64, shape (m,)
        Latents.
    truth : array, shape (m,)
        What is learned of them.
    how : (split, n_folds, generator)
        As of `value_probe`.
    fit : callable
        Inputs and truths of some latents, and inputs of others, to what it says of those.

    Returns
    -------
    array, shape (m, ...)

    Raises
    ------
    ValueError
        For another split, fewer than four latents a fold, and latents that are all of one part.
    """
    split, n_folds, generator = how
    checks.choice("split", split, ("latent", "subtree", "point"))
    folds = checks.integer("n_folds", n_folds, minimum=2)
    if ids.size < 4 * folds:
        raise ValueError(
            f"{folds} folds need {4 * folds} latents; got {ids.size}. Take a smaller octave."
        )
    if split == "point":
        seen, held = _halves(x, merges, ids)
        return fit(seen, truth, held)
    inputs = _latent_inputs(x, merges, ids)
    groups = np.arange(ids.size) if split == "latent" else _subtrees(merges, ids, 4 * folds)
    fold = generator.permutation(groups.max() + 1)[groups] % folds
    if np.all(fold == fold[0]):
        raise ValueError(
            "all latents lie in one part of the hierarchy: when it is held out, nothing is left to learn "
            "from. Take split='latent', or latents of more parts."
        )
    parts = []
    for f in np.unique(fold):
        held = fold == f
        parts.append((np.flatnonzero(held), fit(inputs[~held], truth[~held], inputs[held])))
    rows, said = (np.concatenate(values) for values in zip(*parts, strict=True))
    return np.asarray(said[np.argsort(rows)])


def _latent_inputs(x: FloatArray, merges: MergeTree, ids: Ids) -> FloatArray:
    """Mean over each latent's two parts, the smaller first, and over what it was joined with last."""
    from percolaw.kernels import coalescent as kernels

    node = merges.latent_node(ids)
    child = np.empty((merges.nodes.n_sites, 2), dtype=np.int64)
    kernels.children(merges.nodes.parent, child)
    above = merges.nodes.parent[node].astype(np.int64)
    pair = child[np.maximum(above, 0)]
    sibling = np.where(pair[:, 0] == node, pair[:, 1], pair[:, 0])
    sibling = np.where(above < 0, node, sibling)  # the whole cluster was joined with nothing
    first, second, last = (_places(merges, nodes) for nodes in (*child[node].T, sibling))
    swap = first[1] - first[0] > second[1] - second[0]
    small = [np.where(swap, b, a) for a, b in zip(first, second, strict=True)]
    large = [np.where(swap, a, b) for a, b in zip(first, second, strict=True)]
    ordered = x[merges.order]
    return np.hstack([_interval_means(ordered, *part) for part in (small, large, last)])


def _places(merges: MergeTree, nodes: Ids) -> tuple[Ids, Ids]:
    """Where the sites below nodes, latents or sites, begin and end in depth-first order."""
    cluster = np.searchsorted(merges.nodes.start, nodes, side="right") - 1
    latent = nodes - merges.start[cluster]
    is_latent = latent < merges.start[cluster + 1] - cluster - 1
    site = np.where(is_latent, 0, nodes - merges.start[cluster + 1] + cluster + 1)
    latent = np.where(is_latent, latent, 0)
    place = np.empty(merges.n_sites, dtype=np.int64)
    place[merges.order] = np.arange(merges.n_sites)
    first = np.where(is_latent, merges.first[latent], place[site])
    stop = np.where(is_latent, merges.stop[latent], place[site] + 1)
    return first.astype(np.int64), stop.astype(np.int64)


def _interval_means(x: FloatArray, first: Ids, stop: Ids) -> FloatArray:
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(x, axis=0)])
    return np.asarray((total[stop] - total[first]) / (stop - first)[:, None])


def _halves(x: FloatArray, merges: MergeTree, ids: Ids) -> tuple[FloatArray, FloatArray]:
    """Mean over every other site of each latent in depth-first order, and over the others."""
    x, first, stop = x[merges.order], merges.first[ids], merges.stop[ids]
    halves = []
    for parity in range(2):
        low, high = (first - parity + 1) // 2, (stop - parity + 1) // 2
        halves.append(_interval_means(x[parity::2], low.astype(np.int64), high.astype(np.int64)))
    return halves[0], halves[1]


def _subtrees(merges: MergeTree, ids: Ids, at_least: int) -> Ids:
    """Number, from 0, the large part of the hierarchy in which each latent lies."""
    largest = merges.n_sites // at_least
    node = merges.latent_node(np.arange(merges.n_latents))
    by_node = np.zeros(merges.nodes.n_sites, dtype=np.int64)
    by_node[node] = merges.sizes()
    top = np.arange(merges.nodes.n_sites)
    up = merges.nodes.parent
    here = node[ids].astype(np.int64)
    while True:
        above = up[here]
        rising = (above >= 0) & (by_node[np.maximum(above, 0)] <= largest)
        if not rising.any():
            return np.unique(top[here], return_inverse=True)[1].astype(np.int64)
        here = np.where(rising, above, here)


def _ridge(x: FloatArray, y: FloatArray, new: FloatArray) -> FloatArray:
    """Ridge regression with an intercept; its strength by the largest marginal likelihood."""
    mean, offset = x.mean(axis=0), y.mean()
    u, s, vt = np.linalg.svd(x - mean, full_matrices=False)
    along = u.T @ (y - offset)
    rest = max(float(np.sum((y - offset) ** 2) - np.sum(along**2)), 0.0)
    scale = float(np.mean(s**2)) or 1.0
    ratio = s**2 / (RIDGES[:, None] * scale)
    fit = rest + np.sum(along**2 / (1.0 + ratio), axis=1)
    ridge = RIDGES[np.argmin(y.size * np.log(fit) + np.sum(np.log1p(ratio), axis=1))] * scale
    return np.asarray((new - mean) @ (vt.T @ (s / (s**2 + ridge) * along)) + offset)
