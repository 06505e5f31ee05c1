"""A network for many tasks on the same bits: each task has an embedding, where a one-hot code has a row."""

from __future__ import annotations

import math
from dataclasses import dataclass

from percolaw import checks
from percolaw.neural.network import ForwardPass, Parameter, Tensor, Weights, affine
from percolaw.numerics.covariance import DEEPEST


@dataclass(frozen=True)
class ParityNetwork:
    """A ReLU network of bits, whose first hidden layer adds a vector of the task.

    That is a network of the bits and a one-hot code of the task, without the products by zeros. Inputs
    are a task and words of 64 bits each, as `percolaw.datasets.parity.ParitySamples.inputs` makes them;
    bits enter as signs.

    Parameters
    ----------
    n_tasks, n_bits : int
    width : int
        Units of a hidden layer.
    depth : int
        Hidden layers.
    """

    n_tasks: int
    n_bits: int
    width: int = 128
    depth: int = 1

    def __post_init__(self) -> None:
        for name in ("n_tasks", "n_bits", "width"):
            checks.set_integer(self, name)
        checks.set_integer(self, "depth", maximum=DEEPEST)

    @property
    def takes_tokens(self) -> bool:
        """True: inputs are integers."""
        return True

    @property
    def width_ratio(self) -> float:
        """1: standard parametrisation."""
        return 1.0

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return every parameter; ValueError unless `dim` columns hold a task and the bits."""
        n_words = -(-self.n_bits // 64)
        if dim != 1 + n_words:
            raise ValueError(
                f"inputs of {self.n_bits} bits have {1 + n_words} columns, the task and {n_words} "
                f"word(s); got {dim}. Pass samples.inputs()."
            )
        w, gain = self.width, math.sqrt(2.0)
        named = {
            "task": Parameter((self.n_tasks, w), 1.0, "input"),
            "weight 0": Parameter((self.n_bits, w), gain / math.sqrt(self.n_bits), "input"),
            "bias 0": Parameter((w,), 0.0, "input"),
        }
        for layer in range(1, self.depth):
            named[f"weight {layer}"] = Parameter((w, w), gain / math.sqrt(w), "hidden")
            named[f"bias {layer}"] = Parameter((w,), 0.0, "input")
        named[f"weight {self.depth}"] = Parameter((w, n_outputs), 1.0 / math.sqrt(w), "output")
        named[f"bias {self.depth}"] = Parameter((n_outputs,), 0.0, "fixed")
        return named

    def forward(self, weights: Weights, x: Tensor, run: ForwardPass) -> Tensor:
        """Return outputs (students, batch, n_outputs)."""
        import torch

        students = torch.arange(x.shape[0], device=x.device)[:, None]
        rows = weights["task"].reshape(-1, self.width)
        of_task = torch.nn.functional.embedding(x[..., 0] + students * self.n_tasks, rows)
        signs = _signs(x[..., 1:], self.n_bits, rows.dtype)
        z = torch.baddbmm(of_task + weights["bias 0"][:, None], signs, weights["weight 0"])
        for layer in range(1, self.depth + 1):
            run.keep(f"layer {layer} before", z)
            h = torch.relu(z)
            run.keep(f"layer {layer} after", h)
            z = affine(weights, layer, run.drop(h))
        return z

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return twice the weights that multiply something; those of the task are only added."""
        w = self.width
        return self.input_flops(dim) + 2 * ((self.depth - 1) * w * w + w * n_outputs)

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return the multiplications and additions of the bits."""
        return 2 * self.n_bits * self.width


def _signs(words: Tensor, n_bits: int, dtype: Tensor) -> Tensor:
    """Bits of words (..., n_words) as -1 and 1: (..., n_bits), by a table of all bytes."""
    import torch

    byte = torch.arange(256, device=words.device)[:, None]
    place = torch.arange(8, device=words.device)
    table = 2.0 * (byte >> place & 1).to(dtype) - 1.0
    by_byte = words.contiguous().view(torch.uint8).to(torch.int64)
    return torch.nn.functional.embedding(by_byte, table).flatten(-2)[..., :n_bits]
