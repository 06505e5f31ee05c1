"""Connectivity of neighbour graphs: critical clusters come apart as points are added, cubes do not."""

import numpy as np
import pytest

from percolaw.analysis.adjacency import neighbor_graph
from percolaw.datasets.sources import InfiniteCluster


def flow(make, sizes, n_seeds):
    return [
        np.mean([neighbor_graph(make(m, s), 3).largest_component for s in range(n_seeds)])
        for m in sizes
    ]


def test_an_infinite_cluster_comes_apart():
    shares = flow(lambda m, s: InfiniteCluster(dim=16).inputs(m, s), (500, 2000, 4000), 3)
    assert np.all(np.diff(shares) < -0.05)
    # .64 at 500 and .38 at 2000 were measured once.
    assert shares[0] == pytest.approx(0.64, abs=0.2)
    assert shares[1] == pytest.approx(0.38, abs=0.2)


@pytest.mark.parametrize("dimension", [3, 6])
def test_cubes_and_clouds_stay_whole(dimension):
    cube = flow(lambda m, s: np.random.default_rng(s).random((m, dimension)), (500, 2000, 4000), 1)
    cloud = flow(
        lambda m, s: np.random.default_rng(s).standard_normal((m, dimension)), (500, 2000, 4000), 1
    )
    assert min(cube + cloud) > 0.9


@pytest.mark.slow
def test_an_infinite_cluster_comes_apart_further():
    shares = flow(lambda m, s: InfiniteCluster(dim=16).inputs(m, s), (500, 2000, 8000, 16_000), 4)
    np.testing.assert_allclose(shares, [0.64, 0.38, 0.10, 0.04], atol=0.15)
    assert shares[3] < shares[2] < shares[1] < shares[0]


def test_the_share_of_the_largest():
    two = np.concatenate(
        [np.random.default_rng(0).random((30, 2)), 9 + np.random.default_rng(1).random((10, 2))]
    )
    assert neighbor_graph(two, 5).largest_component == 0.75
