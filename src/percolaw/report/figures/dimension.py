"""The truth table of intrinsic dimension, as a picture and in Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the truth table of a dimension record as a figure."""
    return {"dimension": _table(record["tables"])}


def tables(record: dict[str, Any]) -> dict[str, str]:
    """Return the truth table as Markdown: mean estimate, stated interval, share that holds the truth."""
    t = record["tables"]
    lines = [
        f"Mean estimate over {t['n_seeds']} seeds [mean ends of the stated intervals] share of the "
        "intervals that contain the truth.",
        "",
        "| shape | points | truth | " + " | ".join(t["estimators"]) + " |",
        "|---|---|---|" + "---|" * len(t["estimators"]),
    ]
    for shape in t["shapes"]:
        for n in t["sizes"]:
            own = {e["estimator"]: e for e in t["table"] if (e["shape"], e["n"]) == (shape, n)}
            truth = next(iter(own.values()))["truth"]
            cells = []
            for name in t["estimators"]:
                e = own[name]
                low, high = (v if v is not None else float("nan") for v in e["mean_interval"])
                share = "" if e["inside"] is None else f" {e['inside']:.0%}"
                cells.append(f"{e['dimension']:.2f} [{low:.2f}, {high:.2f}]{share}")
            known = "steps" if truth is None else f"{truth:g}"
            lines.append(f"| {shape} | {n} | {known} | " + " | ".join(cells) + " |")
    return {"dimension-table": "\n".join(lines) + "\n"}


def _table(t: dict[str, Any]) -> Any:
    largest = max(t["sizes"])
    shapes = t["shapes"]
    figure, (axis,) = new(1, width=9.0, height=0.32 * len(shapes) + 1.6)
    for j, (name, color) in enumerate(zip(t["estimators"], CYCLE, strict=False)):
        offset = 0.7 * (j / max(1, len(t["estimators"]) - 1) - 0.5)
        for entry in t["table"]:
            if entry["estimator"] != name or entry["n"] != largest:
                continue
            y = shapes.index(entry["shape"]) + offset
            scale = entry["truth"] or 4.0
            low, high = (v if v is not None else np.nan for v in entry["mean_interval"])
            axis.plot([low / scale, high / scale], [y, y], color=color, lw=1.2, alpha=0.7)
            axis.plot(entry["dimension"] / scale, y, "o", color=color, ms=3)
        axis.plot([], [], "o-", color=color, ms=3, lw=1.2, label=name)
    axis.axvline(1.0, color=BLACK, lw=1, ls="--")
    axis.set(
        yticks=np.arange(len(shapes)),
        xlabel="estimate / truth (whole clusters: estimate / 4); line: stated interval, mean over seeds",
        title=f"Truth table of intrinsic dimension, {largest} points, {t['n_seeds']} seeds",
        xlim=(0.5, 2.0),
    )
    axis.set_yticklabels(shapes, fontsize=8)
    axis.set_ylim(len(shapes) - 0.4, -0.6)
    figure.legend(
        *axis.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7.5
    )
    return figure
