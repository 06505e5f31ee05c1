"""Clusters of Z^d grown from a site: against a plain search, exact frequencies and large boxes."""

from collections import deque
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypercubic_cases import KINDS, chain_law
from scipy.sparse import csgraph
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw.clusters.hypercubic import grown as growing
from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.clusters.hypercubic.grown import grow_from_origin, grow_statistics
from percolaw.errors import ResourceError
from percolaw.graph import Graph
from percolaw.kernels import leath as kernels
from percolaw.kernels.random import bits, uniform
from percolaw.rng import Streams
from percolaw.tree import Tree

# ---- the chain, where everything is known


@pytest.mark.parametrize("kind", KINDS)
def test_grown_chains_follow_the_exact_law(kind):
    p = 0.6
    grown = grow_statistics(1, p, 40_000, 10_000, kind, rng=5)
    assert grown.whole.all()
    assert np.all(grown.loops == 0)
    counts = np.bincount(grown.size, minlength=201)
    assert chi_squared_p(counts, chain_law(p)) > P_FLOOR
    assert chi_squared_p(counts, chain_law(0.61)) < P_FLOOR
    # Clusters counted once each would be geometric.
    assert chi_squared_p(counts[1:], p ** np.arange(200) * (1 - p)) < P_FLOOR
    mean, error = mean_and_error(grown.size)
    assert_close(mean, (1 + p) / (1 - p), error)
    assert_far(mean, 1.61 / 0.39, error)
    # A chain of s sites has squared radius (s^2 - 1)/12; the origin is any of its sites.
    np.testing.assert_allclose(grown.radius_squared, (grown.size**2 - 1) / 12, atol=1e-9)
    assert np.all(grown.depth < grown.size)
    five = np.bincount(grown.depth[grown.size == 5], minlength=5)
    assert chi_squared_p(five[2:], np.array([0.2, 0.4, 0.4])) > P_FLOOR
    assert chi_squared_p(five[2:], np.full(3, 1 / 3)) < P_FLOOR


def packed(x, dimension, width):
    """A site's coordinates in one word, the origin in the middle."""
    return sum((c + (1 << (width - 1))) << (width * k) for k, c in enumerate(x))


def plain_growth(dimension, p, kind, key):
    """The cluster of the origin by a search over dictionaries: sites in order, depths, bonds."""
    width = min(64 // dimension, 31)
    keys = [np.uint64(bits(key, np.uint64(axis))) for axis in range(dimension)]
    depth = {(0,) * dimension: 0}
    bonds = set()
    queue = deque(depth)
    while queue:
        here = queue.popleft()
        for axis, step in product(range(dimension), (-1, 1)):
            there = (*here[:axis], here[axis] + step, *here[axis + 1 :])
            lower = min(here, there)
            if kind == "bond":
                is_open = uniform(keys[axis], np.uint64(packed(lower, dimension, width))) < p
            else:
                is_open = uniform(key, np.uint64(packed(there, dimension, width))) < p
                is_open = is_open or there == (0,) * dimension
            if is_open:
                bonds.add((lower, max(here, there)))
                if there not in depth:
                    depth[there] = depth[here] + 1
                    queue.append(there)
    return depth, bonds


def joined(grown):
    """Bonds of a grown cluster as pairs of coordinates, from its parents and loops."""
    x = [tuple(row) for row in grown.coordinates.tolist()]
    pairs = [(x[i], x[p]) for i, p in enumerate(grown.tree.parent.tolist()) if p >= 0]
    pairs += [(x[a], x[b]) for a, b in zip(grown.low.tolist(), grown.high.tolist(), strict=True)]
    return [(min(pair), max(pair)) for pair in pairs]


# ---- growth


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dimension", "p"),
    [(1, 0.9), (2, 0.47), (3, 0.23), (4, 0.15), (5, 0.118), (6, 0.095), (7, 0.08), (8, 0.069)],
)
def test_growth_equals_a_plain_search(dimension, p, kind):
    p = min(1.15 * p, 0.9) if kind == "site" else p
    loops, least = 0, 10 if dimension < 5 else 100
    for seed in range(5):
        grown = grow_from_origin(dimension, p, 2000, kind, rng=seed, min_size=least)
        if not grown.whole:
            continue
        for attempt in range(100):
            depth, bonds = plain_growth(dimension, p, kind, Streams(seed).key("clusters", attempt))
            if len(depth) >= least:
                break
        got = [tuple(row) for row in grown.coordinates.tolist()]
        assert dict(zip(got, grown.tree.depth().tolist(), strict=True)) == depth
        assert len(got) == len(depth)
        pairs = joined(grown)
        assert len(set(pairs)) == len(pairs)
        assert set(pairs) == bonds
        loops += grown.low.size
    assert loops > 0 or dimension == 1


@pytest.mark.parametrize(
    ("dimension", "p", "kind"),
    [(2, 0.499, "bond"), (2, 0.6, "site"), (3, 0.32, "site"), (6, 0.1, "bond")],
)
def test_grown_clusters_are_clusters(dimension, p, kind):
    grown = grow_from_origin(dimension, p, 5000, kind, rng=2, min_size=1000)
    x = grown.coordinates
    size = grown.tree.n_sites
    assert 1000 <= size <= 5000
    assert x.shape == (size, dimension)
    assert x.dtype == (np.int32 if dimension <= 3 else np.int16)
    assert np.all(x[0] == 0)
    assert np.unique(x, axis=0).shape == x.shape
    graph = grown.graph
    low, high = graph.bonds()
    assert np.all(np.abs(x[low].astype(int) - x[high]).sum(axis=1) == 1)
    assert np.unique(np.stack([low, high]), axis=1).shape == (2, low.size)
    assert low.size == size - 1 + grown.low.size
    assert graph.n_loops == grown.low.size
    Graph.from_bonds(size, low, high)
    Tree.from_parent(grown.tree.parent, grown.tree.start)
    # Depths are shortest ways: all bonds together make none shorter.
    np.testing.assert_array_equal(graph.distances_from(0), grown.tree.depth())
    shortest = csgraph.dijkstra(graph.to_sparse(), indices=0, directed=False)
    np.testing.assert_array_equal(shortest, grown.tree.depth())
    assert np.all(np.diff(grown.tree.depth()) >= 0)
    if kind == "site":
        # Neighbours in the cluster are joined, where the search went on to their bonds.
        at = {tuple(row): i for i, row in enumerate(x.tolist())}
        pairs = [
            (i, at[up])
            for site, i in at.items()
            for axis in range(dimension)
            if (up := (*site[:axis], site[axis] + 1, *site[axis + 1 :])) in at
        ]
        expected = {(min(pair), max(pair)) for pair in pairs}
        assert len(expected) == len(pairs)
        got = set(zip(low.tolist(), high.tolist(), strict=True))
        done = grown.tree.parent.max() if not grown.whole else size  # sites behind it wait
        assert got <= expected
        assert {pair for pair in expected if pair[0] < done} <= got


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dimension", "p"), [(1, 0.8), (2, 0.45), (3, 0.24), (6, 0.09)])
def test_statistics_are_those_of_the_clusters(dimension, p, kind):
    p = 1.15 * p if kind == "site" else p
    n, most = 60, 400
    key = Streams(7).key("clusters")
    got = grow_statistics(dimension, p, n, most, kind, rng=7)
    none = np.zeros(0, np.int32)
    for i in range(n):
        memory = growing._workspace(dimension, p, most, kind)
        arguments = memory.arguments(np.uint64(bits(key, np.uint64(i))))
        size, n_loops, code = kernels.grow(*arguments, none, none)
        assert got.size[i] == size
        assert got.whole[i] == (code == 0)
        if code == 1:
            assert size == got.max_size == most
            assert (got.radius_squared[i], got.depth[i], got.loops[i]) == (-1.0, -1, -1)
            continue
        x = np.empty((size, dimension), np.int32)
        kernels.unpack(memory.site[:size], dimension, memory.width, x)
        np.testing.assert_allclose(got.radius_squared[i], x.var(axis=0).sum(), atol=1e-9)
        depth = Tree(memory.parent[:size].copy(), np.array([0, size])).depth()
        assert (got.depth[i], got.loops[i]) == (depth.max(), n_loops)
    assert got.size.max() > 20


def test_statistics_do_not_depend_on_batches():
    whole = grow_statistics(3, 0.24, 10, 500, rng=3)
    parts = [grow_statistics(3, 0.24, 5, 500, rng=3, first=first) for first in (0, 5)]
    for name in ("size", "radius_squared", "depth", "loops"):
        both = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(getattr(whole, name), both)
    assert not np.array_equal(parts[0].size, parts[1].size)
    assert not np.array_equal(grow_statistics(3, 0.24, 10, 500, rng=4).size, whole.size)
    # Nor on the largest size, as long as it is not reached.
    other = grow_statistics(3, 0.24, 10, 3000, rng=3)
    np.testing.assert_array_equal(other.size[whole.whole], whole.size[whole.whole])


def small_law(dimension, p, kind):
    """P_1, P_2, P_3 and the rest for the cluster of an open site, from the animals of three sites."""
    d, q = dimension, 1 - p
    straight, bent = d, 2 * d * (d - 1)  # per site of the lattice
    if kind == "bond":
        law = [q ** (2 * d), 2 * d * p * q ** (4 * d - 2)]
        law.append(3 * (straight + bent) * p**2 * q ** (6 * d - 4))
        # Two bonds of three sites; closed are all others at them.
    else:
        law = [q ** (2 * d), 2 * d * p * q ** (4 * d - 2)]
        # The two ends of a bent one share a neighbour.
        law.append(3 * p**2 * (straight * q ** (6 * d - 4) + bent * q ** (6 * d - 5)))
    return np.array([*law, 1 - sum(law)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dimension", "p"), [(1, 0.3), (2, 0.3), (3, 0.15), (5, 0.08)])
def test_small_clusters_have_their_exact_frequencies(dimension, p, kind):
    size = grow_statistics(dimension, p, 30_000, 2000, kind, rng=8).size
    counts = np.bincount(np.minimum(size, 4), minlength=5)[1:]
    assert chi_squared_p(counts, small_law(dimension, p, kind)) > P_FLOOR
    assert chi_squared_p(counts, small_law(dimension, p + 0.015, kind)) < P_FLOOR
    other = "site" if kind == "bond" else "bond"
    if dimension in (2, 3):
        assert chi_squared_p(counts, small_law(dimension, p, other)) < P_FLOOR


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dimension", "length", "p", "wrong"), [(2, 80, 0.36, 0.37), (3, 24, 0.17, 0.18)]
)
def test_growth_has_the_law_of_a_large_box(dimension, length, p, wrong, kind):
    if kind == "site":
        p, wrong = 1.2 * p, 1.2 * wrong
    lattice = HypercubicLattice(dimension, length, kind, periodic=True)
    grown = grow_statistics(dimension, p, 60_000, 10_000, kind, rng=9)
    control = grow_statistics(dimension, wrong, 60_000, 10_000, kind, rng=9)
    assert grown.whole.all()
    sites = lattice.n_sites * (p if kind == "site" else 1.0)  # the origin of a grown one is open
    boxes = [percolate(lattice, p, rng=seed) for seed in range(40)]
    of_box = [np.bincount(f.size, f.size, minlength=2000) / sites for f in boxes]
    sizes = np.arange(2000)

    def compare(of):
        box, error = mean_and_error([of(sizes) @ row[:2000] for row in of_box])
        value, own = mean_and_error(of(grown.size))
        other, third = mean_and_error(of(control.size))
        assert_close(value, box, np.hypot(error, own))
        assert_far(other, box, np.hypot(error, third))

    compare(lambda s: s.astype(float))
    compare(lambda s: 1.0 / np.maximum(s, 1))  # clusters per site
    compare(lambda s: (s >= 5).astype(float))
    compare(lambda s: (s >= 20).astype(float))
    # Loops per site of a cluster, weighed by site, are the box's loops per site.
    loops, error = mean_and_error([f.n_loops / sites for f in boxes])
    value, own = mean_and_error(grown.loops / grown.size)
    assert_close(value, loops, np.hypot(error, own))
    other, own = mean_and_error(control.loops / control.size)
    assert_far(other, loops, np.hypot(error, own))


def test_high_dimensions_are_close_to_the_bethe_lattice():
    def bethe(z, p):
        return (1 + p) / (1 - (z - 1) * p)

    p = 0.02
    size = grow_statistics(8, p, 200_000, 10_000, rng=1).size
    mean, error = mean_and_error(size)
    # Loops take away: 4-cycles through the origin are 4 C(8, 2) = 112, of weight p^4 and a few sites.
    assert_close(mean, bethe(16, p), error, bias=1e-3)
    assert_far(mean, bethe(15, p), error)
    assert_far(mean, bethe(16, 0.021), error)
    # Near the threshold the loops show.
    size = grow_statistics(8, 0.055, 150_000, 100_000, rng=1).size
    mean, error = mean_and_error(size)
    assert mean < bethe(16, 0.055)
    assert_far(mean, bethe(16, 0.055), error)


@pytest.mark.parametrize("kind", KINDS)
def test_growth_at_the_ends(kind):
    for dimension in (1, 3, 8):
        alone = grow_from_origin(dimension, 0.0, 100, kind)
        assert (alone.tree.n_sites, alone.low.size, alone.whole) == (1, 0, True)
        assert alone.coordinates.tolist() == [[0] * dimension]
        assert alone.graph.n_sites == 1
        none = grow_statistics(dimension, 0.0, 7, 100, kind)
        assert none.size.tolist() == [1] * 7
        assert none.radius_squared.tolist() == [0.0] * 7
        assert none.depth.tolist() == none.loops.tolist() == [0] * 7
        full = grow_from_origin(dimension, 1.0, 1000, kind)
        assert (full.tree.n_sites, full.whole) == (1000, False)
        # Everything open: chemical distance is the distance along the axes.
        steps = np.abs(full.coordinates.astype(int)).sum(axis=1)
        np.testing.assert_array_equal(full.tree.depth(), steps)
        stopped = grow_statistics(dimension, 1.0, 3, 1000, kind)
        assert stopped.size.tolist() == [1000] * 3
        assert not stopped.whole.any()
        assert stopped.loops.tolist() == stopped.depth.tolist() == [-1] * 3
        assert stopped.radius_squared.tolist() == [-1.0] * 3
    diamond = grow_from_origin(2, 1.0, 2 * 9**2 + 2 * 9 + 1, kind)
    assert np.bincount(diamond.tree.depth()).tolist() == [1] + [4 * r for r in range(1, 10)]
    # More loops than a cluster of its size first has room for: it grows again.
    assert diamond.low.size == 2 * 9**2 - 2 * 9 > 181 // 3 + 64
    assert len(set(joined(diamond))) == 4 * 9**2
    only = grow_from_origin(2, 1.0, 1, kind)
    assert (only.tree.n_sites, only.whole) == (1, False)


@pytest.mark.parametrize("kind", KINDS)
def test_largest_size_stops_growth_and_nothing_else(kind):
    p = 0.5 if kind == "bond" else 0.59
    whole = grow_from_origin(2, p, 100_000, kind, rng=1)
    seed = 1
    while not (whole.whole and whole.tree.n_sites > 50):
        seed += 1
        whole = grow_from_origin(2, p, 100_000, kind, rng=seed)
    size = whole.tree.n_sites
    same = grow_from_origin(2, p, size, kind, rng=seed)
    assert same.whole
    np.testing.assert_array_equal(same.coordinates, whole.coordinates)
    np.testing.assert_array_equal(same.low, whole.low)
    for most in (size - 1, size // 2):
        part = grow_from_origin(2, p, most, kind, rng=seed)
        assert not part.whole
        assert part.tree.n_sites == most
        np.testing.assert_array_equal(part.coordinates, whole.coordinates[:most])
        np.testing.assert_array_equal(part.tree.parent, whole.tree.parent[:most])
        np.testing.assert_array_equal(part.low, whole.low[: part.low.size])
        np.testing.assert_array_equal(part.high, whole.high[: part.high.size])


def test_clusters_below_the_least_size_are_grown_again():
    p, least = 0.3, 15
    first = [grow_from_origin(2, p, 1000, rng=seed).tree.n_sites for seed in range(300)]
    again = [grow_from_origin(2, p, 1000, rng=seed, min_size=least) for seed in range(300)]
    sizes = np.array([grown.tree.n_sites for grown in again])
    assert sizes.min() >= least
    big = np.array(first) >= least
    assert 0 < big.sum() < 300
    np.testing.assert_array_equal(sizes[big], np.array(first)[big])
    # The law is that of one cluster given that it is large enough.
    law = grow_statistics(2, p, 100_000, 1000, rng=1).size
    truth, own = mean_and_error(law[law >= least])
    mean, error = mean_and_error(sizes)
    assert_close(mean, truth, np.hypot(error, own))
    wrong = grow_statistics(2, 0.36, 100_000, 1000, rng=1).size
    truth, own = mean_and_error(wrong[wrong >= least])
    assert_far(mean, truth, np.hypot(error, own))
    # Failed tries leave nothing behind in the memory they share.
    key = next(
        k for k in range(10_000) if kernel_size(2, p, Streams(0).key("clusters", k)) >= least
    )
    alone = growing._workspace(2, p, 1000, "bond")
    none = np.zeros(0, np.int32)
    size, _, _ = kernels.grow(*alone.arguments(Streams(0).key("clusters", key)), none, none)
    np.testing.assert_array_equal(again[0].tree.parent, alone.parent[:size])
    with pytest.raises(
        ValueError,
        match=r"none of 10 clusters reached 50 sites at probability 0\.1\. Raise it, lower min_size",
    ):
        grow_from_origin(2, 0.1, 100, min_size=50, max_tries=10)


def kernel_size(dimension, p, key, kind="bond"):
    memory = growing._workspace(dimension, p, 1000, kind)
    none = np.zeros(0, np.int32)
    return kernels.grow(*memory.arguments(key), none, none)[0]


def test_clusters_that_leave_the_numbered_box_are_refused(monkeypatch):
    # With 8 bits a coordinate no cluster that fits in memory gets there (at p = 1 it would hold all sites
    # within 127 steps); three bits, -3 to 3, show what happens.
    grow_memory = growing._workspace
    monkeypatch.setattr(growing, "_workspace", lambda *given: replace(grow_memory(*given), width=3))
    for dimension in (2, 8):
        message = rf"the cluster left the box of {min(64 // dimension, 31)} bits a coordinate"
        with pytest.raises(ValueError, match=message + ".* Lower max_size"):
            grow_from_origin(dimension, 1.0, 1_000_000)
        with pytest.raises(ValueError, match=message):
            grow_statistics(dimension, 1.0, 2, 1_000_000)
    # Short of that the numbers hold: all but one site of the diamond of radius 3.
    diamond = grow_from_origin(2, 1.0, 24)
    steps = np.abs(diamond.coordinates).sum(axis=1)
    assert np.bincount(steps).tolist() == [1, 4, 8, 11]
    np.testing.assert_array_equal(steps, diamond.tree.depth())


# ---- wrong input


def test_wrong_growth_is_refused():
    with pytest.raises(ValueError, match=r"min_size must be in \[1, 100\]; got 101"):
        grow_from_origin(2, 0.1, 100, min_size=101)
    with pytest.raises(ValueError, match=r"max_size must be in \[1, 1073741824\]; got 2147483648"):
        grow_from_origin(2, 0.1, 2**31)
    with pytest.raises(ValueError, match=r"dimension must be in \[1, 8\]; got 9"):
        grow_from_origin(9, 0.1, 10)
    with pytest.raises(ValueError, match=r"unknown kind 'Site'.*Did you mean 'site'"):
        grow_statistics(2, 0.1, 5, 10, "Site")
    with pytest.raises(ValueError, match=r"max_tries must be in \[1, inf\]; got 0"):
        grow_from_origin(2, 0.1, 10, max_tries=0)
    with pytest.raises(ValueError, match=r"n_clusters must be in \[1, inf\]; got 0"):
        grow_statistics(2, 0.1, 0, 10)
    with pytest.raises(ValueError, match=r"first must be in \[0, inf\]; got -1"):
        grow_statistics(2, 0.1, 1, 10, first=-1)


def test_whole_floats_count_as_integers():
    lattice = HypercubicLattice(2.0, 10.0)
    assert isinstance(lattice.dimension, int)
    assert isinstance(lattice.length, int)
    assert grow_from_origin(2.0, 0.3, 1e3).coordinates.shape[1] == 2


def test_more_clusters_than_memory_holds_are_refused():
    with pytest.raises(ResourceError, match=r"needs .* of memory"):
        grow_statistics(2, 0.1, 10**15, 10)
