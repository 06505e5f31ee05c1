"""1-NN on embedded clusters: by dimension, by coordination number, and the two-level baseline."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.report.plots import PERCENTILES, Plot, claims_beside, fit_window, series, stored_fit
from percolaw.report.style import BLACK, CYCLE, band, new


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of an embedded-1nn record."""
    t = record["tables"]
    n = np.array(t["n"])
    panels = _panels(t)
    figure, axes = new(2, 2)
    for axis, (curves, title, label) in zip(axes, panels.values(), strict=True):
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
    for curve, color in zip(panels["dimension"][0], CYCLE, strict=False):
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


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the curves of an embedded-1nn record, by setting, and the exact limit."""
    t = record["tables"]
    n = t["n"]
    found = []
    for key, (curves, title, label) in _panels(t).items():
        windows = {fit_window(c["window"]) for c in curves}
        found.append(
            Plot(
                f"embedded-1nn-{key}",
                title,
                f"Loss against training points, {len(curves)} curves, median over seeds; "
                "the predicted exponent is 1/2.",
                "training points n",
                "mean squared error / variance",
                True,
                True,
                tuple(
                    series(
                        label(c),
                        "measured",
                        n,
                        c["median"],
                        low=c["low"],
                        high=c["high"],
                        interval=PERCENTILES,
                        n_seeds=t["n_seeds"],
                        stored=claims_beside(
                            record,
                            f"{c['k']}-NN exponent, {c['points']}, d = {c['dim']}".__eq__,
                            fit_window(c["window"]),
                        )
                        or stored_fit(c),
                    )
                    for c in curves
                ),
                windows.pop() if len(windows) == 1 else None,
            )
        )
    exact = "exact at d = infinity"
    found.append(
        Plot(
            "embedded-1nn-limit",
            f"d = {t['limit_dim']} against the exact curve",
            "Mean loss of 1-NN in the largest dimension lies on the exact curve of infinitely many.",
            "training points n",
            "mean squared error / unit",
            True,
            True,
            (
                series(
                    f"1-NN, d = {t['limit_dim']}, mean over seeds",
                    "measured",
                    n,
                    t["limit_measured"],
                    n_seeds=t["n_seeds"],
                    prediction=exact,
                ),
                series(exact, "theory", n, t["limit_curve"]),
            ),
        )
    )
    return found


def _panels(t: dict[str, Any]) -> dict[str, tuple[list[dict[str, Any]], str, Any]]:
    """Curves, title and label of each panel."""
    dim = t["ablation_dim"]
    first = [c for c in t["curves"] if c["k"] == 1]
    by_dim = [c for c in first if c["points"] == "infinite"]
    here = [c for c in by_dim if c["dim"] == dim]
    levels = [c for c in first if c["points"].startswith("two-level")]
    by_z = [c for c in first if c not in levels and c["points"] != "infinite"]
    by_k = [c for c in t["curves"] if c["points"] == "infinite" and c["dim"] == dim]
    return {
        "dimension": (
            by_dim,
            "Infinite cluster, by embedding dimension",
            lambda c: f"d = {c['dim']}",
        ),
        "coordination": (
            by_z + here,
            f"d = {dim}, by coordination number",
            lambda c: c["points"],
        ),
        "neighbors": (by_k, f"k-NN, infinite cluster, d = {dim}", lambda c: f"k = {c['k']}"),
        "levels": (
            levels + here,
            "The two-level scheme beside the exact sampler",
            lambda c: c["points"],
        ),
    }
