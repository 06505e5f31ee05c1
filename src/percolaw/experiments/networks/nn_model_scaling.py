"""Model scaling of trained networks in the limit of infinite data, with budgets that grow."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from percolaw.datasets.sources import Source, parse_source
from percolaw.experiments import claims
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row
from percolaw.experiments.fields import JUDGED, Range, Rising, Seeds, Tolerance, check
from percolaw.experiments.networks import (
    budget_claims,
    convergence,
    neural,
    neural_scaling,
    rate_transfer,
)
from percolaw.experiments.networks.budget_grid import budget_grid
from percolaw.experiments.networks.budget_plots import budget_plots
from percolaw.experiments.networks.endless_data import N_WAVES, EndlessData, endless_data
from percolaw.experiments.networks.model_scaling_presets import PRESETS, SETTINGS, TEACHERS
from percolaw.experiments.networks.neural_scaling import Scaling
from percolaw.neural.config import Training
from percolaw.neural.network import Network, n_parameters, training_flops
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.relu import ReluTeacher
from percolaw.targets.teacher import TeacherFamily

#: Order of approximation that piecewise linear functions have at most (Sharma and Kaplan 2022).
PIECEWISE_LINEAR = 4.0
#: Waves that must carry what is not learned yet of a field made of waves.
LEAST_WAVES = 10.0


@dataclass(frozen=True)
class NnModelScaling(NeedsTorch):
    """Test loss of networks against their number of parameters, on endless data of known dimension."""

    name: ClassVar[str] = "nn-model-scaling"
    title: ClassVar[str] = (
        "Model scaling of neural networks on endless data: exponent c/D in parameters"
    )
    source: ClassVar[str] = "Sharma and Kaplan (2022); docs/neural.md"
    presets: ClassVar[dict[str, Preset]] = PRESETS

    n_seeds: Seeds = 5
    """Independent streams of points, teachers and students of each setting."""
    widths: Annotated[tuple[int, ...], Rising(3)] = (4, 6, 8, 12, 16, 24, 32, 48)
    """Units of a layer."""
    depth: int = 3
    """Hidden layers, or blocks."""
    other_depths: Annotated[tuple[int, ...], JUDGED] = ()
    """Further depths, on the same points, whose exponents are held against that of `depth`."""
    architecture: neural.Architecture = "mlp"
    """mlp, residual (MLP), or transformer."""
    n_validation: Annotated[int, Range(1)] = 1000
    """Points that choose the weights kept."""
    n_test: Annotated[int, Range(1)] = 4000
    """Points on which the loss is measured."""
    settings: Annotated[tuple[Source, ...], JUDGED] = SETTINGS
    """Points: 'cluster d = 16', 'finite cluster d = 16', 'cube 4', 'masked cube 4', ..."""
    teachers: tuple[TeacherFamily, ...] = TEACHERS
    """Teachers on every setting."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01, steps=3000, patience=100_000
    )
    """How students are trained; its steps are those of the smallest network with a budget of 1."""
    budgets: Annotated[tuple[float, ...], Range(1e-6)] = (1.0,)
    """Multiples of the steps, all tried at every width; each but the first twice the one before. With one
    only, a doubled budget is tried by one seed at the middle and the largest width."""
    growth: Annotated[float, Range(0.0, 2.0)] = 0.0
    """Steps grow with the inner parameters P like P^growth."""
    most_points: Annotated[int, Range(0)] = 0
    """Points of a seed learned from at most; longer budgets see each again, in a new order, once all were
    seen. 0: a new point in every step."""
    seeds_together: Annotated[int, Range(1), JUDGED] = 1
    """Seeds that are trained as one batch: faster, in larger units."""
    rates: Annotated[tuple[float, ...], Range(1e-30)] = ()
    """Learning rates compared at the smallest, middle and largest width; none to leave it out."""
    rate_budget: Annotated[float, Range(1e-6)] = 1 / 16
    """Multiple of the steps with which rates are compared."""
    fit_from: Annotated[int, Range(1), JUDGED] = 40
    """Numbers of inner parameters (all but the weights of coordinates, which grow with the embedding
    dimension and not with D) below which nothing is fitted."""
    n_extrapolated: Annotated[int, Range(4), JUDGED] = 5
    """Budgets, the largest ones, from which losses are extrapolated to endless training."""
    tolerance: Tolerance = 0.15
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""

    def __post_init__(self) -> None:
        check(self)
        neural.check_sources("settings", self.settings)
        neural.check_names("teachers", self.teachers)
        for depth in self.depths():
            for width in self.widths:
                neural.student_network(self.architecture, depth, width)
        pairs = zip(self.budgets, self.budgets[1:], strict=False)
        if not self.budgets or any(not math.isclose(b, 2.0 * a) for a, b in pairs):
            raise ValueError(
                f"budgets must double, as (0.25, 0.5, 1, 2) do, one at least; got {self.budgets}."
            )
        if 1 < len(self.budgets) < self.n_extrapolated:
            raise ValueError(
                f"budgets must be one or at least n_extrapolated = {self.n_extrapolated}; got "
                f"{len(self.budgets)}."
            )
        if self.rates and (len(self.rates) < 3 or list(self.rates) != sorted(set(self.rates))):
            raise ValueError(f"rates must rise, three at least or none; got {self.rates}.")

    def depths(self) -> tuple[int, ...]:
        """Return all depths, `depth` first."""
        return tuple(dict.fromkeys((self.depth, *self.other_depths)))

    def cells(self) -> list[Cell]:
        """A unit is a setting, a depth and some seeds; or a doubled budget, or all rates, on one."""
        groups = [
            [*range(low, min(low + self.seeds_together, self.n_seeds))]
            for low in range(0, self.n_seeds, self.seeds_together)
        ]
        cells: list[Cell] = []
        for source in self.settings:
            for depth in self.depths():
                place = {"points": source.word, "depth": depth}
                cells += [{"kind": "train", **place, "seeds": seeds} for seeds in groups]
                if len(self.budgets) == 1:
                    cells.append({"kind": "doubled", **place, "seeds": [neural.DOUBLED_SEED]})
            if self.rates:
                place = {"points": source.word, "depth": self.depth}
                cells += [{"kind": "rates", **place, "seeds": seeds} for seeds in groups]
        return cells

    def doubled_widths(self) -> list[int]:
        """Return the widths whose only budget is also doubled: the largest and the middle one."""
        return sorted({self.widths[len(self.widths) // 2], self.widths[-1]})

    def measure(self, cell: Cell) -> list[Row]:
        """Train all widths and budgets, seeds and teachers as one batch; one row a student."""
        data = self._data(cell)
        rows = []
        for width, budget in self._trainings(cell["kind"]):
            network = neural.student_network(self.architecture, cell["depth"], width)
            training = self._training(network, budget)
            if cell["kind"] == "doubled":
                training = training.doubled()
            n_train = training.steps * training.batch_size
            rates = self.rates if cell["kind"] == "rates" else (None,)
            students, test = data.students(n_train, rates)
            _, batch = neural.train_and_test(network, data.x, data.y, students, training, test)
            shared = {k: v for k, v in cell.items() if k != "seeds"} | {
                "width": width,
                "n_parameters": n_parameters(network, data.x.shape[1]),
                "n_inner": _n_inner_parameters(network),
                "budget": budget,
                "flops": n_train * training_flops(network, data.x.shape[1]),
            }
            for row, student in zip(batch, students, strict=True):
                teacher = self.teachers[student.target].word
                one = {**shared, "seed": student.seed, "teacher": teacher, **row}
                rows.append(
                    one | {"rate": student.learning_rate} if cell["kind"] == "rates" else one
                )
        return rows

    def _trainings(self, kind: str) -> Iterator[tuple[int, float]]:
        """Widths and budgets that a unit trains."""
        if kind == "rates":
            middle = self.widths[len(self.widths) // 2]
            yield from ((w, self.rate_budget) for w in (self.widths[0], middle, self.widths[-1]))
        elif kind == "doubled":
            yield from ((width, self.budgets[0]) for width in self.doubled_widths())
        else:
            yield from ((width, budget) for width in self.widths for budget in self.budgets)

    def _training(self, network: Network, budget: float) -> Training:
        """The training of a network with a budget: steps x budget x (P / P of the smallest)^growth."""
        smallest = neural.student_network(self.architecture, self.depth, self.widths[0])
        growth = (_n_inner_parameters(network) / _n_inner_parameters(smallest)) ** self.growth
        steps = math.floor(self.training.steps * budget * growth + 0.5)
        return replace(self.training, steps=max(1, steps))

    def _n_points(self, kind: str, depth: int) -> int:
        """Points of a seed that a unit learns from: one for every step, or `most_points`."""
        longest = max(
            self._training(neural.student_network(self.architecture, depth, width), budget).steps
            for width, budget in self._trainings(kind)
        )
        n = longest * self.training.batch_size * (2 if kind == "doubled" else 1)
        return min(n, self.most_points) if self.most_points else n

    def _data(self, cell: Cell) -> EndlessData:
        """The points of a unit, all of them in memory: the one place where they come from."""
        kind, depth = cell["kind"], cell["depth"]
        n_train, held = self._n_points(kind, depth), self.n_validation + self.n_test
        fixed = len(self.budgets) == 1 and kind != "rates"
        # Always as many points as the doubled budget needs, where there is one: of a finite cluster,
        # another number would be other points.
        n_drawn = held + (self._n_points("doubled", depth) if fixed else n_train)
        n_sized = held + (self._n_points("train", depth) if fixed else n_train)
        return endless_data(
            parse_source(cell["points"]),
            self.teachers,
            cell["seeds"],
            n_train=n_train,
            n_drawn=n_drawn,
            n_sized=n_sized,
            n_validation=self.n_validation,
            n_test=self.n_test,
        )

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold every exponent in the number of parameters against c/D."""
        scalings = [
            self._scaling(source, target, depth, rows)
            for depth in self.depths()
            for source in self.settings
            for target in self.teachers
        ]
        mine = [s for s in scalings if s.depth == self.depth]
        title = f"Networks, model scaling, {self.n_seeds} seeds"
        drawn = [
            neural_scaling.exponents_plot(self.name, title, mine),
            *neural_scaling.curves_plots(self.name, "parameters P beyond the first weights", mine),
            *budget_plots(self.name, scalings),
        ]
        every = [claim for one in scalings for claim in one.claims]
        for other in self.other_depths:
            for one in scalings:
                if one.depth == other:
                    (base,) = (s for s in mine if (s.source, s.target) == (one.source, one.target))
                    every.append(
                        budget_claims.depth_claim(base, one, self._window(), self.tolerance)
                    )
        if self.rates:
            tried = [r for r in rows if r["kind"] == "rates"]
            rate = self.training.learning_rate
            every += rate_transfer.rate_claims(tried, self.rates, rate, self.architecture)
            drawn.append(rate_transfer.rate_plot(self.name, tried, self.rates))
        return Conclusion(tuple(every), {"gaps": neural_scaling.gap_table(scalings)}, tuple(drawn))

    def _window(self) -> tuple[float, float]:
        return float(self.fit_from), math.inf

    def _scaling(
        self, source: Source, target: TeacherFamily, depth: int, rows: list[Row]
    ) -> Scaling:
        """Claims on one curve: c/D, and of ReLU teachers 4/D; and on the grid of its budgets."""
        rows = [r for r in rows if r["depth"] == depth]
        measured, doubled = convergence.trained_and_doubled(rows, source, target)
        predicted = neural.predicted_exponent(source, target, PIECEWISE_LINEAR)
        fastest = PIECEWISE_LINEAR / neural.known_dimension(source)
        orders = [] if predicted is None else [("c/D", "docs/theory.md, 9", predicted)]
        if isinstance(target, ReluTeacher):  # their claim is for every teacher of theirs
            orders.append(("4/D", "Sharma and Kaplan (2022)", fastest))
        # Below this a field of waves is a handful of them, and smooth.
        waves = LEAST_WAVES / N_WAVES if isinstance(target, MaternTeacher) else 0.0
        grid = None
        if len(self.budgets) > 1:
            grid = budget_grid(measured, self.n_extrapolated, waves)
            before, measured = (
                [r for r in measured if r["budget"] == budget] for budget in self.budgets[-2:]
            )
            gap = convergence.gaps(before, measured, "n_inner")
        else:
            gap = convergence.gaps(measured, doubled, "n_inner")
        shift = self.tolerance * (predicted or fastest)
        largest = max(r["n_inner"] for r in measured)
        allowed = convergence.allowed_gap(largest, self.fit_from, shift)
        whole = convergence.losses(measured, "n_inner")
        curve = convergence.steady_part(whole, gap, allowed, waves)
        line = curve.fit(self._window())
        local = ", ".join(f"{v:.2f}" for v in curve.local() if math.isfinite(v))
        place = (
            f"{source}, {target}" if depth == self.depth else f"{source}, depth {depth}, {target}"
        )
        about = {"source": source.label, "target": target.label, "learner": self.architecture}
        every = [
            claims.exponent(
                f"{place}: exponent {text} in parameters",
                origin,
                value,
                line,
                self.tolerance * value,
                convergence.fit_note(line, f"local exponents {local}", curve),
                about,
                rough=convergence.rough_exponent(curve),
            )
            for text, origin, value in orders
        ]
        scaling = Scaling(
            source, target, curve, line, predicted, tuple(every), gap, depth=depth, grid=grid
        )
        if grid is None:
            return scaling
        more = budget_claims.grid_claims(
            scaling, place, orders, about, self._window(), self.tolerance, fastest
        )
        return replace(scaling, claims=(*every, *more))


def _n_inner_parameters(network: Network) -> int:
    """The parameters beside those whose number grows with the columns of the inputs."""
    grow = ("weight 0", "position")
    return sum(p.size for name, p in network.parameters(1).items() if name not in grow)
