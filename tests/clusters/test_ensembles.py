"""Ensembles: the Yule process, windows, lattices."""

import math
from itertools import pairwise

import numpy as np
import pytest
from shape_cases import normalised
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.clusters.ensembles import sample_clusters, sample_sizes, size_law, yule_process
from percolaw.laws.bethe import BetheLattice
from percolaw.laws.size_law import yule_size_law
from percolaw.tree import Tree


def test_yule_process_grows_the_expected_counts():
    n, m, a = 600, 2000, 1 / 3
    counts = np.zeros((m, 5))
    for seed in range(m):
        sizes = np.bincount(yule_process(n, a, rng=seed))
        counts[seed] = [np.count_nonzero(sizes == s) for s in range(1, 6)]

    def expectation(rate):
        # d E[N_s] = rate [s = 1] + (1 - rate) ((s - 1) N_(s-1) - s N_s) / i at site i.
        mean = np.zeros(7)
        mean[1] = 1.0
        s = np.arange(7)
        for i in range(1, n):
            flow = (1 - rate) * s * mean / i
            mean[1:] += flow[:-1] - flow[1:]
            mean[1] += rate
        return mean[1:6]

    exact, wrong = expectation(a), expectation(0.36)
    for s in range(5):
        mean, error = mean_and_error(counts[:, s])
        assert_close(mean, exact[s], error)
        if s < 3:
            assert_far(mean, wrong[s], error)
    # Per cluster these are the Yule law's values up to O(1/n).
    law = yule_size_law(a).probability(np.arange(1, 6))
    np.testing.assert_allclose(exact / (1 + a * (n - 1)), law, rtol=0.02)


def test_long_yule_process_follows_the_law():
    n, a = 3_000_000, 1 / 3
    sizes = np.bincount(yule_process(n, a, rng=3))
    founders = sizes.size
    assert_close(founders / n, a, math.sqrt(a * (1 - a) / n))
    law = yule_size_law(a)
    for s in (1, 2, 3, 4, 10):
        p = float(law.probability(s))
        # Counts of one process fluctuate as those of independent clusters: variances measured
        # over 1500 processes were 0.90 to 1.07 of p (1 - p) / founders.
        error = math.sqrt(p * (1 - p) / founders)
        assert_close(np.mean(sizes == s), p, error, bias=10 / founders)
        # Control; at two to four sites the laws of a = 0.3 and 1/3 nearly cross.
        if s in (1, 10):
            assert_far(np.mean(sizes == s), float(yule_size_law(0.3).probability(s)), error)


def test_yule_process_has_the_prefix_property():
    whole = yule_process(5000, rng=1)
    for n in (1, 2, 17, 4999):
        np.testing.assert_array_equal(yule_process(n, rng=1), whole[:n])
    assert not np.array_equal(yule_process(5000, rng=2), whole)
    # Clusters are numbered by age.
    first = np.unique(whole, return_index=True)[1]
    assert np.all(np.diff(first) > 0)
    assert whole.max() + 1 == first.size
    assert yule_process(5, 0.0).tolist() == [0] * 5
    assert yule_process(5, 1.0).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("ensemble", ["site", "cluster", "yule"])
def test_sampled_clusters_are_sorted_and_in_the_window(ensemble):
    tree = sample_clusters(ensemble, 3000, min_size=5, max_size=900, rng=2)
    Tree.from_parent(tree.parent, tree.start)
    sizes = tree.sizes
    assert np.all(np.diff(sizes) <= 0)
    assert sizes[-1] >= 5
    assert sizes[0] <= 900
    drawn = sample_sizes(ensemble, 3000, min_size=5, max_size=900, rng=2)
    np.testing.assert_array_equal(np.sort(drawn)[::-1], sizes)
    assert np.any(np.diff(drawn) > 0)
    law = size_law(ensemble)
    edges = np.array([5, 6, 7, 8, 10, 15, 30, 80, 901])
    counts = np.histogram(sizes, edges)[0]

    def binned(of):
        pairs = pairwise(edges)
        return normalised(of.window_probability(int(a), int(b) - 1) for a, b in pairs)

    assert chi_squared_p(counts, binned(law)) > P_FLOOR
    other = size_law("cluster" if ensemble == "site" else "site")
    assert chi_squared_p(counts, binned(other)) < P_FLOOR


def test_sampled_clusters_have_the_lattice_of_the_ensemble():
    three = BetheLattice(3, 0.45)
    tree = sample_clusters("site", 400, three, min_size=50, max_size=10_000, rng=3)
    assert tree.degree().max() == 3
    assert sample_clusters("site", 400, min_size=50, max_size=10_000, rng=3).degree().max() > 3
    yule = sample_clusters("yule", 400, three, min_size=50, max_size=10_000, rng=3)
    assert yule.degree().max() == 3
    sizes = sample_sizes("yule", 400, three, min_size=50, max_size=10_000, rng=3)
    np.testing.assert_array_equal(np.sort(sizes)[::-1], yule.sizes)
