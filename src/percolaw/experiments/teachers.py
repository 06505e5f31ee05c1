"""How nonlinear random teachers are: score and linear pieces against depth, width and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.claims import Claim, judge
from percolaw.rng import Streams
from percolaw.scaling import fit

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Teachers:
    """Random ReLU networks of many shapes beside linear, Fourier and Matérn teachers."""

    name: ClassVar[str] = "teachers"
    title: ClassVar[str] = "Random teachers: nonlinearity and linear pieces by depth and width"
    source: ClassVar[str] = "2025 write-up, its study of teachers; docs/theory.md"
    judged: ClassVar[tuple[str, ...]] = (
        "n_seeds",
        "threshold",
        "wide",
        "piece_tolerance",
        "exponent_tolerance",
    )
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_repeats": 5,
                "depths": (1, 4),
                "widths": (10, 100),
                "budget": 5000,
                "budget_depths": (1, 2, 4, 8),
            },
            "4 s",
            "0.6 GiB",
        ),
        "laptop": Preset({}, "65 s", "0.7 GiB"),
        "paper": Preset(
            {"n_seeds": 20, "n_repeats": 200, "n_segments": 40}, "20 min, estimated", "0.7 GiB"
        ),
    }

    n_seeds: int = 5
    """Teachers drawn of each shape."""
    dim: int = 20
    """Dimension of the inputs."""
    depths: tuple[int, ...] = (1, 2, 4, 8)
    """Hidden layers of the ReLU networks."""
    widths: tuple[int, ...] = (5, 10, 30, 100, 300)
    """Units of each hidden layer."""
    budget: int = 40_000
    """Parameters of the networks compared at fixed size."""
    budget_depths: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Their depths; the widths follow. Exponents are fitted from depth 2 on: a single layer has
    its parameters in dim * width, deeper ones in width^2."""
    n_repeats: int = 20
    """Slices of every axis in a score."""
    n_segments: int = 10
    """Random segments between two inputs on which linear pieces are counted."""
    threshold: float = 0.9
    """Vetting keeps teachers that score at most this."""
    half_width: float = 0.5
    """Inputs are uniform in +- this in every coordinate (as Sharma and Kaplan's)."""
    wide: int = 100
    """From this width on the pieces are held against the limit of infinite width."""
    piece_tolerance: float = 0.05
    """Relative deviation of the number of pieces from its limit that counts as agreement."""
    exponent_tolerance: float = 0.1
    """Deviation of the exponent of pieces against depth that counts as agreement."""

    def __post_init__(self) -> None:
        checks.integer("n_seeds", self.n_seeds, minimum=1, maximum=100_000)
        checks.integer("dim", self.dim, minimum=2)
        checks.integer("n_segments", self.n_segments, minimum=1)
        checks.real("half_width", self.half_width, minimum=1e-6)
        if sum(depth >= 2 for depth in self.budget_depths) < 2:
            raise ValueError(f"budget_depths needs two depths from 2 on; got {self.budget_depths}.")
        for depth in self.budget_depths:
            checks.integer("width within the budget", self.budget_width(depth), minimum=2)

    def budget_width(self, depth: int) -> int:
        """Return the width at which a network of this depth has about `budget` parameters."""
        from percolaw.targets.relu import ReluTeacher, n_parameters

        low, high = 1, 10 * self.budget
        while low < high:
            middle = (low + high + 1) // 2
            small = n_parameters(ReluTeacher(depth, middle), self.dim) <= self.budget
            low, high = (middle, high) if small else (low, middle - 1)
        return low

    def families(self) -> dict[str, Any]:
        """Return every family of teachers by name."""
        from percolaw.targets.fourier import FourierTeacher
        from percolaw.targets.linear import LinearTeacher
        from percolaw.targets.matern import MaternTeacher
        from percolaw.targets.relu import ReluTeacher, sharma_kaplan_teacher

        found: dict[str, Any] = {"linear": LinearTeacher()}
        shapes = [(depth, width) for depth in self.depths for width in self.widths]
        shapes += [(depth, self.budget_width(depth)) for depth in self.budget_depths]
        for depth, width in shapes:
            for biased in (True, False):
                name = f"ReLU {depth} x {width}" + ("" if biased else ", no biases")
                found[name] = ReluTeacher(depth, width, bias_scale=0.5 if biased else 0.0)
        found["Sharma-Kaplan"] = sharma_kaplan_teacher()
        for high in (1.0, 4.0, 16.0):
            found[f"Fourier, |k| <= {high:g}"] = FourierTeacher(low=0.0, high=high)
        for nu in (0.5, 1.5, 2.5):
            found[f"Matérn {nu:g}"] = MaternTeacher(nu, n_features=1024)
        return found

    def cells(self) -> list[Cell]:
        """A unit is a family and a seed."""
        return [
            {"family": name, "seed": seed}
            for name in self.families()
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Draw a teacher, score it, and count the pieces of a ReLU network along segments."""
        from percolaw.targets.nonlinearity import nonlinearity
        from percolaw.targets.relu import (
            ReluTeacher,
            expected_linear_pieces,
            linear_pieces,
            n_parameters,
        )

        family = self.families()[cell["family"]]
        streams = Streams(cell["seed"])
        teacher = family.sample(self.dim, streams)
        h = self.half_width
        score = nonlinearity(teacher, self.dim, streams, n_repeats=self.n_repeats, low=-h, high=h)
        row: Row = {**cell, "score": score.score, "standard_error": score.standard_error}
        if isinstance(family, ReluTeacher):
            layers = family.layers(self.dim, streams)
            ends = streams.generator("evaluation", 1).uniform(-h, h, (self.n_segments, 2, self.dim))
            zero = np.zeros(self.dim)
            row |= {
                "depth": family.depth,
                "width": family.width,
                "biased": family.bias_scale > 0.0,
                "parameters": n_parameters(family, self.dim),
                "pieces": float(np.mean([linear_pieces(layers, a, b) for a, b in ends])),
                "expected_pieces": float(
                    np.mean([expected_linear_pieces(family, a, b) for a, b in ends])
                ),
                "ray_pieces": float(np.mean([linear_pieces(layers, zero, b) for _, b in ends])),
            }
        return [row]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold scores and pieces against what is known of them."""
        table = []
        for name in dict.fromkeys(r["family"] for r in rows):
            found = [r for r in rows if r["family"] == name]
            entry: dict[str, Any] = {"family": name, "passed": 0.0}
            score = np.array([r["score"] for r in found])
            entry["score"], entry["score_interval"] = score.mean(), fit.seed_interval(score)
            entry["passed"] = float(np.mean(score <= self.threshold))
            for key in ("depth", "width", "biased", "parameters"):
                if key in found[0]:
                    entry[key] = found[0][key]
            if "pieces" in found[0]:
                pieces = np.array([r["pieces"] for r in found])
                entry["pieces"], entry["pieces_interval"] = pieces.mean(), fit.seed_interval(pieces)
                entry["expected_pieces"] = np.mean([r["expected_pieces"] for r in found])
            table.append(entry)
        claims = [self._linear(rows), self._rays(rows), self._pieces(rows), self._budget(rows)]
        return Conclusion(
            tuple(claims),
            {
                "teachers": table,
                "n_seeds": self.n_seeds,
                "threshold": self.threshold,
                "budget_widths": {str(d): self.budget_width(d) for d in self.budget_depths},
            },
        )

    def _linear(self, rows: list[Row]) -> Claim:
        score = np.array([r["score"] for r in rows if r["family"] == "linear"])
        return judge(
            "score of linear teachers",
            "definition",
            1.0,
            float(score.mean()),
            (float(score.min()), float(score.max())),
            1e-9,
        )

    def _rays(self, rows: list[Row]) -> Claim:
        """Without biases a network is linear on every ray from the origin: one piece."""
        found = [r["ray_pieces"] for r in rows if r.get("biased") is False]
        return judge(
            "linear pieces of networks without biases on rays from the origin",
            "homogeneous of degree 1",
            1.0,
            float(np.mean(found)),
            (float(np.min(found)), float(np.max(found))),
            1e-9,
            "not generic: such a teacher knows only directions",
        )

    def _pieces(self, rows: list[Row]) -> Claim:
        """Pieces of wide networks over their expected number at infinite width."""
        wide = [r for r in rows if r.get("width", 0) >= self.wide]
        ratio = np.array(
            [
                np.mean(
                    [(r["pieces"] - 1) / (r["expected_pieces"] - 1) for r in wide if r["seed"] == s]
                )
                for s in dict.fromkeys(r["seed"] for r in wide)
            ]
        )
        return judge(
            f"changes of slope along a segment, width >= {self.wide}, over the Rice formula",
            "docs/theory.md",
            1.0,
            float(ratio.mean()),
            fit.seed_interval(ratio),
            self.piece_tolerance,
        )

    def _budget(self, rows: list[Row]) -> Claim:
        """Exponent of pieces against depth at fixed parameters, with the formula's own."""
        depths = [d for d in self.budget_depths if d >= 2]
        width = {d: self.budget_width(d) for d in depths}
        found = [
            r
            for r in rows
            if r.get("biased")
            and r["width"] == width.get(r["depth"])
            and not r["family"].startswith("Sharma")
        ]

        def slope(key: str, seed: int) -> float:
            pieces = {r["depth"]: r[key] for r in found if r["seed"] == seed}
            return float(np.polyfit(np.log(depths), np.log([pieces[d] for d in depths]), 1)[0])

        seeds = list(dict.fromkeys(r["seed"] for r in found))
        measured = np.array([slope("pieces", s) for s in seeds])
        predicted = float(np.mean([slope("expected_pieces", s) for s in seeds]))
        return judge(
            f"exponent of linear pieces against depth >= 2, about {self.budget} parameters",
            "docs/theory.md",
            predicted,
            float(measured.mean()),
            fit.seed_interval(measured),
            self.exponent_tolerance,
            "with biases pieces per unit fall with depth; the write-up expects fast growth",
        )
