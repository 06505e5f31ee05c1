"""How often the promise of `percolaw analyze`, what twice the data take off the loss, holds the truth.

Nearest neighbours on 1000 points, of which 800 are learned from at most: classes cut from a smooth
function on a 3-sphere, the same with a fifth of the labels dealt at random, and 300 blobs in the plane of
weights k^-1.5. The truth is measured on fresh points.

python benchmarks/doubling_coverage.py [DATA_SETS]
"""

import sys

import numpy as np
from scipy.spatial import cKDTree

import percolaw as pl

N_POINTS, N_TRAIN, N_TEST, REPEATS = 1000, 800, 4000, 20
CENTRES = np.random.default_rng(9).random((300, 2)) * 60.0
WEIGHTS = np.arange(1, 301) ** -1.5 / np.sum(np.arange(1, 301) ** -1.5)


def sphere(rng, n):
    x = rng.standard_normal((n, 4))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x, np.digitize(np.sin(2.0 * x[:, 0]) + x[:, 1] * x[:, 2], [-0.5, 0.0, 0.5])


def noisy(rng, n):
    x, label = sphere(rng, n)
    return x, np.where(rng.random(n) < 0.2, rng.integers(0, 4, n), label)


def blobs(rng, n):
    label = rng.choice(300, n, p=WEIGHTS)
    return CENTRES[label] + 0.5 * rng.standard_normal((n, 2)), label


def loss(draw, rng, n):
    """Mean share of wrong answers of the nearest neighbour."""
    wrong = []
    for _ in range(REPEATS):
        (x, y), (queries, truth) = draw(rng, n), draw(rng, N_TEST)
        wrong.append(np.mean(y[cKDTree(x).query(queries)[1]] != truth))
    return float(np.mean(wrong))


def main(data_sets: int) -> None:
    every = promised = 0
    for name, draw in (("sphere", sphere), ("a fifth dealt", noisy), ("blobs", blobs)):
        rng = np.random.default_rng(77)
        gain = 1.0 - loss(draw, rng, 2 * N_TRAIN) / loss(draw, rng, N_TRAIN)
        held, widths = 0, []
        for i in range(data_sets):
            x, y = draw(np.random.default_rng(i), N_POINTS)
            found = pl.analyze(x, y, n_draws=20, learners=("nearest neighbour",), seed=i)
            rows = found.series("fall by doubling", learner="nearest neighbour")
            for row in (row for row in rows if row["low"] is not None and row["value"] is not None):
                held += row["low"] <= gain <= row["high"]
                widths.append(row["high"] - row["low"])
        every, promised = every + held, promised + len(widths)
        middle = np.median(widths) if widths else np.nan
        print(
            f"{name:<14} twice the data take {gain:.1%} off; promised in {len(widths)} of {data_sets}, "
            f"held in {held}, median width {middle:.2f}",
            flush=True,
        )
    print(f"held in {every} of {promised} promises")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
