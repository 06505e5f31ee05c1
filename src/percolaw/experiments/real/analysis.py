"""What all experiments on data share: parts of the analysis as units, findings as plots and text."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np

from percolaw.analysis import verdict as rule
from percolaw.analysis.analyze import at_most
from percolaw.analysis.findings import Findings, conclude
from percolaw.analysis.parts import NULLS, Measurement, Settings, plan
from percolaw.analysis.reliability import BY_KIND, RELIABILITY
from percolaw.analysis.sample import Sample, as_sample
from percolaw.datasets.real.data import RealData
from percolaw.errors import MissingExtraError
from percolaw.experiments import claims, fields
from percolaw.experiments.base import Cell, Conclusion, Preset, Row
from percolaw.experiments.fields import Range
from percolaw.experiments.real.data_plots import data_plots
from percolaw.experiments.series import Plot

#: Key of the tables under which text and tables for the page stand.
READINGS = "readings"
#: How often verdicts are wrong, for the page.
TRUST = {
    "title": "How often a verdict is wrong",
    "text": RELIABILITY,
    "header": ["data of known kind", "data sets", *rule.VERDICTS],
    "rows": [[kind, str(n), *(f"{share}%" for share in shares)] for kind, n, *shares in BY_KIND],
}


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
    approximate: bool = False
    """Whether a few neighbours of more than 20,000 points may be missed; at least 99% are found."""
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
        if any("short" in one for one in readings):
            readings.append(TRUST)
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


class ByLength(DataAnalysis):
    """Data sets of one kind, one for each length. Experiments derive from it and `load` one."""

    words: ClassVar[str]
    """Name of a data set, around its length."""

    lengths: tuple[int, ...]

    @staticmethod
    def load(length: int) -> RealData:
        """Return the data of a length."""
        raise NotImplementedError

    @classmethod
    def unavailable(cls) -> str:
        """Return what must be installed first; empty if nothing."""
        return missing_data(lambda: cls.load(2))

    def names(self) -> tuple[str, ...]:
        """Return a name for each length."""
        return tuple(map(self.words.format, self.lengths))

    def data(self, name: str) -> Sample:
        """Return the data of a length by its name."""
        return real_sample(self.load(self.lengths[self.names().index(name)]))


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
    sample = replace(sample, approximate=experiment.approximate)
    return Measurement(sample, experiment.settings(), experiment.seed)


def real_sample(data: RealData) -> Sample:
    """Return the sample of a data set that a package ships."""
    function = data.labels if data.levels is None else data.levels
    return as_sample(data.elements, function, metric=data.metric, level_names=data.level_names)


def missing_data(load: Callable[[], object]) -> str:
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
        ``title``, ``text``, ``header``, ``rows``; of verdicts ``short``, what the terminal shows.
    """
    said: list[dict[str, Any]] = [
        {"title": name, "text": findings.sentence, "header": [], "rows": []}
    ]
    for level, (word, verdict) in enumerate(zip(findings.levels, findings.verdicts, strict=True)):
        where = f"{name}, {word}"
        said.append(
            {
                "title": f"{where}: {verdict.word}",
                "short": f"{where}: {verdict.word}" + _failed(verdict),
                "text": f"{rule.VERDICTS[verdict.word].capitalize()}. {rule.MEANING[verdict.word]}",
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


def _failed(verdict: rule.Verdict) -> str:
    """Which conditions of critical did not hold, in brackets."""
    names = [c.name if c.holds is False else f"{c.name} (unknown)" for c in verdict.failed]
    return f" (not critical by: {', '.join(names)})" if names else ""


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
