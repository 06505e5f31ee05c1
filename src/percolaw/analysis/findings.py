"""What all rows of an analysis say: the verdict at each resolution, and the numbers behind it."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from percolaw import frames
from percolaw.analysis import verdict as rule
from percolaw.analysis.clusters import STATISTICS
from percolaw.analysis.flow import FEWEST
from percolaw.analysis.parts import Row
from percolaw.analysis.verdict import Condition, Verdict
from percolaw.shown import Drawable

FloatArray: TypeAlias = npt.NDArray[np.float64]

#: Chance below which a power law of sizes is refused (Clauset et al. 2009).
REFUSED = 0.1
#: Why classes that touch nowhere are domains: surrogates that agree as much are the data themselves.
WHOLE = "every bond agrees: classes are whole parts of the neighbour graph, and touch nowhere"


@dataclass(frozen=True, eq=False)
class Findings(Drawable):
    """An analysis, concluded.

    Attributes
    ----------
    levels : tuple of str
        Resolutions of the function.
    verdicts : tuple of Verdict
        One for each.
    rows : list of dict
        All rows, from `Measurement.rows`.
    k : int
        Neighbours of the verdict.
    """

    picture: ClassVar[str] = "findings"

    levels: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    rows: list[Row]
    k: int

    @property
    def n(self) -> int:
        """Number of elements."""
        return int(max(row["n"] for row in self.rows if row["part"] == "geometry"))

    def series(self, quantity: str, **of: Any) -> list[Row]:
        """Return the rows of a quantity of the parts that are described, in order."""
        return [
            row
            for row in self.rows
            if row["quantity"] == quantity and all(row.get(name) == of[name] for name in of)
        ]

    def value(self, quantity: str, **of: Any) -> float:
        """Return one number; NaN where it was not measured or is not known."""
        rows = self.series(quantity, **of)
        return math.nan if not rows or rows[0]["value"] is None else float(rows[0]["value"])

    def draws(self, null: str, statistic: str, level: int) -> FloatArray:
        """Return a statistic of each draw of a null.

        Parameters
        ----------
        null : str
            Of `percolaw.analysis.parts.NULLS`.
        statistic : str
            Of `percolaw.analysis.clusters.STATISTICS`.
        level : int

        Returns
        -------
        array of float64, shape (n_draws,)
            NaN where it is not known; empty if the null was not drawn.
        """
        rows = self.series(statistic, part="draws", null=null, level=level)
        return np.array([math.nan if row["value"] is None else row["value"] for row in rows], float)

    def statistics(self, level: int) -> list[dict[str, Any]]:
        """Return the statistics of the clusters beside all nulls, a dict for each.

        ``statistic``, ``meaning``, ``data``, and for each null its central 95% range and the
        two-sided p value of the data.
        """
        nulls = dict.fromkeys(row["null"] for row in self.rows if row["part"] == "draws")
        table = []
        for name, meaning in STATISTICS.items():
            data = self.value(name, part="clusters", level=level, n=self.n, k=self.k)
            line: dict[str, Any] = {"statistic": name, "meaning": meaning, "data": data}
            for null in nulls:
                draws = self.draws(null, name, level)
                known = draws[np.isfinite(draws)]
                ends = np.quantile(known, [0.025, 0.975]) if known.size else [math.nan] * 2
                line[null] = {
                    "low": float(ends[0]),
                    "high": float(ends[1]),
                    "p": rule.chance(data, draws),
                }
            table.append(line)
        return table

    @property
    def sentence(self) -> str:
        """What was found, how far to trust it, and why, in a paragraph."""
        if not self.levels:
            return f"{self.n} elements without a function: {self._geometry()}{self._repeated()}"
        said = []
        for level, verdict in zip(self.levels, self.verdicts, strict=True):
            where = "" if len(self.levels) == 1 else f"At {level}: "
            why = "; ".join(f"{c.name}: {c.measured}" for c in verdict.failed[:3])
            said.append(
                f"{where}{verdict.word} ({rule.VERDICTS[verdict.word]})."
                + (f" Against critical: {why}." if why else "")
            )
        return " ".join([*said, self._geometry()]) + self._repeated()

    def _geometry(self) -> str:
        shares = self.series("largest component", part="geometry", k=self.k)
        first, *_, last = sorted(shares, key=lambda row: int(row["n"]))
        dimension = self.value("dimension", part="geometry", n=self.n)
        chosen = math.isfinite(dimension) or len({row.get("k") for row in self.rows} - {None}) > 1
        where = f"With k = {self.k} the largest" if chosen else "The largest"
        text = (
            f"{where} connected part holds {first['value']:.0%} of {first['n']} "
            f"elements and {last['value']:.0%} of {last['n']}"
        )
        text += f"; dimension {dimension:.1f}." if math.isfinite(dimension) else "."
        recall = self.value("neighbours found", part="geometry", n=self.n, k=self.k)
        if math.isfinite(recall):
            text += f" Neighbours were looked for approximately: {recall:.1%} of the true ones are there."
        return text

    def _repeated(self) -> str:
        """What was done with elements that occur more than once, if any do."""
        repeated = self.value("repeated", part="geometry", n=self.n, k=self.k)
        if not math.isfinite(repeated):
            return ""
        text = f" Left out as equal to earlier elements: {repeated:.0f}"
        disagreeing = self.value("repeated, disagreeing", part="geometry", n=self.n, k=self.k)
        if disagreeing:
            text += (
                f", of which {disagreeing:.0f} disagree with the label of the first, which was kept: no "
                "learner can tell them apart, and the losses leave out what that costs"
            )
        return text + "."

    def to_frame(self) -> frames.Frame:
        """Return all rows as a table: pandas if it is there, else columns."""
        names = dict.fromkeys(name for row in self.rows for name in row)
        return frames.frame({name: [row.get(name) for row in self.rows] for name in names})

    def _repr_html_(self) -> str:
        tables = []
        for level, verdict in zip(self.levels, self.verdicts, strict=True):
            rows = [[c.name, rule.HOLDS[c.holds], c.measured] for c in verdict.conditions]
            title = html.escape(f"{level}: {verdict.word}")
            tables.append(
                f"<h4>{title}</h4>{frames.html_table(['critical if', 'holds', 'measured'], rows)}"
            )
        return f"<p>{html.escape(self.sentence)}</p>{''.join(tables)}"

    def __repr__(self) -> str:
        words = ", ".join(v.word for v in self.verdicts) or "geometry alone"
        return f"Findings({self.n} elements: {words})"

    def __str__(self) -> str:
        return self.sentence


def conclude(rows: Iterable[Mapping[str, Any]], levels: tuple[str, ...], k: int) -> Findings:
    """Return the findings of all rows of an analysis.

    Parameters
    ----------
    rows : iterable of dict
        From `Measurement.rows`.
    levels : tuple of str
        Resolutions of the function.
    k : int
        Neighbours of the verdict.

    Returns
    -------
    Findings
    """
    bare = Findings(levels, (), [dict(row) for row in rows], k)
    verdicts = tuple(verdict_of(bare, level) for level in range(len(levels)))
    return Findings(levels, verdicts, bare.rows, k)


def verdict_of(findings: Findings, level: int) -> Verdict:
    """Return the verdict at one resolution, by the rule of `percolaw.analysis.verdict`.

    Parameters
    ----------
    findings : Findings
    level : int

    Returns
    -------
    Verdict
    """
    data = {
        name: findings.value(name, part="clusters", level=level, n=findings.n, k=findings.k)
        for name in STATISTICS
    }
    critical = {name: findings.draws("critical", name, level) for name in STATISTICS}
    near = {name: rule.within(data[name], critical[name]) for name in STATISTICS}
    permuted = rule.above(data["agreement"], findings.draws("permuted", "agreement", level))
    conditions = [
        Condition(
            "extent",
            _all(near["largest"][0], near["log_size"][0]),
            rule.ranged("share of the largest cluster", data["largest"], critical["largest"])
            + ", "
            + rule.ranged("mean log size", data["log_size"], critical["log_size"]),
        ),
        Condition(
            "shape",
            _all(near["broken"][0], True if near["fragility"][0] is None else near["fragility"][0]),
            rule.ranged("bonds lost to break", data["broken"], critical["broken"]),
        ),
        _flow(findings, level),
        Condition(
            "thinning",
            None if near["thinned"][0] is None else near["thinned"][1] >= 0,
            rule.ranged("agreement of half", data["thinned"], critical["thinned"]),
        ),
        _tail(findings, level),
        _beyond(findings, level, data),
        _prediction(findings, level),
    ]
    whole = bool(permuted) and data["agreement"] == 1.0
    if whole:
        conditions[0] = Condition("extent", False, WHOLE)
    sides = {
        "size": near["log_size"][1],
        "agreement": 1 if whole else near["agreement"][1],
        "strength": near["broken"][1],
    }
    return rule.decide(conditions, sides, permuted)


def _all(*held: bool | None) -> bool | None:
    return None if any(h is None for h in held) else all(held)


def _flow(findings: Findings, level: int) -> Condition:
    """Whether agreement is one power of the volume, other than none, over the decade below 0.03."""
    of = {"part": "agreement", "level": level}
    flows, bends = findings.series("omega", **of), findings.series("bend p value", **of)
    if not flows:
        fewer = f"{findings.n} elements, and {FEWEST} are needed"
        measured = findings.series("agreement by volume", **of)
        return Condition("flow", None, fewer if measured else "not measured: no distances")
    if findings.value("agreement ends", **of) == 1.0:
        end = f"agreement is down to chance before the volume {flows[0]['x']:g}"
        return Condition("flow", False, end)
    if flows[0]["value"] is None or bends[0]["value"] is None:
        return Condition("flow", None, "omega is not known")
    omega, low, high = (flows[0][name] for name in ("value", "low", "high"))
    p = bends[0]["value"]
    holds = p > rule.BENT and low is not None and low > 0.0
    ends = "unknown" if low is None else f"{low:.2f}, {high:.2f}"
    return Condition("flow", holds, f"omega {omega + 0.0:.2f} [{ends}], bent with p = {p:.2g}")


def _tail(findings: Findings, level: int) -> Condition:
    of = {"part": "tail", "level": level}
    p = findings.value("power law p value", **of)
    if not math.isfinite(p):
        return Condition("tail", None, "too few clusters for a power law")
    beaten = findings.value("beaten by log-normal", **of) == 1.0
    said = f"tau {findings.value('tau', **of):.2f}, p = {p:.2g} that a power law fits as badly"
    worse = "; a log-normal is better" if beaten else ""
    return Condition("tail", p > REFUSED and not beaten, said + worse)


def _beyond(findings: Findings, level: int, data: dict[str, float]) -> Condition:
    ps = {
        null: min(
            rule.chance(data[name], findings.draws(null, name, level))
            for name in ("log_size", "largest")
        )
        for null in ("permuted", "maximum entropy")
    }
    if any(math.isnan(p) for p in ps.values()):
        return Condition("beyond", None, "a null was not drawn")
    if findings.value("equilibrated", part="draws", level=level, null="maximum entropy") == 0.0:
        return Condition("beyond", None, "labels of maximum entropy did not equilibrate")
    level_of = rule.least_level(findings.draws("permuted", "largest", level).size)
    said = ", ".join(f"{null} p = {p:.2g}" for null, p in ps.items())
    return Condition("beyond", all(p <= level_of for p in ps.values()), said)


def _prediction(findings: Findings, level: int) -> Condition:
    margins = findings.series("margin of percolation", part="learning", level=level)
    known = [m for m in margins if m["value"] is not None and m["high"] is not None]
    if not known:
        return Condition("prediction", None, "no learning curve was predicted")
    said = ", ".join(
        f"{m['learner']} {m['value']:.2f} [{m['low']:.2f}, {m['high']:.2f}]" for m in known
    )
    said = f"percolation's score better than the power law's by: {said}"
    return Condition("prediction", all(m["high"] >= 0.0 for m in known), said)
