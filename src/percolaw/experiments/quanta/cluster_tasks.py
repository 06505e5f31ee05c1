"""Clusters as tasks: learning curves of each by itself, their sum, and what laws say of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.ensembles import sample_sizes
from percolaw.embedding.skeleton import embed_sites
from percolaw.laws.scaling_laws import zipf_weights
from percolaw.laws.single_cluster import single_cluster_loss
from percolaw.learners.kernel import nested_curve
from percolaw.numerics.covariance import Matern
from percolaw.rng import Streams

FloatArray = npt.NDArray[np.float64]

#: The ensemble of clusters of random sites.
BY_SITE = "clusters of random sites"
#: Fractal dimension of a critical cluster of the Bethe lattice.
DIMENSION = 4.0
#: Bits and order of the parity that is a step.
BITS, ORDER = 100, 3
#: Samples of a cluster up to which its curve is known at least.
LEAST_SAMPLES = 128


@dataclass(frozen=True)
class Target:
    """What is learned on one cluster.

    Parameters
    ----------
    name : str
    smoothness : float
        nu of a Matérn field, learned by its own kernel; 0 for what takes no field.
    """

    name: str
    smoothness: float = 0.0

    @property
    def cluster_exponent(self) -> float:
        """c/D; infinite for steps."""
        return 2.0 * self.smoothness / DIMENSION if self.smoothness else math.inf

    def curve(self, points: FloatArray, n_test: int) -> FloatArray:
        """Return the expected loss after 0, 1, 2, ... samples of a cluster, in units of the variance.

        Parameters
        ----------
        points : array, shape (n, dim)
            Places of distinct sites in the order they are drawn. The last `n_test` are tested: apart from
            those that are learned from if there are twice as many, else they are among them.
        n_test : int

        Returns
        -------
        array of float64, shape (n_samples + 1,)
        """
        n_train = points.shape[0] - n_test if points.shape[0] >= 2 * n_test else points.shape[0]
        if self.name == ONE_VALUE.name:
            return np.r_[1.0, np.zeros(n_train)]
        if not self.smoothness:
            from percolaw.laws.sparse_parity import unknown_parity

            n_samples = np.arange(max(n_train, LEAST_SAMPLES) + 1)
            return unknown_parity(n_samples, math.comb(BITS, ORDER))
        variance = nested_curve(
            Matern(self.smoothness),
            points[:n_train],
            np.zeros(n_train),
            points[-min(n_test, points.shape[0]) :],
            np.arange(1, n_train + 1),
        ).variance
        return np.r_[1.0, variance]


#: A value for the whole cluster, which one sample tells.
ONE_VALUE = Target("one value")
#: A parity of hidden bits.
PARITY = Target("parity")
STEPS = (ONE_VALUE, PARITY)


def cluster_sizes(
    n_clusters: int, n_sites: int, rank_exponent: float | None, streams: Streams
) -> npt.NDArray[np.int64]:
    """Return sizes of clusters, largest first: planted by rank, or of random sites for None.

    Parameters
    ----------
    n_clusters, n_sites : int
        `n_sites` is the sum of planted sizes, and the largest size of a random one.
    rank_exponent : float or None
    streams : Streams

    Returns
    -------
    array of int64
    """
    if rank_exponent is None:
        return np.sort(sample_sizes("site", n_clusters, max_size=n_sites, rng=streams))[::-1].copy()
    share = zipf_weights(rank_exponent, n_clusters)
    return np.maximum(1, np.round(n_sites * share)).astype(np.int64)


def embedded(
    sizes: npt.NDArray[np.int64], samples: FloatArray, dim: int, n_test: int, streams: Streams
) -> list[FloatArray]:
    """Embed distinct random sites of every cluster, as many as are drawn and tested, at unit spread.

    Parameters
    ----------
    sizes : array of int64
        Of the clusters.
    samples : array of float64
        Mean number of samples of each at most.
    dim, n_test : int
    streams : Streams

    Returns
    -------
    list of array of float64, shape (n, dim)
    """
    out = []
    for k, (size, mean) in enumerate(zip(sizes.tolist(), samples.tolist(), strict=True)):
        mine = streams.child(k)
        wanted = n_test + max(LEAST_SAMPLES, math.ceil(mean + 6.0 * math.sqrt(mean) + 6.0))
        tree = conditioned_clusters(size, 200, mine)
        sites = mine.generator("evaluation").permutation(size)[: min(wanted, size)]
        x = embed_sites(tree, sites, dim, mine)[0].astype(np.float64)
        x -= x.mean(axis=0)
        spread = math.sqrt(float(np.mean(x**2)))
        out.append(x / spread if spread else x)
    return out


def laws(
    curves: list[FloatArray], weight: FloatArray, samples: FloatArray, cluster_exponent: float
) -> dict[str, FloatArray]:
    """Return the loss of all clusters, and what is said of it from one of them.

    Cluster k of weight p_k has Poisson(D p_k) samples. ``loss`` adds the curves of all; ``common`` uses
    that of the largest for all; ``quanta`` a step at the number of samples T that halves it, the exact
    sum of p_k P(Poisson(D p_k) < T); ``power`` max(n/f, 1)^-(c/D) with f such that T halves it, too.

    Parameters
    ----------
    curves : list of array
        Losses after 0, 1, 2, ... samples, largest cluster first.
    weight : array, shape (n_clusters,)
    samples : array, shape (n_sizes,)
        D.
    cluster_exponent : float
        c/D.

    Returns
    -------
    dict of array of float64, shape (n_sizes,)
    """
    threshold = half(curves[0])
    step = np.where(np.arange(curves[0].size) < threshold, 1.0, 0.0)
    out = {"loss": np.zeros(samples.size), "common": np.zeros(samples.size)}
    out |= {"quanta": np.zeros(samples.size)}
    f = threshold * 2.0 ** (-1.0 / cluster_exponent)
    clipped = step
    if math.isfinite(cluster_exponent):
        clipped = single_cluster_loss(np.arange(curves[0].size), cluster_exponent, f)
    out["power"] = np.zeros(samples.size)
    for p, curve in zip(weight, curves, strict=True):
        kept = {"loss": curve, "common": curves[0], "quanta": step, "power": clipped}
        for key, law in kept.items():
            out[key] += p * poisson_mean(law, samples * p)
    return out


def poisson_mean(curve: FloatArray, mean: FloatArray) -> FloatArray:
    """Return the mean of a curve at a Poisson number of samples; beyond its end it keeps its last value.

    Parameters
    ----------
    curve : array, shape (n + 1,)
        At 0, 1, ..., n.
    mean : array, shape (m,)

    Returns
    -------
    array of float64, shape (m,)
    """
    from scipy import special

    out = np.empty(mean.size)
    for i, value in enumerate(mean):
        top = min(curve.size, math.ceil(value + 10.0 * math.sqrt(value) + 20.0))
        n = np.arange(top)
        chance = np.exp(special.xlogy(n, value) - value - special.gammaln(n + 1.0))
        out[i] = chance @ curve[:top] + max(0.0, 1.0 - chance.sum()) * curve[top - 1]
    return out


def half(curve: FloatArray) -> int:
    """Return the least number of samples that halves the loss; the last one if none does."""
    return _first_below(curve, 0.5)


def fall(curve: FloatArray) -> float:
    """Return by what factor samples grow while the loss falls from 0.9 to 0.1; infinite if never."""
    if curve.min() > 0.1:
        return math.inf
    return _first_below(curve, 0.1) / _first_below(curve, 0.9)


def _first_below(curve: FloatArray, level: float) -> int:
    below = np.flatnonzero(curve <= level)
    return int(below[0]) if below.size else curve.size - 1
