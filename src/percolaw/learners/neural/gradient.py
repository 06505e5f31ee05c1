"""Loss and gradients of a batch: by torch's autograd, or for plain ReLU networks on a CPU by hand.

By hand nothing is allocated and a few students at a time go through all layers, so that their
activations stay in the cache: about twice as fast. Autograd is its oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from percolaw.learners.neural.config import Training
from percolaw.learners.neural.device import autocast
from percolaw.learners.neural.networks import MLP, Network, Pass, Weights

#: Bytes of activations, weights and gradients of the students that are worked on together.
CACHE = 1 << 24
#: Loss of every point (students, batch) from outputs and values (students, batch, n_outputs).
PointLoss = Callable[[Any, Any], Any]


def relu_gradient(network: Network, training: Training, device: str) -> ReluGradient | None:
    """Return the gradient by hand where there is one."""
    plain = isinstance(network, MLP) and network.activation == "relu" and not network.residual
    plain = plain and training.loss == "mse" and not training.dropout
    if not plain or training.dtype == "bfloat16" or device != "cpu":
        return None
    return ReluGradient(network.depth)  # type: ignore[attr-defined]


def by_autograd(
    network: Network, training: Training, losses: PointLoss, leaves: Weights, batch: Batch
) -> tuple[Any, list[Any]]:
    """Return losses (students,) and the gradients of their sum, one a parameter."""
    import torch

    with autocast(training.dtype, batch.x.device.type):
        out = network.forward(leaves, batch.x, batch.run)
    loss = (losses(out.to(batch.y.dtype), batch.y) * batch.weight).sum(dim=1)
    return loss.detach(), list(torch.autograd.grad(loss.sum(), list(leaves.values())))


@dataclass
class Batch:
    """Inputs (students, batch, dim), values (students, batch, n_outputs), weights (students, batch)
    of every point in the mean, and what the pass is told."""

    x: Any
    y: Any
    weight: Any
    run: Pass


@dataclass
class ReluGradient:
    """Gradients of ReLU networks and squared errors, without autograd, in memory of its own."""

    depth: int
    _memory: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def together(self, leaves: Weights, batch: int) -> int:
        """Return how many students fit into the cache."""
        numbers = sum(2 * w[0].numel() + batch * w.shape[-1] for w in leaves.values())
        size = next(iter(leaves.values())).element_size()
        return max(1, CACHE // (size * numbers))

    def __call__(self, leaves: Weights, batch: Batch) -> tuple[Any, list[Any]]:
        """Return losses (students,) and gradients, one a parameter; the next call overwrites them."""
        import torch

        h, hidden = batch.x, [batch.x]
        for layer in range(self.depth + 1):
            w, b = leaves[f"weight {layer}"], leaves[f"bias {layer}"]
            z = self._buffer("z", layer, (*h.shape[:2], w.shape[-1]), w)
            torch.baddbmm(b.unsqueeze(1), h, w, out=z)
            h = z.relu_() if layer < self.depth else z
            hidden.append(h)
        g = hidden.pop().sub_(batch.y)
        loss = (g.square().mean(dim=-1) * batch.weight).sum(dim=1)
        g.mul_(batch.weight.unsqueeze(-1)).mul_(2.0 / g.shape[-1])
        gradients: list[Any] = []
        for layer in range(self.depth, -1, -1):
            w, b = leaves[f"weight {layer}"], leaves[f"bias {layer}"]
            h = hidden[layer]
            to_bias = self._buffer("b", layer, b.shape, b)
            to_weight = self._buffer("w", layer, w.shape, w)
            torch.sum(g, dim=1, out=to_bias)
            torch.bmm(h.transpose(1, 2), g, out=to_weight)
            gradients += [to_bias, to_weight]
            if layer:
                below = self._buffer("g", layer, h.shape, w)
                torch.bmm(g, w.transpose(1, 2), out=below)
                g = torch.ops.aten.threshold_backward.grad_input(below, h, 0.0, grad_input=below)
        return loss, gradients[::-1]

    def _buffer(self, kind: str, layer: int, shape: Any, like: Any) -> Any:
        """Memory of a shape, the same at every call; of fewer students a part of it."""
        key = (kind, layer, *shape[1:])
        if key not in self._memory or self._memory[key].shape[0] < shape[0]:
            self._memory[key] = like.new_empty(shape)
        return self._memory[key][: shape[0]]
