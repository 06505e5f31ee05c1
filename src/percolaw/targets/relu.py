"""Random ReLU networks as teachers, with and without biases, and the Sharma-Kaplan teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.rng import RandomLike, as_streams
from percolaw.targets.teacher import Teacher, TeacherFamily, describe
from percolaw.words import changed

FloatArray = npt.NDArray[np.float64]

#: Share of a piece below which two changes of slope are one.
_SAME = 1e-12


@dataclass(frozen=True)
class ReluTeacher(TeacherFamily):
    """A fully connected ReLU network with random weights.

    Parameters
    ----------
    depth : int
        Hidden layers, at least 1.
    width : int
        Units of each hidden layer.
    weight_scale : float
        Weights are N(0, weight_scale^2 / fan_in); sqrt 2 keeps variances through the layers.
    bias_scale : float
        Biases are N(0, bias_scale^2). 0 makes the function homogeneous of degree 1, linear on every
        ray from the origin: not generic.
    n_outputs : int
    output_scale : float
        Factor on the outputs.
    """

    depth: int = 2
    width: int = 100
    weight_scale: float = math.sqrt(2.0)
    bias_scale: float = 1.0
    n_outputs: int = 1
    output_scale: float = 1.0

    def __post_init__(self) -> None:
        for name in ("depth", "width", "n_outputs"):
            checks.set_integer(self, name)
        checks.set_real(self, "weight_scale", minimum=0.0)
        checks.set_real(self, "bias_scale", minimum=0.0)
        checks.set_real(self, "output_scale")

    @property
    def word(self) -> str:
        word = f"ReLU {self.depth} x {self.width}"
        if replace(self, n_outputs=1) == replace(
            sharma_kaplan_teacher(), depth=self.depth, width=self.width
        ):
            return word + ", no biases"
        return word + changed(self, "weight_scale", "bias_scale", "output_scale")

    @property
    def approximation_order(self) -> float:
        """3: kinks of codimension 1, and the field it tends to with its width has smoothness 3/2."""
        return 3.0

    def layers(self, dim: int, rng: RandomLike = 0) -> list[tuple[FloatArray, FloatArray]]:
        """Return weights (fan_in, fan_out) and biases of all layers. Stream ``target``.

        Parameters
        ----------
        dim : int
            Input dimension.
        rng : int, Generator or Streams

        Returns
        -------
        list of (weights, biases)
            Of the hidden layers and the output, shapes (fan_in, fan_out) and (fan_out,).

        Raises
        ------
        ResourceError
            If the weights do not fit in memory.
        """
        streams = as_streams(rng)
        d = checks.integer("dim", dim, minimum=1)
        checks.memory(
            8.0 * self.width * (d + self.width * (self.depth - 1.0) + self.depth + self.n_outputs),
            f"a network of {self.depth} x {self.width} units",
            "Lower width or depth.",
        )
        sizes = [d, *[self.width] * self.depth, self.n_outputs]
        every = []
        for item, (before, after) in enumerate(pairwise(sizes)):
            generator = streams.generator("target", item)
            weights = generator.standard_normal((before, after))
            weights *= self.weight_scale / math.sqrt(before)
            every.append((weights, self.bias_scale * generator.standard_normal(after)))
        return every

    def sample(self, dim: int, rng: RandomLike = 0) -> Teacher:
        """Draw a network."""
        d = checks.integer("dim", dim, minimum=1)
        streams = as_streams(rng)
        layers = self.layers(d, streams)

        function = partial(_network, layers, self.output_scale)
        return Teacher(d, self.n_outputs, describe("relu", self, d, streams), function)


def _network(
    layers: list[tuple[FloatArray, FloatArray]], scale: float, x: FloatArray
) -> FloatArray:
    for weights, bias in layers[:-1]:
        x = np.maximum(x @ weights + bias, 0.0)
    weights, bias = layers[-1]
    return np.asarray(scale * (x @ weights + bias))


def sharma_kaplan_teacher(n_outputs: int = 1) -> ReluTeacher:
    """Return the published teacher family: [d, 600, 600, out], N(0, 1/fan_in), no bias, times 6.

    It sees the first f of 20 coordinates, uniform on [-1/2, 1/2]. In the published program (teacher.py of
    NeuralScaleID) that mask is inside the teacher: students there are given all 20.
    """
    return ReluTeacher(
        depth=2, width=600, weight_scale=1.0, bias_scale=0.0, n_outputs=n_outputs, output_scale=6.0
    )


def linear_pieces(
    layers: list[tuple[FloatArray, FloatArray]], start: npt.ArrayLike, end: npt.ArrayLike
) -> int:
    """Count the linear pieces of a ReLU network along the segment from start to end, exactly.

    Layer by layer: on each piece known so far every unit is an affine function of the position, and
    changes sign at most once. Pieces are counted by activation pattern, so two neighbouring ones
    may by chance have one slope.

    Parameters
    ----------
    layers : list of (weights, biases)
        As `ReluTeacher.layers` returns.
    start, end : array, shape (d,)

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If `start` or `end` has another number of coordinates than the first layer.
    """
    a = checks.finite_array("start", start, ndim=1)
    b = checks.finite_array("end", end, ndim=1, length=a.size)
    if a.size != layers[0][0].shape[0]:
        raise ValueError(f"start must have {layers[0][0].shape[0]} coordinates; got {a.size}.")
    # Values of the layer at both ends of every piece; affine between them.
    left, right = a[None, :], b[None, :]
    for weights, bias in layers[:-1]:
        low, high = left @ weights + bias, right @ weights + bias
        piece, at = _crossings(low, high)
        # Piece i becomes as many as it has crossings and one; crossing k begins the one at k + i + 1.
        number = np.bincount(piece, minlength=low.shape[0]) + 1
        owner = np.repeat(np.arange(low.shape[0]), number)
        begin, end = np.zeros(owner.size), np.ones(owner.size)
        place = np.arange(at.size) + piece
        begin[place + 1] = end[place] = at
        slope, origin = (high - low)[owner], low[owner]
        first, last = origin + begin[:, None] * slope, origin + end[:, None] * slope
        active = 0.5 * (last + first) > 0
        left, right = np.where(active, first, 0.0), np.where(active, last, 0.0)
    return left.shape[0]


def _crossings(low: FloatArray, high: FloatArray) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Pieces and positions in (0, 1) at which units change sign, by piece and position, each once.

    Of positions that rounding alone tells apart the first is kept.
    """
    piece, unit = np.nonzero(low * high < 0.0)
    at = low[piece, unit] / (low[piece, unit] - high[piece, unit])
    inside = (at > _SAME) & (at < 1.0 - _SAME)
    piece, at = piece[inside], at[inside]
    order = np.lexsort((at, piece))
    piece, at = piece[order], at[order]
    before = np.where(np.diff(piece, prepend=-1) > 0, 0.0, np.append(0.0, at[:-1]))
    kept = at - before > _SAME
    return piece[kept], at[kept]


def expected_linear_pieces(
    family: ReluTeacher, start: npt.ArrayLike, end: npt.ArrayLike, n_nodes: int = 400
) -> float:
    """Return the expected number of linear pieces along a segment in the limit of infinite width.

    The preactivation of every unit of layer l is then a Gaussian process z_l along the segment
    x(t) = a + t v; by Rice's formula it changes sign
    (1/pi) int sqrt(E z'^2 / E z^2 - (E z z' / E z^2)^2) dt times. Each layer maps E z^2 to
    s_b^2 + (s_w^2/2) E z^2 and multiplies E z'^2 and E z z' by s_w^2/2, because a ReLU passes half
    of each. Depth adds units, not pieces per unit (as Hanin and Rolnick 2019 found for random
    networks): at a fixed number of parameters P the pieces grow as sqrt(depth P) without biases, and
    hardly with them, never exponentially.

    Parameters
    ----------
    family : ReluTeacher
    start, end : array, shape (d,)
    n_nodes : int
        Points of the integration along the segment (midpoint rule).

    Returns
    -------
    float
    """
    a = checks.finite_array("start", start, ndim=1)
    v = checks.finite_array("end", end, ndim=1, length=a.size) - a
    w2, b2 = family.weight_scale**2, family.bias_scale**2
    t = (np.arange(checks.integer("n_nodes", n_nodes, minimum=1)) + 0.5) / n_nodes
    x = a + t[:, None] * v
    value = b2 + w2 / a.size * np.einsum("ij,ij->i", x, x)
    mixed = w2 / a.size * (x @ v)
    slope = np.full(t.size, w2 / a.size * (v @ v))
    pieces = 1.0
    for _ in range(family.depth):
        known = value > 0.0  # a network without biases vanishes at the origin
        safe = np.where(known, value, 1.0)
        square = np.where(known, slope / safe - (mixed / safe) ** 2, 0.0)
        rate = np.sqrt(np.maximum(square, 0.0)) / math.pi
        pieces += family.width * float(rate.mean())
        value, mixed, slope = b2 + 0.5 * w2 * value, 0.5 * w2 * mixed, 0.5 * w2 * slope
    return pieces


def n_parameters(family: ReluTeacher, dim: int) -> int:
    """Return the number of weights, and of biases unless they are all zero, of a network on R^dim.

    Parameters
    ----------
    family : ReluTeacher
    dim : int
        Input dimension.

    Returns
    -------
    int
    """
    sizes = [dim, *[family.width] * family.depth, family.n_outputs]
    weights = sum(before * after for before, after in pairwise(sizes))
    return weights + (sum(sizes[1:]) if family.bias_scale else 0)
