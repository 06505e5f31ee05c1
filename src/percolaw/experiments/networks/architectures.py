"""One data set, several architectures: do MLPs, residual MLPs and transformers see the transition?

Every architecture learns the same points and teachers at the percolation threshold and above it. A
transformer reads a point as a sequence of tokens, one a coordinate; or as the digits of its coordinates,
token ids that say nothing of how near two points are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import checks
from percolaw.datasets.sources import InfiniteCluster, LatticeCluster, Source, parse_source
from percolaw.experiments.base import Cell, Conclusion, NeedsTorch, Preset, Row
from percolaw.experiments.fields import JUDGED, Bytes, Range, Seeds, Tolerance, check
from percolaw.experiments.networks import architecture_claims, neural
from percolaw.neural.config import Training
from percolaw.neural.mlp import MLP
from percolaw.neural.network import Network, n_parameters
from percolaw.neural.transformer import Transformer
from percolaw.scaling import fit
from percolaw.targets.families import parse_target
from percolaw.targets.matern import MaternTeacher
from percolaw.targets.teacher import TeacherFamily

FloatArray = npt.NDArray[np.float64]
#: ``tokens`` is a transformer that reads digits.
Architecture: TypeAlias = Literal["mlp", "residual", "transformer", "tokens"]
#: Digits of a coordinate, and their base: 64 places along an axis.
N_DIGITS, BASE = 2, 8
#: Tokens of a point, at most: coordinates are shared out evenly, one a token up to 4.
TOKENS = 4
#: Ridges of the kernels, in units of their mean diagonal; validation points choose.
RIDGES = (0.0, 1e-4, 1e-3, 1e-2)
THROUGH = (LatticeCluster(3), LatticeCluster(3, 1.3))


@dataclass(frozen=True)
class Architectures(NeedsTorch):
    """Test loss of several architectures on the same points, at the threshold and above it."""

    name: ClassVar[str] = "architectures"
    title: ClassVar[str] = "Architectures through the percolation transition"
    source: ClassVar[str] = "docs/neural.md, Architectures; docs/theory.md, 9"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "architectures": ("mlp", "transformer"),
                "settings": THROUGH,
                "model_settings": (),
                "token_settings": (),
                "smallest": 20,
                "largest": 200,
                "n_sizes": 4,
                "fit_from": 20,
                "n_validation": 100,
                "n_test": 100,
                "width": 32,
                "transformer_width": 8,
                "transformer_rate": 0.01,
                "kernel_seeds": 1,
                "training": Training(
                    learning_rate=0.01, steps=120, batch_size=32, evaluate_every=40, patience=3
                ),
            },
            "15 s",
            "0.9 GiB",
        ),
        "laptop": Preset({}, "13 min", "1.5 GiB"),
        "gpu": Preset(
            {
                "architectures": ("mlp", "residual", "transformer"),
                "settings": (*THROUGH, LatticeCluster(4), LatticeCluster(4, 1.3)),
                "token_settings": (),
                "model_settings": (),
                "largest": 4000,
                "width": 128,
                "transformer_width": 64,
                "kernel_width": 128,
                "kernel_seeds": 2,
                "training": Training(learning_rate=0.01, steps=3000, batch_size=256),
            },
            # 42 times 3000 steps of 3 ms (transformers and their controls), 63 times of .5 ms, kernels
            "9 min, estimated",
            "8 GiB",
        ),
        "gpu-session": Preset(
            {
                "n_seeds": 3,
                "architectures": ("mlp", "transformer"),
                "token_settings": (),
                "model_settings": (),
                "settings": THROUGH,
                "largest": 2000,
                "width": 128,
                "transformer_width": 64,
                "kernel_width": 128,
                "training": Training(learning_rate=0.01, steps=1000, batch_size=256),
            },
            # 20 times 1000 steps of 3 ms, 15 times of .5 ms
            "2 min, estimated",
            "4 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent samples, teachers and students."""
    architectures: Annotated[tuple[Architecture, ...], JUDGED] = (
        "mlp",
        "residual",
        "transformer",
        "tokens",
    )
    """mlp, residual (MLP), transformer (a token a coordinate), tokens (a transformer of digits); the
    first is what others are held against."""
    settings: Annotated[tuple[Source, ...], JUDGED] = (*THROUGH, InfiniteCluster(8))
    """Points; a lattice at p_c followed by the same one above it is a transition."""
    token_settings: Annotated[tuple[Source, ...], JUDGED] = THROUGH
    """Points that are also read as digits."""
    model_settings: Annotated[tuple[Source, ...], JUDGED] = THROUGH
    """Points on which networks of several widths are trained."""
    teacher: TeacherFamily = MaternTeacher(0.5)
    """What is learned; of finite order."""
    smallest: Annotated[int, Range(5)] = 30
    """Smallest number of training points."""
    largest: Annotated[int, Range(1), Bytes(44.0)] = 1200
    """Largest number of training points."""
    n_sizes: Annotated[int, Range(3)] = 5
    """Training sizes, geometric."""
    n_validation: Annotated[int, Range(1)] = 500
    """Points that stop the training, choose the weights kept, and the ridge of kernels."""
    n_test: Annotated[int, Range(1)] = 1000
    """Points on which the loss is measured."""
    width: Annotated[int, Range(1)] = 64
    """Units of a layer of the MLPs, which have three hidden layers."""
    transformer_width: Annotated[int, Range(1)] = 16
    """Width of the transformers, which have two blocks of 4 heads and at most
    `TOKENS` tokens a point."""
    widths: tuple[int, ...] = (4, 8, 16)
    """Widths of model scaling; transformers need multiples of 4."""
    model_steps: Annotated[int, Range(1)] = 1200
    """Training steps of model scaling."""
    model_points: Annotated[int, Range(100)] = 8000
    """Training points of model scaling, in place of endless ones."""
    kernel_width: Annotated[int, Range(1)] = 32
    """Width at which the tangent kernel of the residual MLP is measured."""
    kernel_seeds: Annotated[int, Range(1)] = 1
    """Initialisations over which measured tangent kernels are averaged; the first is the student's."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01, steps=3600, batch_size=64
    )
    """How students are trained."""
    transformer_rate: Annotated[float, Range(0.0)] = 0.003
    """Learning rate of transformers, in place of that of MLPs."""
    fit_from: Annotated[int, Range(1), JUDGED] = 75
    """Sizes below are left out of the fits."""
    model_fit_from: Annotated[int, Range(1), JUDGED] = 40
    """Numbers of inner parameters below which nothing is fitted."""
    tolerance: Tolerance = 0.15
    """Deviation of an exponent, relative to the prediction, that counts as agreement."""
    shift_tolerance: Tolerance = 0.5
    """The same of the change of an exponent through the transition."""

    def __post_init__(self) -> None:
        check(self)
        neural.check_names("architectures", self.architectures)
        neural.check_sources("settings", self.settings)
        checks.integer("largest", self.largest, minimum=10 * self.smallest)
        if not np.isfinite(self.teacher.approximation_order):
            raise ValueError(f"teacher must have a finite order; got {self.teacher}.")
        for source in (*self.token_settings, *self.model_settings):
            if source not in self.settings:
                raise ValueError(f"{source} must be one of settings too, to be compared.")
        for name, width in itertools.product(self.architectures, (self.width, *self.widths)):
            if name in ("transformer", "tokens"):
                width = self.transformer_width if width == self.width else width
            student(name, width, TOKENS)

    def sizes(self) -> list[int]:
        """Return the training sizes."""
        return fit.geometric(self.smallest, self.largest, self.n_sizes).tolist()

    def tasks(self) -> list[dict[str, Any]]:
        """Return what is measured over seeds: data scaling, its controls, and model scaling."""
        data = [
            {"task": "data", "architecture": name, "points": source.word}
            for source in self.settings
            for name in self.architectures
            if name != "tokens" or source in self.token_settings
        ]
        first = self.settings[0].word
        controls = [
            {"task": task, "architecture": name, "points": first}
            for task, names in (
                ("shuffled", ("mlp", "transformer")),
                ("permuted", ("transformer",)),
            )
            for name in names
            if name in self.architectures
        ]
        model = [
            {"task": "model", "architecture": name, "points": source.word}
            for source in self.model_settings
            for name in self.architectures
            if name != "tokens"
        ]
        return data + controls + model

    def cells(self) -> list[Cell]:
        """A unit is a task and a seed, or the doubled budget on one."""
        return [
            {"kind": kind, **task, "seed": seed}
            for task in self.tasks()
            for kind, seeds in neural.budgets(self.n_seeds)
            for seed in seeds
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Train one architecture at all sizes, or of all widths; one row a size."""
        source, seed = parse_source(cell["points"]), cell["seed"]
        model, doubled = cell["task"] == "model", cell["kind"] == "doubled"
        problem = neural.problem(
            source,
            [parse_target(self.teacher.word)],
            seed,
            n_train=self.model_points if model else self.largest,
            n_validation=self.n_validation,
            n_test=self.n_test,
        )
        x, y = inputs(cell["architecture"], problem.x), problem.y
        if cell["task"] == "permuted":
            x = np.roll(x, 1, axis=1)  # every token another one, which a random order need not do
        if cell["task"] == "shuffled":
            y = y[problem.streams.generator("split").permutation(y.shape[0])]
        training = self.training
        if cell["architecture"] in ("transformer", "tokens"):
            training = replace(training, learning_rate=self.transformer_rate)
        if model:
            training = replace(training, steps=self.model_steps)
        training = training.doubled() if doubled else training
        if model:
            return self._model_rows(cell, problem, x, y, training)
        sizes = self.sizes()
        tried = sorted({sizes[len(sizes) // 2], sizes[-1]}) if doubled else sizes
        network = self._network(cell["architecture"], problem.x.shape[1])
        students = problem.students(seed, tried)
        _, rows = neural.train_and_test(network, x, y, students, training, problem.test)
        kernels = {}
        if cell["task"] == "data" and not doubled:
            kernels = self._kernels(cell["architecture"], seed, problem, x)
        for i, row in enumerate(rows):
            row |= {**cell, "n": tried[i]} | {key: float(v[i]) for key, v in kernels.items()}
        return rows

    def _network(self, name: str, dim: int) -> Network:
        width = self.width if name in ("mlp", "residual") else self.transformer_width
        return student(name, width, dim)

    def _model_rows(
        self, cell: Cell, problem: neural.Problem, x: Any, y: FloatArray, training: Training
    ) -> list[Row]:
        """One row a width: all points of the pool."""
        rows = []
        for width in self.widths:
            network = student(cell["architecture"], width, x.shape[1])
            students = problem.students(cell["seed"])
            _, (row,) = neural.train_and_test(network, x, y, students, training, problem.test)
            outer = network.parameters(x.shape[1])["weight 0"].size  # of coordinates
            rows.append({**cell, "n": n_parameters(network, x.shape[1]) - outer, **row})
        return rows

    def _kernels(
        self, name: str, seed: int, problem: neural.Problem, x: Any
    ) -> dict[str, FloatArray]:
        """Losses (n_sizes,) of tangent kernels on the same data, by key; see `architecture_claims`."""
        from percolaw.neural.limit import tangent_limit
        from percolaw.neural.tangent_kernel import initial_tangent
        from percolaw.numerics.covariance import NeuralTangent
        from percolaw.numerics.tabulated import Tabulated

        seeds = [seed + 1000 * i for i in range(self.kernel_seeds)]
        numbers = np.arange(x.shape[0], dtype=np.float64)[:, None]
        dim = problem.x.shape[1]
        beside = np.hstack([problem.x, np.full((x.shape[0], 1), dim**0.5)])
        kernels: dict[str, tuple[Any, FloatArray]] = {}
        if name == "mlp":
            limit = tangent_limit(self._network(name, dim))
            kernels["wide"] = NeuralTangent(3), problem.x
            kernels["own"], kernels["biased"] = (limit, problem.x), (limit, beside)
        elif name == "residual":
            network = student(name, self.kernel_width, dim)
            for key, points in (("own", problem.x), ("biased", beside)):
                kernels[key] = Tabulated(initial_tangent(network, points, seeds)), numbers
        else:
            network = self._network(name, dim)
            kernels["own"] = Tabulated(initial_tangent(network, x, seeds)), numbers
        return {k: self._kernel_losses(*v, problem) for k, v in kernels.items()}

    def _kernel_losses(
        self, kernel: Any, points: FloatArray, problem: neural.Problem
    ) -> FloatArray:
        """Test losses at every size, with the ridge that is best on the validation points."""
        from percolaw.learners.kernel import nested_curve

        held = np.concatenate([problem.test, problem.validation])
        unit, n_test = float(kernel.diagonal(points).mean()), problem.test.size
        losses = []
        for ridge in RIDGES:
            curve = nested_curve(
                *(kernel, points[problem.pool], problem.y[problem.pool], points[held]),
                self.sizes(),
                ridge * unit,
            )
            square = (curve.prediction - problem.y[held])[:, :, 0] ** 2
            losses.append([square[:, :n_test].mean(axis=1), square[:, n_test:].mean(axis=1)])
        table = np.array(losses)  # ridges, (test, validation), sizes
        best = table[:, 1].argmin(axis=0)
        return np.asarray(table[best, 0, np.arange(best.size)])

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold every exponent, every shift through the transition and every difference against theory."""
        return architecture_claims.conclusion(self, rows)


def student(architecture: str, width: int, dim: int) -> Network:
    """Return a network by its word: MLPs of three hidden layers, transformers of two blocks.

    Parameters
    ----------
    architecture : {"mlp", "residual", "transformer", "tokens"}
    width, dim : int
        Units of a layer, and coordinates of the points.

    Returns
    -------
    Network
    """
    checks.choice("architecture", architecture, ("mlp", "residual", "transformer", "tokens"))
    if architecture in ("mlp", "residual"):
        return MLP(3, width, residual=architecture == "residual")
    group = -(-dim // TOKENS)
    return Transformer(2, width, group=group, vocabulary=BASE if architecture == "tokens" else None)


def inputs(architecture: str, x: FloatArray) -> npt.NDArray[Any]:
    """Return points as an architecture reads them: as they are, or as digits.

    Parameters
    ----------
    architecture : str
    x : array of float64, shape (n, d)

    Returns
    -------
    array of float64, shape (n, d), or of int64, shape (n, d `N_DIGITS`)
        Digits of every coordinate's place between the least and the largest one, the first digit first.
    """
    if architecture != "tokens":
        return x
    low, high = x.min(axis=0), x.max(axis=0)
    places = BASE**N_DIGITS
    place = np.minimum((x - low) / (high - low) * places, places - 1).astype(np.int64)
    digits = [place // BASE**k % BASE for k in reversed(range(N_DIGITS))]
    return np.stack(digits, axis=2).reshape(x.shape[0], -1)
