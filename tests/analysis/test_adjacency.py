"""Adjacency: neighbours, strings and given graphs against all pairs."""

import itertools

import numpy as np
import pytest
from scipy import sparse

from percolaw.analysis.adjacency import (
    SiteGraph,
    given_graph,
    hamming_graph,
    neighbor_graph,
    neighbor_table,
    table_graph,
)
from percolaw.numerics.distances import directions


def bonds(graph):
    return list(zip(graph.low.tolist(), graph.high.tolist(), strict=True))


def nearest(distance, k):
    """Rows of the k nearest others, equal distances by row."""
    distance = distance + np.diag(np.full(len(distance), np.inf))
    return np.argsort(distance, axis=1, kind="stable")[:, :k]


def joined(table):
    return sorted({tuple(sorted((i, int(j)))) for i, row in enumerate(table) for j in row})


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_neighbours_are_those_of_all_pairs(metric):
    x = np.random.default_rng(0).standard_normal((80, 3)) + 1.0
    if metric == "cosine":
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        distance = 1.0 - unit @ unit.T
    else:
        distance = np.linalg.norm(x[:, None] - x[None], axis=2)
    expected = nearest(distance, 5)
    table = neighbor_table(x, 5, metric)
    assert table.dtype == np.int32
    np.testing.assert_array_equal(table, expected)
    graph = neighbor_graph(x, 5, metric)
    assert bonds(graph) == joined(expected)
    assert bonds(table_graph(table[:, :2])) == joined(expected[:, :2])
    assert graph.mean_degree == 2 * len(bonds(graph)) / 80
    other = "cosine" if metric == "euclidean" else "euclidean"
    assert np.any(neighbor_table(x, 5, other) != table)


def test_k_up_to_all_others_and_not_beyond():
    x = np.random.default_rng(1).random((6, 2))
    assert bonds(neighbor_graph(x, 5)) == list(itertools.combinations(range(6), 2))
    for k in (6, 7):
        with pytest.raises(ValueError, match=f"k = {k} neighbours need more than k points; got 6"):
            neighbor_table(x, k)
    with pytest.raises(ValueError, match="k must be"):
        neighbor_table(x, 0)


def test_equal_points_are_neighbours_of_one_another_and_not_of_themselves():
    x = np.repeat([[0.0, 1.0], [5.0, 5.0]], 9, axis=0)
    table = neighbor_table(x, 4)
    assert not np.any(table == np.arange(18)[:, None])
    assert np.all(table // 9 == np.arange(18)[:, None] // 9)
    assert all(len(set(row)) == 4 for row in table.tolist())
    assert neighbor_graph(np.ones((5, 2)), 4).n_bonds == 10


def test_directions():
    x = np.array([[3.0, 4.0], [1e-300, 0.0], [-1e300, 1e300]])
    root = np.sqrt(0.5)
    np.testing.assert_allclose(directions(x), [[0.6, 0.8], [1, 0], [-root, root]], rtol=1e-15)
    with pytest.raises(ValueError, match="point 1 is zero and has no direction"):
        neighbor_table([[1.0, 0.0], [0.0, 0.0], [2.0, 1.0]], 1, "cosine")
    with pytest.raises(ValueError, match="metric"):
        neighbor_table(x, 1, "manhattan")
    with pytest.raises(ValueError, match="NaN"):
        neighbor_table([[1.0], [np.nan], [2.0]], 1)


@pytest.mark.parametrize(("n_letters", "length"), [(2, 7), (4, 3), (26, 3), (256, 2)])
def test_strings_one_letter_apart(n_letters, length):
    rng = np.random.default_rng(n_letters)
    codes = np.unique(rng.integers(0, n_letters, (150, length)).astype(np.uint8), axis=0)
    codes = rng.permutation(codes)
    expected = [
        (i, j)
        for i, j in itertools.combinations(range(len(codes)), 2)
        if np.count_nonzero(codes[i] != codes[j]) == 1
    ]
    assert expected
    assert bonds(hamming_graph(codes)) == expected


def test_all_strings_and_strings_of_one_letter():
    codes = np.array(list(itertools.product(range(3), repeat=4)), dtype=np.uint8)
    assert np.all(np.bincount(np.concatenate(_ends(hamming_graph(codes)))) == 4 * 2)
    single = hamming_graph(np.arange(5, dtype=np.uint8)[:, None])
    assert bonds(single) == list(itertools.combinations(range(5), 2))
    assert hamming_graph(np.zeros((1, 3), np.uint8)).n_bonds == 0


def _ends(graph):
    return graph.low, graph.high


@pytest.mark.parametrize(
    ("codes", "error", "message"),
    [
        (np.array([[1, 2], [3, 4], [1, 2]], np.uint8), ValueError, "a string occurs twice"),
        (np.array([[1, 2], [3, 4]]), TypeError, "uint8"),
        (np.zeros(4, np.uint8), ValueError, "shape"),
        (np.zeros((0, 4), np.uint8), ValueError, "shape"),
        (np.zeros((4, 0), np.uint8), ValueError, "shape"),
    ],
)
def test_strings_that_are_refused(codes, error, message):
    with pytest.raises(error, match=message):
        hamming_graph(codes)


def test_a_given_graph():
    rng = np.random.default_rng(0)
    one_way = np.triu(rng.random((30, 30)) < 0.1, 1)
    turned = np.where(rng.random((30, 30)) < 0.5, one_way, False) | np.where(
        one_way, False, one_way.T
    )
    expected = [tuple(pair) for pair in np.argwhere(np.triu(turned | turned.T, 1)).tolist()]
    for given in (
        turned,
        sparse.csr_array(turned),
        sparse.coo_matrix(turned * -2.5),
        turned.tolist(),
    ):
        assert bonds(given_graph(given)) == expected
    stored = sparse.csr_array((np.array([0.0, 1.0]), ([0, 1], [1, 2])), shape=(3, 3))
    assert bonds(given_graph(stored)) == [(1, 2)]  # a stored zero is no bond
    assert given_graph(np.zeros((4, 4))).n_bonds == 0


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.zeros((2, 3)), "square"),
        (np.zeros((0, 0)), "non-empty"),
        (np.eye(3), "self-loops"),
        (np.array([[0.0, np.nan], [0.0, 0.0]]), "NaN"),
    ],
)
def test_graphs_that_are_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        given_graph(matrix)


def test_a_part_of_a_graph():
    graph = neighbor_graph(np.random.default_rng(2).random((40, 2)), 4)
    sites = np.random.default_rng(3).permutation(40)[:17]
    place = {int(s): i for i, s in enumerate(sites)}
    expected = sorted(
        tuple(sorted((place[a], place[b]))) for a, b in bonds(graph) if a in place and b in place
    )
    part = graph.part(sites)
    assert isinstance(part, SiteGraph)
    assert part.n_sites == 17
    assert bonds(part) == expected
    assert bonds(graph.part(np.arange(40))) == bonds(graph)
    assert graph.part(np.zeros(0, int)).n_sites == 0
    with pytest.raises(ValueError, match="twice"):
        graph.part([1, 2, 1])
    with pytest.raises(ValueError, match="lie in"):
        graph.part([40])


def test_some_of_the_bonds():
    graph = neighbor_graph(np.random.default_rng(2).random((20, 2)), 3)
    is_open = np.arange(graph.n_bonds) % 3 == 0
    assert bonds(graph.only(is_open)) == bonds(graph)[::3]
    assert repr(graph) == f"SiteGraph(20 sites, {graph.n_bonds} bonds)"
