"""Predicted scaling laws for several c/D."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot
from percolaw.report.records import claims_beside, series
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


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the curves of a theory-curves record, one plot a law."""
    t = record["tables"]
    return [
        Plot(
            f"theory-curves-{law}",
            f"{law.capitalize()} scaling",
            f"Predicted loss against {symbol} for several c/D: steeper the larger c/D, up to a limit.",
            symbol,
            f"L({symbol}) / L(1)",
            True,
            True,
            tuple(
                series(
                    f"c/D = {c['cluster_exponent']:g}",
                    "theory",
                    t["n"],
                    c["loss"],
                    stored=claims_beside(
                        record,
                        _starts(f"{law} law at c/D = {c['cluster_exponent']:g}: exponent"),
                    ),
                )
                for c in t["curves"]
                if c["law"] == law
            ),
        )
        for law, symbol in (("model", "N"), ("data", "T"))
    ]


def _starts(text: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(text)
