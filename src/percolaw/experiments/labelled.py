"""The 2024 paper's toy data and how learners are tested on it; shared by its experiments."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments import fields
from percolaw.experiments.fields import Bytes, Range
from percolaw.laws import single_cluster
from percolaw.rng import Streams
from percolaw.scaling import fit

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
#: Which sites of a cluster are tested: every one, so that an observed site counts with error 0, or
#: only those that are not observed (the 2024 paper's program).
TestSites: TypeAlias = Literal["all", "unobserved"]
TEST_SITES = get_args(TestSites)

#: Learners by the names used in rows, tables and figures.
LEARNERS = ("nearest", "adjusted", "posterior")

#: No experiment of the paper observes more than this share of a cluster.
RATE_CAP = 0.95


@dataclass(frozen=True)
class Clusters:
    """Critical Bethe-lattice clusters drawn by site, largest first."""

    coordination_number: int = 200
    """z; 200 models d = 100 dimensions."""
    n_clusters: Annotated[int, Range(1), Bytes(20.0)] = 316
    """Clusters kept; int((max_size / min_size)^(1/2)) in the paper."""
    min_size: Annotated[int, Range(1)] = 300
    """Smallest cluster kept."""
    max_size: Annotated[int, Range(1, 10**9)] = 30_000_000
    """Largest cluster kept."""

    def __post_init__(self) -> None:
        fields.check(self)
        checks.coordination_number(self.coordination_number)
        checks.integer("max_size", self.max_size, minimum=self.min_size, maximum=10**9)


@dataclass(frozen=True, eq=False)
class LabelledClusters:
    """Clusters of one seed with standardised tree walks on them."""

    tree: Any
    value: FloatArray
    variance: FloatArray
    streams: Streams

    @property
    def share(self) -> FloatArray:
        """Share of all sites that each cluster holds."""
        return np.asarray(self.tree.sizes / self.tree.n_sites)


@lru_cache(maxsize=1)
def prepare(clusters: Clusters, seed: int) -> LabelledClusters:
    """Draw the clusters and targets of a seed; about 20 bytes a site while they are kept.

    Parameters
    ----------
    clusters : Clusters
    seed : int

    Returns
    -------
    LabelledClusters
    """
    from percolaw.clusters.ensembles import sample_clusters
    from percolaw.laws.bethe import BetheLattice
    from percolaw.targets.tree_walk import TreeWalk

    streams = Streams(seed)
    tree = sample_clusters(
        "site",
        clusters.n_clusters,
        BetheLattice(clusters.coordination_number),
        clusters.min_size,
        clusters.max_size,
        streams,
    )
    target = TreeWalk().sample(tree, streams)
    return LabelledClusters(tree, target.value, target.variance, streams)


def cluster_losses(
    data: LabelledClusters,
    rate: FloatArray,
    n_test: IntArray,
    item: int,
    learners: tuple[str, ...] = LEARNERS,
    test_sites: TestSites = "all",
) -> FloatArray:
    """Return the mean squared error of each learner on each cluster.

    Parameters
    ----------
    data : LabelledClusters
    rate : array, shape (n_clusters,)
        Probability that a site is observed; streams ``split`` and ``evaluation`` keyed by `item`.
    n_test : array of int, shape (n_clusters,)
        Number of test sites of each cluster.
    item : int
    learners : tuple of str
    test_sites : {"all", "unobserved"}
        "all": test sites are uniform with replacement and independent of the observed ones; an
        observed site is met with its natural frequency and costs nothing. "unobserved": n_test
        distinct sites are set apart and the others observed, with probability rate S/(S - n_test),
        so that rate S are observed on average, as in the 2024 paper's program. Losses are 1/(1 - rate)
        times those of "all" on average.

    Returns
    -------
    array, shape (n_learners, n_clusters)
        Exactly 1 where the rate is 0 (the prediction is 0, the target standardised).

    Raises
    ------
    ValueError
        With "unobserved", if n_test and rate leave no room for each other.
    """
    from percolaw.learners.observations import TreeEstimator, observe
    from percolaw.learners.tree_nearest import TreeNearest
    from percolaw.learners.tree_posterior import TreePosterior

    tree, streams = data.tree, data.streams
    out = np.ones((len(learners), tree.n_clusters))
    active = np.flatnonzero(rate > 0.0)
    if active.size == 0:
        return out
    count = n_test[active]
    checks.choice("test_sites", test_sites, TEST_SITES)
    draw = _everywhere if test_sites == "all" else _held_out
    train, test = draw(data, rate, active, count, item)
    part = observe(tree, train, data.value[train], test)
    estimators: dict[str, TreeEstimator] = {
        "nearest": TreeNearest(rng=streams),
        "adjusted": TreeNearest(adjusted=True, rng=streams),
        "posterior": TreePosterior(),
    }
    bounds = np.concatenate([[0], np.cumsum(count)[:-1]])
    for row, name in enumerate(learners):
        square = (estimators[name].estimate(part) - data.value[test]) ** 2
        out[row, active] = np.add.reduceat(square, bounds) / count
    return out


def _everywhere(
    data: LabelledClusters, rate: FloatArray, active: IntArray, count: IntArray, item: int
) -> tuple[IntArray, IntArray]:
    """Observed sites, and test sites uniform over all sites of the active clusters."""
    from percolaw.kernels.tree import bernoulli_sites

    tree = data.tree
    train = bernoulli_sites(tree.start, rate, data.streams.key("split", item))
    owner = np.repeat(active, count)
    u = data.streams.generator("evaluation", item).random(owner.size)
    return train, tree.start[owner] + (u * tree.sizes[owner]).astype(np.int64)


def _held_out(
    data: LabelledClusters, rate: FloatArray, active: IntArray, count: IntArray, item: int
) -> tuple[IntArray, IntArray]:
    """Observed sites, and distinct test sites of the active clusters, none of which is observed."""
    from percolaw.kernels.tree import bernoulli_sites

    tree = data.tree
    start, size = tree.start[active], tree.sizes[active]
    full = rate[active] * size > size - count
    if full.any():
        k = int(np.flatnonzero(full)[0])
        raise ValueError(
            f"a cluster of {size[k]} sites cannot have {count[k]} test sites beside "
            f"{rate[active][k] * size[k]:.1f} observed ones; test fewer sites, observe fewer, or keep "
            "larger clusters (min_size)."
        )
    generator = data.streams.generator("evaluation", item, 1)
    chosen = [
        first + generator.choice(n, m, replace=False)
        for first, n, m in zip(start, size, count, strict=True)
    ]
    test = np.concatenate(chosen)
    others = np.zeros(tree.n_clusters)
    others[active] = rate[active] * size / (size - count)
    train = bernoulli_sites(tree.start, others, data.streams.key("split", item, 1))
    return np.setdiff1d(train, test, assume_unique=True), test


def test_counts(data: LabelledClusters) -> IntArray:
    """Return 0.1% of each cluster's sites, at least 40 and at most 2000: no cluster is untested."""
    return np.clip(np.ceil(0.001 * data.tree.sizes), 40, 2000).astype(np.int64)


test_counts.__test__ = False  # type: ignore[attr-defined]


def ensemble_loss(
    data: LabelledClusters, rate: FloatArray, item: int, learners: tuple[str, ...] = LEARNERS
) -> FloatArray:
    """Return each learner's expected loss over all sites, stratified: exact share times loss.

    Observed sites count, with error 0; the 2024 paper's program tests unobserved sites only.

    Parameters
    ----------
    data : LabelledClusters
    rate : array, shape (n_clusters,)
        Probability that a site is observed.
    item : int
        Of the streams.
    learners : tuple of str

    Returns
    -------
    array of float64, shape (n_learners,)
    """
    losses = cluster_losses(data, np.minimum(rate, RATE_CAP), test_counts(data), item, learners)
    return np.asarray(losses @ data.share)


def _single_cluster_grid(data: LabelledClusters, n_sizes: int) -> FloatArray:
    """Mean numbers of observed sites, (n_sizes, n_clusters): 1 .. min(1e4, S/10)."""
    top = np.minimum(1e4, data.tree.sizes / 10.0)
    return np.asarray(top ** np.linspace(0.0, 1.0, n_sizes)[:, None])


def single_cluster_curves(
    data: LabelledClusters,
    n_sizes: int = 50,
    n_test: int = 40,
    learners: tuple[str, ...] = LEARNERS,
    test_sites: TestSites = "all",
) -> tuple[FloatArray, FloatArray]:
    """Return the grid and each learner's loss, shapes (n_sizes, K) and (n_learners, n_sizes, K).

    `test_sites` as in `cluster_losses`.

    Parameters
    ----------
    data : LabelledClusters
    n_sizes : int
    n_test : int
        Test sites of each cluster at each size.
    learners : tuple of str
    test_sites : {"all", "unobserved"}
        As in `cluster_losses`.

    Returns
    -------
    grid : array of float64, shape (n_sizes, n_clusters)
    loss : array of float64, shape (n_learners, n_sizes, n_clusters)
    """
    grid = _single_cluster_grid(data, n_sizes)
    count = np.full(data.tree.n_clusters, n_test)
    losses = [
        cluster_losses(data, n / data.tree.sizes, count, item, learners, test_sites)
        for item, n in enumerate(grid)
    ]
    return grid, np.stack(losses, axis=1)


@lru_cache(maxsize=1)
def scale_factors(clusters: Clusters, seed: int, test_sites: TestSites = "all") -> FloatArray:
    """Return f_k of every cluster: max(n/f_k, 1)^(-1/2) fitted to the adjusted learner's curve.

    Parameters
    ----------
    clusters : Clusters
    seed : int
    test_sites : {"all", "unobserved"}
        On which sites the curve is tested, see `cluster_losses`. "unobserved" is the 2024 paper's
        definition, against which its published factors are to be held; their mean is 8 to 10% larger.
        "all" describes the expected loss over a cluster, of which the observed sites are part: the
        factor that capacities and `finite_ensemble_loss` need where losses are those of
        `ensemble_loss`.

    Returns
    -------
    array, shape (n_clusters,)
    """
    grid, losses = single_cluster_curves(
        prepare(clusters, seed), learners=("adjusted",), test_sites=test_sites
    )
    return fit_factors(grid, losses[0])


def fit_factors(grid: FloatArray, loss: FloatArray) -> FloatArray:
    """Return the scale factor of each cluster's curve, columns of shape (n_sizes, n_clusters).

    Parameters
    ----------
    grid, loss : array, shape (n_sizes, n_clusters)

    Returns
    -------
    array of float64, shape (n_clusters,)
    """
    return np.array([fit.fit_scale_factor(n, y) for n, y in zip(grid.T, loss.T, strict=True)])


def finite_ensemble_loss(
    rate: FloatArray, sizes: npt.NDArray[np.int64], factor: FloatArray
) -> FloatArray:
    """Return sum_k (S_k / S) max(rate_k S_k / f_k, 1)^(-1/2): theory on the clusters drawn.

    Parameters
    ----------
    rate : array, shape (..., n_clusters)
        Probability that a site is observed.
    sizes : array of int64, shape (n_clusters,)
    factor : array, shape (n_clusters,)
        Scale factor of each cluster's curve.

    Returns
    -------
    array of float64, shape (...)
    """
    loss = single_cluster.single_cluster_loss(np.minimum(rate, RATE_CAP) * sizes, 0.5, factor)
    return np.asarray(loss @ (sizes / sizes.sum()))
