"""Statistics of the clusters of a labelled graph: by hand, and on clusters of known state."""

import math

import numpy as np
import pytest
from graph_cases import critical_clusters, grids, site_graph

from percolaw.analysis.adjacency import neighbor_graph
from percolaw.analysis.clusters import STATISTICS, cluster_statistics, critical_bonds


def test_by_hand():
    """A path of six: classes 0 0 1 1 1 0; the half is a path of three."""
    path = site_graph(6, np.arange(5), np.arange(1, 6))
    half = site_graph(3, np.arange(2), np.arange(1, 3))
    measured = cluster_statistics(path, half, np.array([0, 0, 1, 1, 1, 0]))
    assert list(measured) == list(STATISTICS)
    assert measured["agreement"] == 3 / 5
    assert measured["largest"] == 3 / 6
    assert measured["log_size"] == pytest.approx((2 * math.log(2) + 3 * math.log(3)) / 6)
    assert math.isnan(measured["broken"])
    assert math.isnan(measured["fragility"])
    assert measured["thinned"] == 1.0


def test_compact_and_critical_clusters_break_differently():
    critical = critical_clusters(2, 150, 1, 32)
    measured = cluster_statistics(critical, critical, np.zeros(critical.n_sites, int), 0)
    squares = grids([8] * 6 + [16] * 6 + [32] * 6)
    compact = cluster_statistics(squares, squares, np.zeros(squares.n_sites, int), 0)
    assert measured["broken"] < 0.5 * compact["broken"]
    assert measured["fragility"] > 0.25
    assert abs(compact["fragility"]) < 0.1
    assert compact["thinned"] == 1.0


def test_bonds_of_chance_are_not_thinned():
    points = np.random.default_rng(0).random((1500, 2))
    graph, half = neighbor_graph(points, 5), neighbor_graph(points[:750], 5)
    label = np.random.default_rng(1).integers(0, 3, 1500)
    domains = (points[:, 0] * 3).astype(int)
    thinned = [cluster_statistics(graph, half, x, 0)["thinned"] for x in (label, domains)]
    assert thinned[0] < 0.8
    assert thinned[1] > 0.95


@pytest.mark.filterwarnings("error")
def test_without_bonds():
    empty = site_graph(4, np.zeros(0, int), np.zeros(0, int))
    measured = cluster_statistics(empty, empty, np.arange(4))
    assert math.isnan(measured["agreement"])
    assert measured["largest"] == 0.25
    assert measured["log_size"] == 0.0


def test_threshold_of_a_grid_is_one_half():
    assert critical_bonds(grids([100]), 0) == pytest.approx(0.5, abs=0.02)
    tree = site_graph(7, [0, 0, 1, 1, 2, 2], [1, 2, 3, 4, 5, 6])
    assert 0.0 < critical_bonds(tree, 0) <= 1.0
    assert critical_bonds(site_graph(4, np.zeros(0, int), np.zeros(0, int)), 0) == 1.0
