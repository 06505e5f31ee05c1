"""The analysis of real data: sweeps, Hamming bonds, approximate neighbours, and the whole protocol.

python benchmarks/bench_analysis.py                    # sweep, strings, the protocol on 1000 points
python benchmarks/bench_analysis.py --approximate      # 400,000 x 50, k = 10, on all threads
python benchmarks/bench_analysis.py --protocol         # 20,000 points, all parts, 200 draws: some minutes
"""

import sys
import time

import numpy as np
from _timing import cpu_seconds, header, peak_gib, report

from percolaw.analysis.adjacency import SiteGraph, enough_neighbors, hamming_graph
from percolaw.analysis.findings import conclude
from percolaw.analysis.parts import Measurement, Settings, plan
from percolaw.analysis.sample import as_sample
from percolaw.analysis.sweep import graph_sweep


def random_graph(n, n_bonds, seed=0):
    """Different pairs of sites, about as many as asked."""
    rng = np.random.default_rng(seed)
    one, other = rng.integers(0, n, (2, n_bonds))
    key = np.unique(np.minimum(one, other) * n + np.maximum(one, other))
    key = key[key // n != key % n]
    return SiteGraph(n, (key // n).astype(np.int32), (key % n).astype(np.int32))


def time_sweep() -> None:
    """A random graph of mean degree 10: the largest cluster at degree 2 holds .7968 of the sites."""
    n, n_bonds = 10**6, 5 * 10**6
    graph = random_graph(n, n_bonds)
    graph_sweep(random_graph(1000, 5000), n_open=[10])
    seconds, swept = cpu_seconds(lambda: graph_sweep(graph, 0, n_open=[n // 4, n, graph.n_bonds]))
    largest = swept.largest[0, 0] / n
    assert largest[0] < 0.001
    assert abs(largest[1] - 0.79681) < 0.003  # the root of 1 - x = exp(-2 x)
    assert largest[2] > 0.9999
    shuffled, _ = cpu_seconds(lambda: np.random.default_rng(0).permutation(graph.n_bonds))
    report(
        f"sweep of {graph.n_bonds} bonds, {n} sites", seconds, n_bonds / 1e7, shuffled, "a shuffle"
    )
    print(
        f"{'':<46} {graph.n_bonds / seconds / 1e6:8.1f} million bonds a second, random order included"
    )


def time_strings() -> None:
    """Random strings of 8 letters: each has 8 (a - 1) n/a^8 neighbours of an alphabet of a."""
    hamming_graph(np.arange(4, dtype=np.uint8)[:, None])
    for n_letters in (26, 12, 6):
        rng = np.random.default_rng(0)
        number = np.unique(rng.integers(0, n_letters**8, 2 * 10**6))
        number = rng.permutation(number)[: min(10**6, number.size)]
        codes = (number[:, None] // n_letters ** np.arange(8) % n_letters).astype(np.uint8)
        n = codes.shape[0]
        seconds, graph = cpu_seconds(lambda codes=codes: hamming_graph(codes), 1)
        degree = 8 * (n_letters - 1) * (n - 1) / (n_letters**8 - 1)
        assert abs(graph.mean_degree - degree) < 6.0 * np.sqrt(2.0 * degree / n) + 1e-9
        assert np.all(
            np.count_nonzero(codes[graph.low[:1000]] != codes[graph.high[:1000]], axis=1) == 1
        )
        sorting, _ = cpu_seconds(lambda number=number: np.sort(number), 1)
        name = f"{n} strings of 8 of {n_letters} letters"
        report(name, seconds, 5.0 if n_letters > 6 else 10.0, sorting, "a sort")
        print(f"{'':<46} {graph.n_bonds:8d} bonds, mean degree {graph.mean_degree:.3g}")


def clustered(n, dim=50, n_centres=200):
    """Gaussian clusters, each with variances that fall along the coordinates."""
    rng = np.random.default_rng(0)
    centre = rng.standard_normal((n_centres, dim))
    noise = 0.7 * np.linspace(1.0, 0.2, dim) * rng.standard_normal((n, dim))
    return (centre[rng.integers(0, n_centres, n)] + noise).astype(np.float32)


def time_neighbors() -> None:
    """400,000 points of 50 dimensions in clusters; wall time, on all threads."""
    x = clustered(400_000)
    cpu, wall = time.process_time(), time.perf_counter()
    _, share = enough_neighbors(x, 10)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(
        f"400,000 x 50, k = 10, approximate: {wall:.1f} s wall, {cpu:.1f} s CPU (bar 120 s) "
        f"of all threads, recall {share:.4f}, peak memory {peak_gib():.2f} GiB"
    )
    assert share > 0.99
    assert cpu < 120.0


def time_protocol(n: int, n_draws: int) -> None:
    """Domains of a plane in five dimensions: every part, and the verdict."""
    rng = np.random.default_rng(0)
    plane = rng.random((n, 2))
    points = plane @ rng.standard_normal((2, 5))
    label = (np.floor(2 * plane) @ [2, 1]).astype(int)
    sample = as_sample(points, label)
    settings = Settings(n_draws=n_draws)
    measurement, rows, spent = Measurement(sample, settings), [], {}
    for part in plan(sample, settings):
        started = time.process_time()
        rows += measurement.rows(part)
        name = f"{part['part']} {part.get('null', part.get('learner', ''))}".strip()
        spent[name] = spent.get(name, 0.0) + time.process_time() - started
    findings = conclude(rows, sample.levels, settings.k)
    print(findings.sentence)
    assert findings.verdicts[0].word == "supercritical domains"
    assert abs(findings.value("dimension", part="geometry", n=n) - 2.0) < 0.2
    seconds = sum(spent.values())
    print(
        f"whole protocol, {n} points, {n_draws} draws: {seconds:.0f} s of CPU (bar 1200: 2 cores)"
    )
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"    {name:<42} {seconds:8.1f} s")
    print(f"    peak memory {peak_gib():.2f} GiB (bar 4 GiB)")
    assert sum(spent.values()) < 600.0
    assert peak_gib() < 4.0
    assert seconds < 1200.0


def main() -> None:
    header()
    if "--approximate" in sys.argv:
        time_neighbors()
    elif "--protocol" in sys.argv:
        time_protocol(20_000, 200)
    else:
        time_sweep()
        time_strings()
        time_protocol(1000, 20)


if __name__ == "__main__":
    main()
