"""Losses of ensembles of finite clusters: limits, and the table of factors."""

import math

import numpy as np
import pytest

from percolaw.laws import ensembles
from percolaw.laws.ensembles import ensemble_nearest_neighbor_loss
from percolaw.laws.single_cluster import (
    finite_rate_factor,
    nearest_neighbor_loss,
)

# ---- finite ensembles


def test_ensemble_loss_limits():
    sizes = [1000, 50]
    weight = np.array(sizes) / 1050
    nothing, everything = ensemble_nearest_neighbor_loss([[0.0, 0.0], [1.0, 1.0]], sizes)
    assert nothing == 1.0
    assert everything < 1e-15
    # One cluster, small rate: the factor tends to 1.
    got = ensemble_nearest_neighbor_loss([[1e-8]], [10**9])
    np.testing.assert_allclose(got, nearest_neighbor_loss([10.0]), rtol=3e-4)
    half = ensemble_nearest_neighbor_loss([[1.0, 0.0]], sizes)
    np.testing.assert_allclose(half, weight[1], rtol=1e-12)
    assert ensemble_nearest_neighbor_loss([0.1, 0.1], sizes).shape == (1,)


@pytest.mark.parametrize("z", [3, math.inf])
def test_ensemble_factor_table_is_accurate(z):
    rate = np.array([3e-6, 1.3e-4, 0.0077, 0.123, 0.456, 0.9])
    size = 10**9  # so many observed sites that only 4/sqrt(pi n) and the factor are left
    got = ensemble_nearest_neighbor_loss(rate[:, None], [size], z)
    exact = finite_rate_factor(rate, z) * 4 / np.sqrt(math.pi * rate * size)
    np.testing.assert_allclose(got, exact, rtol=2e-3)
    naive = 4 / np.sqrt(math.pi * rate * size)
    assert np.all(np.abs(got[2:] / naive[2:] - 1) > 0.05)  # control: no factor
    # Below 1e-6 the table is its expansion, 1 - O(sqrt(rate)).
    gap = 1 - ensembles._factor_table(z)
    grid = np.geomspace(1e-9, 1.0, gap.size)
    small = grid < 1e-6
    slope = 1e4 * (1 - float(finite_rate_factor(1e-8, z)))
    np.testing.assert_allclose(gap[small], slope * np.sqrt(grid[small]), rtol=0.01)
