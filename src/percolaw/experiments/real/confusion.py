"""How often the verdict on a data set is wrong: the analysis on data whose state is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from percolaw.analysis import verdict as rule
from percolaw.analysis.clusters import STATISTICS, cluster_statistics
from percolaw.analysis.findings import conclude
from percolaw.analysis.nulls import permuted_labels
from percolaw.analysis.parts import Measurement, Row, Settings
from percolaw.analysis.sample import as_sample
from percolaw.datasets.element_labels import ElementLabels
from percolaw.experiments import claims, plots
from percolaw.experiments.base import Cell, Checked, Conclusion, Preset
from percolaw.experiments.fields import JUDGED, Range, Seeds, Tolerance
from percolaw.experiments.real.analysis import READINGS
from percolaw.experiments.real.known import OTHERS, Known, KnownCloud, KnownLattice
from percolaw.rng import Streams


@dataclass(frozen=True)
class AnalyzeConfusion(Checked):
    """Verdicts on lattices through the transition, sampled, and on other data, beside what they are."""

    name: ClassVar[str] = "analyze-confusion"
    title: ClassVar[str] = "How often is the verdict on a data set wrong?"
    source: ClassVar[str] = "Brill 2024, section 6; docs/real-data.md"
    presets: ClassVar[dict[str, Preset]] = {
        "smoke": Preset(
            {
                "n_seeds": 2,
                "dims": (2,),
                "ratios": (1.0, 1.3),
                "shares": (100.0,),
                "others": ("random labels",),
                "n": 500,
                "n_draws": 40,
            },
            "10 s",
            "0.5 GiB",
        ),
        "laptop": Preset({}, "10 min", "0.6 GiB"),
        "paper": Preset({"n": 20_000, "n_draws": 200}, "6 h, estimated", "2 GiB"),
    }

    dims: Annotated[tuple[int, ...], Range(2, 6), JUDGED] = (2, 3, 6)
    """Dimensions of the lattices."""
    ratios: Annotated[tuple[float, ...], Range(0.1, 4.0), JUDGED] = (0.7, 0.9, 1.0, 1.1, 1.3, 2.0)
    """p over p_c, as far as p < 1; 0.9 and 1.1 of dense samples only."""
    shares: Annotated[tuple[float, ...], Range(0.1, 100.0), JUDGED] = (100.0, 10.0, 3.0)
    """Percent of the sites that are drawn."""
    others: Annotated[tuple[str, ...], JUDGED] = tuple(OTHERS)
    """Data that are no lattice."""
    n: Annotated[int, Range(400)] = 2000
    """Points of each data set."""
    n_draws: Annotated[int, Range(20)] = 40
    """Critical surrogates of each; of other nulls 200 where all other conditions hold."""
    k: Annotated[int, Range(1, 1000)] = 6
    """Neighbours among which points are adjacent."""
    n_seeds: Seeds = 100
    """Data sets of each state."""
    tolerance: Tolerance = 0.05
    """Largest share of data that are not critical and are called so."""

    def states(self) -> dict[str, Known]:
        """Return the data of all states by their words."""
        lattices = [
            KnownLattice(d, ratio, share)
            for d in self.dims
            for share in self.shares
            for ratio in self.ratios
        ]
        kept = [x for x in lattices if x.p < 1.0 and (x.percent == 100.0 or x.state != "near")]
        return {known.word: known for known in (*kept, *map(KnownCloud, self.others))}

    def cells(self) -> list[Cell]:
        """A unit is a data set."""
        return [
            {"state": word, **known.fields(), "seed": seed}
            for word, known in self.states().items()
            for seed in range(self.n_seeds)
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Analyse a data set as far as its verdict and the first condition that fails need."""
        lattice = (cell["dim"], cell["ratio"], cell["percent"])
        known = KnownCloud(cell["state"]) if cell["dim"] is None else KnownLattice(*lattice)
        streams = Streams(cell["seed"]).child(*known.key)
        points, classes = known.sample(self.n, streams)
        if np.ptp(classes) == 0:
            return [{**cell, "verdict": "undecided", "failed": "one class"}]
        sample = as_sample(points, ElementLabels(labels=classes))
        settings = Settings(self.k, (), n_draws=200, learners=("nearest neighbour",), n_repeats=4)
        one = Measurement(sample, settings, int(streams.key("analysis") >> np.uint64(1)))
        rows: list[Row] = []
        for tried, step in self._steps(one, streams):
            rows += step
            verdict = conclude(rows, sample.levels, self.k).verdicts[0]
            holds = {c.name: c.holds for c in verdict.conditions}
            failed = next((name for name in _TRIED[:tried] if not holds[name]), "")
            if failed and (tried > 1 or verdict.word in _BY_SIZE):
                break
        return [{**cell, "verdict": verdict.word, "failed": failed}]

    def _steps(self, one: Measurement, streams: Streams) -> Iterator[tuple[int, list[Row]]]:
        """Rows of one step after another, and how many conditions of `_TRIED` are known with them."""
        draws = {"part": "draws", "level": 0, "first": 0}
        critical = {**draws, "null": "critical", "count": self.n_draws}
        of_data = {"part": "clusters", "level": 0, "n": one.sample.n, "k": self.k, "x": None}
        graph, half, label = one.clustered(one.sample.n, self.k, 0)

        def compared(names: tuple[str, ...]) -> list[Row]:
            numbers = cluster_statistics(graph, half, label, streams, names=names)
            data = [
                {**of_data, "quantity": name, "value": None if np.isnan(value) else value}
                for name, value in numbers.items()
            ]
            return data + one.rows({**critical, "statistics": names})

        agreements = [
            float(np.mean(other[graph.low] == other[graph.high]))
            for other in (permuted_labels(label, index, streams) for index in range(99))
        ]
        permuted = {**draws, "null": "permuted", "quantity": "agreement"}
        shape = {"part": "geometry", "n": one.sample.n, "k": self.k, "quantity": "mean degree"}
        yield (
            1,
            [
                {**shape, "x": None, "value": graph.mean_degree},
                *compared(_SIZES),
                *(
                    {**permuted, "x": index, "value": value}
                    for index, value in enumerate(agreements)
                ),
            ],
        )
        rest = tuple(name for name in STATISTICS if name not in _SIZES)
        yield 4, one.rows({"part": "agreement", "level": 0}) + compared(rest)
        yield 5, one.rows({"part": "tail", "level": 0})
        yield 6, one.rows({"part": "learning", "level": 0, "learner": "nearest neighbour"})
        nulls = ("permuted", "maximum entropy")
        wanted = {**draws, "count": 200, "statistics": _SIZES}
        yield 7, [row for null in nulls for row in one.rows({**wanted, "null": null})]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Count the verdicts of each state; hold the share of false criticals against what is allowed."""
        known = self.states()
        states = list(dict.fromkeys(row["state"] for row in rows))
        counts = {s: Counter(r["verdict"] for r in rows if r["state"] == s) for s in states}
        failed = {
            s: Counter(r["failed"] for r in rows if r["state"] == s and r["failed"]) for s in states
        }
        false = np.array(
            [r["verdict"] == "critical" for r in rows if known[r["state"]].state == "other"]
        )
        said = []
        if false.size:
            said.append(
                claims.coverage(
                    "share of data that are not critical and are called so",
                    self.source,
                    int(false.sum()),
                    false.size,
                    self.tolerance,
                    f"{false.size} data sets; p = 0.9 and 1.1 p_c are not among them",
                    predicted=0.0,
                )
            )
        words = list(rule.VERDICTS)
        table = [
            [
                s,
                *(f"{counts[s][w] / counts[s].total():.0%}" for w in words),
                ", ".join(f"{name} {n}" for name, n in failed[s].most_common(3)),
            ]
            for s in states
        ]
        power = {d: self._power(rows, d) for d in self.dims}
        text = (
            "Share of data sets of each state with each verdict, and the conditions that failed first. "
            + (
                "Power: of dense critical lattices called critical, "
                + ", ".join(f"{p:.0%} in d = {d}" for d, p in power.items() if p is not None)
                + "."
            )
        )
        reading = {
            "title": "Verdicts by state",
            "text": text,
            "short": text.partition(". ")[2],
            "header": ["state", *words, "failed first"],
            "rows": table,
        }
        return Conclusion(tuple(said), {READINGS: [reading]}, tuple(self._plots(rows)))

    def _power(self, rows: list[Row], d: int) -> float | None:
        hits = [
            r["verdict"] == "critical"
            for r in rows
            if r["state"] == KnownLattice(d, 1.0, 100.0).word
        ]
        return float(np.mean(hits)) if hits else None

    def _plots(self, rows: list[Row]) -> list[plots.Plot]:
        """Shares of the verdicts against p over p_c, for each dimension and share of sites."""
        drawn = []
        for d in self.dims:
            for share in self.shares:
                series = []
                for word in rule.VERDICTS:
                    pairs = []
                    for ratio in self.ratios:
                        state = KnownLattice(d, ratio, share).word
                        got = [r["verdict"] == word for r in rows if r["state"] == state]
                        if got:
                            pairs.append((ratio, float(np.mean(got))))
                    if pairs:  # all verdicts, so that each has one colour in all panels
                        series.append(plots.line(word, "measured", *zip(*pairs, strict=True)))
                drawn.append(
                    plots.linear(
                        f"verdicts-{d}-{share:g}".replace(".", "-"),
                        f"Lattice, d = {d}, {share:g}% of the sites",
                        "Share of data sets with each verdict against p over the threshold.",
                        ("p / p_c", "share of data sets"),
                        series,
                        figure=f"verdicts-d{d}",
                    )
                )
        return drawn


#: What needs no bond to be opened again; where these say a word of `_BY_SIZE`, it stands.
_SIZES = ("agreement", "largest", "log_size")
_BY_SIZE = ("label frequencies only", "supercritical domains")
#: Conditions in the order in which this experiment tries them.
_TRIED = ("extent", "shape", "flow", "thinning", "tail", "prediction", "beyond")
