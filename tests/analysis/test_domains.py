"""Compact domains: exact counts, the agreement of the data, smooth walls."""

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from percolaw.analysis.domains import _domains, compact_domains
from percolaw.analysis.labelled import labelled_graph


def square(length):
    site = np.arange(length**2).reshape(length, length)
    right = np.stack([site[:, :-1].ravel(), site[:, 1:].ravel()])
    down = np.stack([site[:-1].ravel(), site[1:].ravel()])
    return (length**2, *np.concatenate([right, down], axis=1).astype(np.int32))


N, LOW, HIGH = square(60)
#: Vertical stripes three wide, of three labels of unlike frequency.
STRIPES = np.array([4, 4, 9, 4, 7])[(np.arange(N) % 60) // 3 % 5]


def pieces(label):
    same = label[LOW] == label[HIGH]
    bonds = sparse.coo_array((np.ones(same.sum()), (LOW[same], HIGH[same])), shape=(N, N))
    return connected_components(bonds, directed=False)[0]


def test_counts_are_exact_and_the_agreement_is_met():
    null = compact_domains(N, LOW, HIGH, STRIPES)
    draws = [null.draw(i, 1) for i in range(5)]
    for draw in draws:
        assert np.array_equal(
            np.unique(draw, return_counts=True), np.unique(STRIPES, return_counts=True)
        )
    shares = [np.mean(draw[LOW] == draw[HIGH]) for draw in draws]
    assert null.agreement == np.mean(STRIPES[LOW] == STRIPES[HIGH])
    # One domain more or less moves the agreement by about its wall, 1% of the bonds.
    assert shares == pytest.approx([null.agreement] * 5, abs=0.02)
    assert pieces(draws[0]) < 0.1 * pieces(np.random.default_rng(0).permutation(STRIPES))


def test_domains_are_balls():
    """A ball of the square lattice of area a has a wall of 6 sqrt(a) bonds, each shared by two."""
    graph = labelled_graph(N, LOW, HIGH, np.arange(N) % 36)
    label = _domains(graph, 100.0, 0, 0)
    wall = np.mean(label[LOW] != label[HIGH]) * LOW.size
    assert 0.7 < wall / (36 * 60 / 2) < 1.3


def test_a_rougher_null_is_said():
    half = np.arange(N) * 2 // N  # two halves: no other pair of domains has so short a wall
    null = compact_domains(N, LOW, HIGH, half)
    assert null.reached <= null.agreement


def test_a_graph_without_paths_is_filled():
    low, high = np.array([0], np.int32), np.array([1], np.int32)
    null = compact_domains(6, low, high, [0, 0, 1, 1, 1, 2])
    assert np.array_equal(np.sort(null.draw(0)), [0, 0, 1, 1, 1, 2])
