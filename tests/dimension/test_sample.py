"""Samples with their neighbours and levels: brute force, and levels that are disjoint."""

import numpy as np
from dimension_cases import neighbour_distances, small_cloud, small_sample

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
