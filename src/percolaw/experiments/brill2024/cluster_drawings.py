"""Drawings of critical clusters of 10^2 to 10^6 sites, coloured by their target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments import fields
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.fields import Bytes, Range
from percolaw.rng import Streams
from percolaw.tree import Tree


@dataclass(frozen=True)
class ClusterDrawings:
    """Lay out clusters; large ones by the subtree that spans a sample of their sites."""

    name: ClassVar[str] = "cluster-drawings"
    title: ClassVar[str] = "What the data look like: critical clusters and the walks on them"
    source: ClassVar[str] = "Brill 2024, figures 1 and 3"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset({"sizes": (100, 1000), "n_drawn": 400}, "2 s", "0.5 GiB"),
        "laptop": Preset({}, "15 s", "0.6 GiB"),
        "paper": Preset({}, "15 s", "0.6 GiB"),
    }

    sizes: Annotated[tuple[int, ...], Range(2, 10**9), Bytes(8.0)] = (100, 1000, 10_000, 1_000_000)
    """Sites of each cluster."""
    coordination_number: int = 200
    """z."""
    n_drawn: Annotated[int, Range(10, 5000)] = 1200
    """Sites drawn of a larger cluster, with the tree that spans them."""
    seed: Annotated[int, Range(0)] = 1
    """Seed of clusters and targets."""

    def __post_init__(self) -> None:
        fields.check(self)
        checks.coordination_number(self.coordination_number)

    def cells(self) -> list[Cell]:
        """One unit a size."""
        return [{"size": size} for size in self.sizes]

    def measure(self, cell: Cell) -> list[Row]:
        """Draw the cluster and its target, lay it out, and keep the layout."""
        from percolaw.clusters.conditioned import conditioned_clusters
        from percolaw.targets.tree_walk import TreeWalk

        size = cell["size"]
        streams = Streams(self.seed).child(size)
        tree = conditioned_clusters(size, self.coordination_number, streams)
        value = TreeWalk().sample(tree, streams).value
        if size > self.n_drawn:
            sites = streams.generator("evaluation").integers(0, size, self.n_drawn)
            part = tree.span(sites, collapse=True)
            tree, value = part.tree, value[part.site]
        layout = lay_out(tree)
        return [
            {
                "size": size,
                "x": np.round(layout[:, 0], 4),
                "y": np.round(layout[:, 1], 4),
                "parent": tree.parent,
                "value": np.round(value, 4),
            }
        ]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Pass the layouts on; drawings claim nothing."""
        return Conclusion((), {"drawings": rows})


def lay_out(tree: Tree) -> np.ndarray:
    """Place the sites of one tree in the plane, (n, 2): edges keep their lengths, none cross at start.

    Each subtree first gets a wedge in proportion to its number of leaves (no crossings); a
    Kamada-Kawai or Fruchterman-Reingold relaxation from igraph then opens the crowded parts.
    """
    import random

    igraph = checks.extra("igraph", "report")
    parent = tree.parent
    n = tree.n_sites
    leaves = (tree.child_count() == 0).astype(np.float64)
    from percolaw.kernels.tree import accumulate_up

    accumulate_up(parent, leaves)
    angle = np.zeros((n, 2))
    place = np.zeros((n, 2))
    angle[0] = (0.0, 2.0 * np.pi)
    used = np.zeros(n)
    length = np.sqrt(np.maximum(tree.edge.astype(np.float64), 1e-9))
    for i in range(1, n):
        p = parent[i]
        low, high = angle[p]
        share = (high - low) / max(leaves[p], 1.0)
        start = low + used[p] * share
        used[p] += leaves[i]
        angle[i] = (start, start + leaves[i] * share)
        middle = angle[i].mean()
        place[i] = place[p] + length[i] * np.array([np.cos(middle), np.sin(middle)])
    graph = igraph.Graph(n, [(int(parent[i]), i) for i in range(1, n)])
    igraph.set_random_number_generator(random.Random(0))
    try:
        layout = graph.layout_fruchterman_reingold(seed=place.tolist(), niter=500, start_temp=2.0)
    finally:
        igraph.set_random_number_generator(random)
    coordinates = np.array(layout.coords)
    coordinates -= coordinates.mean(axis=0)
    return np.asarray(coordinates / np.abs(coordinates).max())
