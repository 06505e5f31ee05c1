"""The truth table as a picture, and estimates against scale and number of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a dimension record."""
    t = record["tables"]
    return {"dimension": _table(t), "dimension-scale": _scale(t)}


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


def _scale(t: dict[str, Any]) -> Any:
    largest = max(t["sizes"])
    wanted = [s for s in t["shapes"] if "d =" in s]
    last = wanted[-1].split()[-1] if wanted else ""
    shown = [s for s in wanted if s.endswith(f"d = {last}")][:5]
    shown += [s for s in t["shapes"] if "d =" not in s][-1:]
    figure, axes = new(3, 2, width=4.2, height=3.4)
    for axis, shape in zip(axes, shown, strict=False):
        for name, color in zip(t["estimators"], CYCLE, strict=False):
            for e in t["table"]:
                if (e["shape"], e["estimator"], e["n"]) == (shape, name, largest):
                    axis.plot(
                        e["n_points"], e["level"], "o-", color=color, ms=3, lw=1.2, label=name
                    )
        truth = next(e["truth"] for e in t["table"] if e["shape"] == shape) or 4.0
        axis.axhline(truth, color=BLACK, lw=1, ls="--")
        twin = axis.twiny()
        for entry in t["neighbors"]:
            if entry["shape"] == shape:
                twin.plot(entry["k"], entry["likelihood"], ":", color="#777777", lw=1.4)
        twin.set_xscale("log")
        twin.set_xlabel("neighbours k of the MLE (dotted)", fontsize=7)
        twin.tick_params(labelsize=6)
        twin.grid(False)
        ticks = next(e["n_points"] for e in t["table"] if (e["shape"], e["n"]) == (shape, largest))
        axis.set_title(shape, fontsize=9)
        axis.set(xscale="log", xlabel="points (subsets of one sample)", ylabel="estimate")
        axis.set_xticks(ticks, [str(tick) for tick in ticks])
        axis.set_xticks([], minor=True)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    axes[0].legend(fontsize=6)
    return figure
