"""Cluster sizes below, at and above the threshold against the exact law; tau by a tail fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, units
from percolaw.experiments.claims import Claim, judge
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance
from percolaw.experiments.series import Series
from percolaw.laws.bethe import BetheLattice


@dataclass(frozen=True)
class ClusterSizes:
    """Grow clusters freely at several p and hold their sizes against P_s."""

    name: ClassVar[str] = "cluster-sizes"
    title: ClassVar[str] = "Cluster sizes follow the exact law; n_s ~ s^(-5/2) at p_c only"
    source: ClassVar[str] = "Brill 2024, sections 3 and 5.1"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset({"n_seeds": 3, "n_clusters": 1000, "max_size": 10_000}, "2 s", "0.5 GiB"),
        "laptop": Preset(
            {"n_seeds": 5, "n_clusters": 6664, "max_size": 1_000_000}, "18 s", "1 GiB"
        ),
        "paper": Preset({}, "75 s", "3 GiB"),
    }

    coordination_number: int = 200
    """z."""
    offspring: Annotated[tuple[float, ...], JUDGED] = (0.9, 1.0, 1.1)
    """Mean offspring (z - 1) p = p / p_c of each lattice."""
    n_clusters: Annotated[int, Range(100), Bytes(8.0)] = 6664
    """Clusters grown at each p and seed; the published run started 6664."""
    max_size: Annotated[int, Range(1000)] = 30_000_000
    """Clusters are stopped above this size and counted."""
    max_size_above: Annotated[int, Range(1)] = 100_000
    """The same above p_c, where infinite clusters fill any cap."""
    n_seeds: Seeds = 10
    """Independent repetitions."""
    tail_from: Annotated[int, Range(1)] = 100
    """Smallest size in the fit of tau."""
    tolerance: Tolerance = 0.02
    """Deviation of tau that counts as agreement."""
    level: Annotated[float, Range(0.0, 0.999999), JUDGED] = 0.999
    """Confidence of the band around each empirical distribution."""

    def __post_init__(self) -> None:
        fields.check(self)
        checks.coordination_number(self.coordination_number)
        if 1.0 not in self.offspring:
            raise ValueError(f"offspring must contain 1.0, the threshold; got {self.offspring}.")
        for mean in self.offspring:
            self._lattice(mean)

    def cells(self) -> list[Cell]:
        """A unit is a seed and a p."""
        return units(seed=range(self.n_seeds), offspring=self.offspring)

    def _cap(self, mean: float) -> int:
        return min(self.max_size, self.max_size_above) if mean > 1.0 else self.max_size

    def _lattice(self, mean: float) -> BetheLattice:
        return BetheLattice(self.coordination_number, mean_offspring=mean)

    def measure(self, cell: Cell) -> list[Row]:
        """Grow clusters until n_clusters are inside the cap; the stopped ones are counted too."""
        from percolaw.clusters.growth import grow_clusters

        mean = cell["offspring"]
        lattice = self._lattice(mean)
        grown = grow_clusters(lattice, self.n_clusters, 1, self._cap(mean), rng=cell["seed"])
        sizes = np.sort(grown.tree.sizes)
        row: Row = {**cell, "stopped": grown.n_too_large, "attempts": grown.n_attempts}
        values, counts = np.unique(sizes, return_counts=True)
        row["size"], row["count"] = values, counts
        if mean == 1.0:
            row["tau"], row["tau_error"] = _tail_exponent(sizes, self.tail_from, self.max_size)
        return [row]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Compare distributions (Kolmogorov-Smirnov band), stopped shares and tau."""
        every: list[Claim] = []
        series: list[Series] = []
        for mean in self.offspring:
            mine = [row for row in rows if row["offspring"] == mean]
            new, curves = self._distribution(mean, mine)
            every += new
            series += curves
        every.append(
            claims.mean(
                f"tau at p_c by maximum likelihood (powerlaw), sizes >= {self.tail_from}",
                "Brill 2024, section 3.3: tau = 5/2",
                2.5,
                [row["tau"] for row in rows if "tau" in row],
                self.tolerance,
                about={"quantity": "tau"},
            )
        )
        labels = "cluster size s", "P(size > s)"
        shares = plots.log_log(
            "cluster-sizes",
            "Cluster of a random site",
            "Share of sites whose cluster is larger than s, below, at and above p_c; the measured shares "
            "lie on the exact law.",
            labels,
            series,
            fit=False,
            y_limits=(3e-5, 1.5),
        )
        return Conclusion(tuple(every), plots=(shares, plots.residual(shares, (0.7, 1.3))))

    def _distribution(self, mean: float, rows: list[Row]) -> tuple[list[Claim], list[Series]]:
        """Hold the sizes at one p against their exact law, and the share beyond the cap."""
        lattice, cap = self._lattice(mean), self._cap(mean)
        law = lattice.site_size_law()
        sizes = np.concatenate([np.repeat(row["size"], row["count"]) for row in rows])
        sizes.sort()
        kept = law.window_probability(1, cap)
        grid = np.unique(np.rint(np.geomspace(1, cap, 60)).astype(np.int64))
        below = np.array([law.window_probability(1, int(s)) for s in grid]) / kept
        empirical = np.searchsorted(sizes, grid, side="right") / sizes.size
        distance = float(np.abs(empirical - below).max())
        # Dvoretzky-Kiefer-Wolfowitz: P(distance > band) <= 2 exp(-2 n band^2).
        band = math.sqrt(math.log(2.0 / (1.0 - self.level)) / (2.0 * sizes.size))
        attempts = sum(row["attempts"] for row in rows)
        expected = max(0.0, 1.0 - kept)
        share = sum(row["stopped"] for row in rows) / attempts
        error = math.sqrt(max(expected * (1 - expected), 1.0 / attempts) / attempts)
        name = f"p = {mean:g} p_c"
        every = [
            judge(
                f"size distribution at {name}: largest distance to the exact law "
                f"({100 * self.level:g}% band {band:.4f})",
                "docs/theory.md (exact P_s)",
                0.0,
                distance,
                (max(0.0, distance - band), distance + band),
                band,
                about={"source": name, "quantity": "distance of distributions"},
            ),
            judge(
                f"share of clusters above {cap} sites at {name}",
                "docs/theory.md (percolation probability and tail)",
                expected,
                share,
                (share - 3.3 * error, share + 3.3 * error),
                3.3 * error,
                "interval and tolerance are the 99.9% band; clusters that grow past the cap are "
                "stopped and counted",
                {"source": name, "quantity": "share beyond the cap"},
            ),
        ]
        exact = (1.0 - below) * kept + expected
        measured = (1.0 - empirical) * sizes.size / attempts + share
        error_bar = np.sqrt(np.maximum(exact * (1.0 - exact), 0.0) / attempts)
        return every, [
            plots.points(
                f"{name}, {attempts:,} clusters",
                grid,
                measured,
                np.maximum(measured - error_bar, 0.0),
                measured + error_bar,
                interval="one standard error",
                prediction=f"{name}, exact",
                group=name,
            ),
            plots.line(f"{name}, exact", "theory", grid, exact, group=name),
        ]


def _tail_exponent(sizes: np.ndarray, low: int, high: int) -> tuple[float, float]:
    """tau of n_s from sizes drawn by site (exponent tau - 1), window fixed, and its error."""
    import contextlib
    import io

    powerlaw = checks.extra("powerlaw", "report")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        tail = powerlaw.Fit(sizes.astype(float), xmin=low, xmax=high, discrete=True, verbose=False)
        alpha, sigma = float(tail.power_law.alpha), float(tail.power_law.sigma)
    return alpha + 1.0, sigma
