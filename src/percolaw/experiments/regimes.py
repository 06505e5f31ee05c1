"""Both regimes on real lattices: clusters met in a box, from far below to far above p_c, and learned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from percolaw import checks
from percolaw.bethe import BetheLattice
from percolaw.experiments import boxes, toy
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.boxes import BETHE, label
from percolaw.experiments.claims import Claim, judge
from percolaw.hypercubic import critical_exponents
from percolaw.scaling import fit

FloatArray = toy.FloatArray

#: The whole box as one cluster (p = 1): the manifold that the giant cluster is held against.
FULL = 0.0
#: Largest share of the largest cluster that neighbours in space are found among.
SPACE_SHARE = 0.05
#: First items of the random streams of each curve.
_SINGLE, _RANDOM, _PLACED = 0, 1000, 2000


@dataclass(frozen=True)
class Windows:
    """Sizes on which exponents are fitted, fixed before any run; shares are of the sites there are."""

    single_from: float = 20.0
    """Smallest number of observed sites on one cluster."""
    single_share: float = 0.02
    """Largest share of the cluster observed; beyond it sites lie next to each other."""
    ensemble_from: float = 300.0
    """Smallest number of training points on all clusters."""
    ensemble_share: float = 0.05
    """Largest share of all sites observed."""
    tau_from: int = 64
    """Smallest cluster in the slope of P(S >= s)."""
    tau_share: float = 0.1
    """Largest cluster in that slope, as a share of the largest one."""


@dataclass(frozen=True)
class Regimes:
    """Sizes, data and model exponents of 1-NN on a linear function, against p."""

    name: ClassVar[str] = "regimes"
    title: ClassVar[str] = "Subtasks at p_c, one manifold above: both regimes on real lattices"
    source: ClassVar[str] = "Brill 2024, sections 3 and 4; docs/lattices.md"
    judged: ClassVar[tuple[str, ...]] = (
        *("n_seeds", "dimensions", "ratios", "windows"),
        *("tolerance", "tau_tolerance", "curve_tolerance", "cutoff_tolerance"),
    )
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "dimensions": (2, 0),
                "ratios": (0.8, 0.9, 0.95, 1.0, 1.3),
                "boxes": boxes.Boxes(n_sites=60_000, n_draws=200),
            },
            "6 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "2.2 min", "1.2 GiB"),
        "paper": Preset(
            {"n_seeds": 20, "boxes": boxes.Boxes(n_sites=16_000_000, n_draws=10_000)},
            "4 h, estimated",
            "10 GiB",
        ),
    }

    dimensions: tuple[int, ...] = (2, 3, 4, 6, BETHE)
    """Hypercubic lattices by dimension; 0 is the Bethe lattice."""
    ratios: tuple[float, ...] = (0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.3, 1.5)
    """p / p_c; must hold 1."""
    boxes: boxes.Boxes = field(default_factory=lambda: boxes.Boxes(n_sites=800_000))
    """The boxes, and what is drawn from them."""
    n_seeds: int = 5
    """Independent boxes and functions."""
    per_decade: int = 4
    """Training sizes a decade."""
    windows: Windows = field(default_factory=Windows)
    """Where exponents are fitted."""
    tolerance: float = 0.05
    """Deviation of a learning exponent that counts as agreement."""
    tau_tolerance: float = 0.02
    """Deviation of tau that counts as agreement."""
    cutoff_tolerance: float = 0.1
    """Relative deviation of 1/sigma that counts as agreement."""
    curve_tolerance: float = 0.25
    """Relative deviation of a loss from the finite-size prediction that counts as agreement."""

    def __post_init__(self) -> None:
        boxes.check_dimensions(self.dimensions)
        self.boxes.check_memory()
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("per_decade", self.per_decade, minimum=2, maximum=20)
        for ratio in self.ratios:
            checks.real("ratios", ratio, minimum=0.05, maximum=20.0)
        if 1.0 not in self.ratios or len(set(self.ratios)) < len(self.ratios):
            raise ValueError(f"ratios must hold 1 (p_c), each ratio once; got {self.ratios}.")

    def cells(self) -> list[Cell]:
        """A unit is a lattice, a p and a seed; each real lattice is also taken whole, at p = 1."""
        return [
            {"dimension": d, "ratio": ratio, "seed": seed}
            for d in self.dimensions
            for ratio in (*self.ratios, *((FULL,) if d != BETHE else ()))
            if ratio * self.boxes.threshold(d) <= 1.0
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Draw a box and learn its largest cluster, and all of them at random and placed."""
        d, ratio = cell["dimension"], cell["ratio"]
        threshold = self.boxes.threshold(d)
        probability = 1.0 if ratio == FULL else min(1.0, ratio * threshold)
        above = ratio == FULL or ratio > 1.0
        data, row, coordinates = boxes.draw(self.boxes, d, probability, cell["seed"])
        sizes = data.tree.sizes
        n = boxes.grid(10.0, 0.1 * sizes[0], self.per_decade)
        single = boxes.single_curve(data, n, _SINGLE)
        row |= {**cell, "probability": probability, "n_clusters": int(sizes.size)}
        row |= {"largest": int(sizes[0]), "total": int(sizes.sum()), "n": n, "single": single}
        if d != BETHE:
            inside = n[n <= SPACE_SHARE * sizes[0]]
            row["space"] = boxes.euclidean_curve(data, coordinates[: sizes[0]], inside)
        if ratio == FULL:
            return [row]
        gamma = boxes.cluster_exponent(d, above)
        factor = boxes.scale_factor(n, single, gamma)
        total = boxes.grid(10.0, 0.2 * sizes.sum(), self.per_decade)
        laws: dict[str, list[float]] = {
            name: [] for name in ("random", "placed", "random_predicted", "placed_predicted")
        }
        for i, t in enumerate(total):
            for name, rate, item in (
                ("random", boxes.random_rates(data, t), _RANDOM + i),
                ("placed", boxes.placed_rates(data, t, gamma or 0.5, factor), _PLACED + i),
            ):
                loss = toy.ensemble_loss(data, rate, item, ("nearest",))[0]
                laws[name].append(float(loss))
                laws[f"{name}_predicted"].append(boxes.predicted_loss(data, rate, gamma, factor))
        return [{**row, "gamma": gamma, "factor": factor, "t": total, **laws}]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold sizes, single clusters and whole curves against theory, lattice by lattice."""
        claims: list[Claim] = []
        tables: dict[str, Any] = {"lattices": [], "boxes": self.boxes}
        for d in self.dimensions:
            mine = {
                ratio: [r for r in rows if r["dimension"] == d and r["ratio"] == ratio]
                for ratio in (*self.ratios, FULL)
            }
            mine = {ratio: found for ratio, found in mine.items() if found}
            claims += self._size_claims(d, mine)
            claims += self._single_claims(d, mine)
            claims += self._law_claims(d, mine[1.0])
            tables["lattices"].append(self._table(d, mine))
        return Conclusion(tuple(claims), tables)

    def _size_claims(self, d: int, mine: dict[float, list[Row]]) -> list[Claim]:
        known = critical_exponents(6 if d == BETHE else d)
        found = []
        at = mine[1.0]
        largest = min(r["largest"] for r in at)
        s = boxes.SURVIVAL_SIZES
        use = (s >= self.windows.tau_from) & (s <= self.windows.tau_share * largest)
        if use.sum() >= 4 and d != BETHE:  # on the Bethe lattice sizes come from the exact law
            slopes = -fit.log_slopes(s[use], [np.array(r["survival"])[use] for r in at])
            found.append(
                judge(
                    f"{label(d)}, p_c: tau from P(S >= s), {self.windows.tau_from} <= s <= "
                    f"{self.windows.tau_share:g} of the largest",
                    known.source,
                    known.fisher_exponent,
                    2.0 + float(slopes.mean()),
                    fit.seed_interval(2.0 + slopes),
                    self.tau_tolerance,
                )
            )
        below = sorted((r for r in mine if 0.0 < r < 1.0), reverse=True)[:2]
        if len(below) == 2 and d != BETHE:  # the tree's is the exact law
            near, far = (np.array([r["cutoff"] for r in mine[ratio]]) for ratio in below)
            steps = np.log(near / far) / np.log((1.0 - below[1]) / (1.0 - below[0]))
            predicted = 1.0 / known.cutoff_exponent
            z = self.boxes.coordination_number
            exact = [
                boxes.bethe_cutoff(BetheLattice(z, mean_offspring=r), self.boxes.n_sites)
                for r in below
            ]
            bend = np.log(exact[0] / exact[1]) / np.log((1.0 - below[1]) / (1.0 - below[0]))
            found.append(
                judge(
                    f"{label(d)}: 1/sigma from <S^2>/<S> between p = {below[1]:g} and {below[0]:g} p_c",
                    known.source,
                    predicted,
                    float(steps.mean()),
                    fit.seed_interval(steps),
                    self.cutoff_tolerance * predicted,
                    f"corrections to scaling: the Bethe lattice, exactly, has {bend:.2f} of 2 here",
                )
            )
        return found

    def _single(
        self, rows: list[Row], name: str = "single"
    ) -> tuple[FloatArray, FloatArray] | None:
        """Sizes in the window, and the slope of each seed; None where it spans less than a decade."""
        stop = self.windows.single_share * min(r["largest"] for r in rows)
        n = np.array(min((r["n"] for r in rows), key=len))
        n = n[: min(len(r[name]) for r in rows)]
        use = (n >= self.windows.single_from * (1 - 1e-9)) & (n <= stop)
        first = int(np.sum(n < self.windows.single_from * (1 - 1e-9)))
        if use.sum() < 4 or n[use][-1] / n[use][0] < 10 * (1 - 1e-9):
            return None
        return n[use], -fit.log_slopes(
            n[use], [np.array(r[name])[: use.sum() + first][first:] for r in rows]
        )

    def _slopes_on(self, n: FloatArray, rows: list[Row], name: str) -> FloatArray:
        """Slopes of each seed on the given sizes."""
        use = np.isin(np.array(rows[0]["n"]), n)
        first = int(np.argmax(use))
        curves = [np.array(r[name])[first : first + n.size] for r in rows]
        return -fit.log_slopes(n, curves)

    def _exponent(self, name: str, predicted: float, slopes: FloatArray, note: str = "") -> Claim:
        """A claim on the mean over seeds of an exponent, or of a difference of two."""
        interval = fit.seed_interval(slopes)
        mean = float(slopes.mean())
        return judge(name, self.source, predicted, mean, interval, self.tolerance, note)

    def _single_claims(self, d: int, mine: dict[float, list[Row]]) -> list[Claim]:
        found = []
        critical = self._single(mine[1.0])
        if critical is not None:
            n, slopes = critical
            found.append(
                self._exponent(
                    f"{label(d)}, p_c: exponent of the largest cluster, n = {n[0]:.0f}..{n[-1]:.0f}: c/D",
                    boxes.cluster_exponent(d, False),
                    slopes,
                )
            )
        if d == BETHE:
            return found
        for ratio in [r for r in sorted(mine) if r > 1.0]:
            for name, neighbor in (("single", "along bonds"), ("space", "in space")):
                measured = self._single(mine[ratio], name)
                if measured is None:
                    continue
                n, slopes = measured
                full = self._slopes_on(n, mine[FULL], name)
                found.append(
                    self._exponent(
                        f"{label(d)}, {ratio:g} p_c: exponent of the giant cluster less that of the full "
                        f"box, nearest {neighbor}, n = {n[0]:.0f}..{n[-1]:.0f}",
                        0.0,
                        slopes - full,
                        f"itself {slopes.mean():.2f}; c/d = {boxes.cluster_exponent(d, True):.2f}, "
                        f"c/D = {boxes.cluster_exponent(d, False):.2f}",
                    )
                )
        whole = self._single(mine[FULL])
        if whole is not None:
            n, slopes = whole
            found.append(
                self._exponent(
                    f"{label(d)}, full box: exponent, n = {n[0]:.0f}..{n[-1]:.0f}: c/d",
                    boxes.cluster_exponent(d, True),
                    slopes,
                )
            )
        return found

    def _law_claims(self, d: int, rows: list[Row]) -> list[Claim]:
        found = []
        t = np.array(min((r["t"] for r in rows), key=len))
        stop = self.windows.ensemble_share * min(r["total"] for r in rows)
        use = (t >= self.windows.ensemble_from) & (t <= stop)
        if use.sum() < 4 or t[use][-1] / t[use][0] < 10 * (1 - 1e-9):
            return []
        for name, what in (("random", "data"), ("placed", "model")):
            loss, theory = (
                np.array([np.array(r[key])[: t.size][use] for r in rows])
                for key in (name, f"{name}_predicted")
            )
            ratio = np.exp(np.log(loss / theory).mean(axis=1))
            slopes = -fit.log_slopes(t[use], loss)
            window = f"{t[use][0]:.0f}..{t[use][-1]:.0f}"
            found.append(
                judge(
                    f"{label(d)}, p_c: {what} law over the prediction on the clusters drawn, {window}",
                    self.source,
                    1.0,
                    float(np.exp(np.log(ratio).mean())),
                    fit.seed_interval(ratio),
                    self.curve_tolerance,
                )
            )
            found.append(
                judge(
                    f"{label(d)}, p_c: {what} exponent, {window} (prediction in the same window)",
                    self.source,
                    -float(fit.log_slopes(t[use], theory).mean()),
                    float(slopes.mean()),
                    fit.seed_interval(slopes),
                    self.tolerance,
                )
            )
        return found

    def _table(self, d: int, mine: dict[float, list[Row]]) -> dict[str, Any]:
        table = []
        for ratio, rows in mine.items():
            entry: dict[str, Any] = {
                key: float(np.mean([r[key] for r in rows]))
                for key in ("largest_share", "cutoff", "loops_per_site", "largest", "total")
            }
            entry |= {"ratio": ratio, "probability": rows[0]["probability"], "n_seeds": len(rows)}
            entry["kept_share"] = float(np.mean([r["kept_share"] for r in rows]))
            entry["survival"] = np.mean([r["survival"] for r in rows], axis=0)
            entry["n_space"] = min((r["n"][: len(r.get("space", []))] for r in rows), key=len)
            for size, names in (
                ("n", ["single"]),
                ("n_space", ["space"]),
                ("t", ["random", "placed"]),
            ):
                if names[0] not in rows[0]:
                    continue
                grid = np.array(
                    min((r[size] for r in rows), key=len) if size in rows[0] else entry[size]
                )
                entry[size] = grid
                for name in [*names, *(f"{x}_predicted" for x in names if size == "t")]:
                    curves = np.array([r[name][: grid.size] for r in rows])
                    mean = fit.aggregate(np.maximum(curves, 1e-12)) if grid.size else grid
                    entry[name] = mean
                    if grid.size >= 3:
                        entry[f"{name}_local"] = fit.local_exponents(grid, smooth(mean))
            table.append(entry)
        return {
            "dimension": d,
            "label": label(d),
            "threshold": self.boxes.threshold(d),
            "sites": boxes.SURVIVAL_SIZES,
            "below": boxes.cluster_exponent(d, False),
            "above": boxes.cluster_exponent(d, True),
            "table": table,
        }


def smooth(curve: FloatArray) -> FloatArray:
    """Return a curve averaged geometrically with its neighbours, weights 1, 2, 1."""
    logs = np.log(curve)
    out = logs.copy()
    out[1:-1] = 0.25 * logs[:-2] + 0.5 * logs[1:-1] + 0.25 * logs[2:]
    return np.asarray(np.exp(out))
