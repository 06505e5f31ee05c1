"""What is analysed: elements with a distance, and a function on them at one or several resolutions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis import adjacency
from percolaw.analysis.adjacency import Ids, SiteGraph
from percolaw.datasets.element_labels import ElementLabels, element_labels
from percolaw.datasets.strings import coded_strings
from percolaw.numerics.distances import directions
from percolaw.short import short_repr

FloatArray: TypeAlias = npt.NDArray[np.float64]

METRICS = ("euclidean", "cosine", "hamming", "graph")
#: Points whose neighbours are exact in any case: their table takes some 10 s.
MOST_EXACT = 20_000
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
    approximate : bool
        Whether a few neighbours of more than `MOST_EXACT` points may be missed (`enough_neighbors`).
    n_repeated : int
        Elements of the data that are left out because an earlier one is equal.
    n_disagreeing : int
        Those of them whose class or value is another than that of the first, which is kept.
    """

    elements: Any
    metric: str
    classes: Ids
    levels: tuple[str, ...]
    values: FloatArray | None = None
    approximate: bool = False
    n_repeated: int = 0
    n_disagreeing: int = 0

    __repr__ = short_repr

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
        return self.graph_and_recall(k)[0]

    def graph_and_recall(self, k: int) -> tuple[SiteGraph, float | None]:
        """Return which elements are adjacent, and the share of true neighbours that were found.

        Parameters
        ----------
        k : int
            Of points: those among the k nearest of one another are adjacent.

        Returns
        -------
        graph : SiteGraph
        recall : float or None
            None where no neighbour was missed.
        """
        if self.metric == "graph":
            return self.elements, None
        if self.metric == "hamming":
            return adjacency.hamming_graph(self.elements), None
        if self.approximate and self.n > MOST_EXACT:
            table, share = adjacency.enough_neighbors(self.elements, k, self.metric)
            return adjacency.table_graph(table), share
        return adjacency.neighbor_graph(self.elements, k, self.metric), None

    def agreeing(self, graph: SiteGraph, level: int) -> npt.NDArray[np.bool_]:
        """Return the functional bonds: which bonds join elements of one class.

        Parameters
        ----------
        graph : SiteGraph
        level : int
            Resolution of the function.

        Returns
        -------
        array of bool, shape (n_bonds,)
        """
        label = self.classes[:, level]
        return np.asarray(label[graph.low] == label[graph.high])


def as_sample(
    elements: Any,
    function: Any = None,
    *,
    metric: str = "euclidean",
    level_names: tuple[str, ...] = (),
) -> Sample:
    """Check a data set and return it without repeated elements.

    Parameters
    ----------
    elements : array, shape (n, d), array of uint8, shape (n, length), sequence of str, or sparse (n, n)
        Points; with the metric ``hamming`` strings of one length, or their letters as numbers; with
        ``graph`` an adjacency matrix.
    function : array, shape (n,) or (n, n_levels), optional
        Classes (integers, words), real values, or several columns, a hierarchy of classes from coarse
        to fine; see `percolaw.datasets.element_labels`. Real values become classes: two are
        interchangeable if they fall into one interval, whose width is the tolerance.
    metric : {"euclidean", "cosine", "hamming", "graph"}
    level_names : tuple of str
        Of the columns of a hierarchy.

    Returns
    -------
    Sample
        The first of equal elements is kept, with its class or value.

    Raises
    ------
    TypeError, ValueError
        For fewer than 400 distinct elements, elements and function of unequal number, a function with
        one class, or with a class for every element, strings of unequal length, NaN or infinity.
    """
    if checks.choice("metric", metric, METRICS) == "graph":
        graph = elements if isinstance(elements, SiteGraph) else adjacency.given_graph(elements)
        original = np.arange(graph.n_sites)
        distinct: Any = graph
    else:
        distinct, original = _distinct(elements, metric)
    n = original.size
    copy = original != np.arange(n)
    rows = np.flatnonzero(~copy)
    if rows.size < FEWEST:
        raise ValueError(
            f"the analysis needs at least {FEWEST} distinct elements; got {rows.size} (of {n}). With "
            "fewer an eighth of them says nothing."
        )
    classes, levels, values = _levels(function, n, level_names)
    function_values = classes if values is None else values[:, None]
    return Sample(
        distinct,
        metric,
        classes[rows],
        levels,
        None if values is None else values[rows],
        n_repeated=int(np.count_nonzero(copy)),
        n_disagreeing=int(
            np.count_nonzero((function_values != function_values[original]).any(axis=1))
        ),
    )


def sample_dimension(sample: Sample) -> tuple[float, float, float] | None:
    """Return the TwoNN dimension of points with its 95% interval; None where there is none.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    (dimension, low, high) or None
        None of strings and graphs, and of points that TwoNN refuses.
    """
    if sample.metric not in ("euclidean", "cosine"):
        return None
    from percolaw.dimension.two_nn import TwoNN

    points: Any = np.asarray(sample.elements)
    try:
        fitted = TwoNN().fit(points)
    except ValueError:
        return None
    value = float(fitted.dimension_)
    error = value / math.sqrt(points.shape[0])
    return value, value - 1.96 * error, value + 1.96 * error


def check_classes(sample: Sample) -> None:
    """Refuse classes of which too few are left, or too many, once elements were left out.

    Raises
    ------
    ValueError
        For one class alone at any resolution, and for fewer than two elements a class at the only one.
    """
    for level, name in enumerate(sample.levels):
        n_classes = np.unique(sample.classes[:, level]).size
        if n_classes == 1:
            raise ValueError(
                f"all {sample.n} elements that are analysed are of one class ({name}); two are the "
                "least. Leave the function out for the geometry alone."
            )
        if 2 * n_classes > sample.n and len(sample.levels) == 1:
            raise ValueError(
                f"the {sample.n} elements that are analysed are of {n_classes} classes, fewer than two "
                "elements a class: hardly any two can agree. Take coarser classes, or more elements."
            )


def _distinct(elements: Any, metric: str) -> tuple[Any, Ids]:
    """Elements that differ from all earlier ones, and the row of which each row is a copy."""
    if metric == "hamming":
        codes = adjacency.checked_codes(_codes(elements))
        first, group = np.unique(codes, axis=0, return_index=True, return_inverse=True)[1:]
        return codes[np.sort(first)], first[group.reshape(-1)]
    from percolaw.numerics.copies import originals

    points = checks.point_array("elements", elements)
    broken = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if broken.size:
        raise ValueError(
            f"{broken.size} of {points.shape[0]} elements hold NaN or infinity, the first in row "
            f"{broken[0]} (from 0). Leave these rows out, and their labels."
        )
    points = checks.finite_array("elements", points)
    if metric == "cosine":
        points = directions(points)
    original = originals(points)
    is_new = original == np.arange(original.size)
    return np.asarray(points[is_new], dtype=np.float64), original


def _codes(strings: Any) -> Any:
    """Strings as numbers, if they are not already."""
    if isinstance(strings, np.ndarray):
        if strings.dtype.kind not in "USO":
            return strings
        strings = (strings.astype(np.str_) if strings.dtype.kind == "S" else strings).tolist()
    lines = strings if isinstance(strings, str) or not np.iterable(strings) else list(strings)
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        other = (
            next((x for x in lines if not isinstance(x, str)), None)
            if isinstance(lines, list)
            else lines
        )
        raise TypeError(
            f"with the metric hamming the elements must be strings, one each, or their letters as uint8; "
            f"got {other!r:.60} ({type(other).__name__})."
        )
    return coded_strings(lines).codes


def _levels(
    function: Any, n: int, names: tuple[str, ...]
) -> tuple[Ids, tuple[str, ...], FloatArray | None]:
    """Classes at each resolution, what they are called, and the real values if there are any."""
    if function is None:
        return np.zeros((n, 0), dtype=np.int64), (), None
    given = function if isinstance(function, ElementLabels) else element_labels(function, n)
    n_levels = 1 if given.levels is None else given.levels.shape[1]
    if names and (given.values is not None or len(names) != n_levels):
        raise ValueError(
            f"level_names must name each of the {n_levels} columns of classes; got {names!r}."
        )
    if given.values is not None:
        return (*_cut(given.values), given.values)
    if given.levels is not None:
        return given.levels, tuple(names or given.names), None
    assert given.labels is not None
    return given.labels[:, None], tuple(names) or ("classes",), None


def _cut(values: FloatArray) -> tuple[Ids, tuple[str, ...]]:
    """Classes of values that fall into one interval, for each width that tells some apart and not all."""
    step = (values - np.median(values)) / values.std()
    columns, words = [], []
    for width in TOLERANCES:
        interval = np.floor(step / width + 0.5)
        number = np.unique(interval, return_inverse=True)[1].reshape(-1)
        if 0 < number.max() < values.size - 1:
            columns.append(number.astype(np.int64))
            words.append(f"tolerance {width:g} sd")
    if not columns:
        raise ValueError(
            "the values are so uneven that no tolerance tells some apart and not all; give classes."
        )
    return np.stack(columns, axis=1), tuple(words)
