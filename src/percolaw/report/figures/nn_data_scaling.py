"""Data scaling of networks: exponents against theory, and every curve beside its infinite width."""

from __future__ import annotations

from typing import Any

from percolaw.report.figures import _neural
from percolaw.report.plots import Plot


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a nn-data-scaling record."""
    t = record["tables"]
    return {
        "nn-data-scaling": _neural.exponents(t, "Networks, data scaling", wide=True),
        "nn-data-scaling-curves": _neural.panels(t, "training points $n$"),
    }


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return every curve, a plot for each setting."""
    return _neural.plots(record, "nn-data-scaling", "training points n")
