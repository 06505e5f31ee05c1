"""Width against parameters of language models."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot
from percolaw.report.records import claims_beside, series
from percolaw.report.style import BLACK, BLUE, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a parameters-vs-dof record."""
    t = record["tables"]
    p = np.array(t["parameters"])
    line = np.geomspace(p.min() / 2, p.max() * 2, 50)
    figure, (left, right) = new(2)
    left.plot(p, t["width"], "o", color=BLUE, label="GPT-3 family")
    a, x = t["fit"]
    left.plot(line, a * line**x, color=BLUE, label=f"fit: {a:.2f} P^{x:.3f}")
    a, x = t["paper"]
    left.plot(line, a * line**x, "--", color=BLACK, label=f"paper: {a:.2f} P^{x:.3f}")
    left.set(
        xscale="log",
        yscale="log",
        xlabel="parameters $P$",
        ylabel="width $d_{model}$",
        title="Model width against parameters",
    )
    left.legend()
    for hypothesis, color in zip(t["hypotheses"], CYCLE, strict=False):
        right.plot(
            line,
            (line / line[0]) ** hypothesis["power"],
            color=color,
            label=f"{hypothesis['name']}: loss ~ P^-{hypothesis['exponent']:.2f}",
        )
    right.set(
        xscale="log",
        yscale="log",
        xlabel="parameters $P$",
        ylabel="degrees of freedom $N$ (relative)",
        title=f"Exponent in P if the exponent in N is {t['model_exponent']:g}",
    )
    right.legend()
    return {"parameters-vs-dof": figure}


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return width against parameters."""
    t = record["tables"]
    return [
        Plot(
            "parameters-vs-dof",
            "Model width against parameters",
            "Width of the models of the GPT-3 family rises as a power of their parameters.",
            "parameters P",
            "width",
            True,
            True,
            (
                series(
                    "GPT-3 family",
                    "measured",
                    t["parameters"],
                    t["width"],
                    stored=claims_beside(record, lambda c: c.startswith("exponent of width")),
                ),
            ),
            growth=True,
        )
    ]
