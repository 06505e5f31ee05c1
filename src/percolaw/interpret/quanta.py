"""Quanta from gradients: samples that would change a network in the same way are taken for one skill.

Michaud et al. (2023): gradients of the loss of single samples, their angles, spectral clustering, and
sizes by rank. Gradients come from `percolaw.sample_gradients` or `percolaw.module_gradients`; what the
method finds where the skills are known is measured in docs/quanta.md.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, Streams, as_streams

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Shuffled gradients whose largest eigenvalue is what noise can give.
N_SHUFFLES = 8
#: An eigenvalue counts if it lies so many standard deviations above those of shuffled gradients.
DEVIATIONS = 5.0
#: Eigenvalues up to here are rounding of angles in float32, not quanta.
ROUNDING = 1e-5
#: Starts of the k-means of which the best is kept.
N_STARTS = 10
#: Pairs of steps of a k-means at most; it ends when no sample moves.
MOST_ROUNDS = 100
#: Clusters with fewer samples are left out of the rank law.
LEAST_SAMPLES = 5


@dataclass(frozen=True, eq=False)
class Quanta:
    """Clusters of samples by their gradients, the largest first.

    Attributes
    ----------
    label : array of int64, shape (n,)
        Cluster of each sample: 0 is the largest.
    size : array of int64, shape (n_quanta,)
        Samples of each, falling: the curve of frequency by rank.
    eigenvalue : array of float64, shape (n,)
        Of the normalised affinity, falling; the first is 1.
    noise : float
        Eigenvalues above it were counted as quanta; NaN where their number was given.
    """

    label: IntArray
    size: IntArray
    eigenvalue: FloatArray
    noise: float

    @property
    def n_quanta(self) -> int:
        """Number of clusters."""
        return int(self.size.size)

    def slope(self, least: int = LEAST_SAMPLES) -> float:
        """Return the slope of log size by log rank, -(1 + alpha) if quanta follow Zipf's law.

        Parameters
        ----------
        least : int
            Samples of the smallest cluster used.

        Returns
        -------
        float
            NaN if fewer than three clusters are that large.
        """
        return rank_slope(self.label, least)

    def __repr__(self) -> str:
        sizes = ", ".join(map(str, self.size[:5]))
        more = ", ..." if self.n_quanta > 5 else ""
        return f"Quanta({self.n_quanta} of {self.label.size} samples: {sizes}{more})"


def discover_quanta(
    gradients: npt.ArrayLike,
    n_quanta: int | None = None,
    *,
    signed: bool = True,
    rng: RandomLike = 0,
) -> Quanta:
    """Cluster samples by the angles of their gradients.

    Parameters
    ----------
    gradients : array, shape (n, n_directions)
        One row a sample, none of them 0.
    n_quanta : int, optional
        Number of clusters. If left out, one more than the eigenvalues of the normalised affinity, its
        first aside, that lie above what gradients give whose every direction was shuffled over samples.
    signed : bool
        Whether opposite gradients are the least alike, as published. If False only the line along which
        a gradient points counts: residuals of regression change sign inside one skill.
    rng : int, Generator or Streams
        Stream ``analysis``.

    Returns
    -------
    Quanta

    Raises
    ------
    ValueError
        For gradients that are not finite or 0, and a number of quanta that is not from 1 to n.
    ResourceError
        If the memory is not available: 40 n^2 bytes and the gradients three times as float64.

    Notes
    -----
    O(n^2 n_directions + n^3) time. Clustering with a given number evens out sizes: see docs/quanta.md.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> skill = np.repeat([0, 1, 2], [50, 30, 20])
    >>> gradients = rng.standard_normal((3, 200))[skill] + 0.5 * rng.standard_normal((100, 200))
    >>> discover_quanta(gradients)
    Quanta(3 of 100 samples: 50, 30, 20)
    """
    from scipy.linalg import eigh

    unit = _directions(gradients)
    streams = as_streams(rng)
    n = unit.shape[0]
    affinity = _affinity(unit, signed)
    root = np.sqrt(affinity.sum(axis=1))
    value, vector = eigh(affinity / (root[:, None] * root), overwrite_a=True, check_finite=False)
    value, vector = value[::-1], vector[:, ::-1]
    noise = math.nan
    if n_quanta is None:
        noise = max(_noise(unit, signed, streams), ROUNDING)
        number = 1 + int(np.sum(value[1:] > noise))
    else:
        number = checks.integer("n_quanta", n_quanta, minimum=1, maximum=n)
    label = _k_means(vector[:, :number] / root[:, None], number, streams)
    return Quanta(*_by_size(label), value, noise)


def rank_slope(label: npt.ArrayLike, least: int = LEAST_SAMPLES) -> float:
    """Return the slope of log size by log rank of clusters, by least squares.

    Parameters
    ----------
    label : array of int, shape (n,)
        Cluster of each sample.
    least : int
        Samples of the smallest cluster used.

    Returns
    -------
    float
        NaN if fewer than three clusters are that large.
    """
    size = np.sort(np.unique(checks.array("label", label), return_counts=True)[1])[::-1]
    size = size[size >= checks.integer("least", least, minimum=1)]
    if size.size < 3:
        return math.nan
    return float(np.polyfit(np.log(np.arange(1, size.size + 1)), np.log(size), 1)[0])


def _directions(gradients: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Gradients of length 1, in float32."""
    g = checks.array("gradients", gradients)
    if g.ndim != 2 or 0 in g.shape or g.dtype.kind not in "iuf":
        raise ValueError(
            f"gradients must be numbers of shape (n, n_directions); got {g.dtype}, {g.shape}."
        )
    n, m = g.shape
    checks.memory(24.0 * n * m + 40.0 * n * n, f"angles of {n} gradients", "Use fewer samples.")
    length = np.sqrt(np.einsum("ij,ij->i", g, g, dtype=np.float64))
    if not np.isfinite(length).all():
        raise ValueError("gradients and their squares must be finite. Scale them: angles stay.")
    if not length.all():
        raise ValueError(
            f"{int(np.sum(length == 0))} gradients are 0 or too small to be squared, and have no "
            "direction: samples that are known to the last digit. Leave them out, or scale all."
        )
    return (g / length[:, None]).astype(np.float32)


def _affinity(unit: npt.NDArray[np.float32], signed: bool) -> FloatArray:
    """1 - angle/pi of all pairs: 1 alike, 1/2 unrelated, 0 opposite; of lines 1 alike, 0 unrelated."""
    cosine = np.clip((unit @ unit.T).astype(np.float64), -1.0, 1.0)
    if not signed:
        np.abs(cosine, out=cosine)
    np.fill_diagonal(cosine, 1.0)
    angle = np.arccos(cosine, out=cosine)
    return np.asarray(1.0 - (1.0 if signed else 2.0) * angle / math.pi)


def _noise(unit: npt.NDArray[np.float32], signed: bool, streams: Streams) -> float:
    """What the second eigenvalue reaches where samples share nothing but their mean direction."""
    from scipy.sparse.linalg import eigsh

    if unit.shape[0] < 3:
        return math.inf
    seconds = []
    for i in range(N_SHUFFLES):
        generator = streams.generator("analysis", i)
        shuffled = generator.permuted(unit, axis=0)
        shuffled = shuffled[shuffled.any(axis=1)]  # of sparse gradients some rows become 0
        if shuffled.shape[0] < 3:
            raise ValueError(
                "gradients have too few numbers that are not 0 to be counted by shuffling. Give n_quanta."
            )
        affinity = _affinity(_directions(shuffled), signed)
        root = np.sqrt(affinity.sum(axis=1))
        affinity /= root[:, None] * root
        start = generator.standard_normal(shuffled.shape[0])
        seconds.append(float(eigsh(affinity, 2, v0=start, tol=1e-3, return_eigenvectors=False)[0]))
    return float(np.mean(seconds) + DEVIATIONS * np.std(seconds, ddof=1))


def _k_means(place: FloatArray, number: int, streams: Streams) -> IntArray:
    """The best of several k-means, each with its own start."""
    from scipy.cluster.vq import kmeans2

    if number == 1:
        return np.zeros(place.shape[0], dtype=np.int64)
    scaled = place / np.sqrt(np.mean(place**2))
    best, least = np.zeros(place.shape[0], dtype=np.int64), math.inf
    for i in range(N_STARTS):
        start = streams.generator("analysis", N_SHUFFLES + i)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a cluster that stays empty is dropped
            centre, label = kmeans2(scaled, number, iter=2, minit="++", seed=start)
            for _ in range(MOST_ROUNDS):
                before = label
                centre, label = kmeans2(scaled, centre, iter=2, minit="matrix")
                if np.array_equal(label, before):
                    break
        spread = float(np.sum((scaled - centre[label]) ** 2))
        if spread < least:
            best, least = label.astype(np.int64), spread
    return best


def _by_size(label: IntArray) -> tuple[IntArray, IntArray]:
    """Labels numbered by falling size, and sizes; clusters that stayed empty are dropped."""
    size = np.bincount(label)
    order = np.argsort(-size, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return rank[label].astype(np.int64), np.sort(size)[::-1][: np.sum(size > 0)].astype(np.int64)
