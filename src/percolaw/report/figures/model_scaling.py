"""Model scaling figure."""

from __future__ import annotations

from typing import Any

from percolaw.experiments.plots import Plot
from percolaw.report.figures._scaling_law import draw_law, plots_law


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a model-scaling record."""
    return draw_law(record, "N", "degrees of freedom $N$")


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the curves of a model-scaling record."""
    return plots_law(record, "N", "degrees of freedom N")
