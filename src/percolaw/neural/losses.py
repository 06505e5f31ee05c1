"""Loss functions of networks: objects with a value and a gradient.

A loss of your own is a class with `value`, handed to `percolaw.train(..., loss=...)`; its gradient is
then taken by autograd.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from percolaw.neural.network import Tensor


class Loss(ABC):
    """What is minimised: the mean over points of `value`."""

    #: Least number of outputs of which the loss makes sense.
    least_outputs: int = 1

    @abstractmethod
    def value(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of every point, in operations of torch that autograd can follow.

        Parameters
        ----------
        output, target : tensor, shape (students, batch, n_outputs)

        Returns
        -------
        tensor, shape (students, batch)
        """

    def value_and_gradient(
        self, output: Tensor, target: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the loss of every point, and the derivative of sum(weight * value) by the outputs.

        By autograd, unless a loss has a closed form. The memory of `output` may be overwritten.

        Parameters
        ----------
        output, target : tensor, shape (students, batch, n_outputs)
        weight : tensor, shape (students, batch)
            Share of each point in the mean loss of its student.

        Returns
        -------
        value : tensor, shape (students, batch)
        gradient : tensor, shape (students, batch, n_outputs)
        """
        import torch

        leaf = output.detach().requires_grad_()
        value = self.value(leaf, target)
        (gradient,) = torch.autograd.grad(value, leaf, weight)
        return value.detach(), gradient


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """The squared error, mean over the outputs."""

    def value(self, output: Tensor, target: Tensor) -> Tensor:
        """Return mean((output - target)^2)."""
        return (output - target).square().mean(dim=-1)

    def value_and_gradient(
        self, output: Tensor, target: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the error and 2 weight (output - target) / n_outputs, in the memory of `output`."""
        gap = output.sub_(target)
        value = gap.square().mean(dim=-1)
        return value, gap.mul_(weight.unsqueeze(-1)).mul_(2.0 / gap.shape[-1])


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """The cross-entropy of softmax(output), for classes: -sum(target log softmax(output)).

    Targets are probabilities; of a label, a row of 0 and 1 (``numpy.eye(n_classes)[labels]``).
    """

    least_outputs = 2

    def value(self, output: Tensor, target: Tensor) -> Tensor:
        """Return -sum(target log softmax(output)) in nats."""
        return -(target * output.log_softmax(dim=-1)).sum(dim=-1)


@dataclass(frozen=True)
class KullbackLeibler(Loss):
    """The divergence from softmax(target) to softmax(output), for teachers that give logits."""

    least_outputs = 2

    def value(self, output: Tensor, target: Tensor) -> Tensor:
        """Return sum(p log(p / q)) in nats, p = softmax(target) and q = softmax(output)."""
        log_p = target.log_softmax(dim=-1)
        return (log_p.exp() * (log_p - output.log_softmax(dim=-1))).sum(dim=-1)


#: The losses that a config can name.
LOSSES: dict[str, Loss] = {
    "mse": MeanSquaredError(),
    "kl": KullbackLeibler(),
    "cross_entropy": CrossEntropy(),
}
