"""Students x steps a second: batched, one at a time, a plain PyTorch loop, and the device's limit."""

import time

import numpy as np
import torch
from _timing import header

from percolaw.neural.config import Student, Training
from percolaw.neural.device import resolve_device
from percolaw.neural.ensemble import Ensemble
from percolaw.neural.job import TrainingJob
from percolaw.neural.losses import MeanSquaredError
from percolaw.neural.mlp import MLP
from percolaw.neural.network import n_parameters, training_flops
from percolaw.neural.training import train

DIM, N, REPEATS = 16, 3000, 7
device = resolve_device("auto")
torch.set_num_threads(1)
rng = np.random.default_rng(0)
x = rng.standard_normal((N + 100, DIM)).astype(np.float32)
y = np.sin(2 * x[:, 0]) + x[:, 1]


def students(count):
    return [Student(seed, np.arange(N), np.arange(N, N + 100)) for seed in range(count)]


def batched(width, count, batch_size, steps):
    training = Training(steps=10**6, batch_size=batch_size, device=device)
    values, loss = y[:, None].astype(float), MeanSquaredError()
    job = TrainingJob(MLP(3, width), x, values, students(count), training, 1, loss)
    ensemble = Ensemble(job)
    return lambda: ensemble.run_steps(steps), count * steps


def plain(width, batch_size, steps):
    layers, before = [], DIM
    for _ in range(3):
        layers += [torch.nn.Linear(before, width), torch.nn.ReLU()]
        before = width
    network = torch.nn.Sequential(*layers, torch.nn.Linear(before, 1)).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    inputs = torch.as_tensor(x, device=device)
    target = torch.as_tensor(y, dtype=torch.float32, device=device)[:, None]

    def go():
        for _ in range(steps):
            index = torch.randint(0, N, (batch_size,), device=device)
            loss = (network(inputs[index]) - target[index]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return go, steps


def limit():
    """FLOP/s of matrix products that stay in the cache."""
    a, b = torch.randn(512, 512, device=device), torch.randn(512, 512, device=device)
    out = torch.empty(512, 512, device=device)
    return lambda: [torch.mm(a, b, out=out) for _ in range(20)], 20 * 2 * 512**3


def rates(jobs):
    """Work a second of every job, medians of interleaved repeats."""
    for job, _ in jobs:
        job()
    found = []
    for _ in range(REPEATS):
        row = []
        for job, work in jobs:
            started = time.perf_counter()
            job()
            if device != "cpu":
                torch.cuda.synchronize()
            row.append(work / (time.perf_counter() - started))
        found.append(row)
    return np.median(found, axis=0)


# Correctness first: together is as alone, in float64.
exact = Training(steps=60, dtype="float64", device=device)
together = train(MLP(3, 32), x, y, students(3), exact)
alone = train(MLP(3, 32), x, y, students(3)[1:2], exact)
assert np.abs(together.weights[1] - alone.weights[0]).max() < 1e-9

header(f", torch {torch.__version__}, device {device}, one thread")
names = ("plain loop", "one by one", "batched", "ratios", "GFLOP/s", "of limit")
print(f"{'':27}" + "".join(f"{name:>11}" for name in names))
for batch_size in (32, 128):
    for width in (32, 64, 128):
        count = 32 if device == "cpu" else 1024
        jobs = [plain(width, batch_size, 60), batched(width, 1, batch_size, 60)]
        jobs += [batched(width, count, batch_size, 10), limit()]
        slow, single, fast, most = rates(jobs)
        flops = fast * batch_size * training_flops(MLP(3, width), DIM)
        print(
            f"width {width:>3}, batch {batch_size:>3}, x{count:<6}{slow:>9.0f}/s{single:>9.0f}/s"
            f"{fast:>9.0f}/s{fast / slow:>6.1f}{fast / single:>5.1f}{flops / 1e9:>11.1f}"
            f"{100 * flops / most:>10.0f}%"
        )
p = n_parameters(MLP(3, 128), DIM)
activations = 128 * (DIM + 2 * 3 * 128)
print(
    f"bytes moved by a step of width 128, batch 128: {4 * (7 * p + 3 * activations) / 1e6:.1f} MB "
    f"({4 * 7 * p / 1e6:.1f} of them the update's: every number once)"
)
