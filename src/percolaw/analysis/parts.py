"""The parts of an analysis: what is measured of a sample, each alone, in plain rows.

Plan, measure, conclude: `plan` lists the parts, `Measurement.rows` measures one, and
`percolaw.analysis.findings` makes a verdict of all rows. A part depends on the sample, the settings, the
seed and itself alone.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.analysis.adjacency import SiteGraph
from percolaw.analysis.agreement import nearest_neighbor_curve
from percolaw.analysis.by_rank import rank_losses
from percolaw.analysis.class_draws import class_draws
from percolaw.analysis.clusters import STATISTICS, cluster_statistics
from percolaw.analysis.dilution import dilution
from percolaw.analysis.flow import agreement_flow
from percolaw.analysis.learning import LEARNERS, OF_STRINGS, check_installed, learning_rows
from percolaw.analysis.sample import Sample, check_classes, sample_dimension
from percolaw.analysis.size_tail import size_tail
from percolaw.rng import Streams

Part: TypeAlias = dict[str, Any]
Row: TypeAlias = dict[str, Any]

#: Parts of the elements at which everything is measured: one number says nothing, a flow does.
SHARES = (1.0, 0.5, 0.25, 0.125)
#: Draws of a null in one part.
CHUNK = 20
#: Blocks of near elements over which errors of agreement are taken.
BLOCKS = 16
#: What classes are drawn from, and what it keeps of the data.
NULLS = {
    "critical": "independent bonds at the threshold of the same graph; a class is a cluster",
    "permuted": "the classes in random order",
    "maximum entropy": "class counts and agreement of the data, otherwise at random (Potts)",
    "independent bonds": "as many open bonds as in the data; a class is a cluster",
    "compact domains": "domains grown from random sites, with the class counts and agreement of the data",
}
#: What points and strings are drawn from, for geometry alone.
GEOMETRY_NULLS = {
    "gaussian": "independent points of the data's mean and covariance",
    "shuffled components": "the principal components of the data, each in random order",
    "position marginals": "independent letters of the frequencies at each position",
    "markov strings": "strings of the data's pairs of letters, position by position",
}
#: Elements of which geometry nulls are drawn, at most: each draw needs its own neighbours.
MOST_DRAWN = 1000
#: Items of random streams, one for each kind of part.
_ORDER, _GEOMETRY, _AGREEMENT, _CLUSTERS, _DRAWS, _LEARNING = range(6)


@dataclass(frozen=True)
class Settings:
    """How a sample is analysed; fixed before anything is looked at.

    Parameters
    ----------
    k : int
        Neighbours among which points count as adjacent, for the verdict.
    other_k : tuple of int
        Further numbers, shown beside: what moves with k is no property of the data.
    nulls : tuple of str
        Of `NULLS`.
    n_draws : int
        Draws of each null.
    learners : tuple of str
        Whose learning curves are measured and predicted; of `percolaw.analysis.learning.LEARNERS`, of
        strings only the nearest neighbour.
    n_repeats : int
        Random parts of the data of each learning curve.
    """

    k: int = 6
    other_k: tuple[int, ...] = (3, 10)
    nulls: tuple[str, ...] = tuple(NULLS)
    n_draws: int = 200
    learners: tuple[str, ...] = ("nearest neighbour", "kernel")
    n_repeats: int = 8

    def __post_init__(self) -> None:
        checks.set_integer(self, "k", minimum=1, maximum=1000)
        checks.set_integer(self, "n_draws", minimum=20)
        checks.set_integer(self, "n_repeats", minimum=3)
        for null in self.nulls:
            checks.choice("null", null, NULLS)
        for k in self.other_k:
            checks.integer("k", k, minimum=1, maximum=1000)
        for learner in self.learners:
            checks.choice("learner", learner, LEARNERS)


def plan(sample: Sample, settings: Settings) -> list[Part]:
    """Return the parts of an analysis, the quick ones first.

    Parameters
    ----------
    sample : Sample
    settings : Settings

    Returns
    -------
    list of dict
        Plain JSON values.

    Raises
    ------
    ValueError
        If the smallest part of the elements, half of an eighth, has no more than k, and for classes
        that tell none or nearly all of the elements apart.
    MissingExtraError
        If a learner needs PyTorch, or approximate neighbours faiss, which is not installed.
    """
    check_classes(sample)
    check_installed(settings.learners)
    if sample.approximate:
        checks.extra("faiss", "analyze")
    sizes = [int(sample.n * share) for share in SHARES]
    every = tuple(dict.fromkeys((settings.k, *settings.other_k)))
    ks = (settings.k,) if sample.has_graph else every
    if not sample.has_graph and max(ks) >= sizes[-1] // 2:
        raise ValueError(
            f"half of an eighth of the {sample.n} elements has {sizes[-1] // 2}, not more than k = "
            f"{max(ks)}. Lower k to at most {sizes[-1] // 2 - 1}, or take more elements."
        )
    parts: list[Part] = [{"part": "geometry", "n": n, "k": k} for n in sizes for k in ks]
    if sample.metric != "graph":
        small = max(n for n in sizes if n <= max(MOST_DRAWN, sizes[-1]))
        names = list(GEOMETRY_NULLS)[2:] if sample.metric == "hamming" else list(GEOMETRY_NULLS)[:2]
        for null in names:
            for draws in _chunks(settings.n_draws):
                parts.append({"part": "geometry draws", "null": null, "n": small, **draws})
    for level in range(len(sample.levels)):
        if sample.metric != "graph":
            parts.append({"part": "agreement", "level": level})
        parts += [{"part": "clusters", "level": level, "n": n, "k": k} for n in sizes for k in ks]
        parts.append({"part": "tail", "level": level})
        for null in settings.nulls:
            for draws in _chunks(settings.n_draws):
                parts.append({"part": "draws", "level": level, "null": null, **draws})
        if sample.metric != "graph":
            parts += [
                {"part": "learning", "level": level, "learner": name}
                for name in settings.learners
                if sample.metric != "hamming" or name in OF_STRINGS
            ]
    return parts


def _chunks(n_draws: int) -> list[dict[str, int]]:
    return [
        {"first": first, "count": min(CHUNK, n_draws - first)} for first in range(0, n_draws, CHUNK)
    ]


@dataclass(frozen=True, eq=False)
class Measurement:
    """A sample whose parts can be measured.

    Parameters
    ----------
    sample : Sample
        In any order: it is put in random order first.
    settings : Settings
    seed : int
    """

    sample: Sample
    settings: Settings
    seed: int = 0

    def rows(self, part: Part) -> list[Row]:
        """Measure one part.

        Parameters
        ----------
        part : dict
            From `plan`. Of draws, ``statistics`` may name those of `clusters.STATISTICS`
            that are wanted.

        Returns
        -------
        list of dict
            The part, with ``quantity``, ``x`` (None where there is one value only), ``value``, ``low``
            and ``high``; plain JSON values, None for NaN. Sentences have ``text``, too.
        """
        measure: Callable[[Part], list[tuple[Any, ...]]] = {
            "geometry": self._geometry,
            "geometry draws": self._geometry_draws,
            "agreement": self._agreement,
            "clusters": self._clusters,
            "tail": self._tail,
            "draws": self._draws,
            "learning": self._learning,
        }[part["part"]]
        return [_row(part, *values) for values in measure(part)]

    @functools.cached_property
    def _ordered(self) -> Sample:
        order = self._streams(_ORDER).generator("split").permutation(self.sample.n)
        return self.sample.part(order)

    def _streams(self, *items: int) -> Streams:
        return Streams(self.seed).child(*items)

    def _graph(self, n: int, k: int) -> SiteGraph:
        """Adjacency among the first n elements."""
        return self._graph_and_recall(n, k)[0]

    @functools.lru_cache(maxsize=4)  # noqa: B019  (lives as long as the process that measures)
    def _graph_and_recall(self, n: int, k: int) -> tuple[SiteGraph, float | None]:
        whole = self._ordered
        return (whole if n == whole.n else whole.part(np.arange(n))).graph_and_recall(k)

    def clustered(
        self, n: int, k: int, level: int
    ) -> tuple[SiteGraph, SiteGraph, npt.NDArray[Any]]:
        """Return adjacency among the first n elements and among half of them, and their classes.

        Parameters
        ----------
        n, k, level : int

        Returns
        -------
        graph, half : SiteGraph
        label : array of int64, shape (n,)
        """
        return self._graph(n, k), self._graph(n // 2, k), self._ordered.classes[:n, level]

    def _geometry(self, part: Part) -> list[tuple[Any, ...]]:
        graph, recall = self._graph_and_recall(part["n"], part["k"])
        entries: list[tuple[Any, ...]] = [
            ("largest component", None, graph.largest_component),
            ("mean degree", None, graph.mean_degree),
        ]
        if recall is not None:
            entries.append(("neighbours found", None, recall))
        if part["k"] == self.settings.k:
            dimension = sample_dimension(self._ordered.part(np.arange(part["n"])))
            if dimension is not None:
                entries.append(("dimension", None, *dimension))
            if part["n"] == self.sample.n and self.sample.n_repeated:
                entries.append(("repeated", None, self.sample.n_repeated))
                entries.append(("repeated, disagreeing", None, self.sample.n_disagreeing))
        return entries

    def _agreement(self, part: Part) -> list[tuple[Any, ...]]:
        losses = rank_losses(self._ordered, part["level"], BLOCKS)
        n = losses.n_points
        entries: list[tuple[Any, ...]] = []
        edges = np.unique(np.geomspace(1, n - 1, 60).astype(np.int64))
        for low, high in itertools.pairwise(edges):
            mean = float(losses.agreement[low - 1 : high - 1].mean())
            entries.append(("agreement by volume", math.sqrt(low * (high - 1)) / n, mean))
        for flow in agreement_flow(losses):
            entries.append(("omega", flow.window[1], flow.omega, *flow.interval))
            entries.append(("bend p value", flow.window[1], flow.p_value))
            entries.append(("agreement ends", flow.window[1], float(flow.ends)))
        sizes = np.unique(np.geomspace(2, n - 1, 25).astype(np.int64))
        curve = nearest_neighbor_curve(losses, sizes)
        errors = 1.96 * curve.standard_error
        entries += [
            ("exact 1-NN loss", int(m), value, value - error, value + error)
            for m, value, error in zip(sizes, curve.loss, errors, strict=True)
        ]
        return entries

    def _clusters(self, part: Part) -> list[tuple[Any, ...]]:
        n, level = part["n"], part["level"]
        graph, half, label = self.clustered(n, part["k"], level)
        streams = self._streams(_CLUSTERS, n, part["k"], level)
        entries: list[tuple[Any, ...]] = [
            (name, None, value)
            for name, value in cluster_statistics(
                graph, half, label, streams, n_orders=8 if n == self.sample.n else 4
            ).items()
        ]
        is_open = label[graph.low] == label[graph.high]
        cluster = graph.clusters(is_open)
        entries += _cluster_sizes(cluster)
        number = dilution(graph, is_open, label, streams)
        order = np.argsort(-number.n_sites, kind="stable")[:30]
        entries += [
            ("dilution number", int(number.n_sites[i]), float(number.number[i]))
            for i in order
            if math.isfinite(number.number[i])
        ]
        return entries

    def _tail(self, part: Part) -> list[tuple[Any, ...]]:
        """The power law of cluster sizes, without the largest, and how it is refused or beaten."""
        graph = self._graph(self.sample.n, self.settings.k)
        cluster = graph.clusters(self._ordered.agreeing(graph, part["level"]))
        streams = self._streams(_CLUSTERS, part["level"])
        tail = size_tail(np.sort(np.bincount(cluster))[:-1], streams)
        if not tail.enough:
            return [("tau", None, math.nan)]
        return [
            ("tau", tail.smallest, tail.exponent, *tail.interval),
            ("power law p value", None, tail.p_value),
            ("beaten by log-normal", None, float(tail.beaten_by_lognormal)),
            ("decades of the tail", None, tail.decades),
        ]

    def _geometry_draws(self, part: Part) -> list[tuple[Any, ...]]:
        from percolaw.analysis import nulls

        sample = self._ordered.part(np.arange(part["n"]))
        draw = nulls.OF_ELEMENTS[part["null"]]
        streams = self._streams(_GEOMETRY)
        entries: list[tuple[Any, ...]] = []
        for index in range(part["first"], part["first"] + part["count"]):
            drawn = replace(sample, elements=draw(sample.elements, index, streams))
            graph = drawn.graph(self.settings.k)
            entries.append(("largest component", index, graph.largest_component))
            entries.append(("mean degree", index, graph.mean_degree))
        return entries

    def _draws(self, part: Part) -> list[tuple[Any, ...]]:
        level, null = part["level"], part["null"]
        names = part.get("statistics", tuple(STATISTICS))
        graph, half, _ = self.clustered(self.sample.n, self.settings.k, level)
        draw, equilibrated = self._null(null, level)
        entries: list[tuple[Any, ...]] = []
        if part["first"] == 0 and equilibrated is not None:
            entries.append(("equilibrated", None, float(equilibrated)))
        for index in range(part["first"], part["first"] + part["count"]):
            label = draw(index)
            streams = self._streams(_DRAWS, level, index)
            numbers = cluster_statistics(graph, half, label, streams, names=names)
            entries += [(name, index, value) for name, value in numbers.items()]
            if index == 0:
                entries += _cluster_sizes(graph.clusters(label[graph.low] == label[graph.high]))
        return entries

    @functools.lru_cache(maxsize=1)  # noqa: B019
    def _null(self, null: str, level: int) -> tuple[Callable[[int], Any], bool | None]:
        """The classes of each draw of a null, and whether it equilibrated where that is a question."""
        graph = self._graph(self.sample.n, self.settings.k)
        label = self._ordered.classes[:, level]
        return class_draws(null, graph, label, self._streams(_DRAWS, level))

    def _learning(self, part: Part) -> list[tuple[Any, ...]]:
        streams = self._streams(_LEARNING, part["level"])
        k, repeats = self.settings.k, self.settings.n_repeats
        return learning_rows(self._ordered, part["level"], part["learner"], k, repeats, streams)


def _cluster_sizes(cluster: npt.NDArray[np.int64]) -> list[tuple[Any, ...]]:
    """How many clusters are at least as large as each size that occurs."""
    size, count = np.unique(np.bincount(cluster), return_counts=True)
    at_least = np.cumsum(count[::-1])[::-1]
    pairs = zip(size.tolist(), at_least.tolist(), strict=True)
    return [("clusters of size at least", s, c) for s, c in pairs]


def _row(
    part: Part,
    quantity: str,
    x: Any,
    value: Any,
    low: Any = None,
    high: Any = None,
    text: str | None = None,
) -> Row:
    numbers = {"x": x, "value": value, "low": low, "high": high}
    finite = {name: _finite(number) for name, number in numbers.items()}
    return {**part, "quantity": quantity, **finite, **({} if text is None else {"text": text})}


def _finite(number: Any) -> Any:
    if number is None or isinstance(number, int):
        return number
    return float(number) if math.isfinite(float(number)) else None
