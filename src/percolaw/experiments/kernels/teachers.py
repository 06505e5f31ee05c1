"""How nonlinear random teachers are: score and linear pieces against depth, width and parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw import checks
from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row, units
from percolaw.experiments.claims import Claim
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance
from percolaw.experiments.series import Series, Stored
from percolaw.rng import Streams
from percolaw.scaling import intervals
from percolaw.targets.fourier import FourierTeacher
from percolaw.targets.linear import LinearTeacher
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.nonlinearity import nonlinearity
from percolaw.targets.relu import (
    ReluTeacher,
    expected_linear_pieces,
    linear_pieces,
    n_parameters,
    sharma_kaplan_teacher,
)
from percolaw.targets.teacher import TeacherFamily

#: The published family of teachers, in rows and figures.
SHARMA_KAPLAN = "Sharma-Kaplan"
PIECES = "linear pieces on a segment"


@dataclass(frozen=True)
class Teachers:
    """Random ReLU networks of many shapes beside linear, Fourier and Matérn teachers."""

    name: ClassVar[str] = "teachers"
    title: ClassVar[str] = "Random teachers: nonlinearity and linear pieces by depth and width"
    source: ClassVar[str] = "2025 write-up, its study of teachers; docs/theory.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_repeats": 2,
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

    n_seeds: Seeds = 5
    """Teachers drawn of each shape."""
    dim: Annotated[int, Range(2)] = 20
    """Dimension of the inputs."""
    depths: Annotated[tuple[int, ...], Range(1)] = (1, 2, 4, 8)
    """Hidden layers of the ReLU networks."""
    widths: Annotated[tuple[int, ...], Range(1), Bytes(8.0)] = (5, 10, 30, 100, 300)
    """Units of each hidden layer."""
    budget: Annotated[int, Range(1), Bytes(8.0)] = 40_000
    """Parameters of the networks compared at fixed size."""
    budget_depths: Annotated[tuple[int, ...], Range(1)] = (1, 2, 4, 8, 16)
    """Their depths; the widths follow. Exponents are fitted from depth 2 on: a single layer has
    its parameters in dim * width, deeper ones in width^2."""
    n_repeats: Annotated[int, Range(1)] = 20
    """Slices of every axis in a score."""
    n_segments: Annotated[int, Range(1)] = 10
    """Random segments between two inputs on which linear pieces are counted."""
    threshold: Annotated[float, JUDGED] = 0.9
    """Vetting keeps teachers that score at most this."""
    half_width: Annotated[float, Range(1e-6)] = 0.5
    """Inputs are uniform in +- this in every coordinate (as Sharma and Kaplan's)."""
    wide: Annotated[int, Range(1), JUDGED] = 100
    """From this width on the pieces are held against the limit of infinite width."""
    piece_tolerance: Tolerance = 0.05
    """Relative deviation of the number of pieces from its limit that counts as agreement."""
    exponent_tolerance: Tolerance = 0.1
    """Deviation of the exponent of pieces against depth that counts as agreement."""

    def __post_init__(self) -> None:
        fields.check(self)
        if sum(depth >= 2 for depth in self.budget_depths) < 2:
            raise ValueError(f"budget_depths needs two depths from 2 on; got {self.budget_depths}.")
        for depth in self.budget_depths:
            checks.integer("width within the budget", self.budget_width(depth), minimum=2)

    def budget_width(self, depth: int) -> int:
        """Return the width at which a network of this depth has about `budget` parameters."""
        low, high = 1, 10 * self.budget
        while low < high:
            middle = (low + high + 1) // 2
            small = n_parameters(ReluTeacher(depth, middle), self.dim) <= self.budget
            low, high = (middle, high) if small else (low, middle - 1)
        return low

    def families(self) -> dict[str, TeacherFamily]:
        """Return every family of teachers by name."""
        by_name: dict[str, TeacherFamily] = {"linear": LinearTeacher()}
        shapes = [(depth, width) for depth in self.depths for width in self.widths]
        shapes += [(depth, self.budget_width(depth)) for depth in self.budget_depths]
        for depth, width in shapes:
            for biased in (True, False):
                name = f"ReLU {depth} x {width}" + ("" if biased else ", no biases")
                by_name[name] = ReluTeacher(depth, width, bias_scale=0.5 if biased else 0.0)
        by_name[SHARMA_KAPLAN] = sharma_kaplan_teacher()
        for high in (1.0, 4.0, 16.0):
            by_name[f"Fourier, |k| <= {high:g}"] = FourierTeacher(low=0.0, high=high)
        for nu in (0.5, 1.5, 2.5):
            by_name[f"Matérn {nu:g}"] = MaternTeacher(nu, n_features=1024)
        return by_name

    def cells(self) -> list[Cell]:
        """A unit is a family and a seed."""
        return units(family=self.families(), seed=range(self.n_seeds))

    def measure(self, cell: Cell) -> list[Row]:
        """Draw a teacher, score it, and count the pieces of a ReLU network along segments."""
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
        of: dict[str, list[Row]] = {}
        for row in rows:
            of.setdefault(row["family"], []).append(row)
        networks = {
            name: family
            for name, family in self.families().items()
            if name in of and isinstance(family, ReluTeacher) and name != SHARMA_KAPLAN
        }
        budget = {d: self.budget_width(d) for d in self.budget_depths}
        fixed = {n: f for n, f in networks.items() if f.width == budget.get(f.depth)}
        grid = {n: f for n, f in networks.items() if n not in fixed and f.bias_scale > 0.0}
        exponent = self._budget(
            {f.depth: of[n] for n, f in fixed.items() if f.bias_scale > 0.0 and f.depth >= 2}
        )
        every = (self._linear(of["linear"]), self._rays(rows), self._pieces(rows), exponent)
        tables = {
            "teachers": [self._summary(name, part) for name, part in of.items()],
            "shown": [name for name in of if name in fixed or name not in networks],
            "n_seeds": self.n_seeds,
            "threshold": self.threshold,
        }
        by_depth: dict[int, dict[int, list[Row]]] = {}
        for name, family in grid.items():
            by_depth.setdefault(family.depth, {})[family.width] = of[name]
        by_biases: dict[str, dict[int, list[Row]]] = {}
        for name, family in fixed.items():
            label = "biases" if family.bias_scale > 0.0 else "no biases"
            by_biases.setdefault(label, {})[family.depth] = of[name]
        width = {f"depth {depth}": by_depth[depth] for depth in sorted(by_depth)}
        shown = (*width_plots(width), _depth_plot(by_biases, exponent, self.budget))
        return Conclusion(every, tables, shown)

    def _summary(self, name: str, rows: list[Row]) -> dict[str, Any]:
        """Score of a family, and how many of it pass the vetting."""
        score = np.array([r["score"] for r in rows])
        return {
            "family": name,
            "passed": float(np.mean(score <= self.threshold)),
            "score": score.mean(),
            "score_interval": intervals.seed_interval(score),
        }

    def _linear(self, rows: list[Row]) -> Claim:
        score = np.array([r["score"] for r in rows])
        return claims.judge(
            "score of linear teachers",
            "definition",
            1.0,
            float(score.mean()),
            (float(score.min()), float(score.max())),
            1e-9,
            about={"target": "linear", "quantity": "score"},
        )

    def _rays(self, rows: list[Row]) -> Claim:
        """Without biases a network is linear on every ray from the origin: one piece."""
        pieces = [r["ray_pieces"] for r in rows if r.get("biased") is False]
        return claims.judge(
            "linear pieces of networks without biases on rays from the origin",
            "homogeneous of degree 1",
            1.0,
            float(np.mean(pieces)),
            (float(np.min(pieces)), float(np.max(pieces))),
            1e-9,
            "not generic: such a teacher knows only directions",
            {"target": "ReLU, no biases", "quantity": "pieces on rays"},
        )

    def _pieces(self, rows: list[Row]) -> Claim:
        """Pieces of networks of great width over their expected number at infinite width."""
        broad = [r for r in rows if r.get("width", 0) >= self.wide]
        ratio = [
            np.mean(
                [(r["pieces"] - 1) / (r["expected_pieces"] - 1) for r in broad if r["seed"] == s]
            )
            for s in dict.fromkeys(r["seed"] for r in broad)
        ]
        return claims.mean(
            f"changes of slope along a segment, width >= {self.wide}, over the Rice formula",
            "docs/theory.md",
            1.0,
            ratio,
            self.piece_tolerance,
            about={"target": "ReLU", "quantity": "changes of slope"},
        )

    def _budget(self, of_depth: dict[int, list[Row]]) -> Claim:
        """Exponent of pieces against depth at fixed parameters, with the formula's own."""
        depths = list(of_depth)

        def slopes(key: str) -> list[float]:
            by_seed = zip(*([r[key] for r in rows] for rows in of_depth.values()), strict=True)
            return [float(np.polyfit(np.log(depths), np.log(pieces), 1)[0]) for pieces in by_seed]

        return claims.mean(
            f"exponent of linear pieces against depth >= 2, about {self.budget} parameters",
            "docs/theory.md",
            float(np.mean(slopes("expected_pieces"))),
            slopes("pieces"),
            self.exponent_tolerance,
            "with biases pieces per unit fall with depth; the write-up expects fast growth",
            {"target": "ReLU", "quantity": "exponent"},
        )


def _over_seeds(name: str, of_size: dict[int, list[Row]], key: str, **more: Any) -> Series:
    """A number of each network against its width or depth, with its interval over seeds."""
    values = [[r[key] for r in of_size[size]] for size in sorted(of_size)]
    return plots.seed_means(name, sorted(of_size), values, **more)


def _with_formula(
    name: str, of_size: dict[int, list[Row]], stored: tuple[Stored, ...] = ()
) -> list[Series]:
    """Pieces counted, and the Rice formula as their prediction."""
    formula = f"{name}, Rice formula"
    expected = [np.mean([r["expected_pieces"] for r in of_size[s]]) for s in sorted(of_size)]
    return [
        _over_seeds(name, of_size, "pieces", prediction=formula, group=name, stored=stored),
        plots.line(formula, "theory", sorted(of_size), expected, group=name),
    ]


def width_plots(by_depth: dict[str, dict[int, list[Row]]]) -> tuple[plots.Plot, ...]:
    """Return score and linear pieces of networks with biases by width, one curve a depth."""
    score = plots.log_linear(
        "teachers-score",
        "Nonlinearity of ReLU networks with biases",
        "Score of nonlinearity against width, one curve a depth; deeper networks are less linear.",
        ("width", "score (1 = linear)"),
        [_over_seeds(name, of_width, "score") for name, of_width in by_depth.items()],
        figure="teachers",
    )
    pieces = plots.log_log(
        "teachers-pieces",
        "Linear pieces by width",
        "Linear pieces on a segment rise with width along the Rice formula, one curve a depth.",
        ("width", PIECES),
        [one for name, of_width in by_depth.items() for one in _with_formula(name, of_width)],
        growth=True,
        figure="teachers",
    )
    return score, pieces


def _depth_plot(
    by_biases: dict[str, dict[int, list[Row]]], exponent: Claim, budget: int
) -> plots.Plot:
    """Linear pieces by depth at a fixed number of parameters, with and without biases."""
    series = []
    for label, of_depth in by_biases.items():
        stored = (Stored.of(exponent),) if label == "biases" else ()
        series += _with_formula(label, of_depth, stored)
    return plots.log_log(
        "teachers-budget",
        f"Linear pieces by depth at about {budget} parameters",
        "Linear pieces on a segment against depth at a fixed number of parameters, "
        "with and without biases.",
        ("depth", PIECES),
        series,
        growth=True,
        figure="teachers",
    )
