"""How often the verdict on a data set is wrong: the analysis on data whose state is known."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw.analysis import verdict as rule
from percolaw.analysis.clusters import cluster_statistics
from percolaw.analysis.findings import conclude
from percolaw.analysis.nulls import PermutedLabels
from percolaw.analysis.parts import Measurement, Row, Settings
from percolaw.analysis.sample import as_sample
from percolaw.datasets.element_labels import ElementLabels
from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, Preset
from percolaw.experiments.fields import JUDGED, Range, Seeds, Tolerance
from percolaw.experiments.real.analysis import READINGS
from percolaw.experiments.real.known import OTHERS, Known, KnownCloud, KnownLattice
from percolaw.rng import Streams


@dataclass(frozen=True)
class AnalyzeConfusion:
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
        "laptop": Preset({"n_seeds": 20}, "8 min", "0.6 GiB"),
        "paper": Preset({"n": 20_000, "n_draws": 200}, "2 days, estimated", "2 GiB"),
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

    def __post_init__(self) -> None:
        fields.check(self)

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
        """Analyse a data set as far as the verdict needs: it ends at the first condition that fails."""
        lattice = (cell["dim"], cell["ratio"], cell["percent"])
        known = KnownCloud(cell["state"]) if cell["dim"] is None else KnownLattice(*lattice)
        streams = Streams(cell["seed"]).child(*known.key)
        points, classes = known.sample(self.n, streams)
        if np.ptp(classes) == 0:
            return [{**cell, "verdict": "undecided", "failed": "one class"}]
        sample, _ = as_sample(points, ElementLabels(labels=classes))
        settings = Settings(self.k, (), n_draws=200, learners=("nearest neighbour",), n_repeats=4)
        one = Measurement(sample, settings, int(streams.key("analysis") >> np.uint64(1)))
        rows = self._first_rows(one, streams)
        draws = {"part": "draws", "level": 0, "first": 0, "count": 200}
        steps: list[list[dict[str, Any]]] = [
            [{"part": "tail", "level": 0}],
            [{"part": "learning", "level": 0, "learner": "nearest neighbour"}],
            [{**draws, "null": null} for null in ("permuted", "maximum entropy")],
        ]
        for tried in range(4, 8):
            verdict = conclude(rows, sample.levels, self.k).verdicts[0]
            holds = {c.name: c.holds for c in verdict.conditions}
            failed = next((name for name in _TRIED[:tried] if not holds[name]), "")
            if failed or tried == 7:
                break
            if tried == 6:
                rows = [row for row in rows if row.get("null") != "permuted"]
            for part in steps[tried - 4]:
                rows += one.rows(part)
        return [{**cell, "verdict": verdict.word, "failed": failed}]

    def _first_rows(self, one: Measurement, streams: Streams) -> list[Row]:
        """What every verdict needs: connectivity, agreement, clusters, and critical surrogates."""
        n, k = one.sample.n, self.k
        rows = one.rows({"part": "geometry", "n": n, "k": k}) + one.rows(
            {"part": "agreement", "level": 0}
        )
        graph, half, label = one.clustered(n, k, 0)
        of = {"part": "clusters", "level": 0, "n": n, "k": k, "x": None}
        rows += [
            {**of, "quantity": name, "value": None if np.isnan(value) else value}
            for name, value in cluster_statistics(graph, half, label, streams).items()
        ]
        draws = {"part": "draws", "level": 0}
        rows += one.rows({**draws, "null": "critical", "first": 0, "count": self.n_draws})
        for index in range(99):
            other = PermutedLabels(label).draw(index, streams)
            agreement = float(np.mean(other[graph.low] == other[graph.high]))
            said = {"quantity": "agreement", "x": index, "value": agreement}
            rows.append({**draws, "null": "permuted", **said})
        return rows

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
            low, high = _binomial_interval(int(false.sum()), false.size)
            said.append(
                claims.judge(
                    "share of data that are not critical and are called so",
                    self.source,
                    0.0,
                    float(false.mean()),
                    (low, high),
                    self.tolerance,
                    note=f"{false.size} data sets; p = 0.9 and 1.1 p_c are not among them",
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
                    plots.Plot(
                        f"verdicts-{d}-{share:g}".replace(".", "-"),
                        f"Lattice, d = {d}, {share:g}% of the sites",
                        "Share of data sets with each verdict against p over the threshold.",
                        "p / p_c",
                        "share of data sets",
                        False,
                        False,
                        tuple(series),
                        figure=f"verdicts-d{d}",
                        fit=False,
                    )
                )
        return drawn


#: Conditions in the order in which this experiment tries them.
_TRIED = ("extent", "shape", "flow", "thinning", "tail", "prediction", "beyond")


def _binomial_interval(hits: int, n: int) -> tuple[float, float]:
    """Exact 95% interval of a share (Clopper and Pearson)."""
    from scipy.special import betaincinv

    low = 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, 0.025))
    high = 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 0.975))
    return low, high
