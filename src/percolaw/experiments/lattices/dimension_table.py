"""Exponents and thresholds of real lattices by dimension, measured beside the literature's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw import checks, words
from percolaw.experiments import fields, labelled
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, units
from percolaw.experiments.claims import Claim, judge
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance
from percolaw.experiments.lattices import box_curves, boxes
from percolaw.experiments.lattices.boxes import about
from percolaw.experiments.lattices.lattice_exponents import (
    FIELD,
    KINDS,
    LINEAR,
    LITERATURE,
    THRESHOLDS,
    LatticeCurves,
    lattice_curves,
    mean_claim,
    threshold_claim,
    torus_claims,
)
from percolaw.experiments.lattices.lattice_plots import (
    comparison_plot,
    exponent_plots,
    power_law_plots,
    torus_plot,
)
from percolaw.laws.hypercubic import Kind, critical_exponents, hypercubic_threshold
from percolaw.rng import Streams
from percolaw.scaling import fit

FloatArray = labelled.FloatArray

#: Records of a sweep around p_c, and how far they reach, relative.
N_RECORDS, REACH = 401, 0.3


@dataclass(frozen=True)
class DimensionTable:
    """tau, D, sigma, d_min, p_c and learning exponents in 2 to 7 dimensions."""

    name: ClassVar[str] = "dimension-table"
    title: ClassVar[str] = "The paper's table by dimension, measured: tau, D, sigma, alpha, c/D"
    source: ClassVar[str] = "Brill 2024, section 4.4; docs/lattices.md"
    extra: ClassVar[tuple[str, str]] = ("pyamg", "lattice")
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "dimensions": (2, 3),
                "max_size": 20_000,
                "budget": 400_000,
                "field_size": 20_000,
                "n_balls": 3,
                "n_learned": 1,
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

    dimensions: Annotated[tuple[int, ...], JUDGED] = (2, 3, 4, 5, 6, 7)
    """Lattice dimensions."""
    n_seeds: Seeds = 5
    """Independent repetitions."""
    max_size: Annotated[int, Range(10_000)] = 1_000_000
    """Clusters are stopped at this size and counted."""
    budget: Annotated[int, Range(10_000)] = 20_000_000
    """Sites grown for the sizes of a dimension and seed, about."""
    below: tuple[float, float] = (0.04, 0.08)
    """1 - p/p_c of the two points that 1/sigma is the slope between."""
    field_size: Annotated[int, Range(10_000), Bytes(8.0)] = 1_000_000
    """Sites of balls of the incipient infinite cluster: the first ones, breadth-first, of clusters that
    have as many."""
    n_balls: Annotated[int, Range(1)] = 6
    """Balls of each seed whose radius and depth are measured."""
    n_learned: Annotated[int, Range(1)] = 2
    """How many of them are learned."""
    per_decade: Annotated[int, Range(2, 20)] = 4
    """Training sizes a decade."""
    n_test: Annotated[int, Range(1)] = 2000
    """Test sites."""
    sweep_sites: tuple[int, int] = (10_000, 100_000)
    """Sites of the small and the large torus whose wrapping curves cross at p_c, about."""
    n_sweeps: Annotated[int, Range(2)] = 40
    """Sweeps of each torus and seed."""
    size_window: Annotated[tuple[float, float], JUDGED] = (1000.0, 100_000.0)
    """Sizes on which tau (up to max_size), D and d_min (growing balls) are fitted."""
    learn_from: Annotated[float, Range(1.0), JUDGED] = 100.0
    """Smallest number of observed sites in the learning exponents."""
    learn_share: Annotated[float, Range(1e-9, 1.0), JUDGED] = 0.02
    """Largest share of sites observed in the learning exponents."""
    tau_tolerance: Tolerance = 0.01
    """Deviation of tau that counts as agreement."""
    dimension_tolerance: Tolerance = 0.02
    """Relative deviation of D and d_min that counts as agreement."""
    cutoff_tolerance: Tolerance = 0.05
    """Relative deviation of 1/sigma that counts as agreement."""
    threshold_tolerance: Tolerance = 0.005
    """Relative deviation of p_c that counts as agreement."""
    tolerance: Tolerance = 0.03
    """Deviation of a learning exponent that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        if not self.dimensions or boxes.BETHE in self.dimensions:
            raise ValueError(f"dimensions must hold 2 to 8; got {self.dimensions}.")
        boxes.check_dimensions(self.dimensions)
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
        kinds = ("sizes", "below", "learning", *THRESHOLDS)
        return units(dimension=self.dimensions, kind=kinds, seed=range(self.n_seeds))

    def measure(self, cell: Cell) -> list[Row]:
        """Do one unit."""
        d, kind = cell["dimension"], cell["kind"]
        streams = Streams(cell["seed"]).child(d, *words.key(kind))
        if kind == "sizes":
            measured = self._sizes(d, streams)
        elif kind == "below":
            measured = self._below(d, streams)
        elif kind == "learning":
            measured = self._learning(d, streams)
        else:
            measured = self._threshold(d, THRESHOLDS[kind], streams)
        return [{**cell, **measured}]

    def n_clusters(self, d: int) -> int:
        """Return how many clusters the budget allows at p_c: P(S >= s) ~ s^(2 - tau)."""
        power = 3.0 - critical_exponents(d).fisher_exponent
        return max(20, int(self.budget * power / self.max_size**power))

    def _sizes(self, d: int, streams: Streams) -> Row:
        from percolaw.clusters.hypercubic.grown import grow_statistics

        statistics = grow_statistics(
            d, hypercubic_threshold(d), self.n_clusters(d), self.max_size, rng=streams
        )
        edges = np.unique(
            np.rint(np.geomspace(1, self.max_size, 4 * int(np.log10(self.max_size)) + 1))
        )
        survival = [(statistics.size >= s).mean() for s in edges]
        return {"s": edges, "survival": survival, "n_clusters": statistics.size.size}

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
            statistics = grow_statistics(d, p, n, most, rng=streams.child(i))
            size = statistics.size.astype(np.float64)
            out[f"cutoff_{i}"] = float(np.sum(size**2) / np.sum(size))
        return out

    def _learning(self, d: int, streams: Streams) -> Row:
        from percolaw.clusters.hypercubic.grown import grow_from_origin
        from percolaw.kernels.tree import standardize
        from percolaw.targets.free_field import FreeField

        n = box_curves.grid(10.0, 0.1 * self.field_size, self.per_decade)
        mass = box_curves.grid(100.0, self.field_size, self.per_decade).astype(np.int64)
        radius, depth = np.zeros(mass.size), np.zeros(mass.size)
        loops = 0.0
        curves: dict[str, list[FloatArray]] = {LINEAR: [], FIELD: []}
        for i in range(self.n_balls):
            child = streams.child(i)
            grown = grow_from_origin(
                d, hypercubic_threshold(d), self.field_size, rng=child, min_size=self.field_size
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
            direction = child.child(1).generator("target").standard_normal(d)
            linear = np.asarray(x @ direction)
            standardize(grown.graph.start, linear)
            field = FreeField().sample(grown.graph, child).value
            for name, value in ((LINEAR, linear), (FIELD, field)):
                data = labelled.LabelledClusters(grown.graph, value, np.ones(1), child)
                curves[name].append(box_curves.single_curve(data, n, 0, self.n_test))
        out: Row = {"n": n, "loops": loops, "mass": mass}
        out |= {"radius": np.exp(radius), "depth": np.exp(depth)}
        return out | {name: fit.aggregate(losses) for name, losses in curves.items()}

    def _threshold(self, d: int, kind: Kind, streams: Streams) -> Row:
        from percolaw.clusters.hypercubic.box import HypercubicLattice
        from percolaw.clusters.hypercubic.newman_ziff import sweep

        known = hypercubic_threshold(d, kind)
        p = known * np.linspace(1.0 - 0.8 * REACH, 1.0 + 0.8 * REACH, 161)
        out: Row = {"p": p}
        for i, length in enumerate(self._lengths(d)):
            lattice = HypercubicLattice(d, length, kind, periodic=True)
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
        lattices = {
            d: lattice_curves(d, self._lengths(d), [r for r in rows if r["dimension"] == d])
            for d in self.dimensions
        }
        claims_of = {d: self._claims(lattice) for d, lattice in lattices.items()}
        windows = self._windows(next(iter(lattices.values())))
        drawn = (
            *exponent_plots(claims_of, windows),
            comparison_plot(claims_of),
            *power_law_plots(lattices.values(), claims_of, self.size_window, self._learn_window()),
            *(torus_plot(lattice, claims_of[d]["p_c bond"]) for d, lattice in lattices.items()),
        )
        return Conclusion(
            tuple(c for each in claims_of.values() for c in each.values()), plots=drawn
        )

    def _learn_window(self) -> tuple[float, float]:
        return self.learn_from, self.learn_share * self.field_size

    def _windows(self, lattice: LatticeCurves) -> dict[str, str]:
        """Where each quantity is fitted, in words."""
        low, high = self.size_window
        n = lattice.learned[LINEAR].within(self._learn_window()).size
        sites, observed = f"s = {low:.0f}..{high:.0f}", f"n = {n[0]:.0f}..{n[-1]:.0f}"
        below = f"1 - p/p_c = {self.below}"
        where = {"tau": f"s from {low:.0f}", "D": sites, "d_min": sites, "1/sigma": below}
        return {**where, "c/D": observed, "2/d_s - 1": observed}

    def _claims(self, lattice: LatticeCurves) -> dict[str, Claim]:
        """What is said of one dimension, by quantity."""
        known, where, balls = lattice.known, self._windows(lattice), self.size_window
        relative, gap = self.dimension_tolerance, np.log(self.below[1] / self.below[0])
        taus = lattice.fisher_exponents(balls[0])
        dims, paths = lattice.fractal_dimensions(balls), lattice.shortest_path_dimensions(balls)
        cutoffs = np.log(lattice.cutoff[:, 0] / lattice.cutoff[:, 1]) / gap
        fractal, path = known.fractal_dimension, known.shortest_path_dimension
        sigma = known.cutoff_exponent
        by_quantity = {
            quantity: mean_claim(
                lattice, quantity, f"{quantity}, {where[quantity]}", literature, values, tolerance
            )
            for quantity, literature, values, tolerance in (
                ("tau", known.fisher_exponent, taus, self.tau_tolerance),
                ("D", fractal, dims, relative * fractal),
                ("d_min", path, paths, relative * path),
                ("1/sigma", 1.0 / sigma, cutoffs, self.cutoff_tolerance / sigma),
            )
        }
        by_quantity["alpha"] = self._rank_claim(lattice, by_quantity["tau"])
        by_quantity |= self._learn_claims(lattice, where) | torus_claims(lattice, relative)
        return by_quantity | {
            f"p_c {kind}": threshold_claim(lattice, kind, self.threshold_tolerance)
            for kind in KINDS
        }

    def _rank_claim(self, lattice: LatticeCurves, tau: Claim) -> Claim:
        """The claim on alpha that follows from that on tau."""
        known, d = lattice.known, lattice.dimension
        # tau = 2 or less would mean that all mass sits in one cluster.
        alpha = [
            (3.0 - t) / (t - 2.0) if t > 2.0 else np.inf for t in (tau.measured, *tau.interval)
        ]
        note = "from tau: 0.01 in tau is a tenth of alpha in three dimensions and all of it in two"
        return judge(
            f"d = {d}: alpha = (3 - tau)/(tau - 2)",
            LITERATURE,
            known.rank_exponent,
            alpha[0],
            (min(alpha[1:]), max(alpha[1:])),
            0.1 * known.rank_exponent,
            note if d <= 3 else "",
            about(d, "alpha"),
        )

    def _learn_claims(self, lattice: LatticeCurves, where: Mapping[str, str]) -> dict[str, Claim]:
        known = lattice.known
        return {
            quantity: mean_claim(
                lattice,
                quantity,
                f"exponent of {words}, {where[quantity]}: {law}",
                predicted,
                lattice.learning_exponents(target, self._learn_window()),
                self.tolerance,
                target=target,
                learner="1-NN",
            )
            for quantity, target, words, law, predicted in (
                ("c/D", LINEAR, "a linear function", "2/D", known.cluster_exponent()),
                ("2/d_s - 1", FIELD, "the free field", "2/d_s - 1", known.free_field_exponent),
            )
        }
