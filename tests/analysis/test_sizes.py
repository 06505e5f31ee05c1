"""Weights of clusters by size, and the rate at which a null is beyond itself."""

import numpy as np
import pytest

from percolaw.analysis.sizes import beyond, cluster_sizes


def test_one_case_by_hand():
    sizes = cluster_sizes(np.array([5, 5, 5, 5, 5, 0, 0, 2, 2, 9]))
    assert sizes.at_least.tolist() == [1, 2, 4, 8]
    assert sizes.weight == pytest.approx([1.0, 0.9, 0.5, 0.0])
    assert (sizes.n_clusters, sizes.largest, sizes.second) == (4, 0.5, 0.2)
    assert sizes.mean_without_largest == pytest.approx((4 + 4 + 1) / 10)
    one = cluster_sizes(np.zeros(3, int))
    assert (one.largest, one.second, one.mean_without_largest) == (1.0, 0.0, 0.0)


def pieces(rng, n_parts):
    """300 sites thrown into parts."""
    return cluster_sizes(rng.integers(0, n_parts, 300))


def test_a_draw_is_beyond_the_others_as_often_as_p_says():
    rng = np.random.default_rng(1)
    p = [beyond(pieces(rng, 60), [pieces(rng, 60) for _ in range(19)]).p_value for _ in range(200)]
    # Ties make p larger; 5 standard errors of a binomial beside.
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) <= level) < level + 5 * np.sqrt(level * (1 - level) / 200)
    assert np.mean(np.array(p) <= 0.5) > 0.25  # not always large


def test_other_sizes_are_beyond():
    rng = np.random.default_rng(2)
    result = beyond(pieces(rng, 30), [pieces(rng, 60) for _ in range(99)])
    assert result.p_value == 0.01
    assert result.sign == 1
    assert result.mean_without_largest.above == 0.01
    assert result.weights[0].two_sided == 1.0  # every site is in a cluster of at least one
    less = beyond(pieces(rng, 120), [pieces(rng, 60) for _ in range(99)])
    assert (less.p_value, less.sign) == (0.01, -1)


def test_what_is_equal_is_not_beyond():
    same = cluster_sizes(np.arange(10) // 2)
    result = beyond(same, [same] * 9)
    assert (result.p_value, result.sign) == (1.0, 0)


def test_bad_input():
    with pytest.raises(ValueError, match="at least one site"):
        cluster_sizes(np.zeros(0, int))
    small, large = cluster_sizes(np.zeros(3, int)), cluster_sizes(np.zeros(30, int))
    with pytest.raises(ValueError, match="number of sites"):
        beyond(large, [small])
