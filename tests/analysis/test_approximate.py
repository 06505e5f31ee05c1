"""Approximate neighbours: recall against the exact search, and what recall itself says."""

import dataclasses

import numpy as np
import pytest

from percolaw.analysis.adjacency import LEAST_RECALL, enough_neighbors, neighbor_table
from percolaw.analysis.approximate import approximate_neighbors, recall
from percolaw.analysis.findings import conclude
from percolaw.analysis.parts import Measurement, Settings
from percolaw.analysis.sample import as_sample
from percolaw.numerics.distances import directions
from percolaw.numerics.neighbors import nearest_neighbors

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def points():
    """Clustered points, far from the origin."""
    rng = np.random.default_rng(0)
    centres = 3.0 * rng.standard_normal((20, 16))
    return 1e3 + centres[rng.integers(0, 20, 4000)] + rng.standard_normal((4000, 16))


def test_all_cells_miss_nothing(points):
    table = approximate_neighbors(points, 6, n_probed=10**6)
    exact = nearest_neighbors(points, points, 6)[1]
    assert np.mean(table == exact) > 0.999  # neighbours that are equal in float32 may change places
    np.testing.assert_array_equal(table[:, 0], np.arange(4000))


def test_recall_is_measured(points):
    exact = neighbor_table(points, 5)
    assert recall(points, exact) == 1.0
    some = neighbor_table(points, 5, n_probed=16)
    few = approximate_neighbors(points, 6, n_probed=1)
    few = few[few != np.arange(4000)[:, None]].reshape(4000, 5)
    assert recall(points, some) > 0.98
    assert 0.3 < recall(points, few) < recall(points, some)
    worse = exact.copy()
    worse[:, 3:] = np.random.default_rng(0).integers(0, 4000, (4000, 2))
    assert recall(points, worse) == pytest.approx(0.6, abs=0.01)
    itself = np.where(np.arange(5) < 2, np.arange(4000)[:, None], exact)
    assert recall(points, itself) == pytest.approx(0.6)
    with_all = np.mean([recall(points, few, 400, seed) for seed in range(4)])
    assert with_all == pytest.approx(recall(points, few, 10**6), abs=0.03)


def test_threads_change_nothing(points):
    import faiss

    before = faiss.omp_get_max_threads()
    try:
        tables = []
        for n_threads in (1, 2):
            faiss.omp_set_num_threads(n_threads)
            tables.append(approximate_neighbors(points, 5))
    finally:
        faiss.omp_set_num_threads(before)
    np.testing.assert_array_equal(*tables)


def test_no_row_holds_its_point_and_directions_are_compared(points):
    near = neighbor_table(points - 1e3, 5, "cosine", n_probed=16)
    assert not np.any(near == np.arange(4000)[:, None])
    assert recall(directions(points - 1e3), near) > 0.98
    assert recall(points - 1e3, near) < 0.9


def test_many_copies_of_a_point():
    points = np.repeat(np.random.default_rng(0).random((8, 3)), 30, axis=0)
    near = neighbor_table(points, 4, n_probed=16)
    assert not np.any(near == np.arange(240)[:, None])
    assert np.all(near // 30 == np.arange(240)[:, None] // 30)
    assert recall(points, near) == 1.0
    assert neighbor_table(np.zeros((50, 2)), 3, n_probed=16).max() < 50


def test_fewer_points_in_a_cell_than_are_asked_for(points):
    """100 cells of 40 points on average, one of them looked through: the others follow."""
    near = approximate_neighbors(points, 60, n_probed=1)
    assert near.min() >= 0
    assert all(len(set(row)) == 60 for row in near.tolist())


def test_digits_are_not_lost_far_from_the_origin(points):
    far = points + 1e7
    assert recall(far, neighbor_table(far, 5, n_probed=16)) > 0.98


def test_refusals(points):
    with pytest.raises(ValueError, match="lower k"):
        approximate_neighbors(points, 4001)
    with pytest.raises(ValueError, match="n_probed"):
        approximate_neighbors(points, 5, n_probed=0)
    with pytest.raises(ValueError, match="NaN"):
        neighbor_table(np.where(points > 1003, np.nan, points), 5, n_probed=16)
    with pytest.raises(ValueError, match="k below it"):
        recall(points, np.zeros((3, 2), int))


def test_cells_are_added_until_hardly_any_neighbour_is_missed(points):
    cloud = np.random.default_rng(0).standard_normal((1500, 12))
    few = recall(cloud, neighbor_table(cloud, 5, n_probed=16))
    table, share = enough_neighbors(cloud, 5)
    assert few < LEAST_RECALL <= share
    assert recall(cloud, table) > 0.98


def test_a_sample_says_how_many_neighbours_it_has_found(monkeypatch):
    x = np.random.default_rng(0).random((1200, 3))
    sample = dataclasses.replace(as_sample(x), approximate=True)
    assert sample.graph_and_recall(5)[1] is None  # few points: exact
    monkeypatch.setattr("percolaw.analysis.sample.MOST_EXACT", 500)
    graph, share = sample.graph_and_recall(5)
    assert LEAST_RECALL <= share <= 1.0
    assert dataclasses.replace(sample, approximate=False).graph_and_recall(5)[1] is None
    assert abs(graph.n_bonds - sample.part(np.arange(1200)).graph(5).n_bonds) < 60
    settings = Settings(k=5, other_k=(), n_draws=20, learners=())
    measurement = Measurement(sample, settings)
    rows = [
        row for n in (1200, 300) for row in measurement.rows({"part": "geometry", "n": n, "k": 5})
    ]
    found = [(r["n"], r["value"]) for r in rows if r["quantity"] == "neighbours found"]
    assert found == [(1200, pytest.approx(share, abs=0.01))]
    assert "of the true ones are there" in conclude(rows, (), 5).sentence
