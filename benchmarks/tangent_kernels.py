"""Exponents of three tangent kernels on the same points and teachers (the table of docs/neural.md).

The kernel of an MLP in the NTK parametrisation with unit biases, and the limits of our own MLP in its two
parametrisations; two hidden layers, from 200 to 2000 points, five seeds. About a minute.
"""

import time

import numpy as np
from _timing import header

import percolaw as pl
from percolaw.covariance import NeuralTangent
from percolaw.datasets.sources import parse_source
from percolaw.learners.kernel import nested_curve
from percolaw.learners.neural.limit import tangent_limit
from percolaw.learners.neural.mlp import MLP
from percolaw.rng import Streams
from percolaw.targets.families import parse_target, standardized_values

DEPTH, N_SEEDS, N_TEST = 2, 5, 1000
SIZES = [200, 430, 930, 2000]
TEACHERS = (
    "linear",
    "ReLU 1 x 1000",
    "ReLU 8 x 16",
    "ReLU 2 x 600, no biases",
    "Fourier",
    "Matérn 0.5",
)
KERNELS = {
    "NTK parametrisation": NeuralTangent(DEPTH),
    "limit of MLP standard": tangent_limit(MLP(DEPTH, parametrization="standard")),
    "limit of MLP muP": tangent_limit(MLP(DEPTH, parametrization="mup")),
}

header("")
started = time.perf_counter()
print("| | " + " | ".join(TEACHERS) + " |\n|---|" + "---|" * len(TEACHERS))
for setting in ("cube 4", "cluster d = 16"):
    losses = {name: np.empty((N_SEEDS, len(SIZES), len(TEACHERS))) for name in KERNELS}
    for seed in range(N_SEEDS):
        streams = Streams(seed).child(*setting.encode())
        x = parse_source(setting).inputs(SIZES[-1] + N_TEST, streams)
        y = standardized_values([parse_target(t) for t in TEACHERS], x, streams)
        test, pool = slice(N_TEST), slice(N_TEST, None)
        for name, kernel in KERNELS.items():
            curve = nested_curve(kernel, x[pool], y[pool], x[test], SIZES)
            losses[name][seed] = np.mean((curve.prediction - y[test]) ** 2, axis=1)
    for name, loss in losses.items():
        fits = [pl.fit_power_law(SIZES, loss[:, :, j]) for j in range(len(TEACHERS))]
        cells = [f"{f.exponent:.2f} [{f.interval[0]:.2f}, {f.interval[1]:.2f}]" for f in fits]
        print(f"| {setting}, {name} | " + " | ".join(cells) + " |", flush=True)
print(f"{time.perf_counter() - started:.0f} s wall")
