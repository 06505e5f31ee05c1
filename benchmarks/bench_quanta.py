"""Multitask sparse parity: a training step against a plain loop, and exact laws of a million tasks.

    OMP_NUM_THREADS=1 python benchmarks/bench_quanta.py [--width 100] [--batch 20000]

CPU seconds of one thread. The plain loop has the shapes of the published program of Michaud et al.
(2023): 500 tasks of 3 of 100 bits, one-hot codes beside the bits, a minibatch filled task by task, one
hidden layer, AdamW; it is written anew here.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from _timing import header

from percolaw.datasets.parity import ParityStream, ParityTasks
from percolaw.datasets.parity_tasks import parity_tasks
from percolaw.laws.sparse_parity import elimination_loss
from percolaw.learners.subset_elimination import eliminate
from percolaw.neural.config import NEVER_STOP, Student, Training
from percolaw.neural.ensemble import Ensemble
from percolaw.neural.parity import ParityNetwork
from percolaw.neural.training import checked_job

STEPS = 6


def plain_loop(tasks: ParityTasks, width: int, batch: int, steps: int) -> tuple[float, float]:
    """Return seconds a step, and the last loss."""
    k, n = tasks.n_tasks, tasks.n_bits
    model = torch.nn.Sequential(
        torch.nn.Linear(k + n, width), torch.nn.ReLU(), torch.nn.Linear(width, 2)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    subsets = [np.flatnonzero(row).tolist() for row in tasks.subset]
    generator = np.random.default_rng(0)

    def step() -> float:
        counts = generator.multinomial(batch, tasks.weight)
        x, y = torch.zeros(batch, k + n), torch.zeros(batch, dtype=torch.int64)
        low = 0
        for task, count in enumerate(counts.tolist()):
            if count:
                bits = torch.randint(0, 2, (count, n)).float()
                code = torch.zeros(count, k)
                code[:, task] = 1.0
                x[low : low + count] = torch.cat([code, bits], dim=1)
                y[low : low + count] = (bits[:, subsets[task]].sum(dim=1) % 2).long()
                low += count
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    step()
    started = time.process_time()
    for _ in range(steps):
        loss = step()
    return (time.process_time() - started) / steps, loss


def streamed(tasks: ParityTasks, width: int, batch: int, steps: int) -> tuple[float, float]:
    """Return seconds a step of the engine, and the mean loss."""
    test = tasks.test_set(1)
    plan = Training(
        learning_rate=1e-3,
        steps=1 + 2 * steps,
        batch_size=batch,
        schedule="constant",
        loss="cross_entropy",
        patience=NEVER_STOP,
        keep="last",
        device="cpu",
    )
    student = [Student(0, ParityStream(tasks, batch), [0])]
    network = ParityNetwork(tasks.n_tasks, tasks.n_bits, width)
    ensemble = Ensemble(
        checked_job(network, test.inputs(), test.targets(), student, plan, 2, None, None)
    )
    ensemble.run_steps(1)
    started = time.process_time()
    ensemble.run_steps(steps)
    return (time.process_time() - started) / steps, float(ensemble.train_curve[-1][0])


def main() -> None:
    """Print all results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--batch", type=int, default=20_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    header()
    tasks = parity_tasks(500, 100, 3, 0.4)
    slow, plain = plain_loop(tasks, options.width, options.batch, STEPS)
    fast, loss = streamed(tasks, options.width, options.batch, STEPS)
    assert abs(plain - math.log(2)) < 0.1  # nothing is learned in so few steps
    assert abs(loss - math.log(2)) < 0.3
    print(
        f"a step, width {options.width}, batch {options.batch}: plain loop {1e3 * slow:.0f} ms, "
        f"streamed {1e3 * fast:.0f} ms, {slow / fast:.1f} times faster (bar 5)"
    )
    tasks.sample(10**4)
    started = time.process_time()
    drawn = tasks.sample(10**6)
    print(f"10^6 samples of 500 tasks: {time.process_time() - started:.3f} s")
    first = np.flatnonzero(drawn.task == 0)[:60]
    bits, label = drawn.bits()[first], drawn.label[first]
    eliminate(bits, label, 3)
    started = time.process_time()
    assert np.array_equal(eliminate(bits, label, 3).subset, np.flatnonzero(tasks.subset[0]))
    print(f"161,700 subsets against 60 samples: {1e3 * (time.process_time() - started):.2f} ms")
    started = time.process_time()
    law = float(elimination_loss(1e9, 0.4, 10**6, math.comb(100, 3)))
    seconds = time.process_time() - started
    assert 0.003 < law < 0.004
    print(f"law of 10^6 tasks at 10^9 samples: {law:.5f} in {seconds:.2f} s (bar 1)")


if __name__ == "__main__":
    main()
