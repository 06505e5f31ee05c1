"""Data scaling figure."""

from __future__ import annotations

from typing import Any

from percolaw.experiments.plots import Plot
from percolaw.report.figures._scaling_law import draw_law, plots_law


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a data-scaling record."""
    return draw_law(record, "T", "training points $T$ (in units of the scale factors)")


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the curves of a data-scaling record."""
    return plots_law(record, "T", "training points T (in units of the scale factors)")
