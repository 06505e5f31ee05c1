"""Scores of families of random teachers; what depends on width and depth are plots of the record."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a teachers record that is no curve."""
    t = record["tables"]
    shown = [e for e in t["teachers"] if e["family"] in t["shown"]]
    figure, (axis,) = new(1, width=6.4, height=0.2 * len(shown) + 1.6)
    x = np.array([e["score"] for e in shown])
    ends = np.array([[_finite(v, e["score"]) for v in e["score_interval"]] for e in shown]).T
    axis.errorbar(x, np.arange(len(shown)), xerr=np.abs(ends - x), fmt="o", color=CYCLE[0], ms=4)
    axis.axvline(t["threshold"], color=BLACK, ls="--", lw=1)
    axis.set(
        yticks=np.arange(len(shown)),
        xlabel="score (1 = linear); dashed: vetting threshold",
        title=f"Families of teachers, {t['n_seeds']} seeds",
    )
    axis.set_yticklabels([f"{e['family']}: {e['passed']:.0%} pass" for e in shown], fontsize=8)
    axis.invert_yaxis()
    return {"teachers-families": figure}


def _finite(value: float | None, instead: float) -> float:
    return instead if value is None or not np.isfinite(value) else value
