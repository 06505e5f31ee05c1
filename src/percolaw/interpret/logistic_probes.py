"""Logistic probes of latents: the signs of their normals, and who belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.merges import MergeTree
from percolaw.interpret.logistic import (
    BinaryScores,
    PrincipalInputs,
    best_threshold,
    binary_scores,
    log_losses,
)
from percolaw.interpret.probes import Split, gain_interval, held_out_guesses
from percolaw.interpret.scores import BLOCK, checked_activations
from percolaw.rng import RandomLike, as_streams
from percolaw.short import short_repr
from percolaw.structure import Ids

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SignScore:
    """How well a logistic probe guesses the signs of latents that it has not seen.

    Attributes
    ----------
    auc, gain, mcc : float
        See `BinaryScores`.
    interval : tuple of float
        95% of the gain, by resampling latents.
    latent : array of int64, shape (m,)
    truth : array of bool, shape (m,)
        Whether the normal is positive.
    logit : array of float64, shape (m,)
        What the probe said of it while it was held out.
    """

    auc: float
    gain: float
    mcc: float
    interval: tuple[float, float]
    latent: Ids
    truth: BoolArray
    logit: FloatArray

    __repr__ = short_repr


@dataclass(frozen=True, eq=False)
class MembershipScores(BinaryScores):
    """How well logistic probes tell who belongs to each of some latents, on sites held out.

    Attributes
    ----------
    latent : array of int64, shape (m,)
    """

    latent: Ids

    __repr__ = short_repr


def sign_probe(
    activations: npt.ArrayLike,
    merges: MergeTree,
    normals: npt.ArrayLike,
    latents: npt.ArrayLike,
    *,
    split: Split = "latent",
    n_folds: int = 5,
    rng: RandomLike = 0,
) -> SignScore:
    """Guess from activations, by logistic regression, whether the normals of latents are positive.

    Inputs, folds and controls are those of `value_probe`; the penalty is chosen on the folds that are
    learned from.

    Parameters
    ----------
    activations : array of float, shape (n_sites, width)
        Of every site of the hierarchy; take `MergeTree.restrict` for a sample of sites.
    merges : MergeTree
    normals : array of float, shape (n_latents,)
        `HierarchicalTarget.latent`, or any binary latents as +1 and -1.
    latents : array of int, shape (m,)
        Best of `octave_latents`; nested latents share sites.
    split : {"latent", "subtree", "point"}
        As of `value_probe`.
    n_folds : int
    rng : int, Generator or Streams
        Stream ``split``.

    Returns
    -------
    SignScore

    Raises
    ------
    ValueError
        For arrays of another length or not finite, latents that are not there, fewer than four a fold,
        and signs that are all alike, or but one.
    ResourceError
        If it would not fit into memory.
    """
    x, ids = checked_activations(activations, merges, latents)
    z = checks.finite_array("normals", normals, ndim=1, length=merges.n_latents)[ids]
    truth = z > 0.0
    if min(truth.sum(), (~truth).sum()) < 2:
        raise ValueError(
            f"{truth.sum()} of {truth.size} normals are positive; a probe needs two of each sign."
        )
    generator = as_streams(rng).generator("split")
    said = held_out_guesses(x, merges, ids, truth, (split, n_folds, generator), _said)
    logit, base, threshold = said.T
    scores = binary_scores(logit[:, None], base[:, None], threshold[:, None], truth[:, None])
    lost, least = log_losses(logit, truth), log_losses(base, truth)
    interval = gain_interval(lost, least, generator)
    auc, gain, mcc = (float(v[0]) for v in (scores.auc, scores.gain, scores.mcc))
    return SignScore(auc, gain, mcc, interval, ids, truth, logit)


def logistic_membership_probe(
    activations: npt.ArrayLike,
    merges: MergeTree,
    latents: npt.ArrayLike,
    *,
    split: Literal["subtree", "point"] = "subtree",
    n_folds: int = 4,
    rng: RandomLike = 0,
) -> MembershipScores:
    """Tell who belongs to each latent by logistic regressions of activations, scored on parts held out.

    Sites are cut into parts of the hierarchy, each at most 1/(2 n_folds) of the smallest latent, and
    folds are of parts, so that a probe is asked of parts of a latent that it has not seen. All latents
    are learned together; the penalty of each is chosen on what is learned from.

    Parameters
    ----------
    activations : array of float, shape (n_sites, width)
        Of every site of the hierarchy; take `MergeTree.restrict` for a sample of sites.
    merges : MergeTree
    latents : array of int, shape (m,)
        Of 4 n_folds sites or more, and of less than all sites: of one octave best, since the smallest
        says how large parts are.
    split : {"subtree", "point"}
        ``point``: folds of single sites. A probe that knows places has then seen the neighbours of each
        site: optimistic, for comparison.
    n_folds : int
    rng : int, Generator or Streams
        Stream ``split``.

    Returns
    -------
    MembershipScores

    Raises
    ------
    ValueError
        For activations of another length or not finite, latents that are not there, are too small or
        hold all sites.
    ResourceError
        If it would not fit into memory.

    Notes
    -----
    O(100 n_folds n_sites width m), about a second a latent for 100,000 sites and 256 units;
    `membership_probe`, by least squares, is some hundred times as fast.
    """
    x, ids = checked_activations(activations, merges, latents)
    folds = checks.integer("n_folds", n_folds, minimum=2)
    checks.choice("split", split, ("subtree", "point"))
    size = merges.sizes()[ids]
    if size.min() < 4 * folds or size.max() >= merges.n_sites:
        raise ValueError(
            f"latents need {4 * folds} sites, four a fold, and less than all {merges.n_sites}; got "
            f"{size.min()} to {size.max()} sites."
        )
    largest = int(size.min()) // (2 * folds) if split == "subtree" else 1
    part = _parts(merges, largest)
    blocks = np.tile(np.arange(folds), (part[-1] // folds + 1, 1))
    fold = as_streams(rng).generator("split").permuted(blocks, axis=1).ravel()[part]
    x = x[merges.order]
    first, stop = (ends[ids].astype(np.int64) for ends in (merges.first, merges.stop))
    place = np.arange(merges.n_sites)[:, None]
    inputs = [PrincipalInputs.of(x[fold != f]) for f in range(folds)]
    auc, gain, mcc = np.empty((3, ids.size))
    step = max(1, BLOCK // (8 * merges.n_sites))
    for low in range(0, ids.size, step):
        some = slice(low, low + step)
        inside = (place >= first[some]) & (place < stop[some])
        said = np.empty((3, *inside.shape))
        for f in range(folds):
            held = fold == f
            said[:, held] = _guesses(inputs[f], x[~held], inside[~held], x[held])
        logits, base, threshold = said
        scores = binary_scores(logits, base, threshold, inside)
        auc[some], gain[some], mcc[some] = scores.auc, scores.gain, scores.mcc
    return MembershipScores(auc, gain, mcc, ids)


def _said(x: FloatArray, labels: BoolArray, new: FloatArray) -> FloatArray:
    """Logit, base rate's logit and threshold of every new row, one target; shape (n, 3)."""
    return _guesses(PrincipalInputs.of(x), x, labels[:, None], new)[:, :, 0].T


def _guesses(
    inputs: PrincipalInputs, x: FloatArray, labels: BoolArray, new: FloatArray
) -> FloatArray:
    """Logits, base rates' logits and thresholds of new rows for all targets; shape (3, n, m)."""
    fitted = inputs.fit(labels)
    rate = np.clip(labels.mean(axis=0), 0.5 / labels.shape[0], 1.0 - 0.5 / labels.shape[0])
    known = fitted.logits(x)
    least = [best_threshold(known[:, j], labels[:, j]) for j in range(labels.shape[1])]
    logits = fitted.logits(new)
    base = np.log(rate / (1.0 - rate))
    return np.stack(
        [logits, *(np.broadcast_to(row, logits.shape) for row in (base, np.array(least)))]
    )


def _parts(merges: MergeTree, largest: int) -> Ids:
    """Number, from 0, the largest part of at most so many sites around each depth-first place."""
    above = merges.parent_sizes()
    whole = (merges.sizes() <= largest) & ((above == 0) | (above > largest))
    inner = np.zeros(merges.n_sites + 1, dtype=np.int64)
    np.add.at(inner, merges.first[whole] + 1, 1)
    np.add.at(inner, merges.stop[whole], -1)
    return np.asarray(np.cumsum(np.cumsum(inner[:-1]) == 0) - 1)
