"""Dimension along the layers, of untrained and trained networks."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import CONFIDENCE, Plot, slug
from percolaw.report.records import series
from percolaw.report.style import BLACK, CYCLE, new

MEDIAN = "median of the estimators"


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a layer-dimension record: a panel a setting."""
    t = record["tables"]
    columns = min(4, len(t["settings"]))
    figure, axes = new(columns, -(-len(t["settings"]) // columns), width=4.0, height=3.7)
    for axis, name in zip(axes, t["settings"], strict=False):
        truth = next(e["truth"] for e in t["table"] if e["points"] == name)
        for teacher, color in zip(t["teachers"], CYCLE, strict=False):
            own = _curve(t, name, teacher)
            x = [t["layers"].index(e["layer"]) for e in own]
            y = np.array([e["dimension"] for e in own])
            ends = np.array([_ends(e) for e in own]).T
            axis.errorbar(
                x, y, np.abs(ends - y), fmt="o-", color=color, ms=4, lw=1.2, label=teacher
            )
        axis.axhline(truth, color=BLACK, lw=1, ls="--")
        axis.set(title=f"{name} (D = {truth:g})", ylim=(0, None))
        axis.set_xticks(range(len(t["layers"])), [_short(v) for v in t["layers"]], fontsize=7)
        axis.legend(fontsize=7)
    for axis in axes[len(t["settings"]) :]:
        axis.set_visible(False)
    for axis in axes[::columns]:
        axis.set_ylabel("intrinsic dimension")
    return {"layer-dimension": figure}


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the same as data: the place of the layer on the axis."""
    t = record["tables"]
    found = []
    for name in t["settings"]:
        truth = next(e["truth"] for e in t["table"] if e["points"] == name)
        lines = []
        for teacher in t["teachers"]:
            own = _curve(t, name, teacher)
            ends = [_ends(e) for e in own]
            lines.append(
                series(
                    teacher,
                    "measured",
                    [t["layers"].index(e["layer"]) for e in own],
                    [e["dimension"] for e in own],
                    low=[e[0] for e in ends],
                    high=[e[1] for e in ends],
                    interval=CONFIDENCE,
                    n_seeds=t["n_seeds"],
                )
            )
        lines.append(series("truth", "theory", [0, len(t["layers"]) - 1], [truth, truth]))
        found.append(
            Plot(
                f"layer-dimension-{slug(name)}",
                f"{name}: dimension along the layers",
                "Dimension of activations from the input (0) to the last hidden layer.",
                "layer: 0 is the input, then before and after each nonlinearity",
                "intrinsic dimension",
                False,
                False,
                tuple(lines),
                fit=False,
            )
        )
    return found


def _curve(t: dict[str, Any], name: str, teacher: str) -> list[dict[str, Any]]:
    """The input and all layers of one teacher, in order."""
    return [
        e
        for layer in t["layers"]
        for e in t["table"]
        if (e["points"], e["layer"], e["estimator"]) == (name, layer, MEDIAN)
        and e["teacher"] in ("", teacher)
    ]


def _ends(e: dict[str, Any]) -> list[float]:
    return [e["dimension"] if v is None else v for v in e["interval"]]


def _short(layer: str) -> str:
    words = layer.split()
    return (
        "in" if layer == "input" else f"{words[1]}{words[2][0]}" if len(words) == 3 else layer[:4]
    )
