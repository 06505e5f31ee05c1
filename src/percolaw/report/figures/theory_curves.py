"""Predicted scaling laws for several c/D."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a theory-curves record."""
    t = record["tables"]
    n = np.array(t["n"])
    figure, axes = new(2, 2)
    gammas = sorted({c["cluster_exponent"] for c in t["curves"]})
    colors = dict(zip(gammas, CYCLE, strict=False))
    for column, (law, symbol) in enumerate((("model", "N"), ("data", "T"))):
        top, bottom = axes[column], axes[2 + column]
        for curve in t["curves"]:
            if curve["law"] != law:
                continue
            color = colors[curve["cluster_exponent"]]
            label = f"c/D = {curve['cluster_exponent']:g}"
            top.plot(n, curve["loss"], color=color, label=label)
            bottom.plot(n, curve["local"], color=color)
            bottom.axhline(curve["limit"], color=color, ls=":", lw=1)
        top.set(
            xscale="log",
            yscale="log",
            xlabel=f"${symbol}$",
            ylabel=f"$L({symbol})/L(1)$",
            title=f"{law.capitalize()} scaling, alpha = {t['rank_exponent']:g}",
        )
        top.legend()
        bottom.set(
            xscale="log",
            xlabel=f"${symbol}$",
            ylabel="local exponent",
            title="Local exponents and their limits (dotted)",
        )
    return {"theory-curves": figure}
