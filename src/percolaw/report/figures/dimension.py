"""The truth table of intrinsic dimension, as a picture."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, CYCLE, GREY, new, plain_numbers


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the truth table of a dimension record as a figure."""
    return {"dimension": _table(record["tables"])}


def _table(t: dict[str, Any]) -> Any:
    largest = max(t["sizes"])
    shapes = t["shapes"]
    figure, (axis,) = new(1, width=7.0, height=0.34 * len(shapes) + 1.6)
    every = [e["dimension"] / (e["truth"] or 4.0) for e in t["table"] if e["n"] == largest]
    ends = min(0.5, 0.95 * min(every)), max(2.0, 1.05 * max(every))
    for j, (name, color) in enumerate(zip(t["estimators"], CYCLE, strict=False)):
        offset = 0.7 * (j / max(1, len(t["estimators"]) - 1) - 0.5)
        for entry in t["table"]:
            if entry["estimator"] != name or entry["n"] != largest:
                continue
            y = shapes.index(entry["shape"]) + offset
            scale = entry["truth"] or 4.0
            low, high = (v / scale if v is not None else np.nan for v in entry["mean_interval"])
            axis.plot(np.clip([low, high], *ends), [y, y], color=color, lw=1.2, alpha=0.7)
            for end, cut, arrow in ((low, low < ends[0], "<"), (high, high > ends[1], ">")):
                if cut:
                    at = float(np.clip(end, *ends))
                    axis.plot(at, y, arrow, color=color, ms=4, clip_on=False)
            axis.plot(entry["dimension"] / scale, y, "o", color=color, ms=3)
        axis.plot([], [], "o-", color=color, ms=3, lw=1.2, label=name)
    axis.plot([], [], ">", color=BLACK, ms=4, label="the interval goes on")
    for y in range(1, len(shapes), 2):
        axis.axhspan(y - 0.5, y + 0.5, color=GREY, alpha=0.08, linewidth=0)
    axis.grid(axis="y", visible=False)
    axis.axvline(1.0, color=BLACK, lw=1, ls="--")
    axis.set(
        yticks=np.arange(len(shapes)),
        xlabel="estimate / truth (whole clusters: estimate / 4);\n"
        "line: stated interval, mean of its ends over seeds",
        title=f"Truth table of intrinsic dimension, {largest} points, {t['n_seeds']} seeds",
        xscale="log",
        xlim=ends,
    )
    plain_numbers(axis.xaxis)
    axis.set_yticklabels(shapes, fontsize=8)
    axis.set_ylim(len(shapes) - 0.4, -0.6)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
