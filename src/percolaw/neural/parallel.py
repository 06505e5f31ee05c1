"""One large student on several devices: every process takes a part of each minibatch.

Start as many processes as there are devices, for example with ``torchrun --nproc-per-node 4 script.py``;
in each of them call ``torch.distributed.init_process_group()``, and then `train_parallel` in the place of
`percolaw.train`. Many small students need none of this: they fill one device together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt

from percolaw import checks
from percolaw.neural.config import Student, Training
from percolaw.neural.device import autocast, gradients_on, matrix_products
from percolaw.neural.ensemble import Ensemble, train_to_the_end
from percolaw.neural.losses import Loss
from percolaw.neural.network import ForwardPass, Network, Tensor, Weights
from percolaw.neural.step import Minibatch
from percolaw.neural.trained import Trained
from percolaw.neural.training import checked_job

torch = checks.extra("torch", "nn")


class SharedStudent(torch.nn.Module):  # type: ignore[misc, name-defined]
    """A network of functions and weights as the module that PyTorch shares out."""

    def __init__(self, network: Network, weights: Weights) -> None:
        super().__init__()
        self.network, self.names = network, list(weights)
        self.numbers = torch.nn.ParameterList(w.detach().clone() for w in weights.values())

    def forward(self, x: Tensor, run: ForwardPass) -> Tensor:
        """Return outputs (1, batch, n_outputs)."""
        return self.network.forward(dict(zip(self.names, self.numbers, strict=True)), x, run)


@dataclass
class ParallelGradient:
    """Gradients of a student whose minibatches are shared out among the processes of a group.

    Attributes
    ----------
    module : DistributedDataParallel
        Of a `SharedStudent`; it takes the mean of the gradients of all processes.
    loss : Loss
    dtype : str
    """

    module: Any
    loss: Loss
    dtype: str
    by_autograd: ClassVar[bool] = False

    def students_together(self, weights: Weights, batch_size: int) -> int | None:
        return None

    def __call__(
        self, weights: Weights, minibatch: Minibatch, into: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the loss and the gradients of the whole minibatch, the same in every process.

        Parameters
        ----------
        weights, minibatch, into
            As of `percolaw.neural.step.Gradient`.
        """
        numbers, x = list(self.module.module.numbers), minibatch.x
        processes, rank = torch.distributed.get_world_size(), torch.distributed.get_rank()
        batch = x.shape[1]
        mine = slice(batch * rank // processes, batch * (rank + 1) // processes)
        with torch.no_grad():
            torch._foreach_copy_(numbers, list(weights.values()))
        self.module.zero_grad()
        with autocast(self.dtype, x.device.type):
            output = self.module(x[:, mine], minibatch.run)
        value = self.loss.value(output.to(minibatch.y.dtype), minibatch.y[:, mine])
        loss = (value * minibatch.weight[:, mine]).sum(dim=1)
        (processes * loss.sum()).backward()  # of which the mean over processes is taken
        total = loss.detach().clone()
        torch.distributed.all_reduce(total)
        gradients = [number.grad for number in numbers]
        if into is None:
            return total, gradients
        torch._foreach_copy_(list(into), gradients)
        return total, into


def train_parallel(
    network: Network,
    points: npt.ArrayLike,
    values: npt.ArrayLike,
    student: Student,
    training: Training | None = None,
    *,
    n_outputs: int = 1,
    loss: Loss | None = None,
    checkpoint: Path | str | None = None,
) -> Trained:
    """Train one student by all processes of torch's process group, to rounding as `percolaw.train` does.

    Call it with the same arguments in every process; only the device in `training` may differ.

    Parameters
    ----------
    network : Network
    points, values : array
        As in `percolaw.train`, the same in every process.
    student : Student
    training : Training, optional
        Without dropout. A minibatch needs a row for each process at least.
    n_outputs : int
    loss : Loss, optional
    checkpoint : path of a folder, optional
        Of a disk that all processes see; each writes the same state.

    Returns
    -------
    Trained
        The same in every process.

    Raises
    ------
    RuntimeError
        If no process group has been made.
    ValueError
        For dropout, whose masks belong to whole minibatches; for fewer rows in a minibatch than there
        are processes; and as `percolaw.train` does.
    """
    training = training or Training()
    if not torch.distributed.is_initialized():
        raise RuntimeError(
            "there is no process group. Start the processes with torchrun, and call "
            "torch.distributed.init_process_group() in each before train_parallel."
        )
    processes = torch.distributed.get_world_size()
    if training.dropout:
        raise ValueError(f"dropout must be 0 over several processes; got {training.dropout}.")
    if training.batch_size < processes:
        raise ValueError(
            f"batch_size must be at least the number of processes, {processes}; got "
            f"{training.batch_size}."
        )
    folder = None if checkpoint is None else Path(checkpoint)
    job = checked_job(network, points, values, [student], training, n_outputs, loss, folder)
    with gradients_on():
        ensemble = Ensemble(job)
        module = SharedStudent(network, ensemble.named(ensemble.weights))
        shared = torch.nn.parallel.DistributedDataParallel(module)
        ensemble.gradient = ParallelGradient(shared, job.loss, training.dtype)
        ensemble.record = False
        try:
            with matrix_products(training.dtype, ensemble.device):
                return train_to_the_end(ensemble)
        finally:
            ensemble.end_program()
