"""Graphs of sites for tests of the analysis: grids, critical clusters, forests, random points."""

import math

import numpy as np

from percolaw.analysis.adjacency import SiteGraph
from percolaw.clusters.conditioned import conditioned_clusters
from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate
from percolaw.laws.hypercubic import hypercubic_threshold


def site_graph(n, low, high):
    """The graph of bonds in any order."""
    low, high = np.minimum(low, high), np.maximum(low, high)
    order = np.lexsort((high, low))
    return SiteGraph(n, low[order].astype(np.int32), high[order].astype(np.int32))


def grids(lengths):
    """Square grids side by side."""
    low, high, first = [], [], 0
    for length in lengths:
        site = first + np.arange(length**2).reshape(length, length)
        low += [site[:-1].ravel(), site[:, :-1].ravel()]
        high += [site[1:].ravel(), site[:, 1:].ravel()]
        first += length**2
    return site_graph(first, np.concatenate(low), np.concatenate(high))


def critical_clusters(dimension, length, seed, least):
    """Open bonds of the clusters of a box at its threshold that have `least` sites."""
    drawn = percolate(HypercubicLattice(dimension, length), hypercubic_threshold(dimension), seed)
    graph = drawn.graph(np.flatnonzero(drawn.size >= least)).graph
    return site_graph(graph.n_sites, *graph.bonds())


def forest(n_trees, size, coordination_number=math.inf, seed=0):
    """Critical trees of one size, and the tree of each site."""
    tree = conditioned_clusters([size] * n_trees, coordination_number, seed)
    child = np.flatnonzero(tree.parent >= 0)
    return site_graph(tree.n_sites, tree.parent[child], child), np.repeat(np.arange(n_trees), size)
