"""Model scaling figure."""

from __future__ import annotations

from typing import Any

from percolaw.report.figures._scaling_law import draw_law


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a model-scaling record."""
    return draw_law(record, "N", "degrees of freedom $N$")
