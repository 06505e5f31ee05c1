"""Reference manifolds of known dimension, embedded isometrically or as named.

All are sampled uniformly but the graph, whose density is uneven and whose curvature varies.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.dataset import Dataset
from percolaw.datasets.labels import labels_of_structure, target_truth
from percolaw.datasets.provenance import provenance
from percolaw.datasets.resolution import check_resolution
from percolaw.rng import RandomLike, Streams, as_streams

FloatArray = npt.NDArray[np.float64]


def _cube(n: int, d: int, rng: np.random.Generator) -> FloatArray:
    return rng.random((n, d))


def _ball(n: int, d: int, rng: np.random.Generator) -> FloatArray:
    return _sphere(n, d - 1, rng) * rng.random((n, 1)) ** (1.0 / d)


def _sphere(n: int, d: int, rng: np.random.Generator) -> FloatArray:
    x = rng.standard_normal((n, d + 1))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


def _torus(n: int, d: int, rng: np.random.Generator) -> FloatArray:
    """Flat torus: d circles in 2d dimensions, uniform."""
    angle = 2 * math.pi * rng.random((n, d))
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def _swiss_roll(n: int, d: int, rng: np.random.Generator) -> FloatArray:
    """A strip rolled along an Archimedean spiral, uniform in area; d = 2 only."""
    if d != 2:
        raise ValueError(f"the swiss roll has dimension 2; got {d}.")

    def arc(t: FloatArray) -> FloatArray:
        return np.asarray(0.5 * (t * np.sqrt(1 + t * t) + np.arcsinh(t)))

    table = np.linspace(1.5 * math.pi, 4.5 * math.pi, 4097)
    low, high = arc(table[:1])[0], arc(table[-1:])[0]
    t = np.interp(low + (high - low) * rng.random(n), arc(table), table)
    return np.stack([t * np.cos(t), 21.0 * rng.random(n), t * np.sin(t)], axis=1)


def _graph(n: int, d: int, rng: np.random.Generator) -> FloatArray:
    """Gaussian points on a curved graph: x -> (x, .3 x_i^2, .2 x_i x_(i + d/2)); of uneven density."""
    x, half = rng.standard_normal((n, d)), d // 2
    return np.concatenate([x, 0.3 * x**2, 0.2 * x[:, :half] * x[:, d - half :]], axis=1)


MANIFOLDS: dict[str, Callable[[int, int, np.random.Generator], FloatArray]] = {
    "cube": _cube,
    "ball": _ball,
    "sphere": _sphere,
    "torus": _torus,
    "swiss-roll": _swiss_roll,
    "graph": _graph,
}


#: Coordinates a dimension takes, if not one (spheres and the roll: one more in all).
_COLUMNS = {"torus": 2.0, "graph": 2.5}


def isometry(low: int, high: int, streams: Streams) -> npt.NDArray[np.float64]:
    """Return a random isometry of R^low into R^high: float64, (high, low). Stream ``embedding``.

    Parameters
    ----------
    low, high : int
        Dimensions.
    streams : Streams

    Returns
    -------
    array of float64, shape (high, low)
    """
    basis = streams.generator("embedding").standard_normal((high, low))
    return np.asarray(np.linalg.qr(basis)[0])


def make_manifold(
    name: str | tuple[tuple[str, int], ...],
    n_samples: int,
    intrinsic_dim: int = 2,
    dim: int | None = None,
    rng: RandomLike = 0,
) -> Dataset:
    """Sample a reference manifold: uniformly, but for the graph, whose parameters are normal.

    Parameters
    ----------
    name : {"cube", "ball", "sphere", "torus", "swiss-roll", "graph"} or tuple of (name, dimension)
        A tuple stands for the product manifold, whose dimension is the sum.
    n_samples : int
    intrinsic_dim : int
        Dimension of the manifold (ignored for products).
    dim : int, optional
        Embedding dimension: the points are rotated into R^dim by a random isometry; their own
        number of coordinates if None.
    rng : int, Generator or Streams
        Stream ``clusters`` for points, ``embedding`` for the rotation.

    Returns
    -------
    Dataset
        With y = a random linear function of unit variance; ``truth["dimension"]`` D, and
        ``truth["cluster_exponent"]`` 2/D of its nearest-neighbour loss.

    Raises
    ------
    ValueError
        If there are too many points on a line for float32.
    """
    n = checks.integer("n_samples", n_samples, minimum=2)
    factors = ((name, intrinsic_dim),) if isinstance(name, str) else tuple(name)
    streams = as_streams(rng)
    checked = []
    for kind, k in factors:
        checks.choice("manifold", kind, MANIFOLDS)
        checked.append((kind, checks.integer("intrinsic_dim", k, minimum=1)))
    total = sum(k for _, k in checked)
    columns = sum(
        _COLUMNS.get(kind, 1.0) * k + (kind in ("sphere", "swiss-roll")) for kind, k in checked
    )
    width = columns if dim is None else max(columns, checks.integer("dim", dim, minimum=1))
    checks.memory(
        8.0 * n * (columns + 2.0 * width) + 8.0 * columns * width,
        f"{n} points in {width:.0f} dimensions",
        "Ask for fewer points or dimensions.",
    )
    parts = [
        MANIFOLDS[kind](n, k, streams.generator("clusters", item))
        for item, (kind, k) in enumerate(checked)
    ]
    x = np.concatenate(parts, axis=1)
    if dim is not None:
        d = checks.integer("dim", dim, minimum=x.shape[1])
        x = x @ isometry(x.shape[1], d, streams).T
    extent = float(np.abs(x).max())
    check_resolution(extent, extent * n ** (-1.0 / total), "Ask for fewer points.")
    return Dataset(
        X=np.ascontiguousarray(x, dtype=np.float32),
        y=labels_of_structure(x, streams),
        cluster=np.zeros(n, dtype=np.int64),
        cluster_size=np.zeros(1, dtype=np.int64),
        truth={"dimension": total, **target_truth("linear", total)},
        provenance=provenance(
            "make_manifold",
            streams,
            factors=[[kind, k] for kind, k in checked],
            n_samples=n,
            dim=x.shape[1],
            rotated=dim is not None,
        ),
    )
