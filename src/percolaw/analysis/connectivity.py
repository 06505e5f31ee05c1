"""Connectivity of a neighbour graph, and how it changes as points are left out: geometry alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.analysis.adjacency import SiteGraph


def largest_share(cluster: npt.NDArray[np.integer[Any]]) -> float:
    """Return the share of sites in the largest cluster.

    Parameters
    ----------
    cluster : array of int, shape (n_sites,)
        Number of each site's cluster.
    """
    return float(np.bincount(cluster).max() / cluster.size)


def largest_component(graph: SiteGraph) -> float:
    """Return the share of sites in the largest connected part of a graph.

    At a fixed number of neighbours it falls with the number of points on an infinite critical cluster
    (which is thin: its neighbourhoods come apart) and stays near 1 on cubes and Gaussian clouds.
    """
    return largest_share(graph.clusters())
