"""What clustering of gradients finds where quanta are known: planted, parities, percolation clusters."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw.experiments import claims, plots
from percolaw.experiments.base import Cell, Checked, Conclusion, NeedsTorch, Preset, Row, units
from percolaw.experiments.fields import Bytes, Range, Seeds, Tolerance
from percolaw.experiments.quanta.known_quanta import scores, with_direction
from percolaw.experiments.seeds import seed_mean, seeds_of
from percolaw.neural.config import NEVER_STOP, Student, Training
from percolaw.rng import Streams

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

#: What is clustered, and what a sample of it truly belongs to.
KINDS = {"planted": "planted quanta", "parity": "tasks", "percolation": "percolation clusters"}
#: How many clusters are asked for: as many as are counted, or so many times the true number.
NUMBERS: dict[str, float | None] = {
    "counted": None,
    "half the true": 0.5,
    "true": 1.0,
    "twice the true": 2.0,
}
SIGNED, LINES = "gradients", "lines of gradients"
#: A form with its loss, gradients, the quantum of each sample, and another partition.
Found: TypeAlias = tuple[str, float | None, Any, IntArray, IntArray]


@dataclass(frozen=True)
class QuantaDiscovery(Checked, NeedsTorch):
    """Quanta discovered from gradients, scored by the adjusted Rand index and the law of their ranks."""

    name: ClassVar[str] = "quanta-discovery"
    title: ClassVar[str] = "What clustering of gradients finds where the quanta are known"
    source: ClassVar[str] = "Michaud et al. 2023"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 3,
                "n_samples": 80,
                "n_planted": 4,
                "n_tasks": 3,
                "n_bits": 8,
                "n_clusters": 4,
                "n_train": 300,
                "width": 16,
                "training": Training(
                    learning_rate=0.02, steps=60, batch_size=64, patience=NEVER_STOP, keep="last"
                ),
            },
            "5 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "1 min", "1 GiB"),
        "gpu": Preset(
            {
                "n_seeds": 10,
                "n_samples": 4000,
                "n_tasks": 100,
                "n_bits": 64,
                "subset_size": 3,
                "n_clusters": 300,
                "n_train": 50_000,
                "width": 512,
                "training": Training(
                    learning_rate=3e-3,
                    steps=50_000,
                    batch_size=4096,
                    patience=NEVER_STOP,
                    keep="last",
                    evaluate_every=5000,
                ),
            },
            "1 h, estimated",
            "8 GiB",
        ),
    }

    n_seeds: Seeds = 5
    """Independent data and networks."""
    n_samples: Annotated[int, Range(50), Bytes(20_000.0)] = 600
    """Samples whose gradients are clustered."""
    rank_exponent: Annotated[float, Range(0.05, 10.0)] = 0.4
    """alpha of planted clusters and of parities: frequencies ~ k^-(1 + alpha)."""
    n_planted: Annotated[int, Range(2)] = 30
    """Planted clusters: random directions."""
    noise: Annotated[float, Range(0.0)] = 1.0
    """Length of the noise of a planted gradient, in units of that of its direction."""
    n_tasks: Annotated[int, Range(2)] = 10
    """Parities."""
    n_bits: Annotated[int, Range(3)] = 16
    """Bits of a sample."""
    subset_size: Annotated[int, Range(1)] = 2
    """Bits of a parity."""
    n_clusters: Annotated[int, Range(2)] = 30
    """Percolation clusters, those of random sites."""
    dim: Annotated[int, Range(4)] = 16
    """Embedding dimension of the clusters."""
    n_train: Annotated[int, Range(100)] = 4000
    """Points from which a network learns labels on clusters."""
    width: Annotated[int, Range(4)] = 64
    """Units of a hidden layer; one of them for parities, two for clusters."""
    training: Training = Training(  # noqa: RUF009 (frozen)
        learning_rate=0.01,
        steps=3000,
        batch_size=256,
        evaluate_every=500,
        patience=NEVER_STOP,
        keep="last",
    )
    """How networks are trained; on parities by their cross-entropy."""
    score_tolerance: Tolerance = 0.1
    """Deviation of an adjusted Rand index that counts as agreement."""
    slope_tolerance: Tolerance = 0.2
    """Deviation of a slope that counts as agreement."""

    def cells(self) -> list[Cell]:
        """A unit is a seed of a kind of data."""
        return units(kind=KINDS, seed=range(self.n_seeds))

    def measure(self, cell: Cell) -> list[Row]:
        """Score what is found in gradients, trained and not, and shuffled ones; one row each."""
        streams = Streams(cell["seed"]).child(list(KINDS).index(cell["kind"]))
        makers = {
            "planted": self._planted,
            "parity": self._parity,
            "percolation": self._percolation,
        }
        rows = []
        for form, loss, gradients, truth, other in makers[cell["kind"]](streams):
            generator = streams.generator("analysis", 99)
            shuffled = generator.permuted(gradients, axis=0)
            ways: list[tuple[str, Any, str]] = [(SIGNED, gradients, n) for n in NUMBERS]
            if cell["kind"] != "planted":
                ways += [(LINES, gradients, "counted"), (LINES, gradients, "true")]
            ways.append(("shuffled", shuffled, "true"))
            for way, values, number in ways:
                found = scores(values, truth, other, NUMBERS[number], way != LINES, streams)
                rows.append(
                    {**cell, "form": form, "way": way, "number": number, "loss": loss, **found}
                )
        return rows

    def _planted(self, streams: Streams) -> Iterator[Found]:
        """Random directions with noise, used by Zipf's law; and a single one."""
        from percolaw.laws.scaling_laws import zipf_weights

        generator = streams.generator("target")
        for form, number in (("many", self.n_planted), ("one", 1)):
            chance = zipf_weights(self.rank_exponent, number)
            truth = generator.choice(number, self.n_samples, p=chance)
            direction, noise = (
                generator.standard_normal((n, 1024)) for n in (number, self.n_samples)
            )
            yield form, None, direction[truth] + self.noise * noise, truth, truth

    def _parity(self, streams: Streams) -> Iterator[Found]:
        """A network of many parities; the other truth is the task with the values of its bits."""
        from percolaw.datasets.parity import ParityStream
        from percolaw.datasets.parity_tasks import parity_tasks
        from percolaw.neural.gradients import sample_gradients
        from percolaw.neural.parity import ParityNetwork
        from percolaw.neural.training import train

        tasks = parity_tasks(
            self.n_tasks, self.n_bits, self.subset_size, self.rank_exponent, streams
        )
        test, plan = tasks.test_set(20, streams), self.training
        stream = ParityStream(tasks, plan.batch_size, streams)
        student = Student(
            int(streams.key("init") >> np.uint64(1)), stream, np.arange(test.n_samples)
        )
        samples = tasks.sample(self.n_samples, streams.child(1))
        place = np.cumsum(tasks.subset, axis=1) - 1
        code = np.where(tasks.subset, 2 ** np.maximum(place, 0), 0)[samples.task]
        pattern = np.sum(code * samples.bits(), axis=1) + samples.task * 2**self.subset_size
        for form, now in (("trained", plan), ("untrained", _untrained(plan))):
            trained = train(
                ParityNetwork(self.n_tasks, self.n_bits, self.width),
                test.inputs(),
                test.targets(),
                [student],
                dataclasses.replace(now, loss="cross_entropy"),
                n_outputs=2,
            )
            gradients = sample_gradients(
                trained, samples.inputs(), samples.targets(), rng=streams.child(2)
            )
            loss = float(trained.validation_loss[0])
            yield form, loss, *with_direction(gradients, samples.task, pattern)

    def _percolation(self, streams: Streams) -> Iterator[Found]:
        """A network of labels on many clusters; the other truth is the sign of the error."""
        from percolaw.datasets.make import make_distribution
        from percolaw.neural.gradients import sample_gradients
        from percolaw.neural.mlp import MLP
        from percolaw.neural.training import train
        from percolaw.targets.teacher import standardized_inputs

        held = self.n_train // 10
        n = self.n_train + held + self.n_samples
        data = make_distribution(n, self.dim, streams, n_clusters=self.n_clusters, max_size=10**6)
        x = standardized_inputs(np.asarray(data.X)).astype(np.float32)
        last = slice(n - self.n_samples, n)
        cluster = np.asarray(data.cluster)[last].astype(np.int64)
        seed = int(streams.key("init") >> np.uint64(1))
        student = Student(
            seed, np.arange(self.n_train), np.arange(self.n_train, n - self.n_samples)
        )
        for form, now in (("trained", self.training), ("untrained", _untrained(self.training))):
            trained = train(MLP(2, self.width), x, data.y, [student], now)
            gradients = sample_gradients(trained, x[last], data.y[last], rng=streams.child(2))
            sign = trained.predict(x[last])[0, :, 0] > data.y[last]
            loss = float(trained.validation_loss[0])
            yield form, loss, *with_direction(gradients, cluster, 2 * cluster + sign)
        yield "coordinates", None, x[last], cluster, cluster

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Hold what is found against the known quanta."""
        every = [*self._planted_claims(rows)]
        for kind in ("parity", "percolation"):
            every += self._network_claims(kind, rows)
        return Conclusion(tuple(every), plots=self._plots(rows))

    def _planted_claims(self, rows: list[Row]) -> list[claims.Claim]:
        out = []
        for number in NUMBERS:
            mine = _of(rows, "planted", "many", SIGNED, number)
            out.append(self._score("planted", f"{number} number", mine))
            out.append(self._slope("planted", f"{number} number", mine))
        out.append(
            self._score("planted", "shuffled", _of(rows, "planted", "many", "shuffled"), 0.0)
        )
        one = _of(rows, "planted", "one", SIGNED, "counted")
        out.append(
            claims.mean(
                "planted, one quantum: quanta counted",
                self.source,
                1.0,
                [r["n_quanta"] for r in one],
                0.0,
                about={"source": "planted", "quantity": "number"},
            )
        )
        return out

    def _network_claims(self, kind: str, rows: list[Row]) -> list[claims.Claim]:
        out = []
        for way in (SIGNED, LINES):
            for number in ("counted", "true"):
                mine = _of(rows, kind, "trained", way, number)
                out.append(self._score(kind, f"{way}, {number} number", mine))
        counted = _of(rows, kind, "trained", SIGNED, "counted")
        out.append(self._slope(kind, "counted number", counted))
        out.append(self._score(kind, "shuffled", _of(rows, kind, "trained", "shuffled"), 0.0))
        others = {"untrained": LINES} | ({"coordinates": SIGNED} if kind == "percolation" else {})
        trained = np.array([r["score"] for r in _of(rows, kind, "trained", LINES, "counted")])
        for form, way in others.items():
            other = np.array([r["score"] for r in _of(rows, kind, form, way, "counted")])
            out.append(
                claims.difference(
                    f"{kind}: Rand index of the lines, trained less {form}",
                    self.source,
                    trained - other,
                    self.score_tolerance,
                    f"trained {trained.mean():.2f}, {form} {other.mean():.2f}",
                    {"source": kind, "learner": form, "quantity": "gain of training"},
                )
            )
        return out

    def _score(self, kind: str, text: str, rows: list[Any], predicted: float = 1.0) -> claims.Claim:
        finer = np.mean([r["finer"] for r in rows])
        mean, true = (np.mean([r[k] for r in rows]) for k in ("n_quanta", "n_true"))
        return claims.mean(
            f"{kind}, {text}: adjusted Rand index against the {KINDS[kind]}",
            self.source,
            predicted,
            [r["score"] for r in rows],
            self.score_tolerance,
            f"{mean:.1f} of {true:.1f}{_loss(rows)}"
            + ("" if kind == "planted" else f"; against {FINER[kind]} {finer:.2f}"),
            {"source": kind, "learner": text, "quantity": "adjusted Rand index"},
        )

    def _slope(self, kind: str, text: str, rows: list[Any]) -> claims.Claim:
        """NaN of a seed without three clusters of five samples."""
        found, true = (seeds_of(rows, k) for k in ("slope", "true_slope"))
        return seed_mean(
            f"{kind}, {text}: slope of size by rank less that of the {KINDS[kind]}",
            self.source,
            0.0,
            found - true,
            self.slope_tolerance,
            f"slope {found.mean():.2f}, true {true.mean():.2f}; "
            f"largest share {np.mean([r['largest'] for r in rows]):.2f}, "
            f"true {np.mean([r['true_largest'] for r in rows]):.2f}",
            {"source": kind, "learner": text, "quantity": "slope"},
        )

    def _plots(self, rows: list[Row]) -> tuple[plots.Plot, ...]:
        words = ("counted", "true", "lines,\ncounted", "lines,\ntrue", "not\ntrained", "shuffled")
        drawn = []
        for kind, form in (("planted", "many"), ("parity", "trained"), ("percolation", "trained")):
            ways = [(form, SIGNED, "counted"), (form, SIGNED, "true"), (form, LINES, "counted")]
            ways += [
                (form, LINES, "true"),
                ("untrained", LINES, "counted"),
                (form, "shuffled", "true"),
            ]
            have = [(i, _of(rows, kind, *way)) for i, way in enumerate(ways)]
            have = [(i, mine) for i, mine in have if mine]
            values = [[r["score"] for r in mine] for _, mine in have]
            drawn.append(plots.seed_means(kind, [i for i, _ in have], values, joined=False))
        score = plots.linear(
            "quanta-discovery",
            f"Quanta that are known, and clusters of gradients, {self.n_seeds} seeds",
            "Adjusted Rand index of clusters of gradients against known quanta, means over seeds.",
            ("number of clusters, and what of gradients is compared", "adjusted Rand index"),
            drawn,
            figure="quanta-discovery",
            x_ticks=words,
        )
        return score, self._rank_plot(rows)

    def _rank_plot(self, rows: list[Row]) -> plots.Plot:
        """Sizes by rank of one seed, planted: what asking for another number does."""
        first = [_of(rows, "planted", "many", SIGNED, number)[0] for number in NUMBERS]
        truth = first[0]["true_sizes"]
        drawn = [plots.line("planted", "theory", np.arange(1, len(truth) + 1), truth)]
        drawn += [
            plots.line(f"{n} number", "measured", np.arange(1, len(r["sizes"]) + 1), r["sizes"])
            for n, r in zip(NUMBERS, first, strict=True)
        ]
        return plots.log_log(
            "quanta-discovery-ranks",
            "Sizes of planted clusters by rank, one seed",
            "Sizes of the clusters that are found, for several numbers asked for, beside the planted.",
            ("rank", "samples"),
            drawn,
            figure="quanta-discovery",
            growth=True,
        )


#: The other truth of a kind.
FINER = {
    "planted": "planted quanta",
    "parity": "tasks and values of their bits",
    "percolation": "clusters and signs of errors",
}


def _loss(rows: list[Any]) -> str:
    losses = [r["loss"] for r in rows if r["loss"] is not None]
    return f"; loss {np.mean(losses):.3f}" if losses else ""


def _untrained(plan: Training) -> Training:
    return dataclasses.replace(plan, learning_rate=0.0, steps=1)


def _of(rows: list[Row], kind: str, form: str, way: str, number: str = "true") -> list[Any]:
    """Rows of a kind, form, way and number, by seed."""
    asked = (kind, form, way, number)
    return [r for r in rows if (r["kind"], r["form"], r["way"], r["number"]) == asked]
