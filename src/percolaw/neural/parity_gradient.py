"""Gradients of parity networks of one hidden layer, rows by rows: activations stay in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from percolaw.neural.losses import Loss
from percolaw.neural.network import Tensor, Weights
from percolaw.neural.parity import ParityNetwork, signs_of

#: Numbers in the activations of the rows that a CPU works on at a time: 1 MiB.
AT_ONCE = 1 << 18


@dataclass
class ParityGradient:
    """The backward pass of `ParityNetwork` written out; autograd is its oracle in the tests.

    A row adds the gradient of its hidden layer to that of the vector of its task, and all rows together
    to that of the bias. The weights of the output are kept with a row for each output: products with so
    few columns took nine times as long the other way round.

    Attributes
    ----------
    network : ParityNetwork
        Of one hidden layer.
    loss : Loss
    """

    network: ParityNetwork
    loss: Loss
    by_autograd: ClassVar[bool] = False
    _memory: dict[str, Tensor] = field(default_factory=dict)

    def students_together(self, weights: Weights, batch_size: int) -> int | None:
        """Return 1: students go one after the other, each through all its rows.

        Parameters
        ----------
        weights : dict of str to tensor
        batch_size : int

        Returns
        -------
        int
        """
        return 1

    def __call__(
        self, weights: Weights, minibatch: Any, into: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """Return losses and gradients as `percolaw.neural.step.AutogradGradient` does.

        Parameters
        ----------
        weights : dict of str to tensor
        minibatch : Minibatch
        into : sequence of tensor, optional
            Where to write the gradients.
        """
        import torch

        gradients = [torch.empty_like(w) for w in weights.values()] if into is None else list(into)
        for gradient in gradients:
            gradient.zero_()
        named = dict(zip(weights, gradients, strict=True))
        x, y, shares = minibatch.x, minibatch.y, minibatch.weight
        loss = shares.new_zeros(x.shape[0])
        rows = x.shape[1]
        if x.device.type == "cpu":
            rows = max(1, AT_ONCE // max(self.network.width, self.network.n_bits))
        for s in range(x.shape[0]):
            mine = {name: w[s] for name, w in weights.items()}
            sums = {name: g[s] for name, g in named.items()}
            loss[s] = self._student(mine, sums, x[s], y[s], shares[s], rows)
        return loss, gradients

    def _student(
        self, w: Weights, sums: Weights, x: Tensor, y: Tensor, share: Tensor, at_once: int
    ) -> Tensor:
        """Add up one student's gradients over all rows of its minibatch; return its loss."""
        import torch

        codes = self.network.codes(w["task"]) if self.network.parts else None
        vectors = w["task"] if codes is None else codes @ w["task"]
        table = vectors + w["bias 0"]
        above = w["weight 1"].t().contiguous()
        of_task, of_above = torch.zeros_like(table), torch.zeros_like(above)
        total = share.new_zeros(())
        for low in range(0, x.shape[0], at_once):
            part = slice(low, low + at_once)
            task, signs = x[part, 0], signs_of(x[part, 1:], self.network.n_bits, table.dtype)
            h = self._buffer("h", task.shape[0], table)
            torch.index_select(table, 0, task, out=h)
            h.addmm_(signs, w["weight 0"]).relu_()
            output = torch.mm(above, h.t()).t() + w["bias 1"]
            value, g = self.loss.value_and_gradient(output[None], y[None, part], share[None, part])
            total += (value[0] * share[part]).sum()
            g = g[0]
            sums["bias 1"] += g.sum(dim=0)
            of_above.addmm_(g.t(), h)
            below = self._buffer("below", task.shape[0], table)
            torch.mm(g, above, out=below)
            torch.ops.aten.threshold_backward.grad_input(below, h, 0.0, grad_input=below)
            sums["weight 0"].addmm_(signs.t(), below)
            of_task.index_add_(0, task, below)
        sums["weight 1"].copy_(of_above.t())
        sums["bias 0"].copy_(of_task.sum(dim=0))
        sums["task"].copy_(of_task if codes is None else codes.t() @ of_task)
        return total

    def _buffer(self, name: str, rows: int, like: Tensor) -> Tensor:
        """Memory of (rows, width), the same at every call."""
        held = self._memory.get(name)
        if held is None or held.shape[0] < rows:
            self._memory[name] = held = like.new_empty((rows, like.shape[1]))
        return held[:rows]
