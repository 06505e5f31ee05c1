"""Samples with their neighbours and levels: brute force, and levels that are disjoint."""

import numpy as np
import pytest
from dimension_cases import neighbour_distances, small_cloud, small_sample

from percolaw.dimension import sample as module
from percolaw.dimension.estimate import estimate_dimension
from percolaw.dimension.mle import MLE
from percolaw.dimension.sample import decimate, make_sample


def test_neighbours_of_a_sample_by_brute_force():
    found, expected = make_sample(small_cloud(), 12), small_sample()
    np.testing.assert_allclose(found.distance, expected.distance, rtol=1e-12)
    some = make_sample(small_cloud(), 5, np.array([7, 3]))
    np.testing.assert_allclose(some.distance, expected.distance[[7, 3], :5], rtol=1e-12)


def test_levels_are_disjoint_and_cover_all_points():
    x = np.random.default_rng(0).random((1703, 2))
    levels = decimate(x, 3, 0)
    assert [len(level) for level in levels] == [1, 2, 4, 8, 16]
    for level in levels:
        assert {s.points.shape[0] for s in level} <= {1703 // len(level), 1703 // len(level) + 1}
        together = np.concatenate([s.points for s in level])
        np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(x, axis=0))
        for s in level:
            expected = neighbour_distances(s.points, 3)[s.query]
            np.testing.assert_allclose(s.distance, expected, rtol=1e-12)


def test_blocks_of_queries_change_nothing(monkeypatch):
    whole, seen = make_sample(small_cloud(), 4), []
    monkeypatch.setattr(module, "QUERIES_AT_ONCE", 7)
    parts = make_sample(small_cloud(), 4, progress=seen.append)
    np.testing.assert_array_equal(parts.distance, whole.distance)
    n = len(small_cloud())
    assert sum(seen) == n * n
    assert len(seen) == -(-n // 7)


@pytest.mark.parametrize("fit", [MLE(5).fit, estimate_dimension])
def test_copies_are_refused_before_any_search(fit, monkeypatch):
    monkeypatch.setattr(module, "nearest_neighbors", None)
    x = np.random.default_rng(0).random((500, 3))
    x[[7, 9, 400]] = x[[8, 8, 21]]
    with pytest.raises(ValueError, match="5 of 500 points coincide"):
        fit(x)
