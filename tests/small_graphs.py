"""Small clusters with loops for tests of what is made for graphs."""

from scipy.sparse import csgraph

from percolaw.clusters.hypercubic.box import HypercubicLattice, percolate


def box_graph(length=12, probability=0.7, seed=0, dimension=2):
    """The largest cluster of a small box: many loops."""
    lattice = HypercubicLattice(dimension, length)
    return percolate(lattice, probability, seed).graph().graph


def distances(graph):
    """Chemical distances of all pairs, by SciPy."""
    return csgraph.shortest_path(graph.to_sparse(), unweighted=True, directed=False)
