"""Dimension estimates on 10^5 points in 64 dimensions and on embeddings; the nonlinearity score."""

import time

import numpy as np
from _timing import header

import percolaw as pl
from percolaw.dimension.estimate import estimate_dimension
from percolaw.numerics.copies import near_copies


def embeddings(rng) -> np.ndarray:
    """20,000 unit vectors in 256 dimensions: 12 topics and noise; texts twice, some with rounding."""
    x = rng.standard_normal((20_000, 12)) @ rng.standard_normal((12, 256))
    x += 0.5 * rng.standard_normal(x.shape)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    x[:300] = x[300:600]  # the same text
    x[600:900] = x[900:1200] + 1e-9 * rng.standard_normal((300, 256))  # in another batch
    x[1200] = 0.0  # a text without a known word, equally far from all others
    return x[rng.permutation(20_000)].astype(np.float32)


def texts() -> None:
    """Copies are refused at once; without them every estimator stays near the others."""
    x = embeddings(np.random.default_rng(0))
    started, message = time.perf_counter(), ""
    try:
        estimate_dimension(x)
    except ValueError as error:
        message = str(error)
    assert message.startswith("600 of 20000 points coincide"), message
    refused = time.perf_counter() - started
    copies = near_copies(x)
    assert 590 <= copies.sum() <= 600, copies.sum()
    cpu, wall = time.process_time(), time.perf_counter()
    report = estimate_dimension(x[~copies])
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    largest = max(e.dimension for e in report.estimates.values())
    assert largest < 3.0 * report.dimension, report
    print(
        f"embeddings, 20,000 x 256: copies refused in {refused:.2f} s (bar 0.5 s); without them "
        f"{cpu:.1f} CPU s, {wall:.1f} s wall (bar 20 s on one idle core); "
        f"estimators up to {largest:.1f}, median {report.dimension:.1f}"
    )
    assert refused < 0.5, refused
    assert min(cpu, wall) < 20.0, (cpu, wall)


header("")
pl.nearest_neighbors([[0.0], [1.0]], [[0.2]], 1)  # compile
x = pl.make_cluster(100_000, 64, 0, labels="none").X
started = time.perf_counter()
report = estimate_dimension(x)
seconds = time.perf_counter() - started
assert seconds < 60, seconds
assert abs(report.dimension - 4.0) < 0.2, report
assert report.interval[0] < 4.0 < report.interval[1]
print(
    f"all estimators and scales, 100,000 x 64: {seconds:.1f} s wall (bar 60 s); "
    f"dimension {report.dimension:.2f} [{report.interval[0]:.2f}, {report.interval[1]:.2f}]"
)
teacher = pl.ReluTeacher(2, 100).sample(20, 0)
started = time.perf_counter()
score = pl.nonlinearity(teacher, 20, 0)
seconds = time.perf_counter() - started
assert seconds < 1, seconds
assert abs(pl.nonlinearity(pl.LinearTeacher().sample(20, 0), 20).score - 1.0) < 1e-9
print(
    f"nonlinearity, 200 repeats, d = 20, ReLU 2 x 100: {seconds:.2f} s (bar 1 s); {score.score:.3f}"
)
texts()
