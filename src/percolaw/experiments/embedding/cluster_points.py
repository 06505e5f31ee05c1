"""Pictures of the infinite cluster as points: growing a dataset refines it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw.experiments.base import Cell, Checked, Conclusion, Preset, Row
from percolaw.experiments.claims import judge
from percolaw.experiments.fields import Bytes, Range, Rising
from percolaw.rng import Streams


@dataclass(frozen=True)
class ClusterPoints(Checked):
    """One infinite cluster at growing numbers of points, in two and three projected dimensions."""

    name: ClassVar[str] = "cluster-points"
    title: ClassVar[str] = "The same cluster at 10^2, 10^4, 10^6 points: growing refines"
    source: ClassVar[str] = "docs/theory.md (nested line breaking)"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset({"sizes": (100, 3000)}, "2 s", "0.4 GiB"),
        "laptop": Preset({}, "15 s", "0.7 GiB"),
        "paper": Preset({}, "15 s", "0.7 GiB"),
    }

    sizes: Annotated[tuple[int, ...], Range(10), Rising(1), Bytes(44.0)] = (100, 10_000, 1_000_000)
    """Numbers of points, rising."""
    dim: Annotated[int, Range(3)] = 16
    """Embedding dimension d."""
    seed: Annotated[int, Range(0)] = 4
    """Seed of the cluster and its labels."""
    n_pixels: Annotated[int, Range(10, 4096)] = 360
    """Side of the picture that stands for more than `n_drawn` points."""
    n_drawn: Annotated[int, Range(1)] = 10_000
    """Points drawn one by one at most."""

    def cells(self) -> list[Cell]:
        """One unit a size; all project on the axes found from the smallest."""
        return [{"n": n} for n in self.sizes]

    def measure(self, cell: Cell) -> list[Row]:
        """Project the first n points on the principal axes; beyond n_drawn, as a picture."""
        import hashlib

        from percolaw.datasets.make import make_cluster

        streams = Streams(self.seed)
        n = cell["n"]
        x = np.asarray(make_cluster(n, self.dim, streams, labels="none").X)
        few = x[: min(self.sizes[0], n)].astype(np.float64)
        centre = few.mean(axis=0)
        axes = np.linalg.svd(few - centre, full_matrices=False)[2][:3]
        place = (x - centre) @ axes.T
        value = x.astype(np.float64) @ streams.generator("target").standard_normal(self.dim)
        row: Row = {
            "n": n,
            "digest": hashlib.sha256(
                np.ascontiguousarray(x[: self.sizes[0]]).tobytes()
            ).hexdigest(),
        }
        if n <= self.n_drawn:
            row["place"] = np.round(place, 4)
            row["value"] = np.round(value, 4)
            return [row]
        side = np.quantile(np.abs(place[:, :2]), 0.9999, axis=0).max() * 1.02
        bins = np.clip(
            ((place[:, :2] + side) / (2 * side) * self.n_pixels).astype(int), 0, self.n_pixels - 1
        )
        pixel = bins[:, 1] * self.n_pixels + bins[:, 0]
        count = np.bincount(pixel, minlength=self.n_pixels**2)
        total = np.bincount(pixel, value, minlength=self.n_pixels**2)
        filled = np.flatnonzero(count)
        row["side"] = float(side)
        row["pixel"] = filled
        row["count"] = count[filled]
        row["mean"] = np.round(total[filled] / count[filled], 4)
        return [row]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Check that the points of the smallest picture are in all others, bit for bit."""
        same = np.mean([row["digest"] == rows[0]["digest"] for row in rows])
        claim = judge(
            f"share of sizes whose first {self.sizes[0]} points are bit-identical",
            self.source,
            1.0,
            float(same),
            (float(same), float(same)),
            0.0,
        )
        return Conclusion((claim,), {"pictures": rows, "n_pixels": self.n_pixels, "dim": self.dim})
