"""Single-cluster learning curves, their residual to the exact curve, and scale factors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from percolaw.experiments.plots import PERCENTILES, Plot
from percolaw.report.records import claims_beside, fit_window, series
from percolaw.report.style import BLACK, BLUE, GREEN, ORANGE, band, new, window

_LABELS = {
    "nearest": ("plain 1-NN", ORANGE),
    "adjusted": ("distance-adjusted 1-NN", BLUE),
    "posterior": ("exact posterior", GREEN),
}

_EXACT = "1-NN, exact, with finite-rate factor"


def draw(record: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of a single-cluster record."""
    t = record["tables"]
    n = np.array(t["n"])
    figure, (left, right) = new(2)
    window(left, *t["window"])
    for name, (label, color) in _LABELS.items():
        band(left, n, t["curves"][name], label, color)
    left.plot(n, t["exact"], "--", color=BLACK, label=_EXACT)
    left.plot(
        n,
        t["limit"],
        ":",
        color=BLACK,
        lw=1.2,
        label=r"its low-rate limit $4e^{-n/2}I_0(n/2)-3e^{-n}$",
    )
    left.set(
        xscale="log",
        yscale="log",
        xlabel="mean number of observed sites $n$",
        ylabel="loss / mean variance",
        title="One cluster, mean over large clusters",
    )
    left.legend()
    every = np.array(t["factor_quantiles"])
    summary = t["factor_summary_unobserved"]
    right.plot(every, np.linspace(0, 1, every.size), color=BLUE)
    right.axvline(summary["mean"], color=BLUE, ls="-", lw=1, label=f"mean {summary['mean']:.2f}")
    right.axvline(
        summary["median"], color=BLUE, ls="--", lw=1, label=f"median {summary['median']:.2f}"
    )
    right.axvline(16 / math.pi, color=BLACK, ls=":", lw=1.2, label="16/π (1-NN, ratio of means)")
    right.set(
        xscale="log",
        xlabel="scale factor $f$ in max$(n/f,1)^{-1/2}$",
        ylabel="cumulative share",
        title="Scale factors (unobserved test sites, as published)",
    )
    right.legend(loc="lower right")

    residual, (axis,) = new(1)
    ratio = np.array(t["ratio"])
    for row in ratio:
        axis.plot(n, row, color=ORANGE, alpha=0.25, lw=0.8)
    axis.plot(n, np.exp(np.log(ratio).mean(axis=0)), color=ORANGE, label="plain 1-NN / exact")
    posterior = np.array(t["curves"]["posterior"]["mean"])
    plain = np.array(t["curves"]["nearest"]["mean"])
    axis.plot(n, posterior / plain, color=GREEN, label="posterior / plain 1-NN")
    axis.axhline(t["posterior_constant"], color=GREEN, ls="--", lw=1)
    axis.axhline(1.0, color=BLACK, ls="--", lw=1)
    axis.set(
        xscale="log",
        xlabel="mean number of observed sites $n$",
        ylabel="ratio",
        ylim=(0.4, 1.4),
        title="Single cluster: residual to the exact prediction",
    )
    axis.legend(loc="lower right")
    return {"single-cluster": figure, "single-cluster-residual": residual}


def plots(record: dict[str, Any]) -> list[Plot]:
    """Return the learning curves of a single-cluster record."""
    t = record["tables"]
    n, fitted = t["n"], fit_window(t["window"])
    curves = [
        series(
            label,
            "measured",
            n,
            t["curves"][name]["mean"],
            low=t["curves"][name]["low"],
            high=t["curves"][name]["high"],
            interval=PERCENTILES,
            n_seeds=t["n_seeds"],
            prediction=_EXACT,
            stored=claims_beside(record, lambda c: c.startswith("1-NN exponent on"), fitted)
            if name == "nearest"
            else (),
        )
        for name, (label, _) in _LABELS.items()
    ]
    curves.append(series(_EXACT, "theory", n, t["exact"]))
    curves.append(series("its low-rate limit", "theory", n, t["limit"], prediction=_EXACT))
    return [
        Plot(
            "single-cluster",
            "One cluster, mean over large clusters",
            "Loss of three learners on one cluster falls like the inverse square root of the number "
            "of observed sites; plain 1-NN lies on its exact curve.",
            "mean number of observed sites n",
            "loss / mean variance",
            True,
            True,
            tuple(curves),
            fitted,
        )
    ]
