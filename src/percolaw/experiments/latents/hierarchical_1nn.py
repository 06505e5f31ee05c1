"""Nearest neighbours on hierarchical functions: exponent 1/2 with a logarithm, and the whole curve."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw.clusters.merges import MergeTree
from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, SeedBySeed
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance
from percolaw.rng import Streams
from percolaw.scaling import fit
from percolaw.scaling.curve import LearningCurve

FloatArray = npt.NDArray[np.float64]

#: Functions on the sites, by whether they divide by the root of their number of terms; None: a walk.
FUNCTIONS: dict[str, bool | None] = {
    "hierarchical": True,
    "hierarchical, raw sums": False,
    "tree walk": None,
}


@dataclass(frozen=True)
class HierarchicalOneNn(SeedBySeed):
    """1-NN on one cluster by chemical distance: hierarchical functions and the tree walk."""

    name: ClassVar[str] = "hierarchical-1nn"
    title: ClassVar[str] = "1-NN on hierarchical functions: exponent 1/2 with a logarithm"
    source: ClassVar[str] = "docs/theory.md (derived here)"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 6,
                "n_sites": 50_000,
                "largest": 2000,
                "n_sizes": 6,
                "n_test": 500,
                "fit_from": 100,
            },
            "3 s",
            "0.4 GiB",
        ),
        "laptop": Preset({}, "1 min", "1 GiB"),
        "paper": Preset(
            {"n_seeds": 50, "n_sites": 10_000_000, "largest": 1_000_000, "n_sizes": 14},
            "1 h, estimated",
            "4 GiB",
        ),
    }

    n_seeds: Seeds = 20
    """Independent clusters, hierarchies and functions."""
    n_sites: Annotated[int, Range(1000), Bytes(150.0)] = 2_000_000
    """Sites of a cluster."""
    smallest: Annotated[int, Range(2)] = 30
    """Smallest number of observed sites."""
    largest: Annotated[int, Range(20)] = 100_000
    """Largest number of observed sites."""
    n_sizes: Annotated[int, Range(3)] = 12
    """Numbers of observed sites, geometric."""
    n_test: Annotated[int, Range(10)] = 4000
    """Test sites."""
    n_functions: Annotated[int, Range(1)] = 10
    """Functions on each hierarchy over which losses are averaged: large latents of one decide much."""
    fit_from: Annotated[int, Range(2), JUDGED] = 300
    """Observed sites from which exponents are fitted."""
    curve_tolerance: Tolerance = 0.05
    """Relative deviation from a predicted curve that counts as agreement."""
    tolerance: Tolerance = 0.03
    """Deviation of an exponent that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        if not 10 * self.smallest <= self.largest <= self.n_sites:
            raise ValueError(
                f"largest must lie between ten times smallest and n_sites; got {self.largest}."
            )

    def sizes(self) -> npt.NDArray[np.int64]:
        """Return the numbers of observed sites."""
        return fit.geometric(self.smallest, self.largest, self.n_sizes)

    def measure(self, cell: Cell) -> list[Row]:
        """Measure 1-NN on the same sites for every function; one row a function.

        ``predicted`` is exact for the hierarchy at hand (the mean over functions), ``law`` is made of
        the distances alone, by the continuum tree.
        """
        from percolaw.clusters.coalescent import merge_tree
        from percolaw.clusters.conditioned import conditioned_clusters
        from percolaw.laws.coalescent import unshared_latents
        from percolaw.targets.hierarchical import HierarchicalFunction
        from percolaw.targets.tree_walk import TreeWalk, expected_variance

        streams = Streams(cell["seed"])
        tree = conditioned_clusters(self.n_sites, math.inf, streams)
        merges = merge_tree(tree, streams)
        unit = math.sqrt(self.n_sites)
        order = streams.generator("split").permutation(self.n_sites)
        test, pool = order[: self.n_test], order[self.n_test :]
        scale = {}
        for name, normalized in FUNCTIONS.items():
            variance = (
                expected_variance(tree)
                if normalized is None
                else HierarchicalFunction(normalized).expected_variance(merges)
            )
            scale[name] = float(variance[0])
        rows: dict[str, Row] = {
            name: {**cell, "function": name, "n": [], "predicted": [], "law": []}
            for name in FUNCTIONS
        }
        random = unshared_latents(tree.distance_between(test, np.roll(test, 1)) / unit).mean()
        nearest = []
        for n in self.sizes():
            distance, found = tree.nearest(pool[:n], streams)
            far, site = distance[test].astype(np.float64), found[test].astype(np.int64)
            nearest.append(site)
            apart = 2.0 * unshared_latents(np.maximum(far, 0.5) / unit)[far > 0].sum() / far.size
            for name, normalized in FUNCTIONS.items():
                expected = (
                    far if normalized is None else _differences(normalized, merges, test, site)
                )
                rows[name]["n"].append(int(n))
                rows[name]["predicted"].append(float(expected.mean()) / scale[name])
                rows[name]["law"].append(float(apart / random))
        for name, normalized in FUNCTIONS.items():
            losses = np.zeros(len(nearest))
            for draw in range(self.n_functions):
                child = streams.child(draw)
                y = (
                    TreeWalk(standardized=False).sample(tree, child)
                    if normalized is None
                    else HierarchicalFunction(normalized, standardized=False).on(merges, child)
                ).value
                losses += [np.mean((y[test] - y[site]) ** 2) for site in nearest]
            rows[name]["loss"] = (losses / (self.n_functions * scale[name])).tolist()
        return list(rows.values())

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold losses against the exact curves, and exponents against 1/2."""
        every, losses, slopes = [], [], []
        for name in FUNCTIONS:
            mine = [r for r in rows if r["function"] == name]
            table = {key: np.array([r[key] for r in mine]) for key in ("loss", "predicted", "law")}
            size = np.array(mine[0]["n"])
            curve = LearningCurve(size, table["loss"], predicted=table["predicted"].mean(axis=0))
            line = curve.fit((float(self.fit_from), math.inf), how="mean")
            about = {"target": name, "learner": "1-NN"}
            every.append(
                claims.ratio(
                    f"{name}: loss over the exact curve of its hierarchy",
                    self.source,
                    table["loss"] / table["predicted"],
                    self.curve_tolerance,
                    about={**about, "quantity": "loss over prediction"},
                )
            )
            if name == "hierarchical, raw sums":
                every.append(
                    claims.ratio(
                        f"{name}: exact curve over the law of the continuum tree",
                        self.source,
                        table["predicted"] / table["law"],
                        self.curve_tolerance,
                        "the law knows distances, not the hierarchy",
                        {**about, "quantity": "law"},
                    )
                )
            every.append(self._exponent(name, curve, line, about))
            losses += [
                plots.curve(name, curve, how="mean", prediction=f"{name}, exact", group=name),
                plots.line(f"{name}, exact", "theory", size, curve.predicted, group=name),
            ]
            slopes += [
                plots.local(name, curve, group=name),
                plots.line(f"{name}, exact", "theory", *_local(size, curve.predicted), group=name),
            ]
        slopes.append(plots.line("1/2", "reference", size, 0.5))
        return Conclusion(tuple(every), plots=self._plots(losses, slopes))

    def _exponent(
        self, name: str, curve: LearningCurve, line: fit.PowerLawFit | None, about: dict[str, str]
    ) -> claims.Claim:
        """The walk's exponent against 1/2, a hierarchical one against that of its exact curve."""
        predicted, note = 0.5, f"from {self.fit_from} observed sites on"
        if FUNCTIONS[name] is not None and curve.predicted is not None:
            exact = LearningCurve(curve.size, curve.predicted[None]).fit(
                (float(self.fit_from), math.inf)
            )
            predicted = 0.5 if exact is None else exact.exponent
            note += "; 1/2 is approached from below, by a logarithm"
        return claims.exponent(
            f"{name}: exponent in observed sites",
            self.source,
            predicted,
            line,
            self.tolerance,
            note,
            about,
            rough=float(np.nanmean(curve.local())),
        )

    def _plots(self, losses: list[Any], slopes: list[Any]) -> tuple[plots.Plot, ...]:
        labels = "observed sites m"
        return (
            plots.log_log(
                "hierarchical-1nn",
                f"1-NN on one cluster of {self.n_sites} sites, {self.n_seeds} seeds",
                "Loss against observed sites: hierarchical functions fall more slowly than the walk.",
                (labels, "loss / variance"),
                losses,
                figure="hierarchical-1nn",
            ),
            plots.log_linear(
                "hierarchical-1nn-local",
                "Local exponents",
                "Local exponents: 1/2 for the walk, below it for hierarchical functions.",
                (labels, "local exponent"),
                slopes,
                y_limits=(0.1, 0.7),
                figure="hierarchical-1nn",
            ),
        )


def _local(size: npt.NDArray[Any], loss: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Sizes and local exponents of an exact curve."""
    exact = LearningCurve(size, np.asarray(loss)[None])
    return exact.size, exact.local()


def _differences(normalized: bool, merges: MergeTree, test: Any, site: Any) -> FloatArray:
    """Expected squared differences between sites, by the hierarchy."""
    from percolaw.targets.hierarchical import HierarchicalFunction

    return HierarchicalFunction(normalized).expected_difference(merges, test, site)
