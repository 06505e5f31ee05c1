"""Width against parameters of language models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot
from percolaw.report.records import claims_beside, series
from percolaw.report.style import BLACK, BLUE, CYCLE, ORANGE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a parameters-vs-dof record."""
    t = record["tables"]
    every = np.concatenate([family["parameters"] for family in t["families"]])
    line = np.geomspace(every.min() / 2, every.max() * 2, 50)
    figure, (left, right) = new(2)
    for family, color, marker in zip(t["families"], (BLUE, ORANGE), "os", strict=True):
        name = family["name"].split(" (")[0]
        left.plot(family["parameters"], family["width"], marker, color=color, label=name)
        for way, style in (("widths", "-"), ("logarithms", ":")):
            a, x = family[way]["prefactor"], family[way]["exponent"]
            left.plot(
                line, a * line**x, style, color=color, label=f"fit of {way}: {a:.2f} P^{x:.3f}"
            )
    a, x = t["paper"]
    left.plot(line, a * line**x, "--", color=BLACK, label=f"paper: {a:.2f} P^{x:.3f}")
    left.set(
        xscale="log",
        yscale="log",
        xlabel="parameters $P$",
        ylabel="width $d_{model}$",
        title="Model width against parameters",
    )
    left.legend(loc="lower right", fontsize=7)
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
            "Width of the Chinchilla models, which the paper fits, and of the GPT-3 models rises as "
            "a power of their parameters.",
            "parameters P",
            "width",
            True,
            True,
            tuple(
                series(
                    family["name"],
                    "measured",
                    family["parameters"],
                    family["width"],
                    stored=claims_beside(record, _speaks_of(family["name"])),
                )
                for family in t["families"]
            ),
            growth=True,
        )
    ]


def _speaks_of(family: str) -> Callable[[str], bool]:
    """Whether a claim is about the exponent of a family: its name begins so."""
    return lambda claim: claim.startswith(f"exponent of width in parameters: {family}")
