"""All neighbours of 20,000 points in 50 dimensions by rank, beside NumPy's sort of the same rows.

python benchmarks/bench_ranks.py
"""

import time

import numpy as np
from _timing import header, peak_gib, report

from percolaw.kernels.ranks import add_agreement
from percolaw.numerics.ranks import neighbors_by_rank

N, DIM = 20_000, 50
#: Rows that NumPy sorts.
SOME = 100


def distances(points, metric):
    """Of the first rows to all, by their definition; float32."""
    square = np.empty((SOME, N), np.float32)
    if metric == "cosine":
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
    for i in range(SOME):
        if metric == "hamming":
            square[i] = (points != points[i]).sum(axis=1)
        else:
            square[i] = ((points - points[i]) ** 2).sum(axis=1)
    return square


def first_rows(square):
    """Rows sorted by NumPy, themselves left out."""
    square[np.arange(SOME), np.arange(SOME)] = -1.0
    return np.argsort(square, axis=1, kind="stable")[:, 1:]


def agreement_by_rank(points, labels, metric):
    """Share of points whose label is that of their j-th neighbour."""
    total = np.zeros(len(labels) - 1)
    for block in neighbors_by_rank(points, metric):
        add_agreement(block.order, block.tied, block.first, labels.astype(np.int32), total)
    return total / len(labels)


def main() -> None:
    header(", all threads of BLAS")
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (N, 12)).astype(np.uint8)
    x = rng.standard_normal((N, DIM))
    labels = rng.integers(0, 10, N)
    for metric, points in (("euclidean", x), ("cosine", x), ("hamming", codes)):
        agreement_by_rank(points[:50], labels[:50], metric)  # compile
        cpu, wall = time.process_time(), time.perf_counter()
        share = agreement_by_rank(points, labels, metric)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        chance = np.sum((np.bincount(labels) / N) ** 2)
        # Each share is a mean over 20,000 pairs of labels that know nothing of the points.
        assert np.abs(share - chance).max() < 6.0 * np.sqrt(chance / N)
        same = np.sum(np.bincount(labels) * (np.bincount(labels) - 1.0))
        assert np.isclose(share.sum(), same / N, rtol=1e-12)

        square = distances(points, metric)
        started = time.process_time()
        order = first_rows(square)
        sorted_by_numpy = (time.process_time() - started) * N / SOME
        ours = next(neighbors_by_rank(points, metric)).order[:SOME]
        ranked = np.take_along_axis(square, ours, axis=1)
        # Squared distances summed in another order may be one unit apart in float32.
        assert np.allclose(ranked, np.take_along_axis(square, order, axis=1), rtol=2e-7)
        report(f"{metric}, {N} points, all ranks", cpu, 60.0, sorted_by_numpy, "NumPy's sort alone")
        print(f"{'':<46} {wall:8.3f} s wall time, peak memory {peak_gib():.2f} GiB")
    assert peak_gib() < 1.0


if __name__ == "__main__":
    main()
