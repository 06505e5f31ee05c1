"""The dilution number: p/p_c of independent bonds, class by class; over a whole graph it misleads."""

import numpy as np
import pytest
from graph_cases import grids, site_graph

from percolaw.analysis.adjacency import neighbor_graph
from percolaw.analysis.dilution import dilution

N_GRAPHS = 6


def mean_number(graphs, thresholds, ratio):
    """Mean over graphs of the dilution number of independent bonds at `ratio` times the threshold."""
    numbers = []
    for seed, (graph, threshold) in enumerate(zip(graphs, thresholds, strict=True)):
        is_open = np.random.default_rng(seed).random(graph.n_bonds) < threshold * ratio
        numbers.append(dilution(graph, is_open, rng=seed, n_orders=8).number[0])
    return float(np.mean(numbers))


@pytest.fixture(scope="module", params=[(2, 6), (5, 10)], ids=["plane", "five dimensions"])
def neighbors(request):
    dimension, k = request.param
    graphs = [
        neighbor_graph(np.random.default_rng(seed).random((3000, dimension)), k)
        for seed in range(N_GRAPHS)
    ]
    return graphs, [1.0 / dilution(g, rng=100, n_orders=32).number[0] for g in graphs]


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.5, 2.5])
def test_independent_bonds_of_neighbour_graphs_give_their_ratio(neighbors, ratio):
    assert mean_number(*neighbors, ratio) == pytest.approx(ratio, rel=0.05)


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.6])
def test_independent_bonds_of_a_grid_give_p_over_one_half(ratio):
    assert mean_number([grids([100])] * 4, [0.5] * 4, ratio) == pytest.approx(ratio, rel=0.05)


def test_each_class_has_its_own_number():
    """Grids that differ in p, in random order of sites; a class too small; sites of no class."""
    lengths, share = [60, 60, 60, 10], [0.4, 0.6, 0.95, 0.9]
    graph = grids(lengths)
    key = np.repeat(np.arange(4), np.square(lengths))
    order = np.random.default_rng(0).permutation(graph.n_sites)
    mixed = site_graph(graph.n_sites, order[graph.low], order[graph.high])
    label = np.empty_like(key)
    label[order] = key
    chance = np.array(share)[label[mixed.low]]
    is_open = np.random.default_rng(1).random(mixed.n_bonds) < chance
    measured = dilution(mixed, is_open, label, 0)
    np.testing.assert_allclose(measured.number[:3], 2 * np.array(share[:3]), rtol=0.1)
    assert np.isnan(measured.number[3])
    assert measured.n_sites.tolist() == [3600, 3600, 3600, 100]
    label[label == 1] = -1
    without = dilution(mixed, is_open, label, 0)
    assert np.isnan(without.number[1])
    np.testing.assert_array_equal(without.number[[0, 2]], measured.number[[0, 2]])


def test_over_a_whole_labelled_graph_it_misleads():
    """Domains that each lie at 2, far above their threshold, read as 1 together: as if critical."""
    length, n_stripes = 60, 3
    graph = grids([length])
    label = np.arange(length**2) // length * n_stripes // length
    is_open = label[graph.low] == label[graph.high]
    np.testing.assert_allclose(dilution(graph, is_open, label, 0).number, 2.0, rtol=0.1)
    shuffled = np.random.default_rng(0).permutation(is_open)
    assert dilution(graph, shuffled, rng=0).number[0] == pytest.approx(2 * is_open.mean(), rel=0.06)
    assert dilution(graph, is_open, rng=0).number[0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.filterwarnings("error")
def test_a_threshold_just_before_all_bonds_are_open():
    """Two paths joined by the one bond that comes last: the largest cluster forms with it."""
    site = np.arange(299)
    graph = site_graph(300, site, site + 1)
    measured = dilution(graph, site != 149)
    assert measured.number.tolist() == [1.0]


def test_orders_are_drawn_by_the_seed():
    graph = grids([30])
    numbers = [dilution(graph, rng=seed, n_orders=4).number[0] for seed in (0, 0, 1)]
    assert numbers[0] == numbers[1] != numbers[2]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [2, 3, 5])
def test_tiny_graphs(n):
    """All bonds at the threshold at least: a path of a few sites."""
    path = site_graph(n, np.arange(n - 1), np.arange(1, n))
    assert 1.0 <= dilution(path, least=2).number[0] <= n - 1


def test_no_bonds_give_no_number():
    graph = grids([15])
    assert np.isnan(dilution(graph, np.zeros(graph.n_bonds, bool)).number).all()
    empty = site_graph(300, np.zeros(0, int), np.zeros(0, int))
    assert np.isnan(dilution(empty).number).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"is_open": np.ones(3, bool)}, "one value a bond"),
        ({"key": np.zeros(7, int)}, "one class a site"),
        ({"least": 1}, "least"),
        ({"n_orders": 0}, "n_orders"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        dilution(grids([15]), **options)
