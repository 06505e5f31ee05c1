"""Latents at scale: hierarchies, their ground truth on disk, probes, and dictionaries trained together.

    python benchmarks/bench_latents.py [--large]

CPU seconds (time.process_time); --large adds 10^8 points (bar 60 s and 6 GiB; measured 44 s, 5.4 GiB).
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np

from percolaw.clusters.coalescent import merge_tree
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.interpret.probes import membership_probe
from percolaw.targets.hierarchical import HierarchicalFunction

#: CPU seconds of the published generator for the hierarchy of a million points (measured there).
PUBLISHED = 40.0


def hierarchy(n: int) -> None:
    """Tree, hierarchy and labels of n points; checks sizes and the variance of the labels."""
    started = time.process_time()
    tree = conditioned_clusters(n, np.inf, rng=0)
    grown = time.process_time()
    merges = merge_tree(tree, rng=0)
    merged = time.process_time()
    target = HierarchicalFunction().on(merges, rng=0)
    done = time.process_time()
    assert abs(target.value.var() - 1.0) < 1e-9
    if n <= 10**7:
        assert merges.sizes().sum() == merges.n_ancestors().sum(dtype=np.int64)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{n:>11} points: tree {grown - started:.2f} s, hierarchy {merged - grown:.2f} s, "
        f"labels {done - merged:.2f} s; peak {peak:.2f} GiB"
    )
    if n == 10**6:
        ratio = PUBLISHED / (merged - grown)
        print(f"            hierarchy {ratio:.0f} times faster than the published step (bar 100)")


def probes() -> None:
    """10,000 latents on 10^5 x 256 activations."""
    merges = merge_tree(conditioned_clusters(10**5, np.inf, rng=1), rng=2)
    latents = np.flatnonzero(merges.sizes() >= 12)[-10_000:]
    x = np.random.default_rng(0).standard_normal((10**5, 256)).astype(np.float32)
    x[:, 0] = merges.membership(latents[:1]).toarray()[:, 0]
    started = time.process_time()
    scores = membership_probe(x, merges, latents)
    print(f"{latents.size} probes on {x.shape}: {time.process_time() - started:.1f} s (bar 30)")
    assert scores.f1[0] == 1.0


def dictionaries() -> None:
    """64 small dictionaries together and one by one."""
    from percolaw.neural.config import Training
    from percolaw.neural.sparse_autoencoder import SparseAutoencoder, train_dictionaries

    x = np.random.default_rng(0).standard_normal((4000, 16))
    training = Training(
        learning_rate=1e-3, batch_size=64, steps=200, patience=1000, dtype="float32"
    )
    shape = SparseAutoencoder(32)
    train_dictionaries(x, shape, (0,), training=training)
    started = time.perf_counter()
    alone = [train_dictionaries(x, shape, (s,), training=training) for s in range(8)]
    each = (time.perf_counter() - started) / 8
    started = time.perf_counter()
    together = train_dictionaries(x, shape, range(64), training=training)
    all_at_once = time.perf_counter() - started
    np.testing.assert_allclose(together.atoms(3), alone[3].atoms(), atol=1e-3)
    print(f"64 dictionaries together {64 * each / all_at_once:.1f} times faster than alone (bar 4)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true")
    merge_tree(conditioned_clusters(100, np.inf, rng=0), rng=0).sizes()
    for size in (10**6, 10**7, *([10**8] if parser.parse_args().large else [])):
        hierarchy(size)
    probes()
    dictionaries()
