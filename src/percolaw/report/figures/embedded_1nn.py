"""1-NN on embedded clusters: by dimension, by coordination number, and the two-level baseline."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.style import BLACK, CYCLE, band, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of an embedded-1nn record."""
    t = record["tables"]
    n = np.array(t["n"])
    first = [c for c in t["curves"] if c["k"] == 1]
    by_dim = [c for c in first if c["points"] == "infinite"]
    by_z = [
        c for c in first if c["points"] != "infinite" and not c["points"].startswith("two-level")
    ]
    by_z += [c for c in by_dim if c["dim"] == t["ablation_dim"]]
    levels = [c for c in first if c["points"].startswith("two-level")]
    levels += [c for c in by_dim if c["dim"] == t["ablation_dim"]]
    by_k = [c for c in t["curves"] if c["points"] == "infinite" and c["dim"] == t["ablation_dim"]]
    figure, axes = new(2, 2)
    panels: tuple[Any, ...] = (
        (by_dim, "Infinite cluster, by embedding dimension", lambda c: f"d = {c['dim']}"),
        (by_z, f"d = {t['ablation_dim']}, by coordination number", lambda c: c["points"]),
        (by_k, f"k-NN, infinite cluster, d = {t['ablation_dim']}", lambda c: f"k = {c['k']}"),
        (levels, "The two-level scheme beside the exact sampler", lambda c: c["points"]),
    )
    for axis, (curves, title, label) in zip(axes, panels, strict=True):
        for curve, color in zip(curves, CYCLE, strict=False):
            low, high = (end if end is not None else float("nan") for end in curve["interval"])
            band(
                axis,
                n,
                curve,
                f"{label(curve)}: {curve['exponent']:.3f} [{low:.3f}, {high:.3f}]",
                color,
            )
        guide = 1.25 * curves[0]["median"][0] * (n / n[0]) ** -0.5
        axis.plot(n, guide, "--", color=BLACK, lw=1, label="slope 1/2")
        axis.set(
            xscale="log",
            yscale="log",
            xlabel="training points $n$",
            ylabel="mean squared error / variance",
            title=title,
        )
        axis.legend(fontsize=7.5)
    residual, (axis,) = new(1)
    for curve, color in zip(by_dim, CYCLE, strict=False):
        axis.plot(n, curve["local"], color=color, lw=1.2, label=f"d = {curve['dim']}")
    axis.axhline(0.5, color=BLACK, ls="--", lw=1)
    axis.set(
        xscale="log",
        xlabel="training points $n$",
        ylabel="local exponent",
        ylim=(0.2, 0.8),
        title=f"Local exponents, infinite cluster, {t['n_seeds']} seeds",
    )
    axis.legend(ncol=2)
    return {"embedded-1nn": figure, "embedded-1nn-local": residual}
