"""Data scaling of networks: exponents against theory, and every curve beside its infinite width."""

from __future__ import annotations

from typing import Any

from percolaw.experiments.plots import Plot
from percolaw.report.figures import _neural


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a nn-data-scaling record."""
    t = record["tables"]
    t = {**t, "curves": [_shown(curve) for curve in t["curves"]]}
    return {
        "nn-data-scaling": _neural.exponents(t, "Networks, data scaling", wide=True),
        "nn-data-scaling-curves": _neural.panels(t, "training points $n$"),
    }


def _shown(curve: dict[str, Any]) -> dict[str, Any]:
    """A curve as figures name it: points of real lattices are clusters, of a dimension with decimals."""
    points = str(curve["points"])
    if not points.startswith("lattice"):
        return curve
    name = "cluster, " + points.replace("p_c", "$p_c$")
    return {**curve, "points": name, "dimension": round(curve["dimension"], 3)}


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return every curve, a plot for each setting."""
    return _neural.plots(record, "nn-data-scaling", "training points n")
