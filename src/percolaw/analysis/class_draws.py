"""Classes drawn from each null of a labelled graph, by its name."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from percolaw.analysis.adjacency import Ids, SiteGraph
from percolaw.analysis.clusters import critical_bonds
from percolaw.rng import Streams

#: Sweeps in which the null of maximum entropy may equilibrate, one try after another, each on graphs of
#: so many bonds at most: a minute.
TRIES = ((400, math.inf), (2000, 200_000), (8000, 12_500))


def class_draws(
    null: str, graph: SiteGraph, label: Ids, streams: Streams
) -> tuple[Callable[[int], npt.NDArray[np.integer[Any]]], bool | None]:
    """Return what draws the classes of all sites from a null, and whether it equilibrated.

    Parameters
    ----------
    null : str
        Of `percolaw.analysis.parts.NULLS`.
    graph : SiteGraph
    label : array of int64, shape (n_sites,)
        Classes of the data.
    streams : Streams

    Returns
    -------
    draw : callable
        Classes, (n_sites,), of the draw of a number.
    equilibrated : bool or None
        None where that is no question.
    """
    from percolaw.analysis import nulls
    from percolaw.analysis.domains import compact_domains
    from percolaw.analysis.potts import LARGEST_R_HAT, potts_null

    if null in ("critical", "independent bonds"):
        agree = label[graph.low] == label[graph.high]
        if null == "critical":
            n_open = round(critical_bonds(graph, streams) * graph.n_bonds)
            agree = np.arange(graph.n_bonds) < n_open
        return lambda index: graph.clusters(nulls.random_bonds(agree, index, streams)), None
    if null == "permuted":
        return lambda index: nulls.permuted_labels(label, index, streams), None
    rows = (graph.n_sites, graph.low, graph.high, label, streams)
    if null == "compact domains":
        domains = compact_domains(*rows)
        return lambda index: domains.draw(index, streams), None
    for n_sweeps in (n for n, most in TRIES if graph.n_bonds <= most):
        potts = potts_null(*rows, n_sweeps=n_sweeps)
        # What is compared are clusters, whichever sites they hold: they must not depend on the side.
        met = (
            potts.r_hat <= LARGEST_R_HAT
            and max(abs(share - potts.agreement) for share in potts.reached) <= 0.01
        )
        if met:
            break
    return lambda index: potts.draw(index, streams), met
