"""What all experiments on data share: parts of the analysis as units, findings as plots and text."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw.analysis import verdict as rule
from percolaw.analysis.analyze import at_most
from percolaw.analysis.findings import Findings, conclude
from percolaw.analysis.parts import NULLS, Measurement, Settings, plan
from percolaw.analysis.prediction import FORMS
from percolaw.analysis.sample import Sample, as_sample
from percolaw.datasets.real.data import RealData
from percolaw.errors import MissingExtraError
from percolaw.experiments import claims, fields, plots
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.fields import Range
from percolaw.experiments.plots import Plot

#: Key of the tables under which text and tables for the page stand.
READINGS = "readings"


@dataclass(frozen=True)
class DataAnalysis:
    """Real data as percolation clusters. Experiments derive from it and say which data (`data`)."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str] = "Brill 2024, section 6 (do real data show percolation-like clusters?)"
    presets: ClassVar[dict[str, Preset]]

    k: Annotated[int, Range(1, 1000)] = 6
    """Neighbours among which points are adjacent, for the verdict."""
    other_k: Annotated[tuple[int, ...], Range(1, 1000)] = (3, 10)
    """Further numbers, shown beside: what moves with k is no property of the data."""
    nulls: tuple[str, ...] = tuple(NULLS)
    """What classes are drawn from to compare with."""
    n_draws: Annotated[int, Range(20)] = 200
    """Draws of each null; a verdict needs 200."""
    learners: tuple[str, ...] = ("nearest neighbour", "kernel")
    """Whose learning curves are measured and predicted: nearest neighbour, kernel, network."""
    n_repeats: Annotated[int, Range(3)] = 8
    """Random parts of the data of each learning curve."""
    n_most: Annotated[int, Range(400)] = 20_000
    """Elements used at most, drawn at random."""
    seed: Annotated[int, Range(0)] = 0
    """Of every random choice."""

    def __post_init__(self) -> None:
        fields.check(self)
        self.settings()

    def settings(self) -> Settings:
        """Return how each data set is analysed."""
        return Settings(
            self.k, self.other_k, self.nulls, self.n_draws, self.learners, self.n_repeats
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of the data sets."""
        raise NotImplementedError

    def data(self, name: str) -> Sample:
        """Return a data set by its name."""
        raise NotImplementedError

    def cells(self) -> list[Cell]:
        """A unit is a part of the analysis of a data set."""
        return [
            {"data": name, **part}
            for name in self.names()
            for part in plan(measurement(self, name).sample, self.settings())
        ]

    def measure(self, cell: Cell) -> list[Row]:
        """Measure a part."""
        part = {key: value for key, value in cell.items() if key != "data"}
        one = measurement(self, cell["data"])
        rows = one.rows(part)
        level = part.get("level")
        word = {} if level is None else {"resolution": one.sample.levels[level]}
        return [{"data": cell["data"], **word, **row} for row in rows]

    def conclude(self, rows: list[Row]) -> Conclusion:
        """Judge every data set at every resolution, and draw what the verdicts rest on."""
        said: list[claims.Claim] = []
        drawn: list[Plot] = []
        readings: list[dict[str, Any]] = []
        for name in dict.fromkeys(row["data"] for row in rows):
            findings = self.findings(rows, name)
            readings += reading(name, findings)
            drawn += data_plots(name, findings)
            said += self._claims(name, findings)
        return Conclusion(tuple(said), {READINGS: readings}, tuple(drawn))

    def findings(self, rows: list[Row], name: str) -> Findings:
        """Return the findings of one of the data sets.

        Parameters
        ----------
        rows : list of dict
            All rows of a run.
        name : str
            Of the data set.

        Returns
        -------
        Findings
        """
        of = [row for row in rows if row["data"] == name]
        levels = {row["level"]: row["resolution"] for row in of if "level" in row}
        return conclude(of, tuple(levels[level] for level in sorted(levels)), self.k)

    def _claims(self, name: str, findings: Findings) -> list[claims.Claim]:
        """Hold the measured losses of 1-NN against the exact curve of the same points by rank."""
        judged = []
        for level, word in enumerate(findings.levels):
            loss = findings.series(
                "loss", part="learning", level=level, learner="nearest neighbour"
            )
            exact = findings.series("exact 1-NN loss", part="agreement", level=level)
            pairs = [
                (row["value"], np.interp(math.log(row["x"]), *_logs(exact)))
                for row in loss
                if row["value"] and row["x"] <= exact[-1]["x"]
            ]
            ratios = np.array([value / math.exp(by_rank) for value, by_rank in pairs])
            if ratios.size >= 3:
                judged.append(
                    claims.ratio(
                        f"{name}, {word}: loss of 1-NN over the exact curve from agreement by rank",
                        "identity of `percolaw.analysis.agreement`",
                        ratios,
                        0.1,
                        note="geometric mean over sizes",
                    )
                )
        return judged


@functools.lru_cache(maxsize=2)
def measurement(experiment: DataAnalysis, name: str) -> Measurement:
    """Return a data set ready to be measured, kept for the units that follow.

    Parameters
    ----------
    experiment : DataAnalysis
    name : str
        Of the data set.

    Returns
    -------
    Measurement
    """
    sample = at_most(experiment.data(name), experiment.n_most, experiment.seed)
    return Measurement(sample, experiment.settings(), experiment.seed)


def real_sample(data: RealData) -> Sample:
    """Return the sample of a data set that a package ships."""
    function = data.labels if data.levels is None else data.levels
    return as_sample(data.elements, function, metric=data.metric, level_names=data.level_names)[0]


def missing_data(load: Callable[[], RealData]) -> str:
    """Return what a loader says is missing; empty if it loads."""
    try:
        load()
    except MissingExtraError as error:
        return str(error)
    return ""


def _logs(rows: list[Row]) -> tuple[list[float], list[float]]:
    kept = [row for row in rows if row["value"]]
    return [math.log(r["x"]) for r in kept], [math.log(r["value"]) for r in kept]


# --- text -----------------------------------------------------------------------------------------


def reading(name: str, findings: Findings) -> list[dict[str, Any]]:
    """Return what is found of a data set in words, and its tables.

    Parameters
    ----------
    name : str
    findings : Findings

    Returns
    -------
    list of dict
        ``title``, ``text``, ``header``, ``rows``.
    """
    said: list[dict[str, Any]] = [
        {"title": name, "text": findings.sentence, "header": [], "rows": []}
    ]
    for level, (word, verdict) in enumerate(zip(findings.levels, findings.verdicts, strict=True)):
        where = f"{name}, {word}"
        said.append(
            {
                "title": f"{where}: {verdict.word}",
                "text": rule.VERDICTS[verdict.word].capitalize() + ".",
                "header": ["condition of critical", "holds", "measured"],
                "rows": [
                    [
                        rule.CONDITIONS[c.name],
                        rule.HOLDS[c.holds],
                        c.measured,
                    ]
                    for c in verdict.conditions
                ],
            }
        )
        said.append(_statistics(where, findings, level))
        said += [
            {"title": f"{where}: {row['learner']}", "text": row["text"], "header": [], "rows": []}
            for quantity in ("expectation", "no prediction")
            for row in findings.series(quantity, part="learning", level=level)
        ]
    return said


def _statistics(where: str, findings: Findings, level: int) -> dict[str, Any]:
    """The table of the data beside the nulls."""
    table = findings.statistics(level)
    nulls = [name for name in table[0] if name in NULLS]
    rows = []
    for line in table:
        cells = [f"{line['data']:.3g}"]
        for null in nulls:
            one = line[null]
            p = "" if math.isnan(one["p"]) else f", p = {one['p']:.2g}"
            cells.append(f"{one['low']:.3g} to {one['high']:.3g}{p}")
        rows.append([line["meaning"], *("unknown" if "nan" in cell else cell for cell in cells)])
    return {
        "title": f"{where}: clusters beside nulls",
        "text": "Central 95% of the draws of each null, and two-sided p value of the data among them. "
        + " ".join(f"{null.capitalize()}: {NULLS[null]}." for null in nulls),
        "header": ["statistic", "data", *nulls],
        "rows": rows,
    }


# --- plots ----------------------------------------------------------------------------------------


def data_plots(name: str, findings: Findings) -> list[Plot]:
    """Return the plots of a data set.

    Parameters
    ----------
    name : str
    findings : Findings

    Returns
    -------
    list of Plot
    """
    word = plots.slug(name)
    drawn = [_connectivity(name, word, findings)]
    for level, resolution in enumerate(findings.levels):
        of = (f"{name}, {resolution}", f"{word}-{level}", findings, level)
        drawn += [p for p in (_agreement(*of), _sizes(*of), _flows(*of)) if p.series]
        drawn += _learning(*of)
    return drawn


def _line(label: str, kind: Any, rows: list[Row], x: str = "x", **more: Any) -> plots.Series:
    kept = [row for row in rows if row["value"] is not None]
    return plots.line(label, kind, [r[x] for r in kept], [r["value"] for r in kept], **more)


def _connectivity(name: str, word: str, findings: Findings) -> Plot:
    rows = findings.series("largest component", part="geometry")
    series = [
        _line(f"k = {k}", "measured", [r for r in rows if r["k"] == k], "n")
        for k in sorted({row["k"] for row in rows})
    ]
    for null in dict.fromkeys(
        row["null"] for row in findings.rows if row["part"] == "geometry draws"
    ):
        draws = findings.series("largest component", part="geometry draws", null=null)
        low, value, high = np.quantile([row["value"] for row in draws], [0.025, 0.5, 0.975])
        series.append(
            plots.points(
                f"{null}, k = {findings.k}",
                *([draws[0]["n"]], [value], [low], [high]),
                interval="central 95% of draws",
            )
        )
    return plots.log_linear(
        f"{word}-connectivity",
        f"{name}: largest connected part of the neighbour graph",
        "Share of the elements in the largest connected part, against how many are used. A thin set such "
        "as a critical cluster comes apart as elements are added; a compact one stays whole.",
        ("elements used", "share in the largest part"),
        series,
    )


def _agreement(where: str, word: str, findings: Findings, level: int) -> Plot:
    rows = findings.series("agreement by volume", part="agreement", level=level)
    rows = [row for row in rows if row["value"] is not None and row["value"] > 0]
    return plots.log_log(
        f"{word}-agreement",
        f"{where}: agreement by volume",
        "Agreement with the j-th neighbour beyond chance, against the volume v = j/n. Flat: domains. A "
        "straight fall: critical clusters. A fall that steepens: clusters that end.",
        ("volume j/n", "agreement beyond chance"),
        [_line("agreement", "measured", rows)] if rows else [],
        fit=False,
    )


def _sizes(where: str, word: str, findings: Findings, level: int) -> Plot:
    of = {"level": level}
    data = findings.series(
        "clusters of size at least", part="clusters", n=findings.n, k=findings.k, **of
    )
    series = [_line("data", "measured", data)] if data else []
    for null in dict.fromkeys(row["null"] for row in findings.rows if row["part"] == "draws"):
        rows = findings.series("clusters of size at least", part="draws", null=null, **of)
        if rows:
            series.append(_line(null, "theory", rows))
    return plots.log_log(
        f"{word}-sizes",
        f"{where}: cluster sizes",
        "Number of clusters of at least a size, of the data and of one draw of each null.",
        ("cluster size", "clusters at least as large"),
        series,
        fit=False,
    )


def _flows(where: str, word: str, findings: Findings, level: int) -> Plot:
    series = []
    for statistic in ("agreement", "largest", "thinned"):
        rows = findings.series(statistic, part="clusters", level=level, k=findings.k)
        if any(row["value"] is not None for row in rows):
            series.append(_line(statistic, "measured", rows, "n"))
    return plots.log_linear(
        f"{word}-flows",
        f"{where}: clusters as elements are left out",
        "Agreement of bonds, share of the largest cluster and agreement of the clusters of half, on all "
        "elements and on a half, a quarter and an eighth of them. One number says nothing; a flow does.",
        ("elements used", "share"),
        series,
    )


def _learning(where: str, word: str, findings: Findings, level: int) -> list[Plot]:
    drawn = []
    exact = findings.series("exact 1-NN loss", part="agreement", level=level)
    names = dict.fromkeys(
        row["learner"]
        for row in findings.rows
        if row["part"] == "learning" and row["level"] == level
    )
    for learner in names:
        of = {"part": "learning", "level": level, "learner": learner}
        loss = findings.series("loss", **of)
        kept = [row for row in loss if row["value"]]
        if not kept:
            continue
        columns = ([row[key] for row in kept] for key in ("x", "value", "low", "high"))
        series = [plots.points("measured", *columns, interval=plots.PERCENTILES)]
        if learner == "nearest neighbour" and exact:
            series.append(_line("exact, from ranks", "reference", [r for r in exact if r["value"]]))
        for form in FORMS:
            rows = findings.series(f"predicted by {form}", **of)
            if any(row["value"] is not None for row in rows):
                series.append(_line(form, "theory", rows))
        drawn.append(
            plots.log_log(
                f"{word}-{plots.slug(learner)}",
                f"{where}: {learner}",
                "Share of wrong classes against training points: measured, and predicted from an eighth "
                "of them.",
                ("training points", "0-1 loss"),
                series,
                fit=False,
            )
        )
    return drawn
