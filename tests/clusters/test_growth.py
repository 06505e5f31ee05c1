"""Growth: free, against exact laws of sizes and shapes; stopped at a size, breadth first."""

import math
from itertools import pairwise

import numpy as np
import pytest
from shape_cases import CAYLEY, bethe_shapes, cayley_shapes, census, census_p, normalised, shape_law
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.clusters.growth import grow_clusters, grow_stopped
from percolaw.errors import ResourceError
from percolaw.kernels import growth as growth_kernels
from percolaw.laws.bethe import BetheLattice
from percolaw.tree import Tree


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


GROWN = [(3, 0.7), (3, 1.0), (3, 1.2), (6, 1.0), (200, 0.9), (200, 1.1), (CAYLEY, 1.0)]


@pytest.mark.parametrize(("z", "mean"), GROWN)
def test_grown_sizes_follow_the_exact_law(z, mean):
    lattice = BetheLattice(z, mean_offspring=mean)
    low, high, n = 2, 400, 12_000
    growth = grow_clusters(lattice, n, low, high, rng=14)
    sizes = growth.tree.sizes
    Tree.from_parent(growth.tree.parent, growth.tree.start)
    assert sizes.size == n
    assert low <= sizes.min()
    assert sizes.max() <= high
    edges = np.array([2, 3, 4, 5, 6, 8, 11, 16, 30, 60, 120, 401])
    counts = np.histogram(sizes, edges)[0]

    def law(of):
        return normalised(
            of.site_size_law().window_probability(int(a), int(b) - 1) for a, b in pairwise(edges)
        )

    assert chi_squared_p(counts, law(lattice)) > P_FLOOR
    wrong = BetheLattice(z, mean_offspring=mean + (0.06 if mean < 1 else -0.06))
    assert chi_squared_p(counts, law(wrong)) < P_FLOOR
    # Discards: below the window, and above it or infinite.
    assert growth.n_attempts == n + growth.n_too_small + growth.n_too_large
    tries = growth.n_attempts
    for share, truth, control in (
        (
            growth.n_too_small / tries,
            *(of.site_size_law().window_probability(1, 1) for of in (lattice, wrong)),
        ),
        (
            growth.n_too_large / tries,
            *(of.survival(401) + of.percolation_probability for of in (lattice, wrong)),
        ),
    ):
        if truth * tries < 1e-6:
            assert share == 0.0
            continue
        error = math.sqrt(truth * (1 - truth) / tries)
        assert_close(share, truth, error)
        assert_far(share, control, error)


@pytest.mark.parametrize(("z", "p"), [(3, 0.6), (6, 0.3)])
def test_percolation_probability_above_criticality(z, p):
    lattice = BetheLattice(z, p)
    growth = grow_clusters(lattice, 10_000, 1, 250, rng=15)
    # A finite cluster beyond 250 sites has probability below 1e-6 here.
    assert lattice.survival(251) < 1e-6
    theta = lattice.percolation_probability
    error = math.sqrt(theta * (1 - theta) / growth.n_attempts)
    measured = growth.n_too_large / growth.n_attempts
    assert_close(measured, theta, error)
    assert_far(measured, BetheLattice(z, p + 0.02).percolation_probability, error)
    # A branch, not a site, percolates with probability 1 - q.
    assert_far(measured, 1 - lattice.extinction_probability, error)


@pytest.mark.parametrize(("z", "size"), [(3, 6), (6, 5), (CAYLEY, 6)])
def test_grown_shapes_given_size_are_the_conditioned_shapes(z, size):
    # Off criticality: the shape given its size does not depend on p.
    lattice = BetheLattice(z, mean_offspring=0.8)
    tree = grow_clusters(lattice, 20_000, size, size, rng=16).tree
    counts = census(tree, 0)
    assert census_p(counts, shape_law(z, size, 0)) > P_FLOOR
    wrong = cayley_shapes(size, 0) if z != CAYLEY else bethe_shapes(6, size, 0)
    law = shape_law(z, size, 0)
    values = normalised(wrong.get(shape, 0.0) for shape in law)
    assert chi_squared_p([counts[s] for s in law], values) < P_FLOOR


def test_growth_is_keyed_by_attempt():
    lattice = BetheLattice(6)
    short = grow_clusters(lattice, 50, 3, 100, rng=17)
    long = grow_clusters(lattice, 80, 3, 100, rng=17)
    np.testing.assert_array_equal(long.tree.start[:51], short.tree.start)
    np.testing.assert_array_equal(long.tree.parent[: short.tree.n_sites], short.tree.parent)
    other = grow_clusters(lattice, 50, 3, 100, rng=18)
    assert not np.array_equal(other.tree.start, short.tree.start)


def test_growth_refuses_hopeless_windows():
    for lattice, low, high in (
        (BetheLattice(3, 0.1), 1000, 2000),
        (BetheLattice(3, 0.0), 2, 100),
        (BetheLattice(3, 1.0), 1, 100),
        (BetheLattice(200), 10**9, 2 * 10**9),
    ):
        with pytest.raises(
            ValueError,
            match=r"(keeping 1000 means growing|never has|exceed) .*(Widen the window|in parts)",
        ):
            grow_clusters(lattice, 1000, low, high)
    with pytest.raises(ValueError, match=r"max_size must be in \[5, 2147483647\]; got 4"):
        grow_clusters(BetheLattice(3), 10, 5, 4)
    with pytest.raises(ValueError, match=r"n_clusters must be in \[1, inf\]; got 0"):
        grow_clusters(BetheLattice(3), 0)


def test_growth_refuses_more_kept_sites_than_memory_or_int32_hold(monkeypatch):
    def stop(*args):
        raise AssertionError("growth was started")

    monkeypatch.setattr(growth_kernels, "grow_clusters", stop)
    # Mean size in the window about 4000: 4e11 sites would be kept.
    with pytest.raises((ResourceError, ValueError)):
        grow_clusters(BetheLattice(200), 10**8)
