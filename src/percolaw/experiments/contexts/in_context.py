"""Learning in context on percolation clusters: clusters that stay, a new function in every sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw import checks
from percolaw.datasets.contexts import (
    WALK,
    ClusterFunctions,
    Contexts,
    check_clusters,
    context_cluster,
    inputs_of,
    parse_law,
)
from percolaw.datasets.sources import InfiniteCluster, Source, parse_source
from percolaw.experiments.base import SCRATCH, Cell, Conclusion, NeedsTorch, Preset, Row
from percolaw.experiments.contexts import conclusions
from percolaw.experiments.contexts.evaluation import FloatArray, Test
from percolaw.experiments.fields import JUDGED, Range, Rising, Seeds, Tolerance, check
from percolaw.learners import in_context
from percolaw.neural.config import NEVER_STOP, Student, Training
from percolaw.neural.in_context import InContextTransformer, LinearAttention
from percolaw.neural.network import Network
from percolaw.neural.trained import Trained
from percolaw.neural.training import train
from percolaw.rng import Streams

#: Learners of a unit.
TRANSFORMER, ATTENTION, POSTERIOR = "transformer", "linear attention", "posterior"
#: Children of a seed's streams: clusters learned on, new ones, and sequences of each purpose.
CLUSTERS, NEW_CLUSTERS, PRETRAINING, VALIDATION, TEST, NEW_TEST, OTHERS, LONG = range(8)
#: Points of a cluster for each pair of a long sequence, and clusters that such sequences are of.
LONG_POINTS, LONG_CLUSTERS = 1.25, 16
#: Sequences on which the loss is followed in pretraining.
N_VALIDATION = 500
#: Orders of the points of each of the long ones.
LONG_ORDERS = 16


def _accelerated(steps: int) -> Training:
    return Training(
        learning_rate=4e-3,
        steps=steps,
        batch_size=64,
        second_moment=0.99,
        warmup=0.1,
        cooldown=0.4,
        evaluate_every=steps // 10,
        patience=NEVER_STOP,
        keep="last",
    )


#: What the presets for accelerators share.
ACCELERATED: dict[str, Any] = {
    "n_points": 512,
    "length": 128,
    "long_length": 1000,
    "n_functions": (),
    "laws": (),
    "width": 128,
    "depth": 3,
    "n_heads": 4,
}


@dataclass(frozen=True)
class InContext(NeedsTorch):
    """Loss at each position of a sequence: of transformers, of the exact posterior, of ridge and 1-NN."""

    name: ClassVar[str] = "in-context"
    title: ClassVar[str] = "Learning in context on percolation clusters"
    source: ClassVar[str] = "docs/contexts.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_points": 16,
                "length": 8,
                "long_length": 300,
                "n_clusters": (1, 8),
                "n_functions": (2,),
                "laws": (),
                "depth": 1,
                "width": 16,
                "n_heads": 1,
                "n_test": 200,
                "n_new": 8,
                "first": 2,
                "long_first": 20,
                "training": Training(
                    learning_rate=0.01,
                    steps=60,
                    batch_size=64,
                    second_moment=0.99,
                    evaluate_every=60,
                    patience=NEVER_STOP,
                    keep="last",
                    device="cpu",
                ),
            },
            "20 s",
            "0.8 GiB",
        ),
        "laptop": Preset({}, "11 min", "4 GiB"),
        # 15 students of 2000 steps of 12 ms, and a quarter of a second for each of 600 covariances
        "gpu": Preset(
            {**ACCELERATED, "n_clusters": (1, 16, 64), "training": _accelerated(2000)},
            "9 min, estimated",
            "8 GiB",
        ),
        # 6 students of 600 steps
        "gpu-session": Preset(
            {
                **ACCELERATED,
                "n_seeds": 3,
                "n_clusters": (1, 16),
                "training": _accelerated(600),
            },
            "90 s, estimated",
            "8 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent clusters, sequences and students."""
    points: Source = InfiniteCluster(8)
    """Clusters: 'cluster d = 8' (points of the infinite one), 'finite cluster d = 8'."""
    n_points: Annotated[int, Range(2, 4000)] = 128
    """Points of each cluster."""
    length: Annotated[int, Range(2)] = 32
    """Pairs of a sequence."""
    long_length: Annotated[int, Range(20, 4000)] = 512
    """Pairs of the sequences on which the exact posterior has its exponent."""
    n_clusters: Annotated[tuple[int, ...], Range(1, 100_000), Rising(), JUDGED] = (1, 4, 16, 256)
    """Clusters that walks are learned on in pretraining, rising; a new function in every sequence."""
    n_functions: Annotated[tuple[int, ...], Range(1), Rising(), JUDGED] = (8, 64)
    """Functions in all where pretraining has not endlessly many, on one cluster."""
    laws: Annotated[tuple[str, ...], JUDGED] = ("linear", "Matérn 0.5")
    """Laws of functions of the points alone, learned on one cluster: beside walks on the tree."""
    depth: Annotated[int, Range(1)] = 2
    """Blocks of the transformer."""
    width: Annotated[int, Range(1)] = 32
    """Of its residual stream."""
    n_heads: Annotated[int, Range(1)] = 2
    """Heads of its attention."""
    n_test: Annotated[int, Range(30)] = 2000
    """Sequences that are tested on, of each kind."""
    n_new: Annotated[int, Range(1)] = 32
    """New clusters that are tested on."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=4e-3,
        steps=800,
        batch_size=64,
        second_moment=0.99,
        warmup=0.1,
        cooldown=0.4,
        evaluate_every=80,
        patience=NEVER_STOP,
        keep="last",
    )
    """How students are trained; the budget is used to its end."""
    first: Annotated[int, Range(1), JUDGED] = 3
    """Pairs seen from which on the exponents of students are fitted."""
    long_first: Annotated[int, Range(1), JUDGED] = 30
    """The same of the exact posterior on long sequences."""
    tolerance: Tolerance = 0.05
    """Deviation of an exponent, or of a loss over the variance, that counts as agreement."""
    ratio_tolerance: Tolerance = 0.1
    """Deviation of a ratio of losses from 1 that counts as agreement."""

    def __post_init__(self) -> None:
        check(self)
        if self.length > self.n_points:
            raise ValueError(
                f"a sequence of {self.length} pairs is longer than a cluster of {self.n_points} points. "
                "Lower length or raise n_points."
            )
        if not self.n_clusters or self.n_clusters[0] != 1:
            raise ValueError(
                f"n_clusters must begin with 1, what the others are held against; got "
                f"{self.n_clusters}."
            )
        if WALK in self.laws:
            raise ValueError(
                f"laws are those beside {WALK!r}, which is always there; leave it out."
            )
        for law in self.laws:
            parse_law(law)
        check_clusters(self.points, self.n_points)
        checks.memory(
            8.0 * max(self.n_clusters) * self.n_points**2,
            f"covariances of {max(self.n_clusters)} clusters of {self.n_points} points",
            "Lower n_clusters or n_points.",
        )
        InContextTransformer(self.depth, self.width, self.n_heads)

    def cells(self) -> list[Cell]:
        """A unit is a student: its seed, law, number of clusters and of functions (0: endless)."""
        students = [(TRANSFORMER, WALK, k, 0) for k in self.n_clusters]
        students += [(TRANSFORMER, WALK, 1, f) for f in self.n_functions]
        students += [(TRANSFORMER, law, 1, 0) for law in self.laws]
        students += [(ATTENTION, "linear", 1, 0), (POSTERIOR, WALK, LONG_CLUSTERS, 0)]
        names = ("learner", "law", "clusters", "functions")
        return [
            {**dict(zip(names, student, strict=True)), "seed": seed}
            for student in students
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Train a student and test it: losses by position, one row."""
        streams = Streams(cell["seed"]).child(*self.points.key)
        if cell["learner"] == POSTERIOR:
            return [{**cell, "long": _numbers(self._long(streams.child(LONG)))}]
        functions = self._functions(cell, streams, CLUSTERS, cell["clusters"])
        contexts = Contexts(
            functions,
            self.length,
            streams.child(PRETRAINING),
            self.training.batch_size,
            cell["functions"],
        )
        held = Test.of(functions, self.length, N_VALIDATION, streams.child(VALIDATION))
        trained = self._train(cell, contexts, held)
        test = Test.of(functions, self.length, self.n_test, streams.child(TEST))
        row = {**cell, "steps": trained.evaluated.tolist(), "stopped": trained.stopped[0]}
        # less what the posterior loses on the same values: their scatter is gone from the excess
        least = float(np.mean((held.mean - held.sequences.y) ** 2))
        excess = (trained.validation_curve[:, 0] - least) / float(held.posterior.mean())
        row["excess"] = _numbers(excess)
        row |= self._losses("same", trained, test)
        if cell["learner"] == ATTENTION:
            return [row | {"step": _numbers(_gradient_step(test))}]
        new = self._functions(cell, streams, NEW_CLUSTERS, self.n_new)
        new_test = Test.of(new, self.length, self.n_test, streams.child(NEW_TEST))
        row |= self._losses("new", trained, new_test)
        row |= _controls(trained, test, new_test, streams.child(OTHERS))
        if cell["functions"]:
            row["sample covariance"] = _numbers(test.sample_covariance(contexts.kept))
        return [row]

    def _functions(
        self, cell: Cell, streams: Streams, which: int, n: int
    ) -> list[ClusterFunctions]:
        source, law = parse_source(self.points.word), parse_law(cell["law"])
        return [
            ClusterFunctions(context_cluster(source, self.n_points, streams.child(which, i)), law)
            for i in range(n)
        ]

    def _long(self, streams: Streams) -> FloatArray:
        """Losses of the exact posterior by position of a long sequence, mean over clusters and orders."""
        n = round(LONG_POINTS * self.long_length)
        total = np.zeros(self.long_length)
        for i in range(LONG_CLUSTERS):
            cluster = context_cluster(self.points, n, streams.child(i))
            covariance = ClusterFunctions(cluster, parse_law(WALK)).covariance
            generator = streams.generator("batch", i)
            orders = generator.random((LONG_ORDERS, n)).argsort(axis=1)[:, : self.long_length]
            total += in_context.posterior_losses(covariance, orders)
        return total / LONG_CLUSTERS

    def _train(self, cell: Cell, contexts: Contexts, held: Test) -> Trained:
        """Train one student; the sequences held, of new functions, give its curve alone."""
        network: Network = LinearAttention()
        if cell["learner"] == TRANSFORMER:
            network = InContextTransformer(self.depth, self.width, self.n_heads)
        return train(
            network,
            held.sequences.inputs,
            held.sequences.y,
            [Student(cell["seed"], contexts, np.arange(N_VALIDATION))],
            self.training,
            n_outputs=self.length,
            checkpoint=SCRATCH.get(),
        )

    def _losses(self, where: str, trained: Trained, test: Test) -> Row:
        """Losses by position of a student and of what it is held against."""
        predictions = trained.predict(test.sequences.inputs)[0].astype(np.float64)
        known = test.references() | {"posterior": test.posterior, "variance": test.variance()}
        row = {f"{where} {name}": _numbers(loss) for name, loss in known.items()}
        return row | {f"{where} loss": _numbers(test.loss(predictions))}

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold students against the posterior that knows the clusters; claims and plots."""
        return conclusions.conclude(self, rows)


def _controls(trained: Trained, test: Test, new: Test, streams: Streams) -> Row:
    """What students make of contexts that tell nothing: sums over the variance, 1 where nothing is told.

    The mean of y (y - 2 f) is the variance if prediction f and value y are independent: the loss less the
    mean square of what was predicted in vain. ``shuffled``: the pairs before have the values of another
    function. ``wrong cluster``: the pairs before the last one are of a new cluster.
    """
    one = test.sequences
    others = Contexts(test.functions, one.y.shape[1], streams)
    other = others.values(one.cluster, one.point, streams)
    told = trained.predict(inputs_of(one.x, other))[0]
    variance = test.variance()
    shuffled = np.mean(one.y * (one.y - 2.0 * told), axis=0)
    x, y = new.sequences.x.copy(), new.sequences.y.copy()
    x[:, -1], y[:, -1] = one.x[:, -1], one.y[:, -1]
    last = trained.predict(inputs_of(x, y))[0][:, -1]
    wrong = np.mean(one.y[:, -1] * (one.y[:, -1] - 2.0 * last)) / variance[-1]
    return {
        "shuffled": float(f"{shuffled.mean() / variance.mean():.6g}"),
        "shuffled loss": _numbers(np.mean((one.y - told) ** 2, axis=0)),
        "wrong cluster": float(f"{wrong:.6g}"),
    }


def _gradient_step(test: Test) -> FloatArray:
    """Losses of the best single step of gradient descent on the one cluster of a test."""
    covariance, points = test.functions[0].covariance, test.functions[0].cluster.points
    sequences = test.sequences.point
    rate = in_context.best_gradient_step(covariance, sequences, points)
    return in_context.gradient_step_losses(covariance, sequences, points, rate)


def _numbers(values: Any) -> list[float | None]:
    """Six digits of each number; None for what is not finite."""
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]
