"""What is measured on real lattices at p_c, as curves, and the exponents of each seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.experiments import claims
from percolaw.experiments.base import Row
from percolaw.experiments.claims import Claim, judge
from percolaw.experiments.lattices.boxes import about
from percolaw.laws.hypercubic import (
    CriticalExponents,
    Kind,
    critical_exponents,
    hypercubic_threshold,
    threshold_source,
)
from percolaw.scaling import fit
from percolaw.scaling.crossing import mean_crossing
from percolaw.scaling.curve import LearningCurve

FloatArray: TypeAlias = npt.NDArray[np.float64]
#: Sizes on which exponents are fitted.
Window: TypeAlias = tuple[float, float]

#: Where predictions come from.
LITERATURE = "literature (percolaw.laws.hypercubic)"
KINDS: tuple[Kind, ...] = ("bond", "site")
#: What cells and rows call the units of the thresholds.
THRESHOLDS: dict[str, Kind] = {f"threshold {kind}": kind for kind in KINDS}
#: Targets on grown clusters.
LINEAR, FIELD = "linear", "free field"
#: From here on tori scale with their volume.
MEAN_FIELD_DIMENSION = 6
#: P(S >= s) counts where it rests on this many clusters.
LEAST_CLUSTERS = 10


@dataclass(frozen=True, eq=False)
class LatticeCurves:
    """What was measured in one dimension.

    Attributes
    ----------
    dimension : int
    lengths : tuple of int
        Of the small and the large torus.
    survival : tuple of LearningCurve
        P(S >= s) of each seed, usable where it rests on enough clusters.
    radius, depth : LearningCurve
        Squared radius and shortest path to the rim of balls, by their sites.
    learned : dict of LearningCurve
        1-NN losses by target.
    cutoff : array, shape (n_seeds, 2)
        <S^2>/<S> at two distances below p_c.
    wrapping, largest : dict of LearningCurve pairs
        By kind, of the small and the large torus against p: how many wrap, and the share of the largest
        cluster.
    """

    dimension: int
    lengths: tuple[int, ...]
    survival: tuple[LearningCurve, ...]
    radius: LearningCurve
    depth: LearningCurve
    learned: Mapping[str, LearningCurve]
    cutoff: FloatArray
    wrapping: Mapping[str, tuple[LearningCurve, ...]]
    largest: Mapping[str, tuple[LearningCurve, ...]]

    @property
    def known(self) -> CriticalExponents:
        """The literature's exponents."""
        return critical_exponents(self.dimension)

    @property
    def crossing_words(self) -> str:
        """What crosses at p_c."""
        low = self.dimension < MEAN_FIELD_DIMENSION
        return "wrapping curves" if low else "largest clusters over V^(2/3)"

    def crossing_curves(self, kind: Kind) -> tuple[LearningCurve, ...]:
        """Return the curves of the small and the large torus that cross at p_c.

        From six dimensions on clusters wind round at p_c in numbers that grow with the box; what scales
        is the share of the largest one, as the volume to -1/3.
        """
        if self.dimension < MEAN_FIELD_DIMENSION:
            return self.wrapping[kind]
        return tuple(
            LearningCurve(curve.size, curve.loss * float(length) ** (self.dimension / 3.0))
            for curve, length in zip(self.largest[kind], self.lengths, strict=True)
        )

    def power_laws(self) -> dict[str, tuple[LearningCurve, float]]:
        """Return all curves with the literature's exponents, positive where the curves fall."""
        known = self.known
        usable = np.asarray(np.array([one.usable for one in self.survival]).all(axis=0))
        sizes = np.concatenate([one.loss for one in self.survival])
        paths = known.shortest_path_dimension / known.fractal_dimension
        return {
            "sizes": (
                LearningCurve(self.survival[0].size, sizes, usable),
                known.fisher_exponent - 2.0,
            ),
            "ball-radius": (self.radius, -2.0 / known.fractal_dimension),
            "ball-depth": (self.depth, -paths),
            LINEAR: (self.learned[LINEAR], known.cluster_exponent()),
            FIELD: (self.learned[FIELD], known.free_field_exponent),
        }

    def fisher_exponents(self, start: float) -> FloatArray:
        """Return tau of each seed from clusters of at least `start` sites."""
        return np.array([2.0 + one.slopes((start, math.inf))[0] for one in self.survival])

    def fractal_dimensions(self, window: Window) -> FloatArray:
        """Return D of each seed from the radius of balls."""
        return np.array([-2.0 / one.slopes(window)[0] for one in self.radius.seeds()])

    def shortest_path_dimensions(self, window: Window) -> FloatArray:
        """Return d_min of each seed from the depth of balls against their radius."""
        radius, depth = self.radius.within(window).loss, self.depth.within(window).loss
        slopes = [fit.log_slopes(r, way)[0] for r, way in zip(radius, depth, strict=True)]
        return 2.0 * np.array(slopes)

    def learning_exponents(self, target: str, window: Window) -> FloatArray:
        """Return the exponent of 1-NN of each seed.

        Parameters
        ----------
        target : str
            A key of `learned`.
        window : (low, high)
            In observed sites.

        Returns
        -------
        array of float64, shape (n_seeds,)
        """
        return np.array([one.slopes(window)[0] for one in self.learned[target].seeds()])

    @property
    def torus_exponent(self) -> float:
        """Exponent of the largest cluster of a torus in its length at p_c.

        D; above six dimensions it grows as the volume to 2/3, not as L^4.
        """
        return self.known.fractal_dimension if self.dimension <= 6 else 2.0 * self.dimension / 3.0

    def torus_growth(self) -> FloatArray:
        """Return the exponent of the largest cluster between the two tori of each seed, at p_c."""
        small, large = self.largest["bond"]
        at = int(np.argmin(np.abs(small.size / hypercubic_threshold(self.dimension) - 1.0)))
        gain = np.log(large.loss[:, at] / small.loss[:, at])
        lengths = np.array(self.lengths, dtype=np.float64)
        return np.asarray(self.dimension + gain / np.log(lengths[1] / lengths[0]))

    def torus_collapse(self) -> FloatArray:
        """Return the ratio of the largest clusters of both tori within one unit of p_c, seed by seed.

        By finite-size scaling its share is L^(D - d) f((p/p_c - 1) L^(1/nu)), and the ratio 1.
        """
        small, large = self.largest["bond"]
        d, lengths = self.dimension, np.array(self.lengths, dtype=np.float64)
        power = max(1.0 / self.known.correlation_exponent, d / 3.0)
        x = (small.size / hypercubic_threshold(d) - 1.0) * lengths[:, None] ** power
        inside = np.abs(x[0]) <= 1.0
        scale = lengths ** (d - self.torus_exponent)
        ratio = [
            np.exp(np.mean(np.log(scale[1] * np.interp(x[0], x[1], b) / (scale[0] * a))[inside]))
            for a, b in zip(small.loss, large.loss, strict=True)
        ]
        return np.array(ratio)


def lattice_curves(dimension: int, lengths: Sequence[int], rows: Sequence[Row]) -> LatticeCurves:
    """Return what the rows of one dimension hold, as curves.

    Parameters
    ----------
    dimension : int
    lengths : sequence of int
        Of the small and the large torus.
    rows : sequence of Row

    Returns
    -------
    LatticeCurves
    """
    kinds: dict[str, list[Row]] = {}
    for row in rows:
        kinds.setdefault(row["kind"], []).append(row)
    balls = kinds["learning"]

    def curve(rows: Sequence[Row], size: str, name: str) -> LearningCurve:
        return LearningCurve(np.array(rows[0][size]), np.array([r[name] for r in rows]))

    def tori(name: str) -> dict[str, tuple[LearningCurve, ...]]:
        return {
            kind: tuple(curve(kinds[word], "p", f"{name}_{i}") for i in (0, 1))
            for word, kind in THRESHOLDS.items()
        }

    return LatticeCurves(
        dimension,
        tuple(lengths),
        tuple(
            LearningCurve(
                np.array(row["s"]),
                np.array([row["survival"]]),
                np.array(row["survival"]) * row["n_clusters"] >= LEAST_CLUSTERS,
            )
            for row in kinds["sizes"]
        ),
        curve(balls, "mass", "radius"),
        curve(balls, "mass", "depth"),
        {name: curve(balls, "n", name) for name in (LINEAR, FIELD)},
        np.array([[row["cutoff_0"], row["cutoff_1"]] for row in kinds["below"]]),
        tori("wrapping"),
        tori("largest"),
    )


def mean_claim(
    lattice: LatticeCurves,
    quantity: str,
    name: str,
    predicted: float,
    values: FloatArray,
    tolerance: float,
    **more: str,
) -> Claim:
    """Return a claim on the mean over the seeds that have a quantity.

    Parameters
    ----------
    lattice : LatticeCurves
    quantity, name : str
        Key and what is claimed, without the dimension.
    predicted : float
    values : array, shape (n_seeds,)
        NaN where a seed had too few clusters.
    tolerance : float
    more
        Further keys of `about`.

    Returns
    -------
    Claim
        Inconclusive if no seed has the quantity.
    """
    x = values[np.isfinite(values)]
    on = about(lattice.dimension, quantity) | more
    name = f"d = {lattice.dimension}: {name}"
    if x.size:
        return claims.mean(name, LITERATURE, predicted, x, tolerance, about=on)
    why = "too few clusters in the window"
    return judge(name, LITERATURE, predicted, math.nan, claims.UNKNOWN_INTERVAL, tolerance, why, on)


def torus_claims(lattice: LatticeCurves, tolerance: float) -> dict[str, Claim]:
    """Return claims on the finite-size scaling of the largest cluster, with a relative tolerance.

    Parameters
    ----------
    lattice : LatticeCurves
    tolerance : float
        Relative.

    Returns
    -------
    dict of Claim
        ``growth`` and ``collapse``.
    """
    where = "L = {} and {}".format(*lattice.lengths)
    law = "2d/3" if lattice.dimension > 6 else "D"
    growth = mean_claim(
        lattice,
        "growth of the largest cluster",
        f"growth of the largest cluster of a torus at p_c, {where}: {law}",
        lattice.torus_exponent,
        lattice.torus_growth(),
        tolerance * lattice.torus_exponent,
    )
    collapse = mean_claim(
        lattice,
        "collapse of the largest cluster",
        f"finite-size collapse of the largest cluster within one unit of p_c, {where}",
        1.0,
        lattice.torus_collapse(),
        2.5 * tolerance,
    )
    return {"growth": growth, "collapse": collapse}


def threshold_claim(lattice: LatticeCurves, kind: Kind, tolerance: float) -> Claim:
    """Hold the p at which two tori cross against the threshold of the literature.

    Parameters
    ----------
    lattice : LatticeCurves
    kind : {"bond", "site"}
    tolerance : float
        Relative.

    Returns
    -------
    Claim
    """
    d, known = lattice.dimension, hypercubic_threshold(lattice.dimension, kind)
    small, large = lattice.crossing_curves(kind)
    measured, interval = mean_crossing(small.size, small.loss, large.loss)
    return judge(
        f"d = {d}: p_c of {kind} percolation, where {lattice.crossing_words} of "
        "L = {} and {} cross".format(*lattice.lengths),
        threshold_source(d),
        known,
        measured,
        interval,
        tolerance * known,
        about=about(d, f"p_c {kind}"),
    )
