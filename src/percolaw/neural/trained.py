"""Students after training: weights, curves, predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.config import Training
from percolaw.neural.device import autocast, matrix_products, resolve_device
from percolaw.neural.network import (
    ForwardPass,
    Network,
    checked_inputs,
    evaluation_rows,
    unflatten,
)
from percolaw.neural.stopping import Stop
from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: Fields of `Trained` whose first axis is that of the students, and those whose second one is.
PER_STUDENT = ("weights", "validation_loss", "train_loss", "gradient_norm", "steps")
CURVES = ("validation_curve", "train_curve")


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained:
    """Students at their least validation loss, and how their training went: a table with a row for each.

    Attributes
    ----------
    network : Network
    training : Training
    dim, n_outputs : int
    weights : array of float32 or float64, shape (students, n_parameters)
    validation_loss, train_loss, gradient_norm : array of float64, shape (students,)
        Of the weights kept; the last two on the first training rows, at most 4096. NaN for a student
        that diverged.
    steps : array of int64, shape (students,)
        Steps made.
    stopped : tuple of {"plateau", "budget", "diverged"}
    evaluated : array of int64, shape (n_evaluations,)
        Steps of the curves.
    validation_curve, train_curve : array of float64, shape (n_evaluations, students)
        Validation loss, and the mean training loss since the last evaluation; NaN after the end.
    """

    network: Network
    training: Training
    dim: int
    n_outputs: int
    weights: npt.NDArray[Any]
    validation_loss: FloatArray
    train_loss: FloatArray
    gradient_norm: FloatArray
    steps: IntArray
    stopped: tuple[Stop, ...]
    evaluated: IntArray
    validation_curve: FloatArray
    train_curve: FloatArray

    __repr__ = short_repr

    @property
    def converged(self) -> npt.NDArray[np.bool_]:
        """Whether the validation loss had stopped improving, student by student."""
        return np.array([stop == "plateau" for stop in self.stopped])

    def select(self, student: int) -> Trained:
        """Return an ensemble of one student alone; ValueError if there is no student of this number."""
        i = checks.integer("student", student, minimum=0, maximum=len(self.stopped) - 1)
        row: dict[str, Any] = {name: getattr(self, name)[i : i + 1] for name in PER_STUDENT}
        row |= {name: getattr(self, name)[:, i : i + 1] for name in CURVES}
        return dataclasses.replace(self, stopped=(self.stopped[i],), **row)

    def predict(
        self, points: npt.ArrayLike, layers: list[dict[str, npt.NDArray[Any]]] | None = None
    ) -> npt.NDArray[Any]:
        """Return the outputs of all students at points, in blocks.

        Parameters
        ----------
        points : array, shape (n, dim), the same for all, or (students, n, dim)
        layers : list, optional
            Filled with the activations of every block, (students, rows, width) by name.

        Returns
        -------
        array, shape (students, n, n_outputs)
            In the type of the weights.

        Raises
        ------
        ValueError
            For points of another shape.
        """
        torch = checks.extra("torch", "nn")
        x = checked_inputs(self.network, points)
        students = len(self.stopped)
        good = x.ndim == 2 or (x.ndim == 3 and x.shape[0] == students)
        if not good or x.shape[-1] != self.dim:
            raise ValueError(
                f"points must have shape (n, {self.dim}), as in training, or ({students}, n, "
                f"{self.dim}), a set for each student; got {x.shape}."
            )
        device = resolve_device(self.training.device)
        rows = torch.as_tensor(self.weights, device=device)
        w = unflatten(self.network, self.dim, self.n_outputs, rows)
        x = x if x.ndim == 3 else np.broadcast_to(x, (len(self.stopped), *x.shape))
        out = np.empty((*x.shape[:2], self.n_outputs), dtype=self.weights.dtype)
        step = evaluation_rows(self.network, self.dim, self.n_outputs, x.shape[0])
        dtype = self.training.dtype
        with torch.no_grad(), autocast(dtype, device), matrix_products(dtype, device):
            for low in range(0, x.shape[1], step):
                block = torch.as_tensor(x[:, low : low + step].copy(), device=device)
                if block.is_floating_point():
                    block = block.to(rows.dtype)
                run = ForwardPass(layers=None if layers is None else {})
                y = self.network.forward(w, block, run)
                out[:, low : low + step] = y.to(rows.dtype).cpu().numpy()
                if layers is not None and run.layers is not None:
                    layers.append(
                        {k: v.to(rows.dtype).cpu().numpy() for k, v in run.layers.items()}
                    )
        return out


def joined(ensembles: Sequence[Trained]) -> Trained:
    """Return the students of several ensembles of one network and training as one ensemble."""
    longest = max(ensembles, key=lambda ensemble: ensemble.evaluated.size)
    n = longest.evaluated.size
    together: dict[str, Any] = {"stopped": tuple(stop for e in ensembles for stop in e.stopped)}
    for name in PER_STUDENT:
        together[name] = np.concatenate([getattr(e, name) for e in ensembles])
    for name in CURVES:
        curves = [getattr(e, name) for e in ensembles]
        padded = [np.pad(c, ((0, n - c.shape[0]), (0, 0)), constant_values=np.nan) for c in curves]
        together[name] = np.concatenate(padded, axis=1)
    return dataclasses.replace(longest, **together)
