"""Faithfulness of embeddings against dimension, one line a step law."""

from __future__ import annotations

from typing import Any

from percolaw.experiments.plots import Plot
from percolaw.report.records import series
from percolaw.report.style import BLACK, CYCLE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of an embedding-faithfulness record."""
    t = record["tables"]
    figure, axes = new(2, 2)
    panels = (
        (
            "rank_fraction",
            f"share of tree edges that are nearest (line: {t['threshold']:g})",
            t["threshold"],
        ),
        ("distance_ratio", "squared distance / tree distance", 1.0),
        ("distortion", "standard deviation of that ratio over pairs", None),
        ("mass_radius_dimension", "mass-radius dimension (finite size: below 4)", 4.0),
    )
    for axis, (name, label, line) in zip(axes, panels, strict=True):
        for steps, color in zip(t["trusted_from"], CYCLE, strict=False):
            mine = [row for row in t["table"] if row["steps"] == steps]
            start = t["trusted_from"][steps]
            note = f" (trusted from d = {start})" if start else " (not trusted here)"
            axis.plot(
                [row["dim"] for row in mine],
                [row[name] for row in mine],
                "o-",
                ms=4,
                color=color,
                label=steps + (note if name == "rank_fraction" else ""),
            )
        if line is not None:
            axis.axhline(line, color=BLACK, ls="--", lw=1)
        axis.set(xscale="log", xlabel="embedding dimension $d$", ylabel=label)
        axis.legend()
    return {"embedding-faithfulness": figure}


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the criteria of faithfulness against dimension, one curve a step law."""
    t = record["tables"]
    return [
        Plot(
            f"faithfulness-{name.replace('_', '-')}",
            title,
            f"{title} against the embedding dimension, one curve a step law.",
            "embedding dimension d",
            label,
            True,
            False,
            tuple(
                series(
                    str(steps),
                    "measured",
                    [row["dim"] for row in t["table"] if row["steps"] == steps],
                    [row[name] for row in t["table"] if row["steps"] == steps],
                )
                for steps in t["trusted_from"]
            ),
        )
        for name, title, label in (
            ("rank_fraction", "Tree neighbours that are nearest", "share of tree edges"),
            ("distance_ratio", "Squared distance over tree distance", "ratio"),
            ("distortion", "Scatter of that ratio", "standard deviation over pairs"),
            ("mass_radius_dimension", "Mass-radius dimension", "dimension"),
        )
    ]
