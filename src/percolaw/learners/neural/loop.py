"""The batched loop: forward, backward and update of all students that still learn, in one program."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.learners.neural import checkpoints, gradient, optimizers
from percolaw.learners.neural.config import Student, Training
from percolaw.learners.neural.device import autocast, resolve_device, tensor_dtype
from percolaw.learners.neural.networks import (
    Network,
    Pass,
    Weights,
    draw,
    rate_factor,
    unflatten,
)
from percolaw.learners.neural.optimizers import Moments, Update
from percolaw.learners.neural.order import Order
from percolaw.learners.neural.trained import Stop, Trained, block_rows

FloatArray = npt.NDArray[np.float64]

#: Row numbers sent to the device at a time.
INDEX_ELEMENTS = 1 << 22
#: Times its first validation loss at which a student counts as diverged.
EXPLOSION = 1e3
#: Training rows on which the final training loss and gradient are taken.
FINAL_ROWS = 4096
#: Codes of `Trained.stopped` in a state; 0 still learns.
STOPS: tuple[Stop, ...] = ("plateau", "budget", "diverged")


@dataclass
class Progress:
    """Where every student of a batch is; arrays over all of them, ended ones too."""

    best: FloatArray
    last: FloatArray
    reference: FloatArray
    first: FloatArray
    since: npt.NDArray[np.int64]
    plateau: npt.NDArray[np.bool_]
    cool_from: npt.NDArray[np.int64]
    end: npt.NDArray[np.int64]
    code: npt.NDArray[np.int64]
    made: npt.NDArray[np.int64]


@dataclass
class Part:
    """Students worked on together: a slice of the active ones, and views of their state."""

    own: slice
    rows: Any
    moments: Moments
    leaves: Weights


class Batch:
    """Students of one shape, their data on a device, and the state of their training."""

    def __init__(
        self,
        network: Network,
        x: npt.NDArray[Any],
        y: FloatArray,
        students: Sequence[Student],
        training: Training,
        n_outputs: int,
    ) -> None:
        import torch

        self.network, self.training, self.students = network, training, students
        self.dim, self.n_outputs = x.shape[1], n_outputs
        self.device, self.dtype = resolve_device(training.device), tensor_dtype(training.dtype)
        self.n = len(students)
        own = self.dtype if not network.takes_tokens else torch.int64
        self.x = torch.as_tensor(x).to(device=self.device, dtype=own)
        self.y = torch.as_tensor(y).to(device=self.device, dtype=self.dtype)
        self.columns = self._tensor(
            np.array([s.target for s in students])[:, None] + np.arange(n_outputs)
        )
        self.validation = self._tensor(np.stack([np.asarray(s.validation) for s in students]))
        shared: dict[tuple[int, bytes], Order] = {}
        for s in students:
            rows = np.asarray(s.train)
            shared.setdefault((s.seed, rows.tobytes()), Order(s.seed, rows, training.batch_size))
        self.orders = [shared[s.seed, np.asarray(s.train).tobytes()] for s in students]
        self.mean_weight = self._tensor(
            np.stack([order.weights() for order in self.orders]) / training.batch_size, self.dtype
        )
        self.seeds = self._tensor(
            np.array([s.seed for s in students], dtype=np.uint64).view(np.int64)
        )
        self.rate = _of(students, "learning_rate", training.learning_rate)
        self.decay = _of(students, "weight_decay", training.weight_decay)
        parts, low = [], 0
        for p in network.parameters(self.dim, n_outputs).values():
            factor = rate_factor(network, p.role, "adamw")
            parts.append((low, low + p.size, factor, len(p.shape) > 1))
            low += p.size
        self.update = Update(training, parts)
        self.hand = gradient.relu_gradient(network, training, self.device)
        self.rows = self._tensor(
            draw(network, self.dim, n_outputs, [s.seed for s in students]), self.dtype
        )
        self.moments: Moments = optimizers.fresh(self.rows)
        self.kept = self.rows.clone()
        self.active = np.arange(self.n)
        self.step = 0
        steps = training.steps
        cooling = training.cooldown * steps if training.schedule == "trapezoid" else 0.0
        never = np.full(self.n, steps - round(cooling))
        self.progress = Progress(
            best=np.full(self.n, math.inf),
            last=np.full(self.n, math.nan),
            reference=np.full(self.n, math.inf),
            first=np.full(self.n, math.nan),
            since=np.zeros(self.n, dtype=np.int64),
            plateau=np.zeros(self.n, dtype=bool),
            cool_from=never,
            end=np.full(self.n, steps),
            code=np.zeros(self.n, dtype=np.int64),
            made=np.zeros(self.n, dtype=np.int64),
        )
        self.evaluated: list[int] = []
        self.validation_curve: list[FloatArray] = []
        self.train_curve: list[FloatArray] = []

    def _tensor(self, array: npt.NDArray[Any], dtype: Any = None) -> Any:
        import torch

        return torch.as_tensor(array).to(device=self.device, dtype=dtype)

    def losses(self, out: Any, y: Any) -> Any:
        """Loss of every point: (students, batch)."""
        import torch

        if self.training.loss == "mse":
            return (out - y).square().mean(dim=-1)
        target = torch.log_softmax(y, dim=-1)
        gap = target - torch.log_softmax(out, dim=-1)
        return (target.exp() * gap).sum(dim=-1)

    def values(self, index: Any, columns: Any) -> Any:
        """Values (students, batch, n_outputs) at rows (students, batch)."""
        return self.y[index[:, :, None], columns[:, None, :]]

    def multipliers(self, first: int, count: int) -> FloatArray:
        """Factor of the schedule for active students: (count, students)."""
        t = np.arange(first, first + count, dtype=np.float64)[:, None]
        training = self.training
        warm = max(1.0, training.warmup * training.steps)
        factor = np.minimum(1.0, (t + 1.0) / warm)
        if training.schedule == "cosine":
            factor = factor * 0.5 * (1.0 + np.cos(math.pi * t / training.steps))
        factor = np.repeat(factor, self.active.size, axis=1)
        if training.schedule == "trapezoid":
            low = self.progress.cool_from[self.active]
            high = self.progress.end[self.active]
            falling = (high - t) / np.maximum(high - low, 1)
            factor = np.where(t >= low, np.minimum(factor, falling), factor)
        return factor

    def run_steps(self, count: int) -> None:
        """Make steps up to the next evaluation and note the mean training loss."""
        import torch

        total = torch.zeros(self.active.size, dtype=self.dtype, device=self.device)
        left = count
        most = max(1, INDEX_ELEMENTS // (self.active.size * self.training.batch_size))
        which = self._tensor(self.active)
        columns, weight, seeds = self.columns[which], self.mean_weight[which], self.seeds[which]
        parts = self._parts()
        while left:
            count_now = min(left, most)
            index = self._tensor(
                np.stack(
                    [self.orders[s].batches(self.step, count_now) for s in self.active], axis=1
                )
            )
            values = self.y[index[..., None], columns[None, :, None, :]]
            rates = self.multipliers(self.step, count_now) * self.rate[self.active]
            decays = self.decay[self.active]
            if self.device != "cpu":  # once for many steps: every transfer waits for the device
                rates, decays = self._tensor(rates, self.dtype), self._tensor(decays, self.dtype)
            for i in range(count_now):
                for part in parts:
                    x = self.x.index_select(0, index[i, part.own].reshape(-1))
                    batch = gradient.Batch(
                        x.reshape(-1, self.training.batch_size, self.dim),
                        values[i, part.own],
                        weight[part.own],
                        Pass(self.training.dropout, seeds[part.own], self.step),
                    )
                    loss, gradients = self._gradient(part, batch)
                    total[part.own] += loss
                    self.update(
                        part.rows,
                        gradients,
                        part.moments,
                        self.step,
                        rates[i, part.own],
                        decays[part.own],
                    )
                self.step += 1
            left -= count_now
        mean = np.full(self.n, np.nan)
        mean[self.active] = (total / count).double().cpu().numpy()
        self.train_curve.append(mean)
        self.progress.made[self.active] = self.step

    def _parts(self) -> list[Part]:
        """Active students in the groups that are worked on together."""
        named = unflatten(self.network, self.dim, self.n_outputs, self.rows)
        size = self.active.size
        if self.hand is not None:
            size = min(size, self.hand.together(named, self.training.batch_size))
        found = []
        for low in range(0, self.active.size, size):
            own = slice(low, low + size)
            leaves = {name: w[own].detach() for name, w in named.items()}
            for leaf in leaves.values():
                leaf.requires_grad_(self.hand is None)
            found.append(Part(own, self.rows[own], self.moments.take(own), leaves))
        return found

    def _gradient(self, part: Part, batch: gradient.Batch) -> tuple[Any, list[Any]]:
        if self.hand is not None:
            return self.hand(part.leaves, batch)
        return gradient.by_autograd(self.network, self.training, self.losses, part.leaves, batch)

    def evaluate(self) -> None:
        """Note validation losses, keep better weights, and move every student's schedule on."""
        loss = np.full(self.n, np.nan)
        loss[self.active] = self.mean_loss(self.rows, self.active, self.validation)
        self.evaluated.append(self.step)
        self.validation_curve.append(loss)
        p, training = self.progress, self.training
        p.first = np.where(np.isnan(p.first), loss, p.first)
        diverged = np.zeros(self.n, dtype=bool)
        own = loss[self.active]
        diverged[self.active] = ~np.isfinite(own) | (own > EXPLOSION * p.first[self.active])
        # Against the loss at the last gain, not the best one: many small steps down make one gain.
        gain = loss < p.reference * (1.0 - training.least_gain)
        better = loss < p.best
        kept = better | (training.keep == "last") & np.isfinite(loss)
        if kept.any():
            place = np.flatnonzero(kept[self.active])
            self.kept[self._tensor(self.active[place])] = self.rows[self._tensor(place)]
        p.best = np.where(better, loss, p.best)
        p.last = np.where(np.isfinite(loss), loss, p.last)
        p.reference = np.where(gain, loss, p.reference)
        p.since = np.where(gain, 0, p.since + 1)
        learning = p.code == 0
        flat = learning & (p.since >= training.patience) & (self.step < p.cool_from) & ~diverged
        if training.schedule == "trapezoid":
            every = training.evaluate_every
            cool = max(every, round(training.cooldown * self.step / every) * every)
            p.cool_from[flat], p.end[flat] = self.step, min(self.step + cool, training.steps)
        else:
            p.end[flat] = self.step
        p.plateau |= flat
        over = learning & (self.step >= p.end) & ~diverged
        p.code[over] = np.where(p.plateau[over], 1, 2)
        p.code[learning & diverged] = 3
        staying = p.code[self.active] == 0
        if not staying.all():
            keep = self._tensor(np.flatnonzero(staying))
            self.rows, self.moments = self.rows[keep], self.moments.take(keep)
            self.active = self.active[staying]

    def mean_loss(self, rows: Any, which: npt.NDArray[Any], index: Any) -> FloatArray:
        """Mean loss of some students at their rows of points (students, m), nothing dropped."""
        import torch

        if not which.size:
            return np.zeros(0)
        chosen = self._tensor(which)
        columns, total = self.columns[chosen], 0.0
        m = index.shape[1]
        step = block_rows(self.network, self.dim, self.n_outputs, which.size)
        weights = unflatten(self.network, self.dim, self.n_outputs, rows)
        with torch.no_grad(), autocast(self.training.dtype, self.device):
            for low in range(0, m, step):
                part = index[chosen, low : low + step]
                out = self.network.forward(weights, self.x[part], Pass())
                loss = self.losses(out.to(self.dtype), self.values(part, columns))
                total = total + loss.sum(dim=1, dtype=torch.float64)
        return np.asarray((total / m).cpu().numpy())

    def final(self, student: int) -> tuple[float, float]:
        """Training loss and norm of its gradient at the weights kept, on the first training rows."""
        import torch

        one = np.array([student])
        index = self._tensor(np.asarray(self.students[student].train)[:FINAL_ROWS])[None]
        named = unflatten(self.network, self.dim, self.n_outputs, self.kept[student : student + 1])
        leaves = [w.detach().requires_grad_() for w in named.values()]
        columns = self.columns[self._tensor(one)]
        m, total = index.shape[1], 0.0
        norms = [torch.zeros_like(leaf) for leaf in leaves]
        step = block_rows(self.network, self.dim, self.n_outputs, 1)
        for low in range(0, m, step):
            part = index[:, low : low + step]
            with autocast(self.training.dtype, self.device):
                out = self.network.forward(
                    dict(zip(named, leaves, strict=True)), self.x[part], Pass()
                )
            loss = self.losses(out.to(self.dtype), self.values(part, columns)).sum() / m
            for norm, g in zip(norms, torch.autograd.grad(loss, leaves), strict=True):
                norm += g
            total += float(loss.detach())
        return total, math.sqrt(sum(float(norm.double().square().sum()) for norm in norms))

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything a checkpoint holds; random states are functions of seed and step."""
        found = {
            "rows": self.rows.cpu().numpy(),
            "first": self.moments.first.cpu().numpy(),
            "second": self.moments.second.cpu().numpy(),
            "kept": self.kept.cpu().numpy(),
            "active": self.active,
            "step": np.array(self.step),
            "evaluated": np.array(self.evaluated, dtype=np.int64),
            "validation_curve": np.array(self.validation_curve).reshape(-1, self.n),
            "train_curve": np.array(self.train_curve).reshape(-1, self.n),
        }
        return found | {f"progress {k}": v for k, v in vars(self.progress).items()}

    def restore(self, state: dict[str, npt.NDArray[Any]]) -> None:
        """Continue from a checkpoint."""
        self.rows = self._tensor(state["rows"])
        self.moments = Moments(self._tensor(state["first"]), self._tensor(state["second"]))
        self.kept = self._tensor(state["kept"])
        self.active, self.step = state["active"], int(state["step"])
        self.evaluated = state["evaluated"].tolist()
        self.validation_curve = list(state["validation_curve"])
        self.train_curve = list(state["train_curve"])
        self.progress = Progress(**{k: state[f"progress {k}"] for k in vars(self.progress)})

    def result(self) -> Trained:
        """Return what was learned."""
        final = [
            self.final(s) if self.progress.code[s] != 3 else (math.nan, math.nan)
            for s in range(self.n)
        ]
        lost = self.progress.code == 3
        kept = self.progress.best if self.training.keep == "best" else self.progress.last
        return Trained(
            self.network,
            self.training,
            self.dim,
            self.n_outputs,
            self.kept.cpu().numpy(),
            np.where(lost, np.nan, kept),
            np.array([f[0] for f in final]),
            np.array([f[1] for f in final]),
            self.progress.made,
            tuple(STOPS[code - 1] for code in self.progress.code),
            np.array(self.evaluated, dtype=np.int64),
            np.array(self.validation_curve),
            np.array(self.train_curve),
        )


def train_batch(
    network: Network,
    x: npt.NDArray[Any],
    y: FloatArray,
    students: Sequence[Student],
    training: Training,
    n_outputs: int,
    folder: Path | None,
    seconds: float,
    progress: Callable[[int, int], None],
) -> Trained:
    """Train one batch to the end; see `training.train`."""
    batch = Batch(network, x, y, students, training, n_outputs)
    name = ""
    if folder is not None:
        name = checkpoints.identity(network, x, y, students, training, n_outputs)
        state = checkpoints.load(folder, name)
        if state is not None and set(state) == set(batch.state()):
            batch.restore(state)
    last = time.monotonic()
    if not batch.evaluated:
        batch.train_curve.append(np.full(batch.n, np.nan))
        batch.evaluate()
    while batch.active.size:
        batch.run_steps(min(training.evaluate_every, training.steps - batch.step))
        batch.evaluate()
        if folder is not None and time.monotonic() - last >= seconds:
            checkpoints.save(folder, name, batch.state())
            last = time.monotonic()
        progress(batch.step, batch.active.size)
    found = batch.result()
    if folder is not None:
        checkpoints.remove(folder, name)
    return found


def _of(students: Sequence[Student], name: str, default: float) -> FloatArray:
    """A number of each student, or the batch's."""
    found = [getattr(s, name) for s in students]
    return np.array([default if value is None else float(value) for value in found])
