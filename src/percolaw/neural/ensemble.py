"""An ensemble: many students of one shape in one tensor program, each as if it were alone.

A training is read here from top to bottom (`train_ensemble`): evaluate, then steps and evaluations in
turn until every student has ended. Students that have ended leave the program, and the others go on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.neural.checkpoint import Checkpoint, State, identity
from percolaw.neural.config import Student
from percolaw.neural.data import (
    DeviceData,
    Minibatches,
    RowMinibatches,
    StreamMinibatches,
)
from percolaw.neural.device import autocast, resolve_device, tensor_dtype
from percolaw.neural.feed import feed_of
from percolaw.neural.flat_update import FlatAdamW
from percolaw.neural.job import TrainingJob
from percolaw.neural.network import (
    ForwardPass,
    Tensor,
    Weights,
    evaluation_rows,
    initial_weights,
    unflatten,
)
from percolaw.neural.program import StepProgram
from percolaw.neural.schedule import rate_multipliers
from percolaw.neural.step import AdamW, Gradient, Minibatch, Moments, gradient_method
from percolaw.neural.stopping import STOPS, StoppingRule
from percolaw.neural.stream import Stream
from percolaw.neural.time_limit import TimeLimit
from percolaw.neural.trained import Trained

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Training rows on which the final training loss and gradient are taken.
FINAL_ROWS = 4096


def train_ensemble(job: TrainingJob, as_program: bool | None = None) -> Trained:
    """Train the students of a job to their ends, from a checkpoint where there is one.

    Parameters
    ----------
    job : TrainingJob
    as_program : bool, optional
        See `Ensemble`; None, on accelerators.

    Returns
    -------
    Trained
    """
    ensemble = Ensemble(job, as_program)
    try:
        return train_to_the_end(ensemble)
    finally:
        ensemble.end_program()


def train_to_the_end(ensemble: Ensemble) -> Trained:
    """Train the students of an ensemble to their ends, from a checkpoint where there is one."""
    job, checkpoint = ensemble.job, None
    if job.folder is not None:
        checkpoint = Checkpoint(job.folder, identity(job), job.checkpoint_seconds)
        ensemble.restore(checkpoint.load())
    if not ensemble.evaluated:
        ensemble.train_curve.append(np.full(ensemble.size, np.nan))
        ensemble.evaluate()
    limit = TimeLimit(job.seconds, job.training.steps, ensemble.device)
    while ensemble.active.size:
        count = min(job.training.evaluate_every, job.training.steps - ensemble.step)
        ensemble.run_steps(count)
        ensemble.evaluate()
        limit.interval_done(count, ensemble.step)
        if checkpoint is not None:
            checkpoint.save_if_due(ensemble.state)
        job.progress(ensemble.step, ensemble.active.size)
    trained = ensemble.result()
    if checkpoint is not None:
        checkpoint.remove()
    return trained


class Ensemble:
    """Students of one shape, their data on a device, and the state of their training.

    Attributes
    ----------
    size : int
        Students, those that have ended included.
    active : array of int64
        Numbers of the students that still learn, rising.
    weights : tensor, shape (active, n_parameters)
    moments : Moments
        Of the active students.
    kept : tensor, shape (size, n_parameters)
        Weights of the least validation loss, or the last ones.
    step : int
        Steps made.
    stopping : StoppingRule
    as_program : bool
        Whether steps are a `StepProgram`, as on accelerators; else students go through them in groups
        that fit into the cache.
    record : bool
        Whether CUDA graphs are made of the program.
    evaluated : list of int
        Steps at which the validation loss was taken.
    validation_curve, train_curve : list of array, shape (size,)
        See `Trained`.
    """

    def __init__(self, job: TrainingJob, as_program: bool | None = None) -> None:
        self.job, self.network, self.training = job, job.network, job.training
        students, training = job.students, job.training
        self.size = len(students)
        self.device, self.dtype = resolve_device(training.device), tensor_dtype(training.dtype)
        seeds = [s.seed for s in students]
        rows = initial_weights(job.network, job.dim, job.n_outputs, seeds)
        for row, student in zip(rows, students, strict=True):
            row[:] = row if student.start is None else student.start
        self.weights = self._tensor(rows, self.dtype)
        self.moments = Moments.start(self.weights)
        self.kept = self.weights.clone()
        targets = [s.target for s in students]
        self.data = DeviceData.of(job.network, job.x, job.y, targets, job.n_outputs, self.weights)
        self.validation = self._tensor(np.stack([np.asarray(s.validation) for s in students]))
        self.minibatches = _minibatches(job, self.data)
        self.seeds = self._tensor(np.array(seeds, dtype=np.uint64).view(np.int64))
        self.rate = _each(students, "learning_rate", training.learning_rate)
        self.decay = _each(students, "weight_decay", training.weight_decay)
        self.gradient: Gradient = gradient_method(job.network, training, job.loss)
        self.optimizer = AdamW.of(job.network, job.dim, job.n_outputs, training)
        self.record = self.device != "cpu"
        self.as_program = self.record if as_program is None else as_program
        self.program: StepProgram | None = None
        self.active = np.arange(self.size)
        self.step = 0
        self.stopping = StoppingRule.start(self.size, training)
        self.evaluated: list[int] = []
        self.validation_curve: list[FloatArray] = []
        self.train_curve: list[FloatArray] = []

    def run_steps(self, count: int) -> None:
        """Make steps up to the next evaluation, and note the mean training loss over them."""
        first = self.step
        rates = self.rate_multipliers(first, count) * self.rate[self.active]
        decays = self.decay[self.active]
        if self.as_program:
            self.program = self.program or self._new_program(decays)
            total = self.program.run(first, rates, decays)
            self.record = self.program.repeated.record
        else:
            total = self._steps_by_groups(first, rates, decays)
        self.step += count
        mean = np.full(self.size, np.nan)
        mean[self.active] = (total / count).double().cpu().numpy()
        self.train_curve.append(mean)

    def _steps_by_groups(self, first: int, rates: FloatArray, decays: FloatArray) -> Tensor:
        """Make steps, a few students at a time through all of them; return the sums of the losses."""
        import torch

        training, count = self.training, len(rates)
        which = self._tensor(self.active)
        shares, seeds = self.minibatches.weight[which], self.seeds[which]
        total = torch.zeros(self.active.size, dtype=self.dtype, device=self.device)
        named = self.named(self.weights)
        for group in self._groups(named):
            rows, moments = self.weights[group], self.moments.take(group)
            leaves = {name: w[group].detach() for name, w in named.items()}
            for leaf in leaves.values():
                leaf.requires_grad_(self.gradient.by_autograd)
            steps = self.minibatches.steps(self.active[group], first, count)
            for i, (x, y) in enumerate(steps):
                run = ForwardPass(training.dropout, seeds[group], first + i)
                loss, gradients = self.gradient(leaves, Minibatch(x, y, shares[group], run))
                total[group] += loss
                self.optimizer(rows, gradients, moments, first + i, rates[i, group], decays[group])
        return total

    def _new_program(self, decays: FloatArray) -> StepProgram:
        which = self._tensor(self.active)
        return StepProgram(
            self.training,
            self.named(self.weights),
            self.weights,
            self.moments,
            self.gradient,
            FlatAdamW.like(self.optimizer, decays, self.weights),
            feed_of(self.minibatches, self.active),
            self.minibatches.weight[which],
            self.seeds[which],
            self.record,
        )

    def end_program(self) -> None:
        """Let go of the program; the next steps need another one."""
        if self.program is not None:
            self.program.close()
        self.program = None

    def rate_multipliers(self, first: int, count: int) -> FloatArray:
        """Return the schedule's factors for the active students.

        Parameters
        ----------
        first, count : int
            Steps first .. first + count - 1.

        Returns
        -------
        array of float64, shape (count, active)
        """
        rule = self.stopping
        low, high = rule.cooling_start[self.active], rule.end[self.active]
        return rate_multipliers(self.training, first, count, low, high)

    def evaluate(self) -> None:
        """Note validation losses, keep better weights, and let students end that are done."""
        loss = np.full(self.size, np.nan)
        loss[self.active] = self.validation_loss(self.weights, self.active)
        self.evaluated.append(self.step)
        self.validation_curve.append(loss)
        better = self.stopping.evaluated(self.training, self.step, loss)
        if better.any():
            place = np.flatnonzero(better[self.active])
            self.kept[self._tensor(self.active[place])] = self.weights[self._tensor(place)]
        staying = self.stopping.learning[self.active]
        if not staying.all():
            keep = self._tensor(np.flatnonzero(staying))
            self.weights, self.moments = self.weights[keep], self.moments.take(keep)
            self.active = self.active[staying]
            self.end_program()

    def validation_loss(self, rows: Tensor, students: IntArray) -> FloatArray:
        """Return the mean validation loss of some students, without dropout.

        Parameters
        ----------
        rows : tensor, shape (students, n_parameters)
        students : array of int64, shape (students,)

        Returns
        -------
        array of float64, shape (students,)
        """
        import torch

        if not students.size:
            return np.zeros(0)
        which = self._tensor(students)
        columns, index, total = self.data.columns[which], self.validation[which], 0.0
        at_once = evaluation_rows(self.network, self.job.dim, self.job.n_outputs, students.size)
        weights = self.named(rows)
        with torch.no_grad(), autocast(self.training.dtype, self.device):
            for rows_of_block in index.split(at_once, dim=1):
                x, y = self.data.select(rows_of_block, columns)
                output = self.network.forward(weights, x, ForwardPass())
                loss = self.job.loss.value(output.to(self.dtype), y)
                total = total + loss.sum(dim=1, dtype=torch.float64)
        return np.asarray((total / index.shape[1]).cpu().numpy())  # type: ignore[attr-defined]

    def final_loss(self, student: int) -> tuple[float, float]:
        """Return a student's training loss and the norm of its gradient, at the weights kept.

        Both are taken on its first training rows, at most `FINAL_ROWS`, without dropout.
        """
        import torch

        x, y = self.minibatches.first_rows(student, FINAL_ROWS)
        weights = self.named(self.kept[student : student + 1])
        leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
        sums = [torch.zeros_like(leaf) for leaf in leaves.values()]
        total, m = 0.0, x.shape[1]
        at_once = evaluation_rows(self.network, self.job.dim, self.job.n_outputs, 1)
        for block, values in zip(x.split(at_once, dim=1), y.split(at_once, dim=1), strict=True):
            with autocast(self.training.dtype, self.device):
                output = self.network.forward(leaves, block, ForwardPass())
            loss = self.job.loss.value(output.to(self.dtype), values).sum() / m
            for each, g in zip(sums, torch.autograd.grad(loss, list(leaves.values())), strict=True):
                each += g
            total += float(loss.detach())
        return total, math.sqrt(sum(float(each.double().square().sum()) for each in sums))

    def state(self) -> State:
        """Return what a checkpoint holds; random states are functions of seed and step."""
        arrays = {
            "weights": self.weights.cpu().numpy(),
            "first": self.moments.first.cpu().numpy(),
            "second": self.moments.second.cpu().numpy(),
            "kept": self.kept.cpu().numpy(),
            "active": self.active,
            "step": np.array(self.step),
            "evaluated": np.array(self.evaluated, dtype=np.int64),
            "validation_curve": np.array(self.validation_curve).reshape(-1, self.size),
            "train_curve": np.array(self.train_curve).reshape(-1, self.size),
        }
        return arrays | {f"stopping {name}": v for name, v in vars(self.stopping).items()}

    def restore(self, state: State | None) -> None:
        """Continue from a checkpoint; one that lacks something, or none, is passed over."""
        if state is None or set(state) != set(self.state()):
            return
        self.weights, self.kept = self._tensor(state["weights"]), self._tensor(state["kept"])
        self.moments = Moments(self._tensor(state["first"]), self._tensor(state["second"]))
        self.active, self.step = state["active"], int(state["step"])
        self.evaluated = state["evaluated"].tolist()
        self.validation_curve = list(state["validation_curve"])
        self.train_curve = list(state["train_curve"])
        names = vars(self.stopping)
        self.stopping = StoppingRule(**{name: state[f"stopping {name}"] for name in names})

    def result(self) -> Trained:
        """Return the students as they are at the weights kept."""
        rule = self.stopping
        stopped = tuple(STOPS[code - 1] for code in rule.code)
        diverged = np.array([stop == "diverged" for stop in stopped])
        loss = rule.least_loss if self.training.keep == "best" else rule.last_loss
        none = (math.nan, math.nan)
        final = [none if bad else self.final_loss(s) for s, bad in enumerate(diverged)]
        return Trained(
            network=self.network,
            training=self.training,
            dim=self.job.dim,
            n_outputs=self.job.n_outputs,
            weights=self.kept.cpu().numpy(),
            validation_loss=np.where(diverged, np.nan, loss),
            train_loss=np.array([train_loss for train_loss, _ in final]),
            gradient_norm=np.array([norm for _, norm in final]),
            steps=rule.steps,
            stopped=stopped,
            evaluated=np.array(self.evaluated, dtype=np.int64),
            validation_curve=np.array(self.validation_curve),
            train_curve=np.array(self.train_curve),
        )

    def named(self, rows: Tensor) -> Weights:
        """Return rows of weights (students, n_parameters) as named tensors that share their memory."""
        return unflatten(self.network, self.job.dim, self.job.n_outputs, rows)

    def _groups(self, weights: Weights) -> list[slice]:
        """Active students in the groups that are worked on together."""
        size = self.gradient.students_together(weights, self.training.batch_size)
        size = self.active.size if size is None else min(size, self.active.size)
        return [slice(low, low + size) for low in range(0, self.active.size, size)]

    def _tensor(self, array: npt.NDArray[Any], dtype: Any = None) -> Tensor:
        import torch

        return torch.as_tensor(array, device=self.device, dtype=dtype)


def _minibatches(job: TrainingJob, data: DeviceData) -> Minibatches:
    batch_size = job.training.batch_size
    streams = [s.train for s in job.students if isinstance(s.train, Stream)]
    if streams:
        return StreamMinibatches(data, streams, batch_size, job.network)
    train = [np.asarray(s.train) for s in job.students]
    return RowMinibatches(data, [s.seed for s in job.students], train, batch_size)


def _each(students: Sequence[Student], name: str, default: float) -> FloatArray:
    """A number of each student, or the one of the training."""
    values = [getattr(s, name) for s in students]
    return np.array([default if value is None else float(value) for value in values])
