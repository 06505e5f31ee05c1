"""Sizes drawn from a law follow it, and fall with rank as a power."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import digamma
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.clusters.ensembles import sample_sizes, size_law
from percolaw.laws.bethe import (
    BetheLattice,
)
from percolaw.laws.hypercubic import critical_exponents
from percolaw.laws.size_law import yule_size_law

# ---- sampling sizes


def bin_edges(low, high):
    """Single sizes first, then factors of two."""
    edges = list(range(low, min(low + 8, high + 2)))
    while edges[-1] <= high:
        edges.append(min(max(edges[-1] + 1, int(edges[-1] * 1.5)), high + 1))
    return np.array(edges)


def binned(law, edges):
    mass = [law.window_probability(int(a), int(b) - 1) for a, b in pairwise(edges)]
    return np.array(mass) / law.window_probability(int(edges[0]), int(edges[-1]) - 1)


def site(z, mean=1.0):
    return BetheLattice(z, mean_offspring=mean).site_size_law()


def cluster(z, mean=1.0):
    return BetheLattice(z, mean_offspring=mean).cluster_size_law()


#: (law, window, a law that the same sizes must rule out)
WINDOWS = {
    "site z=3": (site(3), (1, 10**6), site(4)),
    "site z=200": (site(200), (1, 3 * 10**7), site(200, 0.97)),
    "site Poisson": (site(math.inf), (1, 10**9), site(6)),
    "site published": (site(200), (300, 3 * 10**7), site(200, 1.05)),
    "site narrow": (site(6), (5, 12), site(6, 0.8)),
    "site shifted": (site(3), (2, 5000), cluster(3)),
    "site subcritical": (site(3, 0.8), (1, 10**7), site(3, 0.83)),
    "site subcritical tail": (site(6, 0.9), (200, 10**6), site(6, 0.93)),
    "site supercritical": (site(6, 1.2), (1, 10**6), site(6, 1.25)),
    "cluster z=200": (cluster(200), (1, 10**7), cluster(6)),
    "cluster z=3": (cluster(3), (3, 10**5), cluster(3, 0.8)),
    "cluster subcritical": (cluster(math.inf, 0.6), (1, 10**5), cluster(math.inf, 0.7)),
    "yule": (yule_size_law(), (1, 10**7), cluster(200)),
    "yule a=1/2": (yule_size_law(0.5), (4, 10**5), yule_size_law()),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_sampled_sizes_follow_their_law(name):
    law, (low, high), wrong = WINDOWS[name]
    sizes = law.sample(20_000, low, high, np.random.default_rng(11))
    assert sizes.dtype == np.int64
    assert sizes.shape == (20_000,)
    assert low <= sizes.min()
    assert sizes.max() <= high
    edges = bin_edges(low, high)
    counts = np.histogram(sizes, edges)[0]
    assert counts.sum() == sizes.size
    assert chi_squared_p(counts, binned(law, edges)) > P_FLOOR
    assert chi_squared_p(counts, binned(wrong, edges)) < P_FLOOR


def test_sampling_edges():
    law = site(3)
    generator = np.random.default_rng(0)
    assert law.sample(0, 1, 10, generator).tolist() == []
    assert law.sample(5, 7, 7, generator).tolist() == [7] * 5
    np.testing.assert_array_equal(
        law.sample(50, 1, 1000, np.random.default_rng(3)),
        law.sample(50, 1, 1000, np.random.default_rng(3)),
    )
    with pytest.raises(ValueError, match=r"sizes 2\.\.4000 have probability 0.*widen the window"):
        site(3, 0.0).sample(5, 2, 4000, generator)
    with pytest.raises(ValueError, match=r"max_size must be in \[5, inf\]; got 4"):
        law.sample(5, 5, 4, generator)
    with pytest.raises(ValueError, match=r"min_size must be in \[1, inf\]; got 0"):
        law.sample(5, 0, 4, generator)
    with pytest.raises(ValueError, match=r"max_size must be an integer; got inf"):
        law.sample(5, 1, math.inf, generator)


def rank_slopes(ensemble, n_repeats=100, n=1000):
    """Slope of log size against log rank, one per repeat.

    For n draws with P(S > s) ~ s^-a, E log S_(k) = const - psi(k)/a for every rank k, so least
    squares on psi(k) is unbiased. A lower end of 1000 leaves a bias of order 1/1000.
    """
    psi = digamma(np.arange(1, n + 1))
    psi -= psi.mean()
    sizes = sample_sizes(ensemble, n * n_repeats, None, 1000, 10**17, rng=5).astype(float)
    logs = np.log(np.sort(sizes.reshape(n_repeats, n), axis=1)[:, ::-1])
    return logs @ psi / (psi @ psi)


@pytest.mark.parametrize(
    ("ensemble", "expected", "wrong"), [("site", -2, -2 / 3), ("cluster", -2 / 3, -1 / 2)]
)
def test_sizes_by_rank_are_a_power_law(ensemble, expected, wrong):
    slope, error = mean_and_error(rank_slopes(ensemble))
    assert error < 0.02 * abs(expected)
    assert_close(slope, expected, error, bias=2e-3)
    assert_far(slope, wrong, error)
    # size of rank k ~ k^-(1 + alpha) by site, with the tail exponent of the law itself.
    law = size_law(ensemble)
    assert -1 / (law.tail_exponent - 1) == pytest.approx(expected)
    if ensemble == "site":
        assert -(1 + critical_exponents(6).rank_exponent) == expected
