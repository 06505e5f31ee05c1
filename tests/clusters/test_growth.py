"""Growth that stops at a size: the branching law, conditioned on reaching it, breadth first."""

import math

import numpy as np
import pytest
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.clusters.growth import grow_stopped
from percolaw.laws.bethe import BetheLattice


def test_stopped_growth_has_the_branching_law():
    """Far above p_c hardly a cluster dies, and the first two generations fit into 40 sites."""
    z, p = 6, 0.9
    root, below = [], []
    for seed in range(600):
        tree = grow_stopped(BetheLattice(z, p), 40, seed)
        assert tree.n_sites == 40
        assert tree.n_clusters == 1
        children = np.bincount(tree.parent[1:], minlength=40)
        root.append(children[0])
        below += children[1 : 1 + children[0]].tolist()
    for counts, mean, other in ((root, z * p, (z - 1) * p), (below, (z - 1) * p, z * p)):
        found, error = mean_and_error(counts)
        assert_close(found, mean, error)
        assert_far(found, other, error)
    from scipy.stats import binom

    law = binom.pmf(np.arange(z + 1), z, p)
    assert chi_squared_p(np.bincount(root, minlength=z + 1), law) > P_FLOOR
    law = binom.pmf(np.arange(z), z - 1, p)
    assert chi_squared_p(np.bincount(below, minlength=z), law) > P_FLOOR


def test_stopped_growth_is_conditioned_on_reaching_its_size():
    """Three sites, z = 3, p = 1/2: a fork has 1/2, a path 3/8 * 3/4, all else is smaller."""
    shapes = [tuple(grow_stopped(BetheLattice(3), 3, seed).parent.tolist()) for seed in range(1500)]
    fork, path = shapes.count((-1, 0, 0)), shapes.count((-1, 0, 1))
    assert fork + path == 1500
    error = math.sqrt(0.64 * 0.36 / 1500)
    assert_close(fork / 1500, 16 / 25, error)
    assert_far(fork / 1500, 0.5, error)


@pytest.mark.parametrize(
    "lattice", [BetheLattice(3), BetheLattice(200), BetheLattice(math.inf), BetheLattice(4, 0.6)]
)
def test_stopped_growth_is_breadth_first(lattice):
    tree = grow_stopped(lattice, 3000, 1)
    assert tree.sizes.tolist() == [3000]
    assert tree.parent[0] == -1
    assert np.all(tree.parent[1:] < np.arange(1, 3000))
    assert np.all(np.diff(tree.parent) >= 0)
    assert np.all(np.diff(tree.depth()) >= 0)
    np.testing.assert_array_equal(grow_stopped(lattice, 3000, 1).parent, tree.parent)
    assert np.any(grow_stopped(lattice, 3000, 2).parent != tree.parent)
    assert grow_stopped(lattice, 1, 1).parent.tolist() == [-1]


def test_stopped_growth_of_the_whole_lattice():
    z = 4
    tree = grow_stopped(BetheLattice(z, 1.0), 1 + 4 + 12 + 7, 0)
    parent = [-1] + [0] * z + [i for i in range(1, 5) for _ in range(z - 1)]
    parent += [i for i in range(5, 17) for _ in range(z - 1)]
    assert tree.parent.tolist() == parent[:24]


def test_impossible_growth_is_refused():
    with pytest.raises(ValueError, match=r"none of 50 clusters reached 1000 sites.*raise p"):
        grow_stopped(BetheLattice(6, 0.05), 1000, 0, max_tries=50)
    with pytest.raises(ValueError, match=r"n_sites must be in \[1"):
        grow_stopped(BetheLattice(6), 0)
    with pytest.raises(ValueError, match=r"max_tries must be in \[1"):
        grow_stopped(BetheLattice(6), 5, max_tries=0)
