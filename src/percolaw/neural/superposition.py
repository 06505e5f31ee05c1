"""The toy of superposition (Elhage et al. 2022): sparse features through few dimensions and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.neural.network import ForwardPass, Network, Parameter, Tensor, Weights
from percolaw.rng import Streams
from percolaw.short import short_repr

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SuperpositionToy(Network):
    """y = max(W W' x + b, 0): every feature has a row of W, a direction in the hidden space.

    Parameters
    ----------
    n_hidden : int
        Columns of W, fewer than features or as many.
    unit : bool
        Rows of norm 1, so that every feature is represented: the limit of the weight growth by which
        Liu, Liu and Gore (2025) bring about strong superposition. With weight decay and free rows only
        the most frequent features stay.
    """

    n_hidden: int = 16
    unit: bool = False

    def __post_init__(self) -> None:
        checks.set_integer(self, "n_hidden")

    def parameters(self, dim: int, n_outputs: int = 1) -> dict[str, Parameter]:
        """Return W and b; `n_outputs` is `dim`.

        Raises
        ------
        ValueError
            For another number of outputs, and more hidden dimensions than features.
        """
        if n_outputs != dim:
            raise ValueError(f"outputs are the {dim} features again; got n_outputs = {n_outputs}.")
        if self.n_hidden > dim:
            raise ValueError(
                f"n_hidden must be at most the number of features, {dim}; got {self.n_hidden}. With more "
                "hidden dimensions nothing is superposed: add features or lower n_hidden."
            )
        return {
            "weight": Parameter((dim, self.n_hidden), 1.0 / math.sqrt(self.n_hidden), "fixed"),
            "bias": Parameter((dim,), 0.0, "fixed"),
        }

    def rows(self, weights: Weights) -> Tensor:
        """Return the directions of features, shape (students, features, n_hidden)."""
        weight = weights["weight"]
        return weight / weight.norm(dim=-1, keepdim=True) if self.unit else weight

    def forward(self, weights: Weights, x: Tensor, run: ForwardPass) -> Tensor:
        """Return features again (students, batch, features); keeps ``hidden``."""
        import torch

        rows = self.rows(weights)
        hidden = torch.bmm(x, rows)
        run.keep("hidden", hidden)
        return torch.baddbmm(weights["bias"].unsqueeze(1), hidden, rows.transpose(1, 2)).relu()

    def flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return twice the multiplications of both products."""
        return 4 * dim * self.n_hidden

    def input_flops(self, dim: int, n_outputs: int = 1) -> int:
        """Return those of the first product."""
        return 2 * dim * self.n_hidden


@dataclass(frozen=True, eq=False)
class SparseFeatures:
    """Endless minibatches of independent features, each there now and then: points and values alike.

    Attributes
    ----------
    activity : array of float64, shape (n_features,)
        Probability with which each is there; then uniform between 0 and 2.
    batch_size : int
        ``Training.batch_size``.
    seed : int
        Stream ``batch`` of each step.
    """

    activity: FloatArray
    batch_size: int
    seed: int

    __repr__ = short_repr

    def rows(self, step: int) -> tuple[FloatArray, FloatArray]:
        """Return the points of a step, (batch_size, n_features), twice."""
        generator = Streams(self.seed).child(step).generator("batch")
        uniform = generator.random((self.batch_size, self.activity.size))
        # Given that a feature is there, its uniform number over its probability is uniform again.
        x = np.where(uniform < self.activity, 2.0 * uniform / self.activity, 0.0)
        return x, x


def stratified_features(
    activity: npt.ArrayLike, n_each: int, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Draw points with a share for each feature to be the rarest one there, however rare, and weights.

    The rarest feature there is j with probability p_j prod_{i rarer} (1 - p_i); given that, the more
    frequent ones are independent. Sums of weights times losses are expected losses; the last point is
    the one without features.

    Parameters
    ----------
    activity : array of float, shape (n_features,)
        Probabilities, falling.
    n_each : int
        Points of each feature.
    generator : Generator

    Returns
    -------
    points : array of float64, shape (n_features n_each + 1, n_features)
    weight : array of float64, shape (n_features n_each + 1,)
        Their sum is 1.

    Raises
    ------
    ValueError
        For probabilities that are none or do not fall.
    """
    p = checks.finite_array("activity", activity, ndim=1)
    each = checks.integer("n_each", n_each, minimum=1)
    if not p.size or p.min() <= 0.0 or p.max() > 1.0 or np.any(np.diff(p) > 0.0):
        raise ValueError(f"activity must be falling probabilities; got {activity!r:.80}.")
    n = p.size
    checks.memory(24.0 * each * n**2, f"{each} points for each of {n} features", "Take fewer.")
    none_rarer = np.append(np.cumprod((1.0 - p)[::-1])[::-1], 1.0)
    present = generator.random((n, each, n)) < p
    present &= np.arange(n) < np.arange(n)[:, None, None]
    x = np.where(present, generator.uniform(0.0, 2.0, present.shape), 0.0)
    spread = (np.arange(each) + generator.random((n, each))) * (2.0 / each)
    x[np.arange(n), :, np.arange(n)] = spread
    weight = np.repeat(p * none_rarer[1:] / each, each)
    return (
        np.vstack([x.reshape(n * each, n), np.zeros((1, n))]),
        np.append(weight, none_rarer[0]),
    )
