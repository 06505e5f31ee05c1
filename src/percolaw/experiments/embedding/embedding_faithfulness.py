"""From which dimension on does an embedding keep the tree's neighbours nearest?"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds
from percolaw.experiments.seeds import pivot
from percolaw.rng import Streams
from percolaw.scaling.curve import LearningCurve

#: What is measured of an embedding and drawn: title, label of the axis.
CRITERIA = {
    "rank_fraction": ("Tree neighbours that are nearest", "share of tree edges"),
    "distance_ratio": ("Squared distance over tree distance", "ratio"),
    "distortion": ("Scatter of that ratio", "standard deviation over pairs"),
    "mass_radius_dimension": ("Mass-radius dimension (finite size: below 4)", "dimension"),
}


@dataclass(frozen=True)
class EmbeddingFaithfulness:
    """Embed all sites of critical clusters with three step laws in many dimensions."""

    name: ClassVar[str] = "embedding-faithfulness"
    title: ClassVar[str] = "Random steps keep tree neighbours nearest only in many dimensions"
    source: ClassVar[str] = "2025 write-up (criteria of a faithful embedding)"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {"n_seeds": 3, "n_sites": 1000, "dims": (4, 32, 128), "n_centres": 200},
            "3 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "20 s", "0.6 GiB"),
        "paper": Preset({"n_seeds": 20}, "2 min", "0.6 GiB"),
    }

    dims: Annotated[tuple[int, ...], Range(1), JUDGED] = (2, 4, 8, 16, 32, 64, 100, 128, 256)
    """Embedding dimensions."""
    steps: Annotated[tuple[str, ...], JUDGED] = ("gaussian", "sphere", "lattice")
    """Step laws."""
    n_sites: Annotated[int, Range(100), Bytes(32.0)] = 5000
    """Sites of each cluster."""
    coordination_number: int = 200
    """z."""
    n_seeds: Seeds = 5
    """Independent clusters."""
    n_centres: Annotated[int, Range(1)] = 500
    """Sites whose neighbourhoods are examined."""
    threshold: Annotated[float, Range(0.0, 1.0), JUDGED] = 0.99
    """Share of tree edges that must be nearest for the embedding to be trusted."""
    claimed_dim: Annotated[int, Range(1), JUDGED] = 100
    """d from which on the write-up takes neighbours to be nearest in almost all cases."""

    def __post_init__(self) -> None:
        fields.check(self)
        from percolaw.embedding.walk import STEPS

        for steps in self.steps:
            checks.choice("steps", steps, STEPS)

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
        at = [d for d in self.dims if d >= self.claimed_dim][:1]
        every = [
            claims.mean(
                f"{s} steps, d = {d}: share of tree edges that are nearest",
                self.source,
                1.0,
                [r["rank_fraction"] for r in rows if (r["steps"], r["dim"]) == (s, d)],
                1.0 - self.threshold,
                about={"source": f"{s} steps, d = {d}", "quantity": "share of edges"},
            )
            for s in self.steps
            for d in at
        ]
        curves = {
            (s, name): LearningCurve(
                np.array(self.dims),
                pivot([r for r in rows if r["steps"] == s], name, "seed", "dim"),
            )
            for s in self.steps
            for name in CRITERIA
        }
        trusted = {s: self._trusted_from(curves[s, "rank_fraction"]) for s in self.steps}
        tables = {"trusted_from": trusted, "threshold": self.threshold}
        return Conclusion(tuple(every), tables, self._plots(curves, trusted))

    def _trusted_from(self, share: LearningCurve) -> int | None:
        """The first dimension from which on the share of nearest edges stays above the threshold."""
        good = share.mean("mean") >= self.threshold
        return next((d for i, d in enumerate(self.dims) if good[i:].all()), None)

    def _plots(
        self, curves: dict[tuple[str, str], LearningCurve], trusted: dict[str, int | None]
    ) -> tuple[plots.Plot, ...]:
        panels = []
        lines = {
            "rank_fraction": self.threshold,
            "distance_ratio": 1.0,
            "mass_radius_dimension": 4.0,
        }
        for name, (title, label) in CRITERIA.items():
            series = []
            for s in self.steps:
                note = f" (trusted from d = {trusted[s]})" if trusted[s] else " (not trusted here)"
                text = s + (note if name == "rank_fraction" else "")
                series.append(plots.curve(text, curves[s, name], how="mean"))
            if name in lines:
                series.append(plots.line(f"{lines[name]:g}", "theory", self.dims, lines[name]))
            panels.append(
                plots.log_linear(
                    f"faithfulness-{name.replace('_', '-')}",
                    title,
                    f"{title} against the embedding dimension, one curve a step law.",
                    ("embedding dimension d", label),
                    series,
                    figure="embedding-faithfulness",
                )
            )
        return tuple(panels)
