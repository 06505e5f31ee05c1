"""The loss at which each precision bends: the same students in float64, float32, TF32 and bfloat16.

python benchmarks/precision.py [--quick]

A linear and a smooth function on the 2-cube, which wide networks learn to small losses: a precision bends
where its loss stops following that of float64. TF32 differs from float32 on accelerators only.
"""

import sys

import numpy as np
import torch
from _timing import header

from percolaw.neural.config import Student, Training
from percolaw.neural.device import resolve_device
from percolaw.neural.mlp import MLP
from percolaw.neural.training import train

QUICK = "--quick" in sys.argv
device = resolve_device("auto")
#: A loss this many times that of float64 has left it.
BENT = 1.5
SEEDS, N = 3, 2000
STEPS = (100, 200) if QUICK else (300, 1000, 3000, 10_000)


def losses(dtype, steps, x, y):
    """Mean loss of the last weights on points that no student saw, one of each function."""
    rows = np.arange(N)
    students = [
        Student(seed, rows[500:], rows[:500], target)
        for target in range(y.shape[1])
        for seed in range(SEEDS)
    ]
    training = Training(
        learning_rate=0.01,
        steps=steps,
        batch_size=128,
        evaluate_every=max(100, steps // 20),
        patience=10**6,
        dtype=dtype,
        device=device,
        schedule="cosine",
    )
    trained = train(MLP(2, 32, "gelu"), x, y, students, training)
    return trained.validation_loss.reshape(y.shape[1], SEEDS)


def main():
    header(f", torch {torch.__version__}, device {device}")
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = rng.uniform(-np.sqrt(3), np.sqrt(3), (N, 2))
    y = np.stack([x @ [0.6, -0.8], np.sin(2 * x[:, 0]) * np.cos(x[:, 1]) * 1.5], axis=1)
    dtypes = ("float64", "float32", *(("tfloat32",) if device != "cpu" else ()), "bfloat16")
    table = {d: np.array([losses(d, steps, x, y) for steps in STEPS]) for d in dtypes}
    exact = table["float64"].mean(axis=2)
    for at, name in enumerate(("linear", "sin x cos")):
        print(f"\n{name}: loss / variance, {SEEDS} seeds (standard error of the mean)")
        print("steps     " + "".join(f"{d:>24}" for d in dtypes))
        for i, steps in enumerate(STEPS):
            cells = [table[d][i, at] for d in dtypes]
            text = [f"{c.mean():.2e} ({c.std(ddof=1) / SEEDS**0.5:.0e})" for c in cells]
            print(f"{steps:<10}" + "".join(f"{t:>24}" for t in text))
        for d in dtypes[1:]:
            bent = np.flatnonzero(table[d][:, at].mean(axis=1) > BENT * exact[:, at])
            where = (
                f"at {exact[bent[0], at]:.1e}" if bent.size else f"not above {exact[-1, at]:.1e}"
            )
            print(f"{d} leaves float64 by a factor of {BENT} {where}")
    # Correctness: half of the digits cannot be better, and float32 is float64 at the first losses.
    first = table["float32"][0].mean(axis=1) / exact[0]
    assert (np.abs(first - 1.0) < 0.5).all(), first


if __name__ == "__main__":
    main()
