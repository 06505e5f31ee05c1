"""Thinning: clusters of a part are parts of the clusters; clusters made by density are not."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from percolaw.analysis.adjacency import neighbor_graph
from percolaw.analysis.thinning import thinning


def by_pairs(whole, part):
    """(kept, true) over all pairs."""
    a, b = (
        np.array([x[i] == x[j] for i, j in itertools.combinations(range(len(x)), 2)])
        for x in (whole, part)
    )
    return (a & b).sum() / a.sum(), (a & b).sum() / b.sum()


@pytest.mark.parametrize("seed", range(3))
def test_against_all_pairs_and_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    whole = rng.integers(0, 4, 60) * 7 - 3
    part = np.where(rng.random(60) < 0.6, whole, rng.integers(20, 25, 60))
    compared = thinning(whole, part)
    assert (compared.kept, compared.true) == pytest.approx(by_pairs(whole, part))
    assert compared.agreement == pytest.approx(adjusted_rand_score(whole, part))
    turned = thinning(part, whole)
    assert (turned.kept, turned.true) == pytest.approx((compared.true, compared.kept))


def test_names_of_clusters_do_not_matter():
    whole = np.random.default_rng(0).integers(0, 5, 50)
    assert thinning(whole, 10**9 - whole).agreement == 1.0
    assert abs(thinning(whole, np.random.default_rng(1).integers(0, 5, 50)).agreement) < 0.15


def test_a_refinement_is_true_and_not_kept():
    whole = np.repeat([0, 1, 2], 20)
    compared = thinning(whole, whole * 2 + np.arange(60) % 2)
    assert compared.true == 1.0
    assert compared.kept < 0.5


def half_of(points, label, k):
    """The comparison for the first half of random points, joined if they are near and of one class."""
    graph, half = neighbor_graph(points, k), neighbor_graph(points[: len(points) // 2], k)
    whole = graph.clusters(label[graph.low] == label[graph.high])[: half.n_sites]
    return thinning(whole, half.clusters(label[half.low] == label[half.high]))


def test_domains_are_thinned_and_a_density_artefact_is_not():
    rng = np.random.default_rng(0)
    points = rng.random((2000, 2))
    domains = (np.floor(points * 2) @ [2, 1]).astype(int)
    assert half_of(points, domains, 6).agreement > 0.95
    # Chance alone joins these: with half of the points other ones meet.
    chance = rng.integers(0, 4, 2000)
    compared = half_of(points, chance, 6)
    assert compared.agreement < 0.75
    assert compared.true < 0.75


def test_without_pairs_nothing_is_known():
    compared = thinning(np.arange(5), np.arange(5))
    assert np.isnan(compared.kept)
    assert np.isnan(compared.true)
    assert np.isnan(thinning([0], [0]).kept)
    assert np.isnan(thinning([0, 0, 0], [0, 1, 2]).true)
    assert thinning([0, 0, 0], [0, 1, 2]).kept == 0.0


@pytest.mark.parametrize("part", [[0, 1], [[0, 1, 2]], [0.5, 1, 2]])
def test_other_points_are_refused(part):
    with pytest.raises(ValueError, match=r"shape|whole|integer"):
        thinning([0, 1, 2], part)
