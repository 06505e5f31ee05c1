"""Clusters of a size: shapes against enumeration, distances and degrees against exact laws, order."""

import hashlib
import math
import os
import subprocess
import sys
from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom, poisson
from shape_cases import (
    CAYLEY,
    bethe_shapes,
    cayley_shapes,
    census,
    census_p,
    normalised,
    shape_law,
    shapes,
)
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error
from threadpoolctl import threadpool_limits

from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.ensembles import sample_clusters, sample_sizes, yule_process
from percolaw.errors import ResourceError
from percolaw.laws.bethe import BetheLattice
from percolaw.tree import Tree

# ---- shapes: canonical forms and enumerations, independent of the package


def test_census_of_six_site_cayley_trees():
    law = cayley_shapes(6, 1)
    names = {}
    for code in product(range(6), repeat=4):
        degrees = tuple(sorted((1 + code.count(i) for i in range(6)), reverse=True))
        names[degrees] = names.get(degrees, 0) + 1
    # paths, stars, brooms, double stars, both spiders: by degrees 360, 6, 120, 90, 720.
    assert sorted(names.values()) == [6, 90, 120, 360, 720]
    assert sorted(round(1296 * p) for p in law.values()) == [6, 90, 120, 360, 360, 360]
    counts = census(conditioned_clusters([6] * 40_000, rng=1), 1)
    assert len(counts) == 6
    assert census_p(counts, law) > P_FLOOR
    # Controls: equally likely shapes, and the shapes of z = 3 (which has no star at all).
    assert census_p(counts, dict.fromkeys(law, 1 / 6)) < P_FLOOR
    three = {shape: bethe_shapes(3, 6, 1).get(shape, 0.0) for shape in law}
    assert sum(p == 0.0 for p in three.values()) == 2
    kept = {s: n for s, n in counts.items() if three[s] > 0}
    assert census_p(kept, {s: p for s, p in three.items() if p > 0}) < P_FLOOR


@pytest.mark.parametrize(("z", "size"), [(3, 4), (3, 6), (6, 4), (6, 5), (CAYLEY, 4), (CAYLEY, 6)])
def test_rooted_shapes_equal_the_enumeration(z, size):
    # The rooted census is the law of the free shape and of the root's place in it together.
    tree = conditioned_clusters([size] * 15_000, z, rng=2)
    law = shape_law(z, size, 0)
    assert sum(law.values()) == pytest.approx(1.0)
    counts = census(tree, 0)
    assert census_p(counts, law) > P_FLOOR
    assert census_p(census(tree, 1), shape_law(z, size, 1)) > P_FLOOR
    # Controls: another z (a root with z - 1 places only, as a biased sampler would have it, too).
    other = {3: 6, 6: 3, CAYLEY: 6}[z]
    if other != 3:
        wrong = {s: shape_law(other, size, 0).get(s, 0.0) for s in law}
    else:
        wrong = {s: cayley_shapes(size, 0)[s] for s in law}
    assert chi_squared_p([counts[s] for s in law], normalised(wrong.values())) < P_FLOOR


def test_a_root_that_is_like_any_other_site_would_be_noticed():
    # Control of the census itself: trees of z = 3 whose root has two places for children.
    law = bethe_shapes(3, 4, 0)
    generator = np.random.default_rng(0)
    counts = Counter()
    for _ in range(20_000):
        sites, places = [()], [(0,), (1,)]
        while len(sites) < 4:
            site = places.pop(generator.integers(len(places)))
            sites.append(site)
            places += [(*site, 0), (*site, 1)]
        index = {site: i for i, site in enumerate(sites)}
        counts[shapes(tuple(index[s[:-1]] if s else -1 for s in sites))[0]] += 1
    assert census_p(counts, law) < P_FLOOR


@pytest.mark.parametrize("z", [3, 6, CAYLEY])
def test_the_root_is_a_uniformly_random_site(z):
    n, m = 40, 20_000
    tree = conditioned_clusters([n] * m, z, rng=3)
    degree = tree.degree().reshape(m, n)
    # Root against the other sites of its own cluster: degree, and distance to a random site.
    law = np.bincount(degree[:, 1:].ravel()) / (m * (n - 1))
    difference, error = mean_and_error(degree[:, 0] - degree.mean(axis=1))
    assert_close(difference, 0.0, error)
    assert_close(degree[:, 0].mean(), 2 * (n - 1) / n, error)
    roots = np.bincount(degree[:, 0], minlength=law.size)
    assert chi_squared_p(roots, law) > P_FLOOR
    below = tree.subtree_size().reshape(m, n)
    pair = 2 * (below * (n - below)).sum(axis=1) / n**2
    from_root = tree.depth().reshape(m, n).mean(axis=1)
    difference, error = mean_and_error(from_root - pair)
    assert_close(difference, 0.0, error)
    # Controls: the first child of the root is not a random site, nor is the deepest one.
    first = np.bincount(degree[:, 1], minlength=law.size)
    assert chi_squared_p(first, law) < P_FLOOR
    first, error = mean_and_error(degree[:, 1] - degree.mean(axis=1))
    assert_far(first, 0.0, error)
    eccentric, error = mean_and_error(tree.depth().reshape(m, n).max(axis=1) - pair)
    assert_far(eccentric, 0.0, error)


@pytest.mark.parametrize("z", [3, CAYLEY])
def test_the_order_of_children_carries_no_information(z):
    # Shapes do not see which rotation the cycle lemma is given; the order of subtrees does.
    n, m = 30, 20_000
    tree = conditioned_clusters([n] * m, z, rng=19)
    two = tree.child_count().reshape(m, n)[:, 0] == 2
    first = tree.subtree_size().reshape(m, n)[two, 1]
    mean, error = mean_and_error(first)
    assert_close(mean, (n - 1) / 2, error)
    # Control: the larger subtree first, as a size-biased start would tend to have it.
    mean, error = mean_and_error(np.maximum(first, n - 1 - first))
    assert_far(mean, (n - 1) / 2, error)


def cayley_pair_survival(n):
    """P(d >= k), k = 0.., for two sites of a uniform Cayley tree drawn with replacement."""
    return np.cumprod(1 - np.arange(n + 1) / n)


# ---- distances and degrees


@pytest.mark.parametrize(("n", "exact"), [(3, 8 / 9), (4, 39 / 32), (5, 944 / 625), (6, 575 / 324)])
def test_mean_pair_distance_of_small_cayley_trees(n, exact):
    assert cayley_pair_survival(n)[1:].sum() == pytest.approx(exact)
    m = 40_000
    tree = conditioned_clusters([n] * m, rng=4)
    below = tree.subtree_size().reshape(m, n)
    # An edge with k sites below separates 2 k (n - k) of n^2 pairs.
    pair = 2 * (below * (n - below)).sum(axis=1) / n**2
    if n == 3:
        np.testing.assert_allclose(pair, exact)
        return
    mean, error = mean_and_error(pair)
    assert_close(mean, exact, error)
    wrong = cayley_pair_survival(n)[1:].sum() * 1.02
    assert_far(mean, wrong, error)
    # z = 3 is narrower: no stars, so longer distances.
    below = conditioned_clusters([n] * m, 3, rng=4).subtree_size().reshape(m, n)
    three, error = mean_and_error(2 * (below * (n - below)).sum(axis=1) / n**2)
    assert_far(three, exact, error)


@pytest.mark.parametrize("n", [12, 60, 400])
def test_pair_distances_follow_the_product_formula(n):
    m = 10_000
    tree = conditioned_clusters([n] * m, rng=5)
    generator = np.random.default_rng(0)
    u, v = generator.integers(n, size=(2, m)) + tree.start[:-1]
    counts = np.bincount(tree.distance_between(u, v).astype(int), minlength=n)
    assert counts.sum() == m
    law = -np.diff(cayley_pair_survival(n), append=0.0)[:n]
    assert chi_squared_p(counts, law) > P_FLOOR
    wrong = -np.diff(cayley_pair_survival(int(1.2 * n)), append=0.0)
    merged = np.append(wrong[: n - 1], wrong[n - 1 :].sum())
    assert chi_squared_p(counts, merged) < P_FLOOR


def test_degree_of_a_cayley_site_is_one_plus_poisson():
    n, m = 300, 20_000
    tree = conditioned_clusters([n] * m, rng=6)
    site = np.random.default_rng(1).integers(n, size=m) + tree.start[:-1]
    counts = np.bincount(tree.degree()[site], minlength=20)
    # At finite n Binomial(n - 2, 1/n), which differs from Poisson(1) by O(1/n).
    exact = np.append(0.0, binom.pmf(np.arange(19), n - 2, 1 / n))
    limit = np.append(0.0, poisson.pmf(np.arange(19), 1.0))
    assert np.abs(exact - limit).max() < 2 / n
    assert chi_squared_p(counts, exact) > P_FLOOR
    assert chi_squared_p(counts, np.append(0.0, poisson.pmf(np.arange(19), 1.1))) < P_FLOOR
    assert chi_squared_p(counts[1:], poisson.pmf(np.arange(19), 1.0)) > P_FLOOR
    assert chi_squared_p(counts[1:], binom.pmf(np.arange(19), 5, 1 / 5)) < P_FLOOR


@pytest.mark.parametrize(("z", "rounded"), [(3, 0.25), (6, 0.328), (200, 0.367), (CAYLEY, 0.368)])
def test_childless_fraction_of_large_clusters(z, rounded):
    n = 1_000_000
    counts = conditioned_clusters(n, z, rng=7).child_count()
    exact = math.exp(-1) if z == CAYLEY else (1 - 1 / (z - 1)) ** (z - 1)
    assert exact == pytest.approx(rounded, abs=5e-4)
    childless = np.mean(counts == 0)
    # The fixed total only narrows the binomial error; the fraction is off by O(1/n).
    error = math.sqrt(exact * (1 - exact) / n)
    assert_close(childless, exact, error, bias=4 / n)
    assert_far(childless, 0.5, error)
    assert_far(childless, {3: 0.328, 6: 0.25, 200: 0.3642, CAYLEY: 0.328}[z], error)
    # Numbers of children at large: Binomial(z - 1, p_c).
    k = np.arange(30)
    law = poisson.pmf(k, 1) if z == CAYLEY else binom.pmf(k, z - 1, 1 / (z - 1))
    for children in (1, 2, 3):
        rate = law[children]
        allowed = math.sqrt(max(rate, 1e-6) * (1 - rate) / n)
        assert_close(np.mean(counts == children), rate, allowed, bias=4 / n)


@pytest.mark.parametrize("z", [3, 4, 6])
def test_numbers_of_children_reach_their_maximum_and_not_more(z):
    m = 3000
    tree = conditioned_clusters([40] * m, z, rng=8)
    children = tree.child_count().reshape(m, 40)
    assert children[:, 1:].max() == z - 1
    if z < 6:
        assert children[:, 0].max() == z
    assert tree.degree().max() == z
    # Control: without places to run out of, more children occur.
    free = conditioned_clusters([40] * m, rng=8).child_count()
    assert free.max() > z


@pytest.mark.parametrize(("z", "wrong"), [(3, 6), (6, 3), (CAYLEY, 3)])
def test_mean_pair_distance_of_large_clusters(z, wrong):
    n, m = 4000, 500
    below = conditioned_clusters([n] * m, z, rng=9).subtree_size().reshape(m, n).astype(float)
    mean, error = mean_and_error(2 * (below * (n - below)).sum(axis=1) / n**2)

    def asymptotic(coordination_number):
        variance = BetheLattice(coordination_number).offspring_variance
        return math.sqrt(math.pi * n / (2 * variance))

    # The next term is a constant, -4/3 for Cayley trees.
    if z == CAYLEY:
        assert_close(mean, asymptotic(z) - 4 / 3, error)
    assert_close(mean, asymptotic(z), error, bias=2.0)
    assert_far(mean, asymptotic(wrong), error)


# ---- independence and order


def test_a_cluster_does_not_depend_on_the_other_sizes():
    one = conditioned_clusters([50, 700, 31], 6, rng=10)
    two = conditioned_clusters([1, 700, 5, 2000], 6, rng=10)
    np.testing.assert_array_equal(one.cluster(1).parent, two.cluster(1).parent)
    np.testing.assert_array_equal(one.cluster(0).parent, conditioned_clusters(50, 6, rng=10).parent)
    # Controls: the place in the list and the seed matter.
    same = conditioned_clusters([700, 700], 6, rng=10)
    assert not np.array_equal(same.cluster(0).parent, same.cluster(1).parent)
    other = conditioned_clusters([50, 700], 6, rng=11)
    assert not np.array_equal(other.cluster(1).parent, one.cluster(1).parent)


def test_neighbouring_clusters_are_independent():
    tree = conditioned_clusters([4] * 40_000, rng=12)
    star = tree.degree().reshape(-1, 4).max(axis=1) == 3
    # n = 4: a star with probability 4/16.
    joint = np.bincount(2 * star[::2] + star[1::2], minlength=4)
    law = np.outer([0.75, 0.25], [0.75, 0.25]).ravel()
    assert chi_squared_p(joint, law) > P_FLOOR
    assert chi_squared_p(np.bincount(3 * star[::2], minlength=4), law) < P_FLOOR


def test_trees_are_valid_and_small_sizes_are_exact():
    tree = conditioned_clusters([1, 2, 3, 1, 50], 3, rng=13)
    checked = Tree.from_parent(tree.parent, tree.start)
    assert checked.sizes.tolist() == [1, 2, 3, 1, 50]
    assert tree.parent.dtype == np.int32
    assert tree.cluster(1).parent.tolist() == [-1, 0]
    assert conditioned_clusters(np.array([3.0, 2.0])).sizes.tolist() == [3, 2]


# ---- wrong input


def test_wrong_input_messages():
    with pytest.raises(ValueError, match="coordination_number must be an integer >= 3"):
        conditioned_clusters(5, 2)
    with pytest.raises(ValueError, match="sizes must be at least 1; got 0"):
        conditioned_clusters([3, 0])
    with pytest.raises(ValueError, match="sizes must be a number or a non-empty list"):
        conditioned_clusters([])
    with pytest.raises(ValueError, match=r"non-empty list; got shape \(1, 2\)"):
        conditioned_clusters([[1, 2]])
    for bad in ([2.5], [math.nan], [True], ["a"]):
        with pytest.raises(TypeError, match=r"sizes must be (integers|numeric); got"):
            conditioned_clusters(bad)
    with pytest.raises(ResourceError, match=r"a tree of 100000000000000 sites needs .* available"):
        conditioned_clusters(10**14)
    with pytest.raises(TypeError, match="rng must be an integer seed"):
        conditioned_clusters(5, rng="0")
    with pytest.raises(ValueError, match=r"unknown ensemble 'Site'.*There are site, cluster"):
        sample_sizes("Site", 5)
    with pytest.raises(ValueError, match=r"n_clusters must be in \[1, inf\]; got -1"):
        sample_sizes("site", -1)
    with pytest.raises(ValueError, match=r"max_size must be in \[9, inf\]; got 3"):
        sample_clusters("site", 5, min_size=9, max_size=3)
    with pytest.raises(ValueError, match=r"n_sites must be in \[1, 2147483647\]; got 0"):
        yule_process(0)
    with pytest.raises(ValueError, match=r"new_cluster_probability must lie in \[0, 1\]; got 1.2"):
        yule_process(5, 1.2)


def test_a_sum_of_sizes_beyond_int64_is_refused_as_too_large():
    with pytest.raises(ResourceError):
        conditioned_clusters([2**62] * 3)


SCRIPT = """
import hashlib, sys, warnings
import numpy as np
warnings.simplefilter("ignore", RuntimeWarning)  # uint64 wraps around; NumPy scalars say so
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.ensembles import sample_clusters, yule_process
from percolaw.clusters.growth import grow_clusters
from percolaw.kernels.tree import bernoulli_sites
from percolaw.laws.bethe import BetheLattice
from percolaw.rng import Streams, normal_rows

seed = int(sys.argv[1])
digest = hashlib.sha256()
def add(array):
    digest.update(np.ascontiguousarray(array).tobytes())

for z in (3, 200, float("inf")):
    tree = conditioned_clusters([40, 1, 2, 25], z, rng=seed)
    observed = np.array([3, 9, 41, 60])
    for array in (tree.parent, tree.depth(), tree.subtree_size(), tree.degree(),
                  *tree.nearest(observed, rng=seed), tree.distance_between(observed, observed[::-1]),
                  tree.accumulate(np.arange(68.0))):
        add(array)
    for collapse in (False, True):
        span = tree.span(observed, collapse=collapse)
        for array in (span.tree.parent, span.tree.edge, span.site, span.index, span.cluster):
            add(array)
    growth = grow_clusters(BetheLattice(z), 5, 3, 60, rng=seed)
    add(growth.tree.parent)
    add([growth.n_attempts, growth.n_too_small, growth.n_too_large])
add(sample_clusters("site", 10, max_size=80, rng=seed).parent)
add(yule_process(100, rng=seed))
add(bernoulli_sites(np.array([0, 50, 90]), np.array([0.2, 0.7]), Streams(seed).key("split")))
normals = np.empty((50, 3))
normal_rows(Streams(seed), "embedding", normals)
add(normals)
print(digest.hexdigest())
"""


# ---- the same numbers with any number of threads, and without compilation


def test_numbers_do_not_depend_on_threads_or_compilation(monkeypatch, capsys):
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, "0"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )
    assert run.returncode == 0, run.stderr

    def here(seed, n_threads):
        monkeypatch.setattr(sys, "argv", ["script", str(seed)])
        with threadpool_limits(n_threads):
            exec(SCRIPT, {})
        return capsys.readouterr().out.strip()

    one = here(0, 1)
    assert len(one) == hashlib.sha256().digest_size * 2
    assert run.stdout.strip() == one
    assert here(0, os.cpu_count()) == one
    # Control: another seed gives another hash.
    assert here(1, 1) != one
