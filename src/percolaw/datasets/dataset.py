"""`Dataset`: points with labels, clusters, what is known about them, and where they came from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from percolaw import checks, frames
from percolaw.datasets.stored_rows import stored_rows
from percolaw.rng import RandomLike, as_streams
from percolaw.shown import Drawable

#: What `truth` says of the labels; new labels make it void.
TARGET_KEYS = (
    "target",
    "approximation_order",
    "cluster_exponent",
    "standardized",
    "weight_exponent",
    "rank_exponent",
)


@dataclass(frozen=True, eq=False)
class Dataset(Drawable):
    """Points in R^d with labels, cluster membership, truth and provenance.

    Attributes
    ----------
    X : array of float32 (or float64), shape (n, d)
        Points; may be a memory map or a Zarr array. Other types of numbers become float64.
    y : array of float64, shape (n,) or (n, n_outputs)
        Labels.
    cluster : array of int64, shape (n,)
        Cluster of each point; all in one if None.
    cluster_size : array of int64, shape (n_clusters,)
        Sites of each cluster as drawn; 0 stands for infinite. The points that each cluster has here, if
        None. (`size` and `rank` are per point.)
    truth : dict
        What is known exactly, plain values. Of the points: ``dimension`` (in this space, above the
        step of a finite cluster), ``law`` and ``fisher_exponent`` of the cluster sizes. Of the
        labels, where there are any, for a learner that answers with the nearest label: ``target``;
        ``approximation_order`` c; ``cluster_exponent`` c/D, with which one structure is learned; and
        for many clusters ``standardized`` ("cluster" or "all"), ``weight_exponent`` q (clusters of s
        sites hold s^q of the variance inside clusters; see also `loss_weight`) and
        ``rank_exponent`` alpha (the cluster of rank k then weighs k^-(1 + alpha) in the loss).
        None: not a power, or not known.
    provenance : dict
        Maker, arguments, seed, versions; plain values.
    features : scipy.sparse array, shape (n, n_features), optional
        Ground-truth features, where a source has them.
    columns : dict of arrays, each with n rows
        Further values of each point by name, where a source has them.

    Examples
    --------
    >>> data = Dataset(np.eye(4), [0.0, 1.0, 2.0, 3.0])
    >>> data[1:3], [float(label) for _, label in data]
    (Dataset(2 points, 4 dimensions, 1 clusters), [0.0, 1.0, 2.0, 3.0])
    """

    picture = "dataset"

    X: Any
    y: npt.NDArray[np.float64]
    # None becomes what the docstring says, so that attributes are never None.
    cluster: npt.NDArray[np.int64] = None  # type: ignore[assignment]
    cluster_size: npt.NDArray[np.int64] = None  # type: ignore[assignment]
    truth: dict[str, Any] = None  # type: ignore[assignment]
    provenance: dict[str, Any] = None  # type: ignore[assignment]
    features: Any = None
    columns: dict[str, npt.NDArray[Any]] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self._fill_in()
        if not isinstance(self.X, np.memmap) and getattr(self.X, "oindex", None) is None:
            x = checks.array("X", self.X)
            x = x if x.dtype == np.float32 else checks.float_array("X", x)
            object.__setattr__(self, "X", x)
        object.__setattr__(self, "y", checks.float_array("y", self.y))
        for name in ("cluster", "cluster_size"):
            object.__setattr__(self, name, checks.integer_array(name, getattr(self, name)))
        shape = tuple(self.X.shape)
        if (
            len(shape) != 2
            or self.y.ndim < 1
            or self.y.shape[0] != shape[0]
            or self.cluster.shape != shape[:1]
            or self.cluster_size.ndim != 1
        ):
            raise ValueError(
                f"X (n, d), y (n, ...), cluster (n,) must have one n and cluster_size one dimension; "
                f"got {shape}, {self.y.shape}, {self.cluster.shape}, {self.cluster_size.shape}."
            )
        least, most = (int(f(self.cluster, initial=0)) for f in (np.min, np.max))
        n_clusters = self.cluster_size.size
        if least < 0 or most >= max(n_clusters, 1):
            raise ValueError(
                f"cluster must hold numbers of the {n_clusters} clusters, from 0; got {least} to {most}. "
                "Number them anew, noise too: cluster, size = numpy.unique(labels, return_inverse=True, "
                "return_counts=True)[1:]."
            )
        if np.any(self.cluster_size < 0):
            raise ValueError(
                f"cluster_size must be >= 0 (0: infinite); got {self.cluster_size.min()}."
            )
        for name, values in self.columns.items():
            if values.shape[:1] != shape[:1]:
                raise ValueError(f"column {name} must have {shape[0]} rows; got {values.shape}.")

    def _fill_in(self) -> None:
        """Put what is meant in place of None."""
        for name in ("truth", "provenance", "columns"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, {})
        if self.cluster is None:
            object.__setattr__(self, "cluster", np.zeros(np.shape(self.X)[:1], dtype=np.int64))
        if self.cluster_size is None:
            cluster = checks.integer_array("cluster", self.cluster)
            count = np.bincount(cluster.clip(0).ravel())
            object.__setattr__(self, "cluster_size", count)

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def __getitem__(self, rows: Any) -> Any:
        """Return a row's (point, label) for an integer, and the dataset of these rows for others."""
        if isinstance(rows, slice):
            return self.take(np.arange(len(self))[rows])
        if isinstance(rows, (int, np.integer)) and not isinstance(rows, bool):
            n = len(self)
            if not -n <= rows < n:
                raise IndexError(f"row {rows} is not there; the dataset has {n}.")
            row = int(rows) % n
            return np.asarray(self.X[row]), self.y[row]
        return self.take(rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """Refuse to become an array: it would be unclear of what."""
        raise TypeError(
            "a Dataset is points and labels; pass its points, data.X, or labels, data.y."
        )

    def __iter__(self) -> Iterator[tuple[npt.NDArray[Any], Any]]:
        """Yield (point, label), row by row; of a large dataset on disk see `batches`."""
        for x, y in self.batches(4096):
            yield from zip(x, y, strict=True)

    @property
    def dim(self) -> int:
        """Embedding dimension d."""
        return int(self.X.shape[1])

    @property
    def size(self) -> npt.NDArray[np.int64]:
        """Size of each point's cluster, int64, shape (n,)."""
        return self.cluster_size[self.cluster]

    @property
    def rank(self) -> npt.NDArray[np.int64]:
        """Rank of each point's cluster by size, 1 for the largest (infinite first), shape (n,)."""
        size = np.where(self.cluster_size == 0, np.iinfo(np.int64).max, self.cluster_size)
        order = np.argsort(-size, kind="stable")
        rank = np.empty(order.size, dtype=np.int64)
        rank[order] = np.arange(1, order.size + 1)
        return rank[self.cluster]

    @property
    def loss_weight(self) -> npt.NDArray[np.float64]:
        """Share of each cluster in the loss of predicting the mean label, shape (n_clusters,).

        The sum over its points of (y - mean)^2, over the sum for all points: what a cluster that
        is not learned costs. Zeros if all labels are equal.
        """
        y = self.y.reshape(len(self), -1)
        square = ((y - y.mean(axis=0)) ** 2).sum(axis=1)
        weight = np.bincount(self.cluster, square, minlength=self.cluster_size.size)
        return np.asarray(weight / (weight.sum() or 1.0))

    def take(self, rows: npt.ArrayLike) -> Dataset:
        """Return the dataset of the given rows (copied into memory).

        Raises
        ------
        TypeError
            If rows are neither integers nor a mask.
        """
        index = checks.array("rows", rows)
        if index.size and index.dtype.kind not in "iub":
            raise TypeError(f"rows must be integers or a mask; got dtype {index.dtype}.")
        index = index if index.dtype.kind == "b" else index.astype(np.int64)
        return dataclasses.replace(
            self,
            X=np.ascontiguousarray(_rows(self.X, index)),
            y=self.y[index],
            cluster=self.cluster[index],
            features=None if self.features is None else self.features[index],
            columns={name: values[index] for name, values in self.columns.items()},
        )

    def split(
        self,
        fractions: tuple[float, ...] = (0.8, 0.1, 0.1),
        by: Literal["point", "cluster"] = "point",
        rng: RandomLike = 0,
    ) -> tuple[Dataset, ...]:
        """Split into disjoint parts, by default train, validation and test.

        Parameters
        ----------
        fractions : tuple of float
            Shares of the points (or of the clusters), summing to at most 1.
        by : {"point", "cluster"}
            Whether points are dealt out, or whole clusters.
        rng : int, Generator or Streams
            Stream ``split``.

        Returns
        -------
        tuple of Dataset

        Raises
        ------
        ValueError
            If fractions are not positive or exceed 1 in sum, or a part is empty.
        """
        checks.choice("by", by, ("point", "cluster"))
        shares = checks.finite_array("fractions", fractions, ndim=1)
        if np.any(shares <= 0) or shares.sum() > 1 + 1e-9:
            raise ValueError(f"fractions must be positive and sum to at most 1; got {fractions}.")
        n = len(self) if by == "point" else self.cluster_size.size
        order = as_streams(rng).generator("split").permutation(n)
        ends = np.rint(np.cumsum(shares) * n).astype(np.int64)
        if np.any(np.diff(ends, prepend=0) == 0):
            raise ValueError(f"{n} {by}s are too few for fractions {fractions}; a part is empty.")
        parts = []
        for low, high in zip(np.append(0, ends[:-1]), ends, strict=True):
            chosen = order[low:high]
            rows = chosen if by == "point" else np.flatnonzero(np.isin(self.cluster, chosen))
            if rows.size == 0:
                raise ValueError(
                    f"a part is empty: its {high - low} cluster(s) hold no points. Take other fractions."
                )
            parts.append(self.take(np.sort(rows)))
        return tuple(parts)

    def batches(
        self, batch_size: int, rng: RandomLike | Literal["in order"] = "in order"
    ) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]]:
        """Yield (X, y) batches without loading the whole.

        In order, or shuffled with the stream ``batch``: blocks of consecutive rows (of a chunk's
        size) are visited in random order and shuffled inside, so that data on disk are read once.

        Parameters
        ----------
        batch_size : int
        rng : int, Generator, Streams or "in order"
        """
        size = checks.integer("batch_size", batch_size, minimum=1)
        n = len(self)
        if isinstance(rng, str):
            checks.choice("rng", rng, ("in order",))
            for low in range(0, n, size):
                yield np.asarray(self.X[low : low + size]), self.y[low : low + size]
            return
        generator = as_streams(rng).generator("batch")
        chunk = max(size, getattr(self.X, "chunks", (1 << 14,))[0])
        starts = generator.permutation(np.arange(0, n, chunk))
        left_x = np.empty((0, self.dim), dtype=np.float32)
        left_y = self.y[:0]
        for start in starts:
            rows = np.asarray(self.X[start : start + chunk])
            order = generator.permutation(rows.shape[0])
            left_x = np.concatenate([left_x, rows[order]])
            left_y = np.concatenate([left_y, self.y[start : start + chunk][order]])
            full = left_x.shape[0] - left_x.shape[0] % size
            for low in range(0, full, size):
                yield left_x[low : low + size], left_y[low : low + size]
            left_x, left_y = left_x[full:], left_y[full:]
        if left_x.shape[0]:
            yield left_x, left_y

    def with_teacher(self, teacher: Any, rng: RandomLike = 0) -> Dataset:
        """Return the dataset with labels of a teacher drawn from a family.

        Parameters
        ----------
        teacher : TeacherFamily
            For instance `percolaw.ReluTeacher()`; it sees standardised inputs.
        rng : int, Generator or Streams
            Draws the teacher.

        Returns
        -------
        Dataset

        Notes
        -----
        X is read into memory. ``truth["target"]`` becomes the teacher's description; what `truth`
        said of the labels before is left out.
        """
        from percolaw.targets.teacher import standardized_inputs

        drawn = teacher.sample(self.dim, rng)
        y = drawn(standardized_inputs(np.asarray(self.X)))
        kept = {name: known for name, known in self.truth.items() if name not in TARGET_KEYS}
        return dataclasses.replace(self, y=y, truth={**kept, "target": drawn.description})

    def with_noise(self, noise: float, rng: RandomLike = 0) -> Dataset:
        """Return the dataset with independent Gaussian noise added to its labels.

        Parameters
        ----------
        noise : float
            Standard deviation, in units of that of each column of labels.
        rng : int, Generator or Streams
            Stream ``evaluation`` draws it.

        Returns
        -------
        Dataset
            ``provenance["noise"]`` tells the level; `truth` no longer gives exponents, which noise hides.
        """
        level = checks.real("noise", noise, minimum=0.0)
        drawn = as_streams(rng).generator("evaluation").standard_normal(self.y.shape)
        y = self.y + level * self.y.std(axis=0) * drawn
        truth = {
            k: known for k, known in self.truth.items() if k not in TARGET_KEYS or k == "target"
        }
        provenance = {**self.provenance, "noise": level}
        return dataclasses.replace(self, y=y, truth=truth, provenance=provenance)

    def to_frame(self) -> frames.Frame:
        """Return the points as a table, a line each; X is read into memory.

        Returns
        -------
        pandas.DataFrame or dict of array
            Columns ``x0``, ``x1``, ...; ``y``, or ``y0``, ``y1``, ... of several outputs; ``cluster``,
            ``size`` of the cluster (0: infinite); and those of `columns` with one value a point. See
            `percolaw.frames.frame`.
        """
        x, y = np.asarray(self.X), self.y.reshape(len(self), -1)
        labels = ["y"] if y.shape[1] == 1 else [f"y{i}" for i in range(y.shape[1])]
        return frames.frame(
            {f"x{i}": x[:, i] for i in range(self.dim)}
            | dict(zip(labels, y.T, strict=True))
            | {"cluster": self.cluster, "size": self.size}
            | {name: values for name, values in self.columns.items() if values.ndim == 1}
        )

    def to_torch(self) -> Any:
        """Return a `torch.utils.data.Dataset` view of (X row, y row) as float32 tensors.

        Notes
        -----
        Shuffled batches of a dataset on disk are quick: chunks of a Zarr array are read whole once, to
        check them, and then only the rows that are asked for. `batches` reads nothing twice, and
        shuffles inside blocks.
        """
        from percolaw.datasets.torch_view import TorchView

        return TorchView(self)

    def __repr__(self) -> str:
        return (
            f"Dataset({len(self)} points, {self.dim} dimensions, {self.cluster_size.size} clusters)"
        )


def _rows(array: Any, index: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if isinstance(array, np.ndarray):
        return array[index]
    if index.dtype == np.bool_:
        index = np.flatnonzero(index)
    stored = stored_rows(array)
    return np.asarray(array.oindex[index, :] if stored is None else stored.take(index))
