"""Fragility: trees against the closed form, clusters of boxes against sigma, grids that do not shrink."""

import math

import numpy as np
import pytest
from graph_cases import critical_clusters, forest, grids, site_graph
from scipy.special import erfcx
from scipy.stats import binom, linregress
from statistical import assert_close, assert_far, mean_and_error

from percolaw.analysis.fragility import MOST_CLUSTERS, fragility
from percolaw.analysis.sweep import graph_sweep
from percolaw.laws.hypercubic import critical_exponents

#: Branching variance of critical clusters: Bethe lattices of 3 and 6 neighbours, Cayley trees (Poisson).
VARIANCE = {3: 0.5, 6: 0.8, math.inf: 1.0}
SIZE, N_TREES = 2000, 150


def mean_field_whole(t):
    """F for large critical trees, t = (1 - q) sqrt(S/s2): a Brownian tree cut by a Poisson process."""
    return 1.0 - np.multiply(t, math.sqrt(math.pi / 2.0) * erfcx(np.divide(t, math.sqrt(2.0))))


def slope_error(measured):
    """Standard error of the exponent, by least squares."""
    fit = linregress(np.log(measured.size), np.log(measured.broken))
    assert measured.exponent == pytest.approx(-fit.slope)
    return fit.stderr


@pytest.fixture(scope="module", params=VARIANCE, ids=str)
def trees(request):
    return *forest(N_TREES, SIZE, request.param), VARIANCE[request.param]


def test_the_closed_form_of_large_trees():
    np.testing.assert_allclose(
        mean_field_whole([0.0, 0.25, 0.5, 1.0, 2.0]), [1, 0.7405, 0.5618, 0.3443, 0.1573], atol=6e-5
    )
    assert mean_field_whole(0.6120) == pytest.approx(0.5, abs=1e-4)
    # exp(t^2/2) overflows where the closed form does not: F ~ 1/t^2.
    assert mean_field_whole(1e3) == pytest.approx(1e-6, rel=1e-4)


def test_the_closed_form_is_that_of_a_simulated_brownian_tree():
    """The mean over the gap between two points (Rayleigh) of surviving a Poisson process of cuts."""
    x = np.linspace(0, 12, 200_001)
    for t in (0.3, 1.0, 2.5):
        survived = np.trapezoid(x * np.exp(-(x**2) / 2 - t * x), x)
        assert mean_field_whole(t) == pytest.approx(survived, rel=1e-8)


def test_trees_break_as_the_closed_form_says(trees):
    graph, tree, variance = trees
    t = np.array([2.0, 1.0, 0.5, 0.25])
    whole = graph_sweep(
        graph, 0, shares=1.0 - t * np.sqrt(variance / SIZE), key=tree, n_orders=4
    ).whole()
    for r, exact in enumerate(mean_field_whole(t)):
        mean, error = mean_and_error(whole[:, r])
        # Corrections to the limit are of order size^-1/2 (.022); a few per cent of it were seen at most.
        assert_close(mean, exact, error, bias=0.6 / math.sqrt(SIZE))
        wrong = mean_field_whole(t[r] * math.sqrt(2.0))
        assert_far(mean, float(wrong), error)


def test_half_of_a_tree_is_lost_at_the_closed_form_s_share(trees):
    graph, tree, variance = trees
    measured = fragility(graph, tree, 0)
    scaled = measured.broken / math.sqrt(variance / SIZE)
    log, error = mean_and_error(np.log(scaled))
    # Single trees scatter round the curve of their mean, and half of it is reached a few per cent beside.
    assert_close(log, math.log(0.6120), error, bias=0.06)
    assert_far(log, math.log(0.6120 / math.sqrt(2.0)), error)
    assert math.isnan(measured.exponent)  # one size


def test_a_path_loses_half_where_its_exact_curve_does():
    n = 100
    graph = site_graph(n, np.arange(n - 1), np.arange(1, n))
    measured = fragility(graph, np.zeros(n, int), 0, n_orders=400)

    def whole(q):
        gap = np.arange(1, n)
        return (n + 2 * np.sum((n - gap) * q**gap)) / n**2

    q = np.linspace(0.9, 0.9999, 20_000)
    exact = 1 - q[np.argmax([whole(v) >= 0.5 for v in q])]
    assert measured.broken[0] == pytest.approx(exact, rel=0.06)  # records are a factor 1.17 apart
    assert binom.mean(n - 1, exact) < 3  # a path is cut by a bond or two


def test_clusters_at_the_threshold_of_a_box_shrink_as_sigma_says():
    graph = critical_clusters(2, 300, 1, 64)
    measured = fragility(graph, graph.clusters(), 0)
    error = slope_error(measured)
    assert_close(measured.exponent, critical_exponents(2).cutoff_exponent, error, bias=0.03)
    assert_far(measured.exponent, 0.0, error)
    assert np.all(np.diff(measured.size) <= 0)
    assert measured.size[-1] >= 64


@pytest.mark.slow
@pytest.mark.parametrize(("dimension", "length"), [(2, 1000), (3, 128), (6, 11)])
def test_exponents_of_boxes_of_many_dimensions(dimension, length, monkeypatch):
    monkeypatch.setattr("percolaw.analysis.fragility.MOST_CLUSTERS", 2000)
    graph = critical_clusters(dimension, length, 1, 128)
    measured = fragility(graph, graph.clusters(), 0, least=128)
    sigma = critical_exponents(dimension).cutoff_exponent
    # Clusters of some hundred sites are corrected by some per cent.
    error = slope_error(measured)
    assert_close(measured.exponent, sigma, error, bias=0.04)
    assert error < 0.05
    assert_far(measured.exponent, 0.0, error)


def test_compact_clusters_hold_to_a_share_that_does_not_shrink():
    graph = grids([8] * 8 + [12] * 8 + [20] * 8 + [32] * 8)
    measured = fragility(graph, graph.clusters(), 0)
    assert abs(measured.exponent) < 0.05
    assert np.all(measured.broken > 0.4)
    assert measured.exponent + 5 * slope_error(measured) < 0.2  # no critical exponent


def test_only_large_clusters_are_looked_at_and_bonds_between_them_are_closed():
    graph, cluster = grids([9, 10, 12, 4]), np.repeat([2, 0, 1, 3], [81, 100, 144, 16])
    measured = fragility(graph, cluster, 0)
    assert measured.size.tolist() == [144, 100, 81]
    many = grids([9] * (MOST_CLUSTERS + 1))
    assert fragility(many, many.clusters(), 0, n_orders=1).size.size == MOST_CLUSTERS
    assert fragility(graph, cluster, 0, least=120).size.tolist() == [144]
    joined = site_graph(
        graph.n_sites, np.append(graph.low, [80, 180]), np.append(graph.high, [81, 181])
    )
    np.testing.assert_array_equal(fragility(joined, cluster, 0).broken, measured.broken)


def test_nothing_large_gives_nan():
    graph = grids([4, 4])
    measured = fragility(graph, graph.clusters())
    assert measured.size.size == 0
    assert math.isnan(measured.exponent)


def test_clusters_of_another_graph_are_refused():
    with pytest.raises(ValueError, match="one class a site"):
        fragility(grids([10]), np.zeros(99, int))
    with pytest.raises(ValueError, match="from 0"):
        fragility(grids([10]), np.full(100, -1))
