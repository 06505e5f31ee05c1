"""How well single units of a representation tell who belongs to a latent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.merges import MergeTree
from percolaw.short import short_repr
from percolaw.structure import Ids

FloatArray = npt.NDArray[np.float64]

#: Numbers held at once while units are scored.
BLOCK = 1 << 24


@dataclass(frozen=True, eq=False)
class LatentScores:
    """The best unit for each of some latents.

    Attributes
    ----------
    latent : array of int64, shape (m,)
    f1, mcc : array of float64, shape (m,)
        Largest F1 and Matthews correlation of one unit at its best threshold, of either sign.
    unit : array of int64, shape (m,)
        The unit of the largest F1.
    """

    latent: Ids
    f1: FloatArray
    mcc: FloatArray
    unit: Ids

    __repr__ = short_repr


def unit_scores(
    activations: npt.ArrayLike,
    merges: MergeTree,
    latents: npt.ArrayLike,
    *,
    candidates: int = 3,
) -> LatentScores:
    """Return how well the best single unit tells the members of each latent from all other sites.

    Units are ranked by the size of their correlation with membership; the best few are tried at every
    threshold, in the direction of their correlation.

    Parameters
    ----------
    activations : array of float, shape (n_sites, n_units)
        Of every site of the hierarchy; take `MergeTree.restrict` for a sample of sites.
    merges : MergeTree
    latents : array of int, shape (m,)
    candidates : int
        Units of each latent that are tried.

    Returns
    -------
    LatentScores

    Raises
    ------
    ValueError
        For activations of another length or not finite, and latents that are not there.
    ResourceError
        If it would not fit into memory.

    Notes
    -----
    O(n_sites (n_units + candidates m)).
    """
    x, ids = checked_activations(activations, merges, latents)
    tries = checks.integer("candidates", candidates, minimum=1, maximum=x.shape[1])
    x = x[merges.order]
    first, stop = merges.first[ids].astype(np.int64), merges.stop[ids].astype(np.int64)
    correlation = _correlations(x, first, stop)
    best = np.argsort(-np.abs(correlation), axis=1, kind="stable")[:, :tries]
    f1, mcc = np.empty((2, *best.shape))
    for column in range(tries):
        unit = best[:, column]
        sign = np.where(correlation[np.arange(ids.size), unit] < 0, -1.0, 1.0)
        f1[:, column], mcc[:, column] = _thresholds(x, unit, sign, first, stop)
    choice = f1.argmax(axis=1)
    rows = np.arange(ids.size)
    return LatentScores(ids, f1[rows, choice], mcc.max(axis=1), best[rows, choice].astype(np.int64))


def checked_activations(
    activations: npt.ArrayLike, merges: MergeTree, latents: npt.ArrayLike
) -> tuple[FloatArray, Ids]:
    """Return activations of every site as float64, and latents, or raise ValueError.

    Parameters
    ----------
    activations : array of float, shape (n_sites, n_units)
    merges : MergeTree
    latents : array of int, shape (m,)

    Returns
    -------
    array of float64, shape (n_sites, n_units)
    array of int64, shape (m,)

    Raises
    ------
    ValueError
        For another number of sites, activations that are not finite, and latents that are not there.
    ResourceError
        If probing them would not fit into memory.
    """
    x = checks.finite_array("activations", activations, ndim=2)
    if x.shape[0] != merges.n_sites or not x.shape[1]:
        raise ValueError(
            f"activations must have shape (n_sites, n_units) = ({merges.n_sites}, ...); got {x.shape}. "
            "For a sample of sites take merges.restrict(sites), sites rising."
        )
    checks.memory(40.0 * x.size, f"probing activations {x.shape}", "Use fewer sites or units.")
    ids = checks.site_ids("latents", latents, merges.n_latents)
    if not ids.size:
        raise ValueError("latents is empty; name at least one.")
    return x, ids


def _correlations(x: FloatArray, first: Ids, stop: Ids) -> FloatArray:
    """Correlation (m, n_units) of membership with units, of rows in depth-first order."""
    n = x.shape[0]
    centred = x - x.mean(axis=0)
    total = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(centred, axis=0)])
    size = (stop - first)[:, None].astype(np.float64)
    spread = centred.std(axis=0)
    gap = (total[stop] - total[first]) / n
    rate = size / n
    scale = np.sqrt(rate * (1.0 - rate)) * np.where(spread > 0.0, spread, 1.0)
    return np.asarray(gap / np.where(scale > 0.0, scale, 1.0))


def _thresholds(
    x: FloatArray, unit: Ids, sign: FloatArray, first: Ids, stop: Ids
) -> tuple[FloatArray, FloatArray]:
    from percolaw.kernels.scores import best_thresholds

    f1, mcc = np.empty((2, unit.size))
    step = max(1, BLOCK // x.shape[0])
    for low in range(0, unit.size, step):
        part = slice(low, low + step)
        score = np.asfortranarray(x[:, unit[part]] * sign[part])
        best_thresholds(score, first[part], stop[part], f1[part], mcc[part])
    return f1, mcc
