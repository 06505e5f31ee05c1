"""Model scaling of networks: exponents against theory, and every curve."""

from __future__ import annotations

from typing import Any

from percolaw.experiments.plots import Plot
from percolaw.report.figures import _neural


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a nn-model-scaling record."""
    t = record["tables"]
    return {
        "nn-model-scaling": _neural.exponents(t, "Networks, model scaling", wide=False),
        "nn-model-scaling-curves": _neural.panels(t, "parameters $P$ beyond the first weights"),
    }


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return every curve, a plot for each setting."""
    return _neural.plots(record, "nn-model-scaling", "parameters beyond the first weights")
