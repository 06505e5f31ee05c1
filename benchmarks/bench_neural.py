"""Students x steps a second: batched, one at a time, a plain PyTorch loop, and the device's limit.

python benchmarks/bench_neural.py [--quick]   (--quick: one small size, to see that it runs)
"""

import os
import sys
import time

import numpy as np
import torch
from _timing import header

from percolaw.neural.config import Student, Training
from percolaw.neural.device import gradients_on, matrix_products, resolve_device
from percolaw.neural.ensemble import Ensemble
from percolaw.neural.job import TrainingJob
from percolaw.neural.losses import MeanSquaredError
from percolaw.neural.mlp import MLP
from percolaw.neural.network import n_parameters, training_flops
from percolaw.neural.training import train

QUICK = "--quick" in sys.argv
DIM, N, REPEATS = 16, 3000, 1 if QUICK else 7
device = resolve_device("auto")
on_cpu = device == "cpu"
#: Of a CPU, so that other work on the machine does not count.
clock = time.process_time if on_cpu else time.perf_counter
torch.set_num_threads(1)
rng = np.random.default_rng(0)
x = rng.standard_normal((N + 100, DIM)).astype(np.float32)
y = np.sin(2 * x[:, 0]) + x[:, 1]
#: Side of the matrices whose product is the limit: in the cache of a CPU; on an accelerator large enough
#: that it is busy with them.
SIDE = 512 if on_cpu or QUICK else 8192


def students(count):
    return [Student(seed, np.arange(N), np.arange(N, N + 100)) for seed in range(count)]


def batched(width, count, batch_size, steps, dtype="float32"):
    training = Training(
        steps=10**6, batch_size=batch_size, device=device, evaluate_every=steps, dtype=dtype
    )
    values, loss = y[:, None].astype(float), MeanSquaredError()
    job = TrainingJob(MLP(3, width), x, values, students(count), training, 1, loss)
    ensemble = Ensemble(job)

    def go():
        with gradients_on(), matrix_products(dtype, device):
            ensemble.run_steps(steps)

    return go, count * steps


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
    """FLOP/s of large products of float32 matrices."""
    a, b = torch.randn(SIDE, SIDE, device=device), torch.randn(SIDE, SIDE, device=device)
    out, times = torch.empty(SIDE, SIDE, device=device), 20 if on_cpu else 3
    return lambda: [torch.mm(a, b, out=out) for _ in range(times)], times * 2 * SIDE**3


def rates(jobs):
    """Work a second of every job, medians of interleaved repeats."""
    for job, _ in jobs:
        job()
    found = []
    for _ in range(REPEATS):
        row = []
        for job, work in jobs:
            if not on_cpu:
                torch.cuda.synchronize()
            started = clock()
            job()
            if not on_cpu:
                torch.cuda.synchronize()
            row.append(work / (clock() - started))
        found.append(row)
    return np.median(found, axis=0)


def same_students():
    """Together is as alone, and the program of accelerators as the loop of CPUs, in float64."""
    exact = Training(steps=60, dtype="float64", device=device)
    together = train(MLP(3, 32), x, y, students(3), exact)
    alone = train(MLP(3, 32), x, y, students(3)[1:2], exact)
    assert np.abs(together.weights[1] - alone.weights[0]).max() < 1e-9
    here = Training(steps=60, dtype="float64", device="cpu")
    loop = train(MLP(3, 32), x, y, students(3), here)
    assert np.abs(together.weights - loop.weights).max() < 1e-8


def table():
    names = ("plain loop", "one by one", "batched", "ratios", "GFLOP/s", "of limit")
    print(f"{'':27}" + "".join(f"{name:>11}" for name in names))
    for batch_size in (32,) if QUICK else (32, 128):
        for width in (32,) if QUICK else (32, 64, 128):
            count = 4 if QUICK else 32 if on_cpu else 1024
            steps = 10 if on_cpu else 60
            jobs = [plain(width, batch_size, 60), batched(width, 1, batch_size, 60)]
            jobs += [batched(width, count, batch_size, steps), limit()]
            slow, single, fast, most = rates(jobs)
            flops = fast * batch_size * training_flops(MLP(3, width), DIM)
            print(
                f"width {width:>3}, batch {batch_size:>3}, x{count:<6}{slow:>9.0f}/s{single:>9.0f}/s"
                f"{fast:>9.0f}/s{fast / slow:>6.1f}{fast / single:>5.1f}{flops / 1e9:>11.1f}"
                f"{100 * flops / most:>10.0f}%"
            )


def bars_of_accelerators():
    """Print every bar with its verdict; return whether all are met."""
    good = True
    for dtype in ("float32", "tfloat32", "bfloat16"):
        step = 18 * 1e3 / rates([batched(64, 18, 512, 500, dtype)])[0]
        met = dtype != "float32" or step <= 0.3
        good &= met
        verdict = "" if dtype != "float32" else f" (bar 0.3 ms: {'met' if met else 'MISSED'})"
        print(f"18 students of width 64, batches of 512, {dtype}: {step:.3f} ms a step{verdict}")
    for batch_size in (128, 512):
        fast, most = rates([batched(128, 1024, batch_size, 50), limit()])
        share = fast * batch_size * training_flops(MLP(3, 128), DIM) / most
        met = share >= 0.3
        good &= met or batch_size == 128  # there the update's memory is as long as the products
        print(
            f"1024 students of width 128, batches of {batch_size}: {100 * share:.0f}% of "
            f"{most / 1e12:.1f} TFLOP/s ({SIDE}^3) (bar 30% at 512: {'met' if met else 'MISSED'})"
        )
    return good


def main():
    load = os.getloadavg()[0]
    header(f", torch {torch.__version__}, device {device}, one thread, load {load:.1f}")
    same_students()
    table()
    p = n_parameters(MLP(3, 128), DIM)
    activations = 128 * (DIM + 2 * 3 * 128)
    print(
        f"bytes moved by a step of width 128, batch 128: {4 * (7 * p + 3 * activations) / 1e6:.1f} MB "
        f"({4 * 7 * p / 1e6:.1f} of them the update's: every number once)"
    )
    if not on_cpu and not bars_of_accelerators():
        sys.exit("a bar is missed")


if __name__ == "__main__":
    main()
