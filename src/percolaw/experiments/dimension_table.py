"""Exponents and thresholds of real lattices by dimension, measured beside the literature's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments import boxes, toy
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.hypercubic import critical_exponents, hypercubic_threshold, threshold_source
from percolaw.rng import Streams
from percolaw.scaling import fit

FloatArray = toy.FloatArray

KINDS = ("bond", "site")
#: Targets on grown clusters.
LINEAR, FIELD = "linear", "free field"
#: Records of a sweep around p_c, and how far they reach, relative.
N_RECORDS, REACH = 401, 0.3
#: From here on tori scale with their volume.
MEAN_FIELD_DIMENSION = 6
#: P(S >= s) counts where it rests on this many clusters.
LEAST_CLUSTERS = 10


@dataclass(frozen=True)
class DimensionTable:
    """tau, D, sigma, d_min, p_c and learning exponents in 2 to 7 dimensions."""

    name: ClassVar[str] = "dimension-table"
    title: ClassVar[str] = "The paper's table by dimension, measured: tau, D, sigma, alpha, c/D"
    source: ClassVar[str] = "Brill 2024, section 4.4; docs/lattices.md"
    extra: ClassVar[tuple[str, str]] = ("pyamg", "lattice")
    judged: ClassVar[tuple[str, ...]] = (
        *("n_seeds", "dimensions", "size_window", "learn_from", "learn_share", "tau_tolerance"),
        *("dimension_tolerance", "cutoff_tolerance", "threshold_tolerance", "tolerance"),
    )
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "dimensions": (2, 3),
                "max_size": 20_000,
                "budget": 400_000,
                "field_size": 20_000,
                "sweep_sites": (400, 3000),
                "n_sweeps": 10,
            },
            "5 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "3.5 min", "2 GiB"),
        "paper": Preset(
            {
                "n_seeds": 20,
                "budget": 1_000_000_000,
                "max_size": 10_000_000,
                "field_size": 10_000_000,
                "sweep_sites": (100_000, 1_000_000),
                "n_sweeps": 200,
            },
            "8 h, estimated",
            "10 GiB",
        ),
    }

    dimensions: tuple[int, ...] = (2, 3, 4, 5, 6, 7)
    """Lattice dimensions."""
    n_seeds: int = 5
    """Independent repetitions."""
    max_size: int = 1_000_000
    """Clusters are stopped at this size and counted."""
    budget: int = 20_000_000
    """Sites grown for the sizes of a dimension and seed, about."""
    below: tuple[float, float] = (0.04, 0.08)
    """1 - p/p_c of the two points that 1/sigma is the slope between."""
    field_size: int = 1_000_000
    """Sites of balls of the incipient infinite cluster: the first ones, breadth-first, of clusters that
    have as many."""
    n_balls: int = 6
    """Balls of each seed whose radius and depth are measured."""
    n_learned: int = 2
    """How many of them are learned."""
    per_decade: int = 4
    """Training sizes a decade."""
    n_test: int = 2000
    """Test sites."""
    sweep_sites: tuple[int, int] = (10_000, 100_000)
    """Sites of the small and the large torus whose wrapping curves cross at p_c, about."""
    n_sweeps: int = 40
    """Sweeps of each torus and seed."""
    size_window: tuple[float, float] = (1000.0, 100_000.0)
    """Sizes on which tau (up to max_size), D and d_min (growing balls) are fitted."""
    learn_from: float = 100.0
    """Smallest number of observed sites in the learning exponents."""
    learn_share: float = 0.02
    """Largest share of sites observed in the learning exponents."""
    tau_tolerance: float = 0.01
    """Deviation of tau that counts as agreement."""
    dimension_tolerance: float = 0.02
    """Relative deviation of D and d_min that counts as agreement."""
    cutoff_tolerance: float = 0.05
    """Relative deviation of 1/sigma that counts as agreement."""
    threshold_tolerance: float = 0.005
    """Relative deviation of p_c that counts as agreement."""
    tolerance: float = 0.03
    """Deviation of a learning exponent that counts as agreement."""

    def __post_init__(self) -> None:
        if not self.dimensions or boxes.BETHE in self.dimensions:
            raise ValueError(f"dimensions must hold 2 to 8; got {self.dimensions}.")
        boxes.check_dimensions(self.dimensions)
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("max_size", self.max_size, minimum=10_000)
        checks.integer("field_size", self.field_size, minimum=10_000)
        checks.integer("budget", self.budget, minimum=10_000)
        checks.integer("n_sweeps", self.n_sweeps, minimum=2)
        if len(self.below) != 2:
            raise ValueError(f"below must hold two numbers; got {self.below}.")
        if len(self.size_window) != 2 or not 1.0 <= self.size_window[0] < self.size_window[1]:
            raise ValueError(f"size_window must be two rising sizes; got {self.size_window}.")
        if self.learn_share * self.field_size < 3.0 * self.learn_from:
            raise ValueError(
                f"learn_from {self.learn_from:g} and learn_share {self.learn_share:g} of "
                f"{self.field_size} sites leave no half decade to fit. Raise field_size or learn_share."
            )
        near, far = self.below
        if not 0.0 < near < far < 1.0:
            raise ValueError(
                f"below must hold two rising numbers between 0 and 1; got {self.below}."
            )
        checks.integer("n_balls", self.n_balls, minimum=1)
        checks.integer(
            "n_learned (at most n_balls)", self.n_learned, minimum=1, maximum=self.n_balls
        )
        for d in self.dimensions:
            lengths = self._lengths(d)
            if len(lengths) != 2 or not 3 <= lengths[0] < lengths[1]:
                raise ValueError(
                    f"sweep_sites must be two numbers that give two lengths from 3 on in {d} dimensions; "
                    f"got {self.sweep_sites}, which gives {lengths}. Raise them, or drop the dimension."
                )

    def _lengths(self, d: int) -> list[int]:
        """Lengths of the tori."""
        return [round(sites ** (1.0 / d)) for sites in self.sweep_sites]

    def cells(self) -> list[Cell]:
        """A unit is a dimension, a seed and one of: sizes, sizes below p_c, learning, p_c (two kinds)."""
        kinds = ("sizes", "below", "learning", *(f"threshold {kind}" for kind in KINDS))
        return [
            {"dimension": d, "kind": kind, "seed": seed}
            for d in self.dimensions
            for kind in kinds
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Do one unit."""
        d, kind = cell["dimension"], cell["kind"]
        streams = Streams(cell["seed"]).child(d, *kind.encode())
        if kind == "sizes":
            found = self._sizes(d, streams)
        elif kind == "below":
            found = self._below(d, streams)
        elif kind == "learning":
            found = self._learning(d, streams)
        else:
            found = self._threshold(d, kind.split()[1], streams)
        return [{**cell, **found}]

    def n_clusters(self, d: int) -> int:
        """Return how many clusters the budget allows at p_c: P(S >= s) ~ s^(2 - tau)."""
        power = 3.0 - critical_exponents(d).fisher_exponent
        return max(20, int(self.budget * power / self.max_size**power))

    def _sizes(self, d: int, streams: Streams) -> Row:
        from percolaw.clusters.hypercubic.grown import grow_statistics

        found = grow_statistics(
            d, hypercubic_threshold(d), self.n_clusters(d), self.max_size, rng=streams
        )
        edges = np.unique(
            np.rint(np.geomspace(1, self.max_size, 4 * int(np.log10(self.max_size)) + 1))
        )
        survival = [(found.size >= s).mean() for s in edges]
        return {"s": edges, "survival": survival, "n_clusters": found.size.size}

    def _below(self, d: int, streams: Streams) -> Row:
        from percolaw.clusters.hypercubic.grown import grow_statistics

        out = {}
        known = critical_exponents(d)
        for i, gap in enumerate(self.below):
            # <S> ~ gap^-((3 - tau)/sigma): as many clusters as a quarter of the budget allows.
            mean = gap ** (-(3.0 - known.fisher_exponent) / known.cutoff_exponent)
            n = int(np.clip(0.25 * self.budget / mean, 100, 400_000))
            p = hypercubic_threshold(d) * (1.0 - gap)
            most = 10 * self.max_size  # none is stopped: the cutoff is far below
            found = grow_statistics(d, p, n, most, rng=streams.child(i))
            size = found.size.astype(np.float64)
            out[f"cutoff_{i}"] = float(np.sum(size**2) / np.sum(size))
        return out

    def _learning(self, d: int, streams: Streams) -> Row:
        from percolaw.clusters.hypercubic.grown import grow_from_origin
        from percolaw.kernels.tree import standardize
        from percolaw.targets.free_field import FreeField

        n = boxes.grid(10.0, 0.1 * self.field_size, self.per_decade)
        mass = boxes.grid(100.0, self.field_size, self.per_decade).astype(np.int64)
        radius, depth = np.zeros(mass.size), np.zeros(mass.size)
        loops = 0.0
        curves: dict[str, list[FloatArray]] = {LINEAR: [], FIELD: []}
        for i in range(self.n_balls):
            own = streams.child(i)
            grown = grow_from_origin(
                d, hypercubic_threshold(d), self.field_size, rng=own, min_size=self.field_size
            )
            x = grown.coordinates.astype(np.float64)
            last = mass - 1  # sites come breadth-first: the first ones are a ball themselves
            centre = np.cumsum(x, axis=0)[last] / mass[:, None]
            square = np.cumsum(np.einsum("ij,ij->i", x, x))[last] / mass
            radius += np.log(square - np.einsum("ij,ij->i", centre, centre)) / self.n_balls
            depth += np.log(grown.tree.depth()[last]) / self.n_balls
            loops += grown.graph.n_loops / grown.graph.n_sites / self.n_balls
            if i >= self.n_learned:
                continue
            direction = own.child(1).generator("target").standard_normal(d)
            linear = np.asarray(x @ direction)
            standardize(grown.graph.start, linear)
            field = FreeField().sample(grown.graph, own).value
            for name, value in ((LINEAR, linear), (FIELD, field)):
                data = toy.Toy(grown.graph, value, np.ones(1), own)
                curves[name].append(boxes.single_curve(data, n, 0, self.n_test))
        out: Row = {"n": n, "loops": loops, "mass": mass}
        out |= {"radius": np.exp(radius), "depth": np.exp(depth)}
        return out | {name: fit.aggregate(found) for name, found in curves.items()}

    def _threshold(self, d: int, kind: str, streams: Streams) -> Row:
        from percolaw.clusters.hypercubic.box import HypercubicLattice
        from percolaw.clusters.hypercubic.newman_ziff import sweep

        known = hypercubic_threshold(d, "bond" if kind == "bond" else "site")
        p = known * np.linspace(1.0 - 0.8 * REACH, 1.0 + 0.8 * REACH, 161)
        out: Row = {"p": p}
        for i, length in enumerate(self._lengths(d)):
            lattice = HypercubicLattice(
                d, length, "bond" if kind == "bond" else "site", periodic=True
            )
            total = lattice.n_bonds if kind == "bond" else lattice.n_sites
            low, high = (1.0 - REACH) * known, min((1.0 + REACH) * known, 1.0)
            records = np.unique(np.linspace(low * total, high * total, N_RECORDS).astype(np.int64))
            sweeps = [
                sweep(lattice, streams.child(i, j), n_open=records) for j in range(self.n_sweeps)
            ]
            weights = sweeps[0].weights(p)
            out[f"wrapping_{i}"] = weights @ np.mean(
                [s.wrapped.mean(axis=1) for s in sweeps], axis=0
            )
            largest = np.mean([s.largest for s in sweeps], axis=0)
            out[f"largest_{i}"] = weights @ largest / lattice.n_sites
        return out

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Fit every exponent seed by seed and hold it against the literature."""
        claims: list[Claim] = []
        table = []
        for d in self.dimensions:
            mine: dict[str, list[Row]] = {}
            for row in rows:
                if row["dimension"] == d:
                    mine.setdefault(row["kind"], []).append(row)
            entry: dict[str, Any] = {"dimension": d, "source": critical_exponents(d).source}
            for claim, name, scale in (*self._size_claims(d, mine), *self._learn_claims(d, mine)):
                claims.append(claim)
                entry[name] = {
                    "measured": claim.measured,
                    "interval": claim.interval,
                    "literature": claim.predicted,
                    "verdict": claim.verdict,
                    "scale": scale,
                }
            claims += self._collapse_claims(d, mine["threshold bond"])
            for kind in KINDS:
                claim = self._threshold_claim(d, kind, mine[f"threshold {kind}"])
                claims.append(claim)
                entry[f"p_c {kind}"] = {
                    "measured": claim.measured,
                    "interval": claim.interval,
                    "literature": claim.predicted,
                    "verdict": claim.verdict,
                    "scale": "L = {} and {}".format(*self._lengths(d)),
                }
            entry["curves"] = self._curves(mine)
            table.append(entry)
        return Conclusion(tuple(claims), {"table": table, "size_window": self.size_window})

    def _size_claims(self, d: int, mine: dict[str, list[Row]]) -> list[tuple[Claim, str, str]]:
        known = critical_exponents(d)
        low, high = self.size_window
        taus, dims, paths = [], [], []
        for row in mine["sizes"]:
            s, survival = np.array(row["s"]), np.array(row["survival"])
            use = (s >= low) & (survival * row["n_clusters"] >= LEAST_CLUSTERS)
            taus.append(2.0 - _one_slope(s[use], survival[use]))
        for row in mine["learning"]:
            mass, radius, depth = (np.array(row[key]) for key in ("mass", "radius", "depth"))
            use = (mass >= low) & (mass <= high)
            dims.append(2.0 / _one_slope(mass[use], radius[use]))
            paths.append(2.0 * _one_slope(radius[use], depth[use]))
        cutoffs = [
            np.log(r["cutoff_0"] / r["cutoff_1"]) / np.log(self.below[1] / self.below[0])
            for r in mine["below"]
        ]
        window = f"s = {low:.0f}..{high:.0f}"
        found = []
        for name, values, literature, tolerance, where in (
            ("tau", taus, known.fisher_exponent, self.tau_tolerance, f"s from {low:.0f}"),
            ("D", dims, known.fractal_dimension, None, window),
            ("d_min", paths, known.shortest_path_dimension, None, window),
            (
                *("1/sigma", cutoffs, 1.0 / known.cutoff_exponent),
                *(self.cutoff_tolerance / known.cutoff_exponent, f"1 - p/p_c = {self.below}"),
            ),
        ):
            claim = self._judge(
                f"d = {d}: {name}, {where}",
                "literature (percolaw.hypercubic)",
                literature,
                values,
                self.dimension_tolerance * literature if tolerance is None else tolerance,
            )
            found.append((claim, name, where))
        tau = found[0][0]
        # tau = 2 or less would mean that all mass sits in one cluster.
        alpha = [
            (3.0 - t) / (t - 2.0) if t > 2.0 else np.inf for t in (tau.measured, *tau.interval)
        ]
        note = "from tau: 0.01 in tau is a tenth of alpha in three dimensions and all of it in two"
        claim = judge(
            f"d = {d}: alpha = (3 - tau)/(tau - 2)",
            "literature (percolaw.hypercubic)",
            known.rank_exponent,
            alpha[0],
            (min(alpha[1:]), max(alpha[1:])),
            0.1 * known.rank_exponent,
            note if d <= 3 else "",
        )
        return [*found, (claim, "alpha", "")]

    def _learn_claims(self, d: int, mine: dict[str, list[Row]]) -> list[tuple[Claim, str, str]]:
        known = critical_exponents(d)
        rows = mine["learning"]
        n = np.array(rows[0]["n"])
        use = (n >= self.learn_from * (1 - 1e-9)) & (n <= self.learn_share * self.field_size)
        window = f"n = {n[use][0]:.0f}..{n[use][-1]:.0f}"
        found = []
        for name, key, words, predicted, why in (
            ("c/D", LINEAR, "a linear function", known.cluster_exponent(), "2/D"),
            ("2/d_s - 1", FIELD, "the free field", known.free_field_exponent, "zeta/D"),
        ):
            slopes = [-_one_slope(n[use], np.array(r[key])[use]) for r in rows]
            claim = self._judge(
                f"d = {d}: exponent of {words}, {window}: {name if key == FIELD else why}",
                "literature (percolaw.hypercubic)",
                predicted,
                slopes,
                self.tolerance,
            )
            found.append((claim, name, window))
        return found

    def _judge(
        self, name: str, source: str, predicted: float, values: Any, tolerance: float
    ) -> Claim:
        x = np.asarray(values, dtype=np.float64)
        x = x[np.isfinite(x)]
        if x.size == 0:
            note = "too few clusters in the window"
            return judge(name, source, predicted, np.nan, (-np.inf, np.inf), tolerance, note)
        return judge(name, source, predicted, float(x.mean()), fit.seed_interval(x), tolerance)

    def _threshold_claim(self, d: int, kind: str, rows: list[Row]) -> Claim:
        known = hypercubic_threshold(d, "bond" if kind == "bond" else "site")
        p = np.array(rows[0]["p"])
        small, large = self._crossing_curves(d, rows)
        what = crossing_words(d)
        measured = crossing(p, small.mean(axis=0), large.mean(axis=0))
        interval = (-np.inf, np.inf)
        if len(rows) >= 3:
            from scipy.special import stdtrit

            # The crossing of the mean curves, with its jackknife error over seeds.
            kept = [np.arange(len(rows)) != i for i in range(len(rows))]
            left = np.array(
                [crossing(p, small[k].mean(axis=0), large[k].mean(axis=0)) for k in kept]
            )
            error = np.sqrt((len(rows) - 1) * np.mean((left - left.mean()) ** 2))
            reach = float(stdtrit(len(rows) - 1, 0.975) * error)
            interval = (measured - reach, measured + reach)
        return judge(
            f"d = {d}: p_c of {kind} percolation, where {what} of L = {{}} and {{}} cross".format(
                *self._lengths(d)
            ),
            threshold_source(d),
            known,
            measured,
            interval,
            self.threshold_tolerance * known,
        )

    def _crossing_curves(self, d: int, rows: list[Row]) -> list[FloatArray]:
        """Curves (n_seeds, n_p) of the small and the large torus that cross at p_c.

        From six dimensions on clusters wind round at p_c in numbers that grow with the box; what scales
        is the share of the largest one, as the volume to -1/3.
        """
        if d < MEAN_FIELD_DIMENSION:
            return [np.array([r[f"wrapping_{i}"] for r in rows]) for i in (0, 1)]
        return [
            np.array([r[f"largest_{i}"] for r in rows]) * float(length) ** (d / 3.0)
            for i, length in enumerate(self._lengths(d))
        ]

    def _collapse_claims(self, d: int, rows: list[Row]) -> list[Claim]:
        """Finite-size scaling of the largest cluster: its share is L^(D - d) f((p/p_c - 1) L^(1/nu))."""
        known = critical_exponents(d)
        p = np.array(rows[0]["p"]) / hypercubic_threshold(d) - 1.0
        lengths = np.array(self._lengths(d), dtype=np.float64)
        small, large = (np.array([r[f"largest_{i}"] for r in rows]) for i in (0, 1))
        at = int(np.argmin(np.abs(p)))
        # Above six dimensions the largest cluster of a torus grows as the volume to 2/3, not as L^4.
        torus = known.fractal_dimension if d <= 6 else 2.0 * d / 3.0
        measured = d + np.log(large[:, at] / small[:, at]) / np.log(lengths[1] / lengths[0])
        where = f"L = {lengths[0]:.0f} and {lengths[1]:.0f}"
        found = [
            self._judge(
                f"d = {d}: growth of the largest cluster of a torus at p_c, {where}"
                + (": 2d/3" if d > 6 else ": D"),
                "literature (percolaw.hypercubic)",
                torus,
                measured,
                self.dimension_tolerance * torus,
            )
        ]
        x = p * lengths[:, None] ** max(1.0 / known.correlation_exponent, d / 3.0)
        inside = np.abs(x[0]) <= 1.0
        scaled = lengths ** (d - torus)
        ratio = [
            np.exp(np.mean(np.log(scaled[1] * np.interp(x[0], x[1], b) / (scaled[0] * a))[inside]))
            for a, b in zip(small, large, strict=True)
        ]
        found.append(
            self._judge(
                f"d = {d}: finite-size collapse of the largest cluster within one unit of p_c, {where}",
                "literature (percolaw.hypercubic)",
                1.0,
                ratio,
                2.5 * self.dimension_tolerance,
            )
        )
        return found

    def _curves(self, mine: dict[str, list[Row]]) -> dict[str, Any]:
        rows = mine["learning"]
        return {
            "n": rows[0]["n"],
            LINEAR: fit.aggregate(np.array([r[LINEAR] for r in rows])),
            FIELD: fit.aggregate(np.array([r[FIELD] for r in rows])),
            "loops": float(np.mean([r["loops"] for r in rows])),
            "s": mine["sizes"][0]["s"],
            "survival": np.mean([r["survival"] for r in mine["sizes"]], axis=0),
            **{
                key: fit.aggregate(np.array([r[key] for r in rows]))
                for key in ("mass", "radius", "depth")
            },
            "wrapping": {
                kind: {
                    "p": mine[f"threshold {kind}"][0]["p"],
                    "lengths": self._lengths(mine["learning"][0]["dimension"]),
                    "largest": [
                        np.mean([r[f"largest_{i}"] for r in mine[f"threshold {kind}"]], axis=0)
                        for i in (0, 1)
                    ],
                    "what": crossing_words(mine["learning"][0]["dimension"]),
                    "curves": [
                        curve.mean(axis=0)
                        for curve in self._crossing_curves(
                            mine["learning"][0]["dimension"], mine[f"threshold {kind}"]
                        )
                    ],
                }
                for kind in KINDS
            },
        }


def crossing_words(d: int) -> str:
    """Return what crosses at p_c."""
    return "wrapping curves" if d < MEAN_FIELD_DIMENSION else "largest clusters over V^(2/3)"


def crossing(p: FloatArray, small: FloatArray, large: FloatArray) -> float:
    """Return where the curve of the large torus crosses that of the small one, from below.

    The difference is negative below p_c and positive above; the crossing taken is the one that leaves
    the least of it on the wrong sides.
    """
    gap = large - small
    wrong = np.concatenate([[0.0], np.cumsum(np.maximum(gap, 0.0))])
    wrong = wrong[:-1] + np.cumsum(np.maximum(-gap, 0.0)[::-1])[::-1]
    i = int(np.clip(np.argmin(wrong), 1, p.size - 1))
    if gap[i] == gap[i - 1]:
        return float(p[i])
    return float(
        np.clip(p[i - 1] - gap[i - 1] * (p[i] - p[i - 1]) / (gap[i] - gap[i - 1]), p[0], p[-1])
    )


def _one_slope(x: FloatArray, y: FloatArray) -> float:
    return float(fit.log_slopes(x, y[None])[0])
