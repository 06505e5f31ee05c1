"""Cluster size distributions against the exact law."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import Plot
from percolaw.report.records import series
from percolaw.report.style import BLACK, BLUE, GREEN, ORANGE, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figure of a cluster-sizes record."""
    t = record["tables"]
    figure, (left, right) = new(2)
    for curve, color in zip(t["curves"], (GREEN, BLUE, ORANGE), strict=False):
        size = np.array(curve["size"])
        exact, measured = np.array(curve["exact"]), np.array(curve["measured"])
        label = f"$p = {curve['offspring']:g}\\,p_c$"
        left.plot(size, measured, "o", ms=3.5, color=color, label=label)
        left.plot(size, exact, "--", color=color, lw=1.2)
        seen = exact * curve["n"] >= 10
        error = np.sqrt((1 - exact) / np.maximum(exact * curve["n"], 1e-9))
        right.errorbar(
            size[seen],
            (measured / np.maximum(exact, 1e-300))[seen],
            yerr=error[seen],
            fmt="o",
            ms=3,
            color=color,
            lw=0.8,
            label=label,
        )
    left.set(
        xscale="log",
        yscale="log",
        xlabel="cluster size $s$",
        ylabel="P(size > $s$)",
        title="Cluster of a random site; dashed: exact law",
        ylim=(3e-5, 1.5),
    )
    left.legend()
    right.axhline(1.0, color=BLACK, ls="--", lw=1)
    right.set(
        xscale="log",
        xlabel="cluster size $s$",
        ylabel="measured / exact",
        title="Residual, one standard error",
        ylim=(0.7, 1.3),
    )
    return {"cluster-sizes": figure}


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the distributions of a cluster-sizes record with their exact laws."""
    t = record["tables"]
    curves = []
    for c in t["curves"]:
        name = f"p = {c['offspring']:g} p_c"
        curves.append(
            series(
                f"{name}, {c['n']:,} clusters",
                "measured",
                c["size"],
                c["measured"],
                n_seeds=len(t["tau"]),
                prediction=f"{name}, exact",
            )
        )
        curves.append(series(f"{name}, exact", "theory", c["size"], c["exact"]))
    return [
        Plot(
            "cluster-sizes",
            "Cluster of a random site",
            "Share of sites whose cluster is larger than s, below, at and above p_c; "
            "the measured shares lie on the exact law.",
            "cluster size s",
            "P(size > s)",
            True,
            True,
            tuple(curves),
        )
    ]
