"""Boxes of Z^d: labels and graphs against plain constructions, enumeration and exact laws."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypercubic_cases import KINDS, chain_law, components, enumeration, exact, lattice_bonds
from statistical import P_FLOOR, assert_close, assert_far, chi_squared_p, mean_and_error

from percolaw import checks
from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.clusters.hypercubic.grown import grow_from_origin, grow_statistics
from percolaw.clusters.hypercubic.newman_ziff import sweep
from percolaw.errors import ResourceError
from percolaw.kernels.random import uniform
from percolaw.rng import Streams


def open_parts(lattice, probability, seed):
    """Which sites are open, and the open bonds between open sites."""
    key = Streams(seed).key("clusters")
    bonds = lattice_bonds(lattice.dimension, lattice.length, lattice.periodic)
    if lattice.kind == "bond":
        kept = [uniform(key, np.uint64(i)) < probability for i in bonds[:, 0]]
        return np.ones(lattice.n_sites, bool), bonds[np.array(kept, bool)]
    here = np.array([uniform(key, np.uint64(i)) < probability for i in range(lattice.n_sites)])
    return here, bonds[here[bonds[:, 1]] & here[bonds[:, 2]]]


BOXES = [
    *((1, 40, 0.7), (1, 3, 0.6), (2, 9, 0.5), (2, 3, 0.4), (3, 5, 0.26), (3, 3, 0.3)),
    *((4, 3, 0.17), (4, 4, 0.2)),
]


# ---- labels


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


TINY = [(2, 2, "bond", False), (2, 3, "site", False), (3, 2, "bond", False), (2, 3, "site", True)]


# ---- enumeration of every configuration


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


# ---- wrong input


def test_wrong_input_messages():
    for bad, message in (
        ((0, 4), r"dimension must be in \[1, 8\]; got 0"),
        ((9, 4), r"dimension must be in \[1, 8\]; got 9"),
        ((2, 1), r"length must be in \[2, inf\]; got 1"),
        ((2, 2, "bond", True), r"length must be in \[3, inf\]; got 2"),
        ((2, 4, "Bond"), "unknown kind 'Bond'. Did you mean 'bond'"),
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


def test_graph_where_nothing_is_open_is_refused():
    with pytest.raises(ValueError, match="no site is open"):
        percolate(HypercubicLattice(2, 4, "site"), 0.0).graph()


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


# ---- the same numbers every time, with any number of threads, and without compilation


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
