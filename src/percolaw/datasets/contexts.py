"""Contexts: sequences of pairs (x, y), points of one cluster with values of a function of their own.

The clusters stay, and every sequence brings a new function: what can be learned once and for all is the
geometry, and what must be learned from the pairs before it, anew every time, is the function.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.clusters.brownian import sample_large_cluster
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.datasets.source import Source
from percolaw.datasets.sources import FiniteCluster, InfiniteCluster
from percolaw.embedding.skeleton import embed_sampled, embed_sites
from percolaw.rng import RandomLike, Streams, as_streams
from percolaw.structure import Ids
from percolaw.targets.families import parse_target
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.teacher import TeacherFamily, standardized_inputs
from percolaw.targets.tree_walk import TreeWalk
from percolaw.tree import Tree

FloatArray: TypeAlias = npt.NDArray[np.float64]
#: A law of functions on clusters: the walk on the tree, or a family of Gaussian functions of points.
Law: TypeAlias = TreeWalk | TeacherFamily

#: What the walk on the tree is called in configs, beside the words of `parse_target`.
WALK = "tree walk"


def parse_law(word: str) -> Law:
    """Return the law of functions that a word names: ``tree walk``, ``linear``, ``Matérn 0.5``, ...

    Raises
    ------
    ValueError
        For other words, and families whose covariance is not known.

    Examples
    --------
    >>> parse_law("tree walk"), parse_law("Matérn 0.5").approximation_order
    (TreeWalk(steps='gaussian', standardized=True), 1.0)
    """
    law: Law = TreeWalk() if word == WALK else parse_target(word)
    if isinstance(law, TeacherFamily) and law.covariance is None:
        raise ValueError(
            f"the covariance of {word!r} is not known, so there is no exact posterior to hold learners "
            f"against. Take {WALK!r}, 'linear' or 'Matérn 0.5' (nu)."
        )
    return law


@dataclass(frozen=True, eq=False)
class ContextCluster:
    """Points of one cluster and the tree that joins them.

    Attributes
    ----------
    points : array of float64, shape (n_points, d)
        As `percolaw.standardized_inputs` makes them.
    tree : Tree
        Of the points and the branch points between them.
    node : array of int, shape (n_points,)
        Site of the tree that each point is.
    """

    points: FloatArray
    tree: Tree
    node: Ids

    @property
    def n_points(self) -> int:
        """Number of points."""
        return int(self.points.shape[0])

    def distances(self) -> FloatArray:
        """Return the distances of all points along the tree, float64, (n_points, n_points)."""
        rows, columns = np.triu_indices(self.n_points, 1)
        out = np.zeros((self.n_points, self.n_points))
        out[rows, columns] = self.tree.distance_between(self.node[rows], self.node[columns])
        return out + out.T


def context_cluster(source: Source, n_points: int, rng: RandomLike = 0) -> ContextCluster:
    """Draw points of one cluster, those of ``source.inputs(n_points, rng)``, with the tree they span.

    Parameters
    ----------
    source : InfiniteCluster or FiniteCluster
    n_points : int
        At least 2.
    rng : int, Generator or Streams
        Streams ``clusters``, ``embedding`` and ``evaluation``.

    Returns
    -------
    ContextCluster

    Raises
    ------
    TypeError, ValueError
        As `check_clusters` says.
    """
    check_clusters(source, n_points)
    n, streams = int(n_points), as_streams(rng)
    if isinstance(source, InfiniteCluster):
        sampled = sample_large_cluster(n, rng=streams)
        spanned = sampled.spanned_tree()
        points = embed_sampled(sampled, source.dim, streams)
        return ContextCluster(standardized_inputs(points), spanned.tree, spanned.point)
    assert isinstance(source, FiniteCluster)
    sites = source.sized_for(n).n_sites
    tree = conditioned_clusters(sites, source.coordination_number, rng=streams)
    chosen = streams.generator("evaluation").choice(sites, n, replace=False)
    points, span = embed_sites(tree, chosen, source.dim, streams, source.steps)
    return ContextCluster(standardized_inputs(points), span.tree, span.index)


def check_clusters(source: Source, n_points: int) -> None:
    """Refuse sources of which no such clusters can be drawn.

    Parameters
    ----------
    source : Source
    n_points : int
        Points of a cluster.

    Raises
    ------
    TypeError
        For a source whose points are on no tree.
    ValueError
        For fewer than 2 points, and if a finite cluster has no more sites than points are asked for.
    """
    n = checks.integer("n_points", n_points, minimum=2)
    if not isinstance(source, InfiniteCluster | FiniteCluster):
        raise TypeError(
            f"contexts are drawn from clusters that are trees; got {source!r}. Take InfiniteCluster "
            "('cluster d = 8') or FiniteCluster ('finite cluster d = 8')."
        )
    if isinstance(source, FiniteCluster) and source.sized_for(n).n_sites <= n:
        raise ValueError(
            f"{n} points are to be some of the cluster's {source.n_sites} site(s). Raise n_sites above "
            f"{n}."
        )


@dataclass(frozen=True, eq=False)
class ClusterFunctions:
    """Gaussian functions on the points of one cluster: of mean 0 over the points, and variance 1.

    The mean is taken off every function; the variance is the expected one, over functions and points, so
    that a law stays Gaussian and the posterior is exact.

    Parameters
    ----------
    cluster : ContextCluster
    law : TreeWalk or TeacherFamily
        Walks have Gaussian steps.
    """

    cluster: ContextCluster
    law: Law

    def __post_init__(self) -> None:
        if isinstance(self.law, TreeWalk) and self.law.steps != "gaussian":
            raise ValueError(
                f"walks must have Gaussian steps for an exact posterior; got {self.law!r}."
            )
        if isinstance(self.law, TeacherFamily) and self.law.covariance is None:
            raise ValueError(f"the covariance of {self.law!r} is not known.")

    @cached_property
    def _centred(self) -> FloatArray:
        """Covariance of a function less its mean over the points."""
        if isinstance(self.law, TeacherFamily):
            assert self.law.covariance is not None
            points = self.cluster.points
            c = self.law.covariance(points, points)
            c[np.diag_indices_from(c)] = self.law.covariance.diagonal(points)
        else:  # Var(f(u) - f(v)) is the distance
            c = -0.5 * self.cluster.distances()
        rows = c.mean(axis=1)
        return np.asarray(c - rows[:, None] - rows[None] + rows.mean())

    @cached_property
    def scale(self) -> float:
        """Standard deviation before standardising, expected over functions and points."""
        return math.sqrt(float(np.trace(self._centred)) / self.cluster.n_points)

    @cached_property
    def covariance(self) -> FloatArray:
        """Covariance of the functions at the points, (n_points, n_points), of mean diagonal 1."""
        return self._centred / self.scale**2

    def draw(self, n_functions: int, rng: RandomLike = 0) -> FloatArray:
        """Draw functions and return their values at all points.

        A walk is one more coordinate of the embedding: one pass over the tree gives those of all
        functions, in O(n_functions n_points) time.

        Parameters
        ----------
        n_functions : int
        rng : int, Generator or Streams
            Stream ``target``.

        Returns
        -------
        array of float64, shape (n_functions, n_points)
        """
        n, streams = checks.integer("n_functions", n_functions, minimum=1), as_streams(rng)
        if isinstance(self.law, TreeWalk):
            from percolaw.kernels import walk as kernels

            tree = self.cluster.tree
            walks = np.empty((tree.n_sites, n))
            kernels.gaussian_walk(tree.parent, tree.edge, streams.key("target"), 1.0, walks)
            values = walks[self.cluster.node].T
        else:
            points = self.cluster.points
            law: TeacherFamily = dataclasses.replace(self.law, n_outputs=n)  # type: ignore[type-var]
            if isinstance(law, MaternTeacher):
                values = law.on_points(points, streams, method="cholesky").value
            else:
                values = law.sample(points.shape[1], streams)(points)
            values = values.reshape(-1, n).T
        return np.asarray((values - values.mean(axis=1, keepdims=True)) / self.scale)


@dataclass(frozen=True, eq=False)
class Sequences:
    """Pairs (x, y), sequence by sequence.

    Attributes
    ----------
    x : array of float64, shape (n, length, d)
    y : array of float64, shape (n, length)
    cluster : array of int64, shape (n,)
        Cluster that each sequence is of.
    point : array of int64, shape (n, length)
        Which of its points.
    """

    x: FloatArray
    y: FloatArray
    cluster: Ids
    point: Ids

    @property
    def inputs(self) -> FloatArray:
        """The pairs as a network takes them, x_1 y_1 x_2 y_2 ...: (n, length (d + 1))."""
        return inputs_of(self.x, self.y)


def inputs_of(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return pairs as rows of inputs x_1 y_1 x_2 y_2 ...

    Parameters
    ----------
    x : array of float64, shape (n, length, d)
    y : array of float64, shape (n, length)

    Returns
    -------
    array of float64, shape (n, length (d + 1))
    """
    return np.concatenate([x, y[..., None]], axis=2).reshape(x.shape[0], -1)


@dataclass(frozen=True, eq=False)
class Contexts:
    """Endless sequences of pairs, and with `rows` a `percolaw.neural.stream.Stream`.

    A sequence is of one of the clusters, of one function on it, and of different points of it in random
    order. All follows from `rng` and the step.

    Parameters
    ----------
    functions : sequence of ClusterFunctions
        One a cluster, all of equally many points and coordinates.
    length : int
        Pairs of a sequence, at least 2 and at most the points of a cluster.
    rng : int or Streams
        Stream ``batch`` chooses clusters, functions and points.
    batch_size : int
        Sequences of a step.
    n_functions : int
        So many functions in all, spread over the clusters, that come again and again, each time at other
        points; 0 for a new one in every sequence.

    Examples
    --------
    >>> cluster = context_cluster(InfiniteCluster(8), 20, rng=1)
    >>> contexts = Contexts([ClusterFunctions(cluster, TreeWalk())], length=5, batch_size=3)
    >>> points, values = contexts.rows(0)
    >>> points.shape, values.shape
    ((3, 45), (3, 5))
    """

    functions: Sequence[ClusterFunctions]
    length: int
    rng: int | Streams = 0
    batch_size: int = 64
    n_functions: int = 0

    def __post_init__(self) -> None:
        shapes = sorted({f.cluster.points.shape for f in self.functions})
        if len(shapes) != 1:
            raise ValueError(
                "clusters must have equally many points and coordinates, and there must be one; got "
                f"shapes {shapes}."
            )
        if self.length > shapes[0][0]:
            raise ValueError(
                f"a sequence of {self.length} pairs is longer than a cluster of {shapes[0][0]} points. "
                "Lower length, or draw more points of each cluster."
            )
        checks.integer("length", self.length, minimum=2)
        checks.integer("batch_size", self.batch_size, minimum=1)
        checks.integer("n_functions", self.n_functions, minimum=0)
        if 0 < self.n_functions < len(self.functions):
            raise ValueError(
                f"{self.n_functions} functions leave some of {len(self.functions)} clusters without "
                "one. Raise n_functions, or take 0 for endless ones."
            )

    @cached_property
    def _points(self) -> FloatArray:
        return np.stack([f.cluster.points for f in self.functions])

    @cached_property
    def kept(self) -> FloatArray:
        """Values of the functions that come again, (n_functions, n_points); i is of cluster i mod K."""
        k = len(self.functions)
        values = np.empty((self.n_functions, self._points.shape[1]))
        for i, functions in enumerate(self.functions):
            rows = values[i::k]
            rows[:] = functions.draw(rows.shape[0], as_streams(self.rng).child(0, i))
        return values

    def draw(self, n: int, step: int = 0) -> Sequences:
        """Return sequences; the same step gives the same ones.

        Parameters
        ----------
        n : int
        step : int

        Returns
        -------
        Sequences
        """
        streams, k = as_streams(self.rng), len(self.functions)
        generator = streams.generator("batch", step)
        _, n_points, _ = self._points.shape
        which = generator.integers(0, self.n_functions or k, n)
        cluster = which % k
        order = generator.random((n, n_points)).argsort(axis=1)[:, : self.length]
        if self.n_functions:
            y = self.kept[which[:, None], order]
        else:
            y = self.values(cluster, order, streams.child(1, step))
        return Sequences(self._points[cluster[:, None], order], y, cluster, order)

    def values(self, cluster: Ids, point: Ids, streams: Streams) -> FloatArray:
        """Draw a new function for every sequence of points and return its values there.

        Parameters
        ----------
        cluster : array of int64, shape (n,)
        point : array of int64, shape (n, length)
        streams : Streams

        Returns
        -------
        array of float64, shape (n, length)
        """
        y = np.empty(point.shape)
        for i in np.unique(cluster):
            mine = np.flatnonzero(cluster == i)
            drawn = self.functions[i].draw(mine.size, streams.child(int(i)))
            y[mine] = np.take_along_axis(drawn, point[mine], axis=1)
        return y

    def rows(self, step: int) -> tuple[FloatArray, FloatArray]:
        """Return inputs (batch_size, length (d + 1)) and values (batch_size, length) of a step."""
        drawn = self.draw(self.batch_size, step)
        return drawn.inputs, drawn.y
