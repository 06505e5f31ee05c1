"""What is analysed: elements with a distance, and a function on them at one or several resolutions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis import adjacency
from percolaw.analysis.adjacency import Ids, SiteGraph

FloatArray: TypeAlias = npt.NDArray[np.float64]

METRICS = ("euclidean", "cosine", "hamming", "graph")
#: Fewest distinct elements: an eighth of them must still have clusters.
FEWEST = 400
#: Widths of the intervals into which real values are cut, in standard deviations.
TOLERANCES = (0.1, 0.25, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Sample:
    """Elements of a data set, and the classes they belong to.

    Attributes
    ----------
    elements : array of float64, shape (n, d), or of uint8, shape (n, length), or SiteGraph
        Points, strings, or the adjacency itself.
    metric : {"euclidean", "cosine", "hamming", "graph"}
    classes : array of int64, shape (n, n_levels)
        Class of each element from 0, at each resolution of the function; no columns without one.
    levels : tuple of str
        Names of the resolutions.
    values : array of float64, shape (n,), or None
        The real function that was cut into classes.
    """

    elements: Any
    metric: str
    classes: Ids
    levels: tuple[str, ...]
    values: FloatArray | None = None

    @property
    def n(self) -> int:
        """Number of elements."""
        return int(self.classes.shape[0])

    @property
    def has_graph(self) -> bool:
        """Whether which elements are adjacent is given, and not a choice of k."""
        return self.metric in ("hamming", "graph")

    def part(self, rows: npt.NDArray[np.integer[Any]]) -> Sample:
        """Return some of the elements, in the order given."""
        chosen = self.elements.part(rows) if self.metric == "graph" else self.elements[rows]
        values = None if self.values is None else self.values[rows]
        return replace(self, elements=chosen, classes=self.classes[rows], values=values)

    def graph(self, k: int) -> SiteGraph:
        """Return which elements are adjacent; points: among the k nearest of one another."""
        if self.metric == "graph":
            given: SiteGraph = self.elements
            return given
        if self.metric == "hamming":
            return adjacency.hamming_graph(self.elements)
        return adjacency.neighbor_graph(self.elements, k, self.metric)

    def agreeing(self, graph: SiteGraph, level: int) -> npt.NDArray[np.bool_]:
        """Return the functional bonds: which bonds join elements of one class, (n_bonds,)."""
        label = self.classes[:, level]
        return np.asarray(label[graph.low] == label[graph.high])


def as_sample(
    elements: Any,
    function: Any = None,
    *,
    metric: str = "euclidean",
    level_names: tuple[str, ...] = (),
) -> tuple[Sample, int]:
    """Check a data set and return it without repeated elements.

    Parameters
    ----------
    elements : array, shape (n, d), array of uint8, shape (n, length), sequence of str, or sparse (n, n)
        Points; with the metric ``hamming`` strings of one length, or their letters as numbers; with
        ``graph`` an adjacency matrix.
    function : array, shape (n,) or (n, n_levels), optional
        Classes (integers, words) or real values (floats); several columns are a hierarchy of classes,
        coarse to fine.
    metric : {"euclidean", "cosine", "hamming", "graph"}
    level_names : tuple of str
        Of the columns of a hierarchy.

    Returns
    -------
    sample : Sample
        The first of equal elements is kept.
    n_repeated : int
        Elements left out because an earlier one is equal.

    Raises
    ------
    TypeError, ValueError
        For fewer than 400 distinct elements, elements and function of unequal number, a function with
        one class, or with a class for every element, strings of unequal length, NaN or infinity.
    """
    if checks.choice("metric", metric, METRICS) == "graph":
        graph = elements if isinstance(elements, SiteGraph) else adjacency.given_graph(elements)
        rows, n = np.arange(graph.n_sites), graph.n_sites
        kept: Any = graph
    else:
        kept, rows = _distinct(elements, metric)
        n = len(elements)
    if rows.size < FEWEST:
        raise ValueError(
            f"the analysis needs at least {FEWEST} distinct elements; got {rows.size} (of {n}). With "
            "fewer an eighth of them says nothing."
        )
    classes, levels, values = _levels(function, n, level_names)
    values = None if values is None else values[rows]
    sample = Sample(kept, metric, classes[rows], levels, values)
    return sample, n - rows.size


def codes_of(strings: Any) -> npt.NDArray[np.uint8]:
    """Return the letters of strings of one length as numbers, (n, length).

    Parameters
    ----------
    strings : sequence of str or bytes
        Letters beyond one byte are numbered by rank; at most 256 different ones.

    Returns
    -------
    array of uint8, shape (n, length)

    Raises
    ------
    TypeError, ValueError
        For what are no strings, unequal lengths, empty strings, and more than 256 different letters.
    """
    words = [w.decode("latin-1") if isinstance(w, bytes) else w for w in strings]
    if not words or not all(isinstance(w, str) for w in words):
        raise TypeError("strings must be a sequence of str, one or more.")
    lengths = {len(w) for w in words}
    if len(lengths) > 1 or 0 in lengths:
        raise ValueError(
            f"strings must have one length above 0; got lengths {min(lengths)} to {max(lengths)}. Keep "
            "those of one length: only they can differ at one position."
        )
    letters = np.array(words).view(np.uint32).reshape(len(words), -1)
    if letters.max() < 256:
        return letters.astype(np.uint8)
    known, number = np.unique(letters, return_inverse=True)
    if known.size > 256:
        raise ValueError(f"at most 256 different letters are possible; got {known.size}.")
    return number.reshape(letters.shape).astype(np.uint8)


def _distinct(elements: Any, metric: str) -> tuple[Any, Ids]:
    """Elements that differ from all earlier ones, and their rows."""
    if metric == "hamming":
        is_codes = isinstance(elements, np.ndarray) and elements.dtype.kind not in "USO"
        codes = adjacency.checked_codes(elements) if is_codes else codes_of(elements)
        first = np.sort(np.unique(codes, axis=0, return_index=True)[1])
        return codes[first], first
    from percolaw.numerics.copies import near_copies

    points = checks.point_array("elements", elements)
    if metric == "cosine":
        points = adjacency.directions(points)
    rows = np.flatnonzero(~near_copies(points))
    return np.asarray(points[rows], dtype=np.float64), rows


def _levels(
    function: Any, n: int, names: tuple[str, ...]
) -> tuple[Ids, tuple[str, ...], FloatArray | None]:
    """Classes at each resolution, what they are called, and the real values if there are any."""
    if function is None:
        return np.zeros((n, 0), dtype=np.int64), (), None
    given = checks.array("the function", function)
    if given.shape[:1] != (n,) or given.ndim > 2:
        raise ValueError(
            f"the function must have one value for each of the {n} elements, or a row of classes; got "
            f"shape {given.shape}."
        )
    if given.dtype.kind == "f" and given.ndim == 1:
        values = checks.target_values("the function", given, n)
        spread = float(values.std())
        if spread == 0.0:
            raise ValueError(_ONE_CLASS)
        step = (values - np.median(values)) / spread
        columns = [np.floor(step / width + 0.5) for width in TOLERANCES]
        classes = np.stack([_numbered(c) for c in columns], axis=1)
        kept = [i for i, column in enumerate(classes.T) if 0 < column.max() < n - 1]
        if not kept:
            raise ValueError(_ONE_CLASS)
        words = tuple(f"tolerance {TOLERANCES[i]:g} sd" for i in kept)
        return classes[:, kept], words, values
    if given.dtype.kind not in "biuUSO":
        raise TypeError(
            f"classes must be integers or words, a real function one column of floats; got {given.dtype} "
            f"of shape {given.shape}."
        )
    table = given.reshape(n, -1)
    classes = np.stack([_numbered(column) for column in table.T], axis=1)
    for column in classes.T:
        if column.max() == 0:
            raise ValueError(_ONE_CLASS)
        if column.max() == n - 1:
            raise ValueError("every element has a class of its own, so none can agree; join classes.")
    if names and len(names) != classes.shape[1]:
        raise ValueError(f"{len(names)} names for {classes.shape[1]} levels of classes.")
    usual = ("classes",) if given.ndim == 1 else tuple(f"level {i}" for i in range(table.shape[1]))
    return classes, names or usual, None


_ONE_CLASS = "the function has one class only, so all elements agree; leave it out to look at geometry alone."


def _numbered(column: npt.NDArray[Any]) -> Ids:
    if column.dtype.kind == "O":
        column = column.astype(str)
    return np.unique(column, return_inverse=True)[1].reshape(-1).astype(np.int64)
