"""Lattices of 10^7 and 10^8 sites: labels of all clusters, a sweep over p, growth of one cluster.

python benchmarks/bench_hypercubic.py [--small | --large]   (--small: 10^6 sites)
"""

import sys

import numpy as np
from _timing import cpu_seconds, header, peak_gib, report
from scipy import sparse
from scipy.sparse import csgraph

from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.clusters.hypercubic.grown import grow_from_origin
from percolaw.clusters.hypercubic.newman_ziff import sweep
from percolaw.laws.hypercubic import hypercubic_threshold

#: Clusters per site of bond percolation at p_c: exact (Temperley and Lieb 1971); Lorenz and Ziff 1998.
CLUSTERS_PER_SITE = {2: (27**0.5 - 5) / 2, 3: 0.272931}


def mix(word):
    """SplitMix64's finaliser, in NumPy."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def open_bonds(length, probability, key):
    """The open bonds of a square box with free edges, from the same hash."""
    n = length**2
    index = np.arange(1, 2 * n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    turned = np.array([key >> np.uint64(32) | key << np.uint64(32)])
    chance = (mix(mix(index + key) + turned) >> np.uint64(11)) * 2.0**-53
    site, axis = np.divmod(np.arange(2 * n), 2)
    here = np.where(axis == 0, site % length, site // length) < length - 1
    chosen = here & (chance < probability)
    return site[chosen], (site + np.where(axis == 0, 1, length))[chosen]


def against_scipy() -> float:
    """Compare with SciPy on one box of 10^6 sites; return SciPy's seconds, which all others refer to."""
    box = HypercubicLattice(2, 1000)
    found = percolate(box, 0.5, rng=1)
    low, high = open_bonds(1000, 0.5, found.key)
    shape = (box.n_sites, box.n_sites)
    matrix = sparse.csr_array((np.ones(low.size, np.int8), (low, high)), shape=shape)
    reference, (count, part) = cpu_seconds(
        lambda: csgraph.connected_components(matrix, directed=False)
    )
    assert (count, low.size) == (found.n_clusters, found.n_open_bonds)
    assert np.unique(part.astype(np.int64) * count + found.cluster).size == count
    print(f"{'scipy connected_components, 10^6 sites, built':<46} {reference:8.3f} s")
    seconds, _ = cpu_seconds(lambda: percolate(box, 0.5, rng=1))
    report("labels of the same 10^6 sites, bonds hashed", seconds, 0.3, reference, "scipy, 10^6")
    return reference


def labels(n: float, reference: float, repeats: int = 3) -> None:
    for d in (2, 3):
        box = HypercubicLattice(d, round(n ** (1 / d)))
        p = box.critical_probability
        seconds, found = cpu_seconds(lambda box=box, p=p: percolate(box, p, rng=2), repeats)
        assert found.size.sum() == box.n_sites
        assert found.cluster.dtype == np.int32
        # Free edges add clusters in proportion to the surface.
        density = found.n_clusters / box.n_sites
        assert abs(density - CLUSTERS_PER_SITE[d]) < 2 * d / box.length, density
        name = f"labels of {box.length}^{d} sites, p_c"
        report(name, seconds, 1.5e-7 * n, reference, "scipy, 10^6")
        # 4 bytes a site, 8 to 32 a cluster while they are counted.
        bar = 0.5 + (4 + 32 * density) * n / 2**30
        print(f"{'peak memory':<46} {peak_gib():8.2f} GiB (bar {bar:.2f} GiB)")
        assert peak_gib() < bar
        del found


def sweeps(n: float, reference: float) -> None:
    box = HypercubicLattice(2, round(n**0.5), periodic=True)
    for wrapping in (True, False):
        seconds, got = cpu_seconds(
            lambda wrapping=wrapping: sweep(box, rng=3, wrapping=wrapping), repeats=1
        )
        assert got.largest[-1] == box.n_sites
        assert got.loops[-1] == box.n_sites + 1
        assert got.wrapped[-1].all() == wrapping
        density = got.at(0.5)["loops"][0]  # as many as clusters: one open bond a site
        assert abs(density - CLUSTERS_PER_SITE[2]) < 1e-3, density
        name = f"sweep of {box.length}^2 sites" + (", wrapping" if wrapping else "")
        report(name, seconds, 2.5e-6 * n, reference, "scipy, 10^6")


def growth(n: int, reference: float) -> None:
    for d in (2, 3, 6):
        p = 1.04 * hypercubic_threshold(d)
        seconds, grown = cpu_seconds(
            lambda d=d, p=p: grow_from_origin(d, p, n, rng=4, min_size=n), repeats=1
        )
        assert (grown.tree.n_sites, grown.whole) == (n, False)
        x = grown.coordinates
        name = np.zeros(n, np.int64)
        for k in range(d):
            name = name * (2 * int(np.abs(x).max()) + 1) + x[:, k]
        name.sort()
        assert np.all(name[1:] > name[:-1])
        some = np.random.default_rng(0).integers(1, n, 10**5)
        steps = np.abs(x[some].astype(np.int32) - x[grown.tree.parent[some]]).sum(axis=1)
        assert np.all(steps == 1)
        label = f"growth to {n:.0e} sites, d = {d} (tree and loops)"
        report(label, seconds, 1.5e-6 * n, reference, "scipy, 10^6")
        print(f"{'':<46} {n / seconds / 1e6:8.1f} million sites a second")
        del grown, x, name


def main() -> None:
    header()
    for d in (2, 3, 6):  # compile
        grow_from_origin(d, 0.1, 100)
    sweep(HypercubicLattice(2, 10, periodic=True))
    percolate(HypercubicLattice(2, 10), 0.5)
    n = 10**6 if "--small" in sys.argv else 10**7
    reference = against_scipy()
    labels(n, reference)
    if "--large" in sys.argv:
        labels(10**8, reference, repeats=1)
    sweeps(n, reference)
    growth(n, reference)
    print(f"{'peak memory, all of it':<46} {peak_gib():8.2f} GiB")


if __name__ == "__main__":
    main()
