"""L-BFGS for small students: all training points in every step, one student after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.learners.neural.config import Student, Training
from percolaw.learners.neural.loop import EXPLOSION, STOPS, Batch
from percolaw.learners.neural.networks import Network, Pass, unflatten
from percolaw.learners.neural.trained import Stop, Trained, joined

FloatArray = npt.NDArray[np.float64]

#: Pairs of steps and gradients that approximate the curvature.
HISTORY = 50


def train_lbfgs(
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
    """Train with torch's L-BFGS and strong Wolfe line search; no checkpoints, it is for small ones."""

    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for i, student in enumerate(students):
        batch = Batch(network, x, y, [student], training, n_outputs)
        parts.append(_one(batch, student))
        progress(int(parts[-1].steps[0]), len(students) - i - 1)
    return joined(parts)


def _one(batch: Batch, student: Student) -> Trained:
    import torch

    training = batch.training
    index = batch._tensor(np.asarray(student.train))[None]
    inputs, target = batch.x[index], batch.values(index, batch.columns)
    leaf = batch.rows.clone().requires_grad_()
    solver: Any = torch.optim.LBFGS(
        [leaf],
        max_iter=training.evaluate_every,
        max_eval=2 * training.evaluate_every,
        history_size=HISTORY,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Any:
        solver.zero_grad()
        weights = unflatten(batch.network, batch.dim, batch.n_outputs, leaf)
        out = batch.network.forward(weights, inputs, Pass())
        loss = batch.losses(out, target).mean()
        loss.backward()
        return loss

    best = reference = math.inf
    kept, first, since, code, made = math.nan, math.nan, 0, 0, 0
    curve: list[float] = []
    losses: list[float] = []
    steps: list[int] = []
    one = np.array([0])
    while not code:
        loss = float(batch.mean_loss(leaf.detach(), one, batch.validation)[0])
        first = loss if math.isnan(first) else first
        curve.append(loss)
        steps.append(made)
        gained = loss < reference * (1.0 - training.least_gain)
        since, reference = (0, loss) if gained else (since + 1, reference)
        if loss < best or (training.keep == "last" and math.isfinite(loss)):
            kept = loss
            batch.kept.copy_(leaf.detach())
        best = min(best, loss)
        if not math.isfinite(loss) or loss > EXPLOSION * first:
            code = 3
        elif since >= training.patience:
            code = 1
        elif made >= training.steps:
            code = 2
        else:
            count = min(training.evaluate_every, training.steps - made)
            solver.param_groups[0]["max_iter"] = count
            losses.append(float(solver.step(closure).detach()))
            made += count
    batch.progress.code[0], batch.progress.best[0] = code, best
    train_loss, gradient = batch.final(0) if code != 3 else (math.nan, math.nan)
    stop: Stop = STOPS[code - 1]
    lost = code == 3
    return Trained(
        batch.network,
        training,
        batch.dim,
        batch.n_outputs,
        batch.kept.cpu().numpy(),
        np.array([math.nan if lost else kept]),
        np.array([train_loss]),
        np.array([gradient]),
        np.array([made]),
        (stop,),
        np.array(steps, dtype=np.int64),
        np.array(curve)[:, None],
        np.array([math.nan, *losses])[:, None],  # at the beginning of each block,
    )
