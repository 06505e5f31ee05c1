"""From which dimension on does an embedding keep the tree's neighbours nearest?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.rng import Streams
from percolaw.scaling import fit


@dataclass(frozen=True)
class EmbeddingFaithfulness:
    """Embed all sites of critical clusters with three step laws in many dimensions."""

    name: ClassVar[str] = "embedding-faithfulness"
    title: ClassVar[str] = "Random steps keep tree neighbours nearest only in many dimensions"
    source: ClassVar[str] = "2025 write-up (criteria of a faithful embedding)"
    judged: ClassVar[tuple[str, ...]] = ("n_seeds", "dims", "steps", "threshold", "claimed_dim")
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {"n_seeds": 3, "n_sites": 1000, "dims": (4, 32, 128), "n_centres": 200},
            "3 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "20 s", "0.6 GiB"),
        "paper": Preset({"n_seeds": 20}, "2 min", "0.6 GiB"),
    }

    dims: tuple[int, ...] = (2, 4, 8, 16, 32, 64, 100, 128, 256)
    """Embedding dimensions."""
    steps: tuple[str, ...] = ("gaussian", "sphere", "lattice")
    """Step laws."""
    n_sites: int = 5000
    """Sites of each cluster."""
    coordination_number: int = 200
    """z."""
    n_seeds: int = 5
    """Independent clusters."""
    n_centres: int = 500
    """Sites whose neighbourhoods are examined."""
    threshold: float = 0.99
    """Share of tree edges that must be nearest for the embedding to be trusted."""
    claimed_dim: int = 100
    """d from which on the write-up takes neighbours to be nearest in almost all cases."""

    def __post_init__(self) -> None:
        from percolaw.embedding.walk import STEPS

        for steps in self.steps:
            checks.choice("steps", steps, STEPS)
        for d in self.dims:
            checks.integer("dims", d, minimum=1)
        checks.integer("n_sites", self.n_sites, minimum=100)

    def cells(self) -> list[Cell]:
        """A unit is a dimension, a step law and a seed."""
        return [
            {"dim": d, "steps": s, "seed": seed}
            for s in self.steps
            for d in self.dims
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Embed one cluster and report its faithfulness."""
        from percolaw.clusters.conditioned import conditioned_clusters
        from percolaw.embedding.faithfulness import faithfulness
        from percolaw.embedding.walk import embed_tree

        streams = Streams(cell["seed"])
        tree = conditioned_clusters(self.n_sites, self.coordination_number, streams)
        points = embed_tree(tree, cell["dim"], streams, cell["steps"])
        report = faithfulness(tree, points, streams, n_centres=self.n_centres)
        return [{**cell, **dataclasses.asdict(report)}]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Tabulate means over seeds; name the first trusted dimension of each step law."""
        claims: list[Claim] = []
        table: list[dict[str, Any]] = []
        for s in self.steps:
            for d in self.dims:
                mine = [r for r in rows if (r["steps"], r["dim"]) == (s, d)]
                names = [
                    "neighbor_fraction",
                    "rank_fraction",
                    "distance_ratio",
                    "distortion",
                    "anisotropy",
                    "mass_radius_dimension",
                ]
                table.append(
                    {
                        "steps": s,
                        "dim": d,
                        **{name: float(np.mean([r[name] for r in mine])) for name in names},
                    }
                )
            at = [d for d in self.dims if d >= self.claimed_dim]
            if not at:
                continue
            share = np.array(
                [r["rank_fraction"] for r in rows if (r["steps"], r["dim"]) == (s, at[0])]
            )
            claims.append(
                judge(
                    f"{s} steps, d = {at[0]}: share of tree edges that are nearest",
                    self.source,
                    1.0,
                    float(share.mean()),
                    fit.seed_interval(share),
                    1.0 - self.threshold,
                )
            )
        trusted = {
            s: next(
                (
                    row["dim"]
                    for row in table
                    if row["steps"] == s
                    and all(
                        r["rank_fraction"] >= self.threshold
                        for r in table
                        if r["steps"] == s and r["dim"] >= row["dim"]
                    )
                ),
                None,
            )
            for s in self.steps
        }
        return Conclusion(
            tuple(claims), {"table": table, "trusted_from": trusted, "threshold": self.threshold}
        )
