"""Trees of 10^7 and 10^8 sites: drawing, nearest observed site, exact posterior.

python benchmarks/bench_tree.py [--large]
"""

import sys

import numpy as np
from _timing import cpu_seconds, header, peak_gib, report

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.kernels.tree import bernoulli_sites
from percolaw.laws.single_cluster import mean_nearest_distance_at_rate
from percolaw.learners.observations import observe
from percolaw.learners.tree_posterior import TreePosterior


def main() -> None:
    header()
    conditioned_clusters(1000, 200).nearest([1])  # compile
    n = 10**7
    reference, _ = cpu_seconds(lambda: np.full(n, 1.0).cumsum())
    unit = "numpy cumsum of 10^7"
    seconds, tree = cpu_seconds(lambda: conditioned_clusters(n, 200, rng=1))
    assert tree.sizes.tolist() == [n]
    assert np.all(tree.parent[1:] < np.arange(1, n))
    assert tree.parent[1:].min() >= 0
    report("conditioned tree, 10^7 sites, z = 200", seconds, 1.5, reference, unit)

    rate = 1e-3
    observed = bernoulli_sites(tree.start, np.array([rate]), np.uint64(7))
    seconds, (distance, nearest) = cpu_seconds(lambda: tree.nearest(observed))
    assert np.all(distance[observed] == 0)
    assert np.all(nearest[observed] == observed)
    some = np.random.default_rng(0).integers(0, n, 200)
    assert np.array_equal(tree.distance_between(some, nearest[some]), distance[some])
    predicted = float(mean_nearest_distance_at_rate(rate, 200))
    assert abs(distance.mean() / predicted - 1) < 0.05, (distance.mean(), predicted)
    report("nearest observed site of all, rate 10^-3", seconds, 0.4, reference, unit)

    value = np.random.default_rng(1).standard_normal(observed.size)
    observations = observe(tree, observed, value)
    TreePosterior().mean_and_variance(observations)  # compile
    seconds, (mean, _) = cpu_seconds(lambda: TreePosterior().mean_and_variance(observations))
    assert np.array_equal(mean[observed], value)
    # Between observed sites the posterior is harmonic: at each it is the mean of the neighbours.
    step = mean[1:] - mean[tree.parent[1:]]
    uphill = np.bincount(tree.parent[1:], step, n)
    uphill[1:] -= step
    uphill[observed] = 0.0
    assert np.abs(uphill).max() < 1e-6 < np.abs(step).max()
    report("exact posterior at all sites", seconds, 1.0, reference, unit)
    del distance, nearest, tree

    if "--large" in sys.argv:
        n = 10**8
        seconds, tree = cpu_seconds(lambda: conditioned_clusters(n, 200, rng=2), repeats=1)
        assert tree.n_sites == n
        assert tree.parent.dtype == np.int32
        report("conditioned tree, 10^8 sites", seconds, 25.0, reference, unit)
        print(f"{'peak memory':<46} {peak_gib():8.2f} GiB (bar 4 GiB)")
        assert peak_gib() < 4.0


if __name__ == "__main__":
    main()
