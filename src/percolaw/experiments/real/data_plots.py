"""The plots of a data set: what its verdict rests on, beside the nulls."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.analysis.findings import Findings
from percolaw.analysis.prediction import FORMS
from percolaw.experiments import plots
from percolaw.experiments.base import Row
from percolaw.experiments.series import Plot


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
        y_limits=(0.0, 1.03),
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


def _around(losses: list[float]) -> tuple[float, float]:
    """Limits about what was measured: a form that says a millionth of it leaves the picture."""
    room = 1.4 * (max(losses) / min(losses)) ** 0.15
    return min(losses) / room, max(losses) * room


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
        zeros = len(loss) - len(kept)
        said = f"measured; 0 at {zeros} more sizes" if zeros else "measured"
        series = [plots.points(said, *columns, interval=plots.PERCENTILES)]
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
                y_limits=_around([row["value"] for row in kept]),
            )
        )
    return drawn
