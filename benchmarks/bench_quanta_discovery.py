"""Discovery of quanta: gradients of 2,000 samples by 10^5 weights, projected and clustered.

    python benchmarks/bench_quanta_discovery.py

CPU seconds (time.process_time), beside a loop of one backward pass a sample. Bar: 60 s on two cores.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from _timing import header, peak_gib, report

import percolaw as pl

SAMPLES, DIM, WIDTH, QUANTA = 2000, 30, 300, 20
#: Samples of the loop, and of the exact inner products.
CHECKED = 100


def looped(network: pl.MLP, weights: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Full gradients of the squared error, sample by sample."""
    from percolaw.neural.network import ForwardPass, unflatten

    leaf = torch.as_tensor(weights).requires_grad_()
    rows = []
    for point, value in zip(x, y, strict=True):
        named = unflatten(network, DIM, 1, leaf)
        inputs = torch.as_tensor(point[None, None], dtype=leaf.dtype)
        loss = (network.forward(named, inputs, ForwardPass()) - float(value)).square().sum()
        rows.append(torch.autograd.grad(loss, leaf)[0][0].numpy())
    return np.array(rows)


def main() -> None:
    """Time gradients and clusters; check both."""
    header()
    rng = np.random.default_rng(0)
    truth = np.sort(rng.integers(0, QUANTA, SAMPLES))
    x = rng.standard_normal((QUANTA, DIM))[truth] + 0.2 * rng.standard_normal((SAMPLES, DIM))
    y = np.full(SAMPLES, 30.0)  # all errors of one sign
    network = pl.MLP(2, WIDTH)
    student = pl.Student(0, np.arange(1000), np.arange(1000, SAMPLES))
    untrained = pl.train(network, x, y, [student], pl.Training(learning_rate=0.0, steps=1))
    size = untrained.weights.shape[1]
    pl.sample_gradients(untrained, x[:2], y[:2])

    started = time.process_time()
    exact = looped(network, untrained.weights, x[:CHECKED], y[:CHECKED])
    loop = (time.process_time() - started) * SAMPLES / CHECKED
    started = time.process_time()
    gradients = pl.sample_gradients(untrained, x, y)
    taken = time.process_time() - started
    report(f"{SAMPLES} gradients of {size} weights", taken, 60.0, loop, "a loop of backward passes")

    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    part = gradients[:CHECKED] / np.linalg.norm(gradients[:CHECKED], axis=1, keepdims=True)
    error = (part @ part.T - exact @ exact.T)[np.triu_indices(CHECKED, 1)]
    print(f"error of cosines: {error.std():.4f}; 1/sqrt(4096) = {4096**-0.5:.4f}")
    assert error.std() < 4096**-0.5

    started = time.process_time()
    quanta = pl.discover_quanta(gradients)
    clustered = time.process_time() - started
    index = pl.adjusted_rand(quanta.label, truth)
    print(f"{quanta.n_quanta} clusters of {QUANTA} quanta, adjusted Rand index {index:.3f}")
    assert index > 0.95
    report("gradients and clusters", taken + clustered, 60.0, loop, "a loop of backward passes")
    print(f"peak memory {peak_gib():.2f} GiB")


if __name__ == "__main__":
    main()
