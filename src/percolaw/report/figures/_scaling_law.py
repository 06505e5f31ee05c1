"""Model and data scaling: curves over seeds with the theory, local exponents, residuals."""

from __future__ import annotations

from typing import Any

import numpy as np

from percolaw.experiments.plots import PERCENTILES, Plot
from percolaw.report.records import claims_beside, fit_window, series
from percolaw.report.style import BLACK, BLUE, GREEN, ORANGE, PURPLE, band, new, window


def draw_law(record: dict[str, Any], symbol: str, x_label: str) -> dict[str, Any]:
    """Return the published figure and the residual figure of a scaling law."""
    t = record["tables"]
    n = np.array(t["n"])
    theory = np.array(t["theory"])
    figure, (left, right) = new(2)
    window(left, t["curve_from"], n[-1])
    band(left, n, t["curves"]["adjusted"], "adjusted 1-NN (the paper's learner)", BLUE)
    left.plot(n, t["curves"]["nearest"]["median"], color=ORANGE, lw=1.2, label="plain 1-NN")
    left.plot(n, t["curves"]["posterior"]["median"], color=GREEN, lw=1.2, label="exact posterior")
    left.plot(n, theory, "--", color=BLACK, label="theory, set to 1 at the start, nothing fitted")
    left.set(
        xscale="log",
        yscale="log",
        xlabel=x_label,
        ylabel="mean squared error",
        title=f"{t['law'].capitalize()} scaling, {t['n_seeds']} seeds, 16-84% band",
    )
    left.legend()
    window(right, *t["window"])
    right.plot(n, t["local_measured"], color=BLUE, label="measured")
    right.plot(n, t["local_theory"], "--", color=BLACK, label="theory")
    right.axhline(0.5, color="#888888", lw=0.8, ls=":")
    right.text(n[0], 0.505, "limit 1/2", fontsize=8, color="#555555")
    right.set(
        xscale="log",
        xlabel=x_label,
        ylabel=f"local exponent, -d log L / d log {symbol}",
        title="Local exponent (fit window shaded)",
        ylim=(0, 0.75),
    )
    right.legend(loc="lower right")

    residual, (axis,) = new(1)
    window(axis, t["curve_from"], n[-1])
    seeds = np.array(t["seeds"]["adjusted"])
    for row in seeds:
        axis.plot(n, row / theory, color=BLUE, alpha=0.15, lw=0.8)
    axis.plot(n, np.median(seeds, axis=0) / theory, color=BLUE, label="measured / paper's theory")
    finite = np.array(t["curves"]["finite_ensemble"]["median"])
    axis.plot(
        n, finite / theory, color=PURPLE, lw=1.3, label="theory on the clusters drawn / theory"
    )
    axis.axhline(1.0, color=BLACK, ls="--", lw=1)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=x_label,
        ylabel="ratio",
        ylim=(0.4, 2.5),
        title=f"{t['law'].capitalize()} scaling: residual to theory, one line a seed",
    )
    axis.set_yticks([0.5, 0.7, 1.0, 1.4, 2.0], ["0.5", "0.7", "1", "1.4", "2"], minor=False)
    axis.minorticks_off()
    axis.legend()
    name = f"{t['law']}-scaling"
    return {name: figure, f"{name}-residual": residual}


def plots_law(record: dict[str, Any], symbol: str, x_label: str) -> list[Plot]:
    """Return the curves of a scaling law and its stored local exponents, as data."""
    t = record["tables"]
    law, n, seeds = str(t["law"]), t["n"], t["n_seeds"]
    fitted = fit_window(t["window"])
    curves = []
    for key, name in (
        ("adjusted", "adjusted 1-NN (the paper's learner)"),
        ("nearest", "plain 1-NN"),
        ("posterior", "exact posterior"),
    ):
        curve = t["curves"][key]
        curves.append(
            series(
                name,
                "measured",
                n,
                curve["median"],
                low=curve["low"],
                high=curve["high"],
                interval=PERCENTILES,
                n_seeds=seeds,
                seeds=t["seeds"].get(key),
                prediction="theory",
                stored=claims_beside(record, lambda c: f"{law} exponent on" in c, fitted)
                if key == "adjusted"
                else (),
            )
        )
    curves.append(series("theory", "theory", n, t["theory"]))
    finite = t["curves"]["finite_ensemble"]
    curves.append(
        series(
            "theory on the clusters drawn",
            "theory",
            n,
            finite["median"],
            low=finite["low"],
            high=finite["high"],
            interval=PERCENTILES,
            n_seeds=seeds,
            prediction="theory",
        )
    )
    return [
        Plot(
            f"{law}-scaling",
            f"{law.capitalize()} scaling",
            f"Loss of three learners, median over seeds, falls with {symbol} along the theory, "
            "which is set to 1 at the start with nothing fitted.",
            x_label,
            "mean squared error",
            True,
            True,
            tuple(curves),
            fitted,
        ),
        Plot(
            f"{law}-scaling-local",
            "Local exponents, as stored",
            f"Local exponents of the measured curve and of the theory against {symbol}; "
            "both drift towards the limit 1/2.",
            x_label,
            f"local exponent, -d log L / d log {symbol}",
            True,
            False,
            (
                series(
                    "measured",
                    "measured",
                    n,
                    t["local_measured"],
                    n_seeds=seeds,
                    prediction="theory",
                ),
                series("theory", "theory", n, t["local_theory"]),
                series("limit 1/2", "reference", n, [0.5] * len(n)),
            ),
            fitted,
        ),
    ]
