"""A network of bits for many tasks: each has a vector of its own in the place of a one-hot code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from percolaw import checks
from percolaw.neural.network import ForwardPass, Network, Parameter, Tensor, Weights, affine
from percolaw.numerics.covariance import DEEPEST

#: Scale of the first layer at the start, of what keeps the size of activations. Bits of a task stand out
#: of the others sooner where these are small: at 1, 16 bits took twice as many steps.
FIRST_LAYER = 0.3


@dataclass(frozen=True)
class ParityNetwork(Network):
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
    parts : tuple of tuple of int
        Of each task (`percolaw.datasets.parity.ParityTasks.parts`): its vector is then the sum of one
        vector a part, as with a code that has a 1 for each. Empty: every task has a vector of its own.
    """

    n_tasks: int
    n_bits: int
    width: int = 128
    depth: int = 1
    parts: tuple[tuple[int, ...], ...] = ()

    def __post_init__(self) -> None:
        for name in ("n_tasks", "n_bits", "width"):
            checks.set_integer(self, name)
        checks.set_integer(self, "depth", maximum=DEEPEST)
        parts = tuple(tuple(int(part) for part in code) for code in self.parts)
        object.__setattr__(self, "parts", parts)
        if self.parts and len(self.parts) != self.n_tasks:
            raise ValueError(
                f"parts must be those of {self.n_tasks} tasks; got {len(self.parts)}. Pass tasks.parts."
            )

    @property
    def takes_tokens(self) -> bool:
        """True: inputs are integers."""
        return True

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
            "task": Parameter((self._n_vectors, w), FIRST_LAYER, "input"),
            "weight 0": Parameter(
                (self.n_bits, w), FIRST_LAYER * gain / math.sqrt(self.n_bits), "input"
            ),
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
        vectors = weights["task"]
        if self.parts:
            vectors = torch.matmul(self.codes(vectors), vectors)
        rows = vectors.reshape(-1, self.width)
        of_task = torch.nn.functional.embedding(x[..., 0] + students * self.n_tasks, rows)
        signs = signs_of(x[..., 1:], self.n_bits, rows.dtype)
        z = torch.baddbmm(of_task + weights["bias 0"][:, None], signs, weights["weight 0"])
        for layer in range(1, self.depth + 1):
            run.keep(f"layer {layer} before", z)
            h = torch.relu(z)
            run.keep(f"layer {layer} after", h)
            z = affine(weights, layer, run.drop(h))
        return z

    @property
    def _n_vectors(self) -> int:
        return 1 + max(max(code) for code in self.parts) if self.parts else self.n_tasks

    def codes(self, like: Tensor) -> Tensor:
        """Return which parts every task has, in the type of a tensor: (n_tasks, n_vectors)."""
        return _codes(self.parts, self._n_vectors, like.dtype, like.device)

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return twice the weights that multiply something; those of the task are only added."""
        w = self.width
        return self.input_flops(dim) + 2 * ((self.depth - 1) * w * w + w * n_outputs)

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return the multiplications and additions of the bits."""
        return 2 * self.n_bits * self.width


@lru_cache(maxsize=8)
def _codes(parts: tuple[tuple[int, ...], ...], n_vectors: int, dtype: Any, device: Any) -> Tensor:
    """Which parts every task has, made once: a step that is recorded cannot send it to the device."""
    import torch

    codes = np.zeros((len(parts), n_vectors))
    for task, code in enumerate(parts):
        codes[task, list(code)] = 1.0
    with torch.inference_mode(False):  # or gradients could not pass it later
        return torch.from_numpy(codes).to(device=device, dtype=dtype)


def signs_of(words: Tensor, n_bits: int, dtype: Tensor) -> Tensor:
    """Return the bits of words as -1 and 1, by a table of all bytes.

    Parameters
    ----------
    words : tensor of int64, shape (..., n_words)
    n_bits : int
    dtype : torch.dtype

    Returns
    -------
    tensor, shape (..., n_bits)
    """
    import torch

    byte = torch.arange(256, device=words.device)[:, None]
    place = torch.arange(8, device=words.device)
    table = 2.0 * (byte >> place & 1).to(dtype) - 1.0
    by_byte = words.contiguous().view(torch.uint8).to(torch.int64)
    return torch.nn.functional.embedding(by_byte, table).flatten(-2)[..., :n_bits]
