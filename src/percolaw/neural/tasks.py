"""Students of many tasks at once, and how the loss of every task falls while they are trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.config import NEVER_STOP, Student, Training
from percolaw.neural.device import autocast, gradients_on, matrix_products, resolve_device
from percolaw.neural.ensemble import Ensemble
from percolaw.neural.network import ForwardPass, Network, evaluation_rows
from percolaw.neural.training import checked_job
from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TaskCurves:
    """How students of classes came to know their tasks.

    Attributes
    ----------
    step : array of int64, shape (n_evaluations,)
    loss : array of float64, shape (n_evaluations, students, n_tasks)
        Mean of `training.loss` over the test points of a task, in nats for "cross_entropy"; NaN from
        where a student diverged.
    error : array of float64, of that shape
        Share of them whose class is not the one that the student gives the largest output.
    """

    step: npt.NDArray[np.int64]
    loss: FloatArray
    error: FloatArray

    __repr__ = short_repr


def train_tasks(
    network: Network,
    inputs: npt.ArrayLike,
    targets: npt.ArrayLike,
    task: npt.ArrayLike,
    students: Sequence[Student],
    training: Training,
    at: npt.ArrayLike,
) -> TaskCurves:
    """Train students by `training` without stopping, and test them task by task at given steps.

    Parameters
    ----------
    network : Network
    inputs : array, shape (n, dim)
        Test points first, as many as `task` has; then those that students learn from, unless by streams.
    targets : array of float64, shape (n, n_classes)
        Probabilities of the classes.
    task : array of int, shape (n_test,)
        Of the test points, from 0; each task that there is has some.
    students : sequence of Student
        Their validation rows have no influence.
    training : Training
        Its steps and its rules of stopping are not used.
    at : array of int
        Steps after which students are tested, rising; 0 tests them untrained, and the last ends training.

    Returns
    -------
    TaskCurves

    Raises
    ------
    ValueError
        As `percolaw.train` does, for steps that do not rise, and for tasks without a test point.

    Notes
    -----
    Tests draw no random numbers: more of them change nothing of what is learned.
    """
    checks.extra("torch", "nn")
    steps = checks.integer_array("at", at)
    if steps.ndim != 1 or steps.size == 0 or steps[0] < 0 or np.any(np.diff(steps) <= 0):
        raise ValueError(f"at must be steps that rise, from 0 on; got {steps.tolist()!s:.60}.")
    last = max(1, int(steps[-1]))
    plan = dataclasses.replace(training, steps=last, patience=NEVER_STOP, keep="last")
    y = checks.finite_array("targets", targets, ndim=2)
    tasks = checks.site_ids("task", task, 1 << 31)
    if not 0 < tasks.size <= y.shape[0] or np.any(np.bincount(tasks) == 0):
        raise ValueError(
            f"task must say of each test point which of the tasks 0, 1, ... it is of, none left out; got "
            f"{tasks.size} numbers, {np.unique(tasks).size} different ones, up to "
            f"{tasks.max(initial=-1)}, for {y.shape[0]} rows."
        )
    job = checked_job(network, inputs, y, students, plan, y.shape[1], None, None)
    curves = []
    with gradients_on(), matrix_products(plan.dtype, resolve_device(plan.device)):
        ensemble = Ensemble(job)
        ensemble.train_curve.append(np.full(ensemble.size, np.nan))
        try:
            for step in steps.tolist():
                if step > ensemble.step and ensemble.active.size:
                    ensemble.run_steps(step - ensemble.step)
                curves.append(_test(ensemble, tasks))
                ensemble.evaluate()
        finally:
            ensemble.end_program()
    loss, error = (np.array(values) for values in zip(*curves, strict=True))
    return TaskCurves(steps, loss, error)


def _test(ensemble: Ensemble, task: npt.NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Losses and errors of all students by task: (students, n_tasks) each."""
    import torch

    job, n_tasks = ensemble.job, int(task.max()) + 1
    count = np.bincount(task, minlength=n_tasks)
    loss, error = (np.full((ensemble.size, n_tasks), np.nan) for _ in range(2))
    if not ensemble.active.size:
        return loss, error
    loss[ensemble.active] = error[ensemble.active] = 0.0
    weights = ensemble.named(ensemble.weights)
    at_once = evaluation_rows(job.network, job.dim, job.n_outputs, ensemble.active.size)
    data, students = ensemble.data, ensemble.active.size
    with torch.no_grad(), autocast(job.training.dtype, ensemble.device):
        for low in range(0, task.size, at_once):
            rows = task[low : low + at_once]
            x, y = (t[low : low + rows.size].to(ensemble.device) for t in (data.x, data.y))
            output = job.network.forward(weights, x.expand(students, *x.shape), ForwardPass())
            output = output.to(ensemble.dtype)
            wrong = output.argmax(dim=-1) != y.argmax(dim=-1)
            for into, numbers in ((loss, job.loss.value(output, y)), (error, wrong)):
                for s, each in zip(ensemble.active, numbers.double().cpu().numpy(), strict=True):
                    into[s] += np.bincount(rows, each, n_tasks)
    return loss / count, error / count
