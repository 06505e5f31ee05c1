"""Large finite clusters by the birthday process: enumeration, runs, the infinite limit."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from line_cases import distances, keys, many, three_distances
from scipy.stats import gamma, ks_2samp, kstest, rayleigh
from statistical import P_FLOOR, assert_close, chi_squared_p, mean_and_error

from percolaw.clusters.brownian import LARGEST_SIZE
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.kernels import continuum as kernel
from percolaw.rng import Streams

# ---- the birthday process against enumeration


def prufer_trees(n):
    """All n^(n-2) labelled trees as distance matrices."""
    for code in itertools.product(range(n), repeat=n - 2):
        degree = [1 + code.count(i) for i in range(n)]
        edges = []
        for site in code:
            leaf = degree.index(1)
            edges.append((leaf, site))
            degree[leaf] -= 1
            degree[site] -= 1
        edges.append(tuple(i for i in range(n) if degree[i] == 1))
        d = np.full((n, n), n)
        d[range(n), range(n)] = 0
        for a, b in edges:
            d[a, b] = d[b, a] = 1
        for k in range(n):
            d = np.minimum(d, d[:, k : k + 1] + d[k : k + 1])
        yield d


def enumerated(n, n_points):
    """Law of all pair distances of iid uniform points of a uniform labelled tree."""
    law = Counter()
    pairs = list(itertools.combinations(range(n_points), 2))
    for d in prufer_trees(n):
        for sites in itertools.product(range(n), repeat=n_points):
            law[tuple(int(d[sites[i], sites[j]]) for i, j in pairs)] += 1
    total = n ** (n - 2) * n**n_points
    assert sum(law.values()) == total
    return {key: count / total for key, count in law.items()}


SPANNED = {
    4: (1 / 16, 9 / 32, 27 / 64, 15 / 64),
    5: (1 / 25, 24 / 125, 216 / 625, 192 / 625, 72 / 625),
}


def joint_p(law, sample):
    counts = Counter(sample)
    assert set(counts) <= set(law), "a value that no tree has"
    values = sorted(law)
    return chi_squared_p([counts[v] for v in values], [law[v] for v in values])


@pytest.mark.parametrize("n", [4, 5])
def test_birthday_process_is_the_uniform_tree(n):
    ends, glue = many(15_000, 3, n, item=n)
    law = enumerated(n, 3)
    sample = np.stack(three_distances(ends, glue), axis=1).astype(int)
    assert joint_p(law, map(tuple, sample.tolist())) > P_FLOOR
    # Edges spanned by three sites: half the sum of the three distances.
    edges = Counter()
    for key, chance in law.items():
        edges[sum(key) // 2] += chance
    assert [edges[e] for e in range(n)] == pytest.approx(SPANNED[n], rel=1e-12)
    counts = np.bincount(ends[:, 2].astype(int), minlength=n)
    assert chi_squared_p(counts, SPANNED[n]) > P_FLOOR
    # Controls: the law of the other n, and new branches never glued to the newest site.
    other = many(15_000, 3, n + 1, item=n)[0]
    assert chi_squared_p(np.bincount(other[:, 2].astype(int))[:n], SPANNED[n]) < P_FLOOR
    biased = np.minimum(glue, np.maximum(ends[:, [0, 0, 1]] - 1, 0))
    wrong = np.stack(three_distances(ends, biased), axis=1).astype(int).tolist()
    wrong = [tuple(row) for row in wrong if tuple(row) in law]
    assert joint_p(law, wrong) < P_FLOOR


def test_birthday_process_of_four_points():
    law = enumerated(4, 4)
    pairs = list(itertools.combinations(range(4), 2))
    ends, glue = many(12_000, 4, 4, item=9)
    sample = []
    for e, g in zip(ends.tolist(), glue.tolist(), strict=True):
        d = distances(e, g)
        sample.append(tuple(int(d[i, j]) for i, j in pairs))
    assert joint_p(law, sample) > P_FLOOR
    # Control: the order of points matters to a sampler that is not exchangeable.
    swapped = [tuple(key[i] for i in (5, 4, 2, 3, 1, 0)) for key in sample]  # i -> 3 - i
    assert joint_p(law, swapped) > P_FLOOR
    last = [a if a[0] <= a[5] else b for a, b in zip(sample, swapped, strict=True)]
    assert joint_p(law, last) < P_FLOOR


@pytest.mark.parametrize("n", [60, 99, 300])
def test_birthday_process_against_whole_clusters(n):
    repeats = 6000
    tree = conditioned_clusters([n] * repeats, math.inf, 7)
    low = tree.start[:-1]
    sites = low[:, None] + Streams(3).generator("split").integers(0, n, (repeats, 3))
    one, two, three = (
        tree.distance_between(sites[:, i], sites[:, j]) for i, j in ((0, 1), (0, 2), (1, 2))
    )
    ends, glue = many(repeats, 3, n, item=n)
    ours = three_distances(ends, glue)
    for a, b in zip(ours, (one, two, three), strict=True):
        assert ks_2samp(a, b).pvalue > P_FLOOR
        _assert_same_mean(a, b)
    _assert_same_mean(ends[:, 2], (one + two + three) / 2)
    assert ks_2samp(ends[:, 2], (one + two + three) / 2).pvalue > P_FLOOR
    # Control: clusters a quarter larger.
    assert ks_2samp(many(repeats, 3, round(1.25 * n), item=1)[0][:, 2], ends[:, 2]).pvalue < P_FLOOR
    # The first distance has the exact law of the first repeat.
    lengths = np.arange(n)
    survival = np.concatenate([[1.0], np.cumprod(1 - (1 + lengths) / n)])
    mean, error = mean_and_error(ends[:, 1])
    assert_close(mean, float(survival[1:].sum()), error)


def _assert_same_mean(a, b):
    (x, ex), (y, ey) = mean_and_error(a), mean_and_error(b)
    assert_close(x, y, math.hypot(ex, ey))


# ---- runs between repeats


def run_survival(first, size, longest):
    """P(run >= l), l = 0..longest: the product of (1 - (first + i)/size), i < l."""
    i = np.arange(longest)
    with np.errstate(divide="ignore"):
        logs = np.log1p(-np.minimum((first + i) / size, 1.0))
    return np.exp(np.concatenate([[0.0], np.cumsum(logs)]))


def draw_runs(first, size, n, item=0):
    return np.array([kernel._run(float(first), float(size), key) for key in keys(n, item)])


def run_p(runs, survival):
    """Chi-squared of runs in 40 bins of about equal probability."""
    wanted = np.linspace(1, 0, 41)[1:-1]
    cuts = np.unique(np.searchsorted(-survival, -wanted))
    edges = np.concatenate([[1.0], survival[cuts], [0.0]])
    counts = np.bincount(np.searchsorted(cuts, runs, side="right"), minlength=cuts.size + 1)
    return chi_squared_p(counts, -np.diff(edges))


CASES = [
    (1, 2),
    (1, 5),
    (2, 5),
    (4, 5),
    (1, 60),
    (1, 300),
    (2, 300),
    (3, 300),
    (1, 3000),
    (1, 10_000),
    (50, 10_000),
    (99, 10_000),
    (100, 10_000),
    (101, 10_000),
    (9_999, 1_000_000),
    (10_000, 1_000_000),
    (1, 1_000_000),
    (1000, 1_000_000),
    (1, 10**9),
    (10**5, 10**9),
    (10**7 - 1, 10**9),
    (12_345, 10**11),
]


@pytest.mark.parametrize(
    ("first", "size"),
    CASES,
)
def test_runs_follow_the_product_formula(first, size):
    # 9 scales of the exponential decay: P(longer) < 1e-16.
    longest = int(min(size - first + 1, 9 * math.sqrt(size), 40 * size / first)) + 1
    survival = run_survival(first, size, longest)
    assert survival[-1] < 1e-9
    runs = draw_runs(first, size, 10_000, item=first)
    assert (runs >= 0).all()
    assert (runs == np.floor(runs)).all()
    assert runs.max() <= size - first
    if np.unique(runs).size == 1:
        pytest.fail("no variation")
    assert run_p(runs, survival) > P_FLOOR
    mean, error = mean_and_error(runs)
    assert_close(mean, float(survival[1:].sum()), error)
    # Control: the same runs against repeats that are 1.3 times as likely.
    assert run_p(runs, survival**1.3) < P_FLOOR


@pytest.mark.parametrize(
    ("first", "count", "size"),
    [(1, 1, 100), (1, 199, 10**4), (50, 3, 10**4), (99, 101, 10**4), (9_999, 10_000, 10**6),
     (1, 20_000, 10**6), (10**4, 10**5, 10**7), (1, 10**6, 10**12)],
)  # fmt: skip
def test_hazard_equals_the_sum(first, count, size):
    exact = math.fsum(-np.log1p(-(first + np.arange(count)) / size))
    got = kernel._hazard(float(first), float(count), float(size))
    # What matters is the error of P(run >= l) = exp(-hazard).
    assert abs(got - exact) < 1e-9
    # Control: the integral instead of the sum.
    x = np.array([first, first + count]) / size
    integral = size * float(np.diff((1 - x) * np.log1p(-x) + x)[0])
    assert abs(integral - exact) > 1e-7


def test_both_branches_are_used():
    # Below 1% of the sites known the run is found by inversion, above it site by site.
    key = keys(1)[0]
    exponential = -math.log1p(-kernel.uniform(key, np.uint64(0)))
    run = kernel._run(1.0, 1e6, key)
    assert kernel._hazard(1.0, run, 1e6) <= exponential < kernel._hazard(1.0, run + 1, 1e6)
    slow = kernel._run(10_000.0, 1e6, key)
    draws = [kernel.uniform(key, np.uint64(1 + i)) for i in range(int(slow) + 1)]
    assert all(u >= (10_000 + i) / 1e6 for i, u in enumerate(draws[:-1]))
    assert draws[-1] < (10_000 + slow) / 1e6


@pytest.mark.parametrize("size", [10**12, LARGEST_SIZE])
def test_huge_clusters_are_the_infinite_one(size):
    ends, glue = many(4000, 12, size, item=3)
    assert np.array_equal(ends, np.floor(ends))
    assert np.array_equal(glue, np.floor(glue))
    scaled = ends / math.sqrt(size)
    for k in (1, 2, 11):
        assert kstest(scaled[:, k] ** 2 / 2, gamma(k).cdf).pvalue > P_FLOOR
        assert kstest(scaled[:, k] ** 2 / 2.5, gamma(k).cdf).pvalue < P_FLOOR
    for distance in three_distances(scaled, glue / math.sqrt(size)):
        assert kstest(distance, rayleigh.cdf).pvalue > P_FLOOR
    share = glue[:, 11] / ends[:, 10]
    assert kstest(share, "uniform").pvalue > P_FLOOR
