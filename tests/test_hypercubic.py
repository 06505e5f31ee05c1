"""Lattices: labels, sweeps and grown clusters against plain constructions, enumeration, exact laws."""

import hashlib
import os
import subprocess
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from itertools import pairwise, product

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse import csgraph
from scipy.stats import binom
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw import checks
from percolaw.clusters.hypercubic import grown as growing
from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.clusters.hypercubic.grown import grow_from_origin, grow_statistics
from percolaw.clusters.hypercubic.newman_ziff import sweep
from percolaw.errors import ResourceError
from percolaw.graph import Graph
from percolaw.kernels import leath as kernels
from percolaw.kernels.random import bits, uniform
from percolaw.laws import hypercubic as literature
from percolaw.rng import Streams
from percolaw.tree import Tree

KINDS = ("bond", "site")


@pytest.fixture(autouse=True, scope="module")
def memory_is_read_once():
    """Thousands of small lattices need not ask the system each time how much memory it has."""
    free = checks.available_memory()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "available_memory", lambda: free)
        yield


# ---- plain constructions, independent of the package but for the hash


@cache
def lattice_bonds(dimension, length, periodic):
    """All bonds as (number, low, high, axis): number d * low + axis; high is one step up from low."""
    sites = list(product(range(length), repeat=dimension))  # in no order that matters
    number = {x: sum(c * length**k for k, c in enumerate(x)) for x in sites}
    rows = []
    for x in sites:
        for axis in range(dimension):
            up = list(x)
            up[axis] += 1
            if up[axis] == length:
                if not periodic:
                    continue
                up[axis] = 0
            rows.append((dimension * number[x] + axis, number[x], number[tuple(up)], axis))
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 4)


def open_parts(lattice, probability, seed):
    """Which sites are open, and the open bonds between open sites."""
    key = Streams(seed).key("clusters")
    bonds = lattice_bonds(lattice.dimension, lattice.length, lattice.periodic)
    if lattice.kind == "bond":
        kept = [uniform(key, np.uint64(i)) < probability for i in bonds[:, 0]]
        return np.ones(lattice.n_sites, bool), bonds[np.array(kept, bool)]
    here = np.array([uniform(key, np.uint64(i)) < probability for i in range(lattice.n_sites)])
    return here, bonds[here[bonds[:, 1]] & here[bonds[:, 2]]]


def components(n, bonds, here):
    """Cluster of each site by SciPy, numbered by first site, -1 where it is closed; and the sizes."""
    matrix = sparse.coo_array((np.ones(len(bonds)), (bonds[:, 1], bonds[:, 2])), (n, n))
    part = csgraph.connected_components(matrix, directed=False)[1]
    part[~here] = -1
    first = {}
    label = np.array([first.setdefault(k, len(first)) if k >= 0 else -1 for k in part.tolist()])
    return label, np.bincount(label[label >= 0], minlength=len(first))


def winding(n, bonds, length, dimension):
    """Along which axes the open bonds close a loop round the torus: a search that unwraps it."""
    neighbours = [[] for _ in range(n)]
    for _, low, high, axis in bonds.tolist():
        neighbours[low].append((high, axis, 1))
        neighbours[high].append((low, axis, -1))
    at = [None] * n
    winds = np.zeros(dimension, bool)
    for start in range(n):
        if at[start] is not None:
            continue
        at[start] = (0,) * dimension
        queue = deque([start])
        while queue:
            here = queue.popleft()
            for there, axis, step in neighbours[here]:
                x = list(at[here])
                x[axis] += step
                if at[there] is None:
                    at[there] = tuple(x)
                    queue.append(there)
                else:
                    winds |= np.array(at[there]) != x
    return winds


# ---- labels

BOXES = [
    *((1, 40, 0.7), (1, 3, 0.6), (2, 9, 0.5), (2, 3, 0.4), (3, 5, 0.26), (3, 3, 0.3)),
    *((4, 3, 0.17), (4, 4, 0.2)),
]


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dimension", "length", "probability"), BOXES)
def test_labels_are_the_connected_components(dimension, length, probability, kind, periodic):
    lattice = HypercubicLattice(dimension, length, kind, periodic)
    n = lattice.n_sites
    bonds = lattice_bonds(dimension, length, periodic)
    assert n == length**dimension
    assert lattice.n_bonds == len(bonds)
    if kind == "site":
        probability = min(1.5 * probability, 0.9)
    for seed in range(3):
        here, bonds = open_parts(lattice, probability, seed)
        label, size = components(n, bonds, here)
        found = percolate(lattice, probability, rng=seed)
        np.testing.assert_array_equal(found.cluster, label)
        np.testing.assert_array_equal(found.size, size)
        assert found.cluster.dtype == np.int32
        assert (found.n_open_bonds, found.n_open) == (len(bonds), here.sum())
        assert found.n_clusters == size.size
        assert found.n_loops == len(bonds) - here.sum() + size.size
        assert found.largest_share == size.max() / n
        # Mean size of the cluster of a random site, closed ones counting 0.
        seen = np.where(label >= 0, size[label], 0)
        assert found.susceptibility() == pytest.approx(seen.mean())
        without = found.susceptibility() - size.max() ** 2 / n
        assert found.susceptibility(largest=False) == pytest.approx(without)
        sizes, density = found.size_distribution()
        assert np.all(np.diff(sizes) > 0)
        assert (sizes * density).sum() == pytest.approx(here.mean())
        np.testing.assert_allclose(density * n, [np.count_nonzero(size == s) for s in sizes])
        # Control: another seed opens others.
        assert n < 10 or not np.array_equal(percolate(lattice, probability, rng=99).cluster, label)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dimension", "length", "probability"), BOXES)
def test_graphs_hold_the_open_bonds_of_their_clusters(
    dimension, length, probability, kind, periodic
):
    lattice = HypercubicLattice(dimension, length, kind, periodic)
    probability = min(1.5 * probability, 0.9) if kind == "site" else probability
    _, bonds = open_parts(lattice, probability, 5)
    found = percolate(lattice, probability, rng=5)
    everything = np.random.default_rng(0).permutation(found.n_clusters)
    for asked in (None, everything, everything[:2]):
        part = found.graph(asked)
        names = [int(np.argmax(found.size))] if asked is None else asked.tolist()
        graph, site = part.graph, part.site
        np.testing.assert_array_equal(graph.sizes, found.size[names])
        for k, name in enumerate(names):
            own = site[graph.start[k] : graph.start[k + 1]]
            np.testing.assert_array_equal(own, np.flatnonzero(found.cluster == name))
        kept = bonds[np.isin(found.cluster[bonds[:, 1]], names)]
        low, high = graph.bonds()
        got = [
            tuple(sorted(pair))
            for pair in zip(site[low].tolist(), site[high].tolist(), strict=True)
        ]
        assert len(set(got)) == len(got) == len(kept)
        assert set(got) == {(min(a, b), max(a, b)) for a, b in kept[:, 1:3].tolist()}
        graph.spanning_tree()  # every cluster is connected
        # Coordinates are those of the lattice.
        x = part.coordinates
        assert x.shape == (graph.n_sites, dimension)
        assert x.min() >= 0
        assert x.max() < length
        np.testing.assert_array_equal(x @ length ** np.arange(dimension), site)
    assert found.graph(everything).graph.n_loops == found.n_loops


@pytest.mark.parametrize("kind", KINDS)
def test_certain_and_impossible(kind):
    lattice = HypercubicLattice(3, 4, kind)
    closed, full = percolate(lattice, 0.0), percolate(lattice, 1.0)
    assert full.size.tolist() == [64]
    assert (full.n_open_bonds, full.n_loops) == (144, 144 - 64 + 1)
    assert (full.largest_share, full.susceptibility()) == (1.0, 64.0)
    assert full.susceptibility(largest=False) == 0.0
    assert full.graph().graph.n_bonds == 144
    assert closed.n_open_bonds == 0
    if kind == "bond":
        assert closed.size.tolist() == [1] * 64
        assert closed.susceptibility() == 1.0
        assert closed.graph().graph.n_sites == 1
    else:
        assert closed.size.size == 0
        assert np.all(closed.cluster == -1)
        assert (closed.largest_share, closed.susceptibility(largest=False)) == (0.0, 0.0)
        with pytest.raises(ValueError, match="no site is open at probability 0; raise it"):
            closed.clusters_of_random_sites(3)


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_higher_probability_opens_more_and_closes_none(kind, periodic):
    lattice = HypercubicLattice(2, 30, kind, periodic)

    def open_bonds(p, seed):
        found = percolate(lattice, p, rng=seed)
        part = found.graph(np.arange(found.n_clusters)) if found.n_clusters else None
        low, high = (part.site[x] for x in part.graph.bonds())
        return set(zip(np.minimum(low, high).tolist(), np.maximum(low, high).tolist(), strict=True))

    levels = [0.1, 0.3, 0.5, 0.55, 0.8, 1.0]
    sets = [open_bonds(p, 3) for p in levels]
    for less, more in pairwise(sets):
        assert less < more
    # Clusters only merge: two sites that are together stay together.
    small, large = percolate(lattice, 0.5, rng=3), percolate(lattice, 0.55, rng=3)
    inside = small.cluster >= 0
    assert np.all(large.cluster[inside] >= 0)
    pairs = np.unique(np.stack([small.cluster, large.cluster])[:, inside], axis=1)
    assert pairs.shape[1] == small.n_clusters
    # Control: another seed.
    assert not open_bonds(0.3, 4) <= open_bonds(0.8, 3)


def test_random_sites_meet_clusters_by_size():
    found = percolate(HypercubicLattice(2, 12, "site"), 0.55, rng=1)
    met = found.clusters_of_random_sites(40, rng=2)
    assert np.all(np.diff(found.size[met]) <= 0)
    assert np.unique(met).size == met.size
    first = np.array([found.clusters_of_random_sites(1, rng=k)[0] for k in range(3000)])
    counts = np.bincount(first, minlength=found.n_clusters)
    assert chi_squared_p(counts, found.size / found.n_open) > P_FLOOR
    assert chi_squared_p(counts, np.full(found.n_clusters, 1 / found.n_clusters)) < P_FLOOR


# ---- enumeration of every configuration


@cache
def enumeration(dimension, length, kind, periodic, wraps=False):
    """Over all configurations, by the number open: how many there are, sums of clusters, loops, squares,
    squares of the largest and, if asked, of windings along the first axis.
    """
    n = length**dimension
    bonds = lattice_bonds(dimension, length, periodic)
    items = len(bonds) if kind == "bond" else n
    sums = np.zeros((items + 1, 6))
    for choice in product((False, True), repeat=items):
        chosen = np.array(choice)
        if kind == "bond":
            here, kept = np.ones(n, bool), bonds[chosen]
        else:
            here, kept = chosen, bonds[chosen[bonds[:, 1]] & chosen[bonds[:, 2]]]
        parent = list(range(n))
        for _, a, b, _ in kept.tolist():
            while parent[a] != a:
                a = parent[a]
            while parent[b] != b:
                b = parent[b]
            parent[max(a, b)] = min(a, b)
        roots = []
        for i in range(n):
            while parent[i] != parent[parent[i]]:
                parent[i] = parent[parent[i]]
            roots.append(parent[i])
        size = np.bincount(np.array(roots)[here], minlength=1)
        size = size[size > 0]
        row = (1, size.size, len(kept) - here.sum() + size.size, (size**2).sum())
        wind = winding(n, kept, length, dimension)[0] if wraps else 0
        sums[chosen.sum()] += (*row, size.max(initial=0), wind)
    return sums


def exact(sums, p):
    """Expectations at p: clusters, loops, sum of squares, largest, winding."""
    items = len(sums) - 1
    k = np.arange(items + 1)
    assert sums[:, 0].sum() == 2**items
    return (p**k * (1 - p) ** (items - k)) @ sums[:, 1:]


TINY = [(2, 2, "bond", False), (2, 3, "site", False), (3, 2, "bond", False), (2, 3, "site", True)]


@pytest.mark.parametrize("case", TINY, ids=str)
def test_tiny_boxes_equal_the_enumeration_of_all_configurations(case):
    lattice = HypercubicLattice(*case)
    sums = enumeration(*case)
    for p in (0.25, 0.6):
        found = [percolate(lattice, p, rng=seed) for seed in range(1500)]
        rows = [
            [f.n_clusters, f.n_loops, float((f.size**2).sum()), f.size.max(initial=0)]
            for f in found
        ]
        truth, wrong = exact(sums, p), exact(sums, p + 0.1)
        assert found[0].n_open_bonds <= lattice.n_bonds
        for k, sample in enumerate(np.array(rows, dtype=float).T):
            mean, error = mean_and_error(sample)
            assert_close(mean, truth[k], error)
            # Few loops at low p, and numbers of clusters with a maximum, do not tell p apart.
            if k >= 2:
                assert_far(mean, wrong[k], error)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_law_of_a_square(kind):
    # 2 x 2 sites: every one of the 16 configurations with its probability.
    lattice = HypercubicLattice(2, 2, kind)
    p = 0.4
    bonds = lattice_bonds(2, 2, False)
    counts = np.zeros(16)
    for seed in range(4000):
        found = percolate(lattice, p, rng=seed)
        if kind == "site":
            counts[(found.cluster >= 0) @ 2 ** np.arange(4)] += 1
            continue
        part = found.graph(np.arange(found.n_clusters))
        low, high = (part.site[x].tolist() for x in part.graph.bonds())
        pairs = {tuple(sorted(x)) for x in zip(low, high, strict=True)}
        counts[sum(2**i for i, b in enumerate(bonds[:, 1:3].tolist()) if tuple(b) in pairs)] += 1

    def law(q):
        n_open = np.array([bin(i).count("1") for i in range(16)])
        return q**n_open * (1 - q) ** (4 - n_open)

    assert chi_squared_p(counts, law(p)) > P_FLOOR
    assert chi_squared_p(counts, law(p + 0.05)) < P_FLOOR


# ---- the chain, where everything is known


def chain_law(p, most=200):
    """P_s = s p^(s - 1) (1 - p)^2 from s = 0: of the cluster of a site, given open."""
    s = np.arange(most + 1)
    return s * p ** np.maximum(s - 1.0, 0.0) * (1 - p) ** 2


@pytest.mark.parametrize("kind", KINDS)
def test_chain_has_its_exact_laws(kind):
    n, p = 400_000, 0.6
    found = percolate(HypercubicLattice(1, n, kind, periodic=True), p, rng=4)
    # Number of clusters: closed bonds, or open sites followed by a closed one (pairs that share a site
    # exclude each other).
    if kind == "bond":
        mean, variance, wrong = n * (1 - p), n * p * (1 - p), n * (0.99 - p)
        assert found.n_open_bonds == n - found.n_clusters
    else:
        q = p * (1 - p)
        mean, variance, wrong = n * q, n * (q - 3 * q**2), n * 0.61 * 0.39
        assert_close(found.n_open, n * p, np.sqrt(n * p * (1 - p)))
        assert found.n_open_bonds == found.n_open - found.n_clusters
    assert_close(found.n_clusters, mean, np.sqrt(variance))
    assert_far(found.n_clusters, wrong, np.sqrt(variance))
    # Sizes of clusters are geometric: n_s = p^(s - 1) (1 - p)^2 per site in bond percolation, where every
    # site is open, and p times that in site percolation.
    s = np.arange(1, 100)
    counts = np.bincount(found.size, minlength=100)[1:100]
    assert counts.sum() == found.n_clusters
    assert chi_squared_p(counts, p ** (s - 1) * (1 - p)) > P_FLOOR
    assert chi_squared_p(counts, 0.61 ** (s - 1) * 0.39) < P_FLOOR
    # Seen from sites 100 apart, which are independent.
    cluster = found.cluster[::100]
    sizes = np.bincount(found.size[cluster[cluster >= 0]], minlength=201)
    assert chi_squared_p(sizes, chain_law(p)) > P_FLOOR
    assert chi_squared_p(sizes, chain_law(0.65)) < P_FLOOR
    assert found.n_loops == 0


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


# ---- sweeps


def ordered(lattice, seed):
    """The order in which a sweep opens bonds (by rank among all) or sites."""
    total = lattice.n_bonds if lattice.kind == "bond" else lattice.n_sites
    order = np.arange(total, dtype=np.int32)
    Streams(seed).generator("clusters").shuffle(order)
    return order


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dimension", "length", "seeds"),
    [(1, 5, 20), (2, 3, 20), (2, 4, 15), (3, 3, 4), (4, 3, 1), (6, 3, 1), (8, 3, 1)],
)
def test_sweeps_equal_a_search_of_the_unwrapped_torus(dimension, length, seeds, kind):
    lattice = HypercubicLattice(dimension, length, kind, periodic=True)
    n = lattice.n_sites
    bonds = lattice_bonds(dimension, length, True)
    total = lattice.n_bonds if kind == "bond" else n
    np.testing.assert_array_equal(bonds[:, 0], np.arange(lattice.n_bonds))
    if dimension < 4:
        at = np.arange(0, total + 1, 1 if dimension < 3 else 4)
    else:  # where the first clusters wind
        p_wind = {"bond": {4: 0.22, 6: 0.12, 8: 0.075}, "site": {4: 0.25, 6: 0.13, 8: 0.085}}
        p = p_wind[kind][dimension]
        at = np.array([p, 1.3 * p]) * total if dimension < 8 else np.array([p * total])
        at = at.astype(int)
    partly = 0
    for seed in range(seeds):
        order = ordered(lattice, seed)
        got = sweep(lattice, rng=seed, n_open=at)
        for record, m in enumerate(at):
            here = np.full(n, kind == "bond")
            if kind == "bond":
                kept = bonds[order[:m]]
            else:
                here[order[:m]] = True
                kept = bonds[here[bonds[:, 1]] & here[bonds[:, 2]]]
            _, size = components(n, kept, here)
            assert got.largest[record] == size.max(initial=0)
            assert got.square[record] == (size**2).sum()
            assert got.loops[record] == len(kept) - here.sum() + size.size
            winds = winding(n, kept, length, dimension)
            np.testing.assert_array_equal(got.wrapped[record], winds)
            partly += 0 < winds.sum() < dimension
    assert partly > 0 or dimension in (1, 4, 6, 8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_record_is_everything_open(kind):
    for dimension, length in ((1, 9), (2, 30), (3, 8), (5, 4)):
        lattice = HypercubicLattice(dimension, length, kind, periodic=True)
        n = lattice.n_sites
        got = sweep(lattice, rng=1)
        total = lattice.n_bonds if kind == "bond" else n
        assert (got.n_open[0], got.n_open[-1]) == (0, total)
        assert got.n_open.size == min(1001, total + 1)
        assert got.largest[-1] == n
        assert got.square[-1] == n**2
        assert got.loops[-1] == lattice.n_bonds - n + 1
        assert got.wrapped[-1].all()
        assert got.largest[0] == (kind == "bond")
        assert got.square[0] == (n if kind == "bond" else 0)
        assert not got.wrapped[0].any()
        for rising in (got.largest, got.square, got.loops, *got.wrapped.T.astype(int)):
            assert np.all(np.diff(rising) >= 0)
        # Without wrapping, and with fewer records, the rest is the same.
        some = got.n_open[1::7]
        other = sweep(lattice, rng=1, n_open=some, wrapping=False)
        np.testing.assert_array_equal(other.n_open, some)
        np.testing.assert_array_equal(other.largest, got.largest[1::7])
        np.testing.assert_array_equal(other.square, got.square[1::7])
        np.testing.assert_array_equal(other.loops, got.loops[1::7])
        assert not other.wrapped.any()


@pytest.mark.parametrize("kind", KINDS)
def test_sweeps_at_a_probability_equal_the_enumeration(kind):
    # A ring of three has as few as eight configurations, the site torus of 3 x 3 has 512.
    dimension = 1 if kind == "bond" else 2
    lattice = HypercubicLattice(dimension, 3, kind, periodic=True)
    sums = enumeration(dimension, 3, kind, True, wraps=True)
    everything = np.arange(len(sums))
    p = np.array([0.0, 0.3, 0.6, 1.0])
    found = [sweep(lattice, rng=seed, n_open=everything).at(p) for seed in range(2000)]
    names = ("loops", "susceptibility", "largest_share")
    for k, name in enumerate(names, start=1):
        for j in (1, 2):
            truth, wrong = (exact(sums, q)[k] / lattice.n_sites for q in (p[j], p[j] + 0.03))
            sample = np.array([f[name][j] for f in found])
            if sample.std() < 1e-12:  # on the ring the number open says everything
                np.testing.assert_allclose(sample, truth)
                continue
            mean, error = mean_and_error(sample)
            assert_close(mean, truth, error)
            assert_far(mean, wrong, error)
        for j, q in ((0, 0.0), (3, 1.0)):
            assert found[0][name][j] == pytest.approx(exact(sums, q)[k] / lattice.n_sites)
    winds = np.array([f["wrapped"][:, 0] for f in found])
    for j in (1, 2):
        truth = exact(sums, p[j])[4]
        if winds[:, j].std() < 1e-12:
            np.testing.assert_allclose(winds[:, j], truth)
            continue
        mean, error = mean_and_error(winds[:, j])
        assert_close(mean, truth, error)
        assert_far(mean, exact(sums, p[j] + 0.03)[4], error)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dimension", "length", "p"), [(2, 8, 0.45), (3, 5, 0.25)])
def test_sweeps_at_a_probability_equal_percolation(dimension, length, p, kind):
    p = 1.25 * p if kind == "site" else p
    lattice = HypercubicLattice(dimension, length, kind, periodic=True)
    total = lattice.n_bonds if kind == "bond" else lattice.n_sites
    everything = np.arange(total + 1)
    swept = [sweep(lattice, rng=seed, n_open=everything).at([p, p + 0.05]) for seed in range(400)]
    found = [percolate(lattice, p, rng=seed) for seed in range(1000)]
    for name, values in (
        ("largest_share", [f.largest_share for f in found]),
        ("susceptibility", [f.susceptibility() for f in found]),
        ("loops", [f.n_loops / lattice.n_sites for f in found]),
    ):
        mean, error = mean_and_error(values)
        got, other = mean_and_error([s[name][0] for s in swept])
        assert_close(got, mean, np.hypot(error, other))
        wrong, other = mean_and_error([s[name][1] for s in swept])
        assert_far(wrong, mean, np.hypot(error, other))


def test_few_records_stand_for_their_surroundings():
    lattice = HypercubicLattice(2, 20, periodic=True)
    full = sweep(lattice, rng=2, n_open=np.arange(801))
    few = sweep(lattice, rng=2, n_open=np.arange(0, 801, 4))
    p = np.linspace(0.0, 1.0, 11)
    for name in ("largest_share", "susceptibility", "loops"):
        a, b = full.at(p)[name], few.at(p)[name]
        assert a.shape == (11,)
        np.testing.assert_allclose(a, b, atol=0.02 * a.max())
    assert full.at(0.5)["wrapped"].shape == (1, 2)
    # The weights are the binomial law of the number open.
    weighted = binom.pmf(np.arange(801), 800, 0.47) @ full.loops / 400
    assert full.at(0.47)["loops"][0] == pytest.approx(weighted)


def test_wrapping_of_the_critical_square_torus():
    lattice = HypercubicLattice(2, 32, periodic=True)

    def wrapped(p, n):
        number = np.random.default_rng(1).binomial(lattice.n_bonds, p, n)
        return np.array(
            [sweep(lattice, rng=k, n_open=[m]).wrapped[0] for k, m in enumerate(number)]
        )

    at, below = wrapped(0.5, 4000), wrapped(0.48, 1500)
    for truth, of in (
        (literature.WRAPPING_ALONG_AXIS, lambda w: w[:, 0]),
        (literature.WRAPPING_ALONG_AXIS, lambda w: w[:, 1]),
        (literature.WRAPPING_EITHER, lambda w: w.any(axis=1)),
        (literature.WRAPPING_BOTH, lambda w: w.all(axis=1)),
    ):
        mean, error = mean_and_error(of(at))
        # Corrections to the infinite torus are below 0.003 at this length (Newman and Ziff 2001).
        assert_close(mean, truth, error, bias=0.003)
        mean, error = mean_and_error(of(below))
        assert_far(mean, truth, error)
    either, both = literature.WRAPPING_EITHER, literature.WRAPPING_BOTH
    assert either + both == pytest.approx(2 * literature.WRAPPING_ALONG_AXIS, abs=1e-12)


# ---- growth


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dimension", "p"),
    [(1, 0.9), (2, 0.47), (3, 0.23), (4, 0.15), (5, 0.118), (6, 0.095), (7, 0.08), (8, 0.069)],
)
def test_growth_equals_a_plain_search(dimension, p, kind):
    p = min(1.15 * p, 0.9) if kind == "site" else p
    loops, least = 0, 10 if dimension < 5 else 100
    for seed in range(8):
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


# ---- thresholds and exponents


def test_thresholds_and_exponents():
    assert HypercubicLattice(3, 4, "site").critical_probability == 0.31160768
    assert literature.hypercubic_threshold(2) == 0.5
    for kind in KINDS:
        values = [literature.hypercubic_threshold(d, kind) for d in range(1, 9)]
        assert values[0] == 1.0
        assert np.all(np.diff(values) < 0)
        # Above the Bethe lattice's 1/(2d - 1), and closer to it the higher d.
        excess = [p * (2 * d - 1) - 1 for d, p in enumerate(values, start=1)]
        assert min(excess[1:]) > 0
        assert np.all(np.diff(excess[1:]) < 0)
    assert all(
        literature.hypercubic_threshold(d, "site") > literature.hypercubic_threshold(d)
        for d in range(2, 9)
    )
    assert "Kesten" in literature.threshold_source(2)
    for d in range(2, 6):
        e = literature.critical_exponents(d)
        # Hyperscaling, to the digits given.
        assert e.fisher_exponent == pytest.approx(1 + d / e.fractal_dimension, abs=2e-4)
        product_ = e.cutoff_exponent * e.correlation_exponent * e.fractal_dimension
        assert product_ == pytest.approx(1.0, abs=2e-3)
        assert e.spectral_dimension == pytest.approx(
            1.33, abs=0.04
        )  # Alexander and Orbach: 4/3, nearly
    for d in (6, 7, 20):
        e = literature.critical_exponents(d)
        assert (e.rank_exponent, e.spectral_dimension, e.free_field_exponent) == (1.0, 4 / 3, 0.5)
        assert e.cluster_exponent() == 0.5
        assert e.dimension == d
    with pytest.raises(ValueError, match=r"dimension must be in \[1, 8\]; got 9"):
        literature.hypercubic_threshold(9)
    with pytest.raises(ValueError, match=r"unknown kind 'bonds'; .*Did you mean 'bond'"):
        literature.hypercubic_threshold(2, "bonds")
    with pytest.raises(ValueError, match=r"dimension must be in \[2, inf\]; got 1"):
        literature.critical_exponents(1)


# ---- wrong input


def test_wrong_input_messages():
    for bad, message in (
        ((0, 4), r"dimension must be in \[1, 8\]; got 0"),
        ((9, 4), r"dimension must be in \[1, 8\]; got 9"),
        ((2, 1), r"length must be in \[2, inf\]; got 1"),
        ((2, 2, "bond", True), r"length must be in \[3, inf\]; got 2"),
        ((2, 4, "Bond"), "unknown kind 'Bond'; choose from bond, site. Did you mean 'bond'"),
        ((8, 10**6), "1000000\\^8 sites cannot be numbered; lower length"),
    ):
        with pytest.raises(ValueError, match=message):
            HypercubicLattice(*bad)
    for periodic in ("yes", 1, None):
        with pytest.raises(TypeError, match=r"periodic must be True .* or False \(free edges\)"):
            HypercubicLattice(2, 4, periodic=periodic)
    box = HypercubicLattice(2, 4)
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\]; got"):
            percolate(box, p)
        with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\]; got"):
            grow_from_origin(2, p)
        with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\]; got"):
            grow_statistics(2, p, 5, 100)
    with pytest.raises(ValueError, match="probability must be a finite number"):
        percolate(box, float("nan"))
    with pytest.raises(TypeError, match="rng must be an integer seed"):
        percolate(box, 0.5, rng="0")
    found = percolate(box, 0.5)
    for clusters in ([0, 0], []):
        with pytest.raises(ValueError, match="must name at least one cluster, and none twice"):
            found.graph(clusters)
    with pytest.raises(ValueError, match=r"clusters must lie in \[0, \d+\]; got ids from 99 to 99"):
        found.graph([99])
    with pytest.raises(ValueError, match=r"n must be in \[1, inf\]; got 0"):
        found.clusters_of_random_sites(0)
    with pytest.raises(ValueError, match=r"sites must lie in \[0, 15\]; got ids from 16 to 16"):
        box.coordinates([16])


def test_boxes_beyond_memory_are_refused_before_they_are_made():
    with pytest.raises(
        ResourceError,
        match=r"percolation on 10{18} sites needs \S+ TiB of memory and .* available\. Lower length, or",
    ):
        percolate(HypercubicLattice(3, 10**6), 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "available_memory", lambda: 10**5)
        with pytest.raises(ResourceError, match=r"a cluster of 1073741824 sites .*Lower max_size"):
            grow_from_origin(3, 0.2, 2**30)
        with pytest.raises(ResourceError, match=r"a cluster of 1000000 sites .*Lower max_size"):
            grow_statistics(3, 0.2, 5, 10**6)
        with pytest.raises(ResourceError, match=r"a sweep over 20000 bonds .*Lower length"):
            sweep(HypercubicLattice(2, 100, periodic=True))
        with pytest.raises(ResourceError, match=r"percolation on 10000 sites .*Lower length"):
            percolate(HypercubicLattice(2, 100), 0.5)
    found = percolate(HypercubicLattice(2, 100), 0.9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checks, "available_memory", lambda: 10**5)
        with pytest.raises(ResourceError, match=r"a graph of \d+ sites .*Ask for fewer clusters"):
            found.graph()


def test_wrong_sweeps_are_refused():
    torus = HypercubicLattice(2, 4, periodic=True)
    with pytest.raises(ValueError, match=r"a sweep needs periodic edges: .*periodic=True"):
        sweep(HypercubicLattice(2, 4))
    for n_open in ([3, 3], [3, 2], []):
        with pytest.raises(ValueError, match="n_open must hold numbers that rise strictly"):
            sweep(torus, n_open=n_open)
    for n_open in ([-1], [33]):
        with pytest.raises(ValueError, match=r"n_open must lie in \[0, 32\]; got ids from"):
            sweep(torus, n_open=n_open)
    with pytest.raises(TypeError, match="n_open must be integer site ids; got dtype float64"):
        sweep(torus, n_open=[1.5])
    with pytest.raises(
        ValueError, match=r"opens at most 2\^31 - 1 .*; got 2251799813685248. Lower"
    ):
        sweep(HypercubicLattice(8, 64, periodic=True))
    with pytest.raises(ValueError, match=r"probability must lie in \[0, 1\]; got"):
        sweep(torus).at([0.5, 1.2])
    with pytest.raises(ValueError, match="non-finite"):
        sweep(torus).at(float("nan"))


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


def test_graph_where_nothing_is_open_is_refused():
    with pytest.raises(ValueError, match="no site is open"):
        percolate(HypercubicLattice(2, 4, "site"), 0.0).graph()


def test_more_clusters_than_memory_holds_are_refused():
    with pytest.raises(ResourceError, match=r"needs .* of memory"):
        grow_statistics(2, 0.1, 10**15, 10)


# ---- the same numbers every time, with any number of threads, and without compilation

SCRIPT = """
import hashlib, warnings
import numpy as np
warnings.simplefilter("ignore", RuntimeWarning)  # uint64 wraps around; NumPy scalars say so
from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.clusters.hypercubic.grown import grow_from_origin, grow_statistics
from percolaw.clusters.hypercubic.newman_ziff import sweep

def digest(seed):
    pure, drawn = hashlib.sha256(), hashlib.sha256()
    def add(*arrays, to=pure):
        for array in arrays:
            to.update(np.ascontiguousarray(array).astype("<i8").tobytes())

    for dimension, length, p in ((1, 30, 0.7), (2, 7, 0.5), (3, 4, 0.3), (8, 2, 0.08)):
        for kind in ("bond", "site"):
            for periodic in (False, True):
                if periodic and length < 3:
                    continue
                lattice = HypercubicLattice(dimension, length, kind, periodic)
                found = percolate(lattice, p, seed)
                part = found.graph(np.arange(found.n_clusters))
                graph = part.graph
                near = graph.nearest(np.arange(0, graph.n_sites, 5), rng=seed)
                tree, site = graph.spanning_tree()
                add(found.cluster, found.size, [found.n_open_bonds], graph.indptr, graph.neighbor,
                    part.site, *near, tree.parent, site, *graph.pruned())
                if periodic:
                    got = sweep(lattice, seed, n_open=np.arange(0, lattice.n_sites, 7))
                    add(got.largest, got.square, got.loops, got.wrapped, to=drawn)
            grown = grow_from_origin(dimension, 0.9 * p, 80, kind, seed, min_size=3)
            add(grown.tree.parent, grown.coordinates, grown.low, grown.high, [grown.whole])
            many = grow_statistics(dimension, 0.9 * p, 10, 40, kind, seed)
            add(many.size, many.depth, many.loops, np.rint(1e6 * many.radius_squared))
    return pure.hexdigest(), drawn.hexdigest()
"""

PINNED = "9da883f7c7ea1ff06b27e73af663f886a84b78cb15d904416ff001628c211f40"


def script_digest(seed):
    names = {}
    exec(SCRIPT, names)
    return names["digest"](seed)


def test_numbers_do_not_depend_on_threads_or_compilation():
    # No kernel here is parallel; several calls at once must not disturb each other either.
    run = subprocess.Popen(
        [sys.executable, "-c", SCRIPT + "\nprint(*digest(0))"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
    )
    here, other = script_digest(0), script_digest(1)
    text, errors = run.communicate(timeout=60)
    assert run.returncode == 0, errors
    assert tuple(text.split()) == here
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(script_digest, [0, 1, 0, 1])) == [here, other] * 2
    # A change of these numbers bumps STREAM_VERSION. The sweep's order is NumPy's and is not pinned.
    assert len(here[0]) == hashlib.sha256().digest_size * 2
    assert here[0] == PINNED
    # Control: another seed gives another hash.
    assert other[0] != here[0]
    assert other[1] != here[1]
